package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"ucwarden/ondemand"
)

// spanReceiver is a receiver of traces.
type spanReceiver struct {
	mu    sync.Mutex
	spans []*otlp.Span
}

func (s *spanReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body collector.ExportTraceServiceRequest
	if content, err := gzip.NewReader(r.Body); err == nil {
		if text, err := io.ReadAll(content); err == nil && proto.Unmarshal(text, &body) == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, resource := range body.ResourceSpans {
				for _, scope := range resource.ScopeSpans {
					s.spans = append(s.spans, scope.Spans...)
				}
			}
			return
		}
	}
	http.Error(w, "not understood", http.StatusBadRequest)
}

// The trace of whoever posts a task goes on to the request that changes the grants, also where that is made after a restart.
func TestTraceFromRequestToPatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	var traces spanReceiver
	receiver := httptest.NewServer(&traces)
	t.Cleanup(receiver.Close)
	traced := []string{"--set", "tracing.url=" + receiver.URL}
	daemon, api, err := launchServe(w.dir, environment(), append([]string{"-c", w.config}, traced...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(daemon.kill)
	if _, err := w.api(api).Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(w.tokenFile)
	if err != nil {
		t.Fatal(err)
	}
	end := func(p *process) {
		t.Helper()
		if err := p.signal(syscall.SIGTERM); err != nil {
			t.Fatalf("%v\n%s", err, p.logs())
		}
	}
	const trace, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	body, err := json.Marshal(tableSync("one", "c", "s", "t1"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, api+"/api/v1/tasks", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("traceparent", "00-"+trace+"-"+caller+"-01")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Fatal(resp.Status)
	}
	end(daemon)

	daemon, again := w.serve(traced...)
	if _, err := again.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if task := w.done(again, "one", ondemand.Success); !strings.HasPrefix(task.Traceparent, "00-"+trace) {
		t.Errorf("the task has traceparent %q", task.Traceparent)
	}
	end(daemon) // which sends what is left

	traces.mu.Lock()
	defer traces.mu.Unlock()
	parents := make(map[string]*otlp.Span)
	var patch *otlp.Span
	for _, s := range traces.spans {
		parents[string(s.SpanId)] = s
		if strings.HasPrefix(s.Name, "PATCH") {
			patch = s
		}
	}
	var way []string
	for s := patch; s != nil; s = parents[string(s.ParentSpanId)] {
		way = append(way, s.Name)
		if s.EndTimeUnixNano < s.StartTimeUnixNano {
			t.Errorf("%s ended before it began", s.Name)
		}
	}
	if want := []string{"PATCH permissions table", "apply", "task RESOURCE_SYNC", "POST /api/v1/tasks"}; !slices.Equal(way, want) {
		t.Errorf("the way to the change is %q, want %q", way, want)
	}
	for _, name := range []string{"load objects and grants", "compile and diff", "guards"} {
		if !slices.ContainsFunc(traces.spans, func(s *otlp.Span) bool { return s.Name == name }) {
			t.Errorf("no span %q", name)
		}
	}
}

// A receiver that is not there keeps nothing from being done, and no request from ending.
func TestTracesWithoutReceiver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	daemon, api := w.serve("--set", "tracing.url="+gone.URL)
	task, err := api.Submit(t.Context(), tableSync("one", "c", "s", "t1"))
	if err != nil {
		t.Fatal(err)
	}
	w.done(api, task.ID, ondemand.Success)
	if err := daemon.signal(syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, daemon.logs())
	}
	if log := daemon.logs(); !strings.Contains(log, "tracing.url") {
		t.Errorf("nothing says that traces are lost:\n%s", log)
	}
}
