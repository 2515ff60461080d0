package emulator

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// PrincipalKind is user, group or service principal.
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

	displayName string // of a user or a service principal; the name of a group is the one that is displayed
	externalID  string
	inactive    bool
}

// shownName returns the name that is displayed.
func (p *principal) shownName() string { return cmp.Or(p.displayName, p.name) }

const (
	// accountUsers is the group that every user of the account belongs to.
	accountUsers = "account users"
	// workspaceAdmins and workspaceUsers are groups of the workspace, not of the account. They are granted nothing and own
	// nothing.
	workspaceAdmins = "admins"
	workspaceUsers  = "users"
)

// local reports whether p is a group of the workspace alone.
func (p *principal) local() bool {
	return p.kind == Group && (p.name == workspaceAdmins || p.name == workspaceUsers)
}

// directory holds the principals of the account. The account-wide group always exists and contains everyone. Users and
// service principals are found without regard to case, groups by their exact name.
type directory struct {
	byName map[string]*principal
	byFold map[string]*principal // users and service principals, by folded name
	byID   map[int64]*principal  // deleted principals and recipients too
	groups map[string][]string   // groups that list a member by name
	lastID int64

	listing sync.Mutex                 // guards listed
	listed  map[PrincipalKind][]string // names of a kind in their order, since somebody was added, removed or renamed last
}

// names returns the names of a kind in their order, but for the account-wide group. They are not to be changed. The caller holds the lock of what changes the directory.
func (d *directory) names(kind PrincipalKind) []string {
	d.listing.Lock()
	defer d.listing.Unlock()
	list, ok := d.listed[kind]
	if !ok {
		for name, p := range d.byName {
			if p.kind == kind && name != accountUsers {
				list = append(list, name)
			}
		}
		slices.Sort(list)
		if d.listed == nil {
			d.listed = make(map[PrincipalKind][]string)
		}
		d.listed[kind] = list
	}
	return list
}

// changed forgets in what order names are.
func (d *directory) changed() {
	d.listing.Lock()
	defer d.listing.Unlock()
	d.listed = nil
}

func newDirectory() *directory {
	d := &directory{
		byName: make(map[string]*principal),
		byFold: make(map[string]*principal),
		byID:   make(map[int64]*principal),
		groups: make(map[string][]string),
		lastID: 1000,
	}
	d.add(Group, accountUsers, nil)
	return d
}

// guessKind returns the kind of an undeclared name: an e-mail is a user, a UUID a service principal, anything else a
// group.
func guessKind(name string) PrincipalKind {
	switch {
	case strings.Contains(name, "@"):
		return User
	case len(name) == 36 && strings.Count(name, "-") == 4:
		return ServicePrincipal
	}
	return Group
}

// find returns the principal of that name, nil if there is none.
func (d *directory) find(name string) *principal {
	if p := d.byName[name]; p != nil {
		return p
	}
	return d.byFold[foldPrincipal(name)]
}

// spelled returns a name as the directory spells it; the name itself when nobody has it.
func (d *directory) spelled(name string) string {
	if p := d.find(name); p != nil {
		return p.name
	}
	return name
}

// add adds a principal if there is none of the name, and adds members to a group.
func (d *directory) add(kind PrincipalKind, name string, members []string) *principal {
	p := d.byName[name]
	if p == nil && kind != Group {
		p = d.byFold[foldPrincipal(name)]
	}
	if p == nil {
		p = d.register(kind, name)
		d.byName[name] = p
		d.changed()
		if kind != Group {
			d.byFold[foldPrincipal(name)] = p
		}
	}
	for _, member := range members {
		member = d.spelled(member)
		if !slices.Contains(d.groups[member], p.name) { // a group may have a million members, and nobody is in as many groups
			p.members = append(p.members, member)
			d.groups[member] = append(d.groups[member], p.name)
		}
	}
	return p
}

// register assigns an id to a grantee that is not in the directory.
func (d *directory) register(kind PrincipalKind, name string) *principal {
	d.lastID++
	p := &principal{id: d.lastID, kind: kind, name: name}
	d.byID[p.id] = p
	return p
}

// remove deletes a principal, and reports whether there was one. Its grants remain under its id, as in Unity Catalog; a
// later principal of the same name has another id and none of them.
func (d *directory) remove(name string) bool {
	p := d.find(name)
	if p == nil || p.name == accountUsers {
		return false
	}
	name = p.name
	p.deleted = true
	delete(d.byName, name)
	d.changed()
	if fold := foldPrincipal(name); d.byFold[fold] == p {
		delete(d.byFold, fold)
	}
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

// nameOfID returns the name of a grantee, "" when it was deleted.
func (d *directory) nameOfID(id int64) string {
	if p := d.byID[id]; p != nil && !p.deleted {
		return p.name
	}
	return ""
}

// identities returns the name and every group it is in, directly or through groups, with the account-wide group.
func (d *directory) identities(name string) map[string]bool {
	all := map[string]bool{name: true, accountUsers: true}
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

// setMembers makes the named principals the members of a group.
func (d *directory) setMembers(p *principal, members []string) {
	for _, member := range p.members {
		d.groups[member] = slices.DeleteFunc(d.groups[member], func(group string) bool { return group == p.name })
	}
	p.members = nil
	d.add(p.kind, p.name, members)
}

// rename gives a group a name that nobody has.
func (d *directory) rename(p *principal, name string) {
	members := p.members
	d.setMembers(p, nil)
	in := d.groups[p.name]
	for _, group := range in {
		g := d.byName[group]
		g.members[slices.Index(g.members, p.name)] = name
	}
	delete(d.groups, p.name)
	delete(d.byName, p.name)
	p.name = name
	d.byName[name] = p
	d.changed()
	if in != nil {
		d.groups[name] = in
	}
	d.setMembers(p, members)
}
