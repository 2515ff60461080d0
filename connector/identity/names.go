package identity

import (
	"sync"

	"ucwarden/policy"
	"ucwarden/policy/directory"
)

// Names turns the principals of grants, which are names, into those of the directory. It remembers them: names are few,
// grants are many.
type Names struct {
	Directory *directory.Directory // must not change
	mu        sync.RWMutex
	known     map[string]policy.Principal
	ambiguous bool // some name is that of several, or of one that is deleted
}

// NewNames returns the names of a directory.
func NewNames(d *directory.Directory) *Names {
	return &Names{Directory: d, known: make(map[string]policy.Principal)}
}

// Resolve puts the principals of the directory into list.
func (i *Names) Resolve(list []policy.Assignment) {
	i.mu.RLock()
	missing := false
	for j := range list {
		if p, ok := i.known[list[j].Name]; ok {
			list[j].Principal = p
		} else {
			missing = true
		}
	}
	i.mu.RUnlock()
	if !missing {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for j := range list {
		name := list[j].Name
		p, ok := i.known[name]
		if !ok {
			if p = list[j].Principal; !p.Deleted() {
				p = i.Directory.Identify(name)
			}
			i.known[name] = p
			i.ambiguous = i.ambiguous || p.Kind == policy.UnknownKind
		}
		list[j].Principal = p
	}
}

// Shared returns, for each name that several principals have, and each deleted principal, one of the grants to it on the
// securables.
func (i *Names) Shared(current *policy.GrantSet, on []policy.Securable) []policy.Grant {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if !i.ambiguous {
		return nil
	}
	seen := make(map[policy.Principal]bool)
	var list []policy.Grant
	for _, s := range on {
		for _, a := range current.Of(s) {
			if a.Kind == policy.UnknownKind && !seen[a.Principal] {
				seen[a.Principal] = true
				list = append(list, policy.Grant{Securable: s, Principal: a.Principal, Privilege: a.Privilege})
			}
		}
	}
	return list
}
