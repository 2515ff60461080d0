package unread

import (
	"fmt"
	"slices"

	"ucwarden/connector/load"
	"ucwarden/policy"
	"ucwarden/policy/compile"
)

// AsFarAsKnown returns the desired grants, as far as what could not be looked at lets them be pushed, and findings on what is
// held back for it.
func AsFarAsKnown(l *load.Found, desired *policy.GrantSet, compiler *compile.Compiler) (*policy.GrantSet, []policy.Finding) {
	if len(l.Left) == 0 {
		return desired, nil
	}
	pushed, sleeping := withoutSleeping(l, desired, keepWhatRelies(l, desired, compiler))
	pushed, closed := withoutNewUse(l, pushed)
	return keepReplaced(l, desired, pushed), slices.Concat(closed, sleeping)
}

// keepReplaced returns pushed with what stands and is to go on as a grant to the same principal, or to everyone, on the same
// object or above, where that grant is held back: it waits for it.
func keepReplaced(l *load.Found, desired, pushed *policy.GrantSet) *policy.GrantSet {
	kept := pushed
	for _, s := range l.Read {
		for _, a := range l.Current.Of(s) {
			if slices.Contains(pushed.Of(s), a) {
				continue
			}
			for p := range a.Privilege.Set().WithImplied().All() {
				if !policy.Supports(s.Type, l.Kinds[s], p) || !confers(desired, s, a.Principal, p) || confers(pushed, s, a.Principal, p) {
					continue
				}
				if kept == pushed {
					kept = pushed.Clone()
				}
				kept.Add(policy.Grant{Securable: s, Principal: a.Principal, Privilege: p})
			}
		}
	}
	return kept
}

// confers reports whether grants on an object, or on the containers above it, give a principal a privilege there.
func confers(grants *policy.GrantSet, object policy.Securable, p policy.Principal, x policy.Privilege) bool {
	for s, ok := object, true; ok; s, ok = s.Parent() {
		if slices.ContainsFunc(grants.Of(s), func(a policy.Assignment) bool {
			return (a.Principal == p || a.Principal.IsEveryone()) && a.Privilege.Set().WithImplied().Has(x)
		}) {
			return true
		}
	}
	return false
}

// keepWhatRelies returns the desired grants with what stands and must stay because of what could not be looked at. On
// containers whose objects are not all known that is USE_*: who needs them there is not known either. Around a container
// whose own grants are not known, and so are not changed, it is what is to be granted on it instead: whoever holds it by
// another grant, on what is inside or above, would lose it.
func keepWhatRelies(l *load.Found, desired *policy.GrantSet, compiler *compile.Compiler) *policy.GrantSet {
	var unlisted, unread []policy.Securable
	for _, left := range l.Left {
		switch {
		case left.Listing:
			unlisted = append(unlisted, left.Securable)
		case left.Securable.Type.IsContainer():
			unread = append(unread, left.Securable)
		}
	}
	if len(unlisted)+len(unread) == 0 {
		return desired
	}
	kept := desired.Clone()
	var in map[policy.Principal][]policy.Principal
	if len(unread) > 0 {
		in = compiler.Memberships()
	}
	for _, s := range l.Read {
		related := func(u policy.Securable) bool { return u.Contains(s) || s.Contains(u) }
		useStays := s.Type.IsContainer() && (slices.ContainsFunc(unlisted, related) || slices.ContainsFunc(unread, related))
		for _, a := range l.Current.Of(s) {
			var stays policy.PrivilegeSet
			if useStays {
				stays = UsesOf(s.Type)
			}
			for _, u := range unread {
				if !related(u) {
					continue
				}
				for _, want := range desired.Of(u) {
					if want.Principal == a.Principal || want.Principal.IsEveryone() || slices.Contains(in[a.Principal], want.Principal) {
						stays |= want.Privilege.Set().WithImplied()
					}
				}
			}
			held := a.Privilege.Set()
			if stays&a.Privilege.Set() == 0 {
				held = held.WithImplied() // ALL_PRIVILEGES may go, what it gives beside stays
			}
			for p := range (held & stays).All() {
				if policy.Supports(s.Type, l.Kinds[s], p) {
					kept.Add(policy.Grant{Securable: s, Principal: a.Principal, Privilege: p})
				}
			}
		}
	}
	return kept
}

