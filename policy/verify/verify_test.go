package verify_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/parse"
	"ucwarden/policy/policytest"
	"ucwarden/policy/policytest/shareddata"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
	"ucwarden/policy/suite"
	"ucwarden/policy/verify"
)

const (
	oneItem = `"policyItems":[{"accesses":[{"type":"select"}],"users":["ann"]}]`
	onCat   = `"resources":{"catalog":{"values":["sales"]}}`
)

func policyDoc(fields string) string {
	return `{"serviceName":"uc","policies":[{"id":6,"name":"other",` + onCat + `},{"id":7,"name":"orders",` + fields + `}]}`
}

func snapshotOf(doc string) (*ranger.Snapshot, error) {
	p, err := parse.ServicePolicies([]byte(doc), "uc.json")
	if err != nil {
		return nil, err
	}
	s, err := ranger.NewSnapshot(ranger.SnapshotInput{Policies: p})
	if err != nil {
		return nil, err
	}
	for err := range verify.Zones(s) {
		return nil, err
	}
	return verify.Snapshot(s), nil
}

// faultsOf writes the faults of all policies.
func faultsOf(s *ranger.Snapshot) (texts []string) {
	for p, f := range s.Faults {
		texts = append(texts, fmt.Sprintf("policy %d %q: %s", p.ID, p.Name, f))
	}
	return texts
}

func TestSnapshotNamesTheFault(t *testing.T) {
	for name, tc := range map[string]struct {
		doc, want string
	}{
		"unknown access type": {
			policyDoc(onCat + `,"policyItems":[{"accesses":[{"type":"select"}]},{"accesses":[{"type":"select"},{"type":"read"}]}]`),
			`policy 7 "orders": policyItems[1].accesses[1].type: service definition "databricks-unity-catalog" has no access type "read"`},
		"unknown access type in exception": {policyDoc(onCat + `,"denyExceptions":[{"accesses":[{"type":"x"}]}]`),
			`policy 7 "orders": denyExceptions[0].accesses[0].type`},
		"unknown resource":    {policyDoc(`"resources":{"database":{"values":["x"]}}`), `policy 7 "orders": resources.database: service definition`},
		"gap in the path":     {policyDoc(`"resources":{"catalog":{"values":["x"]},"table":{"values":["x"]}}`), `resources: catalog, table is no path`},
		"two trees":           {policyDoc(`"resources":{"catalog":{"values":["x"]},"share":{"values":["x"]}}`), `resources: catalog, share is no path`},
		"no resource":         {policyDoc(oneItem), `resources: it names no resource`},
		"no value":            {policyDoc(`"resources":{"catalog":{"values":[]}}`), `resources.catalog.values: the list is empty`},
		"empty value":         {policyDoc(`"resources":{"catalog":{"values":["a",""]}}`), `resources.catalog.values[1]: the value is empty`},
		"additional resource": {policyDoc(onCat + `,"additionalResources":[{"x":{"values":["a"]}}]`), `additionalResources[0].x: service definition`},
		"policy type":         {policyDoc(onCat + `,"policyType":3`), `policyType: 3 is unknown`},
		"priority":            {policyDoc(onCat + `,"policyPriority":2`), `policyPriority: 2 is unknown`},
		"validity date": {policyDoc(onCat + `,"validitySchedules":[{"startTime":"2026-01-01"}]`),
			`validitySchedules[0].startTime: "2026-01-01" is not a date`},
		"time zone":      {policyDoc(onCat + `,"validitySchedules":[{"timeZone":"Mars/Base"}]`), `validitySchedules[0].timeZone: unknown time zone`},
		"recurrence":     {policyDoc(onCat + `,"validitySchedules":[{"recurrences":[{"schedule":{"hour":"25"}}]}]`), `recurrences[0].schedule.hour: "25" is not`},
		"mask":           {policyDoc(`"policyType":1,` + onCat + `,"dataMaskPolicyItems":[{"dataMaskInfo":{"dataMaskType":"X"}}]`), `dataMaskPolicyItems[0].dataMaskInfo.dataMaskType`},
		"bad JSON type":  {policyDoc(onCat + `,"policyItems":[{},{"users":[1]}]`), `policy 7 "orders": policyItems[1].users[0]: a JSON number does not fit here, want a string`},
		"object wanted":  {policyDoc(`"resources":{"catalog":"x"}`), `policy 7 "orders": resources.catalog: a JSON string does not fit here, want an object`},
		"not JSON":       {"{\n\"policies\": [,]}", `uc.json: line 2, column 14: not valid JSON`},
		"truncated":      {`{"policies":[{"id":1`, `not valid JSON`},
		"empty":          {"  ", `uc.json: want a JSON object`},
		"invalid UTF-8":  {policyDoc(`"resources":{"catalog":{"values":["a` + "\xff" + `"]}}`), `policy 7 "orders": resources.catalog.values`},
		"deltas":         {`{"policyDeltas":[{"changeType":2,"policy":{"id":1}}]}`, `apply them to the last full version first`},
		"unknown zone":   {`{"policies":[],"securityZones":{"z":{"resources":[{"db":["x"]}]}}}`, `securityZones.z.resources[0].db`},
		"policy in zone": {`{"policies":[],"securityZones":{"z":{"policies":[{"id":4,"name":"q","resources":{"db":{"values":["x"]}}}]}}}`, `policy 4 "q": resources.db`},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := snapshotOf(tc.doc)
			if err == nil {
				if got := faultsOf(s); len(got) != 1 || !strings.Contains(got[0], tc.want) {
					t.Errorf("faults are %q, want one with %q", got, tc.want)
				}
				return
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is\n  %v\nwant it to contain\n  %s", err, tc.want)
			}
			if policy.CodeOf(err) != policy.CodeInvalid {
				t.Errorf("class %q, want %q", policy.CodeOf(err), policy.CodeInvalid)
			}
		})
	}
}

