package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/policy"
)

// tagServiceType is the service type of policies on tags, and the name of its service definition.
const tagServiceType = "tag"

// merger joins the documents of many files into one content.
type merger struct {
	service string // the service wanted; "" takes the only one there is
	content content
	// from tells which file a thing came from that there can be one of: "serviceDef", "zone x", "service".
	from    map[string]string
	ids     map[int64]*document
	skipped map[string]int // policies of other services, by service
}

// merge joins the documents of files. The files are read in order, so the same files give the same content.
func merge(files []file, service string) (*content, map[string]int, error) {
	m := &merger{service: service, from: map[string]string{}, ids: map[int64]*document{}, skipped: map[string]int{}}
	m.content.Policies = &policy.ServicePolicies{ServiceName: service}
	for _, f := range files {
		docs, err := documents(f)
		if err != nil {
			return nil, nil, err
		}
		for i := range docs {
			if err := m.add(&docs[i]); err != nil {
				return nil, nil, err
			}
		}
	}
	return &m.content, m.skipped, nil
}

func (m *merger) add(d *document) error {
	origin := d.file.path
	var err error
	switch d.shape {
	case shapePolicies:
		var doc *policy.ServicePolicies
		if doc, err = policy.ParseServicePolicies(d.data, origin); err == nil {
			err = m.addDocument(d, doc)
		}
	case shapePolicy, shapeList:
		var list []policy.Policy
		if list, err = policy.ParsePolicies(d.data, origin); err == nil {
			err = m.addPolicies(d, list, &m.content.Policies.Policies)
		}
	case shapeRoles:
		err = m.addRoles(d)
	case shapeUsers:
		if err = m.only("user store", origin); err == nil {
			m.content.Users, err = policy.ParseUserStore(d.data, origin)
		}
	case shapeTags:
		if err = m.only("tags", origin); err == nil {
			m.content.Tags, err = policy.ParseTags(d.data, origin)
		}
	case shapeServiceDef:
		var def *policy.ServiceDef
		if def, err = policy.ParseServiceDef(d.data, origin); err == nil {
			err = m.addServiceDef(def, origin)
		}
	}
	return err
}

// addDocument adds a policy download or export. Its own service name speaks for policies that name none.
func (m *merger) addDocument(d *document, doc *policy.ServicePolicies) error {
	out, origin := m.content.Policies, d.file.path
	for i := range doc.Policies {
		if p := &doc.Policies[i]; p.Service == "" && p.ServiceType != tagServiceType {
			p.Service = doc.ServiceName
		}
	}
	if doc.ServiceDef != nil && doc.ServiceDef.Name == tagServiceType {
		// a tag service's own download
		doc.TagPolicies = &policy.TagPolicies{ServiceName: doc.ServiceName, PolicyVersion: doc.PolicyVersion, Policies: doc.Policies, ServiceDef: doc.ServiceDef, ServiceConfig: doc.ServiceConfig}
		return m.addTagPolicies(d, doc.TagPolicies)
	}
	out.PolicyVersion = max(out.PolicyVersion, doc.PolicyVersion)
	if doc.ServiceName != "" {
		if wanted, err := m.wants(doc.ServiceName, origin); err != nil {
			return err
		} else if !wanted {
			m.skipped[doc.ServiceName] += len(doc.Policies)
			return nil
		}
		out.ServiceID = doc.ServiceID
	}
	if doc.ServiceDef != nil {
		if err := m.addServiceDef(doc.ServiceDef, origin); err != nil {
			return err
		}
	}
	if err := m.addPolicies(d, doc.Policies, &out.Policies); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(doc.SecurityZones)) {
		if err := m.addZone(d, name, doc.SecurityZones[name]); err != nil {
			return err
		}
	}
	for key, value := range doc.ServiceConfig {
		if old, found := out.ServiceConfig[key]; found && old != value {
			return policy.Errorf(policy.CodeInvalid, "%s: serviceConfig.%s differs from the one of another file", origin, key)
		}
		if out.ServiceConfig == nil {
			out.ServiceConfig = map[string]string{}
		}
		out.ServiceConfig[key] = value
	}
	if doc.TagPolicies != nil {
		return m.addTagPolicies(d, doc.TagPolicies)
	}
	return nil
}

// wants reports whether policies of a service are the ones to read. Without a service asked for, all must be of one.
func (m *merger) wants(service, origin string) (bool, error) {
	out := m.content.Policies
	if m.service != "" {
		return service == m.service, nil
	}
	if out.ServiceName == "" {
		out.ServiceName, m.from["service"] = service, origin
	}
	if out.ServiceName != service {
		return false, policy.Errorf(policy.CodeInvalid, "policies of two services: %q in %s and %q in %s; keep one, or set policies.service to the one to read",
			out.ServiceName, m.from["service"], service, origin)
	}
	return true, nil
}

// addPolicies appends the policies of one document to the list, and those of a tag service to the tag policies.
func (m *merger) addPolicies(d *document, list []policy.Policy, to *[]policy.Policy) error {
	if err := m.identify(d, "", list); err != nil {
		return err
	}
	for _, p := range list {
		if p.ServiceType == tagServiceType {
			tags := m.tagPolicies()
			if tags.ServiceName == "" {
				tags.ServiceName = p.Service
			}
			tags.Policies = append(tags.Policies, p)
			continue
		}
		if p.Service != "" {
			wanted, err := m.wants(p.Service, d.file.path)
			if err != nil {
				return err
			}
			if !wanted {
				m.skipped[p.Service]++
				continue
			}
		}
		*to = append(*to, p)
	}
	return nil
}

