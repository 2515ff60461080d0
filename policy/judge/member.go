package judge

import (
	"slices"

	"ucwarden/policy/rules"
)

// Member is somebody, hypothetically, whom a grant might reach: the set of subjects such a person would be, which are
// themselves, their groups and roles, and everyone. A grant to a group holds for each of its members, also for those a
// policy denies. So before a principal is granted anything, a [Judge] looks for a member who would get by
// the grant what the policies do not allow them.
type Member []rules.SubjectID

// Member returns somebody about whom nothing is known but that they are p, or in p: p, the groups and roles it is known to be
// in, and everyone.
func (j *Judge) Member(p rules.SubjectID) Member { return j.generics[p] }

func (j *Judge) newGeneric(p rules.SubjectID) Member {
	m := Member{rules.Everyone, p}
	m = append(m, j.set.Members.ContainersOf(p)...)
	m = append(m, j.set.Members.RolesOf(rules.Everyone)...)
	slices.Sort(m)
	return slices.Compact(m)
}

// And returns somebody who is a and b at once.
func (a Member) And(b Member) Member {
	m := slices.Concat(a, b)
	slices.Sort(m)
	return slices.Compact(m)
}

// Is reports whether the person is the subject.
func (a Member) Is(id rules.SubjectID) bool {
	_, found := slices.BinarySearch(a, id)
	return found
}

// In reports whether the person is one of the subjects.
func (a Member) In(who rules.SubjectSet) bool {
	if len(who) <= len(a) {
		return slices.ContainsFunc(who, a.Is)
	}
	return slices.ContainsFunc(a, who.Has)
}
