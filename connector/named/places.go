package named

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ucwarden/connector/load"
	"ucwarden/policy"
	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Places are the objects that security zones and resources with tags name exactly, without a pattern. Where one is misspelt, what is
// meant is in no zone and carries no tag, and what is denied by that is open.
type Places struct {
	byRoot map[string][]place // by the catalog; "" for what lies in none
	effect policy.Effect      // of a tagged resource that is misspelt
	count  int
}

// place is an object, and the zone that names it; "" for a resource with tags.
type place struct {
	object policy.Securable
	zone   string
}

// maxPlaces bounds how many places are looked for, and how many one set of resources names.
const maxPlaces = 1_000_000

// maxCompared bounds with how many names those of tagged resources are compared, which takes a second or two.
const maxCompared = 20_000_000

// NewPlaces reads the places of a snapshot. Tags are none of them where no policy is on tags.
func NewPlaces(s *ranger.Snapshot) *Places {
	p := &Places{byRoot: make(map[string][]place), effect: policy.EffectNarrower}
	for _, zone := range slices.Sorted(maps.Keys(s.Zones)) {
		if zone == "" {
			continue
		}
		for _, resources := range s.Zones[zone].Resources {
			p.add(zone, func(name string) []string { return resources[name] }, maps.Keys(resources))
		}
	}
	if s.Tags == nil || s.TagPolicies == nil || !slices.ContainsFunc(s.TagPolicies.Policies, func(p ranger.Policy) bool { return p.Enabled() }) {
		return p
	}
	if slices.ContainsFunc(s.TagPolicies.Policies, restricts) {
		p.effect = policy.EffectWider
	}
	others := s.Tags.OfOthers(s.Service)
	for i := range s.Tags.ServiceResources {
		r := &s.Tags.ServiceResources[i]
		if others[i] || len(s.Tags.ResourceToTagIDs[strconv.FormatInt(r.ID, 10)]) == 0 {
			continue
		}
		p.add("", func(name string) []string {
			if r.ResourceElements[name].IsExcludes {
				return nil
			}
			return r.ResourceElements[name].Values
		}, maps.Keys(r.ResourceElements))
	}
	return p
}

// restricts reports whether a policy takes access away.
func restricts(p ranger.Policy) bool {
	return p.Enabled() && (p.IsDenyAllElse || len(p.DenyPolicyItems)+len(p.AllowExceptions)+len(p.DataMaskPolicyItems)+len(p.RowFilterPolicyItems) > 0)
}

// add adds what a set of resources names exactly, down to the first level where it does not.
func (p *Places) add(zone string, valuesOf func(resource string) []string, resources func(yield func(string) bool)) {
	var named [4][]string
	var classes [4]policy.ObjectClass
	for resource := range resources {
		level, class, ok := rules.LevelOf(resource)
		if !ok || level == 0 {
			continue
		}
		classes[level] = class
		for _, value := range valuesOf(resource) {
			if value = naming.Canonical(value); value != "" && !strings.ContainsAny(value, "*?{.") {
				named[level] = append(named[level], value)
			}
		}
	}
	keep := func(root string, t policy.SecurableType, name string) {
		if p.count < maxPlaces {
			p.count++
			p.byRoot[root] = append(p.byRoot[root], place{policy.Securable{Type: t, FullName: name}, zone})
		}
	}
	for _, root := range named[1] {
		switch {
		case classes[1] != policy.ClassCatalog:
			if t := policy.TypeOfClass(classes[1]); t.Depth() == 1 {
				keep("", t, root)
			}
		case len(named[2]) == 0:
			keep(root, policy.Catalog, root)
		}
		for _, schema := range named[2] {
			if classes[3]&policy.ClassesInSchema == 0 || len(named[3]) == 0 {
				keep(root, policy.Schema, root+"."+schema)
				continue
			}
			for _, object := range named[3] {
				keep(root, policy.TypeOfClass(classes[3]), root+"."+schema+"."+object)
			}
		}
	}
}

// Absent returns findings on the places inside a container, or of the metastore where it has no name, that were not found there. Of
// what could not be listed, and of what is out of scope, it says nothing.
func (p *Places) Absent(scope policy.Scope, container policy.Securable, there *Listing) []policy.Finding {
	root := ""
	if container.FullName != "" {
		root = container.Names()[0]
	}
	return p.absent(there, p.byRoot[root], scope, func(s policy.Securable) bool {
		return load.Lists(s.Type) && (root == "" || container.Contains(s)) && !there.hides(s)
	})
}

// AbsentCatalogs returns findings on the catalogs of places that are not among those of the workspace.
func (p *Places) AbsentCatalogs(scope policy.Scope, there *Listing) []policy.Finding {
	var list []place
	for root, places := range p.byRoot {
		if root != "" && !there.has(policy.Securable{Type: policy.Catalog, FullName: root}) {
			list = append(list, places...)
		}
	}
	return p.absent(there, list, scope, func(s policy.Securable) bool { return s.Type == policy.Catalog })
}

// absent returns a finding for each zone, and one for tags, that name something in scope which is not there: the outermost of it. Tags
// of what is gone are usual, so that of these only the misspelt ones are said.
func (p *Places) absent(l *Listing, places []place, scope policy.Scope, isAsked func(policy.Securable) bool) []policy.Finding {
	missing := make(map[string][]policy.Securable)
	seen := make(map[place]bool)
	compared := 0
	for _, at := range places {
		s, ok := l.outermost(at.object, isAsked)
		if !ok || seen[place{s, at.zone}] || load.BuiltIn(s) || !scope.Reaches(s) {
			continue
		}
		seen[place{s, at.zone}] = true
		if at.zone == "" {
			if compared += len(l.siblingsOf(s)); compared > maxCompared || l.nearest(s) == "" {
				continue
			}
		}
		missing[at.zone] = append(missing[at.zone], s)
	}
	var findings []policy.Finding
	for zone, objects := range missing {
		f := policy.Finding{Effect: policy.EffectNone}
		slices.SortFunc(objects, policy.Securable.Compare)
		names, isNear := l.describe(objects)
		if zone == "" {
			f.Effect = p.effect
			f.Message = fmt.Sprintf("tags: no listing of the workspace shows %s, so nothing there carries the tags; correct the names", someNames(names))
		} else {
			if isNear {
				f.Effect = policy.EffectWider
			}
			f.Message = fmt.Sprintf("security zone %q: no listing of the workspace shows %s, so nothing there is in the zone until it exists and is shown to us", zone, someNames(names))
		}
		findings = append(findings, f)
	}
	slices.SortFunc(findings, policy.CompareFindings)
	return findings
}

// outermost returns the outermost that is missing of an object and what it lies in, of what is asked for.
func (l *Listing) outermost(s policy.Securable, isAsked func(policy.Securable) bool) (missing policy.Securable, ok bool) {
	for {
		if isAsked(s) && !l.has(s) {
			missing, ok = s, true
		}
		parent, isIn := s.Parent()
		if !isIn || s.Type.Depth() == 1 {
			return missing, ok
		}
		s = parent
	}
}
