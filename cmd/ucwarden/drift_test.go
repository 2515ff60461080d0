package main

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ucwarden/apiserver/client"
	"ucwarden/ondemand"
	"ucwarden/webhook"
)

// byHand changes grants on a table as a person with another tool does.
func (w *world) byHand(table, act, privilege string) {
	w.Helper()
	body := fmt.Sprintf(`{"changes":[{"principal":"analysts",%q:[%q]}]}`, act, privilege)
	req, err := http.NewRequestWithContext(w.Context(), http.MethodPatch, w.workspace+"/api/2.1/unity-catalog/permissions/table/c.s."+table, bytes.NewBufferString(body))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer admin")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		w.Fatal(resp.Status)
	}
}

// driftCounts are the metrics of drift: found excess, found missing, removed, put back.
func (a *alerting) driftCounts() string {
	counts := make(map[string]float64)
	for _, s := range a.scrape() {
		counts[s.labels["__name__"]+s.labels["kind"]] = s.value
	}
	const prefix = "ucwarden_drift_grants_"
	return fmt.Sprint(counts[prefix+"found_totalexcess"], counts[prefix+"found_totalmissing"], counts[prefix+"removed_total"], counts[prefix+"put_back_total"])
}

// Grants that others took away are drift as those that others made are, in a full sync and in one of a table: found, put right and told. What
// is new, and what follows from other policies, is none.
func TestDriftOfBothKinds(t *testing.T) {
	t.Parallel()
	address, events := receiver(t, nil)
	w := newWorld(t, oneSchema("t1", "t2", "t3"), readTables)
	a := watched(w, []string{"UCWARDEN_WEBHOOK_SECRET=" + webhookSecret}, "--set", "webhook.url="+address, "--set", "webhook.allow_private=true", "--set", "webhook.events=grants.drift")
	counts := func(want string) {
		t.Helper()
		if got := a.driftCounts(); got != want {
			t.Errorf("counted %s, want %s", got, want)
		}
	}
	told := func(excess, missing int, removed, putBack bool, on string) {
		t.Helper()
		e := <-events
		if e.Type != webhook.TypeDrift || e.Data.Excess != excess || e.Data.Missing != missing || e.Data.Grants != excess+missing || e.Data.Removed != removed ||
			e.Data.PutBack != putBack || strings.Join(e.Data.Securables, " ") != on {
			t.Errorf("%+v", e)
		}
	}
	a.run(fullTask, ondemand.Success)
	counts("0 0 0 0") // all of it is new
	w.byHand("t1", "remove", "SELECT")
	w.byHand("t2", "add", "MODIFY")
	a.run(fullTask, ondemand.Success)
	counts("1 1 1 1")
	told(1, 1, true, true, "TABLE:c.s.t2 TABLE:c.s.t1")
	w.byHand("t3", "remove", "SELECT")
	a.run(tableSync("", "c", "s", "t3"), ondemand.Success)
	counts("1 2 1 2")
	told(0, 1, false, true, "TABLE:c.s.t3")
	page, err := a.api.Audit(t.Context(), client.ListAuditParams{})
	if err != nil || !slices.ContainsFunc(page.Items, func(e client.AuditEntry) bool {
		return e.Act == "add" && e.Securable == "TABLE:c.s.t3" && strings.HasPrefix(e.Why, "put back, others took it away: policy 1")
	}) {
		t.Errorf("%v, %+v", err, page.Items)
	}
	a.run(fullTask, ondemand.Success)
	w.write("policies.yaml", strings.Replace(readTables, "type: select}]", "type: select}, {type: modify}]", 1))
	until(t, "the changed policies in sync", func() bool {
		return slices.Contains(w.grants(), "TABLE:c.s.t1 analysts MODIFY") && slices.Contains(w.grants(), "TABLE:c.s.t3 analysts MODIFY")
	})
	until(t, "the task ended", func() bool {
		page, err := a.api.List(t.Context(), ondemand.Filter{Type: ondemand.FullSync, Limit: 1})
		return err == nil && page.Items[0].Status == ondemand.Success
	})
	a.run(fullTask, ondemand.Success)
	counts("1 2 1 2")
	if len(events) > 0 {
		t.Errorf("told of %+v", <-events)
	}
}

