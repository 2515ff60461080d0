package apiserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ucwarden/apiserver"
	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

const batchPath = tasksPath + ":batch"

type batch struct {
	Items []struct {
		Status   int
		Location string
		Task     *ondemand.Task
		Problem  *apiserver.Problem
	}
}

// Each task of a batch has the outcome that it would have had by itself.
func TestBatch(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.queue.MaxQueued, s.stopped = 5, true })
	e.do("POST", tasksPath, table("there", "sales")).want(202)
	limited := e.issue("limited", []string{"sales"}, keys.ScopeWrite)
	many := strings.TrimSuffix(strings.Repeat(`{"type":"catalog","values":{"catalog":"sales"}},`, 1001), ",")
	documents := []string{
		table("a", "sales"), table("there", "sales"), table("there", "hr"), table("b", "hr"), `{"type":1}`, `null`, `{"type":"x","type":"x"}`,
		`{"type":"RESOURCE_SYNC","requestInfo":{"resources":[` + many + `]}}`, `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"spoon"}]}}`,
		table("a", "sales"), table("c", "sales"), table("d", "sales"), table("e", "sales"), table("f", "sales"),
	}
	want := "202 200 409 202 400 400 400 413 202 200 202 429 429 429"
	answer := e.do("POST", batchPath, "["+strings.Join(documents, ",")+"]").want(200)
	alone := e.do("POST", tasksPath, table("f", "sales")).want(429)
	if wait := alone.header.Get("Retry-After"); wait == "" || answer.header.Get("Retry-After") != wait || fmt.Sprint(decode[apiserver.Problem](alone).RetryAfter) != wait {
		t.Errorf("Retry-After %q, of a task by itself %q: %s", answer.header.Get("Retry-After"), wait, alone.body)
	}
	got := decode[batch](answer)
	var statuses []string
	for i, item := range got.Items {
		statuses = append(statuses, fmt.Sprint(item.Status))
		switch {
		case item.Status < 300 && (item.Task == nil || item.Problem != nil || item.Location != tasksPath+"/"+item.Task.ID || item.Task.PostedBy != "tester"):
			t.Errorf("item %d: %+v", i, item)
		case item.Status >= 300 && (item.Task != nil || item.Problem == nil || item.Problem.Status != item.Status || (item.Problem.RetryAfter > 0) != (item.Status == 429)):
			t.Errorf("item %d: %+v", i, item)
		}
	}
	if s := strings.Join(statuses, " "); s != want {
		t.Errorf("statuses %s, want %s", s, want)
	}
	if page := decode[ondemand.Page](e.do("GET", tasksPath, "")); len(page.Items) != 5 {
		t.Errorf("%d tasks stored, want 5", len(page.Items))
	}
	answer = e.do("POST", batchPath, `{"tasks":[`+table("a", "sales")+","+table("g", "hr")+"]}", "Authorization", "Bearer "+limited).want(200)
	if wait := answer.header.Get("Retry-After"); wait != "" {
		t.Errorf("Retry-After %s where nothing is to be sent again", wait)
	}
	got = decode[batch](answer)
	if got.Items[0].Status != 200 || got.Items[1].Status != http.StatusForbidden {
		t.Errorf("of a limited token: %+v", got.Items)
	}
}

func TestBadBatches(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	one := table("", "sales")
	for name, tt := range map[string]struct {
		body   string
		status int
	}{
		"empty":                    {``, 400},
		"not JSON":                 {`[` + one, 400},
		"no tasks":                 {`[]`, 400},
		"one task":                 {one, 400},
		"another field":            {`{"tasks":[` + one + `],"atomic":true}`, 400},
		"null":                     {`{"tasks":null}`, 400},
		"tasks twice":              {`{"tasks":[` + one + `],"tasks":[` + one + `]}`, 400},
		"tasks twice, one escaped": {`{"tasks":[` + one + `],"\u0074asks":[` + one + `]}`, 400},
		"text":                     {`"x"`, 400},
		"deep":                     {strings.Repeat("[", 20000), 400},
		"1,001 tasks":              {"[" + strings.TrimSuffix(strings.Repeat(one+",", 1001), ",") + "]", 413},
		"1,000 tasks":              {"[" + strings.TrimSuffix(strings.Repeat(one+",", 1000), ",") + "]", 200},
		"over 1 MiB":               {`[{"type":"FULL_SYNC","x":"` + strings.Repeat("x", 1<<20) + `"}]`, 413},
	} {
		e.do("POST", batchPath, tt.body).want(tt.status)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	if s := e.queue.Stats(); s.New != 1000 {
		t.Errorf("%d tasks stored, want 1000", s.New)
	}
}

// failingBatch is a queue whose store cannot commit.
type failingBatch struct{ apiserver.Tasks }

func (failingBatch) SubmitAll(context.Context, []ondemand.Task) ([]ondemand.Submission, error) {
	return nil, policy.Errorf(policy.CodeUnavailable, "commit: %w", errors.New("no space left on device"))
}

func TestBatchThatCannotBeKept(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.wrap = func(q apiserver.Tasks) apiserver.Tasks { return failingBatch{q} } })
	if r := e.do("POST", batchPath, "["+table("", "sales")+"]").want(503); r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// Whoever administers the whole may pause and resume it; others may not.
func TestPauseAndResume(t *testing.T) {
	e := newEnv(t, nil)
	writer, limited := e.issue("writer", nil, keys.ScopeWrite), e.issue("limited", []string{"sales"}, keys.ScopeAdmin)
	for _, verb := range []string{"pause", "resume"} {
		for _, token := range []string{writer, limited} {
			e.do("POST", "/api/v1/admin/"+verb, "", "Authorization", "Bearer "+token).want(403)
		}
	}
	type paused struct {
		Paused    bool
		Since, By string
	}
	p := decode[paused](e.do("POST", "/api/v1/admin/pause", "").want(200))
	if !p.Paused || p.By != "tester" || p.Since == "" {
		t.Errorf("paused: %+v", p)
	}
	if again := decode[paused](e.do("POST", "/api/v1/admin/pause", "").want(200)); again != p {
		t.Errorf("paused again: %+v", again)
	}
	id := e.do("POST", tasksPath, table("", "sales")).want(202).task().ID
	if p := decode[paused](e.do("POST", "/api/v1/admin/resume", "").want(200)); p.Paused {
		t.Errorf("resumed: %+v", p)
	}
	if task := e.ended(id); task.Status != ondemand.Success {
		t.Errorf("task ended %s", task.Status)
	}
}
