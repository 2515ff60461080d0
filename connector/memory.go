package connector

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"ucwarden/policy"
)

// The keys of what is kept from run to run. Listings have a key each; see listingKey.
const (
	keyMetastores = "metastores"
	keyShards     = "shards"
	keyCatalogs   = "catalogs"
)

// worldMemory is what earlier runs learned of the workspace: what the last good listings held, which policies each part
// was last brought into sync with, and which metastores were ever synced. With a nil State it knows nothing.
type worldMemory struct {
	state  State
	shared State      // of which metastores were ever synced: plans that are made without the store read it too
	mu     sync.Mutex // one change of a value at a time
}

// listing is what was found in a container, itself included, or of the metastore's root objects.
type listing struct {
	root  policy.Securable   // METASTORE without a name for root objects
	found []policy.Securable // sorted
	last  int                // how many there were the last time; 0 when not known
}

// listingRoot returns under which catalog, or METASTORE, a container's listing is kept.
func listingRoot(container policy.Securable) policy.Securable {
	if parent, ok := container.Parent(); ok {
		return parent
	}
	return container
}

// listingKey is under which the listing of a catalog, or of the metastore's root objects, is kept. The catalog's name may
// hold what a file name may not.
func listingKey(root policy.Securable) string {
	sum := sha256.Sum256([]byte(root.String()))
	return "listing-" + hex.EncodeToString(sum[:8])
}

func (m *worldMemory) load(key string) ([]byte, error) { return loadFrom(m.state, key) }

func loadFrom(state State, key string) ([]byte, error) {
	if state == nil {
		return nil, nil
	}
	value, err := state.Load(key)
	if err != nil {
		return nil, policy.Errorf(policy.CodeUnavailable, "read what earlier syncs found (%s): %w", key, err)
	}
	return value, nil
}

// names returns what the last good listing of a container held, sorted; nil when none is known.
func (m *worldMemory) names(container policy.Securable) ([]policy.Securable, error) {
	all, err := m.namesUnder(listingRoot(container))
	if container.Type == policy.Schema {
		all = slices.DeleteFunc(all, func(s policy.Securable) bool { return !container.Contains(s) })
	}
	return all, err
}

func (m *worldMemory) namesUnder(root policy.Securable) ([]policy.Securable, error) {
	value, err := m.load(listingKey(root))
	if err != nil {
		return nil, err
	}
	return parseNames(string(value)), nil
}

func parseNames(text string) []policy.Securable {
	var list []policy.Securable
	for line := range strings.SplitSeq(text, "\n") {
		if t, name, ok := strings.Cut(line, ":"); ok { // else not one of ours
			list = append(list, policy.Securable{Type: policy.SecurableType(t), FullName: name})
		}
	}
	return list
}

func joinNames(list []policy.Securable) []byte {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(s.String())
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// save keeps listings that a plan was made and not refused for. What a catalog holds outside a listed schema is kept.
func (m *worldMemory) save(listings []listing) error {
	if m.state == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range listings {
		root := listingRoot(l.root)
		before, err := m.load(listingKey(root))
		if err != nil {
			return err
		}
		names := l.found
		if root != l.root {
			others := slices.DeleteFunc(parseNames(string(before)), l.root.Contains)
			names = slices.SortedFunc(slices.Values(slices.Concat(others, names)), policy.Securable.Compare)
		}
		if after := joinNames(names); string(after) != string(before) {
			if err := m.state.Save(listingKey(root), after); err != nil {
				return err
			}
		}
	}
	return nil
}

// catalogs returns the catalogs that the last listing held.
func (m *worldMemory) catalogs() ([]policy.Securable, error) {
	value, err := m.load(keyCatalogs)
	return parseNames(string(value)), err
}

func (m *worldMemory) saveCatalogs(list []policy.Securable) error {
	if m.state == nil {
		return nil
	}
	return m.state.Save(keyCatalogs, joinNames(list))
}

// readMap reads a JSON object. One that cannot be understood counts as empty.
func readMap[V any](state State, key string) (map[string]V, error) {
	value, err := loadFrom(state, key)
	all := make(map[string]V)
	if err != nil || len(value) == 0 {
		return all, err
	}
	if json.Unmarshal(value, &all) != nil || all == nil {
		all = make(map[string]V)
	}
	return all, nil
}

// knows reports whether a sync of the metastore was applied before.
func (m *worldMemory) knows(metastore string) (bool, error) {
	if m.shared == nil {
		return true, nil // first contact cannot be told from any other
	}
	all, err := readMap[time.Time](m.shared, keyMetastores)
	_, ok := all[metastore]
	return ok, err
}

// met notes that a sync of the metastore is applied.
func (m *worldMemory) met(metastore string) error {
	return change(m, m.shared, keyMetastores, func(all map[string]time.Time) bool {
		if _, known := all[metastore]; known {
			return false
		}
		all[metastore] = time.Now().UTC().Truncate(time.Second)
		return true
	})
}

// bases returns by which policies each shard was last brought into sync, by the shard's name.
func (m *worldMemory) bases() (map[string]string, error) { return readMap[string](m.state, keyShards) }

// inSync notes by which policies a shard was brought into sync.
func (m *worldMemory) inSync(shard policy.Securable, basis string) error {
	return change(m, m.state, keyShards, func(all map[string]string) bool {
		if all[shard.String()] == basis {
			return false
		}
		all[shard.String()] = basis
		return true
	})
}

// change changes a JSON object if edit says that it did.
func change[V any](m *worldMemory, state State, key string, edit func(map[string]V) bool) error {
	if state == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all, err := readMap[V](state, key)
	if err != nil || !edit(all) {
		return err
	}
	value, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return state.Save(key, value)
}

// largestLoss returns the size of the listing that lost the largest part of what it showed the last time, now and then;
// 0 and 0 when no listing is known from before. A container that is new says nothing about the others, and the loss of
// one is not made up for by what another has gained.
func largestLoss(listings []listing) (now, before int) {
	for _, l := range listings {
		if l.last > 0 && (before == 0 || len(l.found)*before < now*l.last) {
			now, before = len(l.found), l.last
		}
	}
	return now, before
}

// metastore returns the id of the workspace's metastore; "" where it may not be read.
func (s *Syncer) metastore(ctx context.Context) (string, error) {
	s.mu.Lock()
	id := s.metastoreID
	s.mu.Unlock()
	if id != "" {
		return id, nil
	}
	found, err := s.Workspace.List(ctx, policy.Securable{}, policy.Metastore)
	switch code := policy.CodeOf(err); {
	case err != nil && code.Retryable():
		return "", err
	case err != nil || len(found) == 0:
		return "", nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metastoreID = found[0].FullName
	return s.metastoreID, nil
}
