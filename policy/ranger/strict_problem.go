package ranger

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"

	"ucwarden/policy"
)

// Problem is something in the documents of a snapshot that was accepted although it does not mean what its author may
// expect: a field without a meaning here, or a file or policies that are left out.
type Problem struct {
	PolicyID int64         `json:"policyId,omitempty"` // of the policy it is in, 0 outside of policies
	Policy   string        `json:"policy,omitempty"`   // its name
	Origin   string        `json:"origin,omitempty"`   // file or URL
	Field    string        `json:"field,omitempty"`    // path in the policy, or in the document where it is in none
	Effect   policy.Effect `json:"effect"`
	Message  string        `json:"message"` // what is wrong, and what to write instead
	// LeftOut is set where a file or policies of it are not in force, for which Message says why.
	LeftOut bool `json:"leftOut,omitempty"`
}

// Text returns the problem on one line, with file and field.
func (p Problem) Text() string {
	text := p.Message
	if p.Field != "" {
		text = p.Field + " " + text
	}
	if p.Origin != "" {
		text = p.Origin + ": " + text
	}
	return text
}

// policyPath matches the path of a policy in a document.
var policyPath = regexp.MustCompile(`^(?:(?:(?:tagPolicies|securityZones\..+?)\.)?policies\[\d+\]|(?:securityZones\..+?\.)?policyDeltas\[\d+\]\.policy|\[\d+\])\.`)

// index matches the indices in a path.
var index = regexp.MustCompile(`\[\d+\]`)

// ProblemsOf returns a problem for each kind of unknown field in a document read from origin, but for those that are faults
// of their policies: the same field in many policies is one problem, that of the policy with the smallest id. The result is the same whether the policies came
// with a whole document or with changes of one. ignored is the effect of fields that decide access in Ranger and not
// here.
func ProblemsOf(unknown []UnknownField, origin string, ignored policy.Effect) []Problem {
	type kind struct{ pattern, name string }
	type group struct {
		Problem
		policies map[int64]bool
		places   int
	}
	groups := make(map[kind]*group)
	var kinds []kind
	for _, u := range unknown {
		if u.Fault {
			continue // its policy says so
		}
		p := Problem{PolicyID: u.PolicyID, Policy: u.Policy, Origin: origin, Field: u.Path, Effect: policy.EffectNone, Message: u.reason()}
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
	var list []Problem
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
	slices.SortFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.PolicyID, b.PolicyID), cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})
	return list
}
