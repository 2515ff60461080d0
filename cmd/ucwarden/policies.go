package main

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/config"
	"ucwarden/connector"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source"
	"ucwarden/policy/source/rangeradmin"
)

// policySource is what the commands need of a source of policies.
type policySource interface {
	connector.Policies
	Load(ctx context.Context) (*ranger.Snapshot, error)
	Watch(ctx context.Context, tell func(*ranger.Snapshot)) error
	Problem() error
}

// openSource makes the policy source that the configuration names and loads it.
func openSource(ctx context.Context, c *config.Config, log *slog.Logger) (policySource, error) {
	return openSourceOver(ctx, c, policyCache{}, log)
}

// openSourceInForce is openSource for what a sync would go by: the last policies that a daemon or sync verified are known too,
// which stay in force where those that are there now may not come in. They are left as they are.
func openSourceInForce(ctx context.Context, c *config.Config, log *slog.Logger) (policySource, error) {
	return openSourceOver(ctx, c, cacheOf(c, true), log)
}

func openSourceOver(ctx context.Context, c *config.Config, cache policyCache, log *slog.Logger) (policySource, error) {
	src, err := newSource(c, cache, log, nil)
	if err != nil {
		return nil, err
	}
	if _, err := src.Load(ctx); err != nil {
		return nil, err
	}
	return src, nil
}

// policyCache is where the last verified snapshot is kept, for a restart while the source is down. The empty one keeps none.
type policyCache struct {
	dir      string
	readOnly bool // another process keeps it
}

// cacheOf returns the cache beside the store.
func cacheOf(c *config.Config, readOnly bool) policyCache {
	dir := filepath.Join(c.Store.Path, "policies")
	if c.Policies.Ranger.URL != "" && c.Policies.Ranger.CacheDir != "" {
		dir = c.Policies.Ranger.CacheDir
	}
	return policyCache{dir, readOnly}
}

// newSource makes the policy source that the configuration names, and loads nothing yet.
func newSource(c *config.Config, cache policyCache, log *slog.Logger, reg prometheus.Registerer) (policySource, error) {
	var src policySource
	var err error
	guard := source.GuardOptions{MaxShrink: c.Policies.MaxShrinkRatio, AllowEmpty: c.Policies.AllowEmpty, Accept: c.Policies.Accept}
	switch p := c.Policies; {
	case p.Ranger.URL != "":
		src, err = source.NewRanger(source.RangerOptions{
			Options: rangeradmin.Options{
				URL: p.Ranger.URL, Service: p.Ranger.Service, Username: p.Ranger.Username, Password: p.Ranger.Password.Reveal(),
				AllowHTTP: p.Ranger.AllowHTTP, CertFile: p.Ranger.CertFile, KeyFile: p.Ranger.KeyFile, CAFile: p.Ranger.CAFile,
				Timeout: p.Ranger.Timeout, PluginID: p.Ranger.PluginID, ClusterName: p.Ranger.ClusterName, Logger: log,
			},
			PollInterval: p.Ranger.PollInterval, Guard: guard, CacheDir: cache.dir, CacheReadOnly: cache.readOnly, Registerer: reg,
		})
	case p.Path != "":
		var extra []string
		if p.UsersPath != "" {
			extra = []string{p.UsersPath}
		}
		src, err = source.NewFiles(source.FilesOptions{
			Path: p.Path, ExtraPaths: extra, Service: p.Service, Guard: guard, CacheDir: cache.dir, CacheReadOnly: cache.readOnly, Logger: log, Registerer: reg,
		})
	default:
		return nil, withHint(&unsetError{"no policies are configured"},
			"set policies.path to a file or folder of policies, or policies.ranger.url and policies.ranger.service")
	}
	if err != nil {
		return nil, err
	}
	return src, nil
}

// keptOut returns why the policies that are there now are not in force, but older ones; nil where they are, or where what is
// there is not known, since the source does not answer.
func keptOut(src policySource) error {
	if err := src.Problem(); err != nil && !policy.CodeOf(err).Retryable() {
		return err
	}
	return nil
}
