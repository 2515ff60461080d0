package connector

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	shared State         // of which metastores were ever synced: plans that are made without the store read it too
	mu     sync.Mutex    // one change of a value at a time
	noted  atomic.Uint64 // how often a shard was noted to be in sync
}

// listing is what was found in a container, itself included, or of the metastore's root objects.
type listing struct {
	root  policy.Securable // METASTORE without a name for root objects
	found []policy.Object  // sorted
	last  int              // how many there were the last time; 0 when not known
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

// objects returns what the last good listing of a container held, sorted; nil when none is known.
func (m *worldMemory) objects(container policy.Securable) ([]policy.Object, error) {
	value, err := m.load(listingKey(listingRoot(container)))
	if err != nil {
		return nil, err
	}
	all := parseObjects(string(value))
	if container.Type == policy.Schema {
		all = slices.DeleteFunc(all, func(o policy.Object) bool { return !container.Contains(o.Securable) })
	}
	return all, nil
}

// parseObjects reads what joinObjects wrote: a line TYPE:name for each object, and its kind after a tab where it has one.
func parseObjects(text string) []policy.Object {
	var list []policy.Object
	for line := range strings.SplitSeq(text, "\n") {
		if t, name, ok := strings.Cut(line, ":"); ok { // else not one of ours
			name, kind, _ := strings.Cut(name, "\t")
			list = append(list, policy.Object{Securable: policy.Securable{Type: policy.SecurableType(t), FullName: name}, Kind: policy.Kind(kind)})
		}
	}
	return list
}

func joinObjects(list []policy.Object) []byte {
	var b strings.Builder
	for _, o := range list {
		b.WriteString(o.String())
		if o.Kind != "" {
			b.WriteByte('\t')
			b.WriteString(string(o.Kind))
		}
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

func compareObjects(a, b policy.Object) int { return a.Compare(b.Securable) }

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
		all := l.found
		if root != l.root {
			others := slices.DeleteFunc(parseObjects(string(before)), func(o policy.Object) bool { return l.root.Contains(o.Securable) })
			all = slices.SortedFunc(slices.Values(slices.Concat(others, all)), compareObjects)
		}
		if after := joinObjects(all); string(after) != string(before) {
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
	var list []policy.Securable
	for _, o := range parseObjects(string(value)) {
		list = append(list, o.Securable)
	}
	return list, err
}

func (m *worldMemory) saveCatalogs(list []policy.Securable) error {
	if m.state == nil {
		return nil
	}
	objects := make([]policy.Object, len(list))
	for i, c := range list {
		objects[i].Securable = c
	}
	return m.state.Save(keyCatalogs, joinObjects(objects))
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

// lastSync is by what a shard was last brought into sync.
type lastSync struct {
	Basis string    `json:"basis"` // the policies and settings
	At    time.Time `json:"at"`    // the time at which validity schedules were judged
}

// lastSyncs returns how each shard was last brought into sync, by the shard's name.
func (m *worldMemory) lastSyncs() (map[string]lastSync, error) {
	return readMap[lastSync](m.state, keyShards)
}

// inSync notes how a shard was brought into sync.
func (m *worldMemory) inSync(shard policy.Securable, last lastSync) error {
	return change(m, m.state, keyShards, func(all map[string]lastSync) bool {
		if old := all[shard.String()]; old.Basis == last.Basis && old.At.Equal(last.At) {
			return false
		}
		all[shard.String()] = last
		m.noted.Add(1)
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
