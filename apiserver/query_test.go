package apiserver_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ucwarden/apiserver"
	"ucwarden/apiserver/keys"
	"ucwarden/policy"
)

// A query parameter that a call does not have is refused by each, with the nearest one, and changes nothing.
func TestUnknownQueryParameters(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	e.do("POST", tasksPath, table("t", "sales")).want(202)
	for _, call := range [][2]string{
		{"POST", tasksPath}, {"GET", tasksPath}, {"HEAD", tasksPath}, {"GET", tasksPath + "/t"}, {"GET", tasksPath + "/t/events"},
		{"POST", tasksPath + "/t/cancel"}, {"POST", tasksPath + "/t/retry"}, {"POST", reloadPath},
		{"POST", checkPath}, {"POST", backupPath}, {"GET", "/healthz"}, {"GET", "/readyz"}, {"HEAD", "/readyz"}, {"GET", "/metrics"}, {"GET", "/openapi.json"}, {"GET", "/docs"},
	} {
		for _, query := range []string{"stauts=FAILED", "Status=FAILED", "status%20=FAILED", "x", "=1", "a;b=1", "%zz=1", "status=%zz", "id=t", "force=true"} {
			r := e.do(call[0], call[1]+"?"+query, table("new", "sales")).want(400)
			if call[0] == "HEAD" {
				continue
			}
			if p := r.problem(); len(p.Errors) != 1 || p.Errors[0].In != "query" {
				t.Errorf("%s %s?%s: %+v", call[0], call[1], query, p)
			}
		}
	}
	e.do("GET", tasksPath+"/new", "").want(404)
	if e.do("GET", tasksPath+"/t", "").task().Status.Terminal() {
		t.Error("cancelled by a call that was refused")
	}
	for query, near := range map[string]string{"stauts=x": "status", "parentid=x": "parentId", "limt=3": "limit", "zzzzzz=1": "want one of status, type"} {
		p := e.do("GET", tasksPath+"?"+query, "").want(400).problem()
		if !strings.Contains(p.Errors[0].Detail, near) {
			t.Errorf("%s: %+v", query, p.Errors)
		}
	}
	if p := e.do("GET", tasksPath+"?"+strings.Repeat("a", 5000)+"=1&b=2", "").want(400).problem(); len(p.Errors) != 2 || len(p.Errors[0].Pointer) > 60 {
		t.Errorf("%+v", p.Errors)
	}
	// Prometheus can ask for some metrics only.
	e.do("GET", "/metrics?name[]=go_goroutines", "").want(200)
}

// HEAD answers as GET does, without a body, and streams nothing.
func TestHeadWorksWhereGetDoes(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	e.do("POST", tasksPath, table("t", "sales")).want(202)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", tasksPath, tasksPath + "/t", tasksPath + "/t/events", tasksPath + "/none", "/none"} {
		head := e.do("HEAD", path, "")
		if path == tasksPath+"/t/events" {
			if head.status != 200 || head.header.Get("Content-Type") != "text/event-stream" {
				t.Errorf("HEAD %s: %d %v", path, head.status, head.header)
			}
			continue
		}
		get := e.do("GET", path, "")
		if head.status != get.status || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
			t.Errorf("%s: HEAD answers %d %q, GET %d %q", path, head.status, head.header.Get("Content-Type"), get.status, get.header.Get("Content-Type"))
		}
	}
	e.do("HEAD", tasksPath, "", "Authorization", "").want(401)
	e.do("HEAD", tasksPath+"/t/cancel", "").want(405)
}

func TestReload(t *testing.T) {
	var failure error
	called := 0
	e := newEnv(t, func(s *setup) {
		s.Reload = func(context.Context) []apiserver.Reloaded {
			called++
			return []apiserver.Reloaded{{Part: "policies", Detail: "version 7", Err: failure}}
		}
	})
	for _, scope := range []keys.Scope{keys.ScopeRead, keys.ScopeWrite} {
		e.do("POST", reloadPath, "", bearer(e.issue("s", nil, scope))...).want(403)
	}
	e.do("POST", reloadPath, "", "Authorization", "").want(401)
	e.do("GET", reloadPath, "").want(405)
	if called != 0 {
		t.Errorf("reloaded %d times without the right", called)
	}
	body := string(e.do("POST", reloadPath, "").want(200).body)
	if !strings.Contains(body, `{"name":"policies","detail":"version 7"},{"name":"keys","detail":"1 in force"}`) {
		t.Errorf("answer %s", body)
	}
	for _, test := range []struct {
		err   error
		shown bool
	}{
		{policy.Errorf(policy.CodeInvalid, "policies.yaml: line 3"), true},
		{errors.New("open /etc/policies.yaml"), false},
	} {
		failure = test.err
		p := e.do("POST", reloadPath, "").want(503).problem()
		if len(p.Errors) != 1 || p.Errors[0].Pointer != "/parts/policies" || strings.Contains(p.Errors[0].Detail, test.err.Error()) != test.shown {
			t.Errorf("errors %+v", p.Errors)
		}
		if !strings.Contains(e.log.String(), test.err.Error()) {
			t.Errorf("the log lacks %v", test.err)
		}
	}
}

// A page of a limited token passes over what it may not see, and its cursor holds no id of that.
func TestCursorHoldsNoHiddenID(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	for i := range 20 {
		e.do("POST", tasksPath, table(fmt.Sprintf("hidden-%02d", i), "hr")).want(http.StatusAccepted)
		if i%5 == 0 {
			e.do("POST", tasksPath, table(fmt.Sprintf("mine-%02d", i), "sales")).want(http.StatusAccepted)
		}
	}
	limited := bearer(e.issue("etl", []string{"sales"}, keys.ScopeRead))
	cursor, seen := "", 0
	for range 5 {
		r := e.do("GET", tasksPath+"?limit=1&cursor="+cursor, "", limited...).want(200)
		page := decode[struct {
			Items      []struct{ ID string }
			NextCursor string
		}](r)
		seen += len(page.Items)
		if cursor = page.NextCursor; cursor == "" {
			break
		}
		if raw := decodeCursor(t, cursor); !strings.Contains(raw, "mine-") || strings.Contains(raw, "hidden") {
			t.Errorf("cursor %q", raw)
		}
	}
	if seen != 4 || cursor != "" {
		t.Errorf("%d tasks, cursor %q at the end", seen, cursor)
	}
}

func decodeCursor(t *testing.T, cursor string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
