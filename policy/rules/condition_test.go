package rules

import (
	"errors"
	"testing"
	"time"

	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
)

// stubScript stands for a script: its text is what it comes to, and "fails" fails.
type stubScript string

func (s stubScript) Met(*match.Values) (bool, error) {
	if s == "fails" {
		return false, errors.New("it fails")
	}
	return s == "true", nil
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
		want   ConditionResult
	}{
		{"script", []string{"true"}, ConditionMet},
		{"script", []string{"false"}, ConditionNotMet},
		{"script", []string{"fails"}, ConditionUnknown}, {"script", []string{"is not understood"}, ConditionUnknown},
		{"script", nil, ConditionUnknown},
		{"template", []string{"yes"}, ConditionNotMet},
		{"template", []string{"no"}, ConditionMet},
		{"template", nil, ConditionUnknown},
		{"all-tags", []string{"PII", "OPEN"}, ConditionMet}, {"all-tags", []string{"PII", "X"}, ConditionNotMet},
		{"any-tag", []string{"X", "PII"}, ConditionMet}, {"any-tag", []string{"X"}, ConditionNotMet},
		{"no-tag", []string{"X"}, ConditionMet}, {"no-tag", []string{"X", "PII"}, ConditionNotMet},
		{"in", []string{"CH", "DE"}, ConditionMet}, {"in", []string{"DE"}, ConditionNotMet},
		{"not-in", []string{"DE"}, ConditionMet}, {"not-in", []string{"CH"}, ConditionNotMet},
		{"simple", []string{"C?"}, ConditionMet}, {"simple", []string{"D*"}, ConditionNotMet}, {"absent", []string{"*"}, ConditionNotMet},
		{"ip", []string{"10.*"}, ConditionMet}, {"ip", []string{"10.0.0.0/8"}, ConditionMet}, {"ip", []string{"192.168.*"}, ConditionNotMet},
		{"ip", []string{"10.0.0.1"}, ConditionMet}, {"ip", []string{"*"}, ConditionMet},
		{"action", []string{"QU*"}, ConditionMet}, {"action", []string{"DROP"}, ConditionNotMet},
		{"together", []string{"hr.pay.name", "hr.pay.iban"}, ConditionMet}, {"together", []string{"hr.pay.i*"}, ConditionNotMet},
		{"together", []string{"hr"}, ConditionMet}, {"apart", []string{"hr.pay.name", "hr.pay.iban"}, ConditionNotMet},
		{"schedule", []string{`{"startTime":"2026/01/01 00:00:00"}`}, ConditionMet}, {"schedule", []string{`{"endTime":"2026/01/01 00:00:00"}`}, ConditionNotMet},
		{"schedule", []string{"tomorrow"}, ConditionUnknown},
		{"foreign", []string{"x"}, ConditionUnknown}, {"undefined", []string{"x"}, ConditionUnknown},
	} {
		if got := newCondition(NewModel(def), ranger.Condition{Type: tc.name, Values: tc.values}, stubScripts).eval(v); got != tc.want {
			t.Errorf("%s %q: %d, want %d", tc.name, tc.values, got, tc.want)
		}
	}
	v.ClientIP = ""
	if got := newCondition(NewModel(def), ranger.Condition{Type: "ip", Values: []string{"10.*"}}, nil).eval(v); got != ConditionUnknown {
		t.Errorf("ip without an address: %d, want unknown", got)
	}
}

// Conditions written as scripts are unknown where nobody runs scripts: on the daemon's path.
func TestScriptsWithoutEngine(t *testing.T) {
	c := newCondition(NewModel(&ranger.ServiceDef{}), ranger.Condition{Type: implicitExpression, Values: []string{"true"}}, nil)
	if got := c.eval(conditionValues()); got != ConditionUnknown {
		t.Errorf("a script without an engine: %d, want unknown", got)
	}
	for _, restricts := range []bool{false, true} {
		if got := ConditionUnknown.Resolve(restricts); got != restricts {
			t.Errorf("unknown, where it restricts %v, is taken as %v", restricts, got)
		}
	}
}
