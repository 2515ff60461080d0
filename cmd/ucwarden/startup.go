package main

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ucwarden/connector/tasks"
	"ucwarden/policy"
)

// The delays between attempts to connect to the workspace: doubled from the first to the longest.
const (
	firstConnectDelay   = time.Second
	longestConnectDelay = 10 * time.Second
)

// startup is what a daemon needs before it carries out tasks, and how far that is.
type startup struct {
	loaded chan struct{} // closed once there are policies
	begun  chan struct{} // closed once the workspace is connected, too

	mu      sync.Mutex
	problem error // why the workspace is not connected; nil once it is
	failed  bool  // to connect, at least once
}

func newStartup() *startup {
	return &startup{
		loaded: make(chan struct{}), begun: make(chan struct{}),
		problem: policy.Errorf(policy.CodeUnavailable, "not connected to the workspace yet"),
	}
}

// start loads the policies and connects to the workspace. What does not answer, and policies that are not there or cannot be
// used, are waited for. An answer of a server that says that the configuration is wrong ends the start; but of a workspace
// that was waited for, it may hold for a while only. With the end of ctx start returns nil.
func (d *daemon) start(ctx context.Context, g *errgroup.Group) error {
	s, err := d.source.Load(ctx)
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // the end was asked for
	case err == nil:
		d.policiesChanged(s)
	case !d.refusedByServer(err):
		d.log.Warn("waiting for the policies; tasks are taken, and carried out once they are loaded", "error", err)
	default:
		return err
	}
	g.Go(func() error { return d.source.Watch(ctx, d.policiesChanged) })
	if err := d.connectPatiently(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	select {
	case <-d.loaded:
		close(d.begun)
	case <-ctx.Done():
	}
	return nil
}

// refusedByServer reports whether policies cannot be loaded because Ranger Admin does not accept who asks, or has no such
// service: that is for the configuration to mend. Files may come, and what is wrong in policies may be mended where they are.
func (d *daemon) refusedByServer(err error) bool {
	code := policy.CodeOf(err)
	return d.config.Policies.Ranger.URL != "" && (code == policy.CodeUnauthenticated || code == policy.CodeForbidden || code == policy.CodeNotFound)
}

// connectPatiently connects to the workspace, and tries again with backoff where it does not answer.
func (d *daemon) connectPatiently(ctx context.Context) error {
	last := ""
	for delay := firstConnectDelay; ; delay = min(2*delay, longestConnectDelay) {
		err := d.connect(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the end was asked for
		case err != nil && last == "" && !policy.CodeOf(err).Retryable():
			return err
		}
		d.noteWorkspace(err)
		if err == nil {
			return nil
		}
		if text := err.Error(); text != last {
			d.log.Warn("waiting for the workspace; tasks are taken, and carried out once it answers", "error", err)
			last = text
		}
		timer := time.NewTimer(delay/2 + rand.N(delay/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// noteWorkspace keeps why the workspace is not connected, for readiness.
func (s *startup) noteWorkspace(err error) {
	if err != nil {
		err = policy.Errorf(policy.CodeUnavailable, "not connected to the workspace yet: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem, s.failed = err, err != nil
}

const (
	// heldUpAfter is how long what syncs need is looked for before one that is due counts as failed.
	heldUpAfter = time.Second
	// heldUpAgain is after how long that counts again: as often as a task is tried again, at the longest.
	heldUpAgain = 5 * time.Minute
)

// countHeldUp counts syncs as failed that are due and cannot begin, until they can or ctx ends: else nothing would count while the
// workspace does not answer, and the alert of syncs that fail would not see it.
func (s *startup) countHeldUp(ctx context.Context, policiesFail func() error, due func(waited time.Duration) bool, count func()) {
	start := time.Now()
	for wait := heldUpAfter; ; {
		select {
		case <-ctx.Done():
			return
		case <-s.begun:
			return
		case <-time.After(wait):
		}
		s.mu.Lock()
		failed := s.failed
		s.mu.Unlock()
		wait = heldUpAfter
		if (failed || policiesFail() != nil) && due(time.Since(start)) {
			count()
			wait = heldUpAgain
		}
	}
}

// syncDue reports whether there is a sync to carry out once the daemon has waited for so long.
func (d *daemon) syncDue(waited time.Duration) bool {
	c := d.config.Sync
	return c.OnStart || c.Interval > 0 && waited >= c.Interval || slices.ContainsFunc(tasks.Types, d.queue.HasActive)
}

// workspaceMissing is the readiness check of the workspace.
func (s *startup) workspaceMissing(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem
}

// policiesMissing is the readiness check of the policies.
func (d *daemon) policiesMissing(context.Context) error {
	if d.source.Current() != nil {
		return nil
	}
	if err := d.source.Problem(); err != nil {
		return policy.Errorf(policy.CodeUnavailable, "no policies have been loaded yet: %w", err)
	}
	return policy.Errorf(policy.CodeUnavailable, "no policies have been loaded yet")
}

// policiesProblem says why policies that are in force could not be read anew.
func (d *daemon) policiesProblem(context.Context) error {
	if err := d.source.Problem(); err != nil && d.source.Current() != nil {
		return policy.Errorf(policy.CodeUnavailable, "the policies cannot be read; those that were read last stay in force: %w", err)
	}
	return nil
}

// workspaceProblem says why a workspace that was connected seems not to answer.
func (d *daemon) workspaceProblem(ctx context.Context) error {
	if d.workspaceMissing(ctx) != nil {
		return nil //nolint:nilerr // it is said elsewhere, and says more
	}
	return d.contact.check(ctx, d.workspace.Host())
}

// tasksPaused says since when no task begins.
func (d *daemon) tasksPaused(context.Context) error {
	p := d.queue.Paused()
	if p == nil {
		return nil
	}
	return policy.Errorf(policy.CodeUnavailable, "tasks are paused since %s, by %s: none begins until ucwarden task resume", p.Since.Format(time.RFC3339), cmp.Or(p.By, "an unknown subject"))
}
