package source_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source"
)

// write puts files into dir, by name.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// allow is a policy in JSON that allows select on a table; id 0 leaves the id out.
func allow(id int64, name, table string) string {
	p := map[string]any{
		"name":        name,
		"resources":   map[string]any{"catalog": vals("sales"), "schema": vals("emea"), "table": vals(table)},
		"policyItems": []any{map[string]any{"accesses": []any{map[string]any{"type": "select"}}, "groups": []string{"analysts"}}},
	}
	if id != 0 {
		p["id"] = id
	}
	b, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func vals(v ...string) map[string]any { return map[string]any{"values": v} }

// list is a JSON array of n policies with ids from 1.
func list(n int) string {
	var all []string
	for i := range n {
		all = append(all, allow(int64(i+1), fmt.Sprintf("p%d", i+1), fmt.Sprintf("t%d", i+1)))
	}
	return "[" + strings.Join(all, ",") + "]"
}

func newFiles(t *testing.T, o source.FilesOptions) *source.Files {
	t.Helper()
	f, err := source.NewFiles(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func load(t *testing.T, o source.FilesOptions) *ranger.Snapshot {
	t.Helper()
	s, err := newFiles(t, o).Load(t.Context())
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return s
}

const allowYAML = `
name: by hand
resources:
  catalog: {values: [sales]}
  schema: {values: ["*"]}
  table: {values: ["*"]}
policyItems:
- accesses: [{type: select}]
  users: [ann@example.com]
`

func TestFilesReadsEveryShape(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"one.json":        allow(1, "one", "a"),
		"two.yaml":        allowYAML,
		"stream.yml":      "# first\n---" + allowYAML + "...\n---\n# nothing\n---" + strings.Replace(allowYAML, "by hand", "third", 1),
		"list.json":       "[" + allow(7, "seven", "x") + "," + allow(8, "eight", "y") + "]",
		"sub/down.json":   `{"serviceName":"uc","policyVersion":41,"policies":[` + allow(51, "a", "a") + `,` + allow(51, "b", "b") + `]}`,
		"roles.json":      `{"roleVersion":3,"rangerRoles":[{"name":"stewards","users":[{"name":"ann@example.com"}]}]}`,
		"users.yaml":      "userStoreVersion: 5\nuserGroupMapping: {ann@example.com: [analysts]}\n",
		"tags.json":       `{"tagVersion":2,"serviceResources":[],"tags":{},"resourceToTagIds":{}}`,
		"README.md":       "not a policy",
		".hidden.json":    "{",
		".#one.json":      "{",
		"one.json~":       "{",
		"#one.json#":      "{",
		"one.json.swp":    "{",
		"..data/x.json":   "{",
		".git/x.json":     "{",
		"notes.json.orig": "{",
	})
	s := load(t, source.FilesOptions{Path: dir})
	var names []string
	ids := map[int64]bool{}
	for _, p := range s.Policies {
		names = append(names, p.Name)
		ids[p.ID] = true
		if p.ID == 0 {
			t.Errorf("policy %q has no id", p.Name)
		}
	}
	if got, want := strings.Join(names, " "), "seven eight one by hand third a b by hand"; got != want {
		t.Errorf("policies %q, want %q", got, want)
	}
	if len(ids) != len(names)-1 {
		t.Errorf("%d ids for %d policies; only 51 may repeat", len(ids), len(names))
	}
	if s.Service != "uc" || s.Version != 41 {
		t.Errorf("service %q version %d, want uc 41", s.Service, s.Version)
	}
	if len(s.Roles) != 1 || s.Users == nil || len(s.Users.UserGroupMapping) != 1 || s.Tags == nil {
		t.Errorf("roles %v users %v tags %v", s.Roles, s.Users, s.Tags)
	}
	if s.Digest == "" || s.FetchedAt.IsZero() {
		t.Errorf("digest %q fetched %v", s.Digest, s.FetchedAt)
	}
	if got := s.Origins[7]; got != filepath.Join(dir, "list.json") {
		t.Errorf("origin of policy 7 is %q", got)
	}
}

func TestFilesIDsAndVersionsAreStable(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.yaml": allowYAML, "b.json": "[" + allow(0, "x", "t1") + "," + allow(0, "x", "t2") + "]"})
	first, second := load(t, source.FilesOptions{Path: dir}), load(t, source.FilesOptions{Path: dir})
	if first.Digest != second.Digest || first.Version != second.Version {
		t.Errorf("the same files gave %s/%d and %s/%d", first.Digest, first.Version, second.Digest, second.Version)
	}
	for i := range first.Policies {
		id := first.Policies[i].ID
		if id != second.Policies[i].ID || id < 1<<52 || id >= 1<<53 {
			t.Errorf("policy %d: ids %d and %d", i, id, second.Policies[i].ID)
		}
	}
	write(t, dir, map[string]string{"a.yaml": "# a comment is no change\n" + allowYAML})
	if third := load(t, source.FilesOptions{Path: dir}); third.Digest != first.Digest {
		t.Errorf("a comment changed the digest")
	}
}

func TestFilesRefusesBadInput(t *testing.T) {
	good := allow(1, "good", "a")
	tests := map[string]struct {
		files map[string]string
		want  []string // parts of the error
		code  policy.Code
	}{
		"not JSON":              {map[string]string{"x.json": "{\"name\": \n nope}"}, []string{"x.json", "line 2"}, policy.CodeInvalid},
		"truncated JSON":        {map[string]string{"x.json": good[:len(good)/2]}, []string{"x.json"}, policy.CodeInvalid},
		"trailing text":         {map[string]string{"x.json": good + "}"}, []string{"x.json"}, policy.CodeInvalid},
		"not YAML":              {map[string]string{"x.yaml": "a: [\n"}, []string{"x.yaml", "line"}, policy.CodeInvalid},
		"key twice in YAML":     {map[string]string{"x.yaml": "a: 1\n---\nname: x\nresources: {}\nname: y\n"}, []string{"x.yaml", "line 5", "name"}, policy.CodeInvalid},
		"key twice in JSON":     {map[string]string{"x.json": "{\"resources\":{},\n\"policyItems\":[{\"users\":[],\n\"users\":[]}]}"}, []string{"x.json", "policyItems[0].users", "duplicate key"}, policy.CodeInvalid},
		"empty file":            {map[string]string{"x.json": " \n"}, []string{"x.json", "empty"}, policy.CodeInvalid},
		"comments only":         {map[string]string{"x.yaml": "# nothing\n"}, []string{"x.yaml", "empty"}, policy.CodeInvalid},
		"unknown shape":         {map[string]string{"x.json": `{"colour":"red"}`}, []string{"x.json", "rangerRoles"}, policy.CodeInvalid},
		"a number":              {map[string]string{"x.yaml": "12\n"}, []string{"x.yaml"}, policy.CodeInvalid},
		"a suite":               {map[string]string{"x.json": `{"policies":[` + good + `],"tests":[]}`}, []string{"x.json", "test suite"}, policy.CodeInvalid},
		"deltas":                {map[string]string{"x.json": `{"policyDeltas":[]}`}, []string{"x.json", "policyDeltas"}, policy.CodeInvalid},
		"bad UTF-8":             {map[string]string{"x.json": "{\"serviceName\":\n\"\xff\",\"policies\":[]}"}, []string{"x.json", "serviceName", "UTF-8"}, policy.CodeInvalid},
		"bad UTF-8 in a policy": {map[string]string{"x.json": strings.Replace(good, `"sales"`, "\"sales\xff\"", 1)}, []string{"x.json", "policy 1", "resources.catalog.values[0]", "UTF-8"}, policy.CodeInvalid},
		"bad UTF-8 in YAML":     {map[string]string{"x.yaml": "name:\n  \xff"}, []string{"x.yaml", "line 2", "UTF-8"}, policy.CodeInvalid},
		"wrong type":            {map[string]string{"x.json": `{"id":9,"name":"n","resources":{"table":{"values":"a"}}}`}, []string{"x.json", "policy 9", "resources.table.values"}, policy.CodeInvalid},
		"YAML 1.1 boolean":      {map[string]string{"x.yaml": strings.Replace(allowYAML, "ann@example.com", "no", 1)}, []string{"x.yaml", "by hand", "users"}, policy.CodeInvalid},
		"unknown access type":   {map[string]string{"x.json": strings.Replace(good, `"select"`, `"sellect"`, 1)}, []string{"x.json", "policy 1", "policyItems[0].accesses[0].type", "sellect"}, policy.CodeInvalid},
		"unknown resource":      {map[string]string{"x.json": strings.Replace(good, `"table"`, `"tabel"`, 1)}, []string{"x.json", "policy 1", "resources.tabel"}, policy.CodeInvalid},
		"two user stores":       {map[string]string{"x.json": `{"userGroupMapping":{}}`, "y.json": `{"userGroupMapping":{}}`}, []string{"x.json", "y.json", "user store"}, policy.CodeInvalid},
		"two services":          {map[string]string{"x.json": `{"serviceName":"a","policies":[]}`, "y.json": `{"serviceName":"b","policies":[]}`}, []string{"x.json", "y.json", `"a"`, `"b"`}, policy.CodeInvalid},
		"two tag services":      {map[string]string{"x.json": good, "y.json": `{"tagPolicies":{"serviceName":"tags_a","policies":[]}}`, "z.json": `{"tagPolicies":{"serviceName":"tags_b","policies":[]}}`}, []string{"two tag services", "tags_a in", "y.json", "tags_b in", "z.json"}, policy.CodeInvalid},
		"two service defs":      {map[string]string{"x.json": `{"name":"a","resources":[{"name":"catalog"}],"accessTypes":[]}`, "y.json": `{"name":"a","resources":[{"name":"catalog"},{"name":"schema"}],"accessTypes":[]}`}, []string{"service definition"}, policy.CodeInvalid},
		"cyclic roles":          {map[string]string{"x.json": good, "y.json": `{"rangerRoles":[{"name":"a","roles":[{"name":"b"}]},{"name":"b","roles":[{"name":"a"}]}]}`}, []string{"a", "contains itself"}, policy.CodeInvalid},
		"empty folder":          {map[string]string{"readme.txt": "x"}, []string{"no policy file"}, policy.CodeRefused},
		"no policies":           {map[string]string{"x.json": `{"policies":[]}`}, []string{"no enabled policy", "policies.accept"}, policy.CodeRefused},
		"only disabled":         {map[string]string{"x.json": strings.Replace(good, `"id"`, `"isEnabled":false,"id"`, 1)}, []string{"no enabled policy"}, policy.CodeRefused},
		"nobody in it":          {map[string]string{"x.json": `{"id":1,"name":"x","resources":{"catalog":{"values":["a"]}},"policyItems":[{"groups":[],"accesses":[{"type":"select"}]}]}`}, []string{"no enabled policy"}, policy.CodeRefused},
		"access switched off":   {map[string]string{"x.json": `{"id":1,"name":"x","resources":{"catalog":{"values":["a"]}},"denyPolicyItems":[{"groups":["g"],"accesses":[{"type":"select","isAllowed":false}]}]}`}, []string{"no enabled policy"}, policy.CodeRefused},
		"role twice":            {map[string]string{"x.json": good, "y.json": `{"rangerRoles":[{"name":"a"}]}`, "z.json": `{"rangerRoles":[{"name":"a","users":[{"name":"u"}]}]}`}, []string{"role a", "y.json", "z.json"}, policy.CodeInvalid},
		"null":                  {map[string]string{"x.json": "null"}, []string{"x.json"}, policy.CodeInvalid},
		"deeply nested":         {map[string]string{"x.json": strings.Repeat("[", 100_000)}, []string{"x.json"}, policy.CodeInvalid},
		"alias bomb":            {map[string]string{"x.yaml": aliasBomb}, []string{"x.yaml"}, policy.CodeInvalid},
		"a page of policies":    {map[string]string{"x.json": good, "y.json": `{"startIndex":0,"pageSize":1,"totalCount":99,"resultSize":1,"policies":[` + allow(2, "b", "b") + `]}`}, []string{"y.json", "totalCount is 99 and there are 1 entries", "export all of it"}, policy.CodeInvalid},
		"the last page":         {map[string]string{"x.yaml": `{"startIndex":25,"policies":[` + good + `]}`}, []string{"x.yaml", "startIndex is 25"}, policy.CodeInvalid},
		"a shortened page":      {map[string]string{"x.json": `{"resultSize":2,"policies":[` + good + `]}`}, []string{"x.json", "resultSize is 2"}, policy.CodeInvalid},
		"a page of a text":      {map[string]string{"x.json": `{"totalCount":"many","policies":[` + good + `]}`}, []string{"x.json", "totalCount", "is no number"}, policy.CodeInvalid},
		"a page of roles":       {map[string]string{"x.json": good, "y.json": `{"startIndex":0,"pageSize":25,"totalCount":99,"roles":[{"name":"r"}]}`}, []string{"y.json", "totalCount is 99"}, policy.CodeInvalid},
		"a zone in two files":   {map[string]string{"x.json": zone("z"), "y.json": zone("z")}, []string{"x.json", "y.json", "security zone z"}, policy.CodeInvalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, test.files)
			f := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1})
			s, err := f.Load(t.Context())
			if err == nil {
				t.Fatalf("loaded %d policies, want an error", len(s.Policies))
			}
			if got := policy.CodeOf(err); got != test.code {
				t.Errorf("class %q, want %q: %v", got, test.code, err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error does not say %q: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "\n") || f.Problem() == nil || f.Current() != nil {
				t.Errorf("error %q, problem %v, current %v", err, f.Problem(), f.Current())
			}
		})
	}
}

