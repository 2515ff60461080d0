package unitycatalog

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"ucwarden/connector/apply"
	"ucwarden/policy"
)

// grants is the API's PermissionsList.
type grants struct {
	Assignments []struct {
		Principal  string   `json:"principal"`
		ID         int64    `json:"principal_id"`
		Privileges []string `json:"privileges"`
	} `json:"privilege_assignments"`
	NextPageToken string `json:"next_page_token"`
}

// assignments returns the grants. Deleted principals have an id and no name.
func (g *grants) assignments() []policy.Assignment {
	var list []policy.Assignment
	for _, a := range g.Assignments {
		holder := policy.NewPrincipal(policy.UnknownKind, a.Principal)
		if a.Principal == "" {
			holder = policy.DeletedPrincipal(a.ID)
		}
		for _, p := range a.Privileges {
			list = append(list, policy.Assignment{Principal: holder, Privilege: privilege(p)})
		}
	}
	return list
}

// privilege converts the SQL spelling, "USE CATALOG", which some versions of the API return, to the API's own.
func privilege(s string) policy.Privilege {
	return policy.Privilege(strings.ReplaceAll(strings.ToUpper(s), " ", "_"))
}

// Grants implements apply.Permissions. Without a page size the API returns all grants in one page; further pages are
// read if there are any.
func (c *Client) Grants(ctx context.Context, s policy.Securable) ([]policy.Assignment, error) {
	list, err := c.grants(ctx, s)
	if err != nil {
		return nil, wrap(err, "read grants on %s", s)
	}
	return list, nil
}

func (c *Client) grants(ctx context.Context, s policy.Securable) ([]policy.Assignment, error) {
	if err := checkName(s); err != nil {
		return nil, err
	}
	var (
		list   []policy.Assignment
		query  = url.Values{}
		tokens = make(map[string]struct{})
	)
	for {
		var g grants
		if err := c.get(ctx, permissionsRoute(s), permissionsPath(s), query, &g); err != nil {
			return nil, err
		}
		list = append(list, g.assignments()...)
		if g.NextPageToken == "" {
			return list, nil
		}
		if _, again := tokens[g.NextPageToken]; again {
			return nil, policy.Errorf(policy.CodeUnavailable, "the grants do not end: the server gave the same page token twice")
		}
		tokens[g.NextPageToken] = struct{}{}
		query.Set("page_token", g.NextPageToken)
	}
}

// principalDiff is one entry of the API's PermissionsDiff.
type principalDiff struct {
	Name   string             `json:"principal"`
	Add    []policy.Privilege `json:"add,omitempty"`
	Remove []policy.Privilege `json:"remove,omitempty"`

	principal policy.Principal
}

type permissionsDiff struct {
	Changes []principalDiff `json:"changes"`
}

// diffOf returns the request body of a change, grouped by principal. Principals and privileges are sorted, so that equal
// changes make equal requests.
func diffOf(change policy.Change) (permissionsDiff, error) {
	byPrincipal := make(map[policy.Principal]*principalDiff)
	entry := func(p policy.Principal) *principalDiff {
		if byPrincipal[p] == nil {
			byPrincipal[p] = &principalDiff{Name: p.Name, principal: p}
		}
		return byPrincipal[p]
	}
	add, remove := change.Request()
	for _, a := range add {
		e := entry(a.Principal)
		e.Add = append(e.Add, a.Privilege)
	}
	for _, a := range remove {
		e := entry(a.Principal)
		e.Remove = append(e.Remove, a.Privilege)
	}
	var diff permissionsDiff
	for _, e := range byPrincipal {
		if e.Name == "" {
			return permissionsDiff{}, policy.Errorf(policy.CodeInvalid, "a principal has no name")
		}
		slices.Sort(e.Add)
		slices.Sort(e.Remove)
		e.Add, e.Remove = slices.Compact(e.Add), slices.Compact(e.Remove)
		for _, p := range e.Add {
			if _, both := slices.BinarySearch(e.Remove, p); both {
				return permissionsDiff{}, policy.Errorf(policy.CodeInvalid, "%s is both added and removed for %q", p, e.Name)
			}
		}
		diff.Changes = append(diff.Changes, *e)
	}
	slices.SortFunc(diff.Changes, func(a, b principalDiff) int { return policy.ComparePrincipals(a.principal, b.principal) })
	return diff, nil
}

