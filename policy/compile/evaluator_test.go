package compile

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/judge"
	"ucwarden/policy/match"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// TestGrantsAgreeWithEvaluator holds grants and decisions, which are worked out by two programs over one reading, against
// each other: for every user, object and privilege what grants give the evaluator allows, and all that it allows where the
// report is exact. The worlds hold all of Ranger's features, and what nobody writes on purpose.
func TestGrantsAgreeWithEvaluator(t *testing.T) {
	policytest.CheckWorlds(t, 2000, func(t *rapid.T) {
		w := policytest.DrawOddWorld(t)
		strategy := rapid.SampledFrom([]DenyStrategy{DenyWithhold, DenyExpand, DenyFilter}).Draw(t, "strategy")
		checkAgainstEvaluator(t, &w, strategy, rapid.Bool().Draw(t, "membership known"))
	})
}

// checkAgainstEvaluator compiles a world, with or without knowing who is in which group, and compares its grants with what
// the evaluator decides.
func checkAgainstEvaluator(t rapid.TB, w *policytest.World, strategy DenyStrategy, known bool) {
	t.Helper()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	w.Snapshot.Users = nil
	if known {
		w.Snapshot.Users = &ranger.UserStore{UserGroupMapping: w.GroupsOf}
	}
	rs := policytest.Rules(w.Snapshot, policytest.Names)
	c, inv := New(rs, Options{Time: now, Deny: []DenyStrategy{strategy}, Protects: strategy == DenyFilter}), policy.NewInventory(w.Listed...)
	denied, enforced := c.Denied(inv), Enforced{Protected: make(map[policy.Securable]bool), Denied: make(map[policy.Securable]bool)}
	for _, o := range w.Listed {
		if strategy == DenyFilter && o.Type == policy.Table && o.Kind.CanBeProtected() {
			enforced.Protected[o.Securable] = true
			enforced.Denied[o.Securable] = denied[o.Securable] != nil
		}
	}
	compiled := c.CompileProtected(inv, enforced)
	for g := range compiled.Grants.All() {
		if doubt, why := accepted.Name(rules.SubjectGroup, g.Principal.Name); doubt == accepted.DoubtNobody {
			t.Fatalf("%q is granted something: %s\n%s", g.Principal.Name, why, policytest.Dump(w, compiled.Grants, compiled.Report))
		}
	}
	exact := known && compiled.Report.Exact()
	e := evaluate.New(rs)
	fail := func(what string, p policytest.Person, x policy.Privilege, o policy.Object, d any) {
		t.Helper()
		t.Fatalf("%s: %s, %s on %s; the evaluator: %s\n%s", what, p.Name, x, o, d, policytest.Dump(w, compiled.Grants, compiled.Report))
	}
	persons := w.Persons(w.GroupsOf)
	persons = append(persons, policytest.Person{Name: "a stranger", User: "v1", Roles: persons[0].Roles})
	for _, p := range persons { // whoever asks is the same person in whatever case
		if p.User != "" {
			p.Name, p.User = p.Name+" in capitals", strings.ToUpper(p.User)
			persons = append(persons, p)
		}
	}
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
				if x == policy.Select && enforced.Denied[o.Securable] && hidden(denied[o.Securable], rs, p) {
					granted = false // but sees no row
				}
				if !granted && (!exact || i >= len(w.Listed)) {
					continue
				}
				r := evaluate.Request{
					Resource: policytest.ResourceOf(o), AccessType: strings.ToLower(string(x)), Time: now,
					User: p.User, Groups: append([]string{}, p.Groups...), Roles: append([]string{}, p.Roles...),
				}
				switch d := e.Evaluate(r); {
				case granted && !d.Allowed():
					fail("grants are wider", p, x, o, d)
				case !granted && d.Allowed():
					fail("grants are narrower, though the report says exact", p, x, o, d)
				}
				if !granted || x != policy.Select || o.Type != policy.Table || enforced.Protected[o.Securable] {
					continue
				}
				if d := e.EvaluateRowFilter(r); d.Allowed() && d.Filter != nil && d.Filter.FilterExpr != "" {
					fail("rows are unfiltered", p, x, o, d)
				}
				for _, column := range []string{"id", "ssn"} {
					r.Resource = append(policytest.ResourceOf(o), match.Element{Name: "column", Value: column})
					if d := e.Evaluate(r); d.Outcome == evaluate.Denied && namesColumn(d) {
						fail("column "+column+" is readable", p, x, o, d)
					}
					if d := e.EvaluateDataMask(r); d.Allowed() && d.Mask.DataMaskType != "MASK_NONE" {
						fail("column "+column+" is unmasked", p, x, o, d)
					}
				}
			}
		}
	}
}

// hidden reports whether a filter by d shows a person no row, who acts in no role of a group.
func hidden(d *judge.Denials, rs *rules.RuleSet, p policytest.Person) bool {
	is := func(who rules.SubjectSet) bool {
		return slices.ContainsFunc(who, func(id rules.SubjectID) bool {
			switch s := rs.Subjects.Of(id); s.Kind {
			case rules.SubjectUser:
				return policy.FoldPrincipal(s.Name) == policy.FoldPrincipal(p.User)
			case rules.SubjectGroup:
				return slices.Contains(p.Groups, s.Name)
			case rules.SubjectRole:
				return slices.Contains(p.Roles, s.Name)
			}
			return true
		})
	}
	allowed := func(list []judge.Allow) bool {
		return slices.ContainsFunc(list, func(a judge.Allow) bool { return is(a.Who) && !is(a.Except) })
	}
	return slices.ContainsFunc(d.Rules, func(r judge.DenyRule) bool {
		denied := is(r.Who) && !is(r.Except)
		if r.Else {
			denied = !allowed(r.Allowed)
		}
		return denied && !allowed(r.Override)
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
