package statement

import (
	"crypto/md5"  //nolint:gosec // a function of SQL
	"crypto/sha1" //nolint:gosec // a function of SQL
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// function is a function that expressions may call, with the least and the most arguments (-1: any number). A lazy one
// evaluates only the arguments that it needs.
type function struct {
	least, most int
	run         func(*env, []Value) (Value, error)
	lazy        func(*env, []node) (Value, error)
	bare        bool // it may be called without parentheses
}

// functionOf returns the function of a name in lower case.
func functionOf(name string) (function, bool) {
	f, ok := functions[name]
	if !ok {
		f, ok = timeFunctions[name]
	}
	return f, ok
}

// functions are the functions by name, but for those of times.
var functions = map[string]function{
	"session_user": {run: sessionUser},
	"current_user": {run: sessionUser},
	"is_account_group_member": {1, 1, func(e *env, v []Value) (Value, error) {
		if v[0] == nil {
			return nil, nil
		}
		return e.session.InGroup(textOf(v[0])), nil
	}, nil, false},
	"coalesce": {least: 1, most: -1, lazy: coalesce},
	"nvl":      {least: 2, most: 2, lazy: coalesce},
	"ifnull":   {least: 2, most: 2, lazy: coalesce},
	"if": {least: 3, most: 3, lazy: func(e *env, list []node) (Value, error) {
		v, err := truth(list[0], e)
		switch {
		case err != nil:
			return nil, err
		case v == true:
			return list[1](e)
		}
		return list[2](e)
	}},
	"isnull":     {1, 1, func(_ *env, v []Value) (Value, error) { return v[0] == nil, nil }, nil, false},
	"try_divide": {2, 2, tryDivide, nil, false},

	"lower":       texts(1, 1, func(s []string) Value { return strings.ToLower(s[0]) }),
	"upper":       texts(1, 1, func(s []string) Value { return strings.ToUpper(s[0]) }),
	"trim":        texts(1, 1, func(s []string) Value { return strings.Trim(s[0], " ") }),
	"ltrim":       texts(1, 1, func(s []string) Value { return strings.TrimLeft(s[0], " ") }),
	"rtrim":       texts(1, 1, func(s []string) Value { return strings.TrimRight(s[0], " ") }),
	"length":      texts(1, 1, func(s []string) Value { return int64(len([]rune(s[0]))) }),
	"char_length": texts(1, 1, func(s []string) Value { return int64(len([]rune(s[0]))) }),
	"concat":      texts(0, -1, func(s []string) Value { return strings.Join(s, "") }),
	"replace":     texts(3, 3, func(s []string) Value { return strings.ReplaceAll(s[0], s[1], s[2]) }),
	"md5":         texts(1, 1, func(s []string) Value { sum := md5.Sum([]byte(s[0])); return hex.EncodeToString(sum[:]) }),
	"sha1":        texts(1, 1, func(s []string) Value { sum := sha1.Sum([]byte(s[0])); return hex.EncodeToString(sum[:]) }),
	"sha2":        strict(2, 2, sha2),
	"substr":      strict(2, 3, substring),
	"substring":   strict(2, 3, substring),
	"left":        strict(2, 2, func(v []Value) (Value, error) { return cut(v, false) }),
	"right":       strict(2, 2, func(v []Value) (Value, error) { return cut(v, true) }),
	"repeat":      strict(2, 2, repeat),
	"lpad":        strict(3, 3, func(v []Value) (Value, error) { return pad(v, true) }),
	"rpad":        strict(3, 3, func(v []Value) (Value, error) { return pad(v, false) }),
	"split_part":  strict(3, 3, splitPart),
	"regexp_replace": strict(3, 3, func(v []Value) (Value, error) {
		pattern, err := regexp.Compile(textOf(v[1]))
		if err != nil {
			return nil, err
		}
		return pattern.ReplaceAllString(textOf(v[0]), textOf(v[2])), nil
	}),
	"mask": {1, 5, mask, nil, false},

	"year":       dates(func(t time.Time) Value { return int64(t.Year()) }),
	"month":      dates(func(t time.Time) Value { return int64(t.Month()) }),
	"day":        dates(func(t time.Time) Value { return int64(t.Day()) }),
	"to_date":    strict(1, 1, func(v []Value) (Value, error) { return convert(v[0], "date") }),
	"date_trunc": strict(2, 2, dateTrunc),
	"datediff": strict(2, 2, func(v []Value) (Value, error) {
		to, err := convert(v[0], "date")
		if err != nil {
			return nil, err
		}
		from, err := convert(v[1], "date")
		if err != nil {
			return nil, err
		}
		return int64(to.(Date).Sub(from.(Date).Time) / (24 * time.Hour)), nil
	}),

	"abs": strict(1, 1, func(v []Value) (Value, error) {
		n, err := convert(v[0], "number")
		if i, ok := n.(int64); ok {
			return max(i, -i), err
		}
		if err != nil {
			return nil, err
		}
		return math.Abs(float(n)), nil
	}),
	"round":    strict(1, 2, round),
	"greatest": {2, -1, func(_ *env, v []Value) (Value, error) { return extreme(v, 1) }, nil, false},
	"least":    {2, -1, func(_ *env, v []Value) (Value, error) { return extreme(v, -1) }, nil, false},
}

func sessionUser(e *env, _ []Value) (Value, error) { return e.session.User, nil }

func coalesce(e *env, list []node) (Value, error) {
	for _, n := range list {
		if v, err := n(e); err != nil || v != nil {
			return v, err
		}
	}
	return nil, nil
}

// strict returns a function that is NULL where one of its arguments is.
func strict(least, most int, f func([]Value) (Value, error)) function {
	return function{least, most, func(_ *env, v []Value) (Value, error) {
		for _, value := range v {
			if value == nil {
				return nil, nil
			}
		}
		return f(v)
	}, nil, false}
}

// texts returns a function of texts.
func texts(least, most int, f func([]string) Value) function {
	return strict(least, most, func(v []Value) (Value, error) {
		list := make([]string, len(v))
		for i := range v {
			list[i] = textOf(v[i])
		}
		return f(list), nil
	})
}

// dates returns a function of a date.
func dates(f func(time.Time) Value) function {
	return strict(1, 1, func(v []Value) (Value, error) {
		date, err := convert(v[0], "date")
		if err != nil {
			return nil, err
		}
		return f(date.(Date).Time), nil
	})
}

// integer returns a value as a whole number.
func integer(v Value) (int, error) {
	n, err := convert(v, "int")
	if err != nil {
		return 0, err
	}
	return int(n.(int64)), nil
}

func tryDivide(_ *env, v []Value) (Value, error) {
	if v[1] != nil {
		divisor, err := convert(v[1], "number")
		if err != nil {
			return nil, err
		}
		if float(divisor) == 0 {
			return nil, nil
		}
	}
	return calculate(v[0], "/", v[1])
}

func sha2(v []Value) (Value, error) {
	bits, err := integer(v[1])
	if err != nil {
		return nil, err
	}
	text := []byte(textOf(v[0]))
	var sum []byte
	switch bits {
	case 0, 256:
		s := sha256.Sum256(text)
		sum = s[:]
	case 224:
		s := sha256.Sum224(text)
		sum = s[:]
	case 384:
		s := sha512.Sum384(text)
		sum = s[:]
	case 512:
		s := sha512.Sum512(text)
		sum = s[:]
	default:
		return nil, nil
	}
	return hex.EncodeToString(sum), nil
}

// substring counts from 1, and from the end where the position is negative.
func substring(v []Value) (Value, error) {
	r := []rune(textOf(v[0]))
	from, err := integer(v[1])
	if err != nil {
		return nil, err
	}
	switch {
	case from > 0:
		from--
	case from < 0:
		from += len(r)
	}
	to := len(r)
	if len(v) == 3 {
		n, err := integer(v[2])
		if err != nil {
			return nil, err
		}
		to = min(to, from+n)
	}
	from = max(from, 0)
	if from >= to {
		return "", nil
	}
	return string(r[from:to]), nil
}

func cut(v []Value, right bool) (Value, error) {
	r := []rune(textOf(v[0]))
	n, err := integer(v[1])
	if err != nil {
		return nil, err
	}
	n = max(0, min(n, len(r)))
	if right {
		return string(r[len(r)-n:]), nil
	}
	return string(r[:n]), nil
}

// maxText bounds the texts that functions make longer.
const maxText = 1 << 20

func repeat(v []Value) (Value, error) {
	n, err := integer(v[1])
	if err != nil {
		return nil, err
	}
	text := textOf(v[0])
	if n > 0 && len(text) > maxText/n {
		return nil, fmt.Errorf("the text becomes too long")
	}
	return strings.Repeat(text, max(n, 0)), nil
}

func pad(v []Value, left bool) (Value, error) {
	n, err := integer(v[1])
	if err != nil {
		return nil, err
	}
	r, with := []rune(textOf(v[0])), []rune(textOf(v[2]))
	switch {
	case n > maxText:
		return nil, fmt.Errorf("the text becomes too long")
	case n <= len(r):
		return string(r[:max(n, 0)]), nil
	case len(with) == 0:
		return string(r), nil
	}
	var filling []rune
	for i := 0; len(r)+len(filling) < n; i++ {
		filling = append(filling, with[i%len(with)])
	}
	if left {
		return string(filling) + string(r), nil
	}
	return string(r) + string(filling), nil
}

func splitPart(v []Value) (Value, error) {
	n, err := integer(v[2])
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, fmt.Errorf("the index of a part must not be 0")
	}
	parts := []string{textOf(v[0])}
	if by := textOf(v[1]); by != "" {
		parts = strings.Split(parts[0], by)
	}
	if n < 0 {
		n += len(parts) + 1
	}
	if n < 1 || n > len(parts) {
		return "", nil
	}
	return parts[n-1], nil
}

