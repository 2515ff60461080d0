package tasks_test

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

	"ucwarden/connector"
	"ucwarden/connector/apply"
	"ucwarden/connector/tasks"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// fake is a Syncer that returns what a test sets, and keeps what it was asked.
type fake struct {
	shards    []policy.Securable
	concerned []policy.Securable
	result    *connector.Result
	err       error // of everything
	refused   error // of the guards
	request   connector.Request
	left      []policy.Securable // of a sync of what validity schedules changed
	validity  []connector.Request

	mu       sync.Mutex // guards planned and request: shards and tasks run side by side
	planned  []string   // shards
	judged   []string   // digests
	approved string
	saved    string
	applied  []*connector.ShardPlan
	ended    []string // how full syncs ended that were planned
}

func (f *fake) Shards(context.Context) ([]policy.Securable, error) { return f.shards, f.err }

func (f *fake) Concerned([]policy.Securable) ([]policy.Securable, error) { return f.concerned, f.err }

func (f *fake) PlanShard(_ context.Context, r connector.Request) (*connector.ShardPlan, error) {
	name := r.Roots[0].String()
	f.mu.Lock()
	f.planned = append(f.planned, name)
	f.mu.Unlock()
	return &connector.ShardPlan{
		Roots: r.Roots, Digest: "digest of " + name, PlannedAt: time.Now(),
		ShardBody: connector.ShardBody{Changes: []policy.Change{{Securable: r.Roots[0], Add: []policy.Assignment{{Principal: policy.PrincipalByShape("analysts"), Privilege: "SELECT"}}}}},
	}, f.err
}

func (f *fake) Fits(*connector.ShardPlan) (bool, error) { return true, nil }

func (f *fake) Judge(_ context.Context, shards []*connector.ShardPlan, r connector.Request) (connector.Judged, error) {
	f.judged, f.approved, f.saved = nil, r.Approved, r.Saved
	for _, p := range shards {
		f.judged = append(f.judged, p.Digest)
	}
	return connector.Judged{Digest: "all"}, f.refused
}

func (f *fake) Planned(_ context.Context, whole bool, err error) {
	f.ended = append(f.ended, fmt.Sprint(whole, " ", policy.CodeOf(err)))
}

func (f *fake) ApplyShard(_ context.Context, p *connector.ShardPlan, whole connector.Judged, r connector.Request) (*connector.Result, error) {
	if whole.Digest != "all" {
		return nil, errors.New("applied without having been judged")
	}
	f.request, f.applied = r, append(f.applied, p)
	return f.result, f.err
}

func (f *fake) Release(*connector.ShardPlan) {}

func (f *fake) ReleaseShards() {}

func (f *fake) SyncValidity(_ context.Context, r connector.Request) (*connector.Result, []policy.Securable, error) {
	f.validity = append(f.validity, r)
	return f.result, f.left, f.err
}

func (f *fake) Sync(_ context.Context, r connector.Request) (*connector.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.request = r
	return f.result, f.err
}

// store keeps values in memory.
type store struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (s *store) Load(key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key], nil
}

func (s *store) SaveAll(values map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.values, values)
	maps.DeleteFunc(s.values, func(_ string, v []byte) bool { return v == nil })
	return nil
}

