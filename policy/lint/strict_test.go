package lint_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ucwarden/policy/compile"
	"ucwarden/policy/lint"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
)

// lintOf checks the policies of a document.
func lintOf(t *testing.T, doc string, problems ...ranger.Problem) *lint.Result {
	t.Helper()
	policies, err := parse.ServicePolicies([]byte(doc), "f.json")
	if err != nil {
		t.Fatal(err)
	}
	return lint.Run(ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: policies, Problems: problems}),
		lint.Options{Compile: compile.Options{Time: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}})
}

// Each line: what a policy says, and the one finding that says what is wrong with it.
func TestAcceptedWithoutMeaning(t *testing.T) {
	const item = `{"groups":["g"],"accesses":[{"type":"select"}]}`
	const table = `"resources":{"catalog":{"values":["c"]},"schema":{"values":["s"]},"table":{"values":["t"]}}`
	const column = `"resources":{"catalog":{"values":["c"]},"schema":{"values":["s"]},"table":{"values":["t"]},"column":{"values":["x"]}}`
	const catalog = `"resources":{"catalog":{"values":["c"]}}`
	allows := `"policyItems":[` + item + `]`
	for name, test := range map[string]struct {
		policy   string
		severity lint.Severity
		check    string
		field    string
		says     string
	}{
		"nothing wrong":      {catalog + `,"policyLabels":["x"],"isAuditEnabled":false,"options":{},"conditions":[],` + allows, "", "", "", ""},
		"quotes":             {`"resources":{"catalog":{"values":["c","\"hr\""]}},` + allows, lint.SeverityError, lint.CheckNoMatch, "resources.catalog.values[1]", "write the name without them"},
		"list as text":       {`"resources":{"catalog":{"values":["[\"hr\"]"]}},` + allows, lint.SeverityError, lint.CheckNoMatch, "resources.catalog.values[0]", "value of its own"},
		"semicolon":          {`"resources":{"catalog":{"values":["hr;x"]}},` + allows, lint.SeverityError, lint.CheckNoMatch, "resources.catalog.values[0]", "several names"},
		"blank":              {`"resources":{"catalog":{"values":[" "]}},` + allows, lint.SeverityError, lint.CheckNoMatch, "resources.catalog.values[0]", "blanks"},
		"empty":              {`"resources":{"catalog":{"values":[""]}},` + allows, lint.SeverityError, lint.CheckRefused, "resources.catalog.values[0]", "empty"},
		"beside an empty":    {`"resources":{"catalog":{"values":["","[\"hr\"]"]}},` + allows, lint.SeverityError, lint.CheckNoMatch, "resources.catalog.values[1]", "value of its own"},
		"in additional":      {catalog + `,"additionalResources":[{"catalog":{"values":["hr;x"]}}],` + allows, lint.SeverityError, lint.CheckNoMatch, "additionalResources[0].catalog.values[0]", "several"},
		"zone":               {catalog + `,"zoneName":"gone",` + allows, lint.SeverityWarning, lint.CheckZone, "zoneName", `no security zone "gone", so it holds outside security zones`},
		"zone of another":    {catalog + `,"zoneName":"z",` + allows, lint.SeverityWarning, lint.CheckZone, "zoneName", "securityZones.z.policies"},
		"other service":      {catalog + `,"service":"dev",` + allows, lint.SeverityWarning, lint.CheckService, "service", `"dev"`},
		"other service type": {catalog + `,"serviceType":"hive",` + allows, lint.SeverityInfo, lint.CheckService, "serviceType", `"hive"`},
		"unknown condition":  {catalog + `,"conditions":[{"type":"office","values":["x"]}],` + allows, lint.SeverityWarning, lint.CheckCondition, "conditions[0].type", `"office"`},
		"of an item":         {catalog + `,"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}],"conditions":[{"type":"office","values":["x"]}]}]`, lint.SeverityWarning, lint.CheckCondition, "policyItems[0].conditions[0].type", `"office"`},
		"without value":      {catalog + `,"conditions":[{"type":"_expression"}],` + allows, lint.SeverityWarning, lint.CheckCondition, "conditions[0].values", "no value"},
		"blank script":       {catalog + `,"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}],"conditions":[{"type":"_expression","values":[" "]}]}]`, lint.SeverityError, lint.CheckCondition, "policyItems[0].conditions[0].values", "its script is blank"},
		"no length":          {catalog + `,"validitySchedules":[{"recurrences":[{"schedule":{"dayOfWeek":"*"},"interval":{}}]}],` + allows, lint.SeverityWarning, lint.CheckNothing, "validitySchedules[0].recurrences[0].interval", "no length"},
		"no days":            {catalog + `,"validitySchedules":[{"recurrences":[{"schedule":{"hour":"9"},"interval":{"hours":1}}]}],` + allows, lint.SeverityWarning, lint.CheckNeverOpen, "validitySchedules[0].recurrences[0].schedule", "dayOfWeek"},
		"deny all else":      {table + `,"policyType":2,"isDenyAllElse":true,"rowFilterPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}],"rowFilterInfo":{"filterExpr":"x = 1"}}]`, lint.SeverityWarning, lint.CheckNothing, "isDenyAllElse", "no effect"},
		"no filter":          {table + `,"policyType":2,"rowFilterPolicyItems":[` + item + `]`, lint.SeverityWarning, lint.CheckNothing, "rowFilterPolicyItems[0].rowFilterInfo.filterExpr", "empty"},
		"wrong items":        {catalog + `,"rowFilterPolicyItems":[` + item + `],` + allows, lint.SeverityWarning, lint.CheckNothing, "rowFilterPolicyItems", "policyType 2"},
		"options":            {catalog + `,"options":{"x":1},` + allows, lint.SeverityInfo, lint.CheckNothing, "options", "no effect"},
		"nobody":             {catalog + `,"policyItems":[{"groups":["g"],"users":["ann",""],"accesses":[{"type":"select"}]}]`, lint.SeverityError, lint.CheckNobody, "policyItems[0].users[1]", "empty"},
		"null":               {catalog + `,"denyPolicyItems":[{"groups":["g",null],"accesses":[{"type":"select"}]}]`, lint.SeverityError, lint.CheckNobody, "denyPolicyItems[0].groups[1]", "empty"},
		"second empty":       {catalog + `,"policyItems":[{"groups":["","g",""],"accesses":[{"type":"select"}]}]`, lint.SeverityError, lint.CheckNobody, "policyItems[0].groups[2]", "empty"},
		"excepted list":      {catalog + `,"allowExceptions":[{"roles":["[\"r\"]"],"accesses":[{"type":"select"}]}],` + allows, lint.SeverityError, lint.CheckPrincipal, "allowExceptions[0].roles[0]", "a list written as one text"},
		"masked quotes":      {table + `,"policyType":1,"dataMaskPolicyItems":[{"users":["'a'"],"accesses":[{"type":"select"}],"dataMaskInfo":{"dataMaskType":"MASK"}}]`, lint.SeverityError, lint.CheckPrincipal, "dataMaskPolicyItems[0].users[0]", "quotes"},
		"filter by clock":    {table + `,"policyType":2,"rowFilterPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}],"rowFilterInfo":{"filterExpr":"valid_to >= current_date()"}}]`, lint.SeverityInfo, lint.CheckFidelity, "rowFilterPolicyItems[0].rowFilterInfo.filterExpr", "refuse MERGE"},
		"refused filter":     {table + `,"policyType":2,"rowFilterPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}],"rowFilterInfo":{"filterExpr":"rand() > x"}}]`, lint.SeverityWarning, lint.CheckFidelity, "rowFilterPolicyItems[0].rowFilterInfo.filterExpr", "sees no row: at character 1: the function rand"},
		"refused mask":       {column + `,"policyType":1,"dataMaskPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}],"dataMaskInfo":{"dataMaskType":"CUSTOM","valueExpr":"leak({col} + 1)"}}]`, lint.SeverityWarning, lint.CheckFidelity, "dataMaskPolicyItems[0].dataMaskInfo.valueExpr", "sees NULL: at character 1: the function leak"},
		"mask by clock":      {column + `,"policyType":1,"dataMaskPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}],"dataMaskInfo":{"dataMaskType":"CUSTOM","valueExpr":"case when x < now() then {col} end"}}]`, lint.SeverityInfo, lint.CheckFidelity, "dataMaskPolicyItems[0].dataMaskInfo.valueExpr", "refuse MERGE"},
		"filtered semicolon": {table + `,"policyType":2,"rowFilterPolicyItems":[{"groups":["a;b"],"accesses":[{"type":"select"}],"rowFilterInfo":{"filterExpr":"x = 1"}}]`, lint.SeverityError, lint.CheckPrincipal, "rowFilterPolicyItems[0].groups[0]", "several names"},
		"perhaps several":    {catalog + `,"policyItems":[{"groups":["hr,fin"],"accesses":[{"type":"select"}]}]`, lint.SeverityWarning, lint.CheckPrincipal, "policyItems[0].groups[0]", "is read as one name"},
		"misspelt macro":     {catalog + `,"policyItems":[{"users":["{USR}"],"accesses":[{"type":"select"}]}]`, lint.SeverityWarning, lint.CheckPrincipal, "policyItems[0].users[0]", "the macros are {USER} and {OWNER}"},
		"user with a blank":  {catalog + `,"policyItems":[{"users":["ann@x.com "],"accesses":[{"type":"select"}]}]`, lint.SeverityWarning, lint.CheckPrincipal, "policyItems[0].users[0]", `taken for "ann@x.com"`},
		"delegated":          {catalog + `,"policyItems":[{"groups":["g"],"delegateAdmin":true,"accesses":[{"type":"select"}]}]`, lint.SeverityInfo, lint.CheckNothing, "policyItems[0].delegateAdmin", "no counterpart"},
	} {
		t.Run(name, func(t *testing.T) {
			r := lintOf(t, fmt.Sprintf(`{"serviceName":"uc","policies":[{"id":7,"name":"seven",%s}],"securityZones":{"z":{"zoneName":"z","resources":[{"catalog":["z"]}]}}}`, test.policy))
			var found []lint.Finding
			for _, f := range r.Findings {
				if f.Field == test.field && f.Check == test.check {
					found = append(found, f)
				}
			}
			if test.check == "" {
				if len(r.Findings) > 0 {
					t.Errorf("found %+v", r.Findings)
				}
				return
			}
			if len(found) != 1 || found[0].Severity != test.severity || !strings.Contains(found[0].Message, test.says) || found[0].PolicyID != 7 || found[0].File != "f.json" {
				t.Errorf("found %+v, want %s [%s] on %s that says %q\nof %+v", found, test.severity, test.check, test.field, test.says, r.Findings)
			}
			for _, f := range r.Findings {
				if f.Check == lint.CheckFidelity && (test.check == lint.CheckZone || test.check == lint.CheckNoMatch) {
					t.Errorf("said twice: %+v", f)
				}
			}
		})
	}
}

