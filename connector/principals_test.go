package connector_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"ucwarden/connector"
	"ucwarden/connector/apply"
	"ucwarden/connector/emulator"
	"ucwarden/policy"
)

// account is a Workspace in memory with one catalog of tables, that knows some principals only.
type account struct {
	mu      sync.Mutex
	tables  int
	known   map[string]bool
	tells   bool // names the unknown principal
	grants  *policy.GrantSet
	applied []policy.Change
}

func (a *account) List(_ context.Context, parent policy.Securable, t policy.SecurableType) ([]policy.Object, error) {
	switch {
	case t == policy.Catalog:
		return []policy.Object{{Securable: policy.Securable{Type: policy.Catalog, FullName: "c"}}}, nil
	case t == policy.Schema:
		return []policy.Object{{Securable: policy.Securable{Type: policy.Schema, FullName: "c.s"}}}, nil
	case t == policy.Table:
		var list []policy.Object
		for i := range a.tables {
			list = append(list, policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: fmt.Sprintf("c.s.t%d", i)}})
		}
		return list, nil
	}
	return nil, nil
}

func (a *account) Get(_ context.Context, s policy.Securable) (policy.Object, error) {
	return policy.Object{Securable: s}, nil
}

func (a *account) Grants(_ context.Context, s policy.Securable) ([]policy.Assignment, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.grants.Of(s)), nil
}

// learn has the account know a principal.
func (a *account) learn(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[name] = true
}

func (a *account) Apply(_ context.Context, c policy.Change) ([]policy.Assignment, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.applied = append(a.applied, c)
	for _, x := range slices.Concat(c.Add, c.Remove) {
		if !a.known[x.Name] {
			e := &apply.PrincipalError{Err: errors.New("no such principal")}
			if a.tells {
				e.Principal = x.Principal
			}
			return nil, e
		}
	}
	list := slices.DeleteFunc(slices.Clone(a.grants.Of(c.Securable)), func(x policy.Assignment) bool { return slices.Contains(c.Remove, x) })
	a.grants.Set(c.Securable, append(list, c.Add...))
	return slices.Clone(a.grants.Of(c.Securable)), nil
}

// The rest of a change is applied, whether or not the workspace says whom it does not know; who is not known is named
// and left alone for a while.
func TestUnknownPrincipals(t *testing.T) {
	everyone := []string{"a@x", "b@x", "gone@x", "c@x", "d@x", "left@x", "e@x"}
	for _, tells := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := &account{tables: 2, tells: tells, known: map[string]bool{}, grants: &policy.GrantSet{}}
			for _, p := range everyone {
				w.known[p] = p != "gone@x" && p != "left@x"
			}
			policies := &fixed{}
			policies.set(t, allow("table:c.s.t*", strings.Join(everyone, " "), "select"))
			s, err := connector.New(connector.Options{Workspace: w, Policies: policies, Parallel: 1, UnknownPrincipalTTL: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			sync := func() (unknown []policy.Principal) {
				t.Helper()
				w.applied = nil
				result, err := s.Sync(t.Context(), connector.Request{})
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range result.Outcomes {
					if o.Err != nil {
						t.Errorf("%s: %v", o.Change.Securable, o.Err)
					}
					for _, x := range slices.Concat(o.Change.Add, o.Change.Remove) {
						if o.Change.Causes.Of(policy.ActAdd, x).PolicyID != 1 {
							t.Errorf("%s: no cause of %s", o.Change.Securable, x)
						}
						if slices.Contains(o.Unknown, x.Principal) {
							t.Errorf("%s is said to hold %s", o.Change.Securable, x)
						}
					}
					unknown = append(unknown, o.Unknown...)
				}
				slices.SortFunc(unknown, policy.ComparePrincipals)
				return slices.Compact(unknown)
			}
			if got := sync(); !slices.Equal(got, []policy.Principal{policy.PrincipalByShape("gone@x"), policy.PrincipalByShape("left@x")}) {
				t.Errorf("unknown: %v", got)
			}
			if got := w.grants.Len(); got != 5*4 {
				t.Errorf("%d grants, want SELECT on 2 tables, USE_SCHEMA and USE_CATALOG for each of 5: %v", got, lines(w.grants))
			}
			tried := 0
			for _, c := range w.applied {
				if slices.ContainsFunc(c.Add, func(a policy.Assignment) bool { return a.Name == "gone@x" }) {
					tried++
				}
			}
			if most := map[bool]int{true: 1, false: 4}[tells]; tried > most {
				t.Errorf("the principal was tried %d times", tried)
			}
			if sync(); len(w.applied) > 0 {
				t.Errorf("tried again at once: %v", w.applied)
			}
			time.Sleep(time.Hour + time.Second) // of the bubble
			w.known["gone@x"] = true
			if got := sync(); !slices.Equal(got, []policy.Principal{policy.PrincipalByShape("left@x")}) || w.grants.Len() != 6*4 {
				t.Errorf("an hour later: unknown %v, grants %v", got, lines(w.grants))
			}
		})
	}
}

