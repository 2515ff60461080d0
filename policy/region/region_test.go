package region

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// TestIndexFindsWhatMatches holds the index against asking each region.
func TestIndexFindsWhatMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab*?]{1,8}`)
		var regions []Region
		for range rapid.IntRange(0, 12).Draw(t, "regions") {
			r := Region{Depth: rapid.IntRange(1, 2).Draw(t, "depth"), inherit: rapid.Bool().Draw(t, "inherit"), Class: policy.ClassSchema}
			def := &ranger.ResourceDef{Name: "schema"}
			m, _ := match.New(match.NewForest([][]*ranger.ResourceDef{{def}}), map[string]ranger.PolicyResource{"schema": {
				Values: rapid.SliceOfN(text, 0, 3).Draw(t, "values"), IsExcludes: rapid.Bool().Draw(t, "excludes"),
			}}, nil)
			r.Levels[1] = m.AppendLevels(nil)[0].Level
			regions = append(regions, r)
		}
		list := make([]Ref, len(regions))
		for i := range list {
			list[i] = Ref(i)
		}
		ix := NewIndex(regions, list, 2)
		for range 8 {
			name := rapid.StringMatching(`[ab]{0,10}`).Draw(t, "name")
			got := slices.Sorted(slices.Values(slices.Concat(ix.Always, ix.Match(name, nil))))
			var want []Ref
			for i := range regions {
				if r := &regions[i]; r.Depth >= 2 && r.Levels[1].Match(name) || r.Depth < 2 && r.inherit {
					want = append(want, Ref(i))
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
		r, err := New(levelsOf(resources), rapid.Bool().Draw(t, "inherit"))
		if err != nil {
			t.Fatal(err)
		}
		matches := func(level int, name string) bool { return r.Depth < level || r.Levels[level-1].Match(name) }
		for _, catalog := range []string{"a", "b", "c"} {
			if !matches(1, catalog) {
				continue
			}
			above := r.At(1)
			for _, schema := range []string{"a", "ab", "c"} {
				if !matches(2, schema) {
					if above.Full&policy.ClassesInCatalog != 0 {
						t.Fatalf("%v covers %v of catalog %s, but not schema %s", resources, above.Full, catalog, schema)
					}
					continue
				}
				inSchema := r.At(2)
				for _, table := range []string{"a", "ab", "c"} {
					var at Cover
					if matches(3, table) {
						at = r.At(3)
					}
					for _, c := range []Cover{above, inSchema} {
						if c.Full&policy.ClassTable&^at.Full != 0 || at.Touch&policy.ClassTable&^c.Touch != 0 {
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
