package unitycatalog_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector/apply"
	"ucwarden/connector/emulator"
	"ucwarden/connector/unitycatalog"
	"ucwarden/policy"
)

// The tests here drive the emulator, which refuses whatever Unity Catalog refuses, through the client.

const (
	adminToken  = "dapi-s3cr3t-admin"
	readerToken = "dapi-s3cr3t-reader"
	admin       = "admin@example.com"
)

const everything = `
metastore: {name: main, id: 12345678-aaaa-bbbb-cccc-000000000001}
users: [ann@example.com, bob@example.com]
groups: [{name: Data Team, members: [ann@example.com]}]
catalogs:
- name: sales
  grants: {Data Team: [USE_CATALOG]}
  schemas:
  - name: emea
    grants: {Data Team: [USE_SCHEMA], "deleted:old": [SELECT]}
    tables: [t1, t2, t3, {name: v, type: VIEW, definition: SELECT 1}, {name: mv, type: MATERIALIZED_VIEW, definition: SELECT 1}, {name: st, type: STREAMING_TABLE, definition: SELECT 1}]
    functions: [f1, f2]
    models: [m1]
    volumes: [vol]
  - name: apac
    tables: ["t#1", "t?2=x&y", "t%3", "tü+4", "t%23"]
    volumes: [v1, v2, v3]
  - name: empty
- name: other
storage_credentials: [{name: sc}]
credentials: [{name: svc}]
external_locations: [{name: lake, url: "s3://bucket/lake", credential: sc}]
connections: [{name: pg}]
recipients: [{name: partner}]
providers: [{name: supplier}]
shares: [{name: out, tables: [sales.emea.t1], grants: {partner: [SELECT]}}]
`

// emulation is an emulator whose grants are the product's.
type emulation struct{ *emulator.Server }

func (w emulation) Grants() *policy.GrantSet { return grantSet(w.Server.Grants()) }

// grantSet returns the emulator's grants as the product holds them.
func grantSet(list []emulator.Grant) *policy.GrantSet {
	set := policy.NewGrantSet()
	for _, g := range list {
		set.Add(policy.Grant{Securable: policy.Securable{Type: policy.SecurableType(g.Type), FullName: g.Name},
			Principal: policy.PrincipalByShape(g.Principal), Privilege: policy.Privilege(g.Privilege)})
	}
	return set
}

func startEmulator(t *testing.T, o emulator.Options) (emulation, string) {
	t.Helper()
	if o.Seed == nil {
		seed, err := emulator.ParseSeed([]byte(everything))
		if err != nil {
			t.Fatal(err)
		}
		o.Seed = seed
	}
	o.Tokens = map[string]string{adminToken: admin, readerToken: "ann@example.com"}
	server, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	running, err := server.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		running.Shutdown(ctx)
	})
	return emulation{server}, running.URL
}

func emulated(t *testing.T, o emulator.Options) (emulation, *unitycatalog.Client) {
	t.Helper()
	server, url := startEmulator(t, o)
	c := newClient(t, unitycatalog.Options{Host: url, Token: adminToken,
		Pacing: unitycatalog.Pacing{MaxAttempts: 5, BaseBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond}})
	server.ResetTrace()
	return server, c
}

func fault(t *testing.T, s emulation, faults ...emulator.Fault) {
	t.Helper()
	if _, err := s.AddFaults(faults...); err != nil {
		t.Fatal(err)
	}
}

