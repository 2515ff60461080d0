package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// findingsOf reads a policy document and returns what is found of it.
func findingsOf(t *testing.T, doc string, problems ...ranger.Problem) []policy.Finding {
	t.Helper()
	policies, err := ranger.ParseServicePolicies([]byte(doc), "f.json")
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rules.New(ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: policies, Problems: problems}), rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return rs.Findings
}

func TestValuesThatMatchNothingAreFindings(t *testing.T) {
	const item = `[{"groups":["g"],"accesses":[{"type":"select"}]}]`
	for name, test := range map[string]struct {
		resources, items string
		field            string
		effect           policy.Effect
	}{
		"fine":                  {`{"catalog":{"values":["hr","sales_*","{USER}","o'brien","a b"]}}`, `"policyItems":` + item, "", ""},
		"allowed":               {`{"catalog":{"values":["hr;x"]}}`, `"policyItems":` + item, "resources.catalog.values[0]", policy.EffectNarrower},
		"denied":                {`{"catalog":{"values":["hr","\"x\""]}}`, `"denyPolicyItems":` + item, "resources.catalog.values[1]", policy.EffectWider},
		"all else denied":       {`{"catalog":{"values":["[\"hr\"]"]}}`, `"isDenyAllElse":true`, "resources.catalog.values[0]", policy.EffectWider},
		"filtered":              {`{"catalog":{"values":["hr"]},"schema":{"values":["s"]},"table":{"values":[" t"]}}`, `"policyType":2,"rowFilterPolicyItems":` + item, "resources.table.values[0]", policy.EffectWider},
		"allowed but excluded":  {`{"catalog":{"values":["hr,x"],"isExcludes":true}}`, `"policyItems":` + item, "resources.catalog.values[0]", policy.EffectWider},
		"denied but excluded":   {`{"catalog":{"values":["hr,x"],"isExcludes":true}}`, `"denyPolicyItems":` + item, "resources.catalog.values[0]", policy.EffectNarrower},
		"not of Unity Catalog":  {`{"path":{"values":["a,b"]}}`, `"policyItems":` + item, "", ""},
		"in a switched off one": {`{"catalog":{"values":["a,b"]}}`, `"isEnabled":false,"policyItems":` + item, "", ""},
		"in additional ones":    {`{"catalog":{"values":["hr"]}}`, `"additionalResources":[{},{"catalog":{"values":["a,b","a;b"]}}],"policyItems":` + item, "additionalResources[1].catalog.values[0]", policy.EffectNarrower},
	} {
		found := findingsOf(t, fmt.Sprintf(`{"policies":[{"id":7,"name":"seven","resources":%s,%s}]}`, test.resources, test.items))
		switch {
		case test.field == "" && len(found) > 0:
			t.Errorf("%s: %v", name, found)
		case test.field != "" && (len(found) != 1 || found[0].PolicyID != 7 || found[0].Effect != test.effect || !strings.HasPrefix(found[0].Message, test.field+": ")):
			t.Errorf("%s: %+v, want one with effect %s on %s", name, found, test.effect, test.field)
		}
	}
}

func TestZonesThatDoNotExistAreFindings(t *testing.T) {
	found := findingsOf(t, `{"policies":[{"id":1,"zoneName":"hr","resources":{"catalog":{"values":["a"]}}},{"id":2,"zoneName":"gone","resources":{"catalog":{"values":["a"]}}}],
		"securityZones":{"hr":{"zoneName":"hr","resources":[{"catalog":["hr;x"]}]}}}`)
	if len(found) != 2 || found[0].PolicyID != 2 || found[0].Effect != policy.EffectNone || !strings.Contains(found[0].Message, `no security zone "gone"`) {
		t.Fatalf("%+v", found)
	}
	if f := found[1]; f.Effect != policy.EffectWider || !strings.Contains(f.Message, `security zone "hr": resources[0].catalog[0]`) {
		t.Errorf("%+v", f)
	}
}

// A problem is a finding, unless the compiler reports the unreadable policies of its file.
func TestProblemsAreFindings(t *testing.T) {
	const doc = `{"policies":[{"id":1,"name":"a","resources":{"catalog":{"values":["a"]}}}]}`
	problem := ranger.Problem{PolicyID: 1, Policy: "a", Origin: "f.json", Field: "colour", Effect: policy.EffectNone, Message: "is no field"}
	found := findingsOf(t, doc, problem)
	if want := (policy.Finding{PolicyID: 1, Policy: "a", Effect: policy.EffectNone, Message: "f.json: colour is no field"}); len(found) != 1 || found[0] != want {
		t.Errorf("%+v, want %+v", found, want)
	}
	problem.Refused = true
	if found := findingsOf(t, doc, problem); len(found) != 1 {
		t.Errorf("refused, without unreadable policies: %+v", found)
	}
	unreadable := strings.Replace(doc, `"name"`, `"denypolicyitems":[],"name"`, 1)
	if found := findingsOf(t, unreadable, problem); len(found) != 0 {
		t.Errorf("refused: %+v", found)
	}
}
