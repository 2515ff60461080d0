package condition

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
)

// stubScript stands for a script: its text is what it comes to, and "fails" fails.
type stubScript string

func (s stubScript) Met(*match.Values) (match.Outcome, error) {
	if s == "fails" {
		return match.Outcome{}, errors.New("it fails")
	}
	return match.Outcome{Met: s == "true"}, nil
}

func (s stubScript) Text(*match.Values) (string, error) { return string(s), nil }

func stubScripts(source string) (match.Script, error) {
	if source == "is not understood" {
		return nil, errors.New("not understood")
	}
	return stubScript(source), nil
}

// conditionValues are the values of a request with everything that conditions look at.
func conditionValues() *match.Values {
	pii := match.NewTag("PII", map[string]string{"level": "high"}, nil, match.Self)
	asked := func(column string) match.Resource {
		return match.Resource{{Name: "database", Value: "hr"}, {Name: "table", Value: "pay"}, {Name: "column", Value: column}}
	}
	return &match.Values{
		User: "bob", Action: "QUERY", ClientIP: "10.0.0.1", Context: map[string]any{"country": "CH"}, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Tags: []*match.Tag{pii, match.NewTag("OPEN", nil, nil, match.Ancestor)}, Tag: pii, Together: []match.Resource{asked("name"), asked("iban")},
	}
}

func TestConditions(t *testing.T) {
	def := &ranger.ServiceDef{Name: "hive", Resources: []ranger.ResourceDef{{Name: "database"}, {Name: "table", Parent: "database"}, {Name: "column", Parent: "table"}}}
	for _, d := range []struct{ name, class, option string }{
		{"script", "RangerScriptConditionEvaluator", ""}, {"template", "RangerScriptTemplateConditionEvaluator", "false"},
		{"all-tags", "RangerTagsAllPresentConditionEvaluator", ""}, {"any-tag", "RangerAnyOfExpectedTagsPresentConditionEvaluator", ""},
		{"no-tag", "RangerNoneOfExpectedTagsPresentConditionEvaluator", ""}, {"in", "RangerContextAttributeValueInCondition", "country"},
		{"not-in", "RangerContextAttributeValueNotInCondition", "country"}, {"simple", "RangerSimpleMatcher", "country"},
		{"absent", "RangerSimpleMatcher", "planet"}, {"ip", "RangerIpMatcher", ""}, {"action", "RangerActionMatcher", ""},
		{"together", "RangerHiveResourcesAccessedTogetherCondition", ""}, {"apart", "RangerHiveResourcesNotAccessedTogetherCondition", ""},
		{"schedule", "RangerValidityScheduleConditionEvaluator", ""}, {"foreign", "com.example.OwnCondition", ""},
	} {
		def.PolicyConditions = append(def.PolicyConditions, ranger.ConditionDef{Name: d.name, Evaluator: "org.apache.ranger.plugin.conditionevaluator." + d.class,
			EvaluatorOptions: ranger.OptionMap{"scriptTemplate": d.option, "attributeName": d.option, "CONTEXT_NAME": d.option}})
	}
	v := conditionValues()
	for _, tc := range []struct {
		name   string
		values []string
		want   Result
	}{
		{"script", []string{"true"}, Met},
		{"script", []string{"false"}, NotMet},
		{"script", []string{"fails"}, Unknown}, {"script", []string{"is not understood"}, Unknown},
		{"script", nil, Unknown},
		{"template", []string{"yes"}, NotMet},
		{"template", []string{"no"}, Met},
		{"template", nil, Unknown},
		{"all-tags", []string{"PII", "OPEN"}, Met}, {"all-tags", []string{"PII", "X"}, NotMet},
		{"any-tag", []string{"X", "PII"}, Met}, {"any-tag", []string{"X"}, NotMet},
		{"no-tag", []string{"X"}, Met}, {"no-tag", []string{"X", "PII"}, NotMet},
		{"in", []string{"CH", "DE"}, Met}, {"in", []string{"DE"}, NotMet},
		{"not-in", []string{"DE"}, Met}, {"not-in", []string{"CH"}, NotMet},
		{"simple", []string{"C?"}, Met}, {"simple", []string{"D*"}, NotMet}, {"absent", []string{"*"}, NotMet},
		{"ip", []string{"10.*"}, Met}, {"ip", []string{"10.0.0.0/8"}, Met}, {"ip", []string{"192.168.*"}, NotMet},
		{"ip", []string{"10.0.0.1"}, Met}, {"ip", []string{"*"}, Met},
		{"action", []string{"QU*"}, Met}, {"action", []string{"DROP"}, NotMet},
		{"together", []string{"hr.pay.name", "hr.pay.iban"}, Met}, {"together", []string{"hr.pay.i*"}, NotMet},
		{"together", []string{"hr"}, Met}, {"apart", []string{"hr.pay.name", "hr.pay.iban"}, NotMet},
		{"schedule", []string{`{"startTime":"2026/01/01 00:00:00"}`}, Met}, {"schedule", []string{`{"endTime":"2026/01/01 00:00:00"}`}, NotMet},
		{"schedule", []string{"tomorrow"}, Unknown},
		{"foreign", []string{"x"}, Unknown}, {"undefined", []string{"x"}, Unknown},
	} {
		if got := newCondition(NewDefinitions(def, match.NewForest(ranger.HierarchiesOf(def.Resources))), ranger.Condition{Type: tc.name, Values: tc.values}, stubScripts).eval(v); got != tc.want {
			t.Errorf("%s %q: %d, want %d", tc.name, tc.values, got, tc.want)
		}
	}
	v.ClientIP = ""
	if got := newCondition(NewDefinitions(def, match.NewForest(ranger.HierarchiesOf(def.Resources))), ranger.Condition{Type: "ip", Values: []string{"10.*"}}, nil).eval(v); got != Unknown {
		t.Errorf("ip without an address: %d, want unknown", got)
	}
}

