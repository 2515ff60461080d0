package audit

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
)

func everything(Change) bool { return true }

// pages reads the trail page by page, from a position on, and returns "SECURABLE PRINCIPAL" of each change, and the last position.
func pages(t *testing.T, path string, q Query, position string, limit int) (seen []string, last string) {
	t.Helper()
	for range 1000 {
		p, err := ReadPage(t.Context(), path, q, everything, position, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Changes) > limit {
			t.Fatalf("%d changes, limit %d", len(p.Changes), limit)
		}
		for _, c := range p.Changes {
			seen = append(seen, c.Securable+" "+c.Principal)
		}
		if position = p.Next; p.Last {
			return seen, position
		}
	}
	t.Fatal("no last page")
	return nil, ""
}

// Pages of any size hold what one reading of everything holds, in its order, also over files that were rotated away.
func TestPagesAreTheTrail(t *testing.T) {
	path := t.TempDir() + "/audit.jsonl"
	l := open(t, Options{Path: path, MaxSize: 2000, Keep: 100})
	for i := range 30 {
		begin(t, l, fmt.Sprintf("TABLE:sales.emea.t%d +ann@example.com SELECT -bob@example.com MODIFY", i))("req", nil)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	all, damaged, err := Read(path, Query{})
	if err != nil || len(damaged) > 0 || len(all) != 60 {
		t.Fatalf("%d changes, %v, %v", len(all), damaged, err)
	}
	var want []string
	for _, c := range all {
		want = append(want, c.Securable+" "+c.Principal)
	}
	for _, limit := range []int{1, 7, 1000} {
		if got, _ := pages(t, path, Query{}, "", limit); !slices.Equal(got, want) {
			t.Errorf("by %d: %d changes: %v", limit, len(got), got)
		}
	}
	if got, _ := pages(t, path, Query{Securable: policy.Securable{Type: policy.Table, FullName: "sales.emea.t7"}, Principal: "BOB@example.com"}, "", 10); len(got) != 1 {
		t.Errorf("selected %v", got)
	}
	if got, _ := pages(t, path, Query{Task: "task-1"}, "", 10); len(got) != 60 {
		t.Errorf("%d of the task", len(got))
	}
	if got, _ := pages(t, path, Query{Task: "task-2"}, "", 10); len(got) != 0 {
		t.Errorf("of another task: %v", got)
	}
	middle := all[20].Time
	before, _ := pages(t, path, Query{Until: middle}, "", 10)
	after, _ := pages(t, path, Query{Since: middle}, "", 10)
	if len(before)+len(after) != 60 || len(after) == 0 {
		t.Errorf("%d before, %d after", len(before), len(after))
	}
}

// Who asks again with the last position gets what was written since, and nothing twice, also where files were rotated meanwhile.
func TestPositionFollowsTheTrail(t *testing.T) {
	path := t.TempDir() + "/audit.jsonl"
	l := open(t, Options{Path: path, MaxSize: 1500, Keep: 100})
	position := ""
	var seen []string
	for i := range 20 {
		begin(t, l, fmt.Sprintf("TABLE:a.b.t%d +ann@example.com SELECT", i))("req", nil)
		if err := waitWritten(t, l); err != nil {
			t.Fatal(err)
		}
		var got []string
		got, position = pages(t, path, Query{}, position, 3)
		seen = append(seen, got...)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got, position := pages(t, path, Query{}, position, 3)
	seen = append(seen, got...)
	for i := range 20 {
		if n := len(slices.DeleteFunc(slices.Clone(seen), func(s string) bool { return !strings.HasPrefix(s, fmt.Sprintf("TABLE:a.b.t%d ", i)) })); n != 1 {
			t.Errorf("t%d was seen %d times", i, n)
		}
	}
	if got, again := pages(t, path, Query{}, position, 3); len(got) != 0 || again != position {
		t.Errorf("at the end: %v, %q", got, again)
	}
}

// waitWritten waits until an intent is on disk, and with it the ends of those before.
func waitWritten(t *testing.T, l *Log) error {
	t.Helper()
	_, err := l.Begin(t.Context(), origin, change(t, "TABLE:a.b.other +cam@example.com SELECT"))
	return err
}

func TestPositionsThatAreNone(t *testing.T) {
	path := t.TempDir() + "/audit.jsonl"
	if _, err := ReadPage(t.Context(), path, Query{}, everything, "", 1); policy.CodeOf(err) != policy.CodeNotFound {
		t.Errorf("no file: %v", err)
	}
	l := open(t, Options{Path: path, MaxSize: 600, Keep: 1})
	for i := range 4 {
		begin(t, l, fmt.Sprintf("TABLE:a.b.t%d +ann@example.com SELECT", i))("req", nil)
	}
	if err := waitWritten(t, l); err != nil {
		t.Fatal(err)
	}
	_, position := pages(t, path, Query{}, "", 100)
	for i := range 20 { // until what the position is in is removed
		begin(t, l, fmt.Sprintf("TABLE:a.b.u%d +ann@example.com SELECT", i))("req", nil)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for bad, want := range map[string]policy.Code{
		"nonsense!": policy.CodeInvalid, "AAAA": policy.CodeInvalid, "0123456789abcdef-": policy.CodeInvalid, "0123456789abcdef--1": policy.CodeInvalid,
		position: policy.CodeNotFound, "0123456789abcdef-40": policy.CodeNotFound, "0123456789abcdef-4000000000": policy.CodeNotFound,
	} {
		if _, err := ReadPage(t.Context(), path, Query{}, everything, bad, 1); policy.CodeOf(err) != want {
			t.Errorf("%s: %v, want %s", bad, err, want)
		}
	}
}

// A line that is being written is left to the next page, one that cannot be read is counted, and who may not know of a change does not.
func TestPagesOfTornAndDamagedLines(t *testing.T) {
	path := t.TempDir() + "/audit.jsonl"
	line := `{"time":"2026-01-02T03:04:05Z","intent":"1","securable":"TABLE:%s.b.c","principal":"p","privilege":"SELECT","act":"add","result":"applied"}`
	text := fmt.Sprintf(line, "a") + "\nnot JSON\n" + fmt.Sprintf(line, "hidden") + "\n" + fmt.Sprintf(line, "late")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	visible := func(c Change) bool { return !strings.Contains(c.Securable, "hidden") }
	p, err := ReadPage(t.Context(), path, Query{}, visible, "", 10)
	if err != nil || len(p.Changes) != 1 || p.Damaged != 1 || !p.Last {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err = ReadPage(t.Context(), path, Query{}, visible, p.Next, 10)
	if err != nil || len(p.Changes) != 1 || p.Changes[0].Securable != "TABLE:late.b.c" || p.Damaged != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

// One page reads a bounded part of a long trail, and the next goes on there.
func TestPageReadsABoundedPart(t *testing.T) {
	path := t.TempDir() + "/audit.jsonl"
	const line = `{"time":"2026-01-02T03:04:05Z","intent":"1","securable":"TABLE:a.b.c","principal":"p","privilege":"SELECT","act":"add","result":"applied"}` + "\n"
	if err := os.WriteFile(path, []byte(line+strings.Repeat(" ", maxScan)+"\n"+line), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := ReadPage(t.Context(), path, Query{}, everything, "", 10)
	if err != nil || first.Last || len(first.Changes) != 1 {
		t.Fatalf("last %v with %d changes, %v", first.Last, len(first.Changes), err)
	}
	second, err := ReadPage(t.Context(), path, Query{}, everything, first.Next, 10)
	if err != nil || !second.Last || len(second.Changes) != 1 {
		t.Errorf("last %v with %d changes, %v", second.Last, len(second.Changes), err)
	}
}
