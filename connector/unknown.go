package connector

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"ucwarden/policy"
)

// unknownKey is where unknown principals are kept from run to run.
const unknownKey = "unknown-principals"

// unknownPrincipals remembers whom the workspace did not know, so that not every sync asks again for each of the
// people who have left and still stand in policies.
type unknownPrincipals struct {
	mu    sync.Mutex
	ttl   time.Duration
	state State // nil: this process only
	until map[policy.Principal]time.Time
}

// keptUnknown is an unknown principal as it is kept.
type keptUnknown struct {
	policy.Principal
	Until time.Time `json:"until"`
}

// newUnknownPrincipals recovers what earlier runs kept. State that cannot be read holds nobody: whoever is unknown is
// found out anew.
func newUnknownPrincipals(ttl time.Duration, state State) *unknownPrincipals {
	u := &unknownPrincipals{ttl: ttl, state: state, until: make(map[policy.Principal]time.Time)}
	if state != nil {
		if value, err := state.Load(unknownKey); err == nil && len(value) > 0 {
			var kept []keptUnknown
			if json.Unmarshal(value, &kept) == nil {
				for _, k := range kept {
					u.until[k.Principal] = k.Until
				}
			}
		}
	}
	return u
}

// add notes that the workspace does not know p. An error says that later runs will not know of it.
func (u *unknownPrincipals) add(p policy.Principal) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.until[p] = time.Now().Add(u.ttl)
	if u.state == nil {
		return nil
	}
	kept := make([]keptUnknown, 0, len(u.until))
	for p, until := range u.until {
		kept = append(kept, keptUnknown{p, until})
	}
	value, err := json.Marshal(kept)
	if err == nil {
		err = u.state.Save(unknownKey, value)
	}
	if err != nil {
		return fmt.Errorf("remember unknown principals: %w", err)
	}
	return nil
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

// list returns the principals that are not to be tried now.
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

// without returns the desired grants on the listed securables less new ones to unknown principals; the same set when no
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

// findings returns, for the report, to whom nothing new is granted because the workspace did not know them.
func (u *unknownPrincipals) findings(desired, current *policy.GrantSet, on []policy.Securable) []policy.Finding {
	unknown := u.list()
	if len(unknown) == 0 {
		return nil
	}
	left := make(map[policy.Principal]int)
	for _, s := range on {
		for _, a := range desired.Of(s) {
			if unknown[a.Principal] && !current.Has(policy.Grant{Securable: s, Principal: a.Principal, Privilege: a.Privilege}) {
				left[a.Principal]++
			}
		}
	}
	var list []policy.Finding
	for _, p := range slices.SortedFunc(maps.Keys(left), policy.ComparePrincipals) {
		list = append(list, policy.Finding{Effect: policy.EffectNone, Principal: p, Message: fmt.Sprintf(
			"the account did not know the principal %q when it was to be granted something; what the policies give it (%d here) is left out, and tried again after %s",
			p.Name, left[p], u.ttl)})
	}
	return list
}
