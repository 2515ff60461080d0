package statement

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Expression is an expression of columns, parameters of a function, literals and calls of functions.
type Expression struct {
	Columns []string // that it refers to, as they are written, each once
	root    node
}

// Value is what an expression returns: nil for NULL, bool, int64, float64, string, [Date] or [Timestamp].
type Value any

// Session is who evaluates an expression.
type Session struct {
	// User is what session_user() returns.
	User string
	// Now is when the query began.
	Now time.Time
	// InGroup is what is_account_group_member() returns.
	InGroup func(group string) bool
}

// Eval returns the value of the expression. columns are the values by name in lower case.
func (e *Expression) Eval(s *Session, columns map[string]Value) (Value, error) {
	return e.root(&env{s, columns})
}

type env struct {
	session *Session
	columns map[string]Value
}

// node is a part of an expression, compiled.
type node func(*env) (Value, error)

// maxDepth bounds how deep parts of an expression may lie in each other.
const maxDepth = 250

// ParseExpression returns the expression that the text is. An error is an *Error.
func ParseExpression(source string) (e *Expression, err error) {
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, source: source}
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				panic(r)
			}
			e, err = nil, f.err
		}
	}()
	e = p.wholeExpression()
	if p.peek().kind != end {
		p.fail("unexpected %q", p.peek().text)
	}
	return e, nil
}

func (p *parser) wholeExpression() *Expression {
	p.columns, p.depth = nil, 0
	root := p.expression()
	return &Expression{p.columns, root}
}

func (p *parser) expression() node {
	if p.depth++; p.depth > maxDepth {
		p.fail("the expression is nested too deeply")
	}
	defer func() { p.depth-- }()
	left := p.conjunction()
	for p.accept("OR") {
		a, b := left, p.conjunction()
		left = func(e *env) (Value, error) { return logic(e, a, b, true) }
	}
	return left
}

func (p *parser) conjunction() node {
	left := p.negation()
	for p.accept("AND") {
		a, b := left, p.negation()
		left = func(e *env) (Value, error) { return logic(e, a, b, false) }
	}
	return left
}

// logic is OR, which is decided by TRUE, or AND, which is decided by FALSE, with unknown operands.
func logic(e *env, a, b node, decides bool) (Value, error) {
	x, err := truth(a, e)
	if err != nil || x == decides {
		return x, err
	}
	y, err := truth(b, e)
	if err != nil || y == decides {
		return y, err
	}
	if x == nil || y == nil {
		return nil, nil
	}
	return !decides, nil
}

// truth returns the value of a condition: true, false or nil.
func truth(n node, e *env) (Value, error) {
	v, err := n(e)
	if err != nil || v == nil {
		return nil, err
	}
	return convert(v, "boolean")
}

func (p *parser) negation() node {
	not := 0
	for p.accept("NOT") || p.accept("!") {
		not++
	}
	n := p.comparison()
	if not%2 == 0 {
		return n
	}
	return negated(n)
}

func negated(n node) node {
	return func(e *env) (Value, error) {
		v, err := truth(n, e)
		if err != nil || v == nil {
			return nil, err
		}
		return v == false, nil
	}
}

var comparisons = []string{"=", "==", "<=>", "<>", "!=", "<", "<=", ">", ">="}

func (p *parser) comparison() node {
	left := p.sum()
	for {
		if t := p.peek(); t.kind == punctuator && slices.Contains(comparisons, t.text) {
			p.at++
			left = compared(left, t.text, p.sum())
			continue
		}
		if p.accept("IS") {
			left = p.isPredicate(left)
			continue
		}
		start := p.at
		not := p.accept("NOT")
		var n node
		switch {
		case p.accept("IN"):
			n = p.in(left)
		case p.accept("BETWEEN"):
			low := p.sum()
			p.expect("AND")
			from, to := compared(left, ">=", low), compared(left, "<=", p.sum())
			n = func(e *env) (Value, error) { return logic(e, from, to, false) }
		case p.accept("LIKE"):
			n = textual(like, left, p.sum())
		case p.accept("RLIKE"), p.accept("REGEXP"):
			n = textual(rlike, left, p.sum())
		default:
			p.at = start
			return left
		}
		if left = n; not {
			left = negated(n)
		}
	}
}

func (p *parser) isPredicate(of node) node {
	not := p.accept("NOT")
	var wanted Value
	switch {
	case p.accept("NULL"):
	case p.accept("TRUE"):
		wanted = true
	case p.accept("FALSE"):
		wanted = false
	default:
		p.fail("want NULL, TRUE or FALSE instead of %q", p.peek().text)
	}
	return func(e *env) (Value, error) {
		v, err := of(e)
		if err == nil && wanted != nil && v != nil {
			v, err = convert(v, "boolean")
		}
		return (v == wanted) != not, err
	}
}

func (p *parser) in(left node) node {
	p.expect("(")
	list := []node{compared(left, "=", p.expression())}
	for p.accept(",") {
		list = append(list, compared(left, "=", p.expression()))
	}
	p.expect(")")
	return func(e *env) (Value, error) {
		unknown := false
		for _, equal := range list {
			v, err := equal(e)
			if err != nil || v == true {
				return v, err
			}
			unknown = unknown || v == nil
		}
		if unknown {
			return nil, nil
		}
		return false, nil
	}
}

