package sqlexpr

import (
	"slices"
	"strings"
)

// Kind is what sort of value an expression has. Kinds that Spark would convert into one another by a rule that differs from
// one setting to the next, or that fails on some rows, are not mixed.
type Kind uint8

// The kinds of values.
const (
	Null Kind = iota // of NULL, which goes with every kind
	Bool
	Number
	String
	Date
	Timestamp
	Other // of columns of any other type, which can only be NULL or not
)

func (k Kind) String() string {
	return [...]string{"NULL", "boolean", "number", "string", "date", "timestamp", "of another type"}[k]
}

// KindOf returns the kind of a type as Unity Catalog writes it, such as "decimal(10,2)".
func KindOf(typeText string) Kind {
	name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(typeText)), "(")
	switch strings.TrimSpace(name) {
	case "boolean":
		return Bool
	case "tinyint", "byte", "smallint", "short", "int", "integer", "bigint", "long", "decimal", "dec", "numeric", "float", "real", "double":
		return Number
	case "string", "char", "varchar":
		return String
	case "date":
		return Date
	case "timestamp", "timestamp_ntz":
		return Timestamp
	}
	return Other
}

type op uint8

const (
	opLiteral op = iota // text: SQL, made of a checked token
	opString            // text: the value
	opColumn            // text: the name, as the table has it
	opSelf              // {col}
	opUser              // session_user(), or {USER}
	opMacro             // text: the source
	opJoin              // operands joined by text: AND, OR
	opBinary            // text: the operator
	opPrefix            // text: NOT, -
	opPostfix           // text: IS NULL and its like
	opIn                // first in the others; text: IN, NOT IN
	opBetween           // text: BETWEEN, NOT BETWEEN
	opCase              // WHEN, THEN, ..., ELSE
	opCast              // text: the type
	opCall              // text: the function
	opClock             // text: SQL that returns the time at which the query began, or a day or number made of it
	opShift             // text: how many microseconds are added to a timestamp
)

// Expr is an expression that was understood, as a tree.
type Expr struct {
	op       op
	kind     Kind
	text     string
	operands []*Expr
	depth    int
	size     int  // about how many bytes of SQL it is; 0 where it has no operands
	local    bool // a timestamp without a time zone, of a column or made of one
}

// written returns about how many bytes of SQL the expression is.
func (e *Expr) written() int { return max(e.size, len(e.text)+8) }

// Kind returns what sort of value the expression has.
func (e *Expr) Kind() Kind { return e.kind }

// walk calls visit for the expression and all its parts.
func (e *Expr) walk(visit func(*Expr)) {
	visit(e)
	for _, part := range e.operands {
		part.walk(visit)
	}
}

// collect returns the texts of the parts of one sort, sorted.
func (e *Expr) collect(o op) []string {
	var list []string
	e.walk(func(part *Expr) {
		if part.op == o {
			list = append(list, part.text)
		}
	})
	slices.Sort(list)
	return slices.Compact(list)
}

// Columns returns the names of the columns that the expression reads, as the table has them, sorted.
func (e *Expr) Columns() []string { return e.collect(opColumn) }

// NamesUser reports whether the expression depends on the name of who asks.
func (e *Expr) NamesUser() bool { return len(e.collect(opUser)) > 0 }

// Env is what the text of an expression is built with.
type Env struct {
	Column func(name string) string // the parameter of a column, quoted
	Self   string                   // what {col} stands for, quoted
	User   string                   // the name of who asks, as SQL
	Macro  func(source string) string
}

// Length returns about how many bytes SQL returns.
func (e *Expr) Length(env Env) int {
	n := e.written()
	e.walk(func(part *Expr) {
		switch part.op {
		case opUser:
			n += len(env.User)
		case opMacro:
			n += len(env.Macro(part.text))
		}
	})
	return n
}

// SQL returns the expression for Databricks SQL, every part in brackets.
func (e *Expr) SQL(env Env) string {
	var b strings.Builder
	e.write(&b, &env)
	return b.String()
}

func (e *Expr) write(b *strings.Builder, env *Env) {
	list := func(parts []*Expr, separator string) {
		for i, part := range parts {
			if i > 0 {
				b.WriteString(separator)
			}
			part.write(b, env)
		}
	}
	switch e.op {
	case opLiteral, opClock:
		b.WriteString(e.text)
	case opString:
		text, _ := Literal(e.text) // its characters were checked when it was read
		b.WriteString(text)
	case opColumn:
		b.WriteString(env.Column(e.text))
	case opSelf:
		b.WriteString(env.Self)
	case opUser:
		b.WriteString(env.User)
	case opMacro:
		b.WriteString(env.Macro(e.text))
	case opJoin, opBinary:
		b.WriteByte('(')
		list(e.operands, " "+e.text+" ")
		b.WriteByte(')')
	case opPrefix:
		b.WriteByte('(')
		b.WriteString(e.text)
		b.WriteByte(' ')
		list(e.operands, "")
		b.WriteByte(')')
	case opPostfix:
		b.WriteByte('(')
		list(e.operands, "")
		b.WriteByte(' ')
		b.WriteString(e.text)
		b.WriteByte(')')
	case opIn:
		b.WriteByte('(')
		e.operands[0].write(b, env)
		b.WriteString(" " + e.text + " (")
		list(e.operands[1:], ", ")
		b.WriteString("))")
	case opBetween:
		b.WriteByte('(')
		e.operands[0].write(b, env)
		b.WriteString(" " + e.text + " ")
		list(e.operands[1:], " AND ")
		b.WriteByte(')')
	case opCase:
		b.WriteString("CASE")
		for i := 0; i+1 < len(e.operands); i += 2 {
			b.WriteString(" WHEN ")
			e.operands[i].write(b, env)
			b.WriteString(" THEN ")
			e.operands[i+1].write(b, env)
		}
		if len(e.operands)%2 == 1 {
			b.WriteString(" ELSE ")
			e.operands[len(e.operands)-1].write(b, env)
		}
		b.WriteString(" END")
	case opCast:
		b.WriteString("try_cast(")
		list(e.operands, "")
		b.WriteString(" AS " + e.text + ")")
	case opShift: // try_add, since a query that fails tells something of a row
		b.WriteString("timestamp_micros(try_add(unix_micros(")
		list(e.operands, "")
		b.WriteString("), " + e.text + "))")
	case opCall:
		b.WriteString(e.text)
		b.WriteByte('(')
		list(e.operands, ", ")
		b.WriteByte(')')
	}
}
