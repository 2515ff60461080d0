package tasks_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector"
	"ucwarden/connector/load"
	"ucwarden/connector/protection"
	"ucwarden/connector/tasks"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

func fullJob(task ondemand.Task) ondemand.Job {
	task.ID, task.Type = "full", ondemand.FullSync
	return ondemand.Job{Task: task}
}

// shardJob is the job of a full sync's child.
func shardJob(child ondemand.Task, s policy.Securable) ondemand.Job {
	child.ID, child.ParentID = "child", "full"
	return ondemand.Job{Task: child, Resources: child.RequestInfo.Resources, Securables: []policy.Securable{s}}
}

// A full sync plans every shard, has all of them judged, and becomes one task for each, which applies what was planned.
func TestFullSyncPlansAllBeforeAny(t *testing.T) {
	sales := sec(t, "catalog:sales")
	f := &fake{shards: []policy.Securable{{Type: policy.Metastore}, sales}, result: applied(t)}
	s := &store{values: map[string][]byte{"plan/old/judged": []byte("{}"), "other": []byte("x")}}
	out, err := handleWith(t, f, s, ondemand.FullSync, fullJob(ondemand.Task{Source: "schedule", PostedBy: "ann", RequestInfo: ondemand.RequestInfo{Approve: "digest"}}))
	if err != nil {
		t.Fatal(err)
	}
	want := []ondemand.Task{
		{Type: ondemand.ResourceSync, Source: "schedule", PostedBy: "ann", RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{{Type: "metastore"}}}},
		{Type: ondemand.ResourceSync, Source: "schedule", PostedBy: "ann", RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{
			{Type: "catalog", Values: map[string]string{"catalog": "sales"}},
		}}},
	}
	if diff := cmp.Diff(want, out.Children); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"digest of METASTORE:", "digest of CATALOG:sales"}, f.judged); diff != "" || f.approved != "digest" {
		t.Errorf("judged with approval %q: %s", f.approved, diff)
	}
	if _, old := s.values["plan/old/judged"]; old || s.values["other"] == nil {
		t.Errorf("kept: %v", slices.Sorted(keys(s.values)))
	}
	if len(f.applied) > 0 {
		t.Error("applied while it was planned")
	}
	if diff := cmp.Diff([]string{"true "}, f.ended); diff != "" {
		t.Error(diff)
	}

	if _, err := handleWith(t, f, s, ondemand.ResourceSync, shardJob(out.Children[1], sales)); err != nil {
		t.Fatal(err)
	}
	if len(f.applied) != 1 || f.applied[0].Digest != "digest of CATALOG:sales" || len(f.applied[0].Changes) != 1 || len(f.request.Roots) > 0 {
		t.Fatalf("applied %+v, roots %v", f.applied, f.request.Roots)
	}
	// Taken again, after a crash or a failure, what may be applied already is planned anew.
	if _, err := handleWith(t, f, s, ondemand.ResourceSync, shardJob(out.Children[1], sales)); err != nil {
		t.Fatal(err)
	}
	if len(f.applied) != 2 || !slices.Contains(f.request.Roots, sales) {
		t.Errorf("applied again from the beginning, roots %v", f.request.Roots)
	}
}

