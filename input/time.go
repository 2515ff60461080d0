package input

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The years of times that can be meant: before the first nothing of this existed, and a time beyond the last is
// milliseconds read as seconds, or "for ever" where there is a better way to say it.
const (
	firstYear = 2000
	lastYear  = 2200
)

// CheckTime returns an error unless the time lies in the years [firstYear] to [lastYear] (UTC).
func CheckTime(t time.Time) error {
	if y := t.UTC().Year(); y < firstYear || y > lastYear {
		return fmt.Errorf("the year %d cannot be meant: want %d to %d", y, firstYear, lastYear)
	}
	return nil
}

// EpochSeconds returns the time that a JSON number means as seconds since 1970, also with a fraction (NumericDate of RFC 7519), which
// is cut off. The time is of a year that [CheckTime] accepts.
func EpochSeconds(number string) (time.Time, error) {
	if number == "" || !strings.Contains("-0123456789", number[:1]) || !json.Valid([]byte(number)) {
		return time.Time{}, fmt.Errorf("want seconds since 1970")
	}
	const lastSecond = 253402300799 // of the year 9999
	seconds, err := strconv.ParseFloat(number, 64)
	if err != nil || seconds > lastSecond || seconds < -lastSecond {
		return time.Time{}, fmt.Errorf("the time cannot be meant: want seconds since 1970, in the years %d to %d", firstYear, lastYear)
	}
	t := time.Unix(int64(seconds), 0)
	return t, CheckTime(t)
}
