package parse

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// allowItem is the beginning of an item's fields, for tests that add one.
const allowItem = `"accesses":[{"type":"select"}],"users":["ann"]`

func TestUnknownFieldsAreFoundWithTheNearest(t *testing.T) {
	for name, tc := range map[string]struct{ fields, path, nearest string }{
		"deny items":          {onCat + `,"denyPolicyItem":[{}]`, "policies[1].denyPolicyItem", "denyPolicyItems"},
		"enabled":             {onCat + `,"enabled":false`, "policies[1].enabled", "isEnabled"},
		"excludes":            {`"resources":{"catalog":{"values":["a"],"isExclude":true}}`, "policies[1].resources.catalog.isExclude", "isExcludes"},
		"condition":           {onCat + `,"policyItems":[{},{` + allowItem + `,"condition":[]}]`, "policies[1].policyItems[1].condition", "conditions"},
		"allowed":             {onCat + `,"policyItems":[{"accesses":[{"type":"select","allowed":false}]}]`, "policies[1].policyItems[0].accesses[0].allowed", "isAllowed"},
		"case":                {onCat + `,"denypolicyitems":[{}]`, "policies[1].denypolicyitems", "denyPolicyItems"},
		"case with Kelvin":    {onCat + `,"serviceTypeK":1,"policyItemſ":[{}]`, "policies[1].serviceTypeK", "serviceType"},
		"words":               {onCat + `,"denyItems":[{}]`, "policies[1].denyItems", "denyPolicyItems"},
		"snake case":          {onCat + `,"deny_policy_items":[{}]`, "policies[1].deny_policy_items", "denyPolicyItems"},
		"swapped letters":     {onCat + `,"dneyExceptions":[{}]`, "policies[1].dneyExceptions", "denyExceptions"},
		"escaped":             {onCat + `,"\u0065nabled":false`, "policies[1].enabled", "isEnabled"},
		"shortest part":       {onCat + `,"denials":[{}],"except":1`, "policies[1].denials", ""},
		"of which list":       {onCat + `,"exceptions":[{}]`, "policies[1].exceptions", ""},
		"words, turned":       {onCat + `,"policyDenyItems":[{}]`, "policies[1].policyDenyItems", "denyPolicyItems"},
		"masks":               {onCat + `,"maskPolicyItems":[{}]`, "policies[1].maskPolicyItems", "dataMaskPolicyItems"},
		"an unknown sort":     {onCat + `,"otherPolicyItems":[{}]`, "policies[1].otherPolicyItems", ""},
		"allows":              {onCat + `,"allowPolicyItems":[{}]`, "policies[1].allowPolicyItems", "policyItems"},
		"an allow, turned":    {onCat + `,"notPolicyItems":[{}]`, "policies[1].notPolicyItems", ""},
		"whom not":            {onCat + `,"policyItems":[{` + allowItem + `,"exceptUsers":["b"]}]`, "policies[1].policyItems[0].exceptUsers", ""},
		"nothing near":        {onCat + `,"colour":"red"`, "policies[1].colour", ""},
		"in a mask item":      {onCat + `,"dataMaskPolicyItems":[{"user":["a"]}]`, "policies[1].dataMaskPolicyItems[0].user", "users"},
		"in additional":       {onCat + `,"additionalResources":[{"catalog":{"value":["a"]}}]`, "policies[1].additionalResources[0].catalog.value", "values"},
		"in a recurrence":     {onCat + `,"validitySchedules":[{"recurrences":[{"interval":{"hour":1}}]}]`, "policies[1].validitySchedules[0].recurrences[0].interval.hour", "hours"},
		"of another object":   {onCat + `,"accesses":[]`, "policies[1].accesses", ""},
		"an object's content": {onCat + `,"colour":{"enabled":{"a":1}}`, "policies[1].colour", ""},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := ServicePolicies([]byte(policyDoc(tc.fields)), "uc.json")
			if err != nil {
				t.Fatal(err)
			}
			if len(doc.Unknown) == 0 {
				t.Fatal("no unknown field")
			}
			got := doc.Unknown[0]
			if got.Path != tc.path || got.Nearest != tc.nearest || got.PolicyID != 7 || got.Policy != "orders" || got.Ignored {
				t.Errorf("found %+v, want path %s, nearest %s", got, tc.path, tc.nearest)
			}
			if err := CheckFields(doc.Unknown, "uc.json"); err != nil {
				t.Errorf("what is wrong in a policy refuses the document: %v", err)
			}
			file, err := PolicyFile([]byte(policyDoc(tc.fields)), "uc.json")
			if err != nil {
				t.Fatal(err)
			}
			fault := ranger.Fault{Field: strings.TrimPrefix(tc.path, "policies[1]."), Known: tc.nearest, Unknown: true, Reason: "it is not a field of Ranger's model"}
			if tc.nearest != "" {
				fault.Reason += "; did you mean " + tc.nearest + "?"
			}
			for _, doc := range []*ranger.ServicePolicies{doc, file} {
				want := []ranger.Fault{fault}
				if tc.nearest == "" && doc != file && (name == "nothing near" || name == "of another object" || name == "an object's content") { // as newer servers add
					want = nil
				}
				if got := doc.Policies[1].Faults; !slices.Equal(got[:min(len(got), 1)], want) || len(doc.Policies[0].Faults) > 0 {
					t.Errorf("faults %v, want %v; of the other policy %v", got, want, doc.Policies[0].Faults)
				}
			}
		})
	}
}

