package connector_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/connector"
	"ucwarden/connector/emulator"
	"ucwarden/policy"
	"ucwarden/policy/directory"
)

const us = "3f9d2c1e-0000-4000-8000-1a2b3c4d5e6f"

// nested is a workspace in which we have our access through a group in a group in a group, which owns a catalog besides.
const nested = `
metastore: {name: main, id: 12345678-aaaa-bbbb-cccc-000000000001}
account_admins: [admin@example.com, ` + us + `]
users: [Ann.Lopez@example.com, bob@example.com]
service_principals: [` + us + `]
groups:
- {name: connectors, members: [` + us + `]}
- {name: tools, members: [connectors]}
- {name: uc-operators, members: [tools, bob@example.com]}
- {name: leavers, members: [bob@example.com]}
- {name: analysts, members: [Ann.Lopez@example.com]}
catalogs:
- name: sales
  owner: admin@example.com
  grants:
    uc-operators: [MANAGE, USE_CATALOG, USE_SCHEMA, SELECT]
    leavers: [MANAGE, USE_CATALOG, SELECT]
    bob@example.com: [USE_CATALOG]
    account users: [USE_CATALOG]
  schemas:
  - name: emea
    grants: {tools: [ALL_PRIVILEGES], leavers: [ALL_PRIVILEGES]}
    tables: [{name: orders, grants: {tools: [ALL_PRIVILEGES], uc-operators: [MANAGE]}}]
- {name: hr, owner: uc-operators, grants: {uc-operators: [USE_CATALOG], leavers: [USE_CATALOG], bob@example.com: [USE_CATALOG]}, schemas: [{name: core, owner: uc-operators, tables: [staff]}]}
`

// TestOwnAccessThroughGroups holds that what gives us our own access through groups, at any depth, stays, that nothing else
// does, and that where our groups cannot be known no group loses what may be ours.
func TestOwnAccessThroughGroups(t *testing.T) {
	for _, known := range []string{"groups", "ourselves", "nothing"} {
		readable := known == "groups"
		r := newRig(t, rigOptions{seed: nested, who: us, syncer: connector.Options{UnknownSelf: known == "nothing"}}, allow("table:sales.emea.orders", "bob@example.com", "select"))
		if !readable {
			r.fault(emulator.Fault{Path: "/api/2.0/preview/scim/*", Status: 403})
		}
		result := r.sync()
		grants := r.server.Grants()
		has := func(s string, p policy.Principal, x policy.Privilege) bool {
			return grants.Has(policy.Grant{Securable: sec(t, s), Principal: p, Privilege: x})
		}
		group := func(name string) policy.Principal { return policy.NewPrincipal(policy.Group, name) }
		if kept := has("catalog:hr", policy.NewPrincipal(policy.User, "bob@example.com"), policy.UseCatalog); kept != (known == "nothing") {
			t.Errorf("known: %s: a user, who may be us, keeps USE_CATALOG: %t", known, kept)
		}
		for _, tt := range []struct {
			on   string
			who  string
			priv policy.Privilege
			kept bool // where our groups are known
			may  bool // where they are not
		}{
			{"catalog:sales", "uc-operators", policy.Manage, true, true}, {"catalog:sales", "uc-operators", policy.UseCatalog, true, true},
			{"catalog:sales", "uc-operators", policy.UseSchema, true, true}, {"catalog:sales", "uc-operators", policy.Select, false, false},
			{"catalog:sales", "leavers", policy.Manage, false, true}, {"catalog:sales", "leavers", policy.UseCatalog, false, true}, {"catalog:sales", "leavers", policy.Select, false, false},
			{"catalog:sales", "account users", policy.UseCatalog, false, false},
			{"schema:sales.emea", "tools", policy.AllPrivileges, true, true}, {"schema:sales.emea", "leavers", policy.AllPrivileges, false, true},
			{"table:sales.emea.orders", "tools", policy.AllPrivileges, false, false}, {"table:sales.emea.orders", "uc-operators", policy.Manage, true, true},
			{"catalog:hr", "uc-operators", policy.UseCatalog, true, true}, {"catalog:hr", "leavers", policy.UseCatalog, false, true},
		} {
			want := tt.kept && readable || tt.may && !readable
			if has(tt.on, group(tt.who), tt.priv) != want {
				t.Errorf("known: %s: %s keeps %s on %s: %t", known, tt.who, tt.priv, tt.on, !want)
			}
		}
		for what, say := range map[string]string{"kept": "group uc-operators keeps MANAGE on CATALOG:sales", "unread": "the principals of the workspace could not be read"} {
			said := slices.ContainsFunc(result.Plan.Report.Findings, func(f policy.Finding) bool { return strings.Contains(f.Message, say) })
			if said != (what == "kept" || !readable) {
				t.Errorf("known: %s: says %q: %t, in %v", known, say, said, result.Plan.Report.Findings)
			}
		}
		if plan := r.sync(); !plan.Plan.Empty() {
			t.Errorf("known: %s: a second sync changes %v", known, plan.Plan.Changes)
		}
	}
}

