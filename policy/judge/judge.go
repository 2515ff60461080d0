package judge

import (
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/rules"
)

// Judge knows who is in which groups and roles, and so whom a grant to a principal reaches.
type Judge struct {
	set        *rules.RuleSet
	principals []policy.Principal                    // by subject
	generics   []Member                              // by subject
	users      []UserList                            // by subject
	inside     [][]rules.SubjectID                   // by role: the groups and roles in it, directly or through others
	aliases    map[rules.SubjectID][]rules.SubjectID // groups and roles of one principal
	selfOnly   bool
	workspace  *workspace // nil where it is not asked
}

// New returns a judge of grants to the subjects of a rule set, whose principals in Unity Catalog are these. With selfOnly a
// grant counts as safe if its principal itself is allowed it, whoever its members are.
func New(set *rules.RuleSet, principals []policy.Principal, selfOnly bool) *Judge {
	j := &Judge{set: set, principals: principals, selfOnly: selfOnly, aliases: make(map[rules.SubjectID][]rules.SubjectID)}
	for id := range rules.SubjectID(set.Subjects.Len()) {
		j.generics = append(j.generics, j.newGeneric(id))
		list, known := set.Members.UsersOf(id)
		j.users = append(j.users, UserList{list, known && id != rules.Everyone})
	}
	j.inside = make([][]rules.SubjectID, len(j.users))
	for id := range rules.SubjectID(len(j.users)) {
		if j.kindOf(id) != rules.SubjectUser {
			for _, role := range set.Members.RolesOf(id) {
				j.inside[role] = append(j.inside[role], id)
			}
		}
	}
	return j
}

// Alias notes that the subjects share a principal, so that a grant to one reaches the members of all.
func (j *Judge) Alias(list []rules.SubjectID) {
	for _, p := range list {
		for _, q := range list {
			if p != q {
				j.aliases[p] = append(j.aliases[p], q)
			}
		}
	}
}

// Verdict is the answer to whether somebody may be granted the view's privilege.
type Verdict uint8

// The verdicts, the worst first. p is who is to be granted something.
const (
	Denied Verdict = iota // the policies do not allow p itself
	Unsafe                // p is allowed, but somebody the grant would reach is not
	Safe                  // everybody the grant would reach is allowed
)

// Grant decides on a grant of the view's privilege to p against the denies, of which deniedSubjects are the subjects of the
// view. With Unsafe it returns the subject that stands against it too, and whether it is certain that p includes that one, or
// only cannot be ruled out.
func (j *Judge) Grant(p rules.SubjectID, v *View, deny []*Policy, deniedSubjects []rules.SubjectID) (Verdict, rules.SubjectID, rules.Tristate) {
	base := j.Member(p)
	if !v.Decide(base, deny) {
		return j.exempted(p, v, deny)
	}
	if j.selfOnly {
		return Safe, rules.NoSubject, rules.No
	}
	var unknown []rules.SubjectID // those that members whom nobody can list may be in, in any combination
	for _, h := range deniedSubjects {
		if base.Is(h) {
			continue // already in what was decided
		}
		how := j.MayBe(p, h)
		if how == rules.No {
			continue
		}
		if how == rules.Unknown || p == rules.Everyone {
			unknown = append(unknown, h)
		}
		if how == rules.Yes && j.kindOf(h) != rules.SubjectUser && j.kindOf(p) != rules.SubjectUser && p != rules.Everyone && !j.within(h, p) {
			// Both memberships are known: ask each person who is in both, and whoever may come into a group that is in both.
			for _, u := range slices.Concat(j.common(p, h), j.insideBoth(p, h)) {
				if ok, by, how := j.allowedWhatever(u, base.And(j.Member(u)).And(j.Member(h)), v, deny, deniedSubjects); !ok {
					return Unsafe, by, how
				}
			}
			continue
		}
		member := base.And(j.Member(h))
		if how == rules.Yes && p != rules.Everyone {
			if ok, by, how := j.allowedWhatever(h, member, v, deny, deniedSubjects); !ok {
				return Unsafe, by, how
			}
		} else if !v.Decide(member, deny) {
			return Unsafe, h, how
		}
	}
	if len(unknown) > 0 && !v.allowsAnyCombination(base, unknown, deny) {
		return Unsafe, unknown[0], rules.Unknown
	}
	for _, q := range j.aliases[p] {
		for _, u := range j.UsersOf(q).Users {
			if ok, by, how := j.allowedWhatever(u, j.Member(u), v, deny, deniedSubjects); !ok {
				return Unsafe, by, how
			}
		}
	}
	return Safe, rules.NoSubject, rules.No
}