func TestKnownFieldsAreNotReported(t *testing.T) {
	for name, doc := range map[string]string{
		"export": `{"metaDataInfo":{"Host name":"r","Exported by":"admin"},"policies":[],"startIndex":0,"pageSize":0,"totalCount":0,"resultSize":0,
			"sortType":null,"sortBy":"id","queryTimeMS":1}`,
		"policy":     policyDoc(onCat + `,"createdBy":"a","updatedBy":"a","createTime":1,"updateTime":"x","guid":"g","version":3,"resourceSignature":"s","options":{"any":{"a":1}}`),
		"definition": `{"serviceDef":{"implClass":"x","configs":[{"itemId":1,"any":2}],"enums":[],"rbKeyLabel":"","options":{"a":true},"resources":[{"uiHint":"","matcherOptions":{"wildCard":true}}]}}`,
		"tags":       `{"auditMode":"","tagPolicies":{"serviceId":1,"policyUpdateTime":1,"auditMode":"x"},"policyDeltas":[{"policiesVersion":1}]}`,
		"empty 2.0":  `{"userRoles":{ },"groupRoles":null}`,
	} {
		parsed, err := ServicePolicies([]byte(doc), "uc.json")
		if err != nil || len(parsed.Unknown) > 0 {
			t.Errorf("%s: error %v, unknown %v", name, err, parsed.Unknown)
		}
		if err := CheckFields(parsed.Unknown, "uc.json"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if def := ranger.DefaultServiceDef(); len(def.Unknown) > 0 {
		t.Errorf("built-in service definition: %v", def.Unknown)
	}
}

func TestFieldsThatDecideButAreNotSupported(t *testing.T) {
	doc, err := ServicePolicies([]byte(`{"userRoles":{"ann":["boss"]},"groupRoles":{}}`), "uc.json")
	if err != nil || len(doc.Unknown) != 1 || !doc.Unknown[0].Ignored {
		t.Fatalf("error %v, unknown %v", err, doc.Unknown)
	}
	if list := ProblemsOf(doc.Unknown, "uc.json", policy.EffectWider); len(list) != 1 || list[0].Message != "decides access in Ranger but is not supported here" || list[0].Effect != policy.EffectWider {
		t.Errorf("problems %+v", list)
	}
}

func TestNearestIsOfTheVeryObject(t *testing.T) {
	doc, err := ServicePolicies([]byte(policyDoc(onCat+`,"policyItems":[{"user":["a"]}],"user":["a"]`)), "uc.json")
	if err != nil || len(doc.Unknown) != 2 || doc.Unknown[0].Nearest != "users" || doc.Unknown[1].Nearest != "" {
		t.Errorf("unknown %v, error %v", doc.Unknown, err)
	}
}

type readingItself struct{ Known int }

func (*readingItself) UnmarshalJSON([]byte) error { return nil }

func TestUnknownFieldsOfOtherTypes(t *testing.T) {
	for doc, into := range map[string]any{
		`{"policies":{"a":{"zz":1}},"securityZones":[{"zz":1}]}`: ranger.ServicePolicies{}, // decoding refuses these values
		`{"At":{"zz":1},"List":[{"zz":1}],"Map":{"a":{"zz":1}}}`: &struct {
			At   readingItself
			List []*readingItself
			Map  map[string]readingItself
		}{},
		`{"zz":{"zz":1}}`: map[string]any{},
	} {
		if unknown, err := UnknownFields([]byte(doc), "f.json", into); err != nil || len(unknown) > 0 {
			t.Errorf("%s: unknown %v, error %v", doc, unknown, err)
		}
	}
}

// Outside of policies, what is misspelt may hide anything; what nobody meant is what newer servers add.
func TestMisspeltFieldsOutsideOfPolicies(t *testing.T) {
	doc, err := ServicePolicies([]byte(`{"securityZone":{},"tagPolicie":1,"PolicyVersion":1,"serviceConf":1,"serviceID":1,"polices":[],"policyVersoin":1,"tagPolicies":{"polices":[]},"zzz":1,"zone":{}}`), "uc.json")
	if err != nil || len(doc.Unknown) != 10 {
		t.Fatalf("error %v, unknown %v", err, doc.Unknown)
	}
	text := CheckFields(doc.Unknown, "uc.json").Error()
	if policy.CodeOf(CheckFields(doc.Unknown, "uc.json")) != policy.CodeInvalid || !strings.HasPrefix(text, "uc.json: securityZone is not a field of Ranger's model; did you mean securityZones?; tagPolicie ") ||
		strings.Contains(text, "zzz") || !strings.HasSuffix(text, "; and 2 more") {
		t.Error(text)
	}
}

// encoding/json compares names without regard to case: of "denyPolicyItems" and "denypolicyitems" the last would count.
func TestMisspeltCaseIsNotRead(t *testing.T) {
	deny := `"denyPolicyItems":[{"users":["bob"]}]`
	for name, fields := range map[string]string{
		"overwrites":  deny + `,"denypolicyitems":[]`,
		"escaped":     deny + `,"DENYPOLICY\u0049TEMS":[]`,
		"long s":      deny + `,"denyPolicyItemſ":[]`,
		"wrong type":  deny + `,"DenyPolicyItems":"none"`,
		"of a value":  deny + `,"resources":{"catalog":{"values":["sales"],"Values":["other"]}}`,
		"only allows": deny + `,"policyItems":[{"users":["ann"],"Users":["eve"]}]`,
	} {
		t.Run(name, func(t *testing.T) {
			policy := `{"id":7,"name":"orders",` + fields + `}`
			for place, doc := range map[string]string{
				"policies[1]":               `{"policies":[{"id":1},` + policy + `]}`,
				"securityZones.z.policies":  `{"securityZones":{"y":{"policies":[{"id":7}]},"z":{"policies":[` + policy + `]}}}`,
				"tagPolicies.policies[0]":   `{"tagPolicies":{"policies":[` + policy + `]}}`,
				"policyDeltas[0].policy":    `{"policyDeltas":[{"changeType":1,"policy":` + policy + `}]}`,
				"securityZones.z.policyDel": `{"securityZones":{"z":{"policyDeltas":[{"policy":` + policy + `}]}}}`,
			} {
				parsed, err := ServicePolicies([]byte(doc), "uc.json")
				if err != nil {
					t.Fatal(err)
				}
				if len(parsed.Unknown) != 1 || !strings.HasPrefix(parsed.Unknown[0].Path, place) || parsed.Unknown[0].Nearest == "" {
					t.Errorf("%s: unknown %v", place, parsed.Unknown)
				}
				each(parsed, func(path string, index int, p *ranger.Policy) {
					held := len(p.DenyPolicyItems) == 1 && slices.Equal(p.DenyPolicyItems[0].Users, []string{"bob"})
					if wanted := p.Name == "orders"; held != wanted || (len(p.Faults) == 1) != wanted {
						t.Errorf("%s: policy %q at %s %d: denies %v, faults %v", place, p.Name, path, index, p.DenyPolicyItems, p.Faults)
					}
				})
			}
			for _, doc := range []string{`[` + policy + `]`, strings.Replace(policy, `"name"`, onCat+`,"name"`, 1)} {
				if strings.Contains(fields, "resources") {
					continue
				}
				list, unknown, err := Policies([]byte(doc), "f.json")
				if err != nil || len(unknown) != 1 || len(list) != 1 || len(list[0].Faults) != 1 || len(list[0].DenyPolicyItems) != 1 {
					t.Errorf("%s: %v, unknown %v, error %v", doc, list, unknown, err)
				}
			}
		})
	}
	if doc, err := ServicePolicies([]byte(`{"policies":[{"id":1}],"Policies":[],"POLICIES":{}}`), "uc.json"); err != nil || len(doc.Policies) != 1 || len(doc.Unknown) != 2 {
		t.Errorf("document: %v, error %v", doc, err)
	}
}

func TestDuplicateKeys(t *testing.T) {
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, `"user%d":["g"],`, i)
	}
	for name, tc := range map[string]struct{ doc, want string }{
		"of the document":  {`{"policies":[],"policies":[]}`, `line 1, column 17: policies: duplicate key`},
		"unknown fields":   {`{"zz":1,"zz":2}`, `zz: duplicate key`},
		"within a number":  {`{"serviceConfig":{"a":"1","a":"2"}}`, `serviceConfig.a: duplicate key`},
		"the first of two": {`{"serviceId":1,"serviceName":"a","serviceName":"b","serviceId":2}`, `serviceName: duplicate key`},
		"among many":       {`{"serviceConfig":{` + many.String() + `"user30":"","user2":""}}`, `serviceConfig.user30: duplicate key`},
	} {
		_, err := ServicePolicies([]byte(tc.doc), "uc.json")
		if policy.CodeOf(err) != policy.CodeInvalid || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %s", name, err, tc.want)
		}
	}
	if _, err := UserStore([]byte(`{"userGroupMapping":{`+many.String()+`"u":[]}}`), "u.json"); err != nil {
		t.Errorf("many keys without a duplicate: %v", err)
	}
}

