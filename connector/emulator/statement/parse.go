package statement

import (
	"slices"
	"strconv"
	"strings"
)

// Statement is one of *Grant, *ShowGrants, *SetOwner, *SetTags, *Select, *CreateFunction, *Drop, *CreateSchema, *Comment,
// *RowFilter and *Mask.
type Statement any

// Object is what a statement is about.
type Object struct {
	Type string   // in capitals, as "EXTERNAL LOCATION"; views and the like are TABLE
	Name []string // its parts; none for METASTORE
}

// Grant gives privileges on an object to a principal, or takes them away.
type Grant struct {
	Revoke     bool
	Privileges []string // in capitals, with spaces
	On         Object
	Principal  string
}

// ShowGrants lists the grants on an object, of one principal if it names one.
type ShowGrants struct {
	Principal string
	On        Object
}

// SetOwner gives an object another owner.
type SetOwner struct {
	On    Object
	Owner string
}

// SetTags changes tags of an object, or of a column of a table.
type SetTags struct {
	On     Object
	Column string
	Set    []Tag
	Unset  []string
}

// Tag is a key with its value, which may be empty.
type Tag struct{ Key, Value string }

// Select reads from one view, or, where From is empty, computes constants.
type Select struct {
	Columns []Column // none for all
	From    []string // parts of the name
	Where   []Condition
	Order   []Order
	Limit   int // -1 for none
}

// Column is one of those that are selected: of the view, a literal, or a call of a function without arguments.
type Column struct {
	Name, As string // As is the name in the result
	Literal  *string
	Call     bool
}

// Condition compares a column with values; all conditions must hold.
type Condition struct {
	Column string
	Op     string // = <> < <= > >= IN LIKE, or NULL for IS NULL
	Not    bool
	Values []string
}

// Order is a column to sort by.
type Order struct {
	Column     string
	Descending bool
}

type parser struct {
	tokens     []token
	at         int
	parameters map[string]string
	source     string
	columns    []string // that the expression being parsed refers to
	depth      int      // of the expression being parsed
}

// failure carries an error from where it is found to Parse.
type failure struct{ err error }

func (p *parser) fail(format string, args ...any) {
	panic(failure{mistake(p.tokens[p.at].at, format, args...)})
}

// Parse returns what a statement asks for. parameters are the values of its markers, such as :name. An error is an *Error.
func Parse(sql string, parameters map[string]string) (s Statement, err error) {
	tokens, err := lex(sql)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, parameters: parameters, source: sql}
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				panic(r)
			}
			s, err = nil, f.err
		}
	}()
	s = p.statement()
	p.accept(";")
	if p.peek().kind != end {
		p.fail("unexpected %q", p.peek().text)
	}
	return s, nil
}

func (p *parser) peek() token { return p.tokens[p.at] }

// is reports whether the next tokens are the words or punctuators, in any case.
func (p *parser) is(words ...string) bool {
	for i, w := range words {
		if p.at+i >= len(p.tokens) {
			return false
		}
		t := p.tokens[p.at+i]
		if t.kind != word && t.kind != punctuator || !strings.EqualFold(t.text, w) {
			return false
		}
	}
	return true
}

// accept takes the words if they come next, and reports whether they did.
func (p *parser) accept(words ...string) bool {
	if !p.is(words...) {
		return false
	}
	p.at += len(words)
	return true
}

func (p *parser) expect(words ...string) {
	for _, w := range words {
		if !p.accept(w) {
			p.fail("want %s instead of %q", w, p.peek().text)
		}
	}
}

func (p *parser) identifier() string {
	t := p.peek()
	if t.kind != word && t.kind != quoted || t.text == "" {
		p.fail("want a name instead of %q", t.text)
	}
	p.at++
	return t.text
}

// name returns the parts of a name.
func (p *parser) name() []string {
	if p.is("IDENTIFIER", "(") {
		panic(failure{&Error{p.peek().at, "IDENTIFIER() is not supported by the emulator: write the name", true}})
	}
	parts := []string{p.identifier()}
	for p.accept(".") {
		parts = append(parts, p.identifier())
	}
	return parts
}

