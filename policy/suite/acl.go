package suite

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

type aclSuite struct {
	TestCases []struct {
		Name            string                  `json:"name"`
		ServicePolicies *ranger.ServicePolicies `json:"servicePolicies"`
		Roles           *ranger.ServiceRoles    `json:"rangerRoles"`
		Tests           []*aclTest              `json:"tests"`
	} `json:"testCases"`
}

type aclTest struct {
	Name             string        `json:"name"`
	Resource         suiteResource `json:"resource"`
	UserPermissions  suiteACL      `json:"userPermissions"`
	GroupPermissions suiteACL      `json:"groupPermissions"`
	RolePermissions  suiteACL      `json:"rolePermissions"`
	RowFilters       []suiteFilter `json:"rowFilters"`
	DataMasks        []suiteMask   `json:"dataMasks"`
	MatchingScope    any           `json:"resourceMatchingScope"` // not looked at
}

type suiteACL map[string]map[string]struct {
	Result  evaluate.ACLResult `json:"result"`
	IsFinal bool               `json:"isFinal"`
	Policy  any                `json:"policy"` // not looked at
}

type suiteSubjects struct {
	Users         []string `json:"users"`
	Groups        []string `json:"groups"`
	Roles         []string `json:"roles"`
	AccessTypes   []string `json:"accessTypes"`
	IsConditional bool     `json:"isConditional"`
}

type suiteFilter struct {
	suiteSubjects
	FilterInfo ranger.RowFilterInfo `json:"filterInfo"`
}

type suiteMask struct {
	suiteSubjects
	MaskInfo ranger.DataMaskInfo `json:"maskInfo"`
}

func (run *suiteRun) aclSuite(data []byte) error {
	var suite aclSuite
	if err := run.decode(data, &suite); err != nil {
		return err
	}
	for _, c := range suite.TestCases {
		if c.ServicePolicies == nil {
			return policy.Errorf(policy.CodeInvalid, "%s: test case %q has no servicePolicies", run.Name, c.Name)
		}
		evaluator, err := run.evaluator(c.ServicePolicies, c.Roles)
		if err != nil {
			return err
		}
		for _, t := range c.Tests {
			if t == nil {
				continue
			}
			acls := evaluator.ResourceACLs(evaluate.Request{Resource: t.Resource.resource(nil, ""), Owner: t.Resource.OwnerUser})
			problems := t.compare(acls)
			name := t.Name
			if c.Name != "" {
				name = c.Name + ": " + t.Name
			}
			run.add(Case{Name: name, Passed: len(problems) == 0, Problem: strings.Join(problems, "; ")})
		}
	}
	return nil
}

// compare tells what differs. Like Ranger's own runner it asks that every entry of the view is expected; delegated
// administration is not looked at.
func (t *aclTest) compare(got *evaluate.ResourceACLs) []string {
	var problems []string
	problems = append(problems, t.UserPermissions.compare("user", got.Users)...)
	problems = append(problems, t.GroupPermissions.compare("group", got.Groups)...)
	problems = append(problems, t.RolePermissions.compare("role", got.Roles)...)
	var want, have []string
	for _, f := range t.RowFilters {
		want = append(want, f.line(fmt.Sprintf("%+v", f.FilterInfo)))
	}
	for _, f := range got.RowFilters {
		have = append(have, subjectsOf(f.ACLSubjects).line(fmt.Sprintf("%+v", f.Info)))
	}
	problems = append(problems, compareLines("row filter", want, have)...)
	want, have = nil, nil
	for _, m := range t.DataMasks {
		want = append(want, m.line(fmt.Sprintf("%+v", m.MaskInfo)))
	}
	for _, m := range got.DataMasks {
		have = append(have, subjectsOf(m.ACLSubjects).line(fmt.Sprintf("%+v", m.Info)))
	}
	return append(problems, compareLines("data mask", want, have)...)
}

func (a suiteACL) compare(kind string, got evaluate.ACLNames) []string {
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(got)) {
		for _, access := range slices.Sorted(maps.Keys(got[name])) {
			if access == rules.AdminAccess {
				continue
			}
			entry := got[name][access]
			want, ok := a[name][access]
			switch {
			case !ok:
				problems = append(problems, fmt.Sprintf("%s %s: %s is %s by %s, want nothing", kind, name, access, entry.Result, policyText(entry.Policy)))
			case want.Result != entry.Result || want.IsFinal != entry.Final:
				problems = append(problems, fmt.Sprintf("%s %s: %s is %s by %s, want %s", kind, name, access, entry.Result, policyText(entry.Policy), want.Result))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if len(got[name]) == 0 && len(a[name]) > 0 && len(got) == 0 {
			problems = append(problems, fmt.Sprintf("%s %s: no entry, want some", kind, name))
		}
	}
	return problems
}

func policyText(p *ranger.Policy) string {
	if p == nil {
		return "no policy"
	}
	return fmt.Sprintf("policy %d %q", p.ID, p.Name)
}

func (s suiteSubjects) line(info string) string {
	sorted := func(list []string) []string { return slices.Sorted(slices.Values(list)) }
	return fmt.Sprintf("%s for users %q, groups %q, roles %q, accesses %q, conditional %v", info, sorted(s.Users), sorted(s.Groups),
		sorted(s.Roles), sorted(s.AccessTypes), s.IsConditional)
}

func compareLines(what string, want, got []string) []string {
	slices.SortFunc(want, cmp.Compare)
	slices.SortFunc(got, cmp.Compare)
	var problems []string
	for _, line := range want {
		if !slices.Contains(got, line) {
			problems = append(problems, fmt.Sprintf("want %s %s", what, line))
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			problems = append(problems, fmt.Sprintf("unexpected %s %s", what, line))
		}
	}
	return problems
}

func subjectsOf(s evaluate.ACLSubjects) suiteSubjects {
	return suiteSubjects{s.Users, s.Groups, s.Roles, s.AccessTypes, s.Conditional}
}
