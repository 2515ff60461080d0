package connector_test

import (
	"strings"
	"testing"

	"ucwarden/connector"
	"ucwarden/policy"
)

// saved plans a catalog as somebody saved it, and has it judged.
func (r *rig) saved(root string) (*connector.ShardPlan, connector.Judged) {
	r.t.Helper()
	plan, err := r.PlanShard(r.t.Context(), r.roots(root))
	if err != nil {
		r.t.Fatal(err)
	}
	judged, err := r.Judge(r.t.Context(), []*connector.ShardPlan{plan}, connector.Request{Saved: plan.Digest})
	if err != nil || !judged.Exact {
		r.t.Fatalf("exact %v: %v", judged.Exact, err)
	}
	return plan, judged
}

// What somebody else changes while a saved plan is applied is left alone, and said.
func TestSavedPlanOvertaken(t *testing.T) {
	r := newRig(t, rigOptions{}, allow("table:sales.emea.orders", "analysts", "select"))
	plan, judged := r.saved("catalog:sales")
	r.grant("table:sales.emea.orders", "eve@example.com", "MODIFY")
	_, err := r.ApplyShard(t.Context(), plan, judged, connector.Request{Saved: plan.Digest})
	if policy.CodeOf(err) != policy.CodeInvalid || !strings.Contains(err.Error(), "became stale while it was applied") {
		t.Errorf("error %v", err)
	}
	check := func(want ...string) {
		t.Helper()
		have, err := r.client.Grants(t.Context(), sec(t, "table:sales.emea.orders"))
		if err != nil {
			t.Fatal(err)
		}
		g := &policy.GrantSet{}
		g.Set(sec(t, "table:sales.emea.orders"), have)
		if got := strings.Join(lines(g), "\n"); got != strings.Join(want, "\n") {
			t.Errorf("granted\n%s", got)
		}
	}
	check("TABLE:sales.emea.orders analysts SELECT", "TABLE:sales.emea.orders eve@example.com MODIFY")

	// Begun anew, what is left of it is done; what was not in it is not.
	r.revoke("table:sales.emea.orders", "analysts", "SELECT")
	again := r.roots("catalog:sales")
	again.Saved = plan.Digest
	if _, err := r.ApplyShard(t.Context(), plan, judged, again); policy.CodeOf(err) != policy.CodeInvalid {
		t.Errorf("error %v", err)
	}
	r.revoke("table:sales.emea.orders", "eve@example.com", "MODIFY")
	if _, err := r.ApplyShard(t.Context(), plan, judged, again); err != nil {
		t.Error(err)
	}
	check("TABLE:sales.emea.orders analysts SELECT")
}

// A saved plan that is not the plan now changes nothing, whichever way it is asked for.
func TestStalePlan(t *testing.T) {
	r := newRig(t, rigOptions{}, allow("table:sales.emea.orders", "analysts", "select"))
	request := r.roots("catalog:sales")
	request.Saved = "0123456789abcdef"
	for _, roots := range [][]policy.Securable{request.Roots, nil} {
		request.Roots = roots
		if _, err := r.Sync(t.Context(), request); policy.CodeOf(err) != policy.CodeInvalid || !strings.Contains(err.Error(), "is stale") {
			t.Errorf("sync of %v: %v", roots, err)
		}
	}
	if r.patches() > 0 {
		t.Errorf("%d PATCHes", r.patches())
	}
}
