package policy

import (
	"math"
	"strings"
	"testing"
	"time"
)

func utc(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestScripts(t *testing.T) {
	ctx := scriptContext(t)
	for script, want := range map[string]any{
		`1 + 2 * 3`:                                 7.0,
		`(1 + 2) * 3 % 5`:                           4.0,
		`-2 - -3`:                                   1.0,
		`'a' + 1 + "b"`:                             "a1b",
		`1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3`:        true,
		`'10' < '9'`:                                true, // texts compare as texts
		`'10' < 9`:                                  false,
		`1 == '1'`:                                  true,
		`1 === '1'`:                                 false,
		`null == undefined`:                         true,
		`null == 0`:                                 false,
		`!'' && !0 && !null && !!'x'`:               true,
		`null || 'default'`:                         "default",
		`true ? 'yes' : 'no'`:                       "yes",
		`[1, 'b'].includes('b')`:                    true,
		`['a','b'].intersects(['c','b'])`:           true,
		`['a','b'][1]`:                              "b",
		`['a'][7]`:                                  nil,
		`'sales_emea'.startsWith('sales')`:          true,
		`'a,b'.split(',').length`:                   2.0,
		`'Über'.toLowerCase()`:                      "über",
		`'über'.substring(1, 3)`:                    "be",
		`'x'.equals(null)`:                          false,
		`USER._name + '/' + USER.dept`:              "bob/hr",
		`USER['level'] > 6.5`:                       true,
		`USER.none`:                                 nil,
		`UGNAMES.join('+')`:                         "all+staff",
		`URNAMES`:                                   "boss,reader",
		`UG.all.floor`:                              "2",
		`UGA.sVal.site + UGA.mVal.site.length`:      "A2",
		`TAG._type + TAG.level`:                     "PIIhigh",
		`TAGS.OPEN._matchType`:                      "ANCESTOR",
		`TAGNAMES.includes('OPEN')`:                 true,
		`RES.database + '.' + RES.table`:            "Sales.t1",
		`RES._ownerUser == REQ.user`:                false,
		`REQ.accessType`:                            "select",
		`tagAttr.get('score') < 0.9`:                true,
		`tag.getAttributes().get('score')`:          "0.8",
		`tag.getType()`:                             "PII",
		`ctx.getRequestContextAttribute('country')`: "CH",
		`ctx.isAccessedBefore('expiry')`:            true,
		`ctx.isAccessedAfter('expiry')`:             false,
		`ctx.isAccessedAfter('OPEN', 'expiry')`:     true, // no date: like Ranger, it is over
		`ctx.getAttributeValue('PII', 'level')`:     "high",
		`IS_IN_GROUP('staff') && !IS_IN_GROUP('x')`: true,
		`IS_IN_ROLE('boss')`:                        true,
		`HAS_TAG('PII') && !HAS_TAG('X')`:           true,
		`HAS_NO_TAG || IS_NOT_IN_ANY_GROUP`:         false,
		`HAS_USER_ATTR('dept') && HAS_UG_ATTR('site') && HAS_TAG_ATTR('score')`: true,
		`UG_NAMES_Q_CSV`:      `'all','staff'`,
		`TAG_NAMES_CSV`:       "OPEN,PII",
		`GET_UG_ATTR('site')`: "A,B",
		`GET_UG_ATTR_Q('none', 'x', ';', '<', '>')`:                                 "<x>",
		`GET_USER_ATTR('dept')`:                                                     "hr",
		`GET_UR_NAMES_Q(null, '|', '"')`:                                            `"boss"|"reader"`,
		`USER_ATTR_NAMES_CSV`:                                                       "dept,level",
		`TAG_ATTR_NAMES_CSV`:                                                        "expiry,level,score",
		`IS_ACCESS_TIME_BETWEEN('2026/03/01', '2026/03/02')`:                        true,
		`IS_ACCESS_TIME_AFTER('2026/03/01 13:00:00', 'Asia/Tokyo')`:                 true,
		`IS_ACCESS_TIME_BEFORE('2026/03/01 12:00:00')`:                              false,
		"var c = ctx.getRequestContextAttribute('country'); !!c && c.equals('CH');": true,
		`if (USER.dept == 'hr') { 'in' } else { 'out' }`:                            "in",
		`if (false) 1; else if (true) 2; else 3`:                                    2.0,
		"// a comment\n/* another */ 5":                                             5.0,
		`x = 3; x * x`:                                                              9.0,
	} {
		got, err := evalScript(script, ctx)
		if list, ok := got.([]any); ok {
			got = textOf(list)
		}
		if err != nil || got != want {
			t.Errorf("%s\n  %v (error %v), want %v", script, got, err, want)
		}
	}
	if v, _ := evalScript(`'x' - 1`, ctx); !math.IsNaN(v.(float64)) {
		t.Errorf("a text less a number is %v", v)
	}
}

func TestScriptsNotUnderstood(t *testing.T) {
	ctx := scriptContext(t)
	for _, script := range []string{
		`for (;;) {}`, `while (true) {}`, `function f() {}`, `new Date()`, `java.lang.Runtime`, `(`, `'open`, `1 +`, `a.b.c`, `null.x`, `1 = 2`,
		`USER.dept = 'x'`, `ctx.user = 'x'`, `ctx.exec('rm')`, `'a'.constructor()`, `#`, `/* open`, `x[`, `f(1,`, `{`, `1.2.3`,
		strings.Repeat("(", 10_000), strings.Repeat("!", 10_000) + "1", strings.Repeat("[", 10_000), strings.Repeat("a=", 9_000) + "1",
		strings.Repeat("if(1)", 3_000), strings.Repeat("x", 1<<20),
	} {
		if v, err := evalScript(script, ctx); err == nil {
			t.Errorf("%.40s: %v, want an error", script, v)
		}
		c := newCondition(&ServiceDef{}, Condition{Type: implicitExpression, Values: []string{script}})
		if got := c.eval(ctx); got != conditionUnknown {
			t.Errorf("%.40s: as a condition %d, want unknown", script, got)
		}
	}
}

func TestConditions(t *testing.T) {
	def := &ServiceDef{Name: "hive"}
	for _, d := range []struct{ name, class, option string }{
		{"script", "RangerScriptConditionEvaluator", ""}, {"template", "RangerScriptTemplateConditionEvaluator", "ctx.isAccessedAfter('expiry')"},
		{"all-tags", "RangerTagsAllPresentConditionEvaluator", ""}, {"any-tag", "RangerAnyOfExpectedTagsPresentConditionEvaluator", ""},
		{"no-tag", "RangerNoneOfExpectedTagsPresentConditionEvaluator", ""}, {"in", "RangerContextAttributeValueInCondition", "country"},
		{"not-in", "RangerContextAttributeValueNotInCondition", "country"}, {"simple", "RangerSimpleMatcher", "country"},
		{"absent", "RangerSimpleMatcher", "planet"}, {"ip", "RangerIpMatcher", ""}, {"action", "RangerActionMatcher", ""},
		{"together", "RangerHiveResourcesAccessedTogetherCondition", ""}, {"apart", "RangerHiveResourcesNotAccessedTogetherCondition", ""},
		{"schedule", "RangerValidityScheduleConditionEvaluator", ""}, {"foreign", "com.example.OwnCondition", ""},
	} {
		def.PolicyConditions = append(def.PolicyConditions, ConditionDef{Name: d.name, Evaluator: "org.apache.ranger.plugin.conditionevaluator." + d.class,
			EvaluatorOptions: OptionMap{"scriptTemplate": d.option, "attributeName": d.option, "CONTEXT_NAME": d.option}})
	}
	ctx := scriptContext(t)
	ctx.own.Together = []Resource{asked("database=hr table=pay column=name"), asked("database=hr table=pay column=iban")}
	for _, tc := range []struct {
		name   string
		values []string
		want   conditionResult
	}{
		{"script", []string{"if (USER.dept == 'hr') ctx.result = true;"}, conditionMet},
		{"script", []string{"if (USER.dept == 'it') ctx.result = true;"}, conditionNotMet},
		{"script", []string{"ctx.setResult(true); null"}, conditionMet},
		{"script", nil, conditionUnknown},
		{"template", []string{"yes"}, conditionNotMet},
		{"template", []string{"no"}, conditionMet},
		{"template", nil, conditionUnknown},
		{"all-tags", []string{"PII", "OPEN"}, conditionMet}, {"all-tags", []string{"PII", "X"}, conditionNotMet},
		{"any-tag", []string{"X", "PII"}, conditionMet}, {"any-tag", []string{"X"}, conditionNotMet},
		{"no-tag", []string{"X"}, conditionMet}, {"no-tag", []string{"X", "PII"}, conditionNotMet},
		{"in", []string{"CH", "DE"}, conditionMet}, {"in", []string{"DE"}, conditionNotMet},
		{"not-in", []string{"DE"}, conditionMet}, {"not-in", []string{"CH"}, conditionNotMet},
		{"simple", []string{"C?"}, conditionMet}, {"simple", []string{"D*"}, conditionNotMet}, {"absent", []string{"*"}, conditionNotMet},
		{"ip", []string{"10.*"}, conditionMet}, {"ip", []string{"10.0.0.0/8"}, conditionMet}, {"ip", []string{"192.168.*"}, conditionNotMet},
		{"ip", []string{"10.0.0.1"}, conditionMet}, {"ip", []string{"*"}, conditionMet},
		{"action", []string{"QU*"}, conditionMet}, {"action", []string{"DROP"}, conditionNotMet},
		{"together", []string{"hr.pay.name", "hr.pay.iban"}, conditionMet}, {"together", []string{"hr.pay.i*"}, conditionNotMet},
		{"together", []string{"hr"}, conditionMet}, {"apart", []string{"hr.pay.name", "hr.pay.iban"}, conditionNotMet},
		{"schedule", []string{`{"startTime":"2026/01/01 00:00:00"}`}, conditionMet}, {"schedule", []string{`{"endTime":"2026/01/01 00:00:00"}`}, conditionNotMet},
		{"schedule", []string{"tomorrow"}, conditionUnknown},
		{"foreign", []string{"x"}, conditionUnknown}, {"undefined", []string{"x"}, conditionUnknown},
	} {
		if got := newCondition(def, Condition{Type: tc.name, Values: tc.values}).eval(ctx); got != tc.want {
			t.Errorf("%s %q: %d, want %d", tc.name, tc.values, got, tc.want)
		}
	}
	ctx.own.ClientIP = ""
	if got := newCondition(def, Condition{Type: "ip", Values: []string{"10.*"}}).eval(ctx); got != conditionUnknown {
		t.Errorf("ip without an address: %d, want unknown", got)
	}
}

func FuzzScript(f *testing.F) {
	for _, s := range []string{"if ( tagAttr.get('score') < 2 ) ctx.result = true;", "USER.dept == 'x' ? 1 : [2][0]", "((((", "a.b[c](d)", "'\\", "IS_IN_GROUP('x')||!HAS_ANY_TAG"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script string) {
		ctx := scriptContext(t)
		if v, err := evalScript(script, ctx); err == nil {
			_ = textOf(v)
		}
	})
}
