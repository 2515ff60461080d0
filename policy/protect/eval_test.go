package protect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// session is who asks, as Databricks SQL sees them: in the role of a group the name is that of the group.
type session struct {
	user   string
	groups []string // of which is_account_group_member is true
}

// failer is a test, of rapid's or not.
type failer interface {
	Fatal(...any)
	Fatalf(string, ...any)
	Helper()
}

// evaluator evaluates the bodies that this package writes, for tests. It is no part of what writes them: it reads the text.
type evaluator struct {
	t      failer
	tokens []string
	at     int
	who    session
	row    map[string]any // by parameter: nil, bool, int64 or string
	skip   bool           // read on without calling functions
}

var evalTokens = regexp.MustCompile(`'(?:[^'\\]|\\.)*'|[A-Za-z_][A-Za-z_0-9]*|\d+(?:\.\d+)?|<=>|<>|<=|>=|[=<>(),%+*-]`)

func evaluateBody(t failer, body string, who session, row map[string]any) any {
	e := &evaluator{t: t, tokens: evalTokens.FindAllString(body, -1), who: who, row: row}
	if left := strings.TrimSpace(evalTokens.ReplaceAllString(body, "")); left != "" {
		t.Fatalf("cannot read %q in %s", left, body)
	}
	v := e.expr()
	if e.at != len(e.tokens) {
		t.Fatalf("%q is left of %s", e.tokens[e.at:], body)
	}
	return v
}

func (e *evaluator) peek() string {
	if e.at < len(e.tokens) {
		return e.tokens[e.at]
	}
	return ""
}

func (e *evaluator) take(tokens ...string) bool {
	for i, t := range tokens {
		if e.at+i >= len(e.tokens) || e.tokens[e.at+i] != t {
			return false
		}
	}
	e.at += len(tokens)
	return true
}

func (e *evaluator) must(token string) {
	if !e.take(token) {
		e.t.Fatalf("want %q before %q", token, e.tokens[e.at:])
	}
}

func and(a, b any) any {
	switch {
	case a == false || b == false:
		return false
	case a == nil || b == nil:
		return nil
	}
	return true
}

func not(a any) any {
	if a == nil {
		return nil
	}
	return a == false
}

func (e *evaluator) expr() any {
	v := e.conjunction()
	for e.take("OR") {
		v = not(and(not(v), not(e.conjunction())))
	}
	return v
}

func (e *evaluator) conjunction() any {
	v := e.negation()
	for e.take("AND") {
		v = and(v, e.negation())
	}
	return v
}

func (e *evaluator) negation() any {
	if e.take("NOT") {
		return not(e.negation())
	}
	return e.comparison()
}

func compare(a, b any) int {
	if s, ok := a.(string); ok {
		return strings.Compare(s, b.(string))
	}
	if s, ok := a.(bool); ok {
		return strings.Compare(fmt.Sprint(s), fmt.Sprint(b.(bool)))
	}
	return int(a.(int64) - b.(int64))
}

func (e *evaluator) comparison() any {
	v := e.operand()
	switch token := e.peek(); token {
	case "=", "<>", "<", ">", "<=", ">=":
		e.at++
		w := e.operand()
		if v == nil || w == nil {
			return nil
		}
		c := compare(v, w)
		return map[string]bool{"=": c == 0, "<>": c != 0, "<": c < 0, ">": c > 0, "<=": c <= 0, ">=": c >= 0}[token]
	case "LIKE", "RLIKE": // patterns without _ and escapes
		e.at++
		text, pattern := v.(string), e.operand().(string)
		if token == "LIKE" {
			pattern = "^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), "%", ".*") + "$"
		}
		return regexp.MustCompile(pattern).MatchString(text)
	case "IS":
		e.at++
		negated := e.take("NOT")
		e.must("NULL")
		return (v == nil) != negated
	case "IN", "NOT":
		negated := e.take("NOT")
		e.must("IN")
		e.must("(")
		var found any = false
		for {
			if w := e.expr(); v == nil || w == nil {
				if found == false {
					found = nil
				}
			} else if compare(v, w) == 0 {
				found = true
			}
			if !e.take(",") {
				break
			}
		}
		e.must(")")
		if negated {
			return not(found)
		}
		return found
	}
	return v
}

func (e *evaluator) operand() any {
	v := e.factor()
	for e.peek() == "+" || e.peek() == "-" || e.peek() == "%" {
		token := e.peek()
		e.at++
		w := e.factor()
		if v == nil || w == nil {
			v = nil
			continue
		}
		a, b := v.(int64), w.(int64)
		v = map[string]func() int64{"+": func() int64 { return a + b }, "-": func() int64 { return a - b }, "%": func() int64 { return a % b }}[token]()
	}
	return v
}

