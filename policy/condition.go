package policy

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
)

// conditionResult is what a condition comes to for one request. A condition nobody can evaluate is unknown: it is taken
// as not met where it would give access and as met where it would take access away.
type conditionResult uint8

const (
	conditionNotMet conditionResult = iota
	conditionMet
	conditionUnknown
)

func met(b bool) conditionResult {
	if b {
		return conditionMet
	}
	return conditionNotMet
}

// resolve turns unknown into a decision; restricts tells that the item takes access away.
func (r conditionResult) resolve(restricts bool) bool {
	return r == conditionMet || r == conditionUnknown && restricts
}

// condition is a compiled condition of a policy or an item.
type condition interface {
	eval(ctx *evalContext) conditionResult
}

type conditionList []condition

// eval gives not met when one condition is not met, else unknown when one is unknown, else met.
func (l conditionList) eval(ctx *evalContext) conditionResult {
	result := conditionMet
	for _, c := range l {
		switch c.eval(ctx) {
		case conditionNotMet:
			return conditionNotMet
		case conditionUnknown:
			result = conditionUnknown
		}
	}
	return result
}

// implicitExpression is the condition that every service definition has, whether it lists it or not.
const implicitExpression = "_expression"

// newConditions compiles conditions by their definitions in def. It always gives one per condition: what is not
// understood becomes an unknown condition, never a missing one.
func newConditions(def *ServiceDef, list []Condition) conditionList {
	var compiled conditionList
	for _, c := range list {
		compiled = append(compiled, newCondition(def, c))
	}
	return compiled
}

func newCondition(def *ServiceDef, c Condition) condition {
	i := slices.IndexFunc(def.PolicyConditions, func(d ConditionDef) bool { return d.Name == c.Type })
	if i < 0 {
		if c.Type == implicitExpression && len(c.Values) > 0 {
			return newScriptCondition(strings.Join(c.Values, "\n"), false)
		}
		return unknownCondition{}
	}
	d := &def.PolicyConditions[i]
	evaluator := d.Evaluator[strings.LastIndexByte(d.Evaluator, '.')+1:]
	switch evaluator {
	case "RangerScriptConditionEvaluator":
		if len(c.Values) == 0 || strings.TrimSpace(c.Values[0]) == "" {
			return unknownCondition{}
		}
		return newScriptCondition(c.Values[0], false)
	case "RangerScriptTemplateConditionEvaluator":
		if len(c.Values) == 0 || d.EvaluatorOptions["scriptTemplate"] == "" {
			return unknownCondition{}
		}
		reverse := strings.EqualFold(c.Values[0], "false") || strings.EqualFold(c.Values[0], "no")
		return newScriptCondition(d.EvaluatorOptions["scriptTemplate"], reverse)
	case "RangerTagsAllPresentConditionEvaluator":
		return tagsCondition{want: c.Values, all: true}
	case "RangerAnyOfExpectedTagsPresentConditionEvaluator":
		return tagsCondition{want: c.Values}
	case "RangerNoneOfExpectedTagsPresentConditionEvaluator":
		return tagsCondition{want: c.Values, none: true}
	case "RangerContextAttributeValueInCondition":
		return newAttributeCondition(d, c, false)
	case "RangerContextAttributeValueNotInCondition":
		return newAttributeCondition(d, c, true)
	case "RangerSimpleMatcher":
		return newSimpleCondition(d, c)
	case "RangerIpMatcher":
		return newIPCondition(c)
	case "RangerActionMatcher":
		return actionCondition{patterns: wildcardPatterns(c.Values)}
	case "RangerHiveResourcesAccessedTogetherCondition":
		return newTogetherCondition(c, false)
	case "RangerHiveResourcesNotAccessedTogetherCondition":
		return newTogetherCondition(c, true)
	case "RangerValidityScheduleConditionEvaluator":
		return newScheduleCondition(c)
	}
	return unknownCondition{}
}

type unknownCondition struct{}

func (unknownCondition) eval(*evalContext) conditionResult { return conditionUnknown }

func wildcardPatterns(values []string) []Pattern {
	patterns := make([]Pattern, 0, len(values))
	for _, v := range values {
		patterns = append(patterns, NewPattern(v, true, false))
	}
	return patterns
}

func anyMatch(patterns []Pattern, name string) bool {
	return slices.ContainsFunc(patterns, func(p Pattern) bool { return p.Match(name) })
}

// tagsCondition asks which tags the resource carries.
type tagsCondition struct {
	want      []string
	all, none bool
}

func (c tagsCondition) eval(ctx *evalContext) conditionResult {
	has := func(name string) bool {
		return slices.ContainsFunc(ctx.tags, func(t *tagForEval) bool { return t.Type == name })
	}
	switch {
	case c.all:
		return met(!slices.ContainsFunc(c.want, func(name string) bool { return !has(name) }))
	case c.none:
		return met(!slices.ContainsFunc(c.want, has))
	}
	return met(slices.ContainsFunc(c.want, has))
}

