package policy

import (
	"fmt"
	"regexp"
	"strings"
)

// fidelity reports what the compiler finds that Unity Catalog cannot say. Without the workspace's objects it compiles
// for made-up ones, at least one for each name and pattern of the policies.
func (l *linter) fidelity() {
	inv, real := l.options.Inventory, (map[Securable]bool)(nil)
	if inv == nil {
		var complete bool
		inv, real, complete = exampleObjects(l.snapshot)
		if !complete {
			l.note("the policies name too many combinations of objects to try all; what Unity Catalog cannot express of them may be incomplete")
		}
	}
	byName := make(map[Finding]*Policy) // by id and name
	for policies := range l.snapshot.policyLists() {
		for i := range policies {
			p := &policies[i]
			byName[Finding{PolicyID: p.ID, Policy: p.Name}] = p
		}
	}
	for _, f := range Compile(l.snapshot, inv, l.options.Compile).Report.Findings {
		p := byName[Finding{PolicyID: f.PolicyID, Policy: f.Policy}]
		if p == nil || l.refused[p] {
			continue
		}
		severity := SeverityWarning
		if f.Effect == EffectNone {
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
func exampleObjects(s *Snapshot) (inv *Inventory, real map[Securable]bool, complete bool) {
	e := &examples{inv: NewInventory(), seen: map[Securable]bool{}, real: map[Securable]bool{}, complete: true}
	for policies := range s.policyLists() {
		for i := range policies {
			p := &policies[i]
			if !p.Enabled() {
				continue
			}
			e.add(p.Resources)
			for _, more := range p.AdditionalResources {
				e.add(more)
			}
		}
	}
	if s.Tags != nil {
		for _, r := range s.Tags.ServiceResources {
			e.add(r.ResourceElements)
		}
	}
	return e.inv, e.real, e.complete
}

type examples struct {
	inv      *Inventory
	seen     map[Securable]bool
	real     map[Securable]bool
	complete bool
}

// add makes the objects that one set of resources names.
func (e *examples) add(resources map[string]PolicyResource) {
	resources, _ = (&ruleReader{}).openMacros(resources)
	r, err := newRegion(resources, true)
	if err != nil {
		return
	}
	type example struct {
		name string
		real bool
	}
	paths := [][]example{nil}
	for level := range r.depth {
		var names []example
		if m := &r.levels[level]; m.any || m.exclude {
			names = []example{{name: "any"}}
		} else {
			for i := range m.patterns {
				name, exact := m.patterns[i].Exact()
				if !exact {
					name = strings.NewReplacer("*", "", "?", "x").Replace(m.patterns[i].String())
				}
				if name == "" {
					name = "any"
				}
				if ValidateName(name) == nil {
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
			o := objectOfClass(r.class, names[:i+1], i == len(path)-1)
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

// objectOfClass makes an object of the names; those above the last are a catalog and a schema.
func objectOfClass(c class, names []string, last bool) Object {
	o := Object{Securable: Securable{FullName: strings.Join(names, ".")}}
	switch {
	case !last && len(names) == 1:
		o.Type = Catalog
	case !last:
		o.Type = Schema
	case c == classModel:
		o.Type, o.Kind = Function, KindModel
	default:
		for t, of := range classOfType {
			if of == c {
				o.Type = t
			}
		}
	}
	return o
}
