package rules

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
)

// TagTable finds the tags of a resource.
type TagTable struct {
	resources []taggedResource
	root      match.Index
	nowhere   []int        // indexes of the resources in the document that are none of the service definition, or of another service
	all       []*match.Tag // every tag, as below the resource: for requests that name none
}

type taggedResource struct {
	matcher *match.Matcher
	tags    [][len(match.MatchTypeNames)]*match.Tag // by match type
}

func newTagTable(m *Model, tags *ranger.ServiceTags, service string) *TagTable {
	if tags == nil || len(tags.ServiceResources) == 0 {
		return nil
	}
	table := &TagTable{}
	unclear, others := newUnclearTags(tags.Faults), tags.OfOthers(service)
	newTag := func(id string, m match.Type) *match.Tag {
		tag := tags.Tags[id]
		periods, err := tag.Periods()
		t := match.NewTag(tag.Type, tag.Attributes, periods, m)
		t.Unclear = t.Unclear || err != nil || unclear.tags[id]
		return t
	}
	for i, r := range tags.ServiceResources {
		matcher, ok := match.New(m.forests[ranger.PolicyTypeAccess], r.ResourceElements, nil)
		if !ok || others[i] {
			table.nowhere = append(table.nowhere, i)
			continue
		}
		tagged := taggedResource{matcher: &matcher}
		for _, id := range tags.ResourceToTagIDs[strconv.FormatInt(r.ID, 10)] {
			key := strconv.FormatInt(id, 10)
			if _, ok := tags.Tags[key]; !ok {
				continue
			}
			var byMatch [len(match.MatchTypeNames)]*match.Tag
			for m := range byMatch {
				byMatch[m] = newTag(key, match.Type(m))
				byMatch[m].Unclear = byMatch[m].Unclear || unclear.resources[i]
			}
			tagged.tags = append(tagged.tags, byMatch)
		}
		table.root.Add(&matcher, int32(len(table.resources)))
		table.resources = append(table.resources, tagged)
	}
	for _, id := range slices.Sorted(maps.Keys(tags.Tags)) {
		table.all = append(table.all, newTag(id, match.Descendant))
	}
	return table
}

// unclearTags are the tags and the resources, by their ids and indexes in the document, of which something cannot be understood.
type unclearTags struct {
	tags      map[string]bool
	resources map[int]bool
}

func newUnclearTags(faults []ranger.Fault) unclearTags {
	u := unclearTags{tags: make(map[string]bool), resources: make(map[int]bool)}
	for _, f := range faults {
		switch name, index, rest := f.Step(); name {
		case "serviceResources":
			u.resources[index] = true
		case "tags":
			id, _, _ := strings.Cut(rest, ".")
			u.tags[id] = true
		}
	}
	return u
}

// Nowhere lists the indexes of the tagged resources, in their document, that are none of the service definition, or of another service:
// they carry nothing.
func (t *TagTable) Nowhere() []int { return t.nowhere }

// All lists every tag, as if on something below a resource: for requests that name no resource.
func (t *TagTable) All() []*match.Tag { return t.all }

// Carriers calls yield for every tag of every tagged resource.
func (t *TagTable) Carriers(yield func(*match.Matcher, *match.Tag) bool) {
	for i := range t.resources {
		for _, tag := range t.resources[i].tags {
			if !yield(t.resources[i].matcher, tag[match.Self]) {
				return
			}
		}
	}
}

// Find lists the tags of a resource. Tags of what lies above it count, those of what lies below only with below.
func (t *TagTable) Find(path *match.Path, v *match.Values, below bool, scratch []int32) (found []*match.Tag, ids []int32) {
	ids = t.root.Collect(path, below, scratch[:0])
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for _, id := range ids {
		r := &t.resources[id]
		m := r.matcher.Match(path.Elements, v, false)
		if m == match.None || m == match.Descendant && !below {
			continue
		}
		for i := range r.tags {
			found = append(found, r.tags[i][m])
		}
	}
	return found, ids
}