var aliasBomb = func() string {
	b := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		b += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	return b
}()

func zone(name string) string {
	return fmt.Sprintf(`{"policies":[],"securityZones":{%q:{"zoneName":%q,"policies":[]}}}`, name, name)
}

func TestFilesMissingPath(t *testing.T) {
	_, err := newFiles(t, source.FilesOptions{Path: filepath.Join(t.TempDir(), "nowhere")}).Load(t.Context())
	if policy.CodeOf(err) != policy.CodeNotFound || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got %v", err)
	}
}

func TestFilesBoundsSize(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.json": allow(1, "a", "a"), "b.json": allow(2, "b", "b")})
	_, err := newFiles(t, source.FilesOptions{Path: dir, MaxBytes: 300}).Load(t.Context())
	if policy.CodeOf(err) != policy.CodeTooLarge {
		t.Errorf("got %v", err)
	}
}

func TestFilesOptionsAreChecked(t *testing.T) {
	for _, o := range []source.FilesOptions{{}, {Path: "x", Debounce: -1}, {Path: "x", Guard: source.GuardOptions{MaxShrink: 2}}} {
		if _, err := source.NewFiles(o); policy.CodeOf(err) != policy.CodeInvalid {
			t.Errorf("%+v: got %v", o, err)
		}
	}
}

