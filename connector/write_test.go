package connector_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector"
	"ucwarden/connector/emulator"
	"ucwarden/policy"
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
			bodies = append(bodies, e.Path+" "+string(e.Body))
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
	first := true
	f.after = func(c policy.Change) error {
		if first && c.RemovesAll() {
			first = false
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
	conflicts := 0
	f.apply = func(c policy.Change) error {
		if conflicts++; conflicts > 2 || !c.RemovesAll() {
			return nil
		}
		r.grant("table:hr.core.staff", "engineers", []policy.Privilege{"INSERT", "UPDATE"}[conflicts-1])
		return policy.Errorf(policy.CodeConflict, "the object was changed")
	}
	r.sync()
	if conflicts != 3 {
		t.Errorf("%d requests", conflicts)
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
