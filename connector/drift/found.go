package drift

import (
	"slices"

	"ucwarden/policy"
)

// Found is the drift in some changes: grants that others made and no policy asks for, grants that others took away, and row filters and
// masks that they took off or changed.
type Found struct {
	Excess     int      `json:"excess,omitempty"`
	Missing    int      `json:"missing,omitempty"`
	Securables []string `json:"securables,omitempty"` // the first of those they are on
	// Protection is how many row filters and masks, on Tables.
	Protection int      `json:"protection,omitempty"`
	Tables     []string `json:"tables,omitempty"` // the first of them
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
			f.Add(Found{Excess: excess, Missing: missing, Securables: []string{c.Securable.String()}})
		}
	}
	return f
}

// OfProtection returns the drift in changes of row filters and masks.
func OfProtection(changes []policy.ProtectionChange) (f Found) {
	for i := range changes {
		if n := changes[i].PutBack; n > 0 {
			f.Add(Found{Protection: n, Tables: []string{changes[i].Table.String()}})
		}
	}
	return f
}

// Add adds the drift in other changes.
func (f *Found) Add(other Found) {
	f.Excess, f.Missing, f.Protection = f.Excess+other.Excess, f.Missing+other.Missing, f.Protection+other.Protection
	f.Securables, f.Tables = addNames(f.Securables, other.Securables), addNames(f.Tables, other.Tables)
}

func addNames(list, more []string) []string {
	for _, s := range more {
		if len(list) < maxNames && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}
