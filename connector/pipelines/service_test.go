package pipelines_test

import (
	"context"
	encjson "encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ucwarden/connector/pipelines"
	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// service is a Service whose updates go through states that a test says.
type json = encjson.RawMessage

type service struct {
	mu        sync.Mutex
	pipelines map[string]*pipeline
	script    []state // of each update that is started
	events    []pipelines.Event
	late      time.Duration // of events
	err       error         // of every read
	// start is called by each start, after the update was made where it returns true first.
	start func(n int) (made bool, err error)

	starts, polls, stops, reading, most int
}

type state struct {
	name string
	for_ time.Duration
}

type pipeline struct {
	pipelines.Pipeline
	updates []*update // the oldest first
}

type update struct {
	pipelines.Update
	script  []state
	stopped time.Time
}

const (
	stopping = time.Minute
	one      = "11111111-2222-4333-8444-000000000001"
	two      = "11111111-2222-4333-8444-000000000002"
)

func newService(script ...state) *service {
	s := &service{pipelines: make(map[string]*pipeline), script: script}
	for _, id := range []string{one, two} {
		s.add(id)
	}
	return s
}

func (s *service) add(id string) *pipeline {
	p := &pipeline{Pipeline: pipelines.Pipeline{ID: id, Name: "name of " + id[len(id)-1:]}}
	s.pipelines[id] = p
	return p
}

func (u *update) now() pipelines.Update {
	at := u.Created
	got := u.Update
	for _, st := range u.script {
		if at.After(time.Now()) || !u.stopped.IsZero() && at.After(u.stopped) {
			break
		}
		got.State = st.name
		at = at.Add(st.for_)
	}
	if !u.stopped.IsZero() {
		got.State = "STOPPING"
		if time.Since(u.stopped) >= stopping {
			got.State = "CANCELED"
		}
	}
	return got
}

// begin makes an update that somebody else starts.
func (s *service) begin(id, cause string, script ...state) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.make(s.pipelines[id], cause, script)
}

func (s *service) make(p *pipeline, cause string, script []state) string {
	id := fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", 1000*len(p.updates)+len(s.pipelines))
	p.updates = append(p.updates, &update{Update: pipelines.Update{ID: id, Cause: cause, Created: time.Now(), Continuous: p.Continuous()}, script: script})
	return id
}

func (s *service) Pipeline(_ context.Context, id string) (pipelines.Pipeline, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pipelines[id]
	switch {
	case s.err != nil:
		return pipelines.Pipeline{}, s.err
	case p == nil:
		return pipelines.Pipeline{}, policy.Errorf(policy.CodeNotFound, "no pipeline %s", id)
	}
	shown := p.Pipeline
	for _, u := range slices.Backward(p.updates) {
		shown.Latest = append(shown.Latest, u.now())
	}
	return shown, nil
}

func (s *service) StartUpdate(ctx context.Context, id string, _ bool) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts++
	p := s.pipelines[id]
	made, err := true, error(nil)
	if s.start != nil {
		made, err = s.start(s.starts)
	}
	for _, u := range p.updates {
		if now := u.now(); !now.Over() {
			return "", policy.Errorf(policy.CodeConflict, "update %s is active", u.ID)
		}
	}
	if !made {
		return "", err
	}
	return s.make(p, "API_CALL", s.script), err
}

func (s *service) StopUpdate(_ context.Context, pipeline, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops++
	if u := s.find(pipeline, id); u != nil && u.stopped.IsZero() {
		u.stopped = time.Now()
	}
	return s.err
}

func (s *service) find(pipeline, id string) *update {
	if p := s.pipelines[pipeline]; p != nil {
		for _, u := range p.updates {
			if u.ID == id {
				return u
			}
		}
	}
	return nil
}