func (p *parser) statement() Statement {
	switch {
	case p.accept("GRANT"):
		return p.grant(false)
	case p.accept("REVOKE"):
		return p.grant(true)
	case p.accept("SHOW", "GRANTS"), p.accept("SHOW", "GRANT"):
		return p.showGrants()
	case p.accept("ALTER"):
		return p.alter()
	case p.accept("SET", "TAG", "ON"):
		return p.tag(true)
	case p.accept("UNSET", "TAG", "ON"):
		return p.tag(false)
	case p.accept("SELECT"):
		return p.selection()
	case p.accept("CREATE", "OR", "REPLACE", "FUNCTION"):
		return p.createFunction(true)
	case p.accept("CREATE", "FUNCTION"):
		return p.createFunction(false)
	case p.accept("CREATE", "SCHEMA"), p.accept("CREATE", "DATABASE"):
		return p.createSchema()
	case p.is("DROP", "FUNCTION"), p.is("DROP", "TABLE"), p.is("DROP", "SCHEMA"):
		return p.drop()
	case p.accept("COMMENT", "ON"):
		return p.comment()
	}
	first := p.peek()
	if first.kind != word {
		p.fail("want a statement instead of %q", first.text)
	}
	panic(failure{&Error{first.at, strings.ToUpper(first.text) + " is not supported by the emulator: it carries out GRANT, REVOKE, " +
		"SHOW GRANTS, ALTER ... OWNER TO, ALTER ... SET TAGS, SET TAG, CREATE and DROP FUNCTION, CREATE SCHEMA, COMMENT ON, ALTER ... SET and DROP " +
		"ROW FILTER and MASK, and SELECT on tables and views of information_schema", true}})
}

// objectTypes are the types of objects, the longer names first.
var objectTypes = [][]string{{"EXTERNAL", "LOCATION"}, {"STORAGE", "CREDENTIAL"}, {"SERVICE", "CREDENTIAL"}, {"MATERIALIZED", "VIEW"},
	{"STREAMING", "TABLE"}, {"CATALOG"}, {"SCHEMA"}, {"DATABASE"}, {"TABLE"}, {"VIEW"}, {"FUNCTION"}, {"MODEL"}, {"PROCEDURE"}, {"VOLUME"},
	{"CREDENTIAL"}, {"CONNECTION"}, {"SHARE"}, {"RECIPIENT"}, {"PROVIDER"}, {"COLUMN"}, {"METASTORE"}}

// synonyms are the names under which types are returned.
var synonyms = map[string]string{"VIEW": "TABLE", "MATERIALIZED VIEW": "TABLE", "STREAMING TABLE": "TABLE", "DATABASE": "SCHEMA", "MODEL": "FUNCTION",
	"PROCEDURE": "FUNCTION", "SERVICE CREDENTIAL": "CREDENTIAL"}

// object parses a type and a name; without a type it is a table.
func (p *parser) object() Object {
	o := Object{Type: "TABLE"}
	for _, words := range objectTypes {
		if p.is(append(slices.Clone(words), ".")...) { // a name that is spelled like a type
			break
		}
		if p.accept(words...) {
			o.Type = strings.Join(words, " ")
			break
		}
	}
	if s := synonyms[o.Type]; s != "" {
		o.Type = s
	}
	if o.Type != "METASTORE" {
		o.Name = p.name()
	}
	return o
}

func (p *parser) alter() Statement {
	word := p.typeWord()
	o := p.object()
	switch {
	case o.Type == "TABLE" && p.accept("SET", "ROW", "FILTER"):
		return p.rowFilter(o, word)
	case o.Type == "TABLE" && p.accept("DROP", "ROW", "FILTER"):
		return &RowFilter{On: o, Word: word}
	case p.accept("SET", "OWNER", "TO"), p.accept("OWNER", "TO"):
		return &SetOwner{o, p.identifier()}
	case p.accept("SET", "TAGS"):
		return &SetTags{On: o, Set: p.tags()}
	case p.accept("UNSET", "TAGS"):
		return &SetTags{On: o, Unset: p.keys()}
	case o.Type == "TABLE" && p.accept("ALTER"):
		p.accept("COLUMN")
		column := p.identifier()
		switch {
		case p.accept("SET", "TAGS"):
			return &SetTags{On: o, Column: column, Set: p.tags()}
		case p.accept("UNSET", "TAGS"):
			return &SetTags{On: o, Column: column, Unset: p.keys()}
		case p.accept("SET", "MASK"):
			return p.mask(o, word, column)
		case p.accept("DROP", "MASK"):
			return &Mask{On: o, Word: word, Column: column}
		}
	}
	panic(failure{&Error{p.peek().at, "this change is not supported by the emulator: ALTER carries out OWNER TO, SET and UNSET TAGS, SET and DROP ROW FILTER, SET and DROP MASK", true}})
}

