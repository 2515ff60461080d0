package tasks_test

import (
	"fmt"
	"testing"

	"ucwarden/connector"
	"ucwarden/connector/apply"
	"ucwarden/connector/load"
	"ucwarden/connector/tasks"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// What follows from a job is asked for what it changed, and only then; also where it ended with an error, or crashed before.
func TestAfter(t *testing.T) {
	orders := policy.Securable{Type: policy.Table, FullName: "a.s.orders"}
	plain := policy.Securable{Type: policy.Table, FullName: "a.s.plain"}
	protects := []policy.ProtectionChange{{Table: orders}, {Table: plain}}
	grants := []policy.Change{{Securable: plain, Add: []policy.Assignment{{Principal: policy.PrincipalByShape("x"), Privilege: "SELECT"}}}}
	for name, tt := range map[string]struct {
		result  *connector.Result
		err     error
		crashes int
		want    string // protected, granted, unknown
	}{
		"nothing changed":        {result: &connector.Result{Plan: &policy.Plan{}, Outcomes: []apply.Outcome{}}},
		"row filters":            {result: &connector.Result{Plan: &policy.Plan{Protection: protects}}, want: "[TABLE:a.s.orders TABLE:a.s.plain] [] []"},
		"one could not be":       {result: &connector.Result{Plan: &policy.Plan{Protection: protects}, Unprotected: []load.LeftOut{{Securable: plain}}}, want: "[TABLE:a.s.orders] [] []"},
		"grants":                 {result: &connector.Result{Plan: &policy.Plan{Changes: grants}, Outcomes: []apply.Outcome{{Change: grants[0]}}}, want: "[] [TABLE:a.s.plain] []"},
		"a grant that failed":    {result: &connector.Result{Plan: &policy.Plan{Changes: grants}, Outcomes: []apply.Outcome{{Change: policy.Change{Securable: plain}, Err: policy.Errorf(policy.CodeForbidden, "no")}}}},
		"refused":                {result: &connector.Result{Plan: &policy.Plan{Protection: protects}}, err: policy.Errorf(policy.CodeRefused, "too many")},
		"ended early":            {result: &connector.Result{Plan: &policy.Plan{Protection: protects}}, err: policy.Errorf(policy.CodeUnavailable, "no answer"), want: "[TABLE:a.s.orders TABLE:a.s.plain] [] []"},
		"failed before":          {err: policy.Errorf(policy.CodeUnavailable, "no answer")},
		"after a crash":          {result: &connector.Result{Plan: &policy.Plan{}}, crashes: 1, want: "[] [] [TABLE:a.s.orders]"},
		"after a crash, failing": {err: policy.Errorf(policy.CodeUnavailable, "no answer"), crashes: 1, want: "[] [] [TABLE:a.s.orders]"},
	} {
		t.Run(name, func(t *testing.T) {
			said := ""
			handlers, err := tasks.New(tasks.Options{
				Syncer: &fake{result: tt.result, err: tt.err}, Store: &store{values: make(map[string][]byte)},
				After: func(_ ondemand.Job, c tasks.Changed) []ondemand.Task {
					said = fmt.Sprint(c.Protected, c.Granted, c.Unknown)
					return []ondemand.Task{{ID: "next"}}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			out, _ := handlers[ondemand.ResourceSync].Handle(t.Context(), ondemand.Job{
				Task: ondemand.Task{ID: "t", Type: ondemand.ResourceSync, Crashes: tt.crashes}, Securables: []policy.Securable{orders}, Resources: []ondemand.Resource{ondemand.ResourceOf(orders)},
			})
			if said != tt.want || (len(out.Next) == 1) != (tt.want != "") {
				t.Errorf("changed: %q, want %q; %d tasks follow", said, tt.want, len(out.Next))
			}
		})
	}
}