func (m *merger) tagPolicies() *policy.TagPolicies {
	if m.content.Policies.TagPolicies == nil {
		m.content.Policies.TagPolicies = &policy.TagPolicies{}
	}
	return m.content.Policies.TagPolicies
}

func (m *merger) addTagPolicies(d *document, add *policy.TagPolicies) error {
	if err := m.identify(d, "tag", add.Policies); err != nil {
		return err
	}
	out := m.tagPolicies()
	if add.ServiceName != "" {
		out.ServiceName = add.ServiceName
	}
	out.PolicyVersion = max(out.PolicyVersion, add.PolicyVersion)
	out.Policies = append(out.Policies, add.Policies...)
	out.ServiceConfig = add.ServiceConfig
	if add.ServiceDef != nil {
		return m.addServiceDef(add.ServiceDef, d.file.path)
	}
	return nil
}

func (m *merger) addZone(d *document, name string, zone *policy.SecurityZone) error {
	if zone == nil {
		return policy.Errorf(policy.CodeInvalid, "%s: securityZones.%s is null", d.file.path, name)
	}
	if err := m.only("security zone "+name, d.file.path); err != nil {
		return err
	}
	if err := m.identify(d, "zone "+name, zone.Policies); err != nil {
		return err
	}
	if m.content.Policies.SecurityZones == nil {
		m.content.Policies.SecurityZones = map[string]*policy.SecurityZone{}
	}
	m.content.Policies.SecurityZones[name] = zone
	return nil
}

func (m *merger) addRoles(d *document) error {
	roles, err := policy.ParseRoles(d.data, d.file.path)
	if err != nil {
		return err
	}
	if m.content.Roles == nil {
		m.content.Roles = &policy.ServiceRoles{}
	}
	for _, role := range roles.RangerRoles {
		if err := m.only("role "+role.Name, d.file.path); err != nil {
			return err
		}
	}
	m.content.Roles.RoleVersion = max(m.content.Roles.RoleVersion, roles.RoleVersion)
	m.content.Roles.RangerRoles = append(m.content.Roles.RangerRoles, roles.RangerRoles...)
	return nil
}

// addServiceDef takes the definition of the service or of the tag service. The same one may come with many files.
func (m *merger) addServiceDef(def *policy.ServiceDef, origin string) error {
	at := &m.content.Policies.ServiceDef
	if def.Name == tagServiceType {
		at = &m.tagPolicies().ServiceDef
	}
	if *at != nil {
		a, errA := json.Marshal(*at)
		b, errB := json.Marshal(def)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			return policy.Errorf(policy.CodeInvalid, "two different service definitions: %q in %s and %q in %s; keep one",
				(*at).Name, m.from["serviceDef "+(*at).Name], def.Name, origin)
		}
		return nil
	}
	*at, m.from["serviceDef "+def.Name] = def, origin
	return nil
}

// only refuses the second of things there can be one of.
func (m *merger) only(what, origin string) error {
	if first, found := m.from[what]; found {
		return policy.Errorf(policy.CodeInvalid, "%s: %s: there is one already in %s; keep one", origin, what, first)
	}
	m.from[what] = origin
	return nil
}

// identify gives policies without an id one that stays the same as long as file and name do, and refuses an id that
// another document uses too. Within one list of policies an id may repeat, as it does in Ranger's own exports.
func (m *merger) identify(d *document, section string, list []policy.Policy) error {
	nth := map[string]int{}
	for i := range list {
		p := &list[i]
		if p.ID == 0 {
			name := p.Name
			if name == "" {
				name = fmt.Sprintf("#%d", i)
			}
			key := strings.Join([]string{d.file.name, section, p.ZoneName, name}, "\x00")
			p.ID = stableID(key, nth[key])
			nth[key]++
		}
		first, found := m.ids[p.ID]
		switch {
		case !found:
			m.ids[p.ID] = d
		case first != d && first.file.path == d.file.path:
			return policy.Errorf(policy.CodeInvalid, "%s: policy %d %q: documents %d and %d of the file both use this id; give one another id",
				d.file.path, p.ID, p.Name, first.number, d.number)
		case first != d:
			return policy.Errorf(policy.CodeInvalid, "%s: policy %d %q: id: %s uses this id too; give one another id, or none to have one made",
				d.file.path, p.ID, p.Name, first.file.path)
		case d.shape == shapeList:
			return policy.Errorf(policy.CodeInvalid, "%s: policy %d %q: id: an earlier policy of this list uses it too; give one another id",
				d.file.path, p.ID, p.Name)
		}
	}
	return nil
}

// stableID makes an id from a key and a number. Ids so made lie between 2^52 and 2^53: above any that Ranger gives
// out, and exact in every JSON reader.
func stableID(key string, nth int) int64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", key, nth))
	const bit52 = 1 << 52
	return int64(bit52 | binary.BigEndian.Uint64(sum[:8])&(bit52-1))
}
