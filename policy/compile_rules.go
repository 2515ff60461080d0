package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// compiledPolicy is a policy as the compiler sees it: who is allowed and denied which privileges, with exceptions.
type compiledPolicy struct {
	src         *Policy
	priority    int
	zone        string
	tag         bool // holds where a tag is, see addTagPolicies
	denyAllElse bool

	allow, allowExcept, deny, denyExcept []compiledItem

	allowPrivs, denyPrivs privSet // of all items; denyPrivs holds every privilege with denyAllElse
}

type compiledItem struct {
	privs privSet
	who   subjectSet
}

// protectionPriority is above every policy's: no allow opens a table whose filter or mask is not enforced.
const protectionPriority = 1 << 30

// entry is one region of one policy, or of one security zone.
type entry struct {
	region region
	policy *compiledPolicy // nil for a zone
	zone   *SecurityZone   // of a zone entry
}

// rules is everything of a snapshot that decides grants.
type rules struct {
	policies []*compiledPolicy
	entries  []entry
	zoned    bool
	findings []Finding
}

// ruleReader builds rules from the policies of a snapshot.
type ruleReader struct {
	rules
	opts     CompileOptions
	subjects *subjectTable
	model    *serviceModel
	inherit  bool
	prefix   string // of access types in tag policies: "hive:" in "hive:select"
}

func readRules(s *Snapshot, o CompileOptions, subjects *subjectTable) rules {
	def := s.ServiceDef
	if def == nil {
		def = DefaultServiceDef()
	}
	r := &ruleReader{opts: o, subjects: subjects, model: newServiceModel(def), inherit: def.Options[OptionInheritAccess] == "true"}
	for i := range s.Policies {
		r.addPolicy(&s.Policies[i], "", r.regionsOf)
	}
	r.addZones(s)
	r.addTagPolicies(s, def)
	return r.rules
}

func (r *ruleReader) find(p *Policy, effect Effect, format string, args ...any) {
	r.findings = append(r.findings, Finding{PolicyID: p.ID, Policy: p.Name, Effect: effect, Message: fmt.Sprintf(format, args...)})
}

// addPolicy adds a policy of any type in the given zone ("" for none, or the policy's own); regions gives the places
// it is about.
func (r *ruleReader) addPolicy(p *Policy, zone string, regions func(c *compiledPolicy) []region) {
	if !p.ApplicableAt(r.opts.Time) {
		return
	}
	c := &compiledPolicy{src: p, priority: p.PolicyPriority, zone: cmp.Or(zone, p.ZoneName), tag: r.prefix != ""}
	if p.PolicyType == PolicyTypeAccess {
		r.readItems(c)
	} else {
		r.readProtection(c)
	}
	if c.allowPrivs|c.denyPrivs == 0 {
		return
	}
	r.policies = append(r.policies, c)
	r.zoned = r.zoned || c.zone != "" // also where the zone's resources are no place in Unity Catalog
	onColumns := *c
	onColumns.allow, onColumns.allowPrivs, onColumns.priority = nil, 0, protectionPriority
	for _, reg := range regions(c) {
		e := entry{region: reg, policy: c}
		if reg.columns {
			e.policy = &onColumns // a table of higher priority does not open a column that is denied
		}
		r.entries = append(r.entries, e)
	}
}

// regionsOf reads the resources of a policy. A place Unity Catalog does not have grants and denies nothing there.
func (r *ruleReader) regionsOf(c *compiledPolicy) []region {
	p := c.src
	var list []region
	for _, resources := range append([]map[string]PolicyResource{p.Resources}, p.AdditionalResources...) {
		resources, macros := r.openMacros(resources)
		if macros {
			r.find(p, EffectNarrower, "its resource holds a macro or a literal '*', which a grant cannot express; what it allows is not granted, what it denies is denied for every value")
		}
		reg, err := newRegion(resources, r.inherit)
		if err != nil {
			r.find(p, EffectNarrower, "%v; nothing is granted for it", err)
			continue
		}
		if reg.columns {
			r.findColumns(c, "it names single columns")
		}
		reg.partial = reg.partial || macros
		list = append(list, reg)
	}
	return list
}

// findColumns reports what becomes of a policy on columns. A row filter or mask has its own finding.
func (r *ruleReader) findColumns(c *compiledPolicy, what string) {
	if c.allowPrivs != 0 {
		r.find(c.src, EffectNarrower, "%s; Unity Catalog grants whole tables, so what it allows there is not granted", what)
	}
	if c.denyPrivs != 0 && c.priority != protectionPriority {
		r.find(c.src, EffectNarrower, "%s; Unity Catalog grants whole tables, so what it denies there is denied on the whole table", what)
	}
}

