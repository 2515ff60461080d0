package suite_test

import (
	"fmt"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
	"ucwarden/policy/suite"
)

const request = `"request":{"resource":{"elements":{"catalog":"c"}},"accessType":"select","user":"ann"}`

// A test that states nothing, or asks nothing, cannot fail, so it does.
func TestCasesThatCannotFail(t *testing.T) {
	rs, err := rules.New(ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: &ranger.ServicePolicies{}}), rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ test, says string }{
		"complete":       {`{"name":"x",` + request + `,"result":{"isAllowed":false}}`, ""},
		"no expectation": {`{"name":"x",` + request + `}`, "expects nothing"},
		"null":           {`{"name":"x",` + request + `,"result":null}`, "expects nothing"},
		"no isAllowed":   {`{"name":"x",` + request + `,"result":{"policyId":-1}}`, "isAllowed"},
		"no request":     {`{"name":"x","result":{"isAllowed":false}}`, "no request"},
	} {
		doc := []byte(`{"tests":[` + test.test + `]}`)
		own, err := suite.Run(doc, "s.json", suite.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		on, err := suite.RunOn(rs, doc, "s.json", suite.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, r := range []suite.Result{own, on} {
			if len(r.Cases) != 1 || r.Cases[0].Passed != (test.says == "") || !strings.Contains(r.Cases[0].Problem, test.says) {
				t.Errorf("%s: %+v, want %q", name, r.Cases, test.says)
			}
		}
	}
}

func TestMisspeltSuites(t *testing.T) {
	const passes = `{"name":"x",` + request + `,"result":{"isAllowed":false}}`
	for name, test := range map[string]struct{ doc, field, near string }{
		"result":       {`{"tests":[` + passes + `,{"name":"y",` + request + `,"reslut":{"isAllowed":true}}]}`, "tests[1].reslut", "result"},
		"isAllowed":    {`{"tests":[{"name":"y",` + request + `,"result":{"isAlowed":true}}]}`, "tests[0].result.isAlowed", "isAllowed"},
		"accessType":   {`{"tests":[{"name":"y","request":{"acessType":"select"},"result":{"isAllowed":true}}]}`, "tests[0].request.acessType", "accessType"},
		"updatedTests": {`{"tests":[],"updatedTest":[]}`, "updatedTest", "updatedTests"},
		"permissions":  {`{"testCases":[{"servicePolicies":{},"tests":[{"userPermission":{}}]}]}`, "testCases[0].tests[0].userPermission", "userPermissions"},
	} {
		_, err := suite.Run([]byte(test.doc), "s.json", suite.Options{})
		want := fmt.Sprintf("s.json: %s: a suite has no such field; did you mean %s?", test.field, test.near)
		if policy.CodeOf(err) != policy.CodeInvalid || err.Error() != want {
			t.Errorf("%s: error %v, want %s", name, err, want)
		}
	}
	if _, err := suite.Run([]byte(`{"tests":[{"name":"a","name":"b"}]}`), "s.json", suite.Options{}); policy.CodeOf(err) != policy.CodeInvalid || !strings.Contains(err.Error(), "tests[0].name: duplicate key") {
		t.Errorf("duplicate key: %v", err)
	}
}

func TestUnknownFieldsOfASuite(t *testing.T) {
	doc := `{"colour":"red","serviceDef":{"name":"s","resources":[],"accessTypes":[],"colours":1},
		"policies":[{"id":5,"name":"five","tint":1,"denials":[],"resources":{"catalog":{"values":["c"],"shape":true}}}],
		"tests":[{"name":"x",` + request + `,"result":{"isAllowed":false,"isAudited":true}}]}`
	r, err := suite.Run([]byte(doc), "s.json", suite.Options{})
	if err != nil || r.Passed != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	all := strings.Join(r.Warnings, "\n")
	for _, want := range []string{
		"s.json: colour: ", "s.json: serviceDef.colours: ", `s.json: policy 5 "five": tint: it is not a field of Ranger's model`,
		`s.json: policies[0].denials (policy 5 "five") is not a field`, `s.json: policy 5 "five": resources.catalog.shape: `,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("warnings %s, want %s", all, want)
		}
	}
	if len(r.Warnings) != 5 {
		t.Errorf("%d warnings: %s", len(r.Warnings), all)
	}
}

// A misspelt field of a policy decides what the tests are about, so the suite does not run.
func TestMisspeltPoliciesOfASuite(t *testing.T) {
	const where = `"resources":{"catalog":{"values":["c"]}}`
	test := `"tests":[{"name":"x",` + request + `,"result":{"isAllowed":false}}]`
	for name, c := range map[string]struct{ doc, path, near string }{
		"a deny":            {`"policies":[{"id":5,"name":"five","denyPolicyItem":[],` + where + `}]`, `policies[0].denyPolicyItem (policy 5 "five")`, "denyPolicyItems"},
		"a switch":          {`"policies":[{"id":5,"enabled":false,` + where + `}]`, `policies[0].enabled (policy 5 "")`, "isEnabled"},
		"an exclusion":      {`"policies":[{"id":5,"resources":{"catalog":{"values":["c"],"isExclude":true}}}]`, "policies[0].resources.catalog.isExclude", "isExcludes"},
		"in an item":        {`"policies":[{"id":5,"policyItems":[{"condition":[]}],` + where + `}]`, "policies[0].policyItems[0].condition", "conditions"},
		"in capitals":       {`"policies":[{"id":5,"DenyPolicyItems":[],` + where + `}]`, "policies[0].DenyPolicyItems", "denyPolicyItems"},
		"of tags":           {`"policies":[],"tagPolicyInfo":{"tagPolicies":[{"id":6,"conditon":[]}]}`, "tagPolicyInfo.tagPolicies[0].conditon", "conditions"},
		"of a zone":         {`"policies":[],"securityZones":{"z":{"policies":[{"id":6,"denyException":[]}]}}`, "securityZones.z.policies[0].denyException", "denyExceptions"},
		"a zone":            {`"policies":[],"securityZones":{"z":{"resource":[]}}`, "securityZones.z.resource", "resources"},
		"a service's trees": {`"policies":[],"serviceDef":{"name":"s","resources":[{"name":"c","parents":"x"}],"accessTypes":[]}`, "serviceDef.resources[0].parents", "parent"},
	} {
		_, err := suite.Run([]byte(`{`+c.doc+`,`+test+`}`), "s.json", suite.Options{})
		if policy.CodeOf(err) != policy.CodeInvalid || !strings.HasPrefix(err.Error(), "s.json: "+c.path) || !strings.HasSuffix(err.Error(), "did you mean "+c.near+"?") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := suite.Run([]byte(`{"testCases":[{"name":"a","servicePolicies":{"policies":[{"id":5,"denyPolicyItem":[]}]},"tests":[]}]}`), "s.json", suite.Options{})
	if err == nil || !strings.Contains(err.Error(), "testCases[0].servicePolicies.policies[0].denyPolicyItem") {
		t.Errorf("in a test case: %v", err)
	}
}
