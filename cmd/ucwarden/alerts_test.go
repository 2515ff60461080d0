package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ucwarden/apiserver/client"
	"ucwarden/connector/emulator"
	"ucwarden/ondemand"
	"ucwarden/ondemand/eventhub"
	"ucwarden/ondemand/store"
	"ucwarden/policy/source/yamljson"
)

// alertRule is a rule of Prometheus.
type alertRule struct {
	Alert, Expr string
	Annotations struct{ Summary string }
}

// alertsOf reads our rules.
func alertsOf(t *testing.T) []alertRule {
	t.Helper()
	text, err := os.ReadFile(alertRules)
	if err != nil {
		t.Fatal(err)
	}
	documents, err := yamljson.Documents(text)
	if err != nil || len(documents) != 1 {
		t.Fatalf("%d documents, %v", len(documents), err)
	}
	var file struct{ Groups []struct{ Rules []alertRule } }
	if err := json.Unmarshal(documents[0], &file); err != nil {
		t.Fatal(err)
	}
	var list []alertRule
	for _, g := range file.Groups {
		list = append(list, g.Rules...)
	}
	if len(list) < 12 {
		t.Fatalf("only %d rules", len(list))
	}
	return list
}

// alerting is a daemon that is scraped before and after something goes wrong.
type alerting struct {
	*world
	url    string
	api    *client.Client
	before []sample
}

