package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ucwarden/policy"
)

// fileInterval is how often key files are read again; an unknown kid makes them read at once.
const fileInterval = time.Second

// keySet holds the keys of all sources. Look-ups take no lock; one reload runs at a time.
type keySet struct {
	log        *slog.Logger
	secretKeys []key // the shared secret
	refresh    time.Duration
	minRefetch time.Duration
	keepUnread time.Duration

	current atomic.Pointer[keyIndex]
	until   atomic.Int64 // unix nanoseconds: when the first source's keys end unless it is read again

	mu         sync.Mutex // held by a reload; guards what follows
	sources    []*keySource
	filesRead  atomic.Int64 // unix nanoseconds
	fetched    atomic.Int64 // of the last download that succeeded
	fetchTried atomic.Int64
	refreshing atomic.Bool // a background download is under way
}

// keyIndex finds keys by kid.
type keyIndex struct {
	byID    map[string]key
	sole    *key         // the key of tokens without a kid; nil when there are several
	unread  []sourceNote // sources whose keys are not in force, because they cannot be read
	failing []sourceNote // sources that cannot be read, whose earlier keys are still in force
}

// sourceNote says what is wrong with a source.
type sourceNote struct{ name, text string }

// find returns the key that kid names; "" stands for a token without one. For an unknown kid it reads the files again,
// and downloads a remote set again unless that was tried within minRefetch: so a rotation is seen at once, and forged
// kids cannot cause many downloads.
func (s *keySet) find(ctx context.Context, kid string) (key, error) {
	s.freshen(ctx)
	if k, ok := s.current.Load().lookup(kid); ok {
		return k, nil
	}
	s.mu.Lock()
	idx := s.current.Load()
	k, ok := idx.lookup(kid)
	if !ok {
		idx = s.reload(ctx, s.mayFetch())
		k, ok = idx.lookup(kid)
	}
	s.mu.Unlock()
	switch {
	case ok:
		return k, nil
	case len(idx.unread) > 0:
		return key{}, policy.Errorf(policy.CodeUnavailable, "the keys for verifying tokens cannot be loaded at present; try again later")
	case kid == "":
		return key{}, rejected("it has no kid, and not exactly one key is in force")
	}
	return key{}, rejected("its kid names no key that is in force")
}

func (x *keyIndex) lookup(kid string) (key, bool) {
	if kid == "" {
		if x.sole == nil {
			return key{}, false
		}
		return *x.sole, true
	}
	k, ok := x.byID[kid]
	return k, ok
}

// mayFetch reports whether the last download was tried long enough ago.
func (s *keySet) mayFetch() bool { return time.Since(loadTime(&s.fetchTried)) >= s.minRefetch }

// freshen reads what is due, and waits for that where keys would otherwise be used beyond their time.
func (s *keySet) freshen(ctx context.Context) {
	s.refreshStale(ctx)
	if time.Now().UnixNano() < s.until.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().UnixNano() >= s.until.Load() {
		s.reload(ctx, s.mayFetch())
	}
}

// refreshStale reads the files again after fileInterval, and downloads a remote set in the background when it is older
// than the refresh interval. A set of twice that age, as after a long idle time, is downloaded before it is used.
func (s *keySet) refreshStale(ctx context.Context) {
	age := time.Since(loadTime(&s.fetched))
	due := s.hasRemote() && age >= s.refresh && s.mayFetch()
	switch {
	case due && age < 2*s.refresh:
		if s.refreshing.CompareAndSwap(false, true) {
			go func() {
				defer s.refreshing.Store(false)
				s.mu.Lock()
				defer s.mu.Unlock()
				s.reload(context.WithoutCancel(ctx), true)
			}()
		}
	case due || time.Since(loadTime(&s.filesRead)) >= fileInterval:
		if s.mu.TryLock() { // another request reloads already: use the present keys
			s.reload(ctx, due)
			s.mu.Unlock()
		}
	}
}

func (s *keySet) hasRemote() bool {
	for _, src := range s.sources { // the list itself never changes
		if src.remote {
			return true
		}
	}
	return false
}

