package connector_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/connector"
	"ucwarden/connector/memory"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// large is a catalog c with a schema of many tables, of which every call takes a while.
type large struct {
	account
	calls   atomic.Int64
	lists   atomic.Int64
	started time.Time
	first   time.Duration // when the first change that revokes was sent; 0 for none
	given   time.Duration // likewise that grants
}

const (
	manyTables  = 1_000
	callLatency = 50 * time.Millisecond
)

func newLarge() *large {
	return &large{account: account{tables: manyTables, known: map[string]bool{"ann@x": true, "bob@x": true, "eve@x": true}, grants: &policy.GrantSet{}}}
}

func (l *large) called() {
	l.calls.Add(1)
	time.Sleep(callLatency)
}

func (l *large) List(ctx context.Context, parent policy.Securable, t policy.SecurableType) ([]policy.Object, error) {
	l.lists.Add(1)
	if t == policy.Table {
		time.Sleep(manyTables / 100 * callLatency) // pages
	}
	l.called()
	return l.account.List(ctx, parent, t)
}

func (l *large) Grants(ctx context.Context, s policy.Securable) ([]policy.Assignment, error) {
	l.called()
	return l.account.Grants(ctx, s)
}

func (l *large) Apply(ctx context.Context, c policy.Change) ([]policy.Assignment, error) {
	l.mu.Lock()
	if l.first == 0 && len(c.Remove) > 0 {
		l.first = time.Since(l.started)
	}
	if l.given == 0 && len(c.Add) > 0 {
		l.given = time.Since(l.started)
	}
	l.mu.Unlock()
	l.called()
	return l.account.Apply(ctx, c)
}

// mark counts from now.
func (l *large) mark() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started, l.first, l.given = time.Now(), 0, 0
	l.calls.Store(0)
	l.lists.Store(0)
}

// valid has a policy hold from one minute of 2000-01-01 to another; synctest starts at its beginning.
func valid(p ranger.Policy, from, until int) ranger.Policy {
	at := func(minute int) string {
		return time.Date(2000, 1, 1, 0, minute, 0, 0, time.UTC).Format("2006/01/02 15:04:05")
	}
	p.ValiditySchedules = []ranger.ValiditySchedule{{StartTime: at(from), EndTime: at(until), TimeZone: "UTC"}}
	return p
}

// syncer returns a syncer of l that goes on with what an earlier one kept.
func (l *large) syncer(t *testing.T, state memory.Store, policies ...ranger.Policy) *connector.Syncer {
	t.Helper()
	source := &fixed{}
	source.set(t, policies...)
	s, err := connector.New(connector.Options{Workspace: l, Policies: source, State: state})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// follow does, as the daemon's tasks do, what a change of validity asks for, and then ends the watch.
func follow(t *testing.T, s *connector.Syncer, steps *int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.WatchValidity(ctx, func(ctx context.Context) error {
		var left []policy.Securable
		for *steps = 1; *steps <= 2; *steps++ {
			var err error
			if _, left, err = s.SyncValidity(ctx, connector.Request{Roots: left}); err != nil {
				return err
			}
			if len(left) == 0 {
				cancel()
				return nil
			}
		}
		if _, err := s.Sync(ctx, connector.Request{Roots: left}); err != nil {
			return err
		}
		cancel()
		return nil
	})
}

// TestAtAMoment holds that what a validity opens or closes is changed within a second, also in a large catalog, of which only
// what changes is looked at; and that nothing is left to do afterwards.
func TestAtAMoment(t *testing.T) {
	other := allow("table:c.s.t1*", "ann@x", "select")
	for _, tt := range []struct {
		name     string
		policies []ranger.Policy
		adds     bool // the first change is of a start
		steps    int  // 1: without a listing; 2: with one; 3: a sync of the catalog
		calls    int64
	}{
		{"end on a table", []ranger.Policy{other, valid(allow("table:c.s.t7", "bob@x", "select"), 0, 60), allow("table:c.s.t8", "bob@x", "select")}, false, 1, 4},
		{"end on the last table", []ranger.Policy{other, valid(allow("table:c.s.t7", "bob@x", "select"), 0, 60)}, false, 2, 30},
		{"end on a catalog", []ranger.Policy{other, valid(allow("table:c.*.*", "bob@x", "select"), 0, 60), allow("table:c.s.t8", "bob@x", "modify")}, false, 2, 30},
		{"end of all privileges", []ranger.Policy{other, valid(allow("schema:c.s", "bob@x", "all_privileges"), 0, 60), allow("table:c.s.t8", "bob@x", "select")}, false, 2, 30},
		{"a deny begins", []ranger.Policy{other, allow("table:c.s.t1*", "bob@x", "select"), valid(deny("table:c.s.t17", "bob@x", "select"), 60, 90)}, false, 1, 4},
		{"start", []ranger.Policy{other, valid(allow("table:c.s.t7", "bob@x", "select"), 60, 90), allow("table:c.s.t8", "bob@x", "select")}, true, 1, 4},
		{"start for somebody new", []ranger.Policy{other, valid(allow("table:c.s.t7", "bob@x", "select"), 60, 90)}, true, 3, 3 * manyTables},
		{"one ends as another begins", []ranger.Policy{other, valid(allow("table:c.s.t7", "bob@x", "select"), 0, 60), valid(allow("table:c.s.t7", "eve@x", "select"), 60, 90), allow("table:c.s.t8", "bob@x eve@x", "select")}, false, 1, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, restart := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					l, state := newLarge(), &inMemory{}
					s := l.syncer(t, state, tt.policies...)
					if _, err := s.Sync(t.Context(), connector.Request{}); err != nil {
						t.Fatal(err)
					}
					moment := time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)
					if restart {
						time.Sleep(time.Until(moment) + time.Hour/4)
						s = l.syncer(t, state, tt.policies...)
					} else {
						time.Sleep(time.Until(moment))
					}
					l.mark()
					steps := 0
					follow(t, s, &steps)
					first := l.first
					if tt.adds {
						first = l.given
					}
					if first == 0 || first > time.Second {
						t.Errorf("restart %t: the first change was sent after %s", restart, first)
					}
					if calls := l.calls.Load(); steps != tt.steps || calls > tt.calls || steps == 1 && l.lists.Load() > 1 {
						t.Errorf("restart %t: %d steps, %d calls, %d of them listings", restart, steps, calls, l.lists.Load())
					}
					l.mark()
					if left, err := s.Concerned([]policy.Securable{sec(t, "catalog:c")}); err != nil || len(left) > 0 {
						t.Errorf("restart %t: %v: not noted to be in sync", restart, err)
					}
					result, err := s.Sync(t.Context(), connector.Request{})
					if err != nil || len(result.Plan.Changes) > 0 {
						t.Errorf("restart %t: %v: left to do: %v", restart, err, result.Plan.Changes)
					}
				})
			}
		})
	}
}

