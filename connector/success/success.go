package success

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/connector/memory"
	"ucwarden/policy"
)

// everything stands for full syncs: one that was planned as a whole, and that no guard refused, is a success. No catalog has the name.
const everything = "*"

// keySince is under which the store keeps since when there is what: a JSON object of times by catalog.
const keySince = "success-since"

// Log is when catalogs were last synced as a whole, with no change that failed and nothing that could not be read. It is itself the
// prometheus.Collector of that. It may be used by many goroutines at once.
type Log struct {
	store   memory.Store // nil: nothing is kept
	at, age *prometheus.Desc

	mu    sync.Mutex
	since map[string]time.Time // by catalog: when it was first seen
	last  map[string]time.Time // by catalog: its last success; none before the first
}

// New returns what the store has, nil to keep nothing, and registers its metrics, if there is a registerer. What cannot be understood in
// the store counts as not there; an error says that it cannot be read.
func New(store memory.Store, reg prometheus.Registerer) (*Log, error) {
	labels := []string{"catalog"}
	l := &Log{
		store: store,
		at:    prometheus.NewDesc("ucwarden_last_success_timestamp_seconds", "When all of a catalog was last synced without a failure; catalog * is a full sync that was planned as a whole, and not refused. None before the first time.", labels, nil),
		age:   prometheus.NewDesc("ucwarden_last_success_age_seconds", "Seconds since then; before the first time, since the catalog was first seen.", labels, nil),
		last:  make(map[string]time.Time),
	}
	if err := l.load(); err != nil {
		return nil, policy.Errorf(policy.CodeUnavailable, "read when catalogs were last synced: %w", err)
	}
	if reg != nil {
		if err := reg.Register(l); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return l, nil
}

func (l *Log) load() error {
	l.since = make(map[string]time.Time)
	if l.store != nil {
		value, err := l.store.Load(keySince)
		if err != nil {
			return err
		}
		if json.Unmarshal(value, &l.since) != nil || l.since == nil {
			l.since = make(map[string]time.Time)
		}
		for catalog := range l.since {
			value, err := l.store.Load(keyOf(catalog))
			if err != nil {
				return err
			}
			if at, err := time.Parse(time.RFC3339Nano, string(value)); err == nil {
				l.last[catalog] = at
			}
		}
	}
	if _, found := l.since[everything]; found {
		return nil
	}
	l.since[everything] = time.Now()
	return l.saveSince()
}

// keyOf is under which the last success of a catalog is kept, whose name may hold what a file name may not.
func keyOf(catalog string) string {
	sum := sha256.Sum256([]byte(catalog))
	return "success-" + hex.EncodeToString(sum[:8])
}

func (l *Log) saveSince() error {
	if l.store == nil {
		return nil
	}
	value, err := json.Marshal(l.since)
	if err != nil {
		return err
	}
	return l.store.Save(keySince, value)
}

// Seen notes which shards there are now; catalogs that are not among them are forgotten. An error says that this is not kept for later
// processes.
func (l *Log) Seen(shards []policy.Securable) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := false
	for catalog := range l.since {
		if catalog != everything && !slices.Contains(shards, policy.Securable{Type: policy.Catalog, FullName: catalog}) {
			if err := l.forget(catalog); err != nil {
				return err
			}
			changed = true
		}
	}
	for _, s := range shards {
		if _, known := l.since[s.FullName]; !known && s.Type == policy.Catalog {
			l.since[s.FullName] = time.Now()
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return l.saveSince()
}

func (l *Log) forget(catalog string) error {
	_, synced := l.last[catalog]
	delete(l.since, catalog)
	delete(l.last, catalog)
	if l.store == nil || !synced {
		return nil
	}
	return l.store.Save(keyOf(catalog), []byte{})
}

// Synced notes that all of each catalog among the roots was synced without a failure now. An error is as that of Seen.
func (l *Log) Synced(roots []policy.Securable) error {
	for _, root := range roots {
		if root.Type != policy.Catalog {
			continue
		}
		if err := l.note(root.FullName); err != nil {
			return err
		}
	}
	return nil
}

// SyncedAll notes that a full sync was planned as a whole, and not refused. An error is as that of Seen.
func (l *Log) SyncedAll() error { return l.note(everything) }

func (l *Log) note(catalog string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.last[catalog] = now
	if _, known := l.since[catalog]; !known {
		l.since[catalog] = now
		if err := l.saveSince(); err != nil {
			return err
		}
	}
	if l.store == nil {
		return nil
	}
	return l.store.Save(keyOf(catalog), []byte(now.UTC().Format(time.RFC3339Nano)))
}

// Gone forgets catalogs among the roots: they do not exist any more. An error is as that of Seen.
func (l *Log) Gone(roots []policy.Securable) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := false
	for _, root := range roots {
		if _, known := l.since[root.FullName]; root.Type != policy.Catalog || !known {
			continue
		}
		changed = true
		if err := l.forget(root.FullName); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return l.saveSince()
}

// Describe implements prometheus.Collector.
func (l *Log) Describe(c chan<- *prometheus.Desc) { c <- l.at; c <- l.age }

// Collect implements prometheus.Collector.
func (l *Log) Collect(c chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for catalog, from := range l.since {
		if at, synced := l.last[catalog]; synced {
			from = at
			c <- prometheus.MustNewConstMetric(l.at, prometheus.GaugeValue, float64(at.UnixMilli())/1000, catalog)
		}
		c <- prometheus.MustNewConstMetric(l.age, prometheus.GaugeValue, max(0, time.Since(from).Seconds()), catalog) // the clock may have been set
	}
}

var _ prometheus.Collector = (*Log)(nil)
