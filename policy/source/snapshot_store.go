package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source/content"
)

// snapshotStore keeps a source's last verified snapshot and decides what may replace it. Both sources embed it.
type snapshotStore struct {
	kind           string // "files" or "ranger"
	log            *slog.Logger
	metrics        *metrics
	cache          *cache // nil: none
	guard          GuardOptions
	serverVersions bool // versions come from the server and never decrease
	started        time.Time

	current atomic.Pointer[ranger.Snapshot]

	refreshing sync.Mutex       // held during a whole load, so that an older answer never replaces a newer one
	content    *content.Content // what current was built from; guarded by refreshing
	cacheRead  bool             // the cache was read; guarded by refreshing

	mu       sync.Mutex
	accepted map[string]bool // digests accepted by an operator
	problem  error           // of the last load; nil when it succeeded
	warned   map[string]bool // keys of the problems logged since the last success
}

type snapshotStoreOptions struct {
	kind           string
	identity       string // distinguishes the caches of different sources
	cacheDir       string
	cacheReadOnly  bool
	guard          GuardOptions
	serverVersions bool
	logger         *slog.Logger
	registerer     prometheus.Registerer
}

func newSnapshotStore(o snapshotStoreOptions) (*snapshotStore, error) {
	if err := o.guard.validate(); err != nil {
		return nil, err
	}
	if o.logger == nil {
		o.logger = slog.New(slog.DiscardHandler)
	}
	store := &snapshotStore{
		kind: o.kind, log: o.logger.With("source", o.kind), guard: o.guard, serverVersions: o.serverVersions, started: time.Now(),
		accepted: map[string]bool{}, warned: map[string]bool{},
	}
	if o.guard.Accept != "" {
		store.accepted[o.guard.Accept] = true
	}
	if o.cacheDir != "" {
		store.cache = newCache(o.cacheDir, o.kind, o.identity)
		store.cache.readOnly = o.cacheReadOnly
	}
	m, err := newMetrics(store, o.registerer)
	if err != nil {
		return nil, err
	}
	store.metrics = m
	return store, nil
}

// Current returns the snapshot in force: the last one that was verified and not rejected. It is nil before the first
// successful Load. Safe for concurrent use.
func (store *snapshotStore) Current() *ranger.Snapshot { return store.current.Load() }

// Problem returns the error of the last load, which keeps newer policies out; nil when it succeeded.
func (store *snapshotStore) Problem() error {
	store.mu.Lock()
	defer store.mu.Unlock()
	return store.problem
}

// Accept allows the version with this digest at the next load, however much it lost and even if it is older. The error
// of a rejected version names its digest.
func (store *snapshotStore) Accept(digest string) {
	store.mu.Lock()
	defer store.mu.Unlock()
	store.accepted[digest] = true
}

// confirmedAt returns when the source last confirmed that the snapshot in force is current; the start of the process
// when there is none.
func (store *snapshotStore) confirmedAt() time.Time {
	if s := store.Current(); s != nil {
		return s.FetchedAt
	}
	return store.started
}

