package connector_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector"
	"ucwarden/connector/apply"
	"ucwarden/connector/emulator"
	"ucwarden/connector/load"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// What cannot be listed or read is never taken for empty: either the sync fails before anything is changed, or it goes on
// without what could not be looked at, names it, and takes nothing away that what is there may need.
func TestUnknownIsNotEmpty(t *testing.T) {
	const api = "/api/2.1/unity-catalog/"
	for name, f := range map[string]struct {
		emulator.Fault
		left string // what is left out; "" where the sync fails
	}{
		"no catalogs":             {emulator.Fault{Path: api + "catalogs", Status: 500}, ""},
		"no schemas":              {emulator.Fault{Path: api + "schemas", Status: 503}, "CATALOG:sales"},
		"a page of tables":        {emulator.Fault{Path: api + "table-summaries", Skip: 1, Status: 500}, "CATALOG:sales"},
		"tables are not found":    {emulator.Fault{Path: api + "table-summaries", Status: 404}, "CATALOG:sales"},
		"tables cut short":        {emulator.Fault{Path: api + "table-summaries", Truncate: true}, "CATALOG:sales"},
		"tables garbled":          {emulator.Fault{Path: api + "table-summaries", Garble: true}, "CATALOG:sales"},
		"a connection lost":       {emulator.Fault{Path: api + "volumes", Drop: true}, "SCHEMA:sales.emea"},
		"functions not found":     {emulator.Fault{Path: api + "functions", Status: 404}, "SCHEMA:sales.emea"},
		"volumes not found":       {emulator.Fault{Path: api + "volumes", Status: 404, ErrorCode: "SCHEMA_DOES_NOT_EXIST"}, "SCHEMA:sales.apac"},
		"models forbidden":        {emulator.Fault{Path: api + "models", Status: 403}, "SCHEMA:sales.emea"},
		"external locations gone": {emulator.Fault{Path: api + "external-locations", Status: 500}, "EXTERNAL_LOCATION:"},
		"locations forbidden":     {emulator.Fault{Path: api + "external-locations", Status: 403}, "EXTERNAL_LOCATION:"},
		"one permissions call":    {emulator.Fault{Securable: "table:sales.emea.orders", Method: "GET", Status: 500}, "TABLE:sales.emea.orders"},
		"one forbidden":           {emulator.Fault{Securable: "table:sales.emea.orders", Method: "GET", Status: 403}, "TABLE:sales.emea.orders"},
		"one schema's forbidden":  {emulator.Fault{Securable: "schema:sales.apac", Method: "GET", Status: 403}, "SCHEMA:sales.apac"},
		"one catalog's":           {emulator.Fault{Securable: "catalog:hr", Method: "GET", Status: 429}, ""},
		"all garbled":             {emulator.Fault{Path: api + "permissions/table/*", Garble: true}, "TABLE:sales.apac.orders"},
		"nobody knows us":         {emulator.Fault{Path: api + "permissions/*", Status: 401}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{attempts: 2, emulator: emulator.Options{PageSize: 2, MaxPageSize: 2}}, usual()...)
			r.sync()
			// Much to revoke, were the unknown taken for empty, and something to do anyway.
			r.grant("table:sales.apac.leads", "bob@example.com", "SELECT", "MODIFY")
			r.grant("connection:pg", "bob@example.com", "USE_CONNECTION")
			r.revoke("schema:sales.apac", "engineers", "USE_SCHEMA")
			r.server.ResetTrace()
			r.fault(f.Fault)
			result, err := r.Sync(t.Context(), connector.Request{})
			if f.left == "" && (err == nil || r.patches() > 0) {
				t.Fatalf("error %v, %d PATCHes: %v", err, r.patches(), result)
			}
			if code := policy.CodeOf(err); f.Status >= 404 && f.left == "" && !code.Retryable() {
				t.Errorf("class %q of %v", code, err)
			}
			r.server.ClearFaults()
			if f.left != "" {
				if err != nil || !slices.ContainsFunc(result.Unread, func(l load.LeftOut) bool { return l.Securable.String() == f.left }) {
					t.Fatalf("error %v, left out %v, want %s", err, result.Unread, f.left)
				}
				if result.Plan.Report.Exact() || !strings.Contains(fmt.Sprint(result.Plan.Report.Findings), strings.Trim(f.left, ":")) {
					t.Errorf("findings %v", result.Plan.Report.Findings)
				}
				if got := r.server.Grants().Of(sec(t, "connection:pg")); len(got) != 1 {
					t.Errorf("the rest did not go on: %v", got)
				}
				for g := range r.desired().All() {
					if lost := g.Securable != sec(t, "schema:sales.apac") && !r.server.Grants().Has(g); lost {
						t.Errorf("lost: %v", g)
					}
				}
			}
			r.sync()
			if diff := cmp.Diff(lines(r.desired()), managed(r)); diff != "" {
				t.Errorf("grants afterwards (-want +got):\n%s", diff)
			}
		})
	}
}

