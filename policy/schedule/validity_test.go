package schedule

import (
	"encoding/json"
	"testing"
	"time"

	"ucwarden/policy/ranger"
)

// TestValidity follows the cases of Apache Ranger's own tests of schedules, which are written in Pacific time.
func TestValidity(t *testing.T) {
	const (
		thursdays = `"minute":"0","hour":"12","dayOfMonth":"31","dayOfWeek":"5","month":"*","year":"2017-2018"`
		sundays   = `"minute":"45, 30, 1, 14","hour":"0,20, 21","dayOfWeek":"1","month":"12, 1-2","year":"2018"`
		monthDays = `"minute":"45, 30, 1, 14","hour":"0,20, 21","dayOfMonth":"15, 20","month":"12, 1-2","year":"2018"`
		early     = `"minute":"0","hour":"12","dayOfMonth":"1","dayOfWeek":"2, 3","month":"*","year":"*"`
		feb29     = `"minute":"0","hour":"*","dayOfMonth":"29","month":"2","year":"2020-2026"`
	)
	for _, tc := range []struct {
		name, start, end, zone, schedule, interval, at string
		want                                           bool
	}{
		{"within both ends", "2018/01/12 14:30:00", "2018/02/01 00:00:00", "PST", "", "", "2018-01-12T14:32:27-08:00", true},
		{"before the start", "2018/01/12 14:33:00", "", "PST", "", "", "2018-01-12T14:32:27-08:00", false},
		{"at the start", "2018/01/12 14:33:00", "", "PST", "", "", "2018-01-12T14:33:00-08:00", true},
		{"at the end", "", "2018/01/12 14:33:00", "PST", "", "", "2018-01-12T14:33:00-08:00", true},
		{"after the end", "", "2018/01/12 14:33:00", "PST", "", "", "2018-01-12T14:33:01-08:00", false},
		{"the zone counts", "2020/01/01 00:00:00", "", "GMT", "", "", "2019-12-31T16:00:00-07:00", false},
		{"without a zone it is UTC", "2020/01/01 00:00:00", "", "", "", "", "2020-01-01T00:00:00Z", true},
		{"an offset as zone", "2020/01/01 00:00:00", "", "GMT+5:30", "", "", "2019-12-31T18:30:00Z", true},
		{"half past each hour on two days of the week", "", "", "PST", `"minute":"30","hour":"*","dayOfMonth":"*","dayOfWeek":"5, 7","month":"*","year":"2018"`, `"minutes":10`, "2018-01-13T14:32:27-08:00", true},
		{"too late after half past", "", "", "PST", `"minute":"30","hour":"*","dayOfWeek":"5, 7","month":"*","year":"2018"`, `"minutes":10`, "2018-01-13T14:42:27-08:00", false},
		{"nine minutes of ten", "", "", "PST", `"minute":"0, 10, 20, 30, 40, 50","hour":"*","dayOfMonth":"*","year":"2018"`, `"minutes":9`, "2018-01-12T14:32:27-08:00", true},
		{"the tenth minute", "", "", "PST", `"minute":"0, 10, 20, 30, 40, 50","hour":"*","dayOfMonth":"*","year":"2018"`, `"minutes":9`, "2018-01-12T14:39:27-08:00", false},
		{"days of the week or of the month", "", "", "PST", `"minute":"10","hour":"12","dayOfMonth":"1","dayOfWeek":"4, 7","month":"*","year":"2018"`, `"days":2,"hours":10`, "2018-01-15T19:32:27-08:00", true},
		{"a day and two minutes", "", "", "PST", `"minute":"59","hour":"0","dayOfMonth":"1","dayOfWeek":"4, 7","month":"*","year":"2017-2018"`, `"days":1,"minutes":2`, "2018-01-02T01:00:00-08:00", true},
		{"any day of the week", "", "", "PST", `"minute":"0","hour":"12","dayOfMonth":"31","dayOfWeek":"*","month":"*","year":"2017-2018"`, `"days":1`, "2018-03-01T00:00:00-08:00", true},
		{"not at the end of February", "", "", "PST", thursdays, `"days":1`, "2018-03-01T00:00:00-08:00", false},
		{"the night after a Thursday", "", "", "PST", thursdays, `"days":1`, "2018-02-16T00:00:00-08:00", true},
		{"long intervals, not open", "", "", "PST", early, `"days":1,"hours":23,"minutes":59`, "2018-03-04T14:40:00-08:00", false},
		{"long intervals, open", "", "", "PST", early, `"days":1,"hours":23,"minutes":59`, "2018-03-03T10:40:00-08:00", true},
		{"days of the week only", "", "", "PST", sundays, `"hours":5`, "2018-01-14T04:32:27-08:00", true},
		{"days of the week only, another day", "", "", "PST", sundays, `"hours":5`, "2018-01-19T04:32:27-08:00", false},
		{"days of the month only", "", "", "PST", monthDays, `"days":5`, "2018-01-19T04:32:27-08:00", true},
		{"days of the month only, too late", "", "", "PST", monthDays, `"days":3`, "2018-01-19T04:32:27-08:00", false},
		{"leap day", "", "", "PST", feb29, `"days":1`, "2020-03-01T00:00:00-08:00", true},
		{"no leap day", "", "", "PST", `"minute":"0","hour":"*","dayOfMonth":"29","month":"3","year":"2020-2026"`, `"days":1`, "2020-03-01T00:00:00-08:00", false},
		{"leap day in India", "", "", "IST", feb29, `"days":1`, "2020-02-29T23:30:00-08:00", true},
		{"no day named", "", "", "", `"minute":"0","hour":"*"`, `"hours":1`, "2020-03-01T00:00:00Z", false},
		{"no interval", "", "", "", `"minute":"0","hour":"5","dayOfMonth":"1"`, `"hours":0`, "2020-03-07T00:00:00Z", true},
		{"minute before the first of the hour", "", "", "", `"minute":"30","hour":"8-9","dayOfMonth":"*"`, `"minutes":70`, "2020-03-07T09:10:00Z", true},
		{"before summer time begins and after", "", "", "Europe/Berlin", `"minute":"0","hour":"8","dayOfMonth":"*"`, `"hours":1`, "2026-03-29T06:30:00Z", true},
		{"a year with nothing", "", "", "", `"minute":"0","hour":"8","dayOfMonth":"*","year":"2050"`, `"days":20000`, "2026-03-29T06:30:00Z", false},
	} {
		text := `[{"startTime":"` + tc.start + `","endTime":"` + tc.end + `","timeZone":"` + tc.zone + `"`
		if tc.schedule != "" {
			text += `,"recurrences":[{"schedule":{` + tc.schedule + `},"interval":{` + tc.interval + `}}]`
		}
		var list []ranger.ValiditySchedule
		if err := json.Unmarshal([]byte(text+"}]"), &list); err != nil {
			t.Fatal(tc.name, err)
		}
		at, err := time.Parse(time.RFC3339, tc.at)
		if err != nil {
			t.Fatal(tc.name, err)
		}
		v, err := New(list)
		if err != nil {
			t.Fatal(tc.name, err)
		}
		if got := v.OpenAt(at); got != tc.want {
			t.Errorf("%s: applicable %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestBadSchedules(t *testing.T) {
	for _, s := range []ranger.ValiditySchedule{
		{StartTime: "2026/13/01 00:00:00"}, {EndTime: "2026/01/01"}, {TimeZone: "Local"}, {TimeZone: "GMT+25"}, {TimeZone: "GMT+1:99"}, {TimeZone: "../etc/passwd"},
		{StartTime: "0026/01/01 00:00:00"}, {StartTime: "1999/12/31 00:00:00"}, {EndTime: "2926/01/01 00:00:00"}, {EndTime: "20260/01/01 00:00:00"}, {EndTime: "2201/01/01 00:00:00"},
		{Recurrences: []ranger.ValidityRecurrence{{Schedule: ranger.RecurrenceSchedule{Minute: "60"}}}}, {Recurrences: []ranger.ValidityRecurrence{{Schedule: ranger.RecurrenceSchedule{Hour: "5-2"}}}},
		{Recurrences: []ranger.ValidityRecurrence{{Schedule: ranger.RecurrenceSchedule{DayOfWeek: "Monday"}}}}, {Recurrences: []ranger.ValidityRecurrence{{Schedule: ranger.RecurrenceSchedule{Year: "1999"}}}},
		{Recurrences: []ranger.ValidityRecurrence{{Interval: ranger.ValidityInterval{Days: 1 << 40}}}}, {Recurrences: []ranger.ValidityRecurrence{{Interval: ranger.ValidityInterval{Hours: -1}}}},
	} {
		if _, err := New([]ranger.ValiditySchedule{s}); err == nil {
			t.Errorf("%+v: no error", s)
		}
	}
}

// Policies write "always" and "for ever" as the ends of their calendars.
func TestOpenEnds(t *testing.T) {
	v, err := New([]ranger.ValiditySchedule{{StartTime: "1970/01/01 00:00:00", EndTime: "9999/12/31 23:59:59"}})
	if err != nil || !v.OpenAt(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%v, %v", v, err)
	}
}
