package source_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source"
	"ucwarden/policy/source/rangeradmin"
	"ucwarden/policy/source/rangertest"
)

// A file with a field that Ranger's model does not have, in a policy or around the policies, is refused: its policies stay as
// they were last verified, across a restart too, until it is corrected, and the other policies go on. What was never verified
// is a fault, and allows nothing.
func TestFieldsThatTheModelDoesNotHave(t *testing.T) {
	with := func(fields string) string { return `{"policies":[{` + fields + allow(2, "second", "t2")[1:] + "]}" }
	for name, tc := range map[string]struct{ text, fault, path string }{
		"near a known one":      {with(`"denyPolicyItem":[],`), "2 denyPolicyItem", "denyPolicyItem: it is not a field of Ranger's model; did you mean denyPolicyItems?"},
		"far from any":          {with(`"owner":"ana",`), "2 owner", "owner: it is not a field of Ranger's model"},
		"in an item":            {strings.Replace(with(""), `"groups"`, `"extra":1,"groups"`, 1), "2 policyItems[0].extra", "policyItems[0].extra: it is not a field"},
		"in a resource":         {strings.Replace(with(""), `"values"`, `"regex":true,"values"`, 1), "2 resources.catalog.regex", "resources.catalog.regex: it is not a field"},
		"around the policies":   {strings.Replace(with(""), "{", `{"comment":1,`, 1), "2 its file", "comment is not a field of Ranger's model"},
		"in a list":             {"[{\"owner\":0," + allow(2, "second", "t2")[1:] + "]", "2 owner", "owner: it is not a field"},
		"in a policy by itself": {`{"owner":0,` + allow(2, "second", "t2")[1:], "2 owner", "owner: it is not a field"},
	} {
		t.Run(name, func(t *testing.T) {
			first := load(t, source.FilesOptions{Path: tempWith(t, map[string]string{"x.json": tc.text, "own.json": allow(1, "own", "t1")}), Debounce: 1})
			if got := faultsOf(first); got != tc.fault {
				t.Errorf("never verified: faults %q, want %q", got, tc.fault)
			}

			dir := tempWith(t, map[string]string{"x.json": allow(2, "second", "old"), "own.json": allow(1, "own", "t1")})
			reg := prometheus.NewRegistry()
			options := source.FilesOptions{Path: dir, CacheDir: t.TempDir(), Debounce: 1}
			f := newFiles(t, source.FilesOptions{Path: dir, CacheDir: options.CacheDir, Debounce: 1, Registerer: reg})
			step := func(what string, f *source.Files, tables string, problem string) {
				t.Helper()
				s, err := f.Load(t.Context())
				if err != nil || f.Problem() != nil {
					t.Fatalf("%s: %v, problem %v", what, err, f.Problem())
				}
				var got []string
				for _, p := range s.Policies {
					got = append(got, p.Resources["table"].Values...)
				}
				slices.Sort(got)
				if strings.Join(got, " ") != tables || faultsOf(s) != "" {
					t.Errorf("%s: tables %v, want %s; faults %s", what, got, tables, faultsOf(s))
				}
				texts := fmt.Sprint(s.Problems)
				if want := 1; problem == "" && len(s.Problems) > 0 || problem != "" && (len(s.Problems) != want || !s.Problems[0].LeftOut || s.Problems[0].Effect != policy.EffectWider || !strings.Contains(texts, problem)) {
					t.Errorf("%s: problems %s, want %q", what, texts, problem)
				}
			}
			step("good", f, "old t1", "")
			write(t, dir, map[string]string{"x.json": tc.text})
			step("refused", f, "old t1", tc.path)
			if got := gauge(t, reg, "ucwarden_policy_snapshot_left_out"); got != 1 {
				t.Errorf("the gauge is %v", got)
			}
			write(t, dir, map[string]string{"own.json": allow(1, "own", "t9")})
			step("others go on", f, "old t9", tc.path)
			step("after a restart", newFiles(t, options), "old t9", tc.path)
			write(t, dir, map[string]string{"x.json": allow(2, "second", "new")})
			step("corrected", f, "new t9", "")

			write(t, dir, map[string]string{"x.json": tc.text})
			if err := os.Remove(filepath.Join(dir, "own.json")); err != nil {
				t.Fatal(err)
			}
			before := f.Current()
			if s, err := f.Load(t.Context()); err != nil || s.Digest != before.Digest || f.Problem() == nil || !strings.Contains(f.Problem().Error(), tc.path) {
				t.Errorf("nothing verified remains: in force %v, %v; problem %v", s, err, f.Problem())
			}
		})
	}
}

