package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A stream shows what would do something to a terminal, however its writes are cut; on a terminal the colours of paint stay.
func TestStream(t *testing.T) {
	const text = "a\tb…é\n\x1b[2J\x1b]0;x\x07\r\u009b1m\u202e\u2028\U000e0041\xff\x1b[31mred\x1b[0m\x1b[\x1b[31\n\x1b[1;31;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1m."
	const shown = `\u001b[2J\u001b]0;x\u0007\r\u009b1m\u202e\u2028\udb40\udc41\xff`
	for _, tt := range []struct {
		colours bool
		want    string
	}{
		{false, "a\tb…é\n" + shown + `\u001b[31mred\u001b[0m\u001b[\u001b[31` + "\n" + `\u001b[1;31;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1m.`},
		{true, "a\tb…é\n" + shown + "\x1b[31mred\x1b[0m" + `\u001b[\u001b[31` + "\n" + `\u001b[1;31;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1m.`},
	} {
		for size := 1; size <= len(text); size++ {
			var out bytes.Buffer
			s := &stream{to: &out, colours: tt.colours}
			for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
				if n, err := s.Write([]byte(rest[:min(size, len(rest))])); err != nil || n != min(size, len(rest)) {
					t.Fatal(n, err)
				}
			}
			if out.String() != tt.want {
				t.Fatalf("colours %v, writes of %d bytes:\n got %q\nwant %q", tt.colours, size, out.String(), tt.want)
			}
		}
	}
	// In JSON the text stays the same.
	var out bytes.Buffer
	if err := json.NewEncoder(&stream{to: &out}).Encode("\u009b\u202e\U000e0041\x7f\n"); err != nil {
		t.Fatal(err)
	}
	var back string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back != "\u009b\u202e\U000e0041\x7f\n" || strings.ContainsFunc(strings.TrimSpace(out.String()), hidden) {
		t.Errorf("%q is read as %q, %v", out.String(), back, err)
	}
}

// visible changes every text that is reached by exported fields, in a copy, and nothing where nothing hides.
func TestVisible(t *testing.T) {
	type inner struct{ Text string }
	type outer struct {
		inner
		Name    string
		List    []*inner
		Map     map[inner]any
		Err     error
		Raw     json.RawMessage
		Time    time.Time
		private string
	}
	cause := errors.New("b\nc")
	now := time.Now()
	v := &outer{inner{"\n"}, "a\nb", []*inner{{"\x1b"}, nil}, map[inner]any{{"k\r"}: "v\t"}, fmt.Errorf("a: %w", cause), json.RawMessage(`"\n"`), now, "own"}
	got := visible(v)
	if got.Text != `\n` || got.Name != `a\nb` || got.List[0].Text != `\u001b` || got.List[1] != nil || got.Map[inner{`k\r`}] != `v\t` || len(got.Map) != 1 ||
		got.Err.Error() != `a: b\nc` || !errors.Is(got.Err, cause) || string(got.Raw) != `"\n"` || !got.Time.Equal(now) || got.private != "own" {
		t.Errorf("%+v", got)
	}
	if v.Text != "\n" || v.Name != "a\nb" || v.List[0].Text != "\x1b" || v.Map[inner{"k\r"}] != "v\t" || v.Err.Error() != "a: b\nc" {
		t.Errorf("the value itself was changed: %+v", v)
	}
	if fine := (&outer{Name: "é", List: []*inner{{"x"}}}); visible(fine) != fine {
		t.Error("a value in which nothing hides was copied")
	}
}
