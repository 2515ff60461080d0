package accepted_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/match"
	"ucwarden/policy/parse"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// definitionProblems lists what is said of the built-in definition once it is edited.
func definitionProblems(edit func(*ranger.ServiceDef)) string {
	def := *ranger.DefaultServiceDef()
	def.Resources, def.AccessTypes = slices.Clone(def.Resources), slices.Clone(def.AccessTypes)
	edit(&def)
	var found []string
	for _, p := range accepted.DefinitionProblems(&def) {
		found = append(found, string(p.Effect)+" "+p.Field+": "+p.Message)
	}
	return strings.Join(found, "; ")
}

// What access types and markers of a definition imply otherwise than it seems is said.
func TestImpliedOtherwise(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(*ranger.ServiceDef)
		want []string
	}{
		"by way of others": {func(d *ranger.ServiceDef) { implies(d, "modify", "manage"); implies(d, "manage", "select") },
			[]string{`narrower access type "modify": impliedGrants: it implies select by way of others only`}},
		"an empty list": {func(d *ranger.ServiceDef) { implies(d, "all_privileges") }, []string{`wider access type "all_privileges": impliedGrants: it does not imply `}},
		"one is missing": {func(d *ranger.ServiceDef) {
			for i := range d.AccessTypes {
				if a := &d.AccessTypes[i]; a.Name == "all_privileges" {
					a.ImpliedGrants = slices.DeleteFunc(slices.Clone(a.ImpliedGrants), func(name string) bool { return name == "select" })
				}
			}
		}, []string{`wider access type "all_privileges": impliedGrants: it does not imply select, which`}},
		"markers": {func(d *ranger.ServiceDef) {
			d.AccessTypes[0].Category = "READ"
			d.MarkerAccessTypes = []ranger.AccessTypeDef{{Name: "_READ", ImpliedGrants: []string{"selct"}}, {Name: "_REED"}}
		}, []string{`wider marker access type "_READ": impliedGrants[0]: there is no access type "selct"`, `narrower marker access type "_READ": it does not imply`, `none marker access type "_REED": Ranger has no such marker`}},
		"switched off": {func(d *ranger.ServiceDef) { d.IsEnabled = new(bool) }, []string{"wider isEnabled: a service definition cannot be switched off"}},
		"no matching":  {func(d *ranger.ServiceDef) { d.Resources[1].MatcherOptions = ranger.OptionMap{"wildCard": ""} }, []string{`matcherOptions.wildCard: "" is neither true nor false, and counts as false`}},
	} {
		got := definitionProblems(tc.edit)
		for _, want := range tc.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
}

// implies sets what an access type of a definition implies.
func implies(d *ranger.ServiceDef, name string, implied ...string) {
	for i := range d.AccessTypes {
		if d.AccessTypes[i].Name == name {
			d.AccessTypes[i].ImpliedGrants = implied
		}
	}
}

