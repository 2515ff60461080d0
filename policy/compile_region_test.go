package policy

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestLevelIndexFindsWhatMatches holds the index against asking each region.
func TestLevelIndexFindsWhatMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab*?]{1,8}`)
		var entries []entry
		for range rapid.IntRange(0, 12).Draw(t, "regions") {
			e := entry{region: region{depth: rapid.IntRange(1, 2).Draw(t, "depth"), inherit: rapid.Bool().Draw(t, "inherit"), class: classSchema}}
			e.region.levels[1] = newLevelMatch(PolicyResource{
				Values: rapid.SliceOfN(text, 0, 3).Draw(t, "values"), IsExcludes: rapid.Bool().Draw(t, "excludes"),
			})
			entries = append(entries, e)
		}
		list := make([]int32, len(entries))
		for i := range list {
			list[i] = int32(i)
		}
		ix := newLevelIndex(entries, list, 2)
		for range 8 {
			name := rapid.StringMatching(`[ab]{0,10}`).Draw(t, "name")
			got := mergeSorted(ix.always, ix.match(entries, name, 2, nil))
			var want []int32
			for i := range entries {
				if r := &entries[i].region; r.depth >= 2 && r.levels[1].match(name) || r.depth < 2 && r.inherit {
					want = append(want, int32(i))
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%q: got %v, want %v", name, got, want)
			}
		}
	})
}

// TestCoverAgreesWithPatterns: what a region covers wholly at a container, it covers at every object inside; what it
// does not touch there, it touches at no object inside.
func TestCoverAgreesWithPatterns(t *testing.T) {
	values := []string{"*", "a", "a*", "b"}
	rapid.Check(t, func(t *rapid.T) {
		resources := map[string]PolicyResource{"catalog": {Values: []string{rapid.SampledFrom(values).Draw(t, "catalog")}}}
		for _, level := range []string{"schema", "table", "column"} {
			if rapid.Bool().Draw(t, "ends above "+level) {
				break
			}
			resources[level] = PolicyResource{Values: []string{rapid.SampledFrom(values).Draw(t, level)}, IsExcludes: rapid.Bool().Draw(t, level+" excluded")}
		}
		r, err := newRegion(resources, rapid.Bool().Draw(t, "inherit"))
		if err != nil {
			t.Fatal(err)
		}
		matches := func(level int, name string) bool { return r.depth < level || r.levels[level-1].match(name) }
		for _, catalog := range []string{"a", "b", "c"} {
			if !matches(1, catalog) {
				continue
			}
			above := r.at(1)
			for _, schema := range []string{"a", "ab", "c"} {
				if !matches(2, schema) {
					if above.full&classesInCatalog != 0 {
						t.Fatalf("%v covers %v of catalog %s, but not schema %s", resources, above.full, catalog, schema)
					}
					continue
				}
				inSchema := r.at(2)
				for _, table := range []string{"a", "ab", "c"} {
					var at cover
					if matches(3, table) {
						at = r.at(3)
					}
					for _, c := range []cover{above, inSchema} {
						if c.full&classTable&^at.full != 0 || at.touch&classTable&^c.touch != 0 {
							t.Fatalf("%v: at a container %+v, at table %s.%s.%s %+v", resources, c, catalog, schema, table, at)
						}
					}
				}
			}
		}
	})
}
