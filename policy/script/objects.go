package script

import (
	"strings"

	"github.com/dop251/goja"
)

// wrapObjects bounds what is left: regular expressions, maps, sets, JSON and the functions of Object and Function.
func (b *sandbox) wrapObjects(objects map[string]*goja.Object) {
	b.wrapRegExps(objects)
	listAt := func(o *goja.Object, name string, i int) {
		b.wrap(o, name, func(method goja.Callable, c goja.FunctionCall) goja.Value {
			if v := c.Argument(i); !goja.IsUndefined(v) && !goja.IsNull(v) {
				c.Arguments[i] = b.list(v)
			}
			return b.call(method, c.This, c.Arguments...)
		})
	}
	listAt(objects["Function.prototype"], "apply", 1)
	listAt(objects["Object"], "fromEntries", 0)
	for _, name := range []string{"assign", "entries", "freeze", "getOwnPropertyNames", "keys", "values"} {
		b.wrap(objects["Object"], name, func(method goja.Callable, c goja.FunctionCall) goja.Value {
			for _, arg := range c.Arguments {
				n, _ := b.length(arg)
				if s, ok := arg.(goja.String); ok {
					n = s.Length()
				}
				b.charge(32 * n)
			}
			return b.call(method, c.This, c.Arguments...)
		})
	}
	b.wrap(objects["Array"], "from", func(method goja.Callable, c goja.FunctionCall) goja.Value {
		if o, ok := c.Argument(0).(*goja.Object); ok && o.ClassName() == "Object" && !isCollection(o) && o.GetSymbol(goja.SymIterator) == nil {
			c.Arguments[0] = b.copyOf(o)
		} else if len(c.Arguments) > 0 {
			c.Arguments[0] = b.list(c.Arguments[0])
		}
		return b.call(method, objects["Array"], c.Arguments...)
	})
	for _, name := range []string{"Map", "Set"} {
		b.wrapConstructor(objects, name, func(args []goja.Value) {
			if len(args) > 0 && !goja.IsUndefined(args[0]) && !goja.IsNull(args[0]) {
				args[0] = b.list(args[0])
			}
		})
	}
	b.wrap(objects["JSON"], "parse", func(method goja.Callable, c goja.FunctionCall) goja.Value {
		if len(c.Arguments) > 0 {
			b.charge(200 * b.textArgument(c.Arguments, 0).Length())
		}
		return b.call(method, c.This, c.Arguments...)
	})
	b.wrap(objects["JSON"], "stringify", b.stringify)
}

// wrapConstructor replaces a constructor by one that looks at the arguments first.
func (b *sandbox) wrapConstructor(objects map[string]*goja.Object, name string, before func(args []goja.Value)) {
	original, prototype := objects[name], objects[name+".prototype"]
	wrapped := b.rt.ToValue(func(c goja.ConstructorCall) *goja.Object {
		before(c.Arguments)
		o, err := b.rt.New(original, c.Arguments...)
		b.must(err)
		return o
	}).ToObject(b.rt)
	b.must(wrapped.DefineDataProperty("prototype", prototype, goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE))
	b.must(prototype.DefineDataProperty("constructor", wrapped, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE))
	b.must(b.rt.Set(name, wrapped))
	objects[name] = wrapped
}

// wrapRegExps lets only expressions be made that are matched in time linear in the string, and counts each match. Since
// exec is not the interpreter's own any more, every operation with an expression calls it for each match.
func (b *sandbox) wrapRegExps(objects map[string]*goja.Object) {
	b.patterns = make(map[string]int)
	b.wrapConstructor(objects, "RegExp", func(args []goja.Value) {
		flags := ""
		if len(args) > 1 && !goja.IsUndefined(args[1]) {
			flags = b.textArgument(args, 1).String()
		}
		if rx := b.regExp(argument(args, 0)); rx != nil {
			args[0] = rx.Get("source")
		}
		if len(args) > 0 && !goja.IsUndefined(args[0]) {
			b.checkPattern(b.textArgument(args, 0).String(), flags)
		}
	})
	b.must(b.regExps.Delete("constructor"))
	b.wrap(b.regExps, "exec", func(method goja.Callable, c goja.FunctionCall) goja.Value {
		rx := b.regExp(c.This)
		if rx == nil {
			panic(b.rt.NewTypeError("RegExp.prototype.exec is for regular expressions"))
		}
		s := b.textArgument(c.Arguments, 0)
		source, flags := rx.Get("source").String(), rx.Get("flags").String()
		perChar := 2 * b.checkPattern(source, flags)
		if perChar*s.Length() > maxWork {
			b.stop(errTooMuch)
		}
		start, end := 0, s.Length()
		if strings.ContainsAny(flags, "gy") {
			start = int(min(rx.Get("lastIndex").ToInteger(), maxText))
		}
		found := b.call(method, rx, s)
		if o, ok := found.(*goja.Object); ok { // what comes after a match was mostly not looked at
			end = int(o.Get("index").ToInteger()) + b.text(o.Get("0")).Length()
		}
		b.charge(perChar * (max(end-start, 0) + 1))
		return found
	})
	b.must(b.regExps.DefineDataProperty("exec", b.regExps.Get("exec"), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE))
}

// regExp returns v if it is a regular expression, and nil if it is not. One that the script made differ throws, since
// the interpreter believes its properties.
func (b *sandbox) regExp(v goja.Value) *goja.Object {
	o, ok := v.(*goja.Object)
	if !ok || o.ClassName() != "RegExp" {
		return nil
	}
	if own := o.GetOwnPropertyNames(); len(own) != 1 || o.Prototype() != b.regExps {
		panic(b.rt.NewTypeError("a regular expression with properties of its own"))
	}
	return o
}

// checkPattern returns the cost of an expression for each character, and throws when it may not be used.
func (b *sandbox) checkPattern(source, flags string) int {
	key := flags + "/" + source
	size, ok := b.patterns[key]
	if !ok {
		b.charge(100 * len(source))
		var err error
		if size, err = patternSize(source, flags); err != nil {
			b.must(err)
		}
		b.patterns[key] = size
	}
	return size
}

// stringify is JSON.stringify without a replacer. It counts the values, of which a small object can have very many when
// parts of it are shared.
func (b *sandbox) stringify(method goja.Callable, c goja.FunctionCall) goja.Value {
	if r := c.Argument(1); !goja.IsUndefined(r) && !goja.IsNull(r) {
		panic(b.rt.NewTypeError("JSON.stringify with a replacer may not be used in policies"))
	}
	values := 0
	count := b.rt.ToValue(func(c goja.FunctionCall) goja.Value {
		if values++; values > maxList/4 {
			b.stop(errTooMuch)
		}
		v := c.Argument(1)
		b.charge(16)
		if n, ok := b.length(v); ok {
			b.charge(n)
		}
		return b.sized(v)
	})
	return b.sized(b.call(method, c.This, c.Argument(0), count, c.Argument(2)))
}
