package compile

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Whoever is granted MANAGE where a policy denies them something, or somebody of them, can grant that to himself: the report
// says so, and is not exact.
func TestManageOverDenies(t *testing.T) {
	item := func(access string, users, groups []string) []ranger.PolicyItem {
		return []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: access}}, Users: users, Groups: groups}}
	}
	g, bo, ana := []string{"g"}, []string{"bo"}, []string{"ana"}
	for name, test := range map[string]struct {
		manager []ranger.PolicyItem
		on      string // what they manage
		other   ranger.Policy
		wider   bool
	}{
		"a member":                {item("manage", nil, g), "catalog=c", ranger.Policy{DenyPolicyItems: item("select", bo, nil)}, true},
		"himself":                 {item("manage", bo, nil), "catalog=c", ranger.Policy{DenyPolicyItems: item("select", bo, nil)}, true},
		"by his group":            {item("manage", bo, nil), "catalog=c", ranger.Policy{DenyPolicyItems: item("select", nil, g)}, true},
		"on the object":           {item("manage", nil, g), "catalog=c schema=s table=t", ranger.Policy{DenyPolicyItems: item("select", bo, nil)}, true},
		"all else":                {item("manage", nil, g), "catalog=c schema=s table=t", ranger.Policy{PolicyItems: item("manage", nil, g), IsDenyAllElse: true}, true},
		"excepted":                {item("manage", nil, g), "catalog=c", ranger.Policy{PolicyItems: item("select", nil, g), AllowExceptions: item("select", bo, nil)}, true},
		"somebody else":           {item("manage", nil, g), "catalog=c", ranger.Policy{DenyPolicyItems: item("select", ana, nil)}, false},
		"elsewhere":               {item("manage", nil, g), "catalog=other", ranger.Policy{DenyPolicyItems: item("select", bo, nil)}, false},
		"exempt":                  {item("manage", bo, nil), "catalog=c", ranger.Policy{DenyPolicyItems: item("select", nil, g), DenyExceptions: item("select", bo, nil)}, false},
		"denied MANAGE alone":     {item("manage", ana, nil), "catalog=c", ranger.Policy{DenyPolicyItems: item("manage", bo, nil)}, false},
		"without MANAGE":          {item("modify", nil, g), "catalog=c", ranger.Policy{DenyPolicyItems: item("select", bo, nil)}, false},
		"a mask is a restriction": {item("manage", nil, g), "catalog=c", ranger.Policy{PolicyType: ranger.PolicyTypeDataMask, DataMaskPolicyItems: []ranger.DataMaskPolicyItem{{PolicyItem: item("select", bo, nil)[0], DataMaskInfo: ranger.DataMaskInfo{DataMaskType: "MASK"}}}}, true},
	} {
		test.other.ID, test.other.Name = 2, "other"
		test.other.Resources = policytest.Resources("catalog=c schema=s table=t")
		if test.other.PolicyType == ranger.PolicyTypeDataMask {
			test.other.Resources = policytest.Resources("catalog=c schema=s table=t column=x")
		}
		s := &ranger.Snapshot{ServiceDef: ranger.DefaultServiceDef(), Users: &ranger.UserStore{UserGroupMapping: map[string][]string{"bo": g, "ana": nil}},
			Policies: []ranger.Policy{{ID: 1, Name: "managers", Resources: policytest.Resources(test.on), PolicyItems: test.manager}, test.other}}
		inv := policy.NewInventory(policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "c.s.t"}})
		report := compileOf(s, inv, Options{}, rules.NameMapping{}).Report
		got := slices.ContainsFunc(report.Findings, isManageFinding)
		if got != test.wider {
			t.Errorf("%s: finding %v, want %v: %v", name, got, test.wider, report.Findings)
		}
		if test.wider && report.Exact() {
			t.Errorf("%s: the report is exact", name)
		}
	}
}

func isManageFinding(f policy.Finding) bool {
	return f.Effect == policy.EffectWider && f.Privilege == policy.Manage && strings.Contains(f.Message, "MANAGE")
}

// In any world, a user who is granted MANAGE on what holds an object, and whom a policy denies something there by name, is
// never without such a finding.
func TestManageOverDeniesIsNeverExact(t *testing.T) {
	seen := 0
	for round := 0; seen == 0 && round < 20 && !t.Failed(); round++ { // such worlds are rare
		rapid.Check(t, func(t *rapid.T) {
			w := policytest.DrawWorld(t)
			compiled, _, _ := compileWorld(t, &w)
			engine := evaluate.New(policytest.Rules(w.Snapshot, policytest.Names))
			for _, p := range w.Persons(w.GroupsOf) {
				if p.User == "" {
					continue
				}
				for _, o := range w.Listed {
					if !manages(compiled.Grants, p.Principals(), o.Securable) {
						continue
					}
					for _, x := range policytest.ComparedPrivileges {
						if x == policy.Manage || x == policy.AllPrivileges || policy.ActsOn[x]&policy.ClassOf(o) == 0 {
							continue
						}
						d := engine.Evaluate(evaluate.Request{User: p.User, Groups: p.Groups, Roles: p.Roles, AccessType: strings.ToLower(string(x)), Resource: policytest.ResourceOf(o)})
						if d.Outcome != evaluate.Denied || d.Item != rules.ItemDeny {
							continue
						}
						seen++
						if !slices.ContainsFunc(compiled.Report.Findings, isManageFinding) {
							t.Fatalf("%s manages %s, is denied %s there (%s), and no finding says so\n%s", p.Name, o, x, d, policytest.Dump(&w, compiled.Grants, compiled.Report))
						}
					}
				}
			}
		})
	}
	if seen == 0 {
		t.Error("no world in which somebody manages what they are denied")
	}
}

// manages reports whether one of the principals is granted MANAGE on s or on what holds it.
func manages(grants *policy.GrantSet, who []policy.Principal, s policy.Securable) bool {
	for ok := true; ok; s, ok = s.Parent() {
		for _, p := range who {
			if grants.Has(policy.Grant{Securable: s, Principal: p, Privilege: policy.Manage}) {
				return true
			}
		}
	}
	return false
}