// openMacros replaces values with macros by patterns that match every value the macro may take. A '*' that the service
// definition takes literally stands in a name that Unity Catalog does not have, and is treated like one.
func (r *ruleReader) openMacros(resources map[string]PolicyResource) (map[string]PolicyResource, bool) {
	found := false
	opened := make(map[string]PolicyResource, len(resources))
	for name, res := range resources {
		o, literal := r.optionsOf(name)
		open := func(v string) bool { return o.applies(v) || literal && strings.ContainsAny(v, "*?") }
		switch {
		case !slices.ContainsFunc(res.Values, open):
			opened[name] = res
			continue
		case res.IsExcludes: // everything but an unknown name: may be anything
			opened[name] = PolicyResource{Values: []string{"*"}}
		default:
			values := slices.Clone(res.Values)
			for i, v := range values {
				if o.applies(v) {
					values[i] = o.withWildcards(v)
				}
			}
			opened[name] = PolicyResource{Values: values, IsRecursive: res.IsRecursive}
		}
		found = true
	}
	return opened, found
}

// optionsOf says how the service definition writes macros in the values of a resource, and whether it takes '*' and '?'
// literally.
func (r *ruleReader) optionsOf(resource string) (macros macroOptions, literal bool) {
	if r.model == nil || r.model.resources[resource] == nil {
		return newMacroOptions(nil), false
	}
	o := r.model.resources[resource].MatcherOptions
	return newMacroOptions(o), !o.Bool("wildCard", true)
}

func holdsMacro(value string) bool {
	return strings.Contains(value, "{USER}") || strings.Contains(value, "{OWNER}") || strings.Contains(value, "${{")
}

// readItems reads the four lists of an access policy. Conditions cannot be written as grants: an allow that needs one
// is not granted, a deny holds without it.
func (r *ruleReader) readItems(c *compiledPolicy) {
	p := c.src
	conditional := len(p.Conditions) > 0
	if conditional && len(p.PolicyItems) > 0 {
		r.find(p, EffectNarrower, "it holds only under a condition (%s), which a grant cannot express; what it allows is not granted, what it denies is denied always", conditionNames(p.Conditions))
	}
	read := func(items []PolicyItem, list string, keepConditional bool) []compiledItem {
		var out []compiledItem
		for i := range items {
			item := &items[i]
			if len(item.Conditions) > 0 {
				effect := "is not granted"
				if keepConditional {
					effect = "holds always"
				}
				if list == "denyExceptions" {
					effect = "is not made"
				}
				r.find(p, EffectNarrower, "%s[%d] holds only under a condition (%s), which a grant cannot express; it %s", list, i, conditionNames(item.Conditions), effect)
				if !keepConditional {
					continue
				}
			} else if conditional && !keepConditional {
				continue
			}
			privs := r.privileges(p, item, list, i)
			who := newSubjectSet(r.subjects, item)
			if privs != 0 && len(who) > 0 {
				out = append(out, compiledItem{privs, who})
			}
		}
		return out
	}
	c.allow = read(p.PolicyItems, "policyItems", false)
	if r.model.denies {
		c.allowExcept = read(p.AllowExceptions, "allowExceptions", true)
		c.deny = read(p.DenyPolicyItems, "denyPolicyItems", true)
		c.denyExcept = read(p.DenyExceptions, "denyExceptions", false)
	}
	c.denyAllElse = p.IsDenyAllElse
	c.sum()
}

func (c *compiledPolicy) sum() {
	for _, item := range c.allow {
		c.allowPrivs |= item.privs
	}
	for _, item := range c.deny {
		c.denyPrivs |= item.privs
	}
	if c.denyAllElse {
		c.denyPrivs = allPrivSet
	}
}

// readProtection turns a row filter or mask that is not enforced in Unity Catalog into a deny of SELECT for whom it
// binds: reading without it would show more than the policy allows. Items that show everything come first for whom
// they name, as in Ranger, where the first matching item decides.
func (r *ruleReader) readProtection(c *compiledPolicy) {
	p := c.src
	c.priority = protectionPriority
	what := "a row filter"
	add := func(item *PolicyItem, free bool) {
		who := newSubjectSet(r.subjects, item)
		if len(who) == 0 || len(r.model.effectiveAccesses(item)) == 0 {
			return
		}
		entry := compiledItem{Select.bit(), who}
		if free {
			c.denyExcept = append(c.denyExcept, entry)
		} else {
			c.deny = append(c.deny, entry)
		}
	}
	for i := range p.RowFilterPolicyItems {
		item := &p.RowFilterPolicyItems[i]
		free := strings.TrimSpace(item.RowFilterInfo.FilterExpr) == "" && len(item.Conditions) == 0
		if free && len(c.deny) > 0 {
			continue // an earlier item binds; whom this one frees is not certain
		}
		add(&item.PolicyItem, free)
	}
	for i := range p.DataMaskPolicyItems {
		what = "a column mask"
		item := &p.DataMaskPolicyItems[i]
		free := item.DataMaskInfo.DataMaskType == "MASK_NONE" && len(item.Conditions) == 0
		if free && len(c.deny) > 0 {
			continue
		}
		add(&item.PolicyItem, free)
	}
	c.sum()
	if c.denyPrivs != 0 {
		r.find(p, EffectNarrower, "it sets %s, which is not enforced in Unity Catalog yet; whom it binds is not granted SELECT on its tables", what)
	}
}

