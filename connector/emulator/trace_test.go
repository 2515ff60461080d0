package emulator_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ucwarden/connector/emulator"
)

// traceOverHTTP reads GET /_emulator/trace.
func (w *world) traceOverHTTP() []emulator.TraceEntry {
	w.t.Helper()
	resp, err := http.Get(w.url + "/_emulator/trace")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var entries []emulator.TraceEntry
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var e emulator.TraceEntry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			w.t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		entries = append(entries, e)
	}
	return entries
}

func TestTraceShowsEveryRequest(t *testing.T) {
	w := newWorld(t)
	before := time.Now()
	w.must(admin, "GET", "catalogs?max_results=5", "")
	w.must(admin, "PATCH", "permissions/table/sales.emea.orders", grantSelect)
	w.do("wrong", "GET", "catalogs", "")
	w.do(bob, "GET", "tables/"+"sales.emea.%C3%BC%23", "")
	w.do(admin, "POST", "nowhere", "not json")
	want := []string{
		"admin@example.com GET " + api + "/catalogs max_results=5  200 GET " + api + "/catalogs",
		"admin@example.com PATCH " + api + "/permissions/table/sales.emea.orders  " + grantSelect + " 200 PATCH " + api + "/permissions/{type}/{name}",
		" GET " + api + "/catalogs   401 GET " + api + "/catalogs",
		"bob@example.com GET " + api + "/tables/sales.emea.%C3%BC%23   404 GET " + api + "/tables/{name}",
		"admin@example.com POST " + api + "/nowhere  not json 404 /",
	}
	for name, trace := range map[string][]emulator.TraceEntry{"Trace": w.srv.Trace(), "over HTTP": w.traceOverHTTP()} {
		var got []string
		for i, e := range trace {
			got = append(got, fmt.Sprint(e.Caller, " ", e.Method, " ", e.Path, " ", e.Query, " ", e.Body, " ", e.Status, " ", e.Route))
			if e.Seq != int64(i+1) || e.Time.Before(before.Add(-time.Millisecond)) || e.Time.After(time.Now()) || e.Duration < 0 {
				t.Errorf("%s: entry %d has odd numbers: %+v", name, i, e)
			}
		}
		equal(t, name, got, want)
	}
	stats := w.srv.Stats()
	if stats.Requests != 5 || stats.Count("PATCH ") != 1 || stats.Routes["GET "+api+"/catalogs"]["401"] != 1 || stats.Routes["GET "+api+"/catalogs"]["200"] != 1 {
		t.Errorf("stats: %+v", stats)
	}
	if over := w.must("", "GET", "/_emulator/stats", ""); over.json["requests"] != 5.0 {
		t.Errorf("stats over HTTP: %s", over.raw)
	}
	w.must("", "DELETE", "/_emulator/trace", "")
	if left := w.traceOverHTTP(); len(left) != 0 || w.srv.Stats().Requests != 0 {
		t.Errorf("the reset left %v", left)
	}
}

func TestTraceIsBounded(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.TraceSize = 3 })
	for i := range 8 {
		w.do(admin, "GET", fmt.Sprintf("catalogs/c%d", i), "")
	}
	var got []string
	for _, e := range w.srv.Trace() {
		got = append(got, fmt.Sprint(e.Seq, " ", e.Path[len(e.Path)-2:]))
	}
	equal(t, "the last three", got, []string{"6 c5", "7 c6", "8 c7"})
	if stats := w.srv.Stats(); stats.Requests != 8 || stats.Dropped != 5 {
		t.Errorf("stats: %+v", stats)
	}
}

func TestTraceHoldsNoSecrets(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.Clients = map[string]string{"app": "hush-client"} })
	w.do(admin, "POST", "storage-credentials", `{"name":"a","azure_service_principal":{"directory_id":"d","application_id":"a","client_secret":"hush-azure"}}`)
	w.do(admin, "POST", "connections", `{"name":"c","connection_type":"MYSQL","options":{"host":"db.example","password":"hush-db"}}`)
	w.do(admin, "POST", "connections", `{"name": broken "hush-broken"`)
	w.do(admin, "POST", "providers", `{"name":"p","recipient_profile_str":"{\"bearerToken\":\"hush-bearer\"}"}`)
	w.do("", "POST", "/oidc/v1/token", "grant_type=client_credentials&client_id=app&client_secret=hush-client")
	resp, err := http.Get(w.url + "/_emulator/trace")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hush") || strings.Contains(string(text), admin) {
		t.Errorf("the trace shows a secret:\n%s", text)
	}
	if !strings.Contains(string(text), "db.example") {
		t.Errorf("the trace lost what is no secret:\n%s", text)
	}
}
