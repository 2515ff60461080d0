package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ucwarden/policy/ranger"
)

// timeField is a field of a recurrence: the spans of values it names. Empty is any value.
type timeField []span

type span struct{ lo, hi int }

func (f timeField) has(value int) bool {
	if len(f) == 0 {
		return true
	}
	for _, s := range f {
		if s.lo <= value && value <= s.hi {
			return true
		}
	}
	return false
}

// last returns the greatest value of the field from lo to hi; ok is false when there is none.
func (f timeField) last(lo, hi int) (value int, ok bool) {
	if len(f) == 0 {
		return hi, lo <= hi
	}
	value = lo - 1
	for _, s := range f {
		if v := min(s.hi, hi); v >= s.lo && v > value {
			value = v
		}
	}
	return value, value >= lo
}

// parseTimeField reads comma-separated values and ranges; '*' anywhere makes it any value.
func parseTimeField(name, text string, lo, hi int) (timeField, error) {
	if strings.TrimSpace(text) == "" || strings.Contains(text, "*") {
		return nil, nil
	}
	var f timeField
	for part := range strings.SplitSeq(text, ",") {
		first, second, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			second = first
		}
		from, err1 := strconv.Atoi(strings.TrimSpace(first))
		to, err2 := strconv.Atoi(strings.TrimSpace(second))
		if err1 != nil || err2 != nil || from < lo || to > hi || from > to {
			return nil, fmt.Errorf("schedule.%s: %q is not a value or range from %d to %d", name, part, lo, hi)
		}
		f = append(f, span{from, to})
	}
	return f, nil
}

// The years a recurrence may name; they also bound the search for one.
const (
	firstYear = 2017
	lastYear  = 2100
)

func newRecurrence(r ranger.ValidityRecurrence) (recurrence, error) {
	c := recurrence{
		interval: time.Duration(r.Interval.Days)*24*time.Hour + time.Duration(r.Interval.Hours)*time.Hour +
			time.Duration(r.Interval.Minutes)*time.Minute,
		byMonthDay: strings.TrimSpace(r.Schedule.DayOfMonth) != "",
		byWeekDay:  strings.TrimSpace(r.Schedule.DayOfWeek) != "",
	}
	const maxDays = (lastYear - firstYear + 1) * 366
	if i := r.Interval; i.Days < 0 || i.Hours < 0 || i.Minutes < 0 || i.Days > maxDays || i.Hours > maxDays*24 || i.Minutes > maxDays*24*60 {
		return c, fmt.Errorf("interval: %d days, %d hours, %d minutes is out of range", i.Days, i.Hours, i.Minutes)
	}
	for _, f := range []struct {
		name, text string
		lo, hi     int
		into       *timeField
	}{
		{"minute", r.Schedule.Minute, 0, 59, &c.minute},
		{"hour", r.Schedule.Hour, 0, 23, &c.hour},
		{"dayOfMonth", r.Schedule.DayOfMonth, 1, 31, &c.dayOfMonth},
		{"dayOfWeek", r.Schedule.DayOfWeek, 1, 7, &c.dayOfWeek},
		{"month", r.Schedule.Month, 1, 12, &c.month},
		{"year", r.Schedule.Year, firstYear, lastYear, &c.year},
	} {
		field, err := parseTimeField(f.name, f.text, f.lo, f.hi)
		if err != nil {
			return c, err
		}
		*f.into = field
	}
	return c, nil
}

// openAt reports whether t, in the schedule's zone, lies within the interval that begins at the last recurrence
// before it. A recurrence that names neither days of the month nor of the week never begins; one without an interval
// is always open. Source: RangerValidityScheduleEvaluator.
func (r *recurrence) openAt(t time.Time) bool {
	if r.interval <= 0 {
		return true
	}
	oldest := t.Add(-r.interval)
	lastMinute := t.Hour()*60 + t.Minute() // of the day under consideration
	for day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location()); day.Year() >= firstYear; {
		if r.beginsOn(day) {
			if hour, minute, ok := r.lastBefore(lastMinute); ok {
				begin := time.Date(day.Year(), day.Month(), day.Day(), hour, minute, 0, 0, t.Location())
				return !begin.Before(oldest)
			}
		}
		if day.Before(oldest) {
			return false
		}
		day = day.AddDate(0, 0, -1)
		lastMinute = 24*60 - 1
	}
	return false
}

// beginsOn reports whether the recurrence may begin on a day. Sunday is day 1 of the week.
func (r *recurrence) beginsOn(day time.Time) bool {
	if !r.month.has(int(day.Month())) || !r.year.has(day.Year()) {
		return false
	}
	return r.byMonthDay && r.dayOfMonth.has(day.Day()) || r.byWeekDay && r.dayOfWeek.has(int(day.Weekday())+1)
}

// lastBefore returns the last time of day, up to the given minute of the day, at which the recurrence begins.
func (r *recurrence) lastBefore(minuteOfDay int) (hour, minute int, ok bool) {
	limit := minuteOfDay % 60
	for top := minuteOfDay / 60; ; top, limit = hour-1, 59 {
		if hour, ok = r.hour.last(0, top); !ok {
			return 0, 0, false
		}
		if hour < minuteOfDay/60 {
			limit = 59
		}
		if minute, ok = r.minute.last(0, limit); ok {
			return hour, minute, true
		}
	}
}

func (s *schedule) openAt(t time.Time) bool {
	if !s.start.IsZero() && t.Before(s.start) || !s.end.IsZero() && t.After(s.end) {
		return false
	}
	if len(s.recurrences) == 0 {
		return true
	}
	t = t.In(s.zone)
	for i := range s.recurrences {
		if s.recurrences[i].openAt(t) {
			return true
		}
	}
	return false
}

// opensWithin reports whether the schedule is open at some time from from to to; zero times bound nothing.
func (s *schedule) opensWithin(from, to time.Time) bool {
	if s.start.After(from) {
		from = s.start
	}
	if to.IsZero() || !s.end.IsZero() && s.end.Before(to) {
		to = s.end
	}
	if !to.IsZero() && to.Before(from) {
		return false
	}
	if len(s.recurrences) == 0 {
		return true
	}
	for i := range s.recurrences {
		if s.recurrences[i].beginsWithin(from, to, s.zone) {
			return true
		}
	}
	return false
}

// beginsWithin reports whether an interval of the recurrence lies, at least in part, between the two times.
func (r *recurrence) beginsWithin(from, to time.Time, zone *time.Location) bool {
	if r.interval <= 0 {
		return true
	}
	first := time.Date(firstYear, 1, 1, 0, 0, 0, 0, zone)
	last := time.Date(lastYear, 12, 31, 23, 59, 0, 0, zone)
	if from = from.Add(-r.interval); from.After(first) {
		first = from.In(zone)
	}
	if !to.IsZero() && to.Before(last) {
		last = to.In(zone)
	}
	for day := time.Date(first.Year(), first.Month(), first.Day(), 0, 0, 0, 0, zone); !day.After(last); day = day.AddDate(0, 0, 1) {
		if !r.beginsOn(day) {
			continue
		}
		// The last begin of the day is the one to stay open longest; that of the first and last day may be cut off.
		limit := 24*60 - 1
		if day.Year() == last.Year() && day.YearDay() == last.YearDay() {
			limit = last.Hour()*60 + last.Minute()
		}
		if hour, minute, ok := r.lastBefore(limit); ok && !time.Date(day.Year(), day.Month(), day.Day(), hour, minute, 0, 0, zone).Before(from) {
			return true
		}
	}
	return false
}
