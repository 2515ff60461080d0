package drift

import (
	"slices"

	"ucwarden/policy"
)

// Found is the drift in some changes: grants that others made and no policy asks for, and grants that others took away.
type Found struct {
	Excess     int      `json:"excess,omitempty"`
	Missing    int      `json:"missing,omitempty"`
	Securables []string `json:"securables,omitempty"` // the first of those they are on
}

// maxNames is how many securables are named.
const maxNames = 20

// Of returns the drift in changes with their causes: what a plan would put right, or what was put right by what was changed.
func Of(changes []policy.Change) (f Found) {
	for _, c := range changes {
		excess, missing := 0, 0
		for _, a := range c.Remove {
			if cause := c.Causes.Of(policy.ActRemove, a); cause.Kind == policy.CauseDrift && !cause.PoliciesChanged {
				excess++
			}
		}
		for _, a := range c.Add {
			if c.Causes.Of(policy.ActAdd, a).PutBack {
				missing++
			}
		}
		if excess+missing > 0 {
			f.Add(Found{excess, missing, []string{c.Securable.String()}})
		}
	}
	return f
}

// Add adds the drift in other changes.
func (f *Found) Add(other Found) {
	f.Excess, f.Missing = f.Excess+other.Excess, f.Missing+other.Missing
	for _, s := range other.Securables {
		if len(f.Securables) < maxNames && !slices.Contains(f.Securables, s) {
			f.Securables = append(f.Securables, s)
		}
	}
}
