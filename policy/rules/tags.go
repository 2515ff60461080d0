package rules

import (
	"cmp"
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
	nowhere   []int        // indexes of the resources in the document that are none of the service definition
	all       []*match.Tag // every tag, as below the resource: for requests that name none
}

type taggedResource struct {
	matcher *match.Matcher
	tags    [][len(match.MatchTypeNames)]*match.Tag // by match type
}

func newTagTable(m *Model, tags *ranger.ServiceTags) *TagTable {
	if tags == nil || len(tags.ServiceResources) == 0 {
		return nil
	}
	table := &TagTable{}
	for i, r := range tags.ServiceResources {
		matcher, ok := match.New(m.forests[ranger.PolicyTypeAccess], r.ResourceElements, nil)
		if !ok {
			table.nowhere = append(table.nowhere, i)
			continue
		}
		tagged := taggedResource{matcher: &matcher}
		for _, id := range tags.ResourceToTagIDs[strconv.FormatInt(r.ID, 10)] {
			tag, ok := tags.Tags[strconv.FormatInt(id, 10)]
			if !ok {
				continue
			}
			var byMatch [len(match.MatchTypeNames)]*match.Tag
			for i := range byMatch {
				byMatch[i] = match.NewTag(tag.Type, tag.Attributes, tag.Periods(), match.Type(i))
			}
			tagged.tags = append(tagged.tags, byMatch)
		}
		table.root.Add(&matcher, int32(len(table.resources)))
		table.resources = append(table.resources, tagged)
	}
	for _, key := range slices.Sorted(maps.Keys(tags.Tags)) {
		tag := tags.Tags[key]
		table.all = append(table.all, match.NewTag(tag.Type, tag.Attributes, tag.Periods(), match.Descendant))
	}
	return table
}

// Nowhere lists the indexes of the tagged resources, in their document, that are none of the service definition: they carry nothing.
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
		if local, ok := strings.CutPrefix(name, component.Name+":"); ok {
			return local, true
		}
		return name, !strings.Contains(name, ":")
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
	def := *cmp.Or(tags.ServiceDef, defaultTagService(component))
	def.AccessTypes, def.MarkerAccessTypes = renameAll(def.AccessTypes), renameAll(def.MarkerAccessTypes)
	m := NewModel(&def)
	m.denies = true // a tag service always has denies
	// Masks and filters of a tag service are on tags too, whether its definition says so or not.
	for t := range m.forests {
		if len(m.forests[t].Names) == 0 {
			m.forests[t] = m.forests[ranger.PolicyTypeAccess]
		}
	}
	r.tags, r.rename = true, rename
	defer func() { r.tags, r.rename = false, sameName }()
	return r.repository(m, tags.Policies, "")
}

// defaultTagService is the definition of a tag service that brings none: tags, and the access types of the component.
func defaultTagService(component *ranger.ServiceDef) *ranger.ServiceDef {
	def := &ranger.ServiceDef{Name: match.TagResource, Resources: []ranger.ResourceDef{{Name: match.TagResource, Level: 1, MatcherOptions: ranger.OptionMap{"ignoreCase": "false"}}}}
	for _, a := range component.AccessTypes {
		def.AccessTypes = append(def.AccessTypes, ranger.AccessTypeDef{Name: component.Name + ":" + a.Name, Category: a.Category})
	}
	return def
}
