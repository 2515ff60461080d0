package connector

import (
	"slices"
	"sync"
	"time"

	"ucwarden/policy"
)

// unknownPrincipals remembers whom the workspace did not know, so that not every sync asks again for each of the
// people who have left and still stand in policies.
type unknownPrincipals struct {
	mu    sync.Mutex
	ttl   time.Duration
	until map[policy.Principal]time.Time
}

func newUnknownPrincipals(ttl time.Duration) *unknownPrincipals {
	return &unknownPrincipals{ttl: ttl, until: make(map[policy.Principal]time.Time)}
}

func (u *unknownPrincipals) add(p policy.Principal) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.until[p] = time.Now().Add(u.ttl)
}

// has reports whether p is not to be tried now.
func (u *unknownPrincipals) has(p policy.Principal) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	until, ok := u.until[p]
	if ok && time.Now().After(until) {
		delete(u.until, p)
		ok = false
	}
	return ok
}

// list gives the principals that are not to be tried now.
func (u *unknownPrincipals) list() map[policy.Principal]bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	list := make(map[policy.Principal]bool, len(u.until))
	for p, until := range u.until {
		if now.After(until) {
			delete(u.until, p)
			continue
		}
		list[p] = true
	}
	return list
}

// without gives the desired grants on the listed securables less new ones to unknown principals; the same set when no
// principal is unknown. What such a principal holds it keeps: that the workspace did not know it once is no reason to
// take anything away.
func (u *unknownPrincipals) without(desired, current *policy.GrantSet, on []policy.Securable) *policy.GrantSet {
	unknown := u.list()
	if len(unknown) == 0 {
		return desired
	}
	rest := &policy.GrantSet{}
	for _, s := range on {
		rest.Set(s, slices.DeleteFunc(slices.Clone(desired.Of(s)), func(a policy.Assignment) bool {
			return unknown[a.Principal] && !current.Has(policy.Grant{Securable: s, Principal: a.Principal, Privilege: a.Privilege})
		}))
	}
	return rest
}
