package lint_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"ucwarden/policy/compile"
	"ucwarden/policy/lint"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
	"ucwarden/policy/script"
)

// scriptFindings lints a policy, of a tag service or not, under a condition that is a script, and returns what is said of it.
func scriptFindings(t *testing.T, source string, tags bool) []string {
	t.Helper()
	quoted, err := json.Marshal(source)
	if err != nil {
		t.Fatal(err)
	}
	access, resource := "select", "catalog"
	if tags {
		access, resource = ranger.DefaultServiceDef().Name+":select", "tag"
	}
	list := fmt.Sprintf(`[{"id":7,"name":"seven","resources":{"%s":{"values":["c"]}},"policyItems":[{"users":["ann"],"accesses":[{"type":"%s"}],"conditions":[{"type":"_expression","values":[%s]}]}]}]`, resource, access, quoted)
	doc := `{"serviceName":"uc","policies":` + list + `}`
	if tags {
		doc = `{"serviceName":"uc","policies":[],"tagPolicies":{"serviceName":"t","serviceDef":{"name":"tag","resources":[{"name":"tag"}],"accessTypes":[{"name":"` + access + `"}]},"policies":` + list + `}}`
	}
	policies, err := parse.ServicePolicies([]byte(doc), "f.json")
	if err != nil {
		t.Fatal(err)
	}
	r := lint.Run(ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: policies}), lint.Options{
		Compile: compile.Options{Time: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}, Scripts: new(script.Recorder).Compile})
	var got []string
	for _, f := range r.Findings {
		if f.Field == "policyItems[0].conditions[0].values" && f.PolicyID == 7 {
			got = append(got, fmt.Sprintf("%s [%s] %s", f.Severity, f.Check, f.Message))
		}
	}
	return got
}

// A script that fails whatever is asked is an error, one that fails for some requests a warning, and so is one whose value decides
// nothing; one that does what scripts in policies do is neither.
func TestScriptsAreTried(t *testing.T) {
	const always, some, odd = "error [script] ", "warning [script] for ", "warning [script] its value is "
	for source, want := range map[string]string{
		`throw 1`: always + "script: 1", `throw new Error('x')`: always, `null.x`: always, `ctx.nope()`: always, `USER.dept.nope()`: always, `(`: always, `for (;;) {}`: always, `USR.dept == 'x'`: always,
		`if (USER._name) throw 'no'; true`: always, `JSON.parse(USER.x).a.b.c`: always,
		`USER.dept.startsWith('hr')`: some + "a user without attributes, groups, roles and tags it fails (script: TypeError", `USER.level.toUpperCase() == 'X'`: some, `JSON.parse(USER.list)[0] == 'x'`: some + "attributes that are a word",
		`JSON.parse(USER.list).join() == 'x'`: some, `if (URNAMES.isEmpty()) throw 'no role'; true`: some + "a user", `ctx.getRequestContextAttribute('country').equals('CH')`: some + "a user",
		`JSON.parse(USER.perms).read == 'x'`: some, `JSON.parse(USER.perms).read[0] == 'x'`: some, `ctx.getAsDate(USER.until).getTime() > 0`: some, `TAGS.PII.level == 'x'`: some, `UG.staff.site == 'A'`: some, `RES.column.toUpperCase() == 'X'`: some,
		`if (USER.n != 1) throw 'n'; true`: some + "attributes that are a word", `if (USER.kind != 'boss') throw 'kind'; true`: some,
		`0`: odd + "0, which is neither true nor false", `'false'`: odd + `"false"`, `1`: odd + "1", `USER.dept || 'none'`: odd, `ctx.result = true; 1`: odd + "1", `USER.dept`: odd,
		`ctx.result = true; false`: "warning [script] it sets ctx.result to true, and its value is false: the value counts", `ctx.result = false; true`: "warning [script] it sets ctx.result to false",
		`// nothing`: "warning [script] it has no value and does not set ctx.result", `var x = true`: "warning [script] it has no value", `if (false) true`: "warning [script] it has no value", `undefined`: "warning [script] it has no value",
		`true`: "", `USER.dept == 'hr'`: "", `USER.dept && USER.dept.startsWith('hr')`: "", `IS_IN_GROUP('staff') && HAS_TAG('PII')`: "", `TAG.x == 'y'`: "", `if (USER.dept == 'hr') ctx.result = true;`: "", `if (USER.dept == 'hr') true`: "",
		`ctx.setResult(USER.dept == 'hr')`: "", `[[TAG.names]].intersects(['it'])`: "error [script] script: TypeError", `IS_ACCESS_TIME_AFTER('2026/01/01')`: "", `ctx.getAttributeValue('PII', 'level') === null`: "", `UGNAMES.includes('x') || RES.table == 't'`: "",
		`var c = ctx.getRequestContextAttribute('country'); c != null && c.equals('CH')`: "", `USER.kind == 'boss' ? ctx.setResult(true) : null`: "", `Object.keys(TAGS).every(t => TAGS[t].level == 'low')`: "", `switch (USER.dept) { case 'hr': true }`: "",
	} {
		got := scriptFindings(t, source, false)
		switch {
		case want == "" && len(got) > 0:
			t.Errorf("%s: %q", source, got)
		case want != "" && !strings.HasPrefix(strings.Join(got, "\n"), want):
			t.Errorf("%s: %q, want %q", source, got, want)
		}
	}
	for source, want := range map[string]string{ // in policies on tags there is a tag
		`tag.getType() != ''`: "", `tagAttr.level == 'high'`: "", `ctx.getCurrentTag().getType() == 'PII'`: "", `[[TAG.names]].intersects(['it'])`: some, `tag.level.x`: always,
	} {
		if got := strings.Join(scriptFindings(t, source, true), "\n"); (got == "") != (want == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s on tags: %q, want %q", source, got, want)
		}
	}
}