func TestFilesPicksAService(t *testing.T) {
	dir := t.TempDir()
	export := strings.ReplaceAll(`{"policies":[`+allow(1, "mine", "a")+`,`+allow(2, "other", "b")+`]}`, `"name":"mine"`, `"service":"uc","name":"mine"`)
	export = strings.Replace(export, `"name":"other"`, `"service":"hive","name":"other"`, 1)
	write(t, dir, map[string]string{"export.json": export})
	s := load(t, source.FilesOptions{Path: filepath.Join(dir, "export.json"), Service: "uc"})
	if len(s.Policies) != 1 || s.Policies[0].Name != "mine" || s.Service != "uc" {
		t.Errorf("got %+v", s.Policies)
	}
}

// A policy whose one resource is a tag is on tags, whether or not it says the type of its service, and wherever it stands.
func TestFilesTellsTagPoliciesApart(t *testing.T) {
	for _, of := range []string{`"service":"tags","serviceType":"tag",`, `"service":"tags",`, `"service":"tags","serviceType":"TAG",`, ``} {
		tag := `{"id":90,"name":"pii",` + of + `"resources":{"tag":{"values":["PII"]}},` +
			`"denyPolicyItems":[{"accesses":[{"type":"databricks-unity-catalog:select"}],"groups":["public"]}]}`
		for name, files := range map[string]map[string]string{
			"among others":   {"a.json": `{"policies":[` + allow(1, "a", "a") + `,` + tag + `]}`},
			"of a service":   {"a.json": `{"serviceName":"uc","policies":[` + allow(1, "a", "a") + `,` + tag + `]}`},
			"a file of it":   {"a.json": `{"serviceName":"uc","policies":[` + allow(1, "a", "a") + `]}`, "b.json": `{"serviceName":"tags","policies":[` + tag + `]}`},
			"a list":         {"a.json": `{"serviceName":"uc","policies":[` + allow(1, "a", "a") + `]}`, "b.json": `[` + tag + `]`},
			"alone":          {"a.json": `{"serviceName":"uc","policies":[` + allow(1, "a", "a") + `]}`, "b.json": tag},
			"of two folders": {"x/a.json": `{"policies":[` + allow(1, "a", "a") + `]}`, "y/b.json": tag},
		} {
			dir := t.TempDir()
			write(t, dir, files)
			s := load(t, source.FilesOptions{Path: dir})
			if len(s.Policies) != 1 || s.TagPolicies == nil || len(s.TagPolicies.Policies) != 1 || of != "" && s.TagPolicies.ServiceName != "tags" {
				t.Errorf("%s, %s: policies %v, tag policies %+v", of, name, len(s.Policies), s.TagPolicies)
			}
		}
	}
}

