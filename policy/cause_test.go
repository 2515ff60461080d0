package policy

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A stored change comes back with its causes, and its digest does not depend on them.
func TestCausesInJSON(t *testing.T) {
	orders := Securable{Table, "sales.emea.orders"}
	analysts, ann, bob := NewPrincipal(Group, "analysts"), NewPrincipal(User, "ann@example.com"), NewPrincipal(User, "bob@example.com")
	add, remove := Assignment{analysts, Select}, Assignment{bob, Select}
	c := Change{Securable: orders, Wave: 2, Add: []Assignment{add, {ann, Modify}}, Remove: []Assignment{remove}, Causes: Causes{}}
	c.Causes.Set(ActAdd, add, Cause{Kind: CausePolicy, PolicyID: 3, Policy: "analysts read", Item: "policyItems[0]"})
	c.Causes.Set(ActRemove, remove, Cause{Kind: CauseImplied, On: Securable{Catalog, "sales"}, Principal: analysts, Privilege: Select})
	body, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var got Change
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got, cmp.AllowUnexported(causeKey{})); diff != "" {
		t.Errorf("%s: %s", body, diff)
	}
	if got.Causes.Has(ActRemove, add) || got.Causes.Of(ActAdd, remove) != (Cause{}) {
		t.Error("a cause of an act that the change does not have")
	}
	with, without := Plan{Changes: []Change{c}}, Plan{Changes: []Change{c}}
	without.Changes[0].Causes = nil
	if with.Digest() != without.Digest() {
		t.Error("the digest depends on causes")
	}
}
