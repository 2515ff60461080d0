package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/match"
	"ucwarden/policy/rules"
)

// ExplainedPrincipal says as whom a question was taken.
type ExplainedPrincipal struct {
	Name       string   `json:"name"`             // as policies write it
	Kind       string   `json:"kind"`             // user, group, role or everyone
	How        string   `json:"how"`              // where it was found
	Also       []string `json:"also,omitempty"`   // what else goes by the name
	Groups     []string `json:"groups,omitempty"` // that it is in, by the user store and the workspace, directly or through others
	Roles      []string `json:"roles,omitempty"`  // held, directly or through groups and other roles
	Principals []string `json:"principals"`       // in Unity Catalog: itself, and those whose grants reach it
}

// explainedSubject is a principal as the evaluator and the compiler know it.
type explainedSubject struct {
	explained ExplainedPrincipal
	kind      rules.SubjectKind
	name      string
}

// lookUpSubject finds who is meant: by a kind before the name, by the user store, the roles, the names that Unity
// Catalog knows them by, by how policies name them, and last by what the workspace lists. A name that nothing knows is a user.
func lookUpSubject(rs *rules.RuleSet, listed []policy.Principal, text string) explainedSubject {
	known := rules.NewKnownNames(rs.Snapshot)
	kind, name := rules.SubjectNone, text
	for word, k := range map[string]rules.SubjectKind{"user:": rules.SubjectUser, "group:": rules.SubjectGroup, "role:": rules.SubjectRole} {
		if rest, ok := strings.CutPrefix(text, word); ok {
			kind, name = k, rest
		}
	}
	subject := func(k rules.SubjectKind, name, how string) explainedSubject {
		out := explainedSubject{kind: k, name: name, explained: ExplainedPrincipal{Name: name, Kind: k.String(), How: how}}
		if kind == rules.SubjectNone {
			for _, other := range []rules.SubjectKind{rules.SubjectUser, rules.SubjectGroup, rules.SubjectRole} {
				if other != k && known.Where(other, name) != "" {
					word := other.String()
					out.explained.Also = append(out.explained.Also, fmt.Sprintf("a %s of this name is %s; ask about it as %s:%s", word, known.Where(other, name), word, name))
				}
			}
		}
		return out
	}
	kinds := []rules.SubjectKind{rules.SubjectUser, rules.SubjectGroup, rules.SubjectRole}
	if kind != rules.SubjectNone {
		kinds = []rules.SubjectKind{kind}
	}
	if (kind == rules.SubjectNone || kind == rules.SubjectGroup) && (name == rules.GroupPublic || name == policy.AccountUsers.Name) {
		return subject(rules.SubjectEveryone, rules.GroupPublic, "the group everyone is in")
	}
	for _, k := range kinds {
		if where := known.Where(k, name); where != "" && where != rules.NamedByPolicies {
			return subject(k, name, where)
		}
	}
	for _, k := range kinds {
		for _, n := range known.List(k) {
			if p := rs.Subjects.PrincipalOf(k, n); n != name && p == policy.NewPrincipal(p.Kind, name) {
				return subject(k, n, fmt.Sprintf("%s in Unity Catalog; %s", name, known.Where(k, n)))
			}
		}
	}
	for _, k := range kinds {
		if where := known.Where(k, name); where != "" {
			return subject(k, name, where)
		}
	}
	for _, p := range listed {
		k := rules.SubjectUser
		if p.Kind == policy.Group {
			k = rules.SubjectGroup
		}
		if slices.Contains(kinds, k) && (p.Name == name || k == rules.SubjectUser && policy.FoldPrincipal(p.Name) == policy.FoldPrincipal(name)) {
			return subject(k, p.Name, "listed by the workspace; no policy, role or user store names it")
		}
	}
	k, how := rules.SubjectUser, "nothing names it; taken as a user"
	if kind != rules.SubjectNone {
		k, how = kind, "nothing names it"
	} else if !strings.Contains(name, "@") {
		how += ", say group:" + name + " or role:" + name + " for another"
	}
	if near := known.Near(kinds, name); near != "" {
		how += "; names of groups and roles count with their case, did you mean " + near + "?"
	}
	return subject(k, name, how)
}

