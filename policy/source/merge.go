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
	"ucwarden/policy/ranger"
)

// tagServiceType is the service type of policies on tags, and the name of its service definition.
const tagServiceType = "tag"

// merger merges the documents of many files into one content.
type merger struct {
	service string // the service to read; "" for the only one there is
	content content
	// origins maps each thing that may occur only once, such as "user store" or "role x", to the file it came from.
	origins map[string]string
	ids     map[int64]*document
	skipped map[string]int // policies of other services, by service
	unknown []unknownFields
}

// merge merges the documents of files, in order. It returns the content and the number of policies skipped because they
// are of another service, by service. What is wrong within a policy is a fault of that policy.
func merge(files []file, service string) (*content, map[string]int, error) {
	m := &merger{service: service, origins: map[string]string{}, ids: map[int64]*document{}, skipped: map[string]int{}}
	m.content.Policies = &ranger.ServicePolicies{ServiceName: service}
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
	m.finish()
	return &m.content, m.skipped, nil
}

func (m *merger) add(d *document) error {
	origin := d.file.path
	var unknown []ranger.UnknownField
	var err error
	switch d.kind {
	case ranger.DocumentPolicies:
		var doc *ranger.ServicePolicies
		if doc, err = ranger.ParseServicePolicies(d.data, origin); err == nil {
			err = m.addDocument(d, doc)
			unknown = doc.Unknown
		}
	case ranger.DocumentPolicy, ranger.DocumentPolicyList:
		var list []ranger.Policy
		if list, unknown, err = ranger.ParsePolicies(d.data, origin); err == nil {
			err = m.addPolicies(d, list, &m.content.Policies.Policies)
		}
	case ranger.DocumentRoles:
		unknown, err = m.addRoles(d)
	case ranger.DocumentUsers:
		if err = m.checkOnlyOne("user store", origin); err == nil {
			m.content.Users, err = ranger.ParseUserStore(d.data, origin)
		}
		if err == nil {
			unknown = m.content.Users.Unknown
		}
	case ranger.DocumentTags:
		if err = m.checkOnlyOne("tags", origin); err == nil {
			m.content.Tags, err = ranger.ParseTags(d.data, origin)
		}
		if err == nil {
			unknown = m.content.Tags.Unknown
		}
	case ranger.DocumentServiceDef:
		var def *ranger.ServiceDef
		if def, err = ranger.ParseServiceDef(d.data, origin); err == nil {
			unknown = def.Unknown
			err = m.addServiceDef(def, origin)
		}
	}
	if err != nil {
		return err
	}
	if err := ranger.CheckFields(unknown, origin); err != nil {
		return err
	}
	if len(unknown) > 0 {
		m.unknown = append(m.unknown, unknownFields{origin, unknown})
	}
	return nil
}

// unknownFields are the fields of a file that Ranger's model does not have.
type unknownFields struct {
	path   string
	fields []ranger.UnknownField
}

// finish lists the problems.
func (m *merger) finish() {
	effect := m.content.roleEffect()
	for _, f := range m.unknown {
		m.content.Problems = append(m.content.Problems, ranger.ProblemsOf(f.fields, f.path, effect)...)
	}
}

