package accepted_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// findingsOf reads a policy document and returns what is found of it.
func findingsOf(t *testing.T, doc string, problems ...ranger.Problem) []policy.Finding {
	t.Helper()
	policies, err := parse.ServicePolicies([]byte(doc), "f.json")
	if err != nil {
		t.Fatal(err)
	}
	tags := &ranger.ServiceTags{Tags: map[string]ranger.Tag{"1": {Type: "T"}}, ResourceToTagIDs: map[string][]int64{"1": {1}}, ServiceResources: []ranger.ServiceResource{{ID: 1, ResourceElements: map[string]ranger.PolicyResource{"catalog": {Values: []string{"a"}}}}}}
	rs, err := rules.New(ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: policies, Problems: problems, Tags: tags}), rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return accepted.Findings(rs, nil)
}

func TestValuesThatMatchNothingAreFindings(t *testing.T) {
	const item = `[{"groups":["g"],"accesses":[{"type":"select"}]}]`
	for name, test := range map[string]struct {
		resources, items string
		field            string
		effect           policy.Effect
	}{
		"fine":                  {`{"catalog":{"values":["hr","sales_*","{USER}","o'brien","a?b"]}}`, `"policyItems":` + item, "", ""},
		"allowed":               {`{"catalog":{"values":["hr;x"]}}`, `"policyItems":` + item, "resources.catalog.values[0]", policy.EffectNarrower},
		"with a point":          {`{"catalog":{"values":["hr.core"]}}`, `"policyItems":` + item, "resources.catalog.values[0]", policy.EffectNarrower},
		"with a slash":          {`{"catalog":{"values":["hr","a/b*"]}}`, `"denyPolicyItems":` + item, "resources.catalog.values[1]", policy.EffectWider},
		"with a space":          {`{"catalog":{"values":["a b"]}}`, `"policyItems":` + item, "resources.catalog.values[0]", policy.EffectNarrower},
		"too long":              {`{"catalog":{"values":["` + strings.Repeat("x", 256) + `"]}}`, `"policyItems":` + item, "resources.catalog.values[0]", policy.EffectNarrower},
		"as long as may be":     {`{"catalog":{"values":["` + strings.Repeat("x", 255) + `"]}}`, `"policyItems":` + item, "", ""},
		"a column":              {`{"catalog":{"values":["hr"]},"schema":{"values":["s"]},"table":{"values":["t"]},"column":{"values":["a.b c"]}}`, `"policyItems":` + item, "", ""},
		"several, parted":       {`{"catalog":{"values":["hr"]},"schema":{"values":["a|b"]}}`, `"denyPolicyItems":` + item, "resources.schema.values[0]", policy.EffectWider},
		"a regular expression":  {`{"catalog":{"values":["hr"]},"schema":{"values":["^a*$"]}}`, `"denyPolicyItems":` + item, "resources.schema.values[0]", policy.EffectWider},
		"an escaped one":        {`{"catalog":{"values":["hr"]},"schema":{"values":["a\\d"]}}`, `"denyPolicyItems":` + item, "resources.schema.values[0]", policy.EffectWider},
		"a negation":            {`{"catalog":{"values":["hr"]},"schema":{"values":["!a"]}}`, `"denyPolicyItems":` + item, "resources.schema.values[0]", policy.EffectWider},
		"another negation":      {`{"catalog":{"values":["hr"]},"schema":{"values":["~a*"]}}`, `"denyPolicyItems":` + item, "resources.schema.values[0]", policy.EffectWider},
		"a variable left over":  {`{"catalog":{"values":["hr"]},"schema":{"values":["${env}_a"]}}`, `"denyPolicyItems":` + item, "resources.schema.values[0]", policy.EffectWider},
		"an expression":         {`{"catalog":{"values":["hr"]},"schema":{"values":["${{USER.dept}}_a"]}}`, `"denyPolicyItems":` + item, "", ""},
		"a pattern of SQL":      {`{"catalog":{"values":["hr%"]}}`, `"denyPolicyItems":` + item, "resources.catalog.values[0]", policy.EffectWider},
		"a pattern of a shell":  {`{"catalog":{"values":["h[ar]*"]}}`, `"denyPolicyItems":` + item, "resources.catalog.values[0]", policy.EffectWider},
		"begins with brackets":  {`{"catalog":{"values":["[x]_1"]}}`, `"denyPolicyItems":` + item, "", ""},
		"a column of marks":     {`{"catalog":{"values":["hr"]},"schema":{"values":["s"]},"table":{"values":["t"]},"column":{"values":["a|b %"]}}`, `"policyItems":` + item, "", ""},
		"denied":                {`{"catalog":{"values":["hr","\"x\""]}}`, `"denyPolicyItems":` + item, "resources.catalog.values[1]", policy.EffectWider},
		"all else denied":       {`{"catalog":{"values":["[\"hr\"]"]}}`, `"isDenyAllElse":true`, "resources.catalog.values[0]", policy.EffectWider},
		"filtered":              {`{"catalog":{"values":["hr"]},"schema":{"values":["s"]},"table":{"values":[" t"]}}`, `"policyType":2,"rowFilterPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}],"rowFilterInfo":{"filterExpr":"x = 1"}}]`, "resources.table.values[0]", policy.EffectWider},
		"allowed but excluded":  {`{"catalog":{"values":["hr,x"],"isExcludes":true}}`, `"policyItems":` + item, "resources.catalog.values[0]", policy.EffectWider},
		"denied but excluded":   {`{"catalog":{"values":["hr,x"],"isExcludes":true}}`, `"denyPolicyItems":` + item, "resources.catalog.values[0]", policy.EffectNarrower},
		"not of Unity Catalog":  {`{"path":{"values":["a,b"]}}`, `"policyItems":` + item, "", ""},
		"in a switched off one": {`{"catalog":{"values":["a,b"]}}`, `"isEnabled":false,"policyItems":` + item, "", ""},
		"in additional ones":    {`{"catalog":{"values":["hr"]}}`, `"additionalResources":[{},{"catalog":{"values":["a,b","ok"]}}],"policyItems":` + item, "additionalResources[1].catalog.values[0]", policy.EffectNarrower},
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

// Where a service definition has case count, a value that is not in lower case matches nothing.
func TestCaseOfValues(t *testing.T) {
	def := *ranger.DefaultServiceDef()
	def.Resources = slices.Clone(def.Resources)
	for i := range def.Resources {
		def.Resources[i].MatcherOptions = ranger.OptionMap{"wildCard": "true", "ignoreCase": "false"}
	}
	text, err := json.Marshal(&def)
	if err != nil {
		t.Fatal(err)
	}
	for value, n := range map[string]int{"hr": 0, "HR": 1, "Hr*": 1, "{USER}": 0} {
		found := findingsOf(t, `{"serviceDef":`+string(text)+`,"policies":[{"id":7,"resources":{"catalog":{"values":["`+value+`"]}},"denyPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}]}`)
		if len(found) != n || n > 0 && (found[0].Effect != policy.EffectWider || !strings.Contains(found[0].Message, "write it in lower case")) {
			t.Errorf("%s: %v", value, found)
		}
	}
}

// What a policy of row filters denies is no access policy's: where it cannot be told what it is about, nothing is denied by it.
func TestFaultsOfFilterPoliciesThatDeny(t *testing.T) {
	found := findingsOf(t, `{"policies":[{"id":7,"policyType":2,"resources":{"nothing":{"values":["x"]}},"denyPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}]}`)
	for _, f := range found {
		if strings.Contains(f.Message, "is denied") {
			t.Errorf("%v", f)
		}
	}
	if len(found) == 0 {
		t.Error("nothing is said")
	}
}

func TestZonesThatPoliciesAreNotInAreFindings(t *testing.T) {
	const allow = `"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]`
	found := findingsOf(t, `{"policies":[{"id":1,"zoneName":"hr","resources":{"catalog":{"values":["a"]}},"isDenyAllElse":true},{"id":2,"zoneName":"gone","resources":{"catalog":{"values":["a"]}},"isDenyAllElse":true},
		{"id":3,"zoneName":"gone","resources":{"catalog":{"values":["a"]}},`+allow+`},{"id":5,"zoneName":"gone","resources":{"catalog":{"values":["b"]}},"isDenyAllElse":true}],
		"securityZones":{"hr":{"zoneName":"hr","resources":[{"catalog":["hr;x","a"]}],"policies":[{"id":4,"zoneName":"hr","resources":{"catalog":{"values":["a"]}},`+allow+`}]}}}`)
	for i, want := range []struct {
		id     int64
		effect policy.Effect
		text   string
	}{
		{1, policy.EffectWider, `not in the list of security zone "hr", so it holds outside security zones`},
		{2, policy.EffectWider, `no security zone "gone"`}, {3, policy.EffectWider, `no security zone "gone"`}, {5, policy.EffectNarrower, `no security zone "gone"`},
		{0, policy.EffectWider, `security zone "hr": resources[0].catalog[0]`},
	} {
		if i >= len(found) || found[i].PolicyID != want.id || found[i].Effect != want.effect || !strings.Contains(found[i].Message, want.text) {
			t.Fatalf("%d: want %v in %+v", i, want, found)
		}
	}
	if len(found) != 5 {
		t.Errorf("%+v", found)
	}
}

// Zones that hold nothing, and policies about what is not in their zone, are said: what they deny is denied nowhere.
func TestZonesThatMeanNothing(t *testing.T) {
	policies := func(resources, items string) string {
		return `"policies":[{"id":4,"resources":` + resources + `,"` + items + `":[{"groups":["g"],"accesses":[{"type":"select"}]}]}]`
	}
	orders := `{"catalog":{"values":["sales"]},"schema":{"values":["raw"]},"table":{"values":["orders"]}}`
	for name, tc := range map[string]struct {
		zone string
		want []string
	}{
		"as it should":              {`"resources":[{"catalog":["sales"]}],` + policies(orders, "denyPolicyItems"), nil},
		"by a pattern":              {`"resources":[{"catalog":["s*"],"schema":["*"]}],` + policies(orders, "denyPolicyItems"), nil},
		"one of two":                {`"resources":[{"catalog":["x"]},{"catalog":["sales"],"schema":["raw"]}],` + policies(orders, "denyPolicyItems"), nil},
		"wider than the zone":       {`"resources":[{"catalog":["sales"],"schema":["raw"]}],` + policies(`{"catalog":{"values":["sales"]}}`, "denyPolicyItems"), nil},
		"all but one":               {`"resources":[{"catalog":["sales"]}],` + policies(`{"catalog":{"values":["hr"],"isExcludes":true}}`, "denyPolicyItems"), nil},
		"no list":                   {policies(orders, "denyPolicyItems"), []string{`0 wider security zone "z": resources: it has none`}},
		"an empty list":             {`"resources":[],` + policies(orders, "denyPolicyItems"), []string{`0 wider security zone "z": resources: it has none`}},
		"an empty set":              {`"resources":[{}],` + policies(orders, "denyPolicyItems"), []string{`0 wider security zone "z": resources[0]: it is empty`}},
		"on no path":                {`"resources":[{"table":["orders"]},{"catalog":["sales"]}],` + policies(orders, "denyPolicyItems"), []string{`0 wider security zone "z": resources[0]: these resources are on no path`}},
		"names nothing":             {`"resources":[{"catalog":null}],` + policies(orders, "denyPolicyItems"), []string{`0 none security zone "z": resources[0].catalog: it names nothing, so it stands for every catalog`}},
		"a deny elsewhere":          {`"resources":[{"catalog":["finance"]}],` + policies(orders, "denyPolicyItems"), []string{`4 wider resources: nothing of it is in security zone "z"`}},
		"in another schema":         {`"resources":[{"catalog":["sales"],"schema":["emea*"]}],` + policies(orders, "denyPolicyItems"), []string{`4 wider resources: nothing of it is in security zone "z"`}},
		"an allow elsewhere":        {`"resources":[{"catalog":["finance"]}],` + policies(orders, "policyItems"), []string{`4 none resources: nothing of it is in security zone "z"`}},
		"of another kind of object": {`"resources":[{"catalog":["sales"],"schema":["raw"],"volume":["*"]}],` + policies(orders, "denyPolicyItems"), []string{`4 wider resources: nothing of it is in security zone "z"`}},
	} {
		var got []string
		for _, f := range findingsOf(t, `{"policies":[],"securityZones":{"z":{"zoneName":"z",`+tc.zone+`}}}`) {
			got = append(got, fmt.Sprintf("%d %s %s", f.PolicyID, f.Effect, f.Message))
		}
		if !slices.EqualFunc(got, tc.want, strings.HasPrefix) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// A zone is known by the name under which it stands, as in Ranger: another one in it is said.
func TestZonesOfAnotherName(t *testing.T) {
	for name, want := range map[string]int{"z": 0, "": 0, "y": 1} {
		found := findingsOf(t, `{"policies":[],"securityZones":{"z":{"zoneName":"`+name+`","resources":[{"catalog":["sales"]}]}}}`)
		if len(found) != want || want > 0 && !strings.Contains(found[0].Message, `security zone "z": zoneName: it is "y", which has no effect`) {
			t.Errorf("%q: %v", name, found)
		}
	}
}

// An item of which something cannot be understood is not said to be for nobody or about nothing: it closes what it may mean.
func TestItemsNotUnderstoodAreNotInVain(t *testing.T) {
	for _, item := range []string{`{"users":"ann@x.com","accesses":[{"type":"select"}]}`, `{"users":["ann@x.com"],"accesses":"select"}`} {
		found := findingsOf(t, `{"policies":[{"id":7,"resources":{"catalog":{"values":["a"]}},"denyPolicyItems":[`+item+`]}]}`)
		if len(found) != 1 || !strings.Contains(found[0].Message, "cannot be understood") {
			t.Errorf("%s: %v", item, found)
		}
	}
}

// Every value that can match nothing is named by its path, up to a number; one that is not understood has that message alone. A tag
// may have nearly any name, if it is one.
func TestEachValueIsNamed(t *testing.T) {
	const rest = `"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]`
	found := findingsOf(t, `{"policies":[{"id":7,"resources":{"catalog":{"values":["a;b","c","[\"d\"]",7]}},`+rest+`}]}`)
	want := []string{"resources.catalog.values[3] cannot be understood", `resources.catalog.values[0]: "a;b" is hardly the name of an object`, `resources.catalog.values[2]: "[\"d\"]" is hardly the name of an object`}
	for i, f := range found {
		if i >= len(want) || !strings.HasPrefix(f.Message, want[i]) {
			t.Errorf("%d: %s", i, f.Message)
		}
	}
	if len(found) != len(want) {
		t.Errorf("%d findings, want %d", len(found), len(want))
	}
	found = findingsOf(t, `{"policies":[{"id":7,"resources":{"catalog":{"values":[`+strings.Repeat(`"a;b",`, 70)+`"c"]}},`+rest+`}]}`)
	if len(found) != 50 || !strings.HasSuffix(found[49].Message, "(and 20 more values)") || strings.Contains(found[48].Message, "more values") {
		t.Errorf("%d findings, the last of which is %s", len(found), found[len(found)-1].Message)
	}
	tags := func(value string) *ranger.Snapshot {
		return &ranger.Snapshot{Tags: &ranger.ServiceTags{Tags: map[string]ranger.Tag{"1": {Type: value}}}}
	}
	def := ranger.ResourceDef{Name: "tag", MatcherOptions: ranger.OptionMap{"ignoreCase": "false"}}
	for _, c := range []struct {
		s     *ranger.Snapshot
		value string
		fine  bool
	}{
		{tags("PII"), "PII", true}, {tags("PII"), "pii", false}, {tags("PII"), " PII", false}, {tags("PII "), "PII", false}, {tags("PII"), "P*", true},
		{tags("PII"), "PII%", false}, {tags("PII"), "PII.", false}, {tags("PII."), "PII.", true}, {tags("PII"), "50%", true}, {tags("PII"), `["PII"]`, false}, {&ranger.Snapshot{}, `"PII"`, false}, {tags("x;y"), "x;y", true}, {tags("x;y"), "X;Y", false}, {tags("x;y"), "x;z", false}, {&ranger.Snapshot{}, "PII", true},
	} {
		if why := accepted.NewTagNames(c.s).Problem(&def, c.value); (why == "") != c.fine {
			t.Errorf("%q: %q", c.value, why)
		}
	}
	found = findingsOf(t, `{"policies":[],"tagPolicies":{"serviceName":"t","policies":[{"id":1,"resources":{"tag":{"values":["T","[\"PII\"]"]}},`+strings.ReplaceAll(rest, `"select"`, `"databricks-unity-catalog:select"`)+`}]}}`)
	if len(found) != 1 || !strings.HasPrefix(found[0].Message, `resources.tag.values[1]: "[\"PII\"]" can match no tag: it is a list`) {
		t.Errorf("%+v", found)
	}
}

// Every name that can be nobody's is named by its path, also beside others, and once; one of the wrong kind in JSON is not said to be
// empty as well.
func TestEachNameIsNamed(t *testing.T) {
	found := findingsOf(t, `{"policies":[{"id":7,"resources":{"catalog":{"values":["a"]}},"policyItems":[
		{"users":["","ann","[x]"],"groups":["a;b",null,"g"],"roles":["'r'",""],"accesses":[{"type":"select"}]},{"groups":[7,""],"accesses":[{"type":"select"}]},{"users":["",""],"accesses":[{"type":"select"}]}]}]}`)
	want := []string{"policyItems[1].groups[0] cannot be understood", "policyItems[0].users[0]: it is empty", `policyItems[0].users[2]: "[x]" `, `policyItems[0].groups[0]: "a;b" `,
		"policyItems[0].groups[1]: it is empty", `policyItems[0].roles[0]: "'r'" `, "policyItems[0].roles[1]: it is empty", "policyItems[1].groups[1]: it is empty",
		"policyItems[2].users[0]: it is empty", "policyItems[2].users[1]: it is empty", "policyItems[2]: it names no user, group or role"}
	for i, f := range found {
		if i >= len(want) || !strings.HasPrefix(f.Message, want[i]) {
			t.Errorf("%d: %s", i, f.Message)
		}
	}
	if len(found) != len(want) {
		t.Errorf("%d findings, want %d", len(found), len(want))
	}
}

// A member of a role that can be nobody's name loses access, and where something is denied may be denied less.
func TestEffectOfNamesOutsidePolicies(t *testing.T) {
	for list, want := range map[string]policy.Effect{"policyItems": policy.EffectNarrower, "denyPolicyItems": policy.EffectWider} {
		policies, err := parse.ServicePolicies([]byte(`{"policies":[{"id":7,"resources":{"catalog":{"values":["a"]}},"`+list+`":[{"roles":["r"],"accesses":[{"type":"select"}]}]}]}`), "f.json")
		if err != nil {
			t.Fatal(err)
		}
		rs, err := rules.New(ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: policies,
			Roles: &ranger.ServiceRoles{RangerRoles: []ranger.Role{{Name: "r", Users: []ranger.RoleMember{{Name: ""}, {Name: "a*"}}}}}}), rules.Options{})
		if err != nil {
			t.Fatal(err)
		}
		found := accepted.Findings(rs, nil)
		if len(found) != 2 || found[0].Effect != want || !strings.HasPrefix(found[0].Message, "rangerRoles[0].users[0]: ") || found[1].Effect != policy.EffectNone {
			t.Errorf("%s: %+v", list, found)
		}
	}
}

// What is said of a fault is what follows from it, and nothing is said of items that nobody wrote.
func TestFaultsSayWhatFollows(t *testing.T) {
	const rest = `"resources":{"catalog":{"values":["a"]}},"policyItems":[{"users":["ann@x.com"],"accesses":[{"type":"use_catalog"}]}]`
	for fields, want := range map[string]string{
		`"id":7,"id":8`:              "id cannot be understood (duplicate key: the object has it twice; keep one); the policy allows nothing",
		`"id":7,"denyPolicyItem":[]`: "denyPolicyItem cannot be understood (it is not a field of Ranger's model; did you mean denyPolicyItems?); the policy allows nothing, and everybody is denied what it is about",
	} {
		found := findingsOf(t, `{"policies":[{`+fields+`,`+rest+`}]}`)
		if len(found) != 1 || found[0].Message != want {
			t.Errorf("%s: %v, want %q", fields, found, want)
		}
	}
}

// What a policy's items say in vain is a finding of the plan: wider where something is not denied by it.
func TestItemsInVainAreFindings(t *testing.T) {
	const on = `"resources":{"catalog":{"values":["a"]}},`
	item := func(who, accesses string) string { return `[{` + who + `,"accesses":[` + accesses + `]}]` }
	filtered := func(who, expression string) string {
		return `[{` + who + `,"accesses":[{"type":"select"}],"rowFilterInfo":{"filterExpr":` + expression + `}}]`
	}
	masked := func(mask string) string {
		return `[{"groups":["g"],"accesses":[{"type":"select"}],"dataMaskInfo":` + mask + `}]`
	}
	recurs := func(list string) string {
		return `"validitySchedules":[{"startTime":"2026/01/01 00:00:00","recurrences":[` + list + `]}],`
	}
	const selects = `{"type":"select"}`
	const onVolume = `"resources":{"catalog":{"values":["a"]},"schema":{"values":["b"]},"volume":{"values":["v"]}},`
	for name, test := range map[string]struct{ policy, field, effect string }{
		"fine":                        {on + `"denyPolicyItems":` + item(`"users":["ann@x.com"],"groups":["cn=a, ou=b"],"roles":["it's"]`, selects), "", ""},
		"quoted user denied":          {on + `"denyPolicyItems":` + item(`"users":["\"bob@x.com\""]`, selects), "denyPolicyItems[0].users[0]", "wider"},
		"several users denied":        {on + `"denyPolicyItems":` + item(`"users":["a","bob@x.com;ann@x.com"]`, selects), "denyPolicyItems[0].users[1]", "wider"},
		"users with comma":            {on + `"denyPolicyItems":` + item(`"users":["bob@x.com, ann@x.com"]`, selects), "denyPolicyItems[0].users[0]", "wider"},
		"list of groups excepted":     {on + `"policyItems":` + item(`"groups":["g"]`, selects) + `,"allowExceptions":` + item(`"groups":["[\"g\"]"]`, selects), "allowExceptions[0].groups[0]", "wider"},
		"blank around":                {on + `"policyItems":` + item(`"roles":[" r"]`, selects), "policyItems[0].roles[0]", "narrower"},
		"invisible":                   {on + `"denyPolicyItems":` + item(`"groups":["h"]`, selects) + `,"denyExceptions":` + item(`"users":["ann\u200b@x.com"]`, selects), "denyExceptions[0].users[0]", "narrower"},
		"nobody denied":               {on + `"denyPolicyItems":` + item(`"users":[]`, selects), "denyPolicyItems[0]", "wider"},
		"nobody allowed":              {on + `"policyItems":` + item(`"users":[]`, selects), "policyItems[0]", "none"},
		"empty name beside another":   {on + `"policyItems":` + item(`"groups":["g",""]`, selects), "policyItems[0].groups[1]", "narrower"},
		"empty name denied":           {on + `"denyPolicyItems":` + item(`"roles":[null,"r"]`, selects), "denyPolicyItems[0].roles[0]", "wider"},
		"empty name excepted":         {on + `"policyItems":` + item(`"groups":["g"]`, selects) + `,"allowExceptions":` + item(`"groups":["h",""]`, selects), "allowExceptions[0].groups[1]", "wider"},
		"empty name filtered":         {`"policyType":2,` + on + `"rowFilterPolicyItems":` + filtered(`"users":["","a"]`, `"x = 1"`), "rowFilterPolicyItems[0].users[0]", "wider"},
		"empty name masked":           {`"policyType":1,` + on + `"dataMaskPolicyItems":` + item(`"users":["a",""]`, selects), "dataMaskPolicyItems[0].users[1]", "wider"},
		"perhaps several":             {on + `"policyItems":` + item(`"groups":["hr|fin"]`, selects), "policyItems[0].groups[0]", "none"},
		"perhaps several denied":      {on + `"denyPolicyItems":` + item(`"groups":["hr,fin"]`, selects), "denyPolicyItems[0].groups[0]", "none"},
		"blank script":                {on + `"conditions":[{"type":"_expression","values":[""]}],"policyItems":` + item(`"groups":["g"]`, selects), "conditions[0].values", "none"},
		"unknown condition":           {on + `"policyItems":[{"groups":["g"],"accesses":[` + selects + `],"conditions":[{"type":"_expression","values":["true"]},{"type":"office","values":["x"]}]}]`, "policyItems[0].conditions[1].type", "none"},
		"blank around a user":         {on + `"denyPolicyItems":` + item(`"users":["ann@x.com "]`, selects), "denyPolicyItems[0].users[0]", "none"},
		"nothing denied":              {on + `"denyPolicyItems":` + item(`"groups":["g"]`, ""), "denyPolicyItems[0].accesses", "wider"},
		"only switched off":           {on + `"denyPolicyItems":` + item(`"groups":["g"]`, `{"type":"select","isAllowed":false}`), "denyPolicyItems[0].accesses", "wider"},
		"administration delegated":    {on + `"denyPolicyItems":[{"groups":["g"],"delegateAdmin":true}]`, "denyPolicyItems[0].delegateAdmin", "none"},
		"switched off, allowed":       {on + `"policyItems":` + item(`"groups":["g"]`, `{"type":"select","isAllowed":false}`), "policyItems[0].accesses", "none"},
		"one switched off":            {on + `"denyPolicyItems":` + item(`"groups":["g"]`, `{"type":"select","isAllowed":false},{"type":"modify"}`), "denyPolicyItems[0].accesses", "wider"},
		"no such privilege there":     {onVolume + `"policyItems":` + item(`"groups":["g"]`, selects), "policyItems[0]", "narrower"},
		"denied where there is none":  {onVolume + `"denyPolicyItems":` + item(`"groups":["g"]`, selects), "denyPolicyItems[0]", "wider"},
		"one of two there":            {onVolume + `"policyItems":` + item(`"groups":["g"]`, selects+`,{"type":"read_volume"}`), "policyItems[0]", "none"},
		"inherited":                   {on + `"policyItems":` + item(`"groups":["g"]`, `{"type":"read_volume"}`), "", ""},
		"container of every object":   {`"resources":{"catalog":{"values":["a"]},"schema":{"values":["*"]},"table":{"values":["*"]}},"policyItems":` + item(`"groups":["g"]`, `{"type":"use_catalog"}`), "", ""},
		"recipients have no grants":   {`"resources":{"recipient":{"values":["r"]}},"policyItems":` + item(`"groups":["g"]`, selects), "policyItems[0]", "narrower"},
		"for the metastore":           {on + `"policyItems":` + item(`"groups":["g"]`, `{"type":"create_catalog"}`), "policyItems[0]", "narrower"},
		"everything, where little is": {onVolume + `"policyItems":` + item(`"groups":["g"]`, `{"type":"all_privileges"}`), "", ""},
		"owner allowed":               {on + `"policyItems":` + item(`"users":["{OWNER}"]`, selects), "policyItems[0]", "none"},
		"owner denied":                {on + `"denyPolicyItems":` + item(`"users":["{OWNER}"]`, selects), "denyPolicyItems[0]", "wider"},
		"grants in a mask policy":     {`"policyType":1,` + on + `"policyItems":` + item(`"groups":["g"]`, selects), "policyItems", "narrower"},
		"masks in a grant policy":     {on + `"dataMaskPolicyItems":` + item(`"groups":["g"]`, selects), "dataMaskPolicyItems", "wider"},
		"filters in a mask policy":    {`"policyType":1,` + on + `"rowFilterPolicyItems":` + item(`"groups":["g"]`, selects), "rowFilterPolicyItems", "wider"},
		"ends before it begins":       {on + `"validitySchedules":[{"startTime":"2027/01/01 00:00:00","endTime":"2026/01/01 00:00:00"}],"policyItems":` + item(`"groups":["g"]`, selects), "validitySchedules[0]", "narrower"},
		"one of two never opens":      {on + `"validitySchedules":[{"startTime":"2026/01/01 00:00:00"},{"startTime":"2027/01/01 00:00:00","endTime":"2026/01/01 00:00:00"}],"denyPolicyItems":` + item(`"groups":["g"]`, selects), "validitySchedules[1]", "none"},
		"deny in a mask policy":       {`"policyType":1,` + on + `"denyPolicyItems":` + item(`"groups":["g"]`, selects), "denyPolicyItems", "wider"},
		"all else in a filter":        {`"policyType":2,` + on + `"isDenyAllElse":true`, "isDenyAllElse", "wider"},
		"no filter":                   {`"policyType":2,` + on + `"rowFilterPolicyItems":` + item(`"groups":["g"]`, selects), "rowFilterPolicyItems[0].rowFilterInfo.filterExpr", "none"},
		"a blank filter":              {`"policyType":2,` + on + `"rowFilterPolicyItems":` + filtered(`"groups":["g"]`, `" "`), "rowFilterPolicyItems[0].rowFilterInfo.filterExpr", "none"},
		"no custom mask":              {`"policyType":1,` + on + `"dataMaskPolicyItems":` + masked(`{"dataMaskType":"CUSTOM"}`), "dataMaskPolicyItems[0].dataMaskInfo.valueExpr", "none"},
		"a value of another mask":     {`"policyType":1,` + on + `"dataMaskPolicyItems":` + masked(`{"dataMaskType":"MASK_HASH","valueExpr":"x"}`), "dataMaskPolicyItems[0].dataMaskInfo.valueExpr", "none"},
		"a custom mask":               {`"policyType":1,` + on + `"dataMaskPolicyItems":` + masked(`{"dataMaskType":"CUSTOM","valueExpr":"x"}`), "", ""},
		"an empty schedule":           {on + `"validitySchedules":[{}],"policyItems":` + item(`"groups":["g"]`, selects), "validitySchedules[0]", "wider"},
		"no schedule":                 {on + `"validitySchedules":[null],"denyPolicyItems":` + item(`"groups":["g"]`, selects), "validitySchedules[0]", "narrower"},
		"a time zone alone":           {on + `"validitySchedules":[{"timeZone":"UTC","recurrences":[]}],"policyItems":` + item(`"groups":["g"]`, selects), "validitySchedules[0]", "wider"},
		"no length":                   {on + recurs(`{"schedule":{"hour":"9","dayOfWeek":"2"}}`) + `"policyItems":` + item(`"groups":["g"]`, selects), "validitySchedules[0].recurrences[0].interval", "wider"},
		"a length of nothing":         {on + recurs(`{"schedule":{"dayOfWeek":"2"},"interval":{"days":0,"hours":0}}`) + `"denyPolicyItems":` + item(`"groups":["g"]`, selects), "validitySchedules[0].recurrences[0].interval", "narrower"},
		"no recurrence":               {on + recurs(`null`) + `"policyItems":` + item(`"groups":["g"]`, selects), "validitySchedules[0].recurrences[0].interval", "wider"},
		"no days":                     {on + recurs(`{"schedule":{"hour":"9"},"interval":{"hours":1}}`) + `"denyPolicyItems":` + item(`"groups":["g"]`, selects), "validitySchedules[0].recurrences[0].schedule", "wider"},
		"days of one of two":          {on + recurs(`{"schedule":{"hour":"9"},"interval":{"hours":1}},{"schedule":{"hour":"9","dayOfWeek":"*"},"interval":{"hours":1}}`) + `"denyPolicyItems":` + item(`"groups":["g"]`, selects), "validitySchedules[0].recurrences[0].schedule", "none"},
		"each day":                    {on + recurs(`{"schedule":{"hour":"9","dayOfWeek":"*"},"interval":{"hours":1}}`) + `"policyItems":` + item(`"groups":["g"]`, selects), "", ""},
		"recursive":                   {`"resources":{"catalog":{"values":["a"],"isRecursive":true}},"policyItems":` + item(`"groups":["g"]`, selects), "resources.catalog.isRecursive", "none"},
		"recursive, additionally":     {on + `"additionalResources":[{"catalog":{"values":["b"],"isRecursive":true}}],"policyItems":` + item(`"groups":["g"]`, selects), "additionalResources[0].catalog.isRecursive", "none"},
		"exceptions in a mask policy": {`"policyType":1,` + on + `"denyExceptions":` + item(`"groups":["g"]`, selects), "denyExceptions", "none"},
		"no items":                    {on + `"policyItems":[]`, "", "none"},
		"no masks":                    {`"policyType":1,` + on + `"dataMaskPolicyItems":null`, "", "wider"},
		"exceptions alone":            {on + `"allowExceptions":` + item(`"groups":["g"]`, selects), "allowExceptions", "wider"},
		"exceptions beside a deny":    {on + `"denyPolicyItems":` + item(`"groups":["h"]`, selects) + `,"allowExceptions":` + item(`"groups":["g"]`, selects), "allowExceptions", "none"},
		"exceptions from no deny":     {on + `"policyItems":` + item(`"groups":["h"]`, selects) + `,"denyExceptions":` + item(`"groups":["g"]`, selects), "denyExceptions", "none"},
		"mask for nobody":             {`"policyType":1,` + on + `"dataMaskPolicyItems":` + item(`"groups":[]`, selects), "dataMaskPolicyItems[0]", "wider"},
	} {
		found := findingsOf(t, `{"policies":[{"id":7,`+test.policy+`}]}`)
		switch {
		case test.field == "" && test.effect != "":
			if len(found) != 1 || string(found[0].Effect) != test.effect || !strings.HasPrefix(found[0].Message, "it has no items") {
				t.Errorf("%s: %v", name, found)
			}
		case test.field == "" && len(found) > 0:
			t.Errorf("%s: %v", name, found)
		case test.field != "" && (len(found) != 1 || string(found[0].Effect) != test.effect || !strings.HasPrefix(found[0].Message, test.field+": ")):
			t.Errorf("%s: %+v, want one with effect %s on %s", name, found, test.effect, test.field)
		}
	}
}

// What a service definition names and does not have, and roles that are switched off, are said; so is a matcher that nobody knows.
func TestDefinitionsAndRoles(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(*ranger.ServiceDef)
		want string
	}{
		"ours":                 {func(*ranger.ServiceDef) {}, ""},
		"implied":              {func(d *ranger.ServiceDef) { d.AccessTypes[0].ImpliedGrants = []string{"selct"} }, `: impliedGrants[0]: there is no access type "selct", so nothing is allowed or denied for it; did you mean "select"?`},
		"implied, a privilege": {func(d *ranger.ServiceDef) { d.AccessTypes[0].ImpliedGrants = []string{"SELECT"} }, `: impliedGrants[0]: there is no access type "SELECT", but a privilege of Unity Catalog, so it is implied all the same, as in Ranger; define the access type, or remove it here; did you mean "select"?`},
		"another matcher":      {func(d *ranger.ServiceDef) { d.Resources[1].Matcher = "com.example.MyMatcher" }, `: matcher: "com.example.MyMatcher" is not known, so names are compared as by RangerDefaultResourceMatcher`},
		"a matcher of paths": {func(d *ranger.ServiceDef) {
			d.Resources[1].Matcher = "org.apache.ranger.plugin.resourcematcher.RangerPathResourceMatcher"
		}, ""},
		"no matcher": {func(d *ranger.ServiceDef) { d.Resources[1].Matcher = "" }, ""},
	} {
		if got := definitionProblems(tc.edit); (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) || got != "" && !strings.HasPrefix(got, "wider ") {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	roles, err := parse.Roles([]byte(`{"rangerRoles":[{"name":"a","isEnabled":true},{"name":"b"},{"name":"c","isEnabled":false}]}`), "r.json")
	if err != nil {
		t.Fatal(err)
	}
	found := accepted.RoleProblems(&ranger.Snapshot{Roles: roles.RangerRoles})
	if len(found) != 1 || found[0].Field != "rangerRoles[2].isEnabled" || found[0].Effect != policy.EffectWider || !strings.Contains(found[0].Message, `role "c"`) {
		t.Errorf("%+v", found)
	}
}

// What the service's configuration allows in Ranger alone is said, and so is a key of it that is misspelt.
func TestConfiguration(t *testing.T) {
	for config, want := range map[string]string{
		`{}`: "",
		`{"ranger.plugin.super.users":"","ranger.plugin.super.groups":" , ","ranger.plugin.audit":"x"}`: "",
		`{"ranger.plugin.super.users":"ann"}`:  `policy narrower serviceConfig["ranger.plugin.super.users"]: Ranger allows everything to whom it names`,
		`{"ranger.plugin.super.groups":"g,h"}`: `policy narrower serviceConfig["ranger.plugin.super.groups"]: Ranger allows everything to whom it names`,
		`{"ranger.plugin.super.user":"ann"}`:   `policy narrower serviceConfig["ranger.plugin.super.user"]: it has no effect; did you mean ranger.plugin.super.users?`,
	} {
		got := ""
		for _, f := range findingsOf(t, `{"policies":[],"serviceConfig":`+config+`}`) {
			got += fmt.Sprintf("policy %s %s", f.Effect, f.Message)
		}
		if (want == "") != (got == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", config, got, want)
		}
	}
}

func TestAccessTypesOfNoServiceAreFindings(t *testing.T) {
	tagged := func(def, access string) []policy.Finding {
		return findingsOf(t, `{"policies":[],"tagPolicies":{"serviceName":"t",`+def+`"policies":[{"id":1,"resources":{"tag":{"values":["T"]}},
			"denyPolicyItems":[{"groups":["g"],"accesses":[{"type":"`+access+`"}]}]}]}}`)
	}
	own := ranger.DefaultServiceDef().Name
	const def = `"serviceDef":{"name":"tag","resources":[{"name":"tag"}],"accessTypes":[{"name":"hive:select"}]},`
	for _, fine := range [][]policy.Finding{tagged("", own+":select"), tagged(def, "hive:select"), tagged("", "hive:select"), tagged("", "Databricks_Unity_Catalog:SELECT"), tagged("", "select")} {
		if len(fine) > 0 {
			t.Errorf("%+v", fine)
		}
	}
	for _, found := range [][]policy.Finding{tagged("", "uc:select"), tagged(def, "uc:select")} {
		if len(found) != 1 || found[0].Effect != policy.EffectWider || !strings.Contains(found[0].Message, own) {
			t.Errorf("%+v", found)
		}
	}
}

func TestOptionsInVainAreFindings(t *testing.T) {
	for text, want := range map[string]string{
		`"inheritAccess":"TRUE"`: "", `"inheritAccess":"false","ui.pages":"x","another":"yes"`: "", `"inheritAccess":""`: "",
		`"inheritAccess":"yes"`:                       "options.inheritAccess: ",
		`"enableDenyAndExceptionsInPolicies":" true"`: "options.enableDenyAndExceptionsInPolicies: ",
		`"inheritAcces":"true"`:                       "did you mean inheritAccess?",
	} {
		found := findingsOf(t, `{"policies":[],"serviceDef":{"name":"x","options":{`+text+`},"resources":[{"name":"catalog"}],"accessTypes":[{"name":"select"}]}}`)
		if len(found) > 1 || (len(found) == 1) != (want != "") || want != "" && (found[0].Effect != policy.EffectWider || !strings.Contains(found[0].Message, want)) {
			t.Errorf("%s: %+v, want %q", text, found, want)
		}
	}
	found := findingsOf(t, `{"policies":[],"serviceDef":{"name":"x","resources":[{"name":"catalog","matcherOptions":{"ignoreCase":"1"}}],"accessTypes":[{"name":"select"}]}}`)
	if len(found) != 1 || !strings.Contains(found[0].Message, `resource "catalog": matcherOptions.ignoreCase: "1" is neither`) {
		t.Errorf("%+v", found)
	}
}

func TestProblemsAreFindings(t *testing.T) {
	const doc = `{"policies":[{"id":1,"name":"a","resources":{"catalog":{"values":["a"]}},"isDenyAllElse":true}]}`
	problem := ranger.Problem{PolicyID: 1, Policy: "a", Origin: "f.json", Field: "colour", Effect: policy.EffectNone, Message: "is no field"}
	found := findingsOf(t, doc, problem)
	if want := (policy.Finding{PolicyID: 1, Policy: "a", Effect: policy.EffectNone, Message: "f.json: colour is no field"}); len(found) != 1 || found[0] != want {
		t.Errorf("%+v, want %+v", found, want)
	}
}
