package parse_test

import (
	"reflect"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/delta"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
)

// The problems of policies do not depend on whether they came with a whole document or with changes of one.
func TestProblemsOfDeltas(t *testing.T) {
	read := func(doc string) *ranger.ServicePolicies {
		t.Helper()
		p, err := parse.ServicePolicies([]byte(doc), "d")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	whole := read(`{"serverName":"r","userRoles":{"ann":["r"]},"policies":[{"id":2,"name":"two","colour":1},{"id":3,"name":"three","colour":1,"resources":{"catalog":{"values":["a"],"shape":1}}},
		{"id":5,"name":"five","policyItems":[{"tint":1},{"tint":2}]}],"securityZones":{"z.policies":{"policies":[{"id":9,"name":"nine","colour":1}]}}}`)
	base := read(`{"serverName":"r","userRoles":{"ann":["r"]},"policies":[{"id":1,"name":"one","colour":1,"gone":1},{"id":2,"name":"two","colour":1},{"id":3,"name":"old","old":1},{"id":4,"name":"four"}],
		"securityZones":{"z.policies":{"policies":[{"id":9,"name":"nine"}]}}}`)
	update := read(`{"serverName":"r","policyVersion":2,"policyDeltas":[{"changeType":2,"policy":{"id":1,"name":"one","gone":1}},{"changeType":2,"policy":{"id":4,"name":"four","gone":1}},
		{"changeType":0,"policy":{"id":5,"name":"five","policyItems":[{"tint":1},{"tint":2}]}},
		{"changeType":1,"policy":{"id":3,"name":"three","colour":1,"resources":{"catalog":{"values":["a"],"shape":1}}}}],
		"securityZones":{"z.policies":{"policyDeltas":[{"changeType":1,"policy":{"id":9,"name":"nine","colour":1}}]}}}`)
	next, err := delta.Apply(base, update)
	if err != nil {
		t.Fatal(err)
	}
	got, want := parse.ProblemsOf(next.Unknown, "d", policy.EffectWider), parse.ProblemsOf(whole.Unknown, "d", policy.EffectWider)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("by changes %+v\nwhole      %+v", got, want)
	}
	const unknown = "is not a field of Ranger's model"
	expected := []ranger.Problem{
		{Origin: "d", Field: "serverName", Effect: policy.EffectNone, Message: unknown + "; did you mean serviceName?"},
		{Origin: "d", Field: "userRoles", Effect: policy.EffectWider, Message: "decides access in Ranger but is not supported here"},
		{PolicyID: 2, Policy: "two", Origin: "d", Field: "colour", Effect: policy.EffectNone, Message: unknown + " (in 3 policies)"},
		{PolicyID: 3, Policy: "three", Origin: "d", Field: "resources.catalog.shape", Effect: policy.EffectNone, Message: unknown},
		{PolicyID: 5, Policy: "five", Origin: "d", Field: "policyItems[0].tint", Effect: policy.EffectNone, Message: unknown + " (in 2 places)"},
	}
	if !reflect.DeepEqual(want, expected) {
		t.Errorf("problems %+v\nwant     %+v", want, expected)
	}
	for range 3 { // the same field of every update is kept once
		if next, err = delta.Apply(next, read(`{"serverName":"r","policyDeltas":[]}`)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(next.Unknown); n != len(whole.Unknown) {
		t.Errorf("%d unknown fields, want %d", n, len(whole.Unknown))
	}
}
