package unitycatalog

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"

	"ucwarden/group"
	"ucwarden/policy"
	"ucwarden/policy/naming"
)

// pageSize is the number of objects requested per page: the server's maximum for tables, volumes and models. For other
// types the server's own lower bound applies (client library, List...Request.MaxResults).
const pageSize = 10000

// List implements load.Lister. For functions or volumes of a catalog, and for its tables where the server does not
// support table-summaries, it lists the schemas first.
func (c *Client) List(ctx context.Context, parent policy.Securable, t policy.SecurableType) ([]policy.Object, error) {
	list, err := c.list(ctx, parent, t)
	if err != nil {
		if parent.Type == "" {
			return nil, wrap(err, "list %s objects", t)
		}
		return nil, wrap(err, "list %s objects of %s", t, parent)
	}
	return list, nil
}

func (c *Client) list(ctx context.Context, parent policy.Securable, t policy.SecurableType) ([]policy.Object, error) {
	if parent != (policy.Securable{}) {
		if err := checkName(parent); err != nil {
			return nil, err
		}
	}
	root := parent.Type == "" || parent.Type == policy.Metastore
	switch {
	case t == policy.Metastore && root:
		m, err := c.metastore(ctx)
		if err != nil {
			return nil, err
		}
		return []policy.Object{m}, nil
	case t.Depth() == 1 && root, t == policy.Schema && parent.Type == policy.Catalog:
		from, _ := collectionOf(t)
		return c.listPages(ctx, from, parent, t)
	case t == policy.Table && parent.Type == policy.Catalog:
		return c.listTablesOfCatalog(ctx, parent)
	case t.Depth() == 3 && parent.Type == policy.Catalog:
		return c.listBySchema(ctx, parent, t)
	case t.Depth() == 3 && parent.Type == policy.Schema:
		return c.listInSchema(ctx, parent, t)
	}
	return nil, policy.Errorf(policy.CodeInvalid, "a %s holds no %s objects", parent.Type, t)
}

// listTablesOfCatalog lists all tables of a catalog at once where the server supports it, otherwise by schema.
func (c *Client) listTablesOfCatalog(ctx context.Context, catalog policy.Securable) ([]policy.Object, error) {
	if c.noSummaries.Load() {
		return c.listBySchema(ctx, catalog, policy.Table)
	}
	list, err := c.listPages(ctx, tableSummaries, catalog, policy.Table)
	if err == nil || !isSummariesUnsupported(err) {
		return list, err
	}
	if list, err = c.listBySchema(ctx, catalog, policy.Table); err != nil {
		return nil, err
	}
	// Only now is it known that the catalog exists and that table-summaries is not supported.
	if !c.noSummaries.Swap(true) {
		c.log.InfoContext(ctx, "the workspace does not support table-summaries: tables are listed schema by schema")
	}
	return list, nil
}

// isSummariesUnsupported reports whether table-summaries may have failed because the server does not support it, rather
// than because of the catalog.
func isSummariesUnsupported(err error) bool {
	var a *apiError
	return errors.As(err, &a) && (a.isUnsupported() || a.status == 400 && policy.CodeOf(err) == policy.CodeInvalid)
}

