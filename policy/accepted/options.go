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

// OptionProblems returns the options of a service definition, and of its resources, that have no effect by a mistake: those
// that should be true or false and are neither, which count as false, and those that differ from a known one by a letter
// or two. Others are fine: a definition may hold what other programs read.
func OptionProblems(def *ranger.ServiceDef) []ranger.Problem {
	if def == nil {
		return nil
	}
	list := optionProblems("options", def.Options, booleanOptions, otherOptions)
	for _, resources := range [][]ranger.ResourceDef{def.Resources, maskResources(def), filterResources(def)} {
		for _, r := range resources {
			list = append(list, optionProblems(fmt.Sprintf("resource %q: matcherOptions", r.Name), r.MatcherOptions, booleanMatching, otherMatching)...)
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
