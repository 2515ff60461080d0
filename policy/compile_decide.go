package policy

import "slices"

// A grant to a group holds for each of its members, also for those a policy denies. So before a principal is granted
// anything the compiler looks for a witness against it: a person who would gain by the grant what the policies do not
// allow them. A witness is the set of subjects such a person would be: themselves, their groups and roles, everyone.
type witness []subjectID

// generic is somebody about whom nothing is known but that they are p, or in p.
func (c *Compiler) generic(p subjectID) witness { return c.generics[p] }

func (c *Compiler) newGeneric(p subjectID) witness {
	w := witness{everyone, p}
	for _, container := range c.members.containersOf(p) {
		w = append(w, container)
	}
	w = append(w, c.members.rolesOf[everyone]...)
	slices.Sort(w)
	return slices.Compact(w)
}

// and is somebody who is a and b at once.
func (a witness) and(b witness) witness {
	w := slices.Concat(a, b)
	slices.Sort(w)
	return slices.Compact(w)
}

func (a witness) is(id subjectID) bool {
	_, found := slices.BinarySearch(a, id)
	return found
}

// in reports whether the person is one of the subjects.
func (a witness) in(who subjectSet) bool {
	if len(who) <= len(a) {
		return slices.ContainsFunc(who, a.is)
	}
	return slices.ContainsFunc(a, who.has)
}

func matches(items []compiledItem, w witness, x privSet) bool {
	for i := range items {
		if items[i].privs&x != 0 && w.in(items[i].who) {
			return true
		}
	}
	return false
}

// allows and denies give one policy's word on privilege x: items less their exceptions.
func (p *compiledPolicy) allows(w witness, x privSet) bool {
	return p.allowPrivs&x != 0 && matches(p.allow, w, x) && !matches(p.allowExcept, w, x)
}

func (p *compiledPolicy) denies(w witness, x privSet) bool {
	if p.denyPrivs&x == 0 {
		return false
	}
	if matches(p.deny, w, x) && !matches(p.denyExcept, w, x) {
		return true
	}
	return p.denyAllElse && !p.allows(w, x)
}

// view is what the policies say about one privilege at one place: those that allow it all over the place, and those
// that deny it anywhere in it.
type view struct {
	x     privSet
	allow []*compiledPolicy
	deny  []*compiledPolicy // ones that touch the place; those that cover all of it come first
	total int               // how many of deny cover all of it
	byTag bool              // tag policies allow somewhere in it
	named bool              // only denies that name somebody count, not "all else"
}

// decide gives the policies' word on one person: at each priority a deny goes before an allow, and a higher priority
// before a lower one. Source: RangerPolicyEngineImpl.evaluatePolicies.
func (v *view) decide(w witness, deny []*compiledPolicy) bool {
	return slices.ContainsFunc(v.allow, func(a *compiledPolicy) bool {
		return a.allows(w, v.x) && !slices.ContainsFunc(deny, func(d *compiledPolicy) bool {
			return v.heeds(a, d) && v.denies(d, w)
		})
	})
}

// heeds reports whether what d denies counts although a allows: at the priority of a and above. An allow of higher
// priority is proof against lower denies only because it ends the evaluation; where tag policies deny or allow too, and
// a's policy could go on to deny, it does not. Source: RangerPolicyEngineImpl, evaluateTagPolicies and
// evaluatePoliciesForOneAccessTypeNoAudit.
func (v *view) heeds(a, d *compiledPolicy) bool {
	return d.priority >= a.priority || (d.tag || v.byTag) && a.mayContinue()
}

// mayContinue reports whether an allow of the policy does not end the evaluation: it could go on to deny.
func (p *compiledPolicy) mayContinue() bool { return len(p.src.DenyPolicyItems) > 0 || p.denyAllElse }

func (v *view) denies(p *compiledPolicy, w witness) bool {
	if v.named {
		return matches(p.deny, w, v.x) && !matches(p.denyExcept, w, v.x)
	}
	return p.denies(w, v.x)
}

