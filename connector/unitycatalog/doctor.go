package unitycatalog

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"ucwarden/connector/doctor"
	"ucwarden/endpoint"
	"ucwarden/policy"
	"ucwarden/policy/directory"
	"ucwarden/policy/naming"
)

// CheckOptions say what of the workspace is to be looked at.
type CheckOptions struct {
	Scope     policy.Scope // what we are to manage
	Catalogs  []string     // that the configuration names, patterns left out
	Warehouse string       // id; empty for none
}

// Checks returns the checks of a workspace: who we are, what we may do there, its clock and its SQL warehouse.
func (c *Client) Checks(o CheckOptions) []doctor.Check {
	var us *self // found out by the first check; nil where it could not be
	return []doctor.Check{
		{Name: "identity", Run: func(ctx context.Context) (found []doctor.Finding) {
			us, found = c.checkIdentity(ctx)
			return found
		}},
		{Name: "rights", Run: func(ctx context.Context) []doctor.Finding { return c.checkRights(ctx, o, us) }},
		{Name: "clock", Run: c.checkClock},
		{Name: "warehouse", Run: func(ctx context.Context) []doctor.Finding { return c.checkWarehouse(ctx, o.Warehouse) }},
	}
}

// self is who we are, as a sync takes it for whose access is our own.
type self struct {
	principal policy.Principal
	groups    []policy.Principal // at any depth, where the directory could be read
	directory *directory.Directory
}

// is reports whether a name that Unity Catalog shows means us, a group that we are in, or everybody.
func (s *self) is(name string) bool {
	p := s.directory.Identify(name)
	return p.IsEveryone() || s.directory.Own(p) || p == s.principal || slices.Contains(s.groups, p)
}

func (c *Client) checkIdentity(ctx context.Context) (*self, []doctor.Finding) {
	me, err := c.Whoami(ctx)
	if code := policy.CodeOf(err); code == policy.CodeForbidden || code == policy.CodeNotFound {
		return nil, []doctor.Finding{doctor.Warning.Is("make us a user of the workspace, who may read /api/2.0/preview/scim/v2/Me",
			"the workspace does not say who we are, so MANAGE and USE_* are revoked from nobody, and what we may do here is not looked at: %s", oneLine(err.Error()))}
	} else if err != nil {
		return nil, []doctor.Finding{doctor.Problem.Is("check "+c.auth.settings, "%s", oneLine(err.Error()))}
	}
	us := &self{principal: me.Principal, groups: me.Groups, directory: &directory.Directory{}}
	var found []doctor.Finding
	if listing, err := c.Principals(ctx); err == nil {
		us.directory = directory.New(listing)
		us.groups = us.directory.OwnGroups()
	} else {
		found = append(found, doctor.Warning.Is("let us read its users, groups and service principals (SCIM): make us workspace admin",
			"without them the shape of names tells users from groups, and MANAGE, USE_* and ALL_PRIVILEGES are revoked from no group: %s", oneLine(err.Error())))
	}
	groups := "in no group"
	if len(us.groups) > 0 {
		groups = "in " + joinPrincipals(us.groups)
		if us.directory.Read() {
			groups += " (directly or through other groups)"
		}
	}
	return us, append(found, doctor.Found("we are %s, %s; our own access is never changed", us.principal, groups))
}

