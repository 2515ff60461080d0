package match

import (
	"strings"
)

// Covers reports whether q matches whatever p matches, with what lies below where policies are inherited.
func (q *Matcher) Covers(p *Matcher, inherit bool) bool {
	if len(q.levels) > len(p.levels) || len(q.levels) < len(p.levels) && !inherit {
		return false
	}
	for i := range q.levels {
		if q.levels[i].def != p.levels[i].def || !coversLevel(&q.levels[i], &p.levels[i]) {
			return false
		}
	}
	return true
}

// Apart reports whether it is certain that nothing matches both, nor anything below: at a level that both have, the names of one
// are none of the other.
func (q *Matcher) Apart(p *Matcher) bool {
	for i := range min(len(q.levels), len(p.levels)) {
		a, b := &q.levels[i], &p.levels[i]
		if a.def != b.def {
			return true // of other branches
		}
		if a.any || b.any || a.excludes || b.excludes {
			continue
		}
		if eachValue(a, func(v *valueMatcher) bool { return eachValue(b, func(w *valueMatcher) bool { return disjoint(v, w) }) }) {
			return true
		}
	}
	return false
}

// coversLevel reports whether q matches every name that p matches. It errs on the side of no.
func coversLevel(q, p *elementMatcher) bool {
	switch {
	case q.any:
		return !q.excludes
	case p.any:
		return false
	case q.excludes && p.excludes:
		return eachValue(q, func(v *valueMatcher) bool {
			return someValue(p, func(w *valueMatcher) bool { return coversValue(w, v) })
		})
	case q.excludes:
		return eachValue(p, func(v *valueMatcher) bool { return eachValue(q, func(w *valueMatcher) bool { return disjoint(v, w) }) })
	case p.excludes:
		return false
	}
	return eachValue(p, func(v *valueMatcher) bool {
		return someValue(q, func(w *valueMatcher) bool { return coversValue(w, v) })
	})
}

func eachValue(m *elementMatcher, is func(*valueMatcher) bool) bool {
	return !someValue(m, func(v *valueMatcher) bool { return !is(v) })
}

func someValue(m *elementMatcher, is func(*valueMatcher) bool) bool {
	for i := range m.values {
		if v := m.value(i); is(&v) {
			return true
		}
	}
	return false
}

// coversValue reports whether q matches every name that p matches. A value with macros covers only its like.
func coversValue(q, p *valueMatcher) bool {
	switch {
	case q.recursive() != p.recursive():
		return false
	case q.macro() != nil || p.macro() != nil:
		return q.macro() != nil && p.macro() != nil && q.macro().source == p.macro().source
	}
	return q.pattern.Covers(p.pattern)
}

// disjoint reports whether it is certain that no name matches both.
func disjoint(a, b *valueMatcher) bool {
	if a.special != nil || b.special != nil {
		return false
	}
	if name, ok := a.pattern.Exact(); ok {
		return !b.pattern.Match(name)
	}
	if name, ok := b.pattern.Exact(); ok {
		return !a.pattern.Match(name)
	}
	x, y := a.pattern.Prefix(), b.pattern.Prefix()
	return !strings.HasPrefix(x, y) && !strings.HasPrefix(y, x)
}

func (m *valueMatcher) recursive() bool { return m.special != nil && m.special.recursive }