// Listings of Ranger Admin that hold all that they count are read, and its exports, which count nothing.
func TestWholeListings(t *testing.T) {
	for _, page := range []string{`"startIndex":0,"pageSize":200,"totalCount":1,"resultSize":1`, `"startIndex":0,"pageSize":0,"totalCount":0,"resultSize":0`,
		`"startIndex":null,"totalCount":null`, `"totalCount":"1"`, `"pageSize":25`} {
		s, err := newFiles(t, source.FilesOptions{Debounce: 1, Path: tempWith(t, map[string]string{
			"x.json": "{" + page + `,"policies":[` + allow(1, "a", "a") + `]}`, "y.json": "{" + page + `,"roles":[{"name":"r"}]}`})}).Load(t.Context())
		if err != nil || len(s.Policies) != 1 || len(s.Roles) != 1 {
			t.Errorf("%s: %v, %v", page, s, err)
		}
	}
}

func TestRangerExportParses(t *testing.T) {
	path := "../../../shared/ranger/trino-policies.json"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not here", path)
	}
	s := load(t, source.FilesOptions{Path: path})
	if len(s.Policies) != 11 || s.Service != "cl1_trino" {
		t.Errorf("%d policies of %q", len(s.Policies), s.Service)
	}
}

// logged collects log lines.
type logged struct{ bytes.Buffer }

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&l.Buffer, nil)) }

