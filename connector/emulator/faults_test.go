package emulator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/connector/emulator"
)

const (
	orders      = "permissions/table/sales.emea.orders"
	grantSelect = `{"changes":[{"principal":"analysts","add":["SELECT"]}]}`
)

// inject adds one fault over HTTP.
func (w *world) inject(fault string) {
	w.t.Helper()
	w.must("", "POST", "/_emulator/faults", fault)
}

func (w *world) clear() {
	w.t.Helper()
	w.must("", "DELETE", "/_emulator/faults", "")
}

func TestFaultsAnswerWithErrors(t *testing.T) {
	w := newWorld(t)
	for status, code := range map[int]string{429: "REQUEST_LIMIT_EXCEEDED", 500: "INTERNAL_ERROR", 503: "TEMPORARILY_UNAVAILABLE", 504: "DEADLINE_EXCEEDED"} {
		w.inject(fmt.Sprintf(`{"status":%d,"retry_after":"7","method":"patch"}`, status))
		r := w.do(admin, "PATCH", orders, grantSelect)
		if r.status != status || r.code() != code || r.header.Get("Retry-After") != "7" {
			t.Errorf("got %d %s, Retry-After %q", r.status, r.raw, r.header.Get("Retry-After"))
		}
		equal(t, "a refusal before the effect changes nothing", w.grants("table", "sales.emea.orders"), []string{})
		w.clear()
	}
	w.inject(`{"status":500,"after":true,"count":1}`)
	w.refused(admin, "PATCH", orders, grantSelect, 500, "INTERNAL_ERROR")
	equal(t, "after the effect", w.grants("table", "sales.emea.orders"), []string{"analysts SELECT"})
}

func TestFaultsLoseConnections(t *testing.T) {
	w := newWorld(t)
	w.inject(`{"method":"PATCH","drop":true,"count":1}`)
	if _, err := w.try(admin, "PATCH", orders, grantSelect); err == nil {
		t.Error("the connection was to be dropped before the effect")
	}
	equal(t, "dropped before", w.grants("table", "sales.emea.orders"), []string{})
	w.inject(`{"method":"PATCH","drop":true,"after":true,"count":1}`)
	if _, err := w.try(admin, "PATCH", orders, grantSelect); err == nil {
		t.Error("the connection was to be dropped after the effect")
	}
	equal(t, "dropped after", w.grants("table", "sales.emea.orders"), []string{"analysts SELECT"})
	var statuses []int
	for _, e := range w.srv.Trace() {
		if e.Method == http.MethodPatch {
			statuses = append(statuses, e.Status)
		}
	}
	if !slices.Equal(statuses, []int{0, 0}) {
		t.Errorf("the trace has statuses %v of the lost replies, want 0", statuses)
	}
}

func TestFaultsBreakBodies(t *testing.T) {
	w := newWorld(t)
	w.inject(`{"truncate":true,"count":1}`)
	if r, err := w.try(admin, "GET", "catalogs", ""); err == nil {
		t.Errorf("the truncated answer was read whole: %s", r.raw)
	}
	w.inject(`{"garble":true,"count":1}`)
	if r, err := w.try(admin, "GET", "catalogs", ""); err == nil || r.status != 200 {
		t.Errorf("the garbled answer was parsed: %d %s", r.status, r.raw)
	}
	w.must(admin, "GET", "catalogs", "")
}