// listings are all that the sample metastore holds, by parent and type.
var listings = []struct {
	parent string
	t      policy.SecurableType
	want   []string
}{
	{"", policy.Metastore, []string{"METASTORE:12345678-aaaa-bbbb-cccc-000000000001"}},
	{"", policy.Catalog, []string{"CATALOG:other", "CATALOG:sales"}},
	{"catalog:sales", policy.Schema, []string{"SCHEMA:sales.apac", "SCHEMA:sales.emea", "SCHEMA:sales.empty"}},
	{"schema:sales.emea", policy.Table, []string{"TABLE:sales.emea.mv MATERIALIZED_VIEW", "TABLE:sales.emea.st STREAMING_TABLE",
		"TABLE:sales.emea.t1", "TABLE:sales.emea.t2", "TABLE:sales.emea.t3", "TABLE:sales.emea.v VIEW"}},
	{"catalog:sales", policy.Table, []string{"TABLE:sales.apac.t#1", "TABLE:sales.apac.t%23", "TABLE:sales.apac.t%3", "TABLE:sales.apac.t?2=x&y",
		"TABLE:sales.apac.tü+4", "TABLE:sales.emea.mv MATERIALIZED_VIEW", "TABLE:sales.emea.st STREAMING_TABLE",
		"TABLE:sales.emea.t1", "TABLE:sales.emea.t2", "TABLE:sales.emea.t3", "TABLE:sales.emea.v VIEW"}},
	{"schema:sales.emea", policy.Function, []string{"FUNCTION:sales.emea.f1", "FUNCTION:sales.emea.f2", "FUNCTION:sales.emea.m1 REGISTERED_MODEL"}},
	{"catalog:sales", policy.Function, []string{"FUNCTION:sales.emea.f1", "FUNCTION:sales.emea.f2", "FUNCTION:sales.emea.m1 REGISTERED_MODEL"}},
	{"schema:sales.empty", policy.Table, nil},
	{"schema:sales.apac", policy.Volume, []string{"VOLUME:sales.apac.v1", "VOLUME:sales.apac.v2", "VOLUME:sales.apac.v3"}},
	{"catalog:sales", policy.Volume, []string{"VOLUME:sales.apac.v1", "VOLUME:sales.apac.v2", "VOLUME:sales.apac.v3", "VOLUME:sales.emea.vol"}},
	{"", policy.StorageCredential, []string{"STORAGE_CREDENTIAL:sc"}},
	{"", policy.Credential, []string{"CREDENTIAL:svc"}},
	{"", policy.ExternalLocation, []string{"EXTERNAL_LOCATION:lake"}},
	{"", policy.Connection, []string{"CONNECTION:pg"}},
	{"", policy.Share, []string{"SHARE:out"}},
	{"", policy.Recipient, []string{"RECIPIENT:partner"}},
	{"", policy.Provider, []string{"PROVIDER:supplier"}},
}

func TestListTheEmulator(t *testing.T) {
	for name, o := range map[string]emulator.Options{
		"large pages":                 {},
		"small pages":                 {MaxPageSize: 2, PageSize: 2},
		"small pages, empty between":  {MaxPageSize: 1, PageSize: 1, EmptyPages: true},
		"without table-summaries":     {},
		"failing now and then":        {MaxPageSize: 1, PageSize: 1, RandomSeed: 1},
		"breaking off now and then":   {MaxPageSize: 1, PageSize: 1, RandomSeed: 2},
		"talking nonsense now, never": {RandomSeed: 3},
	} {
		t.Run(name, func(t *testing.T) {
			server, c := emulated(t, o)
			switch o.RandomSeed {
			case 1:
				fault(t, server, emulator.Fault{Status: 503, Every: 3}, emulator.Fault{Status: 500, Every: 7})
			case 2:
				fault(t, server, emulator.Fault{Truncate: true, Every: 3}, emulator.Fault{Drop: true, Every: 8})
			case 3:
				fault(t, server, emulator.Fault{Garble: true, Every: 5}) // requests side by side may be unlucky several times in a row
			}
			if name == "without table-summaries" {
				fault(t, server, emulator.Fault{Path: "*/table-summaries", Status: 501})
			}
			for _, l := range listings {
				parent := policy.Securable{}
				if l.parent != "" {
					parent = securable(t, l.parent)
				}
				list, err := c.List(t.Context(), parent, l.t)
				if err != nil {
					t.Errorf("%s of %s: %v", l.t, l.parent, err)
					continue
				}
				var got []string
				for _, o := range list {
					got = append(got, strings.TrimSpace(o.String()+" "+string(o.Kind)))
				}
				slices.Sort(got)
				if diff := cmp.Diff(l.want, got); diff != "" {
					t.Errorf("%s of %s (-want +got):\n%s", l.t, l.parent, diff)
				}
			}
		})
	}
}

