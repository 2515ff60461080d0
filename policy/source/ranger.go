package source

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source/content"
	"ucwarden/policy/source/rangeradmin"
)

// RangerOptions says which Ranger Admin to download from, and how.
type RangerOptions struct {
	rangeradmin.Options

	PollInterval time.Duration // between downloads; 0 means 30 s

	Guard GuardOptions
	// CacheDir is a folder for the last verified snapshot; "" disables the cache.
	CacheDir string
	// CacheReadOnly leaves the cache as it is: another process keeps it.
	CacheReadOnly bool

	Registerer prometheus.Registerer // nil: none
}

// Ranger is a source of policies in Ranger Admin. Safe for concurrent use.
type Ranger struct {
	*snapshotStore
	pollInterval time.Duration

	// The rest is guarded by snapshotStore.refreshing.
	client     *rangeradmin.Client
	fromServer bool // content came from the server, not from the cache
	activated  bool // content was put in force
}

// NewRanger returns a source that downloads from Ranger Admin. It downloads nothing yet; its errors are about the
// options and the TLS files.
func NewRanger(o RangerOptions) (*Ranger, error) {
	if o.PollInterval < 0 {
		return nil, policy.Errorf(policy.CodeInvalid, "ranger: the poll interval must not be negative")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h, err := newSnapshotStore(snapshotStoreOptions{
		kind: "ranger", identity: o.Service, cacheDir: o.CacheDir, cacheReadOnly: o.CacheReadOnly, guard: o.Guard, serverVersions: true, logger: o.Logger, registerer: o.Registerer,
	})
	if err != nil {
		return nil, err
	}
	o.Logger = h.log
	client, err := rangeradmin.New(o.Options)
	if err != nil {
		return nil, err
	}
	return &Ranger{snapshotStore: h, pollInterval: cmp.Or(o.PollInterval, 30*time.Second), client: client}, nil
}

// Load downloads once and returns the snapshot in force. When the download fails or is rejected it returns the last
// verified snapshot (of this process, or from the cache), and Problem returns why. Without one it returns an error.
func (r *Ranger) Load(ctx context.Context) (*ranger.Snapshot, error) {
	return r.load(ctx, r.refresh)
}

// Watch downloads every PollInterval until ctx ends, and calls onChange, from one goroutine, with each snapshot whose
// content is new. After failures it backs off exponentially from one second, up to four times PollInterval but no more
// than the greater of PollInterval and one minute. Watch returns the error of ctx. Call Load first to get the first
// error.
func (r *Ranger) Watch(ctx context.Context, onChange func(*ranger.Snapshot)) error {
	wait := func(ctx context.Context, failures int) error {
		return sleep(ctx, r.delay(failures))
	}
	return r.watchLoop(ctx, r.refresh, wait, onChange)
}

// delay returns the time until the next download: the poll interval, less up to a tenth so that plugins started
// together spread out; or, after failures, from half to the whole of 1 s, 2 s, 4 s and so on, and at least the server's
// Retry-After.
func (r *Ranger) delay(failures int) time.Duration {
	if failures == 0 {
		return r.pollInterval - rand.N(r.pollInterval/10+1)
	}
	wait := backoff(failures, max(r.pollInterval, min(4*r.pollInterval, time.Minute)))
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	const longest = 10 * time.Minute
	return max(wait, min(time.Until(r.client.RetryAfter()), longest))
}

// refresh downloads policies, roles, user store and tags, and publishes them as one version. If one of the four fails,
// nothing is published.
func (r *Ranger) refresh(ctx context.Context) error {
	var known, old rangeradmin.Documents
	if c := r.content; c != nil {
		old = rangeradmin.Documents{Policies: c.Policies, Roles: c.Roles, Users: c.Users, Tags: c.Tags}
	}
	if r.fromServer {
		known = old // what the server need not send again
	}
	docs, changed, err := r.client.Download(ctx, known, old)
	if err != nil {
		return err
	}
	if !changed {
		r.touch()
		return nil
	}
	next := &content.Content{Policies: docs.Policies, Roles: docs.Roles, Users: docs.Users, Tags: docs.Tags}
	next.SortPolicies()
	if next.Problems, err = r.problems(next, docs); err != nil {
		return err
	}
	before := r.Current()
	if err := r.publish(next, func(int64) int64 { return next.Policies.PolicyVersion }); err != nil {
		return err
	}
	if !r.Current().Same(before) || !r.activated {
		r.client.SetActivated(time.Now())
		r.activated = true
	}
	r.fromServer = true
	return nil
}

// problems returns what has no meaning here in the downloads, which newer servers may have more of, and what is left out. It
// returns an error where something is misspelt that cannot be made good by closing a policy.
func (r *Ranger) problems(c *content.Content, docs rangeradmin.Documents) ([]ranger.Problem, error) {
	others := make(map[string]*content.Foreign)
	content.WithoutForeign(c.Policies, r.client.PoliciesURL(), others)
	var list []ranger.Problem
	for _, key := range slices.Sorted(maps.Keys(others)) {
		list = append(list, others[key].Problem(c.Policies.ServiceName))
	}
	effect := c.RoleEffect()
	for origin, unknown := range r.client.Unknown(docs) {
		if err := parse.CheckFields(unknown, origin); err != nil {
			return nil, err
		}
		list = append(list, parse.ProblemsOf(unknown, origin, effect)...)
	}
	return list, nil
}
