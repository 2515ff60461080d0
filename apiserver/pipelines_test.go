package apiserver_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"ucwarden/apiserver/keys"
	"ucwarden/policy"
)

const (
	etl     = "11111111-2222-4333-8444-555555555555" // named etl_nightly
	reports = "11111111-2222-4333-8444-666666666666" // named Reports
	silent  = "11111111-2222-4333-8444-777777777777" // the workspace does not say its name
	nowhere = "11111111-2222-4333-8444-888888888888"
)

func pipelineName(_ context.Context, id string) (string, error) {
	switch id {
	case etl:
		return "etl_nightly", nil
	case reports:
		return "Reports", nil
	case silent:
		return "", policy.Errorf(policy.CodeUnavailable, "no answer")
	}
	return "", policy.Errorf(policy.CodeNotFound, "no pipeline %s", id)
}

// pipelineToken is a token with the claims; nil leaves a claim out.
func (e *env) pipelineToken(t *testing.T, scope keys.Scope, catalogs, pipelines []string) string {
	t.Helper()
	c := jwt.MapClaims{"iss": "ucwarden", "aud": "ucwarden", "sub": "scheduler", "scope": string(scope), "exp": time.Now().Add(time.Hour).Unix()}
	if catalogs != nil {
		c["catalogs"] = catalogs
	}
	if pipelines != nil {
		c["pipelines"] = pipelines
	}
	return e.sign(t, c)
}

func pipelineDocument(task, id string) string {
	return fmt.Sprintf(`{"id":%q,"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":{"externalId":%q}}}`, task, id)
}

func TestPipelinesNeedAClaim(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped, s.PipelineName = true, pipelineName })
	for i, tt := range []struct {
		scope               keys.Scope
		catalogs, pipelines []string
		may                 []string // pipelines
		silent              int      // the status for that one
	}{
		{scope: keys.ScopeAdmin, silent: 403},
		{scope: keys.ScopeAdmin, pipelines: []string{}, silent: 403},
		{scope: keys.ScopeWrite, catalogs: []string{"*"}, silent: 403},
		{scope: keys.ScopeWrite, pipelines: []string{"*"}, may: []string{etl, reports, nowhere}, silent: 202},
		{scope: keys.ScopeWrite, pipelines: []string{strings.ToUpper(etl)}, may: []string{etl}, silent: 503},
		{scope: keys.ScopeWrite, pipelines: []string{"etl_*"}, may: []string{etl}, silent: 503},
		{scope: keys.ScopeWrite, pipelines: []string{"reports", "x"}, may: []string{reports}, silent: 503},
		{scope: keys.ScopeWrite, catalogs: []string{"sales"}, pipelines: []string{"etl_*"}, may: []string{etl}, silent: 503},
		{scope: keys.ScopeRead, pipelines: []string{"*"}, silent: 403},
	} {
		token := bearer(e.pipelineToken(t, tt.scope, tt.catalogs, tt.pipelines))
		for _, id := range []string{etl, reports, nowhere, silent} {
			want := 403
			if id == silent {
				want = tt.silent
			} else if slices.Contains(tt.may, id) {
				want = 202
			}
			task := fmt.Sprintf("%d-%s", i, id)
			r := e.do("POST", tasksPath, pipelineDocument(task, id), token...)
			if r.status != want {
				t.Errorf("%d: pipeline %s: %d, want %d: %s", i, id, r.status, want, r.body)
			}
			if want == 202 {
				e.do("POST", tasksPath+"/"+task+"/cancel", "", token...).want(202)
				e.do("POST", tasksPath+"/"+task+"/retry", "", token...).want(202)
			}
			batch := e.do("POST", tasksPath+":batch", "["+pipelineDocument("b"+task, id)+"]", token...)
			if want != 403 && !strings.Contains(string(batch.body), fmt.Sprintf(`"status":%d`, want)) {
				t.Errorf("%d: pipeline %s in a batch: %s", i, id, batch.body)
			}
			if want == 403 && strings.Contains(string(batch.body), `"status":202`) {
				t.Errorf("%d: pipeline %s in a batch: %s", i, id, batch.body)
			}
		}
	}
}

// TestPipelineTasksOfOthers: what a token without the claim may do with a task of that kind.
func TestPipelineTasksOfOthers(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped, s.PipelineName = true, pipelineName })
	all := bearer(e.pipelineToken(t, keys.ScopeAdmin, nil, []string{"*"}))
	e.do("POST", tasksPath, pipelineDocument("one", etl), all...).want(202)
	unlimited := bearer(e.pipelineToken(t, keys.ScopeAdmin, nil, nil))
	e.do("GET", tasksPath+"/one", "", unlimited...).want(200)
	e.do("POST", tasksPath+"/one/cancel", "", unlimited...).want(403)
	e.do("POST", tasksPath+"/one/retry", "", unlimited...).want(403)
	for _, pipelines := range [][]string{nil, {"reports"}} {
		limited := bearer(e.pipelineToken(t, keys.ScopeAdmin, []string{"*"}, pipelines))
		for _, call := range [][2]string{{"GET", ""}, {"POST", "/cancel"}, {"POST", "/retry"}, {"GET", "/events"}} {
			e.do(call[0], tasksPath+"/one"+call[1], "", limited...).want(404)
		}
		if r := e.do("GET", tasksPath, "", limited...).want(200); strings.Contains(string(r.body), etl) {
			t.Errorf("a list with the claim %q: %s", pipelines, r.body)
		}
	}
	named := bearer(e.pipelineToken(t, keys.ScopeAdmin, []string{"sales"}, []string{"etl_*"}))
	e.do("GET", tasksPath+"/one", "", named...).want(200)
	if r := e.do("GET", tasksPath, "", named...).want(200); !strings.Contains(string(r.body), etl) {
		t.Errorf("a list of whoever may: %s", r.body)
	}
	e.do("POST", tasksPath+"/one/cancel", "", named...).want(202)
}
