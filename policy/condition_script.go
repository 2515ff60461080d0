package policy

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Ranger's script conditions are JavaScript. What policies write in practice is a small part of it: comparisons of
// attributes, calls of the request's context, if and assignments. That part is read here into a tree; anything else is
// an error, which makes the condition unknown. Without loops and functions every script ends.

// scriptCondition is a condition written as a script. Source: RangerScriptConditionEvaluator.
type scriptCondition struct {
	program *scriptNode
	reverse bool
}

func newScriptCondition(source string, reverse bool) condition {
	program, err := parseScript(source)
	if err != nil {
		return unknownCondition{}
	}
	return scriptCondition{program, reverse}
}

func (c scriptCondition) eval(ctx *evalContext) conditionResult {
	scope := ctx.newScriptScope()
	value, err := scope.run(c.program)
	if err != nil {
		return conditionUnknown
	}
	if value == nil {
		value = scope.result
	}
	b, isBool := value.(bool)
	return met((b || !isBool) != c.reverse) // like Ranger, what is no boolean counts as true
}

// evalScript evaluates source for the request. The error tells that it is not understood.
func evalScript(source string, ctx *evalContext) (any, error) {
	program, err := parseScript(source)
	if err != nil {
		return nil, err
	}
	return ctx.newScriptScope().run(program)
}

type scriptOp uint8

const (
	opLiteral scriptOp = iota // value
	opName                    // text
	opMember                  // kids[0].text
	opIndex                   // kids[0][kids[1]]
	opCall                    // kids[0](kids[1:]...)
	opArray                   // [kids...]
	opUnary                   // text kids[0]
	opBinary                  // kids[0] text kids[1]
	opChoice                  // kids[0] ? kids[1] : kids[2]
	opAssign                  // kids[0] = kids[1]
	opIf                      // if (kids[0]) kids[1] else kids[2], which may be nil
	opBlock                   // kids in order; the value is that of the last statement that has one
)

type scriptNode struct {
	op    scriptOp
	text  string
	value any
	kids  []*scriptNode
}

// The bounds on a script: a policy cannot make evaluation slow or the stack deep.
const (
	maxScriptLength = 16 << 10
	maxScriptDepth  = 64
)

var errScript = errors.New("script not understood")

type scriptParser struct {
	tokens []scriptToken
	pos    int
	depth  int
}

type scriptToken struct {
	kind byte // 'n' number, 's' text, 'i' identifier, 'p' punctuation, 0 the end
	text string
	num  float64
}

func parseScript(source string) (*scriptNode, error) {
	tokens, err := scanScript(source)
	if err != nil {
		return nil, err
	}
	p := &scriptParser{tokens: tokens}
	block := &scriptNode{op: opBlock}
	for p.peek().kind != 0 {
		statement, err := p.statement()
		if err != nil {
			return nil, err
		}
		if statement != nil {
			block.kids = append(block.kids, statement)
		}
	}
	return block, nil
}

// The operators, longest first.
var scriptOperators = []string{"===", "!==", "==", "!=", "<=", ">=", "&&", "||", "<", ">", "=", "!", "+", "-", "*", "/",
	"%", "(", ")", "[", "]", "{", "}", ".", ",", ";", "?", ":"}

