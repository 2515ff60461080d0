package policy

import (
	"slices"
	"strings"
	"time"
)

// newScriptScope makes a scope for one script. Variables are looked up when they are used: most scripts use few.
func (ctx *evalContext) newScriptScope() *scriptScope {
	return &scriptScope{ctx: ctx, names: make(map[string]any), result: false}
}

// name gives a variable of Ranger's scripts. Source: RangerRequestScriptEvaluator, RangerCommonConstants. An unknown
// name is an error, as in JavaScript.
func (s *scriptScope) name(name string) (any, error) {
	if v, ok := s.names[name]; ok {
		return v, nil
	}
	v, ok := s.define(name)
	if !ok {
		if v, ok = s.macro(name); !ok {
			return nil, errScript
		}
	}
	s.names[name] = v
	return v, nil
}

func (s *scriptScope) define(name string) (any, bool) {
	ctx := s.ctx
	switch name {
	case "USER":
		return ctx.userAttributes(), true
	case "UG":
		return ctx.groupAttributes(), true
	case "UGA":
		return ctx.mergedGroupAttributes(), true
	case "UGNAMES":
		return listOf(slices.Sorted(slices.Values(ctx.groups))), true
	case "URNAMES":
		return listOf(ctx.heldRoles()), true
	case "TAG":
		return tagObject(ctx.tag), true
	case "TAGS":
		all := make(map[string]any)
		for _, t := range ctx.tags {
			all[t.Type] = tagObject(t)
		}
		return all, true
	case "TAGNAMES":
		return listOf(ctx.tagNames()), true
	case "REQ":
		return ctx.requestObject(), true
	case "RES":
		return ctx.resourceObject(), true
	case "_ctx":
		return map[string]any{"request": ctx.requestObject(), "tag": tagObject(ctx.tag)}, true
	case "ctx":
		return s.context(), true
	case "tagAttr":
		if ctx.tag == nil {
			return map[string]any{}, true
		}
		return mapOf(ctx.tag.Attributes), true
	case "tag":
		if ctx.tag == nil {
			return nil, true
		}
		attributes := mapOf(ctx.tag.Attributes)
		return map[string]any{
			"type": ctx.tag.Type, "attributes": attributes,
			"getType":       scriptFunc(func([]any) (any, error) { return ctx.tag.Type, nil }),
			"getAttributes": scriptFunc(func([]any) (any, error) { return attributes, nil }),
		}, true
	}
	return nil, false
}

func listOf(names []string) []any {
	list := make([]any, len(names))
	for i, n := range names {
		list[i] = n
	}
	return list
}

func mapOf(attributes map[string]string) map[string]any {
	m := make(map[string]any, len(attributes))
	for k, v := range attributes {
		m[k] = v
	}
	return m
}

func tagObject(t *tagForEval) map[string]any {
	if t == nil {
		return map[string]any{}
	}
	m := mapOf(t.Attributes)
	m["_type"], m["_matchType"] = t.Type, t.Match.String()
	return m
}

