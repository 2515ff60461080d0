package statement

import (
	"slices"
	"strings"
)

// CreateFunction makes a SQL function that returns an expression of its parameters.
type CreateFunction struct {
	Name                 []string
	Replace, IfNotExists bool
	Parameters           []Parameter
	Returns              string // a type
	Comment              string
	Source               string // of the body
	Body                 *Expression
}

// Parameter is a parameter of a function, with its type.
type Parameter struct{ Name, Type string }

// Drop drops a function, table or schema.
type Drop struct {
	On       Object
	IfExists bool
}

// CreateSchema makes a schema.
type CreateSchema struct {
	Name        []string
	IfNotExists bool
	Comment     string
}

// Comment changes the comment of an object.
type Comment struct {
	On   Object
	Text string
}

// RowFilter sets the row filter of a table, or, without a function, drops it. Word is the type of the table that the statement
// uses: TABLE, VIEW, MATERIALIZED VIEW or STREAMING TABLE.
type RowFilter struct {
	On        Object
	Word      string
	Function  []string
	Arguments []Argument
}

// Mask sets the mask of a column, or, without a function, drops it.
type Mask struct {
	On        Object
	Word      string
	Column    string
	Function  []string
	Arguments []Argument // after the column itself
}

// Argument is a column, or a literal.
type Argument struct {
	Column   string
	Constant *string // nil of a column, and of NULL
	Null     bool
}

// typeWord returns the type that comes next, as it is written; without one it is TABLE.
func (p *parser) typeWord() string {
	for _, words := range objectTypes {
		if p.is(words...) && !p.is(append(slices.Clone(words), ".")...) {
			return strings.Join(words, " ")
		}
	}
	return "TABLE"
}

func (p *parser) createFunction(replace bool) *CreateFunction {
	f := &CreateFunction{Replace: replace, IfNotExists: p.accept("IF", "NOT", "EXISTS"), Name: p.name()}
	p.expect("(")
	for !p.accept(")") {
		if len(f.Parameters) > 0 {
			p.expect(",")
		}
		f.Parameters = append(f.Parameters, Parameter{p.identifier(), p.dataType()})
		if p.accept("COMMENT") {
			p.literal()
		}
	}
	p.expect("RETURNS")
	f.Returns = p.dataType()
	for {
		switch {
		case p.accept("COMMENT"):
			f.Comment = p.literal()
		case p.accept("LANGUAGE", "SQL"), p.accept("DETERMINISTIC"), p.accept("NOT", "DETERMINISTIC"), p.accept("CONTAINS", "SQL"),
			p.accept("READS", "SQL", "DATA"), p.accept("SQL", "SECURITY", "DEFINER"):
		default:
			p.expect("RETURN")
			start := p.peek().at
			f.Body = p.wholeExpression()
			f.Source = strings.TrimSpace(p.source[start:p.peek().at])
			return f
		}
	}
}

// literal parses a literal in quotes.
func (p *parser) literal() string {
	t := p.peek()
	if t.kind != text {
		p.fail("want a literal in quotes instead of %q", t.text)
	}
	p.at++
	return t.text
}

// dataType parses the name of a type, and returns it in lower case, without blanks but between words. Names of fields that are no words
// stay in backticks.
func (p *parser) dataType() string {
	var b strings.Builder
	name := strings.ToLower(p.identifier())
	b.WriteString(name)
	switch {
	case name == "string" && p.accept("COLLATE"):
		b.WriteString(" collate " + strings.ToLower(p.identifier()))
	case name == "interval" && slices.ContainsFunc(intervalUnits, func(unit string) bool { return p.is(unit) }):
		b.WriteString(" " + strings.ToLower(p.identifier()))
		if p.accept("TO") {
			b.WriteString(" to " + strings.ToLower(p.identifier()))
		}
	}
	for depth := 0; p.is("(") || p.is("<") || depth > 0; {
		t := p.peek()
		switch {
		case t.kind == end:
			p.fail("a type is not closed")
		case p.is("(") || p.is("<"):
			depth++
		case p.is(")") || p.is(">"):
			depth--
		}
		switch t.kind {
		case parameter: // the colon after the name of a field, and the type behind it
			b.WriteByte(':')
		case text:
			p.fail("unexpected %q in a type", t.text)
		case word, number:
			if last := p.tokens[p.at-1].kind; last == word || last == quoted || last == parameter {
				b.WriteByte(' ')
			}
		}
		if t.kind == quoted {
			b.WriteString("`" + strings.ReplaceAll(strings.ToLower(t.text), "`", "``") + "`")
		} else {
			b.WriteString(strings.ToLower(t.text))
		}
		p.at++
	}
	return b.String()
}

var intervalUnits = []string{"YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"}

func (p *parser) createSchema() *CreateSchema {
	s := &CreateSchema{IfNotExists: p.accept("IF", "NOT", "EXISTS"), Name: p.name()}
	if p.accept("COMMENT") {
		s.Comment = p.literal()
	}
	return s
}

func (p *parser) drop() *Drop {
	p.expect("DROP")
	word := strings.ToUpper(p.identifier())
	return &Drop{IfExists: p.accept("IF", "EXISTS"), On: Object{Type: word, Name: p.name()}}
}

func (p *parser) comment() *Comment {
	c := &Comment{On: p.object()}
	p.expect("IS")
	if !p.accept("NULL") {
		c.Text = p.literal()
	}
	return c
}

func (p *parser) rowFilter(on Object, word string) *RowFilter {
	f := &RowFilter{On: on, Word: word, Function: p.name()}
	p.expect("ON")
	f.Arguments = p.arguments()
	return f
}

func (p *parser) mask(on Object, word, column string) *Mask {
	m := &Mask{On: on, Word: word, Column: column, Function: p.name()}
	if p.accept("USING", "COLUMNS") {
		m.Arguments = p.arguments()
	}
	return m
}

// arguments parses (column or literal, ...), which may be empty.
func (p *parser) arguments() []Argument {
	list := []Argument{}
	p.expect("(")
	for !p.accept(")") {
		if len(list) > 0 {
			p.expect(",")
		}
		t, sign := p.peek(), ""
		if t.kind == punctuator && t.text == "-" {
			p.at++
			t, sign = p.peek(), "-"
		}
		switch {
		case t.kind == text && sign == "":
			p.at++
			list = append(list, Argument{Constant: &t.text})
		case t.kind == number:
			number := sign + p.number()
			list = append(list, Argument{Constant: &number})
		case p.accept("NULL"):
			list = append(list, Argument{Null: true})
		case p.is("TRUE"), p.is("FALSE"):
			p.at++
			value := strings.ToLower(t.text)
			list = append(list, Argument{Constant: &value})
		default:
			list = append(list, Argument{Column: p.identifier()})
		}
	}
	return list
}

// number parses digits, with a fraction or without.
func (p *parser) number() string {
	t := p.peek()
	if t.kind != number {
		p.fail("want a number instead of %q", t.text)
	}
	p.at++
	whole := t.text
	if next := p.peek(); p.is(".") && next.at == t.at+len(t.text) {
		p.at++
		if fraction := p.peek(); fraction.kind == number && fraction.at == next.at+1 {
			p.at++
			return whole + "." + fraction.text
		}
	}
	return whole
}
