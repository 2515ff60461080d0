package evaluate

import (
	"slices"

	"ucwarden/policy/match"
	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// evalContext is the working memory of one request. Contexts are pooled: nothing in one may outlive its request.
type evalContext struct {
	match.Values // what matchers and conditions look at
	engine       *Evaluator
	request      struct { // the rest of the request
		Roles, Optional                 []string
		Tags                            []RequestTag
		Descendant, CountDescendantDeny bool
	}
	heldRoles func() []string

	// Who asks, by number, NoSubject for whom nothing names. They are looked up when the first item is asked about them.
	userID                       rules.SubjectID   // see user
	groupIDs, roleIDs            []rules.SubjectID // in the order of Values.Groups and of the request's roles; see groups and roles
	hasUser, hasGroups, hasRoles bool              // what was looked up

	paths [3]match.Path // of the resource, by policy type

	// What each access type asked for came to so far. Tag policies and resource policies share it.
	accesses []access
	asked    []access   // room for those of one request
	byAccess []result   // none of its room that is not in use holds anything
	spent    bool       // byAccess is of what was asked before
	oneOf    [][]string // access groups
	several  bool       // any access, or the like: the first access allowed settles it
	// superUserOnly says that what is asked for is allowed to nobody else, whatever policies say.
	superUserOnly bool
	room          struct { // for the most common request, which asks for one
		asked    [1]access
		byAccess [1]result
	}

	candidates []int32
}

// access is an access type, with its name as items are compared with it.
type access struct{ name, canonical string }

func newAccess(name string) access { return access{name, naming.Canonical(name)} }

func (e *Evaluator) newContext(r *Request, t ranger.PolicyType) *evalContext {
	ctx := e.contexts.Get().(*evalContext)
	ctx.engine = e
	ctx.request.Roles, ctx.request.Optional, ctx.request.Tags = r.Roles, r.Optional, r.Tags
	ctx.request.Descendant, ctx.request.CountDescendantDeny = r.Descendant, r.CountDescendantDeny
	snapshot := e.rules.Snapshot
	v := &ctx.Values // field by field, which is cheaper than copying a whole one
	v.Resource, v.Owner, v.AccessType, v.AnyAccess = r.Resource, r.Owner, r.AccessType, r.AccessType == "" || r.AccessType == AnyAccess
	v.User, v.Groups, v.Roles, v.Users = r.User, r.Groups, ctx.heldRoles, r.Users
	v.Time, v.Context, v.Together = r.Time, r.Context, r.Together
	v.ClientIP, v.ClientType, v.Action, v.Data = r.ClientIP, r.ClientType, r.Action, r.Data
	if ctx.Users == nil {
		ctx.Users = snapshot.Users
	}
	if ctx.Groups == nil && snapshot.Users != nil {
		ctx.Groups, _ = e.rules.Members.GroupNames(r.User)
	}
	ctx.hasUser, ctx.hasGroups, ctx.hasRoles = false, false, false
	ctx.setPath(t)
	ctx.superUserOnly = false
	ctx.oneOf, ctx.several = r.AccessGroups, r.AnyOf
	switch {
	case ctx.AnyAccess:
		ctx.accesses, ctx.several = e.accesses, true
		if r.CountDescendantDeny {
			ctx.oneOf = e.groups
		}
	case len(r.AccessTypes) > 0:
		for _, name := range r.AccessTypes {
			ctx.asked = append(ctx.asked, newAccess(name))
		}
		ctx.accesses, ctx.superUserOnly = ctx.asked, naming.Canonical(r.AccessType) == rules.SuperUserOnly
	default:
		ctx.asked = append(ctx.asked, newAccess(r.AccessType))
		ctx.accesses, ctx.superUserOnly = ctx.asked, ctx.asked[0].canonical == rules.SuperUserOnly
	}
	ctx.byAccess = slices.Grow(ctx.byAccess, len(ctx.accesses))[:len(ctx.accesses)]
	return ctx
}

// user returns the number of the request's user.
func (ctx *evalContext) user() rules.SubjectID {
	if !ctx.hasUser {
		ctx.hasUser, ctx.userID = true, rules.NoSubject
		if ctx.User != "" {
			ctx.userID = ctx.engine.rules.Subjects.ID(rules.SubjectUser, ctx.User)
		}
	}
	return ctx.userID
}

// groups lists the numbers of the user's groups.
func (ctx *evalContext) groups() []rules.SubjectID {
	if !ctx.hasGroups {
		ctx.hasGroups = true
		for _, g := range ctx.Groups {
			ctx.groupIDs = append(ctx.groupIDs, ctx.engine.rules.Subjects.ID(rules.SubjectGroup, g))
		}
	}
	return ctx.groupIDs
}

// roles lists the numbers of the roles that the request brings, if any.
func (ctx *evalContext) roles() []rules.SubjectID {
	if !ctx.hasRoles {
		ctx.hasRoles = true
		for _, role := range ctx.request.Roles {
			ctx.roleIDs = append(ctx.roleIDs, ctx.engine.rules.Subjects.ID(rules.SubjectRole, role))
		}
	}
	return ctx.roleIDs
}

// release returns the context to the pool. It drops what it points to, so that a pooled context keeps no request alive.
func (ctx *evalContext) release() {
	ctx.Values = match.Values{}
	ctx.request.Roles, ctx.request.Optional, ctx.request.Tags = nil, nil, nil
	for t := range ctx.paths {
		ctx.paths[t].Clear()
	}
	clear(ctx.asked)
	ctx.accesses, ctx.oneOf, ctx.asked = nil, nil, ctx.asked[:0]
	ctx.candidates, ctx.groupIDs, ctx.roleIDs = ctx.candidates[:0], ctx.groupIDs[:0], ctx.roleIDs[:0]
	clear(ctx.byAccess)
	ctx.byAccess, ctx.spent = ctx.byAccess[:0], false
	ctx.engine.contexts.Put(ctx)
}

func (ctx *evalContext) setPath(t ranger.PolicyType) *match.Path {
	return ctx.paths[t].Set(ctx.engine.rules.Model.Forest(t), ctx.Resource)
}

// zones lists the security zones of the request's resource.
func (ctx *evalContext) zones() []string {
	if len(ctx.engine.rules.Zones.Names) == 0 {
		return nil
	}
	zones, scratch := ctx.engine.rules.Zones.Find(ctx.setPath(ranger.PolicyTypeAccess), ctx.candidates)
	ctx.candidates = scratch
	return zones
}

// among lists the policies of a repository that may be about the request's resource.
func (ctx *evalContext) among(r *rules.Repository, t ranger.PolicyType, path *match.Path, below bool) []int32 {
	list := r.Candidates(t, path, below, ctx.candidates)
	if list != nil {
		ctx.candidates = list
	}
	return list
}

// roleNames lists every role the request's user holds, sorted.
func (ctx *evalContext) roleNames() []string {
	if len(ctx.request.Roles) > 0 {
		return slices.Sorted(slices.Values(ctx.request.Roles))
	}
	table, members := ctx.engine.rules.Subjects, ctx.engine.rules.Members
	var list []string
	add := func(ids []rules.SubjectID) {
		for _, id := range ids {
			list = append(list, table.Of(id).Name)
		}
	}
	add(members.RolesOf(ctx.user()))
	add(members.RolesOf(rules.Everyone))
	for _, g := range ctx.groups() {
		add(members.RolesOf(g))
	}
	slices.Sort(list)
	return slices.Compact(list)
}