// What a sync could not grant is not missing afterwards, nor what was not looked at.
func TestWhatWasNeverGrantedIsNoDrift(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1", "t2"), readTables)
	a := watched(w, nil)
	w.refuse(http.MethodPatch, "/api/2.1/unity-catalog/permissions/*/c.s.t1")
	a.run(fullTask, ondemand.Failed)
	w.emulator.ClearFaults()
	w.byHand("t2", "remove", "SELECT")
	a.run(fullTask, ondemand.Success)
	if got := a.driftCounts(); got != "0 1 0 1" {
		t.Errorf("counted %s, want t2 alone", got)
	}
	w.refuse(http.MethodGet, "/api/2.1/unity-catalog/permissions/*/c.s.t1") // what is granted there is not known, then
	w.byHand("t1", "remove", "SELECT")
	accepted, err := a.api.Submit(t.Context(), fullTask)
	if err != nil {
		t.Fatal(err)
	}
	a.done(a.api, accepted.ID, ondemand.Success)
	w.emulator.ClearFaults()
	a.run(fullTask, ondemand.Success)
	if got := a.driftCounts(); got != "0 1 0 1" {
		t.Errorf("counted %s", got)
	}
}

// Drift that is not put right is found all the same: in a plan that a guard refuses, in mode observe, and what mode grant-only does not
// revoke, also by a daemon that was started meanwhile. What is put right is counted apart.
func TestDriftThatStays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, setting string
		end           ondemand.Status
		full, table   string // counted after a full sync, and after one of a table besides
		putBack       bool
	}{
		{"refused", "guard.max_revokes=0", ondemand.Failed, "1 1 0 0", "2 1 0 0", false},
		{"observed", "sync.mode=observe", ondemand.Success, "1 1 0 0", "2 1 0 0", false},
		{"grant-only", "sync.mode=grant-only", ondemand.Success, "1 1 0 1", "2 1 0 1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, oneSchema("t1", "t2"), readTables)
			p, api := w.serve()
			task, err := api.Submit(t.Context(), fullTask)
			if err != nil {
				t.Fatal(err)
			}
			w.done(api, task.ID, ondemand.Success)
			p.kill()
			w.byHand("t1", "remove", "SELECT")
			w.byHand("t2", "add", "MODIFY")
			address, events := receiver(t, nil)
			a := watched(w, []string{"UCWARDEN_WEBHOOK_SECRET=" + webhookSecret}, "--set", "webhook.url="+address, "--set", "webhook.allow_private=true",
				"--set", "webhook.events=grants.drift", "--set", c.setting)
			a.run(fullTask, c.end)
			if got := a.driftCounts(); got != c.full {
				t.Errorf("full sync: counted %s, want %s", got, c.full)
			}
			if e := <-events; e.Data.Excess != 1 || e.Data.Missing != 1 || e.Data.Removed || e.Data.PutBack != c.putBack || e.Data.TaskID == "" || len(e.Data.Securables) != 2 {
				t.Errorf("%+v", e)
			}
			a.run(tableSync("", "c", "s", "t2"), c.end)
			if got := a.driftCounts(); got != c.table {
				t.Errorf("of a table: counted %s, want %s", got, c.table)
			}
			if e := <-events; e.Data.Excess != 1 || e.Data.Missing != 0 || e.Data.Removed || strings.Join(e.Data.Securables, " ") != "TABLE:c.s.t2" {
				t.Errorf("%+v", e)
			}
		})
	}
}

// Whoever posts a task may write any source into it; that hides no drift. Tasks that end together find it once.
func TestDriftIsFoundWhateverTheSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	a := watched(w, nil)
	a.run(fullTask, ondemand.Success)
	w.byHand("t1", "add", "MODIFY")
	named := tableSync("", "c", "s", "t1")
	named.Source = "policy change"
	named.RequestInfo.Resources = append(named.RequestInfo.Resources, ondemand.Resource{Type: "schema", Values: map[string]string{"catalog": "c", "schema": "s"}})
	a.run(named, ondemand.Success)
	if got := a.driftCounts(); got != "1 0 1 0" {
		t.Errorf("counted %s, want one that was found and removed", got)
	}
}