// mask replaces upper-case letters, lower-case letters, digits, and, if it is asked to, all other characters. A replacement
// that is NULL keeps the characters.
func mask(_ *env, v []Value) (Value, error) {
	if v[0] == nil {
		return nil, nil
	}
	with := []Value{"X", "x", "n", nil}
	copy(with, v[1:])
	var b strings.Builder
	for _, r := range textOf(v[0]) {
		kind := 3
		switch {
		case unicode.IsUpper(r):
			kind = 0
		case unicode.IsLower(r):
			kind = 1
		case unicode.IsDigit(r):
			kind = 2
		}
		if with[kind] == nil {
			b.WriteRune(r)
		} else {
			b.WriteString(textOf(with[kind]))
		}
	}
	return b.String(), nil
}

func dateTrunc(v []Value) (Value, error) {
	instant, err := convert(v[1], "timestamp")
	if err != nil {
		return nil, err
	}
	t := instant.(Timestamp).Time
	year, month, day := t.Date()
	switch strings.ToUpper(textOf(v[0])) {
	case "YEAR", "YYYY", "YY":
		month, day = 1, 1
	case "QUARTER":
		month, day = (month-1)/3*3+1, 1
	case "MONTH", "MON", "MM":
		day = 1
	case "WEEK":
		day -= (int(t.Weekday()) + 6) % 7
	case "DAY", "DD":
	case "HOUR":
		return Timestamp{t.Truncate(time.Hour)}, nil
	case "MINUTE":
		return Timestamp{t.Truncate(time.Minute)}, nil
	case "SECOND":
		return Timestamp{t.Truncate(time.Second)}, nil
	default:
		return nil, nil
	}
	return Timestamp{time.Date(year, month, day, 0, 0, 0, 0, time.UTC)}, nil
}