func (s *service) Update(_ context.Context, pipeline, id string) (pipelines.Update, error) {
	s.mu.Lock()
	s.polls++
	s.reading++
	s.most = max(s.most, s.reading)
	s.mu.Unlock()
	time.Sleep(100 * time.Millisecond) // of the bubble: an answer takes some time
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading--
	u := s.find(pipeline, id)
	switch {
	case s.err != nil:
		return pipelines.Update{}, s.err
	case u == nil:
		return pipelines.Update{}, policy.Errorf(policy.CodeNotFound, "no update %s", id)
	}
	return u.now(), nil
}

func (s *service) Updates(_ context.Context, pipeline string, since time.Time) ([]pipelines.Update, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pipelines[pipeline]
	if p == nil {
		return nil, policy.Errorf(policy.CodeNotFound, "no pipeline %s", pipeline)
	}
	var list []pipelines.Update
	for _, u := range slices.Backward(p.updates) {
		if !u.Created.Before(since) {
			list = append(list, u.now())
		}
	}
	return list, s.err
}

func (s *service) Events(_ context.Context, of pipelines.EventQuery) ([]pipelines.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []pipelines.Event
	for _, e := range s.events {
		if u := s.find(of.Pipeline, of.Update); u != nil && time.Since(u.Created) >= s.late && (!of.ErrorsOnly || e.Level == "ERROR") {
			list = append(list, e)
		}
	}
	if of.Last && len(list) > 0 {
		list = list[len(list)-1:]
	}
	return list, nil
}

// world is a queue on a store, with a follower of its tasks.
type world struct {
	*queue.Queue
	t       *testing.T
	service *service
	path    string
	options pipelines.Options
	jump    atomic.Int64 // of the clock on the wall
	stop    func()
}

func newWorld(t *testing.T, s *service, o pipelines.Options) *world {
	w := &world{t: t, service: s, path: t.TempDir() + "/tasks.db", options: o}
	w.open()
	t.Cleanup(func() { w.stop() })
	return w
}

// open begins to work, as a new process does.
func (w *world) open() {
	w.t.Helper()
	db, err := store.Open(w.path, store.Options{NoSync: true})
	if err != nil {
		w.t.Fatal(err)
	}
	now := func() time.Time { return time.Now().Add(time.Duration(w.jump.Load())) }
	w.Queue, err = queue.New(db, queue.Options{
		Handlers: map[ondemand.Type]ondemand.Handler{ondemand.PipelineUpdate: pipelines.Handler{Host: "https://work.example.com/"}, ondemand.ResourceSync: synced{}},
		Workers:  1, Now: now,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	o := w.options
	o.Service, o.Tasks, o.Now = w.service, w.Queue, now
	follower, err := pipelines.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{w.Queue.Run, follower.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				w.t.Error(err)
			}
		})
	}
	w.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := db.Close(); err != nil {
			w.t.Error(err)
		}
	})
}

// restart is a new process on the same store.
func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.open()
}

// submit submits a task for a pipeline and returns its id.
func (w *world) submit(document string) string {
	w.t.Helper()
	task, err := ondemand.ParseTask([]byte(document))
	if err != nil {
		w.t.Fatal(err)
	}
	stored, _, err := w.Submit(context.Background(), task)
	if err != nil {
		w.t.Fatal(err)
	}
	return stored.ID
}

func (w *world) update(pipeline string) string {
	w.t.Helper()
	return w.submit(fmt.Sprintf(`{"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":{"externalId":%q}}}`, pipeline))
}

func (w *world) get(id string) ondemand.Task {
	w.t.Helper()
	t, err := w.Get(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

// end waits for the end of a task.
func (w *world) end(id string) ondemand.Task {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Hour)
	defer cancel()
	t, err := w.Wait(ctx, id)
	if err != nil {
		w.t.Fatalf("task %s is %s (%s): %v", id, t.Status, t.StatusMessage, err)
	}
	return t
}

// synced is a handler that has nothing to do.
type synced struct{}

func (synced) Handle(_ context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	return ondemand.Outcome{Results: slices.Repeat([]ondemand.ResourceResult{{Status: ondemand.Success}}, len(job.Resources))}, nil
}
