package main

import (
	"slices"
	"strings"
	"testing"

	"ucwarden/ondemand"
)

// A table whose name means something in a URL gets its grant, and no other object does: neither the one that an
// unescaped path would reach, nor any else.
func TestOddNames(t *testing.T) {
	t.Parallel()
	odd := []string{"t#b", "t?b", "t%b", "tüb", "t%23b", "t%2523b", "t#?%ü", "t+b", "t&b=c", "t;b", "t\"b", "t'b", "t\\b", "t`b", "t:b"}
	decoys := []string{"t", "tb", "t%", "tub", "tu\u0308b", "t#", "t?"}
	w := newWorld(t, oneSchema(append(slices.Clone(odd), decoys...)...), readTables)
	_, api := w.serve()
	before := w.grants()
	for _, name := range odd {
		accepted, err := api.Submit(t.Context(), tableSync("", "c", "s", name))
		if err != nil {
			t.Fatal(err)
		}
		w.done(api, accepted.ID, ondemand.Success)
		after := w.grants()
		want := []string{"TABLE:c.s." + name + " analysts SELECT"}
		if got := onlyIn(after, before); !slices.Equal(got, want) {
			t.Errorf("%q: granted %q, want %q", name, got, want)
		}
		if lost := onlyIn(before, after); len(lost) > 0 {
			t.Errorf("%q: revoked %q", name, lost)
		}
		before = after
	}
	for _, name := range []string{"t#gone", "t?gone", "t%gone", "t%23b%"} {
		accepted, err := api.Submit(t.Context(), tableSync("", "c", "s", name))
		if err != nil {
			t.Fatal(err)
		}
		task := w.done(api, accepted.ID, ondemand.Skipped)
		if !strings.Contains(task.Resources[0].Message, "not found") {
			t.Errorf("%q: %v", name, task.Resources)
		}
	}
	if after := w.grants(); !slices.Equal(after, before) {
		t.Errorf("syncs of tables that are not there changed grants: %q", onlyIn(after, before))
	}
}
