package policy

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rangerSuites finds the folder of Ranger's own suites, which lies beside the checkout; it skips the test when the
// folder is absent.
func rangerSuites(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		folder := filepath.Join(dir, "shared", "ranger")
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			return folder
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skip("the folder shared/ranger with Ranger's suites is in no folder above this one")
		}
		dir = up
	}
}

const (
	oneItem = `"policyItems":[{"accesses":[{"type":"select"}],"users":["ann"]}]`
	onCat   = `"resources":{"catalog":{"values":["sales"]}}`
)

func policyDoc(fields string) string {
	return `{"serviceName":"uc","policies":[{"id":6,"name":"other",` + onCat + `},{"id":7,"name":"orders",` + fields + `}]}`
}

func snapshotOf(doc string) (*Snapshot, error) {
	p, err := ParseServicePolicies([]byte(doc), "uc.json")
	if err != nil {
		return nil, err
	}
	return NewSnapshot(SnapshotInput{Policies: p})
}

func TestSnapshotNamesTheFault(t *testing.T) {
	for name, tc := range map[string]struct{ doc, want string }{
		"unknown access type": {
			policyDoc(onCat + `,"policyItems":[{"accesses":[{"type":"select"}]},{"accesses":[{"type":"select"},{"type":"read"}]}]`),
			`uc.json: policy 7 "orders": policyItems[1].accesses[1].type: service definition "databricks-unity-catalog" has no access type "read"`},
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
		"bad JSON type":  {policyDoc(onCat + `,"policyItems":[{},{"users":[1]}]`), `uc.json: policy 7 "orders": policyItems[1].users[0]: a JSON number does not fit here, want a text`},
		"object wanted":  {policyDoc(`"resources":{"catalog":"x"}`), `policy 7 "orders": resources.catalog: a JSON string does not fit here, want an object`},
		"not JSON":       {"{\n\"policies\": [,]}", `uc.json: line 2, column 14: not valid JSON`},
		"truncated":      {`{"policies":[{"id":1`, `not valid JSON`},
		"empty":          {"  ", `uc.json: want a JSON object`},
		"invalid UTF-8":  {policyDoc(`"resources":{"catalog":{"values":["a` + "\xff" + `"]}}`), `policy 7 "orders": resources.catalog.values`},
		"deltas":         {`{"policyDeltas":[{"changeType":2,"policy":{"id":1}}]}`, `apply them to the last full version first`},
		"unknown zone":   {`{"policies":[],"securityZones":{"z":{"resources":[{"db":["x"]}]}}}`, `securityZones.z.resources[0].db`},
		"policy in zone": {`{"policies":[],"securityZones":{"z":{"policies":[{"id":4,"name":"q","resources":{"db":{"values":["x"]}}}]}}}`, `uc.json: policy 4 "q": resources.db`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := snapshotOf(tc.doc)
			if err == nil {
				t.Fatalf("no error, want one with %q", tc.want)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is\n  %v\nwant it to contain\n  %s", err, tc.want)
			}
			if CodeOf(err) != CodeInvalid {
				t.Errorf("class %q, want %q", CodeOf(err), CodeInvalid)
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
	} {
		t.Run(name, func(t *testing.T) {
			s, err := snapshotOf(doc)
			if err != nil {
				t.Fatal(err)
			}
			if s.Policies[0].Origin != "uc.json" || s.Origins[s.Policies[0].ID] != "uc.json" {
				t.Errorf("origin is not recorded: %q, %v", s.Policies[0].Origin, s.Origins)
			}
		})
	}
}

func TestParsePoliciesShapes(t *testing.T) {
	one := `{"id":1,` + onCat + `}`
	for name, tc := range map[string]struct {
		doc  string
		want int
	}{
		"single": {one, 1}, "array": {"[" + one + "," + one + "]", 2}, "document": {`{"policies":[` + one + `]}`, 1}, "empty array": {"[]", 0},
	} {
		list, _, err := ParsePolicies([]byte(tc.doc), "f.json")
		if err != nil || len(list) != tc.want {
			t.Errorf("%s: %d policies, error %v; want %d", name, len(list), err, tc.want)
		}
		for _, p := range list {
			if p.Origin != "f.json" {
				t.Errorf("%s: origin %q", name, p.Origin)
			}
		}
	}
	for _, doc := range []string{`{"id":1}`, `"text"`, ``} {
		if _, _, err := ParsePolicies([]byte(doc), "f.json"); CodeOf(err) != CodeInvalid || !strings.HasPrefix(err.Error(), "f.json: ") {
			t.Errorf("%q: error %v, want one of class invalid that begins with the file", doc, err)
		}
	}
}

func TestCyclicRolesAreRefused(t *testing.T) {
	roles, err := ParseRoles([]byte(`[{"name":"a","roles":[{"name":"b"}]},{"name":"b","roles":[{"name":"c"}]},
		{"name":"c","roles":[{"name":"b"},{"name":"gone"}]},{"name":"d","roles":[{"name":"d"}]}]`), "roles.json")
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewSnapshot(SnapshotInput{Policies: &ServicePolicies{}, Roles: roles})
	if err == nil || !strings.Contains(err.Error(), `role "b" contains itself: b → c → b`) {
		t.Errorf("error %v, want the cycle of b", err)
	}
	roles.RangerRoles[2].Roles, roles.RangerRoles[3].Roles = nil, nil
	if _, err = NewSnapshot(SnapshotInput{Policies: &ServicePolicies{}, Roles: roles}); err != nil {
		t.Errorf("roles without a cycle: %v", err)
	}
}

func TestRealisticDownloadParses(t *testing.T) {
	file := filepath.Join(rangerSuites(t), "trino-policies.json")
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
	def := DefaultServiceDef()
	model := newServiceModel(def)
	listed := make(map[Privilege]bool)
	for _, a := range def.AccessTypes {
		listed[Privilege(strings.ToUpper(a.Name))] = true
	}
	for _, typ := range SecurableTypes {
		name := strings.ToLower(string(typ))
		r := model.resources[name]
		if r == nil {
			t.Errorf("no resource %s", name)
			continue
		}
		checkRestrictions(t, r, privilegesOfAnyKind(typ))
	}
	checkRestrictions(t, model.resources["model"], Privileges(Function, KindModel))
	for p := range listed {
		if !IsPrivilege(p) && p != Refresh {
			t.Errorf("access type %s is no privilege", p)
		}
	}
	implied := model.impliedBy("all_privileges")
	for _, typ := range SecurableTypes {
		if typ == Function || !Supports(typ, "", AllPrivileges) {
			continue
		}
		for _, p := range privilegesOfAnyKind(typ) {
			has := containsFold(implied, string(p))
			if want := AllPrivileges.Implies(p); has != want {
				t.Errorf("all_privileges implies %s on %s: %v, want %v", p, typ, has, want)
			}
		}
	}
}

func privilegesOfAnyKind(typ SecurableType) []Privilege {
	list := Privileges(typ, "")
	if typ == Table {
		list = union(list, Privileges(Table, KindView), Privileges(Table, KindMaterializedView), Privileges(Table, KindStreamingTable))
	}
	return list
}

func checkRestrictions(t *testing.T, r *ResourceDef, want []Privilege) {
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

func TestDeployedServiceDefIsTheBuiltInOne(t *testing.T) {
	deployed, err := os.ReadFile("../deploy/ranger/servicedef-databricks-unity-catalog.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(deployed, defaultServiceDef) {
		t.Error("policy/servicedef-databricks-unity-catalog.json and the file in deploy/ranger differ; copy one over the other")
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
			if err != nil && (CodeOf(err) != CodeInvalid || !strings.Contains(err.Error(), "f.json")) {
				t.Errorf("error %v is not of class invalid, or does not name the file", err)
			}
		}
		_, _, err := ParsePolicies(data, "f.json")
		check(err)
		_, err = ParseRoles(data, "f.json")
		check(err)
		_, err = ParseTags(data, "f.json")
		check(err)
		_, err = RunSuite(data, "f.json", utc("2026-03-01 12:00"), nil)
		check(err)
		doc, err := ParseServicePolicies(data, "f.json")
		check(err)
		if err != nil {
			return
		}
		s, err := NewSnapshot(SnapshotInput{Policies: doc})
		if err != nil {
			return
		}
		e, err := NewEvaluator(s)
		if err != nil {
			t.Fatalf("a verified snapshot: %v", err)
		}
		r := Request{User: "ann", Resource: asked("catalog=sales schema=a table=b")}
		e.Evaluate(r)
		e.EvaluateDataMask(r)
		e.EvaluateRowFilter(r)
		e.ResourceACLs(r)
		e.ResourceAccess(r)
	})
}

// A large document with a fault at its end is refused in time that grows with its size only.
func TestLargeDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"policies":[`)
	for i := range 20_000 {
		fmt.Fprintf(&b, `{"id":%d,"name":"p%d",%s,%s},`, i, i, onCat, oneItem)
	}
	good := b.String() + `{"id":7,` + onCat + `}]}`
	if doc, err := ParseServicePolicies([]byte(good), "big.json"); err != nil || len(doc.Policies) != 20_001 {
		t.Fatalf("error %v", err)
	}
	_, err := ParseServicePolicies([]byte(b.String()+`{"id":99999,"name":"last","policyItems":[{"users":"ann"}]}]}`), "big.json")
	if err == nil || !strings.Contains(err.Error(), `big.json: policy 99999 "last": policyItems[0].users: a JSON string does not fit here, want an array`) {
		t.Errorf("error %v", err)
	}
}
