package connector_test

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector"
	"ucwarden/connector/apply"
	"ucwarden/connector/emulator"
	"ucwarden/policy"
	"ucwarden/policy/guard"
)

// on lists what is granted on an object, one principal a line.
func (r *rig) on(s string) []string {
	r.t.Helper()
	object := sec(r.t, s)
	g := policy.NewGrantSet()
	g.Set(object, r.server.Grants().Of(object))
	list := lines(g)
	for i, line := range list {
		list[i] = strings.TrimPrefix(line, object.String()+" ")
	}
	return list
}

func (r *rig) expectOn(s string, want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.on(s)); diff != "" {
		r.t.Errorf("grants on %s (-want +got):\n%s", s, diff)
	}
}

// inSync syncs once more, and expects that nothing is sent.
func (r *rig) inSync() {
	r.t.Helper()
	r.server.ResetTrace()
	r.sync()
	var bodies []string
	for _, e := range r.server.Trace() {
		if e.Method == "PATCH" {
			bodies = append(bodies, e.Path+" "+e.Body)
		}
	}
	if len(bodies) > 0 {
		r.t.Errorf("the next sync sent %d PATCHes: %v", len(bodies), bodies)
	}
}

// Revoking ALL_PRIVILEGES takes along what is to stay, also what no policy can grant: it is put back in the same request.
func TestRevokingAllPrivileges(t *testing.T) {
	r := newRig(t, rigOptions{}, allow("table:sales.emea.orders", "analysts", "select"), allow("catalog:sales", "engineers", "browse"))
	r.sync()
	r.grant("table:sales.emea.orders", "analysts", "ALL_PRIVILEGES", "MODIFY", "INSERT", "READ_METADATA")
	r.grant("catalog:sales", "engineers", "ALL_PRIVILEGES", "EXTERNAL_USE_SCHEMA", "READ_SECRET", "CREATE_SCHEMA")
	r.grant("catalog:sales", "analysts", "ALL_PRIVILEGES")
	r.server.ResetTrace()
	r.sync()
	if n := r.patches(); n != 2 {
		t.Errorf("%d PATCHes", n)
	}
	r.expectOn("table:sales.emea.orders", "analysts INSERT READ_METADATA SELECT")
	r.expectOn("catalog:sales", "analysts USE_CATALOG", "engineers BROWSE READ_SECRET")
	r.inSync()
}

// What goes with ALL_PRIVILEGES is what stands when it is revoked: what was granted since the plan was made stays, and what
// was taken away stays away.
func TestGrantsSinceThePlan(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)}, allow("table:sales.emea.orders", "analysts", "select"))
	r.sync()
	r.grant("table:sales.emea.orders", "analysts", "ALL_PRIVILEGES", "INSERT")
	plan, err := r.PlanShard(t.Context(), r.roots("catalog:sales"))
	if err != nil {
		t.Fatal(err)
	}
	judged, err := r.Judge(t.Context(), []*connector.ShardPlan{plan}, connector.Request{})
	if err != nil {
		t.Fatal(err)
	}
	r.revoke("table:sales.emea.orders", "analysts", "INSERT")
	r.grant("table:sales.emea.orders", "analysts", "UPDATE")
	if _, err := r.ApplyShard(t.Context(), plan, judged, connector.Request{}); err != nil {
		t.Fatal(err)
	}
	r.expectOn("table:sales.emea.orders", "analysts SELECT UPDATE")
}

// A workspace that takes more with ALL_PRIVILEGES than is known to go with it, or adds before it removes, is made to put it
// back by the same sync.
func TestMoreGoesWithAllPrivileges(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)}, allow("table:sales.emea.orders", "analysts", "select manage"))
	r.sync()
	r.revoke("table:sales.emea.orders", "analysts", "SELECT")
	r.grant("table:sales.emea.orders", "analysts", "ALL_PRIVILEGES", "READ_METADATA")
	var came atomic.Bool
	f.after = func(c policy.Change) error {
		if c.RemovesAll() && came.CompareAndSwap(false, true) {
			r.revoke("table:sales.emea.orders", "analysts", "MANAGE", "SELECT", "READ_METADATA")
			return errStale
		}
		return nil
	}
	r.sync()
	r.expectOn("table:sales.emea.orders", "analysts MANAGE READ_METADATA SELECT")
	r.inSync()
}

// 409 is asked again. What goes with a removal of ALL_PRIVILEGES is read again first, so that it does not take along what
// somebody else has just granted.
func TestConflicts(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)}, allow("table:hr.core.staff", "engineers", "select"))
	r.fault(emulator.Fault{Method: "PATCH", Status: 409, Count: 3}, emulator.Fault{Method: "GET", Path: "*/permissions/*", Status: 409, Every: 5})
	r.sync()
	r.server.ClearFaults()
	r.grant("table:hr.core.staff", "engineers", "ALL_PRIVILEGES")
	var conflicts atomic.Int64
	f.apply = func(c policy.Change) error {
		n := conflicts.Add(1)
		if n > 2 || !c.RemovesAll() {
			return nil
		}
		r.grant("table:hr.core.staff", "engineers", []policy.Privilege{"INSERT", "UPDATE"}[n-1])
		return policy.Errorf(policy.CodeConflict, "the object was changed")
	}
	r.sync()
	if n := conflicts.Load(); n != 3 {
		t.Errorf("%d requests", n)
	}
	r.expectOn("table:hr.core.staff", "engineers INSERT SELECT UPDATE")
}

