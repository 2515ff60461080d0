package main

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"ucwarden/apiserver"
	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
	"ucwarden/ondemand/store"
)

// stubSync ends each resource by its name: broken fails, what begins with no_ is not there, the rest is granted.
type stubSync struct{}

func (stubSync) Handle(_ context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	var out ondemand.Outcome
	for _, r := range job.Resources {
		result := ondemand.ResourceResult{Type: r.Type, Values: r.Values, Status: ondemand.Success}
		s, err := r.Securable()
		if err != nil {
			return out, err
		}
		names := s.Names()
		switch last := names[len(names)-1]; {
		case last == "broken":
			result.Status, result.Message = ondemand.Failed, "permission denied"
		case strings.HasPrefix(last, "no_"):
			result.Status, result.Message = ondemand.Skipped, "not found"
		default:
			result.Changes = []ondemand.Change{{Securable: s.String(), Principal: "analysts", Add: []string{"SELECT"}, Remove: []string{"MODIFY"}}}
		}
		out.Results = append(out.Results, result)
	}
	return out, nil
}

// stubFullSync splits a full sync into three shards, of which one fails.
type stubFullSync struct{}

func (stubFullSync) Handle(context.Context, ondemand.Job) (ondemand.Outcome, error) {
	var out ondemand.Outcome
	for _, catalog := range []string{"sales", "broken", "hr"} {
		out.Children = append(out.Children, ondemand.Task{Type: ondemand.ResourceSync, Source: "cli", RequestInfo: ondemand.RequestInfo{
			Resources: []ondemand.Resource{{Type: "catalog", Values: map[string]string{"catalog": catalog}}},
		}})
	}
	return out, nil
}

// startDaemon serves the REST API over a queue of its own for one script, and sets UCWARDEN_SERVER and
// UCWARDEN_TOKEN_FILE to it.
func startDaemon(env *testscript.Env) error {
	made, err := keys.Generate(keys.GenerateOptions{Dir: filepath.Join(env.WorkDir, ".daemon"), Instance: "test"})
	if err != nil {
		return err
	}
	verifier, err := keys.NewVerifier(context.Background(), keys.VerifierOptions{JWKS: made.JWKS})
	if err != nil {
		return err
	}
	store, err := store.Open(filepath.Join(env.WorkDir, ".daemon", "tasks.db"), store.Options{})
	if err != nil {
		return err
	}
	queue, err := queue.New(store, queue.Options{Handlers: map[ondemand.Type]ondemand.Handler{
		ondemand.ResourceSync: stubSync{}, ondemand.FullSync: stubFullSync{},
	}})
	if err != nil {
		return err
	}
	server, err := apiserver.New(apiserver.Options{Tasks: queue, Verifier: verifier})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := queue.Run(ctx); err != nil {
			env.T().Log("queue:", err)
		}
	})
	listener := httptest.NewServer(server.Handler())
	env.Defer(func() {
		listener.CloseClientConnections()
		listener.Close()
		cancel()
		running.Wait()
		if err := store.Close(); err != nil {
			env.T().Log("store:", err)
		}
	})
	env.Setenv("UCWARDEN_SERVER", listener.URL)
	env.Setenv("UCWARDEN_TOKEN_FILE", made.Token)
	return nil
}

// setUp returns the scripts named task_* a daemon.
func setUp(env *testscript.Env) error {
	env.Setenv("TZ", "UTC")
	env.Setenv("GORACE", os.Getenv("GORACE")) // see TestMain
	demo, err := filepath.Abs("demo")
	if err != nil {
		return err
	}
	env.Setenv("DEMO", demo) // sample policies and suites
	env.Values[scriptState{}] = &scriptState{}
	if strings.HasPrefix(filepath.Base(env.WorkDir), "script-task") {
		return startDaemon(env)
	}
	return nil
}
