package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
)

// holder holds a source's last verified snapshot and decides what may replace it. Both sources embed it.
type holder struct {
	kind    string // "files" or "ranger"
	log     *slog.Logger
	metrics *metrics
	cache   *cache // nil: none
	guard   GuardOptions
	numbers bool // versions come from the server and only ever grow
	started time.Time

	current atomic.Pointer[policy.Snapshot]

	refreshing sync.Mutex // held for a whole read, so that an older answer never overtakes a newer one
	content    *content   // what current was made of; guarded by refreshing
	restored   bool       // the cache was looked at; guarded by refreshing

	mu       sync.Mutex
	accepted map[string]bool // digests
	problem  error           // of the last load; nil when it succeeded
	warned   map[string]bool // problems since the last success that were logged
}

type holderOptions struct {
	kind       string
	identity   string // tells caches of different sources apart
	cacheDir   string
	guard      GuardOptions
	numbers    bool
	logger     *slog.Logger
	registerer prometheus.Registerer
}

func newHolder(o holderOptions) (*holder, error) {
	if err := o.guard.validate(); err != nil {
		return nil, err
	}
	if o.logger == nil {
		o.logger = slog.New(slog.DiscardHandler)
	}
	h := &holder{
		kind: o.kind, log: o.logger.With("source", o.kind), guard: o.guard, numbers: o.numbers, started: time.Now(),
		accepted: map[string]bool{}, warned: map[string]bool{},
	}
	if o.guard.Accept != "" {
		h.accepted[o.guard.Accept] = true
	}
	if o.cacheDir != "" {
		h.cache = newCache(o.cacheDir, o.kind, o.identity)
	}
	m, err := newMetrics(h, o.registerer)
	if err != nil {
		return nil, err
	}
	h.metrics = m
	return h, nil
}

// Current gives the snapshot in force: the last that was verified and not refused. It is nil before the first
// successful Load. Safe for concurrent use.
func (h *holder) Current() *policy.Snapshot { return h.current.Load() }

// Problem tells what keeps newer policies out at the moment; nil when the last load succeeded.
func (h *holder) Problem() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.problem
}

// Accept lets the content with this digest in at the next load, whatever it lost and whatever its version. A refusal
// names the digest.
func (h *holder) Accept(digest string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.accepted[digest] = true
}

// confirmedAt is when the source last said that the snapshot in force is current.
func (h *holder) confirmedAt() time.Time {
	if s := h.Current(); s != nil {
		return s.FetchedAt
	}
	return h.started
}

