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
	list := optionProblems("options", def.Options, true, booleanOptions, otherOptions)
	if def.IsEnabled != nil && !*def.IsEnabled {
		list = append(list, ranger.Problem{Field: "isEnabled", Effect: policy.EffectWider, Message: "a service definition cannot be switched off, as in Ranger's engine, so its policies hold; switch them off each by itself, or remove it"})
	}
	for _, resources := range [][]ranger.ResourceDef{def.Resources, maskResources(def), filterResources(def)} {
		for _, r := range resources {
			list = append(list, optionProblems(fmt.Sprintf("resource %q: matcherOptions", r.Name), r.MatcherOptions, false, booleanMatching, otherMatching)...)
			if r.Matcher != "" && !slices.Contains(matchers, r.Matcher[strings.LastIndexByte(r.Matcher, '.')+1:]) {
				list = append(list, ranger.Problem{Field: fmt.Sprintf("resource %q: matcher", r.Name), Effect: policy.EffectWider,
					Message: fmt.Sprintf("%q is not known, so names are compared as by %s; write one of %s", r.Matcher, matchers[0], strings.Join(matchers, ", "))})
			}
		}
	}
	return append(list, impliedProblems(def)...)
}

// impliedProblems returns what of the access types that others imply is not as it seems: those that the definition does not have, those
// that are implied by way of others, what ALL_PRIVILEGES should imply, and markers that say otherwise than Ranger Admin.
func impliedProblems(def *ranger.ServiceDef) (list []ranger.Problem) {
	names := make([]string, len(def.AccessTypes))
	for i := range def.AccessTypes {
		names[i] = def.AccessTypes[i].Name
	}
	find := func(effect policy.Effect, field, format string, args ...any) {
		list = append(list, ranger.Problem{Field: field, Effect: effect, Message: fmt.Sprintf(format, args...)})
	}
	surely, atMost := ranger.ImpliedGrants(def), ranger.ImpliedAtMost(def)
	for what, types := range [][]ranger.AccessTypeDef{def.AccessTypes, def.MarkerAccessTypes} {
		kind := []string{"access type", "marker access type"}[what]
		for _, access := range types {
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
				find(policy.EffectWider, fmt.Sprintf("%s %q: impliedGrants[%d]", kind, access.Name, i), "there is no access type %q, %s%s", implied, follows, meant)
			}
			if what == 0 {
				if chained := without(atMost[access.Name], surely[access.Name]); len(chained) > 0 {
					find(policy.EffectNarrower, fmt.Sprintf("%s %q: impliedGrants", kind, access.Name),
						"it implies %s by way of others only, which Ranger follows or not; so who is allowed it is not allowed that, and who is denied it is denied that; name what it is to imply", strings.Join(chained, ", "))
				}
			}
		}
	}
	builtIn := ranger.ImpliedGrants(ranger.DefaultServiceDef())
	for _, name := range names {
		prefix, local, isTag := strings.Cut(name, ":")
		if !isTag {
			prefix, local = "", name
		} else {
			prefix += ":"
		}
		if !strings.EqualFold(local, string(policy.AllPrivileges)) {
			continue
		}
		var lacks []string
		for _, other := range names {
			if x, own := strings.CutPrefix(other, prefix); own && slices.Contains(builtIn[strings.ToLower(local)], strings.ToLower(x)) && !slices.Contains(atMost[name], other) {
				lacks = append(lacks, other)
			}
		}
		if len(lacks) > 0 {
			find(policy.EffectWider, fmt.Sprintf("access type %q: impliedGrants", name),
				"it does not imply %s, which ALL_PRIVILEGES does in Unity Catalog: who is denied it alone is not denied these, as in Ranger; name them", strings.Join(lacks, ", "))
		}
	}
	def.MarkerProblems(func(name string, known bool, lacks []string) {
		field := fmt.Sprintf("marker access type %q", name)
		if !known {
			find(policy.EffectNone, field, "Ranger has no such marker, so it stands for what it names here alone; it has _CREATE, _READ, _UPDATE, _DELETE, _MANAGE and _ALL")
			return
		}
		find(policy.EffectNarrower, field, "it does not imply %s, which are of its category, and which Ranger Admin writes into it; who is allowed it is not allowed these, and who is denied it is denied them; remove markerAccessTypes, or name them", strings.Join(lacks, ", "))
	})
	return list
}

// without returns the names of a list that another does not have.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(name string) bool { return slices.Contains(other, name) })
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

// optionProblems looks at options; empty says that an empty one has no effect, as in Ranger, and so is no problem.
func optionProblems(path string, options ranger.OptionMap, empty bool, booleans, others []string) []ranger.Problem {
	var list []ranger.Problem
	for _, name := range slices.Sorted(maps.Keys(options)) {
		p := ranger.Problem{Field: path + "." + name, Effect: policy.EffectWider}
		value := options[name]
		switch {
		case slices.Contains(booleans, name):
			if value == "" && empty || strings.EqualFold(value, "true") || strings.EqualFold(value, "false") {
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