func (ctx *evalContext) tagNames() []string {
	var names []string
	for _, t := range ctx.tags {
		names = append(names, t.Type)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (ctx *evalContext) userAttributes() map[string]any {
	m := make(map[string]any)
	if ctx.users != nil {
		m = mapOf(ctx.users.UserAttrMapping[ctx.request.User])
	}
	m["_name"] = ctx.request.User
	return m
}

func (ctx *evalContext) groupAttributes() map[string]any {
	m := make(map[string]any)
	for _, g := range ctx.groups {
		attributes := make(map[string]any)
		if ctx.users != nil {
			attributes = mapOf(ctx.users.GroupAttrMapping[g])
		}
		attributes["_name"] = g
		m[g] = attributes
	}
	return m
}

// mergedGroupAttributes gives attributes of all groups together: sVal the first value of each, mVal all.
func (ctx *evalContext) mergedGroupAttributes() map[string]any {
	first, all := make(map[string]any), make(map[string]any)
	byGroup := ctx.groupAttributes()
	for _, g := range slices.Sorted(slices.Values(ctx.groups)) {
		attributes, _ := byGroup[g].(map[string]any)
		for name, v := range attributes {
			if _, ok := first[name]; !ok {
				first[name] = v
			}
			list, _ := all[name].([]any)
			all[name] = append(list, v)
		}
	}
	return map[string]any{"sVal": first, "mVal": all}
}

func (ctx *evalContext) resourceObject() map[string]any {
	m := map[string]any{"_ownerUser": nil}
	if ctx.request.Owner != "" {
		m["_ownerUser"] = ctx.request.Owner
	}
	for _, e := range ctx.request.Resource {
		m[e.Name] = e.Value
	}
	return m
}

func (ctx *evalContext) requestObject() map[string]any {
	r := ctx.request
	return map[string]any{
		"accessType": r.AccessType, "accessTime": float64(r.Time.UnixMilli()), "action": r.Action, "clientIPAddress": r.ClientIP,
		"clientType": r.ClientType, "requestData": r.Data, "user": r.User, "userGroups": listOf(slices.Sorted(slices.Values(ctx.groups))),
		"userRoles": listOf(ctx.heldRoles()), "resource": ctx.resourceObject(), "userAttributes": ctx.userAttributes(),
		"userGroupAttributes": ctx.groupAttributes(), "uga": ctx.mergedGroupAttributes(),
	}
}

// context is the object ctx, whose functions answer for the request.
func (s *scriptScope) context() map[string]any {
	ctx := s.ctx
	text := func(args []any, i int) string {
		if i < len(args) {
			return textOf(args[i])
		}
		return ""
	}
	get := func(v any) scriptFunc { return func([]any) (any, error) { return v, nil } }
	is := func(f func(name string) bool) scriptFunc {
		return func(args []any) (any, error) { return f(text(args, 0)), nil }
	}
	m := map[string]any{
		"getUser": get(ctx.request.User), "getUserGroups": get(listOf(ctx.groups)), "getUserRoles": get(listOf(ctx.heldRoles())),
		"getAction": get(ctx.request.Action), "getClientIPAddress": get(ctx.request.ClientIP), "getClientType": get(ctx.request.ClientType),
		"getRequestData": get(ctx.request.Data), "isAccessTypeAny": get(ctx.any), "getAllTagTypes": get(listOf(ctx.tagNames())),
		"getResult": scriptFunc(func([]any) (any, error) { return s.result, nil }),
		"setResult": scriptFunc(func(args []any) (any, error) { s.result = len(args) > 0 && truth(args[0]); return nil, nil }),
		"getRequestContextAttribute": scriptFunc(func(args []any) (any, error) {
			if v := ctx.request.Context[text(args, 0)]; v != nil {
				return textOf(v), nil
			}
			return nil, nil
		}),
		"getAttributeValue": scriptFunc(func(args []any) (any, error) { return ctx.tagAttribute(args), nil }),
		"getTagAttributes": scriptFunc(func(args []any) (any, error) {
			if t := ctx.tagNamed(text(args, 0)); t != nil {
				return mapOf(t.Attributes), nil
			}
			return nil, nil
		}),
		"isAccessedAfter": scriptFunc(func(args []any) (any, error) {
			expiry, ok := parseTagDate(ctx.tagAttribute(args))
			return !ok || !ctx.request.Time.Before(expiry), nil
		}),
		"isAccessedBefore": scriptFunc(func(args []any) (any, error) {
			expiry, ok := parseTagDate(ctx.tagAttribute(args))
			return ok && !ctx.request.Time.After(expiry), nil
		}),
		"hasTag":       is(func(name string) bool { return ctx.tagNamed(name) != nil }),
		"hasTagAttr":   is(ctx.hasTagAttribute),
		"hasUserAttr":  is(func(name string) bool { _, ok := ctx.userAttributes()[name]; return ok }),
		"hasUgAttr":    is(func(name string) bool { return len(ctx.groupValues(name)) > 0 }),
		"isInGroup":    is(func(name string) bool { return slices.Contains(ctx.groups, name) }),
		"isInRole":     is(func(name string) bool { return slices.Contains(ctx.heldRoles(), name) }),
		"hasAnyTag":    get(len(ctx.tags) > 0),
		"isInAnyGroup": get(len(ctx.groups) > 0),
		"isInAnyRole":  get(len(ctx.heldRoles()) > 0),
		"isAccessTimeAfter": scriptFunc(func(args []any) (any, error) {
			return ctx.accessedBetween(text(args, 0), "", text(args, 1))
		}),
		"isAccessTimeBefore": scriptFunc(func(args []any) (any, error) {
			return ctx.accessedBetween("", text(args, 0), text(args, 1))
		}),
		"isAccessTimeBetween": scriptFunc(func(args []any) (any, error) {
			return ctx.accessedBetween(text(args, 0), text(args, 1), text(args, 2))
		}),
	}
	if ctx.tag != nil {
		m["getCurrentTagType"] = get(ctx.tag.Type)
	}
	for name, f := range s.lists() {
		m[name] = f
	}
	return m
}

func (ctx *evalContext) tagNamed(name string) *tagForEval {
	for _, t := range ctx.tags {
		if t.Type == name {
			return t
		}
	}
	return nil
}

func (ctx *evalContext) hasTagAttribute(name string) bool {
	return slices.ContainsFunc(ctx.tags, func(t *tagForEval) bool { _, ok := t.Attributes[name]; return ok })
}

// tagAttribute gives an attribute of the current tag, or with two arguments of the tag named first; nil without.
func (ctx *evalContext) tagAttribute(args []any) any {
	t := ctx.tag
	if len(args) > 1 {
		t, args = ctx.tagNamed(textOf(args[0])), args[1:]
	}
	if t == nil || len(args) == 0 {
		return nil
	}
	if v, ok := t.Attributes[textOf(args[0])]; ok {
		return v
	}
	return nil
}

// tagDateLayouts are how tag attributes write dates, in UTC. Source: RangerRequestScriptEvaluator.
var tagDateLayouts = []string{"2006-01-02T15:04:05.000Z", "2006-01-02T15:04:05Z", "2006/01/02"}

// parseTagDate reads a date. Like Ranger it reads as much of the text as a layout needs and ignores the rest.
func parseTagDate(v any) (time.Time, bool) {
	text, ok := v.(string)
	if !ok {
		return time.Time{}, false
	}
	text = strings.TrimSpace(text)
	for _, layout := range tagDateLayouts {
		if t, err := time.Parse(layout, text[:min(len(layout), len(text))]); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// accessedBetween compares the time of access with two times of the form yyyy/MM/dd HH:mm:ss, shorter where the rest
// is zero; an empty one is open.
func (ctx *evalContext) accessedBetween(from, to, zoneName string) (any, error) {
	zone, err := loadZone(zoneName)
	if err != nil {
		return nil, errScript
	}
	parse := func(text string) (time.Time, error) {
		for _, layout := range []string{validityLayout, "2006/01/02 15:04", "2006/01/02"} {
			if t, err := time.ParseInLocation(layout, strings.TrimSpace(text), zone); err == nil {
				return t, nil
			}
		}
		return time.Time{}, errScript
	}
	if from != "" {
		t, err := parse(from)
		if err != nil || ctx.request.Time.Before(t) {
			return false, err
		}
	}
	if to != "" {
		t, err := parse(to)
		if err != nil || !ctx.request.Time.Before(t) {
			return false, err
		}
	}
	return true, nil
}

func (ctx *evalContext) groupValues(attribute string) []string {
	var values []string
	for _, g := range slices.Sorted(slices.Values(ctx.groups)) {
		if ctx.users == nil {
			break
		}
		if v, ok := ctx.users.GroupAttrMapping[g][attribute]; ok {
			values = append(values, v)
		}
	}
	return values
}
