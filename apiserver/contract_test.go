package apiserver_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ucwarden/apiserver"
	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

const tasksPath = "/api/v1/tasks"

func TestSubmitGetAndFinish(t *testing.T) {
	e := newEnv(t, nil)
	r := e.do("POST", tasksPath, `{"type":"RESOURCE_SYNC","appType":"PS_CONNECTOR","appSubType":"databricks_unity_catalog",
		"source":"airflow","createTime":1769853600000,"run":{"dag":"d1"},"status":"SUCCESS","priority":99,
		"requestInfo":{"resources":[{"type":"view","values":{"catalog":"sales","schema":"emea","table":"orders_v"},"note":"n"}]}}`).want(202)
	task := r.task()
	if task.ID == "" || r.header.Get("Location") != tasksPath+"/"+task.ID {
		t.Errorf("id %q, location %q", task.ID, r.header.Get("Location"))
	}
	if task.Status.Terminal() || task.Priority != 0 {
		t.Errorf("fields of the server were taken from the input: %s", r.body)
	}
	e.ended(task.ID)
	got := e.do("GET", r.header.Get("Location"), "").want(200)
	task = got.task()
	if task.Status != ondemand.Success || len(task.Resources) != 1 || len(task.Resources[0].Changes) != 1 || len(task.Transitions) < 3 {
		t.Errorf("at the end: %s", got.body)
	}
	for _, kept := range []string{`"dag":"d1"`, `"note":"n"`, `"createTime":"2026-01-31T10:00:00Z"`, `"appSubType":"databricks_unity_catalog"`} {
		if !strings.Contains(string(got.body), kept) {
			t.Errorf("not kept: %s in %s", kept, got.body)
		}
	}
}

func TestSubmitIsIdempotent(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	first := e.do("POST", tasksPath, table("run 1", "sales"))
	if first.status != 400 { // a space: refused, so that ids can be typed and logged
		t.Errorf("status %d", first.status)
	}
	for _, id := range []string{"run-1", "a/b", "ü#?%", "x:y@z", "a\u20f4"} { // the last is a character that no version of Unicode has yet
		first := e.do("POST", tasksPath, table(id, "sales")).want(202)
		again := e.do("POST", tasksPath, table(id, "sales")).want(200)
		if again.task().ReceivedTime != first.task().ReceivedTime || again.header.Get("Location") != first.header.Get("Location") {
			t.Errorf("id %q: another task came back: %s", id, again.body)
		}
		p := e.do("POST", tasksPath, table(id, "hr")).want(409).problem()
		if p.Type != "urn:ucwarden:problem:conflict" {
			t.Errorf("type %q", p.Type)
		}
		if got := e.do("GET", first.header.Get("Location"), "").want(200).task(); got.ID != id {
			t.Errorf("location of %q leads to %q", id, got.ID)
		}
	}
	if n := e.queue.Stats().New + e.queue.Stats().Waiting; n != 5 {
		t.Errorf("%d tasks stored, want 5", n)
	}
}

