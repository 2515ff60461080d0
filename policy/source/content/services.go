package content

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
)

// candidate is what the documents say of one service.
type candidate struct {
	origin   string // the first file that names it
	declared string // the type of service, where documents say it
	policies int
	ours     bool // some policy, or the service definition, names resources of Unity Catalog
	clear    bool // some policy names resources
}

// chooseService sets the service whose policies are read: the configured one, else the only one of our type. Several of our
// type are an error, because nothing says which is meant; those of other types are never asked about.
func (m *merger) chooseService(docs []*document) error {
	services := make(map[string]*candidate)
	note := func(d *document, name, declared string) *candidate {
		c := services[name]
		if c == nil {
			c = &candidate{origin: d.file.path}
			services[name] = c
		}
		if c.declared == "" {
			c.declared = declared
		}
		return c
	}
	for _, d := range docs {
		if d.policies == nil || isTagService(d.policies) {
			continue
		}
		if def := d.policies.ServiceDef; d.policies.ServiceName != "" {
			c := note(d, d.policies.ServiceName, "")
			if def != nil {
				c.declared, c.ours = def.Name, c.ours || definesOurs(def)
			}
		}
		for _, p := range allPolicies(d.policies) {
			if p.Service != "" && p.ServiceType != ranger.TagServiceType {
				c := note(d, p.Service, p.ServiceType)
				c.policies++
				c.ours = c.ours || namesOurs(p)
				c.clear = c.clear || len(p.Resources)+len(p.AdditionalResources) > 0 && !slices.ContainsFunc(p.Faults, func(f ranger.Fault) bool {
					return f.Within("resources") || strings.HasPrefix(f.Field, "additionalResources")
				})
			}
		}
	}
	out := m.content.Policies
	m.noService = m.service == "" && len(services) == 0
	if out.ServiceName = m.service; m.service == "" {
		var sure, possible []string
		for _, name := range slices.Sorted(maps.Keys(services)) {
			c := services[name]
			ours := c.ours || !c.clear && c.declared == "" // what cannot be told may be ours
			switch {
			case c.declared == ranger.DefaultServiceDef().Name, c.declared == "" && ours:
				sure = append(sure, name)
			case ours: // of a service definition of its own
				possible = append(possible, name)
			}
		}
		if len(sure) == 0 {
			sure = possible
		}
		if len(sure) > 1 {
			for i, name := range sure {
				sure[i] = fmt.Sprintf("%q in %s", name, services[name].origin)
			}
			return policy.Errorf(policy.CodeInvalid, "policies of several services: %s; set policies.service to the one to read", strings.Join(sure, ", "))
		}
		if len(sure) == 1 {
			out.ServiceName = sure[0]
		}
	}
	if c := services[out.ServiceName]; c != nil {
		m.serviceType, m.origins["service"] = c.declared, c.origin
	}
	return nil
}

// isTagService reports whether the document holds the policies of a tag service alone.
func isTagService(doc *ranger.ServicePolicies) bool {
	if doc.ServiceDef != nil {
		return doc.ServiceDef.Name == ranger.TagServiceType
	}
	return len(doc.Policies) > 0 && !slices.ContainsFunc(doc.Policies, func(p ranger.Policy) bool { return p.ServiceType != ranger.TagServiceType })
}

