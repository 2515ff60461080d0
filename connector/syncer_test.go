package connector_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector"
	"ucwarden/connector/emulator"
	"ucwarden/policy"
	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
)

// usual are the policies of most tests here: analysts read the orders, Bob does this and that.
func usual() []ranger.Policy {
	return []ranger.Policy{
		allow("table:sales.emea.*", "analysts", "select"),
		allow("table:sales.*.orders", "engineers", "select modify"),
		allow("function:sales.emea.net", "bob@example.com", "execute"),
		allow("model:sales.emea.churn", "bob@example.com", "execute"),
		allow("volume:sales.emea.landing", "bob@example.com", "read_volume"),
		allow("table:hr.core.staff", "eve@example.com", "select"),
		allow("external_location:lake", "engineers", "read_files"),
		allow("storage_credential:sc", "engineers", "read_files"),
		allow("credential:svc", "engineers", "access"),
		allow("connection:pg", "engineers", "use_connection"),
		allow("metastore:*", "engineers", "create_catalog"),
	}
}

const metastoreID = "12345678-aaaa-bbbb-cccc-000000000001"

func TestSync(t *testing.T) {
	catalog := []string{"CATALOG:sales analysts USE_CATALOG", "CATALOG:sales bob@example.com USE_CATALOG", "CATALOG:sales engineers USE_CATALOG"}
	emea := []string{
		"FUNCTION:sales.emea.churn bob@example.com EXECUTE", "FUNCTION:sales.emea.net bob@example.com EXECUTE",
		"SCHEMA:sales.emea analysts SELECT USE_SCHEMA", "SCHEMA:sales.emea bob@example.com USE_SCHEMA", "SCHEMA:sales.emea engineers USE_SCHEMA",
		"TABLE:sales.emea.orders engineers MODIFY SELECT", "VOLUME:sales.emea.landing bob@example.com READ_VOLUME",
	}
	apac := []string{"SCHEMA:sales.apac engineers USE_SCHEMA", "TABLE:sales.apac.orders engineers MODIFY SELECT"}
	hr := []string{"CATALOG:hr eve@example.com USE_CATALOG", "SCHEMA:hr.core eve@example.com USE_SCHEMA", "TABLE:hr.core.staff eve@example.com SELECT"}
	metastore := []string{
		"CONNECTION:pg engineers USE_CONNECTION", "CREDENTIAL:svc engineers ACCESS", "EXTERNAL_LOCATION:lake engineers READ_FILES",
		"METASTORE:" + metastoreID + " engineers CREATE_CATALOG", "STORAGE_CREDENTIAL:sc engineers READ_FILES",
	}
	sales := slices.Concat(catalog, emea, apac)
	for _, test := range []struct {
		name    string
		roots   []string
		want    []string
		widened []string
		missing []string
		skipped []string
	}{
		{name: "everything", want: slices.Concat(sales, hr, metastore)},
		{name: "catalog", roots: []string{"catalog:sales"}, want: sales},
		{name: "metastore shard", roots: []string{"metastore:"}, want: metastore},
		{name: "metastore", roots: []string{"metastore:" + metastoreID}, want: metastore[3:4]},
		{name: "external location", roots: []string{"external_location:lake"}, want: metastore[2:3]},
		{name: "metastore shard and one of its objects", roots: []string{"external_location:lake", "metastore:"}, want: metastore},
		{name: "roots inside roots", roots: []string{"table:hr.core.staff", "catalog:hr", "schema:hr.core"}, want: hr},
		{name: "the same root twice", roots: []string{"catalog:hr", "catalog:hr"}, want: hr},
		{name: "schema of a closed catalog", roots: []string{"schema:hr.core"}, want: hr, widened: []string{"CATALOG:hr"}},
		{name: "table of a closed catalog", roots: []string{"table:hr.core.staff"}, want: hr, widened: []string{"CATALOG:hr"}},
		{name: "tables of two closed catalogs", roots: []string{"table:hr.core.staff", "table:sales.emea.orders"}, want: slices.Concat(hr, sales),
			widened: []string{"CATALOG:hr", "CATALOG:sales"}},
		{name: "table nobody is granted anything on", roots: []string{"table:sales.apac.leads"}},
		{name: "missing", roots: []string{"catalog:none", "schema:none.x", "schema:sales.none", "table:sales.emea.none", "volume:sales.none.v", "connection:none"},
			missing: []string{"CATALOG:none", "CONNECTION:none", "SCHEMA:none.x", "SCHEMA:sales.none", "TABLE:sales.emea.none", "VOLUME:sales.none.v"}},
		{name: "some missing", roots: []string{"table:hr.core.none", "table:hr.core.staff"}, want: hr, widened: []string{"CATALOG:hr"}, missing: []string{"TABLE:hr.core.none"}},
		{name: "missing inside a root", roots: []string{"catalog:hr", "schema:hr.none", "function:hr.core.none"}, want: hr, missing: []string{"FUNCTION:hr.core.none", "SCHEMA:hr.none"}},
		{name: "built in", roots: []string{"catalog:system", "table:system.access.audit", "schema:sales.information_schema"},
			skipped: []string{"SCHEMA:sales.information_schema", "CATALOG:system", "TABLE:system.access.audit"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, rigOptions{}, usual()...)
			before := lines(r.server.Grants())
			result := r.sync(test.roots...)
			want := slices.Sorted(slices.Values(slices.Concat(before, test.want)))
			if diff := cmp.Diff(want, lines(r.server.Grants())); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.widened, spell(result.AlsoSynced)); diff != "" {
				t.Errorf("widened (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.missing, spell(result.Missing)); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
			var skipped []string
			for _, s := range result.Skipped {
				skipped = append(skipped, s.Securable.String())
			}
			if diff := cmp.Diff(test.skipped, skipped); diff != "" {
				t.Errorf("skipped (-want +got):\n%s", diff)
			}
			r.server.ResetTrace()
			if again := r.sync(test.roots...); !again.Plan.Empty() || r.patches() > 0 {
				t.Errorf("a second sync sends %d PATCHes for %v", r.patches(), again.Plan.Changes)
			}
		})
	}
}

