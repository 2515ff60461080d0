package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// namedFile is a file of ours in text, and namedIn one with the names to look for in it: `a/b.go` (`x`, `y`).
	namedFile = regexp.MustCompile("`((?:[a-z_]+/)+[A-Za-z0-9_.-]+\\.[a-z]+)`")
	namedIn   = regexp.MustCompile("`((?:[a-z_]+/)+[A-Za-z0-9_.-]+\\.[a-z]+)`\\s+\\(((?:`[A-Za-z_]+`,?\\s*)+)\\)")
)

// The files that ARCHITECTURE.md sends a newcomer to exist, and hold what it says is in them.
func TestArchitectureNamesWhatIsThere(t *testing.T) {
	data, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(name)))
		if err != nil {
			t.Errorf("ARCHITECTURE.md names a file that cannot be read: %v", err)
		}
		return string(content)
	}
	files := namedFile.FindAllStringSubmatch(string(data), -1)
	if len(files) < 50 {
		t.Fatalf("found %d names of files, want at least 50", len(files))
	}
	for _, m := range files {
		read(m[1])
	}
	places := namedIn.FindAllStringSubmatch(string(data), -1)
	if len(places) < 40 {
		t.Fatalf("found %d files with names in them, want at least 40", len(places))
	}
	for _, m := range places {
		content := read(m[1])
		for _, name := range strings.FieldsFunc(m[2], func(r rune) bool { return strings.ContainsRune("`, \n", r) }) {
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(content) {
				t.Errorf("ARCHITECTURE.md: there is no %s in %s", name, m[1])
			}
		}
	}
}
