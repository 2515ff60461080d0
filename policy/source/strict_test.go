package source_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source"
	"ucwarden/policy/source/rangeradmin"
	"ucwarden/policy/source/rangertest"
)

// misspelt is a policy that allows and, were it not for a letter, denies select on a table.
func misspelt(id int64, table string) string {
	items := `[{"accesses":[{"type":"select"}],"groups":["analysts"]}]`
	return fmt.Sprintf(`{"id":%d,"name":"misspelt","resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":[%q]}},"policyItems":%s,"denyPolicyItem":%s}`,
		id, table, items, items)
}

// Outside of policies, a misspelt field may hide anything, so files that have one are refused, and what is in force stays.
func TestFilesRefuseMisspeltFieldsOutsideOfPolicies(t *testing.T) {
	for name, test := range map[string]struct{ doc, path, near string }{
		"a zone":             {`{"policies":[],"securityZone":{}}`, "securityZone", "securityZones"},
		"a role":             {`{"rangerRoles":[{"name":"r","user":[{"name":"ann"}]}]}`, "rangerRoles[0].user", "users"},
		"a user store":       {`{"userGroupMapping":{},"groupAttrMappings":{}}`, "groupAttrMappings", "groupAttrMapping"},
		"tags":               {`{"serviceResources":[{"id":1,"resourceElement":{}}]}`, "serviceResources[0].resourceElement", "resourceElements"},
		"service definition": {`{"name":"s","resources":[{"name":"catalog","parents":"x"}],"accessTypes":[]}`, "resources[0].parents", "parent"},
		"a switch in zones":  {`{"policies":[],"SecurityZones":{}}`, "SecurityZones", "securityZones"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			options := source.FilesOptions{Path: dir, Debounce: 1}
			write(t, dir, map[string]string{"x.json": test.doc, "good.json": allow(77, "good", "g")})
			s, err := newFiles(t, options).Load(t.Context())
			if s != nil || policy.CodeOf(err) != policy.CodeInvalid {
				t.Fatalf("loaded %v, %v", s, err)
			}
			for _, want := range []string{filepath.Join(dir, "x.json"), ": " + test.path, "did you mean " + test.near + "?"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %s in it", err, want)
				}
			}
			f := newFiles(t, options)
			if err := os.Remove(filepath.Join(dir, "x.json")); err != nil {
				t.Fatal(err)
			}
			first, err := f.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, map[string]string{"x.json": test.doc})
			if s, err := f.Load(t.Context()); err != nil || s.Digest != first.Digest || f.Problem() == nil || !strings.Contains(f.Problem().Error(), test.path) {
				t.Errorf("in force %v, %v; problem %v", s, err, f.Problem())
			}
		})
	}
}

// faultsOf writes the faults of a snapshot: the policy's id and the field of each.
func faultsOf(s *ranger.Snapshot) string {
	var list []string
	for p, f := range s.Faults {
		list = append(list, fmt.Sprintf("%d %s", p.ID, f.Field))
	}
	return strings.Join(list, ", ")
}

