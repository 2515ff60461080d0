package connector_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ucwarden/connector"
	"ucwarden/connector/emulator"
	"ucwarden/connector/unitycatalog"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// The tests here run syncs over the real client against the emulator, which refuses what Unity Catalog refuses. Where
// a fault must come at an exact moment, a fake stands between syncer and client.

const (
	token = "dapi-token"
	admin = "admin@example.com"
)

// sample is a small metastore with everything in it. Ann is an analyst.
const sample = `
metastore: {name: main, id: 12345678-aaaa-bbbb-cccc-000000000001}
users: [ann@example.com, bob@example.com, eve@example.com]
groups: [{name: analysts, members: [ann@example.com]}, {name: engineers}]
catalogs:
- name: sales
  schemas:
  - name: emea
    tables: [orders, customers, {name: orders_v, type: VIEW, definition: SELECT 1}]
    functions: [net]
    models: [churn]
    volumes: [landing]
  - name: apac
    tables: [orders, leads]
- name: hr
  schemas:
  - {name: core, tables: [staff]}
- {name: system, schemas: [{name: access, tables: [{name: audit, grants: {eve@example.com: [SELECT]}}]}], grants: {eve@example.com: [USE_CATALOG]}}
storage_credentials: [{name: sc}]
credentials: [{name: svc}]
external_locations: [{name: lake, url: "s3://bucket/lake", credential: sc}]
connections: [{name: pg}]
`

// fixed is a source of policies that a test sets.
type fixed struct {
	snapshot atomic.Pointer[ranger.Snapshot]
}

func (f *fixed) Current() *ranger.Snapshot { return f.snapshot.Load() }

func (f *fixed) set(t testing.TB, policies ...ranger.Policy) {
	t.Helper()
	f.snapshot.Store(snapshotOf(t, policies...))
}

