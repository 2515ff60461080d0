package accepted

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/input"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// The options that are booleans, and those that Ranger has besides.
var (
	booleanOptions  = []string{ranger.OptionInheritAccess, ranger.OptionDenies}
	otherOptions    = []string{"enableImplicitConditionExpression", "enableTagBasedPolicies", "ui.pages"}
	booleanMatching = []string{"ignoreCase", "wildCard", "quotedCaseSensitive", "replaceTokens", "replaceReqExpressions"}
	otherMatching   = []string{"pathSeparatorChar", "quoteChars", "tokenDelimiterStart", "tokenDelimiterEnd", "tokenDelimiterEscape", "tokenDelimiterPrefix"}
)

// The names of matchers, without their packages. Source: org.apache.ranger.plugin.resourcematcher.
var matchers = []string{"RangerDefaultResourceMatcher", "RangerPathResourceMatcher", "RangerURLResourceMatcher"}

// DefinitionProblems returns what has no effect in a service definition by a mistake: options of it, and of its resources, that
// should be true or false and are neither, which count as false, as in Ranger, or that differ from a known one by a letter or
// two (others are fine: a definition may hold what other programs read); implied access types that it does not have; matchers
// that are not known.
func DefinitionProblems(def *ranger.ServiceDef) []ranger.Problem {
	if def == nil {
		return nil
	}
	list := optionProblems("options", def.Options, booleanOptions, otherOptions)
	for _, resources := range [][]ranger.ResourceDef{def.Resources, maskResources(def), filterResources(def)} {
		for _, r := range resources {
			list = append(list, optionProblems(fmt.Sprintf("resource %q: matcherOptions", r.Name), r.MatcherOptions, booleanMatching, otherMatching)...)
			if r.Matcher != "" && !slices.Contains(matchers, r.Matcher[strings.LastIndexByte(r.Matcher, '.')+1:]) {
				list = append(list, ranger.Problem{Field: fmt.Sprintf("resource %q: matcher", r.Name), Effect: policy.EffectWider,
					Message: fmt.Sprintf("%q is not known, so names are compared as by %s; write one of %s", r.Matcher, matchers[0], strings.Join(matchers, ", "))})
			}
		}
	}
	return append(list, impliedProblems(def)...)
}

// impliedProblems returns the access types that others imply and that the definition does not have.
func impliedProblems(def *ranger.ServiceDef) (list []ranger.Problem) {
	names := make([]string, len(def.AccessTypes))
	for i := range def.AccessTypes {
		names[i] = def.AccessTypes[i].Name
	}
	for _, access := range def.AccessTypes {
		for i, implied := range access.ImpliedGrants {
			if slices.Contains(names, implied) {
				continue
			}
			meant, follows := "", "so nothing is allowed or denied for it"
			if policy.Privilege(strings.ToUpper(implied)).Set() != 0 {
				follows = "but a privilege of Unity Catalog, so it is implied all the same, as in Ranger; define the access type, or remove it here"
			}
			if near := input.Nearest(implied, names); near != "" {
				meant = fmt.Sprintf("; did you mean %q?", near)
			}
			list = append(list, ranger.Problem{Field: fmt.Sprintf("access type %q: impliedGrants[%d]", access.Name, i), Effect: policy.EffectWider,
				Message: fmt.Sprintf("there is no access type %q, %s%s", implied, follows, meant)})
		}
	}
	return list
}

func maskResources(def *ranger.ServiceDef) []ranger.ResourceDef {
	if def.DataMaskDef == nil {
		return nil
	}
	return def.DataMaskDef.Resources
}

func filterResources(def *ranger.ServiceDef) []ranger.ResourceDef {
	if def.RowFilterDef == nil {
		return nil
	}
	return def.RowFilterDef.Resources
}

func optionProblems(path string, options ranger.OptionMap, booleans, others []string) []ranger.Problem {
	var list []ranger.Problem
	for _, name := range slices.Sorted(maps.Keys(options)) {
		p := ranger.Problem{Field: path + "." + name, Effect: policy.EffectWider}
		value := options[name]
		switch {
		case slices.Contains(booleans, name):
			if value == "" || strings.EqualFold(value, "true") || strings.EqualFold(value, "false") {
				continue
			}
			p.Message = fmt.Sprintf("%q is neither true nor false, and counts as false, as in Ranger; write true or false", value)
		case slices.Contains(others, name):
			continue
		default:
			meant := slices.IndexFunc(booleans, func(b string) bool {
				return input.Distance(strings.ToLower(name), strings.ToLower(b)) <= 2
			})
			if meant < 0 {
				continue
			}
			p.Message = fmt.Sprintf("there is no such option, so it has no effect; did you mean %s?", booleans[meant])
		}
		list = append(list, p)
	}
	return list
}
