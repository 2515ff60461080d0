package written

import (
	"slices"
	"sync"

	"ucwarden/connector/load"
	"ucwarden/policy"
)

// Standing is what was granted on a securable, with ALL_PRIVILEGES where the workspace shows it written out.
type Standing struct {
	Securable policy.Securable    `json:"securable"`
	Kind      policy.Kind         `json:"kind,omitempty"`
	Grants    []policy.Assignment `json:"grants"`
}

// Before returns what was granted on what is changed, as far as it was read for the plan.
func Before(l *load.Found, changes []policy.Change) []Standing {
	var list []Standing
	for _, c := range slices.SortedFunc(slices.Values(changes), func(a, b policy.Change) int { return a.Securable.Compare(b.Securable) }) {
		again := len(list) > 0 && list[len(list)-1].Securable == c.Securable
		if _, read := slices.BinarySearchFunc(l.Read, c.Securable, policy.Securable.Compare); read && !again {
			list = append(list, Standing{c.Securable, l.Kinds[c.Securable], l.Current.Of(c.Securable)})
		}
	}
	return list
}

// Watch is what is granted on the securables of a plan while it is applied, to notice what others change.
type Watch struct {
	mu       sync.Mutex
	expected map[policy.Securable]Standing
	drifted  map[policy.Securable]bool
}

// NewWatch returns a watch for what was granted on the securables of a plan when it was made.
func NewWatch(stood []Standing) *Watch {
	w := &Watch{expected: make(map[policy.Securable]Standing, len(stood)), drifted: make(map[policy.Securable]bool)}
	for _, s := range stood {
		w.expected[s.Securable] = s
	}
	return w
}

// Of returns what is granted on s, as far as the plan and the answers to its changes say.
func (w *Watch) Of(s policy.Securable) Standing {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.expected[s]
}

// Landed notes a change with the grants that its answer shows.
func (w *Watch) Landed(c policy.Change, have []policy.Assignment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, known := w.expected[c.Securable]
	if !known {
		return
	}
	e.Grants = c.AppliedTo(e.Grants)
	w.expected[c.Securable] = e
	shown := &policy.GrantSet{}
	shown.Set(c.Securable, have)
	w.drifted[c.Securable] = !slices.Equal(shown.Of(c.Securable), e.Grants)
}

// Changed returns the securables whose grants are not what the plan counted on, sorted.
func (w *Watch) Changed() []policy.Securable {
	var list []policy.Securable
	for s, drifted := range w.drifted {
		if drifted {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, policy.Securable.Compare)
	return list
}