func scanScript(source string) ([]scriptToken, error) {
	if len(source) > maxScriptLength {
		return nil, fmt.Errorf("%w: longer than %d bytes", errScript, maxScriptLength)
	}
	var tokens []scriptToken
	for i := 0; i < len(source); {
		r, size := utf8.DecodeRuneInString(source[i:])
		rest := source[i:]
		switch {
		case unicode.IsSpace(r):
			i += size
		case strings.HasPrefix(rest, "//"):
			if end := strings.IndexByte(rest, '\n'); end >= 0 {
				i += end
			} else {
				i = len(source)
			}
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest, "*/")
			if end < 0 {
				return nil, fmt.Errorf("%w: comment without end", errScript)
			}
			i += end + 2
		case r == '\'' || r == '"':
			text, length, err := scanText(rest)
			if err != nil {
				return nil, err
			}
			tokens = append(tokens, scriptToken{kind: 's', text: text})
			i += length
		case r >= '0' && r <= '9':
			length := 0
			for length < len(rest) && (rest[length] >= '0' && rest[length] <= '9' || rest[length] == '.') {
				length++
			}
			n, ok := toNumber(rest[:length])
			if !ok {
				return nil, fmt.Errorf("%w: number %q", errScript, rest[:length])
			}
			tokens = append(tokens, scriptToken{kind: 'n', num: n})
			i += length
		case r == '_' || r == '$' || unicode.IsLetter(r):
			length := strings.IndexFunc(rest, func(r rune) bool {
				return r != '_' && r != '$' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
			})
			if length < 0 {
				length = len(rest)
			}
			tokens = append(tokens, scriptToken{kind: 'i', text: rest[:length]})
			i += length
		default:
			op := ""
			for _, o := range scriptOperators {
				if strings.HasPrefix(rest, o) {
					op = o
					break
				}
			}
			if op == "" {
				return nil, fmt.Errorf("%w: character %q", errScript, r)
			}
			tokens = append(tokens, scriptToken{kind: 'p', text: op})
			i += len(op)
		}
	}
	return tokens, nil
}

