package evaluate

import (
	"slices"
	"ucwarden/policy/match"
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
	user         rules.SubjectID
	groups       []rules.SubjectID // in the order of Values.Groups; NoSubject for those that nothing names
	heldRoles    func() []string
	requestRoles []rules.SubjectID // the roles that the request brings, if any

	paths [3]match.Path // of the resource, by policy type

	// Of requests for several access types: what each came to so far. Tag policies and resource policies share it.
	accesses []string
	byAccess []result
	oneOf    [][]string // access groups
	several  bool       // any access, or the like: the first access allowed settles it

	candidates []int32
}

func (e *Evaluator) newContext(r *Request, t ranger.PolicyType) *evalContext {
	ctx := e.contexts.Get().(*evalContext)
	ctx.engine = e
	ctx.request.Roles, ctx.request.Optional, ctx.request.Tags = r.Roles, r.Optional, r.Tags
	ctx.request.Descendant, ctx.request.CountDescendantDeny = r.Descendant, r.CountDescendantDeny
	snapshot := e.rules.Snapshot
	ctx.Values = match.Values{
		Resource: r.Resource, Owner: r.Owner, AccessType: r.AccessType, AnyAccess: r.AccessType == "" || r.AccessType == AnyAccess,
		User: r.User, Groups: r.Groups, Roles: ctx.heldRoles, Users: r.Users, Time: r.Time, Context: r.Context, Together: r.Together,
		ClientIP: r.ClientIP, ClientType: r.ClientType, Action: r.Action, Data: r.Data,
	}
	if ctx.Users == nil {
		ctx.Users = snapshot.Users
	}
	if ctx.Groups == nil && snapshot.Users != nil {
		ctx.Groups = snapshot.Users.UserGroupMapping[r.User]
	}
	table := e.rules.Subjects
	ctx.user = rules.NoSubject
	if r.User != "" {
		ctx.user = table.ID(rules.SubjectUser, r.User)
	}
	for _, g := range ctx.Groups {
		ctx.groups = append(ctx.groups, table.ID(rules.SubjectGroup, g))
	}
	for _, role := range r.Roles {
		ctx.requestRoles = append(ctx.requestRoles, table.ID(rules.SubjectRole, role))
	}
	ctx.setPath(t)
	ctx.accesses, ctx.oneOf, ctx.several = r.AccessTypes, r.AccessGroups, r.AnyOf
	if ctx.AnyAccess {
		ctx.accesses, ctx.several = e.accesses, true
		if r.CountDescendantDeny {
			ctx.oneOf = e.groups
		}
	}
	return ctx
}

// release returns the context to the pool. It drops what it points to, so that a pooled context keeps no request alive.
func (ctx *evalContext) release() {
	ctx.Values = match.Values{}
	ctx.request.Roles, ctx.request.Optional, ctx.request.Tags = nil, nil, nil
	for t := range ctx.paths {
		ctx.paths[t].Clear()
	}
	ctx.accesses, ctx.oneOf = nil, nil
	ctx.candidates, ctx.groups, ctx.requestRoles = ctx.candidates[:0], ctx.groups[:0], ctx.requestRoles[:0]
	if len(ctx.byAccess) > 0 {
		clear(ctx.byAccess)
		ctx.byAccess = ctx.byAccess[:0]
	}
	ctx.engine.contexts.Put(ctx)
}

func (ctx *evalContext) setPath(t ranger.PolicyType) *match.Path {
	return ctx.paths[t].Set(ctx.engine.rules.Model.Forest(t), ctx.Resource)
}

// reset forgets what access types came to, for evaluation in another zone.
func (ctx *evalContext) reset() {
	ctx.byAccess = slices.Grow(ctx.byAccess[:0], len(ctx.accesses))[:len(ctx.accesses)]
	clear(ctx.byAccess)
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
	add(members.RolesOf(ctx.user))
	for _, g := range ctx.groups {
		add(members.RolesOf(g))
	}
	slices.Sort(list)
	return slices.Compact(list)
}
