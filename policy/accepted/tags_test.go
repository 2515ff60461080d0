package accepted_test

import (
	"fmt"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/lint"
	"ucwarden/policy/parse"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
	"ucwarden/policy/verify"
)

// tagged is a snapshot with a tag policy that has a list of items, and tags.
func tagged(t *testing.T, list string, tags *ranger.ServiceTags) *ranger.Snapshot {
	t.Helper()
	own := ranger.DefaultServiceDef().Name
	policies, err := parse.ServicePolicies([]byte(`{"policies":[],"tagPolicies":{"serviceName":"t","policies":[{"id":1,"resources":{"tag":{"values":["PII"]}},"`+list+`":[{"groups":["g"],"accesses":[{"type":"`+own+`:select"}]}]}]}}`), "f.json")
	if err != nil {
		t.Fatal(err)
	}
	if list == "" {
		policies.TagPolicies = nil
	}
	return ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: policies, Tags: tags})
}

// Tags that nothing can carry are found, by their place: wider where a policy on tags denies something.
func TestTagProblems(t *testing.T) {
	element := func(name string, values ...string) map[string]ranger.PolicyResource {
		return map[string]ranger.PolicyResource{name: {Values: values}}
	}
	tags := &ranger.ServiceTags{
		Tags: map[string]ranger.Tag{"1": {ID: 1, Type: "PII"}, "2": {ID: 2}},
		ServiceResources: []ranger.ServiceResource{
			{ID: 1, ResourceElements: element("catalog", "a", `["b"]`, "c.d", "")}, {ID: 2, ResourceElements: element("katalog", "a,b")}, {ID: 3, ResourceElements: element("schema", "a")},
			{ID: 4, ResourceElements: map[string]ranger.PolicyResource{"catalog": {Values: []string{"a"}}, "schema": {Values: []string{"s"}}}},
		},
		ResourceToTagIDs: map[string][]int64{"1": {1, 9}, "4": {1}, "7": {1}},
	}
	for list, effect := range map[string]policy.Effect{"policyItems": policy.EffectNarrower, "denyPolicyItems": policy.EffectWider} {
		s := tagged(t, list, tags)
		rs, err := rules.New(s, rules.Options{})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"tags.2.type: it is empty", `serviceResources[0].resourceElements.catalog.values[1]: "[\"b\"]" is hardly the name of an object: it is a list`, `serviceResources[0].resourceElements.catalog.values[2]: "c.d" can match no object`,
			`serviceResources[0].resourceElements.catalog.values[3]: "" can match no object: it is empty`, "serviceResources[1].resourceElements: it is no path", "serviceResources[2].resourceElements: it is no path",
			"resourceToTagIds.1[1]: there is no tag 9", `resourceToTagIds.7: there is no resource "7"`,
		}
		found := accepted.Findings(rs, nil)
		if len(found) != len(want) {
			t.Fatalf("found %+v, want %d", found, len(want))
		}
		for i, f := range found {
			if f.Effect != effect || !strings.HasPrefix(f.Message, "tags: "+want[i]) {
				t.Errorf("%d: %s %s, want %s %s", i, f.Effect, f.Message, effect, want[i])
			}
		}
		n := 0
		for _, f := range lint.Run(s, lint.Options{}).Findings {
			if f.Severity == lint.SeverityError && f.Check == lint.CheckNoMatch && strings.HasPrefix(f.Field, "tags: ") {
				n++
			}
		}
		if n != len(want) {
			t.Errorf("lint says %d of %d", n, len(want))
		}
	}
	if rs, err := rules.New(tagged(t, "", tags), rules.Options{}); err != nil || len(accepted.Findings(rs, nil)) > 0 {
		t.Errorf("without policies on tags: %v, error %v", accepted.Findings(rs, nil), err)
	}
	many := &ranger.ServiceTags{ResourceToTagIDs: make(map[string][]int64)}
	for i := range 150 {
		many.ResourceToTagIDs[fmt.Sprint(i)] = []int64{1}
	}
	rs, err := rules.New(tagged(t, "policyItems", many), rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if list := accepted.TagProblems(rs); len(list) != 100 || !strings.HasSuffix(list[99].Message, "(and 50 more in the tags)") {
		t.Errorf("%d problems, the last is %+v", len(list), list[len(list)-1])
	}
}