// Everything that is listed can be looked up, with the same kind, and its grants can be read and changed.
func TestEachObjectOfTheEmulator(t *testing.T) {
	server, c := emulated(t, emulator.Options{PermissionPageSize: 1})
	privileges := map[policy.SecurableType]policy.Privilege{
		policy.Metastore: "CREATE_CATALOG", policy.Catalog: policy.UseCatalog, policy.Schema: policy.UseSchema, policy.Table: policy.Select,
		policy.Function: policy.Execute, policy.Volume: policy.ReadVolume, policy.StorageCredential: "READ_FILES", policy.Credential: "ACCESS",
		policy.ExternalLocation: "READ_FILES", policy.Connection: "USE_CONNECTION", policy.Share: policy.Select,
	}
	for _, l := range listings {
		parent := policy.Securable{}
		if l.parent != "" {
			parent = securable(t, l.parent)
		}
		list, err := c.List(t.Context(), parent, l.t)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list {
			found, err := c.Get(t.Context(), o.Securable)
			if err != nil || found.Kind != o.Kind {
				t.Errorf("get %s %s: got %+v, %v", o.Securable, o.Kind, found, err)
			}
			privilege, grantable := privileges[o.Type]
			if !grantable {
				continue
			}
			principal := "bob@example.com"
			if o.Type == policy.Share {
				principal = "partner"
			}
			grant := policy.Grant{Securable: o.Securable, Principal: policy.PrincipalByShape(principal), Privilege: privilege}
			before := server.Grants()
			change := policy.Change{Securable: o.Securable, Add: assign(principal, privilege)}
			after, err := c.Apply(t.Context(), change)
			if err != nil || !slices.Contains(after, change.Add[0]) {
				t.Errorf("%s: got %v, %v", change, after, err)
			}
			want := before.Clone()
			want.Add(grant)
			if diff := cmp.Diff(slices.Collect(want.All()), slices.Collect(server.Grants().All())); diff != "" {
				t.Errorf("%s changed something else (-want +got):\n%s", change, diff)
			}
			read, err := c.Grants(t.Context(), o.Securable)
			if err != nil || !sameGrants(living(read), server.Grants().Of(o.Securable)) || !sameGrants(read, after) {
				t.Errorf("grants on %s: read %v, the change answered %v, there are %v, %v", o.Securable, read, after, server.Grants().Of(o.Securable), err)
			}
			change = policy.Change{Securable: o.Securable, Remove: assign(principal, privilege)}
			if after, err = c.Apply(t.Context(), change); err != nil || slices.Contains(after, change.Remove[0]) {
				t.Errorf("%s: got %v, %v", change, after, err)
			}
		}
	}
}

func sameGrants(a, b []policy.Assignment) bool {
	set := func(list []policy.Assignment) map[policy.Assignment]bool {
		m := make(map[policy.Assignment]bool)
		for _, a := range list {
			a.Kind = policy.UnknownKind // the API says names
			m[a] = true
		}
		return m
	}
	return len(a) == len(b) && maps.Equal(set(a), set(b))
}

