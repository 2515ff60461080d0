package tasks_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector"
	"ucwarden/connector/drift"
	"ucwarden/connector/load"
	"ucwarden/connector/tasks"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// A job tells what drift it found and how much of it is put right, also where it fails; nothing of what it does for changed policies.
func TestDriftOfAJob(t *testing.T) {
	result := applied(t, "table:sales.emea.orders -bob@example.com MODIFY -ann@example.com MODIFY", "table:sales.emea.leads -bob@example.com MODIFY +analysts SELECT")
	for i := range result.Outcomes {
		c := &result.Outcomes[i].Change
		c.Causes = policy.Causes{}
		c.Causes.Set(policy.ActRemove, c.Remove[0], policy.Cause{Kind: policy.CauseDrift})
		if len(c.Add) > 0 {
			c.Causes.Set(policy.ActAdd, c.Add[0], policy.Cause{Kind: policy.CausePolicy, PutBack: true})
		}
	}
	result.Outcomes[1].Change.Remove = nil
	busy := policy.Errorf(policy.CodeUnavailable, "try later")
	result.Outcomes[1].Err = busy
	result.Drift = drift.Found{Excess: 3, Missing: 1, Securables: []string{"TABLE:sales.emea.orders"}}
	want := ondemand.Drift{Excess: 3, Missing: 1, Removed: 1, PutBack: 1, Securables: []string{"TABLE:sales.emea.orders"}}
	for name, c := range map[string]struct {
		source, postedBy string
		want             ondemand.Drift
	}{
		"posted":                              {"airflow", "alice", want},
		"scheduled":                           {"schedule", "", want},
		"policies changed":                    {tasks.SourcePolicyChange, "", ondemand.Drift{}},
		"a schedule opened or closed":         {tasks.SourceValidity, "", ondemand.Drift{}},
		"posted as if policies had changed":   {tasks.SourcePolicyChange, "alice", want},
		"posted as if a validity had changed": {tasks.SourceValidity, "alice", want},
	} {
		job := jobOf(t, "catalog:sales")
		job.Task.Source, job.Task.PostedBy = c.source, c.postedBy
		out, err := handle(t, &fake{result: result}, ondemand.ResourceSync, job)
		if policy.CodeOf(err) != policy.CodeUnavailable {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, out.Drift); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	job := jobOf(t, "catalog:sales")
	job.Followers = []ondemand.Task{{Source: tasks.SourcePolicyChange}}
	if out, _ := handle(t, &fake{result: result}, ondemand.ResourceSync, job); !out.Drift.None() {
		t.Errorf("with a task for changed policies: %+v", out.Drift)
	}
	onTable := func(name string, n int) policy.ProtectionChange {
		return policy.ProtectionChange{Table: policy.Securable{Type: policy.Table, FullName: name}, PutBack: n}
	}
	protected := applied(t)
	protected.Plan.Protection = []policy.ProtectionChange{onTable("sales.emea.orders", 2), onTable("sales.emea.leads", 1)}
	protected.Drift = drift.OfProtection(protected.Plan.Protection)
	for name, c := range map[string]struct {
		edit func(*connector.Result)
		want int
	}{
		"put back":       {func(*connector.Result) {}, 3},
		"one could not":  {func(r *connector.Result) { r.Unprotected = []load.LeftOut{{Securable: r.Plan.Protection[1].Table}} }, 2},
		"only looked at": {func(r *connector.Result) { r.Outcomes = nil }, 0},
	} {
		result := *protected
		c.edit(&result)
		want := ondemand.Drift{Protection: 3, Protected: c.want, Tables: []string{"TABLE:sales.emea.orders", "TABLE:sales.emea.leads"}}
		job.Followers[0].Source = tasks.SourcePolicyChange // which tells nothing about what others did to tables
		if out, err := handle(t, &fake{result: &result}, ondemand.ResourceSync, job); err != nil || !cmp.Equal(want, out.Drift) {
			t.Errorf("%s: %+v, %v", name, out.Drift, err)
		}
	}
	refused := policy.Errorf(policy.CodeRefused, "too many")
	if out, _ := handle(t, &fake{result: &connector.Result{Plan: result.Plan, Drift: result.Drift}, err: refused}, ondemand.ResourceSync, jobOf(t, "catalog:sales")); out.Drift.Excess != 3 || out.Drift.Removed != 0 {
		t.Errorf("refused: %+v", out.Drift)
	}
}