// Names in policies are checked by the options of the definition that they are compared by, of which masks have their own, on
// resources and on tags.
func TestNamesOfMasksAreCheckedAsTheyAreCompared(t *testing.T) {
	own := *ranger.DefaultServiceDef()
	for options, wants := range map[string]map[string]string{
		`{}`:                     {"column=ssn*": "", "column=ssn table=Orders": "", "tag=T": "", "tag=t": ""},
		`{"wildCard":"false"}`:   {"column=ssn*": "wildcards stand for themselves", "column=ssn": "", "tag=T*": "wildcards stand for themselves", "tag=T": ""},
		`{"ignoreCase":"false"}`: {"column=ssn table=Orders": "compared with their case", "tag=t": `there is "T"`, "tag=T": ""},
	} {
		var matching ranger.OptionMap
		if err := json.Unmarshal([]byte(options), &matching); err != nil {
			t.Fatal(err)
		}
		for resources, want := range wants {
			def := own
			masks := *own.DataMaskDef
			masks.Resources = slices.Clone(masks.Resources)
			for i := range masks.Resources {
				masks.Resources[i].MatcherOptions = matching
			}
			def.DataMaskDef = &masks
			p := ranger.Policy{ID: 1, PolicyType: ranger.PolicyTypeDataMask, Resources: policytest.Resources("catalog=c schema=s table=t " + resources), DataMaskPolicyItems: []ranger.DataMaskPolicyItem{
				{PolicyItem: ranger.PolicyItem{Groups: []string{"g"}, Accesses: []ranger.ItemAccess{{Type: "select"}}}, DataMaskInfo: ranger.DataMaskInfo{DataMaskType: "MASK"}}}}
			s := &ranger.Snapshot{ServiceDef: &def, Policies: []ranger.Policy{p}}
			if strings.HasPrefix(resources, "tag=") {
				p.Resources = policytest.Resources(resources)
				s.Policies = nil
				s.TagPolicies = &ranger.TagPolicies{Policies: []ranger.Policy{p}, ServiceDef: &ranger.ServiceDef{Name: "tag", Resources: []ranger.ResourceDef{{Name: "tag"}},
					AccessTypes: []ranger.AccessTypeDef{{Name: own.Name + ":select"}}, DataMaskDef: &ranger.DataMaskDef{Resources: []ranger.ResourceDef{{Name: "tag", MatcherOptions: matching}}}}}
				s.Tags = &ranger.ServiceTags{Tags: map[string]ranger.Tag{"1": {ID: 1, Type: "T"}}, ResourceToTagIDs: map[string][]int64{"1": {1}},
					ServiceResources: []ranger.ServiceResource{{ID: 1, ResourceElements: policytest.Resources("catalog=c schema=s table=t column=ssn")}}}
			}
			var wider []string
			set := policytest.Rules(s, rules.NameMapping{})
			for _, f := range accepted.Findings(set, nil) {
				if f.Effect == policy.EffectWider {
					wider = append(wider, f.Message)
				}
			}
			if got := strings.Join(wider, "; "); (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%s %s: %q, want %q", options, resources, got, want)
			}
			// Said, and only then, where the mask reaches nothing.
			asked := match.Resource{{Name: "catalog", Value: "c"}, {Name: "schema", Value: "s"}, {Name: "table", Value: "t"}, {Name: "column", Value: "ssn"}}
			if strings.Contains(resources, "Orders") {
				asked[2].Value = "orders"
			}
			if masked := evaluate.New(set).EvaluateDataMask(evaluate.Request{Resource: asked, AccessType: "select", User: "u", Groups: []string{"g"}}).Allowed(); masked != (want == "") {
				t.Errorf("%s %s: masked %t, and said %q", options, resources, masked, want)
			}
		}
	}
}

// What is implied by way of others is denied, and not allowed: Ranger may take the second step or not.
func TestImpliedByWayOfOthers(t *testing.T) {
	def := *ranger.DefaultServiceDef()
	def.AccessTypes = slices.Clone(def.AccessTypes)
	implies(&def, "modify", "manage")
	implies(&def, "manage", "select")
	def.MarkerAccessTypes = []ranger.AccessTypeDef{{Name: "_ALL"}}
	for access, denied := range map[string]string{"modify": "manage modify select", "manage": "manage select", "select": "select", "_ALL": "manage modify select"} {
		item := []ranger.PolicyItem{{Groups: []string{"g"}, Accesses: []ranger.ItemAccess{{Type: access}}}}
		all := []ranger.PolicyItem{{Groups: []string{"g"}, Accesses: []ranger.ItemAccess{{Type: "modify"}, {Type: "manage"}, {Type: "select"}}}}
		of := func(p ranger.Policy) (list []string) {
			p.Resources = policytest.Resources("catalog=c schema=s table=t")
			e := evaluate.New(policytest.Rules(&ranger.Snapshot{ServiceDef: &def, Policies: []ranger.Policy{p}}, rules.NameMapping{}))
			for _, x := range []string{"manage", "modify", "select"} {
				if e.Evaluate(evaluate.Request{Resource: policytest.Asked("catalog=c schema=s table=t"), AccessType: x, User: "u", Groups: []string{"g"}}).Allowed() {
					list = append(list, x)
				}
			}
			return list
		}
		if got := of(ranger.Policy{PolicyItems: item}); slices.Contains(got, "select") && access == "modify" || access == "_ALL" && len(got) > 0 {
			t.Errorf("%s allows %v", access, got)
		}
		if got := of(ranger.Policy{PolicyItems: all, DenyPolicyItems: item}); len(got)+len(strings.Fields(denied)) != 3 {
			t.Errorf("with %s denied, %v is allowed; want %s denied", access, got, denied)
		}
	}
}

