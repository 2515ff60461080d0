package script

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/parser"
	"github.com/dop251/goja/token"
	"github.com/dop251/goja/unistring"
)

// sourceName stands for the source of a script in the interpreter's positions.
const sourceName = "script"

// The bounds on a source. The parser cannot be stopped, so they are looked at before it starts: it recurses for each
// bracket, and its time and errors grow with the square of the labels.
const (
	maxSource   = 16 << 10
	maxBrackets = 2000 // opening ones
	maxColons   = 512
	maxNesting  = 512 // of the syntax tree, chains of operators aside
	maxParts    = 64  // of a template
)

// Functions that the compiled program calls to keep strings and lists small. No identifier can be written like these.
const (
	hookText   = "\x00text"   // returns its argument, unless it is too long a string
	hookSpread = "\x00spread" // returns its argument as something that can be spread
	hookLength = "\x00length" // returns x.length(), which Java's strings have
)

func compile(source string) (s *script, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("script: the interpreter cannot compile it: %v", p)
		}
	}()
	source = strings.TrimSpace(source)
	if len(source) > maxSource {
		return nil, fmt.Errorf("script: longer than %d bytes", maxSource)
	}
	if source = splitDoubleBrackets(source); len(source) > maxSource {
		return nil, fmt.Errorf("script: with [[...]] written out longer than %d bytes", maxSource)
	}
	if n := strings.Count(source, "(") + strings.Count(source, "[") + strings.Count(source, "{"); n > maxBrackets {
		return nil, fmt.Errorf("script: more than %d opening brackets", maxBrackets)
	}
	if strings.Count(source, ":") > maxColons {
		return nil, fmt.Errorf("script: more than %d colons", maxColons)
	}
	// Without the option the parser would read the file that a comment names as source map.
	tree, err := goja.Parse(sourceName, source, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, fmt.Errorf("script: %w", err)
	}
	w := &walker{names: make(map[string]bool), seen: make(map[any]bool)}
	w.walk(reflect.ValueOf(tree.Body), 0)
	w.walk(reflect.ValueOf(tree.DeclarationList), 0)
	if w.err != nil {
		return nil, w.err
	}
	program, err := goja.CompileAST(tree, false)
	if err != nil {
		return nil, fmt.Errorf("script: %w", err)
	}
	return &script{
		program: program, names: w.names, all: w.all || w.names["globalThis"],
		deadline: deadline, grace: grace, after: time.After,
	}, nil
}

var doubleBrackets = regexp.MustCompile(`\[\[([}{$"a-zA-Z0-9_.\[\]]+)(,['"](.+?)['"])*\]\]`)

// splitDoubleBrackets replaces Ranger's short form [[expr]] by expr.split(","), and [[expr,'|']] by expr.split("|").
// Source: JavaScriptEdits.replaceDoubleBrackets.
func splitDoubleBrackets(source string) string {
	if !strings.Contains(source, "[[") || !strings.Contains(source, "]]") {
		return source
	}
	for _, m := range doubleBrackets.FindAllStringSubmatch(source, -1) {
		separator := m[3]
		if separator == "" {
			separator = ","
		}
		source = strings.ReplaceAll(source, m[0], m[1]+`.split("`+separator+`")`)
		if len(source) > maxSource {
			break
		}
	}
	return source
}

// walker goes through a syntax tree. It collects the identifiers, refuses what scripts of policies may not use, and puts
// calls of the hooks where the interpreter itself would make strings and lists of any size.
type walker struct {
	names map[string]bool
	all   bool
	seen  map[any]bool // declarations are in the tree twice
	err   error
}

var expressionType = reflect.TypeFor[ast.Expression]()

