package sqlexpr

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// clockFunction is a function of the time at which a query began.
type clockFunction struct {
	kind Kind
	// sql returns the same in every session: which day it is does not follow the time zone of the session, since who reads a
	// table can set that.
	sql string
}

const (
	clockNow   = "current_timestamp()"
	clockToday = "date_from_unix_date(CAST(unix_seconds(current_timestamp()) / 86400 AS INT))" // in UTC
)

var clockFunctions = map[string]clockFunction{
	"current_timestamp": {Timestamp, clockNow}, "now": {Timestamp, clockNow}, "getdate": {Timestamp, clockNow},
	"current_date": {Date, clockToday}, "curdate": {Date, clockToday},
	"unix_timestamp": {Number, "unix_seconds(current_timestamp())"},
}

// maxShift bounds how many units are added to a date or timestamp, so that what comes of it is a date or timestamp.
const maxShift = 1_000_000

// intervalUnits are the units of intervals, in microseconds, or months.
var intervalUnits = map[string]struct{ micros, months int64 }{
	"SECOND": {1_000_000, 0}, "MINUTE": {60 * 1_000_000, 0}, "HOUR": {3600 * 1_000_000, 0}, "DAY": {microsOfDay, 0}, "WEEK": {7 * microsOfDay, 0},
	"MONTH": {0, 1}, "YEAR": {0, 12},
}

const microsOfDay = 86400 * 1_000_000

// clockCall reads the brackets of a call of one of clockFunctions; nil for any other, or one with arguments.
func (p *parser) clockCall(offset int, name string) (*Expr, *Error) {
	f, ok := clockFunctions[name]
	after := *p
	if err := after.advance(); !ok || err != nil || !after.is(")") {
		return nil, nil // where a token cannot be read, whoever reads it next says so
	}
	*p = after
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.is("OVER") || p.is("FILTER") {
		return nil, p.unexpected()
	}
	return p.node(offset, opClock, f.kind, f.sql)
}

// bareClock is a call of current_date or current_timestamp without brackets.
func (p *parser) bareClock(t token) (*Expr, *Error) {
	if _, isColumn := p.find(t.text); isColumn {
		return nil, p.fail(t.offset, "%s is a function and a column; write %s() or `%s`", t.text, t.text, t.text)
	}
	f := clockFunctions[strings.ToLower(t.text)]
	return p.node(t.offset, opClock, f.kind, f.sql)
}

// shift reads what is added to a date or timestamp, or taken from it, after the operator.
func (p *parser) shift(offset int, of *Expr, operator string) (*Expr, *Error) {
	at, sign := p.token.offset, int64(1)
	if operator == "-" {
		sign = -1
	}
	if !p.is("INTERVAL") {
		days, err := p.product()
		if err != nil {
			return nil, err
		}
		n, whole := days.number()
		switch {
		case days.kind == Date || days.kind == Timestamp:
			return nil, p.fail(at, "write the days between two dates as datediff(later, earlier)")
		case of.kind == Timestamp:
			return nil, p.fail(at, "write what is added to a timestamp, or taken from it, as INTERVAL 7 DAYS")
		case !whole:
			return nil, p.fail(at, "the number of days that is added to a date, or taken from it, must be a whole number, not a column or another expression")
		}
		return p.addDays(offset, of, sign*int64(n))
	}
	n, unit, err := p.interval()
	if err != nil {
		return nil, err
	}
	n *= sign
	length := intervalUnits[unit]
	switch {
	case of.kind == Null:
		return p.node(offset, opLiteral, Null, "NULL")
	case of.kind == Date && length.months > 0:
		return p.addMonths(offset, of, n*length.months)
	case of.kind == Date && length.micros >= microsOfDay:
		return p.addDays(offset, of, n*(length.micros/microsOfDay))
	case of.kind == Date:
		return nil, p.fail(at, "a date has no time of day; add days, weeks, months or years to it")
	case of.kind == Timestamp && length.micros > 0:
		if of.local { // unix_micros takes instants
			if of, err = p.node(offset, opCast, Timestamp, "TIMESTAMP", of); err != nil {
				return nil, err
			}
		}
		return p.node(offset, opShift, Timestamp, strconv.FormatInt(n*length.micros, 10), of)
	case of.kind == Timestamp && of.op == opClock && of.text == clockNow: // months as they are in UTC
		days := fmt.Sprintf("(unix_date(add_months(%s, %d)) - unix_date(%s))", clockToday, n*length.months, clockToday)
		return p.node(offset, opClock, Timestamp, fmt.Sprintf("timestamp_micros(unix_micros(%s) + %s * %d)", clockNow, days, int64(microsOfDay)))
	case of.kind == Timestamp:
		return nil, p.fail(at, "months and years are not added to timestamps, since how long they are follows the time zone of the session; write days, or take them from now()")
	}
	return nil, p.fail(at, "an interval can only be added to a date or a timestamp, or taken from it, and this is %s", describe(of.kind))
}

