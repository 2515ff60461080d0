package policy

import (
	"cmp"
	"fmt"
	"strings"

	"ucwarden/policy/naming"
)

// PrincipalKind tells users, groups and service principals apart.
type PrincipalKind uint8

// The kinds of principal. Nothing is granted to one of UnknownKind, nor revoked from it: its name may mean several, or it is
// deleted.
const (
	UnknownKind PrincipalKind = iota
	User
	Group
	ServicePrincipal
)

var principalKinds = [...]string{UnknownKind: "unknown", User: "user", Group: "group", ServicePrincipal: "service_principal"}

func (k PrincipalKind) String() string { return principalKinds[k] }

// MarshalText implements encoding.TextMarshaler.
func (k PrincipalKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *PrincipalKind) UnmarshalText(text []byte) error {
	for i, word := range principalKinds {
		if word == string(text) {
			*k = PrincipalKind(i)
			return nil
		}
	}
	return Errorf(CodeInvalid, "unknown kind of principal %q", text)
}

// Principal is a user (e-mail address), group or service principal (application id). The kind is part of the identity: a
// user is never a group of the same name. Principals made by [NewPrincipal] and [PrincipalByShape] are equal if and only
// if Unity Catalog takes them for one.
type Principal struct {
	Name string        `json:"principal,omitempty"`
	Kind PrincipalKind `json:"principalKind,omitempty"`
}

// AccountUsers is the group every user of the account belongs to; Ranger's group public.
var AccountUsers = Principal{"account users", Group}

// deletedPrefix begins the names of deleted principals.
const deletedPrefix = "deleted principal, id "

// DeletedPrincipal returns what stands for a principal that is gone and whose grants are still there: Unity Catalog shows them
// with an id and without a name.
func DeletedPrincipal(id int64) Principal {
	return Principal{Name: fmt.Sprintf("%s%d", deletedPrefix, id)}
}

// Deleted reports whether p is one of [DeletedPrincipal].
func (p Principal) Deleted() bool {
	return p.Kind == UnknownKind && strings.HasPrefix(p.Name, deletedPrefix)
}

// NewPrincipal returns the principal of a kind and name. Unity Catalog compares users and service principals without regard
// to case, so their names are folded; it compares groups exactly.
func NewPrincipal(kind PrincipalKind, name string) Principal {
	switch kind {
	case User, ServicePrincipal:
		name = FoldPrincipal(name)
	case Group:
		if FoldPrincipal(name) == AccountUsers.Name {
			return AccountUsers
		}
	}
	return Principal{name, kind}
}

// PrincipalByShape returns the principal that a name most likely means: an application id a service principal, what holds
// '@' a user, anything else a group.
func PrincipalByShape(name string) Principal {
	switch {
	case isUUID(name):
		return NewPrincipal(ServicePrincipal, name)
	case strings.Contains(name, "@"):
		return NewPrincipal(User, name)
	}
	return NewPrincipal(Group, name)
}

// FoldPrincipal folds the name of a principal: without regard to case, as [naming.Loose], nor to blanks around it. It is the one
// rule by which names are compared without regard to case, be it of users or to find whom a misspelt name may mean.
func FoldPrincipal(name string) string { return naming.Loose(strings.TrimSpace(name)) }

// SamePlainly reports whether two names are one in the narrow sense: they differ in blanks around them and in letters that
// have one lower and one upper case. Names that only [FoldPrincipal] takes for one may be two people's; they are denied
// together, and granted nothing by one another's name.
func SamePlainly(a, b string) bool {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	upper, other := strings.ToUpper(a), strings.ToUpper(b)
	return a == b || naming.Canonical(a) == naming.Canonical(b) && upper == other
}

func (p Principal) String() string { return p.Name }

// IsEveryone reports whether p is the group every user of the account belongs to.
func (p Principal) IsEveryone() bool { return p == AccountUsers }

// ComparePrincipals orders principals by name, then by kind.
func ComparePrincipals(a, b Principal) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return false
		}
	}
	return true
}