// Conditions written as scripts are unknown where nobody runs scripts: on the daemon's path.
func TestScriptsWithoutEngine(t *testing.T) {
	c := newCondition(Definitions{}, ranger.Condition{Type: implicitExpression, Values: []string{"true"}}, nil)
	if got := c.eval(conditionValues()); got != Unknown {
		t.Errorf("a script without an engine: %d, want unknown", got)
	}
	for _, restricts := range []bool{false, true} {
		if got := Unknown.Resolve(restricts); got != restricts {
			t.Errorf("unknown, where it restricts %v, is taken as %v", restricts, got)
		}
	}
}

// What of a condition can match nothing is named by its place; what it may match is not.
func TestProblems(t *testing.T) {
	def := &ranger.ServiceDef{Name: "hive"}
	for name, class := range map[string]string{
		"script": "RangerScriptConditionEvaluator", "template": "RangerScriptTemplateConditionEvaluator", "untold": "RangerScriptTemplateConditionEvaluator", "in": "RangerContextAttributeValueInCondition",
		"tags": "RangerTagsAllPresentConditionEvaluator", "ip": "RangerIpMatcher", "schedule": "RangerValidityScheduleConditionEvaluator", "foreign": "com.example.Own",
	} {
		d := ranger.ConditionDef{Name: name, Evaluator: "org.apache.ranger.plugin.conditionevaluator." + class}
		if name == "template" {
			d.EvaluatorOptions = ranger.OptionMap{"scriptTemplate": "ctx.isAccessedAfter('expiry')"}
		}
		def.PolicyConditions = append(def.PolicyConditions, d)
	}
	m := NewDefinitions(def, nil)
	for _, c := range []struct {
		of     string
		values []string
		want   string // places; with '!' what can match nothing
	}{
		{"office", []string{"x"}, "type"}, {"in", nil, "values"}, {"_expression", nil, "values"},
		{"_expression", []string{" ", "\n"}, "values!"}, {"_expression", []string{"", "true"}, ""}, {"_expression", []string{"[true]"}, ""}, {"_expression", []string{"'x' == USER.x"}, ""},
		{"script", []string{""}, "values!"}, {"script", []string{" ", "true"}, "values!"}, {"script", []string{"true"}, ""}, {"script", []string{"true", "false"}, "values[1]"},
		{"template", []string{"yes"}, ""}, {"template", []string{"No"}, ""}, {"template", []string{"TRUE"}, ""}, {"template", []string{"false"}, ""}, {"template", []string{"x"}, "values[0]"}, {"template", []string{""}, "values[0]"}, {"untold", []string{"yes"}, "values!"},
		{"in", []string{"CH", "", `["DE"]`, `"FR"`, "'IT'", "`AT`", "it's", "a;b", "\""}, "values[1]! values[2]! values[3]! values[4]! values[5]!"}, {"tags", []string{"PII", "[PII]"}, "values[1]!"},
		{"ip", []string{"10.0.0.0/8", "10.*.1.*", "10.", "*", "2001:db8::/32", "FE80:*", " 10.0.0.1 ", "hr", "10.0.0.1;10.0.0.2"}, "values[7]! values[8]!"},
		{"schedule", []string{`{"startTime":"2026/01/01 00:00:00"}`, `["x"]`, " "}, "values[2]!"}, {"foreign", []string{"x"}, ""},
	} {
		var got []string
		for _, p := range m.Problems(ranger.Condition{Type: c.of, Values: c.values}) {
			field := p.Field
			if p.Never {
				field += "!"
			}
			got = append(got, field)
			if p.Message == "" {
				t.Errorf("%s %q: %s without a message", c.of, c.values, p.Field)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s %q: %q, want %q", c.of, c.values, got, c.want)
		}
	}
}
