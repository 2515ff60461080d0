package script

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dop251/goja"

	"ucwarden/policy/match"
)

// ctx is the object ctx, on which scripts call the methods of RangerRequestScriptEvaluator. Like a Java bean, it has the
// property x for a method getX. Its methods are made when they are asked for.
type ctx struct{ a *api }

func (c ctx) Get(name string) goja.Value {
	if m := c.a.method(name); m != nil {
		return m
	}
	for _, prefix := range []string{"get", "is"} {
		bean := prefix + strings.ToUpper(name[:min(1, len(name))]) + name[min(1, len(name)):]
		if isBean(bean) {
			return c.a.invoke(bean, nil)
		}
	}
	return nil
}

func (c ctx) Set(name string, value goja.Value) bool {
	if name != "result" {
		panic(c.a.rt.NewTypeError("ctx." + name + " cannot be set"))
	}
	c.a.result, c.a.resultSet = value.ToBoolean(), true
	return true
}

func (c ctx) Has(name string) bool { return c.Get(name) != nil }

func (c ctx) Delete(string) bool { return false }

func (c ctx) Keys() []string { return nil }

// method returns a method of ctx, or nil.
func (a *api) method(name string) goja.Value {
	if m, ok := a.methods[name]; ok {
		return m
	}
	if _, isList := listKind(name); !isList && contextMethods[name] == nil {
		return nil
	}
	m := a.rt.ToValue(func(c goja.FunctionCall) goja.Value { return a.invoke(name, c.Arguments) })
	a.methods[name] = m
	return m
}

// invoke calls a method of ctx.
func (a *api) invoke(name string, args []goja.Value) goja.Value {
	a.box.charge(0)
	if kind, ok := listKind(name); ok {
		text := a.rt.ToValue(a.writeList(kind, name[len(kind):], args))
		a.box.charge(text.(goja.String).Length())
		return text
	}
	return a.rt.ToValue(contextMethods[name](a, arguments{a, args}))
}

// isBean tells whether a method is one that takes no arguments and returns a property.
func isBean(name string) bool {
	switch name {
	case "getAccessTime", "getAction", "getAllTagTypes", "getClientIPAddress", "getClientType", "getCurrentTag",
		"getCurrentTagType", "getRequestData", "getResult", "getUser", "getUserGroups", "getUserRoles", "isAccessTypeAny",
		"isAccessTypeDelegatedAdmin":
		return true
	}
	return false
}

// arguments are those of a call, as Java would take them.
type arguments struct {
	a    *api
	list []goja.Value
}

func (args arguments) isNull(i int) bool {
	return i >= len(args.list) || goja.IsNull(args.list[i]) || goja.IsUndefined(args.list[i])
}

// text returns argument i as a string; null is the empty one.
func (args arguments) text(i int) string {
	if args.isNull(i) {
		return ""
	}
	return args.a.box.text(args.list[i]).String()
}

// tagAttribute returns an attribute of the current tag, or with two arguments of the tag named first.
func (args arguments) tagAttribute() (string, bool) {
	t, name := args.a.v.Tag, args.text(0)
	if len(args.list) > 1 {
		t, name = args.a.tagNamed(args.text(0)), args.text(1)
	}
	if t == nil {
		return "", false
	}
	value, ok := t.Attributes[name]
	return value, ok
}

func orNil(text string, ok bool) any {
	if !ok {
		return goja.Null()
	}
	return text
}

// adminAccess is the access type of delegated administration. Source: RangerPolicyEngine.ADMIN_ACCESS.
const adminAccess = "_admin"