// What tags and tag policies say in vain is said: mappings without a tag, resources that exclude everything, items about nothing,
// access types that imply nothing by the tag service's own definition, wildcards that are none, options that are neither true nor false.
func TestTagsInVain(t *testing.T) {
	own := ranger.DefaultServiceDef().Name + ":"
	fine := ranger.ServiceTags{Tags: map[string]ranger.Tag{"1": {Type: "PII"}}, ResourceToTagIDs: map[string][]int64{"1": {1}},
		ServiceResources: []ranger.ServiceResource{{ID: 1, ResourceElements: map[string]ranger.PolicyResource{"catalog": {Values: []string{"a"}}}}}}
	def := func(options ranger.OptionMap, accesses ...ranger.AccessTypeDef) *ranger.ServiceDef {
		return &ranger.ServiceDef{Name: "tag", Resources: []ranger.ResourceDef{{Name: "tag", MatcherOptions: options}}, AccessTypes: accesses}
	}
	type world struct {
		tags   ranger.ServiceTags
		def    *ranger.ServiceDef
		policy ranger.Policy
	}
	for name, tc := range map[string]struct {
		change func(*world)
		want   string
	}{
		"nothing":    {func(w *world) {}, ""},
		"no mapping": {func(w *world) { w.tags.ResourceToTagIDs = nil }, "tags: resourceToTagIds: it gives no resource a tag"},
		"of nothing": {func(w *world) { w.tags.ResourceToTagIDs = map[string][]int64{"1": {}} }, "tags: resourceToTagIds: it gives no resource a tag"},
		"all excluded": {func(w *world) {
			w.tags.ServiceResources = []ranger.ServiceResource{{ID: 1, ResourceElements: map[string]ranger.PolicyResource{"catalog": {Values: []string{"*"}, IsExcludes: true}}}}
		}, "tags: serviceResources[0].resourceElements.catalog: it excludes"},
		"no access":    {func(w *world) { w.policy.DenyPolicyItems[0].Accesses = nil }, "denyPolicyItems[0].accesses: it names no access"},
		"switched off": {func(w *world) { w.policy.DenyPolicyItems[0].Accesses[0].IsAllowed = new(bool) }, "denyPolicyItems[0].accesses: every access is switched off"},
		"implies nothing": {func(w *world) {
			w.def = def(nil, ranger.AccessTypeDef{Name: own + "all_privileges"})
			w.policy.DenyPolicyItems[0].Accesses[0].Type = own + "all_privileges"
		}, "by the tag service's definition \"" + own + "all_privileges\" implies nothing"},
		"implies something": {func(w *world) {
			w.def = def(nil, ranger.AccessTypeDef{Name: own + "all_privileges", ImpliedGrants: []string{own + "select"}}, ranger.AccessTypeDef{Name: own + "select"})
			w.policy.DenyPolicyItems[0].Accesses[0].Type = own + "all_privileges"
		}, ""},
		"no wildcards": {func(w *world) {
			w.def = def(ranger.OptionMap{"wildCard": "false"}, ranger.AccessTypeDef{Name: own + "select"})
			w.policy.Resources["tag"] = ranger.PolicyResource{Values: []string{"P*"}}
		}, "wildcards stand for themselves"},
		"an odd option": {func(w *world) {
			w.def = def(ranger.OptionMap{"wildCard": "no"}, ranger.AccessTypeDef{Name: own + "select"})
		}, "definition of the tag service: resource \"tag\": matcherOptions.wildCard"},
	} {
		w := world{tags: fine, policy: ranger.Policy{ID: 9, Resources: map[string]ranger.PolicyResource{"tag": {Values: []string{"PII"}}},
			DenyPolicyItems: []ranger.PolicyItem{{Groups: []string{"g"}, Accesses: []ranger.ItemAccess{{Type: own + "select"}}}}}}
		tc.change(&w)
		s := ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: &ranger.ServicePolicies{TagPolicies: &ranger.TagPolicies{ServiceDef: w.def, Policies: []ranger.Policy{w.policy}}}, Tags: &w.tags})
		set, err := rules.New(s, rules.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var wider []string
		for _, f := range accepted.Findings(set, nil) {
			if f.Effect == policy.EffectWider {
				wider = append(wider, f.Message)
			}
		}
		if len(wider) > 1 || (len(wider) == 1) != (tc.want != "") || tc.want != "" && !strings.Contains(wider[0], tc.want) {
			t.Errorf("%s: wider by %q, want %q", name, wider, tc.want)
		}
	}
}

