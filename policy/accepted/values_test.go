package accepted_test

import (
	"testing"

	"ucwarden/policy/accepted"
)

func TestValueProblem(t *testing.T) {
	for value, want := range map[string]string{
		"":                               "it is empty",
		" \t":                            "it is nothing but blanks",
		" hr":                            "it begins or ends with a blank",
		"hr ":                            "it begins or ends with a blank",
		"hr\u00a0":                       "it begins or ends with a blank",
		"hr\n":                           "it holds a control character",
		"h\x00r":                         "it holds a control character",
		"h\u200br":                       "it holds an invisible character",
		"hr\u202e":                       "it holds an invisible character",
		"\u00abhr\u00bb":                 "it holds quotes; write the name without them",
		`["hr"]`:                         "it is a list written as one text; write each name as a value of its own",
		`[hr, sales]`:                    "it is a list written as one text; write each name as a value of its own",
		`[]`:                             "it is a list written as one text; write each name as a value of its own",
		`"hr"`:                           "it holds quotes; write the name without them",
		`'hr'`:                           "it holds quotes; write the name without them",
		"`hr`":                           "it holds quotes; write the name without them",
		"“hr”":                           "it holds quotes; write the name without them",
		`"hr`:                            "it holds quotes; write the name without them",
		`hr'`:                            "it holds quotes; write the name without them",
		"hr;sales":                       "it holds several names; write each as a value of its own",
		"hr,sales":                       "it holds several names; write each as a value of its own",
		"hr, sales":                      "it holds several names; write each as a value of its own",
		`${{USER.a}};x`:                  "it holds several names; write each as a value of its own",
		"hr":                             "",
		"*":                              "",
		"cust_?*":                        "",
		"order details":                  "",
		"l'été":                          "",
		"[x]_1":                          "",
		"o\"x`y":                         "", // a name that Unity Catalog takes
		"{USER}":                         "",
		"home_{OWNER}_x":                 "",
		"${{USER.dept}}":                 "",
		`a_${{GET_UG_NAMES("x",',')}}_b`: "",
		`${{USER["a"]}}${{USER['b']}}`:   "",
		"${{USER.dept":                   "",
		"${{GET_TAG_ATTR_Q_CSV('a', ';', \"\")}}": "",
	} {
		if got := accepted.ValueProblem(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}