// tags parses ('key' = 'value', ...).
func (p *parser) tags() (list []Tag) {
	p.expect("(")
	for {
		tag := Tag{Key: p.key()}
		if p.accept("=") {
			tag.Value = p.key()
		}
		list = append(list, tag)
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	return list
}

// keys parses ('key', ...).
func (p *parser) keys() (list []string) {
	p.expect("(")
	for {
		list = append(list, p.key())
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	return list
}

// key parses a literal or a name.
func (p *parser) key() string {
	if t := p.peek(); t.kind == text {
		p.at++
		return t.text
	}
	return p.identifier()
}

// tag parses the newer statements for one tag.
func (p *parser) tag(set bool) *SetTags {
	s := &SetTags{On: p.object()}
	if s.On.Type == "COLUMN" {
		last := len(s.On.Name) - 1
		s.Column = s.On.Name[last]
		s.On = Object{"TABLE", s.On.Name[:last]}
		if last == 0 {
			p.fail("want the table of column %q", s.Column)
		}
	}
	key := p.key()
	switch {
	case !set:
		s.Unset = []string{key}
	case p.accept("="):
		s.Set = []Tag{{key, p.key()}}
	default:
		s.Set = []Tag{{Key: key}}
	}
	return s
}

func (p *parser) selection() *Select {
	s := &Select{Limit: -1}
	if !p.accept("*") {
		for {
			s.Columns = append(s.Columns, p.column())
			if !p.accept(",") {
				break
			}
		}
	}
	if p.accept("FROM") {
		s.From = p.name()
		if p.accept("WHERE") {
			for {
				s.Where = append(s.Where, p.condition())
				if !p.accept("AND") {
					break
				}
			}
		}
		if p.accept("ORDER", "BY") {
			for {
				o := Order{Column: p.identifier()}
				if o.Descending = p.accept("DESC"); !o.Descending {
					p.accept("ASC")
				}
				s.Order = append(s.Order, o)
				if !p.accept(",") {
					break
				}
			}
		}
	} else if s.Columns == nil {
		p.fail("want FROM instead of %q", p.peek().text)
	}
	if p.accept("LIMIT") {
		n, err := strconv.Atoi(p.value())
		if err != nil || n < 0 {
			p.fail("want a number as LIMIT")
		}
		s.Limit = n
	}
	if p.peek().kind != end && !p.is(";") {
		panic(failure{&Error{p.peek().at, "this SELECT is not supported by the emulator: it carries out SELECT columns FROM view " +
			"WHERE conditions joined by AND, ORDER BY columns, LIMIT", true}})
	}
	return s
}

func (p *parser) column() Column {
	var c Column
	switch t := p.peek(); t.kind {
	case text, number, parameter:
		value := p.value()
		c = Column{As: value, Literal: &value}
	default:
		c = Column{Name: strings.ToLower(p.identifier())}
		c.As = c.Name
		if p.accept("(") {
			p.expect(")")
			c.Call, c.As = true, c.Name+"()"
		}
	}
	if p.accept("AS") {
		c.As = p.identifier()
	}
	return c
}

// value parses a literal or the marker of a parameter.
func (p *parser) value() string {
	t := p.peek()
	switch t.kind {
	case text, number:
		p.at++
		return t.text
	case parameter:
		value, ok := p.parameters[t.text]
		if !ok {
			p.fail("no value is given for the parameter %q", t.text)
		}
		p.at++
		return value
	}
	p.fail("want a literal instead of %q", t.text)
	return ""
}

func (p *parser) condition() Condition {
	c := Condition{Column: strings.ToLower(p.identifier())}
	if p.accept("IS") {
		c.Not = p.accept("NOT")
		p.expect("NULL")
		c.Op = "NULL"
		return c
	}
	c.Not = p.accept("NOT")
	switch t := p.peek(); {
	case p.accept("IN"):
		c.Op = "IN"
		p.expect("(")
		for {
			c.Values = append(c.Values, p.value())
			if !p.accept(",") {
				break
			}
		}
		p.expect(")")
	case p.accept("LIKE"):
		c.Op, c.Values = "LIKE", []string{p.value()}
	case !c.Not && slices.Contains([]string{"=", "<>", "!=", "<", "<=", ">", ">="}, t.text) && t.kind == punctuator:
		p.at++
		if c.Op = t.text; c.Op == "!=" {
			c.Op = "<>"
		}
		c.Values = []string{p.value()}
	default:
		p.fail("want a comparison instead of %q", t.text)
	}
	return c
}
