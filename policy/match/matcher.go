package match

import (
	"slices"
	"strings"

	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
)

// Resource is what a request asks for: one element per resource level, in any order, at most one per name.
type Resource []Element

// Element is one level of a resource.
type Element struct {
	Name  string
	Value string   // "" or "*" asks for all values
	Also  []string // further spellings of the same thing; one that matches is enough
	Scope ElementScope
}

// ElementScope says what an element's value may stand for besides itself.
type ElementScope uint8

// The scopes of an element.
const (
	ElementSelf         ElementScope = iota
	ElementSelfOrChild               // a path: also its direct children
	ElementSelfOrPrefix              // also everything that begins with the value
)

// Type says how a policy's resources lie to the one asked for. Source: RangerPolicyResourceMatcher.MatchType.
type Type uint8

// The match types, in Ranger's order of precedence.
const (
	None                  Type = iota
	Self                       // the policy names the resource itself
	SelfAndAllDescendants      // and everything below it, by '*' on each level
	Ancestor                   // the policy names something above the resource
	Descendant                 // the policy names something below the resource
)

var MatchTypeNames = [...]string{"NONE", "SELF", "SELF_AND_ALL_DESCENDANTS", "ANCESTOR", "DESCENDANT"}

func (m Type) String() string { return MatchTypeNames[m] }

// ParseType reads Ranger's spelling; anything unknown is SELF, the default of a tag in a request.
func ParseType(s string) Type {
	if i := slices.Index(MatchTypeNames[:], s); i >= 0 {
		return Type(i)
	}
	return Self
}

// elementMatcher matches the values that a policy names for one resource level. Source: RangerAbstractResourceMatcher
// and RangerDefaultResourceMatcher.
type elementMatcher struct {
	def      *ranger.ResourceDef
	values   []naming.Pattern
	special  []*specialValue // by value; nil where no value needs more than its pattern
	any      bool            // a value of '*' alone, or none
	excludes bool
	dynamic  bool // a value with macros
	ascii    bool // no value has other characters than ASCII
}

func newElementMatcher(def *ranger.ResourceDef, r ranger.PolicyResource, scripts ScriptCompiler) elementMatcher {
	m := elementMatcher{def: def, excludes: r.IsExcludes, ascii: true}
	options := newMatcherOptions(def, r.IsRecursive)
	options.scripts = scripts
	for _, value := range r.Values {
		if value == "" {
			continue
		}
		v := newValueMatcher(value, options)
		if v.pattern.MatchesAll() {
			m.values, m.special = nil, nil
			break
		}
		m.dynamic = m.dynamic || v.macro() != nil
		m.ascii = m.ascii && naming.IsASCII(value)
		m.add(v, len(r.Values))
	}
	m.any = len(m.values) == 0
	m.dynamic = m.dynamic && !m.any
	return m
}

func (m *elementMatcher) add(v valueMatcher, capacity int) {
	if m.values == nil {
		m.values = make([]naming.Pattern, 0, capacity)
	}
	m.values = append(m.values, v.pattern)
	if v.special != nil && m.special == nil {
		m.special = make([]*specialValue, len(m.values)-1, capacity)
	}
	if m.special != nil {
		m.special = append(m.special, v.special)
	}
}

// value returns the matcher of the i-th value.
func (m *elementMatcher) value(i int) valueMatcher {
	if m.special == nil {
		return valueMatcher{pattern: m.values[i]}
	}
	return valueMatcher{m.values[i], m.special[i]}
}

// matcherOptions are what a resource definition says about its values.
type matcherOptions struct {
	fold, wildcard, recursive bool
	quotedCaseSensitive       bool
	quotes                    string
	separator                 byte // of path elements
	macros                    macroOptions
	scripts                   ScriptCompiler // may be nil
}

func newMatcherOptions(def *ranger.ResourceDef, recursive bool) matcherOptions {
	o := matcherOptions{
		fold:                def.MatcherOptions.Matching("ignoreCase", true),
		wildcard:            def.MatcherOptions.Matching("wildCard", true),
		quotedCaseSensitive: def.MatcherOptions.Matching("quotedCaseSensitive", false),
		quotes:              `"`,
		separator:           '/',
		macros:              newMacroOptions(def.MatcherOptions),
	}
	if q := def.MatcherOptions["quoteChars"]; q != "" {
		o.quotes = q
	}
	if s := def.MatcherOptions["pathSeparatorChar"]; s != "" {
		o.separator = s[0]
	}
	o.recursive = recursive && def.HasPaths()
	return o
}

