package script

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/dop251/goja"

	"ucwarden/policy/match"
)

// api makes the values that a script sees of one request. Source: RangerRequestScriptEvaluator.
type api struct {
	box    *sandbox
	rt     *goja.Runtime
	v      *match.Values
	groups []string        // of the user, sorted
	roles  func() []string // of the user, sorted
	tags   []string        // the types of the tags, sorted, each once

	maps    *goja.Object  // the prototype of Java's maps
	date    goja.Callable // makes a Java date of milliseconds
	methods map[string]goja.Value
	result  bool // ctx.result, by which a script may answer

	resultSet bool // by the script
}

func newAPI(box *sandbox, v *match.Values) (*api, error) {
	made, err := box.prepare()
	if err != nil {
		return nil, err
	}
	a := &api{box: box, rt: box.rt, v: v, maps: made.Get("map").ToObject(box.rt), methods: make(map[string]goja.Value)}
	a.date, _ = goja.AssertFunction(made.Get("date"))
	a.groups = slices.Compact(slices.Sorted(slices.Values(v.Groups)))
	a.roles = sync.OnceValue(func() []string {
		if v.Roles == nil {
			return nil
		}
		return v.Roles()
	})
	for _, t := range v.Tags {
		a.tags = append(a.tags, t.Type)
	}
	slices.Sort(a.tags)
	a.tags = slices.Compact(a.tags)
	return a, nil
}

// variables are the names that scripts know, with what makes the value of each. Source: RangerCommonConstants,
// RangerRequestScriptEvaluator.SCRIPT_PREEXEC.
var variables = map[string]func(a *api) goja.Value{
	"J":        func(a *api) goja.Value { return a.rt.Get("JSON").ToObject(a.rt).Get("stringify") },
	"REQ":      (*api).request,
	"RES":      (*api).resource,
	"TAG":      func(a *api) goja.Value { return a.tag(a.v.Tag) },
	"TAGNAMES": func(a *api) goja.Value { return a.list(a.tags) },
	"TAGS":     (*api).allTags,
	"UG":       func(a *api) goja.Value { return a.groupAttributes() },
	"UGA":      (*api).mergedGroupAttributes,
	"UGNAMES":  func(a *api) goja.Value { return a.list(a.groups) },
	"URNAMES":  func(a *api) goja.Value { return a.list(a.roles()) },
	"USER":     (*api).userAttributes,
	"_ctx": func(a *api) goja.Value {
		return a.object("request", a.request(), "tag", a.tag(a.v.Tag), "tagNames", a.list(a.tags), "tags", a.allTags())
	},
	"ctx":     func(a *api) goja.Value { return a.rt.NewDynamicObject(ctx{a}) },
	"tag":     func(a *api) goja.Value { return a.javaTag(a.v.Tag) },
	"tagAttr": func(a *api) goja.Value { return a.attributesOf(a.v.Tag) },
}

// define sets the names that the script mentions.
func (a *api) define(s *script) {
	names := s.names
	if s.all {
		names = make(map[string]bool)
		for _, name := range knownNames {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if value, ok := variables[name]; ok {
			a.box.must(a.rt.Set(name, value(a)))
		} else if value := a.macro(name); value != nil {
			a.box.must(a.rt.Set(name, value))
		}
	}
}

// knownNames are all names that define sets.
var knownNames = slices.Concat(slices.Collect(maps.Keys(macroFunctions)), slices.Collect(maps.Keys(macroValues)),
	slices.Collect(maps.Keys(macroNegations)), variableNames())

func variableNames() []string {
	return strings.Fields("J REQ RES TAG TAGNAMES TAGS UG UGA UGNAMES URNAMES USER _ctx ctx tag tagAttr")
}

// object returns an object of names and values that alternate.
func (a *api) object(pairs ...any) *goja.Object {
	o := a.rt.CreateObject(a.maps)
	for i := 0; i < len(pairs); i += 2 {
		a.box.must(o.Set(pairs[i].(string), pairs[i+1]))
	}
	return o
}

// attributes returns m as an object, with pairs on top of it.
func (a *api) attributes(m map[string]string, pairs ...any) *goja.Object {
	o := a.object()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		a.box.must(o.Set(name, m[name]))
	}
	for i := 0; i < len(pairs); i += 2 {
		a.box.must(o.Set(pairs[i].(string), pairs[i+1]))
	}
	return o
}

