package connector

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ucwarden/connector/call"
	"ucwarden/connector/load"
	"ucwarden/policy"
)

// maxWidening is how many calls a bounded sync may make to look at all of a container above its roots.
const maxWidening = 100

// errTooWide says that looking at all of a container takes more calls than a bounded sync may make.
var errTooWide = errors.New("more calls than a bounded sync may make")

// loadWithin loads as load does. Where containers were added to what was asked for, a bounded sync fails with errTooWide
// rather than make more than maxWidening calls.
func (r *run) loadWithin(ctx context.Context, roots []policy.Securable, also []policy.Object, widened bool) (*load.Found, error) {
	if !r.request.Bounded || !widened {
		return r.load(ctx, roots, also)
	}
	ctx, exceeded := call.WithLimit(ctx, maxWidening)
	found, err := r.load(ctx, roots, also)
	if exceeded() {
		return nil, errTooWide
	}
	return found, err
}

// isPending reports whether a container, or one around it, is left to a sync of its own.
func (r *run) isPending(container policy.Securable) bool {
	return slices.ContainsFunc(r.pending, func(p policy.Securable) bool { return p == container || p.Contains(container) })
}

// withoutPending returns the desired grants without what depends on a container that is left to a sync of its own: USE_* that
// are new inside, which may wake what stands on the container; and other new grants to those who are not to have the
// required USE_*, and may have it there until that sync. Somebody who is to have other USE_* on an object keeps those that stand there meanwhile.
func (r *run) withoutPending(found *load.Found, desired *policy.GrantSet) (kept *policy.GrantSet, findings []policy.Finding) {
	kept = desired
	for _, s := range found.Read {
		container, ok := s.Parent()
		if !ok || !r.isPending(container) {
			continue
		}
		have := found.Current.Of(s)
		waits := make(map[policy.Principal]bool)
		var rest []policy.Assignment
		for _, a := range desired.Of(s) {
			if use := a.Privilege.ConfersUse(); slices.Contains(have, a) || !use && hasRequiredUse(desired, s, a.Principal) {
				rest = append(rest, a)
				continue
			} else if use {
				waits[a.Principal] = true
			}
			findings = append(findings, policy.Finding{
				Effect: policy.EffectNarrower, Securable: s, Principal: a.Principal, Privilege: a.Privilege,
				Message: fmt.Sprintf("%s is not granted %s on %s yet: %s is synced first, by itself", a.Principal, a.Privilege, s, container),
			})
		}
		for _, a := range have {
			if waits[a.Principal] && a.Privilege.ConfersUse() && !slices.Contains(rest, a) {
				rest = append(rest, a)
			}
		}
		if kept == desired {
			kept = desired.Clone()
		}
		kept.Set(s, rest)
	}
	return kept, findings
}

// outermost returns the securables that no other one of them contains, sorted and once each.
func outermost(list []policy.Securable) []policy.Securable {
	sorted := slices.SortedFunc(slices.Values(list), policy.Securable.Compare)
	return slices.DeleteFunc(slices.Compact(sorted), func(s policy.Securable) bool {
		return slices.ContainsFunc(list, func(o policy.Securable) bool { return o != s && o.Contains(s) })
	})
}
