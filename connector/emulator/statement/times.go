package statement

import (
	"fmt"
	"math"
	"time"
)

// timeFunctions are those of times. The time zone of sessions is UTC.
var timeFunctions = map[string]function{
	"current_timestamp": {run: now, bare: true},
	"now":               {run: now},
	"getdate":           {run: now},
	"localtimestamp":    {run: now, bare: true},
	"current_date":      {run: today, bare: true},
	"curdate":           {run: today},
	"current_timezone":  {run: func(*env, []Value) (Value, error) { return "Etc/UTC", nil }},
	"unix_timestamp":    {run: func(e *env, _ []Value) (Value, error) { return e.session.Now.Unix(), nil }},

	"unix_date":           dates(func(t time.Time) Value { return t.Unix() / 86400 }),
	"unix_seconds":        strict(1, 1, func(v []Value) (Value, error) { return sinceEpoch(v[0], time.Time.Unix) }),
	"unix_micros":         strict(1, 1, func(v []Value) (Value, error) { return sinceEpoch(v[0], time.Time.UnixMicro) }),
	"date_from_unix_date": strict(1, 1, func(v []Value) (Value, error) { return addDays(Date{time.Unix(0, 0).UTC()}, v[0], 1) }),
	"timestamp_micros": strict(1, 1, func(v []Value) (Value, error) {
		n, err := convert(v[0], "bigint")
		if err != nil {
			return nil, err
		}
		return Timestamp{time.UnixMicro(n.(int64)).UTC()}, nil
	}),
	"date_add":   strict(2, 2, func(v []Value) (Value, error) { return addDays(v[0], v[1], 1) }),
	"date_sub":   strict(2, 2, func(v []Value) (Value, error) { return addDays(v[0], v[1], -1) }),
	"add_months": strict(2, 2, addMonths),
	"try_add":    strict(2, 2, tryAdd),
}

func now(e *env, _ []Value) (Value, error) { return Timestamp{e.session.Now.UTC()}, nil }

func today(e *env, _ []Value) (Value, error) { return convert(Timestamp{e.session.Now.UTC()}, "date") }

func sinceEpoch(v Value, count func(time.Time) int64) (Value, error) {
	t, err := convert(v, "timestamp")
	if err != nil {
		return nil, err
	}
	return count(t.(Timestamp).Time), nil
}

func addDays(to, days Value, sign int) (Value, error) {
	date, err := convert(to, "date")
	if err != nil {
		return nil, err
	}
	n, err := integer(days)
	if err != nil {
		return nil, err
	}
	if n > math.MaxInt32 || n < math.MinInt32 {
		return nil, fmt.Errorf("the value '%d' cannot be cast to INT", n)
	}
	return Date{date.(Date).AddDate(0, 0, sign*n)}, nil
}

// addMonths returns the day of the month that many months on, or the last one where that month is shorter.
func addMonths(v []Value) (Value, error) {
	date, err := convert(v[0], "date")
	if err != nil {
		return nil, err
	}
	n, err := integer(v[1])
	if err != nil {
		return nil, err
	}
	year, month, day := date.(Date).Date()
	last := time.Date(year, month+time.Month(n)+1, 0, 0, 0, 0, 0, time.UTC)
	return Date{last.AddDate(0, 0, min(day, last.Day())-last.Day())}, nil
}

// tryAdd adds numbers; what does not fit is NULL.
func tryAdd(v []Value) (Value, error) {
	sum, err := calculate(v[0], "+", v[1])
	a, whole := v[0].(int64)
	b, alsoWhole := v[1].(int64)
	if n, ok := sum.(int64); ok && whole && alsoWhole && (n < a) != (b < 0) {
		return nil, nil
	}
	return sum, err
}
