package connector

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ucwarden/connector/apply"
	"ucwarden/connector/identity"
	"ucwarden/connector/memory"
	"ucwarden/connector/success"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/guard"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Policies holds the policies in force.
type Policies interface {
	// Current returns the last verified snapshot; nil when there has never been one. Versions never go back.
	Current() *ranger.Snapshot
}

// Options say what a Syncer works on and how.
type Options struct {
	Workspace Workspace
	Policies  Policies
	// KeptOut returns why policies that are newer than those in force are kept out; nil where there are none. May be nil.
	KeptOut   func() error
	Directory identity.Source // of principals; nil: the shape of their names tells their kinds
	// UnknownSelf says that the workspace did not say who we are, so that Scope may not protect us.
	UnknownSelf bool
	Scope       policy.Scope  // what is ours to manage; must have no roots
	Read        rules.Options // how policies are read; scripts decide no grant and are not needed
	Compile     compile.Options
	Mode        policy.Mode // "" is enforce
	Guards      []guard.Guard
	State       memory.Store  // what earlier runs found; nil forgets it
	Journal     apply.Journal // of every change; nil notes none
	Successes   *success.Log  // of what was synced without a failure; nil keeps none
	// Protection enforces row filters and masks; nil closes the tables that they are about for whom they bind.
	Protection *Protection
	// Settings identifies all settings that plans depend on: a plan stored under others is made anew.
	Settings string
	// UnknownState keeps whom the workspace did not know, how it shows ALL_PRIVILEGES, and which metastores were ever synced,
	// for later runs and for plans made elsewhere; nil forgets the first, and keeps the others in State.
	UnknownState memory.Store
	// Parallel is how many calls a sync has under way at once; the workspace's own pacing bounds them further.
	// Default 32.
	Parallel int
	// DirectoryInterval is how often the directory is read. Default 10 min.
	DirectoryInterval time.Duration
	// UnknownPrincipalTTL is how long at most a principal that the workspace did not know is not tried again. Default
	// 15 min.
	UnknownPrincipalTTL time.Duration
	Logger              *slog.Logger
	Metrics             *Metrics // nil counts for nobody
}

func (o *Options) validate() error {
	switch {
	case o.Workspace == nil:
		return errors.New("connector: no workspace")
	case o.Policies == nil:
		return errors.New("connector: no policies")
	case len(o.Scope.Roots()) > 0:
		return errors.New("connector: the managed scope must not be narrowed to roots")
	case o.Parallel < 0 || o.UnknownPrincipalTTL < 0 || o.DirectoryInterval < 0:
		return errors.New("connector: parallel calls and times must not be negative")
	}
	switch o.Mode {
	case "":
		o.Mode = policy.ModeEnforce
	case policy.ModeEnforce, policy.ModeGrantOnly, policy.ModeObserve:
	default:
		// Taken for "enforce", a misspelt "observe" would change what it was to leave alone.
		return fmt.Errorf("connector: unknown mode %q: want %s, %s or %s", o.Mode, policy.ModeEnforce, policy.ModeGrantOnly, policy.ModeObserve)
	}
	if o.Parallel == 0 {
		o.Parallel = 32
	}
	if o.UnknownPrincipalTTL == 0 {
		o.UnknownPrincipalTTL = 15 * time.Minute
	}
	if o.Successes == nil {
		var err error
		if o.Successes, err = success.New(nil, nil); err != nil {
			return err
		}
	}
	if o.Metrics == nil {
		var err error
		if o.Metrics, err = NewMetrics(nil); err != nil {
			return err
		}
	}
	if o.Journal == nil {
		o.Journal = apply.NoJournal{}
	}
	if o.DirectoryInterval == 0 {
		o.DirectoryInterval = 10 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
