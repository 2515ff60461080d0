package queue

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// handlerFunc is a Handler made of a function.
type handlerFunc func(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error)

func (f handlerFunc) Handle(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	return f(ctx, job)
}

// succeed answers for every resource.
func succeed(_ context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	out := ondemand.Outcome{Results: make([]ondemand.ResourceResult, len(job.Resources))}
	for i := range out.Results {
		out.Results[i].Status = ondemand.Success
	}
	return out, nil
}

// tester is what the helpers need of *testing.T, *testing.B and *rapid.T.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// openStore opens a store that does not sync: no test cuts the power, and fsync would be most of their time.
func openStore(t tester, path string, commit func(func() error) error) *store.Store {
	t.Helper()
	s, err := store.Open(path, store.Options{NoSync: true, Commit: commit})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rig is a queue on a store of its own.
type rig struct {
	*Queue
	t     tester
	path  string
	opts  Options
	store *store.Store
	stop  func()

	commit atomic.Pointer[func(commit func() error) error] // see failing
}

func newRig(t testing.TB, o Options) *rig {
	r := &rig{t: t, path: filepath.Join(t.TempDir(), "tasks.db"), opts: o, stop: func() {}}
	r.open()
	t.Cleanup(r.close)
	return r
}

func handlers(f handlerFunc) map[ondemand.Type]ondemand.Handler {
	return map[ondemand.Type]ondemand.Handler{ondemand.ResourceSync: f, ondemand.FullSync: f}
}

func (r *rig) open() {
	r.t.Helper()
	r.store = openStore(r.t, r.path, func(commit func() error) error {
		if f := r.commit.Load(); f != nil {
			return (*f)(commit)
		}
		return commit()
	})
	q, err := New(r.store, r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Queue = q
}

func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.Run(ctx); err != nil {
			r.t.Errorf("Run: %v", err)
		}
	}()
	r.stop = func() { cancel(); <-ended; r.stop = func() {} }
}

func (r *rig) close() {
	r.stop()
	if r.store != nil {
		if err := r.store.Close(); err != nil {
			r.t.Errorf("close the store: %v", err)
		}
		r.store = nil
	}
}

func (r *rig) submit(t ondemand.Task) ondemand.Task {
	r.t.Helper()
	got, _, err := r.Submit(context.Background(), t)
	if err != nil {
		r.t.Fatalf("submit %s: %v", t.ID, err)
	}
	return got
}

func (r *rig) get(id string) ondemand.Task {
	r.t.Helper()
	t, err := r.Get(context.Background(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return t
}

func (r *rig) wait(id string) ondemand.Task {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	t, err := r.Wait(ctx, id)
	if err != nil {
		r.t.Fatalf("task %s is %s: %v", id, t.Status, err)
	}
	return t
}

// syncTask makes a RESOURCE_SYNC of "TYPE:name" securables.
func syncTask(id string, names ...string) ondemand.Task {
	t := ondemand.Task{ID: id, Type: ondemand.ResourceSync}
	for _, name := range names {
		s, err := policy.ParseSecurable(name)
		if err != nil {
			panic(err)
		}
		t.RequestInfo.Resources = append(t.RequestInfo.Resources, ondemand.ResourceOf(s))
	}
	return t
}

func TestSubmitRunWait(t *testing.T) {
	r := newRig(t, Options{Handlers: handlers(succeed)})
	got := r.submit(syncTask("", "table:sales.emea.orders"))
	if got.Status != ondemand.New || got.ID == "" {
		t.Fatalf("submitted task is %s with id %q", got.Status, got.ID)
	}
	r.start()
	done := r.wait(got.ID)
	if done.Status != ondemand.Success || done.Attempts != 1 || len(done.Resources) != 1 {
		t.Errorf("task ended %s after %d attempts with %d results", done.Status, done.Attempts, len(done.Resources))
	}
}