func TestRefusalsOfTheEmulator(t *testing.T) {
	server, c := emulated(t, emulator.Options{})
	emea := securable(t, "schema:sales.emea")
	before := slices.Collect(server.Grants().All())
	var unknown *apply.PrincipalError

	_, err := c.Apply(t.Context(), policy.Change{Securable: emea, Add: slices.Concat(assign("bob@example.com", "SELECT"), assign("nobody@example.com", "SELECT"))})
	checkCode(t, err, policy.CodeInvalid)
	if !errors.As(err, &unknown) || unknown.Principal.Name != "nobody@example.com" {
		t.Errorf("unknown principal: got %v", err)
	}
	_, err = c.Apply(t.Context(), policy.Change{Securable: securable(t, "share:out"), Add: assign("stranger", "SELECT")})
	if !errors.As(err, &unknown) || unknown.Principal.Name != "stranger" {
		t.Errorf("unknown recipient: got %v", err)
	}
	_, err = c.Apply(t.Context(), policy.Change{Securable: securable(t, "schema:sales.gone"), Add: assign("bob@example.com", "SELECT")})
	checkCode(t, err, policy.CodeNotFound)
	if errors.As(err, &unknown) {
		t.Errorf("a securable that is gone was taken for a principal: %v", err)
	}
	_, err = c.Apply(t.Context(), policy.Change{Securable: securable(t, "view:sales.emea.v"), Add: assign("bob@example.com", "MODIFY")})
	checkCode(t, err, policy.CodeInvalid)
	if diff := cmp.Diff(before, slices.Collect(server.Grants().All())); diff != "" {
		t.Errorf("a refused change had an effect (-before +after):\n%s", diff)
	}
	for _, s := range []string{"catalog:gone", "schema:sales.gone", "table:sales.emea.gone", "function:sales.emea.gone", "volume:sales.emea.gone",
		"metastore:gone", "external_location:gone", "storage_credential:gone", "credential:gone", "connection:gone", "share:gone", "recipient:gone", "provider:gone"} {
		_, err := c.Get(t.Context(), securable(t, s))
		checkCode(t, err, policy.CodeNotFound)
	}
	_, err = c.List(t.Context(), securable(t, "catalog:gone"), policy.Table)
	checkCode(t, err, policy.CodeNotFound)
	_, err = c.List(t.Context(), securable(t, "schema:sales.gone"), policy.Table)
	checkCode(t, err, policy.CodeNotFound)

	_, url := startEmulator(t, emulator.Options{})
	reader := newClient(t, unitycatalog.Options{Host: url, Token: readerToken, Pacing: quick})
	_, err = reader.Grants(t.Context(), emea)
	checkCode(t, err, policy.CodeForbidden)
	stranger := newClient(t, unitycatalog.Options{Host: url, Token: "dapi-s3cr3t-unknown", Pacing: quick})
	_, err = stranger.Whoami(t.Context())
	checkCode(t, err, policy.CodeUnauthenticated, "check databricks.token")
}

func TestWhoamiOfTheEmulator(t *testing.T) {
	const app = "11111111-2222-3333-4444-555555555555"
	_, url := startEmulator(t, emulator.Options{Clients: map[string]string{app: "s3cr3t"}})
	for _, test := range []struct {
		o    unitycatalog.Options
		want unitycatalog.Identity
	}{
		{unitycatalog.Options{Token: adminToken}, unitycatalog.Identity{Principal: policy.PrincipalByShape(admin)}},
		{unitycatalog.Options{Token: readerToken}, unitycatalog.Identity{Principal: policy.PrincipalByShape("ann@example.com"), Groups: []policy.Principal{policy.PrincipalByShape("Data Team")}}},
		{unitycatalog.Options{ClientID: app, ClientSecret: "s3cr3t"}, unitycatalog.Identity{Principal: policy.PrincipalByShape(app)}},
	} {
		test.o.Host = url
		got, err := newClient(t, test.o).Whoami(t.Context())
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("identity (-want +got):\n%s", diff)
		}
	}
	wrong := newClient(t, unitycatalog.Options{Host: url, ClientID: app, ClientSecret: "wr0ng"})
	_, err := wrong.Whoami(t.Context())
	checkCode(t, err, policy.CodeUnauthenticated, "check databricks.client_id and databricks.client_secret")
}

// living returns the grants without those of deleted principals.
func living(list []policy.Assignment) []policy.Assignment {
	return slices.DeleteFunc(slices.Clone(list), func(a policy.Assignment) bool { return a.Deleted() })
}

