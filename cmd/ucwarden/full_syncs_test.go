package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"ucwarden/apiserver"
	"ucwarden/ondemand"
)

// A daemon whose full syncs fail takes tasks, and says that it is degraded, also after a restart, until one succeeds.
func TestReadinessOfFailedFullSyncs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	w.refuse(http.MethodGet, "/api/2.1/unity-catalog/catalogs")
	ready := func(url, want string) {
		t.Helper()
		var answer apiserver.Readiness
		until(t, want, func() bool {
			if err := json.Unmarshal(bodyOf(t, url+"/readyz", ""), &answer); err != nil {
				t.Fatal(err)
			}
			for _, d := range answer.Degraded {
				if d.Pointer == "/checks/syncs" {
					return want != "" && strings.Contains(d.Detail, want) && strings.Contains(d.Detail, "task get")
				}
			}
			return want == ""
		})
	}
	run := func(want ondemand.Status, expected string, fail int) {
		daemon := w.serveAt()
		p, url := daemon.process, daemon.url
		until(t, "connected", func() bool { return connected(t, url) })
		for range fail {
			task, err := w.api(url).Submit(t.Context(), fullTask)
			if err != nil {
				t.Fatal(err)
			}
			w.done(w.api(url), task.ID, want)
		}
		ready(url, expected)
		if err := p.signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
	}
	run(ondemand.Failed, "the last full sync failed, at ", 1)
	run(ondemand.Failed, "the last 3 full syncs failed, since ", 2)
	w.emulator.ClearFaults()
	run(ondemand.Success, "the last 3 full syncs failed, since ", 0)
	run(ondemand.Success, "", 1)
}

// What a change of the policies makes succeed says nothing of a failure that was about everything.
func TestFullSyncsOfAPolicyChange(t *testing.T) {
	var f fullSyncs
	end := func(source string, status ondemand.Status) bool {
		f.ended(&ondemand.Task{ID: "a", Type: ondemand.FullSync, Source: source, Status: status, EndTime: time.Unix(1, 0)})
		return f.problem(t.Context()) != nil
	}
	for i, step := range []struct {
		source string
		status ondemand.Status
		want   bool
	}{
		{"policy change", ondemand.Failed, true}, {"policy change", ondemand.Success, false}, {"schedule", ondemand.Failed, true},
		{"policy change", ondemand.Success, true}, {"policy change", ondemand.Failed, true}, {"", ondemand.Skipped, true}, {"schedule", ondemand.Success, false},
	} {
		if got := end(step.source, step.status); got != step.want {
			t.Errorf("step %d: degraded %v", i, got)
		}
	}
	f.ended(&ondemand.Task{Type: ondemand.ResourceSync, Status: ondemand.Failed})
	if f.problem(t.Context()) != nil {
		t.Error("a task for objects counts")
	}
}