func keys(m map[string][]byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// What the guards refuse becomes no task at all.
func TestRefusedFullSync(t *testing.T) {
	f := &fake{shards: []policy.Securable{{Type: policy.Metastore}, sec(t, "catalog:sales")}, refused: policy.Errorf(policy.CodeRefused, "too many")}
	out, err := handle(t, f, ondemand.FullSync, fullJob(ondemand.Task{}))
	if !errors.Is(err, f.refused) || len(out.Children) > 0 {
		t.Errorf("error %v, children %v", err, out.Children)
	}
	f.err = policy.Errorf(policy.CodeUnavailable, "listing failed")
	if _, err := handle(t, f, ondemand.FullSync, fullJob(ondemand.Task{})); !errors.Is(err, f.err) {
		t.Errorf("error is %v, want that of the listing", err)
	}
	if diff := cmp.Diff([]string{"false refused", "false unavailable"}, f.ended); diff != "" {
		t.Errorf("noted (-want +got):\n%s", diff)
	}
}

// A full sync makes room for tasks that wait, and goes on with the shards that are not planned yet.
func TestFullSyncMakesRoom(t *testing.T) {
	f := &fake{shards: []policy.Securable{{Type: policy.Metastore}, sec(t, "catalog:hr"), sec(t, "catalog:sales")}}
	s := &store{values: make(map[string][]byte)}
	job := fullJob(ondemand.Task{})
	job.Yield = func() bool { return true }
	for run := 1; ; run++ {
		out, err := handleWith(t, f, s, ondemand.FullSync, job)
		if err != nil {
			t.Fatal(err)
		}
		if !out.Again {
			break
		}
		if len(f.judged) > 0 || run > 3 {
			t.Fatalf("run %d: judged %v", run, f.judged)
		}
		if !strings.Contains(out.Message, "of 3 shards planned") {
			t.Errorf("message %q", out.Message)
		}
	}
	slices.Sort(f.planned)
	if diff := cmp.Diff([]string{"CATALOG:hr", "CATALOG:sales", "METASTORE:"}, f.planned); diff != "" || len(f.judged) != 3 {
		t.Errorf("judged %v, planned (-want +got):\n%s", f.judged, diff)
	}
	if diff := cmp.Diff([]string{"true "}, f.ended); diff != "" {
		t.Errorf("noted (-want +got):\n%s", diff)
	}
}

// A change of the policies takes the shards that it concerns; tasks that came after the plan have theirs planned anew.
func TestFullSyncOfAPolicyChange(t *testing.T) {
	hr := sec(t, "catalog:hr")
	f := &fake{shards: []policy.Securable{{Type: policy.Metastore}, hr, sec(t, "catalog:sales")}, concerned: []policy.Securable{hr}, result: applied(t)}
	s := &store{values: make(map[string][]byte)}
	out, err := handleWith(t, f, s, ondemand.FullSync, fullJob(ondemand.Task{Source: tasks.SourcePolicyChange}))
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Children) != 1 || !strings.Contains(out.Message, "2 of 3 shards are in sync") {
		t.Errorf("children %v, message %q", out.Children, out.Message)
	}
	job := shardJob(out.Children[0], hr)
	if diff := cmp.Diff([]string{"false "}, f.ended); diff != "" {
		t.Errorf("noted (-want +got):\n%s", diff)
	}
	table := sec(t, "table:hr.core.staff")
	job.Followers = []ondemand.Task{{ID: "follower"}}
	job.Securables, job.Resources = append(job.Securables, table), append(job.Resources, ondemand.ResourceOf(table))
	if _, err := handleWith(t, f, s, ondemand.ResourceSync, job); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]policy.Securable{hr, table}, f.request.Roots); diff != "" {
		t.Errorf("roots (-want +got):\n%s", diff)
	}
}

// What could not be looked at is named; it fails the resource unless it is only not ours to see.
func TestUnreadInResults(t *testing.T) {
	table := sec(t, "table:sales.emea.orders")
	for code, want := range map[policy.Code]ondemand.Status{policy.CodeForbidden: ondemand.Success, policy.CodeInvalid: ondemand.Failed} {
		r := applied(t, "table:sales.emea.leads +analysts SELECT")
		r.Unread = []load.LeftOut{{Securable: table, Code: code, Reason: "why"}}
		out, err := handle(t, &fake{result: r}, ondemand.ResourceSync, jobOf(t, "catalog:sales", "table:sales.emea.orders", "catalog:hr"))
		if err != nil {
			t.Fatal(err)
		}
		if got := out.Results[0]; got.Status != want || !strings.Contains(got.Message, "TABLE:sales.emea.orders") || !strings.Contains(got.Message, "1 grant") {
			t.Errorf("%s: %s %q", code, got.Status, got.Message)
		}
		if out.Results[1].Status != ondemand.Failed || out.Results[2].Message != "already in sync" {
			t.Errorf("%s: itself %+v, elsewhere %+v", code, out.Results[1], out.Results[2])
		}
	}
	r := applied(t)
	r.Unread = []load.LeftOut{{Securable: table, Code: policy.CodeUnavailable, Reason: "busy"}}
	if _, err := handle(t, &fake{result: r}, ondemand.ResourceSync, jobOf(t, "catalog:sales")); !policy.CodeOf(err).Retryable() {
		t.Errorf("error %v, want one that is tried again", err)
	}
	r = applied(t)
	r.Skipped = []load.Skipped{{Securable: sec(t, "catalog:hr"), Reason: "outside"}}
	out, err := handle(t, &fake{result: r}, ondemand.ResourceSync, jobOf(t, "catalog:hr"))
	if err != nil || out.Results[0].Status != ondemand.Skipped || !strings.Contains(out.Results[0].Message, "outside") {
		t.Errorf("%v, skipped: %+v", err, out.Results)
	}
}

