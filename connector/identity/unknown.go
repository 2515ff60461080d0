package identity

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"ucwarden/connector/memory"
	"ucwarden/policy"
)

// unknownKey is where unknown principals are kept from run to run.
const unknownKey = "unknown-principals"

// FirstRetry is how long a principal is not tried again after the workspace did not know it for the first time; twice
// as long after each further time, up to a bound.
const FirstRetry = 15 * time.Second

// Unknown remembers whom the workspace did not know, so that not every sync asks again for each of the
// people who have left and still stand in policies.
type Unknown struct {
	mu       sync.Mutex
	ttl      time.Duration
	store    memory.Store // nil: this process only
	attempts uint64
	known    map[policy.Principal]unknownPrincipal
	added    chan struct{}
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

// NewUnknown recovers what earlier runs kept; with a nil store nothing is kept. ttl is how long at most a principal is not tried
// again. What is kept that cannot be read holds nobody: whoever is unknown is
// found out anew.
func NewUnknown(ttl time.Duration, store memory.Store) *Unknown {
	u := &Unknown{ttl: ttl, store: store, known: make(map[policy.Principal]unknownPrincipal), added: make(chan struct{}, 1)}
	if store != nil {
		var kept []unknownPrincipal
		if value, err := store.Load(unknownKey); err == nil && json.Unmarshal(value, &kept) == nil {
			for _, k := range kept {
				u.known[k.Principal] = k
			}
		}
	}
	return u
}

// Add notes that the workspace does not know p, which was to be granted something on s. An error says that later runs will
// not know of it.
func (u *Unknown) Add(p policy.Principal, s policy.Securable) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := u.known[p]
	u.attempts++
	next := unknownPrincipal{Principal: p, Tries: k.Tries + 1, Until: time.Now().Add(min(FirstRetry<<min(k.Tries, 20), u.ttl)), Roots: k.Roots, attempt: u.attempts}
	if root := memory.ShardOf(s); !slices.Contains(next.Roots, root) {
		next.Roots = append(slices.Clone(next.Roots), root)
	}
	u.known[p] = next
	select {
	case u.added <- struct{}{}:
	default:
	}
	return u.save()
}

// Remove forgets the principals that are known after all.
func (u *Unknown) Remove(known func(policy.Principal) bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	before := len(u.known)
	maps.DeleteFunc(u.known, func(p policy.Principal, _ unknownPrincipal) bool { return known(p) })
	if len(u.known) == before {
		return nil
	}
	return u.save()
}

func (u *Unknown) save() error {
	if u.store == nil {
		return nil
	}
	kept := slices.SortedFunc(maps.Values(u.known), func(a, b unknownPrincipal) int { return policy.ComparePrincipals(a.Principal, b.Principal) })
	value, err := json.Marshal(kept)
	if err == nil {
		err = u.store.Save(unknownKey, value)
	}
	if err != nil {
		return fmt.Errorf("remember unknown principals: %w", err)
	}
	return nil
}

// TakeDue returns where principals are to be tried again now. It forgets those that policies do not name any more.
func (u *Unknown) TakeDue(now time.Time, named func(policy.Principal) bool) []policy.Securable {
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

// Added holds a token after somebody was noted.
func (u *Unknown) Added() <-chan struct{} { return u.added }

// Len returns how many principals are unknown.
func (u *Unknown) Len() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.known)
}

// Next returns when the first of the unknown principals is to be tried again; the zero time when there are none.
func (u *Unknown) Next() time.Time {
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

// TryAgain has everybody tried again by the syncs that begin from now on.
func (u *Unknown) TryAgain() {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	for p, k := range u.known {
		k.Until = now
		u.known[p] = k
	}
}

// View is the unknown principals as one sync sees them.
type View struct {
	*Unknown
	since uint64 // those noted before count only until their time
}

// View returns the unknown principals for a sync that begins.
func (u *Unknown) View() View {
	u.mu.Lock()
	defer u.mu.Unlock()
	return View{u, u.attempts}
}

// skips reports whether a principal is not to be tried now. u.mu must be held.
func (v View) skips(k unknownPrincipal, now time.Time) bool {
	return k.attempt > v.since || now.Before(k.Until) // the first: found out since the sync began
}

// Has reports whether p is not to be tried now.
func (v View) Has(p policy.Principal) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	k, ok := v.known[p]
	return ok && v.skips(k, time.Now())
}

// list returns the principals that are not to be tried now.
func (v View) list() map[policy.Principal]bool {
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

// Without returns the desired grants on the listed securables less new ones to unknown principals; the same set when no
// principal is unknown. What such a principal holds it keeps: that the workspace did not know it once is no reason to
// take anything away.
func (v View) Without(desired, current *policy.GrantSet, on []policy.Securable) *policy.GrantSet {
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

// Findings returns, for the report, to whom nothing new is granted because the workspace did not know them.
func (v View) Findings(desired, current *policy.GrantSet, on []policy.Securable) []policy.Finding {
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