// managed are the emulator's grants without those of the catalog that is its own.
func managed(r *rig) []string {
	return slices.DeleteFunc(lines(r.server.Grants()), func(s string) bool { return strings.Contains(s, ":system") })
}

// A workspace that answers no listing, or for much does not answer, is not synced without what it does not answer for.
func TestNothingAnswers(t *testing.T) {
	down := policy.Errorf(policy.CodeUnavailable, "no answer")
	for name, lists := range map[string]func(policy.SecurableType) bool{
		"none":             func(policy.SecurableType) bool { return false },
		"schemas alone":    func(t policy.SecurableType) bool { return t == policy.Schema },
		"tables alone":     func(t policy.SecurableType) bool { return t == policy.Table },
		"all but volumes":  func(t policy.SecurableType) bool { return t != policy.Volume },
		"metastores alone": func(t policy.SecurableType) bool { return t == policy.Metastore },
	} {
		f := &fake{}
		r := newRig(t, rigOptions{wrap: through(f), syncer: connector.Options{State: &inMemory{}}}, usual()...)
		r.sync()
		r.grant("table:sales.apac.leads", "bob@example.com", "SELECT", "MODIFY")
		f.list = func(_ policy.Securable, t policy.SecurableType, found []policy.Object, err error) ([]policy.Object, error) {
			if !lists(t) {
				return nil, down
			}
			return found, err
		}
		for _, root := range []policy.Securable{sec(t, "catalog:sales"), {Type: policy.Metastore}} {
			answers := root.Type == policy.Metastore && (lists(policy.Metastore) || lists(policy.Connection)) || root.Type == policy.Catalog && (lists(policy.Schema) || lists(policy.Table))
			r.server.ResetTrace()
			result, err := r.Sync(t.Context(), connector.Request{Roots: []policy.Securable{root}})
			if !answers && (policy.CodeOf(err) != policy.CodeUnavailable || r.patches() > 0) {
				t.Errorf("%s answer, %s: %v, %d PATCHes", name, root, err, r.patches())
			}
			if answers && err != nil {
				t.Errorf("%s answer, %s: %v", name, root, err)
			} else if whole := name == "all but volumes" && root.Type == policy.Metastore; answers && (len(result.Unread) == 0) != whole {
				t.Errorf("%s answer, %s: left out %v", name, root, result.Unread)
			}
		}
	}
}

