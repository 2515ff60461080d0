package condition

import (
	"fmt"
	"strings"

	"ucwarden/policy/ranger"
)

// Problem is something in a condition that is accepted and means nothing, or not what its author may expect.
type Problem struct {
	Field   string // in the condition, as "type" or "values[1]"
	Message string
	Never   bool // what is written there can match nothing, so it is no matter of opinion
}

// Unjudged says what follows where nothing can judge a condition.
const Unjudged = "what it allows is not allowed, what it denies, masks or filters always is"

// Problems returns what of a condition nothing can judge, or no request can match. Whether a script does what it should is not
// looked at, but that there is one. Source: the evaluators of Ranger in org.apache.ranger.plugin.conditionevaluator.
func (m Definitions) Problems(c ranger.Condition) []Problem {
	d, evaluator := m.condition(c.Type)
	_, _, isScript := m.Script(c)
	switch {
	case !m.Knows(c.Type):
		return []Problem{{Field: "type", Message: fmt.Sprintf("the service definition has no condition %q, so nothing can judge it: %s; correct the name, or define it in policyConditions", c.Type, Unjudged)}}
	case len(c.Values) == 0:
		return []Problem{{Field: "values", Message: fmt.Sprintf("the condition %q has no value; write one, or remove the condition", c.Type)}}
	}
	switch {
	case d == nil || evaluator == "RangerScriptConditionEvaluator" || evaluator == "RangerScriptTemplateConditionEvaluator" && !isScript:
		if !isScript {
			return []Problem{{Field: "values", Never: true, Message: fmt.Sprintf("its script is blank, so nothing can judge it: %s (in Ranger it is met); write a script, or remove the condition", Unjudged)}}
		}
		if d != nil && len(c.Values) > 1 {
			return []Problem{{Field: "values[1]", Message: "only the first value counts, as in Ranger; write one script"}}
		}
		return nil
	case isScript:
		switch strings.ToLower(c.Values[0]) {
		case "true", "false", "yes", "no":
			return nil
		}
		return []Problem{{Field: "values[0]", Message: fmt.Sprintf("%q is neither yes nor no, and counts as yes, as in Ranger; write yes or no", c.Values[0])}}
	}
	var list []Problem
	for i, value := range c.Values {
		if why := valueProblem(evaluator, value); why != "" {
			list = append(list, Problem{Field: fmt.Sprintf("values[%d]", i), Never: true, Message: fmt.Sprintf("%q can match nothing: %s", value, why)})
		}
	}
	return list
}

// valueProblem returns why a value that is no script can match nothing, "" where it can match something.
func valueProblem(evaluator, value string) string {
	bare := strings.TrimSpace(value)
	switch {
	case bare == "":
		return "it is empty"
	case evaluator == "RangerValidityScheduleConditionEvaluator":
		return "" // JSON, in which brackets and quotes have their place
	case strings.HasPrefix(bare, "[") && strings.HasSuffix(bare, "]"):
		return "it is a list written as one text; write each value for itself"
	case len(bare) > 1 && strings.ContainsRune("\"'`", rune(bare[0])) && bare[len(bare)-1] == bare[0]:
		return "it is in quotes; write the value without them"
	case evaluator == "RangerIpMatcher" && strings.Trim(bare, "0123456789abcdefABCDEF.:*?/") != "":
		return "it is no address, network or pattern of addresses"
	}
	return ""
}
