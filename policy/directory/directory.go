package directory

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ucwarden/input"
	"ucwarden/policy"
)

// Entry is a principal as the workspace lists it.
type Entry struct {
	ID       string
	Kind     policy.PrincipalKind // policy.User, policy.Group or policy.ServicePrincipal
	Name     string               // user name, display name of a group, application id of a service principal
	Display  string               // what people call it, which is no name in Unity Catalog; none of a group
	Inactive bool
	Local    bool     // a group of the workspace alone: Unity Catalog takes no grant to it
	Members  []string // of a group: the ids of its direct members; nil where these are not known
	Parents  []string // the ids of groups that it is directly in
}

// Listing is all that a workspace lists. Part of one is no listing.
type Listing struct {
	Entries []Entry
	Self    string // the id of the identity that reads it
	// Groups are the ids of the groups that Self is directly in.
	Groups []string
}

// Directory is the principals of a workspace at one time. It never changes and is safe for concurrent use. The zero
// Directory is one that could not be read: kinds are told by the shape of names.
type Directory struct {
	entries []Entry
	byName  map[string][]int // by folded name
	byID    map[string]int
	told    map[string][]int // by id of a group, those who say that they are directly in it
	own     map[policy.Principal]bool
	read    bool
}

// New indexes a listing.
func New(l Listing) *Directory {
	d := &Directory{entries: slices.Clone(l.Entries), byName: make(map[string][]int, len(l.Entries)), told: make(map[string][]int), own: make(map[policy.Principal]bool), read: true}
	slices.SortFunc(d.entries, func(a, b Entry) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	byID := make(map[string]int, len(l.Entries))
	d.byID = byID
	for i := range d.entries {
		e := &d.entries[i]
		folded := policy.FoldPrincipal(e.Name)
		d.byName[folded] = append(d.byName[folded], i)
		byID[e.ID] = i
		for _, group := range e.Parents {
			d.told[group] = append(d.told[group], i)
		}
	}
	parents := make(map[string][]string) // by member
	for i := range d.entries {
		e := &d.entries[i]
		for _, member := range e.Members {
			parents[member] = append(parents[member], e.ID)
		}
		parents[e.ID] = append(parents[e.ID], e.Parents...)
	}
	seen := make(map[string]bool)
	for queue := slices.Concat(l.Groups, parents[l.Self]); len(queue) > 0; queue = queue[1:] {
		id := queue[0]
		if seen[id] {
			continue
		}
		seen[id] = true
		if i, found := byID[id]; found {
			d.own[d.entries[i].principal()] = true
		}
		queue = append(queue, parents[id]...)
	}
	if i, found := byID[l.Self]; found {
		d.own[d.entries[i].principal()] = true
	}
	delete(d.own, policy.AccountUsers) // everybody's: a grant to it is no more ours than anyone's
	return d
}

func (e *Entry) principal() policy.Principal { return policy.NewPrincipal(e.Kind, e.Name) }

// Lists reports whether the directory has a principal that policies name, as Resolve finds it; a nil one has nobody.
func (d *Directory) Lists(p policy.Principal) bool { return d != nil && d.Resolve(p).Listed }

// MembersOf returns the users and service principals in a group that policies name, as Resolve finds it, directly or through others, and
// whether these are all; none where it has no such group.
func (d *Directory) MembersOf(group policy.Principal) (names []string, all bool) {
	r := d.Resolve(group)
	if !r.Listed || r.Principal.IsEveryone() {
		return nil, false
	}
	return d.UsersIn(r.Principal)
}

// Read reports whether the directory could be read.
func (d *Directory) Read() bool { return d.read }

// Principals lists everybody, sorted by kind; with everybody's group, which no workspace lists.
func (d *Directory) Principals() []policy.Principal {
	list := []policy.Principal{policy.AccountUsers}
	for i := range d.entries {
		list = append(list, d.entries[i].principal())
	}
	return list
}

// Len is the number of principals.
func (d *Directory) Len() int { return len(d.entries) }

// Own reports whether a principal is us, or a group that we are in, directly or through other groups. Everybody's group is not
// ours.
func (d *Directory) Own(p policy.Principal) bool { return d.own[p] }

// OwnGroups returns the groups that we are in, directly or through other groups, sorted.
func (d *Directory) OwnGroups() []policy.Principal {
	var list []policy.Principal
	for p := range d.own {
		if p.Kind == policy.Group {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, policy.ComparePrincipals)
	return list
}

// Resolution is what a principal that policies name is in the workspace.
type Resolution struct {
	Principal policy.Principal
	// Withheld says why it is granted nothing; empty where it may be.
	Withheld string
	// Note says what else is to be known of it; access is as the policies say.
	Note string
	// Listed tells that the directory has the principal.
	Listed bool
}

// Resolve returns what a principal that policies name is in the workspace. A user may be a service principal; otherwise a
// principal resolves to one of its own kind, and a name that several have resolves to none. One that the directory does not
// list resolves as it is named where the shape of the name agrees: a workspace need not list everybody whom Unity Catalog
// knows.
func (d *Directory) Resolve(p policy.Principal) Resolution {
	if p.IsEveryone() {
		return Resolution{Principal: p, Listed: true}
	}
	if p.Kind == policy.Group {
		return d.resolveGroup(p)
	}
	r := Resolution{Principal: p}
	found, groups := d.split(p.Name)
	switch {
	case len(found) > 1 || len(found) == 1 && len(groups) > 0:
		r.Withheld = "the workspace has " + describe(slices.Concat(found, groups)) + " of this name, and a grant would not tell them apart"
	case len(found) == 1:
		r.Principal, r.Listed = found[0].principal(), true
		if found[0].Inactive {
			r.Withheld = "it is deactivated in the workspace"
		}
	case len(groups) > 0:
		r.Withheld = "the workspace has no user or service principal of this name, only " + describe(groups) + ", which a user in a policy never means"
	case policy.PrincipalByShape(p.Name).Kind == policy.Group:
		r.Withheld = d.missing("user or service principal")
	default:
		r.Note = d.unlisted()
	}
	return r
}

func (d *Directory) resolveGroup(p policy.Principal) Resolution {
	r := Resolution{Principal: p}
	others, groups := d.split(p.Name)
	named := groups
	if slices.ContainsFunc(groups, func(e *Entry) bool { return e.Name == p.Name }) {
		named = slices.DeleteFunc(slices.Clone(groups), func(e *Entry) bool { return e.Name != p.Name })
	}
	grantable := slices.DeleteFunc(slices.Clone(named), func(e *Entry) bool { return e.Local })
	switch {
	case len(others) > 0 && len(groups) > 0:
		r.Withheld = "the workspace has " + describe(slices.Concat(others, groups)) + " of this name, and a grant would not tell them apart"
	case len(others) > 0:
		r.Withheld = "the workspace has no group of this name, only " + describe(others) + ", which a group in a policy never means"
	case len(grantable) > 1 && grantable[0].Name != p.Name:
		r.Withheld = "the workspace has no group of exactly this name, and several that differ from it in case or blanks alone: " + describe(grantable)
	case len(grantable) > 0:
		r.Principal, r.Listed = grantable[0].principal(), true
		if r.Principal != p {
			r.Note = fmt.Sprintf("it is taken for the group %q, which differs in case or blanks alone", r.Principal.Name)
		}
	case len(named) > 0:
		r.Withheld = "it is a group of the workspace alone, and Unity Catalog takes grants to groups of the account only"
	case policy.PrincipalByShape(p.Name).Kind != policy.Group:
		r.Withheld = d.missing("group")
	default:
		r.Note = d.unlisted()
	}
	return r
}

// missing says that a principal is not listed and that its name could be one of another kind.
func (d *Directory) missing(kinds string) string {
	if !d.read {
		return "the principals of the workspace could not be read, and the name alone does not say that it is a " + kinds
	}
	return "the workspace has no " + kinds + " of this name"
}

// unlisted says that a principal is not listed. It is tried all the same.
func (d *Directory) unlisted() string {
	if !d.read {
		return ""
	}
	return "the workspace does not list it; its grants are sent all the same"
}

// split returns the users and service principals, and the groups, whose names are one when folded.
func (d *Directory) split(name string) (others, groups []*Entry) {
	for _, i := range d.byName[policy.FoldPrincipal(name)] {
		if e := &d.entries[i]; e.Kind == policy.Group {
			groups = append(groups, e)
		} else {
			others = append(others, e)
		}
	}
	return others, groups
}

// describe names kinds and names: `user "x" and group "X"`.
func describe(list []*Entry) string {
	words := make([]string, len(list))
	for i, e := range list {
		words[i] = fmt.Sprintf("%s %q", strings.ReplaceAll(e.Kind.String(), "_", " "), e.Name)
	}
	if len(words) > 3 {
		words = append(words[:3], fmt.Sprintf("%d more", len(list)-3))
	}
	return strings.Join(words, " and ")
}

// Nearest returns, quoted, the name of the principal of p's kind that is most like its own, be it that the domain is missing,
// or the names of those that are called so; empty where none is near, or where somebody has the name itself.
func (d *Directory) Nearest(p policy.Principal) string {
	folded := policy.FoldPrincipal(p.Name)
	if p.Kind != policy.Group {
		var called []string
		for i := range d.entries {
			if e := &d.entries[i]; e.Display != "" && len(called) < 3 && policy.FoldPrincipal(e.Display) == folded && policy.FoldPrincipal(e.Name) != folded {
				called = append(called, fmt.Sprintf("%q (%s %q)", e.Name, strings.ReplaceAll(e.Kind.String(), "_", " "), e.Display))
			}
		}
		if len(called) > 0 {
			return strings.Join(called, " or ")
		}
	}
	if len(d.byName[folded]) > 0 {
		return ""
	}
	best, distance := -1, len(folded)/5+1
	for i := range d.entries {
		e := &d.entries[i]
		if (e.Kind == policy.Group) != (p.Kind == policy.Group) {
			continue
		}
		name, n := policy.FoldPrincipal(e.Name), 1 // where but the domain is missing
		if !strings.HasPrefix(name, folded+"@") {
			if len(name)-len(folded) > distance || len(folded)-len(name) > distance {
				continue
			}
			n = input.Distance(folded, name)
		}
		if n < distance || n == distance && (best < 0 || e.Name < d.entries[best].Name) {
			best, distance = i, n
		}
	}
	if best < 0 {
		return ""
	}
	return strconv.Quote(d.entries[best].Name)
}

// Identify returns the principal that a grant names. A name that two kinds or two users have is of policy.UnknownKind; the kind
// of one that the directory does not have is told by its shape. A group is the one of exactly that name: one that differs in
// case may be another, of the account, that the workspace does not list.
func (d *Directory) Identify(name string) policy.Principal {
	if p := policy.NewPrincipal(policy.Group, name); p.IsEveryone() {
		return p
	}
	others, groups := d.split(name)
	switch {
	case len(others) > 1 || len(others) == 1 && len(groups) > 0:
		return policy.NewPrincipal(policy.UnknownKind, name)
	case len(others) == 1:
		return others[0].principal()
	case len(groups) > 0:
		return policy.NewPrincipal(policy.Group, name)
	}
	return policy.PrincipalByShape(name)
}

// Spelling returns the name of a principal as the workspace spells it.
func (d *Directory) Spelling(p policy.Principal) string {
	if p.Kind == policy.Group {
		return p.Name
	}
	if others, _ := d.split(p.Name); len(others) == 1 {
		return others[0].Name
	}
	return p.Name
}

// Same reports whether two directories say the same.
func (d *Directory) Same(o *Directory) bool {
	if d.read != o.read || len(d.entries) != len(o.entries) || len(d.own) != len(o.own) {
		return false
	}
	for p := range d.own {
		if !o.own[p] {
			return false
		}
	}
	for i := range d.entries {
		a, b := &d.entries[i], &o.entries[i]
		if a.ID != b.ID || a.Kind != b.Kind || a.Name != b.Name || a.Display != b.Display || a.Inactive != b.Inactive || a.Local != b.Local ||
			(a.Members == nil) != (b.Members == nil) || !slices.Equal(a.Members, b.Members) {
			return false
		}
	}
	return true
}
