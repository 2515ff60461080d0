package emulator

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var updatePage = flag.Bool("update", false, "write the table of API.md anew, with the methods of the client library that it has")

const pageHeader = "| call | who may | client library |\n| --- | --- | --- |\n"

// TestAPIPage compares the table of API.md with the routes and with who may call them.
func TestAPIPage(t *testing.T) {
	s, err := New(Options{Tokens: map[string]string{"t": "a@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("API.md")
	if err != nil {
		t.Fatal(err)
	}
	before, table, found := strings.Cut(string(page), pageHeader)
	if !found {
		t.Fatal("API.md has no table that begins with | call | who may | client library |")
	}
	methods := make(map[string]string) // of the client library, by call
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, " | "); len(cells) == 3 {
			methods[strings.TrimPrefix(cells[0], "| ")] = strings.TrimSuffix(cells[2], " |\n")
		}
	}
	slices.SortFunc(s.served, func(a, b servedRoute) int {
		methodA, pathA, _ := strings.Cut(a.pattern, " ")
		methodB, pathB, _ := strings.Cut(b.pattern, " ")
		return cmp.Or(cmp.Compare(pathA, pathB), cmp.Compare(methodA, methodB))
	})
	want := pageHeader
	for _, r := range s.served {
		call := "`" + strings.Replace(r.pattern, prefix, "P", 1) + "`"
		want += fmt.Sprintf("| %s | %s | %s |\n", call, r.who, methods[call])
	}
	if got := pageHeader + table; got == want {
		return
	}
	if !*updatePage {
		t.Errorf("API.md is not what is served: run go test ./connector/emulator -run TestAPIPage -update, and say by which methods of the client library the new calls are reached")
		return
	}
	if err := os.WriteFile("API.md", []byte(before+want), 0o644); err != nil {
		t.Fatal(err)
	}
}
