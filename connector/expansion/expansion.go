package expansion

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"ucwarden/connector/memory"
	"ucwarden/policy"
)

// expansionsKey is where expansions are kept from run to run.
const expansionsKey = "all-privileges-expanded"

// Expansions knows where the workspace shows what ALL_PRIVILEGES confers instead of it, as some do: on which securable, to
// whom, and as what. It is learned from the answers to our own changes alone, so that nobody who holds the same privileges
// one by one is taken to hold ALL_PRIVILEGES.
type Expansions struct {
	store    memory.Store
	mu       sync.Mutex
	known    map[policy.Securable]map[policy.Principal]expansion
	dirty    bool // something is not kept yet
	recalled bool // what earlier runs kept was looked at
}

// expansion is what ALL_PRIVILEGES of one principal on one securable is shown as; in this form it is kept.
type expansion struct {
	Securable policy.Securable   `json:"securable"`
	Principal policy.Principal   `json:"principal"`
	Shown     []policy.Privilege `json:"shown"`
	// Alone are those of Shown that the principal may hold by themselves: since before ALL_PRIVILEGES was granted, or by a
	// request since, also one that was not answered, and not removed since.
	Alone []policy.Privilege `json:"before,omitempty"`
}

// keptExpansions is how they are kept.
type keptExpansions struct {
	Metastore  string      `json:"metastore"` // of the workspace; "" where it may not be read
	Expansions []expansion `json:"expansions"`
}

// New returns Expansions that know nothing yet, and keep what they learn in store, unless that is nil.
func New(store memory.Store) *Expansions {
	return &Expansions{store: store, known: make(map[policy.Securable]map[policy.Principal]expansion)}
}

// Expect notes, before changes are sent, what they grant by itself to whoever is known to hold ALL_PRIVILEGES that is shown
// written out. Whatever becomes of a request, that may be granted from then on, and no reading of the grants tells: it counts
// as granted until a change that removes it is answered. Save keeps it before the first request.
func (e *Expansions) Expect(changes []policy.Change) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range changes {
		add, _ := c.Request()
		for _, a := range add {
			x, known := e.known[c.Securable][a.Principal]
			if known && slices.Contains(x.Shown, a.Privilege) && !slices.Contains(x.Alone, a.Privilege) {
				x.Alone = append(slices.Clone(x.Alone), a.Privilege)
				e.set(x)
			}
		}
	}
}

// Answer is what a change that was sent is answered by.
type Answer struct {
	policy.Change                     // as it was sent
	Before        []policy.Assignment // what was granted on its securable, as far as known, with ALL_PRIVILEGES read back
	Kind          policy.Kind         // of the object
	Have          []policy.Assignment // what is granted after the change, as the workspace shows it
	Again         bool                // Have was read after the answer to the change, which may be older than it
	// Provable reports whether a grant that the change leaves is wanted by itself, as else it would have been removed.
	Provable func(policy.Securable, policy.Assignment) bool
}

// Learn looks at the grants on a change's securable after it. Where somebody must hold ALL_PRIVILEGES then, it is not shown,
// and what is shown instead can be it, that is what it looks like.
func (e *Expansions) Learn(c Answer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	add, remove := c.Request()
	for _, p := range c.Principals() {
		all := policy.Assignment{Principal: p, Privilege: policy.AllPrivileges}
		if slices.Contains(remove, all) || slices.Contains(c.Have, all) {
			e.forget(c.Securable, p)
			continue
		}
		x, known := expansion{Securable: c.Securable, Principal: p}, e.known[c.Securable][p]
		more := false // is shown than was there before, and was added besides
		for _, a := range c.Have {
			if a.Principal == p && policy.AllPrivileges.Implies(a.Privilege) {
				x.Shown = append(x.Shown, a.Privilege)
				more = more || !slices.Contains(c.Before, a) && !slices.Contains(add, a)
			}
		}
		withdrawn, stays := 0, 0 // what was removed, and is shown all the same
		for _, a := range remove {
			if a.Principal == p && policy.AllPrivileges.Implies(a.Privilege) {
				if withdrawn++; slices.Contains(c.Have, a) {
					stays++
				}
			}
		}
		alone := c.alone(p, known.Alone)
		switch added := slices.Contains(add, all); {
		case added && more:
			x.Alone = c.left(p, alone, func(policy.Assignment) bool { return true })
		case added && c.Again && stays == withdrawn && coversUse(c.Securable.Type, c.Kind, x.Shown), // ALL_PRIVILEGES was there already, or something that looks the same
			!added && c.Again && stays > 0 && stays == withdrawn && coversUse(c.Securable.Type, c.Kind, x.Shown):
			// Nothing could be removed by itself: somebody else granted ALL_PRIVILEGES. What stood before may be a part of it.
			x.Alone = c.left(p, alone, func(a policy.Assignment) bool { return c.Provable(c.Securable, a) })
		case !added && c.Again && stays > 0 && slices.Contains(c.Before, all): // it is shown as more than was known
			x.Alone = alone
		case len(known.Shown) > 0:
			x.Shown, x.Alone = known.Shown, alone
		default:
			continue
		}
		x.Alone = slices.DeleteFunc(x.Alone, func(a policy.Privilege) bool { return !slices.Contains(x.Shown, a) })
		slices.Sort(x.Shown)
		slices.Sort(x.Alone)
		e.set(x)
	}
}

