package policy

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// scriptScope holds what a script sees. Values are nil, bool, float64, string, []any, map[string]any and scriptFunc.
type scriptScope struct {
	ctx    *evalContext
	names  map[string]any
	result any // ctx.result, by which a script may answer
}

// scriptFunc is a function a script may call. Its name is in errors only.
type scriptFunc func(args []any) (any, error)

func (s *scriptScope) run(n *scriptNode) (any, error) {
	if n == nil {
		return nil, nil
	}
	switch n.op {
	case opLiteral:
		return n.value, nil
	case opName:
		return s.name(n.text)
	case opArray:
		list := make([]any, 0, len(n.kids))
		for _, kid := range n.kids {
			v, err := s.run(kid)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case opMember:
		object, err := s.run(n.kids[0])
		if err != nil {
			return nil, err
		}
		return s.member(object, n.text)
	case opIndex:
		return s.index(n)
	case opCall:
		return s.call(n)
	case opUnary:
		return s.unary(n)
	case opBinary:
		return s.binary(n)
	case opChoice, opIf:
		test, err := s.run(n.kids[0])
		if err != nil {
			return nil, err
		}
		if truth(test) {
			return s.run(n.kids[1])
		}
		return s.run(n.kids[2])
	case opAssign:
		return s.assign(n)
	case opBlock:
		var last any
		for _, kid := range n.kids {
			v, err := s.run(kid)
			if err != nil {
				return nil, err
			}
			if v != nil {
				last = v
			}
		}
		return last, nil
	}
	return nil, errScript
}

func (s *scriptScope) assign(n *scriptNode) (any, error) {
	value, err := s.run(n.kids[1])
	if err != nil {
		return nil, err
	}
	switch target := n.kids[0]; {
	case target.op == opName:
		s.names[target.text] = value
	case target.kids[0].op == opName && target.kids[0].text == "ctx" && target.text == "result":
		s.result = value
	default:
		return nil, fmt.Errorf("%w: assignment to %s", errScript, target.text)
	}
	return value, nil
}

func (s *scriptScope) index(n *scriptNode) (any, error) {
	object, err := s.run(n.kids[0])
	if err != nil {
		return nil, err
	}
	key, err := s.run(n.kids[1])
	if err != nil {
		return nil, err
	}
	if list, ok := object.([]any); ok {
		i, isNumber := toNumber(key)
		if !isNumber || i < 0 || int(i) >= len(list) {
			return nil, nil
		}
		return list[int(i)], nil
	}
	return s.member(object, textOf(key))
}

func (s *scriptScope) call(n *scriptNode) (any, error) {
	args := make([]any, 0, len(n.kids)-1)
	for _, kid := range n.kids[1:] {
		v, err := s.run(kid)
		if err != nil {
			return nil, err
		}
		args = append(args, v)
	}
	callee := n.kids[0]
	if callee.op == opMember {
		object, err := s.run(callee.kids[0])
		if err != nil {
			return nil, err
		}
		if callee.kids[0].op != opName || callee.kids[0].text != "ctx" {
			return callMethod(object, callee.text, args)
		}
	}
	f, err := s.run(callee)
	if err != nil {
		return nil, err
	}
	if f, ok := f.(scriptFunc); ok {
		return f(args)
	}
	return nil, fmt.Errorf("%w: call of %s", errScript, callee.text)
}

func (s *scriptScope) unary(n *scriptNode) (any, error) {
	v, err := s.run(n.kids[0])
	if err != nil {
		return nil, err
	}
	if n.text == "!" {
		return !truth(v), nil
	}
	number, ok := toNumber(v)
	if !ok {
		return math.NaN(), nil
	}
	if n.text == "-" {
		return -number, nil
	}
	return number, nil
}

func (s *scriptScope) binary(n *scriptNode) (any, error) {
	left, err := s.run(n.kids[0])
	if err != nil {
		return nil, err
	}
	switch {
	case n.text == "&&" && !truth(left), n.text == "||" && truth(left):
		return left, nil
	}
	right, err := s.run(n.kids[1])
	if err != nil {
		return nil, err
	}
	switch n.text {
	case "&&", "||":
		return right, nil
	case "==":
		return equalLoose(left, right), nil
	case "!=":
		return !equalLoose(left, right), nil
	case "===":
		return equalStrict(left, right), nil
	case "!==":
		return !equalStrict(left, right), nil
	case "+":
		_, text1 := left.(string)
		_, text2 := right.(string)
		if text1 || text2 {
			return textOf(left) + textOf(right), nil
		}
	case "<", ">", "<=", ">=":
		a, text1 := left.(string)
		b, text2 := right.(string)
		if text1 && text2 {
			return compareBy(n.text, float64(strings.Compare(a, b)), 0), nil
		}
	}
	a, ok1 := toNumber(left)
	b, ok2 := toNumber(right)
	if !ok1 || !ok2 {
		a = math.NaN()
	}
	switch n.text {
	case "+":
		return a + b, nil
	case "-":
		return a - b, nil
	case "*":
		return a * b, nil
	case "/":
		return a / b, nil
	case "%":
		return math.Mod(a, b), nil
	}
	return compareBy(n.text, a, b), nil
}

func compareBy(op string, a, b float64) bool {
	switch op {
	case "<":
		return a < b
	case ">":
		return a > b
	case "<=":
		return a <= b
	}
	return a >= b
}

// truth is a value's truth as JavaScript has it.
func truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case float64:
		return v != 0 && !math.IsNaN(v)
	case string:
		return v != ""
	}
	return true
}