// reload reads the files, and downloads the remote set if remote is set, and returns the new index. A source that cannot
// be read keeps its earlier keys for keepUnread, and loses them then: a key may have been revoked since. The caller holds
// mu.
func (s *keySet) reload(ctx context.Context, remote bool) *keyIndex {
	changed, failing := false, false
	for _, src := range s.sources {
		if src.remote && !remote {
			continue
		}
		wasFailing := src.problem != nil
		ok, report := src.refresh(ctx)
		changed, failing = changed || ok, failing || wasFailing != (src.problem != nil)
		if report != nil {
			s.log.Warn("token keys not reloaded; the earlier ones stay in force for a limited time", "source", src.name, "until", src.endOf(s.keepUnread), "error", report)
		}
		if src.remote {
			s.fetchTried.Store(time.Now().UnixNano())
			if src.problem == nil {
				s.fetched.Store(time.Now().UnixNano())
			}
		}
	}
	s.filesRead.Store(time.Now().UnixNano())
	for _, src := range s.sources {
		if src.data != nil && time.Now().After(src.endOf(s.keepUnread)) {
			s.log.Error("token keys are no longer in force: their source could not be read for too long", "source", src.name, "limit", s.keepUnread, "error", src.problem)
			src.data, src.keys, src.lastFailed, changed = nil, nil, nil, true
		}
	}
	s.renew()
	if !changed && !failing {
		return s.current.Load()
	}
	idx, conflicts := s.build()
	for _, err := range conflicts {
		s.log.Error("a kid that names several keys names none", "error", err)
	}
	s.current.Store(idx)
	if changed {
		s.log.Info("token keys loaded", "keys", len(idx.byID))
		s.warnWithout(idx)
	}
	return idx
}

// withoutKeys says, for people, that every source was read and holds no key.
const withoutKeys = "the sources of token keys hold no key, so every token is refused"

// empty reports whether every source was read, and none holds a key.
func (s *keySet) empty(idx *keyIndex) bool {
	return len(idx.byID) == 0 && len(idx.unread) == 0 && len(s.secretKeys) == 0
}

// warnWithout logs that no token is accepted, where that is so.
func (s *keySet) warnWithout(idx *keyIndex) {
	if s.empty(idx) {
		s.log.Warn(withoutKeys + "; put public keys into apiserver.jwt.jwks, or make some: ucwarden keys generate")
	}
}

// renew notes when the keys of the first source end.
func (s *keySet) renew() {
	until := time.Now().Add(s.keepUnread)
	for _, src := range s.sources {
		if end := src.endOf(s.keepUnread); src.data != nil && end.Before(until) {
			until = end
		}
	}
	s.until.Store(until.UnixNano() + 1)
}

// build returns the index of the keys of all sources. A kid of two different keys is left out, with an error for each.
func (s *keySet) build() (*keyIndex, []error) {
	idx := &keyIndex{byID: make(map[string]key)}
	var distinct []key
	var conflicts []error
	ambiguous := make(map[string]bool)
	for _, src := range s.sources {
		switch {
		case src.data == nil && src.readAt.IsZero():
			idx.unread = append(idx.unread, sourceNote{src.name, "was not read yet"})
		case src.data == nil:
			idx.unread = append(idx.unread, sourceNote{src.name, fmt.Sprintf("cannot be read since %s, so its keys are no longer in force", stamp(src.readAt))})
		case src.problem != nil:
			idx.failing = append(idx.failing, sourceNote{src.name, fmt.Sprintf("cannot be read since %s; its keys stay in force until %s", stamp(src.readAt), stamp(src.endOf(s.keepUnread)))})
		}
		for _, k := range src.keys {
			if old, ok := idx.byID[k.id]; ok && !old.equal(k) {
				conflicts = append(conflicts, policy.Errorf(policy.CodeInvalid, "%s: kid %q already names a different key: each key needs its own kid", src.name, k.id))
				ambiguous[k.id] = true
			}
			idx.byID[k.id] = k
			if !slices.ContainsFunc(distinct, k.equal) {
				distinct = append(distinct, k)
			}
		}
	}
	for id := range ambiguous {
		delete(idx.byID, id)
	}
	switch {
	case len(s.secretKeys) > 0:
		idx.sole = &s.secretKeys[0]
	case len(distinct) == 1:
		idx.sole = &distinct[0]
	}
	return idx, conflicts
}

// readAgain reads every source now, and returns how many keys are in force and which sources could not be read.
func (s *keySet) readAgain(ctx context.Context) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	idx := s.reload(ctx, true)
	var errs []error
	for _, src := range s.sources {
		if src.problem != nil {
			errs = append(errs, policy.Errorf(policy.CodeUnavailable, "read token keys from %s: %w", src.name, src.problem))
		}
	}
	return len(idx.byID) + len(s.secretKeys), errors.Join(errs...)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func loadTime(ns *atomic.Int64) time.Time {
	if n := ns.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}