// Of many policies with the same field one problem says it.
func TestTheSameFieldOfManyPolicies(t *testing.T) {
	dir := tempWith(t, map[string]string{"p.json": list(50), "own.json": allow(77, "own", "t")})
	f := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1})
	if _, err := f.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"p.json": strings.ReplaceAll(list(50), `"name"`, `"owner":1,"name"`)})
	s, err := f.Load(t.Context())
	if err != nil || len(s.Policies) != 51 || faultsOf(s) != "" || len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Message, "and of 49 others") {
		t.Errorf("%v; faults %s, problems %v", err, faultsOf(s), s.Problems)
	}
}

// A field around policies may hold what they would need, or stand for what was taken out: the file as a whole stays as it was last
// verified, and where it never was, no version comes in that may lack a deny.
func TestFieldsAroundPolicies(t *testing.T) {
	deny := strings.Replace(allow(3, "no", "t3"), "policyItems", "denyPolicyItems", 1)
	for name, tc := range map[string]struct {
		fields  string
		refused bool // where nothing was verified
	}{
		"a text":                    {`"comment":"who is denied is in the handbook"`, false},
		"a number":                  {`"foo":1`, false},
		"facts":                     {`"facts":{"author":["ana"]}`, false},
		"allows":                    {`"further":[` + allow(4, "x", "t4") + `]`, false},
		"denies":                    {`"further":[` + deny + `]`, true},
		"denies, escaped":           {`"further":[` + strings.Replace(deny, "deny", `\u0064eny`, 1) + `]`, true},
		"denies in an object":       {`"further":{"a":{"b":` + deny + `}}`, true},
		"denies, misspelt":          {`"further":[{"deniedItems":[]}]`, true},
		"denies beside other facts": {`"foo":1,"further":[` + deny + `]`, true},
	} {
		t.Run(name, func(t *testing.T) {
			text := `{"policies":[` + allow(1, "a", "t1") + "]," + tc.fields + "}"
			s, err := newFiles(t, source.FilesOptions{Path: tempWith(t, map[string]string{"x.json": text, "own.json": allow(77, "own", "t9")}), Debounce: 1}).Load(t.Context())
			switch {
			case tc.refused:
				if err == nil || !strings.Contains(err.Error(), "may take access away") {
					t.Errorf("never verified: %v, %v", s, err)
				}
			case err != nil || faultsOf(s) != "1 its file":
				t.Errorf("never verified: %v, %v", s, err)
			}

			dir := tempWith(t, map[string]string{"x.json": `{"policies":[` + allow(1, "a", "t1") + "," + deny + "]}", "own.json": allow(77, "own", "t9")})
			f := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1})
			if _, err := f.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			write(t, dir, map[string]string{"x.json": text, "own.json": allow(78, "own", "t9")})
			s, err = f.Load(t.Context())
			if err != nil || f.Problem() != nil || ids(s) != "78 1 3" && ids(s) != "1 3 78" || faultsOf(s) != "" || leftOut(s) != "x.json wider" {
				t.Errorf("verified before: %v, %v, %s: faults %s, left out %s", err, f.Problem(), ids(s), faultsOf(s), leftOut(s))
			}
		})
	}
}

