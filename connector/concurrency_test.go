package connector_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector"
	"ucwarden/policy"
	"ucwarden/policy/guard"
	"ucwarden/policy/ranger"
)

// When the policies change while a plan is applied, nothing more of it is sent, and the same sync may be asked for
// again.
func TestPoliciesChangeWhileApplying(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f), syncer: connector.Options{Parallel: 1}}, usual()...)
	n := 0
	f.after = func(policy.Change) error {
		if n++; n == 3 {
			r.policies.set(t, usual()[:2]...)
		}
		return nil
	}
	_, err := r.Sync(t.Context(), connector.Request{})
	if !policy.CodeOf(err).Retryable() || !strings.Contains(err.Error(), "the policies changed") || n != 3 {
		t.Fatalf("%v after %d changes", err, n)
	}
	r.sync()
	if diff := cmp.Diff(lines(r.desired()), managed(r)); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
}

// A sync by newer policies does not read before the last change by older ones has ended: it would plan by what is
// about to change.
func TestNewerPoliciesHaveTheLastWord(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)}, allow("table:hr.core.staff", "bob@example.com", "select"))
	r.sync("catalog:hr") // the way is open
	r.revoke("table:hr.core.staff", "bob@example.com", "SELECT")

	g := &gate{reached: make(chan struct{}), open: make(chan struct{})}
	f.apply = func(policy.Change) error { g.pass(); return nil }
	older, newer := make(chan error, 1), make(chan error, 1)
	go func() { _, err := r.Sync(t.Context(), r.roots("table:hr.core.staff")); older <- err }()
	<-g.reached
	r.policies.set(t, allow("table:hr.core.staff", "eve@example.com", "select"))
	r.server.ResetTrace()
	if err := r.impatient("catalog:hr"); !errors.Is(err, context.DeadlineExceeded) || !policy.CodeOf(err).Retryable() || r.server.Stats().Requests > 0 {
		t.Errorf("a sync that would not wait: %v after %d requests", err, r.server.Stats().Requests)
	}
	go func() { _, err := r.Sync(t.Context(), connector.Request{}); newer <- err }()
	close(g.open)
	if err := <-older; err != nil {
		t.Errorf("the older sync, whose only change was on its way: %v", err)
	}
	if err := <-newer; err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(lines(r.desired()), managed(r)); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
}

// impatient syncs for a moment only.
func (r *rig) impatient(roots ...string) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := r.Sync(ctx, r.roots(roots...))
	return err
}

// A sync of a catalog that listed it before a table was made does not take from anybody the USE_* that the sync of
// that table counts on, whether the catalog's changes come after that sync or are on their way when it begins.
func TestUseThatAnotherSyncReliesOn(t *testing.T) {
	for _, onItsWay := range []bool{false, true} {
		f, g := &fake{}, &gate{reached: make(chan struct{}), open: make(chan struct{})}
		r := newRig(t, rigOptions{wrap: through(f), syncer: connector.Options{Parallel: 1, Guards: []guard.Guard{g}}},
			allow("table:hr.core.st*", "bob@example.com", "select"))
		r.sync("catalog:hr")
		var listed sync.Once
		f.list = func(_ policy.Securable, typ policy.SecurableType, found []policy.Object, err error) ([]policy.Object, error) {
			if typ == policy.Table {
				listed.Do(func() { found = nil }) // not there yet
			}
			return found, err
		}
		if onItsWay {
			f.apply = func(policy.Change) error { g.pass(); return nil }
		}
		g.asGuard = !onItsWay
		catalog, table := make(chan error, 1), make(chan error, 1)
		go func() { _, err := r.Sync(t.Context(), r.roots("catalog:hr")); catalog <- err }()
		<-g.reached
		if onItsWay {
			if err := r.impatient("table:hr.core.staff"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the table's sync did not wait for the change on its way: %v", err)
			}
		}
		go func() { _, err := r.Sync(t.Context(), r.roots("table:hr.core.staff")); table <- err }()
		if !onItsWay { // else that sync waits
			if err := <-table; err != nil {
				t.Error(err)
			}
		}
		close(g.open)
		if err := <-catalog; err != nil {
			t.Error(err)
		}
		if onItsWay {
			if err := <-table; err != nil {
				t.Error(err)
			}
		}
		staff := sec(t, "table:hr.core.staff")
		if !reaches(r.server.Grants(), []policy.Principal{policy.PrincipalByShape("bob@example.com")}, policy.Select, staff) {
			t.Errorf("on its way: %t: the way is closed: %v", onItsWay, managed(r))
		}
	}
}

// gate holds the first that comes until it is opened; it may stand as a guard before an apply.
type gate struct {
	once          sync.Once
	reached, open chan struct{}
	asGuard       bool
}

func (g *gate) pass() {
	first := false
	g.once.Do(func() { first = true; close(g.reached) })
	if first {
		<-g.open
	}
}

func (g *gate) Check(guard.Input) error {
	if g.asGuard {
		g.pass()
	}
	return nil
}

// Syncs side by side, with the policies changing between, end in what the newest say.
func TestSideBySide(t *testing.T) {
	r := newRig(t, rigOptions{}, usual()...)
	all := usual()
	var wg sync.WaitGroup
	request := [][]string{nil, {"catalog:sales"}, {"schema:sales.emea"}, {"table:sales.emea.orders"}, {"table:hr.core.staff"}}
	for i := range 12 {
		wg.Go(func() {
			for range 20 { // as the task queue does
				_, err := r.Sync(t.Context(), r.roots(request[i%len(request)]...))
				if err == nil {
					return
				}
				if !policy.CodeOf(err).Retryable() {
					t.Error(err)
					return
				}
			}
		})
		if i%3 == 0 {
			r.policies.set(t, slices.Concat(all[i/3:], []ranger.Policy{allow("table:sales.*.*", "bob@example.com", "modify")})...)
		}
	}
	wg.Wait()
	r.sync() // the last version may have come after the last sync began
	if diff := cmp.Diff(lines(r.desired()), managed(r)); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
	var twice sync.WaitGroup
	r.server.ResetTrace()
	for range 2 {
		twice.Go(func() { r.Sync(context.Background(), connector.Request{}) })
	}
	twice.Wait()
	if r.patches() > 0 {
		t.Errorf("%d PATCHes when all is in sync", r.patches())
	}
}
