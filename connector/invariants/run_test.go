package invariants_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"

	"ucwarden/connector"
	"ucwarden/connector/emulator"
	"ucwarden/connector/unitycatalog"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

const (
	ourToken   = "our-token"
	otherToken = "other-token"
)

// process is the syncing process: it is started again after a crash, with what it had stored.
type process struct {
	*connector.Syncer
	client *unitycatalog.Client
}

// run is a world under way.
type run struct {
	world
	server   *emulator.Server
	policies *policies
	state    *memory // survives crashes
	process  process

	mu       sync.Mutex
	requests int
	changes  int // PATCHes of permissions that we sent
	crashed  bool
	cancel   context.CancelFunc // of the sync under way
}

func start(ctx context.Context, w world) (*run, error) {
	r := &run{world: w, state: &memory{}}
	o := w.Options
	o.Seed, o.Tokens = w.Seed, map[string]string{ourToken: us, otherToken: somebody}
	var err error
	if r.server, err = emulator.New(o); err != nil {
		return nil, err
	}
	r.policies = &policies{}
	if w.Earlier == nil {
		return r, errors.Join(r.policies.set(w.Policies), r.startProcess(ctx))
	}
	if err := errors.Join(r.policies.set(w.Earlier), r.startProcess(ctx)); err != nil {
		return r, err
	}
	if _, err := r.process.Sync(ctx, connector.Request{}); err != nil {
		return r, fmt.Errorf("the first sync: %w", err)
	}
	for _, e := range w.Between {
		e.make(r.server)
	}
	r.server.ResetTrace()
	r.changes = 0
	return r, r.policies.set(w.Policies)
}

func (r *run) startProcess(ctx context.Context) error {
	scope, err := scope()
	if err != nil {
		return err
	}
	client, err := unitycatalog.New(ctx, unitycatalog.Options{
		Host: "http://127.0.0.1", Token: ourToken, Transport: transport{r}, RequestTimeout: 20 * time.Second,
		Pacing: unitycatalog.Pacing{MaxAttempts: 3, AttemptTimeout: 5 * time.Second, BaseBackoff: time.Millisecond, MaxBackoff: 4 * time.Millisecond},
	})
	if err != nil {
		return err
	}
	syncer, err := connector.New(connector.Options{
		Workspace: client, Directory: client, Policies: r.policies, Scope: scope, State: r.state, UnknownState: r.state, Read: rules.Options{}, Parallel: r.Parallel,
	})
	r.process = process{syncer, client}
	return err
}

// sync runs one sync, and starts the process again where it crashed.
func (r *run) sync(request connector.Request) (*connector.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	r.mu.Lock()
	r.cancel = cancel
	r.mu.Unlock()
	result, err := r.process.Sync(ctx, request)
	r.mu.Lock()
	again := r.crashed
	r.crashed, r.cancel = false, nil
	r.mu.Unlock()
	if again {
		r.process.client.Close()
		for range 100 { // faults may be in the way
			if err = r.startProcess(context.Background()); err == nil {
				return result, errCrashed
			}
			time.Sleep(time.Second)
		}
		return nil, fmt.Errorf("start again: %w", err)
	}
	return result, err
}

var errCrashed = errors.New("the process crashed")

// policies is a source of policies that are set.
type policies struct {
	snapshot *ranger.Snapshot
	version  int64
	users    *ranger.UserStore // nil for none
}

func (p *policies) Current() *ranger.Snapshot { return p.snapshot }

func (p *policies) set(list []ranger.Policy) (err error) {
	p.version++
	p.snapshot, err = ranger.NewSnapshot(ranger.SnapshotInput{Policies: &ranger.ServicePolicies{ServiceName: "uc", PolicyVersion: p.version, Policies: list}, Users: p.users})
	return err
}

// memory keeps what a process stores.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (m *memory) Load(key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key], nil
}

func (m *memory) Save(key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = make(map[string][]byte)
	}
	m.values[key] = value
	return nil
}

// transport calls the emulator without a network, so that time may be fake.
type transport struct{ *run }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	if t.crashed {
		t.mu.Unlock()
		return nil, errCrashed
	}
	if t.cancel != nil {
		t.requests++
	}
	change := r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "/permissions/")
	if change {
		t.changes++
		for _, e := range t.Edits {
			if t.cancel != nil && e.Before == t.changes {
				e.make(t.server)
			}
		}
	}
	crash := t.cancel != nil && t.requests == t.Crash.At
	if crash {
		t.crashed = true
		t.cancel()
	}
	t.mu.Unlock()
	if crash && !t.Crash.Kept {
		return nil, errCrashed
	}
	answer, err := serve(t.server, r)
	if crash {
		return nil, errCrashed
	}
	return answer, err
}

// make makes the change, in somebody else's name. It may be refused.
func (e foreignEdit) make(server *emulator.Server) {
	typ, name, _ := strings.Cut(e.Object, ":")
	request := httptest.NewRequest(http.MethodPatch, "/api/2.1/unity-catalog/permissions/"+typ+"/"+url.PathEscape(name), strings.NewReader(e.Body))
	request.Header.Set("Authorization", "Bearer "+otherToken)
	_, _ = serve(server, request)
}

// serve calls the server as over a connection: what it drops is an error, and so is the end of an answer that it cuts off.
func serve(server http.Handler, r *http.Request) (answer *http.Response, err error) {
	r = r.Clone(r.Context())
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	done := make(chan error, 1)
	go func() { // it may hang for as long as the request does
		defer func() {
			if problem := recover(); problem != nil {
				if err, ok := problem.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
					panic(problem)
				}
				done <- io.ErrUnexpectedEOF
			}
			close(done)
		}()
		server.ServeHTTP(w, r)
	}()
	err = <-done
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	if err != nil && w.Body.Len() == 0 {
		return nil, err
	}
	answer = w.Result()
	answer.Request = r
	if err != nil {
		answer.Body = io.NopCloser(io.MultiReader(bytes.NewReader(w.Body.Bytes()), failing{err}))
	}
	return answer, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

var _ connector.Policies = (*policies)(nil)
var _ http.RoundTripper = transport{}