// Who was unknown to one call keeps what it holds.
func TestUnknownKeepsGrants(t *testing.T) {
	w := &account{tables: 2, tells: true, known: map[string]bool{"a@x": true}, grants: &policy.GrantSet{}}
	held := policy.Assignment{Principal: policy.PrincipalByShape("new@x"), Privilege: policy.Select}
	w.grants.Set(policy.Securable{Type: policy.Table, FullName: "c.s.t0"}, []policy.Assignment{held})
	policies := &fixed{}
	policies.set(t, allow("table:c.s.t*", "a@x new@x", "select"))
	s, err := connector.New(connector.Options{Workspace: w, Policies: policies, Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Sync(t.Context(), connector.Request{}); err != nil {
			t.Fatal(err)
		}
		for _, c := range w.applied {
			if len(c.Remove) > 0 {
				t.Errorf("revoked: %s", c)
			}
		}
		w.known["new@x"] = true
	}
	if got := w.grants.Of(policy.Securable{Type: policy.Table, FullName: "c.s.t0"}); !slices.Contains(got, held) {
		t.Errorf("grants %v", got)
	}
}

// Parts of a change that are sent one by one never leave a gap.
func TestPartsKeepOrder(t *testing.T) {
	w := &account{tables: 1, known: map[string]bool{"zoe@x": true, "bob@x": true}, grants: &policy.GrantSet{}}
	table := policy.Securable{Type: policy.Table, FullName: "c.s.t0"}
	w.grants.Set(table, []policy.Assignment{{Principal: policy.PrincipalByShape("bob@x"), Privilege: policy.Select}})
	for s, use := range map[policy.Securable]policy.Privilege{{Type: policy.Schema, FullName: "c.s"}: policy.UseSchema, {Type: policy.Catalog, FullName: "c"}: policy.UseCatalog} {
		w.grants.Set(s, []policy.Assignment{{Principal: policy.PrincipalByShape("zoe@x"), Privilege: use}, {Principal: policy.PrincipalByShape("gone@x"), Privilege: use}})
	}
	policies := &fixed{}
	policies.set(t, allow("table:c.s.t0", "zoe@x gone@x", "select"))
	s, err := connector.New(connector.Options{Workspace: w, Policies: policies, Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sync(t.Context(), connector.Request{}); err != nil {
		t.Fatal(err)
	}
	revoked := false
	for _, c := range w.applied {
		if c.Securable != table {
			continue
		}
		if revoked && len(c.Add) > 0 {
			t.Errorf("%s after a removal", c)
		}
		revoked = revoked || len(c.Add) == 0
	}
	if got := w.grants.Of(table); !revoked || len(got) != 1 || got[0].Name != "zoe@x" {
		t.Errorf("grants %v after %v", got, w.applied)
	}
}

// TestScope leaves objects and principals out at random: nothing of theirs is ever changed.
func TestScope(t *testing.T) {
	runs, failed := 0, false
	rapid.Check(t, func(rt *rapid.T) {
		if runs++; runs > 20 && !failed {
			return
		}
		defer func() { failed = failed || rt.Failed() }()
		filter := func(label string, names ...string) policy.Filter {
			return policy.Filter{
				Include: rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 2, rapid.ID).Draw(rt, label+" include"),
				Exclude: rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 2, rapid.ID).Draw(rt, label+" exclude"),
			}
		}
		o := policy.ScopeOptions{
			Objects: map[policy.SecurableType]policy.Filter{
				policy.Catalog: filter("catalogs", "sales", "hr", "*"),
				policy.Schema:  filter("schemas", "sales.emea", "sales.*", "*.*"),
				policy.Table:   filter("tables", "sales.emea.orders", "*.*.orders", "*.*.*"),
			},
			Users: filter("users", "ann@example.com", "bob@*", "*"), Groups: filter("groups", "analysts", "engineers", "*"),
			Protected: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"bob@example.com", "analysts", admin}), 0, 2, rapid.ID).Draw(rt, "protected"),
		}
		scope, err := policy.NewScope(o)
		if err != nil {
			rt.Fatal(err)
		}
		r := newRig(t, rigOptions{size: drawGrants(rt, t), syncer: connector.Options{Scope: scope}}, drawPolicies(rt)...)
		defer r.stop()
		r.grant("catalog:sales", admin, "USE_CATALOG", "MANAGE") // our own access
		before := r.server.Grants()
		r.server.ResetTrace()
		r.sync(rapid.SampledFrom([][]string{nil, {"catalog:sales"}, {"schema:sales.emea"}, {"table:sales.emea.orders"}}).Draw(rt, "roots")...)
		for _, e := range r.server.Trace() {
			if e.Method != "PATCH" {
				continue
			}
			if c := changeOf(rt, e); !scope.Includes(c.Securable) && (!scope.AddsOnly(c.Securable) || len(c.Remove) > 0) {
				rt.Fatalf("out of scope: %s", c)
			}
		}
		after := r.server.Grants()
		check := func(g policy.Grant, what string) {
			opens := scope.AddsOnly(g.Securable) && g.Privilege == policy.UseCatalog && what == "granted"
			if slices.Contains(o.Protected, g.Principal.Name) || !scope.Includes(g.Securable) && !opens || !scope.Manages(g.Principal) {
				rt.Fatalf("%s: %v", what, g)
			}
		}
		for g := range before.All() {
			if !after.Has(g) {
				check(g, "revoked")
			}
		}
		for g := range after.All() {
			if !before.Has(g) {
				check(g, "granted")
			}
		}
	})
}