func round(v []Value) (Value, error) {
	n, err := convert(v[0], "number")
	if err != nil {
		return nil, err
	}
	digits := 0
	if len(v) == 2 {
		if digits, err = integer(v[1]); err != nil {
			return nil, err
		}
	}
	if i, ok := n.(int64); ok && digits >= 0 {
		return i, nil
	}
	scale := math.Pow10(digits)
	return math.Round(float(n)*scale) / scale, nil
}

// extreme returns the greatest or the least of the values that are not NULL.
func extreme(v []Value, sign int) (found Value, err error) {
	for _, value := range v {
		if value == nil {
			continue
		}
		if found == nil {
			found = value
			continue
		}
		n, err := compare(value, found)
		if err != nil {
			return nil, err
		}
		if n*sign > 0 {
			found = value
		}
	}
	return found, nil
}

// textual returns a node that tests a text with a pattern.
func textual(test func(text, pattern string) (bool, error), a, b node) node {
	return call(func(_ *env, v []Value) (Value, error) {
		if v[0] == nil || v[1] == nil {
			return nil, nil
		}
		return test(textOf(v[0]), textOf(v[1]))
	}, a, b)
}

func rlike(text, pattern string) (bool, error) {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return false, err
	}
	return compiled.MatchString(text), nil
}

func like(text, pattern string) (bool, error) {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	escaped := false
	for _, r := range pattern {
		switch {
		case !escaped && r == '\\':
			escaped = true
			continue
		case !escaped && r == '%':
			b.WriteString(".*")
		case !escaped && r == '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
		escaped = false
	}
	b.WriteString(`\z`)
	return rlike(text, b.String())
}
