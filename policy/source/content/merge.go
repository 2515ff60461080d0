package content

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
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
)

// merger merges the documents of many files into one content.
type merger struct {
	service   string // the service to read; "" for the only one there is
	noService bool   // nothing says of which service the policies are
	content   Content
	// origins maps each thing that may occur only once, such as "user store" or "role x", to the file it came from.
	origins     map[string]string
	ids         map[int64]*document
	others      map[string]*Foreign // what is of other services, by file and service
	serviceType string              // that the documents say the service is of
	ownDef      string              // the name of the service definition that a file of its own holds
	unknown     []unknownFields
	kept        map[string]error // why the files cannot be read of which the last policies stay
}

// Merge merges the documents of files, in order. What is wrong within a policy is a fault of that policy; what is not ours
// among the files is left out, and named among the problems. before is what is in force, nil where nothing is.
func Merge(files []File, service string, before *Content) (*Content, error) {
	m := &merger{service: service, origins: map[string]string{}, ids: map[int64]*document{}, others: map[string]*Foreign{}, kept: map[string]error{}}
	m.content.Policies = &ranger.ServicePolicies{}
	var docs []*document
	for _, f := range files {
		if f.unread {
			m.leaveUnread(f)
			continue
		}
		list, unreadable, err := readDocuments(f)
		if err != nil {
			if list, err = m.unreadable(unreadable, err, before); err != nil {
				return nil, err
			}
		}
		for _, d := range list {
			if d.foreign != "" {
				m.problem(f.path, policy.EffectNone, "left out: document %d of the file: %s", d.number, d.foreign)
			} else {
				docs = append(docs, d)
			}
		}
	}
	docs, err := m.spareRoles(docs, before)
	if err != nil {
		return nil, err
	}
	if err := m.chooseService(docs); err != nil {
		return nil, err
	}
	m.ownDef = m.ownDefinition(docs)
	docs, err = m.refuseFields(docs, before)
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		if err := m.add(d); err != nil {
			return nil, err
		}
	}
	refused, refusal := m.keepVerified(before)
	return &m.content, m.finish(refused, refusal)
}

func (m *merger) add(d *document) error {
	origin := d.file.path
	if d.policies == nil {
		m.content.holdsMore(origin)
	}
	var err error
	switch {
	case d.policies != nil && d.kind == parse.DocumentPolicies:
		err = m.addDocument(d)
	case d.policies != nil:
		err = m.addPolicies(d, "", d.policies.Policies, &m.content.Policies.Policies)
	case d.roles != nil:
		if m.isForeignPart(d.roles.ServiceName) {
			m.leaveOut(d, d.roles.ServiceName)
			return nil
		}
		err = m.addRoles(d)
	case d.users != nil:
		err = m.checkOnlyOne("user store", origin)
		m.content.Users = d.users
	case d.tags != nil:
		if m.isForeignPart(d.tags.ServiceName) {
			m.leaveOut(d, d.tags.ServiceName)
			return nil
		}
		err = m.checkOnlyOne("tags", origin)
		m.content.Tags = d.tags
	case d.def != nil:
		if d.def.Name != m.ownDef && d.def.Name != ranger.TagServiceType {
			m.problem(origin, policy.EffectNone, "left out: it is the definition of another type of service, %q", d.def.Name)
			return nil
		}
		err = m.addServiceDef(d.def, origin)
	}
	if err != nil {
		return err
	}
	if len(d.unknown) > 0 {
		m.unknown = append(m.unknown, unknownFields{origin, d.unknown})
	}
	return nil
}

// unknownFields are the fields of a file that Ranger's model does not have.
type unknownFields struct {
	path   string
	fields []ranger.UnknownField
}

// finish lists the problems. It returns an error where something was left out and no policy remains, and that of a file that
// cannot be read, or is refused, where all the policies are what was last read or verified: nothing confirms them.
func (m *merger) finish(refused int, refusal error) error {
	c := &m.content
	effect := c.RoleEffect()
	for _, f := range m.unknown {
		c.Problems = append(c.Problems, parse.ProblemsOf(f.fields, f.path, effect)...)
	}
	for _, key := range slices.Sorted(maps.Keys(m.others)) {
		c.Problems = append(c.Problems, m.others[key].Problem(c.Policies.ServiceName))
	}
	n, kept := 0, refused
	c.Each(func(list []ranger.Policy) {
		n += len(list)
		for i := range list {
			if m.kept[list[i].Origin] != nil {
				kept++
			}
		}
	})
	switch {
	case kept > 0 && kept == n && refusal != nil:
		return refusal
	case kept > 0 && kept == n:
		return m.kept[slices.Min(slices.Collect(maps.Keys(m.kept)))]
	}
	if reasons := LeftOut(c.Problems); n == 0 && len(reasons) > 0 {
		return policy.Errorf(policy.CodeInvalid, "no policies: %s", strings.Join(reasons, "; "))
	}
	return nil
}

// addDocument adds a policy download or export. Its service name applies to policies that name none.
func (m *merger) addDocument(d *document) error {
	out, origin, doc := m.content.Policies, d.file.path, d.policies
	if isTagService(doc) {
		// a tag service's own download
		return m.addTagPolicies(d, &ranger.TagPolicies{ServiceName: doc.ServiceName, PolicyVersion: doc.PolicyVersion, Policies: doc.Policies, ServiceDef: doc.ServiceDef, ServiceConfig: doc.ServiceConfig})
	}
	if m.isForeign(doc.ServiceName) {
		m.leaveOut(d, doc.ServiceName, doc.Policies...)
		d.unknown = nil // nothing of it is used
		return nil
	}
	out.PolicyVersion = max(out.PolicyVersion, doc.PolicyVersion)
	if doc.ServiceName != "" {
		out.ServiceID = doc.ServiceID
	}
	if doc.ServiceDef != nil {
		m.content.holdsMore(origin)
		if err := m.addServiceDef(doc.ServiceDef, origin); err != nil {
			return err
		}
	}
	if err := m.addPolicies(d, "", doc.Policies, &out.Policies); err != nil {
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
		m.content.holdsMore(origin)
	}
	if doc.TagPolicies != nil {
		return m.addTagPolicies(d, doc.TagPolicies)
	}
	return nil
}