// tagRepository prepares tag policies. Their access types and masks are written component:name; those of other
// components are left out. Source: ServiceDefUtil.normalizeAccessTypeDefs, RangerPolicyRepository.
func (r *reader) tagRepository(component *ranger.ServiceDef, tags *ranger.TagPolicies) *Repository {
	if tags == nil {
		return nil
	}
	rename := func(name string) (string, bool) {
		of, local, ok := strings.Cut(name, ":")
		switch {
		case !ok:
			return name, true
		case ranger.ComponentNamed(of, component.Name) <= ranger.ComponentNearly: // what is nearly ours has a fault, which decides what becomes of it
			return local, true
		}
		return name, false
	}
	renameAll := func(list []ranger.AccessTypeDef) []ranger.AccessTypeDef {
		var local []ranger.AccessTypeDef
		for _, a := range list {
			name, ok := rename(a.Name)
			if !ok {
				continue
			}
			a.Name = name
			var implied []string
			for _, i := range a.ImpliedGrants {
				if n, ok := rename(i); ok {
					implied = append(implied, n)
				}
			}
			a.ImpliedGrants = implied
			local = append(local, a)
		}
		return local
	}
	def := *tagServiceDef(component, tags)
	def.AccessTypes, def.MarkerAccessTypes = renameAll(def.AccessTypes), renameAll(def.MarkerAccessTypes)
	m := newTagModel(&def)
	r.tags, r.rename = true, rename
	defer func() { r.tags, r.rename = false, sameName }()
	return r.repository(m, tags.Policies, "")
}

// TagModel returns the definition that the policies of a tag service are read by, prepared for use; component is the service definition
// of what carries the tags.
func TagModel(component *ranger.ServiceDef, tags *ranger.TagPolicies) *Model {
	return newTagModel(tagServiceDef(component, tags))
}

func newTagModel(def *ranger.ServiceDef) *Model {
	m := NewModel(def)
	m.denies = true // a tag service always has denies
	// Masks and filters of a tag service are on tags too, whether its definition says so or not.
	for t := range m.forests {
		if len(m.forests[t].Names) == 0 {
			m.forests[t], m.hierarchies[t] = m.forests[ranger.PolicyTypeAccess], m.hierarchies[ranger.PolicyTypeAccess]
		}
	}
	return m
}

// tagServiceDef returns the definition of a tag service. For one that brings none it has tags, the access types and the masks of the
// component, as Ranger Admin gives them to a tag service, and the conditions that every tag service has. Source:
// ServiceDBStore.updateTagServiceDefForUpdatingAccessTypes, service-defs/ranger-servicedef-tag.json.
func tagServiceDef(component *ranger.ServiceDef, tags *ranger.TagPolicies) *ranger.ServiceDef {
	if tags.ServiceDef != nil {
		return tags.ServiceDef
	}
	prefix := component.Name + ":"
	own := func(list []ranger.AccessTypeDef) (named []ranger.AccessTypeDef) {
		for _, a := range list {
			a.Name = prefix + a.Name
			a.ImpliedGrants = slices.Clone(a.ImpliedGrants)
			for i := range a.ImpliedGrants {
				a.ImpliedGrants[i] = prefix + a.ImpliedGrants[i]
			}
			named = append(named, a)
		}
		return named
	}
	def := &ranger.ServiceDef{
		Name:        ranger.TagResource,
		Resources:   []ranger.ResourceDef{{Name: ranger.TagResource, Level: 1, MatcherOptions: ranger.OptionMap{"ignoreCase": "false"}}},
		AccessTypes: own(component.AccessTypes), MarkerAccessTypes: own(component.MarkerAccessTypes),
		PolicyConditions: []ranger.ConditionDef{
			{Name: "accessed-after-expiry", Evaluator: "RangerScriptTemplateConditionEvaluator", EvaluatorOptions: ranger.OptionMap{"scriptTemplate": "ctx.isAccessedAfter('expiry_date');"}},
			{Name: "expression", Evaluator: "RangerScriptConditionEvaluator"},
		},
	}
	if component.DataMaskDef != nil {
		def.DataMaskDef = &ranger.DataMaskDef{Resources: def.Resources}
		for _, mask := range component.DataMaskDef.MaskTypes {
			mask.Name = prefix + mask.Name
			def.DataMaskDef.MaskTypes = append(def.DataMaskDef.MaskTypes, mask)
		}
	}
	return def
}
