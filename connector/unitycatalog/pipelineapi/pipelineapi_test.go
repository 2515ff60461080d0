package pipelineapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"net/http/httptest"

	"ucwarden/connector/emulator"
	"ucwarden/connector/pipelines"
	"ucwarden/connector/unitycatalog"
	"ucwarden/connector/unitycatalog/pipelineapi"
	"ucwarden/policy"
)

const nightly = "11111111-2222-4333-8444-555555555555"

// withPipelines returns an emulator and a client of its admin. The first update of the pipeline nightly fails, the others run for an hour.
func withPipelines(t *testing.T, o emulator.Options, more ...emulator.SeedPipeline) (*emulator.Server, *pipelineapi.Client) {
	t.Helper()
	o.Seed = &emulator.Seed{Users: []string{"ann@example.com"}, Pipelines: append(more, emulator.SeedPipeline{
		ID: nightly, Name: "nightly", RunAs: "robot@example.com", Spec: map[string]any{"catalog": "main"},
		Runs: []emulator.SeedPipelineRun{{Steps: []emulator.SeedPipelineStep{{State: "RUNNING"}}, End: "FAILED", Errors: []string{"no such\ncolumn", "no such table"}},
			{Steps: []emulator.SeedPipelineStep{{State: "RUNNING", For: "1h"}}, Stopping: "1h"}},
	})}
	o.Tokens = map[string]string{"admin-token": "admin@example.com"}
	server, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	api, err := unitycatalog.New(t.Context(), unitycatalog.Options{Host: web.URL, Token: "admin-token", AllowHTTP: true, UserAgent: "test",
		Pacing: unitycatalog.Pacing{MaxAttempts: 5, BaseBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	server.ResetTrace()
	return server, pipelineapi.New(api)
}

func started(t *testing.T, c *pipelineapi.Client) string {
	t.Helper()
	id, err := c.StartUpdate(t.Context(), nightly, false)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func stateOf(t *testing.T, c *pipelineapi.Client, id string) string {
	t.Helper()
	u, err := c.Update(t.Context(), nightly, id)
	if err != nil {
		t.Fatal(err)
	}
	return u.State
}

func TestPipelines(t *testing.T) {
	var more []emulator.SeedPipeline
	for i := range 250 {
		more = append(more, emulator.SeedPipeline{Name: fmt.Sprint("p", i)})
	}
	server, c := withPipelines(t, emulator.Options{EmptyPages: true}, more...)
	all, err := c.Pipelines(t.Context(), "")
	if err != nil || len(all) != 251 {
		t.Fatalf("%d pipelines, want 251: %v", len(all), err)
	}
	if n := len(server.Trace()); n > 6 {
		t.Errorf("%d calls", n)
	}
	id := started(t, c)
	p, err := c.Pipeline(t.Context(), nightly)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "nightly" || p.RunAs != "robot@example.com" || string(p.Spec["catalog"]) != `"main"` || len(p.Latest) != 1 || p.Latest[0].ID != id || p.State != "FAILED" {
		t.Errorf("the pipeline is %+v", p)
	}
	list, err := c.Updates(t.Context(), nightly, time.Now().Add(-time.Minute))
	if err != nil || len(list) != 1 || list[0].Cause != "API_CALL" || !list[0].Over() || list[0].Created.UnixMilli() != p.Latest[0].Created.UnixMilli() {
		t.Errorf("the updates are %+v, %v", list, err)
	}
}

func TestEvents(t *testing.T) {
	_, c := withPipelines(t, emulator.Options{})
	begin := time.Now().Add(-time.Minute)
	first := started(t, c)
	started(t, c)
	all, err := c.Events(t.Context(), pipelines.EventQuery{Pipeline: nightly, Update: first, Since: begin})
	if err != nil {
		t.Fatal(err)
	}
	failures, err := c.Events(t.Context(), pipelines.EventQuery{Pipeline: nightly, Update: first, Since: begin, ErrorsOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	last, err := c.Events(t.Context(), pipelines.EventQuery{Pipeline: nightly, Update: first, Since: begin, Last: true})
	if err != nil || len(last) != 1 || last[0].Time.Before(all[len(all)-1].Time) {
		t.Errorf("the last event is %+v, %v", last, err)
	}
	var got []string
	for _, e := range failures {
		got = append(got, e.Exceptions...)
	}
	if want := []string{"no such column", "no such table", "no such column", "no such table"}; !slices.Equal(got, want) {
		t.Errorf("the exceptions are %q, want %q", got, want)
	}
	if len(all) != len(failures)+2 || all[0].Type != "create_update" {
		t.Errorf("%d events, of them %d errors, the first %+v", len(all), len(failures), all[0])
	}
}

// TestStopUpdate: an update is stopped with and without the call for it, and never another one.
func TestStopUpdate(t *testing.T) {
	for _, served := range []bool{true, false} {
		t.Run(fmt.Sprint("served ", served), func(t *testing.T) {
			server, c := withPipelines(t, emulator.Options{UpdateStop: served})
			first := started(t, c)
			second := started(t, c)
			if err := c.StopUpdate(t.Context(), nightly, first); err != nil {
				t.Fatal(err)
			}
			if state := stateOf(t, c, second); state != "RUNNING" {
				t.Errorf("an update is %s after another one was stopped", state)
			}
			if err := c.StopUpdate(t.Context(), nightly, second); err != nil {
				t.Fatal(err)
			}
			if state := stateOf(t, c, second); state != "STOPPING" {
				t.Errorf("an update is %s after it was stopped", state)
			}
			asked := 0
			for _, e := range server.Trace() {
				if strings.HasSuffix(e.Route, "/updates/{update}/stop") {
					asked++
				}
			}
			if want := map[bool]int{true: 2, false: 1}[served]; asked != want {
				t.Errorf("the call for one update was made %d times, want %d", asked, want)
			}
		})
	}
}

// TestPipelineErrors: each refusal has its class, nothing that is not an id reaches a path, and a start is never sent twice.
func TestPipelineErrors(t *testing.T) {
	server, c := withPipelines(t, emulator.Options{})
	const none = "99999999-2222-4333-8444-555555555555"
	started(t, c)
	active := started(t, c)
	for what, tt := range map[string]struct {
		call func() error
		want policy.Code
	}{
		"no such pipeline":  {func() error { _, err := c.Pipeline(t.Context(), none); return err }, policy.CodeNotFound},
		"no such update":    {func() error { _, err := c.Update(t.Context(), nightly, none); return err }, policy.CodeNotFound},
		"a name":            {func() error { _, err := c.Pipeline(t.Context(), "nightly"); return err }, policy.CodeInvalid},
		"a path":            {func() error { _, err := c.Update(t.Context(), nightly, active+"/../x"); return err }, policy.CodeInvalid},
		"a second update":   {func() error { _, err := c.StartUpdate(t.Context(), nightly, false); return err }, policy.CodeConflict},
		"stop of no update": {func() error { return c.StopUpdate(t.Context(), none, active) }, policy.CodeNotFound},
	} {
		if err := tt.call(); policy.CodeOf(err) != tt.want {
			t.Errorf("%s: %v, want class %q", what, err, tt.want)
		}
	}
	if _, err := server.AddFaults(emulator.Fault{Method: "POST", Path: "/api/2.0/pipelines/*/updates", Status: 503, After: true}); err != nil {
		t.Fatal(err)
	}
	server.ResetTrace()
	if _, err := c.StartUpdate(t.Context(), nightly, false); policy.CodeOf(err) != policy.CodeUnavailable {
		t.Errorf("a start that fails: %v", err)
	}
	if n := len(server.Trace()); n != 1 {
		t.Errorf("a start was sent %d times", n)
	}
}
