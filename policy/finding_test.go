package policy_test

import (
	"testing"

	"ucwarden/policy"
)

func TestFindingNamesItsPolicy(t *testing.T) {
	for want, f := range map[string]policy.Finding{
		`policy 3 "p": narrower (and on 2 more)`: {PolicyID: 3, Policy: "p", Message: "narrower", Count: 2},
		`policy 0 "p": narrower`:                 {Policy: "p", Message: "narrower"},
		"group g needs USE_CATALOG":              {Message: "group g needs USE_CATALOG"}, // of no single policy
	} {
		if got := f.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