// TestGrantsInAnotherCase holds that a grant that differs from the policy in the case of a user alone is in sync, and is revoked
// under the name that the workspace has.
func TestGrantsInAnotherCase(t *testing.T) {
	r := newRig(t, rigOptions{seed: nested}, allow("table:hr.core.staff", "ANN.LOPEZ@example.com", "select"))
	r.sync("catalog:hr")
	if !r.server.Grants().Has(policy.Grant{Securable: sec(t, "table:hr.core.staff"), Principal: policy.NewPrincipal(policy.User, "ann.lopez@example.com"), Privilege: policy.Select}) {
		t.Fatalf("not granted: %v", managed(r))
	}
	r.server.ResetTrace()
	r.policies.set(t, allow("table:hr.core.staff", "aNN.lOPEZ@EXAMPLE.com", "select"))
	if result := r.sync("catalog:hr"); !result.Plan.Empty() || r.patches() > 0 {
		t.Errorf("the same grant is planned: %v", result.Plan.Changes)
	}
	r.policies.set(t, allow("table:hr.core.staff", "bob@example.com", "select"))
	r.sync("catalog:hr")
	for _, e := range r.server.Trace() {
		if e.Method == "PATCH" && strings.Contains(strings.ToLower(e.Body), "ann") && !strings.Contains(e.Body, `"Ann.Lopez@example.com"`) {
			t.Errorf("not spelled as the workspace does: %s", e.Body)
		}
	}
	if grants := r.server.Grants().Of(sec(t, "table:hr.core.staff")); len(grants) != 1 || grants[0].Name != "bob@example.com" {
		t.Errorf("grants %v", grants)
	}
}

// staff is a directory that a test changes.
type staff struct {
	mu      sync.Mutex
	listing directory.Listing
	err     error
	reads   int
}

func (p *staff) Principals(context.Context) (directory.Listing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads++
	return directory.Listing{Entries: slices.Clone(p.listing.Entries), Self: p.listing.Self, Groups: p.listing.Groups}, p.err
}

func (p *staff) add(kind policy.PrincipalKind, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listing.Entries = append(p.listing.Entries, directory.Entry{ID: fmt.Sprint(len(p.listing.Entries)), Kind: kind, Name: name})
}

func (p *staff) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *staff) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reads
}

// TestWatchPrincipals holds that who is unknown is tried again with backoff and once the directory lists it, without anybody
// asking, and that the directory is read once per interval while nobody is missing.
func TestWatchPrincipals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &account{tables: 1, tells: true, known: map[string]bool{"a@x": true}, grants: &policy.GrantSet{}}
		who, policies := &staff{}, &fixed{}
		who.add(policy.User, "a@x")
		policies.set(t, allow("table:c.s.t0", "a@x newteam", "select"))
		s, err := connector.New(connector.Options{Workspace: w, Policies: policies, Directory: who, Parallel: 1, DirectoryInterval: 10 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var mu sync.Mutex
		var log []string
		taken := func() []string {
			mu.Lock()
			defer mu.Unlock()
			list := log
			log = nil
			return list
		}
		note := func(what string) {
			result, err := s.Sync(t.Context(), connector.Request{})
			if err != nil {
				t.Fatal(err)
			}
			left := result.LeftOut
			for _, o := range result.Outcomes {
				left = append(left, o.Unknown...)
			}
			slices.SortFunc(left, policy.ComparePrincipals)
			mu.Lock()
			defer mu.Unlock()
			log = append(log, fmt.Sprintf("%s %s left out %v", time.Since(start).Round(time.Second), what, slices.Compact(left)))
		}
		note("first")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.WatchPrincipals(ctx, func() { note("changed") }, func(roots []policy.Securable) { note(fmt.Sprint(roots)) })
		}()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.learn("newteam") // the account knows it, the workspace does not list it
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		want := []string{"0s first left out [newteam]", "15s [CATALOG:c] left out [newteam]", "45s [CATALOG:c] left out [newteam]", "1m45s [CATALOG:c] left out [newteam]", "3m45s [CATALOG:c] left out []"}
		if got := taken(); !slices.Equal(got, want) {
			t.Errorf("syncs:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if got := w.grants.Of(policy.Securable{Type: policy.Table, FullName: "c.s.t0"}); len(got) != 2 {
			t.Errorf("granted %v", got)
		}

		who.add(policy.Group, "newteam")
		time.Sleep(11 * time.Minute)
		if got := taken(); len(got) != 1 || !strings.Contains(got[0], "changed left out []") {
			t.Errorf("after the workspace lists it: %v", got)
		}
		reads := who.count()
		who.add(policy.User, "b@x") // nobody names b
		time.Sleep(time.Hour)
		if n, got := who.count()-reads, taken(); n < 5 || n > 7 || len(got) > 0 {
			t.Errorf("read %d times in an hour, syncs: %v", n, got)
		}
		stop()
		<-ended
	})
}