// Once the way is open, a task for one object changes that object alone.
func TestSyncOneObject(t *testing.T) {
	for _, s := range []string{"table:sales.emea.orders", "table:sales.emea.orders_v", "function:sales.emea.net", "function:sales.emea.churn", "volume:sales.emea.landing"} {
		r := newRig(t, rigOptions{}, append(usual(), allow("table:sales.emea.orders_v", "eve@example.com", "select"))...)
		r.sync()
		want := lines(r.server.Grants())
		object := sec(t, s)
		privilege := map[policy.SecurableType]policy.Privilege{policy.Table: policy.Select, policy.Function: policy.Execute, policy.Volume: policy.ReadVolume}[object.Type]
		for _, a := range r.server.Grants().Of(object) {
			r.revoke(s, a.Name, a.Privilege)
		}
		r.grant(s, "ann@example.com", privilege)
		r.grant("table:sales.apac.leads", "ann@example.com", "SELECT") // not asked for
		r.server.ResetTrace()
		result := r.sync(s)
		if r.patches() != 1 || len(result.AlsoSynced) > 0 {
			t.Errorf("%s: %d PATCHes, widened to %v", s, r.patches(), result.AlsoSynced)
		}
		r.revoke("table:sales.apac.leads", "ann@example.com", "SELECT")
		if diff := cmp.Diff(want, lines(r.server.Grants())); diff != "" {
			t.Errorf("%s: grants (-want +got):\n%s", s, diff)
		}
	}
}

func spell(list []policy.Securable) []string {
	var names []string
	for _, s := range list {
		names = append(names, s.String())
	}
	slices.Sort(names)
	return names
}

func TestModes(t *testing.T) {
	for mode, want := range map[policy.Mode][]string{
		policy.ModeEnforce:   {"CATALOG:hr eve@example.com USE_CATALOG", "SCHEMA:hr.core eve@example.com USE_SCHEMA", "TABLE:hr.core.staff eve@example.com SELECT"},
		policy.ModeGrantOnly: {"CATALOG:hr eve@example.com USE_CATALOG", "SCHEMA:hr.core eve@example.com USE_SCHEMA", "TABLE:hr.core.staff bob@example.com SELECT", "TABLE:hr.core.staff eve@example.com SELECT"},
		policy.ModeObserve:   {"TABLE:hr.core.staff bob@example.com SELECT"},
	} {
		r := newRig(t, rigOptions{syncer: connector.Options{Mode: mode}}, usual()...)
		r.grant("table:hr.core.staff", "bob@example.com", "SELECT")
		r.server.ResetTrace()
		result := r.sync("catalog:hr")
		got := slices.DeleteFunc(lines(r.server.Grants()), func(s string) bool { return strings.Contains(s, ":system") })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", mode, diff)
		}
		if result.Plan.Empty() {
			t.Errorf("%s: an empty plan", mode)
		}
		if mode == policy.ModeObserve && (r.patches() > 0 || result.Outcomes != nil) {
			t.Errorf("%s: %d PATCHes, %d outcomes", mode, r.patches(), len(result.Outcomes))
		}
	}
}