// TestBadInput is the contract's table of inputs, as far as it is about bodies.
func TestBadInput(t *testing.T) {
	e := newEnv(t, nil)
	many := strings.TrimSuffix(strings.Repeat(`{"type":"catalog","values":{"catalog":"c"}},`, 1001), ",")
	inTask := func(resources string) string {
		return `{"type":"RESOURCE_SYNC","requestInfo":{"resources":` + resources + `}}`
	}
	for _, tt := range []struct {
		name, body string
		status     int
		pointer    string
	}{
		{"empty", ``, 400, ""},
		{"not JSON", `{"type":`, 400, ""},
		{"two documents", table("", "c") + table("", "c"), 400, ""},
		{"invalid UTF-8", "{\"type\":\"\xff\"}", 400, ""},
		{"a list", `[` + table("", "c") + `]`, 400, ""},
		{"a string", `"x"`, 400, ""},
		{"null", `null`, 400, ""},
		{"no type", `{"requestInfo":{"resources":[]}}`, 400, "/type"},
		{"type is a number", `{"type":1}`, 400, "/type"},
		{"no requestInfo", `{"type":"RESOURCE_SYNC"}`, 400, "/requestInfo/resources"},
		{"no resources", `{"type":"RESOURCE_SYNC","requestInfo":{}}`, 400, "/requestInfo/resources"},
		{"empty resources", inTask(`[]`), 400, "/requestInfo/resources"},
		{"resources is an object", inTask(`{}`), 400, "/requestInfo/resources"},
		{"resource is a string", inTask(`["x"]`), 400, "/requestInfo/resources/0"},
		{"value is a number", inTask(`[{"type":"catalog","values":{"catalog":1}}]`), 400, "/requestInfo/resources/0/values/catalog"},
		{"id is a number", `{"id":1,"type":"FULL_SYNC"}`, 400, "/id"},
		{"id is a folder", `{"id":"..","type":"FULL_SYNC"}`, 400, "/id"},
		{"id is long", `{"id":"` + strings.Repeat("x", 256) + `","type":"FULL_SYNC"}`, 400, "/id"},
		{"createTime is text", `{"type":"FULL_SYNC","createTime":"today"}`, 400, "/createTime"},
		{"1,001 resources", inTask("[" + many + "]"), 413, "/requestInfo/resources"},
		{"over 1 MiB", `{"type":"FULL_SYNC","x":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "-"},
		{"deep", strings.Repeat("[", 20000), 400, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := e.do("POST", tasksPath, tt.body).want(tt.status).problem()
			if tt.pointer == "-" {
				return
			}
			if !slices.ContainsFunc(p.Errors, func(f apiserver.FieldError) bool { return f.Pointer == tt.pointer && f.Detail != "" }) {
				t.Errorf("errors %+v, want one at %q", p.Errors, tt.pointer)
			}
		})
	}
	if page := decode[ondemand.Page](e.do("GET", tasksPath, "")); len(page.Items) != 0 {
		t.Errorf("stored in spite of the error: %+v", page.Items)
	}
}

// TestStoredAndSkipped is the other part of that table: what is wrong in a way that only the task can tell.
func TestStoredAndSkipped(t *testing.T) {
	e := newEnv(t, nil)
	for name, body := range map[string]string{
		"unknown task type":     `{"type":"DANCE"}`,
		"unknown resource type": `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"spoon","values":{"spoon":"s"}}]}}`,
		"values missing":        `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"table","values":{"catalog":"c"}}]}}`,
		"illegal name":          `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"catalog","values":{"catalog":"a/b"}}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			id := e.do("POST", tasksPath, body).want(202).task().ID
			task := e.ended(id)
			got := e.do("GET", tasksPath+"/"+id, "").want(200).task()
			if task.Status != ondemand.Skipped || got.StatusMessage+fmt.Sprint(got.Resources) == "" {
				t.Errorf("ended %s: %q %+v", got.Status, got.StatusMessage, got.Resources)
			}
		})
	}
}

// What the document says of parameters is held before a task is looked for, and a preference may come in several lines.
func TestParametersAreChecked(t *testing.T) {
	e := newEnv(t, nil)
	for path, detail := range map[string]string{
		"/" + strings.Repeat("x", 256):                  "longer than 255 characters",
		"/" + strings.Repeat("%C3%BC", 256) + "/events": "longer than 255 characters",
	} {
		p := e.do("GET", tasksPath+path, "").want(400).problem()
		if len(p.Errors) != 1 || p.Errors[0].Pointer != "/id" || p.Errors[0].In != "path" || p.Errors[0].Detail != detail {
			t.Errorf("errors %+v", p.Errors)
		}
	}
	e.do("GET", tasksPath+"/"+strings.Repeat("%C3%BC", 255), "").want(404)
	e.do("POST", tasksPath+"/"+strings.Repeat("x", 256)+"/cancel", "", "Authorization", "").want(401)
	req, err := http.NewRequest("POST", e.http.URL+tasksPath, strings.NewReader(table("", "sales")))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Bearer " + e.token}, "Content-Type": {"application/json"}, "Prefer": {"respond-async", "wait=20"}}
	resp, err := e.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Preference-Applied") != "wait=20" {
		t.Errorf("status %d, %q applied", resp.StatusCode, resp.Header.Get("Preference-Applied"))
	}
}