// TestFirstDirectory holds that the first directory that is read is news only to syncs that had to do without one.
func TestFirstDirectory(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := &account{tables: 1, known: map[string]bool{"a@x": true}, grants: &policy.GrantSet{}}
			who, policies := &staff{}, &fixed{}
			who.add(policy.User, "a@x")
			policies.set(t, allow("table:c.s.t0", "a@x", "select"))
			s, err := connector.New(connector.Options{Workspace: w, Policies: policies, Directory: who, Parallel: 1, DirectoryInterval: 10 * time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if fails {
				who.fail(policy.Errorf(policy.CodeUnavailable, "no answer"))
			}
			var changed atomic.Int32
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go s.WatchPrincipals(ctx, func() { changed.Add(1) }, func([]policy.Securable) {})
			synctest.Wait()
			if _, err := s.Sync(t.Context(), connector.Request{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			who.fail(nil)
			time.Sleep(2 * time.Minute)
			if n := changed.Load(); (n > 0) != fails {
				t.Errorf("directory fails at first: %t: %d times changed", fails, n)
			}
		})
	}
}

// TestListedLater holds that a user whom the workspace did not have, and whom nothing was therefore sent for, is granted what
// policies say once the directory lists it: soon by itself, and at once by a sync that a person starts.
func TestListedLater(t *testing.T) {
	for _, byPerson := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := &account{tables: 1, tells: true, known: map[string]bool{"etl": true}, grants: &policy.GrantSet{}}
			who, policies := &staff{}, &fixed{}
			p := allow("table:c.s.t0", "", "select")
			p.PolicyItems[0].Users = []string{"etl"}
			policies.set(t, p)
			s, err := connector.New(connector.Options{Workspace: w, Policies: policies, Directory: who, Parallel: 1, DirectoryInterval: 10 * time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			sync := func() []policy.Principal {
				result, err := s.Sync(t.Context(), connector.Request{ByPerson: byPerson})
				if err != nil {
					t.Fatal(err)
				}
				return result.LeftOut
			}
			if left := sync(); len(left) != 1 || len(w.applied) > 0 {
				t.Fatalf("left out %v, applied %v", left, w.applied)
			}
			who.add(policy.User, "etl")
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if byPerson {
				time.Sleep(6 * time.Second)
				if left := sync(); len(left) > 0 {
					t.Errorf("left out %v", left)
				}
			} else {
				go s.WatchPrincipals(ctx, func() { sync() }, func([]policy.Securable) { sync() })
				time.Sleep(16 * time.Second)
				synctest.Wait()
			}
			if got := w.grants.Of(policy.Securable{Type: policy.Table, FullName: "c.s.t0"}); len(got) != 1 || got[0].Principal != policy.NewPrincipal(policy.User, "etl") {
				t.Errorf("by a person: %t: granted %v", byPerson, got)
			}
		})
	}
}