func TestPlanChangesNothing(t *testing.T) {
	r := newRig(t, rigOptions{}, usual()...)
	var phases []string
	result, err := r.Plan(t.Context(), connector.Request{Progress: func(p connector.Progress) {
		if !slices.Contains(phases, p.Phase) {
			phases = append(phases, p.Phase)
		}
	}})
	if err != nil || result.Plan.Empty() || r.patches() > 0 {
		t.Errorf("plan %v, %v, %d PATCHes", result.Plan.Totals, err, r.patches())
	}
	if diff := cmp.Diff([]string{"list", "read"}, phases); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
}

func TestNoPoliciesYet(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.policies.snapshot.Store(nil)
	_, err := r.Sync(t.Context(), connector.Request{})
	if policy.CodeOf(err) != policy.CodeUnavailable || r.server.Stats().Requests > 0 {
		t.Errorf("error %v after %d requests", err, r.server.Stats().Requests)
	}
}

func TestBadOptions(t *testing.T) {
	r := newRig(t, rigOptions{})
	good := connector.Options{Workspace: r.client, Policies: r.policies}
	for name, spoil := range map[string]func(*connector.Options){
		"no workspace":      func(o *connector.Options) { o.Workspace = nil },
		"no policies":       func(o *connector.Options) { o.Policies = nil },
		"scope with roots":  func(o *connector.Options) { o.Scope = o.Scope.Within(sec(t, "catalog:sales")) },
		"misspelt mode":     func(o *connector.Options) { o.Mode = "observ" },
		"negative parallel": func(o *connector.Options) { o.Parallel = -1 },
		"negative unknown":  func(o *connector.Options) { o.UnknownPrincipalTTL = -time.Second },
	} {
		o := good
		if spoil(&o); func() bool { _, err := connector.New(o); return err == nil }() {
			t.Errorf("%s: no error", name)
		}
	}
}

// The grant lands on the table that is named and on no other, whatever the name holds.
func TestNames(t *testing.T) {
	names := []string{"t#1", "t", "t?2=x&y", "t?2", "t%3", "t%23", "t%2e", "tü+4", "tü 4", "t+4", "a;b", "表", "t'q", `t"q`, "t`q"}
	names = slices.DeleteFunc(names, func(n string) bool { return policy.ValidateName(n) != nil })
	seed := &emulator.Seed{Catalogs: []emulator.SeedCatalog{{SeedObject: emulator.SeedObject{Name: "c#?"}, Schemas: []emulator.SeedSchema{{SeedObject: emulator.SeedObject{Name: "s%"}}}}}}
	for _, n := range names {
		seed.Catalogs[0].Schemas[0].Tables = append(seed.Catalogs[0].Schemas[0].Tables, emulator.SeedTable{SeedObject: emulator.SeedObject{Name: n}})
	}
	for _, name := range names {
		p := ranger.Policy{Name: name, Resources: map[string]ranger.PolicyResource{
			"catalog": {Values: []string{"*"}}, "schema": {Values: []string{"*"}}, "table": {Values: []string{name}},
		}, PolicyItems: []ranger.PolicyItem{{Users: []string{"bob@example.com"}, Accesses: []ranger.ItemAccess{{Type: "select"}}}}}
		r := newRig(t, rigOptions{size: seed, emulator: emulator.Options{AutoPrincipals: true}}, p)
		table := policy.Securable{Type: policy.Table, FullName: "c#?.s%." + name}
		if result, err := r.Sync(t.Context(), connector.Request{Roots: []policy.Securable{table}}); err != nil || len(result.Missing) > 0 {
			t.Errorf("%s: %v, missing %v", table, err, result)
			continue
		}
		for x := range r.server.Grants().All() {
			if match := naming.NewPattern(name, true, true); x.Securable.Type == policy.Table && !match.Match(x.Securable.Names()[2]) {
				t.Errorf("for %s a grant landed on %s", table, x.Securable)
			}
		}
		if !r.server.Grants().Has(policy.Grant{Securable: table, Principal: policy.PrincipalByShape("bob@example.com"), Privilege: "SELECT"}) {
			t.Errorf("%s has no grant", table)
		}
	}
}
