package script

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dop251/goja"

	"ucwarden/policy/match"
)

// hostile are scripts that would take time or memory without end. Each ends with an error, and none is abandoned.
var hostile = []string{
	`for (;;) {}`, `while (true) {}`, `do {} while (1)`, `(function f() { f() })()`, `try { for (;;) {} } catch (e) { 1 } finally { for (;;) {} }`,
	`function f() { try { f() } catch (e) { f() } } f()`, `(function f(n) { [1].forEach(() => f(n + 1)) })(0)`, `var o = {get x() { return this.x }}; o.x`,
	`var o = {toString() { return '' + this }}; o + ''`, `for (;;) { try { [].x.y } catch (e) {} }`,

	`var s = 'x'; for (;;) s += s`, `var s = 'x'; for (;;) s = s + s`, "var s = 'x'; for (;;) s = `${s}${s}`", `var s = 'x'; for (;;) s = s.concat(s)`, `var s = 'x'; for (;;) s = [s, s].join('')`,
	`'x'.repeat(1 << 28)`, `'x'.repeat(1 << 30)`, `'x'.repeat(2 ** 31)`, `'x'.padEnd(1 << 30)`, `'x'.padStart(1 << 28, 'ab')`, `'x'.repeat({valueOf() { return 1 << 28 }})`,
	`var n = 0; 'x'.repeat({valueOf() { return n++ ? 1 << 28 : 1 }}) + 'x'.repeat(1 << 20)`, `var s = 'x'.repeat(1 << 17); s.replace(/x/g, s)`, "'x'.repeat(1 << 16).replace(/x/g, \"$`$'\")",
	`'x'.repeat(1 << 16).replace(/x/g, () => 'y'.repeat(1 << 16))`, `'x'.repeat(1 << 17).split('').join('y'.repeat(1 << 10))`, `'x'.repeat(1 << 16).replaceAll('x', 'y'.repeat(1 << 16))`,
	`for (;;) 'x'.repeat(1 << 18)`, `var l = []; for (;;) l.push('x'.repeat(1 << 18))`, `var l = [], s = 'x'.repeat(1 << 17); for (;;) l.push(s + l.length)`,
	`'a'.repeat(1 << 17).indexOf('a'.repeat(1 << 16) + 'b')`, `('ü' + 'a'.repeat(1 << 17)).lastIndexOf('a'.repeat(1 << 16) + 'b')`, `('ü' + 'a'.repeat(1 << 17)).split('a'.repeat(1 << 16) + 'b')`,
	`var s = 'é'.repeat(1 << 17); for (;;) s.normalize('NFD')`, `var s = 'é'.repeat(1 << 17); for (;;) s.localeCompare(s)`,

	`Array(1 << 24).join('ab')`, `Array(1 << 24).fill(0)`, `new Array(1 << 25).fill(1)`, `var a = []; a.length = 4294967295; a.indexOf(1)`, `var a = []; a[4294967294] = 1; a.sort()`,
	`Array(4294967295).forEach(x => x)`, `Array(1 << 30).reverse()`, `[...Array(1 << 28)]`, `Math.max(...Array(1 << 24))`, `Math.max.apply(null, Array(1 << 24))`, `Array.from(Array(1 << 26))`,
	`Math.max.apply(null, {length: 1 << 26})`, `Array.from({length: 1 << 26})`, `Array.prototype.indexOf.call({length: 2 ** 53 - 1}, 1)`, `Array.prototype.forEach.call({length: 1e15}, x => x)`,
	`var a = [1]; for (;;) a = a.concat(a)`, `var a = [1]; for (;;) a.push(...a)`, `var a = Array(1 << 16).fill(1), l = []; for (;;) l.push(a.slice())`, `var a = [1]; for (;;) a = [...a, ...a]`,
	`var a = []; for (;;) a = [a]; String(a)`, `var a = []; for (var i = 0; i < 1e5; i++) a = [a]; String(a)`, `var a = ['x']; for (var i = 0; i < 40; i++) a = [a, a]; String(a)`,
	`var a = []; for (var i = 0; i < 1e5; i++) a = [a]; JSON.stringify(a)`, `var a = ['x']; for (var i = 0; i < 40; i++) a = [a, a]; J(a)`, `var s = 'x'.repeat(1 << 17); J(Array(1000).fill(s))`, `J(Array(4294967295))`,
	`(function () { arguments.length = 1 << 28; return [].slice.call(arguments) })()`, `(function () { Object.assign(arguments, {length: 1 << 28}); return Math.max(...arguments) })()`,
	`Array(1 << 16).fill('x'.repeat(1 << 10)).join('')`, `var a = Array(1 << 16).fill(1); a.sort((x, y) => { for (;;) {} })`, `Array(1 << 16).fill(1).map(x => Array(1 << 16).fill(x))`,

	`'x'.repeat(30).match(/^((a+)\2?)+$/)`, `/(?=a)b/.test('a')`, `new RegExp('(a+)\\1').test('aaa')`, `'aaaa'.search('(a+)\\1')`, `/(((a{30}){30}){30}){30}/.test('a')`, `'x'.match('((a{100}){100}){100}')`,
	`/a{1001}/.test('a')`, `new RegExp('a{5000}')`, `/(a?){500}a{500}/.test('a'.repeat(1 << 17))`, `'ab'.repeat(1 << 16).replace(/a.*c|a/g, '')`,
	`for (;;) /a/.test('a')`, `RegExp.prototype.exec = Object; for (;;) 'a'.replace(/a/g, '')`, `'aaaa'.split(Object.assign(/a/, {flags: 'g'}))`,
	`/a/.exec.call({source: '(a+)\\1', flags: ''}, 'aaa')`, `/a/.compile('(a+)\\1')`, `new RegExp({toString() { return '(a+)\\1' }})`, `'x'.match(new RegExp('x'.repeat(5000)))`,

	`new Set(Array(1 << 26))`, `new Map({[Symbol.iterator]: 1})`, `var i = [1].values(); i.next = Object; new Set(i)`, `var i = [1].values(); Object.getPrototypeOf(i).next = Object; [...i]`,
	`[...{next: Object}]`, `Object.fromEntries([].values())`, `var s = new Set([1]); s.forEach(x => { s.delete(x); s.add(x) })`, `var s = new Set(); for (var i = 0;; i++) s.add(i)`, `Array.from(new Set([1]).values())`,
	`var o = {}; for (var i = 0;; i++) o['k' + i] = i`, `JSON.parse('['.repeat(1 << 17))`, `JSON.parse('[ [1]]', function (k, v) { for (;;) {} })`, `({}).constructor.constructor('for(;;){}')()`,
	`var e = new Error; e.name = e; String(e)`, `var o = {toString: RegExp.prototype.toString}; o.source = o; String(o)`, `var o = {}; o.toString = o.toLocaleString; o + ''`,
	`var o = {valueOf: [].pop}; o.length = o; [].pop.call(o)`, `var o = {}; o.exec = RegExp.prototype.test; o.exec()`, `Object('x')()`,
	`var a = []; a[0] = a; a.toLocaleString = a.toString; a + ''`, `throw {toString() { for (;;) {} }}`, `({toString() { for (;;) {} }})`, `throw {get message() { for (;;) {} }}`,
	`var s = 'x'.repeat(1 << 18), l = []; for (;;) l.push(Object.entries(s))`, `Object.keys(Array(4294967295))`, `var o = {}; for (;;) o = Object.create(o)`, `var o = {}; for (var i = 0; i < 3e5; i++) o = Object.create(o); o.x + o.y.z`, `function F() {} var o = {}; for (;;) { F.prototype = o; o = new F(); o.x }`, `var f = x => x; for (;;) { let g = f; f = x => g(x) }`, `isFinite(Array(1 << 24))`, `[Array(1 << 24)] == ''`, `var l = []; for (;;) l = {l}`,
}

