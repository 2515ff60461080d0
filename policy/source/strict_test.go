package source_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source"
	"ucwarden/policy/source/rangertest"
)

// misspelt is a policy that allows and, were it not for a letter, denies select on a table.
func misspelt(id int64, table string) string {
	items := `[{"accesses":[{"type":"select"}],"groups":["analysts"]}]`
	return fmt.Sprintf(`{"id":%d,"name":"misspelt","resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":[%q]}},"policyItems":%s,"denyPolicyItem":%s}`,
		id, table, items, items)
}

func TestFilesRefuseUnknownFields(t *testing.T) {
	one := func(field, value string) string {
		return strings.Replace(allow(4, "four", "t4"), `"policyItems"`, fmt.Sprintf("%q:%s,\"policyItems\"", field, value), 1)
	}
	for name, test := range map[string]struct{ file, doc, path, near string }{
		"deny":               {"x.json", misspelt(3, "t3"), "denyPolicyItem", "denyPolicyItems"},
		"enabled":            {"x.json", one("enabled", "false"), "enabled", "isEnabled"},
		"in a list":          {"x.json", "[" + allow(1, "a", "t") + "," + misspelt(3, "t3") + "]", "[1].denyPolicyItem", "denyPolicyItems"},
		"in an export":       {"x.json", `{"metaDataInfo":{},"policies":[` + misspelt(3, "t3") + `]}`, "policies[0].denyPolicyItem", "denyPolicyItems"},
		"isExclude":          {"x.json", strings.Replace(allow(1, "a", "t"), `"values":["t"]`, `"values":["t"],"isExclude":true`, 1), "resources.table.isExclude", "isExcludes"},
		"condition":          {"x.yaml", strings.Replace(allowYAML, "  users:", "  condition: [{type: x}]\n  users:", 1), "policyItems[0].condition", "conditions"},
		"allowed":            {"x.yaml", strings.Replace(allowYAML, "type: select", "type: select, allowed: false", 1), "policyItems[0].accesses[0].allowed", "isAllowed"},
		"second document":    {"x.yaml", allowYAML + "---" + strings.Replace(allowYAML, "by hand", "second", 1) + "enabled: false\n", "enabled", "isEnabled"},
		"a misspelt zone":    {"x.json", `{"policies":[],"securityZone":{}}`, "securityZone", "securityZones"},
		"a role":             {"x.json", `{"rangerRoles":[{"name":"r","user":[{"name":"ann"}]}]}`, "rangerRoles[0].user", "users"},
		"a user store":       {"x.json", `{"userGroupMapping":{},"groupAttrMappings":{}}`, "groupAttrMappings", "groupAttrMapping"},
		"tags":               {"x.json", `{"serviceResources":[{"id":1,"resourceElement":{}}]}`, "serviceResources[0].resourceElement", "resourceElements"},
		"service definition": {"x.json", `{"name":"s","resources":[{"name":"c","parents":"x"}],"accessTypes":[]}`, "resources[0].parents", "parent"},
		"in case only":       {"x.json", one("denypolicyitems", "[]"), "denypolicyitems", "denyPolicyItems"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			options := source.FilesOptions{Path: dir, Debounce: 1}
			write(t, dir, map[string]string{test.file: test.doc, "good.json": allow(77, "good", "g")})
			s, err := newFiles(t, options).Load(t.Context())
			if s != nil || policy.CodeOf(err) != policy.CodeInvalid {
				t.Fatalf("loaded %v, %v", s, err)
			}
			for _, want := range []string{filepath.Join(dir, test.file), ": " + test.path, "did you mean " + test.near + "?"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %s in it", err, want)
				}
			}
			f := newFiles(t, options)
			if err := os.Remove(filepath.Join(dir, test.file)); err != nil {
				t.Fatal(err)
			}
			first, err := f.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, map[string]string{test.file: test.doc})
			if s, err := f.Load(t.Context()); err != nil || s.Digest != first.Digest || f.Problem() == nil || !strings.Contains(f.Problem().Error(), test.path) {
				t.Errorf("in force %v, %v; problem %v", s, err, f.Problem())
			}
		})
	}
}

