package named

import (
	"fmt"
	"slices"

	"ucwarden/connector/load"
	"ucwarden/input"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/rules"
)

// maxNamed bounds how many objects that one policy names are looked for.
const maxNamed = 1000

// Absent returns findings on the objects inside a container, or of the metastore where it has no name, that policies name
// exactly and that were not found there. Of what could not be listed, and of what is out of scope, it says nothing.
func Absent(compiler *compile.Compiler, scope policy.Scope, container policy.Securable, there *Listing) []policy.Finding {
	list := slices.DeleteFunc(compiler.NamedBy(container, maxNamed), func(o compile.NamedObject) bool {
		return o.Securable.Type == policy.Catalog || !load.Lists(o.Securable.Type) || there.hides(o.Securable)
	})
	return absent(list, scope, there)
}

// AbsentCatalogs returns findings on the catalogs that policies name exactly, be it for what is inside, and that are not among those of
// the workspace.
func AbsentCatalogs(compiler *compile.Compiler, scope policy.Scope, there *Listing) []policy.Finding {
	return absent(compiler.NamedCatalogs(maxNamed), scope, there)
}

// absent returns a finding for each policy that names something in scope which is not there: the outermost of it.
func absent(list []compile.NamedObject, scope policy.Scope, there *Listing) []policy.Finding {
	missing := make(map[*rules.Policy][]policy.Securable)
	for _, o := range list {
		s := o.Securable
		if there.has(s) || load.BuiltIn(s) || !scope.Reaches(s) {
			continue
		}
		if parent, ok := s.Parent(); ok && parent.Type == policy.Schema && !there.has(parent) {
			s = parent
		}
		missing[o.Policy] = append(missing[o.Policy], s)
	}
	var findings []policy.Finding
	for p, objects := range missing {
		slices.SortFunc(objects, policy.Securable.Compare)
		findings = append(findings, findingOn(p, slices.Compact(objects), there))
	}
	slices.SortFunc(findings, policy.CompareFindings)
	return findings
}

// findingOn says that the objects that a policy names do not exist. What a policy denies or protects that has a misspelt name
// is open under its right one.
func findingOn(p *rules.Policy, objects []policy.Securable, there *Listing) policy.Finding {
	f := policy.Finding{PolicyID: p.Source.ID, Policy: p.Source.Name, Effect: policy.EffectNone}
	names, isNear := there.describe(objects)
	if isNear && p.Restricts() {
		f.Effect = policy.EffectWider
	}
	f.Message = fmt.Sprintf("no listing of the workspace shows %s, so nothing is granted or denied there until it exists and is shown to us", someNames(names))
	return f
}

// describe names objects that do not exist, the first of them with what was probably meant, and reports whether there is such.
func (l *Listing) describe(objects []policy.Securable) (names []string, isNear bool) {
	for i, s := range objects {
		names = append(names, typeWord(s.Type)+" "+s.FullName)
		if i >= maxNamedPlaces {
			continue
		}
		if meant := l.nearest(s); meant != "" {
			names[i] += fmt.Sprintf(" (did you mean %s?)", meant)
			isNear = true
		}
	}
	return names, isNear
}

// nearest returns the full name of the object of the same type, and in the same container, that was probably meant; "" where
// none is near.
func (l *Listing) nearest(s policy.Securable) string {
	in, name := apart(s)
	meant := input.Misspelt(name, l.siblingsOf(s))
	if meant == "" || in == "" {
		return meant
	}
	return in + "." + meant
}
