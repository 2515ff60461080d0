package match

import (
	"slices"

	"ucwarden/policy/naming"
)

// Level is what a policy's resources name at one level of the resource tree, as patterns of canonical names.
type Level struct {
	Patterns []naming.Pattern // to be asked by the methods of Level, since they may fold what is folded already
	Excludes bool             // every name that no pattern matches
	Any      bool             // every name
	Open     bool             // which names it comes to is known for a request only, or not at all; Patterns match all of them at least
	folds    bool             // case does not matter
}

// NamedLevel is a level with the name of its resource definition.
type NamedLevel struct {
	Name string
	Level
}

// AppendLevels appends what the resources name, from the root.
func (m *Matcher) AppendLevels(list []NamedLevel) []NamedLevel {
	for i := range m.levels {
		list = append(list, NamedLevel{m.levels[i].def.Name, m.levels[i].level()})
	}
	return list
}

func (m *elementMatcher) level() Level {
	l := Level{Excludes: m.excludes, Any: m.any && !m.excludes}
	if m.any {
		l.Excludes = false // every name, or none
		return l
	}
	l.folds = m.values[0].IgnoresCase()
	if m.special == nil && !slices.ContainsFunc(m.values, naming.Pattern.IsLiteralWildcard) {
		l.Patterns = m.values
		return l
	}
	for i := range m.values {
		v := m.value(i)
		p, open := v.canonical()
		l.Open = l.Open || open
		l.Patterns = append(l.Patterns, p)
	}
	if l.Open && l.Excludes { // everything but an unknown name: may be anything
		l.Patterns, l.Excludes, l.Any = nil, false, true
	}
	return l
}

// canonical returns the pattern of the canonical names that the value matches, or with open of all that it may match.
func (v *valueMatcher) canonical() (p naming.Pattern, open bool) {
	if macro := v.macro(); macro != nil {
		return naming.NewPattern(naming.Canonical(macro.withWildcards()), true, false), true
	}
	p = v.pattern.Canonical()
	if p.IsLiteralWildcard() { // in a name that Unity Catalog hardly has
		return naming.NewPattern(p.String(), true, false), true
	}
	switch s := v.special; {
	case s == nil:
	case s.recursive:
		return naming.NewPattern(naming.Canonical(p.String())+"*", true, false), true
	case s.options.quotedCaseSensitive && s.options.fold && s.exact.String() != p.String():
		open = true
	}
	return p, open
}

// Match reports whether a canonical name is one that the level names.
func (l *Level) Match(name string) bool {
	if l.Any {
		return true
	}
	for i := range l.Patterns {
		if l.Patterns[i].MatchCanonical(name) {
			return !l.Excludes
		}
	}
	return l.Excludes
}

// MatchLoosely is Match with names compared by [naming.Loose], as denies are. It reports true wherever Match does.
func (l *Level) MatchLoosely(name string) bool {
	if l.Match(name) {
		return true
	}
	if l.Excludes || !l.folds {
		return false // what is not excluded by its very name matches already
	}
	name = naming.Loose(name)
	for _, p := range l.Patterns {
		if p.Loose().Match(name) {
			return true
		}
	}
	return false
}

// IsASCII reports whether the level's patterns have ASCII characters only.
func (l *Level) IsASCII() bool {
	for _, p := range l.Patterns {
		if !naming.IsASCII(p.String()) {
			return false
		}
	}
	return true
}
