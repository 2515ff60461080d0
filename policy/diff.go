package policy

import "slices"

// Mode says how far a sync may go.
type Mode string

// The modes.
const (
	ModeEnforce   Mode = "enforce"    // grant and revoke
	ModeGrantOnly Mode = "grant-only" // never revoke
	ModeObserve   Mode = "observe"    // plan and report, change nothing
)

// DiffInput is what a diff compares.
type DiffInput struct {
	Read    []Securable // whose current grants are known; grants on others are never changed
	Current *GrantSet
	Desired *GrantSet
	Scope   Scope
	Mode    Mode
	// Kept is called, if it is not nil, for each grant that is not removed because our own access may depend on it.
	Kept func(Securable, Assignment)
	// NotRevoked is called, if it is not nil, for each grant that is not removed because of ModeGrantOnly.
	NotRevoked func(Securable, Assignment)
	// Expresses tells whether the policies could say a privilege on a type of securable at all. What they cannot say
	// is not theirs to take away. Nil means they can say everything.
	Expresses func(SecurableType, Privilege) bool
	// Unmanaged collects, if it is not nil, what is left alone because of its privilege.
	Unmanaged *Unmanaged
}

// Diff returns the changes that lead from the current to the desired grants on the securables that were read, and counts
// them. Only grants that the scope manages are changed; with ModeGrantOnly nothing is removed.
//
// Each securable has one change. Package order says in which order they may be applied.
func Diff(in DiffInput) ([]Change, Totals) {
	totals := Totals{Securables: len(in.Read)}
	managed := managedPrincipals{scope: in.Scope, known: make(map[Principal]bool)}
	var changes []Change
	current, desired := grantReader{set: in.Current}, grantReader{set: in.Desired}
	for _, s := range in.Read {
		addsOnly := in.Scope.AddsOnly(s) // USE_CATALOG alone, and nothing is taken away
		if !in.Scope.inRoots(s) || !addsOnly && !in.Scope.Filters(s) {
			continue
		}
		c := Change{Securable: s}
		have, want := current.of(s), desired.of(s)
		totals.Grants += len(have)
		for i, j := 0, 0; i < len(have) || j < len(want); {
			order := 0
			switch {
			case i == len(have):
				order = 1
			case j == len(want):
				order = -1
			default:
				order = CompareAssignments(have[i], want[j])
			}
			switch {
			case order == 0:
				if managed.has(have[i].Principal) {
					totals.Managed++
					totals.Desired++
				}
				i++
				j++
			case order < 0:
				if a := have[i]; !addsOnly && !managed.has(a.Principal) && in.Scope.leavesOut(a.Principal) {
					in.Unmanaged.note(s, a, true, "the principal is outside the scope that scope.users, scope.groups and scope.roles set")
				} else if !addsOnly && managed.has(a.Principal) {
					why := in.Scope.Keeps(s.Type, a.Privilege, in.Expresses)
					switch {
					case why != "":
						in.Unmanaged.note(s, a, true, why)
					case in.Mode == ModeGrantOnly:
						totals.Managed++
						totals.NotRevoked++
						if in.NotRevoked != nil {
							in.NotRevoked(s, a)
						}
					case !in.Scope.keepsOwn(s, a):
						totals.Managed++
						c.Remove = append(c.Remove, a)
					case in.Kept != nil:
						in.Kept(s, a)
					}
				}
				i++
			default:
				if a := want[j]; managed.has(a.Principal) && (!addsOnly || a.Privilege == UseCatalog) {
					if why := in.Scope.LeavesAlone(s.Type, a.Privilege); why != "" {
						in.Unmanaged.note(s, a, false, why)
					} else {
						totals.Desired++
						c.Add = append(c.Add, a)
					}
				}
				j++
			}
		}
		if len(c.Add)+len(c.Remove) > 0 {
			totals.Changed++
			totals.Adds += len(c.Add)
			totals.Removes += len(c.Remove)
			changes = append(changes, c)
		}
	}
	totals.StillHeld = stillHeld(changes, in.Current)
	return changes, totals
}

// stillHeld counts the removes of what its principal holds all the same, by another grant on the securable or above it that
// stands and stays or is added: nobody loses anything by them.
func stillHeld(changes []Change, current *GrantSet) int {
	at := make(map[Securable]*Change, len(changes))
	for i := range changes {
		at[changes[i].Securable] = &changes[i]
	}
	held := func(on Securable, a Assignment) bool {
		for s, ok := on, true; ok; s, ok = s.Parent() {
			c := at[s]
			confers := func(by Assignment) bool { return by.Principal == a.Principal && by.Privilege.Implies(a.Privilege) }
			if c != nil && slices.ContainsFunc(c.Add, confers) {
				return true
			}
			if slices.ContainsFunc(current.Of(s), func(by Assignment) bool {
				return confers(by) && (c == nil || !slices.Contains(c.Remove, by))
			}) {
				return true
			}
		}
		return false
	}
	n := 0
	for _, c := range changes {
		for _, a := range c.Remove {
			if held(c.Securable, a) {
				n++
			}
		}
	}
	return n
}

// managedPrincipals remembers the scope's answers: principals are few, grants are many.
type managedPrincipals struct {
	scope Scope
	known map[Principal]bool
}

func (m managedPrincipals) has(p Principal) bool {
	yes, ok := m.known[p]
	if !ok {
		yes = m.scope.Manages(p)
		m.known[p] = yes
	}
	return yes
}
