package sqlexpr

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"ucwarden/policy"
)

const (
	maxLength = 64 << 10 // bytes
	maxDepth  = 64
	// maxWritten bounds the bytes of SQL that an expression becomes: what follows CASE is written again with each WHEN, so that a
	// hundred bytes of CASE within CASE would become gigabytes. Nothing else makes more than this of maxLength.
	maxWritten = 1 << 20
)

// Options say what an expression may refer to.
type Options struct {
	Columns []policy.Column
	// AnyColumn takes names that are not among Columns for columns of any type, and that of a mask for one of any type: for what
	// can be said of an expression without its table. The SQL of such an expression has no meaning.
	AnyColumn bool
	// Self is the type of the column that a mask is for: {col} and {colType} may be used, and functions that only masks need.
	// Empty for a row filter.
	Self string
	// SelfName is the name of that column: where the expression names it, {col} is meant.
	SelfName string
	// Macros reports whether a macro, ${{...}}, may be used, and which kind of value it has.
	Macros func(source string) (Kind, error)
}

// Parse reads an expression. The error, an [*Error], says what is refused and where.
func Parse(text string, o Options) (*Expr, error) {
	e, err := parse(text, o)
	if err != nil {
		return nil, err
	}
	return e, nil
}

func parse(text string, o Options) (*Expr, *Error) {
	p := &parser{lexer: lexer{text: text}, Options: o}
	if len(text) > maxLength {
		return nil, p.fail(0, "it is longer than %d bytes", maxLength)
	}
	if !utf8.ValidString(text) {
		return nil, p.fail(0, "it is not valid UTF-8")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token.kind == tokenEnd {
		return nil, p.fail(0, "it is empty")
	}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.token.kind != tokenEnd {
		return nil, p.unexpected()
	}
	return e, nil
}

type parser struct {
	lexer
	Options
	token  token
	nested int
}

func (p *parser) advance() (err *Error) {
	p.token, err = p.next()
	return err
}

func (p *parser) unexpected() *Error {
	if p.token.kind == tokenEnd {
		return p.fail(p.token.offset, "it ends too early")
	}
	if p.token.kind == tokenWord && slices.Contains([]string{"SELECT", "WITH", "FROM"}, p.token.upper) {
		return p.fail(p.token.offset, "subqueries are not allowed")
	}
	if p.token.kind == tokenWord && p.token.upper == "OVER" {
		return p.fail(p.token.offset, "windows are not allowed")
	}
	return p.fail(p.token.offset, "%q is not expected here", p.token.text)
}

// is reports whether the next token is a keyword or symbol.
func (p *parser) is(text string) bool {
	return p.token.kind == tokenWord && p.token.upper == text || p.token.kind == tokenSymbol && p.token.text == text
}

// accept goes past a keyword or symbol, if it is the next token.
func (p *parser) accept(text string) (bool, *Error) {
	if !p.is(text) {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) expect(text string) *Error {
	if !p.is(text) {
		return p.unexpected()
	}
	return p.advance()
}

// node returns an expression made of parts.
func (p *parser) node(offset int, o op, kind Kind, text string, operands ...*Expr) (*Expr, *Error) {
	e := &Expr{op: o, kind: kind, text: text, operands: operands}
	e.size = e.written()
	for _, part := range operands {
		e.depth, e.size = max(e.depth, part.depth+1), e.size+part.written()
		e.local = e.local || kind == Timestamp && part.local && (o == opCase || o == opCall)
	}
	if e.depth > maxDepth {
		return nil, p.fail(offset, "it is nested more than %d deep", maxDepth)
	}
	if e.size > maxWritten {
		return nil, p.fail(offset, "it becomes more than %d bytes of SQL; what follows CASE is written again for each WHEN, so write CASE WHEN with conditions instead", maxWritten)
	}
	return e, nil
}

// want returns an error where an expression is not of a kind.
func (p *parser) want(offset int, e *Expr, kind Kind, what string) *Error {
	if e.kind == kind || e.kind == Null || kind == Date && e.kind == Timestamp {
		return nil
	}
	return p.fail(offset, "%s must be a %s, and this is %s", what, kind, describe(e.kind))
}

func describe(k Kind) string {
	if k == Other {
		return k.String()
	}
	return "a " + k.String()
}

func (p *parser) or() (*Expr, *Error)  { return p.joined("OR", p.and) }
func (p *parser) and() (*Expr, *Error) { return p.joined("AND", p.not) }

func (p *parser) joined(word string, part func() (*Expr, *Error)) (*Expr, *Error) {
	offset := p.token.offset
	first, err := part()
	if err != nil || !p.is(word) {
		return first, err
	}
	parts := []*Expr{first}
	if err := p.want(offset, first, Bool, "what "+word+" joins"); err != nil {
		return nil, err
	}
	for p.is(word) {
		if err := p.advance(); err != nil {
			return nil, err
		}
		offset := p.token.offset
		next, err := part()
		if err != nil {
			return nil, err
		}
		if err := p.want(offset, next, Bool, "what "+word+" joins"); err != nil {
			return nil, err
		}
		parts = append(parts, next)
	}
	return p.node(offset, opJoin, Bool, word, parts...)
}

// enter counts the nesting before the parser calls itself, so that it cannot run out of stack.
func (p *parser) enter(offset int) *Error {
	if p.nested++; p.nested > 2*maxDepth {
		return p.fail(offset, "it is nested more than %d deep", maxDepth)
	}
	return nil
}

func (p *parser) not() (*Expr, *Error) {
	offset := p.token.offset
	yes, err := p.accept("NOT")
	if err != nil {
		return nil, err
	}
	if !yes {
		return p.predicate()
	}
	if err := p.enter(offset); err != nil {
		return nil, err
	}
	defer func() { p.nested-- }()
	e, err := p.not()
	if err != nil {
		return nil, err
	}
	if err := p.want(offset, e, Bool, "what NOT is about"); err != nil {
		return nil, err
	}
	return p.node(offset, opPrefix, Bool, "NOT", e)
}

var comparisons = map[string]string{"=": "=", "==": "=", "<>": "<>", "!=": "<>", "<=>": "<=>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

func (p *parser) predicate() (*Expr, *Error) {
	offset := p.token.offset
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	if operator, ok := comparisons[p.token.text]; ok && p.token.kind == tokenSymbol {
		if err := p.advance(); err != nil {
			return nil, err
		}
		right, err := p.sum()
		if err != nil {
			return nil, err
		}
		if _, again := comparisons[p.token.text]; again && p.token.kind == tokenSymbol {
			return nil, p.fail(p.token.offset, "comparisons in a row are not allowed")
		}
		sides := []*Expr{left, right}
		if err := p.comparable(offset, sides); err != nil {
			return nil, err
		}
		return p.node(offset, opBinary, Bool, operator, sides...)
	}
	if yes, err := p.accept("IS"); yes || err != nil {
		return p.isTest(offset, left, err)
	}
	word, err := p.negated()
	if err != nil {
		return nil, err
	}
	switch {
	case p.is("BETWEEN"):
		return p.between(offset, left, word+"BETWEEN")
	case p.is("IN"):
		return p.in(offset, left, word+"IN")
	case p.is("LIKE"), p.is("RLIKE"), p.is("REGEXP"):
		return p.like(offset, left, word)
	case word != "":
		return nil, p.unexpected()
	}
	return left, nil
}

// negated goes past the NOT of NOT IN and its like.
func (p *parser) negated() (word string, err *Error) {
	yes, err := p.accept("NOT")
	if yes {
		word = "NOT "
	}
	return word, err
}

func (p *parser) isTest(offset int, left *Expr, err *Error) (*Expr, *Error) {
	if err != nil {
		return nil, err
	}
	word, err := p.negated()
	if err != nil {
		return nil, err
	}
	for _, what := range []string{"NULL", "TRUE", "FALSE"} {
		yes, err := p.accept(what)
		if err != nil {
			return nil, err
		}
		if yes {
			if what != "NULL" {
				if err := p.want(offset, left, Bool, "what is compared with "+what); err != nil {
					return nil, err
				}
			}
			return p.node(offset, opPostfix, Bool, "IS "+word+what, left)
		}
	}
	return nil, p.unexpected()
}

func (p *parser) between(offset int, left *Expr, word string) (*Expr, *Error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	low, err := p.sum()
	if err != nil {
		return nil, err
	}
	if err := p.expect("AND"); err != nil {
		return nil, err
	}
	high, err := p.sum()
	if err != nil {
		return nil, err
	}
	parts := []*Expr{left, low, high}
	if err := p.comparable(offset, parts); err != nil {
		return nil, err
	}
	return p.node(offset, opBetween, Bool, word, parts...)
}

func (p *parser) in(offset int, left *Expr, word string) (*Expr, *Error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	list, err := p.list()
	if err != nil {
		return nil, err
	}
	parts := append([]*Expr{left}, list...)
	if err := p.comparable(offset, parts); err != nil {
		return nil, err
	}
	return p.node(offset, opIn, Bool, word, parts...)
}

// list reads expressions up to the closing bracket.
func (p *parser) list() ([]*Expr, *Error) {
	var list []*Expr
	for {
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		list = append(list, e)
		if yes, err := p.accept(","); err != nil {
			return nil, err
		} else if !yes {
			return list, p.expect(")")
		}
	}
}

func (p *parser) like(offset int, left *Expr, negation string) (*Expr, *Error) {
	word := p.token.upper
	if word == "REGEXP" {
		word = "RLIKE"
	}
	if err := p.want(offset, left, String, "what "+word+" compares"); err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	at := p.token
	if at.kind != tokenString {
		return nil, p.fail(at.offset, "the pattern of %s must be a literal", word)
	}
	pattern, err := p.primary()
	if err != nil {
		return nil, err
	}
	if pattern.op != opString {
		return nil, p.fail(at.offset, "the pattern of %s must be a literal without macros", word)
	}
	if why := badPattern(word, pattern.text); why != "" {
		return nil, p.fail(at.offset, "%s", why)
	}
	return p.node(offset, opBinary, Bool, negation+word, left, pattern)
}

// badPattern says why every query with the pattern would fail; empty where it would not.
func badPattern(word, pattern string) string {
	if word == "RLIKE" {
		if _, err := regexp.Compile(pattern); err != nil {
			return "the regular expression is not understood: " + err.Error()
		}
		return ""
	}
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '\\' {
			if i++; i == len(pattern) || strings.IndexByte(`\%_`, pattern[i]) < 0 {
				return `a backslash in a LIKE pattern must come before '%', '_' or another one`
			}
		}
	}
	return ""
}

// badReplacement says why a query would fail on the rows in which a pattern is found, which says something of them; empty where it would not.
func badReplacement(pattern, with string) string {
	groups := 0
	if re, err := regexp.Compile(pattern); err == nil {
		groups = re.NumSubexp()
	}
	for i := 0; i < len(with); i++ {
		switch {
		case with[i] == '\\':
			if i++; i == len(with) {
				return "the replacement of regexp_replace ends with a backslash"
			}
		case with[i] == '$':
			if i++; i == len(with) || !isDigit(with[i]) || int(with[i]-'0') > groups {
				return fmt.Sprintf(`'$' in the replacement of regexp_replace must come before the number of a group of the pattern, which has %d; write the character as \$`, groups)
			}
		}
	}
	return ""
}

// comparable checks that values can be compared, and makes dates of literals that are compared with dates.
func (p *parser) comparable(offset int, parts []*Expr) *Error {
	kind := Null
	for _, e := range parts {
		if e.kind == Date || e.kind == Timestamp {
			kind = max(kind, e.kind)
		}
	}
	for i, e := range parts {
		if kind != Null && e.op == opString {
			text := e.text
			if !dateText.MatchString(text) && !timestampText.MatchString(text) {
				return p.fail(offset, "%q is compared with a date, and is none; write it as 'YYYY-MM-DD'", text)
			}
			target := "DATE"
			if kind == Timestamp {
				target = "TIMESTAMP"
			}
			cast, err := p.node(offset, opCast, kind, target, e)
			if err != nil {
				return err
			}
			parts[i] = cast
		}
	}
	for _, e := range parts[1:] {
		if _, err := p.together(offset, parts[0].kind, e.kind); err != nil {
			return err
		}
	}
	if parts[0].kind == Null && len(parts) > 2 {
		return p.comparable(offset, parts[1:])
	}
	return nil
}

// together returns the kind of a value that is one of two.
func (p *parser) together(offset int, a, b Kind) (Kind, *Error) {
	switch {
	case a == Other || b == Other:
		return 0, p.fail(offset, "a column of this type can only be compared with NULL, by IS NULL")
	case a == b || b == Null:
		return a, nil
	case a == Null:
		return b, nil
	case a == Date && b == Timestamp || a == Timestamp && b == Date:
		return Timestamp, nil
	}
	return 0, p.fail(offset, "a %s and a %s cannot be compared; convert one with CAST", a, b)
}
