package policy

import (
	"cmp"
	"fmt"
	"slices"
)

// Report says where the compiled grants differ from what the policies mean, and why. A report without inexact
// findings says that they are the same.
type Report struct {
	Findings []Finding `json:"findings"`
}

// Effect says how a finding changes access.
type Effect string

// The effects of a finding.
const (
	EffectNone     Effect = "none"     // worth knowing; access is exactly what the policy says
	EffectNarrower Effect = "narrower" // somebody the policy allows does not get the access
	EffectWider    Effect = "wider"    // somebody holds what the policies do not grant: by the strategy "ignore", or because it is left alone
)

// Finding is one thing Unity Catalog cannot say as the policy says it.
type Finding struct {
	PolicyID  int64     `json:"policyId"`
	Policy    string    `json:"policy"` // its name
	Effect    Effect    `json:"effect"`
	Securable Securable `json:"securable,omitzero"` // where, when it is one place
	Principal           // whom it is about; none where it is about several
	Privilege Privilege `json:"privilege,omitempty"`
	Message   string    `json:"message"`         // what is not expressed, why, and what was done instead
	Count     int       `json:"count,omitempty"` // on how many further securables the same holds
}

func (f Finding) String() string {
	s := f.Message
	if f.PolicyID != 0 || f.Policy != "" { // several policies together say some things
		s = fmt.Sprintf("policy %d %q: %s", f.PolicyID, f.Policy, s)
	}
	if f.Count > 0 {
		s += fmt.Sprintf(" (and on %d more)", f.Count)
	}
	return s
}

// Exact reports whether the grants allow exactly what the policies allow.
func (r *Report) Exact() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Effect != EffectNone })
}

// Merge adds the findings of a plan of other securables. What a policy comes to on several is said once, and counted.
func (r *Report) Merge(findings []Finding) {
	at := make(map[Finding]int, len(r.Findings))
	said := func(f Finding) Finding {
		if f.PolicyID != 0 || f.Policy != "" {
			f.Securable = Securable{}
		}
		f.Count = 0
		return f
	}
	for i, f := range r.Findings {
		at[said(f)] = i
	}
	for _, f := range findings {
		i, known := at[said(f)]
		switch {
		case !known:
			at[said(f)] = len(r.Findings)
			r.Findings = append(r.Findings, f)
		case f.Securable != r.Findings[i].Securable:
			r.Findings[i].Count += f.Count + 1
		}
	}
	slices.SortStableFunc(r.Findings, CompareFindings)
}

// CompareFindings orders findings by policy, then by what they are about.
func CompareFindings(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.PolicyID, b.PolicyID), a.Securable.Compare(b.Securable), ComparePrincipals(a.Principal, b.Principal),
		cmp.Compare(a.Privilege, b.Privilege), cmp.Compare(a.Message, b.Message))
}
