package delta

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
)

func TestApply(t *testing.T) {
	base := &ranger.ServicePolicies{PolicyVersion: 4, Policies: []ranger.Policy{{ID: 1, Name: "a"}, {ID: 2, Name: "b"}},
		TagPolicies:   &ranger.TagPolicies{ServiceDef: &ranger.ServiceDef{Name: "tag"}, Policies: []ranger.Policy{{ID: 7, Name: "t"}}},
		SecurityZones: map[string]*ranger.SecurityZone{"z": {Policies: []ranger.Policy{{ID: 3, Name: "c"}}}, "gone": {}}}
	update := &ranger.ServicePolicies{PolicyVersion: 5, PolicyDeltas: []ranger.PolicyDelta{
		{ChangeType: Delete, Policy: &ranger.Policy{ID: 1}}, {ChangeType: Update, Policy: &ranger.Policy{ID: 2, Name: "B"}}, {ChangeType: Create, Policy: &ranger.Policy{ID: 4, Name: "d"}},
		{ChangeType: Delete, Policy: &ranger.Policy{ID: 99}}, {ChangeType: Update, Policy: &ranger.Policy{ID: 5, Name: "e"}}, {ChangeType: Update, Policy: &ranger.Policy{ID: 7, Name: "T", ServiceType: "tag"}},
		{ChangeType: Delete, Policy: &ranger.Policy{ID: 4}}, {ChangeType: Create, Policy: &ranger.Policy{ID: 4, Name: "D"}},
	}, SecurityZones: map[string]*ranger.SecurityZone{"z": {Resources: []map[string][]string{{"catalog": {"x"}}}, PolicyDeltas: []ranger.PolicyDelta{{ChangeType: Create, Policy: &ranger.Policy{ID: 6, Name: "f"}}}}}}
	describe := func(s *ranger.ServicePolicies) string {
		names := func(list []ranger.Policy) (text string) {
			for _, p := range list {
				text += fmt.Sprint(p.ID, p.Name, " ")
			}
			return text
		}
		text := fmt.Sprintf("version %d: %s| tags: %s", s.PolicyVersion, names(s.Policies), names(s.TagPolicies.Policies))
		for _, z := range slices.Sorted(maps.Keys(s.SecurityZones)) {
			text += fmt.Sprintf("| %s %v: %s", z, s.SecurityZones[z].Resources, names(s.SecurityZones[z].Policies))
		}
		return text
	}
	before := describe(base)
	got, err := Apply(base, update)
	if err != nil {
		t.Fatal(err)
	}
	if want := "version 5: 2B 4D 5e | tags: 7T | z [map[catalog:[x]]]: 3c 6f "; describe(got) != want {
		t.Errorf("%s\nwant %s", describe(got), want)
	}
	if len(got.PolicyDeltas) != 0 || len(got.SecurityZones["z"].PolicyDeltas) != 0 {
		t.Error("the result still has deltas")
	}
	if describe(base) != before {
		t.Errorf("the base has changed: %s", describe(base))
	}
	update.SecurityZones = nil
	if got, err = Apply(base, update); err != nil || len(got.SecurityZones) != 2 {
		t.Errorf("without zones in the update: %v, error %v", got, err)
	}
	for text, d := range map[string]ranger.PolicyDelta{"policyDeltas[1].policy is missing": {}, "policyDeltas[1].changeType: 3 is unknown": {ChangeType: 3, Policy: &ranger.Policy{}}} {
		_, err := Apply(base, &ranger.ServicePolicies{PolicyDeltas: []ranger.PolicyDelta{{Policy: &ranger.Policy{ID: 8}}, d}})
		if policy.CodeOf(err) != policy.CodeInvalid || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %s", err, text)
		}
	}
}

func pathsOf(unknown []ranger.UnknownField) (paths []string) {
	for _, u := range unknown {
		paths = append(paths, u.Path)
	}
	return paths
}

func TestDeltasCarryUnknownFields(t *testing.T) {
	base, err := parse.ServicePolicies([]byte(`{"x":1,"policies":[{"id":1,"y":1},{"id":2,"z":1}]}`), "a")
	if err != nil {
		t.Fatal(err)
	}
	update, err := parse.ServicePolicies([]byte(`{"policyDeltas":[{"changeType":1,"policy":{"id":1,"w":1}}]}`), "b")
	if err != nil {
		t.Fatal(err)
	}
	next, err := Apply(base, update)
	if err != nil {
		t.Fatal(err)
	}
	if got := pathsOf(next.Unknown); !slices.Equal(got, []string{"x", "policies[1].z", "policyDeltas[0].policy.w"}) {
		t.Errorf("unknown %v", got)
	}
	if got := pathsOf(base.Unknown); !slices.Equal(got, []string{"x", "policies[0].y", "policies[1].z"}) {
		t.Errorf("the base was changed: %v", got)
	}
}