// withoutSleeping returns the desired grants without those that are new and whose required USE_* the policies do not grant, where USE_* that
// is to go stays, or cannot be looked at: by that they would confer what nobody is allowed.
func withoutSleeping(l *load.Found, desired, pushed *policy.GrantSet) (kept *policy.GrantSet, findings []policy.Finding) {
	left := usesLeft(l, desired, pushed)
	if len(left) == 0 {
		return pushed, nil
	}
	kept = pushed
	for _, s := range l.Read {
		have := l.Current.Of(s)
		var rest []policy.Assignment
		for _, a := range kept.Of(s) {
			use := -1
			if !slices.ContainsFunc(have, func(h policy.Assignment) bool { return h.Principal == a.Principal && h.Privilege.Implies(a.Privilege) }) {
				use = slices.IndexFunc(left, func(u useLeft) bool { return u.confers(s, a.Principal, desired) })
			}
			if use < 0 {
				rest = append(rest, a)
				continue
			}
			findings = append(findings, policy.Finding{
				Effect: policy.EffectNarrower, Securable: s, Principal: a.Principal, Privilege: a.Privilege,
				Message: fmt.Sprintf("%s is not granted %s on %s yet: USE_* is still to be revoked on %s, and %s", a.Principal, a.Privilege, s, left[use].on, left[use].left),
			})
		}
		if len(rest) == len(kept.Of(s)) {
			continue
		}
		if kept == pushed {
			kept = pushed.Clone()
		}
		kept.Set(s, rest)
	}
	return kept, findings
}

// useLeft is USE_* on a container that may be to go, and stays.
type useLeft struct {
	on   policy.Securable
	who  policy.Principal // nobody knows where it has no name
	use  policy.PrivilegeSet
	left load.LeftOut // why it stays
}

// usesLeft returns the USE_* that may be to go and stays: what could not be looked at, and what is kept for it.
func usesLeft(l *load.Found, desired, pushed *policy.GrantSet) []useLeft {
	var list []useLeft
	seen := make(map[policy.Securable]bool)
	for _, left := range l.Left {
		if u := left.Securable; u.Type.IsContainer() && !left.Listing {
			list = append(list, useLeft{on: u, use: UsesOf(u.Type), left: left})
		}
		for _, s := range l.Read {
			if !s.Type.IsContainer() || seen[s] || !left.Securable.Contains(s) && !s.Contains(left.Securable) {
				continue
			}
			seen[s] = true
			uses := make(map[policy.Principal]policy.PrivilegeSet)
			for _, a := range pushed.Of(s) {
				uses[a.Principal] |= a.Privilege.Set().WithImplied() & UsesOf(s.Type)
			}
			for _, a := range desired.Of(s) {
				uses[a.Principal] &^= a.Privilege.Set().WithImplied()
			}
			for _, a := range l.Current.Of(s) {
				if uses[a.Principal] != 0 {
					list = append(list, useLeft{on: s, who: a.Principal, use: uses[a.Principal], left: left})
					uses[a.Principal] = 0
				}
			}
		}
	}
	return list
}

// confers reports whether who may be principal p has by it USE_* which what is granted on s requires, and p has not by the grants.
func (u useLeft) confers(s policy.Securable, p policy.Principal, grants *policy.GrantSet) bool {
	inner := s
	if s.Contains(u.on) {
		inner = u.on
	} else if !u.on.Contains(s) {
		return false
	}
	if u.who != p && IsPerson(u.who) && IsPerson(p) {
		return false
	}
	for use := range u.use.All() {
		if !HoldsUse(grants, inner, p, use) {
			return true
		}
	}
	return false
}