// addPolicies appends the policies of one document to the list, and those of a tag service to the tag policies. Those of
// other services are left out.
func (m *merger) addPolicies(d *document, section string, list []ranger.Policy, to *[]ranger.Policy) error {
	var own []ranger.Policy
	for _, p := range list {
		if m.isForeignPolicy(&p) {
			m.leaveOut(d, p.Service, p)
			d.unknown = slices.DeleteFunc(slices.Clone(d.unknown), func(u ranger.UnknownField) bool { return u.InPolicy && u.PolicyID == p.ID && u.Policy == p.Name })
			continue
		}
		own = append(own, m.withTypeFault(p))
	}
	m.assignIDs(d, section, own)
	for _, p := range own {
		if p.ServiceType != ranger.TagServiceType {
			*to = append(*to, p)
			continue
		}
		if err := m.setTagService(p.Service, d.file.path); err != nil {
			return err
		}
		tags := m.tagPolicies()
		tags.Policies = append(tags.Policies, p)
	}
	return nil
}

// setTagService notes the name of the tag service, of which a service has one: policies of two would grant what only one of
// them is to.
func (m *merger) setTagService(name, origin string) error {
	tags := m.tagPolicies()
	if first := tags.ServiceName; first != "" && name != "" && first != name {
		return policy.Errorf(policy.CodeInvalid, "policies of two tag services: of %s in %s and of %s in %s; a service is linked to one, keep that",
			first, m.origins["tag service"], name, origin)
	}
	if name != "" && tags.ServiceName == "" {
		tags.ServiceName, m.origins["tag service"] = name, origin
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
	m.assignIDs(d, "tag", add.Policies)
	out := m.tagPolicies()
	if err := m.setTagService(add.ServiceName, d.file.path); err != nil {
		return err
	}
	out.PolicyVersion = max(out.PolicyVersion, add.PolicyVersion)
	out.Policies = append(out.Policies, add.Policies...)
	out.ServiceConfig = add.ServiceConfig
	m.content.holdsMore(d.file.path)
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
	m.content.holdsMore(d.file.path)
	own := *zone
	own.Policies = nil
	if err := m.addPolicies(d, "zone "+name, zone.Policies, &own.Policies); err != nil {
		return err
	}
	if m.content.Policies.SecurityZones == nil {
		m.content.Policies.SecurityZones = map[string]*ranger.SecurityZone{}
	}
	m.content.Policies.SecurityZones[name] = &own
	return nil
}

func (m *merger) addRoles(d *document) error {
	if m.content.Roles == nil {
		m.content.Roles = &ranger.ServiceRoles{}
	}
	m.content.Roles.RoleVersion = max(m.content.Roles.RoleVersion, d.roles.RoleVersion)
	for _, role := range d.roles.RangerRoles {
		same := func(r ranger.Role) bool { return sameRole(&r, &role) }
		if m.origins["role "+role.Name] != "" && slices.ContainsFunc(m.content.Roles.RangerRoles, same) {
			continue // an export and a download of the same roles
		}
		if err := m.checkOnlyOne("role "+role.Name, d.file.path); err != nil {
			return err
		}
		m.content.Roles.RangerRoles = append(m.content.Roles.RangerRoles, role)
	}
	return nil
}

// sameRole reports whether two roles have the same name and members.
func sameRole(a, b *ranger.Role) bool {
	return a.Name == b.Name && slices.Equal(a.Users, b.Users) && slices.Equal(a.Groups, b.Groups) && slices.Equal(a.Roles, b.Roles)
}

// addServiceDef sets the definition of the service or of the tag service. Several files may hold the same one.
func (m *merger) addServiceDef(def *ranger.ServiceDef, origin string) error {
	at := &m.content.Policies.ServiceDef
	if def.Name == ranger.TagServiceType {
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

// assignIDs sets the id of policies without one, to a number that stays the same as long as file and name do. An id that
// another document uses too is a fault of the later policy. Within one Ranger export an id may repeat.
func (m *merger) assignIDs(d *document, section string, list []ranger.Policy) {
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
		reason := ""
		switch first, found := m.ids[p.ID]; {
		case !found:
			m.ids[p.ID] = d
		case first != d && first.file.path == d.file.path:
			reason = fmt.Sprintf("documents %d and %d of the file both use this id; change one of them", first.number, d.number)
		case first != d:
			reason = fmt.Sprintf("%s uses this id too; change one of them, or leave the id out to have it assigned", first.file.path)
		case d.kind == parse.DocumentPolicyList && !d.kept:
			reason = "an earlier policy of this list uses it too; change one of them"
		}
		if reason != "" && !slices.ContainsFunc(p.Faults, func(f ranger.Fault) bool { return f.Field == "id" }) {
			p.Faults = append(slices.Clip(p.Faults), ranger.Fault{Field: "id", Reason: reason})
		}
	}
}

// stableID returns an id derived from a key and a number, between 2^52 and 2^53: above any that Ranger assigns, and
// exact in every JSON reader.
func stableID(key string, nth int) int64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", key, nth))
	const bit52 = 1 << 52
	return int64(bit52 | binary.BigEndian.Uint64(sum[:8])&(bit52-1))
}