// load reads the cache, the first time, then calls refresh. It returns an error only when no snapshot is in force
// afterwards; otherwise a failure is logged and returned by Problem.
func (store *snapshotStore) load(ctx context.Context, refresh func(context.Context) error) (*ranger.Snapshot, error) {
	store.refreshing.Lock()
	defer store.refreshing.Unlock()
	store.restore()
	err := refresh(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s := store.Current()
	switch {
	case err == nil:
		store.recordSuccess()
		return s, nil
	case s == nil:
		store.recordFailure(err, false)
		return nil, err
	}
	store.recordFailure(err, true)
	return s, nil
}

// restore puts the cached snapshot in force, so that the guards compare with it and policies are available while the
// source is down.
func (store *snapshotStore) restore() {
	if store.cacheRead || store.cache == nil {
		return
	}
	store.cacheRead = true
	entry, err := store.cache.load()
	if err != nil {
		store.log.Warn("the cached policy snapshot is not used", "error", err)
		return
	}
	if entry == nil {
		return
	}
	snapshot, err := entry.Content.Snapshot()
	if err != nil {
		store.log.Warn("the cached policy snapshot is not used: it is not valid", "file", store.cache.path, "error", err)
		return
	}
	snapshot.Version, snapshot.FetchedAt, snapshot.Digest = entry.Version, entry.FetchedAt, entry.Digest
	store.content = entry.Content
	store.current.Store(snapshot)
	store.logProblems(snapshot)
}

// publish verifies next and puts it in force unless a guard rejects it. version returns its version number from the one
// in force (0 when there is none), and is called only when next differs from what is in force; the same content only
// renews the time of confirmation.
func (store *snapshotStore) publish(next *content.Content, version func(inForce int64) int64) error {
	digest, err := next.Digest()
	if err != nil {
		return err
	}
	old := store.Current()
	if old != nil && old.Digest == digest {
		store.content = next // the same, and it knows its unknown fields, which a cached one does not
		store.touch()
		return nil
	}
	snapshot, err := next.Snapshot()
	if err != nil {
		return err
	}
	if !store.isAccepted(digest) {
		if err := store.reject(next, snapshot); err != nil {
			if policy.CodeOf(err) == policy.CodeInvalid {
				return err
			}
			return policy.Errorf(policy.CodeRefused, "policies refused: %w; to use them on purpose, set policies.accept to %s", err, digest)
		}
	}
	var inForce int64
	if old != nil {
		inForce = old.Version
	}
	snapshot.Version, snapshot.FetchedAt, snapshot.Digest = version(inForce), time.Now(), digest
	store.content = next
	store.current.Store(snapshot)
	store.metrics.loads.WithLabelValues("changed").Inc()
	store.log.Info("policies loaded", "service", snapshot.Service, "version", snapshot.Version, "digest", digest,
		"policies", len(snapshot.Policies), "roles", len(snapshot.Roles), "membership", snapshot.Users != nil)
	store.logProblems(snapshot)
	store.save()
	return nil
}

// maxLogged is how many problems of one version are logged.
const maxLogged = 20

// logProblems logs what is accepted in a new version and does not mean what its author may expect, and what of the policies
// cannot be understood.
func (store *snapshotStore) logProblems(s *ranger.Snapshot) {
	logged, left := 0, 0
	for _, p := range s.Problems {
		if p.LeftOut {
			continue
		}
		if logged++; logged > maxLogged {
			left++
			continue
		}
		store.log.Warn("a field of the policies has no effect", "policy_id", p.PolicyID, "policy", p.Policy, "origin", p.Origin, "field", p.Field, "problem", p.Message)
	}
	if left > 0 {
		store.log.Warn("more fields of the policies have no effect; the findings of a plan list them", "more", left)
	}
	for i, text := range content.LeftOut(s.Problems) {
		if i == maxLogged {
			store.log.Warn("more is left out of the policies; the findings of a plan list it", "more", len(content.LeftOut(s.Problems))-maxLogged)
			break
		}
		store.log.Warn("not all of the policies is in force as it stands", "problem", text)
	}
	faults := 0
	for p, f := range s.Faults {
		if faults++; faults <= maxLogged {
			store.log.Warn("a policy cannot be understood in full; what is not understood allows nothing, and closes what it may deny",
				"policy_id", p.ID, "policy", p.Name, "origin", p.Origin, "field", f.Field, "problem", f.Reason)
		}
	}
	if faults > maxLogged {
		store.log.Warn("more of the policies cannot be understood; the findings of a plan list them", "more", faults-maxLogged)
	}
}

// reject returns why next must not replace the content in force, nil when it may.
func (store *snapshotStore) reject(next *content.Content, s *ranger.Snapshot) error {
	if store.serverVersions && store.content != nil {
		if err := checkVersions(store.content, next); err != nil {
			return err
		}
	}
	return store.guard.check(store.Current(), s)
}

func (store *snapshotStore) isAccepted(digest string) bool {
	store.mu.Lock()
	defer store.mu.Unlock()
	return store.accepted[digest]
}

// touch records that the source still has what is in force. Snapshots are immutable, so this stores a copy.
func (store *snapshotStore) touch() {
	s := *store.Current()
	s.FetchedAt = time.Now()
	store.current.Store(&s)
	store.metrics.loads.WithLabelValues("unchanged").Inc()
	if store.cache != nil && s.FetchedAt.Sub(store.cache.savedAt) >= cacheRefresh {
		store.save()
	}
}

// save writes the snapshot in force to the cache. A failure is logged and does not stop new policies.
func (store *snapshotStore) save() {
	if store.cache == nil {
		return
	}
	s := store.Current()
	if err := store.cache.save(&cacheEntry{Version: s.Version, FetchedAt: s.FetchedAt, Digest: s.Digest, Content: store.content}); err != nil {
		store.metrics.failures.WithLabelValues("cache").Inc()
		store.warnOnce("cache: "+err.Error(), "the policy snapshot could not be cached; a restart while the source is down would have no policies", "error", err)
	}
}

// recordSuccess clears the problem of the last load.
func (store *snapshotStore) recordSuccess() {
	store.mu.Lock()
	wasFailing := store.problem != nil
	store.problem = nil
	if wasFailing {
		clear(store.warned)
	}
	store.mu.Unlock()
	if wasFailing {
		store.log.Info("the policy source works again")
	}
}

// recordFailure counts a failed load and, if log is set, logs it: once for each distinct problem until a load succeeds.
func (store *snapshotStore) recordFailure(err error, log bool) {
	store.metrics.failures.WithLabelValues(string(policy.CodeOf(err))).Inc()
	store.mu.Lock()
	store.problem = err
	store.mu.Unlock()
	if !log {
		return
	}
	if s := store.Current(); s != nil {
		store.warnOnce(problemKey(err), "new policies not loaded; the last verified snapshot stays in force", "error", err,
			"version", s.Version, "confirmed_ago", time.Since(s.FetchedAt).Round(time.Second))
		return
	}
	store.warnOnce(problemKey(err), "no policies yet", "error", err)
}

// maxWarned bounds the number of distinct problems that are remembered.
const maxWarned = 100

// warnOnce logs a warning unless one with the same key was logged since the last success.
func (store *snapshotStore) warnOnce(key, message string, args ...any) {
	store.mu.Lock()
	known := store.warned[key]
	if !known && len(store.warned) < maxWarned {
		store.warned[key] = true
	}
	store.mu.Unlock()
	if !known {
		store.log.Warn(message, args...)
	}
}

// problemKey returns a key that is equal for equal problems. Network errors contain port numbers that differ each time,
// so their key is the class and the innermost error.
func problemKey(err error) string {
	if policy.CodeOf(err) != policy.CodeUnavailable {
		return err.Error()
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return fmt.Sprintf("%s: %v", policy.CodeUnavailable, err)
		}
		err = inner
	}
}

// watchLoop refreshes until ctx ends, and calls onChange for every snapshot with new content. Before each refresh it
// calls wait, with the number of consecutive failures. It returns the error of ctx.
func (store *snapshotStore) watchLoop(ctx context.Context, refresh func(context.Context) error, wait func(ctx context.Context, failures int) error, onChange func(*ranger.Snapshot)) error {
	notified := ""
	if s := store.Current(); s != nil {
		notified = s.Digest
	}
	failures := 0
	for {
		if store.Current() != nil || failures > 0 {
			if err := wait(ctx, failures); err != nil {
				return err
			}
		}
		s, err := store.load(ctx, refresh)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			store.warnOnce(problemKey(err), "no policies yet", "error", err)
		}
		if store.Problem() != nil {
			failures++
		} else {
			failures = 0
		}
		if s != nil && s.Digest != notified {
			notified = s.Digest
			onChange(s)
		}
	}
}

// backoff returns the delay after the given number of failures, at least one: from half to the whole of 1 s, 2 s, 4 s and
// so on, and no more than most.
func backoff(failures int, most time.Duration) time.Duration {
	wait := most
	if failures < 16 {
		wait = min(most, time.Second<<(failures-1))
	}
	return wait - rand.N(wait/2+1)
}