// listBySchema lists the schemas of a catalog, then the objects of type t in each.
func (c *Client) listBySchema(ctx context.Context, catalog policy.Securable, t policy.SecurableType) ([]policy.Object, error) {
	schemas, _ := collectionOf(policy.Schema)
	parents, err := c.listPages(ctx, schemas, catalog, policy.Schema)
	if err != nil {
		return nil, err
	}
	found := make([][]policy.Object, len(parents))
	g, ctx := group.WithContext(ctx)
	g.SetLimit(c.maxParallel)
	for i, schema := range parents {
		g.Go(func() error {
			var err error
			found[i], err = c.listInSchema(ctx, schema.Securable, t)
			if policy.CodeOf(err) == policy.CodeNotFound {
				return nil // the schema was dropped since it was listed, and its objects with it
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// listInSchema lists the objects of type t in a schema; functions include registered models.
func (c *Client) listInSchema(ctx context.Context, schema policy.Securable, t policy.SecurableType) ([]policy.Object, error) {
	from, _ := collectionOf(t)
	list, err := c.listPages(ctx, from, schema, t)
	if err != nil || t != policy.Function {
		return list, err
	}
	more, err := c.listPages(ctx, models, schema, t)
	if err != nil {
		return nil, err
	}
	return append(list, more...), nil
}

// listPages returns the objects of all pages of a listing.
func (c *Client) listPages(ctx context.Context, from collection, parent policy.Securable, t policy.SecurableType) ([]policy.Object, error) {
	query := url.Values{"max_results": {strconv.Itoa(pageSize)}}
	for name, values := range from.query {
		query[name] = values
	}
	if parent.Type == policy.Catalog || parent.Type == policy.Schema {
		query.Set("catalog_name", parent.Names()[0])
	}
	if parent.Type == policy.Schema {
		query.Set("schema_name", parent.Names()[1])
	}
	var list []policy.Object
	seen := make(map[policy.Securable]struct{}) // an object created while listing may be on two pages
	err := eachPage(ctx, c, from.path, from.path, from.field, query, func(item *objectInfo) error {
		if t == policy.Credential && item.Purpose == "STORAGE" {
			return nil // listed as STORAGE_CREDENTIAL
		}
		o, err := item.object(t, from.kind)
		if err != nil {
			return policy.Errorf(policy.CodeUnavailable, "the listing contains an object without a valid name: %w", err)
		}
		if parent.Type.IsContainer() && !parent.Contains(o.Securable) {
			return policy.Errorf(policy.CodeUnavailable, "the listing contains %s, which is not in %s", o.Securable, parent)
		}
		if _, twice := seen[o.Securable]; !twice {
			seen[o.Securable] = struct{}{}
			list = append(list, o)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// eachPage calls add for each object of all pages of a listing. A page may be empty and not be the last: only a missing token
// ends the listing.
func eachPage[T any](ctx context.Context, c *Client, route, path, field string, query url.Values, add func(*T) error) error {
	tokens := make(map[string]bool)
	for {
		var fields map[string]json.RawMessage
		if err := c.get(ctx, route, prefix+path, query, &fields); err != nil {
			return err
		}
		var items []T
		var next string
		for name, into := range map[string]any{field: &items, "next_page_token": &next} {
			if raw, ok := fields[name]; ok { // an empty page may leave it out
				if err := json.Unmarshal(raw, into); err != nil {
					return schemaError("GET "+route, err)
				}
			}
		}
		for i := range items {
			if err := add(&items[i]); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		if tokens[next] {
			return policy.Errorf(policy.CodeUnavailable, "the listing does not end: the server sent the same page token twice")
		}
		tokens[next] = true
		query.Set("page_token", next)
	}
}

// metastore returns the workspace's metastore. Reading the summary needs no special rights, unlike the metastore itself.
func (c *Client) metastore(ctx context.Context) (policy.Object, error) {
	var m struct {
		ID    string `json:"metastore_id"`
		Owner string `json:"owner"`
	}
	if err := c.get(ctx, "metastore_summary", prefix+"metastore_summary", nil, &m); err != nil {
		return policy.Object{}, err
	}
	s := policy.Securable{Type: policy.Metastore, FullName: naming.Canonical(m.ID)}
	if m.ID == "" {
		return policy.Object{}, policy.Errorf(policy.CodeNotFound, "the workspace has no metastore assigned")
	}
	return policy.Object{Securable: s, Owner: m.Owner}, checkName(s)
}

// Get implements load.Lister.
func (c *Client) Get(ctx context.Context, s policy.Securable) (policy.Object, error) {
	o, err := c.getObject(ctx, s)
	if err != nil {
		return policy.Object{}, wrap(err, "look up %s", s)
	}
	if o.Securable != s {
		return policy.Object{}, policy.Errorf(policy.CodeInternal, "look up %s: the workspace answered with %s", s, o.Securable)
	}
	return o, nil
}

func (c *Client) getObject(ctx context.Context, s policy.Securable) (policy.Object, error) {
	if err := checkName(s); err != nil {
		return policy.Object{}, err
	}
	if s.Type == policy.Metastore {
		m, err := c.metastore(ctx)
		if err == nil && m.Securable != s {
			return policy.Object{}, policy.Errorf(policy.CodeNotFound, "the workspace's metastore is %s", m.FullName)
		}
		return m, err
	}
	from, _ := collectionOf(s.Type)
	o, err := c.getFrom(ctx, from, s)
	if s.Type == policy.Function && policy.CodeOf(err) == policy.CodeNotFound {
		return c.getFrom(ctx, models, s)
	}
	return o, err
}

func (c *Client) getFrom(ctx context.Context, from collection, s policy.Securable) (policy.Object, error) {
	var item objectInfo
	if err := c.get(ctx, from.path+" one", prefix+from.path+"/"+url.PathEscape(s.FullName), nil, &item); err != nil {
		return policy.Object{}, err
	}
	o, err := item.object(s.Type, from.kind)
	if err != nil {
		return policy.Object{}, policy.Errorf(policy.CodeUnavailable, "the answer does not name an object: %w", err)
	}
	return o, nil
}
