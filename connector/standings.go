package connector

import (
	"slices"
	"sync"

	"ucwarden/policy"
)

// standings is what is granted on the securables of a plan while it is applied, to notice what others change.
type standings struct {
	mu       sync.Mutex
	expected map[policy.Securable]*policy.GrantSet
	drifted  map[policy.Securable]bool
}

func newStandings(p *ShardPlan) *standings {
	w := &standings{expected: make(map[policy.Securable]*policy.GrantSet, len(p.Stood)), drifted: make(map[policy.Securable]bool)}
	for _, s := range p.Stood {
		g := &policy.GrantSet{}
		g.Set(s.Securable, s.Grants)
		w.expected[s.Securable] = g
	}
	return w
}

// landed notes a change with the grants that its answer shows. A nil standings notes nothing.
func (w *standings) landed(c policy.Change, have []policy.Assignment) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.expected[c.Securable]
	if g == nil {
		return
	}
	g.Set(c.Securable, c.AppliedTo(g.Of(c.Securable)))
	shown := &policy.GrantSet{}
	shown.Set(c.Securable, have)
	w.drifted[c.Securable] = !slices.Equal(shown.Of(c.Securable), g.Of(c.Securable))
}

// changed returns the securables whose grants are not what the plan counted on, sorted.
func (w *standings) changed() []policy.Securable {
	var list []policy.Securable
	for s, drifted := range w.drifted {
		if drifted {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, policy.Securable.Compare)
	return list
}
