package policy

import (
	"slices"
	"strings"
)

// scriptLists maps each kind of list that a script may ask for to its members. attribute is the first argument of
// those that take one.
func (ctx *evalContext) scriptList(kind, attribute string) []string {
	switch kind {
	case "tagNames":
		return ctx.tagNames()
	case "ugNames":
		return slices.Sorted(slices.Values(ctx.groups))
	case "urNames":
		return ctx.heldRoles()
	case "ugAttr":
		return ctx.groupValues(attribute)
	case "tagAttr":
		var values []string
		for _, name := range ctx.tagNames() {
			if v, ok := ctx.tagNamed(name).Attributes[attribute]; ok {
				values = append(values, v)
			}
		}
		return values
	case "userAttr":
		if v, ok := ctx.userAttributes()[attribute]; ok {
			return []string{textOf(v)}
		}
		return nil
	}
	var names []string
	add := func(attributes map[string]any) {
		for name := range attributes {
			if !strings.HasPrefix(name, "_") {
				names = append(names, name)
			}
		}
	}
	switch kind {
	case "userAttrNames":
		add(ctx.userAttributes())
	case "ugAttrNames":
		for _, g := range ctx.groupAttributes() {
			add(g.(map[string]any))
		}
	case "tagAttrNames":
		for _, t := range ctx.tags {
			add(mapOf(t.Attributes))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// lists gives the functions that write a list as text: for each kind plain, quoted (Q), and with the separator fixed
// (Csv). Their arguments are, after the attribute where the kind has one: a default for the empty list, the separator,
// the opening and the closing quote.
func (s *scriptScope) lists() map[string]any {
	functions := make(map[string]any)
	for _, kind := range []string{"tagNames", "ugNames", "urNames", "userAttrNames", "ugAttrNames", "tagAttrNames", "ugAttr", "tagAttr", "userAttr"} {
		for _, form := range []string{"", "Q", "Csv", "CsvQ"} {
			functions[kind+form] = scriptFunc(func(args []any) (any, error) {
				attribute := ""
				if strings.HasSuffix(kind, "Attr") && len(args) > 0 {
					attribute, args = textOf(args[0]), args[1:]
				}
				if strings.HasPrefix(form, "Csv") {
					args = nil
				}
				return writeList(s.ctx.scriptList(kind, attribute), strings.HasSuffix(form, "Q"), args), nil
			})
		}
	}
	return functions
}

// writeList joins values. Source: RangerRequestScriptEvaluator.toCsv.
func writeList(values []string, quoted bool, args []any) string {
	arg := func(i int, def string) string {
		switch {
		case i >= len(args):
			return def
		case args[i] == nil:
			return ""
		}
		return textOf(args[i])
	}
	open, closing := "", ""
	if quoted {
		open = arg(2, "'")
		closing = open
		if len(args) > 3 && args[3] != nil {
			closing = textOf(args[3])
		}
	}
	if len(values) == 0 {
		if len(args) == 0 || args[0] == nil {
			return ""
		}
		return open + textOf(args[0]) + closing
	}
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = open + v + closing
	}
	return strings.Join(parts, arg(1, ","))
}

// scriptMacros maps Ranger's macros that stand for a function to that function of ctx.
var scriptMacros = map[string]string{
	"GET_TAG_NAMES": "tagNames", "GET_TAG_NAMES_Q": "tagNamesQ", "GET_TAG_ATTR_NAMES": "tagAttrNames", "GET_TAG_ATTR_NAMES_Q": "tagAttrNamesQ",
	"GET_TAG_ATTR": "tagAttr", "GET_TAG_ATTR_Q": "tagAttrQ", "GET_TAG_ATTR_CSV": "tagAttrCsv", "GET_TAG_ATTR_Q_CSV": "tagAttrCsvQ",
	"GET_UG_NAMES": "ugNames", "GET_UG_NAMES_Q": "ugNamesQ", "GET_UG_ATTR_NAMES": "ugAttrNames", "GET_UG_ATTR_NAMES_Q": "ugAttrNamesQ",
	"GET_UG_ATTR": "ugAttr", "GET_UG_ATTR_Q": "ugAttrQ", "GET_UG_ATTR_CSV": "ugAttrCsv", "GET_UG_ATTR_Q_CSV": "ugAttrCsvQ",
	"GET_UR_NAMES": "urNames", "GET_UR_NAMES_Q": "urNamesQ", "GET_USER_ATTR_NAMES": "userAttrNames", "GET_USER_ATTR_NAMES_Q": "userAttrNamesQ",
	"GET_USER_ATTR": "userAttr", "GET_USER_ATTR_Q": "userAttrQ",
	"HAS_TAG": "hasTag", "HAS_USER_ATTR": "hasUserAttr", "HAS_UG_ATTR": "hasUgAttr", "HAS_TAG_ATTR": "hasTagAttr",
	"IS_IN_GROUP": "isInGroup", "IS_IN_ROLE": "isInRole", "IS_ACCESS_TIME_AFTER": "isAccessTimeAfter",
	"IS_ACCESS_TIME_BEFORE": "isAccessTimeBefore", "IS_ACCESS_TIME_BETWEEN": "isAccessTimeBetween",
}

// scriptMacroValues maps macros that stand for a value to the function of ctx that gives it.
var scriptMacroValues = map[string]string{
	"TAG_NAMES_CSV": "tagNamesCsv", "TAG_NAMES_Q_CSV": "tagNamesCsvQ", "TAG_ATTR_NAMES_CSV": "tagAttrNamesCsv", "TAG_ATTR_NAMES_Q_CSV": "tagAttrNamesCsvQ",
	"UG_NAMES_CSV": "ugNamesCsv", "UG_NAMES_Q_CSV": "ugNamesCsvQ", "UG_ATTR_NAMES_CSV": "ugAttrNamesCsv", "UG_ATTR_NAMES_Q_CSV": "ugAttrNamesCsvQ",
	"UR_NAMES_CSV": "urNamesCsv", "UR_NAMES_Q_CSV": "urNamesCsvQ", "USER_ATTR_NAMES_CSV": "userAttrNamesCsv", "USER_ATTR_NAMES_Q_CSV": "userAttrNamesCsvQ",
	"HAS_ANY_TAG": "hasAnyTag", "IS_IN_ANY_GROUP": "isInAnyGroup", "IS_IN_ANY_ROLE": "isInAnyRole",
}

// scriptNegations are macros for the opposite of another.
var scriptNegations = map[string]string{"HAS_NO_TAG": "HAS_ANY_TAG", "IS_NOT_IN_ANY_GROUP": "IS_IN_ANY_GROUP", "IS_NOT_IN_ANY_ROLE": "IS_IN_ANY_ROLE"}

// macro gives what one of Ranger's script macros stands for.
func (s *scriptScope) macro(name string) (any, bool) {
	if positive, ok := scriptNegations[name]; ok {
		v, _ := s.macro(positive)
		return !truth(v), true
	}
	function, isFunction := scriptMacros[name]
	value, isValue := scriptMacroValues[name]
	if !isFunction && !isValue {
		return nil, false
	}
	object, err := s.name("ctx")
	if err != nil {
		return nil, false
	}
	functions := object.(map[string]any)
	if isFunction {
		return functions[function], true
	}
	v, err := functions[value].(scriptFunc)(nil)
	return v, err == nil
}