func TestSnapshotAccepts(t *testing.T) {
	for name, doc := range map[string]string{
		"disabled policy is not verified": policyDoc(`"isEnabled":false,"resources":{"database":{"values":["x"]}},"policyItems":[{"accesses":[{"type":"x"}]}]`),
		"unknown fields":                  policyDoc(onCat + `,"newField":{"a":[1,2]}`),
		"unknown condition":               policyDoc(onCat + `,"conditions":[{"type":"moon-phase","values":["full"]}]`),
		"duplicate id":                    `{"policies":[{"id":1,` + onCat + `},{"id":1,` + onCat + `}]}`,
		"marker access type":              policyDoc(onCat + `,"policyItems":[{"accesses":[{"type":"_READ"}],"users":["ann"]}]`),
		"validity": policyDoc(onCat + `,"validitySchedules":[{"startTime":"2026/01/01 00:00:00","timeZone":"Europe/Berlin",
			"recurrences":[{"schedule":{"dayOfWeek":"2-6","hour":"8","minute":"0"},"interval":{"hours":10}}]}]`),
		"byte order mark": "\ufeff" + policyDoc(onCat),
		"tag policies of another component": strings.Replace(policyDoc(onCat), "{", `{"tagPolicies":{"serviceName":"tags","serviceDef":{"name":"tag","resources":[{"name":"tag"}],
			"accessTypes":[{"name":"databricks-unity-catalog:select"}],"dataMaskDef":{"maskTypes":[{"name":"databricks-unity-catalog:MASK"}],"resources":[{"name":"tag"}]}},
			"policies":[{"id":9,"policyType":1,"resources":{"tag":{"values":["PII"]}},"dataMaskPolicyItems":[{"groups":["public"],"accesses":[{"type":"hive:select"}],"dataMaskInfo":{"dataMaskType":"hive:MASK"}}]}]},`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			s, err := snapshotOf(doc)
			if err != nil {
				t.Fatal(err)
			}
			if s.Policies[0].Origin != "uc.json" || s.Origins[s.Policies[0].ID] != "uc.json" {
				t.Errorf("origin is not recorded: %q, %v", s.Policies[0].Origin, s.Origins)
			}
			if got := faultsOf(s); len(got) > 0 {
				t.Errorf("faults %q", got)
			}
		})
	}
}

// A snapshot that is verified stays as it was: it may be in force.
func TestSnapshotIsNotChanged(t *testing.T) {
	item := `"policyItems":[{"users":["ann"],"accesses":[{"type":"SELECT"},{"type":"slect"}]}]`
	p, err := parse.ServicePolicies([]byte(`{"policies":[{"id":1,`+onCat+`,`+item+`}],"securityZones":{"z":{"policies":[{"id":2,`+onCat+`,`+item+`}]}}}`), "uc.json")
	if err != nil {
		t.Fatal(err)
	}
	s := ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: p})
	v := verify.Snapshot(s)
	for what, list := range map[string][2]ranger.Policy{"the list": {s.Policies[0], v.Policies[0]}, "a zone": {s.Zones["z"].Policies[0], v.Zones["z"].Policies[0]}} {
		before, after := list[0], list[1]
		if len(before.Faults) != 0 || before.PolicyItems[0].Accesses[0].Type != "SELECT" {
			t.Errorf("%s was changed: %+v", what, before)
		}
		if len(after.Faults) != 1 || after.PolicyItems[0].Accesses[0].Type != "select" {
			t.Errorf("%s is not verified: %+v", what, after)
		}
	}
}

