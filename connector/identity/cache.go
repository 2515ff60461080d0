package identity

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"ucwarden/connector/memory"
	"ucwarden/policy/directory"
)

const (
	// directoryRetry is how long a directory that could not be read is not asked again.
	directoryRetry = 30 * time.Second
	// directoryFresh is how old a directory may be when a person starts a sync and somebody is missing, and freshShare how many
	// times as old as it takes to read one: a sync of many shards must not read it all the time.
	directoryFresh = 5 * time.Second
	freshShare     = 30
	// directoryTimeout is how long the syncs that need the directory wait for it.
	directoryTimeout = 2 * time.Minute
)

// Source lists the principals of a workspace.
type Source interface {
	// Principals returns every user, group and service principal, with who is in which group and who the client itself is.
	// A listing is never partial: what cannot be read is an error.
	Principals(ctx context.Context) (directory.Listing, error)
}

// Cache keeps the directory of the workspace, which is read once per interval for all syncs.
type Cache struct {
	source   Source // nil: there is none, and the shape of names tells kinds
	interval time.Duration
	log      *slog.Logger

	turn  chan struct{} // holds one token: who takes it reads
	mu    sync.Mutex
	last  *directory.Directory // the last that could be read; else the zero one
	at    time.Time            // when it was read
	err   error                // why the last attempt failed
	tried time.Time
	took  time.Duration // to read the last

	listing directory.Listing // what last was made of
	saved   bool              // that is kept for later runs
}

// principalsKey is where the directory is kept for later runs, and principalsKept how long it serves.
const (
	principalsKey  = "principals"
	principalsKept = 7 * 24 * time.Hour
)

// keptPrincipals is the directory as it is kept.
type keptPrincipals struct {
	Metastore string            `json:"metastore"` // of the workspace
	ReadAt    time.Time         `json:"readAt"`
	Listing   directory.Listing `json:"listing"`
}

// Save keeps the directory for runs that cannot read it.
func (p *Cache) Save(to memory.Store, metastore string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if to == nil || metastore == "" || p.saved || !p.last.Read() {
		return nil
	}
	value, err := json.Marshal(keptPrincipals{metastore, p.at, p.listing})
	if err == nil {
		err = to.Save(principalsKey, value)
	}
	p.saved = err == nil
	return err
}

// Recall takes the directory that an earlier run kept, unless one was read since, it is of another workspace, or old.
func (p *Cache) Recall(from memory.Store, metastore string) (found bool, err error) {
	if from == nil || metastore == "" {
		return false, nil
	}
	value, err := from.Load(principalsKey)
	if err != nil || value == nil {
		return false, err
	}
	var kept keptPrincipals
	if err := json.Unmarshal(value, &kept); err != nil || kept.Metastore != metastore || time.Since(kept.ReadAt) > principalsKept {
		return false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.Read() {
		return false, nil
	}
	p.last, p.listing, p.at, p.saved = directory.New(kept.Listing), kept.Listing, kept.ReadAt, true
	return true, nil
}

// NewCache returns a cache that nothing was read into yet. With a nil source nothing ever is.
func NewCache(source Source, interval time.Duration, log *slog.Logger) *Cache {
	p := &Cache{source: source, interval: interval, log: log, turn: make(chan struct{}, 1), last: &directory.Directory{}}
	p.turn <- struct{}{}
	return p
}

// Current returns the directory last read.
func (p *Cache) Current() *directory.Directory {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// Problem returns when it was last tried to read the directory, and why that failed.
func (p *Cache) Problem() (tried time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tried, p.err
}

// Fresh returns how old the directory may be where somebody is missing and a person waits.
func (p *Cache) Fresh() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(directoryFresh, freshShare*p.took)
}

// ReadAt returns when the directory was read.
func (p *Cache) ReadAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// DueIn returns when the directory is to be read, that it be no older than age; at once where that is not positive.
func (p *Cache) DueIn(age time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.source == nil:
		return 24 * time.Hour
	case p.err != nil:
		return time.Until(p.tried.Add(directoryRetry))
	case !p.last.Read():
		return 0
	}
	return time.Until(p.at.Add(age))
}

// Due reports whether the directory is to be read now, that it be no older than age.
func (p *Cache) Due(age time.Duration) bool { return p.DueIn(age) <= 0 }

// Refresh reads the directory if it is older than age, and reports whether it says something else than before. A directory
// that cannot be read changes nothing: the old one stays in force, and it is asked for again after a while, or at once where
// insist is set. An error is only the end of ctx.
func (p *Cache) Refresh(ctx context.Context, age time.Duration, insist bool) (changed bool, err error) {
	begun := time.Now()
	due := func() bool {
		at, err := p.Problem()
		return p.Due(age) || insist && err != nil && !at.After(begun)
	}
	if !due() {
		return false, nil
	}
	select {
	case <-p.turn:
		defer func() { p.turn <- struct{}{} }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if !due() { // another sync has read it meanwhile
		return false, nil
	}
	reading, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	asked := time.Now()
	listing, err := p.source.Principals(reading)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried = time.Now()
	if err != nil {
		if p.err == nil {
			p.log.WarnContext(ctx, "cannot read the principals of the workspace; until it succeeds the last known ones are used, or the shape of names", "error", err)
		}
		p.err = err
		return false, nil
	}
	next := directory.New(listing)
	p.err, p.at, p.took = nil, p.tried, p.tried.Sub(asked)
	if next.Same(p.last) {
		return false, nil
	}
	p.last, p.listing, p.saved = next, listing, false
	p.log.InfoContext(ctx, "read the principals of the workspace", "principals", next.Len())
	return true, nil
}
