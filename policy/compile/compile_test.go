package compile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucwarden/policy"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// readPolicies reads a policy document for the built-in service definition.
func readPolicies(t testing.TB, document string) *ranger.Snapshot {
	t.Helper()
	doc, err := parse.ServicePolicies([]byte(document), "test.json")
	if err != nil {
		t.Fatal(err)
	}
	s := &ranger.Snapshot{Policies: doc.Policies, ServiceDef: doc.ServiceDef, TagPolicies: doc.TagPolicies, Zones: doc.SecurityZones}
	return s
}

// grantLines spells grants as "type:name principal PRIVILEGE", sorted.
func grantLines(g *policy.GrantSet) []string {
	var list []string
	for x := range g.All() {
		list = append(list, fmt.Sprintf("%s:%s %s %s", strings.ToLower(string(x.Securable.Type)), x.Securable.FullName, x.Principal, x.Privilege))
	}
	slices.Sort(list)
	return list
}

// shop is the inventory of the table tests: one catalog, two schemas, an object of each kind.
func shop() *policy.Inventory {
	return policy.NewInventory(
		policy.Object{Securable: policy.Securable{Type: policy.Catalog, FullName: "shop"}},
		policy.Object{Securable: policy.Securable{Type: policy.Schema, FullName: "shop.a"}}, policy.Object{Securable: policy.Securable{Type: policy.Schema, FullName: "shop.b"}},
		policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "shop.a.cust_1"}}, policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "shop.a.orders"}},
		policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "shop.a.orders_v"}, Kind: policy.KindView},
		policy.Object{Securable: policy.Securable{Type: policy.Function, FullName: "shop.a.f"}}, policy.Object{Securable: policy.Securable{Type: policy.Function, FullName: "shop.a.m"}, Kind: policy.KindModel},
		policy.Object{Securable: policy.Securable{Type: policy.Volume, FullName: "shop.a.v"}},
		policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "shop.b.orders"}},
		policy.Object{Securable: policy.Securable{Type: policy.ExternalLocation, FullName: "landing"}},
		policy.Object{Securable: policy.Securable{Type: policy.Metastore, FullName: "11112222-0000-4000-8000-000000000000"}},
	)
}