// load restores the cache, once, then refreshes. It fails only when no snapshot is in force afterwards; otherwise a
// failure is logged and told by Problem.
func (h *holder) load(ctx context.Context, refresh func(context.Context) error) (*policy.Snapshot, error) {
	h.refreshing.Lock()
	defer h.refreshing.Unlock()
	h.restore()
	err := refresh(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s := h.Current()
	switch {
	case err == nil:
		h.succeed()
		return s, nil
	case s == nil:
		h.fail(err, false)
		return nil, err
	}
	h.fail(err, true)
	return s, nil
}

// restore puts the cached snapshot in force, so that guards compare with it and a source that is down has something
// to go on with.
func (h *holder) restore() {
	if h.restored || h.cache == nil {
		return
	}
	h.restored = true
	entry, err := h.cache.load()
	if err != nil {
		h.log.Warn("the cached policy snapshot is not used", "err", err)
		return
	}
	if entry == nil {
		return
	}
	snapshot, err := newSnapshot(entry.Content)
	if err != nil {
		h.log.Warn("the cached policy snapshot is not used: it fails verification", "file", h.cache.path, "err", err)
		return
	}
	snapshot.Version, snapshot.FetchedAt, snapshot.Digest = entry.Version, entry.FetchedAt, entry.Digest
	h.content = entry.Content
	h.current.Store(snapshot)
}

func newSnapshot(c *content) (*policy.Snapshot, error) {
	return policy.NewSnapshot(policy.SnapshotInput{Policies: c.Policies, Roles: c.Roles, Users: c.Users, Tags: c.Tags})
}

// offer puts next in force under the given version if it is verified and no guard refuses it; version is called with
// the version in force only when next differs from it. The same content again confirms the snapshot.
func (h *holder) offer(next *content, version func(inForce int64) int64) error {
	digest, err := next.digest()
	if err != nil {
		return err
	}
	old := h.Current()
	if old != nil && old.Digest == digest {
		h.confirm()
		return nil
	}
	snapshot, err := newSnapshot(next)
	if err != nil {
		return err
	}
	if !h.isAccepted(digest) {
		if err := h.refuse(next); err != nil {
			return policy.Errorf(policy.CodeRefused, "policies refused: %w; to take them on purpose, set policies.accept to %s", err, digest)
		}
	}
	var inForce int64
	if old != nil {
		inForce = old.Version
	}
	snapshot.Version, snapshot.FetchedAt, snapshot.Digest = version(inForce), time.Now(), digest
	h.content = next
	h.current.Store(snapshot)
	h.metrics.loads.WithLabelValues("changed").Inc()
	h.log.Info("policies taken", "service", snapshot.Service, "version", snapshot.Version, "digest", digest,
		"policies", len(snapshot.Policies), "roles", len(snapshot.Roles), "membership", snapshot.Users != nil)
	h.save()
	return nil
}

func (h *holder) refuse(next *content) error {
	if h.numbers && h.content != nil {
		if err := checkVersions(h.content, next); err != nil {
			return err
		}
	}
	return h.guard.check(h.content, next)
}

func (h *holder) isAccepted(digest string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.accepted[digest]
}

// confirm notes that the source still says what is in force. Snapshots are never changed, so this makes a new one.
func (h *holder) confirm() {
	s := *h.Current()
	s.FetchedAt = time.Now()
	h.current.Store(&s)
	h.metrics.loads.WithLabelValues("unchanged").Inc()
	if h.cache != nil && s.FetchedAt.Sub(h.cache.savedAt) >= cacheRefresh {
		h.save()
	}
}

// save writes what is in force to the cache. A cache that cannot be written does not keep policies from changing.
func (h *holder) save() {
	if h.cache == nil {
		return
	}
	s := h.Current()
	if err := h.cache.save(&cacheEntry{Version: s.Version, FetchedAt: s.FetchedAt, Digest: s.Digest, Content: h.content}); err != nil {
		h.metrics.failures.WithLabelValues("cache").Inc()
		h.warnOnce("cache: "+err.Error(), "the policy snapshot is not cached: a restart while the source is down would find none", "err", err)
	}
}

// succeed notes that the source is well.
func (h *holder) succeed() {
	h.mu.Lock()
	wasIll := h.problem != nil
	h.problem = nil
	if wasIll {
		clear(h.warned)
	}
	h.mu.Unlock()
	if wasIll {
		h.log.Info("the policy source is well again")
	}
}

// fail counts a failed load and, when the error is not returned to anyone, logs it: once for each distinct problem
// until the source is well again.
func (h *holder) fail(err error, log bool) {
	h.metrics.failures.WithLabelValues(string(policy.CodeOf(err))).Inc()
	h.mu.Lock()
	h.problem = err
	h.mu.Unlock()
	if !log {
		return
	}
	if s := h.Current(); s != nil {
		h.warnOnce(problemKey(err), "policies not taken; the last verified snapshot stays in force", "err", err,
			"version", s.Version, "confirmed_ago", time.Since(s.FetchedAt).Round(time.Second))
		return
	}
	h.warnOnce(problemKey(err), "no policies yet", "err", err)
}

// maxWarned bounds what is remembered of a source that fails in ever new ways.
const maxWarned = 100

func (h *holder) warnOnce(key, message string, args ...any) {
	h.mu.Lock()
	known := h.warned[key]
	if !known && len(h.warned) < maxWarned {
		h.warned[key] = true
	}
	h.mu.Unlock()
	if !known {
		h.log.Warn(message, args...)
	}
}

// problemKey tells problems apart. Network errors name ports that differ each time, so those go by their class and
// innermost cause.
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

// follow calls refresh each time next lets it, and tell for every snapshot whose content is new, until ctx ends.
// next waits for the moment of the next refresh, given how many have failed in a row.
func (h *holder) follow(ctx context.Context, refresh func(context.Context) error, next func(ctx context.Context, failures int) error, tell func(*policy.Snapshot)) error {
	told := ""
	if s := h.Current(); s != nil {
		told = s.Digest
	}
	failures := 0
	for {
		if h.Current() != nil || failures > 0 {
			if err := next(ctx, failures); err != nil {
				return err
			}
		}
		s, err := h.load(ctx, refresh)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			h.warnOnce(problemKey(err), "no policies yet", "err", err)
		}
		if h.Problem() != nil {
			failures++
		} else {
			failures = 0
		}
		if s != nil && s.Digest != told {
			told = s.Digest
			tell(s)
		}
	}
}