// addDocument adds a policy download or export. Its service name applies to policies that name none.
func (m *merger) addDocument(d *document, doc *ranger.ServicePolicies) error {
	out, origin := m.content.Policies, d.file.path
	for i := range doc.Policies {
		if p := &doc.Policies[i]; p.Service == "" && p.ServiceType != tagServiceType {
			p.Service = doc.ServiceName
		}
	}
	if doc.ServiceDef != nil && doc.ServiceDef.Name == tagServiceType {
		// a tag service's own download
		doc.TagPolicies = &ranger.TagPolicies{ServiceName: doc.ServiceName, PolicyVersion: doc.PolicyVersion, Policies: doc.Policies, ServiceDef: doc.ServiceDef, ServiceConfig: doc.ServiceConfig}
		return m.addTagPolicies(d, doc.TagPolicies)
	}
	out.PolicyVersion = max(out.PolicyVersion, doc.PolicyVersion)
	if doc.ServiceName != "" {
		if wanted, err := m.wants(doc.ServiceName, origin); err != nil {
			return err
		} else if !wanted {
			m.skipped[doc.ServiceName] += len(doc.Policies)
			doc.Unknown = nil // nothing of it is used
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
			return policy.Errorf(policy.CodeInvalid, "%s: serviceConfig.%s differs from that in another file", origin, key)
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

// wants reports whether policies of the service are to be read. Where no service was configured, all policies must be of
// one service, and policies of a second one are an error.
func (m *merger) wants(service, origin string) (bool, error) {
	out := m.content.Policies
	if m.service != "" {
		return service == m.service, nil
	}
	if out.ServiceName == "" {
		out.ServiceName, m.origins["service"] = service, origin
	}
	if out.ServiceName != service {
		return false, policy.Errorf(policy.CodeInvalid, "policies of two services: %q in %s and %q in %s; keep one, or set policies.service to the one to read",
			out.ServiceName, m.origins["service"], service, origin)
	}
	return true, nil
}

// addPolicies appends the policies of one document to the list, and those of a tag service to the tag policies.
func (m *merger) addPolicies(d *document, list []ranger.Policy, to *[]ranger.Policy) error {
	if err := m.assignIDs(d, "", list); err != nil {
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

func (m *merger) tagPolicies() *ranger.TagPolicies {
	if m.content.Policies.TagPolicies == nil {
		m.content.Policies.TagPolicies = &ranger.TagPolicies{}
	}
	return m.content.Policies.TagPolicies
}

func (m *merger) addTagPolicies(d *document, add *ranger.TagPolicies) error {
	if err := m.assignIDs(d, "tag", add.Policies); err != nil {
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

func (m *merger) addZone(d *document, name string, zone *ranger.SecurityZone) error {
	if zone == nil {
		return policy.Errorf(policy.CodeInvalid, "%s: securityZones.%s is null", d.file.path, name)
	}
	if err := m.checkOnlyOne("security zone "+name, d.file.path); err != nil {
		return err
	}
	if err := m.assignIDs(d, "zone "+name, zone.Policies); err != nil {
		return err
	}
	if m.content.Policies.SecurityZones == nil {
		m.content.Policies.SecurityZones = map[string]*ranger.SecurityZone{}
	}
	m.content.Policies.SecurityZones[name] = zone
	return nil
}

func (m *merger) addRoles(d *document) ([]ranger.UnknownField, error) {
	roles, err := ranger.ParseRoles(d.data, d.file.path)
	if err != nil {
		return nil, err
	}
	if m.content.Roles == nil {
		m.content.Roles = &ranger.ServiceRoles{}
	}
	for _, role := range roles.RangerRoles {
		if err := m.checkOnlyOne("role "+role.Name, d.file.path); err != nil {
			return nil, err
		}
	}
	m.content.Roles.RoleVersion = max(m.content.Roles.RoleVersion, roles.RoleVersion)
	m.content.Roles.RangerRoles = append(m.content.Roles.RangerRoles, roles.RangerRoles...)
	return roles.Unknown, nil
}

// addServiceDef sets the definition of the service or of the tag service. Several files may hold the same one.
func (m *merger) addServiceDef(def *ranger.ServiceDef, origin string) error {
	at := &m.content.Policies.ServiceDef
	if def.Name == tagServiceType {
		at = &m.tagPolicies().ServiceDef
	}
	if *at != nil {
		a, errA := json.Marshal(*at)
		b, errB := json.Marshal(def)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			return policy.Errorf(policy.CodeInvalid, "two different service definitions: %q in %s and %q in %s; keep one",
				(*at).Name, m.origins["serviceDef "+(*at).Name], def.Name, origin)
		}
		return nil
	}
	*at, m.origins["serviceDef "+def.Name] = def, origin
	return nil
}

// checkOnlyOne returns an error for the second of things that may occur only once.
func (m *merger) checkOnlyOne(what, origin string) error {
	if first, found := m.origins[what]; found {
		return policy.Errorf(policy.CodeInvalid, "%s: %s: there is already one in %s; keep one", origin, what, first)
	}
	m.origins[what] = origin
	return nil
}

// assignIDs sets the id of policies without one, to a number that stays the same as long as file and name do, and
// returns an error for an id that another document uses too. Within one Ranger export an id may repeat.
func (m *merger) assignIDs(d *document, section string, list []ranger.Policy) error {
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
			return policy.Errorf(policy.CodeInvalid, "%s: policy %d %q: documents %d and %d of the file both use this id; change one of them",
				d.file.path, p.ID, p.Name, first.number, d.number)
		case first != d:
			return policy.Errorf(policy.CodeInvalid, "%s: policy %d %q: id: %s uses this id too; change one of them, or leave the id out to have it assigned",
				d.file.path, p.ID, p.Name, first.file.path)
		case d.kind == ranger.DocumentPolicyList:
			return policy.Errorf(policy.CodeInvalid, "%s: policy %d %q: id: an earlier policy of this list uses it too; change one of them",
				d.file.path, p.ID, p.Name)
		}
	}
	return nil
}

// stableID returns an id derived from a key and a number, between 2^52 and 2^53: above any that Ranger assigns, and
// exact in every JSON reader.
func stableID(key string, nth int) int64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", key, nth))
	const bit52 = 1 << 52
	return int64(bit52 | binary.BigEndian.Uint64(sum[:8])&(bit52-1))
}
