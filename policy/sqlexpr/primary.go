package sqlexpr

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

func (p *parser) primary() (*Expr, *Error) {
	t := p.token
	if err := p.enter(t.offset); err != nil {
		return nil, err
	}
	defer func() { p.nested-- }()
	switch t.kind {
	case tokenString:
		if err := p.advance(); err != nil {
			return nil, err
		}
		return p.text(t)
	case tokenNumber:
		if err := p.advance(); err != nil {
			return nil, err
		}
		return p.node(t.offset, opLiteral, Number, t.text)
	case tokenMacro:
		if err := p.advance(); err != nil {
			return nil, err
		}
		return p.macro(t.offset, t.text)
	case tokenBrace:
		if err := p.advance(); err != nil {
			return nil, err
		}
		return p.brace(t)
	case tokenQuoted:
		if err := p.advance(); err != nil {
			return nil, err
		}
		return p.column(t)
	case tokenSymbol:
		if t.text != "(" {
			return nil, p.unexpected()
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		return e, p.expect(")")
	case tokenWord:
		return p.word(t)
	}
	return nil, p.unexpected()
}

// reserved are words that cannot be a column where they stand.
var reserved = map[string]bool{
	"SELECT": true, "WITH": true, "FROM": true, "OVER": true, "WHERE": true, "AND": true, "OR": true, "NOT": true, "IN": true, "IS": true,
	"LIKE": true, "RLIKE": true, "BETWEEN": true, "WHEN": true, "THEN": true, "ELSE": true, "END": true, "AS": true, "EXISTS": true,
	"INTERVAL": true, "CURRENT_DATE": true, "CURRENT_TIMESTAMP": true, "LOCALTIMESTAMP": true,
}

func (p *parser) word(t token) (*Expr, *Error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	called := p.is("(")
	switch t.upper {
	case "NULL":
		return p.node(t.offset, opLiteral, Null, "NULL")
	case "TRUE", "FALSE":
		return p.node(t.offset, opLiteral, Bool, t.upper)
	case "CASE":
		return p.caseOf(t.offset)
	case "CAST", "TRY_CAST":
		if called {
			return p.cast(t.offset)
		}
	case "DATE", "TIMESTAMP":
		if p.token.kind == tokenString {
			return p.typed(t)
		}
	case "CURRENT_USER", "SESSION_USER", "USER":
		if !called {
			if _, isColumn := p.find(t.text); isColumn {
				break
			}
			e, err := p.node(t.offset, opUser, String, "")
			if p.AnyColumn {
				e.kind = Null // it may be a column
			}
			return e, err
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		if err := p.expect(")"); err != nil {
			return nil, err
		}
		return p.node(t.offset, opUser, String, "")
	}
	switch {
	case called:
		return p.call(t)
	case t.upper == "CURRENT_DATE" || t.upper == "CURRENT_TIMESTAMP":
		return p.bareClock(t)
	case reserved[t.upper]:
		if why := refusedFunctions[strings.ToLower(t.text)]; why != "" {
			return nil, p.fail(t.offset, "%s is not allowed: %s", t.text, why)
		}
		p.token = t
		return nil, p.unexpected()
	}
	return p.column(t)
}

// find returns the column of a name.
func (p *parser) find(name string) (kind Kind, ok bool) {
	for _, c := range p.Columns {
		if strings.EqualFold(c.Name, name) {
			return KindOf(c.Type), true
		}
	}
	return 0, false
}

func (p *parser) column(t token) (*Expr, *Error) {
	if p.Self != "" && strings.EqualFold(t.text, p.SelfName) {
		return p.self(t.offset)
	}
	for _, c := range p.Columns {
		if strings.EqualFold(c.Name, t.text) {
			if p.is(".") || p.token.kind == tokenNumber { // a field of a structure: never here, since '.' is no token
				return nil, p.unexpected()
			}
			e, err := p.node(t.offset, opColumn, KindOf(c.Type), c.Name)
			e.local = isLocal(c.Type)
			return e, err
		}
	}
	if p.AnyColumn {
		return p.node(t.offset, opColumn, Null, t.text)
	}
	return nil, p.fail(t.offset, "the table has no column %q", t.text)
}

// self returns the column that a mask is for.
func (p *parser) self(offset int) (*Expr, *Error) {
	e, err := p.node(offset, opSelf, KindOf(p.Self), "")
	if e.local = isLocal(p.Self); p.AnyColumn {
		e.kind = Null
	}
	return e, err
}

// isLocal reports whether values of a type are times of day that no time zone changes.
func isLocal(typeText string) bool {
	return strings.EqualFold(strings.TrimSpace(typeText), "timestamp_ntz")
}

// text returns a string literal, in which macros stand for a part.
func (p *parser) text(t token) (*Expr, *Error) {
	var parts []*Expr
	literal := func(text string) {
		if text != "" || len(parts) == 0 {
			parts = append(parts, &Expr{op: opString, kind: String, text: text})
		}
	}
	for rest := t.text; ; {
		user, macro := strings.Index(rest, "{USER}"), strings.Index(rest, "${{")
		switch {
		case macro >= 0 && (user < 0 || macro < user):
			end := strings.Index(rest[macro:], "}}")
			if end < 0 {
				return nil, p.fail(t.offset, "a macro that has no end")
			}
			if macro > 0 {
				literal(rest[:macro])
			}
			m, err := p.macro(t.offset, strings.TrimSpace(rest[macro+3:macro+end]))
			if err != nil {
				return nil, err
			}
			m.kind = String
			parts, rest = append(parts, m), rest[macro+end+2:]
		case user >= 0:
			if user > 0 {
				literal(rest[:user])
			}
			parts, rest = append(parts, &Expr{op: opUser, kind: String}), rest[user+len("{USER}"):]
		default:
			literal(rest)
			if len(parts) == 1 {
				return parts[0], nil
			}
			return p.node(t.offset, opCall, String, "concat", parts...)
		}
		if rest == "" && len(parts) == 1 {
			return parts[0], nil
		}
	}
}

func (p *parser) macro(offset int, source string) (*Expr, *Error) {
	if p.Macros == nil {
		return nil, p.fail(offset, "macros are not allowed here")
	}
	kind, err := p.Macros(source)
	if err != nil {
		return nil, p.fail(offset, "the macro ${{%s}} is not allowed: %v", source, err)
	}
	return p.node(offset, opMacro, kind, source)
}

func (p *parser) brace(t token) (*Expr, *Error) {
	switch {
	case t.text == "USER":
		return p.node(t.offset, opUser, String, "")
	case t.text == "col" && p.Self != "":
		return p.self(t.offset)
	}
	return nil, p.fail(t.offset, "{%s} is not known here", t.text)
}

// typed reads DATE '2024-01-31' and TIMESTAMP '2024-01-31 12:00:00'.
func (p *parser) typed(t token) (*Expr, *Error) {
	value := p.token
	if err := p.advance(); err != nil {
		return nil, err
	}
	kind := Date
	if t.upper == "TIMESTAMP" {
		kind = Timestamp
	}
	if !dateText.MatchString(value.text) && (kind == Date || !timestampText.MatchString(value.text)) {
		return nil, p.fail(value.offset, "%q is not a %s", value.text, kind)
	}
	return p.node(t.offset, opCast, kind, t.upper, &Expr{op: opString, kind: String, text: value.text})
}

func (p *parser) caseOf(offset int) (*Expr, *Error) {
	var subject *Expr
	var err *Error
	if !p.is("WHEN") {
		if subject, err = p.or(); err != nil {
			return nil, err
		}
	}
	var parts []*Expr
	kind := Null
	value := func() *Error {
		at := p.token.offset
		e, err := p.or()
		if err != nil {
			return err
		}
		if kind, err = p.together(at, kind, e.kind); err != nil {
			return err
		}
		parts = append(parts, e)
		return nil
	}
	for p.is("WHEN") {
		if err := p.advance(); err != nil {
			return nil, err
		}
		at := p.token.offset
		when, err := p.or()
		if err != nil {
			return nil, err
		}
		if subject == nil {
			if err := p.want(at, when, Bool, "what follows WHEN"); err != nil {
				return nil, err
			}
		} else {
			sides := []*Expr{subject, when}
			if err := p.comparable(at, sides); err != nil {
				return nil, err
			}
			if when, err = p.node(at, opBinary, Bool, "=", sides...); err != nil {
				return nil, err
			}
		}
		parts = append(parts, when)
		if err := p.expect("THEN"); err != nil {
			return nil, err
		}
		if err := value(); err != nil {
			return nil, err
		}
	}
	if len(parts) == 0 {
		return nil, p.unexpected()
	}
	if yes, err := p.accept("ELSE"); err != nil {
		return nil, err
	} else if yes {
		if err := value(); err != nil {
			return nil, err
		}
	}
	if err := p.expect("END"); err != nil {
		return nil, err
	}
	return p.node(offset, opCase, kind, "", parts...)
}

// call reads the arguments of a function.
func (p *parser) call(t token) (*Expr, *Error) {
	name := strings.ToLower(t.text)
	f, ok := functions[name]
	if !ok && p.Self != "" {
		f, ok = maskFunctions[name]
	}
	if name == "to_date" {
		f, ok = signature{parameters: []Kind{Null}, returns: Date}, true
	}
	if e, err := p.clockCall(t.offset, name); e != nil || err != nil {
		return e, err
	}
	if !ok {
		if why := refusedFunctions[name]; why != "" {
			return nil, p.fail(t.offset, "the function %s is not allowed: %s", name, why)
		}
		return nil, p.fail(t.offset, "the function %s is not known to be safe in a filter", name)
	}
	if err := p.advance(); err != nil { // the bracket
		return nil, err
	}
	var arguments []*Expr
	if yes, err := p.accept(")"); err != nil {
		return nil, err
	} else if !yes {
		if arguments, err = p.list(); err != nil {
			return nil, err
		}
	}
	if p.is("OVER") || p.is("FILTER") {
		return nil, p.unexpected()
	}
	kind, err := p.check(t, name, f, arguments)
	if err != nil {
		return nil, err
	}
	if name == "to_date" {
		if arguments[0].kind != String && arguments[0].kind != Date && arguments[0].kind != Timestamp {
			return nil, p.fail(t.offset, "to_date takes a string, a date or a timestamp")
		}
		return p.castTo(t.offset, arguments[0], Date, "DATE")
	}
	e, err := p.node(t.offset, opCall, kind, name, arguments...)
	if err == nil && name == "date_trunc" && arguments[1].kind == Date {
		e.local = true // the midnight at which that day begins in the time zone of the session
	}
	return e, err
}

// check compares the arguments of a call with the function's parameters, and returns the kind of its value.
func (p *parser) check(t token, name string, f signature, arguments []*Expr) (Kind, *Error) {
	n := len(f.parameters)
	if len(arguments) < n-f.optional || len(arguments) > n && !f.variadic {
		return 0, p.fail(t.offset, "%s takes %d arguments, not %d", name, n, len(arguments))
	}
	kind := Null
	for i, a := range arguments {
		want := f.parameters[min(i, n-1)]
		var err *Error
		if want == Null {
			if a.kind == Other && (kind == Null || kind == Other) { // which type, only the table says
				kind = Other
			} else if kind != Other || a.kind != Null {
				kind, err = p.together(t.offset, kind, a.kind)
			}
		} else {
			err = p.want(t.offset, a, want, "an argument of "+name)
		}
		if n, ok := a.number(); ok && want == Number && (f.returns != Number || slices.Contains(f.literal, i)) && (n > math.MaxInt32 || n < math.MinInt32) {
			err = p.fail(t.offset, "argument %d of %s must be a number up to %d", i+1, name, math.MaxInt32)
		}
		if err != nil {
			return 0, err
		}
	}
	for _, i := range f.literal {
		if i < len(arguments) && arguments[i].op != opString {
			if _, ok := arguments[i].number(); !ok && !(arguments[i].op == opLiteral && arguments[i].kind == Null) {
				return 0, p.fail(t.offset, "argument %d of %s must be a literal", i+1, name)
			}
		}
	}
	if why := badArguments(name, arguments); why != "" {
		return 0, p.fail(t.offset, "%s", why)
	}
	if f.returns != Null {
		kind = f.returns
	}
	return kind, nil
}

// badArguments says why every query with a call would fail, or what it returns would not be known.
func badArguments(name string, arguments []*Expr) string {
	number := func(i int) int {
		n, _ := arguments[i].number()
		return n
	}
	switch name {
	case "date_trunc":
		if !dateUnits[strings.ToUpper(arguments[0].text)] {
			return "date_trunc takes 'YEAR', 'QUARTER', 'MONTH', 'WEEK' or 'DAY'"
		}
	case "split_part":
		if number(2) == 0 {
			return "split_part counts parts from 1"
		}
	case "regexp_replace":
		if why := badPattern("RLIKE", arguments[1].text); why != "" {
			return why
		}
		return badReplacement(arguments[1].text, arguments[2].text)
	case "date_add", "date_sub", "add_months":
		if n := number(1); n < -maxShift || n > maxShift {
			return fmt.Sprintf("%s takes a number up to %d", name, maxShift)
		}
	case "sha2":
		if n := number(1); n != 224 && n != 256 && n != 384 && n != 512 {
			return "sha2 takes 224, 256, 384 or 512 bits"
		}
	case "lpad", "rpad":
		if n := number(1); n < 0 || n > 1000 {
			return name + " takes a length up to 1000"
		}
	}
	return ""
}
