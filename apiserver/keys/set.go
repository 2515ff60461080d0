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

// fileInterval is how often key files are read again; they are small, and an unknown kid reads them at once.
const fileInterval = time.Second

// source is one place that keys come from.
type source struct {
	name   string // path or URL, for messages
	remote bool
	load   func(context.Context) ([]byte, error)
	parse  func([]byte) ([]key, error)

	data []byte // what keys was parsed from; nil before the first success
	keys []key
	bad  []byte // the last content that did not parse, so that it is reported once
}

// set holds the keys of all sources. Look-ups take no lock; reloads are made one at a time.
type set struct {
	log     *slog.Logger
	fixed   []key // the shared secret
	refresh time.Duration
	refetch time.Duration

	current atomic.Pointer[index]

	mu          sync.Mutex // held by a reload; guards what follows
	sources     []*source
	filesRead   atomic.Int64 // unix nanoseconds
	fetched     atomic.Int64 // of the last download that succeeded
	fetchTried  atomic.Int64
	backgrounds atomic.Bool // a background download is under way
}

// index finds keys by kid.
type index struct {
	byID  map[string]key
	only  *key // the key of tokens without a kid
	ready bool // every source was loaded at least once
}

// find gives the key that kid names; "" stands for a token without one. An unknown kid reads the files again, and
// downloads a remote set again when that was not tried within the refetch interval: a rotation is seen at once, and
// forged kids cannot be used to flood the issuer.
func (s *set) find(ctx context.Context, kid string) (key, error) {
	s.refreshStale(ctx)
	if k, ok := s.current.Load().lookup(kid); ok {
		return k, nil
	}
	s.mu.Lock()
	idx := s.current.Load()
	k, ok := idx.lookup(kid)
	if !ok {
		idx = s.reload(ctx, time.Since(unix(&s.fetchTried)) >= s.refetch)
		k, ok = idx.lookup(kid)
	}
	s.mu.Unlock()
	switch {
	case ok:
		return k, nil
	case !idx.ready:
		return key{}, policy.Errorf(policy.CodeUnavailable, "the keys to check tokens with cannot be loaded at present; try again later")
	case kid == "":
		return key{}, refuse("it has no kid, and several keys are in force")
	}
	return key{}, refuse("its kid names no key that is in force")
}

func (x *index) lookup(kid string) (key, bool) {
	if kid == "" {
		if x.only == nil {
			return key{}, false
		}
		return *x.only, true
	}
	k, ok := x.byID[kid]
	return k, ok
}

// refreshStale reads the files again once in a while, and downloads a remote set in the background when it is due.
// A set that is twice as old is downloaded before it is used, as after a long idle time.
func (s *set) refreshStale(ctx context.Context) {
	age := time.Since(unix(&s.fetched))
	due := s.hasRemote() && age >= s.refresh && time.Since(unix(&s.fetchTried)) >= s.refetch
	switch {
	case due && age < 2*s.refresh:
		if s.backgrounds.CompareAndSwap(false, true) {
			go func() {
				defer s.backgrounds.Store(false)
				s.mu.Lock()
				defer s.mu.Unlock()
				s.reload(context.WithoutCancel(ctx), true)
			}()
		}
	case due || time.Since(unix(&s.filesRead)) >= fileInterval:
		if s.mu.TryLock() { // another request is at it already: go on with what is known
			s.reload(ctx, due)
			s.mu.Unlock()
		}
	}
}

func (s *set) hasRemote() bool {
	for _, src := range s.sources { // the list itself never changes
		if src.remote {
			return true
		}
	}
	return false
}

// reload reads the files, and the remote sets too when remote is set, and puts the result in force. A source that
// fails keeps its earlier keys. The caller holds mu.
func (s *set) reload(ctx context.Context, remote bool) *index {
	changed := false
	for _, src := range s.sources {
		if src.remote && !remote {
			continue
		}
		ok, err := src.refresh(ctx)
		changed = changed || ok
		if err != nil {
			s.log.Warn("keys not reloaded, the earlier ones stay in force", "source", src.name, "error", err)
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
		s.log.Warn("keys not reloaded, the earlier ones stay in force", "error", err)
		return s.current.Load()
	}
	s.current.Store(idx)
	s.log.Info("token keys loaded", "keys", len(idx.byID))
	return idx
}

// build indexes the keys of all sources; one kid for two different keys is an error.
func (s *set) build() (*index, error) {
	idx := &index{byID: make(map[string]key), ready: true}
	distinct := make([]key, 0, 4)
	add := func(from string, k key) error {
		if old, ok := idx.byID[k.id]; ok && !old.equal(k) {
			return policy.Errorf(policy.CodeInvalid, "%s: kid %q already names a different key: give each key its own", from, k.id)
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
	case len(s.fixed) > 0:
		idx.only = &s.fixed[0]
	case len(distinct) == 1:
		idx.only = &distinct[0]
	}
	return idx, nil
}

// refresh loads the source and reports whether its keys changed.
func (src *source) refresh(ctx context.Context) (changed bool, err error) {
	data, err := src.load(ctx)
	if err != nil {
		if src.bad != nil && bytes.Equal(src.bad, []byte(err.Error())) {
			return false, nil
		}
		if !src.remote { // a file is read every second: report the same failure once
			src.bad = []byte(err.Error())
		}
		return false, err
	}
	if src.data != nil && bytes.Equal(data, src.data) {
		src.bad = nil
		return false, nil
	}
	if src.bad != nil && bytes.Equal(data, src.bad) {
		return false, nil
	}
	keys, err := src.parse(data)
	if err != nil {
		src.bad = data
		return false, err
	}
	src.data, src.keys, src.bad = data, keys, nil
	return true, nil
}

func readFile(path string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		f, err := os.Open(path) //nolint:gosec // the operator names the file
		if err != nil {
			return nil, err
		}
		defer f.Close()
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

func unix(ns *atomic.Int64) time.Time {
	if n := ns.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}