// A conflict that does not end fails the change, in a way that is tried again later, and no other.
func TestEndlessConflict(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)}, allow("table:hr.core.staff", "engineers", "select"))
	r.sync()
	r.grant("table:hr.core.staff", "engineers", "ALL_PRIVILEGES")
	r.grant("table:sales.emea.orders", "engineers", "SELECT")
	f.apply = func(c policy.Change) error {
		if c.RemovesAll() {
			return policy.Errorf(policy.CodeConflict, "the object was changed")
		}
		return nil
	}
	result, err := r.Sync(t.Context(), r.roots("catalog:hr", "catalog:sales"))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range result.Outcomes {
		want := policy.Code("")
		if o.Change.Securable == sec(t, "table:hr.core.staff") {
			want = policy.CodeUnavailable
		}
		if policy.CodeOf(o.Err) != want {
			t.Errorf("%s: %v", o.Change.Securable, o.Err)
		}
	}
	if r.expectOn("table:sales.emea.orders"); len(result.Outcomes) != 2 {
		t.Errorf("outcomes %v", result.Outcomes)
	}
}

// Where the workspace shows ALL_PRIVILEGES written out, that is ALL_PRIVILEGES: in sync, for later runs and plans made
// elsewhere too, and for whom we granted it alone.
func TestAllPrivilegesShownWrittenOut(t *testing.T) {
	for _, object := range []string{"catalog:hr", "schema:hr.core", "table:hr.core.staff", "table:sales.emea.orders_v", "volume:sales.emea.landing",
		"function:sales.emea.net", "external_location:lake", "connection:pg"} {
		for _, held := range []string{"", "ALL_PRIVILEGES"} {
			t.Run(object+" "+held, func(t *testing.T) {
				state := &inMemory{}
				o := rigOptions{emulator: emulator.Options{ExpandAllPrivileges: true}, syncer: connector.Options{UnknownState: state}}
				r := newRig(t, o, allow(object, "engineers ann@example.com", "all_privileges"))
				r.grant(object, "ann@example.com", "MANAGE") // no policy gives it
				if held != "" {
					r.grant(object, "engineers", policy.Privilege(held))
				}
				r.sync()
				r.expectOn(object, "ann@example.com ALL_PRIVILEGES", "engineers ALL_PRIVILEGES")
				r.inSync()

				again, err := connector.New(r.Options)
				if err != nil {
					t.Fatal(err)
				}
				if result, err := again.Plan(t.Context(), connector.Request{}); err != nil || !result.Plan.Empty() {
					t.Fatalf("a plan made elsewhere: %v, %v", result.Plan.Changes, err)
				}

				r.policies.set(t, allow(object, "engineers", "all_privileges"))
				r.sync()
				r.expectOn(object, "engineers ALL_PRIVILEGES")
				r.inSync()
				r.policies.set(t)
				r.sync()
				r.expectOn(object)
			})
		}
	}
}

// Single privileges beside ALL_PRIVILEGES that is shown written out: those that are wanted stay, those that are not go.
func TestWrittenOutAndSingle(t *testing.T) {
	r := newRig(t, rigOptions{emulator: emulator.Options{ExpandAllPrivileges: true}}, allow("table:hr.core.staff", "engineers", "all_privileges"))
	r.grant("table:hr.core.staff", "engineers", "SELECT", "READ_METADATA")
	r.grant("table:hr.core.staff", "analysts", "SELECT", "MODIFY")
	r.sync()
	r.inSync()
	r.expectOn("table:hr.core.staff", "engineers ALL_PRIVILEGES READ_METADATA")

	r.policies.set(t, allow("table:hr.core.staff", "engineers", "select"), allow("table:hr.core.staff", "analysts", "select modify"))
	r.sync()
	r.expectOn("table:hr.core.staff", "analysts MODIFY SELECT", "engineers READ_METADATA SELECT")
	r.inSync()

	r.policies.set(t, allow("table:hr.core.staff", "engineers", "select modify"))
	r.sync()
	r.expectOn("table:hr.core.staff", "engineers MODIFY READ_METADATA SELECT")
	r.inSync()
}

