package policy

import (
	"slices"
	"strings"
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

// MatchType says how a policy's resources lie to the one asked for. Source: RangerPolicyResourceMatcher.MatchType.
type MatchType uint8

// The match types, in Ranger's order of precedence.
const (
	MatchNone                  MatchType = iota
	MatchSelf                            // the policy names the resource itself
	MatchSelfAndAllDescendants           // and everything below it, by '*' on each level
	MatchAncestor                        // the policy names something above the resource
	MatchDescendant                      // the policy names something below the resource
)

var matchTypeNames = [...]string{"NONE", "SELF", "SELF_AND_ALL_DESCENDANTS", "ANCESTOR", "DESCENDANT"}

func (m MatchType) String() string { return matchTypeNames[m] }

// parseMatchType reads Ranger's spelling; anything unknown is SELF, the default of a tag in a request.
func parseMatchType(s string) MatchType {
	if i := slices.Index(matchTypeNames[:], s); i >= 0 {
		return MatchType(i)
	}
	return MatchSelf
}

// elementMatcher matches the values that a policy names for one resource level. Source: RangerAbstractResourceMatcher
// and RangerDefaultResourceMatcher.
type elementMatcher struct {
	def      *ResourceDef
	values   []valueMatcher
	any      bool // a value of '*' alone, or none
	excludes bool
	dynamic  bool // a value with macros
}

func newElementMatcher(def *ResourceDef, r PolicyResource) elementMatcher {
	m := elementMatcher{def: def, excludes: r.IsExcludes}
	options := newMatcherOptions(def, r.IsRecursive)
	for _, value := range r.Values {
		if value == "" {
			continue
		}
		v := newValueMatcher(value, options)
		if v.pattern.MatchesAll() {
			m.values = nil
			break
		}
		m.dynamic = m.dynamic || v.macro != nil
		m.values = append(m.values, v)
	}
	m.any = len(m.values) == 0
	m.dynamic = m.dynamic && !m.any
	return m
}

// matcherOptions are what a resource definition says about its values.
type matcherOptions struct {
	fold, wildcard, recursive bool
	quotedCaseSensitive       bool
	quotes                    string
	separator                 byte // of path elements
	macros                    macroOptions
}

func newMatcherOptions(def *ResourceDef, recursive bool) matcherOptions {
	o := matcherOptions{
		fold:                def.MatcherOptions.Bool("ignoreCase", true),
		wildcard:            def.MatcherOptions.Bool("wildCard", true),
		quotedCaseSensitive: def.MatcherOptions.Bool("quotedCaseSensitive", false),
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
	// Only paths and URLs have descendants in their own value.
	o.recursive = recursive && (strings.HasSuffix(def.Matcher, "RangerPathResourceMatcher") || strings.HasSuffix(def.Matcher, "RangerURLResourceMatcher"))
	return o
}

// valueMatcher matches one value of a policy.
type valueMatcher struct {
	pattern   Pattern
	exact     Pattern // the same, with case; used for quoted names where the definition asks for it
	macro     *macroText
	recursive bool
	options   *matcherOptions // nil unless macro, quotes or recursion need them
}

func newValueMatcher(value string, o matcherOptions) valueMatcher {
	v := valueMatcher{pattern: NewPattern(value, o.wildcard, o.fold)}
	if o.macros.applies(value) {
		v.macro = newMacroText(value, o.wildcard, o.macros)
	}
	if v.macro != nil || o.recursive || o.quotedCaseSensitive {
		v.options, v.recursive = &o, o.recursive
	}
	if o.quotedCaseSensitive && o.fold {
		v.exact = NewPattern(value, o.wildcard, false)
	}
	return v
}

func (v *valueMatcher) match(name string, scope ElementScope, ctx *evalContext) bool {
	if v.options == nil {
		return v.pattern.Match(name) || scope != ElementSelf && v.matchScope(v.pattern, name, scope)
	}
	if v.macro != nil {
		return v.macro.match(name, ctx, v.options)
	}
	pattern := v.pattern
	if v.options.quotedCaseSensitive && v.options.fold && name != "" && strings.IndexByte(v.options.quotes, name[0]) >= 0 {
		pattern = v.exact
	}
	if v.recursive && matchRecursive(pattern, name, v.options.separator) {
		return true
	}
	return pattern.Match(name) || scope != ElementSelf && v.matchScope(pattern, name, scope)
}

// matchScope matches what the name may stand for besides itself: with prefix scope, whatever begins with it; with child
// scope, a path one element longer.
func (v *valueMatcher) matchScope(p Pattern, name string, scope ElementScope) bool {
	if p.fold {
		name = strings.ToLower(name)
	}
	if scope == ElementSelfOrPrefix {
		return p.matchesBeginning(name)
	}
	base := strings.TrimSuffix(name, "/") + "/"
	rest, ok := strings.CutPrefix(p.Prefix(), base)
	return ok && !strings.Contains(strings.TrimSuffix(rest, "/"), "/") || p.Match(base)
}

// matchesBeginning reports whether some name that begins with the given text matches. The text must be folded where the
// pattern is. It follows every position in the pattern that the text may lead to.
func (p Pattern) matchesBeginning(text string) bool {
	switch p.kind {
	case patternAny:
		return true
	case patternExact:
		return strings.HasPrefix(p.text, text)
	case patternPrefix:
		return strings.HasPrefix(p.text, text) || strings.HasPrefix(text, p.text)
	}
	at := make([]bool, len(p.text)+1)
	skipStars := func() {
		for i := range len(p.text) {
			if at[i] && p.text[i] == '*' {
				at[i+1] = true
			}
		}
	}
	at[0] = true
	skipStars()
	for _, c := range []byte(text) {
		next := make([]bool, len(p.text)+1)
		for i := range len(p.text) {
			switch {
			case !at[i]:
			case p.text[i] == '*':
				next[i] = true
			case p.text[i] == '?' || p.text[i] == c:
				next[i+1] = true
			}
		}
		at = next
		skipStars()
	}
	return slices.Contains(at, true)
}

// matchRecursive matches a path that lies below one that the pattern matches.
func matchRecursive(p Pattern, path string, separator byte) bool {
	if literal, ok := p.Exact(); ok {
		if p.fold {
			path = strings.ToLower(path)
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
func (m *elementMatcher) matches(e *Element, ctx *evalContext) bool {
	all := e == nil || (e.Value == "" || e.Value == "*") && len(e.Also) == 0 && e.Scope != ElementSelfOrPrefix
	matched := m.any
	if !all && !m.any {
		matched = m.matchName(e.Value, e.Scope, ctx)
		for i := 0; i < len(e.Also) && !matched; i++ {
			matched = m.matchName(e.Also[i], e.Scope, ctx)
		}
	}
	if !m.excludes || all && !m.any { // asking for all values, excludes has no effect unless it excludes all
		return matched
	}
	return !matched
}

func (m *elementMatcher) matchName(name string, scope ElementScope, ctx *evalContext) bool {
	for i := range m.values {
		if m.values[i].match(name, scope, ctx) {
			return true
		}
	}
	return false
}

// resourceMatcher matches one map of resources of a policy, level by level from the root. Source:
// RangerDefaultPolicyResourceMatcher. Ranger picks a hierarchy of the service definition that holds both the policy's
// and the request's levels; as hierarchies are paths of a forest and neither may have gaps, that is the same as one
// path being the beginning of the other.
type resourceMatcher struct {
	levels     []elementMatcher
	lastNonAny int // the deepest level that is not '*', -1 when there is none
	dynamic    bool
}

// newResourceMatcher compiles resources; nil when there are none or they are on no path of the forest, and so never
// match.
func newResourceMatcher(f *forest, resources map[string]PolicyResource) *resourceMatcher {
	if len(resources) == 0 {
		return nil
	}
	m := &resourceMatcher{levels: make([]elementMatcher, len(resources)), lastNonAny: -1}
	for name, r := range resources {
		def, depth := f.find(name)
		if def == nil || depth >= len(resources) {
			return nil
		}
		m.levels[depth] = newElementMatcher(def, r)
	}
	for i := range m.levels {
		level := &m.levels[i]
		if level.def == nil || i > 0 && level.def.Parent != m.levels[i-1].def.Name {
			return nil
		}
		if !level.any {
			m.lastNonAny = i
		}
		m.dynamic = m.dynamic || level.dynamic
	}
	return m
}

// match compares with the path of the request, which must come from the same forest.
func (m *resourceMatcher) match(path []*Element, ctx *evalContext) MatchType {
	result := MatchNone
	if len(path) == 0 {
		result = MatchSelf
	}
	for i := range m.levels {
		level := &m.levels[i]
		var e *Element
		if i < len(path) {
			e = path[i]
			if e.Name != level.def.Name {
				return MatchNone
			}
		}
		if e == nil && !level.any {
			continue
		}
		if !level.matches(e, ctx) {
			return MatchNone
		}
		result = MatchSelf
	}
	switch {
	case len(path) > len(m.levels):
		return MatchAncestor
	case result == MatchSelf && len(path) < len(m.levels):
		if len(path) > m.lastNonAny {
			return MatchSelfAndAllDescendants
		}
		return MatchDescendant
	}
	return result
}

// forest is the resource trees that policies of one type follow.
type forest struct {
	names []string // parallel slices: a handful of names is faster searched than hashed
	defs  []*ResourceDef
	depth []int
}

func newForest(hierarchies [][]*ResourceDef) *forest {
	f := &forest{}
	for _, h := range hierarchies {
		for depth, def := range h {
			if !slices.Contains(f.names, def.Name) {
				f.names, f.defs, f.depth = append(f.names, def.Name), append(f.defs, def), append(f.depth, depth)
			}
		}
	}
	return f
}

func (f *forest) find(name string) (def *ResourceDef, depth int) {
	for i, n := range f.names {
		if n == name {
			return f.defs[i], f.depth[i]
		}
	}
	return nil, 0
}

// maxDepth bounds the levels of a request's path; deeper trees than this do not exist in any service definition.
const maxDepth = 16

// path orders the elements of a resource from the root into buf; ok is false when they form no path without gaps.
func (f *forest) path(r Resource, buf *[maxDepth]*Element) (path []*Element, ok bool) {
	if len(r) > maxDepth {
		return nil, false
	}
	path = buf[:len(r)]
	clear(path)
	for i := range r {
		def, depth := f.find(r[i].Name)
		if def == nil || depth >= len(r) || path[depth] != nil {
			return nil, false
		}
		path[depth] = &r[i]
	}
	for i := 1; i < len(path); i++ {
		if def, _ := f.find(path[i].Name); def.Parent != path[i-1].Name {
			return nil, false
		}
	}
	return path, true
}
