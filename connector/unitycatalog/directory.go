package unitycatalog

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ucwarden/connector/identity"
	"ucwarden/group"
	"ucwarden/policy"
	"ucwarden/policy/directory"
)

var _ identity.Source = (*Client)(nil)

const (
	scimPrefix   = "/api/2.0/preview/scim/v2/"
	scimPageSize = 1000 // the server may return fewer
	// scimAttempts is how often a listing begins again because the directory changed while its pages were read.
	scimAttempts = 4
)

// scimResource is a user, group or service principal, or the caller, as SCIM has it.
type scimResource struct {
	ID            string          `json:"id"`
	UserName      string          `json:"userName"`
	DisplayName   string          `json:"displayName"`
	ApplicationID string          `json:"applicationId"`
	Active        *bool           `json:"active"`
	ExternalID    string          `json:"externalId"` // of a group that comes from an identity provider
	Members       []scimReference `json:"members"`
	Groups        []scimReference `json:"groups"`
	Meta          struct {
		ResourceType string `json:"resourceType"`
	} `json:"meta"`

	tooLarge bool // to be read with its members
}

type scimReference struct {
	Value   string `json:"value"`
	Display string `json:"display"`
}

type scimPage struct {
	Resources    []scimResource `json:"Resources"`
	TotalResults *int           `json:"totalResults"`
}

func (r *scimResource) entry(kind policy.PrincipalKind) directory.Entry {
	e := directory.Entry{ID: r.ID, Kind: kind, Inactive: r.Active != nil && !*r.Active}
	switch kind {
	case policy.User:
		e.Name, e.Display = r.UserName, r.DisplayName
	case policy.ServicePrincipal:
		e.Name, e.Display = r.ApplicationID, r.DisplayName
	case policy.Group:
		e.Name, e.Local = r.DisplayName, r.Meta.ResourceType == "WorkspaceGroup"
		e.Members, e.Parents = ids(r.Members), ids(r.Groups)
	}
	return e
}

