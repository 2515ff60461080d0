package policy_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy"
)

func TestParseSecurable(t *testing.T) {
	for text, want := range map[string]string{
		"table:Sales.EMEA.Orders": "TABLE:sales.emea.orders", "VIEW:a.b.v": "TABLE:a.b.v", "model:a.b.m": "FUNCTION:a.b.m",
		"external-location:Lake": "EXTERNAL_LOCATION:lake", "table:a.b.t#?%+ü": "TABLE:a.b.t#?%+ü", "catalog:c": "CATALOG:c",
		"metastore": "METASTORE:", "catalog": "", "table": "",
		"table:a.b": "", "table:a.b.c.d": "", "catalog:a.b": "", "schema:a.": "", "tabel:a.b.c": "", "a.b.c": "", "catalog:": "",
		"catalog:a b": "", "catalog:a/b": "", "catalog:a\n": "", "catalog:\xff": "",
		"catalog:" + strings.Repeat("ü", 255): "CATALOG:" + strings.Repeat("ü", 255),
		"catalog:" + strings.Repeat("u", 256): "",
	} {
		s, err := policy.ParseSecurable(text)
		if want == "" && policy.CodeOf(err) != policy.CodeInvalid || want != "" && (err != nil || s.String() != want) {
			t.Errorf("%q: %s, %v", text, s, err)
		}
	}
}

// A misspelt type is named with the one that is meant.
func TestMisspeltType(t *testing.T) {
	for text, meant := range map[string]string{"tabel": "table", "catlog": "catalog", "external-locations": "external_location", "recepient": "recipient"} {
		if _, err := policy.ParseSecurable(text + ":a"); err == nil || !strings.Contains(err.Error(), "did you mean "+meant+"?") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Containers come before what they contain, contain what their names begin, and nothing else.
func TestSecurableOrder(t *testing.T) {
	types := map[int][]policy.SecurableType{1: {policy.Catalog, policy.Connection}, 2: {policy.Schema}, 3: {policy.Table, policy.Volume}}
	draw := rapid.Custom(func(t *rapid.T) policy.Securable {
		names := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "a-b", "a!", "b"}), 1, 3).Draw(t, "names")
		return policy.Securable{Type: rapid.SampledFrom(types[len(names)]).Draw(t, "type"), FullName: strings.Join(names, ".")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := draw.Draw(t, "a"), draw.Draw(t, "b"), draw.Draw(t, "c")
		if (a.Compare(b) == 0) != (a == b) || a.Compare(b)*b.Compare(a) > 0 || a.Compare(b) < 0 && b.Compare(c) < 0 && a.Compare(c) >= 0 {
			t.Fatalf("no order: %s %s %s", a, b, c)
		}
		inside := false
		for s, ok := b, true; ok; s, ok = s.Parent() {
			inside = inside || s == a
		}
		if a.Contains(b) != inside {
			t.Fatalf("%s contains %s: %t", a, b, a.Contains(b))
		}
		if inside && a != b && a.Compare(b) >= 0 {
			t.Fatalf("%s comes after %s", a, b)
		}
	})
}
