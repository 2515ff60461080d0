package connector

import (
	"fmt"
	"slices"

	"ucwarden/connector/load"
	"ucwarden/policy"
	"ucwarden/policy/compile"
)

// asFarAsKnown returns the desired grants, as far as what could not be looked at lets them be pushed, and findings on what is
// held back for it.
func asFarAsKnown(l *load.Found, desired *policy.GrantSet, compiler *compile.Compiler) (*policy.GrantSet, []policy.Finding) {
	desired, sleeping := withoutSleeping(l, keepWhatRelies(l, desired, compiler))
	desired, closed := withoutNewUse(l, desired)
	return desired, slices.Concat(closed, sleeping)
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
				stays = usesOf[s.Type]
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

// usesOf are the USE_* of a type of container.
var usesOf = map[policy.SecurableType]policy.PrivilegeSet{
	policy.Catalog: policy.NewPrivilegeSet(policy.UseCatalog, policy.UseSchema),
	policy.Schema:  policy.NewPrivilegeSet(policy.UseSchema),
}

// opens reports whether a grant on a container opens a way that its principal does not have there.
func opens(l *load.Found, container policy.Securable, a policy.Assignment) bool {
	uses := a.Privilege.Set().WithImplied() & usesOf[container.Type]
	for _, have := range l.Current.Of(container) {
		if have.Principal == a.Principal {
			uses &^= have.Privilege.Set().WithImplied()
		}
	}
	return uses != 0
}

// withoutNewUse returns the desired grants without what opens a way, that its principal does not have yet, to what could not
// be looked at: a grant there that is to be revoked would wake. The findings say so. A sync that has read everything grants
// it.
func withoutNewUse(l *load.Found, desired *policy.GrantSet) (kept *policy.GrantSet, findings []policy.Finding) {
	kept = desired
	for _, left := range l.Left {
		if !left.MayWake() {
			continue
		}
		for c, ok := left.Securable, true; ok; c, ok = c.Parent() {
			var rest []policy.Assignment
			for _, a := range kept.Of(c) {
				if !opens(l, c, a) {
					rest = append(rest, a)
					continue
				}
				findings = append(findings, policy.Finding{
					Effect: policy.EffectNarrower, Securable: c, Principal: a.Principal, Privilege: a.Privilege,
					Message: fmt.Sprintf("%s is not granted %s on %s yet: %s, and what was granted there may be to be revoked first", a.Principal, a.Privilege, c, left),
				})
			}
			if len(rest) == len(kept.Of(c)) {
				continue
			}
			if kept == desired {
				kept = desired.Clone()
			}
			kept.Set(c, rest)
		}
	}
	return kept, findings
}

// withoutSleeping returns the desired grants without those that are new and that the policies give no way to, where what
// closes the way could not be looked at: by the USE_* that may stand there they would confer what nobody is allowed.
func withoutSleeping(l *load.Found, desired *policy.GrantSet) (kept *policy.GrantSet, findings []policy.Finding) {
	kept = desired
	for _, left := range l.Left {
		if left.Listing || !left.Securable.Type.IsContainer() {
			continue
		}
		for _, s := range l.Read {
			if !left.Securable.Contains(s) {
				continue
			}
			have := l.Current.Of(s)
			var rest []policy.Assignment
			for _, a := range kept.Of(s) {
				if slices.Contains(have, a) || a.Privilege.IsUse() || wayTo(desired, s, a.Principal) {
					rest = append(rest, a)
					continue
				}
				findings = append(findings, policy.Finding{
					Effect: policy.EffectNarrower, Securable: s, Principal: a.Principal, Privilege: a.Privilege,
					Message: fmt.Sprintf("%s is not granted %s on %s yet: %s, where the way to it may still have to be closed", a.Principal, a.Privilege, s, left),
				})
			}
			if len(rest) == len(kept.Of(s)) {
				continue
			}
			if kept == desired {
				kept = desired.Clone()
			}
			kept.Set(s, rest)
		}
	}
	return kept, findings
}

// wayTo reports whether a principal has the USE_* on the containers above an object, or inside which a schema is.
func wayTo(grants *policy.GrantSet, s policy.Securable, p policy.Principal) bool {
	if !holdsUse(grants, s, p, policy.UseCatalog) {
		return false
	}
	return s.Type == policy.Schema || holdsUse(grants, s, p, policy.UseSchema)
}
