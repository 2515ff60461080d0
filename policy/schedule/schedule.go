package schedule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ucwarden/input"
	"ucwarden/policy/ranger"
)

// layout is how Ranger writes the ends of a validity schedule.
const layout = "2006/01/02 15:04:05"

// openEnds are the years that policies write for "always" and "for ever"; others beyond [input.CheckTime] are a slip of the
// pen: 0026 or 20260 for 2026 leaves open what should close.
var openEnds = []int{1970, 9999}

// zonePlaces holds places for abbreviations Java understands and Go does not; see java.time.ZoneId.SHORT_IDS.
var zonePlaces = map[string]string{
	"ACT": "Australia/Darwin", "AET": "Australia/Sydney", "AGT": "America/Argentina/Buenos_Aires", "ART": "Africa/Cairo",
	"AST": "America/Anchorage", "BET": "America/Sao_Paulo", "BST": "Asia/Dhaka", "CAT": "Africa/Harare",
	"CNT": "America/St_Johns", "CST": "America/Chicago", "CTT": "Asia/Shanghai", "EAT": "Africa/Addis_Ababa",
	"ECT": "Europe/Paris", "IET": "America/Indiana/Indianapolis", "IST": "Asia/Kolkata", "JST": "Asia/Tokyo",
	"MIT": "Pacific/Apia", "NET": "Asia/Yerevan", "NST": "Pacific/Auckland", "PLT": "Asia/Karachi",
	"PNT": "America/Phoenix", "PRT": "America/Puerto_Rico", "PST": "America/Los_Angeles", "SST": "Pacific/Guadalcanal",
	"VST": "Asia/Ho_Chi_Minh",
}

// LoadZone reads a time zone as Java's TimeZone.getTimeZone does: a place, an abbreviation, or GMT+h:mm. Empty is UTC.
func LoadZone(name string) (*time.Location, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return time.UTC, nil
	}
	for _, prefix := range []string{"GMT", "UTC"} {
		if offset, ok := strings.CutPrefix(name, prefix); ok && offset != "" && strings.ContainsAny(offset[:1], "+-") {
			return fixedZone(name, offset)
		}
	}
	if place, ok := zonePlaces[name]; ok {
		name = place
	}
	loc, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("unknown time zone %q", name)
	}
	return loc, nil
}

func fixedZone(name, offset string) (*time.Location, error) {
	digits := strings.ReplaceAll(offset[1:], ":", "")
	if len(digits) <= 2 {
		digits += "00"
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n/100 > 23 || n%100 > 59 || len(digits) > 4 {
		return nil, fmt.Errorf("unknown time zone %q", name)
	}
	seconds := (n/100*60 + n%100) * 60
	if offset[0] == '-' {
		seconds = -seconds
	}
	return time.FixedZone(name, seconds), nil
}

// Validity is a compiled list of schedules. The zero value is always open.
type Validity []schedule

type schedule struct {
	start, end  time.Time // zero: open on that side
	zone        *time.Location
	recurrences []recurrence
}

type recurrence struct {
	minute, hour, dayOfMonth, dayOfWeek, month, year timeField
	byMonthDay, byWeekDay                            bool // whether the schedule names days of either kind
	interval                                         time.Duration
}

// New compiles schedules; errors name the field below validitySchedules.
func New(list []ranger.ValiditySchedule) (Validity, error) {
	if len(list) == 0 {
		return nil, nil
	}
	v := make(Validity, 0, len(list))
	for i, s := range list {
		c, err := newSchedule(s)
		if err != nil {
			return nil, fmt.Errorf("validitySchedules[%d].%w", i, err)
		}
		v = append(v, c)
	}
	return v, nil
}

func newSchedule(s ranger.ValiditySchedule) (schedule, error) {
	zone, err := LoadZone(s.TimeZone)
	if err != nil {
		return schedule{}, fmt.Errorf("timeZone: %w", err)
	}
	c := schedule{zone: zone}
	for _, side := range []struct {
		name, text string
		into       *time.Time
	}{{"startTime", s.StartTime, &c.start}, {"endTime", s.EndTime, &c.end}} {
		if side.text == "" {
			continue
		}
		at, err := time.ParseInLocation(layout, side.text, zone)
		if err != nil {
			return schedule{}, fmt.Errorf("%s: %q is not a date of the form yyyy/MM/dd HH:mm:ss", side.name, side.text)
		}
		if err := input.CheckTime(at); err != nil && !slices.Contains(openEnds, at.Year()) {
			return schedule{}, fmt.Errorf("%s: %q: %w", side.name, side.text, err)
		}
		*side.into = at
	}
	for i, r := range s.Recurrences {
		compiled, err := newRecurrence(r)
		if err != nil {
			return schedule{}, fmt.Errorf("recurrences[%d].%w", i, err)
		}
		c.recurrences = append(c.recurrences, compiled)
	}
	return c, nil
}

// OpenAt reports whether one of the schedules is open at t; without schedules, or with the zero time, it is.
func (v Validity) OpenAt(t time.Time) bool {
	if len(v) == 0 || t.IsZero() {
		return true
	}
	for i := range v {
		if v[i].openAt(t) {
			return true
		}
	}
	return false
}

// Span returns the earliest start and the latest end of the schedules. The zero time stands for none.
func (v Validity) Span() (from, until time.Time) {
	from, until = v[0].start, v[0].end
	for i := range v {
		if v[i].start.Before(from) {
			from = v[i].start
		}
		if v[i].end.After(until) {
			until = v[i].end
		}
	}
	return from, until
}

// OpensWithin reports whether one of the schedules is open at some time between two; zero times bound nothing.
func (v Validity) OpensWithin(from, to time.Time) bool {
	for i := range v {
		if v[i].opensWithin(from, to) {
			return true
		}
	}
	return false
}
