package unread

import (
	"fmt"
	"slices"

	"ucwarden/connector/load"
	"ucwarden/policy"
)

// Kept is a plan beside grants that no policy asks for and that stay all the same, since our own access may depend on them.
type Kept struct {
	Grants []policy.Grant // which stay
	Known  bool           // whose grants are ours is known
	// Share reports whether somebody may have the grants of both principals; our own identity does not count. In lists the
	// groups that all members of a group are in.
	Share func(p, q policy.Principal) bool
	In    func(p policy.Principal) []policy.Principal

	Wanted  *policy.GrantSet // what policies grant
	Desired *policy.GrantSet // what of it is to be pushed
	Changes []policy.Change  // that lead there
}

// Beside returns the desired grants without those by which, together with what is kept, somebody would get access that they have
// neither now nor by the policies: USE_* that would wake what is kept, and what would be used through USE_* that is kept. USE_*
// that is to go stays where somebody may rely on what is held back instead. Without any of that it returns Desired itself. The
// first findings are of what is held back, the others of what stays.
func Beside(l *load.Found, k Kept) (pushed *policy.GrantSet, held, staying []policy.Finding) {
	w := beside{Found: l, Kept: k, pushed: k.Desired}
	sleeping := w.sleeping()
	for _, use := range []policy.Privilege{policy.UseSchema, policy.UseCatalog} { // USE_CATALOG wakes only where there is USE_SCHEMA
		for _, s := range sleeping {
			if s.lacks.Has(use) {
				w.withholdUse(s, use)
			}
		}
	}
	w.keepUse()
	w.withholdUsed()
	if w.pushed == k.Desired {
		return k.Desired, nil, nil
	}
	return keepReplaced(l, k.Desired, w.pushed), w.held, w.staying
}

type beside struct {
	*load.Found
	Kept
	pushed        *policy.GrantSet
	held, staying []policy.Finding
}

// sleeping is a kept grant that gives its principal less than it would with USE_* above it.
type sleeping struct {
	policy.Grant
	confers policy.PrivilegeSet // what policies do not grant
	lacks   policy.PrivilegeSet // USE_*
}

func (w *beside) sleeping() []sleeping {
	var list []sleeping
	holders := make(map[policy.Principal][]policy.Principal) // whose grants all who have those of a principal have
	for _, g := range w.Grants {
		s := sleeping{Grant: g, lacks: policy.UseCatalog.Set()}
		switch {
		case g.Securable.Type.Depth() < 2: // nothing is above it, or what it needs comes with it
			continue
		case g.Securable.Type != policy.Schema:
			s.lacks |= policy.UseSchema.Set()
		}
		for p := range g.Privilege.Set().WithImplied().All() {
			if p != policy.AllPrivileges && p != policy.Browse && !p.IsUse() && policy.Supports(g.Securable.Type, w.Kinds[g.Securable], p) {
				s.confers |= p.Set()
			}
		}
		if s.confers = w.beyond(s, g.Principal); s.confers == 0 {
			continue
		}
		if holders[g.Principal] == nil {
			holders[g.Principal] = append(w.In(g.Principal), g.Principal)
		}
		for _, p := range holders[g.Principal] {
			for use := range s.lacks.All() {
				if HoldsUse(w.Current, g.Securable, p, use) {
					s.lacks &^= use.Set()
				}
			}
		}
		if s.lacks != 0 {
			list = append(list, s)
		}
	}
	return list
}

// beyond returns what a kept grant confers and policies do not grant a principal there.
func (w *beside) beyond(s sleeping, to policy.Principal) policy.PrivilegeSet {
	left := s.confers
	for p := range s.confers.All() {
		if confers(w.Wanted, s.Securable, to, p) {
			left &^= p.Set()
		}
	}
	return left
}

// withholdUse takes out the new grants of USE_* above a kept grant that may wake it.
func (w *beside) withholdUse(s sleeping, use policy.Privilege) {
	for c, ok := s.Securable, true; ok; c, ok = c.Parent() {
		if !UsesOf(c.Type).Has(use) {
			continue
		}
		for _, a := range slices.Clone(w.pushed.Of(c)) {
			if !a.Privilege.Implies(use) || HoldsUse(w.Current, s.Securable, a.Principal, use) || !w.Share(s.Principal, a.Principal) || w.beyond(s, a.Principal) == 0 {
				continue
			}
			if use == policy.UseCatalog && s.lacks.Has(policy.UseSchema) && !w.mayUse(s, a.Principal) {
				continue
			}
			w.withhold(c, a, "it would wake what is granted inside: "+w.keeps(s.Grant))
		}
	}
}

// mayUse reports whether somebody who may have a kept grant, and those of a principal, has or is to have USE_SCHEMA on its schema.
func (w *beside) mayUse(s sleeping, p policy.Principal) bool {
	for c, ok := s.Securable, true; ok; c, ok = c.Parent() {
		for _, a := range slices.Concat(w.Current.Of(c), w.pushed.Of(c)) {
			if UsesOf(c.Type).Has(policy.UseSchema) && a.Privilege.Implies(policy.UseSchema) && w.Share(a.Principal, p) && w.Share(a.Principal, s.Principal) {
				return true
			}
		}
	}
	return false
}