// What cannot be understood in a policy binds that policy alone, at the first start and at every later version, and so it
// stays across a restart and until the file is corrected. It is logged once, and counted.
func TestFaultsBindTheirPolicy(t *testing.T) {
	dir, cacheDir := t.TempDir(), t.TempDir()
	var log logged
	reg := prometheus.NewRegistry()
	options := source.FilesOptions{Path: dir, CacheDir: cacheDir, Debounce: 1, Logger: log.logger(), Registerer: reg}
	f := newFiles(t, options)
	step := func(what string, f *source.Files, files map[string]string, policies int, faults string) *ranger.Snapshot {
		t.Helper()
		write(t, dir, files)
		s, err := f.Load(t.Context())
		if err != nil || f.Problem() != nil {
			t.Fatalf("%s: %v, problem %v", what, err, f.Problem())
		}
		if got := faultsOf(s); len(s.Policies) != policies || got != faults {
			t.Errorf("%s: %d policies, faults %s, want %d, %s", what, len(s.Policies), got, policies, faults)
		}
		return s
	}
	good := map[string]string{"good.json": "[" + allow(1, "good", "t1") + "," + allow(9, "other", "t9") + "]"}
	step("good", f, good, 2, "")
	bad := misspelt(2, "t2") + "\n---\n" + allow(3, "beside", "t3") + "\n---\n" + strings.Replace(allow(4, "types", "t4"), `"select"`, `"selekt"`, 1) + "\n---\n" +
		strings.Replace(allow(5, "kinds", "t5"), `["analysts"]`, `"analysts"`, 1) + "\n---\n" + strings.Replace(allow(6, "capitals", "t6"), `"select"`, `"SELECT"`, 1)
	const faults = "2 denyPolicyItem, 4 policyItems[0].accesses[0].type, 5 policyItems[0].groups"
	first := step("with faults", f, map[string]string{"bad.yaml": bad}, 7, faults)
	if got := gauge(t, reg, "ucwarden_policy_snapshot_faults"); got != 3 {
		t.Errorf("the gauge is %v", got)
	}
	again := step("again", f, nil, 7, faults)
	if again.Digest != first.Digest {
		t.Errorf("digest %s became %s", first.Digest, again.Digest)
	}
	if n := log.count("cannot be understood"); n != 3 {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}
	step("another file changed", f, map[string]string{"more.json": allow(7, "more", "t7")}, 8, faults)

	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	cached, err := newFiles(t, source.FilesOptions{Path: dir, CacheDir: cacheDir, Debounce: 1}).Load(t.Context())
	if err != nil || faultsOf(cached) != faults {
		t.Errorf("from the cache: %v, %v", cached, err)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	step("after a restart", newFiles(t, source.FilesOptions{Path: dir, CacheDir: cacheDir, Debounce: 1}), nil, 8, faults)
	step("corrected", f, map[string]string{"bad.yaml": strings.Replace(misspelt(2, "t2"), "denyPolicyItem", "denyPolicyItems", 1)}, 4, "")
}

// What stands in a list of policies and is none, a text or a number, is a fault of its own and the others hold; one whose
// words may be those of a restriction fails the version, from files and from Ranger Admin alike.
func TestEntriesThatAreNoPolicies(t *testing.T) {
	for name, tc := range map[string]struct {
		entry string
		fault string // none: the version is refused
	}{
		"a number":              {"5", "list.json: policies[1]: a JSON number does not fit here"},
		"a text":                {`"sales for analysts"`, "a JSON string does not fit here"},
		"true":                  {"true", "a JSON bool does not fit here"},
		"a list":                {`[1, {"a": {}}]`, "a JSON array does not fit here"},
		"an allow in a list":    {"[" + allow(3, "c", "t3") + "]", "a JSON array does not fit here"},
		"a deny in a list":      {"[" + strings.Replace(allow(3, "c", "t3"), "policyItems", "denyPolicyItems", 1) + "]", ""},
		"a policy as a text":    {`"{\"policyType\":1,\"dataMaskPolicyItems\":[]}"`, ""},
		"one switched off, too": {`"isEnabled: false"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			check := func(s *ranger.Snapshot, err error) {
				t.Helper()
				if tc.fault == "" {
					if err == nil || !strings.Contains(err.Error(), "policies[1]") {
						t.Errorf("loaded %v, %v", s, err)
					}
					return
				}
				if err != nil || len(s.Policies) != 3 {
					t.Fatalf("loaded %v, %v", s, err)
				}
				var faults []string
				for p, f := range s.Faults {
					faults = append(faults, p.Origin+": "+f.Reason)
				}
				if len(faults) != 1 || !strings.Contains(faults[0], tc.fault) {
					t.Errorf("faults %q", faults)
				}
			}
			dir := t.TempDir()
			write(t, dir, map[string]string{"list.json": `{"policies":[` + allow(1, "a", "t1") + "," + tc.entry + "," + allow(2, "b", "t2") + "]}"})
			check(newFiles(t, source.FilesOptions{Path: dir, Debounce: 1}).Load(t.Context()))

			server := rangertest.New("uc")
			server.SetPolicies(pols(3)...)
			body := newer(t, pols(3)...)
			second := strings.Index(body, `{"id":2`)
			server.SetFault(rangertest.Policies, rangertest.Fault{Body: body[:second] + tc.entry + body[strings.LastIndex(body[:strings.Index(body, `{"id":3`)], ","):]})
			s, err := newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: start(t, server)}}).Load(t.Context())
			tc.fault = strings.TrimPrefix(tc.fault, "list.json: ")
			check(s, err)
		})
	}
}

// A version of which too little is understood is as one that lost its policies.
func TestTooManyFaults(t *testing.T) {
	dir := t.TempDir()
	options := source.FilesOptions{Path: dir, Debounce: 1}
	unknown := func(id int64, table string) string {
		return strings.Replace(allow(id, "unknown", table), `"select"`, `"time_travel"`, 1)
	}
	broken := "[" + unknown(1, "a") + "," + unknown(2, "b") + "," + allow(3, "c", "c") + "]"
	write(t, dir, map[string]string{"p.json": list(3)})
	f := newFiles(t, options)
	first, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"p.json": broken})
	if s, err := f.Load(t.Context()); err != nil || s.Digest != first.Digest || f.Problem() == nil ||
		!strings.Contains(f.Problem().Error(), "2 of 3 policies are gone") || !strings.Contains(f.Problem().Error(), `policy 1 "unknown": policyItems[0].accesses[0].type`) {
		t.Errorf("in force %v, %v; problem %v", s, err, f.Problem())
	}
	write(t, dir, map[string]string{"p.json": "[" + misspelt(1, "a") + "]"})
	if _, err := newFiles(t, options).Load(t.Context()); policy.CodeOf(err) != policy.CodeInvalid || !strings.Contains(err.Error(), "no policy can be understood") ||
		!strings.Contains(err.Error(), `p.json: policy 1 "misspelt": denyPolicyItem: it is not a field of Ranger's model; did you mean denyPolicyItems?`) {
		t.Errorf("nothing understood: %v", err)
	}
}

// Of another service's documents nothing but the service is said.
func TestUnknownFieldsOfAnotherService(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"mine.json":  `{"serviceName":"uc","policies":[` + allow(1, "a", "t1") + `]}`,
		"other.json": `{"serviceName":"hive","colour":"red","policies":[` + misspelt(2, "t2") + `]}`,
	})
	if s := load(t, source.FilesOptions{Path: dir, Service: "uc", Debounce: 1}); len(s.Policies) != 1 || len(s.Problems) != 1 || !s.Problems[0].LeftOut || faultsOf(s) != "" {
		t.Errorf("%d policies, problems %v", len(s.Policies), s.Problems)
	}
}

// Roles in the policy download, as Ranger 2.0 wrote them, decide access there and not here.
func TestIgnoredFields(t *testing.T) {
	byRole := strings.Replace(allow(1, "a", "t1"), `"groups":["analysts"]`, `"roles":["r"]`, 1)
	for name, test := range map[string]struct {
		doc  string
		want policy.Effect
	}{
		"allows": {byRole, policy.EffectNarrower},
		"denies": {strings.Replace(byRole, "policyItems", "denyPolicyItems", 1), policy.EffectWider},
	} {
		dir := t.TempDir()
		write(t, dir, map[string]string{"x.json": `{"serviceName":"uc","userRoles":{"ann":["r"]},"groupRoles":{},"policies":[` + test.doc + `]}`})
		s := load(t, source.FilesOptions{Path: dir, Debounce: 1})
		if len(s.Problems) != 1 || s.Problems[0].Field != "userRoles" || s.Problems[0].Effect != test.want {
			t.Errorf("%s: problems %+v, want userRoles with effect %s", name, s.Problems, test.want)
		}
		if got := faultsOf(s); got != "" {
			t.Errorf("%s: faults %s", name, got)
		}
	}
}

// newer adds a field that this version does not know to each policy of a document.
func newer(t *testing.T, policies ...ranger.Policy) string {
	t.Helper()
	body, err := json.Marshal(ranger.ServicePolicies{ServiceName: "uc", PolicyVersion: 9, Policies: policies})
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(body), `"service":"uc"`, `"service":"uc","colour":"red"`)
}

func TestRangerAcceptsUnknownFields(t *testing.T) {
	server, cacheDir := rangertest.New("uc"), t.TempDir()
	server.SetPolicies(pols(3)...)
	server.SetFault(rangertest.Policies, rangertest.Fault{Body: newer(t, pols(3)...)})
	var log logged
	options := source.RangerOptions{Options: rangeradmin.Options{URL: start(t, server), Logger: log.logger()}, CacheDir: cacheDir}
	r := newRanger(t, options)
	s := mustLoad(t, r, 3)
	check := func(what string, s *ranger.Snapshot) {
		t.Helper()
		if len(s.Problems) != 1 {
			t.Fatalf("%s: problems %+v, want one", what, s.Problems)
		}
		p := s.Problems[0]
		if p.PolicyID != 1 || p.Field != "colour" || p.Effect != policy.EffectNone || !strings.HasSuffix(p.Message, "(in 3 policies)") {
			t.Errorf("%s: problem %+v", what, p)
		}
	}
	check("loaded", s)
	if got := faultsOf(s); got != "" {
		t.Errorf("faults %s", got)
	}
	for range 3 {
		mustLoad(t, r, 3)
	}
	if n := log.count("has no effect"); n != 1 {
		t.Errorf("%d warnings for one version:\n%s", n, log.String())
	}

	// From the cache; then, with the roles alone changed, from the download that confirmed it.
	server.SetFault(rangertest.Policies, rangertest.Fault{Status: 503})
	again := newRanger(t, options)
	cached, err := again.Load(t.Context())
	if err != nil || cached.Digest != s.Digest {
		t.Fatalf("from the cache: %v, %v", cached, err)
	}
	check("from the cache", cached)
	server.SetFault(rangertest.Policies, rangertest.Fault{Body: newer(t, pols(3)...)})
	mustLoad(t, again, 3)
	server.SetFault(rangertest.Policies, rangertest.Fault{Status: 304})
	server.SetRoles(ranger.Role{Name: "stewards"})
	changed := mustLoad(t, again, 3)
	if len(changed.Roles) != 1 {
		t.Fatalf("roles %v", changed.Roles)
	}
	check("with new roles", changed)
}

// The rule is the same for policies of Ranger Admin, in whole downloads, changes and the cache.
func TestFaultsOfRangerBindTheirPolicy(t *testing.T) {
	server := rangertest.New("uc")
	server.SetPolicies(pols(3)...)
	body := strings.Replace(newer(t, pols(3)...), `"colour":"red"`, `"denypolicyitems":[]`, 1)
	body = strings.Replace(body, `"groups":["analysts"]`, `"groups":"analysts"`, 1)
	server.SetFault(rangertest.Policies, rangertest.Fault{Body: body})
	options := source.RangerOptions{Options: rangeradmin.Options{URL: start(t, server)}, CacheDir: t.TempDir()}
	const faults = "1 denypolicyitems, 1 policyItems[0].groups"
	r := newRanger(t, options)
	s := mustLoad(t, r, 3)
	if got := faultsOf(s); got != faults {
		t.Errorf("faults %q, want %q", got, faults)
	}
	server.SetFault(rangertest.Policies, rangertest.Fault{Status: 503})
	cached, err := newRanger(t, options).Load(t.Context())
	if err != nil || faultsOf(cached) != faults || cached.Digest != s.Digest {
		t.Errorf("from the cache: %v, %v", cached, err)
	}
	server.SetFault(rangertest.Policies, rangertest.Fault{Body: strings.Replace(body, "denypolicyitems", "colour", 1)})
	if other := mustLoad(t, newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: options.URL}}), 3); other.Digest == s.Digest || faultsOf(other) != "1 policyItems[0].groups" {
		t.Errorf("other faults: digest %s, faults %s", other.Digest, faultsOf(other))
	}

	// Changes: one policy is broken, then corrected; another is added with an access type that nobody knows.
	server = rangertest.New("uc")
	server.SetPolicies(pols(3)...)
	r = newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: start(t, server)}})
	mustLoad(t, r, 3)
	unknown := pols(4)[3]
	unknown.PolicyItems[0].Accesses = []ranger.ItemAccess{{Type: "SELECT"}, {Type: "time_travel"}}
	server.SetPolicies(append(pols(3), unknown)...)
	if s := mustLoad(t, r, 4); faultsOf(s) != "4 policyItems[0].accesses[1].type" || s.Policies[3].PolicyItems[0].Accesses[0].Type != "select" {
		t.Errorf("added: %s, %+v", faultsOf(s), s.Policies)
	}
	server.SetPolicies(pols(4)...)
	if s := mustLoad(t, r, 4); faultsOf(s) != "" {
		t.Errorf("corrected: %s", faultsOf(s))
	}
}