func TestFaultsMatch(t *testing.T) {
	tests := []struct {
		name, fault string
		hit, spared []string // METHOD path
	}{
		{"method", `"method":"GET"`, []string{"GET catalogs/sales"}, []string{"PATCH permissions/catalog/sales"}},
		{"path", `"path":"*/tables*"`, []string{"GET tables/sales.emea.orders", "GET tables?catalog_name=sales&schema_name=emea"}, []string{"GET table-summaries?catalog_name=sales"}},
		{"securable by permissions", `"securable":"table:sales.EMEA.*"`, []string{"GET permissions/table/SALES.emea.orders", "GET permissions/view/sales.emea.orders_v", "GET tables/sales.emea.orders"},
			[]string{"GET permissions/table/sales.apac.orders", "GET permissions/volume/sales.emea.landing", "GET catalogs"}},
		{"securable with hyphen", `"securable":"external_location:loc"`, []string{"GET external-locations/loc", "GET permissions/external-location/loc", "GET permissions/external_location/loc"}, []string{"GET storage-credentials/cred"}},
		{"caller", `"caller":"admin@example.com"`, []string{"GET catalogs"}, []string{}},
		{"other caller", `"caller":"bob@example.com"`, []string{}, []string{"GET catalogs"}},
	}
	w := newWorld(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := &world{t, w.srv, w.url}
			defer w.clear()
			w.inject(`{"status":418,"error_code":"TEAPOT",` + test.fault + `}`)
			for i, list := range [][]string{test.hit, test.spared} {
				for _, request := range list {
					method, path, _ := strings.Cut(request, " ")
					if r := w.do(admin, method, path, `{"changes":[]}`); (r.status == 418 && r.code() == "TEAPOT") != (i == 0) {
						t.Errorf("%s: %d %s", request, r.status, r.raw)
					}
				}
			}
		})
	}
}