// watched runs a daemon whose metrics are scraped once it carries out tasks.
func watched(w *world, environ []string, args ...string) *alerting {
	w.Helper()
	p, url, err := launchServe(w.dir, environment(environ...), append([]string{"-c", w.config, "--set", "policies.max_shrink_ratio=1"}, args...)...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(p.kill)
	a := &alerting{world: w, url: url, api: w.api(url)}
	until(w.t(), "connected", func() bool { return connected(w.t(), url) })
	a.before = a.scrape()
	return a
}

// connected reports whether a daemon has reached its workspace.
func connected(t *testing.T, url string) bool {
	_, body := getAnswer(t, url+"/readyz", "")
	return !strings.Contains(string(body), "/checks/workspace")
}

func (w *world) t() *testing.T { return w.TB.(*testing.T) }

func (a *alerting) scrape() []sample {
	return scraped(a.t(), string(bodyOf(a.t(), a.url+"/metrics", "")))
}

// run submits a task and waits for its end.
func (a *alerting) run(task ondemand.Task, want ondemand.Status) {
	a.Helper()
	accepted, err := a.api.Submit(a.Context(), task)
	if err != nil {
		a.Fatal(err)
	}
	a.done(a.api, accepted.ID, want)
}

// excess is a schema where analysts hold what no policy gives them.
func excess() *emulator.Seed {
	seed := oneSchema("t1")
	seed.Catalogs[0].Schemas[0].Tables[0].Grants = emulator.SeedGrants{"analysts": {"MODIFY"}}
	return seed
}

var fullTask = ondemand.Task{Type: ondemand.FullSync}

// alertStates bring a daemon into the state that each alert is about.
var alertStates = map[string]func(t *testing.T) *alerting{
	"UcwardenSyncRefused": func(t *testing.T) *alerting {
		a := watched(newWorld(t, excess(), readTables), nil, "--set", "guard.max_revokes=0")
		a.run(fullTask, ondemand.Failed)
		return a
	},
	"UcwardenSyncsFail": func(t *testing.T) *alerting {
		w := newWorld(t, oneSchema("t1"), readTables)
		w.refuse(http.MethodGet, "/api/2.1/unity-catalog/catalogs")
		a := watched(w, nil)
		for range 5 {
			a.run(fullTask, ondemand.Failed)
		}
		return a
	},
	"UcwardenCatalogStale": func(t *testing.T) *alerting { // on a store that is seven hours old, and never saw a success
		w := newWorld(t, oneSchema("t1"), readTables)
		w.refuse(http.MethodGet, "/api/2.1/unity-catalog/catalogs")
		s, err := store.Open(filepath.Join(w.dir, "data", "ucwarden.db"), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		since := time.Now().Add(-7 * time.Hour).UTC().Format(time.RFC3339)
		if err := s.Save("success-since", []byte(`{"*":"`+since+`"}`)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		a := watched(w, nil)
		a.run(fullTask, ondemand.Failed)
		return a
	},
	"UcwardenPoliciesStale": func(t *testing.T) *alerting { // policies were read two hours ago, and cannot be read now
		w := newWorld(t, oneSchema("t1"), readTables)
		p, _ := w.serve()
		var files []string
		until(t, "policies kept", func() bool {
			files, _ = filepath.Glob(filepath.Join(w.dir, "data", "policies", "*.snapshot")) // a good pattern
			return len(files) == 1
		})
		if err := p.signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := strings.Cut(string(text), "\n")
		body = regexp.MustCompile(`"fetchedAt":"[^"]*"`).ReplaceAllString(body, `"fetchedAt":"`+time.Now().Add(-2*time.Hour).Format(time.RFC3339)+`"`)
		sum := sha256.Sum256([]byte(body))
		head = head[:strings.LastIndexByte(head, ':')+1] + hex.EncodeToString(sum[:])
		if err := os.WriteFile(files[0], []byte(head+"\n"+body), 0o600); err != nil {
			t.Fatal(err)
		}
		w.write("policies.yaml", "resources: {")
		return watched(w, nil)
	},
	"UcwardenPoliciesFaulty": func(t *testing.T) *alerting {
		return watched(newWorld(t, oneSchema("t1"), strings.Replace(readTables, "select", "selekt", 1)), nil)
	},
	"UcwardenChangesFail": func(t *testing.T) *alerting {
		w := newWorld(t, oneSchema("t1"), readTables)
		w.refuse(http.MethodPatch, "/api/2.1/unity-catalog/permissions/*")
		a := watched(w, nil)
		a.run(tableSync("", "c", "s", "t1"), ondemand.Failed)
		return a
	},
	"UcwardenAuditFails": func(t *testing.T) *alerting {
		w := newWorld(t, oneSchema("t1", "t2"), readTables)
		a := watched(w, nil, "--set", "audit.max_size=1", "--set", "audit.keep=1", "--set", "ondemand.max_attempts=1")
		a.run(tableSync("", "c", "s", "t1"), ondemand.Success)
		trail := filepath.Join(w.dir, "data", "audit.jsonl")
		for _, folder := range []string{trail, filepath.Join(trail+".1", "x")} { // so that none can be opened or begun
			if err := os.RemoveAll(trail + ".1"); err != nil {
				t.Fatal(err)
			}
			err := os.MkdirAll(folder, 0o700)
			for range 100 {
				if err == nil {
					break
				}
				_ = os.Remove(folder) // what the daemon has begun meanwhile
				err = os.MkdirAll(folder, 0o700)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		a.run(tableSync("", "c", "s", "t2"), ondemand.Failed)
		return a
	},
	"UcwardenQueueGrows": func(t *testing.T) *alerting {
		a := watched(newWorld(t, oneSchema("t1"), readTables), nil)
		if _, err := a.api.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		for batch := range 2 {
			var list []ondemand.Task
			for i := range 600 {
				list = append(list, tableSync(fmt.Sprintf("%d-%d", batch, i), "c", "s", fmt.Sprint("t", i)))
			}
			if _, err := a.api.SubmitAll(t.Context(), list); err != nil {
				t.Fatal(err)
			}
		}
		return a
	},
	"UcwardenEventHubUnread": func(t *testing.T) *alerting {
		hub := startHub(t, 1)
		if err := hub.Close(); err != nil {
			t.Fatal(err)
		}
		return watched(newWorld(t, oneSchema("t1"), readTables), []string{"UCWARDEN_ONDEMAND_EVENTHUB_CONNECTION_STRING=" + hub.ConnectionString()}, "--set", "ondemand.eventhub.enabled=true")
	},
	"UcwardenEventHubLags": func(t *testing.T) *alerting { // there is room for one task, and none ends
		hub := startHub(t, 2)
		for partition := range 2 {
			bodies := make([][]byte, 600)
			for i := range bodies {
				bodies[i] = fmt.Appendf(nil, `{"id":"%d-%d","type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"catalog","values":{"catalog":"c"}}]}}`, partition, i)
			}
			if _, err := eventhub.Publish(t.Context(), eventhub.Address{ConnectionString: hub.ConnectionString()}, eventhub.PublishOptions{Partition: fmt.Sprint(partition)}, bodies...); err != nil {
				t.Fatal(err)
			}
		}
		w := newWorld(t, oneSchema("t1"), readTables)
		p, api := w.serve()
		if _, err := api.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := api.Submit(t.Context(), tableSync("", "c", "s", "t1")); err != nil {
			t.Fatal(err)
		}
		if err := p.signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		return watched(w, []string{"UCWARDEN_ONDEMAND_EVENTHUB_CONNECTION_STRING=" + hub.ConnectionString()}, "--set", "ondemand.eventhub.enabled=true", "--set", "ondemand.max_queued=1")
	},
	"UcwardenDrift": func(t *testing.T) *alerting {
		a := watched(newWorld(t, excess(), readTables), nil)
		a.run(tableSync("", "c", "s", "t1"), ondemand.Success)
		return a
	},
	"UcwardenProtectionDrift": func(t *testing.T) *alerting {
		const filter = `---
id: 2
name: filter
policyType: 2
resources: {catalog: {values: [c]}, schema: {values: [s]}, table: {values: [t1]}}
rowFilterPolicyItems: [{groups: [analysts], accesses: [{type: select}], rowFilterInfo: {filterExpr: "FALSE"}}]
`
		seed := oneSchema("t1")
		seed.Catalogs[0].Schemas[0].Tables[0].Columns = []emulator.SeedColumn{{Name: "a"}}
		a := watched(newWorld(t, seed, readTables+filter), nil, "--set", "databricks.warehouse=5a1e000000000001")
		a.run(tableSync("", "c", "s", "t1"), ondemand.Success)
		a.sql("ALTER TABLE c.s.t1 DROP ROW FILTER")
		a.run(tableSync("", "c", "s", "t1"), ondemand.Success)
		return a
	},
	"UcwardenWebhookFails": func(t *testing.T) *alerting {
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
		t.Cleanup(receiver.Close)
		a := watched(newWorld(t, oneSchema("t1"), readTables), []string{"UCWARDEN_WEBHOOK_SECRET=" + webhookSecret}, "--set", "webhook.url="+receiver.URL, "--set", "webhook.allow_private=true")
		a.run(tableSync("", "c", "s", "t1"), ondemand.Success)
		return a
	},
}

// sql has the workspace run a statement.
func (w *world) sql(statement string) {
	w.Helper()
	body := strings.NewReader(fmt.Sprintf(`{"warehouse_id": "5a1e000000000001", "wait_timeout": "30s", "statement": %q}`, statement))
	r := httptest.NewRequest(http.MethodPost, "/api/2.0/sql/statements", body)
	r.Header.Set("Authorization", "Bearer admin")
	answer := httptest.NewRecorder()
	w.emulator.ServeHTTP(answer, r)
	if !strings.Contains(answer.Body.String(), `"SUCCEEDED"`) {
		w.Fatalf("%s: %s", statement, answer.Body)
	}
}

// refuse has the workspace answer some requests that we may not do this.
func (w *world) refuse(method, path string) {
	w.Helper()
	if _, err := w.emulator.AddFaults(emulator.Fault{Method: method, Path: path, Status: http.StatusForbidden, Probability: 1}); err != nil {
		w.Fatal(err)
	}
}

// Each alert rule holds for the metrics of a daemon in the state that it is for, and for those of no other: what promtool tests with
// numbers that are made up (TestAlertRules) may be none that the program ever shows.
func TestAlertsOfADaemon(t *testing.T) {
	t.Parallel()
	rules := alertsOf(t)
	also := map[string][]string{ // whose state another alert is about, too
		"UcwardenPoliciesStale": {"UcwardenPoliciesFaulty"}, "UcwardenCatalogStale": {"UcwardenSyncsFail"}, "UcwardenSyncRefused": {"UcwardenDrift"}, "UcwardenAuditFails": {"UcwardenChangesFail"},
	}
	for _, rule := range rules {
		t.Run(rule.Alert, func(t *testing.T) {
			t.Parallel()
			state := alertStates[rule.Alert]
			if state == nil {
				t.Fatalf("no state is known that %s is about", rule.Alert)
			}
			a := state(t)
			var after []sample
			until(t, "true: "+rule.Expr, func() bool {
				after = a.scrape()
				holding, err := evalProm(rule.Expr, a.before, after)
				if err != nil {
					t.Fatal(err)
				}
				return len(holding) > 0
			})
			for _, other := range rules {
				holding, err := evalProm(other.Expr, a.before, after)
				if err != nil {
					t.Fatal(err)
				}
				expected := other.Alert == rule.Alert || strings.Contains(strings.Join(also[rule.Alert], " "), other.Alert)
				if len(holding) > 0 && !expected {
					t.Errorf("%s holds as well: %v", other.Alert, holding)
				}
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		hub := startHub(t, 1)
		address, told := receiver(t, nil)
		a := watched(newWorld(t, oneSchema("t1"), readTables), []string{"UCWARDEN_ONDEMAND_EVENTHUB_CONNECTION_STRING=" + hub.ConnectionString(), "UCWARDEN_WEBHOOK_SECRET=" + webhookSecret},
			"--set", "ondemand.eventhub.enabled=true", "--set", "webhook.url="+address, "--set", "webhook.allow_private=true")
		a.run(fullTask, ondemand.Success)
		<-told
		a.run(fullTask, ondemand.Success)
		until(t, "read", func() bool {
			return strings.Contains(string(bodyOf(t, a.url+"/metrics", "")), "\nucwarden_eventhub_up 1\n")
		})
		after := a.scrape()
		for _, rule := range rules {
			if holding, err := evalProm(rule.Expr, a.before, after); err != nil || len(holding) > 0 {
				t.Errorf("%s: %v, %v", rule.Alert, holding, err)
			}
		}
	})
}