func TestHostileScripts(t *testing.T) {
	for _, source := range hostile {
		s, err := compile(source)
		if err != nil {
			continue
		}
		s.deadline, s.grace = 50*time.Millisecond, time.Minute
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if got, err := s.Text(everything()); err == nil {
			t.Errorf("%s is %.40q, want an error", source, got)
		}
		runtime.ReadMemStats(&after)
		if mb := int(after.TotalAlloc-before.TotalAlloc) >> 20; mb > 200 {
			t.Errorf("%s allocates %d MB", source, mb)
		}
		if mb := int(after.StackSys) >> 20; mb > 100 {
			t.Fatalf("%s: %d MB of stacks", source, mb)
		}
	}
}

// greedy are scripts that hold more and more memory, in as many ways as the interpreter makes values.
var greedy = []string{
	`var a = []; for (;;) a = [a]`, `var a = {}; for (;;) a = {a}`, `var o = {}; for (var i = 0;; i++) o[i] = i`, `var m = new Map(); for (var i = 0;; i++) m.set(i, i)`,
	`var l = []; for (;;) l[l.length] = {}`, `var l = []; for (var i = 0;; i++) l[i] = () => i`, `var f = null; for (;;) { let g = f; f = () => g }`, `function f() { return arguments } var l = []; for (;;) l[l.length] = f(1, 2, 3)`,
	`class A { #p = [1, 2, 3] } var l = []; for (;;) l[l.length] = new A()`, `var l = []; for (;;) l[l.length] = ctx.getUserGroups()`, `[2, 1].sort(() => { for (var a = [];;) a = [a] })`,
	`try { for (var a = [];;) a = [a] } catch (e) { 'caught' }`, `({toString() { for (var a = [];;) a = [a] }})`, `throw {toString() { for (var a = [];;) a = [a] }}`, `TAGNAMES.map(function f() { for (var a = [];;) a = [a] })`,
}

