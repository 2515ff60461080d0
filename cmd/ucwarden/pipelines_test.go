package main

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"ucwarden/connector/emulator"
	"ucwarden/ondemand"
)

const (
	nightly = "11111111-2222-4333-8444-555555555555" // an update takes a while
	broken  = "11111111-2222-4333-8444-666666666666" // an update fails
	endless = "11111111-2222-4333-8444-777777777777" // an update runs until it is stopped
)

// pipelineWorld is a workspace with pipelines.
func pipelineWorld(t *testing.T) *world {
	seed := oneSchema("t1")
	seed.Pipelines = []emulator.SeedPipeline{
		{ID: nightly, Name: "nightly"},
		{ID: broken, Name: "broken", Runs: []emulator.SeedPipelineRun{{End: "FAILED", Errors: []string{"no such column: region"}}}},
		{ID: endless, Name: "endless", Runs: []emulator.SeedPipelineRun{{Steps: []emulator.SeedPipelineStep{{State: "RUNNING"}}, End: "never"}}},
	}
	return newWorld(t, seed, readTables)
}

// storedUpdate matches what serve logs once it has stored which update it follows.
var storedUpdate = regexp.MustCompile(`msg="an update of a pipeline was started"`)

var quickPolls = []string{"--set", "pipelines.poll_interval=20ms", "--set", "pipelines.poll_max=100ms"}

func pipelineTask(t *testing.T, id, pipeline string) ondemand.Task {
	t.Helper()
	task, err := ondemand.PipelineTask(pipeline, false)
	if err != nil {
		t.Fatal(err)
	}
	task.ID = id
	return task
}

// updates counts the requests to start an update.
func (w *world) updates() int {
	n := 0
	for _, e := range w.emulator.Trace() {
		if e.Method == http.MethodPost && strings.HasSuffix(e.Path, "/updates") {
			n++
		}
	}
	return n
}

// TestPipelineUpdateIsStartedOnce: the daemon is killed after the workspace started an update, before the answer came, and again
// while it follows the update. The next ones go on with it.
func TestPipelineUpdateIsStartedOnce(t *testing.T) {
	t.Parallel()
	w := pipelineWorld(t)
	d, api := w.serve(quickPolls...)
	started, killed := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(started) })
	w.onRequest(func(r *http.Request, serve func()) {
		serve()
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/updates") {
			once()
			<-killed
		}
	})
	if _, err := api.Submit(t.Context(), pipelineTask(t, "one", endless)); err != nil {
		t.Fatal(err)
	}
	<-started
	d.kill()
	close(killed)
	w.onRequest(nil)
	d, _ = w.serve(quickPolls...)
	if _, err := d.logged(storedUpdate); err != nil {
		t.Fatal(err)
	}
	d.kill()
	d, api = w.serve(quickPolls...)
	task, err := api.Get(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if task.Status != ondemand.InProgress || task.Run == nil || !strings.HasPrefix(task.Run.ID, endless+":") || task.Run.Link != w.workspace+"/#joblist/pipelines/"+endless {
		t.Errorf("the task is %s, its run %+v", task.Status, task.Run)
	}
	if task, err = api.Cancel(t.Context(), "one"); err != nil || task.Status != ondemand.InProgress {
		t.Fatalf("a cancel: %s, %v", task.Status, err)
	}
	task = w.done(api, "one", ondemand.Skipped)
	if task.Run.Status != ondemand.RunCancelled || task.Run.RawState != "CANCELED" || task.Attempts != 1 || task.Crashes != 0 {
		t.Errorf("it ended with %d attempts, %d crashes and the run %+v", task.Attempts, task.Crashes, task.Run)
	}
	if n := w.updates(); n != 1 {
		t.Errorf("%d updates were started", n)
	}
	if err := d.signal(os.Interrupt); err != nil {
		t.Error(err)
	}
}

// TestPipelineUpdates: what a client of the API sees of updates that end well, badly, and in mode observe.
func TestPipelineUpdates(t *testing.T) {
	t.Parallel()
	w := pipelineWorld(t)
	d, api := w.serve(quickPolls...)
	for id, want := range map[string]struct {
		pipeline, message string
		status            ondemand.Status
		run               ondemand.RunStatus
	}{
		"well":      {nightly, "COMPLETED", ondemand.Success, ondemand.RunSuccess},
		"badly":     {broken, "no such column: region", ondemand.Failed, ondemand.RunFailed},
		"unknown":   {strings.Replace(nightly, "1", "9", 1), "there is no pipeline", ondemand.Failed, ""},
		"malformed": {"nightly", "not the id of a pipeline", ondemand.Failed, ""},
	} {
		if _, err := api.Submit(t.Context(), pipelineTask(t, id, want.pipeline)); err != nil {
			t.Fatal(err)
		}
		got := w.done(api, id, want.status)
		run := ondemand.Run{}
		if got.Run != nil {
			run = *got.Run
		}
		if !strings.Contains(got.StatusMessage, want.message) || run.Status != want.run {
			t.Errorf("%s: %q, run %q", id, got.StatusMessage, run.Status)
		}
		if want.run != "" && (run.StartTime.IsZero() || run.EndTime.Before(run.StartTime) || run.LastStateChange.IsZero()) {
			t.Errorf("%s: its times are %v, %v, %v", id, run.StartTime, run.EndTime, run.LastStateChange)
		}
	}
	if err := d.signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	before := w.updates()
	_, api = w.serve(append(quickPolls, "--set", "sync.mode=observe")...)
	if _, err := api.Submit(t.Context(), pipelineTask(t, "observed", nightly)); err != nil {
		t.Fatal(err)
	}
	if got := w.done(api, "observed", ondemand.Success); !strings.Contains(got.StatusMessage, "mode observe: an update of pipeline nightly") || w.updates() != before {
		t.Errorf("in mode observe: %q, %d updates", got.StatusMessage, w.updates()-before)
	}
}
