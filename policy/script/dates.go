package script

import (
	"fmt"
	"strings"
	"time"

	"ucwarden/policy/schedule"
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
	zone, err := schedule.LoadZone(zoneName)
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
