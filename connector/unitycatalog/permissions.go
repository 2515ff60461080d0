package unitycatalog

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"ucwarden/connector"
	"ucwarden/policy"
)

// grants is the API's PermissionsList.
type grants struct {
	Assignments []struct {
		Principal  string   `json:"principal"`
		Privileges []string `json:"privileges"`
	} `json:"privilege_assignments"`
	NextPageToken string `json:"next_page_token"`
}

// assignments leaves out principals that were deleted: they have an id but no name, so no change can name them.
func (g *grants) assignments() []policy.Assignment {
	var list []policy.Assignment
	for _, a := range g.Assignments {
		if a.Principal == "" {
			continue
		}
		for _, p := range a.Privileges {
			list = append(list, policy.Assignment{Principal: policy.Principal(a.Principal), Privilege: privilege(p)})
		}
	}
	return list
}

// privilege brings the SQL spelling, "USE CATALOG", which some versions of the API answer with, to the API's own.
func privilege(s string) policy.Privilege {
	return policy.Privilege(strings.ReplaceAll(strings.ToUpper(s), " ", "_"))
}

// Grants implements connector.Permissions. It sets no page size, by which the API gives all grants in one page, and
// reads further pages should there be any.
func (c *Client) Grants(ctx context.Context, s policy.Securable) ([]policy.Assignment, error) {
	list, err := c.grants(ctx, s)
	if err != nil {
		return nil, act(err, "read grants on %s", s)
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
	Principal policy.Principal   `json:"principal"`
	Add       []policy.Privilege `json:"add,omitempty"`
	Remove    []policy.Privilege `json:"remove,omitempty"`
}

type permissionsDiff struct {
	Changes []principalDiff `json:"changes"`
}

// diffOf groups a change by principal; principals and privileges are sorted, so that equal changes are equal requests.
func diffOf(change policy.Change) (permissionsDiff, error) {
	byPrincipal := make(map[policy.Principal]*principalDiff)
	entry := func(p policy.Principal) *principalDiff {
		if byPrincipal[p] == nil {
			byPrincipal[p] = &principalDiff{Principal: p}
		}
		return byPrincipal[p]
	}
	for _, a := range change.Add {
		e := entry(a.Principal)
		e.Add = append(e.Add, a.Privilege)
	}
	for _, a := range change.Remove {
		e := entry(a.Principal)
		e.Remove = append(e.Remove, a.Privilege)
	}
	var diff permissionsDiff
	for _, e := range byPrincipal {
		if e.Principal == "" {
			return permissionsDiff{}, policy.Errorf(policy.CodeInvalid, "a principal has no name")
		}
		slices.Sort(e.Add)
		slices.Sort(e.Remove)
		e.Add, e.Remove = slices.Compact(e.Add), slices.Compact(e.Remove)
		for _, p := range e.Add {
			if _, both := slices.BinarySearch(e.Remove, p); both {
				return permissionsDiff{}, policy.Errorf(policy.CodeInvalid, "%s is both added and removed for %q", p, e.Principal)
			}
		}
		diff.Changes = append(diff.Changes, *e)
	}
	slices.SortFunc(diff.Changes, func(a, b principalDiff) int { return strings.Compare(string(a.Principal), string(b.Principal)) })
	return diff, nil
}

// Apply implements connector.Permissions. A change that names a principal the workspace does not know fails with a
// *connector.PrincipalError; policy.CodeNotFound says that the securable is gone. An empty change only reads.
func (c *Client) Apply(ctx context.Context, change policy.Change) ([]policy.Assignment, error) {
	list, err := c.apply(ctx, change)
	if err != nil {
		return nil, act(err, "change grants on %s", change.Securable)
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
	// A delta leads to the same state however often it is applied, so a request whose answer was lost is sent again.
	info := call{route: "PATCH " + permissionsRoute(s), repeatable: true}
	var g grants
	if err := c.do(ctx, info, http.MethodPatch, permissionsPath(s), diff, &g); err != nil {
		return nil, principalError(err, s.Type, diff)
	}
	if g.NextPageToken != "" { // the state does not fit one answer
		return c.grants(ctx, s)
	}
	return g.assignments(), nil
}

// principalError tells an unknown principal from an unknown securable: both are 404. The principals of a share are
// recipients.
func principalError(err error, t policy.SecurableType, diff permissionsDiff) error {
	var a *answerError
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
	return &connector.PrincipalError{Principal: named(a.message, diff), Err: a}
}

// named finds the principal that a message is about: the only one it holds, or, since one name may be part of
// another, the longest. It gives "" when two are equally long or there is none.
func named(message string, diff permissionsDiff) policy.Principal {
	var found policy.Principal
	tie := false
	for _, e := range diff.Changes {
		if !strings.Contains(message, string(e.Principal)) {
			continue
		}
		switch {
		case len(e.Principal) > len(found):
			found, tie = e.Principal, false
		case len(e.Principal) == len(found):
			tie = true
		}
	}
	if tie {
		return ""
	}
	return found
}

// Identity is who the client is to the workspace.
type Identity struct {
	Principal policy.Principal   // user name, or the application id of a service principal
	Groups    []policy.Principal // of the workspace; grants to them are grants to us
}

// Whoami asks the workspace who the client is. It also shows whether the credentials are accepted.
func (c *Client) Whoami(ctx context.Context) (Identity, error) {
	var me struct {
		UserName string `json:"userName"`
		Groups   []struct {
			Display string `json:"display"`
		} `json:"groups"`
	}
	if err := c.get(ctx, "scim me", "/api/2.0/preview/scim/v2/Me", nil, &me); err != nil {
		return Identity{}, act(err, "ask the workspace who we are")
	}
	if me.UserName == "" {
		return Identity{}, policy.Errorf(policy.CodeUnavailable, "ask the workspace who we are: the answer has no user name")
	}
	id := Identity{Principal: policy.Principal(me.UserName)}
	for _, g := range me.Groups {
		if g.Display != "" {
			id.Groups = append(id.Groups, policy.Principal(g.Display))
		}
	}
	return id, nil
}