// contextMethods are the methods of ctx but for those that write lists.
var contextMethods = map[string]func(a *api, args arguments) any{
	"getAccessTime":       func(a *api, _ arguments) any { return a.dateOf(a.v.Time.UnixMilli()) },
	"getAction":           func(a *api, _ arguments) any { return a.orNull(a.v.Action) },
	"getAllTagTypes":      func(a *api, _ arguments) any { return a.list(a.tags) },
	"getAsDate":           func(a *api, args arguments) any { return a.parseDate(args.text(0)) },
	"getAttributeNames":   attributeNames,
	"getAttributeValue":   func(_ *api, args arguments) any { return orNil(args.tagAttribute()) },
	"getClientIPAddress":  func(a *api, _ arguments) any { return a.orNull(a.v.ClientIP) },
	"getClientType":       func(a *api, _ arguments) any { return a.orNull(a.v.ClientType) },
	"getCurrentTag":       func(a *api, _ arguments) any { return a.javaTag(a.v.Tag) },
	"getCurrentTagType":   currentTagType,
	"getRequestData":      func(a *api, _ arguments) any { return a.orNull(a.v.Data) },
	"getResult":           func(a *api, _ arguments) any { return a.result },
	"getTagAttributes":    tagAttributes,
	"getUser":             func(a *api, _ arguments) any { return a.orNull(a.v.User) },
	"getUserGroups":       func(a *api, _ arguments) any { return a.list(a.groups) },
	"getUserRoles":        func(a *api, _ arguments) any { return a.list(a.roles()) },
	"hasAnyTag":           func(a *api, _ arguments) any { return len(a.v.Tags) > 0 },
	"hasTag":              func(a *api, args arguments) any { return a.tagNamed(args.text(0)) != nil },
	"hasUgAttr":           func(a *api, args arguments) any { return len(a.members("ugAttr", args.text(0))) > 0 },
	"isAccessTimeAfter":   func(a *api, args arguments) any { return a.accessedIn(args.text(0), "", args.text(1)) },
	"isAccessTimeBefore":  func(a *api, args arguments) any { return a.accessedIn("", args.text(0), args.text(1)) },
	"isAccessTimeBetween": func(a *api, args arguments) any { return a.accessedIn(args.text(0), args.text(1), args.text(2)) },
	"isAccessTypeAny":     func(a *api, _ arguments) any { return a.v.AnyAccess },
	"isInAnyGroup":        func(a *api, _ arguments) any { return len(a.groups) > 0 },
	"isInAnyRole":         func(a *api, _ arguments) any { return len(a.roles()) > 0 },
	"isInGroup":           func(a *api, args arguments) any { return slices.Contains(a.groups, args.text(0)) },
	"isInRole":            func(a *api, args arguments) any { return slices.Contains(a.roles(), args.text(0)) },

	"getAttributeValueForAllMatchingTags": func(a *api, args arguments) any {
		var values []string
		for _, t := range a.v.Tags {
			if value, ok := t.Attributes[args.text(1)]; ok && t.Type == args.text(0) {
				values = append(values, value)
			}
		}
		slices.Sort(values)
		return a.list(values)
	},
	"getRequestContextAttribute": func(a *api, args arguments) any {
		value := a.v.Context[args.text(0)]
		if value == nil {
			return goja.Null()
		}
		return fmt.Sprint(value)
	},
	"getTagAttributeAsDate": func(a *api, args arguments) any {
		text, _ := args.tagAttribute()
		return a.parseDate(text)
	},
	"hasTagAttr": func(a *api, args arguments) any {
		return slices.ContainsFunc(a.v.Tags, func(t *match.Tag) bool { _, ok := t.Attributes[args.text(0)]; return ok })
	},
	"hasUserAttr": func(a *api, args arguments) any {
		_, ok := a.attributesOfUser()[args.text(0)]
		return ok || args.text(0) == "_name"
	},
	"isAccessTypeDelegatedAdmin": func(a *api, _ arguments) any { return a.v.AccessType == adminAccess },
	"isAccessedAfter": func(a *api, args arguments) any { // without a date it is over
		text, _ := args.tagAttribute()
		expiry, ok := tagDate(text)
		return !ok || !a.v.Time.Before(expiry)
	},
	"isAccessedBefore": func(a *api, args arguments) any {
		text, _ := args.tagAttribute()
		expiry, ok := tagDate(text)
		return ok && !a.v.Time.After(expiry)
	},
	"setResult": func(a *api, args arguments) any {
		a.result, a.resultSet = len(args.list) > 0 && args.list[0].ToBoolean(), true
		return goja.Undefined()
	},
	// What a script says to Ranger's log is nobody's here.
	"logDebug": noLog, "logError": noLog, "logFatal": noLog, "logInfo": noLog, "logWarn": noLog,
}

func noLog(*api, arguments) any { return goja.Undefined() }

func currentTagType(a *api, _ arguments) any {
	if a.v.Tag == nil {
		return goja.Null()
	}
	return a.v.Tag.Type
}

func tagAttributes(a *api, args arguments) any {
	if t := a.tagNamed(args.text(0)); t != nil {
		return a.attributesOf(t)
	}
	return goja.Null()
}

func attributeNames(a *api, args arguments) any {
	t := a.tagNamed(args.text(0))
	if t == nil {
		return goja.Null()
	}
	return a.list(sortedNames(t.Attributes))
}

func (a *api) dateOf(ms int64) goja.Value {
	return a.box.call(a.date, goja.Undefined(), a.rt.ToValue(ms))
}

func (a *api) parseDate(text string) goja.Value {
	t, ok := tagDate(text)
	if !ok {
		return goja.Null()
	}
	return a.dateOf(t.UnixMilli())
}

func (a *api) accessedIn(from, to, zone string) bool {
	in, err := inRange(a.v.Time, from, to, zone)
	a.box.must(err)
	return in
}
