package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"ucwarden/ondemand"
)

const alertRules = "../../deploy/helm/ucwarden/alerts.yaml"

// Alert rules, their tests and the dashboard use metrics that the program has, and each alert has an entry in the runbook and a test.
func TestMetricNames(t *testing.T) {
	var source strings.Builder
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		source.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]string)
	for _, path := range []string{alertRules, "testdata/alerts_test.yaml", "../../deploy/grafana/ucwarden.json", "../../docs/operations.md"} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(data)
		names := regexp.MustCompile(`ucwarden_[a-z_]+`).FindAllString(texts[path], -1)
		if len(names) == 0 {
			t.Errorf("no metric in %s", path)
		}
		for _, name := range names {
			name = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			short := strings.TrimPrefix(name, "ucwarden_unitycatalog_") // whose parts are written apart
			if !strings.Contains(source.String(), `"`+short+`"`) && name != "ucwarden_protection" {
				t.Errorf("%s: no metric is called %s", path, name)
			}
		}
	}
	for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(texts[alertRules], -1) {
		if !strings.Contains(texts["../../docs/operations.md"], "### "+alert[1]+"\n") {
			t.Errorf("docs/operations.md does not say what to do about %s", alert[1])
		}
		if !strings.Contains(texts["testdata/alerts_test.yaml"], "alertname: "+alert[1]+"\n") {
			t.Errorf("no test has %s fire", alert[1])
		}
	}
}

// The alert rules fire when they should, and not otherwise.
func TestAlertRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("NOT RUN: promtool is not installed; Debian has it in the package prometheus")
	}
	out, err := exec.Command(promtool, "test", "rules", "testdata/alerts_test.yaml").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A daemon has every metric that operators were promised, by names that Prometheus finds no fault with.
func TestMetricsOfADaemon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables+"denyPolicyItems: [{users: [nobody@example.com], accesses: [{type: select}]}]\n")
	daemon := w.serveAt()
	api, url := daemon.Client, daemon.url
	task, err := api.Submit(t.Context(), ondemand.Task{Type: ondemand.FullSync})
	if err != nil {
		t.Fatal(err)
	}
	w.done(api, task.ID, ondemand.Success)
	text := get(t, url+"/metrics", "")
	for _, name := range []string{
		"ucwarden_build_info{", `ucwarden_last_success_timestamp_seconds{catalog="c"}`, `ucwarden_last_success_age_seconds{catalog="c"}`, `ucwarden_last_success_age_seconds{catalog="*"}`,
		`ucwarden_syncs_total{result="refused"} 0`, `ucwarden_syncs_total{result="error"} 0`, `ucwarden_findings_total{effect="none"}`,
		"ucwarden_drift_grants_found_total", "ucwarden_drift_grants_removed_total", "ucwarden_task_transitions_total{", "ucwarden_task_seconds_bucket{",
		"ucwarden_sync_duration_seconds_bucket{", "ucwarden_http_requests_total{", "ucwarden_http_request_duration_seconds_bucket{", "ucwarden_unitycatalog_rate_limit",
		"ucwarden_grants_added_total", "ucwarden_grants_removed_total", "ucwarden_policy_snapshot_version{", "ucwarden_policy_snapshot_stale_seconds{", "ucwarden_store_size_bytes",
	} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("no metric %s", name)
		}
	}
	// Findings of a full sync count, too, whose plan is stored before it is applied.
	if strings.Contains(text, `ucwarden_findings_total{effect="narrower"} 0`) || !strings.Contains(text, `ucwarden_findings_total{effect="wider"} 0`) {
		t.Errorf("findings: %q", regexp.MustCompile(`ucwarden_findings_total\{.*`).FindAllString(text, -1))
	}
	body := text[strings.Index(text, "# HELP"):]
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "ucwarden_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}
