// Package policytest makes what the tests of several packages under policy share: random worlds of policies, objects and
// memberships, access as Unity Catalog computes it from grants, and short ways to write them down.
// Only tests import it.
package policytest

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"

	"pgregory.net/rapid"
	"ucwarden/policy/parse"
)

// Names is the name mapping of worlds: roles become groups by a prefix.
var Names = rules.NameMapping{RolePrefix: "role_"}

// Rules reads a snapshot, which must be readable.
func Rules(s *ranger.Snapshot, names rules.NameMapping) *rules.RuleSet {
	rs, err := rules.New(s, rules.Options{Names: names})
	if err != nil {
		panic(err)
	}
	return rs
}

// Time reads "2006-01-02 15:04" in UTC.
func Time(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

// HiveLike returns the definition of a small service: database over table over column, database over udf, and paths.
// options are matcher options in JSON.
func HiveLike(options string) *ranger.ServiceDef {
	def, err := parse.ServiceDef(fmt.Appendf(nil, `{"name":"hive","resources":[
		{"name":"database","matcherOptions":{%s}},{"name":"table","parent":"database","matcherOptions":{%s}},
		{"name":"column","parent":"table","matcherOptions":{%s}},{"name":"udf","parent":"database"},
		{"name":"path","matcher":"x.RangerPathResourceMatcher","recursiveSupported":true}],
		"accessTypes":[{"name":"select"},{"name":"update"},{"name":"all","impliedGrants":["select","update"]}]}`, options, options, options), "test")
	if err != nil {
		panic(err)
	}
	return def
}

// Resources writes "database=a,b table=!x*" as the resources of a policy: '!' excludes, '+' is recursive.
func Resources(text string) map[string]ranger.PolicyResource {
	r := make(map[string]ranger.PolicyResource)
	for field := range strings.FieldsSeq(text) {
		name, values, _ := strings.Cut(field, "=")
		var p ranger.PolicyResource
		values, p.IsExcludes = strings.CutPrefix(values, "!")
		values, p.IsRecursive = strings.CutPrefix(values, "+")
		p.Values = strings.Split(values, ",")
		r[name] = p
	}
	return r
}

// Asked writes "database=a table=b" as the resource of a request: "a^" is a beginning, "a/~" a folder with what is in it,
// "a|b" two spellings.
func Asked(text string) match.Resource {
	var r match.Resource
	for field := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(field, "=")
		e := match.Element{Name: name, Value: value}
		switch {
		case strings.HasSuffix(value, "^"):
			e.Value, e.Scope = strings.TrimSuffix(value, "^"), match.ElementSelfOrPrefix
		case strings.HasSuffix(value, "/~"):
			e.Value, e.Scope = strings.TrimSuffix(value, "/~"), match.ElementSelfOrChild
		case strings.Contains(value, "|"):
			values := strings.Split(value, "|")
			e.Value, e.Also = values[0], values[1:]
		}
		r = append(r, e)
	}
	return r
}

// NameMatches reports whether one level of a policy's resources matches a name, with the options of the built-in service
// definition; "" asks for every name.
func NameMatches(r ranger.PolicyResource, name string) bool {
	def := &ranger.ResourceDef{Name: "name"}
	m, ok := match.New(match.NewForest([][]*ranger.ResourceDef{{def}}), map[string]ranger.PolicyResource{"name": r}, nil)
	return ok && m.Match([]*match.Element{{Name: "name", Value: name}}, nil, false) != match.None
}

// CheckWorlds checks a property with n worlds; as many as RAPID_CHECKS says where that is set, as "make soak N=..." does.
func CheckWorlds(t *testing.T, n int, property func(t *rapid.T)) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	if os.Getenv("RAPID_CHECKS") == "" && checks != nil && checks.Value.String() == checks.DefValue {
		before := checks.Value.String()
		if err := checks.Value.Set(strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = checks.Value.Set(before) }() // it was valid before
	}
	rapid.Check(t, property)
}
