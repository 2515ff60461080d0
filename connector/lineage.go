package connector

import "ucwarden/policy"

// lineages is a set of securables, asked about what is above or below them.
type lineages struct {
	failed map[policy.Securable]bool
	above  map[policy.Securable]bool // containers of what failed
}

func newLineages() *lineages {
	return &lineages{failed: make(map[policy.Securable]bool), above: make(map[policy.Securable]bool)}
}

func (l *lineages) add(s policy.Securable) {
	l.failed[s] = true
	for p, ok := s.Parent(); ok; p, ok = p.Parent() {
		l.above[p] = true
	}
}

func (l *lineages) touch(s policy.Securable) bool {
	if l.above[s] {
		return true
	}
	for ok := true; ok; s, ok = s.Parent() {
		if l.failed[s] {
			return true
		}
	}
	return false
}
