package policy

import (
	"fmt"
	"strings"
)

// objectTree looks objects up by policy regions.
type objectTree struct {
	catalogs map[string]map[string]map[class][]string // catalog → schema → class → names
	roots    map[class][]string                       // root objects by class
}

func newObjectTree(inv *Inventory) *objectTree {
	t := &objectTree{catalogs: make(map[string]map[string]map[class][]string), roots: make(map[class][]string)}
	for o := range inv.Objects {
		names := o.Names()
		switch o.Type.Depth() {
		case 1:
			if o.Type != Catalog {
				t.roots[classOf(o)] = append(t.roots[classOf(o)], o.FullName)
			} else if t.catalogs[names[0]] == nil {
				t.catalogs[names[0]] = make(map[string]map[class][]string)
			}
		case 2:
			if t.catalogs[names[0]][names[1]] == nil {
				t.catalogs[names[0]][names[1]] = make(map[class][]string)
			}
		case 3:
			schema := t.catalogs[names[0]][names[1]]
			schema[classOf(o)] = append(schema[classOf(o)], names[2])
		}
	}
	return t
}

// holds reports whether an object lies in the region.
func (t *objectTree) holds(r *region) bool {
	if r.class > classVolume {
		return anyName(t.roots[r.class], &r.levels[0])
	}
	return anyChild(t.catalogs, &r.levels[0], func(schemas map[string]map[class][]string) bool {
		return r.depth == 1 || anyChild(schemas, &r.levels[1], func(objects map[class][]string) bool {
			return r.depth == 2 || anyName(objects[r.class], &r.levels[2])
		})
	})
}

func anyName(names []string, m *levelMatch) bool {
	for _, name := range names {
		if m.match(name) {
			return true
		}
	}
	return false
}

// anyChild reports whether a child whose name matches is as asked; names without wildcards are looked up.
func anyChild[V any](children map[string]V, m *levelMatch, is func(V) bool) bool {
	exact := !m.any && !m.exclude
	for i := range m.patterns {
		_, literal := m.patterns[i].Exact()
		exact = exact && literal
	}
	if exact {
		for i := range m.patterns {
			name, _ := m.patterns[i].Exact()
			if child, ok := children[name]; ok && is(child) {
				return true
			}
		}
		return false
	}
	for name, child := range children {
		if m.match(name) && is(child) {
			return true
		}
	}
	return false
}

// objectsFor checks that some object matches the resources, and each of several values.
func (l *lintList) objectsFor(p *Policy, path string, resources map[string]PolicyResource) {
	resources, macros := (&ruleReader{}).openMacros(resources)
	r, err := newRegion(resources, true)
	if err != nil || macros {
		return // the fidelity of the policy is reported
	}
	if !l.objects.holds(&r) {
		l.find(p, SeverityWarning, CheckNoObject, path, "no object of the workspace matches; correct the names, or keep the policy for objects to come")
		return
	}
	for _, name := range sortedKeys(resources) {
		res, level := resources[name], resourceLevels[strings.ToLower(name)].level
		if level == 0 || res.IsExcludes || len(res.Values) < 2 {
			continue
		}
		for i, value := range res.Values {
			one := r
			one.levels[level-1] = newLevelMatch(PolicyResource{Values: []string{value}})
			if !l.objects.holds(&one) {
				l.find(p, SeverityInfo, CheckNoObject, fmt.Sprintf("%s.%s.values[%d]", path, name, i), "no object of the workspace matches %q; correct the name, or keep it for objects to come", value)
			}
		}
	}
}
