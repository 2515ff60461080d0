package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ucwarden/apiserver/client"
	"ucwarden/connector/emulator"
	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
	"ucwarden/webhook"
)

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// told is an event as a receiver sees it.
type told struct {
	id   string
	Type string
	Data struct {
		ID, TaskID, Reason string
		PostedBy           string
		RetriedBy          string
		Status             ondemand.Status
		Grants             int
		Excess, Missing    int
		Removed, PutBack   bool
		Securables         []string
		Problems           []struct{ Check, Detail string }
	}
}

// receiver returns the URL of a receiver that checks signatures and hands events on; answer, where set, decides about each.
func receiver(t *testing.T, answer func(told) int) (address string, events <-chan told) {
	keys, err := webhook.ParseSecrets([]string{webhookSecret})
	if err != nil {
		t.Fatal(err)
	}
	list := make(chan told, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender is gone
		}
		seconds, _ := strconv.ParseInt(r.Header.Get("webhook-timestamp"), 10, 64) // 0 makes another signature
		e := told{id: r.Header.Get("webhook-id")}
		if want := webhook.Sign(keys, e.id, time.Unix(seconds, 0), body); r.Header.Get("webhook-signature") != want {
			t.Errorf("signature %q, want %q", r.Header.Get("webhook-signature"), want)
		}
		if err := json.Unmarshal(body, &e); err != nil {
			t.Error(err)
		}
		status := http.StatusOK
		if answer != nil {
			status = answer(e)
		}
		w.WriteHeader(status)
		if status == http.StatusOK {
			list <- e
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL, list
}

// serveTelling runs the daemon with a receiver.
func serveTelling(w *world, address string, args ...string) (*process, *client.Client) {
	w.Helper()
	args = append([]string{"-c", w.config, "--set", "webhook.url=" + address, "--set", "webhook.allow_private=true"}, args...)
	p, api, err := launchServe(w.dir, environment("UCWARDEN_WEBHOOK_SECRET="+webhookSecret), args...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(p.kill)
	return p, w.api(api)
}

// The end of a task reaches the receiver although the daemon is killed while it tells it, once the daemon runs again, with the same
// id; so does the drift that a sync put right.
func TestWebhookSurvivesKill(t *testing.T) {
	t.Parallel()
	seed := oneSchema("t1")
	seed.Catalogs[0].Schemas[0].Tables[0].Grants = emulator.SeedGrants{"analysts": {"MODIFY"}}
	w := newWorld(t, seed, readTables)
	first, release := make(chan told, 1), make(chan struct{})
	address, events := receiver(t, func(e told) int {
		select {
		case <-release:
			return http.StatusOK
		default:
		}
		select {
		case first <- e:
		default:
		}
		<-release
		return http.StatusInternalServerError // nobody hears it
	})
	daemon, api := serveTelling(w, address)
	task, err := api.Submit(t.Context(), tableSync("one", "c", "s", "t1"))
	if err != nil {
		t.Fatal(err)
	}
	w.done(api, task.ID, ondemand.Success)
	before := <-first
	daemon.kill()
	close(release)
	serveTelling(w, address)
	seen := make(map[string]told)
	for len(seen) < 2 {
		e := <-events
		seen[e.Type] = e
	}
	if e := seen[webhook.TypeTaskEnded]; e.Data.ID != "one" || e.Data.Status != ondemand.Success {
		t.Errorf("%+v", e)
	}
	if e := seen[webhook.TypeDrift]; e.Data.TaskID != "one" || e.Data.Grants != 1 || !e.Data.Removed || strings.Join(e.Data.Securables, " ") != "TABLE:c.s.t1" {
		t.Errorf("%+v", e)
	}
	if after := seen[before.Type]; after.id != before.id {
		t.Errorf("the event has the id %s, and had %s before the kill", after.id, before.id)
	}
}

// A plan that a guard refuses is told, before the end of its task, and who had the task start over is named.
func TestWebhookOfRefusedPlan(t *testing.T) {
	t.Parallel()
	seed := oneSchema("t1")
	seed.Catalogs[0].Schemas[0].Tables[0].Grants = emulator.SeedGrants{"analysts": {"MODIFY"}}
	w := newWorld(t, seed, readTables)
	address, events := receiver(t, nil)
	_, api := serveTelling(w, address, "--set", "guard.max_revokes=0", "--set", "webhook.events=plan.refused,task.ended")
	task, err := api.Submit(t.Context(), tableSync("one", "c", "s", "t1"))
	if err != nil {
		t.Fatal(err)
	}
	w.done(api, task.ID, ondemand.Failed)
	if e := <-events; e.Type != webhook.TypePlanRefused || e.Data.TaskID != "one" || !strings.Contains(e.Data.Reason, "guard.max_revokes") {
		t.Errorf("%+v", e)
	}
	first := <-events
	if first.Type != webhook.TypeTaskEnded || first.Data.Status != ondemand.Failed || first.Data.PostedBy == "" || first.Data.RetriedBy != "" {
		t.Errorf("%+v", first)
	}
	if _, err := api.Retry(t.Context(), task.ID); err != nil {
		t.Fatal(err)
	}
	<-events // the plan is refused again
	if e := <-events; e.Type != webhook.TypeTaskEnded || e.Data.RetriedBy != first.Data.PostedBy {
		t.Errorf("%+v", e)
	}
}

// A degraded state is told once, and its end, also by another process.
func TestWebhookOfHealth(t *testing.T) {
	address, list := receiver(t, nil)
	s, err := store.Open(filepath.Join(t.TempDir(), "db"), store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, degraded := range []bool{false, true, true, false, false} {
		sender, err := webhook.New(s, webhook.Options{URL: address, Secrets: []string{webhookSecret}, AllowPrivate: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := (&events{sender}).tellHealth(s, degraded, []map[string]string{{"check": "workspace", "detail": "does not answer"}}); err != nil {
			t.Fatal(err)
		}
	}
	sender, err := webhook.New(s, webhook.Options{URL: address, Secrets: []string{webhookSecret}, AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx := t.Context()
	go func() { done <- sender.Run(ctx) }()
	if e := <-list; e.Type != webhook.TypeServiceDegraded || len(e.Data.Problems) != 1 || e.Data.Problems[0].Check != "workspace" {
		t.Errorf("%+v", e)
	}
	if e := <-list; e.Type != webhook.TypeServiceRestored {
		t.Errorf("%+v", e)
	}
	if len(list) > 0 {
		t.Errorf("and %+v", <-list)
	}
}