func (l *logged) count(part string) int { return strings.Count(l.String(), part) }

func TestFilesKeepsTheLastGood(t *testing.T) {
	dir := t.TempDir()
	var log logged
	reg := prometheus.NewRegistry()
	f := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1, Logger: log.logger(), Registerer: reg})
	step := func(what string, files map[string]string, wantPolicies int, wantProblem string) *ranger.Snapshot {
		t.Helper()
		write(t, dir, files)
		s, err := f.Load(context.Background())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if len(s.Policies) != wantPolicies || s != f.Current() {
			t.Fatalf("%s: %d policies, want %d", what, len(s.Policies), wantPolicies)
		}
		switch problem := f.Problem(); {
		case wantProblem == "" && problem != nil:
			t.Fatalf("%s: problem %v", what, problem)
		case wantProblem != "" && (problem == nil || !strings.Contains(problem.Error(), wantProblem)):
			t.Fatalf("%s: problem %v, want %q", what, problem, wantProblem)
		}
		return s
	}
	first := step("start", map[string]string{"p.json": list(10)}, 10, "")
	step("same again", nil, 10, "")
	for range 3 {
		step("broken", map[string]string{"p.json": "{"}, 10, "p.json")
	}
	step("broken differently", map[string]string{"p.json": "[1]"}, 10, "p.json")
	shrunk := step("shrunk", map[string]string{"p.json": list(4)}, 10, "6 of 10 policies are gone")
	if shrunk.Version != first.Version {
		t.Errorf("a refusal changed the version")
	}
	step("half is not more than half", map[string]string{"p.json": list(5)}, 5, "")
	last := step("more", map[string]string{"p.json": list(6)}, 6, "")
	again := step("back to the first", map[string]string{"p.json": list(10)}, 10, "")
	if !(first.Version < last.Version && last.Version < again.Version) || again.Digest != first.Digest {
		t.Errorf("versions %d %d %d, digests %s %s", first.Version, last.Version, again.Version, first.Digest, again.Digest)
	}
	step("emptied", map[string]string{"p.json": "[]"}, 10, "no enabled policy")
	if n := log.count("level=WARN"); n != 4 {
		t.Errorf("%d warnings, want one for each of 4 problems:\n%s", n, log.String())
	}
	if n := log.count("works again"); n != 1 {
		t.Errorf("%d times works again, want 1", n)
	}
	if got := gauge(t, reg, "ucwarden_policy_source_held"); got != 1 {
		t.Errorf("held is %v", got)
	}
	problem := f.Problem().Error()
	digest := problem[strings.LastIndex(problem, " ")+1:]
	f.Accept(digest)
	step("accepted", nil, 0, "")
}

