package compile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

const shopTables = `"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["*"]}}`

// TestNamesThatMeet holds that where the names of several subjects come to one principal of Unity Catalog, a grant is
// judged by everybody it would reach.
func TestNamesThatMeet(t *testing.T) {
	allowed := func(principal string) []string {
		return []string{"catalog:shop " + principal + " USE_CATALOG", "schema:shop.a " + principal + " SELECT", "schema:shop.a " + principal + " USE_SCHEMA"}
	}
	for _, tt := range []struct {
		name    string
		items   string // policyItems and denyPolicyItems of a policy on shop.a.*
		users   *ranger.UserStore
		roles   []ranger.Role
		mapping rules.NameMapping
		want    []string
	}{
		{
			name:    "a user written in two ways is in the groups of both",
			items:   `"policyItems":[{"users":["ann"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"groups":["g1","g2"],"accesses":[{"type":"select"}]}]`,
			users:   &ranger.UserStore{UserGroupMapping: map[string][]string{"Ann": {"g1"}, "ann": {}, "ANN": {}, "aNN": {"h"}}},
			mapping: rules.NameMapping{UserCase: rules.CaseLower},
		}, {
			name:  "a user denied in another case is denied",
			items: `"policyItems":[{"users":["ana@acme.example"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["Ana@Acme.Example"],"accesses":[{"type":"select"}]}]`,
		}, {
			name:  "and one excepted in another case is excepted, under one name",
			items: `"policyItems":[{"users":["Ana@acme.example","ANA@ACME.EXAMPLE"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"groups":["public"],"accesses":[{"type":"select"}]}],"denyExceptions":[{"users":["anA@acme.example"],"accesses":[{"type":"select"}]}]`,
			want:  allowed("ana@acme.example"),
		}, {
			name:  "a cloud id holds for its user in any case",
			items: `"policyItems":[{"users":["ana@acme.example"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["ANA"],"accesses":[{"type":"select"}]}]`,
			users: &ranger.UserStore{UserCloudIDMapping: map[string]string{"ana": "Ana@acme.example"}},
		}, {
			name:  "of two users whose cloud ids differ each has their own",
			items: `"policyItems":[{"users":["Ana"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["ana","ANA"],"accesses":[{"type":"select"}]}]`,
			users: &ranger.UserStore{UserCloudIDMapping: map[string]string{"ana": "ana@acme.example", "Ana": "ana.b@acme.example"}},
			want:  allowed("ana.b@acme.example"),
		}, {
			name:  "the group account users is everyone",
			items: `"policyItems":[{"groups":["account users"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["eve"],"accesses":[{"type":"select"}]}]`,
			users: &ranger.UserStore{UserGroupMapping: map[string][]string{"ann": {"account users"}, "eve": {"g"}}},
		}, {
			name:  "and is granted what everyone may have",
			items: `"policyItems":[{"groups":["account users"],"accesses":[{"type":"select"}]}]`,
			users: &ranger.UserStore{UserGroupMapping: map[string][]string{"ann": {"account users"}}},
			want:  allowed("account users"),
		}, {
			name:    "a prefix can make a group everyone",
			items:   `"policyItems":[{"groups":["users"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["eve"],"accesses":[{"type":"select"}]}]`,
			users:   &ranger.UserStore{UserGroupMapping: map[string][]string{"ann": {"users"}, "eve": {"g"}}},
			mapping: rules.NameMapping{GroupPrefix: "account "},
		}, {
			name:  "a role is never everyone",
			items: `"policyItems":[{"roles":["account users"],"accesses":[{"type":"select"}]}]`,
			roles: []ranger.Role{{Name: "account users", Users: []ranger.RoleMember{{Name: "ann"}}}},
		}, {
			name:  "nor is a user",
			items: `"policyItems":[{"users":["account users"],"accesses":[{"type":"select"}]}]`,
		}, {
			name:  "a user named like a group is not granted, since the group would be",
			items: `"policyItems":[{"users":["staff"],"accesses":[{"type":"select"}]}]`,
			users: &ranger.UserStore{UserGroupMapping: map[string][]string{"ann": {"staff"}}},
		}, {
			name:  "a role named like a group has the members of both",
			items: `"policyItems":[{"roles":["staff"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["eve"],"accesses":[{"type":"select"}]}]`,
			users: &ranger.UserStore{UserGroupMapping: map[string][]string{"eve": {"staff"}}},
			roles: []ranger.Role{{Name: "staff", Users: []ranger.RoleMember{{Name: "ann"}}}},
		}, {
			name:  "two groups with one cloud id have the members of both",
			items: `"policyItems":[{"groups":["a"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["eve"],"accesses":[{"type":"select"}]}]`,
			users: &ranger.UserStore{
				UserGroupMapping:    map[string][]string{"eve": {"b"}, "ann": {"a"}},
				GroupCloudIDMapping: map[string]string{"a": "staff", "b": "staff"},
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 8 { // maps are read in any order
				s := readPolicies(t, `{"serviceName":"uc","policies":[{"id":1,"name":"p",`+shopTables+`,`+tt.items+`}]}`)
				s.Users, s.Roles = tt.users, tt.roles
				got := grantLines(compileOf(s, shop(), Options{}, tt.mapping).Grants)
				if diff := cmp.Diff(slices.Clone(tt.want), got); diff != "" {
					t.Fatalf("grants (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestZoneOfNowhere holds that the policies of a zone without a place in Unity Catalog hold nowhere.
func TestZoneOfNowhere(t *testing.T) {
	for _, resources := range []string{`[]`, `[{"schema":["a"]}]`} {
		s := readPolicies(t, fmt.Sprintf(`{"serviceName":"uc","policies":[],"securityZones":{"z":{"zoneName":"z","resources":%s,"policies":[
			{"id":1,"name":"p",%s,"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}]}}}`, resources, shopTables))
		if got := grantLines(compileOf(s, shop(), Options{}, rules.NameMapping{}).Grants); len(got) > 0 {
			t.Errorf("zone resources %s: granted %s", resources, strings.Join(got, ", "))
		}
	}
}

// TestZoneOfEverything holds that a zone whose list of names is empty holds every name, as in Ranger, so that policies
// outside it allow nothing there.
func TestZoneOfEverything(t *testing.T) {
	s := readPolicies(t, fmt.Sprintf(`{"serviceName":"uc","policies":[{"id":1,"name":"p",%s,"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}],
		"securityZones":{"z":{"zoneName":"z","resources":[{"catalog":["shop"],"schema":[]}],"policies":[]}}}`, shopTables))
	if got := grantLines(compileOf(s, shop(), Options{}, rules.NameMapping{}).Grants); len(got) > 0 {
		t.Errorf("granted %s", strings.Join(got, ", "))
	}
}

// TestViewsApart holds that what a service definition says of views is not granted on tables.
func TestViewsApart(t *testing.T) {
	s := readPolicies(t, `{"serviceName":"uc","serviceDef":{"name":"uc","resources":[{"name":"catalog","level":1},{"name":"schema","parent":"catalog","level":2},
		{"name":"table","parent":"schema","level":3},{"name":"view","parent":"schema","level":3}],"accessTypes":[{"name":"select"}]},"policies":[
		{"id":1,"name":"p","resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"view":{"values":["*"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}]}`)
	c := compileOf(s, shop(), Options{}, rules.NameMapping{})
	want := []string{"catalog:shop g USE_CATALOG", "schema:shop.a g USE_SCHEMA", "table:shop.a.orders_v g SELECT"}
	if diff := cmp.Diff(want, grantLines(c.Grants)); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
}

// TestDeniesSwitchedOff holds that deny items and exceptions take part only where the service definition lets them, as
// in Ranger: what they would withhold is not revoked.
func TestDeniesSwitchedOff(t *testing.T) {
	s := readPolicies(t, `{"serviceName":"uc","serviceDef":{"name":"uc","options":{"enableDenyAndExceptionsInPolicies":"false"},"resources":[{"name":"catalog","level":1},
		{"name":"schema","parent":"catalog","level":2},{"name":"table","parent":"schema","level":3}],"accessTypes":[{"name":"select"}]},"policies":[
		{"id":1,"name":"p","resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["orders"]}},
		"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}],"allowExceptions":[{"users":["ann"],"accesses":[{"type":"select"}]}],
		"denyPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}]}`)
	want := []string{"catalog:shop g USE_CATALOG", "schema:shop.a g USE_SCHEMA", "table:shop.a.orders g SELECT"}
	if diff := cmp.Diff(want, grantLines(compileOf(s, shop(), Options{}, rules.NameMapping{}).Grants)); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
}