// alone returns what somebody holds by itself after the change: of what they held before it, and what is added.
func (c Answer) alone(p policy.Principal, before []policy.Privilege) []policy.Privilege {
	add, remove := c.Request()
	list := slices.DeleteFunc(slices.Clone(before), func(b policy.Privilege) bool {
		return slices.Contains(remove, policy.Assignment{Principal: p, Privilege: b})
	})
	for _, a := range add {
		if a.Principal == p && !slices.Contains(list, a.Privilege) {
			list = append(list, a.Privilege)
		}
	}
	return list
}

// left returns list with what was granted to somebody before the change, was not removed by it, and counts.
func (c Answer) left(p policy.Principal, list []policy.Privilege, counts func(policy.Assignment) bool) []policy.Privilege {
	_, remove := c.Request()
	for _, a := range c.Before {
		if a.Principal == p && !slices.Contains(remove, a) && !slices.Contains(list, a.Privilege) && counts(a) {
			list = append(list, a.Privilege)
		}
	}
	return list
}

// coversUse reports whether privileges hold those by which an object, or what a container holds, is mainly used.
func coversUse(t policy.SecurableType, kind policy.Kind, shown []policy.Privilege) bool {
	main := map[policy.SecurableType][]policy.Privilege{
		policy.Catalog: {policy.UseCatalog, policy.Select}, policy.Schema: {policy.UseSchema, policy.Select},
		policy.Table: {policy.Select, policy.Modify}, policy.Function: {policy.Execute}, policy.Volume: {policy.ReadVolume, policy.WriteVolume},
		policy.ExternalLocation: {"READ_FILES", "WRITE_FILES"}, policy.StorageCredential: {"CREATE_EXTERNAL_LOCATION"},
		policy.Credential: {"ACCESS"}, policy.Connection: {"USE_CONNECTION"},
	}[t]
	return len(main) > 0 && !slices.ContainsFunc(main, func(p policy.Privilege) bool {
		return policy.Supports(t, kind, p) && !slices.Contains(shown, p)
	})
}

// set notes an expansion; the lock is held.
func (e *Expansions) set(x expansion) {
	by := e.known[x.Securable]
	if old, ok := by[x.Principal]; ok && slices.Equal(old.Shown, x.Shown) && slices.Equal(old.Alone, x.Alone) {
		return
	}
	if by == nil {
		by = make(map[policy.Principal]expansion)
		e.known[x.Securable] = by
	}
	by[x.Principal], e.dirty = x, true
}

// forget drops what is known of somebody on a securable; the lock is held.
func (e *Expansions) forget(s policy.Securable, p policy.Principal) {
	by := e.known[s]
	if _, ok := by[p]; !ok {
		return
	}
	e.dirty = true
	if delete(by, p); len(by) == 0 {
		delete(e.known, s)
	}
}

// ReadBack returns the grants on a securable with ALL_PRIVILEGES where they show it written out. What it is written out as
// counts as granted by itself too where that is wanted, and where it is known to have been and not removed since: the grants do
// not tell. It returns the same list where there is nothing to read back.
func (e *Expansions) ReadBack(s policy.Securable, have, want []policy.Assignment) []policy.Assignment {
	e.mu.Lock()
	defer e.mu.Unlock()
	for p, known := range e.known[s] {
		all := policy.Assignment{Principal: p, Privilege: policy.AllPrivileges}
		if slices.Contains(have, all) || slices.ContainsFunc(known.Shown, func(x policy.Privilege) bool {
			return !slices.Contains(have, policy.Assignment{Principal: p, Privilege: x})
		}) {
			continue // it shows itself, or is there no more
		}
		have = slices.DeleteFunc(slices.Clone(have), func(a policy.Assignment) bool {
			alone := slices.Contains(want, a) || slices.Contains(known.Alone, a.Privilege)
			return a.Principal == p && slices.Contains(known.Shown, a.Privilege) && !alone
		})
		have = append(have, all)
	}
	return have
}

// On lists the securables where something is known.
func (e *Expansions) On() []policy.Securable {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.known))
}

// Recall takes what earlier runs learned of the workspace, of which metastore returns the id; "" where it may not be read.
// After an error it is learned anew, by one change for each.
func (e *Expansions) Recall(metastore func() (string, error)) error {
	e.mu.Lock()
	done := e.recalled || e.store == nil
	e.mu.Unlock()
	if done {
		return nil
	}
	value, err := e.store.Load(expansionsKey)
	var kept keptExpansions
	if err == nil && value != nil {
		err = json.Unmarshal(value, &kept)
	}
	var id string
	if err == nil && len(kept.Expansions) > 0 {
		if id, err = metastore(); err != nil { // it is tried again, but the sync will hardly succeed
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.recalled {
		return nil
	}
	e.recalled = true
	if err != nil || id != kept.Metastore {
		return err
	}
	dirty := e.dirty
	for _, x := range kept.Expansions {
		if len(e.known[x.Securable][x.Principal].Shown) == 0 {
			e.set(x)
		}
	}
	e.dirty = dirty
	return nil
}

// Save keeps what was learned, for later runs and for plans made elsewhere.
func (e *Expansions) Save(metastore func() (string, error)) error {
	e.mu.Lock()
	nothing := !e.dirty || e.store == nil
	e.mu.Unlock()
	if nothing {
		return nil
	}
	id, err := metastore()
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := keptExpansions{Metastore: id}
	for _, by := range e.known {
		kept.Expansions = slices.AppendSeq(kept.Expansions, maps.Values(by))
	}
	slices.SortFunc(kept.Expansions, func(a, b expansion) int {
		return cmp.Or(a.Securable.Compare(b.Securable), policy.ComparePrincipals(a.Principal, b.Principal))
	})
	value, err := json.Marshal(kept)
	if err == nil {
		err = e.store.Save(expansionsKey, value)
	}
	e.dirty = err != nil
	return err
}
