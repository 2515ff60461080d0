package script

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
)

func utc(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

// everything returns the values of a request with all that scripts can ask for.
func everything() *match.Values {
	pii := &match.Tag{Type: "PII", Attributes: map[string]string{"level": "high", "score": "0.8", "expiry": "2026/06/01", "names": "hr,it"}, Match: 1}
	return &match.Values{
		User: "bob", Groups: []string{"staff", "all"}, Owner: "ann", AccessType: "select", Action: "QUERY", ClientIP: "10.0.0.1",
		Roles: func() []string { return []string{"boss", "reader"} },
		Users: &ranger.UserStore{
			UserAttrMapping:  map[string]map[string]string{"bob": {"dept": "hr", "level": "7"}},
			GroupAttrMapping: map[string]map[string]string{"staff": {"site": "B"}, "all": {"site": "A", "floor": "2"}},
		},
		Resource: []match.Element{{Name: "database", Value: "Sales"}, {Name: "table", Value: "t1", Also: []string{"t2"}}},
		Context:  map[string]any{"country": "CH", "level": 3},
		Time:     utc("2026-03-01 12:00"),
		Tag:      pii, Tags: []*match.Tag{pii, {Type: "OPEN", Match: 3}},
	}
}

// testScripts checks the value of each script as text: a failure is "error".
func testScripts(t *testing.T, v *match.Values, table map[string]string) {
	t.Helper()
	for source, want := range table {
		got, err := text(source, v)
		if err != nil {
			if want != "error" {
				t.Errorf("%s\n  fails: %v, want %q", source, err, want)
			}
			continue
		}
		if got != want {
			t.Errorf("%s\n  is %q, want %q", source, got, want)
		}
	}
}

func text(source string, v *match.Values) (string, error) {
	s, err := compile(source)
	if err != nil {
		return "", err
	}
	s.deadline = time.Minute // however busy the machine is
	return s.Text(v)
}

// The values are those of node and Chromium, where these differ from the first interpreter of conditions as well.
func TestJavaScript(t *testing.T) {
	testScripts(t, everything(), map[string]string{
		`1 + 2 * 3`: "7", `(1 + 2) * 3 % 5`: "4", `-2 - -3`: "1", `'a' + 1 + "b"`: "a1b", `'x' - 1`: "NaN", `0.1 + 0.2`: "0.30000000000000004",
		`1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3`: "true", `'10' < '9'`: "true", `'10' < 9`: "false", `1 == '1'`: "true", `1 === '1'`: "false",
		`null == undefined`: "true", `null === undefined`: "false", `null == 0`: "false", `null >= 0`: "true", `NaN == NaN`: "false",
		`!'' && !0 && !null && !!'x'`: "true", `null || 'default'`: "default", `null ?? 'default'`: "default", `0 ?? 1`: "0", `true ? 'yes' : 'no'`: "yes",
		`'abc'.slice(-1)`: "c", `'abcdef'.substr(2, 3)`: "cde", `'a,b,a'.indexOf('a', 1)`: "4", `'abc'.substring(2, 0)`: "ab", `'abc'[1]`: "b",
		`'abc'.length`: "3", `'Über'.toLowerCase()`: "über", `'über'.substring(1, 3)`: "be", `'𝒳y'.length`: "3", `'ß'.toUpperCase()`: "SS",
		`'a-b-c'.split('-', 2).length`: "2", `'aXbX'.replace('X', '$&!')`: "aX!bX", `'aXbX'.replace(/x/gi, m => m + '!')`: "aX!bX!",
		`'aXbX'.replaceAll('X', '')`: "ab", `' x '.trim() + '|'`: "x|", `'ab'.repeat(3)`: "ababab", `'7'.padStart(3, '0')`: "007",
		`'sales_emea'.startsWith('sales') && 'x.y'.endsWith('y')`: "true", `'a1b22'.match(/\d+/g).join()`: "1,22", `/^team_(\w+)$/.exec('team_a')[1]`: "a",
		`'a1b2'.split(/\d/).length`: "3", `'ab'.search(/b/)`: "1", `[...'a1b2'.matchAll(/\d/g)].length`: "error", `var n = 0; for (var m of 'a1b2'.matchAll(/\d/g)) n += +m[0]; n`: "3",
		`/a/y.test('ba')`: "false", `new RegExp('A', 'i').test('xa')`: "true", `/a/ instanceof RegExp`: "true", `'é'.normalize('NFD').length`: "2",
		`'a'.localeCompare('b') < 0`: "true", `'x'.concat(1, null)`: "x1null", `'abc'.at(-1)`: "c", `'a'.charCodeAt(0)`: "97",
		`[1, 'b'].includes('b')`: "true", `['a','b'][1]`: "b", `['a'][7]`: "", `[1, [2, 3]].toString()`: "1,2,3", `[1, null, undefined, 2].join('-')`: "1---2",
		`[3, 1, 2].sort().reverse().join('')`: "321", `[1, 2, 3].slice(-2).map(x => x * 2).reduce((a, b) => a + b)`: "10", `[1, 2].concat([3], 4).length`: "4",
		`[10, 9, 1].sort()`: "1,10,9", `[10, 9, 1].sort((a, b) => a - b)`: "1,9,10", `[5, 1, 4].splice(1, 1)`: "1", `var a = [1]; a.push(2, 3); a.length`: "3",
		`Math.max(...[1, 5, 3])`: "5", `[...'abc'].reverse().join('')`: "cba", `[...new Set([1, 1, 2])].length`: "2", `new Map([['a', 1]]).get('a')`: "1",
		`Array.from({length: 3}, (_, i) => i).join('')`: "012", `Array.isArray([]) && [] instanceof Array`: "true", `[].concat.apply([], [[1], [2]]).length`: "2",
		`Object.keys({b: 1, a: 2}).join()`: "b,a", `Object.entries({a: 1})[0][1]`: "1", `Object.fromEntries([['a', 2]]).a`: "2", `({...{a: 1}, b: 2}).a`: "1",
		`JSON.stringify({a: [1, 'x', null]})`: `{"a":[1,"x",null]}`, `JSON.parse('{"a":{"b":2}}').a.b`: "2", `J([1])`: "[1]", `typeof x`: "undefined",
		`parseInt('12px') + Number('3') + parseFloat('.5')`: "15.5", `(1234.5).toFixed(2)`: "1234.50", `1 / 3 > 0.33 && 2 ** 10 == 1024`: "true", `(255).toString(16)`: "ff",
		`if (true) { 'in' } else { 'out' }`: "in", `if (false) 1; else if (true) 2; else 3`: "2", "// a comment\n/* another */ 5": "5", `x = 3; x * x`: "9", `var y = 1`: "",
		`for (var i = 0, s = ''; i < 3; i++) s += i; s`: "012", `function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) } f(10)`: "55", `(() => { try { null.x } catch (e) { return e.name } })()`: "TypeError",
		`var {a, b: [c]} = {a: 1, b: [2]}; a + c`: "3", "`a${1 + 1}b`": "a2b", `switch ('x') { case 'x': 'hit' }`: "hit", `class A { m() { return 7 } } new A().m()`: "7",
		`(function () { return [].slice.call(arguments, 1).join() })(1, 2, 3)`: "2,3", `void 0`: "", `null`: "", `a: for (;;) { break a } 1`: "1", `({}) + ''`: "[object Object]",
		`var o = null; o?.length()`: "", `[1,2,3].indexOf(3, -1)`: "2", `var l = 'y'; l = l + l; l += 'z'; l`: "yyz", `1e21 + ''`: "1e+21", `[,1].length`: "2", `"\u0041\x42"`: "AB",
	})
}

// What is no JavaScript, or fails as JavaScript, has no value.
func TestNotUnderstood(t *testing.T) {
	for _, source := range []string{
		`return true`, `(`, `'open`, `1 +`, `a.b.c`, `null.x`, `1 = 2`, `#`, `/* open`, `x[`, `f(1,`, `{`, `1.2.3`, `java.lang.Runtime`, `ctx.exec('rm')`, `'a'.frobnicate()`,
		`undefinedName`, `USER.none.x`, `throw new Error('no')`, `ctx.user = 'x'`, `IS_ACCESS_TIME_AFTER('tomorrow')`, `IS_ACCESS_TIME_AFTER('2026/01/01', 'Mars/Base')`,
		`'abc'.contains(null)`, `[1].length()`, `const c = 1; c = 2`, `let l; let l`, `"use strict"; z = 1`,
	} {
		if got, err := text(source, everything()); err == nil {
			t.Errorf("%s is %q, want an error", source, got)
		}
		s, err := compile(source)
		if err != nil {
			continue
		}
		s.deadline = time.Minute
		if out, err := s.Met(everything()); err == nil || out.Met {
			t.Errorf("%s as a condition: %v (error %v), want an error", source, out, err)
		}
	}
}

func TestMet(t *testing.T) {
	other := func(value string) match.Outcome { return match.Outcome{From: match.FromOtherType, Value: value} }
	is := func(met bool, from match.OutcomeFrom) match.Outcome { return match.Outcome{Met: met, From: from} }
	nothing := is(false, match.FromNothing)
	for source, want := range map[string]match.Outcome{
		`true`: is(true, match.FromValue), `false`: {}, `!USER.none`: is(true, match.FromValue),
		`'false'`: other(`"false"`), `'true'`: other(`"true"`), `0`: other("0"), `1`: other("1"), `''`: other(`""`), `({})`: other("[object Object]"), `[true]`: other("true"), `new Boolean(true)`: other("true"),
		`({toString() { throw 1 }})`: other("something without a text"), `'x'.repeat(99)`: other(`"` + strings.Repeat("x", 60) + `..."`),
		`ctx.result = true; 0`: {Met: true, From: match.FromOtherType, Value: "0"}, `ctx.setResult(false); 'true'`: other(`"true"`),
		`null`: nothing, `undefined`: nothing, ``: nothing, `// a comment`: nothing, `var x = true`: nothing,
		`ctx.result = true; null`: is(true, match.FromResult), `ctx.setResult(true); undefined`: is(true, match.FromResult), `ctx.result = 'x'; null`: is(true, match.FromResult),
		`ctx.setResult(false)`: is(false, match.FromResult), `ctx.result = true; false`: is(false, match.FromOverruled), `ctx.setResult(false); true`: is(true, match.FromOverruled), `ctx.result = true; true`: is(true, match.FromValue),
		`if (USER.dept == 'hr') ctx.result = true;`: is(true, match.FromValue), `if (USER.dept == 'it') ctx.result = true;`: nothing,
		`ctx.result = true; ctx.setResult(); null`: is(false, match.FromResult), `ctx.result = 1; ctx.getResult()`: is(true, match.FromValue),
		"\n  USER.dept == 'hr' \n": is(true, match.FromValue),
	} {
		s, err := compile(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		s.deadline = time.Minute
		if got, err := s.Met(everything()); err != nil || got != want {
			t.Errorf("%s is %+v (error %v), want %+v", source, got, err, want)
		}
	}
}

// A run sees nothing of an earlier one, and the same input has the same result.
func TestRunsShareNothing(t *testing.T) {
	for _, source := range []string{
		`typeof leak + (leak = 1)`, `typeof Array.prototype.x + (Array.prototype.x = 1)`, `typeof Object.prototype.y + (Object.prototype.y = 1)`,
		`[].map.n = ([].map.n || 0) + 1`, `String.prototype.trim = () => 'z'; ' a '.trim()`, `USER.dept = USER.dept + '!'`, `Math.pi = (Math.pi || 0) + 1`,
		`/a/g.lastIndex++`, `ctx.result = !ctx.result; ctx.result`, `delete globalThis.USER; typeof USER`, `RES.table.push('x'); RES.table.length`, `JSON.n = (JSON.n || 0) + 1`,
		`TAGS.PII.level += 'x'`, `f = (a => a)` + "`${leak2 = 1}`" + `; typeof leak2`, `Object.keys(UG).join() + Object.keys(TAG).join()`,
	} {
		s, err := compile(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		s.deadline = time.Minute
		v := everything()
		first, err := s.Text(v)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		for range 3 {
			if again, err := s.Text(v); err != nil || again != first {
				t.Errorf("%s is first %q, then %q (error %v)", source, first, again, err)
			}
		}
		if v.Users.UserAttrMapping["bob"]["dept"] != "hr" || v.Tag.Attributes["level"] != "high" || len(v.Resource[1].Also) != 1 {
			t.Errorf("%s changes the values of the request", source)
		}
	}
}

// Roles, which may take a search, are asked for at most once, and only by scripts that use them.
func TestRolesAreAskedForOnce(t *testing.T) {
	for source, want := range map[string]int{
		`URNAMES.length + ctx.getUserRoles().length + +IS_IN_ROLE('x') + UR_NAMES_CSV`: 1, `USER.dept == 'hr' && ctx.isInGroup('x')`: 0,
	} {
		calls, v := 0, everything()
		v.Roles = func() []string { calls++; return []string{"boss"} }
		if _, err := text(source, v); err != nil || calls != want {
			t.Errorf("%s asks %d times (error %v), want %d", source, calls, err, want)
		}
	}
}

// A condition works on values of which next to nothing is set.
func TestEmptyValues(t *testing.T) {
	testScripts(t, &match.Values{}, map[string]string{
		`REQ.action === null && REQ.user === null && ctx.getUser() === null`: "true", `UGNAMES.length + URNAMES.length + TAGNAMES.length`: "0",
		`tag === null && tagAttr.isEmpty() && Object.keys(TAG).length == 0`: "true", `HAS_NO_TAG && IS_NOT_IN_ANY_GROUP && IS_NOT_IN_ANY_ROLE`: "true",
		`ctx.getCurrentTagType() === null && ctx.getTagAttributes('PII') === null`: "true", `UG_NAMES_CSV + TAG_NAMES_Q_CSV + GET_USER_ATTR_Q('x')`: "",
		`RES._ownerUser === null`: "true", `ctx.isAccessedAfter('expiry') && !ctx.isAccessedBefore('expiry')`: "true", `this.USER.dept === undefined && this.nobody === undefined`: "true",
	})
}

// Whoever looks a name up in the global object finds it as well.
func TestAllNamesAreThere(t *testing.T) {
	for _, name := range knownNames {
		if got, err := text("typeof globalThis['"+name+"']", everything()); err != nil || got == "undefined" {
			t.Errorf("%s is %s (error %v)", name, got, err)
		}
	}
	for name := range variables {
		if !slices.Contains(knownNames, name) {
			t.Errorf("%s is no known name", name)
		}
	}
}
