package lint

import (
	"fmt"

	"ucwarden/policy"
	"ucwarden/policy/match"
	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
	"ucwarden/policy/region"
	"ucwarden/policy/rules"
)

// objectTree looks objects up by policy regions.
type objectTree struct {
	catalogs map[string]map[string]map[policy.ObjectClass][]string // catalog → schema → class → names
	roots    map[policy.ObjectClass][]string                       // root objects by class
}

func newObjectTree(inv *policy.Inventory) *objectTree {
	t := &objectTree{catalogs: make(map[string]map[string]map[policy.ObjectClass][]string), roots: make(map[policy.ObjectClass][]string)}
	for o := range inv.Objects {
		names := o.Names()
		switch o.Type.Depth() {
		case 1:
			if o.Type != policy.Catalog {
				t.roots[policy.ClassOf(o)] = append(t.roots[policy.ClassOf(o)], o.FullName)
			} else if t.catalogs[names[0]] == nil {
				t.catalogs[names[0]] = make(map[string]map[policy.ObjectClass][]string)
			}
		case 2:
			if t.catalogs[names[0]][names[1]] == nil {
				t.catalogs[names[0]][names[1]] = make(map[policy.ObjectClass][]string)
			}
		case 3:
			schema := t.catalogs[names[0]][names[1]]
			schema[policy.ClassOf(o)] = append(schema[policy.ClassOf(o)], names[2])
		}
	}
	return t
}

// holds reports whether an object lies in the region.
func (t *objectTree) holds(r *region.Region) bool {
	if r.Class > policy.ClassVolume {
		return anyName(t.roots[r.Class], &r.Levels[0])
	}
	return anyChild(t.catalogs, &r.Levels[0], func(schemas map[string]map[policy.ObjectClass][]string) bool {
		return r.Depth == 1 || anyChild(schemas, &r.Levels[1], func(objects map[policy.ObjectClass][]string) bool {
			return r.Depth == 2 || anyName(objects[r.Class], &r.Levels[2])
		})
	})
}

func anyName(names []string, m *match.Level) bool {
	for _, name := range names {
		if m.Match(name) {
			return true
		}
	}
	return false
}

// anyChild reports whether a child whose name matches is as asked; names without wildcards are looked up.
func anyChild[V any](children map[string]V, m *match.Level, is func(V) bool) bool {
	exact := !m.Any && !m.Excludes
	for i := range m.Patterns {
		_, literal := m.Patterns[i].Exact()
		exact = exact && literal
	}
	if exact {
		for i := range m.Patterns {
			name, _ := m.Patterns[i].Exact()
			if child, ok := children[name]; ok && is(child) {
				return true
			}
		}
		return false
	}
	for name, child := range children {
		if m.Match(name) && is(child) {
			return true
		}
	}
	return false
}

// objectsFor checks that some object matches the resources, and each of several values.
func (l *lintList) objectsFor(p *ranger.Policy, path string, resources map[string]ranger.PolicyResource) {
	levels, ok := l.model.Levels(p.PolicyType, resources)
	if !ok {
		return // the verifier reports it
	}
	r, err := region.New(levels, true)
	if err != nil || r.Open {
		return // the fidelity of the policy is reported
	}
	if !l.objects.holds(&r) {
		l.find(p, SeverityWarning, CheckNoObject, path, "no object of the workspace matches; correct the names, or keep the policy for objects to come")
		return
	}
	for _, named := range levels {
		level, _, _ := rules.LevelOf(named.Name)
		res := resources[named.Name]
		if level == 0 || res.IsExcludes || len(res.Values) < 2 || named.Any {
			continue
		}
		for i, pattern := range named.Patterns {
			one := r
			one.Levels[level-1] = match.Level{Patterns: []naming.Pattern{pattern}}
			if !l.objects.holds(&one) {
				l.find(p, SeverityInfo, CheckNoObject, fmt.Sprintf("%s.%s.values[%d]", path, named.Name, i), "no object of the workspace matches %q; correct the name, or keep it for objects to come", res.Values[i])
			}
		}
	}
}
