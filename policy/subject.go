package policy

import "slices"

// roleTable answers which roles a user or group holds, directly or because a role it holds is a member of another.
type roleTable struct {
	ofUser  map[string][]string // sorted
	ofGroup map[string][]string
}

// maxRoleMemberships bounds the memberships of users and groups in roles, direct and through other roles.
const maxRoleMemberships = 4 << 20

// newRoleTable closes the membership of roles in roles. Cycles do no harm: roles in a cycle hold each other's members.
// More memberships than anybody needs are an error of class CodeTooLarge: long chains of roles multiply them.
func newRoleTable(roles []Role) (*roleTable, error) {
	t := &roleTable{ofUser: make(map[string][]string), ofGroup: make(map[string][]string)}
	direct := make(map[string][]string) // role to the roles it is a member of
	for i := range roles {
		for _, m := range roles[i].Roles {
			direct[m.Name] = append(direct[m.Name], roles[i].Name)
		}
	}
	total := 0
	for i := range roles {
		if len(roles[i].Users)+len(roles[i].Groups) == 0 {
			continue
		}
		held := rolesAbove(roles[i].Name, direct)
		if total += len(held) * (1 + len(roles[i].Users) + len(roles[i].Groups)); total > maxRoleMemberships {
			return nil, Errorf(CodeTooLarge, "roles: more than %d memberships of users and groups, directly or through other roles; nest roles less deep", maxRoleMemberships)
		}
		for _, u := range roles[i].Users {
			t.ofUser[u.Name] = append(t.ofUser[u.Name], held...)
		}
		for _, g := range roles[i].Groups {
			t.ofGroup[g.Name] = append(t.ofGroup[g.Name], held...)
		}
	}
	for _, m := range []map[string][]string{t.ofUser, t.ofGroup} {
		for name, list := range m {
			slices.Sort(list)
			m[name] = slices.Compact(list)
		}
	}
	return t, nil
}

// rolesAbove lists role and every role that it is in, directly or through others.
func rolesAbove(role string, direct map[string][]string) []string {
	list := []string{role}
	seen := map[string]bool{role: true}
	for i := 0; i < len(list); i++ {
		for _, r := range direct[list[i]] {
			if !seen[r] {
				seen[r] = true
				list = append(list, r)
			}
		}
	}
	return list
}

// common gives the first name that is in both sorted lists.
func common(a, b []string) (string, bool) {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			return a[0], true
		case a[0] < b[0]:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return "", false
}

// roleAmong gives the role of the sorted list that the request's user holds, and through which group.
func (ctx *evalContext) roleAmong(roles []string) Subject {
	if len(ctx.request.Roles) > 0 {
		for _, r := range ctx.request.Roles {
			if _, found := slices.BinarySearch(roles, r); found {
				return Subject{Kind: SubjectRole, Name: r}
			}
		}
		return Subject{}
	}
	table := ctx.engine.roles
	if r, ok := common(table.ofUser[ctx.request.User], roles); ok {
		return Subject{Kind: SubjectRole, Name: r}
	}
	for _, g := range ctx.groups {
		if r, ok := common(table.ofGroup[g], roles); ok {
			return Subject{Kind: SubjectRole, Name: r, Via: g}
		}
	}
	return Subject{}
}

// heldRoles lists every role the request's user holds, sorted.
func (ctx *evalContext) heldRoles() []string {
	if len(ctx.request.Roles) > 0 {
		return slices.Sorted(slices.Values(ctx.request.Roles))
	}
	list := slices.Clone(ctx.engine.roles.ofUser[ctx.request.User])
	for _, g := range ctx.groups {
		list = append(list, ctx.engine.roles.ofGroup[g]...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// GroupsOf lists the groups that the user store gives to a user; known is false when it does not mention the user.
func (u *UserStore) GroupsOf(user string) (groups []string, known bool) {
	if u == nil {
		return nil, false
	}
	groups, known = u.UserGroupMapping[user]
	return groups, known
}