// A policy on a tag that nothing carries is said: wider where it takes something away and a tag that is carried may be meant, else a note.
func TestTagsThatNothingCarries(t *testing.T) {
	for value, want := range map[string]policy.Effect{
		"PPI": policy.EffectWider, "PIL": policy.EffectWider, "PII_": policy.EffectWider, "P11": policy.EffectWider, "PII DATA": policy.EffectWider, "DEPT.PII": policy.EffectWider,
		"PII:high": policy.EffectWider, "PIIx*": policy.EffectWider, "SENSITIVE": policy.EffectNone, "SECRET*": policy.EffectNone, "HR": policy.EffectNone, "KNOWN": policy.EffectNone, "BARE": policy.EffectNone, "PII": "", "P*": "", "*": "",
	} {
		tags := &ranger.ServiceTags{
			Tags: map[string]ranger.Tag{"1": {ID: 1, Type: "PII"}, "2": {ID: 2, Type: "BARE"}}, TagDefinitions: map[string]ranger.TagDefinition{"3": {Name: "KNOWN"}}, ResourceToTagIDs: map[string][]int64{"1": {1}},
			ServiceResources: []ranger.ServiceResource{{ID: 1, ResourceElements: policytest.Resources("catalog=a")}},
		}
		for list, restricts := range map[string]bool{"denyPolicyItems": true, "policyItems": false} {
			s := tagged(t, list, tags)
			s.TagPolicies.Policies[0].Resources = map[string]ranger.PolicyResource{"tag": {Values: []string{value}}}
			want := want
			if want == policy.EffectWider && !restricts {
				want = policy.EffectNarrower
			}
			found := accepted.Findings(policytest.Rules(s, rules.NameMapping{}), nil)
			if len(found) > 1 || (len(found) == 0) != (want == "") || want != "" && found[0].Effect != want {
				t.Errorf("%s, %s: %v, want %q", value, list, found, want)
			}
		}
	}
}

// What tag policies say of access that nothing with their tags has, and masks and filters that mask and filter nothing, is wider.
func TestTagPoliciesThatDoNothing(t *testing.T) {
	own := ranger.DefaultServiceDef().Name + ":"
	for _, tc := range []struct{ carrier, list, access, mask, want string }{
		{"catalog=c schema=s table=t", "denyPolicyItems", "select", "", ""},
		{"catalog=c schema=s table=t", "denyPolicyItems", "read_files", "", "Unity Catalog has no READ_FILES on what carries its tags"},
		{"catalog=c schema=s table=t", "denyPolicyItems", "access", "", "Unity Catalog has no ACCESS on what carries its tags"},
		{"catalog=c schema=s table=t", "denyPolicyItems", "use_catalog", "", "Unity Catalog has no USE_CATALOG on what carries its tags"},
		{"catalog=c", "denyPolicyItems", "use_catalog", "", ""},
		{"external_location=l", "denyPolicyItems", "read_files", "", ""},
		{"catalog=c schema=s table=t", "dataMaskPolicyItems", "select", own + "MASK", ""},
		{"catalog=c schema=s table=t", "dataMaskPolicyItems", "modify", own + "MASK", "it is about modify"},
		{"catalog=c schema=s table=t", "dataMaskPolicyItems", "hive:select", own + "MASK", "they are of other services"},
		{"catalog=c schema=s table=t", "dataMaskPolicyItems", "select", "hive:MASK", "is a mask of another service"},
		{"catalog=c schema=s table=t", "dataMaskPolicyItems", "hive:select", "hive:MASK", ""},
		{"catalog=c schema=s table=t", "rowFilterPolicyItems", "select", "", ""},
		{"catalog=c schema=s table=t", "rowFilterPolicyItems", "modify", "", "it is about modify"},
		{"catalog=c schema=s table=t column=x", "rowFilterPolicyItems", "select", "", "its tags are on columns only"},
	} {
		access := tc.access
		if !strings.Contains(access, ":") {
			access = own + access
		}
		tags := &ranger.ServiceTags{Tags: map[string]ranger.Tag{"1": {ID: 1, Type: "PII"}}, ResourceToTagIDs: map[string][]int64{"1": {1}},
			ServiceResources: []ranger.ServiceResource{{ID: 1, ResourceElements: policytest.Resources(tc.carrier)}}}
		item := ranger.PolicyItem{Groups: []string{"g"}, Accesses: []ranger.ItemAccess{{Type: access}}}
		p := ranger.Policy{ID: 1, Resources: policytest.Resources("tag=PII")}
		switch tc.list {
		case "denyPolicyItems":
			p.DenyPolicyItems = []ranger.PolicyItem{item}
		case "dataMaskPolicyItems":
			p.PolicyType, p.DataMaskPolicyItems = ranger.PolicyTypeDataMask, []ranger.DataMaskPolicyItem{{PolicyItem: item, DataMaskInfo: ranger.DataMaskInfo{DataMaskType: tc.mask}}}
		case "rowFilterPolicyItems":
			p.PolicyType, p.RowFilterPolicyItems = ranger.PolicyTypeRowFilter, []ranger.RowFilterPolicyItem{{PolicyItem: item, RowFilterInfo: ranger.RowFilterInfo{FilterExpr: "a = 1"}}}
		}
		s := ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: &ranger.ServicePolicies{TagPolicies: &ranger.TagPolicies{Policies: []ranger.Policy{p}}}, Tags: tags})
		var wider []string
		for _, f := range accepted.Findings(policytest.Rules(s, rules.NameMapping{}), nil) {
			if f.Effect == policy.EffectWider {
				wider = append(wider, f.Message)
			}
		}
		if got := strings.Join(wider, "; "); (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%+v: %q", tc, got)
		}
	}
}

