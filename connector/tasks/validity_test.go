package tasks_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector"
	"ucwarden/connector/apply"
	"ucwarden/connector/tasks"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// What validity schedules change is made at once; a shard in which more is to be done has a task that lists it, and that syncs
// the whole only where this does not do.
func TestValiditySync(t *testing.T) {
	hr := sec(t, "catalog:hr")
	revoked := change(t, "TABLE:hr.core.staff -bob SELECT")
	f := &fake{
		result: &connector.Result{Plan: &policy.Plan{Changes: []policy.Change{revoked}}, Outcomes: []apply.Outcome{{Change: revoked}}},
		left:   []policy.Securable{hr},
	}
	out, err := handle(t, f, ondemand.ValiditySync, ondemand.Job{Task: ondemand.Task{ID: "1", Type: ondemand.ValiditySync, Source: tasks.SourceValidity}})
	if err != nil {
		t.Fatal(err)
	}
	want := []ondemand.Task{{Type: ondemand.ResourceSync, Source: tasks.SourceValidity, Priority: 1,
		RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{ondemand.ResourceOf(hr)}}}}
	if diff := cmp.Diff(want, out.Children); diff != "" {
		t.Error(diff)
	}
	if want := "0 grants, 1 revoke on 1 securable; 1 shard to be synced besides"; out.Message != want || len(f.validity[0].Roots) > 0 || f.validity[0].ByPerson {
		t.Errorf("message %q, request %+v", out.Message, f.validity[0])
	}

	child := jobOf(t, "catalog:hr")
	child.Task = want[0]
	child.Task.ParentID = "1"
	for _, tt := range []struct {
		left      []policy.Securable
		followers []ondemand.Task
		listed    bool // the shard is listed for what changed
		whole     bool // all of it is synced
	}{
		{nil, nil, true, false},
		{[]policy.Securable{hr}, nil, true, true},
		{nil, []ondemand.Task{{ID: "2"}}, false, true}, // somebody asked for all of it
	} {
		f.left, f.validity, f.request = tt.left, nil, connector.Request{}
		child.Followers = tt.followers
		out, err := handle(t, f, ondemand.ResourceSync, child)
		if err != nil || len(out.Results) != 1 || (len(f.validity) > 0) != tt.listed || (len(f.request.Roots) > 0) != tt.whole {
			t.Errorf("left %v, %d followers: %v: listed %v, whole %v, results %v", tt.left, len(tt.followers), err, f.validity, f.request.Roots, out.Results)
		}
	}
}

// What failed for a time is tried again.
func TestValiditySyncFails(t *testing.T) {
	revoked := change(t, "TABLE:hr.core.staff -bob SELECT")
	unavailable := policy.Errorf(policy.CodeUnavailable, "no answer")
	for _, f := range []*fake{
		{err: unavailable, result: &connector.Result{}},
		{result: &connector.Result{Plan: &policy.Plan{Changes: []policy.Change{revoked}}, Outcomes: []apply.Outcome{{Change: revoked, Err: unavailable}}}},
	} {
		_, err := handle(t, f, ondemand.ValiditySync, ondemand.Job{Task: ondemand.Task{ID: "1", Type: ondemand.ValiditySync}})
		if policy.CodeOf(err) != policy.CodeUnavailable {
			t.Errorf("got %v", err)
		}
	}
}