func TestMediaType(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	for contentType, status := range map[string]int{
		"application/json":                  202,
		"Application/JSON; charset=UTF-8":   202,
		"":                                  415,
		"text/plain":                        415,
		"application/x-www-form-urlencoded": 415,
		"application/json; charset=latin1":  415,
		"application/json-patch+json":       415,
		";":                                 415,
	} {
		e.do("POST", tasksPath, table("", "c"), "Content-Type", contentType).want(status)
	}
	e.do("POST", tasksPath, "\x1f\x8b", "Content-Encoding", "gzip").want(415)
}

func TestBodyOfUnknownLengthIsLimited(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.BodyLimit = 1000 })
	body := strings.NewReader(`{"type":"FULL_SYNC","x":"` + strings.Repeat("x", 5000) + `"}`)
	req, err := http.NewRequest("POST", e.http.URL+tasksPath, struct{ *strings.Reader }{body})
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = -1
	req.Header = http.Header{"Authorization": {"Bearer " + e.token}, "Content-Type": {"application/json"}}
	resp, err := e.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestPreferWait(t *testing.T) {
	gate := make(chan struct{})
	e := newEnv(t, func(s *setup) { s.gate = gate })
	// Waits that pass while the task is held back.
	r := e.do("POST", tasksPath, table("slow", "sales"), "Prefer", "respond-async, wait=1").want(200)
	if s := r.task().Status; s.Terminal() || r.header.Get("Preference-Applied") != "wait=1" {
		t.Errorf("status %s, applied %q", s, r.header.Get("Preference-Applied"))
	}
	for _, prefer := range []string{"wait", "wait=", "wait=x", "wait=-1", "waiting=30", "wait=0", "wait=99999999999999"} {
		if r := e.do("POST", tasksPath, table("", "hr"), "Prefer", prefer).want(202); r.header.Get("Preference-Applied") != "" {
			t.Errorf("Prefer: %s was applied", prefer)
		}
	}
	close(gate)
	start := time.Now()
	r = e.do("POST", tasksPath, table("quick", "sales"), "Prefer", `wait="60"; x=y`).want(200)
	if s := r.task().Status; s != ondemand.Success || time.Since(start) > 30*time.Second {
		t.Errorf("status %s after %v", s, time.Since(start))
	}
	r = e.do("POST", tasksPath, table("slow", "sales"), "Prefer", "wait=3600").want(200)
	if r.header.Get("Preference-Applied") != "wait=60" {
		t.Errorf("applied %q, want the longest wait", r.header.Get("Preference-Applied"))
	}
}

func TestCancelAndRetry(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	id := e.do("POST", tasksPath, table("", "sales")).want(202).task().ID
	e.do("POST", tasksPath+"/"+id+"/retry", "").want(409)
	if s := e.do("POST", tasksPath+"/"+id+"/cancel", "").want(202).task().Status; s != ondemand.Skipped {
		t.Errorf("status %s", s)
	}
	e.do("POST", tasksPath+"/"+id+"/cancel", "").want(409)
	again := e.do("POST", tasksPath+"/"+id+"/retry", "", bearer(e.issue("night shift", nil, keys.ScopeWrite))...).want(202).task()
	if again.Status.Terminal() || again.PostedBy != "tester" || again.RetriedBy != "night shift" {
		t.Errorf("status %s, posted by %q, retried by %q", again.Status, again.PostedBy, again.RetriedBy)
	}
	var reasons []string
	for _, tr := range e.do("GET", tasksPath+"/"+id, "").want(200).task().Transitions {
		reasons = append(reasons, tr.Reason)
	}
	if got := strings.Join(reasons, "; "); !strings.Contains(got, "cancelled by tester") || !strings.Contains(got, "retried by night shift") {
		t.Errorf("the reasons name nobody: %s", got)
	}
	for _, act := range []string{"", "/cancel", "/retry", "/events"} {
		method := "POST"
		if act == "" || act == "/events" {
			method = "GET"
		}
		p := e.do(method, tasksPath+"/nobody"+act, "").want(404).problem()
		if p.Type != "urn:ucwarden:problem:not-found" {
			t.Errorf("type %q", p.Type)
		}
	}
}