// allPolicies lists the policies of a document, those of its zones too.
func allPolicies(doc *ranger.ServicePolicies) []*ranger.Policy {
	var all []*ranger.Policy
	add := func(list []ranger.Policy) {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	add(doc.Policies)
	for _, zone := range doc.SecurityZones {
		if zone != nil {
			add(zone.Policies)
		}
	}
	return all
}

// shared are the resources that other types of services have too.
var shared = []string{"table", "column", "function"}

// isOurs reports whether a resource of this name tells that a policy is about Unity Catalog; misspelt ones count.
func isOurs(name string) bool {
	return !slices.Contains(shared, name) && parse.IsResource(name)
}

func namesOurs(p *ranger.Policy) bool {
	for _, set := range append(slices.Clone(p.AdditionalResources), p.Resources) {
		for name := range set {
			if isOurs(name) {
				return true
			}
		}
	}
	return false
}

func definesOurs(def *ranger.ServiceDef) bool {
	return def.Name == ranger.DefaultServiceDef().Name || slices.ContainsFunc(def.Resources, func(r ranger.ResourceDef) bool { return isOurs(r.Name) })
}

// ownDefinition returns the name of the service definition, of those that files of their own hold, by which the policies are
// read: the one of our type, else the first that has our resources. It is "" where none does.
func (m *merger) ownDefinition(docs []*document) string {
	own := ""
	for _, d := range docs {
		if d.def == nil || d.def.Name == ranger.TagServiceType || !definesOurs(d.def) {
			continue
		}
		if d.def.Name == ranger.DefaultServiceDef().Name || d.def.Name == m.serviceType {
			return d.def.Name
		}
		if own == "" {
			own = d.def.Name
		}
	}
	return own
}

// isForeign reports whether what names the service is another's.
func (m *merger) isForeign(service string) bool {
	return isForeign(service, m.content.Policies.ServiceName)
}

// isForeignPart reports whether roles or tags are another service's. Where no policy names a service, they are those of the only one
// there is.
func (m *merger) isForeignPart(service string) bool { return !m.noService && m.isForeign(service) }

func isForeign(service, own string) bool { return service != "" && service != own }

func (m *merger) isForeignPolicy(p *ranger.Policy) bool {
	switch {
	case p.ServiceType == ranger.TagServiceType:
		return false
	case p.Service != "":
		return m.isForeign(p.Service)
	}
	switch m.typeOf(p) {
	case ranger.ComponentOther:
		return true
	case ranger.ComponentUnknown:
		return !namesOurs(p)
	}
	return false
}

// typeOf returns whose the type of service is that a policy says it is of, if it says one.
func (m *merger) typeOf(p *ranger.Policy) ranger.Component {
	if slices.Contains([]string{"", m.serviceType, m.ownDef}, p.ServiceType) {
		return ranger.ComponentOwn
	}
	return ranger.ComponentNamed(p.ServiceType, ranger.DefaultServiceDef().Name)
}

// withTypeFault returns the policy with a fault where nothing but its resources, or a name that is nearly ours, tells that it is of our
// type of service.
func (m *merger) withTypeFault(p ranger.Policy) ranger.Policy {
	if p.Service == "" && p.ServiceType != ranger.TagServiceType && m.typeOf(&p) != ranger.ComponentOwn {
		p.Faults = append(slices.Clip(p.Faults), ranger.Fault{Field: "serviceType", Reason: fmt.Sprintf(
			"%q is no type of service that is known; write %q, or name the service that the policy is of", p.ServiceType, cmp.Or(m.serviceType, m.ownDef, ranger.DefaultServiceDef().Name))})
	}
	return p
}

// isForeignDocument reports whether all that the document holds is of another service, or of another type of service.
func (m *merger) isForeignDocument(d *document) bool {
	switch {
	case d.policies != nil && !isTagService(d.policies) && m.isForeign(d.policies.ServiceName):
		return true
	case d.policies != nil:
		list := allPolicies(d.policies)
		return len(list) > 0 && !slices.ContainsFunc(list, func(p *ranger.Policy) bool { return !m.isForeignPolicy(p) })
	case d.roles != nil:
		return m.isForeignPart(d.roles.ServiceName)
	case d.tags != nil:
		return m.isForeignPart(d.tags.ServiceName)
	}
	return d.def != nil && d.def.Name != m.ownDef && d.def.Name != ranger.TagServiceType
}

// Foreign is what is left out because it is of another service.
type Foreign struct {
	origin, service string
	policies        int
	last            ranger.Policy // of the policies, the last
}

// leaveOut counts policies of another service, n of them, in a document.
func (m *merger) leaveOut(d *document, service string, policies ...ranger.Policy) {
	noteForeign(m.others, d.file.path, service, policies...)
}

func noteForeign(others map[string]*Foreign, origin, service string, policies ...ranger.Policy) {
	key := origin + "\x00" + service
	if others[key] == nil {
		others[key] = &Foreign{origin: origin, service: service}
	}
	f := others[key]
	f.policies += len(policies)
	if len(policies) > 0 {
		f.last = policies[len(policies)-1]
	}
}

// Problem says what was left out; own is the service that is read.
func (f *Foreign) Problem(own string) ranger.Problem {
	p := ranger.Problem{Origin: f.origin, Effect: policy.EffectNone, LeftOut: true}
	what := fmt.Sprintf("%d policies", f.policies)
	switch f.policies {
	case 0:
		what = "what it holds"
	case 1:
		what, p.PolicyID, p.Policy = "a policy", f.last.ID, f.last.Name
	}
	of := fmt.Sprintf("service %q", f.service)
	if f.service == "" {
		of = fmt.Sprintf("another type of service, %q", f.last.ServiceType)
	}
	read := "no service of type " + ranger.DefaultServiceDef().Name + " is there"
	if own != "" {
		read = fmt.Sprintf("the service read is %q", own)
	}
	p.Message = fmt.Sprintf("left out: %s of %s; %s", what, of, read)
	return p
}

// WithoutForeign returns the document without the policies of other services, and notes those in others. It is the same rule
// for downloads as for files, which also say what type a service is of.
func WithoutForeign(doc *ranger.ServicePolicies, origin string, others map[string]*Foreign) *ranger.ServicePolicies {
	own := func(list []ranger.Policy) []ranger.Policy {
		if !slices.ContainsFunc(list, func(p ranger.Policy) bool { return isForeign(p.Service, doc.ServiceName) }) {
			return list
		}
		var kept []ranger.Policy
		for _, p := range list {
			if isForeign(p.Service, doc.ServiceName) {
				noteForeign(others, origin, p.Service, p)
			} else {
				kept = append(kept, p)
			}
		}
		return kept
	}
	c := *doc
	c.Policies = own(doc.Policies)
	if len(doc.SecurityZones) > 0 {
		c.SecurityZones = maps.Clone(doc.SecurityZones)
		for name, zone := range c.SecurityZones {
			if zone != nil {
				z := *zone
				z.Policies = own(zone.Policies)
				c.SecurityZones[name] = &z
			}
		}
	}
	return &c
}

// LeftOut lists the files and policies that problems say are left out.
func LeftOut(problems []ranger.Problem) []string {
	var list []string
	for _, p := range problems {
		if p.LeftOut {
			text := p.Text()
			if p.Effect != policy.EffectNone && (p.PolicyID != 0 || p.Policy != "") {
				text += fmt.Sprintf(" (policy %d %q)", p.PolicyID, p.Policy)
			}
			list = append(list, text)
		}
	}
	return list
}