// What a document of tags and policies on tags hold of other services is no mistake, and reaches nothing here.
func TestTagsOfOtherServices(t *testing.T) {
	own := ranger.DefaultServiceDef().Name + ":"
	resource := func(id int64, service string) ranger.ServiceResource {
		return ranger.ServiceResource{ID: id, ServiceName: service, ResourceElements: policytest.Resources("catalog=c schema=s table=t")}
	}
	for name, tc := range map[string]struct {
		resources []ranger.ServiceResource
		other     string
		carriers  int
		faults    int
		doubtful  bool
	}{
		"Trino's beside ours":   {[]ranger.ServiceResource{resource(1, "uc_prod"), resource(2, "cl1_trino")}, "starrocks:select", 1, 0, false},
		"another's beside ours": {[]ranger.ServiceResource{resource(1, "uc_prod"), resource(2, "lake")}, "starrocks:select", 1, 0, true},
		"Trino's alone":         {[]ranger.ServiceResource{resource(1, "cl1_trino"), resource(2, "cl1_trino")}, "dremio:select", 2, 2, false}, // ours may be misnamed
		"ours misspelt":         {[]ranger.ServiceResource{resource(1, "uc_prod"), resource(2, "uc_prdo")}, "snowflake:select", 2, 1, false},
	} {
		s := ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: &ranger.ServicePolicies{ServiceName: "uc_prod", TagPolicies: &ranger.TagPolicies{Policies: []ranger.Policy{{
			ID: 1, Resources: policytest.Resources("tag=PII"), DenyPolicyItems: []ranger.PolicyItem{
				{Groups: []string{"g"}, Accesses: []ranger.ItemAccess{{Type: own + "select"}}}, {Users: []string{"null", "a;b"}, Accesses: []ranger.ItemAccess{{Type: tc.other}, {Type: "impala:select"}}},
			}}}}}, Tags: &ranger.ServiceTags{Tags: map[string]ranger.Tag{"1": {ID: 1, Type: "PII"}}, ResourceToTagIDs: map[string][]int64{"1": {1}, "2": {1}}, ServiceResources: tc.resources}})
		s = verify.Snapshot(s)
		set := policytest.Rules(s, rules.NameMapping{})
		n := 0
		for range set.Tagged.Carriers {
			n++
		}
		var said []string
		for _, f := range accepted.Findings(set, nil) {
			if f.Effect != policy.EffectNone {
				said = append(said, f.Message)
			}
		}
		want := tc.faults
		if tc.doubtful {
			want++
		}
		if n != tc.carriers || len(s.Tags.Faults) != tc.faults || len(said) != want {
			t.Errorf("%s: %d carriers, %d faults, said %q; want %d, %d", name, n, len(s.Tags.Faults), said, tc.carriers, tc.faults)
		}
	}
}

// Of many tags that nothing carries the last one noted says how many more there are, and what is said for other services alone is not noted.
func TestManyTagsThatNothingCarries(t *testing.T) {
	tags := &ranger.ServiceTags{Tags: map[string]ranger.Tag{"1": {ID: 1, Type: "PII"}}, ResourceToTagIDs: map[string][]int64{"1": {1}},
		ServiceResources: []ranger.ServiceResource{{ID: 1, ResourceElements: policytest.Resources("catalog=a")}}}
	for access, want := range map[string]int{"select": 20, "hive:select": 0} {
		s := tagged(t, "denyPolicyItems", tags)
		one := s.TagPolicies.Policies[0]
		s.TagPolicies.Policies = nil
		for i := range 50 {
			p := one
			p.ID, p.Resources = int64(i), policytest.Resources(fmt.Sprintf("tag=OTHER_%d", i))
			p.DenyPolicyItems = []ranger.PolicyItem{{Groups: []string{"g"}, Accesses: []ranger.ItemAccess{{Type: access}}}}
			s.TagPolicies.Policies = append(s.TagPolicies.Policies, p)
		}
		found := accepted.Findings(policytest.Rules(s, rules.NameMapping{}), nil)
		if len(found) != want || want > 0 && !strings.HasSuffix(found[want-1].Message, "(and 30 more tags of policies)") {
			t.Errorf("%s: %d findings: %v", access, len(found), found)
		}
	}
}
