package compile

import (
	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/region"
	"ucwarden/policy/rules"
)

// room is working memory of a compilation that the work on one node leaves to the next. Nothing in it outlives that work.
type room struct {
	active     []region.Ref // of an object
	here       map[rules.SubjectID]policy.PrivilegeSet
	candidates []rules.SubjectID
	deniedBy   [][]rules.SubjectID
	views      []*judge.View
}

// emptyViews returns n views without policies, with room for as many as they had last time.
func (r *room) emptyViews(n int) []*judge.View {
	for len(r.views) < n {
		r.views = append(r.views, &judge.View{})
	}
	for _, v := range r.views[:n] {
		*v = judge.View{Allow: v.Allow[:0], Deny: v.Deny[:0]}
	}
	return r.views[:n]
}