// A daemon starts with what it understands: the policies of a refused file are unreadable, the others hold, and so it
// stays while files change, across a restart, and until the file is corrected. From then on the last verified snapshot
// stays in force.
func TestFilesPartialStart(t *testing.T) {
	dir, cacheDir := t.TempDir(), t.TempDir()
	var log logged
	options := source.FilesOptions{Path: dir, CacheDir: cacheDir, Debounce: 1, PartialStart: true, Logger: log.logger()}
	write(t, dir, map[string]string{"good.json": allow(1, "good", "t1"), "bad.yaml": misspelt(2, "t2") + "\n---\n" + allow(3, "beside", "t3")})
	f := newFiles(t, options)
	unreadable := func(s *ranger.Snapshot) (ids []int64) {
		for _, p := range s.Policies {
			if p.Unreadable != "" {
				ids = append(ids, p.ID)
				if !strings.Contains(p.Unreadable, "bad.yaml: denyPolicyItem") || !strings.Contains(p.Unreadable, "did you mean denyPolicyItems?") {
					t.Errorf("policy %d is unreadable because %q", p.ID, p.Unreadable)
				}
			}
		}
		return ids
	}
	check := func(what string, s *ranger.Snapshot, err error, policies int) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := unreadable(s); len(s.Policies) != policies || !slices.Equal(got, []int64{2, 3}) {
			t.Errorf("%s: %d policies, %v are unreadable, want %d, [2 3]", what, len(s.Policies), got, policies)
		}
		if len(s.Problems) != 1 || !s.Problems[0].Refused || s.Problems[0].PolicyID != 2 || s.Problems[0].Field != "denyPolicyItem" {
			t.Errorf("%s: problems %+v", what, s.Problems)
		}
	}
	s, err := f.Load(t.Context())
	check("start", s, err, 3)
	if err := f.Problem(); err == nil || !strings.Contains(err.Error(), "denyPolicyItem") {
		t.Errorf("problem %v", err)
	}
	again, err := f.Load(t.Context())
	check("again", again, err, 3)
	if again.Digest != s.Digest {
		t.Errorf("digest %s became %s", s.Digest, again.Digest)
	}
	if n := log.count("policy files refused"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}

	write(t, dir, map[string]string{"more.json": allow(4, "more", "t4")})
	s, err = f.Load(t.Context())
	check("another file changed", s, err, 4)

	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	cached, err := newFiles(t, options).Load(t.Context())
	check("from the cache", cached, err, 4)
	if cached.Digest != s.Digest {
		t.Errorf("digest %s from the cache, want %s", cached.Digest, s.Digest)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}

	f = newFiles(t, options)
	write(t, dir, map[string]string{"bad.yaml": strings.Replace(misspelt(2, "t2"), "denyPolicyItem", "denyPolicyItems", 1)})
	fixed, err := f.Load(t.Context())
	if err != nil || f.Problem() != nil || len(unreadable(fixed))+len(fixed.Problems) != 0 || len(fixed.Policies) != 3 {
		t.Fatalf("corrected: %+v, %v, %v", fixed, err, f.Problem())
	}
	write(t, dir, map[string]string{"bad.yaml": misspelt(2, "t2")})
	if s, err := f.Load(t.Context()); err != nil || s.Digest != fixed.Digest || f.Problem() == nil {
		t.Errorf("misspelt again: %v, %v; problem %v", s, err, f.Problem())
	}
}

// A field that may hide a part of the policies, or of what they mean, cannot be made good by closing anything.
func TestPartialStartNeedsToKnowWhatIsMissing(t *testing.T) {
	for name, doc := range map[string]string{
		"zones": `{"policies":[],"securityZone":{}}`, "roles": `{"rangerRoles":[{"name":"r","user":[]}]}`,
	} {
		dir := t.TempDir()
		write(t, dir, map[string]string{"x.json": doc, "good.json": allow(77, "good", "g")})
		if s, err := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1, PartialStart: true}).Load(t.Context()); err == nil {
			t.Errorf("%s: loaded with %d policies", name, len(s.Policies))
		}
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{"x.json": `{"exportedBy":"ann","policies":[` + allow(1, "one", "t") + `]}`, "good.json": allow(77, "good", "g")})
	s, err := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1, PartialStart: true}).Load(t.Context())
	if err != nil || len(s.Policies) != 2 || s.Policies[0].Unreadable != "" || s.Policies[1].Unreadable == "" {
		t.Errorf("a field that hides nothing: %v, %v", s, err)
	}
}