func toNumber(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case string:
		if v = strings.TrimSpace(v); v == "" {
			return 0, true
		}
		n, err := strconv.ParseFloat(v, 64)
		return n, err == nil
	}
	return 0, false
}

func equalStrict(a, b any) bool {
	switch a := a.(type) {
	case nil:
		return b == nil
	case bool:
		v, ok := b.(bool)
		return ok && a == v
	case float64:
		v, ok := b.(float64)
		return ok && a == v
	case string:
		v, ok := b.(string)
		return ok && a == v
	}
	return false
}

func equalLoose(a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	x, text1 := a.(string)
	y, text2 := b.(string)
	if text1 && text2 {
		return x == y
	}
	if n, ok := toNumber(a); ok {
		if m, ok := toNumber(b); ok {
			return n == m
		}
		return false
	}
	return textOf(a) == textOf(b)
}

// member gives a property; one that is not there is nil.
func (s *scriptScope) member(object any, name string) (any, error) {
	switch v := object.(type) {
	case nil:
		return nil, fmt.Errorf("%w: property %s of nothing", errScript, name)
	case map[string]any:
		return v[name], nil
	case string:
		if name == "length" {
			return float64(len([]rune(v))), nil
		}
	case []any:
		if name == "length" {
			return float64(len(v)), nil
		}
	}
	return nil, nil
}

// callMethod calls one of the methods of texts, lists and maps that policies use, in JavaScript's or Java's spelling.
func callMethod(object any, name string, args []any) (any, error) {
	arg := func(i int) any {
		if i < len(args) {
			return args[i]
		}
		return nil
	}
	switch v := object.(type) {
	case map[string]any:
		if f, ok := v[name].(scriptFunc); ok {
			return f(args)
		}
		key := textOf(arg(0))
		switch name {
		case "get":
			return v[key], nil
		case "containsKey", "has", "hasOwnProperty":
			_, ok := v[key]
			return ok, nil
		case "isEmpty":
			return len(v) == 0, nil
		case "size":
			return float64(len(v)), nil
		}
	case []any:
		has := func(x any) bool { return slices.ContainsFunc(v, func(y any) bool { return equalStrict(x, y) }) }
		switch name {
		case "includes", "contains":
			return has(arg(0)), nil
		case "indexOf":
			return float64(slices.IndexFunc(v, func(y any) bool { return equalStrict(arg(0), y) })), nil
		case "intersects":
			other, _ := arg(0).([]any)
			return slices.ContainsFunc(other, has), nil
		case "isEmpty":
			return len(v) == 0, nil
		case "size":
			return float64(len(v)), nil
		case "join":
			parts := make([]string, len(v))
			for i, e := range v {
				parts[i] = textOf(e)
			}
			separator := ","
			if len(args) > 0 {
				separator = textOf(args[0])
			}
			return strings.Join(parts, separator), nil
		}
	case string:
		return callTextMethod(v, name, textOf(arg(0)), arg(0), args)
	}
	return nil, fmt.Errorf("%w: method %s", errScript, name)
}

func callTextMethod(v, name, text string, first any, args []any) (any, error) {
	switch name {
	case "equals":
		return first != nil && v == text, nil
	case "equalsIgnoreCase":
		return first != nil && strings.EqualFold(v, text), nil
	case "includes", "contains":
		return strings.Contains(v, text), nil
	case "startsWith":
		return strings.HasPrefix(v, text), nil
	case "endsWith":
		return strings.HasSuffix(v, text), nil
	case "indexOf":
		return float64(strings.Index(v, text)), nil
	case "toLowerCase":
		return strings.ToLower(v), nil
	case "toUpperCase":
		return strings.ToUpper(v), nil
	case "trim":
		return strings.TrimSpace(v), nil
	case "length":
		return float64(len([]rune(v))), nil
	case "isEmpty":
		return v == "", nil
	case "toString":
		return v, nil
	case "split":
		var parts []any
		for part := range strings.SplitSeq(v, text) {
			parts = append(parts, part)
		}
		return parts, nil
	case "substring", "substr", "slice":
		return substring(v, args), nil
	}
	return nil, fmt.Errorf("%w: method %s", errScript, name)
}

func substring(v string, args []any) string {
	runes := []rune(v)
	bound := func(i, def int) int {
		if i >= len(args) {
			return def
		}
		n, ok := toNumber(args[i])
		if !ok {
			return def
		}
		return int(max(0, min(n, float64(len(runes)))))
	}
	from, to := bound(0, 0), bound(1, len(runes))
	if from > to {
		from, to = to, from
	}
	return string(runes[from:to])
}