// gauge reads the one value of a metric.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name && len(family.GetMetric()) == 1 {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestFilesCacheOutlivesTheProcess(t *testing.T) {
	dir, cacheDir := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	var log logged
	options := source.FilesOptions{Path: dir, CacheDir: cacheDir, Debounce: 1, Logger: log.logger()}
	write(t, dir, map[string]string{"p.json": list(10)})
	first := load(t, options)

	write(t, dir, map[string]string{"p.json": list(2)})
	f := newFiles(t, options)
	s, err := f.Load(t.Context())
	if err != nil || s.Digest != first.Digest || s.Version != first.Version || f.Problem() == nil {
		t.Fatalf("a restart let a shrunken folder in: %v %v %v", s, err, f.Problem())
	}
	if s.Origins[3] != filepath.Join(dir, "p.json") {
		t.Errorf("origins are lost: %v", s.Origins)
	}
	if log.count("confirmed_ago") != 1 {
		t.Errorf("the warning does not say how old the snapshot is:\n%s", log.String())
	}
	write(t, dir, map[string]string{"p.json": list(11)})
	if s := load(t, options); len(s.Policies) != 11 || s.Version <= first.Version {
		t.Errorf("%d policies, version %d after %d", len(s.Policies), s.Version, first.Version)
	}
}

func TestCacheIsNotTrustedBlindly(t *testing.T) {
	tests := map[string]func(path string) error{
		"changed byte": func(path string) error {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, bytes.Replace(data, []byte("sales"), []byte("salem"), 1), 0o600)
		},
		"truncated":      func(path string) error { return os.Truncate(path, 200) },
		"emptied":        func(path string) error { return os.Truncate(path, 0) },
		"open to others": func(path string) error { return os.Chmod(path, 0o666) },
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			dir, cacheDir := t.TempDir(), t.TempDir()
			var log logged
			options := source.FilesOptions{Path: dir, CacheDir: cacheDir, Debounce: 1, Logger: log.logger()}
			write(t, dir, map[string]string{"p.json": list(3)})
			load(t, options)
			entries, err := os.ReadDir(cacheDir)
			if err != nil || len(entries) != 1 {
				t.Fatalf("cache folder: %v %v", entries, err)
			}
			if info, err := entries[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v %v", info.Mode(), err)
			}
			if err := damage(filepath.Join(cacheDir, entries[0].Name())); err != nil {
				t.Fatal(err)
			}
			write(t, dir, map[string]string{"p.json": "{"})
			if s, err := newFiles(t, options).Load(t.Context()); err == nil {
				t.Fatalf("a damaged cache was used: %d policies", len(s.Policies))
			}
			if log.count("is not used") != 1 {
				t.Errorf("no warning:\n%s", log.String())
			}
		})
	}
}