// What the policies of a tag service without a definition say in vain is said, too.
func TestTagPoliciesInVain(t *testing.T) {
	r := lintOf(t, `{"serviceName":"uc","policies":[],"tagPolicies":{"serviceName":"t","policies":[{"id":7,"name":"t","resources":{"tag":{"values":["\"PII\""]}},
		"denyPolicyItems":[{"groups":["g"],"accesses":[{"type":"unitycatalog:select"}],"conditions":[{"type":"office","values":["x"]}]}]}]}}`)
	var got []string
	for _, f := range r.Findings {
		got = append(got, string(f.Severity)+" "+f.Check+" "+f.Field)
	}
	for _, want := range []string{"warning unknown-condition denyPolicyItems[0].conditions[0].type", "error refused denyPolicyItems[0].accesses[0].type", "error never-matches resources.tag.values[0]"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not said: %q", want, got)
		}
	}
}

// What the plan says of no policy is said, too.
func TestFindingsOfNoPolicy(t *testing.T) {
	r := lintOf(t, `{"serviceName":"uc","policies":[],"serviceConfig":{"ranger.plugin.super.users":"ann"},"securityZones":{
		"y":{"zoneName":"y","resources":[{"catalog":["sales"]}],"policies":[{"id":1,"name":"a","resources":{"catalog":{"values":["sales"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}]},
		"z":{"zoneName":"z","resources":[{"catalog":["sales"]}]}}}`)
	for _, want := range []string{"lies in several security zones", "Ranger allows everything to whom it names"} {
		if !slices.ContainsFunc(r.Findings, func(f lint.Finding) bool {
			return f.Severity == lint.SeverityWarning && strings.Contains(f.Message, want)
		}) {
			t.Errorf("%q is not said: %+v", want, r.Findings)
		}
	}
}