// ALL_PRIVILEGES that the workspace shows written out, and that somebody else granted, looks like single privileges that
// cannot be revoked: it is revoked itself, and what is wanted is put back. What no policy can grant was shown as a part of it,
// and goes with it, but for what is not.
func TestWrittenOutByOthers(t *testing.T) {
	for object, access := range map[string]string{"catalog:sales": "select", "schema:sales.emea": "select", "table:sales.emea.orders": "select",
		"volume:sales.emea.landing": "read_volume"} {
		r := newRig(t, rigOptions{emulator: emulator.Options{ExpandAllPrivileges: true}}, allow(object, "analysts", access))
		r.grant(object, "analysts", "ALL_PRIVILEGES", "READ_METADATA")
		r.grant(object, "ann@example.com", "ALL_PRIVILEGES")
		r.sync()
		var left []string
		for _, a := range r.server.Grants().Of(sec(t, object)) {
			if !a.Privilege.IsUse() {
				left = append(left, a.String())
			}
		}
		if diff := cmp.Diff([]string{"analysts READ_METADATA", "analysts " + strings.ToUpper(access)}, left); diff != "" {
			t.Errorf("on %s (-want +got):\n%s", object, diff)
		}
		r.inSync()
	}
}

// Single privileges that a workspace was asked to revoke, and shows for a while all the same, are not taken for
// ALL_PRIVILEGES once they are gone: what stands beside them stays.
func TestRevokedLateIsNotWrittenOut(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)})
	r.grant("table:sales.emea.orders", "analysts", "SELECT", "MODIFY", "INSERT")
	var reads atomic.Int64
	f.after = func(c policy.Change) error {
		if reads.CompareAndSwap(0, 1) {
			r.grant("table:sales.emea.orders", "analysts", "SELECT", "MODIFY")
			return errStale
		}
		return nil
	}
	f.grants = func(s policy.Securable) error {
		if s == sec(t, "table:sales.emea.orders") && reads.Load() > 0 && reads.Add(1) == 3 { // the second after the request
			r.revoke(s.String(), "analysts", "SELECT", "MODIFY")
		}
		return nil
	}
	r.sync()
	r.expectOn("table:sales.emea.orders", "analysts INSERT")
}

// By a fresh store nobody knows that ALL_PRIVILEGES stands and is shown written out: it is granted again, and what it is shown
// as, and what it confers below, counts as no loss.
func TestWrittenOutAndGuarded(t *testing.T) {
	r := newRig(t, rigOptions{emulator: emulator.Options{ExpandAllPrivileges: true}, syncer: connector.Options{
		Guards: []guard.Guard{guard.Revokes{Max: 0, MaxRatio: 0}}}},
		allow("catalog:sales", "engineers", "all_privileges"), allow("schema:sales.emea", "engineers", "all_privileges"), allow("external_location:lake", "engineers", "all_privileges"))
	for _, object := range []string{"catalog:sales", "schema:sales.emea", "external_location:lake"} {
		r.grant(object, "engineers", "ALL_PRIVILEGES")
	}
	r.sync()
	r.expectOn("catalog:sales", "engineers ALL_PRIVILEGES")
	r.expectOn("external_location:lake", "engineers ALL_PRIVILEGES")
	r.inSync()
	r.grant("table:hr.core.staff", "engineers", "SELECT")
	if _, err := r.Sync(t.Context(), connector.Request{}); policy.CodeOf(err) != policy.CodeRefused {
		t.Errorf("a loss: %v", err)
	}
}

// A workspace that accepts ALL_PRIVILEGES and does nothing is not believed to show it written out.
func TestAllPrivilegesIgnored(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)}, allow("table:hr.core.staff", "engineers", "all_privileges"))
	r.grant("table:hr.core.staff", "engineers", "SELECT")
	f.after = func(c policy.Change) error {
		for _, a := range c.Add {
			if a.Privilege == policy.AllPrivileges {
				r.revoke(c.Securable.String(), "engineers", policy.AllPrivileges)
				r.grant(c.Securable.String(), "engineers", policy.Select)
				return errStale
			}
		}
		return nil
	}
	for range 2 {
		result, err := r.Sync(t.Context(), r.roots("catalog:hr"))
		if err != nil {
			t.Fatal(err)
		}
		failed := slices.ContainsFunc(result.Outcomes, func(o apply.Outcome) bool {
			return policy.CodeOf(o.Err) == policy.CodeUnavailable && strings.Contains(o.Err.Error(), "ALL_PRIVILEGES")
		})
		if !failed {
			t.Fatalf("outcomes %v", result.Outcomes)
		}
	}
}

// What the answer to a change of one object shows that the plan did not count on is put right by the same sync, also where
// the change is about somebody else.
func TestAnswerHoldsMore(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)}, allow("table:hr.core.staff", "engineers analysts", "select"))
	r.grant("table:hr.core.staff", "analysts", "SELECT")
	var once sync.Once // changes are applied side by side
	f.apply = func(c policy.Change) error {
		once.Do(func() {
			r.grant("table:hr.core.staff", "ann@example.com", "MODIFY")
			r.revoke("table:hr.core.staff", "analysts", "SELECT")
		})
		return nil
	}
	r.sync("table:hr.core.staff")
	r.expectOn("table:hr.core.staff", "analysts SELECT", "engineers SELECT")
}
