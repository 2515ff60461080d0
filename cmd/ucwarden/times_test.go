package main

import (
	"testing"
	"time"
)

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                  "0s", // a clock that is behind the server's
		59*time.Second + 999e6:        "59s",
		time.Minute:                   "1m",
		2*time.Hour - time.Nanosecond: "1h",
		24 * time.Hour:                "1d",
		40*24*time.Hour + 5*time.Hour: "40d",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                          {},
		"90m":                       now.Add(-90 * time.Minute),
		"0s":                        now,
		"7d":                        now.AddDate(0, 0, -7),
		"2026-01-31T10:00:00Z":      time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC),
		"2026-01-31T10:00:00+02:00": time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC),
	} {
		if got, err := parseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "7", "-1h", "-2d", "7dd", " 7d", "2026-01-31", "999999999d"} {
		if got, err := parseSince(text, now); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}
