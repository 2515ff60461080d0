package source_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source"
	"ucwarden/policy/source/rangeradmin"
	"ucwarden/policy/source/rangertest"
)

// ids lists the ids of the policies of a snapshot.
func ids(s *ranger.Snapshot) string {
	var list []string
	for policies := range s.PolicyLists() {
		for i := range policies {
			list = append(list, fmt.Sprint(policies[i].ID))
		}
	}
	return strings.Join(list, " ")
}

// leftOut lists, for each problem that leaves something out, the name of the file and the effect.
func leftOut(s *ranger.Snapshot) string {
	var list []string
	for _, p := range s.Problems {
		if p.LeftOut {
			list = append(list, filepath.Base(p.Origin)+" "+string(p.Effect))
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// ofService sets the service, and the type when it is not "", of a policy.
func ofService(p, service, serviceType string) string {
	fields := fmt.Sprintf(`{"service":%q,`, service)
	if serviceType != "" {
		fields += fmt.Sprintf(`"serviceType":%q,`, serviceType)
	}
	return strings.Replace(p, "{", fields, 1)
}

// A download as plugins of other services keep it; it denies everybody everything, and has a misspelt field.
func download(service, serviceType, resource string) string {
	return fmt.Sprintf(`{"serviceName":%q,"policyVersion":900,"serviceDef":{"name":%q,"resources":[{"name":%q}],"accessTypes":[{"name":"select"}]},
		"policies":[{"id":1,"service":%[1]q,"name":"x","resources":{%[3]q:{"values":["*"]}},"denyPolicyItem":[],"denyPolicyItems":[{"groups":["public"],"accesses":[{"type":"select"}]}]}]}`,
		service, serviceType, resource)
}

// What is not ours in a policy folder is left out and named, and the rest is in force.
func TestForeignFilesAreLeftOut(t *testing.T) {
	own := ofService(allow(1, "mine", "t1"), "acme_uc", "")
	for name, tc := range map[string]struct {
		text, left string
		yaml       bool
	}{
		"a role export":            {text: `{"metaDataInfo":{"Host name":"r"},"roles":[{"id":4,"name":"steward","users":[],"groups":[{"name":"stewards","isAdmin":true}],"roles":[]}]}`},
		"hive":                     {text: download("acme_hive", "hive", "database"), left: "x.json none"},
		"atlas":                    {text: download("acme_atlas", "atlas", "type-category"), left: "x.json none"},
		"hbase":                    {text: download("acme_hbase", "hbase", "table"), left: "x.json none"},
		"kafka":                    {text: download("acme_kafka", "kafka", "topic"), left: "x.json none"},
		"trino":                    {text: download("acme_trino", "trino", "catalog"), left: "x.json none"},
		"hive, of no told type":    {text: `{"policies":[` + strings.NewReplacer(`"catalog"`, `"database"`, `"schema"`, `"udf"`).Replace(ofService(allow(1, "x", "t"), "acme_hive", "")) + `]}`, left: "x.json none"},
		"a policy told to be hive": {text: `{"serviceType":"hive","name":"x","resources":{"database":{"values":["*"]}},"denyPolicyItems":[{"groups":["public"],"accesses":[{"type":"select"}]}]}`, left: "x.json none"},
		"an export of two services": {text: `{"metaDataInfo":{},"policies":[` + ofService(allow(1, "h", "t"), "acme_hive", "hive") + `,` + ofService(allow(2, "u", "t"), "acme_uc", "databricks-unity-catalog") + `]}`,
			left: "x.json none"},
		"a definition of hive":       {text: `{"name":"hive","resources":[{"name":"database"}],"accessTypes":[{"name":"select"}]}`, left: "x.json none"},
		"roles of another service":   {text: `{"serviceName":"acme_hive","rangerRoles":[{"name":"r"}]}`, left: "x.json none"},
		"tags of another service":    {text: `{"serviceName":"acme_hive","serviceResources":[],"resourceToTagIds":{}}`, left: "x.json none"},
		"another document":           {text: `{"colour":"red"}`, left: "x.json none"},
		"a test suite":               {text: `{"policies":[` + allow(1, "x", "t") + `],"tests":[]}`, left: "x.json none"},
		"prose":                      {text: "Ask Ana.\n", left: "x.json narrower"},
		"prose in YAML":              {text: "Ask Ana.\n", left: "x.yaml none", yaml: true},
		"YAML that is none":          {text: "a: b: c\n", left: "x.yaml narrower", yaml: true},
		"an allow and something":     {text: own + "]", left: "x.json narrower"},
		"nothing":                    {text: " \n", left: "x.json narrower"},
		"an allow with two of a key": {text: `{"policies":[],"policies":[` + allow(1, "x", "t") + `]}`, left: "x.json narrower"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, file := t.TempDir(), "x.json"
			if tc.yaml {
				file = "x.yaml"
			}
			write(t, dir, map[string]string{file: tc.text, "own.json": own})
			for _, service := range []string{"", "acme_uc"} {
				var log logged
				reg := prometheus.NewRegistry()
				f := newFiles(t, source.FilesOptions{Path: dir, Service: service, Debounce: 1, Logger: log.logger(), Registerer: reg})
				s, err := f.Load(t.Context())
				if err != nil || f.Problem() != nil {
					t.Fatalf("service %q: %v, problem %v", service, err, f.Problem())
				}
				want, n := "1", 0
				if strings.Contains(name, "two services") {
					want = "1 2"
				}
				if tc.left != "" {
					n = 1
				}
				if got := ids(s); got != want || s.Service != "acme_uc" || faultsOf(s) != "" || s.Version == 900 {
					t.Errorf("service %q: policies %s of %q, version %d, faults %s", service, got, s.Service, s.Version, faultsOf(s))
				}
				if got := leftOut(s); got != tc.left {
					t.Errorf("service %q: left out %q, want %q: %v", service, got, tc.left, s.Problems)
				}
				if got := gauge(t, reg, "ucwarden_policy_snapshot_left_out"); got != float64(n) || log.count(file+": left out: ") != n {
					t.Errorf("service %q: the gauge is %v; log\n%s", service, got, log.String())
				}
			}
		})
	}
}

// Nothing is left out that may take access away, or that other files refer to: then no version comes in.
func TestWhatMayRestrictIsNotLeftOut(t *testing.T) {
	deny := strings.Replace(allow(2, "x", "t"), "policyItems", "denyPolicyItems", 1)
	encode := func(order binary.AppendByteOrder, text string) string {
		b := order.AppendUint16(nil, 0xfeff)
		for _, unit := range utf16.Encode([]rune(text)) {
			b = order.AppendUint16(b, unit)
		}
		return string(b)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(deny)); err != nil || z.Close() != nil {
		t.Fatal("not compressed")
	}
	for name, text := range map[string]string{
		"UTF-16, big end":       encode(binary.BigEndian, deny),
		"UTF-16, little end":    encode(binary.LittleEndian, deny),
		"UTF-16 without a mark": encode(binary.LittleEndian, deny)[2:],
		"gzip":                  zipped.String(),
		"an escaped key":        strings.Replace(deny, "deny", `\u0064eny`, 1) + "]",
		"an escape of YAML":     strings.Replace(deny, "deny", `\x64eny`, 1),
		"a key on two lines":    strings.Replace(deny, "deny", "de\\\n  ny", 1),
		"a deny before its key": deny[:strings.Index(deny, "denyPolicyItems")],
		"half of an allow":      allow(2, "x", "t")[:60],
		"its first line":        "{\n",
		"half of a deny":        `{"name":"x","resources":{"catalog":{"values":["sales"]}},"denyPolicyItems":[{`,
		"half of a filter":      `{"name":"x","policyType":2,"rowFilterPolicyItems":[{`,
		"half of roles":         `{"rangerRoles":[{`,
		"half of a user list":   `{"userGroupMapping":{`,
		"changes of denies":     `{"policyDeltas":[{"changeType":0,"policy":{"denyPolicyItems":[]}}]}`,
		"a misspelt list":       `{"policie":[` + allow(2, "x", "t") + `]}`,
		"roles of a number":     `{"rangerRoles":5}`,
		"a misspelt deny":       `{"policies":[` + strings.Replace(deny, "denyPolicyItems", "dnyPolcyItems", 1) + `],}`,
		"a key of its own":      `{"policies":[` + strings.Replace(deny, "denyPolicyItems", "denials", 1) + `],"policies":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, map[string]string{"x.json": text, "own.json": allow(1, "mine", "t1")})
			if s, err := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1}).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "x.json") {
				t.Errorf("loaded %v, %v", s, err)
			}
		})
	}
}

// A file that cannot be read any more keeps what was last read from it, across a restart too, until it can be read or is
// removed; the other files go on.
func TestUnreadableFilesKeepWhatWasRead(t *testing.T) {
	dir := t.TempDir()
	options := source.FilesOptions{Path: dir, CacheDir: t.TempDir(), Debounce: 1}
	deny := strings.Replace(allow(2, "deny", "t2"), "policyItems", "denyPolicyItems", 1)
	f := newFiles(t, options)
	step := func(what string, f *source.Files, files map[string]string, policies, left, problem string) {
		t.Helper()
		write(t, dir, files)
		s, err := f.Load(t.Context())
		if err != nil || problem == "" && f.Problem() != nil || problem != "" && (f.Problem() == nil || !strings.Contains(f.Problem().Error(), problem)) {
			t.Fatalf("%s: %v, problem %v", what, err, f.Problem())
		}
		if got := ids(s); got != policies || leftOut(s) != left {
			t.Errorf("%s: policies %s, left out %s; want %s, %s", what, got, leftOut(s), policies, left)
		}
	}
	step("good", f, map[string]string{"a.json": allow(1, "allow", "t1"), "d.json": deny, "roles.json": `{"rangerRoles":[{"name":"r"}]}`}, "1 2", "", "")
	step("half", f, map[string]string{"d.json": deny[:len(deny)/2], "b.json": allow(3, "more", "t3")}, "1 3 2", "d.json wider", "")
	step("emptied", f, map[string]string{"d.json": "", "b.json": allow(4, "other", "t3")}, "1 4 2", "d.json wider", "")
	step("after a restart", newFiles(t, options), map[string]string{"d.json": "{}", "b.json": allow(5, "another", "t3")}, "1 5 2", "d.json wider", "")
	step("roles that cannot be read", f, map[string]string{"roles.json": "{", "b.json": allow(6, "yet another", "t3")}, "1 4 2", "d.json wider", "roles.json")
	step("roles again", f, map[string]string{"roles.json": `{"rangerRoles":[{"name":"r"}]}`}, "1 6 2", "d.json wider", "")
	if err := os.Remove(filepath.Join(dir, "d.json")); err != nil {
		t.Fatal(err)
	}
	step("removed", f, nil, "1 6", "", "")
	step("none can be read", f, map[string]string{"a.json": "{", "b.json": "{"}, "1 6", "", "a.json")
}

// An id that two policies have is a fault of the second: it allows nothing, and what it denies is denied.
func TestIDsTwice(t *testing.T) {
	good := allow(1, "good", "a")
	for name, tc := range map[string]struct {
		files map[string]string
		want  string
	}{
		"in two files":     {map[string]string{"x.json": good, "y.json": good}, "x.json uses this id too"},
		"in a list":        {map[string]string{"x.json": "[" + good + "," + good + "]"}, "an earlier policy of this list"},
		"in two documents": {map[string]string{"x.yaml": good + "\n---\n" + good}, "documents 1 and 2"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, tc.files)
			s := load(t, source.FilesOptions{Path: dir, Debounce: 1})
			if len(s.Policies) != 2 || faultsOf(s) != "1 id" || len(s.Policies[0].Faults) != 0 || !strings.Contains(s.Policies[1].Faults[0].Reason, tc.want) {
				t.Errorf("%d policies, faults %+v", len(s.Policies), s.Policies)
			}
		})
	}
}

// The same roles in an export and in a download are no contradiction.
func TestSameRolesTwice(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.json": allow(1, "good", "a"),
		"x.json": `{"rangerRoles":[{"name":"r","users":[{"name":"u"}]}]}`, "y.json": `{"metaDataInfo":{},"roles":[{"id":7,"name":"r","users":[{"name":"u"}],"groups":[]}]}`})
	if s := load(t, source.FilesOptions{Path: dir, Debounce: 1}); len(s.Roles) != 1 {
		t.Errorf("roles %v", s.Roles)
	}
}

// Of several services of our type nothing says which is meant; of other types only ours is read.
func TestSeveralServices(t *testing.T) {
	a, b := ofService(allow(1, "a", "t"), "acme_uc", ""), ofService(allow(2, "b", "t"), "dev_uc", "databricks-unity-catalog")
	custom := `{"serviceName":"own","serviceDef":{"name":"lakehouse","resources":[{"name":"catalog"},{"name":"schema","parent":"catalog"},{"name":"table","parent":"schema"}],"accessTypes":[{"name":"select"}]},"policies":[` + allow(7, "c", "t") + `]}`
	for name, tc := range map[string]struct {
		files         map[string]string
		service, want string // or part of the error
	}{
		"two of ours":                    {map[string]string{"a.json": a, "b.json": b}, "", "set policies.service"},
		"one is configured":              {map[string]string{"a.json": a, "b.json": b}, "dev_uc", "2"},
		"one that is not there":          {map[string]string{"a.json": a, "b.json": b}, "uc", `the service read is "uc"`},
		"one with a type of its own":     {map[string]string{"c.json": custom, "h.json": download("h", "hive", "database")}, "", "7"},
		"another type is ours":           {map[string]string{"a.json": a, "c.json": custom}, "", "1"},
		"no service of ours":             {map[string]string{"h.json": download("h", "hive", "database")}, "", "no service of type databricks-unity-catalog"},
		"the same id in another service": {map[string]string{"a.json": a, "c.json": ofService(allow(1, "c", "t"), "trino", "trino")}, "", "1"},
		"policies without a service":     {map[string]string{"a.json": allow(9, "x", "t"), "h.json": download("h", "hive", "database")}, "", "9"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, tc.files)
			s, err := newFiles(t, source.FilesOptions{Path: dir, Service: tc.service, Debounce: 1}).Load(t.Context())
			got := ""
			if err != nil {
				if got = err.Error(); policy.CodeOf(err) == policy.CodeInvalid && strings.Contains(got, tc.want) {
					return
				}
			} else if got = ids(s); got == tc.want {
				return
			}
			t.Errorf("got %s, want %s", got, tc.want)
		})
	}
}

// The rule is the same for a download of Ranger Admin: policies of another service are left out, in changes and zones too.
// A policy that names no service, and a type of service that nobody has or nearly ours, is left out for nothing but the name of another's:
// what it denies is denied, and it allows nothing.
func TestTypesOfServiceThatNobodyHas(t *testing.T) {
	deny := strings.Replace(allow(2, "x", "t"), "policyItems", "denyPolicyItems", 1)
	for serviceType, want := range map[string]string{
		"databricks-unity-catalog": "", "Databricks_Unity_Catalog": "", "databricks-unity-catalogue": "2 serviceType", "unity": "2 serviceType", "x": "2 serviceType",
		"hive": "left out", "trino": "left out", "own-catalog": "2 serviceType",
	} {
		files := map[string]string{"own.json": allow(1, "own", "t"), "x.json": strings.Replace(deny, "{", fmt.Sprintf(`{"serviceType":%q,`, serviceType), 1)}
		s, err := newFiles(t, source.FilesOptions{Path: tempWith(t, files), Debounce: 1}).Load(t.Context())
		if err != nil || want == "left out" && leftOut(s) != "x.json none" || want != "left out" && (leftOut(s) != "" || faultsOf(s) != want) {
			t.Errorf("%s: %v, faults %s, %v", serviceType, err, faultsOf(s), s)
		}
	}
	// nothing of what it names is ours; the type is that of the definition
	topic := `{"serviceType":"acme","resources":{"topic":{"values":["x"]}},"denyPolicyItems":[]}`
	s, err := newFiles(t, source.FilesOptions{Path: tempWith(t, map[string]string{"own.json": allow(1, "own", "t"), "x.json": topic}), Debounce: 1}).Load(t.Context())
	if err != nil || leftOut(s) != "x.json none" {
		t.Errorf("another's: %v, %v", err, s)
	}
	def, err := json.Marshal(ranger.DefaultServiceDef())
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"own.json": strings.Replace(allow(1, "own", "t"), "{", `{"serviceType":"acme",`, 1), "def.json": strings.Replace(string(def), `"databricks-unity-catalog"`, `"acme"`, 1)}
	s, err = newFiles(t, source.FilesOptions{Path: tempWith(t, files), Debounce: 1}).Load(t.Context())
	if err != nil || ids(s) != "1" || faultsOf(s) != "" {
		t.Errorf("of its own definition: %v, %v", err, s)
	}
}

func TestRangerLeavesOutOtherServices(t *testing.T) {
	server := rangertest.New("uc")
	list := pols(3)
	list[1].Service, list[2].Service = "dev_uc", "dev_uc"
	list[2].PolicyItems, list[2].DenyPolicyItems = nil, list[2].PolicyItems
	server.SetPolicies(list...)
	options := source.RangerOptions{Options: rangeradmin.Options{URL: start(t, server)}, CacheDir: t.TempDir()}
	r := newRanger(t, options)
	s := mustLoad(t, r, 1)
	if ids(s) != "1" || len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Text(), `left out: 2 policies of service "dev_uc"; the service read is "uc"`) {
		t.Errorf("policies %s, problems %+v", ids(s), s.Problems)
	}
	list = slices.Clone(list)
	list[1].Service = "uc"
	server.SetPolicies(list...)
	s = mustLoad(t, r, 2)
	if ids(s) != "1 2" || len(s.Problems) != 1 || s.Problems[0].PolicyID != 3 {
		t.Errorf("policies %s, problems %+v", ids(s), s.Problems)
	}
	server.SetFault(rangertest.Policies, rangertest.Fault{Status: 503})
	if cached, err := newRanger(t, options).Load(t.Context()); err != nil || ids(cached) != "1 2" || len(cached.Problems) != 1 {
		t.Errorf("from the cache: %v, %v", cached, err)
	}
}
