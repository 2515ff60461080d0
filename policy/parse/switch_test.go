package parse

import (
	"fmt"
	"slices"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// A field that nobody knows and that may say that what it stands in does not hold, or not always, widens access: in tags, the resources
// that carry them, roles and zones as in policies, in a download as in a file.
func TestUnknownSwitches(t *testing.T) {
	tags := func(field string) ([]ranger.UnknownField, error) {
		doc, err := Tags(fmt.Appendf(nil, `{"tags":{"1":{"type":"PII",%s}}}`, field), "d")
		return doc.Unknown, err
	}
	resources := func(field string) ([]ranger.UnknownField, error) {
		doc, err := Tags(fmt.Appendf(nil, `{"serviceResources":[{"id":1,%s}]}`, field), "d")
		return doc.Unknown, err
	}
	roles := func(field string) ([]ranger.UnknownField, error) {
		doc, err := Roles(fmt.Appendf(nil, `{"rangerRoles":[{"name":"r",%s}]}`, field), "d")
		return doc.Unknown, err
	}
	zones := func(field string) ([]ranger.UnknownField, error) {
		doc, err := ServicePolicies(fmt.Appendf(nil, `{"securityZones":{"z":{%s}}}`, field), "d")
		return doc.Unknown, err
	}
	for field, want := range map[string]policy.Effect{
		`"disabled":true`: policy.EffectWider, `"isDisabled":true`: policy.EffectWider, `"validTo":"2026-01-01"`: policy.EffectWider, `"excluded":true`: policy.EffectWider, `"expires":1790000000`: policy.EffectWider,
		`"enabledFlag":false`: policy.EffectWider, `"tagActive":false`: policy.EffectWider, `"inactive":true`: policy.EffectWider, `"except":["x"]`: policy.EffectWider,
		`"disabled":false`: policy.EffectNone, `"validTo":null`: policy.EffectNone, `"enabledFlag":true`: policy.EffectNone, `"excluded":false`: policy.EffectNone, `"colour":"red"`: policy.EffectNone, `"inactive":false`: policy.EffectNone,
	} {
		for of, read := range map[string]func(string) ([]ranger.UnknownField, error){"a tag": tags, "a resource": resources, "a role": roles, "a zone": zones} {
			unknown, err := read(field)
			if err != nil {
				t.Fatal(err)
			}
			problems := ProblemsOf(unknown, "d", policy.EffectNone)
			if len(problems) != 1 || problems[0].Effect != want {
				t.Errorf("%s of %s: %+v, want %s", field, of, problems, want)
			}
			if _, err := CheckFileFields(unknown, "d", false); err == nil {
				t.Errorf("%s of %s is accepted in a file", field, of)
			}
		}
	}
}

// A null in a list of policies is a fault of it, wherever the list stands.
func TestNullEntries(t *testing.T) {
	doc, err := ServicePolicies([]byte(`{"policies":[{"id":1},null],"tagPolicies":{"policies":[null]},"securityZones":{"z":{"policies":[null]}}}`), "d")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	each(doc, func(_ string, _ int, p *ranger.Policy) {
		if slices.Contains(p.Faults, ranger.NullEntry) {
			n++
		}
	})
	if n != 3 {
		t.Errorf("%d faults", n)
	}
}