// What waits is named, with where its reason stands, and is not in sync.
func TestWaitingInResults(t *testing.T) {
	use := policy.Grant{Securable: sec(t, "catalog:sales"), Principal: policy.PrincipalByShape("analysts"), Privilege: policy.UseCatalog}
	for want, pending := range map[string][]policy.Securable{
		"not granted yet ('ucwarden plan' says why): USE_CATALOG on CATALOG:sales to analysts; nothing to change on the rest": nil,
		"not granted yet: USE_CATALOG on CATALOG:sales to analysts; nothing to change on the rest":                            {use.Securable},
	} {
		r := applied(t)
		r.Plan.Waiting, r.Pending = []policy.Grant{use}, pending
		out, err := handle(t, &fake{result: r}, ondemand.ResourceSync, jobOf(t, "catalog:sales", "catalog:hr"))
		if err != nil {
			t.Fatal(err)
		}
		if out.Results[0].Message != want || out.Results[1].Message != "already in sync" {
			t.Errorf("%q and elsewhere %q, want %q", out.Results[0].Message, out.Results[1].Message, want)
		}
	}
}

// A table that could not be protected fails its resource, whatever the reason is and in each attempt, and asks for none by itself.
func TestUnprotectedInResults(t *testing.T) {
	table := sec(t, "table:sales.emea.orders")
	for _, code := range []policy.Code{policy.CodeForbidden, policy.CodeUnavailable, policy.CodeInvalid} {
		left := []load.LeftOut{{Securable: table, Code: code, Reason: "the warehouse is gone", Unprotected: true}}
		for name, set := range map[string]func(*connector.Result){
			"now": func(r *connector.Result) { r.Unprotected = left }, "before": func(r *connector.Result) { r.Unread = left },
			"both": func(r *connector.Result) { r.Unread, r.Unprotected = left, left },
		} {
			r := applied(t, "table:sales.emea.leads +analysts SELECT")
			set(r)
			out, err := handle(t, &fake{result: r}, ondemand.ResourceSync, jobOf(t, "catalog:sales", "catalog:hr"))
			if err != nil {
				t.Fatal(err)
			}
			if got := out.Results[0]; got.Status != ondemand.Failed || strings.Count(got.Message, "TABLE:sales.emea.orders") != 1 ||
				!strings.Contains(got.Message, "1 table not protected") || !strings.Contains(got.Message, "the warehouse is gone") || !strings.Contains(got.Message, "1 grant") {
				t.Errorf("%s, %s: %s %q", code, name, got.Status, got.Message)
			}
			if out.Results[1].Status != ondemand.Success {
				t.Errorf("%s, %s: elsewhere %+v", code, name, out.Results[1])
			}
		}
	}
}

