package rules

import (
	"slices"
	"sync"

	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
)

// Repository holds the policies of one list (those outside security zones, of one zone, or of the tag service) prepared,
// with an index on their resources for each policy type.
type Repository struct {
	all    []*Policy      // in the order of the list
	byType [3]policyIndex // made when it is first asked for: who compiles has no need of it
	once   sync.Once
	empty  bool // no policy at all, of any type
}

type policyIndex struct {
	policies []*Policy // in the order of evaluation
	root     match.Index
}

func (r *reader) repository(m *Model, policies []ranger.Policy, zone string) *Repository {
	repo := &Repository{empty: len(policies) == 0}
	prepared := make([]Policy, len(policies))
	repo.all = make([]*Policy, 0, len(policies))
	for i := range policies {
		if p := &policies[i]; p.Enabled() {
			r.policy(&prepared[i], m, p, zone)
			repo.all = append(repo.all, &prepared[i])
		}
	}
	return repo
}

// index returns the index of the policies of one type.
func (r *Repository) index(t ranger.PolicyType) *policyIndex {
	r.once.Do(func() {
		for _, p := range r.all {
			p.order = p.evalOrder()
			r.byType[p.Type].policies = append(r.byType[p.Type].policies, p)
		}
		for t := range r.byType {
			index := &r.byType[t]
			slices.SortStableFunc(index.policies, CompareByOrder)
			for i, p := range index.policies {
				if p.Everywhere {
					index.root.AddEverywhere(int32(i))
				}
				for n := range p.Resources {
					index.root.Add(&p.Resources[n], int32(i))
				}
			}
		}
	})
	return &r.byType[t]
}

// Empty reports whether the list has no policy at all, of any type, not even a disabled one.
func (r *Repository) Empty() bool { return r == nil || r.empty }

// All lists the enabled policies in the order of the list. The caller must not change it.
func (r *Repository) All() []*Policy {
	if r == nil {
		return nil
	}
	return r.all
}

// Policies lists the policies of one type in the order of evaluation. The caller must not change the list.
func (r *Repository) Policies(t ranger.PolicyType) []*Policy {
	if r == nil {
		return nil
	}
	return r.index(t).policies
}

// Candidates lists, in the order of evaluation, the numbers in Policies(t) of those whose resources may match the path:
// all that do, and few that do not. With below, policies on something below the path count. The list takes the place of
// scratch.
func (r *Repository) Candidates(t ranger.PolicyType, path *match.Path, below bool, scratch []int32) []int32 {
	if r == nil || !path.OK {
		return nil
	}
	list := r.index(t).root.Collect(path, below, scratch[:0])
	if len(list) > 1 {
		slices.Sort(list)
		list = slices.Compact(list)
	}
	return list
}

// MayCover lists, in the order of evaluation, the policies of p's type that may match whatever p matches: all that do, p
// among them, and few that do not.
func (r *Repository) MayCover(p *Policy) []*Policy {
	index := r.index(p.Type)
	var ids []int32
	for n := range p.Resources {
		ids = index.root.Collect(p.Resources[n].SamplePath(), false, ids)
	}
	slices.Sort(ids)
	var list []*Policy
	for _, id := range slices.Compact(ids) {
		list = append(list, index.policies[id])
	}
	return list
}