// keepUse keeps USE_* that is to go, where somebody may have it from another principal by what is held back.
func (w *beside) keepUse() {
	held := slices.Clone(w.held)
	for _, c := range w.Changes {
		for _, a := range c.Remove {
			for use := range (a.Privilege.Set().WithImplied() & UsesOf(c.Securable.Type)).All() {
				if !slices.ContainsFunc(held, func(f policy.Finding) bool {
					return f.Privilege.Implies(use) && (f.Securable == c.Securable || f.Securable.Contains(c.Securable) || c.Securable.Contains(f.Securable)) && w.Share(f.Principal, a.Principal)
				}) || HoldsUse(w.pushed, c.Securable, a.Principal, use) {
					continue
				}
				w.change()
				g := policy.Grant{Securable: c.Securable, Principal: a.Principal, Privilege: use}
				w.pushed.Add(g)
				w.Grants = append(w.Grants, g)
				w.staying = append(w.staying, policy.Finding{
					Effect: policy.EffectWider, Securable: c.Securable, Principal: a.Principal, Privilege: use,
					Message: fmt.Sprintf("%s keeps %s on %s for now: who is to have it otherwise is not granted it yet", a.Principal, use, c.Securable),
				})
			}
		}
	}
}

// withholdUsed takes out the new grants without the USE_* that they require, to whom may have it by what is kept.
func (w *beside) withholdUsed() {
	uses := make(map[string][]policy.Grant) // by catalog
	for _, g := range w.Grants {
		if g.Privilege.ConfersUse() && UsesOf(g.Securable.Type) != 0 {
			catalog := g.Securable.Names()[0]
			uses[catalog] = append(uses[catalog], g)
		}
	}
	if len(uses) == 0 {
		return
	}
	for _, c := range w.Changes {
		if c.Securable.Type != policy.Catalog && c.Securable.Type.Depth() < 2 {
			continue
		}
		for _, a := range c.Add {
			if a.Privilege.IsUse() || a.Privilege == policy.Browse || !slices.Contains(w.pushed.Of(c.Securable), a) {
				continue
			}
			if c.Securable.Type != policy.Catalog && HoldsUse(w.Wanted, c.Securable, a.Principal, policy.UseCatalog) && HoldsUse(w.Wanted, c.Securable, a.Principal, policy.UseSchema) {
				continue // nearly all of them; what is granted on a catalog is used in schemas, each with a USE_SCHEMA of its own
			}
			for _, g := range uses[c.Securable.Names()[0]] {
				if w.used(g, c.Securable, a.Principal) {
					w.withhold(c.Securable, a, "no policy grants the USE_* that it requires, by which it could be used: "+w.keeps(g))
					break
				}
			}
		}
	}
}

// used reports whether what is granted to a principal on s could be used through the USE_* of a kept grant, and not by the policies.
func (w *beside) used(g policy.Grant, s policy.Securable, p policy.Principal) bool {
	inner := s
	switch {
	case s.Contains(g.Securable):
		inner = g.Securable
	case s != g.Securable && !g.Securable.Contains(s):
		return false
	}
	for use := range (g.Privilege.Set().WithImplied() & UsesOf(g.Securable.Type)).All() {
		if !HoldsUse(w.Wanted, inner, p, use) && !HoldsUse(w.Wanted, inner, g.Principal, use) {
			return w.Share(g.Principal, p)
		}
	}
	return false
}

// keeps says why a grant stays, and how what waits for it can go on.
func (w *beside) keeps(g policy.Grant) string {
	why := "we may be in it; let us read the principals of the workspace, or revoke that grant"
	switch {
	case slices.ContainsFunc(w.staying, func(f policy.Finding) bool {
		return f.Securable == g.Securable && f.Principal == g.Principal && f.Privilege == g.Privilege
	}):
		why = "who is to have it otherwise is not granted it yet"
	case w.Known:
		why = "we are in it; give us our access otherwise, and revoke that grant"
	}
	return fmt.Sprintf("%s keeps %s on %s, which no policy grants, since %s", g.Principal, g.Privilege, g.Securable, why)
}

// withhold takes a grant out.
func (w *beside) withhold(s policy.Securable, a policy.Assignment, why string) {
	w.change()
	w.pushed.Set(s, slices.DeleteFunc(slices.Clone(w.pushed.Of(s)), func(o policy.Assignment) bool { return o == a }))
	w.held = append(w.held, policy.Finding{
		Effect: policy.EffectNarrower, Securable: s, Principal: a.Principal, Privilege: a.Privilege,
		Message: fmt.Sprintf("%s is not granted %s on %s yet: %s", a.Principal, a.Privilege, s, why),
	})
}

func (w *beside) change() {
	if w.pushed == w.Desired {
		w.pushed = w.Desired.Clone()
	}
}
