package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"ucwarden/endpoint"
)

// Setting is one value of a merged configuration; secrets are printed masked.
type Setting struct {
	Key    string
	Type   Type
	Value  any // string, Secret, bool, int, int64, float64, time.Duration or []string
	Source Source
}

// Text returns the value on one line, as in a file; "" when unset, a mask for secrets.
func (s Setting) Text() string {
	switch v := s.masked().(type) {
	case nil:
		return ""
	case []string:
		return strings.Join(v, ", ")
	case time.Duration:
		return shortDuration(v)
	default:
		return fmt.Sprint(v)
	}
}

// masked returns the value with the passwords of URLs masked.
func (s Setting) masked() any {
	switch v := s.Value.(type) {
	case string:
		return endpoint.MaskURLs(v)
	case []string:
		list := make([]string, len(v))
		for i := range v {
			list[i] = endpoint.MaskURLs(v[i])
		}
		return list
	}
	return s.Value
}

// MarshalJSON returns key, value and source; durations as text, secrets masked.
func (s Setting) MarshalJSON() ([]byte, error) {
	v := s.masked()
	if d, ok := v.(time.Duration); ok {
		v = shortDuration(d)
	}
	return json.Marshal(struct {
		Key    string `json:"key"`
		Value  any    `json:"value"`
		Source Source `json:"source"`
		From   string `json:"from"`
	}{s.Key, v, s.Source, s.Source.String()})
}

// shortDuration formats a duration without the zero units of time.Duration.String: 1h, not 1h0m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