func (s *store) Range(prefix string, visit func(string, []byte) error) error {
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		if strings.HasPrefix(key, prefix) {
			if err := visit(key, s.values[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *store) RemoveAll(prefix string) error {
	maps.DeleteFunc(s.values, func(key string, _ []byte) bool { return strings.HasPrefix(key, prefix) })
	return nil
}

var _ tasks.Syncer = (*fake)(nil)

func handle(t *testing.T, f *fake, typ ondemand.Type, job ondemand.Job) (ondemand.Outcome, error) {
	t.Helper()
	return handleWith(t, f, &store{values: make(map[string][]byte)}, typ, job)
}

func handleWith(t *testing.T, f *fake, s *store, typ ondemand.Type, job ondemand.Job) (ondemand.Outcome, error) {
	t.Helper()
	handlers, err := tasks.New(tasks.Options{Syncer: f, Store: s})
	if err != nil {
		t.Fatal(err)
	}
	return handlers[typ].Handle(t.Context(), job)
}

// jobOf is a job for the named securables.
func jobOf(t *testing.T, names ...string) ondemand.Job {
	t.Helper()
	var job ondemand.Job
	for _, name := range names {
		s := policy.Securable{Type: policy.Metastore}
		if name != "METASTORE:" {
			s = sec(t, name)
		}
		job.Securables, job.Resources = append(job.Securables, s), append(job.Resources, ondemand.ResourceOf(s))
	}
	return job
}

func sec(t *testing.T, name string) policy.Securable {
	t.Helper()
	s, err := policy.ParseSecurable(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// change reads "TABLE:a.b.c +ann SELECT -bob MODIFY".
func change(t *testing.T, text string) policy.Change {
	t.Helper()
	words := strings.Fields(text)
	c := policy.Change{Securable: sec(t, words[0])}
	for i := 1; i < len(words); i += 2 {
		a := policy.Assignment{Principal: policy.PrincipalByShape(words[i][1:]), Privilege: policy.Privilege(words[i+1])}
		if words[i][0] == '+' {
			c.Add = append(c.Add, a)
		} else {
			c.Remove = append(c.Remove, a)
		}
	}
	return c
}

func planOf(t *testing.T, changes ...string) *policy.Plan {
	p := &policy.Plan{}
	for _, text := range changes {
		p.Changes = append(p.Changes, change(t, text))
	}
	return p
}

// applied is a result whose changes all hold.
func applied(t *testing.T, changes ...string) *connector.Result {
	r := &connector.Result{Plan: planOf(t, changes...), Outcomes: []apply.Outcome{}}
	for _, c := range r.Plan.Changes {
		r.Outcomes = append(r.Outcomes, apply.Outcome{Change: c})
	}
	return r
}

func TestNewWantsASyncer(t *testing.T) {
	if _, err := tasks.New(tasks.Options{}); err == nil {
		t.Error("no error without a syncer")
	}
}

// Each resource ends with what the sync did on it, inside it and above it, and nothing else.
func TestResultsPerResource(t *testing.T) {
	const (
		open   = "schema:sales.emea +analysts USE_SCHEMA"
		orders = "table:sales.emea.orders +analysts SELECT +ann@example.com MODIFY +analysts MODIFY -bob@example.com SELECT"
		leads  = "table:sales.apac.leads +analysts SELECT"
	)
	failed := func(r *connector.Result, errs ...error) *connector.Result {
		for i, err := range errs {
			if err != nil {
				r.Outcomes[i] = apply.Outcome{Change: policy.Change{Securable: r.Plan.Changes[i].Securable}, Err: err}
			}
		}
		return r
	}
	denied := policy.Errorf(policy.CodeForbidden, "permission denied")
	unknown := applied(t, open, leads)
	unknown.Outcomes[0] = apply.Outcome{Change: policy.Change{Securable: sec(t, "schema:sales.emea")}, Unknown: []policy.Principal{policy.PrincipalByShape("zed"), policy.PrincipalByShape("analysts")}}
	gone := applied(t, leads)
	gone.Outcomes[0].Gone, gone.Outcomes[0].Change.Add = true, nil
	for _, test := range []struct {
		name   string
		result *connector.Result
		ask    []string
		want   []string // STATUS message
	}{
		{"nothing to do", applied(t), []string{"catalog:sales"}, []string{"SUCCESS already in sync"}},
		{"inside, above and beside", applied(t, open, orders, leads),
			[]string{"table:sales.emea.orders", "schema:sales.apac", "catalog:sales", "catalog:hr"},
			[]string{"SUCCESS 4 grants, 1 revoke on 2 securables", "SUCCESS 1 grant, 0 revokes on 1 securable",
				"SUCCESS 5 grants, 1 revoke on 3 securables", "SUCCESS already in sync"}},
		{"the metastore's own objects", applied(t, leads, "external_location:lake +analysts READ_FILES"), []string{"METASTORE:"},
			[]string{"SUCCESS 1 grant, 0 revokes on 1 securable"}},
		{"missing", &connector.Result{Plan: planOf(t, leads), Missing: []policy.Securable{sec(t, "table:sales.apac.leads")}},
			[]string{"table:sales.apac.leads"}, []string{"SKIPPED not found in Unity Catalog"}},
		{"mode observe", &connector.Result{Plan: planOf(t, open, leads)}, []string{"catalog:sales", "catalog:hr"},
			[]string{"SUCCESS mode observe: 2 grants, 0 revokes on 2 securables would be made, nothing was changed", "SUCCESS already in sync"}},
		{"dropped meanwhile", gone, []string{"catalog:sales"}, []string{"SUCCESS already in sync"}},
		{"one fails", failed(applied(t, open, leads), denied), []string{"schema:sales.emea", "schema:sales.apac", "catalog:sales"},
			[]string{"FAILED 1 change(s) not applied, the first on SCHEMA:sales.emea because: permission denied", "SUCCESS 1 grant, 0 revokes on 1 securable",
				"FAILED 1 change(s) not applied, the first on SCHEMA:sales.emea because: permission denied; 1 grant, 0 revokes on 1 securable"}},
		{"the cause is named, not its consequence", failed(applied(t, open, orders, leads), apply.ErrHeldBack, denied, apply.ErrHeldBack),
			[]string{"catalog:sales"}, []string{"FAILED 3 change(s) not applied, the first on TABLE:sales.emea.orders because: permission denied; 2 of them held back, in all or in part, because what has to come before them was not made"}},
		{"unknown principals", unknown, []string{"schema:sales.emea", "catalog:sales"},
			[]string{"SUCCESS not granted to principals the account does not know: analysts, zed",
				"SUCCESS 1 grant, 0 revokes on 1 securable; not granted to principals the account does not know: analysts, zed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			job := jobOf(t, test.ask...)
			out, err := handle(t, &fake{result: test.result}, ondemand.ResourceSync, job)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, r := range out.Results {
				got = append(got, fmt.Sprintf("%s %s", r.Status, r.Message))
				if r.Type != job.Resources[i].Type || !cmp.Equal(r.Values, job.Resources[i].Values) {
					t.Errorf("result %d is of %s %v", i, r.Type, r.Values)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is recorded is one entry per principal of a securable, and only what was done.
func TestRecordedChanges(t *testing.T) {
	const orders = "table:sales.emea.orders +zoe@example.com SELECT +analysts SELECT +analysts MODIFY -bob@example.com SELECT"
	out, err := handle(t, &fake{result: applied(t, orders)}, ondemand.ResourceSync, jobOf(t, "catalog:sales"))
	if err != nil {
		t.Fatal(err)
	}
	const name = "TABLE:sales.emea.orders"
	want := []ondemand.Change{
		{Securable: name, Principal: "analysts", Add: []string{"SELECT", "MODIFY"}},
		{Securable: name, Principal: "bob@example.com", Remove: []string{"SELECT"}},
		{Securable: name, Principal: "zoe@example.com", Add: []string{"SELECT"}},
	}
	if diff := cmp.Diff(want, out.Results[0].Changes); diff != "" {
		t.Error(diff)
	}
	out, err = handle(t, &fake{result: &connector.Result{Plan: planOf(t, orders)}}, ondemand.ResourceSync, jobOf(t, "catalog:sales"))
	if err != nil || len(out.Results[0].Changes) > 0 {
		t.Errorf("mode observe records %v, %v", out.Results[0].Changes, err)
	}
}

func TestRecordIsBounded(t *testing.T) {
	changes := make([]string, 1001)
	for i := range changes {
		changes[i] = fmt.Sprintf("table:sales.emea.t%d +analysts SELECT", i)
	}
	for n, note := range map[int]string{1000: "", 1001: "; the first 1000 changes are recorded"} {
		out, err := handle(t, &fake{result: applied(t, changes[:n]...)}, ondemand.ResourceSync, jobOf(t, "catalog:sales"))
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("%d grants, 0 revokes on %d securables%s", n, n, note)
		if r := out.Results[0]; r.Message != want || len(r.Changes) != 1000 {
			t.Errorf("%d recorded, message %q, want 1000 and %q", len(r.Changes), r.Message, want)
		}
	}
}

// The request names the roots and the approval; containers that were synced as well are told.
func TestRequestAndMessage(t *testing.T) {
	result := applied(t)
	result.AlsoSynced = []policy.Securable{sec(t, "catalog:sales"), sec(t, "schema:hr.core")}
	f := &fake{result: result}
	job := jobOf(t, "table:sales.emea.orders", "view:hr.core.v")
	job.Task.RequestInfo.Approve = "digest"
	out, err := handle(t, f, ondemand.ResourceSync, job)
	if err != nil {
		t.Fatal(err)
	}
	want := "CATALOG:sales, SCHEMA:hr.core synced too, because what is granted inside requires USE_* there, or USE_* inside would wake what is granted there"
	if out.Message != want {
		t.Errorf("message %q, want %q", out.Message, want)
	}
	if f.request.Approved != "digest" || !cmp.Equal(f.request.Roots, job.Securables) {
		t.Errorf("asked for %+v", f.request)
	}
}

// Changes are made for who asked last, as verified; what the document of a task says of its source gives it nothing that only the
// daemon's own tasks have.
func TestWhoAsked(t *testing.T) {
	for _, tt := range []struct {
		task   ondemand.Task
		by     string
		person bool
	}{
		{ondemand.Task{Source: "schedule"}, "schedule", false},
		{ondemand.Task{Source: "schedule", PostedBy: "airflow"}, "airflow", true},
		{ondemand.Task{Source: "ann", PostedBy: "event hub tasks"}, "event hub tasks", true},
		{ondemand.Task{PostedBy: "ann", RetriedBy: "bob"}, "bob", true},
		{ondemand.Task{Source: tasks.SourcePolicyChange, RetriedBy: "bob"}, "bob", false},
	} {
		f := &fake{result: applied(t)}
		job := jobOf(t, "table:sales.emea.orders")
		tt.task.RequestInfo, tt.task.Type = job.Task.RequestInfo, ondemand.ResourceSync
		job.Task = tt.task
		if _, err := handle(t, f, ondemand.ResourceSync, job); err != nil {
			t.Fatal(err)
		}
		if f.request.Origin.By != tt.by || f.request.ByPerson != tt.person {
			t.Errorf("%+v: by %q, of a person: %v", tt.task, f.request.Origin.By, f.request.ByPerson)
		}
	}
	f := &fake{shards: []policy.Securable{sec(t, "catalog:hr"), sec(t, "catalog:sales")}, result: applied(t)}
	out, err := handle(t, f, ondemand.FullSync, fullJob(ondemand.Task{Source: tasks.SourcePolicyChange, PostedBy: "airflow"}))
	if err != nil || len(out.Children) != 2 {
		t.Errorf("a full sync that names a source of the daemon's own has %d parts, %v", len(out.Children), err)
	}
}

// A saved plan is judged by its digest; a further attempt does what is left of the plan that was judged, and is not judged
// as a new one.
func TestSavedPlan(t *testing.T) {
	f, s := &fake{result: applied(t)}, &store{values: make(map[string][]byte)}
	job := jobOf(t, "table:sales.emea.orders")
	job.Task.ID, job.Task.RequestInfo.Plan = "task", "digest"
	if _, err := handleWith(t, f, s, ondemand.ResourceSync, job); err != nil {
		t.Fatal(err)
	}
	if f.saved != "digest" || !cmp.Equal(f.judged, []string{"digest of TABLE:sales.emea.orders"}) || len(f.applied) != 1 || len(f.request.Roots) > 0 {
		t.Errorf("judged %v as %q, applied %d as %+v", f.judged, f.saved, len(f.applied), f.request)
	}
	f.judged, f.planned = nil, nil
	if _, err := handleWith(t, f, s, ondemand.ResourceSync, job); err != nil {
		t.Fatal(err)
	}
	if len(f.judged)+len(f.planned) > 0 || len(f.applied) != 2 || !cmp.Equal(f.request.Roots, job.Securables) {
		t.Errorf("judged %v, planned %v, applied %d as %+v", f.judged, f.planned, len(f.applied), f.request)
	}
	stale := policy.Errorf(policy.CodeInvalid, "stale")
	f.refused, job.Task.ID = stale, "other"
	if _, err := handleWith(t, f, s, ondemand.ResourceSync, job); !errors.Is(err, stale) || len(f.applied) != 2 {
		t.Errorf("error %v, applied %d", err, len(f.applied))
	}
	if diff := cmp.Diff([]string{"false invalid"}, f.ended); diff != "" {
		t.Errorf("noted (-want +got):\n%s", diff)
	}
	// A part of a full sync whose plan is gone is not planned anew.
	job.Task.ParentID = "parent"
	if _, err := handleWith(t, f, s, ondemand.ResourceSync, job); policy.CodeOf(err) != policy.CodeInvalid || len(f.applied) != 2 {
		t.Errorf("error %v, applied %d", err, len(f.applied))
	}
}

// An error of the sync, and a change that may succeed later, leave the task to be tried again.
func TestErrors(t *testing.T) {
	refused := policy.Errorf(policy.CodeRefused, "too many revokes")
	if _, err := handle(t, &fake{err: refused}, ondemand.ResourceSync, jobOf(t, "catalog:sales")); !errors.Is(err, refused) {
		t.Errorf("error is %v", err)
	}
	busy := policy.Errorf(policy.CodeUnavailable, "try later")
	r := applied(t, "table:sales.emea.orders +analysts SELECT", "table:sales.emea.leads +analysts SELECT")
	r.Outcomes[0].Err, r.Outcomes[1].Err = policy.Errorf(policy.CodeForbidden, "denied"), busy
	if _, err := handle(t, &fake{result: r}, ondemand.ResourceSync, jobOf(t, "catalog:sales")); !errors.Is(err, busy) {
		t.Errorf("error is %v, want the one to try again after", err)
	}
	// What was made is told then: the next attempt finds it in sync.
	r = applied(t, "table:sales.emea.orders +analysts SELECT", "table:sales.emea.leads +analysts SELECT")
	r.Outcomes[1].Err, r.Outcomes[1].Change.Add = busy, nil
	out, err := handle(t, &fake{result: r}, ondemand.ResourceSync, jobOf(t, "catalog:sales"))
	if want := "made until then: 1 grant, 0 revokes on 1 securable; 1 change left"; !errors.Is(err, busy) || out.Message != want {
		t.Errorf("error is %v, message %q, want %q", err, out.Message, want)
	}
}

// A task records why each change was made.
func TestCausesAreRecorded(t *testing.T) {
	result := applied(t, "table:sales.emea.orders +analysts SELECT -bob@example.com MODIFY")
	c := &result.Outcomes[0].Change
	c.Causes = policy.Causes{}
	c.Causes.Set(policy.ActAdd, c.Add[0], policy.Cause{Kind: policy.CausePolicy, PolicyID: 3, Policy: "analysts read", Item: "policyItems[0]"})
	c.Causes.Set(policy.ActRemove, c.Remove[0], policy.Cause{Kind: policy.CauseDrift})
	out, err := handle(t, &fake{result: result}, ondemand.ResourceSync, jobOf(t, "table:sales.emea.orders"))
	if err != nil {
		t.Fatal(err)
	}
	want := []ondemand.Change{
		{Securable: "TABLE:sales.emea.orders", Principal: "analysts", Add: []string{"SELECT"}, Causes: map[string]string{"SELECT": `policy 3 "analysts read" policyItems[0]`}},
		{Securable: "TABLE:sales.emea.orders", Principal: "bob@example.com", Remove: []string{"MODIFY"}, Causes: map[string]string{"MODIFY": "no policy asks for it"}},
	}
	if diff := cmp.Diff(want, out.Results[0].Changes); diff != "" {
		t.Error(diff)
	}
}