func TestFaultsChooseAmongMatches(t *testing.T) {
	tests := []struct{ fault, want string }{ // one letter a request: x disturbed
		{`{"status":500}`, "xxxxxxxx"},
		{`{"status":500,"count":2}`, "xx......"},
		{`{"status":500,"skip":3}`, "...xxxxx"},
		{`{"status":500,"every":3}`, "..x..x.."},
		{`{"status":500,"skip":2,"every":2,"count":2}`, "...x.x.."},
		{`[{"status":500,"count":1},{"status":503,"skip":2,"count":1}]`, "x.x....."},
	}
	for _, test := range tests {
		t.Run(test.fault, func(t *testing.T) {
			w := newWorld(t)
			w.inject(test.fault)
			got := ""
			for range len(test.want) {
				if w.do(admin, "GET", "catalogs", "").status == 200 {
					got += "."
				} else {
					got += "x"
				}
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestFaultsAreRepeatable(t *testing.T) {
	run := func(seed uint64) (result string) {
		w := newWorld(t, func(o *emulator.Options) { o.RandomSeed = seed })
		w.inject(`{"status":503,"probability":0.5}`)
		for range 64 {
			result += fmt.Sprint(w.do(admin, "GET", "catalogs", "").status, " ")
		}
		return result
	}
	first := run(1)
	if again := run(1); again != first {
		t.Error("the same seed gave other faults")
	}
	if other := run(2); other == first {
		t.Error("another seed gave the same faults")
	}
	if n := strings.Count(first, "503"); n < 16 || n > 48 {
		t.Errorf("%d of 64 requests failed at a chance of one half", n)
	}
}

func TestFaultAboveRate(t *testing.T) {
	w := newWorld(t)
	w.inject(`{"status":429,"above_rate":0.001}`) // one token, and no more for a long while
	for i, want := range []int{200, 429, 429} {
		if got := w.do(admin, "GET", "catalogs", "").status; got != want {
			t.Errorf("request %d: %d, want %d", i, got, want)
		}
	}
}

func TestLatencyAddsUp(t *testing.T) {
	w := newWorld(t)
	w.inject(`[{"latency_ms":20},{"latency_ms":10,"jitter_ms":5}]`)
	start := time.Now()
	w.must(admin, "GET", "catalogs", "")
	if took := time.Since(start); took < 30*time.Millisecond {
		t.Errorf("took %v, want at least 30ms", took)
	}
	if d := w.srv.Trace()[0].Duration; d < 30*time.Millisecond {
		t.Errorf("the trace says %v, want at least 30ms", d)
	}
}

func TestStaleReads(t *testing.T) {
	w := newWorld(t)
	w.grant("table", "sales.emea.orders", "analysts", "SELECT")
	w.grant("table", "sales.emea.orders", "analysts", "SELECT") // no change, no version
	w.grant("table", "sales.emea.orders", "analysts", "MODIFY")
	stale := func(fault string) []string {
		t.Helper()
		defer w.clear()
		w.inject(fault)
		return w.grants("table", "sales.emea.orders")
	}
	equal(t, "one version ago", stale(`{"method":"GET","stale_versions":1}`), []string{"analysts SELECT"})
	equal(t, "two versions ago", stale(`{"method":"GET","stale_versions":2}`), []string{})
	equal(t, "long before the first version", stale(`{"method":"GET","stale_versions":9}`), []string{})
	equal(t, "a minute ago", stale(`{"method":"GET","stale_ms":60000}`), []string{})
	equal(t, "now", w.grants("table", "sales.emea.orders"), []string{"analysts MODIFY", "analysts SELECT"})

	w.must(admin, "POST", "tables", `{"catalog_name":"sales","schema_name":"emea","name":"new","table_type":"VIEW","view_definition":"x","columns":[]}`)
	w.must(admin, "DELETE", "tables/sales.emea.orders_v", "")
	for fault, want := range map[string][]string{
		`{"stale_versions":1}`:                   {"ext", "new", "orders", "orders_mv", "orders_st", "orders_v"},
		`{"stale_versions":2}`:                   {"ext", "orders", "orders_mv", "orders_st", "orders_v"},
		`{"stale_ms":60000}`:                     {"ext", "orders", "orders_mv", "orders_st", "orders_v"},
		`{"stale_versions":2,"method":"DELETE"}`: {"ext", "new", "orders", "orders_mv", "orders_st"},
	} {
		w.inject(fault)
		for _, size := range []int{1, 2, 100} {
			got, _ := w.names(admin, fmt.Sprintf("tables?catalog_name=sales&schema_name=emea&max_results=%d", size), "tables", "name")
			equal(t, fmt.Sprint(fault, " in pages of ", size), got, want)
		}
		w.clear()
	}
}

func TestFaultRulesAreChecked(t *testing.T) {
	w := newWorld(t)
	for _, fault := range []string{`{}`, `{"status":200}`, `{"status":500,"probability":2}`, `{"after":true,"latency_ms":1}`, `{"latency_ms":-1}`,
		`{"stale_ms":1,"stale_versions":1}`, `{"status":500,"securable":"orders"}`, `{"status":500,"pth":"x"}`} {
		if r := w.do("", "POST", "/_emulator/faults", fault); r.status != 400 {
			t.Errorf("%s: accepted with %d %s", fault, r.status, r.raw)
		}
	}
	w.refused("", "POST", "/_emulator/faults", `[{"status":500},{"status":99}]`, 400, "INVALID_PARAMETER_VALUE")
	if len(w.srv.Faults()) != 0 {
		t.Errorf("a refused rule came into force: %+v", w.srv.Faults())
	}
	ids := w.must("", "POST", "/_emulator/faults", `[{"status":500,"id":"mine"},{"status":503}]`).json["ids"]
	if fmt.Sprint(ids) != "[mine fault-1]" {
		t.Errorf("ids are %v", ids)
	}
	w.do(admin, "GET", "catalogs", "")
	w.must("", "DELETE", "/_emulator/faults?id=mine", "")
	var listed struct {
		Faults []emulator.FaultState `json:"faults"`
	}
	if err := json.Unmarshal([]byte(w.must("", "GET", "/_emulator/faults", "").raw), &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed.Faults) != 1 || listed.Faults[0].ID != "fault-1" || listed.Faults[0].Matched != 1 || listed.Faults[0].Acted != 1 {
		t.Errorf("rules left: %+v", listed.Faults)
	}
}

// A limit that moves answers with 429 above its present rate, which is between the two it is given.
func TestMovingLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDirect(t, emulator.Options{Faults: []emulator.Fault{{AboveRate: 5, AboveRateMax: 200, MoveMS: 30_000, Status: 429, RetryAfter: "1"}}})
		rates := make(map[int]bool)
		for range 12 { // moves
			accepted := 0
			for range 10_000 {
				time.Sleep(3 * time.Millisecond)
				switch r := w.get("catalogs"); {
				case r.Code == 200:
					accepted++
				case r.Code != 429 || r.Header().Get("Retry-After") != "1":
					t.Fatalf("status %d, Retry-After %q", r.Code, r.Header().Get("Retry-After"))
				}
			}
			rate := float64(accepted) / 30
			if rate < 4.9 || rate > 201 {
				t.Errorf("%.1f requests a second were let through, want 5 to 200", rate)
			}
			rates[int(rate)] = true
		}
		if len(rates) < 6 {
			t.Errorf("the limit hardly moved: %v", rates)
		}
	})
}

func TestLatencyIsDistributed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDirect(t, emulator.Options{Faults: []emulator.Fault{{LatencyMS: 20, LatencyP99MS: 400}}})
		const n = 10_000
		took := make([]time.Duration, n)
		for i := range took {
			start := time.Now()
			w.get("catalogs")
			took[i] = time.Since(start)
		}
		slices.Sort(took)
		if median, p99 := took[n/2], took[n*99/100]; median < 18*time.Millisecond || median > 22*time.Millisecond || p99 < 340*time.Millisecond || p99 > 460*time.Millisecond {
			t.Errorf("median %s, 99th percentile %s; want about 20 ms and 400 ms", median, p99)
		}
	})
}

