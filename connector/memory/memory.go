package memory

import (
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
	keyBodies     = "functions"
)

// Memory is what earlier runs learned of the workspace: what the last good listings held, which policies each part was last
// brought into sync with, and which metastores were ever synced.
type Memory struct {
	store  Store
	shared Store
	mu     sync.Mutex    // one change of a value at a time
	noted  atomic.Uint64 // how often a shard was noted to be in sync
}

// New returns what is kept in store; with a nil one nothing is. Which metastores were ever synced is kept in shared, where
// plans that are made beside the daemon read it too.
func New(store, shared Store) *Memory { return &Memory{store: store, shared: shared} }

// Shared returns where facts are kept that plans made beside the daemon read too; nil where nothing is kept.
func (m *Memory) Shared() Store { return m.shared }

// Listing is what was found in a container, itself included, or of the metastore's root objects.
type Listing struct {
	Root  policy.Securable // METASTORE without a name for root objects
	Found []policy.Object  // sorted
	Last  int              // how many there were the last time; 0 when not known
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

func (m *Memory) load(key string) ([]byte, error) { return loadFrom(m.store, key) }

func loadFrom(store Store, key string) ([]byte, error) {
	if store == nil {
		return nil, nil
	}
	value, err := store.Load(key)
	if err != nil {
		return nil, policy.Errorf(policy.CodeUnavailable, "read what earlier syncs found (%s): %w", key, err)
	}
	return value, nil
}

// Objects returns what the last good listing of a container held, sorted; nil when none is known.
func (m *Memory) Objects(container policy.Securable) ([]policy.Object, error) {
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

// parseObjects reads a list of objects as it is kept: a line TYPE:name for each object, and its kind after a tab where it has one.
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

// CompareObjects orders objects by their securables.
func CompareObjects(a, b policy.Object) int { return a.Compare(b.Securable) }

// Save keeps listings that a plan was made and not refused for. What a catalog holds outside a listed schema is kept.
func (m *Memory) Save(listings []Listing) error {
	if m.store == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range listings {
		root := listingRoot(l.Root)
		before, err := m.load(listingKey(root))
		if err != nil {
			return err
		}
		all := l.Found
		if root != l.Root {
			others := slices.DeleteFunc(parseObjects(string(before)), func(o policy.Object) bool { return l.Root.Contains(o.Securable) })
			all = slices.SortedFunc(slices.Values(slices.Concat(others, all)), CompareObjects)
		}
		if after := joinObjects(all); string(after) != string(before) {
			if err := m.store.Save(listingKey(root), after); err != nil {
				return err
			}
		}
	}
	return nil
}

// Catalogs returns the catalogs that the last listing held.
func (m *Memory) Catalogs() ([]policy.Securable, error) {
	value, err := m.load(keyCatalogs)
	var list []policy.Securable
	for _, o := range parseObjects(string(value)) {
		list = append(list, o.Securable)
	}
	return list, err
}

// SaveCatalogs keeps which catalogs there are.
func (m *Memory) SaveCatalogs(list []policy.Securable) error {
	if m.store == nil {
		return nil
	}
	objects := make([]policy.Object, len(list))
	for i, c := range list {
		objects[i].Securable = c
	}
	return m.store.Save(keyCatalogs, joinObjects(objects))
}

// readMap reads a JSON object. One that cannot be understood counts as empty.
func readMap[V any](store Store, key string) (map[string]V, error) {
	value, err := loadFrom(store, key)
	all := make(map[string]V)
	if err != nil || len(value) == 0 {
		return all, err
	}
	if json.Unmarshal(value, &all) != nil || all == nil {
		all = make(map[string]V)
	}
	return all, nil
}

// Knows reports whether a sync of the metastore was applied before.
func (m *Memory) Knows(metastore string) (bool, error) {
	if m.shared == nil {
		return true, nil // first contact cannot be told from any other
	}
	all, err := readMap[time.Time](m.shared, keyMetastores)
	_, ok := all[metastore]
	return ok, err
}

// Met notes that a sync of the metastore is applied.
func (m *Memory) Met(metastore string) error {
	return change(m, m.shared, keyMetastores, func(all map[string]time.Time) bool {
		if _, known := all[metastore]; known {
			return false
		}
		all[metastore] = time.Now().UTC().Truncate(time.Second)
		return true
	})
}

// LastSync is by what a shard was last brought into sync.
type LastSync struct {
	Basis string    `json:"basis"` // the policies and settings
	At    time.Time `json:"at"`    // the time at which validity schedules were judged
	// Reading is compile.Reading of the program; 0 where that was not kept yet, which stands for 1.
	Reading int `json:"reading,omitempty"`
}

// LastSyncs returns how each shard was last brought into sync, by the shard's name.
func (m *Memory) LastSyncs() (map[string]LastSync, error) {
	return readMap[LastSync](m.store, keyShards)
}

// InSync notes how a shard was brought into sync.
func (m *Memory) InSync(shard policy.Securable, last LastSync) error {
	return change(m, m.store, keyShards, func(all map[string]LastSync) bool {
		if old := all[shard.String()]; old.Basis == last.Basis && old.At.Equal(last.At) && old.Reading == last.Reading {
			return false
		}
		all[shard.String()] = last
		m.noted.Add(1)
		return true
	})
}

// change changes a JSON object if edit says that it did.
func change[V any](m *Memory, store Store, key string, edit func(map[string]V) bool) error {
	if store == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all, err := readMap[V](store, key)
	if err != nil || !edit(all) {
		return err
	}
	value, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return store.Save(key, value)
}

// LargestLoss returns the size of the listing that lost the largest part of what it showed the last time, now and then;
// 0 and 0 when no listing is known from before. A container that is new says nothing about the others, and the loss of
// one is not made up for by what another has gained.
func LargestLoss(listings []Listing) (now, before int) {
	for _, l := range listings {
		if l.Last > 0 && (before == 0 || len(l.Found)*before < now*l.Last) {
			now, before = len(l.Found), l.Last
		}
	}
	return now, before
}

// Noted returns how often a shard was noted to be in sync, by this process.
func (m *Memory) Noted() uint64 { return m.noted.Load() }

// ShardOf returns the part of a full sync that s belongs to: its catalog, or the METASTORE without a name.
func ShardOf(s policy.Securable) policy.Securable {
	for parent, ok := s.Parent(); ok; parent, ok = parent.Parent() {
		s = parent
	}
	if s.Type == policy.Catalog {
		return s
	}
	return policy.Securable{Type: policy.Metastore}
}

// IsShard reports whether s is a part that a full sync is made of.
func IsShard(s policy.Securable) bool {
	return s.Type == policy.Catalog || s == policy.Securable{Type: policy.Metastore}
}

// ParseShard reads the name of a shard as Securable.String writes it.
func ParseShard(name string) (policy.Securable, bool) {
	objects := parseObjects(name)
	if len(objects) != 1 || !IsShard(objects[0].Securable) {
		return policy.Securable{}, false
	}
	return objects[0].Securable, true
}
