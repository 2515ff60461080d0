package accepted

import (
	"fmt"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/match"
	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

var wildcards = strings.NewReplacer("*", "", "?", "")

// ObjectProblem returns why Unity Catalog can have no object of the name, or of one that fits the pattern, that a value of a
// resource with this definition is, or why it is written in the patterns of another language; "" otherwise. Names of columns may hold
// nearly anything.
func ObjectProblem(def *ranger.ResourceDef, value string) string {
	if def == nil {
		return ""
	}
	level, _, known := rules.LevelOf(def.Name)
	if !known {
		return ""
	}
	if strings.ContainsAny(value, "*?") && !def.MatcherOptions.Matching("wildCard", true) {
		return "wildcards stand for themselves, by the service definition (wildCard); name each object"
	}
	if level == 0 {
		return ""
	}
	literal := value
	if strings.ContainsAny(value, "*?") {
		literal = wildcards.Replace(value)
	}
	if literal == "" {
		return ""
	}
	err := policy.ValidateName(literal)
	if err == nil {
		return patternProblem(def, value, literal)
	}
	if match.HoldsMacro(def, value) {
		return ""
	}
	why := strings.TrimPrefix(err.Error(), fmt.Sprintf("illegal Unity Catalog name %q: ", literal))
	if strings.Contains(literal, ".") {
		return why + "; name catalog, schema and object each at its own level"
	}
	return why + "; correct it"
}

const casedProblem = "the service definition has names compared with their case (ignoreCase), and those of Unity Catalog are in lower case; write it in lower case"

// patternProblem returns why nobody means a value as it is read, in which a name is allowed to hold what it holds.
func patternProblem(def *ranger.ResourceDef, value, literal string) string {
	isCased := !def.MatcherOptions.Matching("ignoreCase", true) && naming.Canonical(value) != value
	if _, rest, found := strings.Cut(value, "${"); found && !strings.HasPrefix(rest, "{") {
		return "nothing replaces ${...}; write the name, or an expression as ${{...}}"
	}
	if !isCased && !strings.ContainsAny(literal, `|%[\^!~`) || match.HoldsMacro(def, value) {
		return ""
	}
	_, inside, isClass := strings.Cut(literal, "[")
	switch first := literal[0]; {
	case first == '!' || first == '~':
		return fmt.Sprintf("%q before a name excludes nothing; write the name without it, and isExcludes beside the values", first)
	case first == '^' || strings.Contains(literal, `\`):
		return "regular expressions have no meaning; write '*' for any text, '?' for any character"
	case strings.Contains(literal, "|"):
		return "it looks like several names; write each as a value of its own"
	case strings.Contains(literal, "%"):
		return "'%' is no wildcard; write '*' for any text, '?' for any character"
	case isClass && !strings.HasPrefix(literal, "[") && strings.Contains(inside, "]"):
		return "brackets have no meaning in patterns; write '*' for any text, '?' for any character, or each name as a value of its own"
	case isCased:
		return casedProblem
	}
	return ""
}