// A script that holds too much memory is ended for it, long before its deadline, wherever it does so: by itself, in a function that the
// interpreter calls, or for what it returns or throws. What others hold is not taken for its own, garbage is not, and where the heap is
// large it is seen, too.
func TestMemory(t *testing.T) {
	run := func(source string) error {
		s, err := compile(source)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		s.deadline, s.grace = time.Minute, time.Minute
		_, err = s.Text(everything())
		return err
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, source := range greedy {
		if err := run(source); !errors.Is(err, errMemory) {
			t.Errorf("%s: %v, want %v", source, err, errMemory)
		}
		if runtime.ReadMemStats(&after); after.HeapAlloc > before.HeapAlloc+maxMemory/2 {
			t.Errorf("%s leaves %d MB to the next", source, (after.HeapAlloc-before.HeapAlloc)>>20)
		}
	}
	if mb := (int64(after.HeapSys) - int64(before.HeapSys)) >> 20; mb > 8*maxMemory>>20 {
		t.Errorf("the heap grew by %d MB", mb)
	}
	const wasteful = `for (var i = 0, n = 0; i < 4e5; i++) n += [i, {i}].length; n`
	if err := run(wasteful); err != nil {
		t.Errorf("a script that leaves garbage: %v", err)
	}

	held := make([][]byte, 0, 6) // the next collection is far off
	for range cap(held) {
		held = append(held, make([]byte, maxMemory))
	}
	runtime.GC()
	runtime.ReadMemStats(&before)
	if err := run(greedy[0]); !errors.Is(err, errMemory) {
		t.Errorf("where the heap is large: %v, want %v", err, errMemory)
	}
	runtime.ReadMemStats(&after)
	if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 5*maxMemory>>20 {
		t.Errorf("%d MB are made before it is seen", mb)
	}
	if err := run(wasteful); err != nil {
		t.Errorf("a script that leaves garbage where the heap is large: %v", err)
	}
	runtime.KeepAlive(held)
}

// Whatever first sees that a run is to end, it ends for the reason it was told.
func TestHaltedFor(t *testing.T) {
	b := &sandbox{rt: goja.New()}
	b.halt(errMemory)
	_ = b.rt.Try(func() { b.charge(0) })
	if !errors.Is(b.failed, errMemory) {
		t.Errorf("%v, want %v", b.failed, errMemory)
	}
}

// Scripts of an ordinary size pass, however many groups a user has.
func TestOrdinaryScriptsPass(t *testing.T) {
	v := everything()
	v.Groups = nil
	for i := range 10_000 {
		v.Groups = append(v.Groups, "team_"+string(rune('a'+i%26))+strings.Repeat("x", i/26%10)+string(rune('0'+i%10))+string(rune('0'+i/100%10)))
	}
	testScripts(t, v, map[string]string{
		`UGNAMES.some(g => /^team_z/.test(g))`: "true", `UGNAMES.filter(g => g.startsWith('team_')).map(g => g.slice(5)).length == UGNAMES.length`: "true",
		`UG_NAMES_CSV.split(',').length == UGNAMES.length`: "true", `['a', 'b', 'c'].map(x => UGNAMES.includes(x)).join()`: "false,false,false",
		`var s = ''; for (var i = 0; i < 2000; i++) s += 'abc,'; s.replace(/,/g, ' or ').length`: "14000", `[...UGNAMES].sort().length == UGNAMES.length`: "true",
		`/(.*)(.*)(.*)x/.test('a'.repeat(1 << 16))`: "false", `var n = 0; for (var i = 0; i < 10000; i++) n += i; n`: "49995000",
	})
	long := "USER.dept == 'x'" + strings.Repeat(" || (USER.dept == 'hr')", 600)
	testScripts(t, v, map[string]string{long: "true"})
}

// The bounds on the source hold before the parser runs, which nothing can stop.
func TestSourceLimits(t *testing.T) {
	for name, source := range map[string]string{
		"parentheses": strings.Repeat("(", 200_000), "just too many parentheses": strings.Repeat("(", maxBrackets+1), "brackets": strings.Repeat("[", 16_000), "braces": strings.Repeat("{", 16_000),
		"labels": strings.Repeat("a:", 8_000), "labels in blocks": strings.Repeat("{a:", 1_900), "nested parentheses": strings.Repeat("(", 1_900) + "1" + strings.Repeat(")", 1_900) + "+)",
		"length": strings.Repeat("x", maxSource+1), "length after [[ ]]": strings.Repeat("[[a]]", maxSource/5), "negations": strings.Repeat("!", 16_000) + "1", "conditions": strings.Repeat("if(1)", 3_000) + "1",
		"choices": strings.Repeat("1?", 4_000) + "1" + strings.Repeat(":1", 4_000), "functions": strings.Repeat("(function(){", 600) + "1" + strings.Repeat("})", 600), "arrows": strings.Repeat("a=>", 5_000) + "1",
		"assignments": strings.Repeat("a=", 8_000) + "1", "powers": strings.Repeat("2**", 5_000) + "1", "template": "`" + strings.Repeat("${1}", maxParts+1) + "`",
	} {
		started := time.Now()
		if _, err := Compile(source); err == nil {
			t.Errorf("%s: no error", name)
		}
		if took := time.Since(started); took > 10*time.Second {
			t.Errorf("%s: %v", name, took)
		}
	}
	// What lies just inside is compiled.
	testScripts(t, everything(), map[string]string{
		strings.Repeat("(", 400) + "1" + strings.Repeat(")", 400): "1", strings.Repeat("1+", 2_000) + "1": "2001", strings.Repeat("!", 400) + "1": "true",
	})
}

// A script cannot have a file read by naming it as its source map: reading this one would not end.
func TestNoSourceMaps(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Skipf("no pipe: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := Compile("1\n//# sourceMappingURL=file://" + name)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the file is read")
	}
}

// What differs from run to run, compiles more source or reaches outside is not there.
func TestSandbox(t *testing.T) {
	testScripts(t, everything(), map[string]string{
		`typeof eval + typeof Function + typeof Date + typeof Math.random + typeof Symbol + typeof Reflect + typeof Proxy + typeof Promise`: strings.Repeat("undefined", 8),
		`typeof ArrayBuffer + typeof Uint8Array + typeof DataView + typeof BigInt + typeof WeakMap + typeof WeakRef + typeof escape`:        strings.Repeat("undefined", 7),
		`typeof require + typeof process + typeof console + typeof setTimeout + typeof load + typeof java + typeof Java + typeof Packages`:  strings.Repeat("undefined", 8),
		`(function () {}).constructor === Object && (class {}).constructor === Object && (x => x).constructor === Object`:                   "true",
		`[].constructor.constructor === Object && ''.trim.constructor === Object && ctx.getUser.constructor === Object`:                     "true",
		`typeof Object.setPrototypeOf + typeof Object.defineProperty + typeof Object.getOwnPropertySymbols + typeof ({}).__proto__`:         strings.Repeat("undefined", 4),
		`Object.getOwnPropertyNames(Object.getPrototypeOf(function () {})).sort().join()`:                                                   "apply,call,length,name,toString",
		`(async function () {}).constructor`: "error", `(function* () {}).constructor`: "error", `async () => 1`: "error", `({async f() {}})`: "error", `class A { *g() {} }`: "error",
		`1n`: "error", `with ({}) {}`: "error", `var [a, ...b] = [1, 2]`: "error", `import('x')`: "error", `import x from 'y'`: "error", `eval('1')`: "error", `new Function('return 1')()`: "error",
		`Object.getPrototypeOf(function () {}).constructor('return 1')`: "return 1", // that of Object.prototype: it makes an object of the string
		`RegExp.prototype.exec = 1; typeof /a/.exec`:                    "function", `/a/.constructor === undefined || /a/.constructor === Object`: "true",
		`var p = Object.getPrototypeOf([].values()), n = p.next; p.next = Object; p.next === n`: "true",
		`globalThis['\x00text'] = 1; 'a' + 'b'`:                                                 "ab", `this.constructor === Object`: "true",
	})
}

// A failure is told in the script's own words and place, and holds nothing that could still run.
func TestErrorsAreReadable(t *testing.T) {
	for source, want := range map[string]string{
		`USER.none.x`: "script: TypeError: Cannot read property 'x' of undefined (line 1, column 11)", "1 +\n nobody": "script: ReferenceError: nobody is not defined (line 2, column 2)",
		`throw {toString() { return 'mine' }}`: "script: mine (line 1, column 1)", `throw 'x'.repeat(1000)`: strings.Repeat("x", 300) + "...", `return 1`: "Illegal return statement",
		`var s = 'x'; for (;;) s += s`: "too large", `var s = 'x'; for (;;) s = s + s`: "too large", "var s = 'x'; for (;;) s = `${s}${s}`": "too large",
		`var e = new Error; e.name = e; String(e)`: "more than 256 nested calls",
		`IS_ACCESS_TIME_AFTER('tomorrow')`:         `time "tomorrow" is not of the form yyyy/MM/dd HH:mm:ss`, `(function f() { f() })()`: "more than 256 nested calls", `'x'.repeat(1e6)`: "too large",
	} {
		if _, err := text(source, everything()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s fails with %v, want %q", source, err, want)
		}
	}
}

// What policies may use is defined even where nothing is asked for; a script that fails for a name fails always.
func TestUndefinedNames(t *testing.T) {
	for _, name := range knownNames {
		if _, err := text(name, &match.Values{}); errors.Is(err, match.ErrScriptUndefined) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, source := range []string{`nobody`, `USER.name == nobody`, `eval('1')`, `(() => nobody.x)()`} {
		if _, err := text(source, &match.Values{}); !errors.Is(err, match.ErrScriptUndefined) {
			t.Errorf("%s: %v, want a name that is not defined", source, err)
		}
	}
}

// A run that cannot be stopped is abandoned at the deadline. Only so many may pile up; when they end, scripts run again.
func TestAbandonedRuns(t *testing.T) {
	release, inside := make(chan struct{}), make(chan struct{}, maxAbandoned)
	blocked := &match.Values{Roles: func() []string { inside <- struct{}{}; <-release; return nil }}
	s, err := compile(`URNAMES.length == 0`)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan time.Time)
	close(over)
	for range maxAbandoned {
		s.after = func(d time.Duration) <-chan time.Time {
			if d == s.deadline { // it is over as soon as the run hangs
				<-inside
			}
			return over
		}
		if _, err := s.Met(blocked); !errors.Is(err, errTooLong) {
			t.Errorf("a run that hangs: %v, want %v", err, errTooLong)
		}
	}
	s.deadline, s.after = time.Minute, time.After
	if _, err := s.Met(everything()); !errors.Is(err, errAbandoned) {
		t.Errorf("with %d runs abandoned: %v, want %v", maxAbandoned, err, errAbandoned)
	}
	close(release)
	for limit := time.Now().Add(time.Minute); abandoned.Load() > 0; runtime.Gosched() {
		if time.Now().After(limit) {
			t.Fatalf("%d runs still count as abandoned", abandoned.Load())
		}
	}
	if out, err := s.Met(&match.Values{}); err != nil || !out.Met {
		t.Errorf("after they ended: %v (error %v)", out, err)
	}
}

// Scripts run side by side.
func TestConcurrentRuns(t *testing.T) {
	s, err := compile(`var x = USER._name; for (var i = 0; i < 100; i++) x += 'y'; ctx.result = x.length; IS_IN_GROUP('staff') && x.length > 100`)
	if err != nil {
		t.Fatal(err)
	}
	s.deadline = time.Minute
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if out, err := s.Met(everything()); err != nil || !out.Met {
					t.Errorf("%v (error %v)", out, err)
				}
			}
		})
	}
	wg.Wait()
}