// ids returns the ids of a list; nil where there is none, which says nothing.
func ids(list []scimReference) []string {
	if list == nil {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, r := range list {
		out = append(out, r.Value)
	}
	return out
}

// Principals implements identity.Source: all pages of three listings, and the caller. Some accounts list groups without
// their members. Then, which the groups of the caller tell, each group is read by itself. A group without members has none in the
// listing either, so that it is read by itself too.
func (c *Client) Principals(ctx context.Context) (directory.Listing, error) {
	listing, err := c.principals(ctx)
	if err != nil {
		return directory.Listing{}, wrap(err, "read the principals of the workspace")
	}
	return listing, nil
}

func (c *Client) principals(ctx context.Context) (directory.Listing, error) {
	me, err := c.scimMe(ctx)
	if err != nil {
		return directory.Listing{}, err
	}
	kinds := []struct {
		path, attributes string
		kind             policy.PrincipalKind
	}{
		{"Users", "id,userName,displayName,active", policy.User},
		{"ServicePrincipals", "id,applicationId,displayName,active", policy.ServicePrincipal},
		{"Groups", "id,displayName,members,groups,meta,externalId", policy.Group},
	}
	lists := make([][]scimResource, len(kinds))
	g, gctx := group.WithContext(ctx)
	for i, k := range kinds {
		g.Go(func() (err error) {
			lists[i], err = c.scimList(gctx, k.path, k.attributes)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return directory.Listing{}, err
	}
	if lists[2], err = c.completeGroups(ctx, me, lists[2]); err != nil {
		return directory.Listing{}, err
	}
	listing := directory.Listing{Self: me.ID, Groups: ids(me.Groups)}
	for i, k := range kinds {
		for j := range lists[i] {
			if e := lists[i][j].entry(k.kind); e.Name != "" { // else nothing can name it
				listing.Entries = append(listing.Entries, e)
			}
		}
	}
	return listing, nil
}

// scimMe returns the caller. The user name of a service principal is its application id.
func (c *Client) scimMe(ctx context.Context) (scimResource, error) {
	var me scimResource
	if err := c.get(ctx, "scim me", scimPrefix+"Me", nil, &me); err != nil {
		return scimResource{}, err
	}
	if me.UserName == "" {
		return scimResource{}, policy.Errorf(policy.CodeUnavailable, "the answer about the caller has no user name")
	}
	return me, nil
}

// scimList reads all pages of a listing. Pages are places in a list that shifts when somebody is added or removed meanwhile,
// so what came must be as many as the server counts, or the listing begins again.
func (c *Client) scimList(ctx context.Context, path, attributes string) ([]scimResource, error) {
	for range scimAttempts {
		list, complete, err := c.scimPages(ctx, path, attributes)
		if err != nil || complete {
			return list, err
		}
	}
	return nil, policy.Errorf(policy.CodeUnavailable, "%s changed while they were listed, %d times", path, scimAttempts)
}

// Pages that hold more than an answer may are asked for in parts.
func (c *Client) scimPages(ctx context.Context, path, attributes string) (list []scimResource, complete bool, err error) {
	total := -1
	seen := make(map[string]bool)
	count, shown := scimPageSize, attributes
	for start := 1; ; {
		var page scimPage
		query := url.Values{"attributes": {shown}, "startIndex": {strconv.Itoa(start)}, "count": {strconv.Itoa(count)}}
		err := c.get(ctx, "scim "+strings.ToLower(path), scimPrefix+path, query, &page)
		switch {
		case policy.CodeOf(err) == policy.CodeTooLarge && count > 1:
			count /= 10
			continue
		case policy.CodeOf(err) == policy.CodeTooLarge && shown != withoutMembers(attributes): // who is in this group is not known
			shown = withoutMembers(attributes)
			continue
		case err != nil:
			return nil, false, err
		}
		large := shown != attributes // would be more than an answer may hold
		count, shown = min(count*10, scimPageSize), attributes
		if page.TotalResults == nil {
			return nil, false, policy.Errorf(policy.CodeUnavailable, "the listing of %s does not say how many there are", path)
		}
		if total >= 0 && *page.TotalResults != total {
			return nil, false, nil
		}
		total = *page.TotalResults
		for _, r := range page.Resources {
			if r.ID == "" {
				return nil, false, policy.Errorf(policy.CodeUnavailable, "the listing of %s holds one without an id", path)
			}
			if !seen[r.ID] {
				seen[r.ID] = true
				r.tooLarge = large
				list = append(list, r)
			}
		}
		start += len(page.Resources)
		if len(page.Resources) == 0 || start > total {
			return list, len(list) == total, nil
		}
	}
}

// withoutMembers returns attributes without the members of groups.
func withoutMembers(attributes string) string { return strings.Replace(attributes, ",members", "", 1) }

// completeGroups adds the members of groups where the listing does not show any, as of all groups where the caller is in one that is
// listed without it. It adds the groups of the caller that are not listed. A group that is read by itself and has no members is empty,
// where those of others are shown, unless it comes from an identity provider.
func (c *Client) completeGroups(ctx context.Context, me scimResource, groups []scimResource) ([]scimResource, error) {
	hidden := false
	for _, mine := range me.Groups {
		if policy.NewPrincipal(policy.Group, mine.Display).IsEveryone() {
			continue // everybody is in it, and it is not listed
		}
		i := slices.IndexFunc(groups, func(g scimResource) bool { return g.ID == mine.Value })
		if i < 0 {
			groups = append(groups, scimResource{ID: mine.Value, DisplayName: mine.Display})
			hidden = true
			continue
		}
		hidden = hidden || !slices.ContainsFunc(groups[i].Members, func(m scimReference) bool { return m.Value == me.ID })
	}
	g, ctx := group.WithContext(ctx)
	g.SetLimit(c.maxParallel)
	whole := make([]bool, len(groups))
	for i := range groups {
		// Of one from an identity provider it is not known whether SCIM shows the members at all.
		if groups[i].Members != nil || groups[i].tooLarge || !hidden && groups[i].ExternalID != "" {
			continue
		}
		g.Go(func() error {
			var one scimResource
			err := c.get(ctx, "scim group", scimPrefix+"Groups/"+url.PathEscape(groups[i].ID), nil, &one)
			switch code := policy.CodeOf(err); {
			case err == nil:
				groups[i].Members, groups[i].Groups, groups[i].Meta = one.Members, one.Groups, one.Meta
				whole[i] = cmp.Or(one.ExternalID, groups[i].ExternalID) == ""
			case code == policy.CodeNotFound, code == policy.CodeTooLarge, !hidden && !code.Retryable():
				return nil // deleted since it was listed, or not shown to us: who is in it the other groups tell; or more than can be read
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(groups, func(g scimResource) bool { return len(g.Members) > 0 }) {
		return groups, nil // maybe we are shown nobody's members
	}
	for i := range groups {
		if whole[i] && groups[i].Members == nil {
			groups[i].Members = []scimReference{}
		}
	}
	return groups, nil
}
