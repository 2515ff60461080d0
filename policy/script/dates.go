package script

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// tagDateLayouts are how attributes of tags write dates, in UTC. Source: RangerRequestScriptEvaluator.init.
var tagDateLayouts = []string{"2006-01-02T15:04:05.000Z", "2006-01-02T15:04:05Z", "2006/01/02"}

// tagDate reads a date as Ranger does: as much of the text as a layout needs, and ignores the rest.
func tagDate(text string) (time.Time, bool) {
	text = strings.TrimSpace(text)
	for _, layout := range tagDateLayouts {
		if t, err := time.Parse(layout, text[:min(len(layout), len(text))]); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// inRange tells whether at lies between two times of the form yyyy/MM/dd HH:mm:ss, shorter where the rest is zero; an
// empty one is open. Unlike Ranger, which takes a time it cannot read for an open one, it fails then.
// Source: RangerTimeRangeChecker.isInRange.
func inRange(at time.Time, from, to, zoneName string) (bool, error) {
	zone, err := loadZone(zoneName)
	if err != nil {
		return false, err
	}
	in := true
	if from != "" {
		t, err := parseTime(from, zone)
		if err != nil {
			return false, err
		}
		in = at.After(t) || to != "" && at.Equal(t)
	}
	if to != "" {
		t, err := parseTime(to, zone)
		if err != nil {
			return false, err
		}
		in = in && at.Before(t)
	}
	return in, nil
}

func parseTime(text string, zone *time.Location) (time.Time, error) {
	for _, layout := range []string{"2006/01/02 15:04:05", "2006/01/02 15:04", "2006/01/02"} {
		if t, err := time.ParseInLocation(layout, strings.TrimSpace(text), zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("time %q is not of the form yyyy/MM/dd HH:mm:ss", text)
}

// zonePlaces holds places for abbreviations that Java understands and Go does not; see java.time.ZoneId.SHORT_IDS.
var zonePlaces = map[string]string{
	"ACT": "Australia/Darwin", "AET": "Australia/Sydney", "AGT": "America/Argentina/Buenos_Aires", "ART": "Africa/Cairo",
	"AST": "America/Anchorage", "BET": "America/Sao_Paulo", "BST": "Asia/Dhaka", "CAT": "Africa/Harare",
	"CNT": "America/St_Johns", "CST": "America/Chicago", "CTT": "Asia/Shanghai", "EAT": "Africa/Addis_Ababa",
	"ECT": "Europe/Paris", "IET": "America/Indiana/Indianapolis", "IST": "Asia/Kolkata", "JST": "Asia/Tokyo",
	"MIT": "Pacific/Apia", "NET": "Asia/Yerevan", "NST": "Pacific/Auckland", "PLT": "Asia/Karachi",
	"PNT": "America/Phoenix", "PRT": "America/Puerto_Rico", "PST": "America/Los_Angeles", "SST": "Pacific/Guadalcanal",
	"VST": "Asia/Ho_Chi_Minh",
}

// loadZone reads a time zone as Java's TimeZone.getTimeZone does: a place, an abbreviation, or GMT+h:mm. Empty is UTC.
func loadZone(name string) (*time.Location, error) {
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
