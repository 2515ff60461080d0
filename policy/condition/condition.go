package condition

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"ucwarden/policy/match"
	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
	"ucwarden/policy/schedule"
)

// Result is what a condition comes to for one request. A condition nobody can evaluate is unknown: it is taken
// as not met where it would allow and as met where it would deny.
type Result uint8

const (
	NotMet Result = iota
	Met
	Unknown
)

func met(b bool) Result {
	if b {
		return Met
	}
	return NotMet
}

// Resolve turns unknown into a decision; restricts tells that the item takes access away.
func (r Result) Resolve(restricts bool) bool {
	return r == Met || r == Unknown && restricts
}

// condition is a compiled condition of a policy or an item.
type condition interface {
	eval(v *match.Values) Result
}

// List is the conditions of a policy or item; all must be met.
type List []condition

// Eval returns not met when one condition is not met, else unknown when one is unknown, else met.
func (l List) Eval(v *match.Values) Result {
	result := Met
	for _, c := range l {
		switch c.eval(v) {
		case NotMet:
			return NotMet
		case Unknown:
			result = Unknown
		}
	}
	return result
}

// implicitExpression is the condition that every service definition has, whether it lists it or not.
const implicitExpression = "_expression"

// Definitions say how a service definition's conditions are judged. The zero value knows none.
type Definitions struct {
	list   []ranger.ConditionDef
	forest *match.Forest // of the resources that access policies name
}

// NewDefinitions returns the conditions of a service definition. forest holds its resources.
func NewDefinitions(def *ranger.ServiceDef, forest *match.Forest) Definitions {
	return Definitions{def.PolicyConditions, forest}
}

// Compile compiles conditions by their definitions. It always returns one per condition: what is not understood becomes an
// unknown condition, never a missing one. scripts may be nil; then conditions written as scripts are unknown.
func (m Definitions) Compile(list []ranger.Condition, scripts match.ScriptCompiler) List {
	var compiled List
	for _, c := range list {
		compiled = append(compiled, newCondition(m, c, scripts))
	}
	return compiled
}

// Knows reports whether the service definition says how conditions of the type are judged.
func (m Definitions) Knows(conditionType string) bool {
	d, _ := m.condition(conditionType)
	return d != nil || conditionType == implicitExpression
}

// WithUnknown returns the list with a condition that nobody can judge.
func (l List) WithUnknown() List { return append(slices.Clip(l), unknownCondition{}) }

// Script returns the source of a condition that is written as a script, and whether it is met where the script says no.
// ok is false for conditions of other sorts, and for those that hold no source.
func (m Definitions) Script(c ranger.Condition) (source string, reverse, ok bool) {
	d, evaluator := m.condition(c.Type)
	switch {
	case len(c.Values) == 0:
	case d == nil && c.Type == implicitExpression:
		source = strings.Join(c.Values, "\n")
	case evaluator == "RangerScriptConditionEvaluator":
		source = c.Values[0]
	case evaluator == "RangerScriptTemplateConditionEvaluator":
		source = d.EvaluatorOptions["scriptTemplate"]
		reverse = strings.EqualFold(c.Values[0], "false") || strings.EqualFold(c.Values[0], "no")
	}
	return source, reverse, strings.TrimSpace(source) != ""
}

// condition returns the definition of a condition and the name of the class that evaluates it; nil for an unknown one.
func (m Definitions) condition(name string) (d *ranger.ConditionDef, evaluator string) {
	i := slices.IndexFunc(m.list, func(d ranger.ConditionDef) bool { return d.Name == name })
	if i < 0 {
		return nil, ""
	}
	d = &m.list[i]
	return d, d.Evaluator[strings.LastIndexByte(d.Evaluator, '.')+1:]
}

func newCondition(m Definitions, c ranger.Condition, scripts match.ScriptCompiler) condition {
	if source, reverse, ok := m.Script(c); ok {
		return newScriptCondition(source, reverse, scripts)
	}
	d, evaluator := m.condition(c.Type)
	switch evaluator {
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
		return newTogetherCondition(m, c, false)
	case "RangerHiveResourcesNotAccessedTogetherCondition":
		return newTogetherCondition(m, c, true)
	case "RangerValidityScheduleConditionEvaluator":
		return newScheduleCondition(c)
	}
	return unknownCondition{}
}

// scriptCondition is a condition written as a script. Source: RangerScriptConditionEvaluator.
type scriptCondition struct {
	script  match.Script
	reverse bool
}

func newScriptCondition(source string, reverse bool, scripts match.ScriptCompiler) condition {
	if scripts == nil {
		return unknownCondition{}
	}
	script, err := scripts(source)
	if err != nil {
		return unknownCondition{}
	}
	return scriptCondition{script, reverse}
}

func (c scriptCondition) eval(v *match.Values) Result {
	outcome, err := c.script.Met(v)
	if err != nil {
		return Unknown
	}
	return met(outcome.Met != c.reverse)
}

type unknownCondition struct{}

func (unknownCondition) eval(*match.Values) Result { return Unknown }

