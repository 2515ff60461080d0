package evaluate

import (
	"testing"

	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// TestUsersInAnyCase holds that a user is one person in whatever case policies, roles, the user store and the request write
// the name: by name, by role, and by the groups of every spelling.
func TestUsersInAnyCase(t *testing.T) {
	item := func(i ranger.PolicyItem) []ranger.PolicyItem {
		i.Accesses = []ranger.ItemAccess{{Type: "select"}}
		return []ranger.PolicyItem{i}
	}
	s := &ranger.Snapshot{
		Policies: []ranger.Policy{
			{ID: 1, Resources: policytest.Resources("catalog=a"), PolicyItems: item(ranger.PolicyItem{Users: []string{"Ann@X"}})},
			{ID: 2, Resources: policytest.Resources("catalog=b"), PolicyItems: item(ranger.PolicyItem{Roles: []string{"r"}})},
			{ID: 3, Resources: policytest.Resources("catalog=c"), PolicyItems: item(ranger.PolicyItem{Groups: []string{"g1"}})},
			{ID: 4, Resources: policytest.Resources("catalog=d"), PolicyItems: item(ranger.PolicyItem{Groups: []string{"public"}}), DenyPolicyItems: item(ranger.PolicyItem{Groups: []string{"g2"}})},
			{ID: 5, Resources: policytest.Resources("catalog=e"), PolicyItems: item(ranger.PolicyItem{Groups: []string{"public"}}), DenyPolicyItems: item(ranger.PolicyItem{Users: []string{"aNN@x"}})},
		},
		Roles: []ranger.Role{{Name: "r", Users: []ranger.RoleMember{{Name: "ANN@x"}}}},
		Users: &ranger.UserStore{UserGroupMapping: map[string][]string{"ann@x": {"g1"}, "ANN@X": {"g2"}, "bob@x": {"g3"}}},
	}
	e := New(policytest.Rules(s, rules.NameMapping{}))
	for user, want := range map[string]string{"ann@x": "+++--", "Ann@x": "+++--", "ANN@X": "+++--", "bob@x": "---++", "Bob@X": "---++", "eve@x": "---++"} {
		got := ""
		for _, catalog := range []string{"a", "b", "c", "d", "e"} {
			word := "-"
			if e.Evaluate(Request{Resource: policytest.Asked("catalog=" + catalog), User: user, AccessType: "select"}).Allowed() {
				word = "+"
			}
			got += word
		}
		if got != want {
			t.Errorf("%s: %s, want %s", user, got, want)
		}
	}
}
