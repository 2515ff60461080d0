package main

import (
	"fmt"
	"time"
)

const timeLayout = "2006-01-02 15:04:05"

// moment returns a time as people read it, in the zone of this machine; "" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(timeLayout)
}

// age returns how long d is in one unit, rounded down: 12s, 5m, 3h, 2d.
func age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// parseSince reads the time of --since: RFC 3339 text, or the time so long before now: 90m, 24h, 7d. No text is no time.
func parseSince(text string, now time.Time) (time.Time, error) {
	return parsePast("--since", text, now)
}

// parsePast is parseSince for another flag.
func parsePast(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	hours := text
	var days int
	if n, err := fmt.Sscanf(text, "%dd", &days); err == nil && n == 1 && text == fmt.Sprintf("%dd", days) {
		hours = fmt.Sprintf("%dh", 24*days)
	}
	d, err := time.ParseDuration(hours)
	if err != nil || d < 0 {
		return time.Time{}, usageErrorf("%s %s: want a time such as 2026-01-31T10:00:00Z, or how long ago: 90m, 24h, 7d", flag, text)
	}
	return now.Add(-d), nil
}
