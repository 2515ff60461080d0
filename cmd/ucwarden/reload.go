package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"ucwarden/apiserver"
	"ucwarden/config"
	"ucwarden/connector/tasks"
	"ucwarden/policy/ranger"
)

// digestKept is the digest of the policies that were last loaded.
type digestKept struct {
	mu     sync.Mutex
	digest string
}

// replace keeps the digest, and reports whether it is another one, and the first.
func (k *digestKept) replace(digest string) (changed, first bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	changed, first = k.digest != digest, k.digest == ""
	k.digest = digest
	return changed, first
}

// policiesChanged asks for a full sync by the policies, once for each version of them: both the watch and a reload find
// new ones. The first ones are what a daemon waits for at its start.
func (d *daemon) policiesChanged(s *ranger.Snapshot) {
	changed, first := d.notified.replace(s.Digest)
	if first {
		close(d.loaded)
	}
	if !changed || first {
		return
	}
	d.log.Info("policies changed", "version", s.Version, "policies", len(s.Policies))
	select {
	case d.changed <- tasks.SourcePolicyChange:
	default:
	}
}

// reloadPolicies reads the policies again, at once.
func (d *daemon) reloadPolicies(ctx context.Context) []apiserver.Reloaded {
	s, err := d.loadAgain(ctx)
	part := apiserver.Reloaded{Part: "policies", Err: err}
	if s != nil {
		part.Detail = fmt.Sprintf("version %d, %s", s.Version, countOf(len(s.Policies), "policy", "policies"))
	}
	return []apiserver.Reloaded{part}
}

// refreshPolicies reads the policies again before a task runs.
func (d *daemon) refreshPolicies(ctx context.Context) error {
	_, err := d.loadAgain(ctx)
	return err
}

// loadAgain reads the policies again and returns those in force, with why they are not the newest ones.
func (d *daemon) loadAgain(ctx context.Context) (*ranger.Snapshot, error) {
	s, err := d.source.Load(ctx)
	if err == nil {
		err = d.source.Problem()
	}
	if s != nil {
		d.policiesChanged(s)
	}
	return s, err
}

func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// takeHangups lets SIGHUP ask for a reload instead of ending the process, until stop is called.
func takeHangups() (hangups <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// reloadOn reads policies, token keys and certificate again at each of the hangups.
func (d *daemon) reloadOn(ctx context.Context, hangups <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangups:
		}
		reload := d.reloadPolicies
		if d.api != nil {
			reload = d.api.Reload
		}
		var done []string
		for _, p := range reload(ctx) {
			if p.Err != nil {
				d.log.Error("not read again; what was in force stays in force", "part", p.Part, "error", p.Err)
				continue
			}
			done = append(done, p.Part+": "+p.Detail)
		}
		d.log.Info("read again after SIGHUP", "parts", strings.Join(done, "; "))
	}
}

// warnOfFiles names the files that every user of the machine may write, or read although they hold a secret.
func warnOfFiles(c *config.Config, log *slog.Logger) {
	for _, p := range c.FileProblems() {
		log.Warn("file permissions: "+p.Message, "file", p.Path, "setting", p.Setting, "do", p.Do)
	}
}
