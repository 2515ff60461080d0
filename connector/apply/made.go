package apply

import (
	"errors"
	"slices"

	"ucwarden/policy"
)

// ClearMade clears, of the outcomes of changes, the errors of those that were held back, where later outcomes made all that was left.
func ClearMade(changes []policy.Change, outcomes, later []Outcome) {
	made := make(map[policy.Securable][]policy.Assignment)
	for _, out := range later {
		adds, removes := out.Change.Acts()
		made[out.Change.Securable] = slices.Concat(made[out.Change.Securable], adds, removes)
	}
	for i := range outcomes {
		out := &outcomes[i]
		if !errors.Is(out.Err, ErrHeldBack) || i >= len(changes) || changes[i].Securable != out.Change.Securable {
			continue
		}
		adds, removes := out.Change.Acts()
		rest := changes[i].Filter(func(a policy.Assignment) bool {
			return !slices.Contains(adds, a) && !slices.Contains(removes, a) && !slices.Contains(made[out.Change.Securable], a)
		})
		if rest.Empty() {
			out.Err = nil
		}
	}
}
