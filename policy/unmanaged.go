package policy

import (
	"fmt"
	"slices"
)

// Unmanaged collects, for the report, the grants that diffs leave alone because of their privilege, or of a principal outside
// the scope: those that stand and are not taken away, and those that the policies ask for and that are not made.
type Unmanaged struct{ found map[unmanagedKey]*Finding }

// unmanagedKey is what one finding is about. Grants are many; a finding names one securable, and counts the others.
type unmanagedKey struct {
	typ       SecurableType
	privilege Privilege
	principal Principal
	stands    bool
}

// note adds a grant that is left alone. A nil Unmanaged forgets it.
func (u *Unmanaged) note(s Securable, a Assignment, stands bool, why string) {
	if u == nil {
		return
	}
	key := unmanagedKey{s.Type, a.Privilege, a.Principal, stands}
	if f := u.found[key]; f != nil {
		f.Count++
		return
	}
	f := &Finding{Effect: EffectNone, Securable: s, Principal: a.Principal, Privilege: a.Privilege}
	if stands {
		f.Message = fmt.Sprintf("%s holds %s, which is left as it is: %s", a.Principal, a.Privilege, why)
	} else {
		f.Effect, f.Message = EffectNarrower, fmt.Sprintf("%s is not granted %s, which the policies give: %s", a.Principal, a.Privilege, why)
	}
	if u.found == nil {
		u.found = make(map[unmanagedKey]*Finding)
	}
	u.found[key] = f
}

// Findings returns one finding for each principal, privilege and type of securable, sorted.
func (u *Unmanaged) Findings() []Finding {
	list := make([]Finding, 0, len(u.found))
	for _, f := range u.found {
		list = append(list, *f)
	}
	slices.SortFunc(list, CompareFindings)
	return list
}