// hazards lists the subjects that could make a member of somebody allowed a person who is not: whoever is denied, or
// excepted from what is allowed.
func (v *view) hazards() []subjectID {
	var list []subjectID
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
func (c *Compiler) judge(p subjectID, v *view, deny []*compiledPolicy, hazards []subjectID) (verdict, subjectID, tristate) {
	base := c.generic(p)
	if !v.decide(base, deny) {
		return c.rescued(p, v, deny)
	}
	if c.opts.Deny == DenyIgnore {
		return safe, noSubject, no
	}
	var loose []subjectID // hazards that members whom nobody can list may be in, in any combination
	for _, h := range hazards {
		if base.is(h) {
			continue // already in what was decided
		}
		how := c.mayBe(p, h)
		if how == no {
			continue
		}
		if how == unknown || p == everyone {
			loose = append(loose, h)
		}
		if how == yes && c.subjects.kind(h) != subjectUser && c.subjects.kind(p) != subjectUser && p != everyone && !c.within(h, p) {
			// Both memberships are known: ask each person who is in both.
			for _, u := range c.common(p, h) {
				if !v.decide(base.and(c.generic(u)), deny) {
					return unsafe, u, yes
				}
			}
			continue
		}
		if !v.decide(base.and(c.generic(h)), deny) {
			return unsafe, h, how
		}
	}
	if len(loose) > 0 && !v.solid(base, loose, deny) {
		return unsafe, loose[0], unknown
	}
	for _, q := range c.twins[p] {
		for _, u := range c.usersOf(q).users {
			if !v.decide(c.generic(u), deny) {
				return unsafe, u, yes
			}
		}
	}
	return safe, noSubject, no
}

// solid reports whether some policy allows base in a way that no combination of the loose memberships can take back:
// none of its exceptions names one of them, and nothing at its priority or above denies base or one of them. One
// witness at a time would not do: who is excepted from an allow of high priority may fall under a deny of a lower one.
func (v *view) solid(base witness, loose []subjectID, deny []*compiledPolicy) bool {
	reach := append(slices.Clone(base), loose...)
	slices.Sort(reach)
	return slices.ContainsFunc(v.allow, func(a *compiledPolicy) bool {
		if !a.allows(base, v.x) || matches(a.allowExcept, reach, v.x) {
			return false
		}
		return !slices.ContainsFunc(deny, func(d *compiledPolicy) bool {
			if !v.heeds(a, d) {
				return false
			}
			if matches(d.deny, reach, v.x) && !matches(d.denyExcept, base, v.x) {
				return true
			}
			return d.denyAllElse && !v.named && (!d.allows(base, v.x) || matches(d.allowExcept, reach, v.x))
		})
	})
}

// rescued looks for members of p whom, though p itself is denied, the policies allow, because they are excepted from
// the deny: a grant to p would reach too many, no grant would reach too few.
func (c *Compiler) rescued(p subjectID, v *view, deny []*compiledPolicy) (verdict, subjectID, tristate) {
	base := c.generic(p)
	if !v.decide(base, nil) {
		return denied, noSubject, no
	}
	for _, r := range v.rescuers(deny) {
		how := c.mayBe(p, r)
		if how == no || base.is(r) {
			continue
		}
		if !v.decide(base.and(c.generic(r)), deny) {
			continue
		}
		return unsafe, r, how
	}
	return denied, noSubject, no
}

// rescuers lists the subjects that are excepted from a deny.
func (v *view) rescuers(deny []*compiledPolicy) []subjectID {
	var list []subjectID
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

// mayBe tells whether somebody a grant to p reaches is, or is in, h.
func (c *Compiler) mayBe(p, h subjectID) tristate {
	how := c.memberMayBe(p, h)
	for _, q := range c.twins[p] {
		how = max(how, c.memberMayBe(q, h)) // who is in both is asked one by one, who is not known is feared
	}
	return how
}

// memberMayBe tells whether somebody who is p, or is in p, is or is in h.
func (c *Compiler) memberMayBe(p, h subjectID) tristate {
	if p == everyone || c.within(h, p) {
		return yes
	}
	kp, kh := c.subjects.kind(p), c.subjects.kind(h)
	switch {
	case h == everyone:
		return yes
	case kp == subjectUser && kh == subjectUser:
		return no
	case kp == subjectUser && kh == subjectGroup:
		return c.members.userInGroup(p, h)
	case kp == subjectGroup && kh == subjectUser:
		return c.members.userInGroup(h, p)
	}
	// Only two users' worth of knowledge is left to compare: who is in p, and who is in h.
	mp, mh := c.usersOf(p), c.usersOf(h)
	switch {
	case kp == subjectUser:
		return contains(mh, p)
	case kh == subjectUser:
		return contains(mp, h)
	case !mp.known || !mh.known:
		return unknown
	case len(c.common(p, h)) > 0:
		return yes
	}
	return no
}

// within reports whether whoever is in h is in p, whoever that may be: h is a member of the role p, or both are one
// group in Unity Catalog, since a role and a group are named alike.
func (c *Compiler) within(h, p subjectID) bool {
	return c.generics[h].is(p) || c.principals[p] == c.principals[h]
}

// userList is who is in a group or role, as far as known.
type userList struct {
	users []subjectID
	known bool
}

func contains(list userList, u subjectID) tristate {
	if _, found := slices.BinarySearch(list.users, u); found {
		return yes
	}
	if !list.known {
		return unknown
	}
	return no
}

func (c *Compiler) usersOf(p subjectID) userList { return c.users[p] }

// common lists the users known to be in both.
func (c *Compiler) common(p, h subjectID) []subjectID {
	a, b := c.usersOf(p).users, c.usersOf(h).users
	if len(a) > len(b) {
		a, b = b, a
	}
	var both []subjectID
	for _, u := range a {
		if _, found := slices.BinarySearch(b, u); found {
			both = append(both, u)
		}
	}
	return both
}
