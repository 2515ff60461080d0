package compile

import (
	"fmt"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/rules"
)

// ignores reports whether denied members of a group never keep it from being granted.
func (o *Options) ignores() bool { return len(o.Deny) > 0 && o.Deny[0] == DenyIgnore }

// strategy returns the first of the strategies that can be taken where p may not be granted x because of its members.
func (e *evaluation) strategy(p rules.SubjectID, x policy.Privilege, views []*judge.View) DenyStrategy {
	list := e.judge.UsersOf(p)
	expands := e.kind(p) != rules.SubjectUser && list.Known && len(list.Users) <= e.opts.ExpandLimit
	refused := func(v *judge.View) bool { return !v.Decide(e.judge.Member(p), v.Deny) } // p itself
	for _, s := range e.opts.Deny {
		if s == DenyWithhold || s == DenyExpand && expands || s == DenyFilter && e.filters(x, views) || s == DenyIgnore && !slices.ContainsFunc(views, refused) {
			return s
		}
	}
	return DenyWithhold
}

// filters reports whether x can be granted on a table where its row filter hides the rows from whom policies deny it; on a
// container, whether that can be so on tables in it.
func (e *evaluation) filters(x policy.Privilege, views []*judge.View) bool {
	switch {
	case x != policy.Select:
		return false
	case !e.leaf:
		return e.class.Inside()&policy.ClassTable != 0 && (e.wanted != nil || len(e.enforced.Denied) > 0)
	case !e.filtered:
		return false
	}
	_, ok := views[0].Denials()
	return ok
}

func (e *evaluation) whyWithheld(p rules.SubjectID) string {
	if !slices.Contains(e.opts.Deny, DenyExpand) || e.kind(p) == rules.SubjectUser {
		return "strategy withhold"
	}
	if list := e.judge.UsersOf(p); list.Known {
		return fmt.Sprintf("strategy expand: %d members are more than the limit of %d", len(list.Users), e.opts.ExpandLimit)
	}
	return fmt.Sprintf("strategy expand: its members are not known, or more than the limit of %d", e.opts.ExpandLimit)
}

// expand grants x to those members of p whom the policies allow it.
func (e *evaluation) expand(p rules.SubjectID, x policy.Privilege, members []rules.SubjectID, views []*judge.View, deniedBy [][]rules.SubjectID, reported bool) {
	count, doubtful := 0, 0
	for _, u := range members {
		if !e.managed[u] || e.impliedAbove(u, x) {
			continue
		}
		result, total := judge.Safe, judge.Safe
		for i, v := range views {
			w, _, _ := e.judge.Grant(u, v, v.Deny, deniedBy[i])
			result = min(result, w)
			w, _, _ = e.judge.Grant(u, v, v.Deny[:v.Total], deniedBy[i])
			total = min(total, w)
		}
		switch {
		case result == judge.Safe:
			e.here[u] |= x.Set()
			count++
		case total == judge.Unsafe:
			doubtful++
		}
	}
	if reported && doubtful == 0 {
		return
	}
	message := fmt.Sprintf("%s is allowed %s but some of its members are denied it; it is granted to %d others one by one (strategy expand)",
		e.describe(p), x, count)
	effect := policy.EffectNone
	if doubtful > 0 {
		effect = policy.EffectNarrower
		message += fmt.Sprintf(", and not to %d who may be denied it by groups they may be in", doubtful)
	}
	e.report(p, x, effect, message, views[0].Allow)
}

// reportIgnored says whom strategy ignore lets keep what they are denied.
func (e *evaluation) reportIgnored(p rules.SubjectID, x policy.Privilege, views []*judge.View, deniedBy [][]rules.SubjectID) {
	for i, v := range views {
		base := e.judge.Member(p)
		for _, h := range deniedBy[i] {
			if base.Is(h) || e.judge.MayBe(p, h) == rules.No || v.Decide(base.And(e.judge.Member(h)), v.Deny) {
				continue
			}
			e.report(p, x, policy.EffectWider, fmt.Sprintf("%s is granted %s although it may include %s, denied it by %s (strategy ignore)",
				e.describe(p), x, e.describe(h), e.whoDenies(p, h, v)), v.Allow)
		}
	}
}