// deny makes a policy that denies what allow would allow.
func deny(resource, who, accesses string) ranger.Policy {
	p := allow(resource, who, accesses)
	p.DenyPolicyItems, p.PolicyItems = p.PolicyItems, nil
	return p
}

// TestClockSetBack holds that what a validity opens again because the clock is set back is changed at once too.
func TestClockSetBack(t *testing.T) {
	l, state := newLarge(), &inMemory{}
	policies := []ranger.Policy{allow("table:c.s.t8", "bob@x", "select"), valid(allow("table:c.s.t7", "bob@x", "select"), 0, 60)}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(2 * time.Hour)
		if _, err := l.syncer(t, state, policies...).Sync(t.Context(), connector.Request{}); err != nil {
			t.Fatal(err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // begins two hours before
		l.mark()
		steps := 0
		follow(t, l.syncer(t, state, policies...), &steps)
		if got := l.grants.Of(sec(t, "table:c.s.t7")); len(got) != 1 || l.given > time.Second || steps != 1 {
			t.Errorf("granted %v, after %s, in %d steps", got, l.given, steps)
		}
	})
}

// TestWatchValidity holds that a failure is tried again, and that nothing is asked for twice, or while it is in sync; a
// schedule that closed while the first sync went on, which found nothing to do, is noticed once that has ended.
func TestWatchValidity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLarge()
		l.tables = 10
		policies := []ranger.Policy{allow("table:c.s.t8", "bob@x", "select"), valid(allow("table:c.s.t7", "bob@x", "select"), 0, 60)}
		if _, err := l.syncer(t, nil, policies...).Sync(t.Context(), connector.Request{}); err != nil {
			t.Fatal(err)
		}
		s := l.syncer(t, &inMemory{}, policies...)
		var mu sync.Mutex
		var calls []string
		asked := func() string {
			mu.Lock()
			defer mu.Unlock()
			return strings.Join(calls, " ")
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.WatchValidity(ctx, func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, time.Now().Format("15:04:05"))
			if len(calls) == 1 {
				return errors.New("not now")
			}
			return nil
		})
		time.Sleep(time.Until(time.Date(2000, 1, 1, 0, 59, 59, 900_000_000, time.UTC)))
		begun := connector.Request{Roots: []policy.Securable{sec(t, "catalog:c")}}
		if result, err := s.Sync(t.Context(), begun); err != nil || len(result.Plan.Changes) > 0 || asked() != "" {
			t.Fatalf("%v: %v, asked for at %v", err, result.Plan.Changes, asked())
		}
		time.Sleep(time.Hour)
		if got := asked(); got != "01:00:00 01:00:01" {
			t.Errorf("asked for at %s", got)
		}
		if _, err := s.Sync(t.Context(), begun); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if got := asked(); got != "01:00:00 01:00:01" {
			t.Errorf("asked for at %s", got)
		}
	})
}