func TestSwitchedOffDenies(t *testing.T) {
	r := lintOf(t, `{"serviceName":"uc","serviceDef":{"name":"s","options":{"enableDenyAndExceptionsInPolicies":"false"},"resources":[{"itemId":1,"name":"catalog"}],"accessTypes":[{"itemId":1,"name":"select"}]},
		"policies":[{"id":7,"resources":{"catalog":{"values":["c"]}},"denyPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}]}`)
	for _, f := range r.Findings {
		if f.Field == "denyPolicyItems" && f.Severity == lint.SeverityWarning && strings.Contains(f.Message, "enableDenyAndExceptionsInPolicies") {
			return
		}
	}
	t.Errorf("found %+v", r.Findings)
}

func TestProblemsAreReported(t *testing.T) {
	problem := ranger.Problem{PolicyID: 1, Policy: "a", Origin: "f.json", Field: "colour", Message: "is no field"}
	const doc = `{"policies":[{"id":1,"name":"a","resources":{"catalog":{"values":["a"]}},"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}]}`
	want := lint.Finding{Severity: lint.SeverityWarning, Check: lint.CheckField, PolicyID: 1, Policy: "a", File: "f.json", Field: "colour", Message: "it is no field"}
	if r := lintOf(t, doc, problem); len(r.Findings) != 1 || r.Findings[0] != want {
		t.Errorf("%+v, want %+v", r.Findings, want)
	}
}

