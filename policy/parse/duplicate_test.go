package parse_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/input"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
)

// The walk of policies finds the duplicate keys that the check of tasks and tokens finds, and no others.
func TestDuplicatesAreThoseOfOtherEdges(t *testing.T) {
	var value func(depth int) *rapid.Generator[string]
	value = func(depth int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			if depth == 0 {
				return rapid.SampledFrom([]string{`1`, `null`, `"x"`, `{}`, `[]`}).Draw(t, "scalar")
			}
			parts := rapid.SliceOfN(value(depth-1), 0, 4).Draw(t, "parts")
			if rapid.Bool().Draw(t, "list") {
				return "[" + strings.Join(parts, ",") + "]"
			}
			for i := range parts {
				parts[i] = rapid.SampledFrom([]string{`"id"`, `"policies"`, `"i\u0064"`, `"ID"`, `"policyItems"`, `"x"`, `"resources"`}).Draw(t, "key") + ":" + parts[i]
			}
			return "{" + strings.Join(parts, ",") + "}"
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		text := `{"policies":` + value(4).Draw(t, "value") + `}`
		other := errors.As(input.CheckUnique([]byte(text), 100), new(*input.DuplicateError))
		_, err := parse.UnknownFields([]byte(text), "f", ranger.ServicePolicies{})
		if ours := err != nil && strings.Contains(err.Error(), "duplicate key"); ours != other {
			t.Fatalf("%s: %v, other edges: %t", text, err, other)
		}
	})
}
