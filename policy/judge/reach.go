package judge

import (
	"slices"
	"sync"

	"ucwarden/policy"
	"ucwarden/policy/rules"
)

// Reach is who is in a group or role by the workspace, whose word counts in Unity Catalog: a grant reaches them, whatever the user store
// says.
type Reach struct {
	Users  []rules.SubjectID // who have a number, sorted
	Others []string          // names of the others, sorted
	Known  bool              // these are all
}

// workspace is who is in which groups there.
type workspace struct {
	j       *Judge
	usersIn func(group policy.Principal) (names []string, all bool)
	listed  []bool                       // by subject
	users   map[string][]rules.SubjectID // by folded name of their principals
	reaches sync.Map                     // *Reach by subject
}

// Ask has the workspace asked who is in groups, besides the policies: usersIn returns who is in one, directly or through others, and whether
// these are all; listed tells by subject whom the workspace has. It comes before all questions.
func (j *Judge) Ask(usersIn func(group policy.Principal) (names []string, all bool), listed []bool) {
	j.workspace = &workspace{j: j, usersIn: usersIn, listed: listed, users: make(map[string][]rules.SubjectID)}
	for i, p := range j.principals {
		if id := rules.SubjectID(i); j.kindOf(id) == rules.SubjectUser {
			name := policy.FoldPrincipal(p.Name)
			j.workspace.users[name] = append(j.workspace.users[name], id)
		}
	}
}

// Reach returns who is in a group or role by the workspace; nil where it is not asked. A role is its group there, and whom its definition
// names. Nobody must change it.
func (j *Judge) Reach(of rules.SubjectID) *Reach {
	w := j.workspace
	if w == nil {
		return nil
	}
	if known, ok := w.reaches.Load(of); ok {
		return known.(*Reach)
	}
	reach := &Reach{Known: true}
	seen := make(map[rules.SubjectID]bool)
	for queue := []rules.SubjectID{of}; len(queue) > 0; queue = queue[1:] {
		id := queue[0]
		if seen[id] {
			continue
		}
		seen[id] = true
		switch w.j.kindOf(id) {
		case rules.SubjectUser:
			reach.Users = append(reach.Users, id)
			continue
		case rules.SubjectRole:
			members, known := w.j.set.Members.MembersOf(id)
			queue = append(queue, members...)
			if !w.listed[id] {
				reach.Known = reach.Known && known
				continue
			}
		case rules.SubjectGroup:
			if !w.listed[id] {
				reach.Known = false
				continue
			}
		default:
			reach.Known = false
			continue
		}
		names, all := w.usersIn(w.j.principals[id])
		reach.Known = reach.Known && all
		for _, name := range names {
			folded := policy.FoldPrincipal(name)
			if users := w.users[folded]; len(users) > 0 {
				reach.Users = append(reach.Users, users...)
			} else {
				reach.Others = append(reach.Others, folded)
			}
		}
	}
	slices.Sort(reach.Users)
	slices.Sort(reach.Others)
	reach.Users, reach.Others = slices.Compact(reach.Users), slices.Compact(reach.Others)
	w.reaches.Store(of, reach)
	return reach
}

// inWorkspace tells whether somebody who is p, or is in p, is or is in h by the workspace, where the policies say how. Who is in a group by
// either is in it. Where the policies do not say, the workspace does.
func (j *Judge) inWorkspace(p, h rules.SubjectID, how rules.Tristate) rules.Tristate {
	if j.workspace == nil || how == rules.Yes || p == rules.Everyone || h == rules.Everyone {
		return how
	}
	userP, userH := j.kindOf(p) == rules.SubjectUser, j.kindOf(h) == rules.SubjectUser
	known := j.workspace.listed[p] && j.workspace.listed[h]
	switch {
	case userP && userH:
		return how
	case userP || userH:
		group, user := p, h
		if userP {
			group, user = h, p
		}
		reach := j.Reach(group)
		if _, found := slices.BinarySearch(reach.Users, user); found {
			return rules.Yes
		}
		known = known && reach.Known
	default:
		a, b := j.Reach(p), j.Reach(h)
		if meet(a.Others, b.Others) {
			return rules.Unknown // there is somebody in both whom nobody can ask about
		}
		if len(j.common(p, h)) > 0 {
			return rules.Yes
		}
		known = known && a.Known && b.Known
	}
	if known {
		return rules.No
	}
	return how
}

// reached lists the users who have a number and are in a group or role, by the policies or the workspace.
func (j *Judge) reached(p rules.SubjectID) []rules.SubjectID {
	users := j.UsersOf(p).Users
	if j.workspace == nil || p == rules.Everyone || j.kindOf(p) == rules.SubjectUser {
		return users
	}
	more := j.Reach(p).Users
	if len(more) == 0 {
		return users
	}
	all := slices.Concat(users, more)
	slices.Sort(all)
	return slices.Compact(all)
}

// meet reports whether two sorted lists have something in common.
func meet(a, b []string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return slices.ContainsFunc(a, func(name string) bool {
		_, found := slices.BinarySearch(b, name)
		return found
	})
}
