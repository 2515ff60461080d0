package sqlexpr

import (
	"strconv"
	"strings"
)

func (p *parser) cast(offset int) (*Expr, *Error) {
	if err := p.advance(); err != nil { // the bracket
		return nil, err
	}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if e.kind == Other {
		return nil, p.fail(offset, "a column of this type cannot be converted")
	}
	if err := p.expect("AS"); err != nil {
		return nil, err
	}
	target, kind, err := p.typeName()
	if err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	return p.castTo(offset, e, kind, target)
}

// castTo returns a value converted to a type.
func (p *parser) castTo(offset int, of *Expr, kind Kind, target string) (*Expr, *Error) {
	local := isLocal(target)
	if !convertible(of, kind, local) {
		return nil, p.fail(offset, "%s cannot be converted to %s", describe(of.kind), target)
	}
	e, err := p.node(offset, opCast, kind, target, of)
	if err == nil {
		e.local = local
	}
	return e, err
}

// CanBecome reports whether values of the expression can be converted to a type. Where they cannot, a function that does so is refused
// when it is made, whatever else it does. Source: the table of the function cast in Databricks' reference of SQL.
func (e *Expr) CanBecome(typeText string) bool {
	return convertible(e, KindOf(typeText), isLocal(typeText))
}

func convertible(of *Expr, to Kind, local bool) bool {
	switch from := of.kind; {
	case from == Null || from == to && to != Timestamp || to == Null:
		return from != Other
	case from == Other || to == Other:
		return false
	case from == String || to == String:
		return true
	case from == Number || from == Bool:
		return to == Number || to == Bool || to == Timestamp && !local
	case to == Number:
		return from == Timestamp && !of.local
	default:
		return to == Date || to == Timestamp
	}
}

// typeName reads a scalar type, or {colType}.
func (p *parser) typeName() (string, Kind, *Error) {
	t := p.token
	if t.kind == tokenBrace && (t.text == "colType" || t.text == "type") && p.Self != "" {
		if p.AnyColumn {
			return p.Self, Null, p.advance()
		}
		if KindOf(p.Self) == Other {
			return "", 0, p.fail(t.offset, "the column is of a type that values cannot be converted to")
		}
		return p.Self, KindOf(p.Self), p.advance()
	}
	if t.kind != tokenWord {
		return "", 0, p.unexpected()
	}
	if err := p.advance(); err != nil {
		return "", 0, err
	}
	if kind, ok := scalarTypes[t.upper]; ok {
		return t.upper, kind, nil
	}
	if t.upper != "DECIMAL" {
		return "", 0, p.fail(t.offset, "values cannot be converted to the type %q", t.text)
	}
	if !p.is("(") {
		return "DECIMAL(10,0)", Number, nil
	}
	var arguments strings.Builder
	for {
		if err := p.advance(); err != nil {
			return "", 0, err
		}
		if p.is(")") {
			break
		}
		if p.token.kind == tokenEnd {
			return "", 0, p.unexpected()
		}
		arguments.WriteString(p.token.text)
	}
	if !isDecimal(arguments.String()) {
		return "", 0, p.fail(t.offset, "DECIMAL takes a precision from 1 to %d, and a scale up to that", maxDigits)
	}
	return "DECIMAL(" + arguments.String() + ")", Number, p.advance()
}

// maxDigits is how many digits a decimal number has at most.
const maxDigits = 38

// isDecimal reports whether a text is the precision, and scale, of a decimal type.
func isDecimal(text string) bool {
	m := decimalType.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	precision, _ := strconv.Atoi(m[1])
	scale, _ := strconv.Atoi(m[3]) // 0 where there is none
	return 1 <= precision && precision <= maxDigits && scale <= precision
}