func (a *api) list(texts []string) *goja.Object {
	items := make([]any, len(texts))
	for i, t := range texts {
		items[i] = t
	}
	return a.rt.NewArray(items...)
}

// orNull returns text, or null where the request does not say it.
func (a *api) orNull(text string) goja.Value {
	if text == "" {
		return goja.Null()
	}
	return a.rt.ToValue(text)
}

func (a *api) request() goja.Value {
	v := a.v
	return a.object("accessTime", v.Time.UnixMilli(), "accessType", a.orNull(v.AccessType), "action", a.orNull(v.Action),
		"clientIPAddress", a.orNull(v.ClientIP), "clientType", a.orNull(v.ClientType), "requestData", a.orNull(v.Data),
		"resource", a.resource(), "uga", a.mergedGroupAttributes(), "user", a.orNull(v.User),
		"userAttributes", a.userAttributes(), "userGroupAttributes", a.groupAttributes(), "userGroups", a.list(a.groups),
		"userRoles", a.list(a.roles()))
}

func (a *api) resource() goja.Value {
	o := a.object()
	for _, e := range a.v.Resource {
		var value goja.Value = a.rt.ToValue(e.Value)
		if len(e.Also) > 0 {
			value = a.list(append([]string{e.Value}, e.Also...))
		}
		a.box.must(o.Set(e.Name, value))
	}
	a.box.must(o.Set("_ownerUser", a.orNull(a.v.Owner)))
	return o
}

func (a *api) tag(t *match.Tag) goja.Value {
	if t == nil {
		return a.object()
	}
	return a.attributes(t.Attributes, "_type", t.Type, "_matchType", t.Match.String())
}

func (a *api) allTags() goja.Value {
	o := a.object()
	for _, t := range a.v.Tags {
		a.box.must(o.Set(t.Type, a.tag(t)))
	}
	return o
}

// javaTag returns a tag as the Java object RangerTagForEval, of which scripts see methods and properties.
func (a *api) javaTag(t *match.Tag) goja.Value {
	if t == nil {
		return goja.Null()
	}
	attributes, o := a.attributesOf(t), a.object()
	for name, value := range map[string]goja.Value{
		"type": a.rt.ToValue(t.Type), "attributes": attributes, "matchType": a.rt.ToValue(t.Match.String()),
	} {
		a.box.must(o.Set(name, value))
		a.box.must(o.Set("get"+strings.ToUpper(name[:1])+name[1:], func(goja.FunctionCall) goja.Value { return value }))
	}
	return o
}

func (a *api) attributesOf(t *match.Tag) goja.Value {
	if t == nil {
		return a.object()
	}
	return a.attributes(t.Attributes)
}

func (a *api) attributesOfUser() map[string]string {
	if a.v.Users == nil {
		return nil
	}
	return a.v.Users.UserAttrMapping[a.v.User]
}

func (a *api) attributesOfGroup(name string) map[string]string {
	if a.v.Users == nil {
		return nil
	}
	return a.v.Users.GroupAttrMapping[name]
}

func (a *api) userAttributes() goja.Value {
	return a.attributes(a.attributesOfUser(), "_name", a.orNull(a.v.User))
}

func (a *api) groupAttributes() *goja.Object {
	o := a.object()
	for _, g := range a.groups {
		a.box.must(o.Set(g, a.attributes(a.attributesOfGroup(g), "_name", g)))
	}
	return o
}

// mergedGroupAttributes returns the attributes of all groups together: sVal the first value of each, mVal all.
func (a *api) mergedGroupAttributes() goja.Value {
	all := make(map[string][]string)
	for _, g := range a.groups {
		for name, value := range a.attributesOfGroup(g) {
			if name != "_name" {
				all[name] = append(all[name], value)
			}
		}
		all["_name"] = append(all["_name"], g)
	}
	first, every := a.object(), a.object()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a.box.must(first.Set(name, all[name][0]))
		a.box.must(every.Set(name, a.list(all[name])))
	}
	return a.object("mVal", every, "sVal", first)
}

func (a *api) tagNamed(name string) *match.Tag {
	for _, t := range a.v.Tags {
		if t.Type == name {
			return t
		}
	}
	return nil
}