func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDirect(t, emulator.Options{})
		for _, after := range []bool{false, true} {
			ids, err := w.srv.AddFaults(emulator.Fault{Method: "PATCH", Hang: true, After: after})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			start := time.Now()
			r := w.do(ctx, "PATCH", orders, grantSelect)
			cancel()
			if waited := time.Since(start); waited != time.Minute || r.Body.Len() > 0 {
				t.Errorf("answered %q after %s; want nothing until the client gives up", r.Body, waited)
			}
			if granted := len(w.srv.Grants()) > 0; granted != after {
				t.Errorf("after %t: granted %t", after, granted)
			}
			w.srv.ClearFaults(ids...)
		}
	})
}

func TestListsWithHoles(t *testing.T) {
	w := newWorld(t)
	w.inject(`{"path":"*/tables","empty_page":true,"count":1}`)
	const tables = "tables?catalog_name=sales&schema_name=emea"
	count := func(r reply) int { list, _ := r.json["tables"].([]any); return len(list) }
	first := w.must(admin, "GET", tables, "")
	next, _ := first.json["next_page_token"].(string)
	if count(first) > 0 || next == "" {
		t.Fatalf("want an empty page that leads on: %s", first.raw)
	}
	second := w.must(admin, "GET", tables+"&page_token="+next, "")
	whole := count(second)
	if whole < 2 {
		t.Fatalf("the rest: %s", second.raw)
	}
	w.clear()
	w.inject(`{"path":"*/tables","shrink":0.5}`)
	fewer := 0
	for range 40 {
		if n := count(w.must(admin, "GET", tables, "")); n < whole {
			fewer++
		}
	}
	if fewer < 10 {
		t.Errorf("%d of 40 lists were shorter than %d", fewer, whole)
	}
}

// direct calls a server without a network, so that time may be fake.
type direct struct{ srv *emulator.Server }

func newDirect(t *testing.T, o emulator.Options) direct {
	t.Helper()
	seed, err := emulator.ParseSeed([]byte("{groups: [{name: analysts}], catalogs: [{name: sales, schemas: [{name: emea, tables: [orders]}]}]}"))
	if err != nil {
		t.Fatal(err)
	}
	o.Seed, o.Tokens, o.TraceSize = seed, map[string]string{"token": "admin@example.com"}, 1000
	srv, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return direct{srv}
}

func (d direct) get(path string) *httptest.ResponseRecorder {
	return d.do(context.Background(), "GET", path, "")
}

func (d direct) do(ctx context.Context, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, api+"/"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer token")
	answer := httptest.NewRecorder()
	d.srv.ServeHTTP(answer, r)
	return answer
}

// What is of the wrong kind in a seed, in faults or in a request is named with what is wanted, not with types of this program.
func TestWrongKinds(t *testing.T) {
	_, faults := emulator.ParseFaults([]byte("drop: 5\n"))
	_, seed := emulator.ParseSeed([]byte("catalogs: [{name: x, schemas: [{name: 5}]}]\n"))
	for want, err := range map[string]error{
		"drop: a number does not fit here, want true or false":           faults,
		"catalogs.schemas.name: a number does not fit here, want a text": seed,
	} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "Go ") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