// A principal that was deleted and whose grants are still there is named, and its grants are left alone: those of a new one of
// its name are not.
func TestDeletedPrincipals(t *testing.T) {
	r := newRig(t, rigOptions{}, usual()...)
	r.sync()
	r.grant("table:sales.emea.orders", "eve@example.com", "SELECT", "MODIFY")
	r.grant("schema:sales.emea", "eve@example.com", "USE_SCHEMA")
	if !r.server.DeletePrincipal("eve@example.com") || r.server.AddPrincipal(emulator.User, "eve@example.com") != nil {
		t.Fatal("eve is not made anew")
	}
	r.grant("volume:sales.emea.landing", "eve@example.com", "READ_VOLUME")
	result := r.sync("catalog:sales")
	if got, want := planned(result), []string{"0 VOLUME:sales.emea.landing -eve@example.com READ_VOLUME"}; len(got) != 1 || got[0][1:] != want[0][1:] {
		t.Errorf("planned %q, want %q", got, want)
	}
	named := 0
	for _, f := range result.Plan.Report.Findings {
		if f.Principal.Deleted() {
			named++
		}
	}
	if named != 1 {
		t.Errorf("%d findings on the deleted: %v", named, result.Plan.Report.Findings)
	}
	r.server.ResetTrace()
	if again := r.sync("catalog:sales"); !again.Plan.Empty() || r.patches() > 0 {
		t.Errorf("again: %v", again.Plan.Changes)
	}
}