// A table whose filter and masks cannot be lifted carries them still: it is not said that it is not protected.
func TestCarriedInResults(t *testing.T) {
	r := applied(t, "table:sales.emea.leads +analysts SELECT")
	r.Unprotected = []load.LeftOut{{Securable: sec(t, "table:sales.emea.orders"), Code: policy.CodeInvalid, Reason: "they cannot be lifted", Unprotected: true, Carried: true}}
	out, err := handle(t, &fake{result: r}, ondemand.ResourceSync, jobOf(t, "catalog:sales"))
	if err != nil {
		t.Fatal(err)
	}
	const says = "row filters and masks of 1 table not lifted: TABLE:sales.emea.orders: they cannot be lifted; 1 grant"
	if got := out.Results[0]; got.Status != ondemand.Failed || !strings.HasPrefix(got.Message, says) {
		t.Errorf("%s %q", got.Status, got.Message)
	}
}

// A table that others keep from being protected is closed, which is all that a sync can do: it is named, and fails who asks for the
// table itself. What others took off and the sync puts back fails nobody.
func TestConflictsInResults(t *testing.T) {
	table := sec(t, "table:sales.emea.orders")
	for _, closed := range []bool{false, true} {
		r := applied(t, "table:sales.emea.leads +analysts SELECT")
		r.Conflicts = []protection.Conflict{{Table: table, Why: "why", Closed: closed}}
		out, err := handle(t, &fake{result: r}, ondemand.ResourceSync, jobOf(t, "catalog:sales", "table:sales.emea.orders", "catalog:hr"))
		if err != nil {
			t.Fatal(err)
		}
		says, itself := "row filters and masks that others took off or changed (1): TABLE:sales.emea.orders: why; ", ondemand.Success
		if closed {
			says, itself = "1 table not protected: TABLE:sales.emea.orders: why; ", ondemand.Failed
		}
		if got := out.Results[0]; got.Status != ondemand.Success || !strings.HasPrefix(got.Message, says) || !strings.Contains(got.Message, "1 grant") {
			t.Errorf("closed %v: %s %q", closed, got.Status, got.Message)
		}
		if got := out.Results[1]; got.Status != itself || !strings.HasPrefix(got.Message, says) {
			t.Errorf("closed %v: itself %s %q", closed, got.Status, got.Message)
		}
		if got := out.Results[2]; got.Status != ondemand.Success || got.Message != "already in sync" {
			t.Errorf("closed %v: elsewhere %+v", closed, got)
		}
		f, s := &fake{shards: []policy.Securable{table}, result: r}, &store{values: map[string][]byte{}}
		full, err := handleWith(t, f, s, ondemand.FullSync, fullJob(ondemand.Task{}))
		if err != nil {
			t.Fatal(err)
		}
		shard, err := handleWith(t, f, s, ondemand.ResourceSync, shardJob(full.Children[0], table))
		if err != nil || shard.Results[0].Status != ondemand.Success || !strings.HasPrefix(shard.Results[0].Message, says) {
			t.Errorf("closed %v: in a full sync %+v, %v", closed, shard, err)
		}
	}
}

// What we may not see fails no part of a full sync, be it an object inside or the catalog itself; only who asks for it is told
// so.
func TestUnreadShard(t *testing.T) {
	sales := sec(t, "catalog:sales")
	for code, want := range map[policy.Code]ondemand.Status{policy.CodeForbidden: ondemand.Success, policy.CodeInvalid: ondemand.Failed} {
		for _, left := range []policy.Securable{sales, sec(t, "schema:sales.emea")} {
			f, s := &fake{shards: []policy.Securable{sales}, result: applied(t, "table:sales.emea.orders +analysts SELECT")}, &store{values: map[string][]byte{}}
			f.result.Unread = []load.LeftOut{{Securable: left, Code: code, Reason: "why"}}
			full, err := handleWith(t, f, s, ondemand.FullSync, fullJob(ondemand.Task{}))
			if err != nil {
				t.Fatal(err)
			}
			out, err := handleWith(t, f, s, ondemand.ResourceSync, shardJob(full.Children[0], sales))
			if err != nil {
				t.Fatal(err)
			}
			if got := out.Results[0]; got.Status != want || !strings.Contains(got.Message, left.String()) {
				t.Errorf("%s on %s: %s %q", code, left, got.Status, got.Message)
			}
		}
	}
}
