package script

import (
	"reflect"
	"strings"

	"github.com/dop251/goja"
)

var (
	mapType = reflect.TypeFor[[][2]any]()
	setType = reflect.TypeFor[[]any]()
)

// arrayMethods are the methods of arrays that go through their elements, with what each costs for an element: 8 where it
// makes another array. They work on arrays alone, whose length is known beforehand.
var arrayMethods = map[string]int{
	"concat": 8, "copyWithin": 8, "every": 1, "fill": 8, "filter": 8, "find": 1, "findIndex": 1, "findLast": 1,
	"findLastIndex": 1, "forEach": 1, "includes": 1, "indexOf": 1, "join": 1, "lastIndexOf": 1, "map": 8, "push": 0,
	"reduce": 1, "reduceRight": 1, "reverse": 2, "shift": 1, "slice": 8, "some": 1, "sort": 32, "splice": 8,
	"toReversed": 8, "toSorted": 32, "toSpliced": 8, "toString": 1, "unshift": 8, "with": 8,
}

// stringMethods are the methods of strings, with what looks at the arguments before they run, if anything must.
var stringMethods = map[string]func(b *sandbox, s goja.String, args []goja.Value){
	"at": nil, "charAt": nil, "charCodeAt": nil, "codePointAt": nil, "slice": nil, "substr": nil, "substring": nil,
	"toLocaleLowerCase": nil, "toLocaleUpperCase": nil, "toLowerCase": nil, "toUpperCase": nil, "trim": nil,
	"trimEnd": nil, "trimLeft": nil, "trimRight": nil, "trimStart": nil,
	"concat":        beforeConcat,
	"endsWith":      beforeSearch,
	"includes":      beforeSearch,
	"indexOf":       beforeSearch,
	"lastIndexOf":   beforeSearch,
	"localeCompare": beforeCompare,
	"match":         beforeMatch,
	"matchAll":      beforeMatch,
	"normalize":     beforeCompare,
	"padEnd":        beforePad,
	"padStart":      beforePad,
	"repeat":        beforeRepeat,
	"replace":       beforeReplace,
	"replaceAll":    beforeReplace,
	"search":        beforeMatch,
	"split":         beforeSplit,
	"startsWith":    beforeSearch,
}

// hooks defines the functions that the compiled program calls; see parse.go.
func (b *sandbox) hooks(global *goja.Object) {
	define := func(name string, f func(v goja.Value) goja.Value) {
		b.must(global.DefineDataProperty(name, b.rt.ToValue(func(c goja.FunctionCall) goja.Value { return f(c.Argument(0)) }),
			goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE))
	}
	define(hookText, b.sized)
	define(hookSpread, b.list)
	define(hookLength, func(v goja.Value) goja.Value {
		if s, ok := v.(goja.String); ok {
			return b.rt.ToValue(s.Length())
		}
		f, ok := goja.AssertFunction(v.ToObject(b.rt).Get("length"))
		if !ok {
			panic(b.rt.NewTypeError("length is not a function"))
		}
		return b.call(f, v)
	})
}

// wrap replaces a method of o by one that calls it through f. It bounds how deep the interpreter's own functions call
// each other, as they do when a script makes one the toString of an object: nothing else would, but the end of the stack,
// which ends the process.
func (b *sandbox) wrap(o *goja.Object, name string, f func(method goja.Callable, c goja.FunctionCall) goja.Value) {
	method, ok := goja.AssertFunction(o.Get(name))
	if !ok {
		return
	}
	b.must(o.DefineDataProperty(name, b.rt.ToValue(func(c goja.FunctionCall) goja.Value {
		if b.depth++; b.depth > maxDepth {
			b.stop(errTooDeep)
		}
		defer func() { b.depth-- }()
		return f(method, c)
	}), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE))
}

// guard wraps the functions of o that nothing else bounds.
func (b *sandbox) guard(o *goja.Object, names []string) {
	for _, name := range names {
		b.wrap(o, name, func(method goja.Callable, c goja.FunctionCall) goja.Value {
			b.charge(0)
			return b.call(method, c.This, c.Arguments...)
		})
	}
}

func (b *sandbox) wrapMethods(objects map[string]*goja.Object) {
	arrays := objects["Array.prototype"]
	for name, cost := range arrayMethods {
		b.wrap(arrays, name, func(method goja.Callable, c goja.FunctionCall) goja.Value {
			this := c.This
			n, ok := b.length(this)
			if !ok {
				o, isObject := this.(*goja.Object)
				if !isObject || o.ClassName() != "Arguments" {
					panic(b.rt.NewTypeError("Array.prototype." + name + " is for arrays"))
				}
				this = b.copyOf(o)
				n, _ = b.length(this)
			}
			b.charge(cost*n + 8*len(c.Arguments))
			switch name {
			case "concat":
				for _, arg := range c.Arguments {
					n, _ := b.length(arg)
					b.charge(8 * n)
				}
			case "join", "toString":
				return b.join(this, c.Argument(0))
			}
			return b.call(method, this, c.Arguments...)
		})
	}
	texts := objects["String.prototype"]
	for name, before := range stringMethods {
		b.wrap(texts, name, func(method goja.Callable, c goja.FunctionCall) goja.Value {
			if goja.IsUndefined(c.This) || goja.IsNull(c.This) {
				panic(b.rt.NewTypeError("String.prototype." + name + " of nothing"))
			}
			s := b.text(c.This)
			b.charge(s.Length())
			if before != nil {
				before(b, s, c.Arguments)
			}
			return b.sized(b.call(method, s, c.Arguments...))
		})
	}
}

