package script

import (
	"maps"
	"slices"
	"strings"

	"github.com/dop251/goja"
)

// listKinds are the lists that a script may ask ctx for as text: for each kind plain, quoted (Q), and with the separator
// fixed (Csv, CsvQ). The longer of two names with the same start stands first.
var listKinds = []string{"tagNames", "ugNames", "urNames", "userAttrNames", "ugAttrNames", "tagAttrNames", "userAttr", "ugAttr", "tagAttr"}

// listKind returns the kind of list that a method writes.
func listKind(method string) (string, bool) {
	for _, kind := range listKinds {
		if form, ok := strings.CutPrefix(method, kind); ok && slices.Contains([]string{"", "Q", "Csv", "CsvQ"}, form) {
			return kind, true
		}
	}
	return "", false
}

// members returns the list of a kind. attribute is the first argument of those that take one.
func (a *api) members(kind, attribute string) []string {
	var values []string
	switch kind {
	case "tagNames":
		return a.tags
	case "ugNames":
		return a.groups
	case "urNames":
		return a.roles()
	case "userAttrNames":
		return sortedNames(a.attributesOfUser())
	case "userAttr":
		if attribute == "_name" {
			return []string{a.v.User}
		}
		if value, ok := a.attributesOfUser()[attribute]; ok {
			return []string{value}
		}
	case "ugAttr":
		for _, g := range a.groups {
			if attribute == "_name" {
				values = append(values, g)
			} else if value, ok := a.attributesOfGroup(g)[attribute]; ok {
				values = append(values, value)
			}
		}
	case "ugAttrNames":
		for _, g := range a.groups {
			values = append(values, sortedNames(a.attributesOfGroup(g))...)
		}
		slices.Sort(values)
		return slices.Compact(values)
	case "tagAttr":
		for _, t := range a.v.Tags {
			if value, ok := t.Attributes[attribute]; ok {
				values = append(values, value)
			}
		}
		slices.Sort(values)
	case "tagAttrNames":
		for _, t := range a.v.Tags {
			values = append(values, sortedNames(t.Attributes)...)
		}
		slices.Sort(values)
		return slices.Compact(values)
	}
	return values
}

// sortedNames returns the names of attributes but for those that Ranger adds.
func sortedNames(attributes map[string]string) []string {
	return slices.Sorted(func(yield func(string) bool) {
		for name := range maps.Keys(attributes) {
			if !strings.HasPrefix(name, "_") && !yield(name) {
				return
			}
		}
	})
}

// writeList joins a list. The arguments are, after the attribute where the kind has one: a text for the empty list, the
// separator, the opening and the closing quote. Source: RangerRequestScriptEvaluator.toCsv and toCsvQ.
func (a *api) writeList(kind, form string, list []goja.Value) string {
	attribute := ""
	if strings.HasSuffix(kind, "Attr") && len(list) > 0 {
		attribute, list = arguments{a, list}.text(0), list[1:]
	}
	if strings.HasPrefix(form, "Csv") {
		list = nil
	}
	args := arguments{a, list}
	or := func(i int, otherwise string) string {
		if i >= len(list) {
			return otherwise
		}
		return args.text(i)
	}
	separator, open, closing := or(1, ","), "", ""
	if strings.HasSuffix(form, "Q") {
		open = or(2, "'")
		if closing = open; !args.isNull(3) {
			closing = args.text(3)
		}
	}
	values := a.members(kind, attribute)
	size := 0
	for _, v := range values {
		size += len(v) + len(open) + len(closing) + len(separator)
	}
	if size > maxText {
		a.box.stop(errTooMuch)
	}
	joined := ""
	if len(values) > 0 {
		joined = open + strings.Join(values, closing+separator+open) + closing
	}
	if joined == "" && !args.isNull(0) {
		return open + args.text(0) + closing
	}
	return joined
}