// What names a kind of document and stands beside another is told where it belongs; what almost names one, what it almost is.
// A value of the wrong kind around policies closes what the policies of its file are about, and the rest holds; what was last verified of
// the file stays. One by which other policies are read keeps the version from coming in.
func TestValuesAroundPolicies(t *testing.T) {
	own := allow(77, "own", "t")
	deny := strings.Replace(allow(2, "x", "t"), "policyItems", "denyPolicyItems", 1)
	for name, field := range map[string]string{
		"policyVersion: a JSON string does not fit here, want a whole number, without quotes": `"policyVersion":"x"`,
		"policyVersion: a JSON number 1.5 does not fit here, want a whole number":             `"policyVersion":1.5`,
		"serviceId: a JSON string": `"serviceId":"3"`,
		"serviceName: a JSON number does not fit here, want a string, in quotes": `"serviceName":3`,
	} {
		doc := `{` + field + `,"policies":[` + allow(1, "a", "t") + `,` + deny + `]}`
		dir := tempWith(t, map[string]string{"x.json": doc, "own.json": own})
		s, err := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1}).Load(t.Context())
		if err != nil || faultsOf(s) != "1 its file, 2 its file" || len(s.Policies) != 3 || !strings.HasPrefix(s.Policies[1].Faults[0].Reason, name) {
			t.Errorf("%s: %v, %v", field, err, s)
		}
		write(t, dir, map[string]string{"x.json": strings.Replace(doc, field, `"policyVersion":7`, 1)})
		f := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1})
		if s, err := f.Load(t.Context()); err != nil || faultsOf(s) != "" {
			t.Errorf("corrected: %v, %v", err, s)
		}
		write(t, dir, map[string]string{"x.json": strings.Replace(doc, deny, allow(2, "x", "t"), 1)})
		if s, err := f.Load(t.Context()); err != nil || faultsOf(s) != "" || len(s.Policies) != 3 || len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Message, name) {
			t.Errorf("what was verified does not stay: %v, %v", err, s)
		}
	}
	empty := tempWith(t, map[string]string{"x.json": `{"policyVersion":"x","policies":[]}`, "own.json": own})
	if s, err := newFiles(t, source.FilesOptions{Path: empty, Debounce: 1}).Load(t.Context()); err != nil || leftOut(s) != "x.json narrower" {
		t.Errorf("no policies: %v, %v", err, s)
	}
	for _, field := range []string{`"serviceDef":"x"`, `"serviceDef":{"resources":"x"}`, `"serviceConfig":{"a":1}`, `"securityZones":{"z":"x"}`, `"tagPolicies":[]`} {
		dir := tempWith(t, map[string]string{"x.json": `{` + field + `,"policies":[` + allow(1, "a", "t") + `]}`, "own.json": own})
		if s, err := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1}).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "x.json: ") {
			t.Errorf("%s: %v, %v", field, err, s)
		}
	}
}

