package match

import "strings"

// The delimiters of an expression within a text.
const (
	expressionStart = "${{"
	expressionEnd   = "}}"
)

// Template is a text with expressions, ${{...}}, compiled. The nil Template stands for a text without any.
type Template struct {
	literals []string // one more than scripts, around them
	scripts  []Script // nil for an expression that cannot be compiled
}

// NewTemplate compiles text; it returns nil when the text holds no expression. Source: RangerRequestExprResolver.
func NewTemplate(text string, compile ScriptCompiler) *Template {
	if !hasExpression(text) {
		return nil
	}
	t := &Template{}
	rest := cutExpressions(text, func(before, expression string) {
		var script Script
		if compile != nil {
			if s, err := compile(expression); err == nil {
				script = s
			}
		}
		t.literals, t.scripts = append(t.literals, before), append(t.scripts, script)
	})
	t.literals = append(t.literals, rest)
	return t
}

// Expressions returns the sources of the expressions in a text.
func Expressions(text string) []string {
	var list []string
	cutExpressions(text, func(_, expression string) { list = append(list, expression) })
	return list
}

// cutExpressions calls yield with each expression of a text and what is before it, and returns what follows the last.
func cutExpressions(text string, yield func(before, expression string)) string {
	for {
		before, rest, ok := strings.Cut(text, expressionStart)
		expression, after, closed := strings.Cut(rest, expressionEnd)
		if !ok || !closed {
			return text
		}
		yield(before, expression)
		text = after
	}
}

func hasExpression(text string) bool {
	_, rest, ok := strings.Cut(text, expressionStart)
	return ok && strings.Contains(rest, expressionEnd)
}

// Expand returns the text with each expression replaced by what it evaluates to for one request; one that has no value,
// or cannot be evaluated, becomes the empty text. The nil template returns text as it is.
func (t *Template) Expand(text string, v *Values) string {
	if t == nil {
		return text
	}
	return t.fill(func(s Script) string {
		if s == nil {
			return ""
		}
		value, err := s.Text(v)
		if err != nil {
			return ""
		}
		return value
	})
}

// fill joins the literals with what value returns for each script.
func (t *Template) fill(value func(Script) string) string {
	var out strings.Builder
	for i, s := range t.scripts {
		out.WriteString(t.literals[i])
		out.WriteString(value(s))
	}
	out.WriteString(t.literals[len(t.scripts)])
	return out.String()
}
