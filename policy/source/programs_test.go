package source_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ucwarden/policy/source"
)

// Documents of other programs have keys that are near ours. They are left out by what these hold, and a misspelt document of ours
// is not.
func TestDocumentsOfOtherPrograms(t *testing.T) {
	const kubernetes = "apiVersion: v1\nkind: X\nmetadata: {name: x}\n"
	own := allow(77, "own", "t")
	deny := strings.Replace(allow(2, "x", "t"), "policyItems", "denyPolicyItems", 1)
	for name, text := range map[string]string{
		"a role":                        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: x}\nrules:\n- {apiGroups: [''], resources: [pods], verbs: [get]}\n",
		"an audit policy":               "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n",
		"a role binding":                kubernetes + "subjects: [{kind: User, name: ann}]\nroleRef: {kind: Role, name: x}\n",
		"a config map":                  kubernetes + "data: {colour: red}\n",
		"a config map without data":     kubernetes + "data: {}\n",
		"a list":                        kubernetes + "items:\n- {apiVersion: v1, kind: ConfigMap, data: {a: b}, spec: {policyTypes: [Ingress]}}\n",
		"an empty list":                 kubernetes + "items: []\n",
		"a policy of another kind":      kubernetes + "policy: {}\n",
		"a kubeconfig":                  "apiVersion: v1\nkind: Config\nusers: [{name: ann, user: {token: x}}]\n",
		"rules of another program":      "rules: [{a: b}]\n",
		"rules with names":              "rules: [{name: x, when: always}]\n",
		"rules by name":                 "rules: {quotes: [error, double]}\n",
		"services":                      "service: {image: x}\n",
		"items of a feed":               "items: [{title: x}]\n",
		"two documents, one is ours":    kubernetes + "rules: [{a: b}]\n---\n" + allow(3, "ours", "t3"),
		"a list of catalogs and hosts":  "items: [{catalog: main, host: x}]\n",
		"a bundle of Databricks":        "bundle: {name: x}\nresources:\n  schemas: {my: {catalog_name: main, name: s, grants: [{principal: analysts, privileges: [SELECT]}]}}\n  jobs: {j: {tasks: []}}\ntargets: {dev: {mode: development}}\n",
		"catalogs of a bundle":          "resources: {catalogs: {my: {name: main}}}\n",
		"the values of a chart":         "resources: {}\npolicy: {enabled: true}\nserviceAccount: {create: true}\n",
		"sources of dbt":                "version: 2\nsources: [{name: raw, database: main, schema: emea, tables: [{name: orders}]}]\n",
		"sources of dbt without tables": "version: 2\nsources: [{name: x, tags: [pii], tables: []}]\n",
		"models of dbt":                 "version: 2\nmodels: [{name: orders, columns: [{name: id, data_tests: [unique]}]}]\n",
		"data of OPA":                   "roles: {admin: [x]}\nusers: {ann: {}}\n",
		"data of OPA, with a role":      "roles: {admin: {permissions: [read]}}\n",
		"a schema":                      "type: object\ndefinitions: {table: {type: string}}\n",
		"roles of hosts":                "roles: [web, db]\n",
		"roles by name of a host":       "roles: {web: {hosts: [a]}}\n",
		"policies of another program":   "policies: [{name: x, type: system.data-compaction, content: '{}'}]\n",
		"our own configuration":         "policies: {path: policies}\ndatabricks: {host: https://x}\nscope: {catalogs: [main]}\n",
		"a list with data":              "- {id: 1, data: x}\n- {id: 2, mask: y}\n",
	} {
		s, err := newFiles(t, source.FilesOptions{Path: tempWith(t, map[string]string{"x.yaml": text, "own.json": own}), Debounce: 1}).Load(t.Context())
		if err != nil || leftOut(s) != "x.yaml none" || faultsOf(s) != "" {
			t.Errorf("%s: %v; %v", name, err, s)
		}
	}
	for name, text := range map[string]string{
		"a list of roles":     "[{name: r, users: [{name: ann}]}]\n",
		"roles":               "roles: [{name: r, groups: []}]\n",
		"no roles":            "roles: []\n",
		"a policy of a name":  "{name: x, resources: {catalog: [main]}}\n",
		"policies of a name":  "policies: [{name: x, resources: {catalog: {values: [main]}}}]\n",
		"nothing":             "policies: [null]\n",
		"empty policies":      "policies: ['', {}]\n",
		"no policies, headed": "{metaDataInfo: {}, policies: [{name: x}]}\n",
		"a closed policy":     "{resources: {catalog: {values: [main]}}, isDenyAllElse: true}\n",
		"a list of one":       "[{id: 5, resources: {schema: {values: [x]}, catalog: {values: [main]}}}]\n",
	} {
		s, err := newFiles(t, source.FilesOptions{Path: tempWith(t, map[string]string{"x.yaml": text, "own.json": own}), Debounce: 1}).Load(t.Context())
		if err == nil && leftOut(s) != "" {
			t.Errorf("%s: left out %v", name, leftOut(s))
		}
	}
	for text, want := range map[string]string{"policies: null\n": "policies is null", "rangerRoles:\n": "rangerRoles is null"} {
		s, err := newFiles(t, source.FilesOptions{Path: tempWith(t, map[string]string{"x.yaml": text, "own.json": own}), Debounce: 1}).Load(t.Context())
		switch {
		case err != nil && !strings.Contains(err.Error(), want):
			t.Errorf("%q: %v", text, err)
		case err == nil && (leftOut(s) != "x.yaml narrower" || !strings.Contains(s.Problems[0].Message, want)):
			t.Errorf("%q: left out %v", text, s.Problems)
		}
	}
	misspelt := strings.NewReplacer("policyItems", "policyItem", "accesses", "access", "groups", "group")
	for name, text := range map[string]string{
		"policies":                   "polices: [" + allow(2, "x", "t") + "]\n",
		"policies, all misspelt":     "polices: [" + misspelt.Replace(allow(2, "x", "t")) + "]\n",
		"policies by name":           "policie: {x: " + misspelt.Replace(allow(2, "x", "t")) + "}\n",
		"policies of a known style":  kubernetes + "polices: [" + allow(2, "x", "t") + "]\n",
		"no policies":                "policie: []\n",
		"nested too deep to tell":    "policie: " + strings.Repeat("[", 30) + strings.Repeat("]", 30) + "\n",
		"denies in a text":           kubernetes + "data: {p.json: '" + deny + "'}\n",
		"denies in a specification":  kubernetes + "spec: " + deny + "\n",
		"roles":                      "rules: [{name: r, users: [{name: ann}]}]\n",
		"roles of members":           "role: [{name: r, user: [{name: ann}]}]\n",
		"roles without a name":       "role: [{Name: r, user: [{name: ann}]}]\n",
		"roles of nothing":           "roles: ['']\n",
		"roles that are a number":    "roles: 0\n",
		"roles with nobody in them":  "role: [{name: r, description: x}]\n",
		"roles of a known style":     kubernetes + "role: [{name: r, groups: []}]\n",
		"a user store":               "userGroupsMapping: {ann: [g]}\n",
		"tagged resources":           "serviceResource: [{id: 1, resourceElements: {catalog: {values: [a]}}}]\n",
		"which tags resources carry": "resourceToTagsIds: {'1': [2]}\n",
		"resources":                  "name: x\nresource: {catalog: {values: [a]}}\nitems: []\n",
	} {
		s, err := newFiles(t, source.FilesOptions{Path: tempWith(t, map[string]string{"x.yaml": text, "own.json": own}), Debounce: 1}).Load(t.Context())
		if err == nil || !strings.Contains(err.Error(), "x.yaml") {
			t.Errorf("%s: %v; %v", name, err, s)
		}
	}
}