// checkRights finds out by which right we manage each catalog in scope: as metastore admin, as owner, or by MANAGE.
func (c *Client) checkRights(ctx context.Context, o CheckOptions, us *self) []doctor.Finding {
	if us == nil {
		return nil // the check of the identity says it
	}
	metastore, err := c.metastore(ctx)
	if err != nil {
		return []doctor.Finding{doctor.Problem.Is("assign a metastore to the workspace, in the account console", "the workspace's metastore cannot be read: %v", oneLine(err.Error()))}
	}
	catalogs, err := c.List(ctx, policy.Securable{}, policy.Catalog)
	if err != nil {
		return []doctor.Finding{doctor.Problem.Is("see the line about the workspace; try again", "the catalogs cannot be listed: %v", oneLine(err.Error()))}
	}
	admin := us.owns(metastore)
	var found []doctor.Finding
	if admin {
		found = append(found, doctor.Found("we are metastore admin: metastore %s belongs to %s", metastore.FullName, metastore.Owner))
	} else if o.Scope.Filters(metastore.Securable) {
		found = append(found, doctor.Note.Is("make us its owner, or leave these grants to others: what we may not read there is skipped",
			"we are not metastore admin: metastore %s belongs to %s, and grants on it and on root objects that we neither own nor MANAGE cannot be managed", metastore.FullName, metastore.Owner))
	}
	by := make(map[string][]string) // catalogs by right
	seen, inScope := make(map[string]bool), 0
	for _, catalog := range catalogs {
		seen[catalog.FullName] = true
		if !o.Scope.Filters(catalog.Securable) || slices.Contains(builtInCatalogs, catalog.FullName) {
			continue
		}
		inScope++
		right, missing := c.rightOn(ctx, catalog, us)
		switch {
		case missing != nil && !admin:
			if managed, of := c.managedSchemas(ctx, o, catalog, us); len(managed) > 0 {
				*missing = doctor.Warning.Is(missing.Do, "catalog %s is in scope; we manage %d of the %d schemas in scope that we see there (%s), but not the catalog itself: USE_CATALOG cannot be granted or revoked on it",
					catalog.FullName, len(managed), of, joinSome(managed))
			}
			found = append(found, *missing)
		case admin:
			by[asAdmin] = append(by[asAdmin], catalog.FullName)
		default:
			by[right] = append(by[right], catalog.FullName)
		}
	}
	for _, right := range []string{asAdmin, asOwner, byManage} {
		noun := "catalogs"
		if len(by[right]) == 1 {
			noun = "catalog"
		}
		if list := by[right]; len(list) > 0 {
			found = append(found, doctor.Found("%d %s in scope can be managed %s: %s", len(list), noun, right, joinSome(list)))
		}
	}
	for _, name := range o.Catalogs {
		switch {
		case seen[naming.Canonical(name)]:
		case admin:
			found = append(found, doctor.Problem.Is("correct scope.catalogs.include", "catalog %s is named by the scope, and does not exist", name))
		default:
			found = append(found, doctor.Problem.Is("correct scope.catalogs.include, or as its owner run: "+grantManage(name, us.principal),
				"catalog %s is named by the scope, and does not exist or is hidden from us", name))
		}
	}
	if inScope == 0 && len(o.Catalogs) == 0 {
		found = append(found, doctor.Problem.Is("correct scope.catalogs, or make us metastore admin, or as owner of a catalog run: "+grantManage("NAME", us.principal), "we see no catalog in scope"))
	}
	return found
}

// The rights by which we manage a catalog.
const (
	asAdmin  = "as metastore admin"
	asOwner  = "as owner"
	byManage = "by MANAGE"
)

// builtInCatalogs are Unity Catalog's own.
var builtInCatalogs = []string{"system", "samples", "hive_metastore", "__databricks_internal"}

// owns reports whether an object belongs to us, or to a group that we are in.
func (s *self) owns(o policy.Object) bool { return o.Owner != "" && s.is(o.Owner) }

// rightOn returns by which right we manage a catalog, or what is missing.
func (c *Client) rightOn(ctx context.Context, catalog policy.Object, us *self) (right string, missing *doctor.Finding) {
	if us.owns(catalog) {
		return asOwner, nil
	}
	problem := func(status doctor.Status, format string, args ...any) *doctor.Finding {
		f := status.Is("as its owner, "+catalog.Owner+", run: "+grantManage(catalog.FullName, us.principal), format, args...)
		return &f
	}
	have, err := c.Grants(ctx, catalog.Securable)
	if code := policy.CodeOf(err); err != nil && code != policy.CodeForbidden && code != policy.CodeNotFound {
		f := doctor.Problem.Is("try again", "the grants on catalog %s cannot be read: %v", catalog.FullName, oneLine(err.Error()))
		return "", &f
	}
	held := make(map[policy.Privilege]bool)
	for _, a := range have {
		if us.is(a.Name) {
			held[a.Privilege] = true
		}
	}
	use := held[policy.AllPrivileges] || held[policy.UseCatalog] && held[policy.UseSchema]
	switch {
	case held[policy.Manage] && use:
		return byManage, nil
	case held[policy.Manage]:
		return "", problem(doctor.Warning, "on catalog %s we hold MANAGE without USE_CATALOG and USE_SCHEMA, and may not see all that is inside", catalog.FullName)
	}
	return "", problem(doctor.Problem, "catalog %s is in scope, and we are neither its owner nor hold MANAGE on it", catalog.FullName)
}

