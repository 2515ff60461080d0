package connector_test

import (
	"slices"
	"strings"
	"testing"

	"ucwarden/connector"
	"ucwarden/connector/emulator"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/ranger"
)

// TestKeptIsNotWoken holds that what a group keeps, because we may be in it, is not woken by USE_* that policies grant above it,
// that nothing else waits for that, and that all is in sync once the directory is read.
func TestKeptIsNotWoken(t *testing.T) {
	type grants map[string]policy.Privilege // "table:a.b.c ann" to a privilege
	const orders = "table:sales.apac.orders"
	for name, tt := range map[string]struct {
		stands      grants
		allowed     []ranger.Policy
		waits, made grants // of what is allowed, while the directory is not read
		stays       grants
	}{
		"of the group itself": {
			stands:  grants{"schema:sales.emea analysts": "ALL_PRIVILEGES"},
			allowed: []ranger.Policy{allow(orders, "analysts", "select")},
			waits:   grants{"catalog:sales analysts": "USE_CATALOG"},
			made:    grants{orders + " analysts": "SELECT", "schema:sales.apac analysts": "USE_SCHEMA"},
			stays:   grants{"schema:sales.emea analysts": "ALL_PRIVILEGES"},
		},
		"of who may be in it": {
			stands:  grants{"schema:sales.emea analysts": "ALL_PRIVILEGES"},
			allowed: []ranger.Policy{allow(orders, "bob@example.com engineers", "select"), allow("table:hr.core.staff", "bob@example.com", "select")},
			waits:   grants{"catalog:sales bob@example.com": "USE_CATALOG", "catalog:sales engineers": "USE_CATALOG"},
			made:    grants{"catalog:hr bob@example.com": "USE_CATALOG"},
		},
		"awake already": {
			stands:  grants{"schema:sales.emea analysts": "ALL_PRIVILEGES", "catalog:sales analysts": "USE_CATALOG"},
			allowed: []ranger.Policy{allow(orders, "bob@example.com", "select")},
			made:    grants{"catalog:sales bob@example.com": "USE_CATALOG"},
		},
		"nothing that could be used": {
			stands:  grants{"schema:sales.emea analysts": "USE_SCHEMA"},
			allowed: []ranger.Policy{allow(orders, "analysts", "select")},
			made:    grants{"catalog:sales analysts": "USE_CATALOG"},
			stays:   grants{"schema:sales.emea analysts": "USE_SCHEMA"},
		},
		"wanted": {
			stands:  grants{"schema:sales.emea analysts": "ALL_PRIVILEGES"},
			allowed: []ranger.Policy{allow("schema:sales.emea", "analysts", "all_privileges"), allow("table:sales.emea.*", "analysts", "all_privileges"), allow(orders, "bob@example.com", "select")},
			made:    grants{"catalog:sales bob@example.com": "USE_CATALOG"},
		},
		"wanted from above": {
			stands: grants{"schema:sales.emea analysts": "ALL_PRIVILEGES"},
			allowed: []ranger.Policy{allow("catalog:sales", "analysts", "all_privileges"), allow("schema:sales.*", "analysts", "all_privileges"), allow("table:sales.*.*", "analysts", "all_privileges"),
				allow("volume:sales.*.*", "analysts", "all_privileges"), allow("function:sales.*.*", "analysts", "all_privileges"), allow("table:sales.emea.*", "bob@example.com", "select")},
			made: grants{"catalog:sales bob@example.com": "USE_CATALOG", "catalog:sales analysts": "ALL_PRIVILEGES"},
		},
		"MANAGE, next to it": {
			stands:  grants{"table:sales.emea.orders analysts": "MANAGE"},
			allowed: []ranger.Policy{allow(orders, "bob@example.com", "select"), allow("table:sales.emea.customers", "bob@example.com", "select")},
			waits:   grants{"schema:sales.emea bob@example.com": "USE_SCHEMA"},
			made:    grants{"catalog:sales bob@example.com": "USE_CATALOG", "schema:sales.apac bob@example.com": "USE_SCHEMA"},
			stays:   grants{"table:sales.emea.orders analysts": "MANAGE"},
		},
		"MANAGE, further out": {
			stands:  grants{"table:sales.emea.orders analysts": "MANAGE", "schema:sales.emea engineers": "USE_SCHEMA"},
			allowed: []ranger.Policy{allow(orders, "bob@example.com", "select")},
			waits:   grants{"catalog:sales bob@example.com": "USE_CATALOG"},
		},
		"who relies on what waits": {
			stands: grants{"schema:sales.emea analysts": "ALL_PRIVILEGES", "catalog:sales ann@example.com": "USE_CATALOG",
				"schema:sales.apac analysts": "USE_SCHEMA", orders + " analysts": "SELECT"},
			allowed: []ranger.Policy{allow(orders, "engineers analysts", "select")},
			waits:   grants{"catalog:sales analysts": "USE_CATALOG", "catalog:sales engineers": "USE_CATALOG"},
			made:    grants{orders + " engineers": "SELECT"},
			stays:   grants{"catalog:sales ann@example.com": "USE_CATALOG"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{syncer: connector.Options{State: &inMemory{}}}, tt.allowed...)
			has := func(g string, p policy.Privilege) bool {
				on, who, _ := strings.Cut(g, " ")
				return r.server.Grants().Has(policy.Grant{Securable: sec(t, on), Principal: policy.PrincipalByShape(who), Privilege: p})
			}
			for g, p := range tt.stands {
				on, who, _ := strings.Cut(g, " ")
				r.grant(on, who, p)
			}
			want := r.desired()
			for g := range r.server.Grants().All() {
				if g.Securable.Names()[0] == "system" {
					want.Add(g)
				}
			}
			r.fault(emulator.Fault{Path: "/api/2.0/preview/scim/*", Status: 403})
			result := r.sync()
			for g, p := range tt.waits {
				said := slices.ContainsFunc(result.Plan.Waiting, func(w policy.Grant) bool {
					return strings.EqualFold(w.Securable.String()+" "+w.Principal.Name, g) && w.Privilege == p
				})
				if has(g, p) || !said {
					t.Errorf("%s: %s is granted (%t), or not said to wait: %v", g, p, has(g, p), result.Plan.Waiting)
				}
			}
			if len(result.Plan.Waiting) != len(tt.waits) {
				t.Errorf("waiting: %v", result.Plan.Waiting)
			}
			for _, made := range []grants{tt.made, tt.stays} {
				for g, p := range made {
					if !has(g, p) {
						t.Errorf("%s: no %s: %v", g, p, lines(r.server.Grants()))
					}
				}
			}
			if again := r.sync(); !again.Plan.Empty() {
				t.Errorf("a second sync changes %v", again.Plan.Changes)
			}
			r.server.ClearFaults()
			if _, err := r.Sync(t.Context(), connector.Request{ByPerson: true}); err != nil {
				t.Fatal(err)
			}
			if got := lines(r.server.Grants()); !slices.Equal(got, lines(want)) {
				t.Errorf("with the directory: %v, want %v", got, lines(want))
			}
		})
	}
}