// An entry that is no policy may have been to deny.
func TestNoPolicies(t *testing.T) {
	for entry, reason := range map[string]string{"null": "it is null", `"x"`: "a JSON string does not fit here", "5": "a JSON number does not fit here", "true": "a JSON bool does not fit here"} {
		found := findingsOf(t, `{"policies":[`+entry+`]}`)
		if len(found) != 1 || found[0].Effect != policy.EffectWider || !strings.Contains(found[0].Message, reason) {
			t.Errorf("%s: %+v", entry, found)
		}
	}
}

// A field named file is told by its name, and not by that of the policy's file.
func TestFieldNamedFile(t *testing.T) {
	fault := ranger.Fault{Field: "file", Unknown: true, Reason: "it is not a field of Ranger's model"}
	policies := &ranger.ServicePolicies{Policies: []ranger.Policy{{ID: 2, Origin: "p.json", Faults: []ranger.Fault{fault}}}}
	rs, err := rules.New(ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: policies}), rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if found := accepted.Findings(rs, nil); len(found) == 0 || !strings.HasPrefix(found[0].Message, "file cannot be understood") {
		t.Errorf("%v", found)
	}
}

// A field with the name that faults of entries have is one that nobody knows, and may restrict.
func TestFieldNamedEntry(t *testing.T) {
	resources := map[string]ranger.PolicyResource{"catalog": {Values: []string{"a"}}}
	for _, fault := range []ranger.Fault{
		{Field: ranger.EntryField, Unknown: true, Reason: "it is not a field of Ranger's model"},
		{Field: ranger.EntryField, Reason: ranger.DuplicateKey},
	} {
		policies := &ranger.ServicePolicies{Policies: []ranger.Policy{{ID: 2, Resources: resources, Faults: []ranger.Fault{fault}}}}
		rs, err := rules.New(ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: policies}), rules.Options{})
		if err != nil {
			t.Fatal(err)
		}
		found := accepted.Findings(rs, nil)
		if len(found) == 0 || !strings.Contains(found[0].Message, "everybody is denied what it is about") {
			t.Errorf("%v: %v", fault, found)
		}
	}
}

// A deny for a name that is nearly one of the user store, or of the roles, does not reach whom it may be meant for.
func TestDeniesForNearlyKnownNames(t *testing.T) {
	for who, want := range map[string]string{
		`"users":["ann"]`: `has no user "ann", but "ann@example.com"`, `"users":["ANN@example.com"]`: "", `"users":["zoe"]`: "", `"users":["CORP\\\\ann"]`: `but "ann@example.com"`, `"users":["{USER}"]`: "",
		`"groups":["hr"]`: `has no group "hr", but "HR"`, `"groups":["HR"]`: "", `"groups":["hr","HR"]`: "", `"groups":["ops"]`: `has no group "ops", but "ops "`, `"groups":["public"]`: "", `"groups":["far"]`: "",
		`"roles":["Boss"]`: `the list of roles has no role "Boss", but "boss"`, `"roles":["boss"]`: "",
	} {
		for list, restricts := range map[string]bool{"denyPolicyItems": true, "policyItems": false} {
			doc, err := parse.ServicePolicies([]byte(`{"policies":[{"id":1,"resources":{"catalog":{"values":["c"]}},"`+list+`":[{`+who+`,"accesses":[{"type":"select"}]}]}]}`), "f.json")
			if err != nil {
				t.Fatal(err)
			}
			s := ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: doc, Users: &ranger.UserStore{UserGroupMapping: map[string][]string{"ann@example.com": {"HR", "ops "}}},
				Roles: &ranger.ServiceRoles{RangerRoles: []ranger.Role{{Name: "boss", Groups: []ranger.RoleMember{{Name: "HR"}}}}}})
			got := ""
			for _, r := range accepted.Remarks(policytest.Rules(s, rules.NameMapping{})) {
				if r.Effect == policy.EffectWider {
					got += r.Message
				}
			}
			if !restricts && got != "" || restricts && (got == "") != (want == "") || restricts && !strings.Contains(got, want) {
				t.Errorf("%s in %s: %q, want %q", who, list, got, want)
			}
		}
	}
}