// Whatever the source is, it compiles and runs within bounds, and twice with the same result.
func FuzzScript(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	for _, s := range []string{
		"if ( tagAttr.get('score') < 2 ) ctx.result = true;", "USER.dept == 'x' ? 1 : [2][0]", "((((", "a.b[c](d)", "'\\", "IS_IN_GROUP('x')||!HAS_ANY_TAG", "a?.b.length()", "super.length()",
		"`${a}${`${b}`}`", "[[TAG.x]]", "x => { x += `a` }", "({a, ...b} = c)", "class A extends B { static #p = this.#p + 1 }", "for (const [a] of b) c: continue c", "new.target", "f`x${1}y`",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		overdue := time.AfterFunc(20*time.Second, func() { panic(fmt.Sprintf("does not end: %q", source)) })
		defer overdue.Stop()
		s, err := compile(source)
		if err != nil {
			return
		}
		s.deadline, s.grace = 100*time.Millisecond, 10*time.Second
		met, err := s.Met(everything())
		if abandoned.Load() > 0 {
			t.Fatalf("cannot be stopped")
		}
		again, err2 := s.Met(everything())
		late := errors.Is(err, errTooLong) || errors.Is(err2, errTooLong)
		if !late && (met != again || (err == nil) != (err2 == nil)) {
			t.Fatalf("%v (error %v), then %v (error %v)", met, err, again, err2)
		}
	})
}