// maxSchemas is of how many schemas of a catalog the check of rights reads the grants.
const maxSchemas = 200

// managedSchemas returns the schemas in scope of a catalog that we own or hold MANAGE on, and how many there are that we see.
// What cannot be read is not ours.
func (c *Client) managedSchemas(ctx context.Context, o CheckOptions, catalog policy.Object, us *self) (managed []string, of int) {
	schemas, err := c.List(ctx, catalog.Securable, policy.Schema)
	if err != nil {
		return nil, 0
	}
	for _, schema := range schemas {
		if !o.Scope.Filters(schema.Securable) || schema.Names()[1] == "information_schema" {
			continue
		}
		if of++; of > maxSchemas {
			continue
		}
		ours := us.owns(schema)
		if !ours {
			have, err := c.Grants(ctx, schema.Securable)
			ours = err == nil && slices.ContainsFunc(have, func(a policy.Assignment) bool { return a.Privilege == policy.Manage && us.is(a.Name) })
		}
		if ours {
			managed = append(managed, schema.FullName)
		}
	}
	return managed, of
}

func grantManage(catalog string, to policy.Principal) string {
	quote := func(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
	return fmt.Sprintf("GRANT MANAGE, USE CATALOG, USE SCHEMA ON CATALOG %s TO %s", quote(catalog), quote(to.Name))
}

func (c *Client) checkWarehouse(ctx context.Context, id string) []doctor.Finding {
	if id == "" {
		return []doctor.Finding{doctor.Found("none is configured (databricks.warehouse); grants need none")}
	}
	const setting = "correct databricks.warehouse, or let us use the warehouse: CAN USE, under its permissions"
	w, err := c.warehouse(ctx, id)
	if err != nil {
		return []doctor.Finding{doctor.Problem.Is(setting, "SQL warehouse %s cannot be read: %v", id, oneLine(err.Error()))}
	}
	switch {
	case w.deleted():
		return []doctor.Finding{doctor.Problem.Is(setting, "SQL warehouse %s (%s) is %s", id, w.Name, w.State)}
	case w.State == "STOPPED" || w.State == "STOPPING":
		return []doctor.Finding{doctor.Note.Is("nothing: the first statement starts it, which takes a while, and shows whether we may use it", "SQL warehouse %s (%s) is %s", id, w.Name, w.State)}
	}
	if w.State == "RUNNING" {
		if err := c.Warehouse(id).try(ctx); err != nil {
			return []doctor.Finding{doctor.Problem.Is(setting, "SQL warehouse %s (%s) is %s, and takes no statement of ours: %v", id, w.Name, w.State, oneLine(err.Error()))}
		}
	}
	return []doctor.Finding{doctor.Found("SQL warehouse %s (%s) is %s", id, w.Name, w.State)}
}

func joinPrincipals(list []policy.Principal) string {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = p.Name
	}
	return joinSome(names)
}

// joinSome joins the first few of the names.
func joinSome(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// CheckHost returns what is found about a host, by the error of [New] for it.
func CheckHost(host string, err error) doctor.Finding {
	if err != nil {
		return doctor.Problem.Is("correct databricks.host and the settings that the message names", "%s", oneLine(err.Error()))
	}
	if u, parseErr := url.Parse(host); parseErr == nil && endpoint.IsPlain(u) {
		return doctor.Warning.Is("use https://", "%s answers, but what is sent there can be read on the way", host)
	}
	return doctor.Found("%s answers", host)
}