// A key that an object in a policy has twice is a fault of that policy; for a suite it is an error.
func TestDuplicateKeysInPolicies(t *testing.T) {
	for name, tc := range map[string]struct{ fields, field, place string }{
		"a field":        {onCat + ",\n  " + onCat, "resources", "line 2, column 4"},
		"free keys":      {`"resources":{"catalog":{"values":["a"]},"schema":{},"catalog":{"values":["b"]}}`, "resources.catalog", "line 1, "},
		"escaped":        {onCat + `,"resource\u0073":{}`, "resources", "line 1, "},
		"within options": {onCat + `,"options":{"x":[{"a":1,"a":2}]}`, "options.x[0].a", "line 1, "},
		"in an item":     {onCat + `,"denyPolicyItems":[{},{"users":["a"],"users":[]}]`, "denyPolicyItems[1].users", "line 1, "},
	} {
		doc, err := ServicePolicies([]byte(policyDoc(tc.fields)), "uc.json")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := doc.Policies[1].Faults
		if len(got) != 1 || got[0].Field != tc.field || !strings.HasPrefix(got[0].Reason, "duplicate key") || len(doc.Policies[0].Faults) > 0 {
			t.Errorf("%s: faults %v", name, got)
		}
		_, err = UnknownFields([]byte(policyDoc(tc.fields)), "uc.json", doc)
		if err == nil || !strings.Contains(err.Error(), tc.place) || !strings.Contains(err.Error(), `policy 7 "orders": `+tc.field+": duplicate key") {
			t.Errorf("%s: as a suite: %v", name, err)
		}
	}
}

