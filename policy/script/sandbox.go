package script

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/dop251/goja"
)

// sandbox is the interpreter of one run, with everything taken out that scripts of policies may not use: the ways to
// compile more source (eval, Function), what differs from run to run (Date, Math.random), and what takes memory or time
// without end inside a single operation, which the interpreter cannot be stopped in. What is left of the latter is
// counted: see methods.go.
type sandbox struct {
	rt       *goja.Runtime
	halted   atomic.Pointer[error] // why the run is to end
	failed   error                 // why the run is stopped, if it is
	work     int                   // done so far; see maxWork
	depth    int                   // of calls of the interpreter's own functions; see maxDepth
	patterns map[string]int
	regExps  *goja.Object // RegExp.prototype
}

// The names of the global object that stay, and of the objects of which only some properties do.
var (
	keptGlobals = strings.Fields(`Object Array String Number Boolean Math JSON RegExp Map Set Error EvalError RangeError
		ReferenceError SyntaxError TypeError URIError NaN Infinity undefined globalThis isNaN isFinite parseInt parseFloat
		encodeURI encodeURIComponent decodeURI decodeURIComponent`)
	keptOf = map[string][]string{
		"Object": strings.Fields(`prototype length name assign create entries freeze fromEntries getOwnPropertyNames
			getPrototypeOf hasOwn is isFrozen keys values`),
		"Object.prototype": strings.Fields(`constructor hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString
			toString valueOf`),
		"Function.prototype": strings.Fields(`length name apply call toString`),
		"Number.prototype":   strings.Fields(`constructor toExponential toFixed toLocaleString toPrecision toString valueOf`),
		"Boolean.prototype":  strings.Fields(`constructor toString valueOf`),
		"Error.prototype":    strings.Fields(`constructor message name toString`),
		"Array":              strings.Fields(`prototype length name from isArray of`),
		"Array.prototype": append(strings.Fields(`length constructor entries keys values pop at contains containsAll get
			intersects isEmpty size`), methodNames(arrayMethods)...),
		"String": strings.Fields(`prototype length name fromCharCode fromCodePoint`),
		"String.prototype": append(strings.Fields(`length constructor toString valueOf contains equals equalsIgnoreCase isEmpty`),
			methodNames(stringMethods)...),
		"RegExp": strings.Fields(`prototype length name`),
		"RegExp.prototype": strings.Fields(`dotAll exec flags global hasIndices ignoreCase multiline source sticky test
			toString unicode`),
		"Map":           strings.Fields(`prototype length name`),
		"Map.prototype": strings.Fields(`constructor clear delete entries forEach get has keys set size values`),
		"Set":           strings.Fields(`prototype length name`),
		"Set.prototype": strings.Fields(`constructor add clear delete entries forEach has keys size values`),
		"JSON":          strings.Fields(`parse stringify`),
		"Error":         strings.Fields(`prototype length name`),
	}
	// Of these the functions are bounded only in how deep they call each other.
	guarded = map[string][]string{
		"Object.prototype":   strings.Fields(`hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString toString valueOf`),
		"Function.prototype": strings.Fields(`call toString`),
		"Array.prototype":    strings.Fields(`at entries keys pop values`),
		"String.prototype":   strings.Fields(`toString valueOf`),
		"Number.prototype":   strings.Fields(`toExponential toFixed toLocaleString toPrecision toString valueOf`),
		"Boolean.prototype":  strings.Fields(`toString valueOf`),
		"RegExp.prototype":   strings.Fields(`test toString`),
		"Error.prototype":    strings.Fields(`toString`),
		"Map.prototype":      strings.Fields(`clear delete entries forEach get has keys set values`),
		"Set.prototype":      strings.Fields(`add clear delete entries forEach has keys values`),
	}
)

func methodNames[F any](methods map[string]F) []string {
	names := make([]string, 0, len(methods))
	for name := range methods {
		names = append(names, name)
	}
	return names
}

// prepare adds what Ranger's scripts may call, bounds the interpreter and takes out the rest. It returns the value of
// the prelude.
func (b *sandbox) prepare() (*goja.Object, error) {
	rt := b.rt
	rt.SetMaxCallStackSize(maxCalls)
	made, err := rt.RunProgram(prelude)
	if err != nil {
		return nil, err
	}
	global := rt.GlobalObject()
	objects := map[string]*goja.Object{"Function.prototype": rt.Get("Function").ToObject(rt).Get("prototype").ToObject(rt)}
	for _, name := range keptGlobals {
		o, ok := global.Get(name).(*goja.Object)
		if !ok || name == "globalThis" {
			continue
		}
		objects[name] = o
		if p, ok := o.Get("prototype").(*goja.Object); ok {
			objects[name+".prototype"] = p
		}
	}
	b.fixIterators(objects)
	b.regExps = objects["RegExp.prototype"]
	b.hooks(global)
	b.wrapMethods(objects)
	b.wrapObjects(objects)

	for name, functions := range guarded {
		b.guard(objects[name], functions)
	}
	var faults []error
	keep := func(o *goja.Object, kept []string) {
		for _, name := range o.GetOwnPropertyNames() {
			if !slices.Contains(kept, name) && !strings.HasPrefix(name, "\x00") {
				faults = append(faults, o.Delete(name))
			}
		}
	}
	for name, kept := range keptOf {
		keep(objects[name], kept)
	}
	faults = append(faults, objects["Math"].Delete("random"))
	keep(global, keptGlobals)
	return made.ToObject(rt), errors.Join(faults...)
}