func (p *parser) addDays(offset int, of *Expr, n int64) (*Expr, *Error) {
	if n < -maxShift || n > maxShift {
		return nil, p.fail(offset, "more than %d days are not added to a date", maxShift)
	}
	name := "date_add"
	if n < 0 {
		name, n = "date_sub", -n
	}
	return p.node(offset, opCall, Date, name, of, &Expr{op: opLiteral, kind: Number, text: strconv.FormatInt(n, 10)})
}

func (p *parser) addMonths(offset int, of *Expr, n int64) (*Expr, *Error) {
	months := &Expr{op: opLiteral, kind: Number, text: strconv.FormatInt(max(n, -n), 10)}
	if n < 0 {
		months = &Expr{op: opPrefix, kind: Number, text: "-", operands: []*Expr{months}, depth: 1}
	}
	return p.node(offset, opCall, Date, "add_months", of, months)
}

// interval reads INTERVAL 30 DAYS, INTERVAL '30' DAY or INTERVAL '30 days'.
func (p *parser) interval() (n int64, unit string, err *Error) {
	at := p.token.offset
	if err := p.advance(); err != nil {
		return 0, "", err
	}
	minus := p.is("-")
	if minus {
		if err := p.advance(); err != nil {
			return 0, "", err
		}
	}
	var words []string
	if p.token.kind == tokenNumber || p.token.kind == tokenString {
		words = strings.Fields(p.token.text)
		if err := p.advance(); err != nil {
			return 0, "", err
		}
	}
	if len(words) == 1 && p.token.kind == tokenWord {
		words = append(words, p.token.text)
		if err := p.advance(); err != nil {
			return 0, "", err
		}
	}
	if len(words) == 2 {
		unit = strings.TrimSuffix(strings.ToUpper(words[1]), "S")
		n, failed := strconv.ParseInt(words[0], 10, 64)
		_, known := intervalUnits[unit]
		if failed == nil && known && -maxShift <= n && n <= maxShift && p.token.kind != tokenNumber && p.token.kind != tokenString && !p.is("TO") {
			if minus {
				n = -n
			}
			return n, unit, nil
		}
	}
	return 0, "", p.fail(at, "write an interval as one whole number, up to %d, and its unit: INTERVAL 30 DAYS", maxShift)
}

// ReadsClock reports whether the expression depends on when it is evaluated.
func (e *Expr) ReadsClock() bool { return len(e.collect(opClock)) > 0 }

// ByTimeZone reports whether the expression may depend on the time zone of the session, which who reads a table can set: where it takes
// a timestamp for a day, or a day or a text for a timestamp.
func (e *Expr) ByTimeZone() bool {
	some := func(is func(*Expr) bool) bool { return slices.ContainsFunc(e.operands, is) }
	switch e.op {
	case opCast:
		of := e.operands[0]
		if e.kind == Timestamp && !e.local && (of.local || of.kind == Date || of.kind == String && !e.fromText()) || (e.kind == Date || e.kind == String || e.local) && of.inZone() {
			return true
		}
	default: // a local time that is compared with a text has the same zone on both sides
		takesDay := func(part *Expr) bool {
			return part.kind == Date || part.local || part.kind == Timestamp && part.fromText()
		}
		if some((*Expr).inZone) && (e.op == opCall && dayFunctions[e.text] || some(takesDay)) {
			return true
		}
	}
	return some((*Expr).ByTimeZone)
}

// inZone reports whether the expression is an instant, of which the time zone says which day it is on.
func (e *Expr) inZone() bool { return e.kind == Timestamp && !e.local && !e.fromText() }

// fromText reports whether the expression is a literal that was made a date or timestamp.
func (e *Expr) fromText() bool { return e.op == opCast && e.operands[0].op == opString }

// dayFunctions take a timestamp for the day that it is on.
var dayFunctions = map[string]bool{"year": true, "month": true, "day": true, "date_trunc": true, "datediff": true, "date_add": true, "date_sub": true, "add_months": true}