// valueMatcher matches one value of a policy.
type valueMatcher struct {
	pattern naming.Pattern
	special *specialValue // nil for most values
}

// specialValue is what a value needs that is more than a pattern.
type specialValue struct {
	exact     naming.Pattern // the pattern with case; used for quoted names where the definition asks for it
	macro     *macroText
	recursive bool
	options   matcherOptions
}

func newValueMatcher(value string, o matcherOptions) valueMatcher {
	v := valueMatcher{pattern: naming.NewPattern(value, o.wildcard, o.fold)}
	macro := o.macros.applies(value)
	if !macro && !o.recursive && !o.quotedCaseSensitive {
		return v
	}
	v.special = &specialValue{recursive: o.recursive, options: o}
	if macro {
		v.special.macro = newMacroText(value, o)
	}
	if o.quotedCaseSensitive && o.fold {
		v.special.exact = naming.NewPattern(value, o.wildcard, false)
	}
	return v
}

// macro returns the value with its macros, nil when it has none.
func (m *valueMatcher) macro() *macroText {
	if m.special == nil {
		return nil
	}
	return m.special.macro
}

func (m *valueMatcher) match(name string, scope ElementScope, v *Values) bool {
	s := m.special
	if s == nil {
		return m.pattern.Match(name) || scope != ElementSelf && matchScope(m.pattern, name, scope)
	}
	if s.macro != nil {
		return s.macro.match(name, v, &s.options)
	}
	pattern := m.pattern
	if s.options.quotedCaseSensitive && s.options.fold && name != "" && strings.IndexByte(s.options.quotes, name[0]) >= 0 {
		pattern = s.exact
	}
	if s.recursive && matchRecursive(pattern, name, s.options.separator) {
		return true
	}
	return pattern.Match(name) || scope != ElementSelf && matchScope(pattern, name, scope)
}

// matchScope matches what the name may stand for besides itself: with prefix scope, whatever begins with it; with child
// scope, a path one element longer.
func matchScope(p naming.Pattern, name string, scope ElementScope) bool {
	if scope == ElementSelfOrPrefix {
		return p.MatchesBeginning(name)
	}
	if p.IgnoresCase() {
		name = naming.Canonical(name)
	}
	base := strings.TrimSuffix(name, "/") + "/"
	rest, ok := strings.CutPrefix(p.Prefix(), base)
	return ok && !strings.Contains(strings.TrimSuffix(rest, "/"), "/") || p.Match(base)
}

// matchRecursive matches a path that lies below one that the pattern matches.
func matchRecursive(p naming.Pattern, path string, separator byte) bool {
	if literal, ok := p.Exact(); ok {
		if p.IgnoresCase() {
			path = naming.Canonical(path)
		}
		rest, below := strings.CutPrefix(path, literal)
		return below && (rest == "" || rest[0] == separator || strings.HasSuffix(literal, string(separator)))
	}
	for i := 1; i < len(path); i++ {
		if path[i] == separator && p.Match(path[:i]) {
			return true
		}
	}
	return false
}

// matches reports whether one of the element's values matches; a nil element asks for all values.
func (m *elementMatcher) matches(e *Element, v *Values) bool {
	all := e == nil || (e.Value == "" || e.Value == "*") && len(e.Also) == 0 && e.Scope != ElementSelfOrPrefix
	matched := m.any
	if !all && !m.any {
		matched = m.matchName(e.Value, e.Scope, v)
		for i := 0; i < len(e.Also) && !matched; i++ {
			matched = m.matchName(e.Also[i], e.Scope, v)
		}
	}
	if !m.excludes || all && !m.any { // asking for all values, excludes has no effect unless it excludes all
		return matched
	}
	return !matched
}

func (m *elementMatcher) matchName(name string, scope ElementScope, v *Values) bool {
	for i := range m.values {
		if m.special == nil && scope == ElementSelf {
			if m.values[i].Match(name) {
				return true
			}
		} else if value := m.value(i); value.match(name, scope, v) {
			return true
		}
	}
	return false
}