func TestCompile(t *testing.T) {
	for _, tt := range []struct {
		name     string
		policies string
		users    map[string][]string
		roles    []ranger.Role
		options  Options
		names    rules.NameMapping
		want     []string
		findings []string // parts of messages, one each, in any order; nil: the report is exact
	}{
		{
			name:     "a pattern that covers a schema becomes one grant there",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["*"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}`,
			want:     []string{"catalog:shop g USE_CATALOG", "schema:shop.a g SELECT", "schema:shop.a g USE_SCHEMA"},
		}, {
			name:     "a policy on a container holds for everything inside",
			policies: `{"resources":{"catalog":{"values":["SHOP"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}`,
			want:     []string{"catalog:shop g SELECT", "catalog:shop g USE_CATALOG", "catalog:shop g USE_SCHEMA"},
		}, {
			name:     "data never decides a hoist: every table matches today, but others may come",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["b"]},"table":{"values":["o*"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}`,
			want:     []string{"catalog:shop g USE_CATALOG", "schema:shop.b g USE_SCHEMA", "table:shop.b.orders g SELECT"},
		}, {
			name:     "functions alone do not cover EXECUTE on a schema, which reaches models too",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"function":{"values":["*"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"execute"}]}]}`,
			want:     []string{"catalog:shop g USE_CATALOG", "function:shop.a.f g EXECUTE", "schema:shop.a g USE_SCHEMA"},
		}, {
			name:     "a privilege a kind does not take is left out on it",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["orders*"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"modify"}]}]}`,
			want:     []string{"catalog:shop g USE_CATALOG", "schema:shop.a g USE_SCHEMA", "table:shop.a.orders g MODIFY"},
		}, {
			name: "a deny of a member whose membership is known: withheld",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["*"]}},
				"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["eve"],"accesses":[{"type":"select"}]}]}`,
			users:    map[string][]string{"ann": {"g"}, "eve": {"g"}},
			findings: []string{"group g is allowed SELECT but includes user eve"},
		}, {
			name: "a deny of a member: expanded",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["*"]}},
				"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["eve"],"accesses":[{"type":"select"}]}]}`,
			users:   map[string][]string{"ann": {"g"}, "eve": {"g"}},
			options: Options{Deny: []DenyStrategy{DenyExpand}},
			want:    []string{"catalog:shop ann USE_CATALOG", "schema:shop.a ann SELECT", "schema:shop.a ann USE_SCHEMA"},
		}, {
			name: "a group over the limit is not expanded",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["*"]}},
				"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["eve"],"accesses":[{"type":"select"}]}]}`,
			users:    map[string][]string{"ann": {"g"}, "eve": {"g"}},
			options:  Options{Deny: []DenyStrategy{DenyExpand}, ExpandLimit: 1},
			findings: []string{"2 members are more than the limit of 1"},
		}, {
			name: "a deny of a member: ignored, and marked",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["*"]}},
				"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["eve"],"accesses":[{"type":"select"}]}]}`,
			users:    map[string][]string{"ann": {"g"}, "eve": {"g"}},
			options:  Options{Deny: []DenyStrategy{DenyIgnore}},
			want:     []string{"catalog:shop g USE_CATALOG", "schema:shop.a g SELECT", "schema:shop.a g USE_SCHEMA"},
			findings: []string{"although it may include user eve"},
		}, {
			name: "membership that is not known could hold anybody",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["*"]}},
				"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["eve"],"accesses":[{"type":"select"}]}]}`,
			findings: []string{"may include user eve"},
		}, {
			name: "a member whom the overriding allow excepts may be in a denied group that nobody can list",
			policies: `{"policyPriority":1,"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["*"]}},
				"policyItems":[{"roles":["r"],"accesses":[{"type":"select"}]}],"allowExceptions":[{"users":["eve"],"accesses":[{"type":"select"}]}]},
				{"id":2,"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["*"]}},
				"policyItems":[{"roles":["r"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"groups":["h"],"accesses":[{"type":"select"}]}]}`,
			roles:    []ranger.Role{{Name: "r", Users: []ranger.RoleMember{{Name: "ann"}, {Name: "eve"}}}},
			findings: []string{"role r is allowed SELECT but may include group h"},
		}, {
			name: "and is allowed where the lower deny excepts that member",
			policies: `{"policyPriority":1,"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["*"]}},
				"policyItems":[{"roles":["r"],"accesses":[{"type":"select"}]}],"allowExceptions":[{"users":["eve"],"accesses":[{"type":"select"}]}]},
				{"id":2,"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["*"]}},
				"policyItems":[{"roles":["r"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"groups":["h"],"accesses":[{"type":"select"}]}],
				"denyExceptions":[{"users":["eve"],"accesses":[{"type":"select"}]}]}`,
			roles: []ranger.Role{{Name: "r", Users: []ranger.RoleMember{{Name: "ann"}, {Name: "eve"}}}},
			want:  []string{"catalog:shop r USE_CATALOG", "schema:shop.a r SELECT", "schema:shop.a r USE_SCHEMA"},
		}, {
			name: "a deny of somebody who is known not to be a member changes nothing",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["*"]}},
				"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["eve"],"accesses":[{"type":"select"}]}]}`,
			users: map[string][]string{"ann": {"g"}, "eve": {"h"}},
			want:  []string{"catalog:shop g USE_CATALOG", "schema:shop.a g SELECT", "schema:shop.a g USE_SCHEMA"},
		}, {
			name: "a deny on one table pushes the grant down to the others",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["*"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]},
				{"id":2,"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["orders"]}},"denyPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}`,
			want: []string{"catalog:shop g USE_CATALOG", "schema:shop.a g USE_SCHEMA", "table:shop.a.cust_1 g SELECT", "table:shop.a.orders_v g SELECT"},
		}, {
			name:     "columns are not granted",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["orders"]},"column":{"values":["id"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}`,
			findings: []string{"names single columns"},
		}, {
			name: "a deny on a column closes the table",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["b"]},"table":{"values":["*"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]},
				{"id":2,"resources":{"catalog":{"values":["shop"]},"schema":{"values":["b"]},"table":{"values":["orders"]},"column":{"values":["ssn"]}},"denyPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}`,
			findings: []string{"what it denies there is denied on the whole table"},
		}, {
			name: "a mask that is not enforced keeps whom it binds out, and frees whom it frees",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["b"]},"table":{"values":["orders"]}},"policyItems":[{"groups":["g"],"users":["ann"],"accesses":[{"type":"select"}]}]},
				{"id":2,"policyType":1,"resources":{"catalog":{"values":["shop"]},"schema":{"values":["b"]},"table":{"values":["orders"]},"column":{"values":["ssn"]}},
				 "dataMaskPolicyItems":[{"users":["ann"],"accesses":[{"type":"select"}],"dataMaskInfo":{"dataMaskType":"MASK_NONE"}},{"groups":["public"],"accesses":[{"type":"select"}],"dataMaskInfo":{"dataMaskType":"MASK"}}]}`,
			want:     []string{"catalog:shop ann USE_CATALOG", "schema:shop.b ann USE_SCHEMA", "table:shop.b.orders ann SELECT"},
			users:    map[string][]string{"ann": {}, "bob": {"g"}},
			findings: []string{"sets a column mask"},
		}, {
			name: "a row filter is stronger than a policy of higher priority",
			policies: `{"policyPriority":1,"resources":{"catalog":{"values":["shop"]},"schema":{"values":["b"]},"table":{"values":["orders"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]},
				{"id":2,"policyType":2,"resources":{"catalog":{"values":["shop"]},"schema":{"values":["b"]},"table":{"values":["orders"]}},
				 "rowFilterPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}],"rowFilterInfo":{"filterExpr":"region = 'EU'"}}]}`,
			findings: []string{"sets a row filter"},
		}, {
			name:     "an allow under a condition is not granted",
			policies: `{"resources":{"catalog":{"values":["shop"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}],"conditions":[{"type":"ip-range","values":["10.*"]}]}]}`,
			findings: []string{"only under a condition (ip-range)"},
		}, {
			name: "a deny under a condition holds always",
			policies: `{"resources":{"catalog":{"values":["shop"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}],
				"denyPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}],"conditions":[{"type":"ip-range","values":["10.*"]}]}]}`,
			findings: []string{"it holds always"},
		}, {
			name:     "a macro is not granted, and denied for every value",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["home_{USER}"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}`,
			findings: []string{"holds a macro"},
		}, {
			name: "the grant to a member is left out beside the grant to the group, the role's or everybody's",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["b"]},"table":{"values":["orders"]}},
				"policyItems":[{"users":["ann","bob"],"groups":["g"],"roles":["r"],"accesses":[{"type":"select"}]}]}`,
			users: map[string][]string{"ann": {"g"}, "bob": {}},
			roles: []ranger.Role{{Name: "r", Groups: []ranger.RoleMember{{Name: "g"}}}},
			names: rules.NameMapping{RolePrefix: "role-"},
			want: []string{"catalog:shop bob USE_CATALOG", "catalog:shop role-r USE_CATALOG", "schema:shop.b bob USE_SCHEMA", "schema:shop.b role-r USE_SCHEMA",
				"table:shop.b.orders bob SELECT", "table:shop.b.orders role-r SELECT"},
		}, {
			name:     "everybody",
			policies: `{"resources":{"catalog":{"values":["shop"]}},"policyItems":[{"groups":["public"],"users":["ann"],"accesses":[{"type":"browse"}]}]}`,
			want:     []string{"catalog:shop account users BROWSE"},
		}, {
			name:     "ALL_PRIVILEGES is one privilege and implies the others",
			policies: `{"resources":{"catalog":{"values":["shop"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"all_privileges"},{"type":"select"}]}]}`,
			want:     []string{"catalog:shop g ALL_PRIVILEGES"},
		}, {
			name: "ALL_PRIVILEGES is not given where one of them is denied",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["b"]},"table":{"values":["orders"]}},
				"policyItems":[{"groups":["g"],"accesses":[{"type":"all_privileges"}]}],"denyPolicyItems":[{"groups":["g"],"accesses":[{"type":"modify"}]}]}`,
			want:     []string{"catalog:shop g USE_CATALOG", "schema:shop.b g USE_SCHEMA", "table:shop.b.orders g APPLY_TAG", "table:shop.b.orders g SELECT"},
			findings: []string{"would give MODIFY too"},
		}, {
			name:     "USE_* is not added where it is switched off",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["*"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}`,
			options:  Options{SkipUse: true},
			want:     []string{"schema:shop.a g SELECT"},
		}, {
			name: "USE_SCHEMA that is denied in one schema is given in the others",
			policies: `{"resources":{"catalog":{"values":["shop"]}},"policyItems":[{"users":["ann"],"accesses":[{"type":"select"}]}]},
				{"id":2,"resources":{"catalog":{"values":["shop"]},"schema":{"values":["b"]}},"denyPolicyItems":[{"users":["ann"],"accesses":[{"type":"use_schema"}]}]}`,
			users:    map[string][]string{"ann": {}},
			want:     []string{"catalog:shop ann SELECT", "catalog:shop ann USE_CATALOG", "schema:shop.a ann USE_SCHEMA"},
			findings: []string{"user ann needs USE_SCHEMA"},
		}, {
			name:     "a principal that is not managed gets nothing, and its members are not taken for granted",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["b"]},"table":{"values":["orders"]}},"policyItems":[{"users":["ann"],"groups":["g"],"accesses":[{"type":"select"}]}]}`,
			users:    map[string][]string{"ann": {"g"}},
			options:  Options{Manages: func(p policy.Principal) bool { return p.Name != "g" }},
			want:     []string{"catalog:shop ann USE_CATALOG", "schema:shop.b ann USE_SCHEMA", "table:shop.b.orders ann SELECT"},
			findings: []string{"narrower: group g is allowed something by policies, and is protected or outside scope.*"},
		}, {
			name: "names that are mapped to one principal are one person",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["b"]},"table":{"values":["orders"]}},
				"policyItems":[{"users":["Ann@x.com"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["ann@X.com"],"accesses":[{"type":"select"}]}]}`,
			names: rules.NameMapping{UserCase: rules.CaseLower},
		}, {
			name: "a role and a group of one name are one group",
			policies: `{"resources":{"catalog":{"values":["shop"]},"schema":{"values":["b"]},"table":{"values":["orders"]}},
				"policyItems":[{"groups":["x"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"roles":["x"],"accesses":[{"type":"select"}]}]}`,
			users:    map[string][]string{"ann": {"x"}},
			roles:    []ranger.Role{{Name: "x", Users: []ranger.RoleMember{{Name: "bob"}}}},
			findings: []string{"includes role x"},
		}, {
			name: "what is over and what is switched off does not count",
			policies: `{"isEnabled":false,"resources":{"catalog":{"values":["shop"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]},
				{"id":2,"validitySchedules":[{"startTime":"2020/01/01 00:00:00","endTime":"2020/02/01 00:00:00","timeZone":"UTC"}],"resources":{"catalog":{"values":["shop"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"modify"}]}]}`,
			options: Options{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		}, {
			name: "root objects",
			policies: `{"resources":{"external_location":{"values":["land*"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"read_files"}]}]},
				{"id":2,"resources":{"metastore":{"values":["*"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"create_catalog"}]}]}`,
			want: []string{"external_location:landing g READ_FILES", "metastore:11112222-0000-4000-8000-000000000000 g CREATE_CATALOG"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc := tt.policies
			if !strings.Contains(strings.SplitN(doc, "resources", 2)[0], `"id"`) {
				doc = strings.Replace(doc, "{", `{"id":1,"name":"one",`, 1)
			}
			s := readPolicies(t, `{"serviceName":"uc","policies":[`+doc+`]}`)
			s.Roles = tt.roles
			if tt.users != nil {
				s.Users = &ranger.UserStore{UserGroupMapping: tt.users}
			}
			got := compileOf(s, shop(), tt.options, tt.names)
			if diff := cmp.Diff(tt.want, grantLines(got.Grants)); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
			var messages []string
			for _, f := range got.Report.Findings {
				messages = append(messages, fmt.Sprintf("%s: %s", f.Effect, f.Message))
			}
			all := strings.Join(messages, "\n")
			for _, part := range tt.findings {
				if !strings.Contains(all, part) {
					t.Errorf("no finding says %q; there are:\n%s", part, all)
				}
			}
			if got.Report.Exact() != (tt.findings == nil) {
				t.Errorf("exact = %v, findings:\n%s", got.Report.Exact(), all)
			}
		})
	}
}

