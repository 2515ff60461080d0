package emulator

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestNameListAgainstAModel inserts, removes and ranges at random, with enough names to split chunks, and compares with
// a sorted slice.
func TestNameListAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list nameList
		var model []string
		insert := func(name string) {
			if i, found := slices.BinarySearch(model, name); !found {
				model = slices.Insert(model, i, name)
				list.insert(&object{name: name})
			}
		}
		step := rapid.SampledFrom([]int{1, 7, 4099}).Draw(t, "step")
		for i := range rapid.IntRange(0, 3*maxChunk).Draw(t, "filled") {
			insert(fmt.Sprintf("n%05d", i*step%5003))
		}
		name := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("n%05d", rapid.IntRange(0, 5003).Draw(t, "n")) })
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) { insert(name.Draw(t, "name")) },
			"remove": func(t *rapid.T) {
				from := rapid.IntRange(0, len(model)).Draw(t, "from")
				for _, name := range slices.Clone(model[from:min(from+rapid.IntRange(1, maxChunk).Draw(t, "many"), len(model))]) {
					list.remove(name)
					model = slices.DeleteFunc(model, func(other string) bool { return other == name })
				}
			},
			"remove a missing one": func(*rapid.T) { list.remove("missing") },
			"": func(t *rapid.T) {
				if list.len() != len(model) {
					t.Fatalf("%d names, want %d", list.len(), len(model))
				}
				after := name.Draw(t, "after")
				i, found := slices.BinarySearch(model, after)
				if got := list.get(after); (got != nil) != found {
					t.Fatalf("get %q: %v, want found=%v", after, got, found)
				}
				if found {
					i++
				}
				var got []string
				for o := range list.after(after) {
					got = append(got, o.name)
				}
				if !slices.Equal(got, model[i:]) {
					t.Fatalf("after %q: %d names, want %d", after, len(got), len(model)-i)
				}
			},
		})
	})
}

// TestNameListSplits inserts into a chunk that is full: at its ends and around its middle.
func TestNameListSplits(t *testing.T) {
	const half = maxChunk / 2
	for _, place := range []int{0, 1, half - 1, half, half + 1, half + 2, maxChunk - 1, maxChunk} {
		var list nameList
		for i := range maxChunk {
			list.insert(&object{name: fmt.Sprintf("n%05d", 2*i+1)})
		}
		list.insert(&object{name: fmt.Sprintf("n%05d", 2*place)})
		last, n := "", 0
		for o := range list.after("") {
			if o.name <= last {
				t.Fatalf("inserted at %d: %q comes after %q", place, o.name, last)
			}
			last = o.name
			n++
		}
		if n != maxChunk+1 || list.get(fmt.Sprintf("n%05d", 2*place)) == nil {
			t.Fatalf("inserted at %d: %d names, or the new one is missing", place, n)
		}
	}
}

// likeRegexp is the plain meaning of a LIKE pattern.
func likeRegexp(pattern string) *regexp.Regexp {
	var b strings.Builder
	escaped := false
	for _, r := range strings.ToLower(pattern) {
		switch {
		case escaped:
			b.WriteString(regexp.QuoteMeta(string(r)))
			escaped = false
		case r == '\\':
			escaped = true
		case r == '%':
			b.WriteString(`(?s:.*)`)
		case r == '_':
			b.WriteString(`(?s:.)`)
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	if escaped {
		b.WriteString(`\\`)
	}
	return regexp.MustCompile(`^(?:` + b.String() + `)$`)
}

func FuzzLike(f *testing.F) {
	for _, seed := range [][2]string{{"a%c", "abc"}, {"%", ""}, {"_", "é"}, {`a\_b`, "a_b"}, {`a\`, `a\`}, {"%a%b%", "xxaybz"}, {"", "x"},
		{strings.Repeat("%a", 30), strings.Repeat("a", 60)}, {"ÄB_", "äbc"}, {"100\\%", "100%"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if strings.ToValidUTF8(pattern, "") != pattern || strings.ToValidUTF8(name, "") != name {
			t.Skip("names and parameters are valid UTF-8")
		}
		p := newLikePattern(pattern)
		want := pattern == "" || likeRegexp(pattern).MatchString(name)
		if got := p.match(name); got != want {
			t.Errorf("%q LIKE %q: got %v, want %v", name, pattern, got, want)
		}
		if want && !strings.HasPrefix(name, p.prefix()) {
			t.Errorf("%q LIKE %q, but it does not begin with %q", name, pattern, p.prefix())
		}
	})
}
