package compile

import (
	"slices"
	"testing"
	"ucwarden/policy"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"

	"pgregory.net/rapid"
)

// TestLevelIndexFindsWhatMatches holds the index against asking each region.
func TestLevelIndexFindsWhatMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab*?]{1,8}`)
		var entries []entry
		for range rapid.IntRange(0, 12).Draw(t, "regions") {
			e := entry{region: Region{Depth: rapid.IntRange(1, 2).Draw(t, "depth"), inherit: rapid.Bool().Draw(t, "inherit"), Class: policy.ClassSchema}}
			def := &ranger.ResourceDef{Name: "schema"}
			m, _ := match.New(match.NewForest([][]*ranger.ResourceDef{{def}}), map[string]ranger.PolicyResource{"schema": {
				Values: rapid.SliceOfN(text, 0, 3).Draw(t, "values"), IsExcludes: rapid.Bool().Draw(t, "excludes"),
			}}, nil)
			e.region.Levels[1] = m.AppendLevels(nil)[0].Level
			entries = append(entries, e)
		}
		list := make([]entryRef, len(entries))
		for i := range list {
			list[i] = entryRef(i)
		}
		ix := newLevelIndex(entries, list, 2)
		for range 8 {
			name := rapid.StringMatching(`[ab]{0,10}`).Draw(t, "name")
			got := mergeSorted(ix.always, ix.match(entries, name, 2, nil))
			var want []entryRef
			for i := range entries {
				if r := &entries[i].region; r.Depth >= 2 && r.Levels[1].Match(name) || r.Depth < 2 && r.inherit {
					want = append(want, entryRef(i))
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
		resources := map[string]ranger.PolicyResource{"catalog": {Values: []string{rapid.SampledFrom(values).Draw(t, "catalog")}}}
		for _, level := range []string{"schema", "table", "column"} {
			if rapid.Bool().Draw(t, "ends above "+level) {
				break
			}
			resources[level] = ranger.PolicyResource{Values: []string{rapid.SampledFrom(values).Draw(t, level)}, IsExcludes: rapid.Bool().Draw(t, level+" excluded")}
		}
		r, err := NewRegion(levelsOf(resources), rapid.Bool().Draw(t, "inherit"))
		if err != nil {
			t.Fatal(err)
		}
		matches := func(level int, name string) bool { return r.Depth < level || r.Levels[level-1].Match(name) }
		for _, catalog := range []string{"a", "b", "c"} {
			if !matches(1, catalog) {
				continue
			}
			above := r.at(1)
			for _, schema := range []string{"a", "ab", "c"} {
				if !matches(2, schema) {
					if above.full&policy.ClassesInCatalog != 0 {
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
						if c.full&policy.ClassTable&^at.full != 0 || at.touch&policy.ClassTable&^c.touch != 0 {
							t.Fatalf("%v: at a container %+v, at table %s.%s.%s %+v", resources, c, catalog, schema, table, at)
						}
					}
				}
			}
		}
	})
}

func levelsOf(resources map[string]ranger.PolicyResource) []match.NamedLevel {
	levels, _ := rules.NewModel(ranger.DefaultServiceDef()).Levels(ranger.PolicyTypeAccess, resources)
	return levels
}