// An object that a listing does not show and that cannot be looked up may exist: nothing that it relies on goes, and all else
// is synced. Where many cannot be looked up, it is the workspace that does not answer.
func TestLookUpsFail(t *testing.T) {
	const seed = `
metastore: {owner: admin@example.com}
users: [admin@example.com, bob@example.com, ann@example.com]
catalogs: [{name: sales, schemas: [{name: emea, tables: [orders], volumes: [v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11]}]}, {name: hr, schemas: [{name: core, tables: [staff]}]}]
`
	for _, hidden := range []int{1, 11} {
		f := &fake{}
		r := newRig(t, rigOptions{wrap: through(f), seed: seed, syncer: connector.Options{State: &inMemory{}}},
			allow("volume:sales.emea.*", "bob@example.com", "read_volume"), allow("table:hr.core.staff", "ann@example.com", "select"))
		r.sync()
		want := lines(r.desired())
		r.grant("table:hr.core.staff", "bob@example.com", "SELECT")
		f.list = func(_ policy.Securable, t policy.SecurableType, found []policy.Object, err error) ([]policy.Object, error) {
			if t == policy.Volume {
				slices.SortFunc(found, func(a, b policy.Object) int { return a.Compare(b.Securable) })
				found = found[min(hidden, len(found)):]
			}
			return found, err
		}
		f.get = func(s policy.Securable) error {
			if s.Type == policy.Volume {
				return policy.Errorf(policy.CodeUnavailable, "no answer")
			}
			return nil
		}
		r.server.ResetTrace()
		_, err := r.Sync(t.Context(), connector.Request{})
		if hidden > 10 {
			if policy.CodeOf(err) != policy.CodeUnavailable || r.patches() > 0 {
				t.Errorf("%d are hidden: %v, %d PATCHes", hidden, err, r.patches())
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, managed(r)); diff != "" {
			t.Errorf("grants (-want +got):\n%s", diff)
		}
	}
}

// What may sleep on an object whose grants cannot be read holds back the USE_* next to it, and the one further out only from
// whom that leads to it; the plan names what waits. What we may not read is not ours to revoke, and holds back nothing.
func TestUnreadHoldsBackLittle(t *testing.T) {
	const seed = `
metastore: {owner: admin@example.com}
users: [admin@example.com, ann@example.com, bob@example.com, eve@example.com]
groups: [{name: team, members: [eve@example.com]}]
catalogs:
- {name: sales, schemas: [{name: emea, volumes: [files], functions: [net]}, {name: apac, tables: [orders]}]}
`
	function := "function:sales.emea.net"
	for _, test := range []struct {
		code    policy.Code
		holds   string // who has USE_SCHEMA next to the function before
		waiting []string
	}{
		{policy.CodeUnavailable, "", []string{"SCHEMA:sales.emea ann@example.com"}},
		{policy.CodeNotFound, "", []string{"SCHEMA:sales.emea ann@example.com"}},
		{policy.CodeInternal, "", []string{"SCHEMA:sales.emea ann@example.com"}},
		{policy.CodeUnavailable, "ann@example.com", []string{"CATALOG:sales ann@example.com"}},
		{policy.CodeUnavailable, "eve@example.com", []string{"SCHEMA:sales.emea ann@example.com"}},
		{policy.CodeUnavailable, "team", []string{"CATALOG:sales ann@example.com", "CATALOG:sales bob@example.com", "SCHEMA:sales.emea ann@example.com"}},
		{policy.CodeForbidden, "", nil},
	} {
		f := &fake{}
		policies := []ranger.Policy{allow("volume:sales.emea.files", "ann@example.com", "read_volume"), allow("table:sales.apac.orders", "ann@example.com bob@example.com", "select")}
		r := newRig(t, rigOptions{wrap: through(f), seed: seed, attempts: 1}, policies...)
		if r.grant(function, "ann@example.com", "EXECUTE"); test.holds != "" {
			r.grant("schema:sales.emea", test.holds, "USE_SCHEMA")
			r.policies.set(t, append(policies, allow("schema:sales.emea", test.holds, "use_schema"))...)
		}
		f.grants = func(s policy.Securable) error {
			if s == sec(t, function) {
				return policy.Errorf(test.code, "out of order")
			}
			return nil
		}
		result := r.sync()
		var waiting []string
		for _, g := range result.Plan.Waiting {
			if g.Principal.Name != "eve@example.com" && g.Principal.Name != "team" {
				waiting = append(waiting, g.Securable.String()+" "+g.Principal.Name)
			}
			if !slices.ContainsFunc(result.Plan.Report.Findings, func(f policy.Finding) bool {
				return f.Securable == g.Securable && f.Principal == g.Principal && f.Effect == policy.EffectNarrower
			}) {
				t.Errorf("%s: no finding says that %v waits", test.code, g)
			}
		}
		if slices.Sort(waiting); !slices.Equal(waiting, test.waiting) {
			t.Errorf("%s, %q is next to it: waiting %v, want %v", test.code, test.holds, waiting, test.waiting)
		}
		for g := range r.desired().All() {
			if waits := slices.Contains(result.Plan.Waiting, g); waits == r.server.Grants().Has(g) {
				t.Errorf("%s, %q is next to it: %v waits: %t, and is granted: %t", test.code, test.holds, g, waits, !waits)
			}
		}
	}
}

// Where the schemas of a catalog cannot be listed, but its tables can, nobody knows who has what on a schema: USE_CATALOG would
// wake that, and waits.
func TestUnlistedSchemasHoldBackUseCatalog(t *testing.T) {
	r := newRig(t, rigOptions{attempts: 1}, allow("table:sales.emea.orders", "ann@example.com", "modify"))
	r.grant("schema:sales.emea", "ann@example.com", "ALL_PRIVILEGES")
	r.fault(emulator.Fault{Path: "/api/2.1/unity-catalog/schemas", Status: 500})
	result := r.sync()
	use := policy.Grant{Securable: sec(t, "catalog:sales"), Principal: policy.PrincipalByShape("ann@example.com"), Privilege: policy.UseCatalog}
	if r.server.Grants().Has(use) || !slices.Contains(result.Plan.Waiting, use) {
		t.Errorf("%v is granted: %t; waiting %v", use, r.server.Grants().Has(use), result.Plan.Waiting)
	}
	r.server.ClearFaults()
	r.sync()
	if !r.server.Grants().Has(use) {
		t.Errorf("%v is not granted once all is read", use)
	}
}

// A schema dropped between two listings is no fault, and its tables are gone with it.
func TestDroppedWhileListed(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)}, usual()...)
	gone := sec(t, "schema:sales.apac")
	notFound := policy.Errorf(policy.CodeNotFound, "no such schema")
	f.list = func(parent policy.Securable, _ policy.SecurableType, found []policy.Object, err error) ([]policy.Object, error) {
		if parent == gone {
			return nil, notFound
		}
		return found, err
	}
	f.get = func(s policy.Securable) error {
		if s == gone {
			return notFound
		}
		return nil
	}
	r.sync("catalog:sales")
	for _, s := range []string{"schema:sales.apac", "table:sales.apac.orders"} {
		if got := r.server.Grants().Of(sec(t, s)); len(got) > 0 {
			t.Errorf("%s was changed: %v", s, got)
		}
	}
}

