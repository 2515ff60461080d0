package sqlexpr

import (
	"slices"
	"strconv"
	"strings"
)

func (p *parser) sum() (*Expr, *Error) {
	return p.operators(p.product, "+", "-", "||")
}

func (p *parser) product() (*Expr, *Error) {
	return p.operators(p.sign, "*", "/", "%")
}

func (p *parser) operators(part func() (*Expr, *Error), words ...string) (*Expr, *Error) {
	offset := p.token.offset
	left, err := part()
	for err == nil && p.token.kind == tokenSymbol && slices.Contains(words, p.token.text) {
		word := p.token.text
		if err := p.advance(); err != nil {
			return nil, err
		}
		if (word == "+" || word == "-") && (p.is("INTERVAL") || left.kind == Date || left.kind == Timestamp) {
			if left, err = p.shift(offset, left, word); err != nil {
				return nil, err
			}
			continue
		}
		at := p.token.offset
		var right *Expr
		if right, err = part(); err != nil {
			return nil, err
		}
		kind := Number
		if word == "||" {
			kind = String
		}
		for _, e := range []*Expr{left, right} {
			if err := p.want(offset, e, kind, "what "+word+" takes"); err != nil {
				return nil, err
			}
		}
		switch word {
		case "/":
			left, err = p.node(offset, opCall, Number, "try_divide", left, right)
		case "||":
			left, err = p.node(offset, opCall, String, "concat", left, right)
		case "%":
			if right.op != opLiteral || strings.Trim(right.text, "0.") == "" {
				return nil, p.fail(at, "what follows %% must be a number that is not 0")
			}
			left, err = p.node(offset, opBinary, Number, "%", left, right)
		default:
			if word != "*" && p.AnyColumn && left.kind == Null && left.op != opLiteral {
				kind = Null // days may be added to it, or taken from it
			}
			left, err = p.node(offset, opBinary, kind, word, left, right)
		}
	}
	return left, err
}

func (p *parser) sign() (*Expr, *Error) {
	offset := p.token.offset
	if !p.is("-") && !p.is("+") {
		return p.primary()
	}
	minus := p.is("-")
	if err := p.enter(offset); err != nil {
		return nil, err
	}
	defer func() { p.nested-- }()
	if err := p.advance(); err != nil {
		return nil, err
	}
	e, err := p.sign()
	if err != nil {
		return nil, err
	}
	if err := p.want(offset, e, Number, "what has a sign"); err != nil {
		return nil, err
	}
	if !minus {
		return e, nil
	}
	return p.node(offset, opPrefix, Number, "-", e)
}

// number returns the value of a literal whole number.
func (e *Expr) number() (int, bool) {
	if e.op == opPrefix && e.text == "-" {
		n, ok := e.operands[0].number()
		return -n, ok
	}
	if e.op != opLiteral || !wholeNumber.MatchString(e.text) {
		return 0, false
	}
	n, err := strconv.Atoi(e.text)
	return n, err == nil
}
