package protect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy/evaluate"
	"ucwarden/policy/match"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// shown is what the expressions and masks of the property mean, written by hand.
var (
	shownRows = map[string]func(r any, n int64) bool{
		"":                               func(any, int64) bool { return true },
		"n > 1":                          func(_ any, n int64) bool { return n > 1 },
		"region = 'EU'":                  func(r any, _ int64) bool { return r == "EU" },
		"not (region = 'EU' or n = 2)":   func(r any, n int64) bool { return r != nil && r != "EU" && n != 2 },
		"region is null or n % 2 = 0":    func(r any, n int64) bool { return r == nil || n%2 == 0 },
		"n > (select max(n) from other)": func(any, int64) bool { return false },
	}
	shownValues = map[string]func(r any) any{
		"MASK_NONE": func(r any) any { return r },
		"MASK_NULL": func(any) any { return nil },
		"MASK": func(r any) any {
			if r == nil {
				return nil
			}
			return map[string]string{"EU": "XX", "us": "xx"}[r.(string)]
		},
		"NO_SUCH_TYPE": func(any) any { return nil },
	}
)

// For random policies, memberships and rows everybody sees the rows and values that Ranger's engine decides.
func TestAgreesWithEvaluate(t *testing.T) {
	policytest.CheckWorlds(t, 300, func(t *rapid.T) {
		users, groups := []string{"u1", "u2", "u3"}, []string{"g1", "g2", "g3"}
		store := &ranger.UserStore{UserGroupMapping: map[string][]string{}}
		for _, u := range users {
			store.UserGroupMapping[u] = rapid.SliceOfNDistinct(rapid.SampledFrom(groups), 0, 2, rapid.ID).Draw(t, u+" is in")
		}
		// n1 is in one of the groups, so that who is in it is in that too.
		outer := rapid.SampledFrom(groups).Draw(t, "n1 is in")
		for _, u := range rapid.SliceOfNDistinct(rapid.SampledFrom(users), 0, 2, rapid.ID).Draw(t, "who is in n1") {
			in := append(store.UserGroupMapping[u], "n1")
			if !slices.Contains(in, outer) {
				in = append(in, outer)
			}
			store.UserGroupMapping[u] = in
		}
		options := Options{Schema: "p"}
		if rapid.Bool().Draw(t, "the workspace knows which groups are in others") {
			options.Within = nestedIn(map[string][]string{outer: {"n1"}})
		}
		some := func(label string, from []string) []string {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, 2, rapid.ID).Draw(t, label)
		}
		def := ranger.DefaultServiceDef()
		s := &ranger.Snapshot{Users: store, Roles: []ranger.Role{{Name: "r1", Users: []ranger.RoleMember{{Name: "u3"}}, Groups: []ranger.RoleMember{{Name: "g1"}}}}}
		draw := func(prefix string) ranger.PolicyItem {
			return ranger.PolicyItem{
				Accesses: []ranger.ItemAccess{{Type: prefix + "select"}}, Users: some("users", append(users, "{USER}")), Groups: some("groups", append(groups, "public")),
				Roles: some("roles", []string{"r1"}),
			}
		}
		protecting := func(id int64, prefix string) ranger.Policy {
			p := ranger.Policy{ID: id, Name: fmt.Sprint("p", id), PolicyPriority: rapid.IntRange(0, 1).Draw(t, "priority")}
			p.PolicyType = ranger.PolicyType(rapid.IntRange(1, 2).Draw(t, "type"))
			for range rapid.IntRange(1, 3).Draw(t, "items") {
				item := draw(prefix)
				if p.PolicyType == ranger.PolicyTypeRowFilter {
					expr := rapid.SampledFrom(slices.Sorted(maps.Keys(shownRows))).Draw(t, "filter")
					p.RowFilterPolicyItems = append(p.RowFilterPolicyItems, ranger.RowFilterPolicyItem{PolicyItem: item, RowFilterInfo: ranger.RowFilterInfo{FilterExpr: expr}})
				} else {
					mask := rapid.SampledFrom(slices.Sorted(maps.Keys(shownValues))).Draw(t, "mask")
					p.DataMaskPolicyItems = append(p.DataMaskPolicyItems, ranger.DataMaskPolicyItem{PolicyItem: item, DataMaskInfo: ranger.DataMaskInfo{DataMaskType: prefix + mask}})
				}
			}
			return p
		}
		for id := range rapid.IntRange(1, 3).Draw(t, "policies") {
			p := protecting(int64(id+1), "")
			resource := rapid.SampledFrom([]string{"catalog=c schema=s table=t", "catalog=c schema=* table=t*", "catalog=* schema=s table=t"}).Draw(t, "resource")
			if p.PolicyType == ranger.PolicyTypeDataMask {
				resource += rapid.SampledFrom([]string{" column=region", " column=*", " column=n"}).Draw(t, "column")
			}
			p.Resources = policytest.Resources(resource)
			s.Policies = append(s.Policies, p)
		}
		if rapid.Bool().Draw(t, "tags") {
			s.Tags = &ranger.ServiceTags{Tags: map[string]ranger.Tag{"1": {ID: 1, Type: "A"}, "2": {ID: 2, Type: "B"}}, ResourceToTagIDs: map[string][]int64{"1": {1}, "2": {2}},
				ServiceResources: []ranger.ServiceResource{{ID: 1, ResourceElements: policytest.Resources("catalog=c schema=s table=t")},
					{ID: 2, ResourceElements: policytest.Resources(rapid.SampledFrom([]string{"catalog=c", "catalog=c schema=s table=t column=region"}).Draw(t, "tagged"))}}}
			s.TagPolicies = &ranger.TagPolicies{}
			for id := range rapid.IntRange(1, 2).Draw(t, "tag policies") {
				p := protecting(int64(id+10), def.Name+":")
				p.Resources = policytest.Resources("tag=" + rapid.SampledFrom([]string{"A", "B", "*"}).Draw(t, "tag"))
				s.TagPolicies.Policies = append(s.TagPolicies.Policies, p)
			}
		}
		readers := some("who may read it", append(groups, "public"))
		s.Policies = append(s.Policies, readable(strings.Join(readers, " "), ""))
		set, err := rules.New(s, rules.Options{})
		if err != nil {
			t.Fatal(err)
		}
		e := evaluate.New(set)
		options.NameMembers = rapid.IntRange(0, 3).Draw(t, "members named")
		d := New(set, options).Compile(testTable(), nil)
		if d.Closed != "" {
			t.Fatalf("the table is closed: %s", d.Closed)
		}
		resource := match.Resource{{Name: "catalog", Value: "c"}, {Name: "schema", Value: "s"}, {Name: "table", Value: "t"}}
		column := append(slices.Clone(resource), match.Element{Name: "column", Value: "region"})
		inRolesNoMore(t, d, store, outer, readers)
		for _, u := range append(users, "stranger") {
			who := session{u, store.UserGroupMapping[u]}
			decided := e.EvaluateRowFilter(evaluate.Request{Resource: resource, AccessType: "select", User: u})
			masked := e.EvaluateDataMask(evaluate.Request{Resource: column, AccessType: "select", User: u})
			for _, r := range []any{"EU", "us", nil} {
				for _, n := range []int64{1, 2, 3} {
					want := decided.Filter == nil || shownRows[decided.Filter.FilterExpr](r, n)
					if got := len(rows(t, d, who, region(r, n))) == 1; got != want {
						t.Fatalf("%s sees row (%v, %d): %t, want %t by %s, by\n%v", u, r, n, got, want, decided, d.Functions)
					}
				}
				want := r
				if masked.Mask != nil {
					want = shownValues[masked.Mask.DataMaskType](r)
				}
				if got := value(t, d, "region", who, region(r, 1)); got != want {
					t.Fatalf("%s sees %v as %v, want %v by %s, by\n%v", u, r, got, want, masked, d.Functions)
				}
			}
		}
	})
}

// inRolesNoMore checks that nobody sees more in the role of a group that may read the table than as the member of it that they are. The group
// n1 is in outer.
func inRolesNoMore(t *rapid.T, d Desired, store *ranger.UserStore, outer string, readers []string) {
	for u, groups := range store.UserGroupMapping {
		for _, g := range groups {
			role := session{user: g}
			if g == "n1" {
				role.groups = []string{outer}
			}
			if !slices.ContainsFunc(append(role.groups, g, "public"), func(g string) bool { return slices.Contains(readers, g) }) {
				continue
			}
			for _, r := range []any{"EU", "us"} {
				for _, n := range []int64{1, 2} {
					self := session{u, groups}
					if len(rows(t, d, role, region(r, n))) > len(rows(t, d, self, region(r, n))) {
						t.Fatalf("%s sees row (%v, %d) in the role of %s alone, by\n%v", u, r, n, g, d.Functions)
					}
					if got, own := value(t, d, "region", role, region(r, n)), value(t, d, "region", self, region(r, n)); got != nil && (own == nil || got == r && own != r) {
						t.Fatalf("%s sees %v as %v, and as %v in the role of %s, by\n%v", u, r, own, got, g, d.Functions)
					}
				}
			}
		}
	}
}
