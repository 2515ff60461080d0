package evaluate

import (
	"slices"

	"ucwarden/policy/rules"
)

// subject returns the path by which the item applies to the request's user; its kind is SubjectNone when it does not.
func (ctx *evalContext) subject(i *rules.Item) SubjectPath {
	if len(i.Who) > 0 {
		if s := ctx.named(i); s.Kind != rules.SubjectNone {
			return s
		}
	}
	if i.Owner && ctx.User != "" && ctx.User == ctx.Owner {
		return SubjectPath{Kind: rules.SubjectOwner, Name: ctx.User}
	}
	if len(i.Who) > 0 && i.Who[0] == rules.Everyone {
		return SubjectPath{Kind: rules.SubjectEveryone}
	}
	return SubjectPath{}
}

// named returns the path by which the item names the user, a group or a role of theirs.
func (ctx *evalContext) named(i *rules.Item) SubjectPath {
	if i.HasUsers {
		if u := ctx.user(); u > rules.Everyone && i.Who.Has(u) {
			return SubjectPath{Kind: rules.SubjectUser, Name: ctx.User}
		}
	}
	if n := ctx.firstGroup(i.Who); n >= 0 {
		return SubjectPath{Kind: rules.SubjectGroup, Name: ctx.Groups[n]}
	}
	if !i.HasRoles {
		return SubjectPath{}
	}
	if len(ctx.request.Roles) > 0 {
		for n, r := range ctx.roles() {
			if r > rules.Everyone && i.Who.Has(r) {
				return SubjectPath{Kind: rules.SubjectRole, Name: ctx.request.Roles[n]}
			}
		}
		return SubjectPath{}
	}
	table, members := ctx.engine.rules.Subjects, ctx.engine.rules.Members
	if r, ok := i.Who.HasAny(members.RolesOf(ctx.user())); ok {
		return SubjectPath{Kind: rules.SubjectRole, Name: table.Of(r).Name}
	}
	for n, g := range ctx.groups() {
		if r, ok := i.Who.HasAny(members.RolesOf(g)); ok {
			return SubjectPath{Kind: rules.SubjectRole, Name: table.Of(r).Name, Via: ctx.Groups[n]}
		}
	}
	if r, ok := i.Who.HasAny(members.RolesOf(rules.Everyone)); ok { // Source: RangerRolesUtil, RangerAuthContext.getRolesForUserAndGroups
		return SubjectPath{Kind: rules.SubjectRole, Name: table.Of(r).Name, Via: rules.GroupPublic}
	}
	return SubjectPath{}
}

// firstGroup returns the index of the user's first group that is in the set, -1 where none is. Few names are faster compared
// than looked up.
func (ctx *evalContext) firstGroup(who rules.SubjectSet) int {
	if !ctx.hasGroups && len(who)*len(ctx.Groups) <= 8 {
		return slices.IndexFunc(ctx.Groups, func(name string) bool { return ctx.engine.rules.Subjects.HasGroup(who, name) })
	}
	return slices.IndexFunc(ctx.groups(), func(g rules.SubjectID) bool { return g > rules.Everyone && who.Has(g) })
}

// match reports whether the item applies: to the user, the access type, under its conditions.
func (ctx *evalContext) match(i *rules.Item, access string) (SubjectPath, bool) {
	if !i.MatchesAccess(access) {
		return SubjectPath{}, false
	}
	s := ctx.subject(i)
	if s.Kind == rules.SubjectNone {
		return s, false
	}
	return s, len(i.Conditions) == 0 || i.Conditions.Eval(&ctx.Values).Resolve(i.Restricts())
}

// firstMatch returns the first of items that applies, unless an exception applies too: then none of them does.
func (ctx *evalContext) firstMatch(access string, items, exceptions []rules.Item) (*rules.Item, SubjectPath) {
	for i := range items {
		s, ok := ctx.match(&items[i], access)
		if !ok {
			continue
		}
		if exception, _ := ctx.exception(access, exceptions); exception != nil {
			return nil, SubjectPath{}
		}
		return &items[i], s
	}
	return nil, SubjectPath{}
}

// exception returns the first of the exceptions that applies to the user, nil when none does.
func (ctx *evalContext) exception(access string, exceptions []rules.Item) (*rules.Item, SubjectPath) {
	for i := range exceptions {
		if s, ok := ctx.match(&exceptions[i], access); ok {
			return &exceptions[i], s
		}
	}
	return nil, SubjectPath{}
}
