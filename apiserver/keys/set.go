package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"ucwarden/policy"
)

// maxKeyFile bounds what is read from a key file or URL.
const maxKeyFile = 1 << 20

// fetchTimeout bounds one download of a key set.
const fetchTimeout = 10 * time.Second

// fileInterval is how often key files are read again; an unknown kid makes them read at once.
const fileInterval = time.Second

// keySource is a file or URL that keys are loaded from.
type keySource struct {
	name   string // path or URL, for messages
	remote bool
	load   func(context.Context) ([]byte, error)
	parse  func([]byte) ([]key, error)

	data       []byte // the content that keys was parsed from; nil before the first success
	keys       []key
	lastFailed []byte // the last content that did not parse, or error of a file, so that it is logged once
}

// keySet holds the keys of all sources. Look-ups take no lock; one reload runs at a time.
type keySet struct {
	log        *slog.Logger
	secretKeys []key // the shared secret
	refresh    time.Duration
	minRefetch time.Duration

	current atomic.Pointer[keyIndex]

	mu         sync.Mutex // held by a reload; guards what follows
	sources    []*keySource
	filesRead  atomic.Int64 // unix nanoseconds
	fetched    atomic.Int64 // of the last download that succeeded
	fetchTried atomic.Int64
	refreshing atomic.Bool // a background download is under way
}

// keyIndex finds keys by kid.
type keyIndex struct {
	byID  map[string]key
	sole  *key // the key of tokens without a kid; nil when there are several
	ready bool // every source was loaded at least once
}

// find returns the key that kid names; "" stands for a token without one. For an unknown kid it reads the files again,
// and downloads a remote set again unless that was tried within minRefetch: so a rotation is seen at once, and forged
// kids cannot cause many downloads.
func (s *keySet) find(ctx context.Context, kid string) (key, error) {
	s.refreshStale(ctx)
	if k, ok := s.current.Load().lookup(kid); ok {
		return k, nil
	}
	s.mu.Lock()
	idx := s.current.Load()
	k, ok := idx.lookup(kid)
	if !ok {
		idx = s.reload(ctx, time.Since(loadTime(&s.fetchTried)) >= s.minRefetch)
		k, ok = idx.lookup(kid)
	}
	s.mu.Unlock()
	switch {
	case ok:
		return k, nil
	case !idx.ready:
		return key{}, policy.Errorf(policy.CodeUnavailable, "the keys for verifying tokens cannot be loaded at present; try again later")
	case kid == "":
		return key{}, rejected("it has no kid, and several keys are in force")
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

// refreshStale reads the files again after fileInterval, and downloads a remote set in the background when it is older
// than the refresh interval. A set of twice that age, as after a long idle time, is downloaded before it is used.
func (s *keySet) refreshStale(ctx context.Context) {
	age := time.Since(loadTime(&s.fetched))
	due := s.hasRemote() && age >= s.refresh && time.Since(loadTime(&s.fetchTried)) >= s.minRefetch
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

// reload reads the files, and downloads the remote set if remote is set, and returns the new index. A source that fails
// keeps its earlier keys. The caller holds mu.
func (s *keySet) reload(ctx context.Context, remote bool) *keyIndex {
	changed := false
	for _, src := range s.sources {
		if src.remote && !remote {
			continue
		}
		ok, err := src.refresh(ctx)
		changed = changed || ok
		if err != nil {
			s.log.Warn("token keys not reloaded; the earlier ones stay in use", "source", src.name, "error", err)
		}
		if src.remote {
			s.fetchTried.Store(time.Now().UnixNano())
			if err == nil {
				s.fetched.Store(time.Now().UnixNano())
			}
		}
	}
	s.filesRead.Store(time.Now().UnixNano())
	if !changed {
		return s.current.Load()
	}
	idx, err := s.build()
	if err != nil {
		s.log.Warn("token keys not reloaded; the earlier ones stay in use", "error", err)
		return s.current.Load()
	}
	s.current.Store(idx)
	s.log.Info("token keys loaded", "keys", len(idx.byID))
	return idx
}

// build returns the index of the keys of all sources; one kid for two different keys is an error.
func (s *keySet) build() (*keyIndex, error) {
	idx := &keyIndex{byID: make(map[string]key), ready: true}
	distinct := make([]key, 0, 4)
	add := func(from string, k key) error {
		if old, ok := idx.byID[k.id]; ok && !old.equal(k) {
			return policy.Errorf(policy.CodeInvalid, "%s: kid %q already names a different key: each key needs its own kid", from, k.id)
		}
		idx.byID[k.id] = k
		for _, d := range distinct {
			if d.equal(k) {
				return nil
			}
		}
		distinct = append(distinct, k)
		return nil
	}
	for _, src := range s.sources {
		idx.ready = idx.ready && src.data != nil
		for _, k := range src.keys {
			if err := add(src.name, k); err != nil {
				return nil, err
			}
		}
	}
	switch {
	case len(s.secretKeys) > 0:
		idx.sole = &s.secretKeys[0]
	case len(distinct) == 1:
		idx.sole = &distinct[0]
	}
	return idx, nil
}

// refresh loads the source and reports whether its keys changed.
func (src *keySource) refresh(ctx context.Context) (changed bool, err error) {
	data, err := src.load(ctx)
	if err != nil {
		if src.lastFailed != nil && bytes.Equal(src.lastFailed, []byte(err.Error())) {
			return false, nil
		}
		if !src.remote { // a file is read every second: report the same failure once
			src.lastFailed = []byte(err.Error())
		}
		return false, err
	}
	if src.data != nil && bytes.Equal(data, src.data) {
		src.lastFailed = nil
		return false, nil
	}
	if src.lastFailed != nil && bytes.Equal(data, src.lastFailed) {
		return false, nil
	}
	keys, err := src.parse(data)
	if err != nil {
		src.lastFailed = data
		return false, err
	}
	src.data, src.keys, src.lastFailed = data, keys, nil
	return true, nil
}

func readFile(path string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // what was only read loses nothing
		return readLimited(f)
	}
}

func fetch(client *http.Client, url string) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		// The download serves every caller, so one that goes away must not end it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "application/jwk-set+json, application/json")
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("the key set's server answered %s", resp.Status)
		}
		return readLimited(resp.Body)
	}
}

func readLimited(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxKeyFile+1))
	if err == nil && len(data) > maxKeyFile {
		err = errors.New("larger than 1 MiB")
	}
	return data, err
}

func loadTime(ns *atomic.Int64) time.Time {
	if n := ns.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}