// attributeCondition compares an attribute of the request's context with a list of values. Without the attribute it is
// met.
type attributeCondition struct {
	name   string
	values []string
	not    bool
}

func newAttributeCondition(d *ConditionDef, c Condition, not bool) condition {
	name := d.EvaluatorOptions["attributeName"]
	if name == "" || len(c.Values) == 0 {
		return unknownCondition{}
	}
	return attributeCondition{name: name, values: c.Values, not: not}
}

func (c attributeCondition) eval(ctx *evalContext) conditionResult {
	value := ctx.request.Context[c.name]
	return met(value == nil || slices.Contains(c.values, textOf(value)) != c.not)
}

// simpleCondition matches an attribute of the request's context with wildcards; without the attribute it is not met.
type simpleCondition struct {
	name     string
	patterns []Pattern
}

func newSimpleCondition(d *ConditionDef, c Condition) condition {
	name := d.EvaluatorOptions["CONTEXT_NAME"]
	if name == "" || len(c.Values) == 0 {
		return unknownCondition{}
	}
	return simpleCondition{name, wildcardPatterns(c.Values)}
}

func (c simpleCondition) eval(ctx *evalContext) conditionResult {
	value := ctx.request.Context[c.name]
	return met(value != nil && anyMatch(c.patterns, textOf(value)))
}

// ipCondition compares the address the request came from with addresses, networks and patterns ("10.*.1.*").
type ipCondition struct {
	networks []netip.Prefix
	patterns []Pattern
	any      bool
}

func newIPCondition(c Condition) condition {
	var compiled ipCondition
	for _, value := range c.Values {
		value = strings.TrimSpace(value)
		switch prefix, err := netip.ParsePrefix(value); {
		case err == nil:
			compiled.networks = append(compiled.networks, prefix)
		case value == "*":
			compiled.any = true
		case value != "":
			if strings.HasSuffix(value, ".") || strings.HasSuffix(value, ":") {
				value += "*"
			}
			compiled.patterns = append(compiled.patterns, NewPattern(value, true, true))
		}
	}
	return compiled
}

func (c ipCondition) eval(ctx *evalContext) conditionResult {
	switch {
	case c.any:
		return conditionMet
	case ctx.request.ClientIP == "":
		return conditionUnknown
	}
	if addr, err := netip.ParseAddr(ctx.request.ClientIP); err == nil {
		for _, n := range c.networks {
			if n.Contains(addr) {
				return conditionMet
			}
		}
	}
	return met(anyMatch(c.patterns, ctx.request.ClientIP))
}

type actionCondition struct{ patterns []Pattern }

func (c actionCondition) eval(ctx *evalContext) conditionResult {
	return met(anyMatch(c.patterns, ctx.request.Action))
}

// togetherCondition asks whether a statement accesses at least two of the named resources ("database.table.column",
// with wildcards; levels left out are all) at once. Source: RangerHiveResourcesAccessedTogetherCondition.
type togetherCondition struct {
	names   [][]Pattern // by level, from the root
	reverse bool
}

func newTogetherCondition(c Condition, reverse bool) condition {
	t := togetherCondition{reverse: reverse}
	for _, name := range c.Values {
		t.names = append(t.names, wildcardPatterns(strings.Split(strings.ToLower(strings.TrimSpace(name)), ".")))
	}
	if len(t.names) == 0 {
		return unknownCondition{}
	}
	return t
}

func (c togetherCondition) eval(ctx *evalContext) conditionResult {
	matches := 0
	for _, r := range ctx.request.Together {
		var buf [maxDepth]*Element
		path, ok := ctx.engine.model.forests[PolicyTypeAccess].path(r, &buf)
		if !ok {
			continue
		}
		for _, levels := range c.names {
			if matchLevels(levels, path) {
				matches++
			}
		}
	}
	together := matches > 1 && len(ctx.request.Together) > 1
	return met(together != c.reverse)
}

func matchLevels(levels []Pattern, path []*Element) bool {
	if len(levels) > len(path) {
		return false
	}
	for i, p := range levels {
		if !p.Match(strings.ToLower(path[i].Value)) {
			return false
		}
	}
	return true
}

// scheduleCondition is a validity schedule written as JSON in a condition's values.
type scheduleCondition struct{ schedules validity }

func newScheduleCondition(c Condition) condition {
	var list []ValiditySchedule
	for _, text := range c.Values {
		var one ValiditySchedule
		if json.Unmarshal([]byte(text), &one) != nil {
			return unknownCondition{}
		}
		list = append(list, one)
	}
	schedules, err := newValidity(list)
	if err != nil || len(schedules) == 0 {
		return unknownCondition{}
	}
	return scheduleCondition{schedules}
}

func (c scheduleCondition) eval(ctx *evalContext) conditionResult {
	return met(c.schedules.openAt(ctx.request.Time))
}