// request is the question whether the subject may do something: of the user with their groups, or of somebody about whom nothing is known
// but the group or role, and so those that this is in.
func (s *explainedSubject) request(r match.Resource, owner string, at time.Time) evaluate.Request {
	q := evaluate.Request{Resource: r, Owner: owner, Time: at, Groups: []string{}}
	switch s.kind {
	case rules.SubjectUser:
		q.User, q.Groups = s.name, append(q.Groups, s.explained.Groups...)
	case rules.SubjectGroup:
		q.Groups = append([]string{s.name}, s.explained.Groups...)
	case rules.SubjectRole:
		q.Roles, q.Groups = append([]string{s.name}, s.explained.Roles...), append(q.Groups, s.explained.Groups...)
	}
	return q
}

// holder is a principal whose grants reach the subject, and the path from one to the other.
type holder struct {
	principal policy.Principal
	path      string
}

// workspaceGroups returns the groups that a user, or a group, is in by the workspace, as policies name them, and notes where the user
// store differs: the workspace's are those that count in Unity Catalog.
func (x *explainer) workspaceGroups() []string {
	d, s := x.options.Directory, &x.subject
	if d == nil || !d.Read() || s.kind == rules.SubjectEveryone {
		return nil
	}
	var stored []string
	known := false // groups in groups no user store tells
	if s.kind == rules.SubjectUser {
		stored, known = x.rules.Members.GroupNames(s.name)
	}
	var names []string
	in := make(map[policy.Principal]bool)
	for _, g := range d.GroupsOf(d.Resolve(x.rules.Subjects.PrincipalOf(s.kind, s.name)).Principal) {
		in[g] = true
		name := g.Name
		for id := range rules.SubjectID(x.rules.Subjects.Len()) {
			if p, _ := x.compiler.Principal(id); p == g && x.rules.Subjects.Of(id).Kind == rules.SubjectGroup {
				name = x.rules.Subjects.Of(id).Name
				names = append(names, name)
			}
		}
		if name == g.Name && !slices.Contains(names, name) {
			names = append(names, name)
		}
		if known && !slices.Contains(stored, name) {
			x.note("the workspace has it in group %q, and the user store does not; Unity Catalog goes by the workspace", name)
		}
	}
	for _, name := range stored {
		of := d.Resolve(x.rules.Subjects.PrincipalOf(rules.SubjectGroup, name))
		if _, all := d.UsersIn(of.Principal); of.Listed && all && !in[of.Principal] && !of.Principal.IsEveryone() {
			x.note("the user store has it in group %q, and the workspace does not: what is granted to the group does not reach it", name)
		}
	}
	return names
}

// holders lists them, and fills in groups and roles: the subject, its groups, by the user store or among those in the workspace, its
// roles, everyone.
func (s *explainedSubject) holders(rs *rules.RuleSet, workspace []string) []holder {
	table, members := rs.Subjects, rs.Members
	var list []holder
	add := func(k rules.SubjectKind, name, path string) {
		p := table.PrincipalOf(k, name)
		if !slices.ContainsFunc(list, func(h holder) bool { return h.principal == p }) {
			list = append(list, holder{p, path})
		}
	}
	via := make(map[string]string) // role to how it is held
	hold := func(kind rules.SubjectKind, name, how string) {
		id := table.ID(kind, name)
		for _, r := range members.RolesOf(id) {
			role := table.Of(r).Name
			if _, found := via[role]; !found && r != id {
				via[role] = how
			}
		}
	}
	if s.kind != rules.SubjectEveryone {
		var groups []string
		which := ""
		if s.kind == rules.SubjectUser {
			groups, _ = members.GroupNames(s.name)
		} else {
			which = fmt.Sprintf(", which %s %s is in", s.kind, s.name)
		}
		add(s.kind, s.name, s.kind.String()+" "+s.name)
		s.explained.Groups = slices.Sorted(slices.Values(slices.Concat(groups, workspace)))
		s.explained.Groups = slices.DeleteFunc(slices.Compact(s.explained.Groups), func(g string) bool {
			return s.kind == rules.SubjectGroup && g == s.name // groups that are in one another
		})
		hold(s.kind, s.name, "")
		for _, g := range s.explained.Groups {
			add(rules.SubjectGroup, g, "group "+g+which)
			hold(rules.SubjectGroup, g, " via group "+g+which)
		}
	}
	hold(rules.SubjectGroup, rules.GroupPublic, " via group "+rules.GroupPublic)
	s.explained.Roles = slices.Sorted(maps.Keys(via))
	for _, r := range s.explained.Roles {
		add(rules.SubjectRole, r, "role "+r+via[r])
	}
	add(rules.SubjectEveryone, rules.GroupPublic, "everyone")
	return list
}