func (w *walker) walk(v reflect.Value, depth int) {
	if w.err != nil {
		return
	}
	if depth > maxNesting {
		w.err = fmt.Errorf("script: nested more than %d deep", maxNesting)
		return
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		w.walk(v.Elem(), depth)
		if v.Type() == expressionType && v.CanSet() {
			if hooked := hook(v.Interface().(ast.Expression)); hooked != nil {
				v.Set(reflect.ValueOf(hooked))
			}
		}
	case reflect.Pointer:
		if v.IsNil() || w.seen[v.Interface()] {
			return
		}
		w.seen[v.Interface()] = true
		w.visit(v.Interface())
		if b, ok := v.Interface().(*ast.BinaryExpression); ok {
			w.walk(reflect.ValueOf(&b.Left).Elem(), depth) // a chain is no nesting
			w.walk(reflect.ValueOf(&b.Right).Elem(), depth+1)
			return
		}
		w.walk(v.Elem(), depth+1)
	case reflect.Slice:
		for i := range v.Len() {
			w.walk(v.Index(i), depth)
		}
	case reflect.Struct:
		if id, ok := v.Interface().(ast.Identifier); ok {
			w.names[id.Name.String()] = true
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				w.walk(v.Field(i), depth)
			}
		}
	}
}

// visit looks at one node.
func (w *walker) visit(node any) {
	refuse := func(what string) { w.err = fmt.Errorf("script: %s may not be used in policies", what) }
	switch n := node.(type) {
	case *ast.FunctionLiteral:
		if n.Async || n.Generator {
			refuse("async functions and generators")
		}
	case *ast.ArrowFunctionLiteral:
		if n.Async {
			refuse("async functions")
		}
	case *ast.WithStatement:
		refuse("with")
	case *ast.ArrayPattern:
		if n.Rest != nil {
			refuse("the rest of an array pattern")
		}
	case *ast.NumberLiteral:
		switch n.Value.(type) {
		case int64, float64:
		default:
			refuse("BigInt")
		}
	case *ast.TemplateLiteral:
		if len(n.Expressions) > maxParts {
			refuse(fmt.Sprintf("a template of more than %d parts", maxParts))
		}
	case *ast.RegExpLiteral:
		if _, err := patternSize(n.Pattern, n.Flags); err != nil {
			w.err = fmt.Errorf("script: %w", err)
		}
	case *ast.ThisExpression:
		w.all = true
	case *ast.ArrayLiteral:
		hookSpreads(n.Value)
	case *ast.CallExpression:
		hookSpreads(n.ArgumentList)
	case *ast.NewExpression:
		hookSpreads(n.ArgumentList)
	}
}

// hookSpreads bounds what is spread into an array or into arguments.
func hookSpreads(list []ast.Expression) {
	for _, e := range list {
		if s, ok := e.(*ast.SpreadElement); ok {
			s.Expression = call(hookSpread, s.Expression)
		}
	}
}

// hook returns e with a hook around it where it needs one, else nil.
func hook(e ast.Expression) ast.Expression {
	switch n := e.(type) {
	case *ast.BinaryExpression:
		if n.Operator == token.PLUS {
			return call(hookText, e)
		}
	case *ast.AssignExpression:
		if n.Operator == token.PLUS {
			return call(hookText, e)
		}
	case *ast.TemplateLiteral:
		if n.Tag == nil && len(n.Expressions) > 0 {
			return call(hookText, e)
		}
	case *ast.CallExpression:
		if dot, ok := n.Callee.(*ast.DotExpression); ok && dot.Identifier.Name == "length" && len(n.ArgumentList) == 0 && movable(dot.Left) {
			return call(hookLength, dot.Left)
		}
	}
	return nil
}

// movable tells whether e can become an argument: super and the inside of an optional chain mean something only in place.
func movable(e ast.Expression) bool {
	switch n := e.(type) {
	case *ast.SuperExpression, *ast.Optional:
		return false
	case *ast.DotExpression:
		return movable(n.Left)
	case *ast.PrivateDotExpression:
		return movable(n.Left)
	case *ast.BracketExpression:
		return movable(n.Left)
	case *ast.CallExpression:
		return movable(n.Callee)
	}
	return true
}

func call(hook string, argument ast.Expression) ast.Expression {
	at := argument.Idx0()
	return &ast.CallExpression{
		Callee:          &ast.Identifier{Name: unistring.String(hook), Idx: at},
		LeftParenthesis: at, RightParenthesis: at + file.Idx(1),
		ArgumentList: []ast.Expression{argument},
	}
}
