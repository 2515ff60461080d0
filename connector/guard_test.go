package connector_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ucwarden/connector"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/guard"
	"ucwarden/policy/ranger"
)

// refused syncs the roots and expects a guard to refuse, with nothing changed.
func (r *rig) refused(approve, reason string, roots ...string) *connector.Result {
	r.t.Helper()
	r.server.ResetTrace()
	request := r.roots(roots...)
	request.Approved = approve
	result, err := r.Sync(r.t.Context(), request)
	if policy.CodeOf(err) != policy.CodeRefused || !strings.Contains(err.Error(), reason) || r.patches() > 0 {
		r.t.Fatalf("got %v after %d PATCHes, want a refusal with %q", err, r.patches(), reason)
	}
	return result
}

// shrink makes listings of tables lose what keep does not hold.
func shrink(f *fake, keep func(policy.Object) bool) {
	f.list = func(_ policy.Securable, t policy.SecurableType, found []policy.Object, err error) ([]policy.Object, error) {
		if t == policy.Table || t == policy.Function || t == policy.Volume {
			found = slices.DeleteFunc(found, func(o policy.Object) bool { return !keep(o) })
		}
		return found, err
	}
}

func TestShrunkenListing(t *testing.T) {
	guards := []guard.Guard{guard.ShrunkenListing{MaxLoss: 0.5, MinLast: 4}}
	none := func(policy.Object) bool { return false }
	f, state := &fake{}, &inMemory{}
	r := newRig(t, rigOptions{wrap: through(f), syncer: connector.Options{Guards: guards, State: state}}, usual()...)
	r.sync("catalog:sales")
	r.sync("catalog:hr")

	// One that misses objects which exist, asked for themselves, is no loss.
	shrink(f, none)
	if result := r.sync("catalog:sales"); !result.Plan.Empty() {
		t.Errorf("planned %v", result.Plan.Changes)
	}

	f.get = func(s policy.Securable) error {
		if s.Type.Depth() == 3 && s.Names()[0] == "sales" {
			return policy.Errorf(policy.CodeNotFound, "no such object")
		}
		return nil
	}
	first := r.refused("", "the listing shows 3 objects where there were 11", "catalog:sales")
	r.refused("", "3 objects where there were 11", "catalog:sales") // a refused listing is not what the next is compared with
	r.refused("", "3 objects where there were 11")                  // nor does it help that other catalogs are as they were

	// An approval holds for exactly the plan that was refused; any other is an error.
	r.server.ResetTrace()
	for _, digest := range []string{"yes-please", "0123456789abcdef"} {
		request := r.roots("catalog:sales")
		request.Approved = digest
		if _, err := r.Sync(t.Context(), request); policy.CodeOf(err) != policy.CodeInvalid || !strings.Contains(err.Error(), first.Plan.Digest()) || r.patches() > 0 {
			t.Errorf("approved %s: %v after %d PATCHes", digest, err, r.patches())
		}
	}
	r.grant("schema:sales.emea", "eve@example.com", "SELECT")
	request := r.roots("catalog:sales")
	request.Approved = first.Plan.Digest()
	if _, err := r.Sync(t.Context(), request); policy.CodeOf(err) != policy.CodeInvalid {
		t.Errorf("the plan of before: %v", err)
	}
	r.revoke("schema:sales.emea", "eve@example.com", "SELECT")
	if _, err := r.Sync(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if got := r.server.Grants().Of(sec(t, "catalog:sales")); slices.ContainsFunc(got, func(a policy.Assignment) bool { return a.Name == "bob@example.com" }) {
		t.Errorf("the approved plan was not carried out: %v", got)
	}

	// What cannot be compared is not taken for good.
	state.err = errors.New("disk on fire")
	r.server.ResetTrace()
	if _, err := r.Sync(t.Context(), r.roots("catalog:sales")); !errors.Is(err, state.err) || !policy.CodeOf(err).Retryable() || r.patches() > 0 {
		t.Errorf("without the state: %v", err)
	}
}

func TestRevokeGuard(t *testing.T) {
	r := newRig(t, rigOptions{syncer: connector.Options{Guards: []guard.Guard{guard.Revokes{Max: 2, MaxRatio: 0.5}}}}, usual()...)
	r.sync()
	r.policies.set(t, usual()[0])
	refused := r.refused("", "the plan revokes")
	r.refused("", "the plan revokes", "catalog:sales")
	if _, err := r.Sync(t.Context(), connector.Request{Approved: refused.Plan.Digest()}); err != nil {
		t.Error(err)
	}
	if got := managed(r); len(got) != 2 {
		t.Errorf("grants after the approved sync: %v", got)
	}
}

// Syncs of named objects are judged one by one, but what many of them revoke together counts.
func TestRevokesAddUp(t *testing.T) {
	r := newRig(t, rigOptions{syncer: connector.Options{Guards: []guard.Guard{guard.Revokes{Max: 3, MaxRatio: 0.1}}}}, usual()...)
	r.sync()
	r.policies.set(t, usual()...)
	r.grant("table:hr.core.staff", "bob@example.com", policy.Select, policy.Modify, policy.ApplyTag)
	r.grant("table:sales.emea.orders", "bob@example.com", policy.Select, policy.Modify, policy.ApplyTag)
	r.sync("catalog:hr")
	refused := r.refused("", "the plan revokes 3 grants, with earlier syncs by the same policies 6", "catalog:sales")
	request := r.roots("catalog:sales")
	request.Approved = refused.Plan.Digest()
	if _, err := r.Sync(t.Context(), request); err != nil {
		t.Error(err)
	}
	r.grant("table:sales.emea.orders", "bob@example.com", policy.Select)
	r.refused("", "the plan revokes 1 grants, with earlier", "catalog:sales")
	r.policies.set(t, usual()...) // the next version of the policies starts anew
	r.sync("catalog:sales")
}

// TestObserveSaysRefused holds that where nothing is changed nothing is refused, that the result says what would be, and
// that what was only looked at does not count with later revokes.
func TestObserveSaysRefused(t *testing.T) {
	r := newRig(t, rigOptions{syncer: connector.Options{Mode: policy.ModeObserve, Guards: []guard.Guard{guard.Revokes{Max: 3, MaxRatio: 1}}}}, usual()...)
	r.grant("table:hr.core.staff", "bob@example.com", policy.Select, policy.Modify, policy.ApplyTag)
	for range 2 {
		if result := r.sync("catalog:hr"); result.Refused != nil {
			t.Errorf("3 revokes would be refused: %v", result.Refused)
		}
	}
	r.grant("table:hr.core.staff", "eve@example.com", policy.Modify)
	r.server.ResetTrace()
	for _, roots := range [][]string{{"catalog:hr"}, nil} {
		result := r.sync(roots...)
		if policy.CodeOf(result.Refused) != policy.CodeRefused || !strings.Contains(result.Refused.Error(), result.Plan.Digest()) {
			t.Errorf("roots %v: 4 revokes: %v", roots, result.Refused)
		}
	}
	if r.patches() > 0 {
		t.Errorf("%d PATCHes", r.patches())
	}
}

func TestStalePolicies(t *testing.T) {
	r := newRig(t, rigOptions{syncer: connector.Options{Guards: []guard.Guard{guard.StalePolicies{MaxAge: time.Hour}}}}, usual()...)
	r.sync()
	aged := func(age time.Duration, policies ...ranger.Policy) {
		s := snapshotOf(t, policies...)
		s.FetchedAt, s.Digest = time.Now().Add(-age), "same"
		r.policies.snapshot.Store(s)
	}
	aged(2*time.Hour, usual()[:5]...)
	r.refused("", "last confirmed 2h0m") // and as many seconds as the sync took
	aged(time.Minute, usual()[:5]...)    // confirmed again: the same content, so the same compiler
	r.sync()
	aged(2*time.Hour, usual()[:6]...)
	r.sync("table:sales.emea.orders") // nothing is revoked
	r.policies.set(t)
	r.refused("", "no policy is in force")
}

// A policy on what Unity Catalog keeps itself is named in the plan, which is not exact then.
func TestPoliciesOnBuiltInObjects(t *testing.T) {
	r := newRig(t, rigOptions{}, allow("catalog:system", "bob@example.com", "select"), allow("schema:sales.information_schema", "bob@example.com", "select"),
		allow("table:hive_metastore.a.b", "bob@example.com", "select"), allow("table:sales.emea.orders", "bob@example.com", "select"))
	result, err := r.Plan(t.Context(), connector.Request{})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(result.Plan.Report.Findings)
	for _, name := range []string{"catalog system", "schema information_schema", "catalog hive_metastore"} {
		if strings.Count(text, "revoked on "+name) != 1 {
			t.Errorf("%s is not named once in %s", name, text)
		}
	}
	if result.Plan.Report.Exact() || strings.Contains(text, "revoked on catalog sales") {
		t.Errorf("findings: %s", text)
	}
}

// After an upgrade that reads policies otherwise, the first plan of each catalog is shown to a person; nothing to change needs
// none, and what was approved is not asked about again.
func TestUpgradeThatReadsPoliciesOtherwise(t *testing.T) {
	state := &inMemory{}
	r := newRig(t, rigOptions{syncer: connector.Options{Guards: []guard.Guard{guard.Upgrade{}}, State: state}}, usual()...)
	r.sync("catalog:sales")
	r.sync("catalog:hr")
	r.grant("schema:sales.emea", "eve@example.com", "SELECT")
	r.sync("catalog:sales") // drift, by the same reading

	reading := fmt.Sprintf(`"reading":%d`, compile.Reading)
	kept := string(state.values["shards"])
	if !strings.Contains(kept, reading) {
		t.Fatalf("not kept by what reading catalogs were synced: %s", kept)
	}
	const reason = "another version of ucwarden, which read policies otherwise, last synced CATALOG:sales, and this one would add "
	state.values["shards"] = []byte(strings.ReplaceAll(kept, ","+reading, "")) // as kept before readings were numbered
	r.grant("schema:sales.emea", "eve@example.com", "SELECT")
	r.refused("", reason, "catalog:sales")
	state.values["shards"] = []byte(kept)
	r.sync("catalog:sales")

	state.values["shards"] = []byte(strings.ReplaceAll(string(state.values["shards"]), reading, `"reading":7`))
	r.sync("catalog:sales") // nothing to change: in sync by this reading from now on
	r.grant("schema:sales.emea", "eve@example.com", "SELECT")
	r.sync("catalog:sales")

	state.values["shards"] = []byte(strings.ReplaceAll(string(state.values["shards"]), reading, `"reading":7`))
	r.grant("schema:sales.emea", "eve@example.com", "SELECT")
	r.refused("", reason, "schema:sales.emea")
	r.refused("", reason)
	first := r.refused("", reason, "catalog:sales")
	request := r.roots("catalog:sales")
	request.Approved = first.Plan.Digest()
	if _, err := r.Sync(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	r.grant("schema:sales.emea", "eve@example.com", "SELECT")
	r.sync("catalog:sales")
}