// allowedWhatever reports whether the policies allow m, who is known to be h, whatever else h may be in that nobody can list.
// Where they do not, it returns the subject that stands against it, as Grant does.
func (j *Judge) allowedWhatever(h rules.SubjectID, m Member, v *View, deny []*Policy, deniedSubjects []rules.SubjectID) (ok bool, by rules.SubjectID, how rules.Tristate) {
	if !v.Decide(m, deny) {
		return false, h, rules.Yes
	}
	var unknown []rules.SubjectID
	for _, other := range deniedSubjects {
		if m.Is(other) {
			continue
		}
		how := j.MayBe(h, other)
		if how == rules.Unknown || how == rules.Yes && j.kindOf(h) == rules.SubjectUser { // who is by the workspace alone
			unknown = append(unknown, other)
		}
	}
	if len(unknown) > 0 && !v.allowsAnyCombination(m, unknown, deny) {
		return false, unknown[0], rules.Unknown
	}
	return true, rules.NoSubject, rules.No
}

// exempted looks for members of p whom, though p itself is denied, the policies allow, because they are excepted from
// the deny: a grant to p would reach too many, no grant would reach too few.
func (j *Judge) exempted(p rules.SubjectID, v *View, deny []*Policy) (Verdict, rules.SubjectID, rules.Tristate) {
	base := j.Member(p)
	if !v.Decide(base, nil) {
		return Denied, rules.NoSubject, rules.No
	}
	for _, r := range v.exemptSubjects(deny) {
		how := j.MayBe(p, r)
		if how == rules.No || base.Is(r) {
			continue
		}
		if !v.Decide(base.And(j.Member(r)), deny) {
			continue
		}
		return Unsafe, r, how
	}
	return Denied, rules.NoSubject, rules.No
}

func (j *Judge) kindOf(id rules.SubjectID) rules.SubjectKind { return j.set.Subjects.Of(id).Kind }

// MayBe tells whether somebody a grant to p reaches is, or is in, h.
func (j *Judge) MayBe(p, h rules.SubjectID) rules.Tristate {
	how := j.inWorkspace(p, h, j.memberMayBe(p, h))
	for _, q := range j.aliases[p] {
		how = max(how, j.inWorkspace(q, h, j.memberMayBe(q, h))) // who is in both is asked one by one, who is not known is feared
	}
	return how
}

// memberMayBe tells whether somebody who is p, or is in p, is or is in h, by the policies.
func (j *Judge) memberMayBe(p, h rules.SubjectID) rules.Tristate {
	if p == rules.Everyone || j.within(h, p) {
		return rules.Yes
	}
	kp, kh := j.kindOf(p), j.kindOf(h)
	switch {
	case h == rules.Everyone:
		return rules.Yes
	case kp == rules.SubjectUser && kh == rules.SubjectUser:
		return rules.No
	case kp == rules.SubjectUser && kh == rules.SubjectGroup:
		return j.set.Members.UserInGroup(p, h)
	case kp == rules.SubjectGroup && kh == rules.SubjectUser:
		return j.set.Members.UserInGroup(h, p)
	}
	// Only two users' worth of knowledge is left to compare: who is in p, and who is in h.
	mp, mh := j.UsersOf(p), j.UsersOf(h)
	switch {
	case kp == rules.SubjectUser:
		return contains(mh, p)
	case kh == rules.SubjectUser:
		return contains(mp, h)
	case !mp.Known || !mh.Known:
		return rules.Unknown
	case len(j.common(p, h)) > 0 || len(j.insideBoth(p, h)) > 0:
		return rules.Yes
	}
	return rules.No
}

// insideBoth lists the groups and roles that are in both roles.
func (j *Judge) insideBoth(p, h rules.SubjectID) []rules.SubjectID {
	if len(j.inside[p]) == 0 || len(j.inside[h]) == 0 {
		return nil
	}
	var both []rules.SubjectID
	for _, g := range j.inside[p] { // sorted, as subjects were gone through in order
		if _, found := slices.BinarySearch(j.inside[h], g); found {
			both = append(both, g)
		}
	}
	return both
}

// within reports whether whoever is in h is in p, whoever that may be: h is a member of the role p, or both are one
// group in Unity Catalog, since a role and a group are named alike.
func (j *Judge) within(h, p rules.SubjectID) bool {
	return j.generics[h].Is(p) || j.principals[p] == j.principals[h]
}

// UserList is who is in a group or role, as far as known.
type UserList struct {
	Users []rules.SubjectID
	Known bool
}

func contains(list UserList, u rules.SubjectID) rules.Tristate {
	if _, found := slices.BinarySearch(list.Users, u); found {
		return rules.Yes
	}
	if !list.Known {
		return rules.Unknown
	}
	return rules.No
}

// UsersOf returns who is in a group or role. A user is in none.
func (j *Judge) UsersOf(p rules.SubjectID) UserList { return j.users[p] }

// common lists the users known to be in both, by the policies or the workspace.
func (j *Judge) common(p, h rules.SubjectID) []rules.SubjectID {
	a, b := j.reached(p), j.reached(h)
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
