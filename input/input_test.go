package input_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ucwarden/input"
)

func TestCheckUnique(t *testing.T) {
	for text, pointer := range map[string]string{
		`{"a":1,"b":1}`: "", `{"a":{"a":{"a":1}}}`: "", `[{"a":1},{"a":1}]`: "", `{"a":1,"A":1}`: "", `1`: "", `""`: "", `{}`: "", ` [ ] `: "",
		`{"a":1,"a":1}`: "/a", `{"a":1,"\u0061":1}`: "/a", `{"":1,"":1}`: "/", `{"x":[0,{"y":{"z/~":1,"z/~":2}}]}`: "/x/1/y/z~1~0",
		`[1,[{"a":{},"a":[]}]]`: "/1/0/a",
	} {
		err := input.CheckUnique([]byte(text), 10)
		var duplicate *input.DuplicateError
		switch {
		case pointer == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case pointer != "" && (!errors.As(err, &duplicate) || duplicate.Pointer != pointer):
			t.Errorf("%s: %v, want a duplicate at %s", text, err, pointer)
		}
	}
	for _, text := range []string{``, `{`, `{"a"`, `{"a":}`, `{"a":1`, `[1`, `{} {}`, `{}x`, `nul`, `[1,]`, `[,1]`, `[1 2]`, `[1}`, `{"a":1,}`,
		`{,"a":1}`, `{"a":1 "b":2}`, `{"a" 1}`, `{1:2}`, `{"a":1,"a":2`, `["\x"]`, `01`, strings.Repeat("[", 12) + strings.Repeat("]", 12)} {
		if err := input.CheckUnique([]byte(text), 10); err == nil || errors.As(err, new(*input.DuplicateError)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A document is found to have a duplicate exactly where writing it anew loses something.
func TestCheckUniqueLosesNothing(t *testing.T) {
	var value func(depth int) *rapid.Generator[string]
	value = func(depth int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			kind := rapid.IntRange(0, 3).Draw(t, "kind")
			if depth == 0 || kind == 0 {
				return rapid.SampledFrom([]string{`1`, `null`, `"x"`}).Draw(t, "scalar")
			}
			parts := rapid.SliceOfN(value(depth-1), 0, 3).Draw(t, "parts")
			if kind == 1 {
				return "[" + strings.Join(parts, ",") + "]"
			}
			for i := range parts {
				parts[i] = rapid.SampledFrom([]string{`"a"`, `"b"`, `"\u0061"`, `"c"`}).Draw(t, "key") + ":" + parts[i]
			}
			return "{" + strings.Join(parts, ",") + "}"
		})
	}
	size := func(text string) int { return strings.Count(text, ":") }
	rapid.Check(t, func(t *rapid.T) {
		text := value(4).Draw(t, "document")
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if lost, found := size(string(again)) != size(text), input.CheckUnique([]byte(text), 100) != nil; lost != found {
			t.Fatalf("%s: a key is lost: %t, found: %t", text, lost, found)
		}
	})
}

func FuzzCheckUnique(f *testing.F) {
	f.Add(`{"a":[1,{"b":null,"b":2}]}`)
	f.Add(`{"a":1}{`)
	f.Add(`{"a":1,}`)
	f.Add(` [ 1 , -2.5e3 , true , false , null , "\u00e9" , {} , [ ] ] `)
	f.Fuzz(func(t *testing.T, text string) {
		err := input.CheckUnique([]byte(text), 50)
		valid, duplicate := json.Valid([]byte(text)), errors.As(err, new(*input.DuplicateError))
		switch flat := strings.Count(text, "[")+strings.Count(text, "{") <= 50; {
		case !valid && (err == nil || duplicate):
			t.Errorf("%q is taken for JSON: %v", text, err)
		case valid && err != nil && !duplicate && flat:
			t.Errorf("%q is not taken for JSON: %v", text, err)
		}
	})
}

func TestMisspelt(t *testing.T) {
	known := []string{"type", "resources", "requestInfo", "id", "exp", "scope"}
	for name, want := range map[string]string{
		"type": "", "Type": "type", "tpye": "type", "typ": "type", "types": "type", "tipe": "type", "TPYE": "type", "kind": "", "stype": "type", "ty": "", "tyep": "type",
		"resource": "resources", "requestinfo": "requestInfo", "request_info": "requestInfo", "reqestInfo": "requestInfo", "info": "",
		"ID": "id", "uid": "", "i": "", "ext": "", "EXP": "exp", "scopes": "scope", "": "", "résources": "resources", strings.Repeat("x", 10_000): "",
	} {
		if got := input.Misspelt(name, known); got != want {
			t.Errorf("%.40q: %q, want %q", name, got, want)
		}
	}
}

// One edit, of any kind, of any known name that is long enough is found; two names of a distance are as far both ways.
func TestMisspeltFindsEveryEdit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z]{4,12}`).Draw(t, "name")
		at := rapid.IntRange(0, len(name)-1).Draw(t, "at")
		letter := rapid.StringMatching(`[a-z]`).Draw(t, "letter")
		edited := rapid.SampledFrom([]string{
			name[:at] + name[at+1:], name[:at] + letter + name[at:], name[:at] + letter + name[at+1:],
			name[:max(at-1, 0)] + name[at:at+1] + name[max(at-1, 0):at] + name[at+1:],
		}).Draw(t, "edited")
		if got := input.Misspelt(edited, []string{name}); edited != name && got != name {
			t.Fatalf("%s is not found to be %s", edited, name)
		}
		other := rapid.StringMatching(`[a-zé]{0,8}`).Draw(t, "other")
		if input.Distance(name, other) != input.Distance(other, name) || (input.Distance(name, other) == 0) != (name == other) {
			t.Fatalf("%s and %s", name, other)
		}
	})
}

func TestTimes(t *testing.T) {
	for _, year := range []int{1, 26, 1969, 1970, 1999, 2201, 2926, 9999} {
		if err := input.CheckTime(time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)); err == nil {
			t.Errorf("the year %d is accepted", year)
		}
	}
	for _, year := range []int{2000, 2026, 2200} {
		at := time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)
		if err := input.CheckTime(at); err != nil {
			t.Error(err)
		}
		if got, err := input.EpochSeconds(fmt.Sprint(at.Unix())); err != nil || !got.Equal(at) {
			t.Errorf("%d: %v, %v", year, got, err)
		}
	}
	for _, number := range []string{"1769853600", "1769853600.0", "1769853600.999", "17698536000e-1", "1.7698536e9"} {
		if got, err := input.EpochSeconds(number); err != nil || got.Unix() != 1769853600 {
			t.Errorf("%s is %v, %v", number, got, err)
		}
	}
	for _, number := range []string{"", "0", "-1", "+1769853600", "1769853600000", "1.7e12", "1e999", "-1e999", "0x69", "0x1p30", "Inf", "nan", "1769853600.", ".5", " 1769853600", "1769853600 ", "99999999999999999999", "1_769_853_600", "null", `"1769853600"`} {
		if got, err := input.EpochSeconds(number); err == nil {
			t.Errorf("%q is %v", number, got)
		}
	}
}