// An object that is dropped before its grants are read, or before they are changed, is left out.
func TestDroppedWhileSynced(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)}, usual()...)
	notFound := policy.Errorf(policy.CodeNotFound, "no such table")
	orders, staff := sec(t, "table:sales.emea.orders"), sec(t, "table:hr.core.staff")
	f.grants = func(s policy.Securable) error {
		if s == orders {
			return notFound
		}
		return nil
	}
	f.apply = func(c policy.Change) error {
		if c.Securable == staff {
			return notFound
		}
		return nil
	}
	f.get = func(s policy.Securable) error {
		if s == orders || s == staff {
			return notFound
		}
		return nil
	}
	result := r.sync()
	i := slices.IndexFunc(result.Outcomes, func(o apply.Outcome) bool { return o.Change.Securable == staff })
	if i < 0 || !result.Outcomes[i].Gone || len(result.Outcomes[i].Change.Add) > 0 {
		t.Errorf("outcome of %s: %+v", staff, result.Outcomes)
	}
	if result = r.sync("table:sales.emea.orders"); !slices.Equal(result.Missing, []policy.Securable{orders}) {
		t.Errorf("missing %v", result.Missing)
	}
}

// What depends on a change that failed is held back, of each change as little as may be; the rest is applied.
func TestHeldBack(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)}, usual()...)
	// Bob may not be let into hr while his dormant grant there is not revoked.
	r.grant("table:hr.core.staff", "bob@example.com", "SELECT")
	r.grant("schema:hr.core", "analysts", "SELECT") // of no policy
	r.policies.set(t, append(usual(), allow("schema:hr.core", "bob@example.com", "use_schema"))...)
	broken := errors.New("out of order")
	f.apply = func(c policy.Change) error {
		if c.Securable == sec(t, "table:hr.core.staff") {
			return broken
		}
		return nil
	}
	result, err := r.Sync(t.Context(), connector.Request{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]error{}
	for _, o := range result.Outcomes {
		if o.Err != nil {
			got[o.Change.Securable.String()] = o.Err
		}
	}
	if len(got) != 3 || !errors.Is(got["TABLE:hr.core.staff"], broken) || !errors.Is(got["SCHEMA:hr.core"], apply.ErrHeldBack) || !errors.Is(got["CATALOG:hr"], apply.ErrHeldBack) {
		t.Errorf("failed: %v", got)
	}
	if diff := cmp.Diff([]string{"CATALOG:hr eve@example.com USE_CATALOG", "SCHEMA:hr.core eve@example.com USE_SCHEMA", "TABLE:hr.core.staff bob@example.com SELECT"},
		slices.DeleteFunc(managed(r), func(s string) bool { return !strings.Contains(s, ":hr") })); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
	if !r.server.Grants().Has(policy.Grant{Securable: sec(t, "table:sales.emea.orders"), Principal: policy.PrincipalByShape("engineers"), Privilege: "MODIFY"}) {
		t.Error("another catalog was held back too")
	}
}