// matchesLoosely reports whether a name that does not match does so when names are compared by [naming.Loose].
func (m *elementMatcher) matchesLoosely(e *Element) bool {
	if m.any || m.excludes || e == nil || m.ascii && naming.IsASCII(e.Value) {
		return false // what is not excluded by its very name matches already
	}
	for i := range m.values {
		if v := m.value(i); v.matchLoosely(e.Value) {
			return true
		}
	}
	return false
}

func (m *valueMatcher) matchLoosely(name string) bool {
	return m.pattern.IgnoresCase() && m.macro() == nil && m.pattern.Loose().Match(naming.Loose(name))
}

// Matcher matches one map of resources of a policy, level by level from the root. Source:
// RangerDefaultPolicyResourceMatcher. Ranger picks a hierarchy of the service definition that holds both the policy's
// and the request's levels; as hierarchies are paths of a forest and neither may have gaps, that is the same as one
// path being the beginning of the other.
type Matcher struct {
	levels     []elementMatcher
	lastNonAny int // the deepest level that is not '*', -1 when there is none
	dynamic    bool
	ascii      bool // no value has other characters than ASCII
}

// New compiles resources; ok is false when there are none or they are on no path of the forest, and so
// never match.
func New(f *Forest, resources map[string]ranger.PolicyResource, scripts ScriptCompiler) (m Matcher, ok bool) {
	if len(resources) == 0 {
		return m, false
	}
	m = Matcher{levels: make([]elementMatcher, len(resources)), lastNonAny: -1, ascii: true}
	for name, r := range resources {
		def, depth := f.find(name)
		if def == nil || depth >= len(resources) {
			return m, false
		}
		m.levels[depth] = newElementMatcher(def, r, scripts)
	}
	for i := range m.levels {
		level := &m.levels[i]
		if level.def == nil || i > 0 && level.def.Parent != m.levels[i-1].def.Name {
			return m, false
		}
		if !level.any {
			m.lastNonAny = i
		}
		m.dynamic = m.dynamic || level.dynamic
		m.ascii = m.ascii && level.ascii
	}
	return m, true
}

// Match compares with the path of the request, which must come from the same forest; loosely, with names compared by
// [naming.Loose].
func (m *Matcher) Match(path []*Element, v *Values, loosely bool) Type {
	result := None
	if len(path) == 0 {
		result = Self
	}
	for i := range m.levels {
		level := &m.levels[i]
		var e *Element
		if i < len(path) {
			e = path[i]
			if e.Name != level.def.Name {
				return None
			}
		}
		if e == nil && !level.any {
			continue
		}
		if !level.matches(e, v) && !(loosely && level.matchesLoosely(e)) {
			return None
		}
		result = Self
	}
	switch {
	case len(path) > len(m.levels):
		return Ancestor
	case result == Self && len(path) < len(m.levels):
		if len(path) > m.lastNonAny {
			return SelfAndAllDescendants
		}
		return Descendant
	}
	return result
}

// WithWildcards returns the matcher of whatever the macros may come to.
func (m *Matcher) WithWildcards() *Matcher {
	wide := *m
	wide.levels = slices.Clone(m.levels)
	for i := range wide.levels {
		level := &wide.levels[i]
		if !level.dynamic {
			continue
		}
		level.values, level.special, level.dynamic = slices.Clone(level.values), slices.Clone(level.special), false
		for i, special := range level.special {
			if special != nil && special.macro != nil {
				level.values[i], level.special[i] = naming.NewPattern(special.macro.withWildcards(), true, special.options.fold), nil
			}
		}
	}
	return &wide
}

// SamplePath returns a path of names that whatever covers the matcher's patterns matches, too: the texts of the patterns.
func (m *Matcher) SamplePath() *Path {
	p := &Path{Elements: make([]*Element, len(m.levels)), OK: true}
	for i := range m.levels {
		p.Elements[i] = &Element{Name: m.levels[i].def.Name}
		if level := &m.levels[i]; !level.any {
			p.Elements[i].Value = level.values[0].String()
		}
	}
	p.fold()
	return p
}

// Dynamic reports whether what the matcher names depends on the request, by a macro.
func (m *Matcher) Dynamic() bool { return m.dynamic }

// IsASCII reports whether no value has other characters than ASCII.
func (m *Matcher) IsASCII() bool { return m.ascii }