// Roles that cannot be read keep a version from coming in where policies name one of them, and are left out where nothing does:
// another program's have the same form.
func TestRolesThatCannotBeRead(t *testing.T) {
	named := strings.Replace(allow(2, "x", "t"), `"groups"`, `"roles":["R"],"groups"`, 1)
	holding := `{"rangerRoles":[{"name":"whole","roles":[{"name":"r"}]}]}`
	for name, text := range map[string]string{
		"members that are texts":   "roles: [{name: r, users: [ann]}]\n",
		"a member that is a text":  "roles: [{name: r, groups: wheel}]\n",
		"a field of its own":       "roles: [{name: r, users: [{name: ann, uid: 3}]}]\n",
		"a misspelt field":         "roles: [{Name: r, users: [{name: ann}]}]\n",
		"by team":                  "roles: {emea: [{name: r, users: [{name: ann}]}]}\n",
		"by name":                  "roles: {r: {users: [ann]}}\n",
		"by name, and named again": "roles: {r: {name: r, users: [ann]}}\n",
		"beside others":            "roles: [{name: a, users: [{name: ann}]}, {name: r, users: [ann]}]\n",
	} {
		files := map[string]string{"x.yaml": text, "own.json": allow(77, "own", "t")}
		s, err := newFiles(t, source.FilesOptions{Path: tempWith(t, files), Debounce: 1}).Load(t.Context())
		if err != nil || ids(s) != "77" || leftOut(s) != "x.yaml narrower" || !strings.Contains(s.Problems[0].Message, "no policy names a role of it: roles") {
			t.Errorf("%s, not named: %v, %v", name, err, s)
		}
		files["y.yaml"] = text + "---\n" + allow(78, "own", "t") // the others of its file count
		delete(files, "x.yaml")
		s, err = newFiles(t, source.FilesOptions{Path: tempWith(t, files), Debounce: 1}).Load(t.Context())
		if err != nil || ids(s) != "77 78" {
			t.Errorf("%s, beside a policy: %v, %v", name, err, s)
		}
		for what, by := range map[string]string{"a policy": named, "a role": holding} {
			files["z.json"] = by
			_, err := newFiles(t, source.FilesOptions{Path: tempWith(t, files), Debounce: 1}).Load(t.Context())
			if err == nil || !strings.Contains(err.Error(), "y.yaml: roles") || !strings.Contains(strings.ToLower(err.Error()), `(role "r" is named`) {
				t.Errorf("%s, named by %s: %v", name, what, err)
			}
		}
	}
	headed := "metaDataInfo: {}\nroles: [{name: r, users: [ann]}]\n" // an export of Ranger Admin
	if s, err := newFiles(t, source.FilesOptions{Path: tempWith(t, map[string]string{"x.yaml": headed, "own.json": allow(77, "own", "t")}), Debounce: 1}).Load(t.Context()); err == nil {
		t.Errorf("an export: %v", s)
	}
	// what was in force of such a file stays, as the version does
	dir := tempWith(t, map[string]string{"x.yaml": "roles: [{name: r, users: [{name: ann}]}]\n", "own.json": allow(77, "own", "t")})
	files := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1})
	if _, err := files.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"x.yaml": "roles: [{name: r, users: [ann]}]\n"})
	if s, err := files.Load(t.Context()); err != nil || len(s.Roles) != 1 || files.Problem() == nil {
		t.Errorf("roles that were in force: %v, %v; problem %v", s, err, files.Problem())
	}
}