// What cannot be understood of a policy is an error, once, with what was probably meant.
func TestFaultsAreErrors(t *testing.T) {
	const item = `[{"groups":["g"],"accesses":[{"type":"select"}]}]`
	const on = `"resources":{"catalog":{"values":["a"]}}`
	for fields, want := range map[string]string{
		on + `,"denyPolicyItem":` + item:                                       "denyPolicyItem: it is not a field of Ranger's model; did you mean denyPolicyItems?",
		on + `,"policyItems":{}`:                                               "policyItems: a JSON object does not fit here, want an array",
		on + `,"policyItems":[],"policyItems":` + item:                         "policyItems: duplicate key: the object has it twice; keep one",
		`"resources":{"catalogue":{"values":["a"]}},"policyItems":` + item:     `resources.catalogue: service definition "databricks-unity-catalog" has no such resource; did you mean "catalog"?`,
		on + `,"policyItems":[{"groups":["g"],"accesses":[{"type":"selct"}]}]`: `policyItems[0].accesses[0].type: service definition "databricks-unity-catalog" has no access type "selct"; did you mean "select"?`,
	} {
		var found []string
		for _, f := range lintOf(t, `{"policies":[{"id":1,"name":"a",`+fields+`}]}`).Findings {
			if f.Severity == lint.SeverityError || f.Check == lint.CheckFidelity {
				found = append(found, f.Field+": "+f.Message)
			}
		}
		if len(found) != 1 || found[0] != want {
			t.Errorf("%s: %q, want %q", fields, found, want)
		}
	}
}

// A value of the wrong kind in JSON has one message: it is not said to be empty, nor its item to be for nobody.
func TestOneMessageForEachValue(t *testing.T) {
	for items, field := range map[string]string{
		`[{"groups":[7],"accesses":[{"type":"select"}]}]`:                                                    "policyItems[0].groups[0]",
		`[{"groups":["g"],"accesses":[{"type":"select"}],"conditions":[{"type":"_expression","values":7}]}]`: "policyItems[0].conditions[0].values",
	} {
		r := lintOf(t, `{"serviceName":"uc","policies":[{"id":7,"name":"seven","resources":{"catalog":{"values":["c"]}},"policyItems":`+items+`}]}`)
		if len(r.Findings) != 1 || r.Findings[0].Check != lint.CheckRefused || r.Findings[0].Field != field {
			t.Errorf("%s: found %+v", items, r.Findings)
		}
	}
}

// Names of roles, of their members and in the user store are judged as those of policies are.
func TestNamesOutsidePolicies(t *testing.T) {
	r := lint.Run(ranger.UnverifiedSnapshot(ranger.SnapshotInput{
		Policies: &ranger.ServicePolicies{},
		Roles:    &ranger.ServiceRoles{RangerRoles: []ranger.Role{{Name: "r", Users: []ranger.RoleMember{{Name: "'bob'"}, {Name: ""}}, Groups: []ranger.RoleMember{{Name: "hr|x"}}}}},
		Users:    &ranger.UserStore{UserGroupMapping: map[string][]string{"ann": {"hr;x", ""}}},
	}), lint.Options{Compile: compile.Options{Time: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}})
	var got []string
	for _, f := range r.Findings {
		got = append(got, string(f.Severity)+" "+f.Check+" "+f.Field)
	}
	want := []string{"warning unknown-principal rangerRoles[0].groups[0]", "error unknown-principal rangerRoles[0].users[0]", "error names-nobody rangerRoles[0].users[1]",
		`error unknown-principal userGroupMapping["ann"][0]`, `error names-nobody userGroupMapping["ann"][1]`}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
