package compile

import (
	"slices"
	"strings"
	"testing"
	"time"
	"ucwarden/policy"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/match"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"

	"pgregory.net/rapid"
)

// TestGrantsAgreeWithEvaluator holds grants and decisions, which are worked out by two programs over one reading, against
// each other: for every user, object and privilege what grants give the evaluator allows, and all that it allows where the
// report is exact. The worlds hold all of Ranger's features, and what nobody writes on purpose.
func TestGrantsAgreeWithEvaluator(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	policytest.CheckWorlds(t, 2000, func(t *rapid.T) {
		w := policytest.DrawOddWorld(t)
		options := Options{
			Time: now, Deny: rapid.SampledFrom([]DenyStrategy{DenyWithhold, DenyExpand}).Draw(t, "strategy"),
		}
		known := rapid.Bool().Draw(t, "membership known")
		if known {
			w.Snapshot.Users = &ranger.UserStore{UserGroupMapping: w.GroupsOf}
		}
		rs := policytest.Rules(w.Snapshot, policytest.Names)
		compiled := New(rs, options).Compile(policy.NewInventory(w.Listed...))
		exact := known && compiled.Report.Exact()
		e := evaluate.New(rs)
		persons := append(w.Persons(w.GroupsOf), policytest.Person{Name: "a stranger", User: "U1"})
		for _, p := range persons {
			if p.User == "" {
				continue
			}
			for i, o := range slices.Concat(w.Listed, w.Future) {
				for _, x := range policytest.ComparedPrivileges {
					if policy.ActsOn[x]&policy.ClassOf(o) == 0 || !policy.Supports(o.Type, o.Kind, x) {
						continue
					}
					granted := policytest.Effective(compiled.Grants, p.Principals(), x, o)
					if !granted && (!exact || i >= len(w.Listed)) {
						continue
					}
					r := evaluate.Request{
						Resource: policytest.ResourceOf(o), AccessType: strings.ToLower(string(x)), Time: now,
						User: p.User, Groups: append([]string{}, p.Groups...), Roles: append([]string{}, p.Roles...),
					}
					d := e.Evaluate(r)
					if granted && !d.Allowed() {
						t.Fatalf("wider: %s has %s on %s, but %s\n%s", p.Name, x, o, d, policytest.Dump(&w, compiled.Grants, compiled.Report))
					}
					if !granted && d.Allowed() {
						t.Fatalf("narrower, though the report says exact: %s lacks %s on %s, but %s\n%s", p.Name, x, o, d, policytest.Dump(&w, compiled.Grants, compiled.Report))
					}
					if !granted {
						continue
					}
					if x != policy.Select || o.Type != policy.Table {
						continue
					}
					if d := e.EvaluateRowFilter(r); d.Allowed() && d.Filter != nil && d.Filter.FilterExpr != "" {
						t.Fatalf("unfiltered: %s reads %s, but %s\n%s", p.Name, o, d, policytest.Dump(&w, compiled.Grants, compiled.Report))
					}
					for _, column := range []string{"id", "ssn"} {
						r.Resource = append(policytest.ResourceOf(o), match.Element{Name: "column", Value: column})
						d := e.Evaluate(r)
						if d.Outcome == evaluate.Denied && namesColumn(d) {
							t.Fatalf("wider: %s reads column %s of %s, but %s\n%s", p.Name, column, o, d, policytest.Dump(&w, compiled.Grants, compiled.Report))
						}
						if d := e.EvaluateDataMask(r); d.Allowed() && d.Mask.DataMaskType != "MASK_NONE" {
							t.Fatalf("unmasked: %s reads column %s of %s, but %s\n%s", p.Name, column, o, d, policytest.Dump(&w, compiled.Grants, compiled.Report))
						}
					}
				}
			}
		}
	})
}

// namesColumn reports whether the deciding policy is about single columns. What others say of the columns of a table is
// what they say of the table.
func namesColumn(d evaluate.Decision) bool {
	if d.Policy == nil {
		return false
	}
	r, named := d.Policy.Resources["column"]
	return named && !slices.Contains(r.Values, "*")
}
