package named

import (
	"fmt"
	"slices"

	"ucwarden/connector/load"
	"ucwarden/policy"
	"ucwarden/policy/directory"
)

// maxScopeFindings bounds how many names of a scope findings are made of; the rest is counted.
const maxScopeFindings = 20

// ScopePrincipals returns findings on the principals that a scope names and that the workspace does not list. Where its
// principals could not be read, there are none.
func ScopePrincipals(scope policy.Scope, d *directory.Directory) []policy.Finding {
	if !d.Read() {
		return nil
	}
	names := slices.DeleteFunc(unmatched(scope, d.Principals()), func(n scopeName) bool {
		return slices.ContainsFunc(n.Kinds, func(k policy.PrincipalKind) bool { return d.Own(policy.NewPrincipal(k, n.Text)) })
	})
	return inVain(names, "nobody whom the workspace lists has that name", func(n scopeName) string {
		for _, k := range n.Kinds {
			if near := d.Nearest(policy.Principal{Kind: k, Name: n.Text}); near != "" {
				return near
			}
		}
		return ""
	})
}

// ScopeObjects returns findings on the objects that a scope names and that are none of the objects, which are those of the listed
// catalogs, nor of the catalogs of the workspace.
func ScopeObjects(scope policy.Scope, objects, catalogs []policy.Securable, listed func(policy.Securable) bool) []policy.Finding {
	names := slices.DeleteFunc(unmatchedObjects(scope, objects, catalogs, listed), func(n scopeName) bool { return !load.Lists(n.Type) })
	there := ListOf(slices.Concat(objects, catalogs))
	return inVain(names, "no listing of the workspace shows one of that name", func(n scopeName) string {
		return there.nearest(policy.Securable{Type: n.Type, FullName: n.Text})
	})
}

func inVain(names []scopeName, why string, near func(scopeName) string) []policy.Finding {
	var list []policy.Finding
	for i, n := range names {
		if i == maxScopeFindings {
			list = append(list, policy.Finding{Effect: policy.EffectNone, Message: fmt.Sprintf("%d more names in scope.* are nobody's and nothing's", len(names)-i)})
			break
		}
		message := fmt.Sprintf("%s, and %s, so it bounds nothing", n, why)
		if meant := near(n); meant != "" {
			message += "; did you mean " + meant + "?"
		}
		list = append(list, policy.Finding{Effect: policy.EffectNone, Message: message})
	}
	return list
}
