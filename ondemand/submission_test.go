package ondemand

import (
	"fmt"
	"testing"

	"ucwarden/policy"
)

// A task is the same one when the values of its document are, however they are written; an unknown field counts as a known one does,
// at every level.
func TestSameContent(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{`{"a":1,"b":2}`, `{ "b" : 2 , "a" : 1 }`, true},
		{`{"a":{"x":1,"y":[{"p":1,"q":2}]}}`, `{"a":{"y":[{"q":2,"p":1}],"x":1}}`, true},
		{`"é/<"`, `"\u00e9\/\u003c"`, true},
		{`{"é":1}`, `{"\u00e9":1}`, true},
		{`"\ud83d\ude00"`, `"😀"`, true},
		{`1`, `1.0`, true}, {`1`, `10e-1`, true}, {`1500`, `1.5E+3`, true}, {`0`, `-0.0e7`, true}, {`0.1`, `1e-1`, true}, {`-25`, `-2.50e1`, true},
		{`1`, `-1`, false}, {`1`, `10`, false}, {`1`, `"1"`, false}, {`null`, `0`, false}, {`[1,2]`, `[2,1]`, false}, {`{"a":1}`, `{"a":1,"b":null}`, false},
		{`9007199254740993`, `9007199254740992`, false}, {`9007199254740993`, `9007199254740993.0`, true}, {`0.1000000000000000055511151231257827`, `0.1`, false},
		{`1e400`, `1e401`, false}, {`1e400`, `10e399`, true}, {`1e99999999999999999999`, `1e99999999999999999999`, true}, {`1e99999999999999999999`, `1e99999999999999999998`, false},
		{`true`, `false`, false}, {`"a"`, `"A"`, false},
	} {
		for _, document := range []string{
			`{"type":"RESOURCE_SYNC","x":%s,"requestInfo":{"resources":[{"type":"catalog","values":{"catalog":"c"}}]}}`,
			`{"type":"RESOURCE_SYNC","requestInfo":{"x":%s,"resources":[{"type":"catalog","values":{"catalog":"c"}}]}}`,
			`{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"catalog","values":{"catalog":"c"},"x":%s}]}}`,
		} {
			a, err := ParseTask(fmt.Appendf(nil, document, tt.a))
			if err != nil {
				t.Fatal(err)
			}
			b, err := ParseTask(fmt.Appendf(nil, document, tt.b))
			if err != nil {
				t.Fatal(err)
			}
			if err := SameContent(&a, &b); (err == nil) != tt.same || err != nil && policy.CodeOf(err) != policy.CodeConflict {
				t.Errorf("%s and %s: %v", tt.a, tt.b, err)
			}
		}
	}
}