func TestKeysOfDocuments(t *testing.T) {
	for text, want := range map[string]string{
		`{"policies":[],"rangerRoles":[]}`:                                      "rangerRoles belongs to a document of its own: move the roles to another file, or in YAML behind a line of ---",
		`{"policies":[],"userGroupMapping":{}}`:                                 "move the users and groups to another file",
		`{"rangerRoles":[],"userGroupMapping":{}}`:                              "move the users and groups to another file",
		`{"policys":[]}`:                                                        "(policys: did you mean policies?)",
		`{"metaDataInfo":{},"Policies":[]}`:                                     "(Policies: did you mean policies?)",
		`{"role":[{"name":"r"}]}`:                                               "(role: did you mean roles?)",
		`{"userGroupMappings":{"a":["b"]}}`:                                     "(userGroupMappings: did you mean userGroupMapping?)",
		`{"rangerRoles":[{"name":"r","colour":"red"}]}`:                         "rangerRoles[0].colour is not a field of Ranger's model",
		`{"userGroupMapping":{},"colour":"red"}`:                                "colour is not a field of Ranger's model",
		`{"policies":[],"securityZones":{"z":{"colour":1}}}`:                    "",
		`{"name":"r","users":[{"name":"ann"}]}`:                                 "a role stands in a list, as the value of rangerRoles",
		`{"policies":[],"securityZones":{"z":{"resources":[{"catalog":"a"}]}}}`: "x.json: securityZones.z.resources[0].catalog: ",
	} {
		dir := tempWith(t, map[string]string{"x.json": text})
		_, err := newFiles(t, source.FilesOptions{Path: filepath.Join(dir, "x.json"), Debounce: 1}).Load(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// A document of another program in a file of several is left out alone; one that may hold denies is not.
func TestForeignDocumentsInAFile(t *testing.T) {
	dir := tempWith(t, map[string]string{"x.yaml": allow(1, "a", "old") + "\n---\n" + allow(2, "b", "t2"), "own.json": allow(77, "own", "t")})
	f := newFiles(t, source.FilesOptions{Path: dir, Debounce: 1})
	if _, err := f.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"x.yaml": allow(1, "a", "new") + "\n---\nwhatever: 3\n---\n" + allow(3, "c", "t3")})
	s, err := f.Load(t.Context())
	if err != nil || ids(s) != "77 1 3" || leftOut(s) != "x.yaml none" || !strings.Contains(s.Problems[0].Message, "document 2 of the file") {
		t.Errorf("%v: policies %s, left out %s, problems %v", err, ids(s), leftOut(s), s.Problems)
	}
	write(t, dir, map[string]string{"x.yaml": allow(1, "a", "new") + "\n---\nwhatever: {denyPolicyItems: []}"})
	if s, err = f.Load(t.Context()); err != nil || ids(s) != "77 1 3" || leftOut(s) != "x.yaml wider" {
		t.Errorf("%v: policies %s, left out %s", err, ids(s), leftOut(s))
	}
}

// Tags and roles are of the service that the policies are of, where none of these names one.
func TestTagsWherePoliciesNameNoService(t *testing.T) {
	tags := `{"serviceName":"unitycatalog","serviceResources":[{"id":1,"resourceElements":{"catalog":{"values":["hr"]}}}],"resourceToTagIds":{"1":[2]},"tags":{"2":{"id":2,"type":"PII"}}}`
	for name, tc := range map[string]struct {
		files map[string]string
		tags  bool
		left  string
	}{
		"no policy names one":    {map[string]string{"p.json": allow(1, "a", "t1"), "tags.json": tags}, true, ""},
		"policies name another":  {map[string]string{"p.json": ofService(allow(1, "a", "t1"), "acme_uc", ""), "tags.json": tags}, false, "tags.json none"},
		"policies name the same": {map[string]string{"p.json": ofService(allow(1, "a", "t1"), "unitycatalog", ""), "tags.json": tags}, true, ""},
	} {
		s := load(t, source.FilesOptions{Path: tempWith(t, tc.files), Debounce: 1})
		if (s.Tags != nil) != tc.tags || leftOut(s) != tc.left {
			t.Errorf("%s: tags %v, left out %q", name, s.Tags, leftOut(s))
		}
	}
}

// What stands around the policies of a download is accepted, and not called harmless where it may hold denies.
func TestRangerFieldsThatMayRestrict(t *testing.T) {
	for field, want := range map[string]policy.Effect{
		`"colour":{"denies":1}`: policy.EffectWider, `"further":[{"d\u0065nyPolicyItems":[]}]`: policy.EffectWider, `"denyPolicies":[{}]`: policy.EffectWider,
		`"further":{"rangerRoles":[]}`: policy.EffectWider, `"further":[{"policyItems":[]}]`: policy.EffectNone, `"colour":"who is denied"`: policy.EffectNone,
	} {
		server := rangertest.New("uc")
		server.SetPolicies(pols(3)...)
		body, err := json.Marshal(ranger.ServicePolicies{ServiceName: "uc", PolicyVersion: 9, Policies: pols(3)})
		if err != nil {
			t.Fatal(err)
		}
		server.SetFault(rangertest.Policies, rangertest.Fault{Body: "{" + field + "," + string(body[1:])})
		s := mustLoad(t, newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: start(t, server)}}), 3)
		if len(s.Problems) != 1 || s.Problems[0].Effect != want {
			t.Errorf("%s: problems %+v, want effect %s", field, s.Problems, want)
		}
	}
}

// tempWith returns a new folder with the files.
func tempWith(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, files)
	return dir
}