func (e *evaluator) factor() any {
	token := e.peek()
	e.at++
	switch {
	case token == "(":
		v := e.expr()
		e.must(")")
		return v
	case token == "-":
		if v := e.factor(); v != nil {
			return -v.(int64)
		}
		return nil
	case token == "TRUE" || token == "FALSE":
		return token == "TRUE"
	case token == "NULL":
		return nil
	case token[0] == '\'':
		return evalUnquote(token)
	case '0' <= token[0] && token[0] <= '9':
		n, err := strconv.ParseInt(token, 10, 64)
		if err != nil {
			e.t.Fatal(err)
		}
		return n
	case token == "CASE":
		return e.caseOf()
	case token == "CAST" || token == "try_cast":
		return e.cast()
	case e.peek() == "(":
		return e.call(token)
	}
	v, ok := e.row[token]
	if !ok && !e.skip {
		e.t.Fatalf("no parameter %q", token)
	}
	return v
}

func evalUnquote(literal string) string {
	var b strings.Builder
	for i := 1; i < len(literal)-1; i++ {
		if literal[i] == '\\' {
			i++
		}
		b.WriteByte(literal[i])
	}
	return b.String()
}

func (e *evaluator) caseOf() any {
	var subject any
	simple := e.peek() != "WHEN"
	if simple {
		subject = e.expr()
	}
	var out any
	found := false
	for e.take("WHEN") {
		v := e.expr()
		if simple {
			v = v != nil && subject != nil && compare(v, subject) == 0
		}
		e.must("THEN")
		if w := e.expr(); v == true && !found {
			out, found = w, true
		}
	}
	if e.take("ELSE") {
		if w := e.expr(); !found {
			out = w
		}
	}
	e.must("END")
	return out
}

func (e *evaluator) cast() any {
	e.must("(")
	v := e.expr()
	e.must("AS")
	target := strings.ToLower(e.peek())
	for depth := 0; depth > 0 || e.peek() != ")"; e.at++ {
		switch e.peek() {
		case "(":
			depth++
		case ")":
			depth--
		}
	}
	e.must(")")
	if v == nil {
		return nil
	}
	switch target {
	case "string", "varchar", "char", "date", "timestamp":
		return fmt.Sprint(v)
	case "int", "bigint", "smallint", "tinyint":
		if n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64); err == nil {
			return n
		}
		return nil
	}
	e.t.Fatalf("no type %q", target)
	return nil
}

func (e *evaluator) call(name string) any {
	e.must("(")
	var args []any
	for !e.take(")") {
		args = append(args, e.expr())
		if e.peek() != ")" {
			e.must(",")
		}
	}
	text := func(i int) []rune { return []rune(args[i].(string)) }
	switch name {
	case "session_user":
		return e.who.user
	case "is_account_group_member":
		return slices.Contains(e.who.groups, args[0].(string))
	case "coalesce":
		for _, a := range args {
			if a != nil {
				return a
			}
		}
		return nil
	}
	if slices.Contains(args, nil) {
		return nil
	}
	switch name {
	case "lower":
		return strings.ToLower(args[0].(string))
	case "upper":
		return strings.ToUpper(args[0].(string))
	case "length":
		return int64(len(text(0)))
	case "concat":
		var b strings.Builder
		for i := range args {
			b.WriteString(args[i].(string))
		}
		return b.String()
	case "left", "right":
		r, n := text(0), int(args[1].(int64))
		if n = min(n, len(r)); name == "left" {
			return string(r[:n])
		}
		return string(r[len(r)-n:])
	case "greatest":
		return max(args[0].(int64), args[1].(int64))
	case "repeat":
		return strings.Repeat(args[0].(string), int(args[1].(int64)))
	case "replace":
		return strings.ReplaceAll(args[0].(string), args[1].(string), args[2].(string))
	case "sha2":
		sum := sha256.Sum256([]byte(args[0].(string)))
		return hex.EncodeToString(sum[:])
	case "date_trunc":
		return args[1].(string)[:4] + "-01-01"
	case "mask":
		with := []string{"X", "x", "n", ""}
		for i := 1; i < len(args); i++ {
			with[i-1] = args[i].(string)
		}
		return strings.Map(func(r rune) rune {
			to := ""
			switch {
			case unicode.IsUpper(r):
				to = with[0]
			case unicode.IsLower(r):
				to = with[1]
			case unicode.IsDigit(r):
				to = with[2]
			default:
				to = with[3]
			}
			if to == "" {
				return r
			}
			return []rune(to)[0]
		}, args[0].(string))
	}
	e.t.Fatalf("no function %q", name)
	return nil
}
