package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/compile"
	"ucwarden/policy/match"
	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
	"ucwarden/policy/region"
	"ucwarden/policy/rules"
)

// fidelity reports what the compiler finds that Unity Catalog cannot say. Without the workspace's objects it compiles
// for made-up ones, at least one for each name and pattern of the policies.
func (l *linter) fidelity() {
	inv, real := l.options.Inventory, (map[policy.Securable]bool)(nil)
	if inv == nil {
		var complete bool
		inv, real, complete = exampleObjects(l.rules)
		if !complete {
			l.note("the policies name too many combinations of objects to try all; what Unity Catalog cannot express of them may be incomplete")
		}
	}
	closed := make(map[policy.Finding]bool) // said by the checks of validity
	for p := range l.rules.Policies {
		if !p.Validity.OpenAt(l.options.Compile.Time) {
			closed[policy.Finding{PolicyID: p.Source.ID, Policy: p.Source.Name}] = true
		}
	}
	byName := make(map[policy.Finding]*ranger.Policy) // by id and name
	for policies := range l.snapshot.PolicyLists() {
		for i := range policies {
			p := &policies[i]
			byName[policy.Finding{PolicyID: p.ID, Policy: p.Name}] = p
		}
	}
	said := accepted.Findings(l.rules, nil)
	for _, f := range compile.New(l.rules, l.options.Compile).Compile(inv).Report.Findings {
		of := policy.Finding{PolicyID: f.PolicyID, Policy: f.Policy}
		p := byName[of]
		switch {
		case slices.Contains(said, f), closed[of]: // said already
			continue
		case p != nil && (l.refused[p] || len(p.Faults) > 0), p == nil && (of != policy.Finding{} || f.Effect == policy.EffectNone):
			continue
		}
		severity := SeverityWarning
		if f.Effect == policy.EffectNone {
			severity = SeverityInfo
		}
		field, message := itemOfMessage(f.Message)
		if s := f.Securable; s.FullName != "" && (real == nil || real[s]) {
			where := strings.ToLower(strings.ReplaceAll(string(s.Type), "_", " ")) + " " + s.FullName
			if f.Count > 0 && real == nil {
				where += fmt.Sprintf(" and %d more", f.Count)
			}
			message = "on " + where + ": " + message
		}
		l.find(p, severity, CheckFidelity, field, "%s", message)
	}
}

// itemPattern is how findings about one item begin.
var itemPattern = regexp.MustCompile(`^(policyItems|denyPolicyItems|allowExceptions|denyExceptions)\[\d+\]`)

func itemOfMessage(message string) (field, rest string) {
	if field = itemPattern.FindString(message); field != "" {
		return field, "it" + message[len(field):]
	}
	return "", message
}

// The bounds of made-up objects: for one set of resources, and in all.
const (
	maxExamples    = 64
	maxAllExamples = 20_000
)

// exampleObjects makes objects that the policies' patterns match, without the workspace. real holds those whose names
// policies spell out; complete is false when not all combinations of names were made.
func exampleObjects(rs *rules.RuleSet) (inv *policy.Inventory, real map[policy.Securable]bool, complete bool) {
	e := &examples{inv: policy.NewInventory(), seen: map[policy.Securable]bool{}, real: map[policy.Securable]bool{}, complete: true}
	for p := range rs.Policies {
		for i := range p.Resources {
			e.add(p.Resources[i].AppendLevels(nil))
		}
	}
	if rs.Tagged != nil {
		for m := range rs.Tagged.Carriers {
			e.add(m.AppendLevels(nil))
		}
	}
	return e.inv, e.real, e.complete
}

type examples struct {
	inv      *policy.Inventory
	seen     map[policy.Securable]bool
	real     map[policy.Securable]bool
	complete bool
}

// add makes the objects that one set of resources names.
func (e *examples) add(levels []match.NamedLevel) {
	r, err := region.New(levels, true)
	if err != nil {
		return
	}
	type example struct {
		name string
		real bool
	}
	paths := [][]example{nil}
	for level := range r.Depth {
		var names []example
		m := &r.Levels[level]
		if m.Any || m.Excludes {
			names = []example{{name: madeUp(m)}}
		}
		if !m.Any { // what one policy excludes, others may be about
			for i := range m.Patterns {
				name, exact := m.Patterns[i].Exact()
				if !exact {
					name = strings.NewReplacer("*", "", "?", "x").Replace(m.Patterns[i].String())
				}
				if name == "" {
					name = "any"
				}
				if policy.ValidateName(name) == nil {
					names = append(names, example{name, exact})
				}
			}
		}
		var next [][]example
		for _, path := range paths {
			for _, name := range names {
				next = append(next, append(path[:len(path):len(path)], name))
			}
		}
		if len(next) > maxExamples {
			next, e.complete = next[:maxExamples], false
		}
		paths = next
	}
	for _, path := range paths {
		if len(e.seen) >= maxAllExamples {
			e.complete = false
			return
		}
		names, spelt := make([]string, len(path)), true
		for i, x := range path {
			names[i], spelt = x.name, spelt && x.real
			o := objectOfClass(r.Class, names[:i+1], i == len(path)-1)
			if spelt {
				e.real[o.Securable] = true
			}
			if !e.seen[o.Securable] {
				e.seen[o.Securable] = true
				e.inv.Add(o)
			}
		}
	}
}

// madeUp returns a name that no policy spells out, and that the level does not exclude where that can be.
func madeUp(m *match.Level) string {
	candidates := []string{"any", "some", "other"}
	if i := slices.IndexFunc(candidates, func(name string) bool {
		return !slices.ContainsFunc(m.Patterns, func(p naming.Pattern) bool { return p.Match(name) })
	}); m.Excludes && i >= 0 {
		return candidates[i]
	}
	return candidates[0]
}

// objectOfClass makes an object of the names; those above the last are a catalog and a schema.
func objectOfClass(c policy.ObjectClass, names []string, last bool) policy.Object {
	o := policy.Object{Securable: policy.Securable{FullName: strings.Join(names, ".")}}
	switch {
	case !last && len(names) == 1:
		o.Type = policy.Catalog
	case !last:
		o.Type = policy.Schema
	case c == policy.ClassModel:
		o.Type, o.Kind = policy.Function, policy.KindModel
	default:
		o.Type = policy.TypeOfClass(c)
	}
	return o
}