// fixIterators keeps the functions next of the built-in iterators as they are: operations of the interpreter call them
// until they are done, which another function might never be.
func (b *sandbox) fixIterators(objects map[string]*goja.Object) {
	empty := func(name string) goja.Value {
		o, err := b.rt.New(objects[name])
		b.must(err)
		return o
	}
	for of, v := range map[string]goja.Value{
		"Array": b.rt.NewArray(), "Map": empty("Map"), "Set": empty("Set"), "String": b.rt.ToValue(""),
	} {
		iterate, _ := goja.AssertFunction(objects[of+".prototype"].GetSymbol(goja.SymIterator))
		iterator, err := iterate(v)
		b.must(err)
		kind := iterator.ToObject(b.rt).Prototype()
		b.must(kind.DefineDataProperty("next", kind.Get("next"), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_TRUE))
	}
}

// halt ends the run with err as soon as it does anything that can be stopped.
func (b *sandbox) halt(err error) {
	b.halted.Store(&err)
	b.rt.Interrupt(err)
}

// stop ends the run with err. A script cannot catch it.
func (b *sandbox) stop(err error) {
	if b.failed == nil {
		b.failed = err
	}
	b.rt.Interrupt(err)
	panic(b.rt.NewGoError(err))
}

// charge counts work, and ends the run when it is too much.
func (b *sandbox) charge(work int) {
	if why := b.halted.Load(); why != nil {
		b.stop(*why)
	}
	if b.work += work + 1; b.work > maxWork {
		b.stop(errTooMuch)
	}
}

// must throws err, if it is one, in the script.
func (b *sandbox) must(err error) {
	var exception *goja.Exception
	switch {
	case err == nil:
	case errors.As(err, &exception):
		panic(exception.Value())
	default:
		panic(b.rt.NewTypeError("%s", err.Error()))
	}
}

// call calls f and throws what it throws.
func (b *sandbox) call(f goja.Callable, this goja.Value, args ...goja.Value) goja.Value {
	v, err := f(this, args...)
	var stopped *goja.InterruptedError
	var overflow *goja.StackOverflowError
	switch {
	case errors.As(err, &stopped):
		b.stop(interrupted(stopped))
	case errors.As(err, &overflow):
		b.stop(errTooDeep)
	}
	b.must(err)
	return v
}

// text returns v as a string of bounded length.
func (b *sandbox) text(v goja.Value) goja.String {
	if o, ok := v.(*goja.Object); ok {
		v = o.ToString()
	}
	s, ok := v.(goja.String)
	if !ok {
		s = b.rt.ToValue(v.String()).(goja.String)
	}
	if s.Length() > maxText {
		b.stop(errTooMuch)
	}
	return s
}

// sized returns v, and ends the run when it is too long a string.
func (b *sandbox) sized(v goja.Value) goja.Value {
	if s, ok := v.(goja.String); ok {
		b.charge(s.Length())
		if s.Length() > maxText {
			b.stop(errTooMuch)
		}
	}
	return v
}

// length returns the length of an array and whether v is one. That of a genuine array is no matter of the script's.
func (b *sandbox) length(v goja.Value) (int, bool) {
	o, ok := v.(*goja.Object)
	if !ok || o.ClassName() != "Array" {
		return 0, false
	}
	n := o.Get("length").ToInteger()
	if n > maxList {
		b.stop(errTooMuch)
	}
	return int(n), true
}

// list returns v as something of bounded size that the interpreter can go through: an array, a string, a map or a set.
// Other things, which may go on without end, throw.
func (b *sandbox) list(v goja.Value) goja.Value {
	if n, ok := b.length(v); ok {
		b.charge(8 * n)
		return v
	}
	if s, ok := v.(goja.String); ok {
		b.charge(8 * s.Length())
		return b.sized(v)
	}
	if o, ok := v.(*goja.Object); ok {
		switch {
		case o.ClassName() == "Arguments":
			return b.copyOf(o)
		case isCollection(o):
			b.charge(int(min(o.Get("size").ToInteger(), maxWork)) * 8)
			return v
		}
	}
	panic(b.rt.NewTypeError("only arrays, strings, maps and sets can be gone through here"))
}

// copyOf returns the elements of something like an array as an array.
func (b *sandbox) copyOf(o *goja.Object) goja.Value {
	n := o.Get("length").ToInteger()
	if n > maxList {
		b.stop(errTooMuch)
	}
	b.charge(8 * int(max(n, 0)))
	items := make([]any, 0, max(n, 0))
	for i := range n {
		items = append(items, o.Get(b.rt.ToValue(i).String()))
	}
	return b.rt.NewArray(items...)
}

// isCollection tells whether o is a Map or a Set.
func isCollection(o *goja.Object) bool {
	if o.ClassName() != "Object" {
		return false
	}
	t := o.ExportType()
	return t == mapType || t == setType
}