// A service of which no policy can be told what it is about may be ours: one slip in the only policy of a file does not lose a deny.
func TestServiceOfPoliciesAboutNothingKnown(t *testing.T) {
	deny := strings.Replace(allow(2, "x", "t"), "policyItems", "denyPolicyItems", 1)
	for _, slip := range []string{"Resources", "resource", "resoures"} {
		text := `{"serviceName":"uc","policies":[` + strings.Replace(deny, "resources", slip, 1) + `]}`
		s, err := newFiles(t, source.FilesOptions{Path: tempWith(t, map[string]string{"x.json": text, "own.json": allow(77, "own", "t")}), Debounce: 1}).Load(t.Context())
		if err != nil || ids(s) != "77 2" || leftOut(s) != "" || !strings.Contains(faultsOf(s), "2 "+slip) {
			t.Errorf("%s: %v, %v", slip, err, s)
		}
		// beside policies of a service that is known to be ours, it is another's
		s, err = newFiles(t, source.FilesOptions{Path: tempWith(t, map[string]string{"own.json": ofService(allow(77, "own", "t"), "own", ""),
			"x.json": `{"serviceName":"acme_hive","policies":[{"id":1,"name":"a","resources":{"database":{"values":["x"]}}},` + strings.Replace(deny, "resources", slip, 1) + `]}`}), Debounce: 1}).Load(t.Context())
		if err != nil || ids(s) != "77" || leftOut(s) != "x.json none" {
			t.Errorf("%s of another service: %v, %v", slip, err, s)
		}
	}
}