func TestList(t *testing.T) {
	e := newEnv(t, nil)
	var ids []string
	for i := range 7 {
		source := []string{"airflow", "cron"}[i%2]
		body := strings.Replace(table(fmt.Sprintf("t%d", i), "sales"), `"airflow"`, `"`+source+`"`, 1)
		ids = append(ids, e.do("POST", tasksPath, body, "Prefer", "wait=10").want(200).task().ID)
	}
	cut := e.do("GET", tasksPath+"/t3", "").task().ReceivedTime
	list := func(query string) (got []string, next string) {
		page := decode[ondemand.Page](e.do("GET", tasksPath+"?"+query, "").want(200))
		for _, task := range page.Items {
			got = append(got, task.ID)
		}
		return got, page.NextCursor
	}
	slices.Reverse(ids)
	for query, want := range map[string][]string{
		"":                           ids,
		"status=SUCCESS":             ids,
		"status=FAILED":              nil,
		"source=cron":                {"t5", "t3", "t1"},
		"type=FULL_SYNC":             nil,
		"parentId=none":              nil,
		"externalId=none":            nil,
		"topLevel=true":              ids,
		"topLevel=false":             ids,
		"since=0":                    ids,
		"since=2199-01-01T00:00:00Z": nil,
		"source=cron&since=" + url.QueryEscape(cut.Format(time.RFC3339Nano)): {"t5", "t3"},
		"since=2199-01-01T00:00:00+02:00":                                    nil, // the + not escaped
		"source=&status=&limit=&since=":                                      ids,
	} {
		if got, _ := list(query); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
	var walked []string
	cursor := ""
	for range 5 {
		got, next := list("limit=2&cursor=" + url.QueryEscape(cursor))
		walked = append(walked, got...)
		if cursor = next; cursor == "" {
			break
		}
	}
	if !slices.Equal(walked, ids) {
		t.Errorf("by pages: %v, want %v", walked, ids)
	}
}

func TestListRefusesBadParameters(t *testing.T) {
	e := newEnv(t, nil)
	for query, names := range map[string][]string{
		"status=DONE":                         {"status"},
		"status=success":                      {"status"},
		"limit=0":                             {"limit"},
		"limit=501":                           {"limit"},
		"limit=ten":                           {"limit"},
		"limit=1&limit=2":                     {"limit"},
		"since=yesterday":                     {"since"},
		"topLevel=yes":                        {"topLevel"},
		"since=9999999999999999":              {"since"},
		"cursor=nonsense!":                    {"cursor"},
		"cursor=AAAA":                         {"cursor"},
		"source=" + strings.Repeat("x", 2000): {"source"},
		"status=X&limit=-1&since=x":           {"status", "limit", "since"},
	} {
		p := e.do("GET", tasksPath+"?"+query, "").want(400).problem()
		var got []string
		for _, f := range p.Errors {
			if f.In != "query" {
				t.Errorf("%q: %+v is not marked as a query parameter", query, f)
			}
			got = append(got, strings.TrimPrefix(f.Pointer, "/"))
		}
		slices.Sort(got)
		slices.Sort(names)
		if !slices.Equal(got, names) {
			t.Errorf("%q: errors at %v, want %v", query, got, names)
		}
	}
}

func TestQueueFullAndStoreDown(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped, s.queue.MaxQueued = true, 2 })
	e.do("POST", tasksPath, table("1", "c")).want(202)
	e.do("POST", tasksPath, table("2", "c")).want(202)
	r := e.do("POST", tasksPath, table("3", "c")).want(429)
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	e.do("POST", tasksPath, table("2", "c")).want(200) // one that is there is no new one

	e = newEnv(t, func(s *setup) {
		s.wrap = func(tasks apiserver.Tasks) apiserver.Tasks {
			return faulty{tasks, policy.Errorf(policy.CodeInternal, "submit: %w", store.ErrDamaged)}
		}
	})
	if r = e.do("POST", tasksPath, table("", "c")).want(503); r.header.Get("Retry-After") == "" {
		t.Errorf("headers %v", r.header)
	}

	const secret = "/var/lib/ucwarden/tasks.db: no space left on device"
	e = newEnv(t, func(s *setup) {
		s.wrap = func(tasks apiserver.Tasks) apiserver.Tasks {
			return faulty{tasks, policy.Errorf(policy.CodeUnavailable, "commit: %s", secret)}
		}
	})
	r = e.do("POST", tasksPath, table("", "c")).want(503)
	if r.header.Get("Retry-After") == "" || r.header.Get("Location") != "" {
		t.Errorf("headers %v", r.header)
	}
	if strings.Contains(string(r.body), "device") {
		t.Errorf("the cause is shown: %s", r.body)
	}
	if id := r.problem().RequestID; !strings.Contains(e.log.String(), secret) || !strings.Contains(e.log.String(), id) {
		t.Errorf("the log has no cause under request %s:\n%s", id, e.log.String())
	}
}