// TestOwnGroupIsNotWoken holds that what a group keeps because we are in it is woken for nobody else in it: USE_* above it waits
// for whom the group, or one with members in common, is, and for nobody else.
func TestOwnGroupIsNotWoken(t *testing.T) {
	const seed = `
metastore: {name: main, id: 12345678-aaaa-bbbb-cccc-000000000001, owner: ` + us + `}
account_admins: [admin@example.com, ` + us + `]
users: [ann@example.com, bob@example.com]
service_principals: [` + us + `]
groups:
- {name: connectors, members: [` + us + `]}
- {name: tools, members: [connectors, bob@example.com]}
- {name: leavers, members: [bob@example.com, ` + us + `]}
- {name: analysts, members: [ann@example.com, ` + us + `]}
- {name: everything, members: [tools]}
catalogs:
- name: sales
  owner: admin@example.com
  schemas: [{name: emea, tables: [orders], grants: {tools: [ALL_PRIVILEGES]}}, {name: apac, tables: [orders]}]
- name: hr
  owner: admin@example.com
  grants: {everything: [USE_CATALOG]}
  schemas: [{name: emea, tables: [orders], grants: {tools: [ALL_PRIVILEGES]}}, {name: apac, tables: [orders]}]
`
	r := newRig(t, rigOptions{seed: seed, who: us}, allow("table:*.apac.orders", "ann@example.com bob@example.com connectors tools leavers analysts", "select"))
	plan := r.sync().Plan
	waiting := plan.Waiting
	if !slices.ContainsFunc(plan.Report.Findings, func(f policy.Finding) bool {
		return strings.Contains(f.Message, "tools keeps ALL_PRIVILEGES on SCHEMA:sales.emea, which no policy grants, since we are in it")
	}) {
		t.Errorf("findings: %v", plan.Report.Findings)
	}
	for who, waits := range map[string]bool{"ann@example.com": false, "bob@example.com": true, "connectors": false, "tools": true, "leavers": true, "analysts": false} {
		use := policy.Grant{Securable: sec(t, "catalog:sales"), Principal: policy.PrincipalByShape(who), Privilege: policy.UseCatalog}
		if r.server.Grants().Has(use) == waits || slices.Contains(waiting, use) != waits {
			t.Errorf("%s waits: %t; waiting: %v", who, !waits, waiting)
		}
		use.Securable = sec(t, "catalog:hr")
		if !r.server.Grants().Has(use) { // where all of the group can use what it keeps
			t.Errorf("%s has no USE_CATALOG on hr; waiting: %v", who, waiting)
		}
	}
}

// TestNothingUsedThroughKeptUse holds that nothing is granted that could be used only by USE_* that is kept.
func TestNothingUsedThroughKeptUse(t *testing.T) {
	r := newRig(t, rigOptions{syncer: connector.Options{Compile: compile.Options{SkipUse: true}}},
		allow("table:sales.apac.orders", "bob@example.com engineers", "select"), allow("schema:sales.apac", "bob@example.com engineers", "use_schema"),
		allow("catalog:sales", "engineers", "use_catalog"))
	r.grant("catalog:sales", "analysts", "USE_CATALOG")
	r.fault(emulator.Fault{Path: "/api/2.0/preview/scim/*", Status: 403})
	r.sync()
	for who, granted := range map[string]bool{"bob@example.com": false, "engineers": true} {
		if r.server.Grants().Has(policy.Grant{Securable: sec(t, "table:sales.apac.orders"), Principal: policy.PrincipalByShape(who), Privilege: policy.Select}) != granted {
			t.Errorf("%s: %v", who, lines(r.server.Grants()))
		}
	}
	r.revoke("catalog:sales", "analysts", "USE_CATALOG")
	r.sync()
	if got := r.server.Grants().Of(sec(t, "table:sales.apac.orders")); len(got) != 2 {
		t.Errorf("once nothing is kept: %v", got)
	}
}
