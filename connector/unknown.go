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

// unknownBackoff is how long a principal is not tried again after the workspace did not know it for the first time; twice
// as long after each further time, up to Options.UnknownPrincipalTTL.
const unknownBackoff = 15 * time.Second

// unknownPrincipals remembers whom the workspace did not know, so that not every sync asks again for each of the
// people who have left and still stand in policies.
type unknownPrincipals struct {
	mu       sync.Mutex
	ttl      time.Duration
	state    State // nil: this process only
	attempts uint64
	known    map[policy.Principal]unknownPrincipal
	added    chan struct{} // holds a token after somebody was noted
}

// unknownPrincipal is one whom the workspace did not know, as it is kept.
type unknownPrincipal struct {
	policy.Principal
	Tries int                `json:"tries"`
	Until time.Time          `json:"until"`           // when it is tried again
	Roots []policy.Securable `json:"roots,omitempty"` // where it was to be granted something: catalogs, or a METASTORE without a name

	attempt uint64    // counts the attempts of this process, all principals'
	asked   time.Time // when a sync that tries it again was asked for
}

// due returns when a sync is to be asked for that tries the principal again. One that was asked for and did not come to it is
// asked for again after ttl.
func (k unknownPrincipal) due(ttl time.Duration) time.Time {
	if again := k.asked.Add(ttl); !k.asked.IsZero() && again.After(k.Until) {
		return again
	}
	return k.Until
}

// newUnknownPrincipals recovers what earlier runs kept. State that cannot be read holds nobody: whoever is unknown is
// found out anew.
func newUnknownPrincipals(ttl time.Duration, state State) *unknownPrincipals {
	u := &unknownPrincipals{ttl: ttl, state: state, known: make(map[policy.Principal]unknownPrincipal), added: make(chan struct{}, 1)}
	if state != nil {
		var kept []unknownPrincipal
		if value, err := state.Load(unknownKey); err == nil && json.Unmarshal(value, &kept) == nil {
			for _, k := range kept {
				u.known[k.Principal] = k
			}
		}
	}
	return u
}

// add notes that the workspace does not know p, which was to be granted something on s. An error says that later runs will
// not know of it.
func (u *unknownPrincipals) add(p policy.Principal, s policy.Securable) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := u.known[p]
	u.attempts++
	next := unknownPrincipal{Principal: p, Tries: k.Tries + 1, Until: time.Now().Add(min(unknownBackoff<<min(k.Tries, 20), u.ttl)), Roots: k.Roots, attempt: u.attempts}
	if root := shardOf(s); !slices.Contains(next.Roots, root) {
		next.Roots = append(slices.Clone(next.Roots), root)
	}
	u.known[p] = next
	select {
	case u.added <- struct{}{}:
	default:
	}
	return u.save()
}

// shardOf returns the root that a sync of s belongs to: its catalog, or the METASTORE without a name.
func shardOf(s policy.Securable) policy.Securable {
	for parent, ok := s.Parent(); ok; parent, ok = parent.Parent() {
		s = parent
	}
	if s.Type == policy.Catalog {
		return s
	}
	return policy.Securable{Type: policy.Metastore}
}

// remove forgets the principals that are known after all.
func (u *unknownPrincipals) remove(known func(policy.Principal) bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	before := len(u.known)
	maps.DeleteFunc(u.known, func(p policy.Principal, _ unknownPrincipal) bool { return known(p) })
	if len(u.known) == before {
		return nil
	}
	return u.save()
}

func (u *unknownPrincipals) save() error {
	if u.state == nil {
		return nil
	}
	kept := slices.SortedFunc(maps.Values(u.known), func(a, b unknownPrincipal) int { return policy.ComparePrincipals(a.Principal, b.Principal) })
	value, err := json.Marshal(kept)
	if err == nil {
		err = u.state.Save(unknownKey, value)
	}
	if err != nil {
		return fmt.Errorf("remember unknown principals: %w", err)
	}
	return nil
}

// takeDue returns where principals are to be tried again now. It forgets those that policies do not name any more.
func (u *unknownPrincipals) takeDue(now time.Time, named func(policy.Principal) bool) []policy.Securable {
	u.mu.Lock()
	defer u.mu.Unlock()
	roots := make(map[policy.Securable]bool)
	for p, k := range u.known {
		switch {
		case now.Before(k.due(u.ttl)):
		case !named(p):
			delete(u.known, p)
		default:
			k.asked = now
			u.known[p] = k
			for _, root := range k.Roots {
				roots[root] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(roots), policy.Securable.Compare)
}

// len returns how many principals are unknown.
func (u *unknownPrincipals) len() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.known)
}

// next returns when the first of the unknown principals is to be tried again; the zero time when there are none.
func (u *unknownPrincipals) next() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	var first time.Time
	for _, k := range u.known {
		if due := k.due(u.ttl); first.IsZero() || due.Before(first) {
			first = due
		}
	}
	return first
}

// tryAgain has everybody tried again by the syncs that begin from now on.
func (u *unknownPrincipals) tryAgain() {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	for p, k := range u.known {
		k.Until = now
		u.known[p] = k
	}
}

// view is the unknown principals as one sync sees them.
type unknownView struct {
	*unknownPrincipals
	since uint64 // those noted before count only until their time
}

// view returns the unknown principals for a sync that begins.
func (u *unknownPrincipals) view() unknownView {
	u.mu.Lock()
	defer u.mu.Unlock()
	return unknownView{u, u.attempts}
}

// skips reports whether a principal is not to be tried now. u.mu must be held.
func (v unknownView) skips(k unknownPrincipal, now time.Time) bool {
	return k.attempt > v.since || now.Before(k.Until) // the first: found out since the sync began
}

// has reports whether p is not to be tried now.
func (v unknownView) has(p policy.Principal) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	k, ok := v.known[p]
	return ok && v.skips(k, time.Now())
}

// list returns the principals that are not to be tried now.
func (v unknownView) list() map[policy.Principal]bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	list := make(map[policy.Principal]bool, len(v.known))
	for p, k := range v.known {
		if v.skips(k, now) {
			list[p] = true
		}
	}
	return list
}

// without returns the desired grants on the listed securables less new ones to unknown principals; the same set when no
// principal is unknown. What such a principal holds it keeps: that the workspace did not know it once is no reason to
// take anything away.
func (v unknownView) without(desired, current *policy.GrantSet, on []policy.Securable) *policy.GrantSet {
	unknown := v.list()
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
func (v unknownView) findings(desired, current *policy.GrantSet, on []policy.Securable) []policy.Finding {
	unknown := v.list()
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
		list = append(list, policy.Finding{Effect: policy.EffectNarrower, Principal: p, Message: fmt.Sprintf(
			"the account did not know the principal %q when it was to be granted something; what the policies give it (%d here) is left out, and tried again with backoff, when the workspace lists it, and by every sync that a person starts",
			p.Name, left[p])})
	}
	return list
}