func wildcardPatterns(values []string) []naming.Pattern {
	patterns := make([]naming.Pattern, 0, len(values))
	for _, v := range values {
		patterns = append(patterns, naming.NewPattern(v, true, false))
	}
	return patterns
}

func anyMatch(patterns []naming.Pattern, name string) bool {
	return slices.ContainsFunc(patterns, func(p naming.Pattern) bool { return p.Match(name) })
}

// tagsCondition asks which tags the resource carries.
type tagsCondition struct {
	want      []string
	all, none bool
}

func (c tagsCondition) eval(v *match.Values) Result {
	has := func(name string) bool {
		return slices.ContainsFunc(v.Tags, func(t *match.Tag) bool { return t.Type == name })
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

func newAttributeCondition(d *ranger.ConditionDef, c ranger.Condition, not bool) condition {
	name := d.EvaluatorOptions["attributeName"]
	if name == "" || len(c.Values) == 0 {
		return unknownCondition{}
	}
	return attributeCondition{name: name, values: c.Values, not: not}
}

func (c attributeCondition) eval(v *match.Values) Result {
	value := v.Context[c.name]
	return met(value == nil || slices.Contains(c.values, match.TextOf(value)) != c.not)
}

// simpleCondition matches an attribute of the request's context with wildcards; without the attribute it is not met.
type simpleCondition struct {
	name     string
	patterns []naming.Pattern
}

func newSimpleCondition(d *ranger.ConditionDef, c ranger.Condition) condition {
	name := d.EvaluatorOptions["CONTEXT_NAME"]
	if name == "" || len(c.Values) == 0 {
		return unknownCondition{}
	}
	return simpleCondition{name, wildcardPatterns(c.Values)}
}

func (c simpleCondition) eval(v *match.Values) Result {
	value := v.Context[c.name]
	return met(value != nil && anyMatch(c.patterns, match.TextOf(value)))
}

// ipCondition compares the address the request came from with addresses, networks and patterns ("10.*.1.*").
type ipCondition struct {
	networks []netip.Prefix
	patterns []naming.Pattern
	any      bool
}

func newIPCondition(c ranger.Condition) condition {
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
			compiled.patterns = append(compiled.patterns, naming.NewPattern(value, true, true))
		}
	}
	return compiled
}

func (c ipCondition) eval(v *match.Values) Result {
	switch {
	case c.any:
		return Met
	case v.ClientIP == "":
		return Unknown
	}
	if addr, err := netip.ParseAddr(v.ClientIP); err == nil {
		for _, n := range c.networks {
			if n.Contains(addr) {
				return Met
			}
		}
	}
	return met(anyMatch(c.patterns, v.ClientIP))
}

type actionCondition struct{ patterns []naming.Pattern }

func (c actionCondition) eval(v *match.Values) Result {
	return met(anyMatch(c.patterns, v.Action))
}

// togetherCondition asks whether a statement accesses at least two of the named resources ("database.table.column",
// with wildcards; levels left out are all) at once. Source: RangerHiveResourcesAccessedTogetherCondition.
type togetherCondition struct {
	names   [][]naming.Pattern // by level, from the root
	forest  *match.Forest
	reverse bool
}

func newTogetherCondition(m Definitions, c ranger.Condition, reverse bool) condition {
	t := togetherCondition{reverse: reverse, forest: m.forest}
	for _, name := range c.Values {
		t.names = append(t.names, wildcardPatterns(strings.Split(naming.Canonical(strings.TrimSpace(name)), ".")))
	}
	if len(t.names) == 0 {
		return unknownCondition{}
	}
	return t
}

func (c togetherCondition) eval(v *match.Values) Result {
	matches := 0
	for _, r := range v.Together {
		var path match.Path
		if !path.Set(c.forest, r).OK {
			continue
		}
		for _, levels := range c.names {
			if matchLevels(levels, path.Elements) {
				matches++
			}
		}
	}
	together := matches > 1 && len(v.Together) > 1
	return met(together != c.reverse)
}

func matchLevels(levels []naming.Pattern, path []*match.Element) bool {
	if len(levels) > len(path) {
		return false
	}
	for i, p := range levels {
		if !p.Match(naming.Canonical(path[i].Value)) {
			return false
		}
	}
	return true
}

// scheduleCondition is a validity schedule written as JSON in a condition's values.
type scheduleCondition struct{ schedules schedule.Validity }

func newScheduleCondition(c ranger.Condition) condition {
	var list []ranger.ValiditySchedule
	for _, text := range c.Values {
		var one ranger.ValiditySchedule
		if json.Unmarshal([]byte(text), &one) != nil {
			return unknownCondition{}
		}
		list = append(list, one)
	}
	schedules, err := schedule.New(list)
	if err != nil || len(schedules) == 0 {
		return unknownCondition{}
	}
	return scheduleCondition{schedules}
}

func (c scheduleCondition) eval(v *match.Values) Result {
	return met(c.schedules.OpenAt(v.Time))
}