// A file that holds nothing but comments is left out without a word of warning; one that held policies keeps them.
func TestOnlyComments(t *testing.T) {
	for _, text := range []string{"# nothing\n", "---\n---\n", "# denyPolicyItems: []\n"} {
		dir := tempWith(t, map[string]string{"x.yaml": text, "own.json": allow(77, "own", "t")})
		f := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1})
		if s, err := f.Load(t.Context()); err != nil || leftOut(s) != "x.yaml none" {
			t.Errorf("%q: %v, left out %v", text, err, s)
		}
		write(t, dir, map[string]string{"x.yaml": allow(1, "a", "t1")})
		if s, err := f.Load(t.Context()); err != nil || ids(s) != "77 1" || leftOut(s) != "" {
			t.Errorf("%q: %v", text, err)
		}
		write(t, dir, map[string]string{"x.yaml": text})
		if s, err := f.Load(t.Context()); err != nil || ids(s) != "77 1" || leftOut(s) != "x.yaml wider" {
			t.Errorf("%q: %v, left out %v", text, err, s)
		}
	}
}

// A file in the folder that holds policies and is not read, by its name, is named; other files are not.
func TestPoliciesInFilesThatAreNotRead(t *testing.T) {
	deny := strings.Replace(allow(2, "x", "t"), "policyItems", "denyPolicyItems", 1)
	large := "[" + deny + strings.Repeat("\n", 1<<17) + "]"
	for name, tc := range map[string]struct{ text, left string }{
		"deny.jsonc":      {"// denies\n/* of\nAna */ [" + deny + "]", "deny.jsonc wider"},
		"deny.txt":        {"[" + deny + "]", "deny.txt wider"},
		"deny":            {deny, "deny wider"},
		"deny.yaml.txt":   {"name: x\nresources: {catalog: {values: [a]}}\ndenyPolicyItems: []\n", "deny.yaml.txt wider"},
		"large.json5":     {large, "large.json5 wider"},
		"allow.txt":       {allow(2, "x", "t"), "allow.txt narrower"},
		"people.txt":      {`{"userGroupMapping":{"ann":["g"]}}`, "people.txt wider"},
		"sub/deny.conf":   {deny, "deny.conf wider"},
		"deny.json.bak":   {deny, "deny.json.bak none"},
		"deny.json.off":   {deny, "deny.json.off none"},
		"deny.json~":      {deny, ""},
		"#deny.json#":     {deny, ""},
		"deny.json.tmp":   {deny, ""},
		"README.md":       {"# Policies\n\nA deny stands in `denyPolicyItems`: see \"denyPolicyItems\": [].\n", ""},
		"notes.txt":       {"Ask Ana.\n", ""},
		"Makefile":        {"lint:\n\tucwarden policy lint .\n", ""},
		"main.tf":         {"resource \"x\" \"y\" {\n  policies = []\n}\n", ""},
		"other.txt":       {"a: b\n", ""},
		"list.txt":        {"- a\n- b\n", ""},
		"suite.txt":       {`{"tests":[],"policies":[` + allow(2, "x", "t") + `]}`, "suite.txt narrower"},
		"empty.txt":       {"", ""},
		".hidden.txt":     {deny, ""},
		"prose in braces": {"{see denyPolicyItems}", ""},
	} {
		dir := tempWith(t, map[string]string{"own.json": allow(77, "own", "t")})
		f := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1})
		if _, err := f.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, dir, map[string]string{name: tc.text})
		s, err := f.Load(t.Context())
		if err != nil || f.Problem() != nil || ids(s) != "77" || leftOut(s) != tc.left {
			t.Errorf("%s: %v, %v: left out %q, want %q: %v", name, err, f.Problem(), leftOut(s), tc.left, s.Problems)
		}
	}
	// where it is all there is, the error says so
	_, err := newFiles(t, source.FilesOptions{Path: tempWith(t, map[string]string{"p.txt": allow(1, "a", "t")}), Debounce: 1}).Load(t.Context())
	if err == nil || !strings.Contains(err.Error(), "p.txt: left out: its name is not that of a policy file") {
		t.Error(err)
	}
}

