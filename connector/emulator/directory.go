package emulator

import (
	"slices"
	"strings"

	"ucwarden/policy"
)

// PrincipalKind tells users, groups and service principals apart.
type PrincipalKind string

// The kinds of principal.
const (
	User             PrincipalKind = "user"
	Group            PrincipalKind = "group"
	ServicePrincipal PrincipalKind = "service_principal"

	recipientKind PrincipalKind = "recipient" // grantee of a share; not part of the directory proper
)

type principal struct {
	id      int64
	kind    PrincipalKind
	name    string
	members []string // of a group, by name
	deleted bool
}

// directory knows the principals of the account. The account-wide group is always there and contains everyone.
type directory struct {
	byName map[string]*principal
	byID   map[int64]*principal // deleted principals and recipients too
	groups map[string][]string  // groups that list a member by name
	lastID int64
}

func newDirectory() *directory {
	d := &directory{
		byName: make(map[string]*principal),
		byID:   make(map[int64]*principal),
		groups: make(map[string][]string),
		lastID: 1000,
	}
	d.add(Group, string(policy.AccountUsers), nil)
	return d
}

// guessKind tells what an unheard-of name is: an e-mail is a user, a UUID a service principal, anything else a group.
func guessKind(name string) PrincipalKind {
	switch {
	case strings.Contains(name, "@"):
		return User
	case len(name) == 36 && strings.Count(name, "-") == 4:
		return ServicePrincipal
	}
	return Group
}

// add makes a principal known. For a known group it adds members; otherwise a known name stays as it is.
func (d *directory) add(kind PrincipalKind, name string, members []string) *principal {
	p := d.byName[name]
	if p == nil {
		p = d.register(kind, name)
		d.byName[name] = p
	}
	for _, member := range members {
		if !slices.Contains(p.members, member) {
			p.members = append(p.members, member)
			d.groups[member] = append(d.groups[member], name)
		}
	}
	return p
}

// register gives a grantee an id without making it a principal.
func (d *directory) register(kind PrincipalKind, name string) *principal {
	d.lastID++
	p := &principal{id: d.lastID, kind: kind, name: name}
	d.byID[p.id] = p
	return p
}

// remove deletes a principal. Its grants stay behind under its id, as they do in Unity Catalog; a later principal of
// the same name has another id and so none of them.
func (d *directory) remove(name string) bool {
	p := d.byName[name]
	if p == nil || name == string(policy.AccountUsers) {
		return false
	}
	p.deleted = true
	delete(d.byName, name)
	for _, member := range p.members {
		d.groups[member] = slices.DeleteFunc(d.groups[member], func(group string) bool { return group == name })
	}
	p.members = nil
	for _, group := range d.groups[name] {
		g := d.byName[group]
		g.members = slices.DeleteFunc(g.members, func(member string) bool { return member == name })
	}
	delete(d.groups, name)
	return true
}

// nameOf gives the name of a grantee, "" when it was deleted.
func (d *directory) nameOf(id int64) string {
	if p := d.byID[id]; p != nil && !p.deleted {
		return p.name
	}
	return ""
}

// identities gives the name itself and every group it is in, directly or through groups, the account-wide one too.
func (d *directory) identities(name string) map[string]bool {
	all := map[string]bool{name: true, string(policy.AccountUsers): true}
	queue := []string{name}
	for len(queue) > 0 {
		for _, group := range d.groups[queue[0]] {
			if !all[group] {
				all[group] = true
				queue = append(queue, group)
			}
		}
		queue = queue[1:]
	}
	return all
}