func snapshotOf(t testing.TB, policies ...ranger.Policy) *ranger.Snapshot {
	t.Helper()
	for i := range policies {
		policies[i].ID = int64(i + 1)
	}
	s, err := ranger.NewSnapshot(ranger.SnapshotInput{Policies: &ranger.ServicePolicies{ServiceName: "uc", PolicyVersion: 1, Policies: policies}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// allow makes a policy: allow("table:sales.emea.*", "analysts ann@example.com", "select modify").
func allow(resource, who, accesses string) ranger.Policy {
	typ, name, _ := strings.Cut(resource, ":")
	levels := []string{"catalog", "schema", typ}
	values := strings.Split(name, ".")
	if len(values) < 3 {
		levels = []string{"catalog", "schema"}[:len(values)]
		if typ != "catalog" && typ != "schema" {
			levels = []string{typ}
		}
	}
	p := ranger.Policy{Name: resource + " " + who + " " + accesses, Resources: map[string]ranger.PolicyResource{}}
	for i, level := range levels {
		p.Resources[level] = ranger.PolicyResource{Values: []string{values[i]}}
	}
	item := ranger.PolicyItem{}
	for name := range strings.FieldsSeq(who) {
		if strings.Contains(name, "@") {
			item.Users = append(item.Users, name)
		} else {
			item.Groups = append(item.Groups, name)
		}
	}
	for a := range strings.FieldsSeq(accesses) {
		item.Accesses = append(item.Accesses, ranger.ItemAccess{Type: a})
	}
	p.PolicyItems = []ranger.PolicyItem{item}
	return p
}

// inMemory is a memory.Store.
type inMemory struct {
	mu     sync.Mutex
	values map[string][]byte
	err    error
}

func (m *inMemory) Load(key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key], m.err
}

func (m *inMemory) Save(key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = make(map[string][]byte)
	}
	m.values[key] = value
	return m.err
}

// workspace is an emulator whose grants are the product's.
type workspace struct{ *emulator.Server }

func (w workspace) Grants() *policy.GrantSet { return grantSet(w.Server.Grants()) }

// grantSet returns the emulator's grants as the product holds them.
func grantSet(list []emulator.Grant) *policy.GrantSet {
	set := policy.NewGrantSet()
	for _, g := range list {
		set.Add(policy.Grant{Securable: policy.Securable{Type: policy.SecurableType(g.Type), FullName: g.Name},
			Principal: policy.PrincipalByShape(g.Principal), Privilege: policy.Privilege(g.Privilege)})
	}
	return set
}

// rig is a syncer over an emulator.
type rig struct {
	t        testing.TB
	server   workspace
	client   *unitycatalog.Client
	policies *fixed
	stop     func() // for properties, which make many; at the end of the test at the latest
	*connector.Syncer
}

type rigOptions struct {
	seed     string         // YAML; sample when empty
	size     *emulator.Seed // instead of seed
	emulator emulator.Options
	attempts int
	who      string            // the syncer's identity; admin when empty
	syncer   connector.Options // workspace and policies are put in
	wrap     func(connector.Workspace) connector.Workspace
}

func newRig(t testing.TB, o rigOptions, policies ...ranger.Policy) *rig {
	t.Helper()
	if o.seed == "" {
		o.seed = sample
	}
	if o.emulator.Seed = o.size; o.size == nil {
		seed, err := emulator.ParseSeed([]byte(o.seed))
		if err != nil {
			t.Fatal(err)
		}
		o.emulator.Seed = seed
	}
	if o.who == "" {
		o.who = admin
	}
	o.emulator.Tokens = map[string]string{token: o.who}
	server, err := emulator.New(o.emulator)
	if err != nil {
		t.Fatal(err)
	}
	running, err := server.Start("")
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = running.Shutdown(ctx) // requests that a test gave up are cut off
	})
	t.Cleanup(stop)
	if o.attempts == 0 {
		o.attempts = 5
	}
	client, err := unitycatalog.New(t.Context(), unitycatalog.Options{Host: running.URL, Token: token,
		Pacing: unitycatalog.Pacing{MaxAttempts: o.attempts, BaseBackoff: time.Millisecond, MaxBackoff: 4 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	r := &rig{t: t, server: workspace{server}, client: client, policies: &fixed{}, stop: func() { client.Close(); stop() }}
	r.policies.set(t, policies...)
	o.syncer.Policies, o.syncer.Workspace, o.syncer.Directory = r.policies, client, client
	if o.wrap != nil {
		o.syncer.Workspace = o.wrap(client)
	}
	if r.Syncer, err = connector.New(o.syncer); err != nil {
		t.Fatal(err)
	}
	server.ResetTrace()
	return r
}

func sec(t testing.TB, s string) policy.Securable {
	t.Helper()
	if s == "metastore:" {
		return policy.Securable{Type: policy.Metastore}
	}
	parsed, err := policy.ParseSecurable(s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func (r *rig) roots(list ...string) connector.Request {
	var request connector.Request
	for _, s := range list {
		request.Roots = append(request.Roots, sec(r.t, s))
	}
	return request
}

// sync syncs the roots and expects every change to hold.
func (r *rig) sync(roots ...string) *connector.Result {
	r.t.Helper()
	result, err := r.Sync(r.t.Context(), r.roots(roots...))
	if err != nil {
		r.t.Fatal(err)
	}
	if len(result.Outcomes) != len(result.Plan.Changes) && r.Mode != policy.ModeObserve {
		r.t.Fatalf("%d outcomes of %d changes", len(result.Outcomes), len(result.Plan.Changes))
	}
	for _, o := range result.Outcomes {
		if o.Err != nil {
			r.t.Fatalf("%s: %v", o.Change.Securable, o.Err)
		}
	}
	return result
}

func (r *rig) fault(faults ...emulator.Fault) {
	r.t.Helper()
	if _, err := r.server.AddFaults(faults...); err != nil {
		r.t.Fatal(err)
	}
}

// grant puts grants into the emulator by hand: grant("table:a.b.c", "ann@example.com", "SELECT").
func (r *rig) grant(s, principal string, privileges ...policy.Privilege) {
	r.t.Helper()
	c := policy.Change{Securable: sec(r.t, s)}
	for _, p := range privileges {
		c.Add = append(c.Add, policy.Assignment{Principal: policy.PrincipalByShape(principal), Privilege: p})
	}
	if _, err := r.client.Apply(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) revoke(s, principal string, privileges ...policy.Privilege) {
	r.t.Helper()
	c := policy.Change{Securable: sec(r.t, s)}
	for _, p := range privileges {
		c.Remove = append(c.Remove, policy.Assignment{Principal: policy.PrincipalByShape(principal), Privilege: p})
	}
	if _, err := r.client.Apply(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) patches() int { return int(r.server.Stats().Count("PATCH ")) }

// lines spells grants, one a line: "TABLE:a.b.c ann@example.com MODIFY SELECT".
func lines(g *policy.GrantSet) []string {
	by := map[string][]string{}
	for x := range g.All() {
		key := fmt.Sprintf("%s %s", x.Securable, x.Principal)
		by[key] = append(by[key], string(x.Privilege))
	}
	var list []string
	for _, key := range slices.Sorted(maps.Keys(by)) {
		list = append(list, key+" "+strings.Join(by[key], " "))
	}
	return list
}

// desired is what the policies in force mean for everything the emulator lists, outside the catalogs that are its own.
func (r *rig) desired() *policy.GrantSet {
	r.t.Helper()
	var objects []policy.Object
	list := func(parent policy.Securable, t policy.SecurableType) []policy.Object {
		found, err := r.client.List(r.t.Context(), parent, t)
		if err != nil {
			r.t.Fatal(err)
		}
		objects = append(objects, found...)
		return found
	}
	for _, t := range []policy.SecurableType{policy.Metastore, policy.ExternalLocation, policy.StorageCredential, policy.Credential, policy.Connection} {
		list(policy.Securable{}, t)
	}
	catalogs, err := r.client.List(r.t.Context(), policy.Securable{}, policy.Catalog)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range catalogs {
		if c.FullName == "system" {
			continue
		}
		objects = append(objects, c)
		for _, t := range []policy.SecurableType{policy.Schema, policy.Table, policy.Function, policy.Volume} {
			list(c.Securable, t)
		}
	}
	o := r.Compile
	o.Time = time.Now()
	rules, err := rules.New(r.policies.Current(), rules.Options{})
	if err != nil {
		panic(err)
	}
	return compile.New(rules, o).Compile(policy.NewInventory(objects...)).Grants
}

// errStale, from after, makes a fake answer with the grants that stand then.
var errStale = policy.Errorf(policy.CodeInternal, "stale")

// fake is a Workspace with hooks around the calls of another; a hook that is nil does nothing.
type fake struct {
	connector.Workspace
	list   func(parent policy.Securable, t policy.SecurableType, found []policy.Object, err error) ([]policy.Object, error)
	get    func(s policy.Securable) error
	grants func(s policy.Securable) error
	apply  func(c policy.Change) error // before the call; an error stands for its answer
	after  func(c policy.Change) error // after the call took effect; an error stands for its answer
}

func (f *fake) List(ctx context.Context, parent policy.Securable, t policy.SecurableType) ([]policy.Object, error) {
	found, err := f.Workspace.List(ctx, parent, t)
	if f.list != nil {
		return f.list(parent, t, found, err)
	}
	return found, err
}

func (f *fake) Get(ctx context.Context, s policy.Securable) (policy.Object, error) {
	if f.get != nil {
		if err := f.get(s); err != nil {
			return policy.Object{}, err
		}
	}
	return f.Workspace.Get(ctx, s)
}

func (f *fake) Grants(ctx context.Context, s policy.Securable) ([]policy.Assignment, error) {
	if f.grants != nil {
		if err := f.grants(s); err != nil {
			return nil, err
		}
	}
	return f.Workspace.Grants(ctx, s)
}

func (f *fake) Apply(ctx context.Context, c policy.Change) ([]policy.Assignment, error) {
	if f.apply != nil {
		if err := f.apply(c); err != nil {
			return nil, err
		}
	}
	have, err := f.Workspace.Apply(ctx, c)
	if f.after != nil {
		switch err := f.after(c); {
		case errors.Is(err, errStale):
			return f.Workspace.Grants(ctx, c.Securable)
		case err != nil:
			return nil, err
		}
	}
	return have, err
}

var _ connector.Workspace = (*fake)(nil)

// through puts a fake between syncer and client, to be given its hooks later.
func through(f *fake) func(connector.Workspace) connector.Workspace {
	return func(w connector.Workspace) connector.Workspace {
		f.Workspace = w
		return f
	}
}