// A policy whose resources cannot be understood may be ours, whatever they are called: what it denies is not left out as another service's.
func TestResourcesThatAreNone(t *testing.T) {
	deny := `{"id":3,"name":"no","service":"uc","resources":{"x":1},"denyPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}`
	for resources, want := range map[string]string{`{"x":1}`: "", `{"x":{"values":["a"]}}`: "x.json none"} {
		s, err := newFiles(t, source.FilesOptions{Path: tempWith(t, map[string]string{"x.json": strings.Replace(deny, `{"x":1}`, resources, 1), "own.json": allow(77, "own", "t")}), Debounce: 1}).Load(t.Context())
		if err != nil || leftOut(s) != want {
			t.Errorf("%s: %v; %v", resources, err, s)
		}
	}
}

// Templates and logs of other programs are left out as a note, though they are no documents; a text that may be a broken document of
// policies is not, and security zones as Ranger Admin keeps them are refused: without them policies hold where they should not.
func TestTextsThatAreNoDocuments(t *testing.T) {
	const zone = `{"id":1,"name":"z","services":{"uc":{"resources":[{"catalog":["a"]}]}},"tagServices":[],"adminUsers":["admin"]}`
	for name, tc := range map[string]struct{ file, text, want string }{
		"a chart's template":        {"x.yaml", "{{- if .Values.rbac.create }}\napiVersion: v1\nkind: Role\nmetadata:\n  name: {{ .Release.Name }}\nrules: []\n{{- end }}\n", "x.yaml none"},
		"a template of Jinja":       {"x.yml", "hosts:\n{% for p in list %}\n  - {{ p }}\n{% endfor %}\n", "x.yml none"},
		"a log":                     {"x.json", "{\"user\":\"ann\",\"action\":\"SELECT\"}\n{\"user\":\"bob\"}\n", "x.json none"},
		"a package of npm":          {"package.json", `{"name":"x","version":"1.0.0","scripts":{"test":"jest"},"resources":{}}`, "package.json none"},
		"an export of Keycloak":     {"x.json", `{"realm":"x","users":[{"username":"ann","groups":["/hr"]}],"roles":{"realm":[{"name":"admin","composite":false,"attributes":{}}]},"clientPolicies":{"policies":[]}}`, "x.json none"},
		"roles of OPA":              {"x.yaml", "roles:\n- {analyst: [read]}\n- {admin: {can: read}}\n", "x.yaml none"},
		"a manifest of dbt":         {"x.json", `{"metadata":{"v":"1"},"nodes":{"m":{"database":"main","columns":{"id":{"tags":["pii"]}}}},"sources":{},"groups":{}}`, "x.json none"},
		"JSON with comments":        {"x.json", "{\n  // who is denied\n  \"extends\": [\"a\"]\n}\n", "x.json none"},
		"a text with an inch":       {"x.yaml", "---\ntitle: x\n---\nA 5\" nail isn't: here\n", "x.yaml none"},
		"no policies, misspelt":     {"x.json", `{"polices":[],"version":1}`, "refused"},
		"policies with comments":    {"x.json", "{\n  // mine\n  \"policies\": []\n}\n", "x.json narrower"},
		"a template of policies":    {"x.yaml", "policies:\n{% for p in list %}\n- name: {{ p }}\n{% endfor %}\n", "x.yaml narrower"},
		"a log of policies":         {"x.json", "{\"policyItems\":[]}\n{\"policyItems\":[]}\n", "x.json narrower"},
		"a zone":                    {"x.json", zone, "refused"},
		"a list of zones":           {"x.json", "[" + zone + "]", "refused"},
		"zones as the server lists": {"x.json", `{"startIndex":0,"securityZones":[` + zone + `]}`, "refused"},
	} {
		s, err := newFiles(t, source.FilesOptions{Path: tempWith(t, map[string]string{tc.file: tc.text, "own.json": allow(77, "own", "t")}), Debounce: 1}).Load(t.Context())
		got := "refused"
		if err == nil {
			got = leftOut(s)
		} else if !strings.Contains(err.Error(), "write them into securityZones") && !strings.Contains(err.Error(), "did you mean policies?") {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}