// scanText reads a quoted text and gives its length in the source.
func scanText(source string) (text string, length int, err error) {
	var b strings.Builder
	for i := 1; i < len(source); i++ {
		switch c := source[i]; c {
		case source[0]:
			return b.String(), i + 1, nil
		case '\\':
			if i++; i == len(source) {
				break
			}
			switch source[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			default:
				b.WriteByte(source[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, fmt.Errorf("%w: text without end", errScript)
}

func (p *scriptParser) peek() scriptToken {
	if p.pos < len(p.tokens) {
		return p.tokens[p.pos]
	}
	return scriptToken{}
}

func (p *scriptParser) take(text string) bool {
	if t := p.peek(); t.text == text && (t.kind == 'p' || t.kind == 'i') {
		p.pos++
		return true
	}
	return false
}

func (p *scriptParser) want(text string) error {
	if !p.take(text) {
		return fmt.Errorf("%w: want %q", errScript, text)
	}
	return nil
}

func (p *scriptParser) deeper() error {
	if p.depth++; p.depth > maxScriptDepth {
		return fmt.Errorf("%w: nested too deep", errScript)
	}
	return nil
}

// statement reads one statement; nil for an empty one.
func (p *scriptParser) statement() (*scriptNode, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	switch {
	case p.take(";"):
		return nil, nil
	case p.take("{"):
		block := &scriptNode{op: opBlock}
		for !p.take("}") {
			if p.peek().kind == 0 {
				return nil, fmt.Errorf("%w: block without end", errScript)
			}
			statement, err := p.statement()
			if err != nil {
				return nil, err
			}
			if statement != nil {
				block.kids = append(block.kids, statement)
			}
		}
		return block, nil
	case p.take("if"):
		return p.ifStatement()
	case p.take("var"), p.take("let"), p.take("const"), p.take("return"):
	}
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	p.take(";")
	return e, nil
}

func (p *scriptParser) ifStatement() (*scriptNode, error) {
	if err := p.want("("); err != nil {
		return nil, err
	}
	test, err := p.expression()
	if err != nil {
		return nil, err
	}
	if err := p.want(")"); err != nil {
		return nil, err
	}
	then, err := p.statement()
	if err != nil {
		return nil, err
	}
	var otherwise *scriptNode
	if p.take("else") {
		if otherwise, err = p.statement(); err != nil {
			return nil, err
		}
	}
	return &scriptNode{op: opIf, kids: []*scriptNode{test, then, otherwise}}, nil
}

// expression reads an assignment or a choice.
func (p *scriptParser) expression() (*scriptNode, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	left, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	switch {
	case p.take("="):
		if left.op != opName && left.op != opMember {
			return nil, fmt.Errorf("%w: assignment to a value", errScript)
		}
		right, err := p.expression()
		return &scriptNode{op: opAssign, kids: []*scriptNode{left, right}}, err
	case p.take("?"):
		then, err := p.expression()
		if err != nil {
			return nil, err
		}
		if err := p.want(":"); err != nil {
			return nil, err
		}
		otherwise, err := p.expression()
		return &scriptNode{op: opChoice, kids: []*scriptNode{left, then, otherwise}}, err
	}
	return left, nil
}

// scriptPrecedence lists binary operators, the loosest first.
var scriptPrecedence = [][]string{{"||"}, {"&&"}, {"===", "!==", "==", "!="}, {"<=", ">=", "<", ">"}, {"+", "-"}, {"*", "/", "%"}}

func (p *scriptParser) binary(level int) (*scriptNode, error) {
	if level == len(scriptPrecedence) {
		return p.unary()
	}
	left, err := p.binary(level + 1)
	for err == nil {
		op := ""
		for _, o := range scriptPrecedence[level] {
			if p.peek().kind == 'p' && p.take(o) {
				op = o
				break
			}
		}
		if op == "" {
			return left, nil
		}
		var right *scriptNode
		right, err = p.binary(level + 1)
		left = &scriptNode{op: opBinary, text: op, kids: []*scriptNode{left, right}}
	}
	return nil, err
}

func (p *scriptParser) unary() (*scriptNode, error) {
	for _, op := range []string{"!", "-", "+"} {
		if p.peek().kind == 'p' && p.take(op) {
			if err := p.deeper(); err != nil {
				return nil, err
			}
			defer func() { p.depth-- }()
			kid, err := p.unary()
			return &scriptNode{op: opUnary, text: op, kids: []*scriptNode{kid}}, err
		}
	}
	return p.postfix()
}

func (p *scriptParser) postfix() (*scriptNode, error) {
	node, err := p.primary()
	for err == nil {
		switch {
		case p.take("."):
			name := p.peek()
			if name.kind != 'i' {
				return nil, fmt.Errorf("%w: want a name after '.'", errScript)
			}
			p.pos++
			node = &scriptNode{op: opMember, text: name.text, kids: []*scriptNode{node}}
		case p.take("["):
			var index *scriptNode
			if index, err = p.expression(); err == nil {
				err = p.want("]")
			}
			node = &scriptNode{op: opIndex, kids: []*scriptNode{node, index}}
		case p.take("("):
			var args []*scriptNode
			args, err = p.list(")")
			node = &scriptNode{op: opCall, kids: append([]*scriptNode{node}, args...)}
		default:
			return node, nil
		}
	}
	return nil, err
}

func (p *scriptParser) list(end string) ([]*scriptNode, error) {
	var kids []*scriptNode
	for !p.take(end) {
		if len(kids) > 0 {
			if err := p.want(","); err != nil {
				return nil, err
			}
		}
		kid, err := p.expression()
		if err != nil {
			return nil, err
		}
		kids = append(kids, kid)
	}
	return kids, nil
}

func (p *scriptParser) primary() (*scriptNode, error) {
	t := p.peek()
	p.pos++
	switch t.kind {
	case 'n':
		return &scriptNode{op: opLiteral, value: t.num}, nil
	case 's':
		return &scriptNode{op: opLiteral, value: t.text}, nil
	case 'i':
		switch t.text {
		case "true", "false":
			return &scriptNode{op: opLiteral, value: t.text == "true"}, nil
		case "null", "undefined":
			return &scriptNode{op: opLiteral}, nil
		case "function", "for", "while", "do", "new", "switch", "try", "throw", "delete", "typeof", "in", "of":
			return nil, fmt.Errorf("%w: %s is not supported", errScript, t.text)
		}
		return &scriptNode{op: opName, text: t.text}, nil
	case 'p':
		switch t.text {
		case "(":
			e, err := p.expression()
			if err != nil {
				return nil, err
			}
			return e, p.want(")")
		case "[":
			kids, err := p.list("]")
			return &scriptNode{op: opArray, kids: kids}, err
		}
	}
	return nil, fmt.Errorf("%w: unexpected %q", errScript, t.text)
}
