package statement

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Date is a day; the time of day is zero.
type Date struct{ time.Time }

// Timestamp is an instant.
type Timestamp struct{ time.Time }

// Text returns a value as results of statements show it; nil for NULL.
func Text(v Value) *string {
	if v == nil {
		return nil
	}
	text := textOf(v)
	return &text
}

func textOf(v Value) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return strconv.FormatFloat(v, 'f', 1, 64)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case Date:
		return v.Format(time.DateOnly)
	case Timestamp:
		return v.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return fmt.Sprint(v)
}

// Convert returns a value as one of a SQL type, or an error if it is none, as CAST does.
func Convert(v Value, typ string) (Value, error) { return convert(v, strings.ToLower(typ)) }

// kinds are the types by what their values are.
var kinds = map[string]string{"string": "string", "char": "string", "varchar": "string", "boolean": "boolean", "date": "date", "timestamp": "timestamp",
	"timestamp_ntz": "timestamp", "tinyint": "integer", "byte": "integer", "smallint": "integer", "short": "integer", "int": "integer", "integer": "integer",
	"bigint": "integer", "long": "integer", "float": "float", "real": "float", "double": "float", "decimal": "float", "dec": "float", "numeric": "float",
	"number": "number", "void": "string", "null": "string", "binary": "string", "interval": "string",
	"struct": "nested", "array": "nested", "map": "nested", "variant": "nested"} // nested ones are texts in JSON, as results show them

func convert(v Value, typ string) (Value, error) {
	name := typ
	if end := strings.IndexAny(typ, "(< "); end >= 0 {
		name = typ[:end]
	}
	kind, ok := kinds[strings.TrimSpace(name)]
	if v == nil {
		return nil, nil
	}
	if !ok {
		return nil, fmt.Errorf("values of type %s are not supported by the emulator", typ)
	}
	if kind == "string" {
		return textOf(v), nil
	}
	if result := converted(v, kind); result != nil {
		return result, nil
	}
	return nil, fmt.Errorf("the value '%s' cannot be cast to %s", textOf(v), strings.ToUpper(typ))
}

// converted returns v as a value of a kind, nil if it is none.
func converted(v Value, kind string) Value {
	text, isText := v.(string)
	text = strings.TrimSpace(text)
	switch kind {
	case "boolean":
		switch v := v.(type) {
		case bool:
			return v
		case int64:
			return v != 0
		case string:
			switch strings.ToLower(text) {
			case "true", "t", "yes", "y", "1":
				return true
			case "false", "f", "no", "n", "0":
				return false
			}
		}
	case "nested":
		if isText && json.Valid([]byte(text)) {
			return v
		}
	case "number", "integer", "float":
		return numeric(v, text, kind)
	case "date", "timestamp":
		t, ok := instant(v, text, isText)
		switch {
		case !ok:
			return nil
		case kind == "date":
			return Date{time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)}
		}
		return Timestamp{t}
	}
	return nil
}

func numeric(v Value, text, kind string) Value {
	switch n := v.(type) {
	case bool:
		if v = int64(0); n {
			v = int64(1)
		}
	case string:
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			v = i
		} else if f, err := strconv.ParseFloat(text, 64); err == nil && (kind != "integer" || !strings.ContainsAny(text, "eE")) {
			v = f
		} else {
			return nil
		}
	}
	switch n := v.(type) {
	case int64:
		if kind == "float" {
			return float64(n)
		}
		return n
	case float64:
		if kind != "integer" {
			return n
		}
		if math.Abs(n) < 1<<62 {
			return int64(n)
		}
	}
	return nil
}

func instant(v Value, text string, isText bool) (time.Time, bool) {
	switch v := v.(type) {
	case Date:
		return v.Time, true
	case Timestamp:
		return v.Time, true
	}
	if !isText {
		return time.Time{}, false
	}
	for _, layout := range []string{time.DateOnly, time.DateTime, time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// compare returns the order of two values that are not nil. A text that is compared with something else is converted to that.
func compare(a, b Value) (int, error) {
	if text, ok := a.(string); ok {
		if other, ok := b.(string); ok {
			return cmp.Compare(text, other), nil
		}
		n, err := compare(b, a)
		return -n, err
	}
	kind := "number"
	switch a.(type) {
	case bool:
		kind = "boolean"
	case Date:
		kind = "date"
		if _, ok := b.(Timestamp); ok {
			kind = "timestamp"
		}
	case Timestamp:
		kind = "timestamp"
	}
	x, err := convert(a, kind)
	if err != nil {
		return 0, err
	}
	y, err := convert(b, kind)
	if err != nil {
		return 0, err
	}
	switch x := x.(type) {
	case bool:
		return cmp.Compare(strconv.FormatBool(x), strconv.FormatBool(y.(bool))), nil
	case Date:
		return x.Compare(y.(Date).Time), nil
	case Timestamp:
		return x.Compare(y.(Timestamp).Time), nil
	case int64:
		if whole, ok := y.(int64); ok {
			return cmp.Compare(x, whole), nil
		}
	}
	return cmp.Compare(float(x), float(y)), nil
}

func float(v Value) float64 {
	if n, ok := v.(int64); ok {
		return float64(n)
	}
	return v.(float64)
}

func compared(a node, op string, b node) node {
	return call(func(_ *env, v []Value) (Value, error) {
		if v[0] == nil || v[1] == nil {
			if op == "<=>" {
				return v[0] == nil && v[1] == nil, nil
			}
			return nil, nil
		}
		n, err := compare(v[0], v[1])
		if err != nil {
			return nil, err
		}
		switch op {
		case "=", "==", "<=>":
			return n == 0, nil
		case "<>", "!=":
			return n != 0, nil
		case "<":
			return n < 0, nil
		case "<=":
			return n <= 0, nil
		case ">":
			return n > 0, nil
		}
		return n >= 0, nil
	}, a, b)
}

func arithmetic(a node, op string, b node) node {
	return call(func(_ *env, v []Value) (Value, error) { return calculate(v[0], op, v[1]) }, a, b)
}

func calculate(a Value, op string, b Value) (Value, error) {
	if a == nil || b == nil {
		return nil, nil
	}
	x, err := convert(a, "number")
	if err != nil {
		return nil, err
	}
	y, err := convert(b, "number")
	if err != nil {
		return nil, err
	}
	if (op == "/" || op == "%") && float(y) == 0 {
		return nil, fmt.Errorf("division by zero")
	}
	i, whole := x.(int64)
	j, alsoWhole := y.(int64)
	if whole && alsoWhole && op != "/" {
		switch op {
		case "+":
			return i + j, nil
		case "-":
			return i - j, nil
		case "*":
			return i * j, nil
		}
		return i % j, nil
	}
	switch op {
	case "+":
		return float(x) + float(y), nil
	case "-":
		return float(x) - float(y), nil
	case "*":
		return float(x) * float(y), nil
	case "%":
		return math.Mod(float(x), float(y)), nil
	}
	return float(x) / float(y), nil
}