func (p *parser) sum() node {
	left := p.product()
	for {
		t := p.peek()
		if t.kind != punctuator || t.text != "+" && t.text != "-" && t.text != "||" {
			return left
		}
		p.at++
		a, b := left, p.product()
		if t.text == "||" {
			left = call(functions["concat"].run, a, b)
		} else {
			left = arithmetic(a, t.text, b)
		}
	}
}

func (p *parser) product() node {
	left := p.unary()
	for {
		t := p.peek()
		if t.kind != punctuator || t.text != "*" && t.text != "/" && t.text != "%" {
			return left
		}
		p.at++
		left = arithmetic(left, t.text, p.unary())
	}
}

func (p *parser) unary() node {
	minus := false
	for p.is("-") || p.is("+") {
		minus = minus != p.is("-")
		p.at++
	}
	n := p.primary()
	if !minus {
		return n
	}
	return arithmetic(constant(int64(0)), "-", n)
}

func constant(v Value) node { return func(*env) (Value, error) { return v, nil } }

func (p *parser) primary() node {
	t := p.peek()
	switch {
	case t.kind == text:
		p.at++
		for p.peek().kind == text { // literals that follow each other are one
			t.text += p.literal()
		}
		return constant(t.text)
	case t.kind == number:
		v, err := convert(p.number(), "number")
		if err != nil {
			p.fail("%v", err)
		}
		return constant(v)
	case p.accept("("):
		n := p.expression()
		p.expect(")")
		return n
	case p.accept("NULL"):
		return constant(nil)
	case p.accept("TRUE"):
		return constant(true)
	case p.accept("FALSE"):
		return constant(false)
	case p.accept("CASE"):
		return p.cases()
	}
	for _, typ := range []string{"date", "timestamp"} {
		if p.is(typ) && p.tokens[p.at+1].kind == text {
			p.at++
			v, err := convert(p.literal(), typ)
			if err != nil {
				p.fail("%v", err)
			}
			return constant(v)
		}
	}
	name := p.identifier()
	if t.kind == word && p.accept("(") {
		return p.call(strings.ToLower(name), t)
	}
	if f, ok := functionOf(strings.ToLower(name)); ok && f.bare && t.kind == word {
		return call(f.run)
	}
	for p.accept(".") { // a field, or a column with its table: neither is known to what is evaluated here
		p.fail("a name with a point is not supported by the emulator in expressions")
	}
	column := strings.ToLower(name)
	if !slices.Contains(p.columns, column) {
		p.columns = append(p.columns, column)
	}
	return func(e *env) (Value, error) {
		v, ok := e.columns[column]
		if !ok {
			return nil, fmt.Errorf("a column with name '%s' cannot be resolved", column)
		}
		return v, nil
	}
}

// cases parses CASE after its first word.
func (p *parser) cases() node {
	var of node
	if !p.is("WHEN") {
		of = p.expression()
	}
	var conditions, results []node
	for p.accept("WHEN") {
		condition := p.expression()
		if of != nil {
			condition = compared(of, "=", condition)
		}
		p.expect("THEN")
		conditions, results = append(conditions, condition), append(results, p.expression())
	}
	if len(conditions) == 0 {
		p.fail("want WHEN instead of %q", p.peek().text)
	}
	otherwise := constant(nil)
	if p.accept("ELSE") {
		otherwise = p.expression()
	}
	p.expect("END")
	return func(e *env) (Value, error) {
		for i, condition := range conditions {
			if v, err := truth(condition, e); err != nil || v == true {
				if err != nil {
					return nil, err
				}
				return results[i](e)
			}
		}
		return otherwise(e)
	}
}

// call parses the arguments of a function, after the parenthesis.
func (p *parser) call(name string, at token) node {
	if name == "cast" || name == "try_cast" {
		n := p.expression()
		p.expect("AS")
		typ := p.dataType()
		p.expect(")")
		return func(e *env) (Value, error) {
			v, err := n(e)
			if err == nil {
				v, err = convert(v, typ)
				if name == "try_cast" && err != nil {
					return nil, nil //nolint:nilerr // NULL, as try_cast has it
				}
			}
			return v, err
		}
	}
	var list []node
	for !p.accept(")") {
		if len(list) > 0 {
			p.expect(",")
		}
		list = append(list, p.expression())
	}
	f, ok := functionOf(name)
	switch {
	case !ok:
		panic(failure{&Error{At: at.at, Message: "the function '" + name + "' is not supported by the emulator in expressions", Unsupported: true}})
	case len(list) < f.least || f.most >= 0 && len(list) > f.most:
		p.fail("the function '%s' does not take %d arguments", name, len(list))
	case f.lazy != nil:
		return func(e *env) (Value, error) { return f.lazy(e, list) }
	}
	return call(f.run, list...)
}

// call returns a node that calls f with the values of nodes.
func call(f func(*env, []Value) (Value, error), list ...node) node {
	return func(e *env) (Value, error) {
		values := make([]Value, len(list))
		for i, n := range list {
			var err error
			if values[i], err = n(e); err != nil {
				return nil, err
			}
		}
		return f(e, values)
	}
}
