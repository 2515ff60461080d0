package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"ucwarden/config"
	"ucwarden/policy/compile"
	"ucwarden/policy/ranger"
)

func newPolicyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "policy",
		Short:   "Test, explain and check policies",
		GroupID: groupSetup,
		Args:    wantArgs(),
		RunE:    needSubcommand,
	}
	cmd.AddCommand(newPolicyTestCommand(a), newPolicyExplainCommand(a), newPolicyLintCommand(a))
	return cmd
}

// policyFlags are the flags of every policy command.
type policyFlags struct {
	policies string // path
	time     string
}

func (f *policyFlags) register(cmd *cobra.Command, now string) {
	cmd.Flags().StringVar(&f.policies, "policies", "", "file or folder of policies, instead of the configured ones")
	f.registerTime(cmd, now)
}

func (f *policyFlags) registerTime(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&f.time, "time", "", what+", RFC 3339 (default: now)")
}

// at is the time to judge validity at.
func (f *policyFlags) at() (time.Time, error) {
	if f.time == "" {
		return time.Now(), nil
	}
	t, err := time.Parse(time.RFC3339, f.time)
	if err != nil {
		return t, usageErrorf("--time %s: want RFC 3339, for example 2026-03-01T12:00:00Z", f.time)
	}
	return t, nil
}

// load reads the configuration. Policies of --policies replace the configured ones, Ranger Admin's too.
func (f *policyFlags) load(a *app) (*config.Config, *slog.Logger, error) {
	c, log, err := a.load()
	if err != nil {
		return nil, nil, err
	}
	if a.logLevel == "" && c.Log.Level == "info" {
		c.Log.Level = "warn" // the answer is what is wanted
		log = a.logger(c.Log)
	}
	if f.policies != "" {
		c.Policies.Path, c.Policies.Ranger = f.policies, config.Ranger{}
	}
	return c, log, nil
}

// snapshot loads the policies in force. The last good version of a cache does not do: what is asked about is what the
// source holds now.
func (f *policyFlags) snapshot(ctx context.Context, c *config.Config, log *slog.Logger) (*ranger.Snapshot, error) {
	src, err := openSource(ctx, c, log)
	if err != nil {
		return nil, err
	}
	s, err := src.Load(ctx)
	if err != nil {
		return nil, err
	}
	if err := src.Problem(); err != nil {
		return nil, fmt.Errorf("load policies: %w", err)
	}
	return s, nil
}

// timed sets the time at which validity is judged.
func timed(o compile.Options, now time.Time) compile.Options {
	o.Time = now
	return o
}