// A lost reply is asked for again, and the second change finds its work done.
func TestLostRepliesOfTheEmulator(t *testing.T) {
	server, c := emulated(t, emulator.Options{})
	fault(t, server, emulator.Fault{Method: "PATCH", Drop: true, After: true, Every: 2}, emulator.Fault{Method: "PATCH", Status: 504, After: true, Every: 3})
	emea := securable(t, "schema:sales.emea")
	for i := range 10 {
		change := policy.Change{Securable: emea, Add: assign("bob@example.com", "SELECT")}
		want := assign("Data Team", "USE_SCHEMA")
		if i%2 == 1 {
			change.Add, change.Remove = nil, change.Add
		} else {
			want = append(want, change.Add...)
		}
		got, err := c.Apply(t.Context(), change)
		if err != nil || !sameGrants(living(got), want) || len(got) != len(want)+1 {
			t.Fatalf("%s: got %v, %v", change, got, err)
		}
	}
}

// Many callers at once, under a limit of the server and with failures: every call succeeds in the end.
func TestStormOfTheEmulator(t *testing.T) {
	server, url := startEmulator(t, emulator.Options{Seed: emulator.Generate(emulator.Size{Catalogs: 1, Schemas: 1, Tables: 200})})
	c := newClient(t, unitycatalog.Options{Host: url, Token: adminToken,
		Pacing: unitycatalog.Pacing{MaxAttempts: 20, BaseBackoff: time.Millisecond, MaxBackoff: 50 * time.Millisecond}})
	server.ResetTrace()
	fault(t, server, emulator.Fault{Status: 429, AboveRate: 300}, emulator.Fault{Status: 503, Every: 11}, emulator.Fault{Drop: true, Every: 13})
	list, err := c.List(t.Context(), securable(t, "catalog:sales"), policy.Table)
	if err != nil || len(list) != 200 {
		t.Fatalf("%d tables, %v", len(list), err)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 40)
	for _, o := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			want := assign("analysts", policy.Select)
			got, err := c.Apply(t.Context(), policy.Change{Securable: o.Securable, Add: want})
			if err != nil || !sameGrants(got, want) {
				t.Errorf("%s: got %v, %v", o.Securable, got, err)
			}
		})
	}
	wg.Wait()
	if got := server.Grants().Len(); got != 200 {
		t.Errorf("%d grants, want 200", got)
	}
	refused := 0
	for _, e := range server.Trace() {
		if e.Status == 429 {
			refused++
		}
	}
	if all := int(server.Stats().Requests); refused > all/3 {
		t.Errorf("%d of %d requests were refused: the pace was not adapted", refused, all)
	}
}

// The number of calls is the least there can be.
func TestNumberOfCalls(t *testing.T) {
	server, c := emulated(t, emulator.Options{})
	for _, test := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"tables of a catalog", func() error { _, err := c.List(t.Context(), catalogOf("sales"), policy.Table); return err }, []string{"GET table-summaries"}},
		{"tables of a schema", func() error {
			_, err := c.List(t.Context(), securable(t, "schema:sales.emea"), policy.Table)
			return err
		}, []string{"GET tables"}},
		{"functions of a schema", func() error {
			_, err := c.List(t.Context(), securable(t, "schema:sales.emea"), policy.Function)
			return err
		}, []string{"GET functions", "GET models"}},
		{"a table", func() error { _, err := c.Get(t.Context(), securable(t, "table:sales.emea.t1")); return err }, []string{"GET tables/sales.emea.t1"}},
		{"grants", func() error { _, err := c.Grants(t.Context(), securable(t, "table:sales.emea.t1")); return err }, []string{"GET permissions/table/sales.emea.t1"}},
		{"a change", func() error {
			_, err := c.Apply(t.Context(), policy.Change{Securable: securable(t, "table:sales.emea.t1"), Add: assign("bob@example.com", "SELECT", "MODIFY")})
			return err
		}, []string{"PATCH permissions/table/sales.emea.t1"}},
	} {
		server.ResetTrace()
		if err := test.do(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		var got []string
		for _, e := range server.Trace() {
			got = append(got, fmt.Sprintf("%s %s", e.Method, strings.TrimPrefix(e.Path, uc)))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("calls for %s (-want +got):\n%s", test.name, diff)
		}
	}
}

func catalogOf(name string) policy.Securable {
	return policy.Securable{Type: policy.Catalog, FullName: name}
}