// TestListedLaterUnderDaemon holds the same of a daemon, which watches principals before its first sync, when nothing was read.
func TestListedLaterUnderDaemon(t *testing.T) {
	for _, missing := range []policy.Principal{policy.NewPrincipal(policy.Group, "later"), policy.NewPrincipal(policy.User, "late@x"),
		policy.NewPrincipal(policy.ServicePrincipal, "11111111-2222-3333-4444-555555555555")} {
		synctest.Test(t, func(t *testing.T) {
			w := &account{tables: 1, tells: true, known: map[string]bool{"a@x": true, missing.Name: true}, grants: &policy.GrantSet{}}
			who, policies := &staff{}, &fixed{}
			who.add(policy.User, "a@x")
			p := allow("table:c.s.t0", "a@x", "select")
			if p.PolicyItems[0].Users = append(p.PolicyItems[0].Users, missing.Name); missing.Kind == policy.Group {
				p.PolicyItems[0].Users, p.PolicyItems[0].Groups = p.PolicyItems[0].Users[:1], []string{missing.Name}
			}
			policies.set(t, p)
			s, err := connector.New(connector.Options{Workspace: w, Policies: policies, Directory: who, Parallel: 1, DirectoryInterval: 10 * time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			sync := func() {
				if _, err := s.Sync(t.Context(), connector.Request{}); err != nil {
					t.Error(err)
				}
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go s.WatchPrincipals(ctx, sync, func([]policy.Securable) { sync() })
			synctest.Wait()
			sync()
			time.Sleep(2 * time.Second)
			who.add(missing.Kind, missing.Name)
			time.Sleep(20 * time.Second)
			synctest.Wait()
			if got := w.grants.Of(policy.Securable{Type: policy.Table, FullName: "c.s.t0"}); len(got) != 2 {
				t.Errorf("%s is not granted what the policies say: %v", missing, got)
			}
		})
	}
}

// TestListedBeforeWatched holds that it is no matter who reads the directory first in which somebody is listed at last: a sync
// of something else does not take the news from the rest.
func TestListedBeforeWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &account{tables: 1, tells: true, known: map[string]bool{"later": true}, grants: &policy.GrantSet{}}
		who, policies := &staff{}, &fixed{}
		who.add(policy.User, "a@x")
		policies.set(t, allow("table:c.s.t0", "later", "select"))
		s, err := connector.New(connector.Options{Workspace: w, Policies: policies, Directory: who, Parallel: 1, DirectoryInterval: 10 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		sync := func(roots ...policy.Securable) {
			if _, err := s.Sync(t.Context(), connector.Request{Roots: roots}); err != nil {
				t.Error(err)
			}
		}
		sync()
		who.add(policy.Group, "later")
		time.Sleep(11 * time.Minute)
		sync(policy.Securable{Type: policy.Metastore})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go s.WatchPrincipals(ctx, func() { sync() }, func([]policy.Securable) {})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if got := w.grants.Of(policy.Securable{Type: policy.Table, FullName: "c.s.t0"}); len(got) != 1 {
			t.Errorf("granted %v", got)
		}
	})
}

// TestDirectoryThatFails holds that a directory that cannot be read any more stays in force, with a finding, and is asked again
// after a while, or at once by a full sync.
func TestDirectoryThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &account{tables: 1, known: map[string]bool{"a@x": true}, grants: &policy.GrantSet{}}
		who, policies := &staff{}, &fixed{}
		who.add(policy.User, "a@x")
		policies.set(t, allow("table:c.s.t0", "a@x", "select"))
		s, err := connector.New(connector.Options{Workspace: w, Policies: policies, Directory: who, Parallel: 1, DirectoryInterval: 10 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		said := func(roots ...policy.Securable) string {
			result, err := s.Plan(t.Context(), connector.Request{Roots: roots})
			if err != nil {
				t.Fatal(err)
			}
			var list []string
			for _, f := range result.Plan.Report.Findings {
				list = append(list, f.Message)
			}
			return strings.Join(list, "\n")
		}
		catalog := policy.Securable{Type: policy.Catalog, FullName: "c"}
		if text := said(); text != "" {
			t.Fatal(text)
		}
		who.fail(errors.New("down"))
		time.Sleep(11 * time.Minute)
		if text := said(catalog); !strings.Contains(text, "they are taken to be those of 2000-01-01T00:00:00Z (down)") {
			t.Errorf("says %q", text)
		}
		who.fail(nil)
		if text := said(catalog); !strings.Contains(text, "taken to be those of") {
			t.Errorf("asked again at once: %q", text)
		}
		if text := said(); text != "" {
			t.Errorf("a full sync did not ask again: %q", text)
		}
	})
}

// TestDirectoryKept holds that a run that cannot read the directory takes the one that an earlier run kept, and not one of
// another workspace.
func TestDirectoryKept(t *testing.T) {
	state := &inMemory{}
	r := newRig(t, rigOptions{seed: nested, syncer: connector.Options{UnknownState: state}}, allow("table:hr.core.staff", "ANALYSTS", "select"))
	r.sync()
	for _, same := range []bool{true, false} {
		o := r.Options
		o.Directory, o.Logger = &staff{err: errors.New("down")}, nil
		if !same {
			other := newRig(t, rigOptions{seed: strings.Replace(nested, "12345678", "99999999", 1)}, allow("table:hr.core.staff", "ANALYSTS", "select"))
			o.Workspace = other.client
		}
		s, err := connector.New(o)
		if err != nil {
			t.Fatal(err)
		}
		result, err := s.Plan(t.Context(), connector.Request{Roots: []policy.Securable{sec(t, "catalog:hr")}})
		if err != nil {
			t.Fatal(err)
		}
		if empty := result.Plan.Empty(); empty != same {
			t.Errorf("same workspace: %t: plans %v", same, result.Plan.Changes)
		}
		if said := slices.ContainsFunc(result.Plan.Report.Findings, func(f policy.Finding) bool { return strings.Contains(f.Message, "they are taken to be those of") }); said != same {
			t.Errorf("same workspace: %t: %v", same, result.Plan.Report.Findings)
		}
	}
}