func conditionNames(list []Condition) string {
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.Type
	}
	return strings.Join(names, ", ")
}

// privileges turns the access types of an item, with what they imply, into privileges.
func (r *ruleReader) privileges(p *Policy, item *PolicyItem, list string, i int) privSet {
	var set privSet
	for _, access := range r.model.effectiveAccesses(item) {
		name := access
		if r.prefix != "" {
			var ours bool
			if name, ours = strings.CutPrefix(access, r.prefix); !ours && strings.Contains(access, ":") {
				continue // of another component
			}
		}
		bit := Privilege(strings.ToUpper(name)).bit()
		if bit == 0 && !strings.HasPrefix(name, "_") && isNamed(item, access) {
			effect := EffectNarrower
			if strings.HasPrefix(list, "deny") {
				effect = EffectNone
			}
			r.find(p, effect, "%s[%d] names access type %q, which has no counterpart in Unity Catalog; it is left out", list, i, access)
		}
		set |= bit
	}
	return set
}

func isNamed(item *PolicyItem, access string) bool {
	return slices.ContainsFunc(item.Accesses, func(a ItemAccess) bool { return a.Type == access })
}

// addZones adds the policies of security zones, and the zones themselves as entries, since a zone's policies hold in
// its resources only and the others hold everywhere else.
func (r *ruleReader) addZones(s *Snapshot) {
	for name, zone := range s.Zones {
		if zone == nil {
			continue
		}
		for i := range zone.Policies {
			r.addPolicy(&zone.Policies[i], name, r.regionsOf)
		}
		for _, resources := range zone.Resources {
			set := make(map[string]PolicyResource, len(resources))
			for level, values := range resources {
				set[level] = PolicyResource{Values: values}
			}
			reg, err := newRegion(set, true)
			if err != nil {
				continue // a zone of places Unity Catalog does not have
			}
			r.zoned = true
			r.entries = append(r.entries, entry{region: reg, zone: &SecurityZone{ZoneName: name, ContainsAssociatedTagService: zone.ContainsAssociatedTagService}})
		}
	}
}

// addTagPolicies adds each tag policy at every resource that carries a tag it names. Tags hold for everything inside
// the resource that carries them.
func (r *ruleReader) addTagPolicies(s *Snapshot, def *ServiceDef) {
	if s.TagPolicies == nil || s.Tags == nil {
		return
	}
	tagDef := s.TagPolicies.ServiceDef
	if tagDef == nil {
		tagDef = def
	}
	r.model, r.prefix = newServiceModel(tagDef), def.Name+":"
	r.model.denies = true                 // always, in a tag service
	carriers := make(map[string][]region) // by tag type
	for _, res := range s.Tags.ServiceResources {
		reg, err := newRegion(res.ResourceElements, true)
		if err != nil {
			continue
		}
		for _, id := range s.Tags.ResourceToTagIDs[fmt.Sprint(res.ID)] {
			tag, ok := s.Tags.Tags[fmt.Sprint(id)]
			if !ok {
				continue
			}
			carrier := reg
			if len(tag.periods()) > 0 {
				carrier.partial = true // a tag that comes and goes denies always and allows never
			}
			carriers[tag.Type] = append(carriers[tag.Type], carrier)
		}
	}
	for i := range s.TagPolicies.Policies {
		r.addPolicy(&s.TagPolicies.Policies[i], "", func(c *compiledPolicy) []region {
			var list []region
			for _, resources := range append([]map[string]PolicyResource{c.src.Resources}, c.src.AdditionalResources...) {
				match, macros := r.tagMatch(c, resources)
				for tag, regions := range carriers {
					if !match(tag) {
						continue
					}
					for _, reg := range regions {
						if reg.columns {
							r.findColumns(c, "tag "+tag+" is on columns")
						}
						reg.partial = reg.partial || macros
						list = append(list, reg)
					}
				}
			}
			return list
		})
	}
}

// tagMatch tells which tags one set of resources of a tag policy names, by the options of the tag service: tags have
// case there. With macros it names every tag that they may come to.
func (r *ruleReader) tagMatch(c *compiledPolicy, resources map[string]PolicyResource) (match func(tag string) bool, macros bool) {
	res, named := resources[tagResource]
	if !named {
		return func(string) bool { return false }, false
	}
	opened, macros := r.openMacros(map[string]PolicyResource{tagResource: res})
	if macros {
		r.find(c.src, EffectNarrower, "its tag holds a macro, which a grant cannot express; what it allows is not granted, what it denies is denied for every value")
	}
	def := r.model.resources[tagResource]
	if def == nil {
		def = &ResourceDef{Name: tagResource}
	}
	m := newElementMatcher(def, opened[tagResource])
	return func(tag string) bool { return m.matches(&Element{Name: tagResource, Value: tag}, nil) }, macros
}