// What closes for a policy that takes access away is all that it might be about.
func TestUnreadableResourcesAreWidened(t *testing.T) {
	const items = `[{"accesses":[{"type":"select"}],"groups":["analysts"]}]`
	policyOf := func(list, table, more string) string {
		return fmt.Sprintf(`{"id":1,"name":"a","resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{%s}},%q:%s%s}`, table, list, items, more)
	}
	for name, test := range map[string]struct{ doc, want string }{
		"allows only":         {policyOf("policyItems", `"values":["t"],"isExclude":true`, ""), "[sales][emea][t]"},
		"denies":              {policyOf("denyPolicyItems", `"values":["t"],"isExclude":true`, ""), "[sales][emea][*]"},
		"may deny":            {policyOf("policyItems", `"values":["t"],"isExclude":true`, `,"denials":[]`), "[sales][emea][*]"},
		"denies no value":     {policyOf("denyPolicyItems", `"value":["t"]`, ""), "[sales][emea][*]"},
		"denies all else":     {policyOf("policyItems", `"value":["t"]`, `,"isDenyAllElse":true`), "[sales][emea][*]"},
		"misspelt elsewhere":  {policyOf("denyPolicyItems", `"values":["t"]`, `,"enabled":false`), "[sales][emea][t]"},
		"additional resource": {policyOf("denyPolicyItems", `"values":["t"]`, `,"additionalResource":[]`), "[][][]"},
	} {
		dir := t.TempDir()
		write(t, dir, map[string]string{"x.json": test.doc})
		s, err := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1, PartialStart: true}).Load(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := s.Policies[0].Resources
		if got := fmt.Sprint(r["catalog"].Values, r["schema"].Values, r["table"].Values); strings.ReplaceAll(got, " ", "") != test.want || s.Policies[0].Unreadable == "" {
			t.Errorf("%s: about %s, want %s; unreadable %q", name, got, test.want, s.Policies[0].Unreadable)
		}
	}
}

// What other services' documents hold is nobody's business.
func TestUnknownFieldsOfAnotherService(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"mine.json":  `{"serviceName":"uc","policies":[` + allow(1, "a", "t1") + `]}`,
		"other.json": `{"serviceName":"hive","colour":"red","policies":[` + misspelt(2, "t2") + `]}`,
	})
	if s := load(t, source.FilesOptions{Path: dir, Service: "uc", Debounce: 1}); len(s.Policies) != 1 || len(s.Problems) != 0 {
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
		if len(s.Problems) != 1 || s.Problems[0].Field != "userRoles" || s.Problems[0].Effect != test.want || s.Problems[0].Refused {
			t.Errorf("%s: problems %+v, want userRoles with effect %s", name, s.Problems, test.want)
		}
		if s.Policies[0].Unreadable != "" {
			t.Errorf("%s: unreadable: %s", name, s.Policies[0].Unreadable)
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
	options := source.RangerOptions{URL: start(t, server), CacheDir: cacheDir, Logger: log.logger()}
	r := newRanger(t, options)
	s := mustLoad(t, r, 3)
	check := func(what string, s *ranger.Snapshot) {
		t.Helper()
		if len(s.Problems) != 1 {
			t.Fatalf("%s: problems %+v, want one", what, s.Problems)
		}
		p := s.Problems[0]
		if p.PolicyID != 1 || p.Field != "colour" || p.Effect != policy.EffectNone || p.Refused || !strings.HasSuffix(p.Message, "(in 3 policies)") {
			t.Errorf("%s: problem %+v", what, p)
		}
	}
	check("loaded", s)
	for i := range s.Policies {
		if s.Policies[i].Unreadable != "" {
			t.Errorf("policy %d is unreadable: %s", i, s.Policies[i].Unreadable)
		}
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

// A name that differs in case only makes its policy unreadable, also in a snapshot from the cache.
func TestUnreadablePolicyOfRangerOutlivesTheProcess(t *testing.T) {
	server := rangertest.New("uc")
	server.SetPolicies(pols(2)...)
	body := strings.Replace(newer(t, pols(2)...), `"colour"`, `"denypolicyitems"`, 1)
	server.SetFault(rangertest.Policies, rangertest.Fault{Body: body})
	options := source.RangerOptions{URL: start(t, server), CacheDir: t.TempDir()}
	readable := func(s *ranger.Snapshot) string {
		var ids []string
		for _, p := range s.Policies {
			if p.Unreadable == "" {
				ids = append(ids, p.Name)
			}
		}
		return strings.Join(ids, " ")
	}
	s := mustLoad(t, newRanger(t, options), 2)
	if got := readable(s); got != "p2" {
		t.Errorf("readable: %q", got)
	}
	server.SetFault(rangertest.Policies, rangertest.Fault{Status: 503})
	cached, err := newRanger(t, options).Load(t.Context())
	if err != nil || readable(cached) != "p2" || cached.Digest != s.Digest {
		t.Errorf("from the cache: %v, %v", cached, err)
	}
	server.SetFault(rangertest.Policies, rangertest.Fault{Body: strings.Replace(body, "denypolicyitems", "colour", 1)})
	if other := mustLoad(t, newRanger(t, source.RangerOptions{URL: options.URL}), 2); other.Digest == s.Digest || readable(other) != "p1 p2" {
		t.Errorf("the digest of a readable policy is that of an unreadable one: %s", s.Digest)
	}
}
