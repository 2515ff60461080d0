package apiserver_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucwarden/apiserver"
	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

const planPath = "/api/v1/plan"

// planEnv has a plan of the full sync "full", of a catalog each and of what lies in none, and a child of it for sales.
func planEnv(t *testing.T) (*env, *apiserver.PlanQuery) {
	asked := new(apiserver.PlanQuery)
	e := newEnv(t, func(s *setup) {
		s.stopped = true
		s.Plan = func(_ context.Context, q apiserver.PlanQuery) (apiserver.Plan, error) {
			*asked = q
			if q.Task != "" && q.Task != "full" {
				return apiserver.Plan{}, policy.Errorf(policy.CodeNotFound, "no plan is kept")
			}
			p := apiserver.Plan{Task: "full", Parts: []apiserver.PlanPart{}}
			for _, name := range []string{"CATALOG:hr", "CATALOG:sales", "METASTORE:"} {
				if !q.Visible(name) {
					continue
				}
				part := apiserver.PlanPart{Securable: name, PlannedAt: time.Unix(1, 0).UTC(), PolicyVersion: 7}
				if name != "METASTORE:" {
					part.Digest, part.Changed, part.Adds, part.Removes, part.LeftOut = "abc", 2, 3, 1, 1
					part.Changes = []ondemand.Change{{Securable: "TABLE:x.y.z", Principal: "eve\n+ TABLE", Add: []string{"SELECT"}, Remove: []string{"MODIFY"}, Causes: map[string]string{"SELECT": "policy 3"}}}
					part.Protection = []apiserver.PlannedProtection{{Table: "TABLE:x.y.z", Act: "remove", What: "row filter f"}}
				}
				p.Parts = append(p.Parts, part)
			}
			return p, nil
		}
		s.wrap = func(tasks apiserver.Tasks) apiserver.Tasks { return withChild{tasks} }
	})
	e.do("POST", tasksPath, `{"id":"full","type":"FULL_SYNC"}`).want(202)
	e.do("POST", tasksPath, table("named", "sales")).want(202)
	return e, asked
}

// withChild has a task that a full sync was split into.
type withChild struct{ apiserver.Tasks }

func (w withChild) Get(ctx context.Context, id string) (ondemand.Task, error) {
	if id == "child" {
		return ondemand.Task{ID: id, Type: ondemand.ResourceSync, ParentID: "full", Status: ondemand.Waiting, RequestInfo: ondemand.RequestInfo{
			Resources: []ondemand.Resource{{Type: "catalog", Values: map[string]string{"catalog": "sales"}}},
		}}, nil
	}
	return w.Tasks.Get(ctx, id)
}

func TestPlan(t *testing.T) {
	e, asked := planEnv(t)
	parts := func(r reply) (list []string) {
		for _, p := range decode[apiserver.Plan](r).Parts {
			list = append(list, p.Securable)
		}
		return list
	}
	all := []string{"CATALOG:hr", "CATALOG:sales", "METASTORE:"}
	e.do("GET", planPath, "", "Authorization", "").want(401)
	e.do("GET", planPath, "", bearer(e.issue("s", nil, keys.ScopeWrite))...).want(403)
	r := e.do("GET", planPath, "").want(200)
	if p := decode[apiserver.Plan](r); p.Task != "full" || p.Adds != 6 || p.Removes != 2 || p.Changed != 4 || !cmp.Equal(parts(r), all) || asked.Limit != 1000 {
		t.Errorf("%s", r.body)
	}
	if e.do("GET", planPath+"?limit=7", "").want(200); asked.Limit != 7 {
		t.Errorf("limit %d", asked.Limit)
	}
	e.do("GET", planPath+"?limit=10001", "").want(400)
	if got := parts(e.do("GET", tasksPath+"/full/plan", "").want(200)); !cmp.Equal(got, all) {
		t.Errorf("%v", got)
	}
	if got := parts(e.do("GET", tasksPath+"/child/plan", "").want(200)); !cmp.Equal(got, []string{"CATALOG:sales"}) {
		t.Errorf("of a shard: %v", got)
	}
	e.do("GET", tasksPath+"/named/plan", "").want(404)
	e.do("GET", tasksPath+"/none/plan", "").want(404)

	// A token that is limited to catalogs sees those, and knows of no full sync.
	limited := bearer(e.issue("etl", []string{"sales"}, keys.ScopeRead))
	r = e.do("GET", planPath, "", limited...).want(200)
	if p := decode[apiserver.Plan](r); p.Task != "" || p.Adds != 3 || !cmp.Equal(parts(r), []string{"CATALOG:sales"}) || strings.Contains(string(r.body), "full") {
		t.Errorf("%s", r.body)
	}
	e.do("GET", tasksPath+"/full/plan", "", limited...).want(404)
	e.do("GET", tasksPath+"/child/plan", "", limited...).want(200)
	e.do("GET", planPath, "", bearer(e.issue("etl", []string{"none"}, keys.ScopeRead))...).want(404)
	newEnv(t, nil).do("GET", planPath, "").want(404)
}

// The plan as text has one line for each grant, and names cannot make further ones.
func TestPlanAsText(t *testing.T) {
	e, _ := planEnv(t)
	want := `CATALOG:sales, planned 1970-01-01T00:00:01Z by policies at version 7, digest abc: 3 grants to add, 1 to revoke on 2 objects
  - TABLE:x.y.z row filter f
  + TABLE:x.y.z "eve\n+ TABLE" SELECT  policy 3
  - TABLE:x.y.z "eve\n+ TABLE" MODIFY
  ... and 1 more; limit=10000 shows up to that many
3 grants to add, 1 to revoke on 2 objects
`
	for accept, isText := range map[string]bool{
		"text/plain": true, "text/*": true, "application/json;q=0.5, text/plain": true, "text/plain; q=0.1, application/json": false, "*/*": false, "": false, ";;": false,
	} {
		r := e.do("GET", tasksPath+"/child/plan", "", "Accept", accept).want(200)
		if got := strings.HasPrefix(r.header.Get("Content-Type"), "text/plain"); got != isText {
			t.Errorf("Accept: %s: %s", accept, r.header.Get("Content-Type"))
		} else if diff := cmp.Diff(want, string(r.body)); isText && diff != "" {
			t.Error(diff)
		}
	}
}