// join is Array.prototype.join. It is written out here because the interpreter's recurses without bound, and joins
// what is too long before anybody can look at it.
func (b *sandbox) join(array, separator goja.Value) goja.Value {
	sep := b.rt.ToValue(",").(goja.String)
	if !goja.IsUndefined(separator) {
		sep = b.text(separator)
	}
	o := array.(*goja.Object)
	n, _ := b.length(o)
	parts := make([]goja.String, 0, n)
	size := 0
	for i := range n {
		e := o.Get(b.rt.ToValue(i).String())
		part := b.rt.ToValue("").(goja.String)
		if e != nil && !goja.IsUndefined(e) && !goja.IsNull(e) {
			part = b.text(e)
		}
		if size += part.Length() + sep.Length(); size > maxText+sep.Length() {
			b.stop(errTooMuch)
		}
		parts = append(parts, part)
	}
	b.charge(size)
	var joined goja.StringBuilder
	for i, part := range parts {
		if i > 0 {
			joined.WriteString(sep)
		}
		joined.WriteString(part)
	}
	return joined.String()
}

func argument(args []goja.Value, i int) goja.Value {
	if i < len(args) {
		return args[i]
	}
	return goja.Undefined()
}

// textArgument makes argument i a string, once and for all.
func (b *sandbox) textArgument(args []goja.Value, i int) goja.String {
	if i >= len(args) {
		return b.rt.ToValue("undefined").(goja.String)
	}
	s := b.text(args[i])
	args[i] = s
	return s
}

func beforeConcat(b *sandbox, s goja.String, args []goja.Value) {
	size := s.Length()
	for i := range args {
		if size += b.textArgument(args, i).Length(); size > maxText {
			b.stop(errTooMuch)
		}
	}
}

// beforeSearch counts what looking for one string in another may take.
func beforeSearch(b *sandbox, s goja.String, args []goja.Value) {
	if _, isObject := argument(args, 0).(*goja.Object); !isObject || b.regExp(args[0]) == nil {
		b.charge(s.Length() / 8 * b.textArgument(args, 0).Length())
	}
}

func beforeCompare(b *sandbox, s goja.String, args []goja.Value) {
	b.charge(60 * (s.Length() + b.textArgument(args, 0).Length()))
}

func beforePad(b *sandbox, _ goja.String, args []goja.Value) {
	if n := argument(args, 0).ToInteger(); n > maxText {
		b.stop(errTooMuch)
	} else if len(args) > 0 {
		args[0] = b.rt.ToValue(n)
	}
	if len(args) > 1 && !goja.IsUndefined(args[1]) {
		b.textArgument(args, 1)
	}
}

func beforeRepeat(b *sandbox, s goja.String, args []goja.Value) {
	n := argument(args, 0).ToInteger()
	if n > maxText || n > 0 && int(n)*s.Length() > maxText {
		b.stop(errTooMuch)
	}
	if len(args) > 0 && n >= 0 {
		args[0] = b.rt.ToValue(n)
	}
}

func beforeMatch(b *sandbox, _ goja.String, args []goja.Value) {
	if b.regExp(argument(args, 0)) == nil && len(args) > 0 && !goja.IsUndefined(args[0]) {
		b.checkPattern(b.textArgument(args, 0).String(), "")
	}
}

func beforeSplit(b *sandbox, s goja.String, args []goja.Value) {
	if b.regExp(argument(args, 0)) == nil && !goja.IsUndefined(argument(args, 0)) {
		b.charge(s.Length() / 8 * b.textArgument(args, 0).Length())
	}
	b.charge(8 * s.Length())
}

func beforeReplace(b *sandbox, s goja.String, args []goja.Value) {
	if b.regExp(argument(args, 0)) == nil {
		b.charge(s.Length() / 8 * b.textArgument(args, 0).Length())
	}
	if len(args) < 2 {
		return
	}
	if f, ok := goja.AssertFunction(args[1]); ok {
		args[1] = b.rt.ToValue(func(c goja.FunctionCall) goja.Value {
			v := b.text(b.call(f, c.This, c.Arguments...))
			return b.sized(v)
		})
		return
	}
	// Each match becomes the replacement, and each $ in it at most the whole string.
	by := b.textArgument(args, 1)
	dollars := strings.Count(by.String(), "$`") + strings.Count(by.String(), "$'")
	b.charge((s.Length() + 1) / 4 * (by.Length() + dollars*s.Length()))
}