// A grant that fails for ever holds back no revoke, wherever it is.
func TestFailingGrantHoldsBackNoRevoke(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)}, allow("schema:sales.emea", "analysts", "select"), allow("table:sales.emea.customers", "bob@example.com", "modify"))
	for _, s := range []string{"catalog:sales", "table:sales.emea.orders", "table:sales.apac.orders"} {
		r.grant(s, "engineers", "SELECT")
	}
	r.grant("catalog:sales", "engineers", "USE_CATALOG", "USE_SCHEMA")
	f.apply = func(c policy.Change) error {
		if c.Securable == sec(t, "schema:sales.emea") {
			return policy.Errorf(policy.CodeInvalid, "INVALID_STATE")
		}
		return nil
	}
	if _, err := r.Sync(t.Context(), connector.Request{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"CATALOG:sales analysts USE_CATALOG", "CATALOG:sales bob@example.com USE_CATALOG", "TABLE:sales.emea.customers bob@example.com MODIFY"}, managed(r)); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
}

// A change whose answer shows an older state is looked up once before it counts as failed.
func TestAnswerOlderThanChange(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: func(w connector.Workspace) connector.Workspace { f.Workspace = w; return forgetful{f} }}, usual()...)
	r.sync("catalog:hr")
	if got := r.server.Grants().Of(sec(t, "table:hr.core.staff")); len(got) != 1 {
		t.Errorf("grants %v", got)
	}
}

// forgetful answers changes with nothing.
type forgetful struct{ connector.Workspace }

func (f forgetful) Apply(ctx context.Context, c policy.Change) ([]policy.Assignment, error) {
	_, err := f.Workspace.Apply(ctx, c)
	return nil, err
}

func TestCancelled(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f), syncer: connector.Options{Parallel: 1}}, usual()...)
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	f.after = func(policy.Change) error {
		if n++; n == 3 {
			cancel()
		}
		return nil
	}
	result, err := r.Sync(ctx, connector.Request{})
	if !errors.Is(err, context.Canceled) || !policy.CodeOf(err).Retryable() || r.patches() != 3 {
		t.Fatalf("%v after %d PATCHes, %v", err, r.patches(), result.Outcomes)
	}
	if _, err := r.Sync(ctx, connector.Request{}); !errors.Is(err, context.Canceled) || !policy.CodeOf(err).Retryable() {
		t.Errorf("a sync that starts too late: %v", err)
	}
	r.sync()
	if diff := cmp.Diff(lines(r.desired()), managed(r)); diff != "" {
		t.Errorf("grants afterwards (-want +got):\n%s", diff)
	}
}