// Apply implements apply.Permissions. It returns the securable's grants after the change. A change that names a
// principal unknown to the workspace fails with a *apply.PrincipalError; an error of class policy.CodeNotFound means
// that the securable does not exist. An empty change only reads.
func (c *Client) Apply(ctx context.Context, change policy.Change) ([]policy.Assignment, error) {
	list, err := c.apply(ctx, change)
	if err != nil {
		return nil, wrap(err, "change grants on %s", change.Securable)
	}
	return list, nil
}

func (c *Client) apply(ctx context.Context, change policy.Change) ([]policy.Assignment, error) {
	s := change.Securable
	if err := checkName(s); err != nil {
		return nil, err
	}
	diff, err := diffOf(change)
	if err != nil {
		return nil, err
	}
	if len(diff.Changes) == 0 {
		return c.grants(ctx, s)
	}
	// The request adds and removes privileges, which is idempotent, so it is sent again when its answer was lost.
	// What it puts back, with the removal of ALL_PRIVILEGES, follows from what was read.
	info := requestInfo{route: "PATCH " + permissionsRoute(s), idempotent: true, readFirst: change.RemovesAll()}
	var g grants
	if err := c.do(ctx, info, http.MethodPatch, permissionsPath(s), diff, &g); err != nil {
		return nil, principalError(err, s.Type, diff)
	}
	if g.NextPageToken != "" { // the answer does not hold all grants
		return c.grants(ctx, s)
	}
	return g.assignments(), nil
}

// principalError returns a *apply.PrincipalError if err is about an unknown principal, otherwise err. An unknown
// securable is a 404 too. The principals of a share are recipients.
func principalError(err error, t policy.SecurableType, diff permissionsDiff) error {
	var a *apiError
	if !errors.As(err, &a) || a.status/100 != 4 {
		return err
	}
	switch {
	case a.code == "PRINCIPAL_DOES_NOT_EXIST", a.code == "PRINCIPAL_NOT_FOUND":
	case a.code == "RECIPIENT_DOES_NOT_EXIST" && t == policy.Share:
	case strings.Contains(strings.ToLower(a.message), "could not find principal"):
	default:
		return err
	}
	return &apply.PrincipalError{Principal: principalInMessage(a.message, diff), Err: a}
}

// principalInMessage returns the principal of the request that a message names, in whatever case: the longest, because one
// name may be part of another; none when two are equally long.
func principalInMessage(message string, diff permissionsDiff) policy.Principal {
	message = policy.FoldPrincipal(message)
	var found policy.Principal
	tie := false
	for _, e := range diff.Changes {
		if !strings.Contains(message, policy.FoldPrincipal(e.Name)) {
			continue
		}
		switch {
		case len(e.Name) > len(found.Name):
			found, tie = e.principal, false
		case len(e.Name) == len(found.Name):
			tie = true
		}
	}
	if tie {
		return policy.Principal{}
	}
	return found
}

// Identity is the client's identity in the workspace.
type Identity struct {
	Principal policy.Principal   // user name, or the application id of a service principal
	Groups    []policy.Principal // its groups, as the workspace lists them; grants to them are grants to the client
}

// Whoami returns the client's identity in the workspace. It fails with an error of class policy.CodeUnauthenticated when
// the credentials are rejected.
func (c *Client) Whoami(ctx context.Context) (Identity, error) {
	me, err := c.scimMe(ctx)
	if err != nil {
		return Identity{}, wrap(err, "ask the workspace who we are")
	}
	id := Identity{Principal: policy.PrincipalByShape(me.UserName)}
	for _, g := range me.Groups {
		if g.Display != "" {
			id.Groups = append(id.Groups, policy.NewPrincipal(policy.Group, g.Display))
		}
	}
	return id, nil
}