func TestExpresses(t *testing.T) {
	own := compilerOf(&ranger.Snapshot{})
	foreign := compilerOf(&ranger.Snapshot{ServiceDef: &ranger.ServiceDef{
		Resources:   []ranger.ResourceDef{{Name: "catalog"}, {Name: "schema", Parent: "catalog"}, {Name: "table", Parent: "schema"}},
		AccessTypes: []ranger.AccessTypeDef{{Name: "select"}, {Name: "insert"}},
	}})
	for _, tt := range []struct {
		c    *Compiler
		t    policy.SecurableType
		p    policy.Privilege
		want bool
	}{
		{own, policy.Table, policy.Modify, true}, {own, policy.ExternalLocation, "READ_FILES", true}, {own, policy.Catalog, policy.Browse, true},
		{foreign, policy.Table, policy.Select, true}, {foreign, policy.Schema, policy.Select, true}, {foreign, policy.Catalog, policy.UseCatalog, true},
		{foreign, policy.Table, policy.Modify, false}, {foreign, policy.ExternalLocation, "READ_FILES", false}, {foreign, policy.Function, policy.Execute, false},
	} {
		if got := tt.c.Expresses(tt.t, tt.p); got != tt.want {
			t.Errorf("Expresses(%s, %s) = %v, want %v", tt.t, tt.p, got, tt.want)
		}
	}
}
