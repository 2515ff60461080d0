package ranger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"ucwarden/policy"
)

func TestApplyDeltas(t *testing.T) {
	base := &ServicePolicies{PolicyVersion: 4, Policies: []Policy{{ID: 1, Name: "a"}, {ID: 2, Name: "b"}},
		TagPolicies:   &TagPolicies{ServiceDef: &ServiceDef{Name: "tag"}, Policies: []Policy{{ID: 7, Name: "t"}}},
		SecurityZones: map[string]*SecurityZone{"z": {Policies: []Policy{{ID: 3, Name: "c"}}}, "gone": {}}}
	update := &ServicePolicies{PolicyVersion: 5, PolicyDeltas: []PolicyDelta{
		{ChangeType: DeltaDelete, Policy: &Policy{ID: 1}}, {ChangeType: DeltaUpdate, Policy: &Policy{ID: 2, Name: "B"}}, {ChangeType: DeltaCreate, Policy: &Policy{ID: 4, Name: "d"}},
		{ChangeType: DeltaDelete, Policy: &Policy{ID: 99}}, {ChangeType: DeltaUpdate, Policy: &Policy{ID: 5, Name: "e"}}, {ChangeType: DeltaUpdate, Policy: &Policy{ID: 7, Name: "T", ServiceType: "tag"}},
		{ChangeType: DeltaDelete, Policy: &Policy{ID: 4}}, {ChangeType: DeltaCreate, Policy: &Policy{ID: 4, Name: "D"}},
	}, SecurityZones: map[string]*SecurityZone{"z": {Resources: []map[string][]string{{"catalog": {"x"}}}, PolicyDeltas: []PolicyDelta{{ChangeType: DeltaCreate, Policy: &Policy{ID: 6, Name: "f"}}}}}}
	describe := func(s *ServicePolicies) string {
		names := func(list []Policy) (text string) {
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
	got, err := ApplyDeltas(base, update)
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
	if got, err = ApplyDeltas(base, update); err != nil || len(got.SecurityZones) != 2 {
		t.Errorf("without zones in the update: %v, error %v", got, err)
	}
	for text, d := range map[string]PolicyDelta{"policyDeltas[1].policy is missing": {}, "policyDeltas[1].changeType: 3 is unknown": {ChangeType: 3, Policy: &Policy{}}} {
		_, err := ApplyDeltas(base, &ServicePolicies{PolicyDeltas: []PolicyDelta{{Policy: &Policy{ID: 8}}, d}})
		if policy.CodeOf(err) != policy.CodeInvalid || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %s", err, text)
		}
	}
}
