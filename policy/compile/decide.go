package compile

import (
	"slices"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// hypotheticalMember is somebody whom a grant might reach: the set of subjects such a person would be, which are
// themselves, their groups and roles, and everyone. A grant to a group holds for each of its members, also for those a
// policy denies. So before a principal is granted anything, the compiler looks for a hypothetical member who would get by
// the grant what the policies do not allow them.
type hypotheticalMember []rules.SubjectID

// generic is somebody about whom nothing is known but that they are p, or in p.
func (c *Compiler) generic(p rules.SubjectID) hypotheticalMember { return c.generics[p] }

func (c *Compiler) newGeneric(p rules.SubjectID) hypotheticalMember {
	m := hypotheticalMember{rules.Everyone, p}
	m = append(m, c.set.Members.ContainersOf(p)...)
	m = append(m, c.set.Members.RolesOf(rules.Everyone)...)
	slices.Sort(m)
	return slices.Compact(m)
}

// and is somebody who is a and b at once.
func (a hypotheticalMember) and(b hypotheticalMember) hypotheticalMember {
	m := slices.Concat(a, b)
	slices.Sort(m)
	return slices.Compact(m)
}

func (a hypotheticalMember) is(id rules.SubjectID) bool {
	_, found := slices.BinarySearch(a, id)
	return found
}

// in reports whether the person is one of the subjects.
func (a hypotheticalMember) in(who rules.SubjectSet) bool {
	if len(who) <= len(a) {
		return slices.ContainsFunc(who, a.is)
	}
	return slices.ContainsFunc(a, who.Has)
}

func matches(items []compiledItem, m hypotheticalMember, x policy.PrivilegeSet) bool {
	for i := range items {
		if items[i].privs&x != 0 && m.in(items[i].who) {
			return true
		}
	}
	return false
}

// allows reports whether the policy itself allows privilege x: by its items less their exceptions.
func (p *compiledPolicy) allows(m hypotheticalMember, x policy.PrivilegeSet) bool {
	return p.allowPrivs&x != 0 && matches(p.allow, m, x) && !matches(p.allowExcept, m, x)
}

// denies reports whether the policy itself denies privilege x: by its items less their exceptions, or with all else.
func (p *compiledPolicy) denies(m hypotheticalMember, x policy.PrivilegeSet) bool {
	if p.denyPrivs&x == 0 {
		return false
	}
	if matches(p.deny, m, x) && !matches(p.denyExcept, m, x) {
		return true
	}
	return p.denyAllElse && !p.allows(m, x)
}

// view is what the policies say about one privilege at one node: those that allow it for all of the node, and those
// that deny it anywhere in it.
type view struct {
	x     policy.PrivilegeSet
	allow []*compiledPolicy
	deny  []*compiledPolicy // ones that touch the node; those that cover all of it come first
	total int               // how many of deny cover all of it
	named bool              // only denies that name somebody count, not "all else"
	ends  int               // the highest priority of a policy on resources here that cannot deny
}

// decide reports whether the policies allow one person the privilege: at each priority a deny goes before an allow, and a
// higher priority before a lower one. Source: RangerPolicyEngineImpl.evaluatePolicies.
func (v *view) decide(m hypotheticalMember, deny []*compiledPolicy) bool {
	return v.allowedBy(m, deny) != nil
}

// allowedBy returns the first policy that allows one person the privilege, nil where the policies do not.
func (v *view) allowedBy(m hypotheticalMember, deny []*compiledPolicy) *compiledPolicy {
	for _, a := range v.allow {
		if v.allowed(a, m, deny) {
			return a
		}
	}
	return nil
}

// allowed reports whether policy a allows one person the privilege, and none of deny takes that back.
func (v *view) allowed(a *compiledPolicy, m hypotheticalMember, deny []*compiledPolicy) bool {
	return a.allows(m, v.x) && !slices.ContainsFunc(deny, func(d *compiledPolicy) bool {
		return v.overrides(a, d) && v.denies(d, m)
	})
}

// overrides reports whether what d denies counts although a allows: at the priority of a and above. Where a tag policy
// denies with a lower priority than a resource policy allows, the allow holds only if it ends the evaluation, which it does
// not where its policy could go on to deny. Source: RangerDefaultPolicyEvaluator.evaluatePolicyItems and
// RangerPolicyEngineImpl.evaluatePoliciesForOneAccessTypeNoAudit.
func (v *view) overrides(a, d *compiledPolicy) bool {
	return d.priority >= a.priority || d.src.Tag && !a.src.Tag && a.mayContinue()
}

// openToOrder reports whether a person who is not allowed could be allowed in Ranger all the same: by an allow of a higher
// priority than every deny, whose policy could go on to deny. Which of them wins hangs there on what other policies match.
func (v *view) openToOrder(m hypotheticalMember, deny []*compiledPolicy) bool {
	return slices.ContainsFunc(v.allow, func(a *compiledPolicy) bool {
		return a.mayContinue() && a.allows(m, v.x) && !slices.ContainsFunc(deny, func(d *compiledPolicy) bool {
			return d.priority >= a.priority && v.denies(d, m)
		})
	})
}

// endedBefore reports whether a person who is not allowed is allowed in Ranger all the same: by an allow of a tag policy,
// after which a policy on resources that cannot deny ends the evaluation before every deny, whatever it is about.
func (v *view) endedBefore(m hypotheticalMember, deny []*compiledPolicy) bool {
	return slices.ContainsFunc(v.allow, func(a *compiledPolicy) bool {
		return a.src.Tag && a.allows(m, v.x) && !slices.ContainsFunc(deny, func(d *compiledPolicy) bool {
			return d.priority >= a.priority && (d.src.Tag || d.priority >= v.ends) && v.denies(d, m)
		})
	})
}

// mayContinue reports whether an allow of the policy does not end the evaluation: it could go on to deny.
func (p *compiledPolicy) mayContinue() bool { return p.src.HasDeny }

// ends reports whether the policy ends an evaluation in which a tag policy allowed: it is on resources and cannot deny.
func (p *compiledPolicy) ends() bool {
	return !p.src.Tag && !p.src.HasDeny && p.src.Type == ranger.PolicyTypeAccess
}

func (v *view) denies(p *compiledPolicy, m hypotheticalMember) bool {
	if v.named {
		return matches(p.deny, m, v.x) && !matches(p.denyExcept, m, v.x)
	}
	return p.denies(m, v.x)
}

// deniedSubjects lists the subjects by which a member of somebody allowed may be not allowed: whoever is denied, or
// excepted from what is allowed.
func (v *view) deniedSubjects() []rules.SubjectID {
	var list []rules.SubjectID
	add := func(items []compiledItem) {
		for i := range items {
			if items[i].privs&v.x != 0 {
				list = append(list, items[i].who...)
			}
		}
	}
	for _, p := range v.allow {
		add(p.allowExcept)
	}
	for _, p := range v.deny {
		add(p.deny)
		if p.denyAllElse {
			add(p.allowExcept)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// verdict is the answer to whether p may be granted the view's privilege.
type verdict uint8

const (
	denied verdict = iota // the policies do not allow p itself
	unsafe                // p is allowed, but somebody the grant would reach is not
	safe                  // everybody the grant would reach is allowed
)

// judge decides on a grant to p. With unsafe it names the subject that stands against it, and whether that is certain
// or only cannot be ruled out.
func (c *Compiler) judge(p rules.SubjectID, v *view, deny []*compiledPolicy, deniedSubjects []rules.SubjectID) (verdict, rules.SubjectID, rules.Tristate) {
	base := c.generic(p)
	if !v.decide(base, deny) {
		return c.exempted(p, v, deny)
	}
	if c.opts.Deny == DenyIgnore {
		return safe, rules.NoSubject, rules.No
	}
	var unknown []rules.SubjectID // those that members whom nobody can list may be in, in any combination
	for _, h := range deniedSubjects {
		if base.is(h) {
			continue // already in what was decided
		}
		how := c.mayBe(p, h)
		if how == rules.No {
			continue
		}
		if how == rules.Unknown || p == rules.Everyone {
			unknown = append(unknown, h)
		}
		if how == rules.Yes && c.kind(h) != rules.SubjectUser && c.kind(p) != rules.SubjectUser && p != rules.Everyone && !c.within(h, p) {
			// Both memberships are known: ask each person who is in both.
			for _, u := range c.common(p, h) {
				if ok, by, how := c.allowedWhatever(u, base.and(c.generic(u)), v, deny, deniedSubjects); !ok {
					return unsafe, by, how
				}
			}
			continue
		}
		member := base.and(c.generic(h))
		if how == rules.Yes && p != rules.Everyone {
			if ok, by, how := c.allowedWhatever(h, member, v, deny, deniedSubjects); !ok {
				return unsafe, by, how
			}
		} else if !v.decide(member, deny) {
			return unsafe, h, how
		}
	}
	if len(unknown) > 0 && !v.allowsAnyCombination(base, unknown, deny) {
		return unsafe, unknown[0], rules.Unknown
	}
	for _, q := range c.aliases[p] {
		for _, u := range c.usersOf(q).users {
			if ok, by, how := c.allowedWhatever(u, c.generic(u), v, deny, deniedSubjects); !ok {
				return unsafe, by, how
			}
		}
	}
	return safe, rules.NoSubject, rules.No
}

// allowedWhatever reports whether the policies allow m, who is known to be h, whatever else h may be in that nobody can list.
// Where they do not, it returns the subject that stands against it, as judge does.
func (c *Compiler) allowedWhatever(h rules.SubjectID, m hypotheticalMember, v *view, deny []*compiledPolicy, deniedSubjects []rules.SubjectID) (ok bool, by rules.SubjectID, how rules.Tristate) {
	if !v.decide(m, deny) {
		return false, h, rules.Yes
	}
	var unknown []rules.SubjectID
	for _, other := range deniedSubjects {
		if !m.is(other) && c.mayBe(h, other) == rules.Unknown {
			unknown = append(unknown, other)
		}
	}
	if len(unknown) > 0 && !v.allowsAnyCombination(m, unknown, deny) {
		return false, unknown[0], rules.Unknown
	}
	return true, rules.NoSubject, rules.No
}

// allowsAnyCombination reports whether some policy allows base in a way that no combination of the unknown memberships can
// take back: none of its exceptions names one of them, and nothing at its priority or above denies base or one of them.
// One membership at a time would not do: who is excepted from an allow of high priority may fall under a lower deny.
func (v *view) allowsAnyCombination(base hypotheticalMember, unknown []rules.SubjectID, deny []*compiledPolicy) bool {
	reach := append(slices.Clone(base), unknown...)
	slices.Sort(reach)
	return slices.ContainsFunc(v.allow, func(a *compiledPolicy) bool {
		if !a.allows(base, v.x) || matches(a.allowExcept, reach, v.x) {
			return false
		}
		return !slices.ContainsFunc(deny, func(d *compiledPolicy) bool {
			if !v.overrides(a, d) {
				return false
			}
			if matches(d.deny, reach, v.x) && !matches(d.denyExcept, base, v.x) {
				return true
			}
			return d.denyAllElse && !v.named && (!d.allows(base, v.x) || matches(d.allowExcept, reach, v.x))
		})
	})
}

// exempted looks for members of p whom, though p itself is denied, the policies allow, because they are excepted from
// the deny: a grant to p would reach too many, no grant would reach too few.
func (c *Compiler) exempted(p rules.SubjectID, v *view, deny []*compiledPolicy) (verdict, rules.SubjectID, rules.Tristate) {
	base := c.generic(p)
	if !v.decide(base, nil) {
		return denied, rules.NoSubject, rules.No
	}
	for _, r := range v.exemptSubjects(deny) {
		how := c.mayBe(p, r)
		if how == rules.No || base.is(r) {
			continue
		}
		if !v.decide(base.and(c.generic(r)), deny) {
			continue
		}
		return unsafe, r, how
	}
	return denied, rules.NoSubject, rules.No
}

// exemptSubjects lists the subjects that are excepted from a deny.
func (v *view) exemptSubjects(deny []*compiledPolicy) []rules.SubjectID {
	var list []rules.SubjectID
	add := func(items []compiledItem) {
		for i := range items {
			if items[i].privs&v.x != 0 {
				list = append(list, items[i].who...)
			}
		}
	}
	for _, p := range deny {
		add(p.denyExcept)
		if p.denyAllElse && !v.named {
			add(p.allow)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (c *Compiler) kind(id rules.SubjectID) rules.SubjectKind { return c.set.Subjects.Of(id).Kind }

func (c *Compiler) describe(id rules.SubjectID) string { return c.set.Subjects.Of(id).String() }

// mayBe tells whether somebody a grant to p reaches is, or is in, h.
func (c *Compiler) mayBe(p, h rules.SubjectID) rules.Tristate {
	how := c.memberMayBe(p, h)
	for _, q := range c.aliases[p] {
		how = max(how, c.memberMayBe(q, h)) // who is in both is asked one by one, who is not known is feared
	}
	return how
}

// memberMayBe tells whether somebody who is p, or is in p, is or is in h.
func (c *Compiler) memberMayBe(p, h rules.SubjectID) rules.Tristate {
	if p == rules.Everyone || c.within(h, p) {
		return rules.Yes
	}
	kp, kh := c.kind(p), c.kind(h)
	switch {
	case h == rules.Everyone:
		return rules.Yes
	case kp == rules.SubjectUser && kh == rules.SubjectUser:
		return rules.No
	case kp == rules.SubjectUser && kh == rules.SubjectGroup:
		return c.set.Members.UserInGroup(p, h)
	case kp == rules.SubjectGroup && kh == rules.SubjectUser:
		return c.set.Members.UserInGroup(h, p)
	}
	// Only two users' worth of knowledge is left to compare: who is in p, and who is in h.
	mp, mh := c.usersOf(p), c.usersOf(h)
	switch {
	case kp == rules.SubjectUser:
		return contains(mh, p)
	case kh == rules.SubjectUser:
		return contains(mp, h)
	case !mp.known || !mh.known:
		return rules.Unknown
	case len(c.common(p, h)) > 0:
		return rules.Yes
	}
	return rules.No
}

// within reports whether whoever is in h is in p, whoever that may be: h is a member of the role p, or both are one
// group in Unity Catalog, since a role and a group are named alike.
func (c *Compiler) within(h, p rules.SubjectID) bool {
	return c.generics[h].is(p) || c.principals[p] == c.principals[h]
}

// userList is who is in a group or role, as far as known.
type userList struct {
	users []rules.SubjectID
	known bool
}

func contains(list userList, u rules.SubjectID) rules.Tristate {
	if _, found := slices.BinarySearch(list.users, u); found {
		return rules.Yes
	}
	if !list.known {
		return rules.Unknown
	}
	return rules.No
}

func (c *Compiler) usersOf(p rules.SubjectID) userList { return c.users[p] }

// common lists the users known to be in both.
func (c *Compiler) common(p, h rules.SubjectID) []rules.SubjectID {
	a, b := c.usersOf(p).users, c.usersOf(h).users
	if len(a) > len(b) {
		a, b = b, a
	}
	var both []rules.SubjectID
	for _, u := range a {
		if _, found := slices.BinarySearch(b, u); found {
			both = append(both, u)
		}
	}
	return both
}