// macroFunctions maps Ranger's macros that stand for a function to that method of ctx.
// Source: RangerRequestScriptEvaluator.getMacrosMap.
var macroFunctions = map[string]string{
	"GET_TAG_NAMES": "tagNames", "GET_TAG_NAMES_Q": "tagNamesQ", "GET_TAG_ATTR_NAMES": "tagAttrNames",
	"GET_TAG_ATTR_NAMES_Q": "tagAttrNamesQ", "GET_TAG_ATTR": "tagAttr", "GET_TAG_ATTR_Q": "tagAttrQ",
	"GET_TAG_ATTR_CSV": "tagAttrCsv", "GET_TAG_ATTR_Q_CSV": "tagAttrCsvQ", "GET_UG_NAMES": "ugNames",
	"GET_UG_NAMES_Q": "ugNamesQ", "GET_UG_ATTR_NAMES": "ugAttrNames", "GET_UG_ATTR_NAMES_Q": "ugAttrNamesQ",
	"GET_UG_ATTR": "ugAttr", "GET_UG_ATTR_Q": "ugAttrQ", "GET_UG_ATTR_CSV": "ugAttrCsv", "GET_UG_ATTR_Q_CSV": "ugAttrCsvQ",
	"GET_UR_NAMES": "urNames", "GET_UR_NAMES_Q": "urNamesQ", "GET_USER_ATTR_NAMES": "userAttrNames",
	"GET_USER_ATTR_NAMES_Q": "userAttrNamesQ", "GET_USER_ATTR": "userAttr", "GET_USER_ATTR_Q": "userAttrQ",
	"HAS_TAG": "hasTag", "HAS_USER_ATTR": "hasUserAttr", "HAS_UG_ATTR": "hasUgAttr", "HAS_TAG_ATTR": "hasTagAttr",
	"IS_IN_GROUP": "isInGroup", "IS_IN_ROLE": "isInRole", "IS_ACCESS_TIME_AFTER": "isAccessTimeAfter",
	"IS_ACCESS_TIME_BEFORE": "isAccessTimeBefore", "IS_ACCESS_TIME_BETWEEN": "isAccessTimeBetween",
}

// macroValues maps macros that stand for a value to the method of ctx that returns it.
var macroValues = map[string]string{
	"TAG_NAMES_CSV": "tagNamesCsv", "TAG_NAMES_Q_CSV": "tagNamesCsvQ", "TAG_ATTR_NAMES_CSV": "tagAttrNamesCsv",
	"TAG_ATTR_NAMES_Q_CSV": "tagAttrNamesCsvQ", "UG_NAMES_CSV": "ugNamesCsv", "UG_NAMES_Q_CSV": "ugNamesCsvQ",
	"UG_ATTR_NAMES_CSV": "ugAttrNamesCsv", "UG_ATTR_NAMES_Q_CSV": "ugAttrNamesCsvQ", "UR_NAMES_CSV": "urNamesCsv",
	"UR_NAMES_Q_CSV": "urNamesCsvQ", "USER_ATTR_NAMES_CSV": "userAttrNamesCsv", "USER_ATTR_NAMES_Q_CSV": "userAttrNamesCsvQ",
	"HAS_ANY_TAG": "hasAnyTag", "IS_IN_ANY_GROUP": "isInAnyGroup", "IS_IN_ANY_ROLE": "isInAnyRole",
}

// macroNegations are macros for the opposite of another.
var macroNegations = map[string]string{
	"HAS_NO_TAG": "HAS_ANY_TAG", "IS_NOT_IN_ANY_GROUP": "IS_IN_ANY_GROUP", "IS_NOT_IN_ANY_ROLE": "IS_IN_ANY_ROLE",
}

// macro returns what one of Ranger's macros stands for, or nil.
func (a *api) macro(name string) goja.Value {
	if positive, ok := macroNegations[name]; ok {
		return a.rt.ToValue(!a.macro(positive).ToBoolean())
	}
	if method, ok := macroFunctions[name]; ok {
		return a.method(method)
	}
	if method, ok := macroValues[name]; ok {
		return a.invoke(method, nil)
	}
	return nil
}