// TestEveryClassHasAStatus holds the one table from classes of error to statuses.
func TestEveryClassHasAStatus(t *testing.T) {
	const text = "the words of the error"
	for code, want := range map[policy.Code]struct {
		status int
		shown  bool
	}{
		policy.CodeInvalid:         {400, true},
		policy.CodeUnauthenticated: {401, true},
		policy.CodeForbidden:       {403, true},
		policy.CodeNotFound:        {404, true},
		policy.CodeConflict:        {409, true},
		policy.CodeTooLarge:        {413, true},
		policy.CodeRateLimited:     {429, true},
		policy.CodeUnavailable:     {503, false},
		policy.CodeRefused:         {409, true},
		policy.CodeInternal:        {500, false},
		"a class of tomorrow":      {500, false},
		"":                         {500, false},
	} {
		t.Run(string(code), func(t *testing.T) {
			err := policy.Errorf(code, text)
			if code == "" {
				err = errors.New(text)
			}
			e := newEnv(t, func(s *setup) {
				s.wrap = func(tasks apiserver.Tasks) apiserver.Tasks { return faulty{tasks, err} }
			})
			r := e.do("POST", tasksPath, table("", "c"), "X-Request-Id", "req-1").want(want.status)
			if got := strings.Contains(string(r.body), text); got != want.shown {
				t.Errorf("shown: %v, want %v: %s", got, want.shown, r.body)
			}
			if r.header.Get("X-Request-Id") != "req-1" || r.problem().RequestID != "req-1" {
				t.Errorf("the request id is lost: %s", r.body)
			}
		})
	}
}

func TestPanicIsAProblem(t *testing.T) {
	e := newEnv(t, func(s *setup) {
		s.wrap = func(tasks apiserver.Tasks) apiserver.Tasks { return panicking{tasks} }
	})
	r := e.do("POST", tasksPath, table("", "c")).want(500)
	if strings.Contains(string(r.body), "secret") || !strings.Contains(e.log.String(), "secret of the panic") {
		t.Errorf("body %s, log %s", r.body, e.log.String())
	}
	e.do("GET", tasksPath, "").want(200)
}

func TestUnknownPathsAndMethods(t *testing.T) {
	e := newEnv(t, nil)
	for _, path := range []string{"/", "/api", "/api/v1", "/api/v1/tasks/", "/api/v2/tasks", "/api/v1/tasks/x/y", "/%2e%2e/etc/passwd", "/debug/pprof/"} {
		if r := e.do("GET", path, ""); r.status != 404 {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	for path, allow := range map[string]string{tasksPath: "GET", tasksPath + "/x": "GET", tasksPath + "/x/cancel": "POST", "/healthz": "GET"} {
		r := e.do("DELETE", path, "").want(405)
		if !strings.Contains(r.header.Get("Allow"), allow) {
			t.Errorf("%s: Allow %q", path, r.header.Get("Allow"))
		}
	}
}

func TestRateLimitPerSubject(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.Rate, s.Burst = 0.01, 3 })
	for range 3 {
		e.do("GET", tasksPath, "").want(200)
	}
	r := e.do("GET", tasksPath, "").want(429)
	if n, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || n < 50 || n > 100 {
		t.Errorf("Retry-After %q, want the time until the next call is allowed", r.header.Get("Retry-After"))
	}
	e.do("GET", tasksPath, "", "Authorization", "Bearer "+e.issue("tester", nil, keys.ScopeRead)).want(429) // the subject counts
	e.do("GET", tasksPath, "", "Authorization", "Bearer "+e.issue("other", nil, keys.ScopeRead)).want(200)
	e.do("GET", "/healthz", "").want(200)
}

// Who sets a rate need not set the burst: it follows, so that a low rate lets few calls through.
func TestBurstFollowsTheRate(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.Rate = 0.01 })
	e.do("GET", tasksPath, "").want(200)
	for range 20 {
		e.do("GET", tasksPath, "").want(429)
	}
}
