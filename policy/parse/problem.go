package parse

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// policyPath matches the path of a policy in a document.
var policyPath = regexp.MustCompile(`^(?:(?:(?:tagPolicies|securityZones\..+?)\.)?policies\[\d+\]|(?:securityZones\..+?\.)?policyDeltas\[\d+\]\.policy|\[\d+\])\.`)

// index matches the indices in a path.
var index = regexp.MustCompile(`\[\d+\]`)

// ProblemsOf returns a problem for each kind of unknown field in a document read from origin, but for those that are faults
// of their policies: the same field in many policies is one problem, that of the policy with the smallest id. The result is the same whether the policies came
// with a whole document or with changes of one. ignored is the effect of fields that decide access in Ranger and not
// here.
func ProblemsOf(unknown []ranger.UnknownField, origin string, ignored policy.Effect) []ranger.Problem {
	type kind struct{ pattern, name string }
	type group struct {
		ranger.Problem
		policies map[int64]bool
		places   int
	}
	groups := make(map[kind]*group)
	var kinds []kind
	for _, u := range unknown {
		if u.Fault {
			continue // its policy says so
		}
		p := ranger.Problem{PolicyID: u.PolicyID, Policy: u.Policy, Origin: origin, Field: u.Path, Effect: policy.EffectNone, Message: u.Reason()}
		switch {
		case u.Ignored:
			p.Effect = ignored
		case u.Restricts:
			p.Effect, p.Message = policy.EffectWider, p.Message+", and what it holds may take access away, which is not done"
		}
		if u.InPolicy && (u.PolicyID != 0 || u.Policy != "") {
			p.Field = u.Path[len(policyPath.FindString(u.Path)):]
		}
		k := kind{index.ReplaceAllLiteralString(p.Field, "[]"), u.Name}
		g := groups[k]
		if g == nil {
			g = &group{Problem: p, policies: make(map[int64]bool)}
			groups[k], kinds = g, append(kinds, k)
		} else if p.PolicyID < g.PolicyID || p.PolicyID == g.PolicyID && p.Field < g.Field {
			g.Problem = p
		}
		g.policies[u.PolicyID] = true
		g.places++
	}
	var list []ranger.Problem
	for _, k := range kinds {
		g := groups[k]
		switch n := len(g.policies); {
		case n > 1:
			g.Message += fmt.Sprintf(" (in %d policies)", n)
		case g.places > 1:
			g.Message += fmt.Sprintf(" (in %d places)", g.places)
		}
		list = append(list, g.Problem)
	}
	slices.SortFunc(list, func(a, b ranger.Problem) int {
		return cmp.Or(cmp.Compare(a.PolicyID, b.PolicyID), cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})
	return list
}