func TestRealisticDownloadParses(t *testing.T) {
	file := filepath.Join(shareddata.Folder(t, "ranger"), "trino-policies.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := snapshotOf(string(data))
	if err != nil {
		t.Fatal(err)
	}
	if s.Service != "cl1_trino" || len(s.Policies) == 0 || s.ServiceDef.Name != "trino" {
		t.Errorf("service %q, %d policies, definition %q", s.Service, len(s.Policies), s.ServiceDef.Name)
	}
}

func TestDefaultServiceDefAgreesWithPrivileges(t *testing.T) {
	def := ranger.DefaultServiceDef()
	model := rules.NewModel(def)
	listed := make(map[policy.Privilege]bool)
	for _, a := range def.AccessTypes {
		listed[policy.Privilege(strings.ToUpper(a.Name))] = true
	}
	for _, typ := range policy.SecurableTypes {
		name := strings.ToLower(string(typ))
		r := model.Resource(ranger.PolicyTypeAccess, name)
		if r == nil {
			t.Errorf("no resource %s", name)
			continue
		}
		checkRestrictions(t, r, privilegesOfAnyKind(typ))
	}
	checkRestrictions(t, model.Resource(ranger.PolicyTypeAccess, "model"), policy.Privileges(policy.Function, policy.KindModel))
	for p := range listed {
		if !policy.IsPrivilege(p) && p != policy.Refresh {
			t.Errorf("access type %s is no privilege", p)
		}
	}
	implied := model.ImpliedBy("all_privileges")
	for _, typ := range policy.SecurableTypes {
		if typ == policy.Function || !policy.Supports(typ, "", policy.AllPrivileges) {
			continue
		}
		for _, p := range privilegesOfAnyKind(typ) {
			has := containsFold(implied, string(p))
			if want := policy.AllPrivileges.Implies(p); has != want {
				t.Errorf("all_privileges implies %s on %s: %v, want %v", p, typ, has, want)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, doc := range []string{
		policyDoc(onCat + "," + oneItem), `[{"id":1,"resources":{}}]`, `{"policies":[{"policyItems":[{"users":[[]]}]}]}`, `{"policies":{"a":[{"b":1}]}}`,
		`{"policyDeltas":[{"changeType":0,"policy":null}],"securityZones":{"z":null},"serviceDef":{"name":"x","resources":[{"name":"a","parent":"a"}]}}`,
		`{"policies":[{"id":1e400}]}`, "{\"policies\":[{\"name\":\"\xff\"}]}", strings.Repeat("[", 20_000), `{"a":` + strings.Repeat(`{"a":`, 500), "\ufeff{}",
		`{"tests":[{"request":{"resource":{"elements":{"catalog":["a"]}},"context":{"TAGS":"[{}]"}}}]}`, `{"testCases":[{"servicePolicies":{}}]}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		check := func(err error) {
			if err != nil && (policy.CodeOf(err) != policy.CodeInvalid || !strings.Contains(err.Error(), "f.json")) {
				t.Errorf("error %v is not of class invalid, or does not name the file", err)
			}
		}
		_, _, err := parse.Policies(data, "f.json")
		check(err)
		_, err = parse.Roles(data, "f.json")
		check(err)
		_, err = parse.Tags(data, "f.json")
		check(err)
		_, err = suite.Run(data, "f.json", suite.Options{Now: policytest.Time("2026-03-01 12:00")})
		check(err)
		doc, err := parse.ServicePolicies(data, "f.json")
		check(err)
		if err != nil {
			return
		}
		s, err := ranger.NewSnapshot(ranger.SnapshotInput{Policies: doc})
		if err != nil {
			return
		}
		for range verify.Zones(s) {
			return
		}
		s = verify.Snapshot(s)
		e := evaluate.New(policytest.Rules(s, rules.NameMapping{}))
		r := evaluate.Request{User: "ann", Resource: policytest.Asked("catalog=sales schema=a table=b")}
		e.Evaluate(r)
		e.EvaluateDataMask(r)
		e.EvaluateRowFilter(r)
		e.ResourceACLs(r)
		e.ResourceAccess(r)
	})
}

func privilegesOfAnyKind(typ policy.SecurableType) []policy.Privilege {
	list := policy.Privileges(typ, "")
	if typ == policy.Table {
		list = slices.Concat(list, policy.Privileges(policy.Table, policy.KindView), policy.Privileges(policy.Table, policy.KindMaterializedView), policy.Privileges(policy.Table, policy.KindStreamingTable))
		slices.Sort(list)
		list = slices.Compact(list)
	}
	return list
}

func checkRestrictions(t *testing.T, r *ranger.ResourceDef, want []policy.Privilege) {
	t.Helper()
	if len(r.AccessTypeRestrictions) != len(want) {
		t.Errorf("%s: %d access types, want %d", r.Name, len(r.AccessTypeRestrictions), len(want))
	}
	for _, p := range want {
		if !containsFold(r.AccessTypeRestrictions, string(p)) {
			t.Errorf("%s: access type %s is missing", r.Name, p)
		}
	}
}

func containsFold(list []string, s string) bool {
	for _, l := range list {
		if strings.EqualFold(l, s) {
			return true
		}
	}
	return false
}