// A value of the wrong kind is a fault of its policy, and all else of the document is read.
func TestWrongKindsInPolicies(t *testing.T) {
	for name, tc := range map[string]struct {
		fields string
		want   []string // the fields with faults
		users  string   // of policyItems, that are read
	}{
		"a user":               {onCat + `,"policyItems":[{"users":["ann",1,"bob"]}]`, []string{"policyItems[0].users[1]"}, "[ann  bob]"},
		"users":                {onCat + `,"policyItems":[{"users":"ann"},{"users":["bob"]}]`, []string{"policyItems[0].users"}, "[bob]"},
		"an item":              {onCat + `,"policyItems":["x",{"users":["bob"]}]`, []string{"policyItems[0]"}, "[bob]"},
		"items":                {onCat + `,"policyItems":{"users":["ann"]}`, []string{"policyItems"}, ""},
		"an access":            {onCat + `,"policyItems":[{"users":["ann"],"accesses":[{"type":"select"},{"type":1},"read"]}]`, []string{"policyItems[0].accesses[1].type", "policyItems[0].accesses[2]"}, "[ann]"},
		"resources":            {`"resources":"sales"`, []string{"resources"}, ""},
		"a resource":           {`"resources":{"catalog":"sales","schema":{"values":["a"]}}`, []string{"resources.catalog"}, ""},
		"values and a switch":  {`"isEnabled":"no","resources":{"catalog":{"values":"sales","isExcludes":"yes"}}`, []string{"isEnabled", "resources.catalog.isExcludes", "resources.catalog.values"}, ""},
		"a number too large":   {onCat + `,"policyPriority":1e400`, []string{"policyPriority"}, ""},
		"a mask":               {onCat + `,"dataMaskPolicyItems":[{"users":["a"],"dataMaskInfo":[]}]`, []string{"dataMaskPolicyItems[0].dataMaskInfo"}, ""},
		"a schedule":           {onCat + `,"validitySchedules":[{"endTime":5}]`, []string{"validitySchedules[0].endTime"}, ""},
		"with a misspelt name": {onCat + `,"Resources":{},"policyItems":[{"user":1,"users":2}]`, []string{"Resources", "policyItems[0].user", "policyItems[0].users"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			other := `{"id":1,"name":"other","policyItems":[{"users":["eve"]}]}`
			broken := `{"id":7,"name":"orders",` + tc.fields + `}`
			check := func(what string, policies []ranger.Policy) {
				t.Helper()
				if len(policies) != 2 || len(policies[0].Faults) > 0 || policies[0].PolicyItems[0].Users[0] != "eve" || policies[1].ID != 7 || policies[1].Name != "orders" {
					t.Fatalf("%s: %+v", what, policies)
				}
				var fields, users []string
				for _, f := range policies[1].Faults {
					fields = append(fields, f.Field)
				}
				for _, item := range policies[1].PolicyItems {
					if len(item.Users) > 0 {
						users = append(users, fmt.Sprint(item.Users))
					}
				}
				if !slices.Equal(fields, tc.want) || strings.Join(users, " ") != tc.users {
					t.Errorf("%s: faults %v, want %v; users %v, want %s", what, policies[1].Faults, tc.want, users, tc.users)
				}
			}
			doc, err := ServicePolicies([]byte(`{"policies":[`+other+`,`+broken+`],"policyVersion":3}`), "uc.json")
			if err != nil || doc.PolicyVersion != 3 {
				t.Fatalf("%v, %v", doc, err)
			}
			check("a download", doc.Policies)
			list, _, err := Policies([]byte(`[`+other+`,`+broken+`]`), "uc.json")
			if err != nil {
				t.Fatal(err)
			}
			check("a list", list)
			doc, err = ServicePolicies([]byte(`{"policyDeltas":[{"changeType":1,"policy":`+other+`}],"securityZones":{"z":{"policyDeltas":[{"changeType":0,"policy":`+broken+`}]}}}`), "uc.json")
			if err != nil {
				t.Fatal(err)
			}
			check("changes", []ranger.Policy{*doc.PolicyDeltas[0].Policy, *doc.SecurityZones["z"].PolicyDeltas[0].Policy})
			if strings.Contains(broken, `"resources"`) {
				one, _, err := Policies([]byte(broken), "uc.json")
				if err != nil {
					t.Fatal(err)
				}
				check("one policy", []ranger.Policy{*doc.PolicyDeltas[0].Policy, one[0]})
			}
		})
	}
	for _, doc := range []string{`{"policies":["isEnabled"]}`, `{"policyDeltas":[{"policy":1}]}`, `{"policies":{}}`, `{"serviceName":5,"policies":[{"id":"x"}]}`} {
		if _, err := ServicePolicies([]byte(doc), "uc.json"); policy.CodeOf(err) != policy.CodeInvalid {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

func TestOtherDocumentsCarryTheirUnknownFields(t *testing.T) {
	roles, err := Roles([]byte(`{"metaDataInfo":{"Host name":"r"},"startIndex":0,"roles":[{"id":4,"isEnabled":true,"name":"steward","options":{},"createdByUser":"a",
		"users":[{"name":"ana","isAdmin":false,"admin":true}],"roles":[]}],"role":[]}`), "roles.json")
	if err != nil || len(roles.RangerRoles) != 1 || roles.RangerRoles[0].Name != "steward" || len(roles.RangerRoles[0].Users) != 1 {
		t.Fatalf("role export: %+v, error %v", roles, err)
	}
	if got := pathsOf(roles.Unknown); !slices.Equal(got, []string{"roles[0].users[0].admin", "role"}) {
		t.Errorf("role export: unknown %v", got)
	}
	list, err := Roles([]byte(`[{"name":"a","user":[]}]`), "roles.json")
	if err != nil || !slices.Equal(pathsOf(list.Unknown), []string{"[0].user"}) {
		t.Errorf("list of roles: %+v, error %v", list, err)
	}
	users, err := UserStore([]byte(`{"userStoreUpdateTime":1,"userGroupMapping":{"any name":["g"]},"userAttrMapping":{"u":{"k":"v"}},"userGroups":{}}`), "u.json")
	if err != nil || !slices.Equal(pathsOf(users.Unknown), []string{"userGroups"}) {
		t.Errorf("user store: %+v, error %v", users, err)
	}
	tags, err := Tags([]byte(`{"isTagsDeduped":true,"tags":{"1":{"type":"PII","attributes":{"a":"b"},"attribute":{}}},"serviceResources":[{"ownerUser":"a","element":{}}]}`), "t.json")
	if err != nil || !slices.Equal(pathsOf(tags.Unknown), []string{"tags.1.attribute", "serviceResources[0].element"}) {
		t.Errorf("tags: %+v, error %v", tags, err)
	}
	def, err := ServiceDef([]byte(`{"name":"x","resources":[{"name":"a","parents":"b"}],"accessTypes":[{"name":"r","implied":["w"]}]}`), "d.json")
	if err != nil || !slices.Equal(pathsOf(def.Unknown), []string{"resources[0].parents", "accessTypes[0].implied"}) {
		t.Errorf("service definition: %+v, error %v", def, err)
	}
}

func pathsOf(unknown []ranger.UnknownField) (paths []string) {
	for _, u := range unknown {
		paths = append(paths, u.Path)
	}
	return paths
}

func TestClassify(t *testing.T) {
	for doc, want := range map[string]DocumentKind{
		`{"policies":[]}`: DocumentPolicies, `{"securityZones":{}}`: DocumentPolicies, "\ufeff {\"policies\":[]}": DocumentPolicies,
		`{"policies":null,"resources":{"catalog":{}}}`: DocumentPolicy, `{"denyPolicyItems":[]}`: DocumentPolicy, `[{"id":1,"isEnabled":true}]`: DocumentPolicyList,
		// What nearly is one is one, and what is of other programs is not.
		`{"resources":{"katalog":{}}}`: DocumentPolicy, `{"resources":["sales"],"denyPolicyItem":[]}`: DocumentPolicy, `{"resources":[],"denyItems":[]}`: DocumentPolicy,
		`{"name":"x","resources":{"database":{}},"policyType":0}`: DocumentPolicy, `[{"resources":{"table":{}}}]`: DocumentPolicyList, `[]`: DocumentPolicyList, `[1]`: DocumentPolicyList,
		`{"resources":["deployment.yaml"],"configMapGenerator":[{"name":"policies","files":["p.json"]}]}`: DocumentUnknown,
		`{"apiVersion":"kustomize.config.k8s.io/v1beta1","kind":"Kustomization","resources":["a.yaml"]}`:  DocumentUnknown,
		`{"version":4,"resources":[],"outputs":{}}`:                                                       DocumentUnknown, `{"bundle":{"name":"x"},"resources":{"jobs":{"j":{"name":"x"}}}}`: DocumentUnknown,
		`{"replicas":1,"resources":{"limits":{"cpu":1}}}`: DocumentUnknown, `{"resources":{"repositories":[{"repository":"x"}]}}`: DocumentUnknown,
		`[{"name":"setup","hosts":"all","roles":["common"]}]`: DocumentUnknown, `[{"name":"r","users":[{"name":"ann"}]},{"name":"s","groups":[]}]`: DocumentRoles,
		`{"rangerRoles":[]}`: DocumentRoles, `{"metaDataInfo":{},"roles":[]}`: DocumentRoles, `{"name":"a","roles":[]}`: DocumentUnknown,
		`{"userGroupMapping":{}}`: DocumentUsers, `{"serviceResources":[]}`: DocumentTags, `{"resources":[],"accessTypes":[]}`: DocumentServiceDef,
		`{"tests":[],"policies":[]}`: DocumentSuite, `{"testCases":[]}`: DocumentSuite, `{"policyDeltas":[]}`: DocumentDeltas,
		`{"Policies":[]}`: DocumentUnknown, `{"a":{"policies":[]}}`: DocumentUnknown, ``: DocumentUnknown, `1`: DocumentUnknown, `[`: DocumentUnknown, `{"policies":[]`: DocumentUnknown,
	} {
		if got := Classify([]byte(doc)); got != want {
			t.Errorf("%s: %q, want %q", doc, got, want)
		}
	}
}

func TestUnrecognisedDocumentHint(t *testing.T) {
	_, _, err := Policies([]byte(`{"polices":[]}`), "f.json")
	if err == nil || !strings.Contains(err.Error(), `did you mean policies where it says "polices"?`) {
		t.Errorf("error %v", err)
	}
}
