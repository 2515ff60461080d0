package connector

import (
	"sync"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Syncer brings scopes of one workspace into sync with the policies. It may be used by many goroutines at once: see
// the package's documentation for what holds between syncs that run side by side.
type Syncer struct {
	Options
	metrics     *metrics
	revokes     revokeBudget
	coordinator *coordinator
	unknown     *unknownPrincipals

	mu  sync.Mutex
	now generation
}

// New returns a Syncer; the error says what is wrong with the options.
func New(o Options) (*Syncer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Compile.Manages == nil {
		o.Compile.Manages = o.Scope.Manages
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	return &Syncer{Options: o, metrics: m, coordinator: newCoordinator(o.ContainerTTL), unknown: newUnknownPrincipals(o.UnknownPrincipalTTL, o.UnknownState)}, nil
}

// generation is what plans are made by: the compiler of one snapshot, between two openings or closings of validity
// schedules. Two plans of one compiler want the same.
type generation struct {
	snapshot *ranger.Snapshot
	rules    *rules.RuleSet
	compiler *compile.Compiler
	open     string    // which schedules are open
	minute   time.Time // when that was looked at
}

// current returns the snapshot in force and its compiler, which stays the same for as long as the policies mean the
// same. An error, of class CodeUnavailable, says that there are no policies yet, or that they cannot be read.
func (s *Syncer) current() (*ranger.Snapshot, *compile.Compiler, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot := s.Policies.Current() // asked with the lock held, so that the compiler never goes back to older policies
	if snapshot == nil {
		return nil, nil, policy.Errorf(policy.CodeUnavailable, "no policies have been loaded yet, so nothing can be said about what should be granted")
	}
	now := time.Now()
	g := &s.now
	same := g.compiler != nil && g.snapshot.Same(snapshot)
	minute := now.Truncate(time.Minute)
	if same && (!g.rules.Scheduled() || g.minute.Equal(minute)) {
		return snapshot, g.compiler, nil
	}
	next := generation{snapshot: snapshot, rules: g.rules, minute: minute}
	if !same {
		var err error
		if next.rules, err = rules.New(snapshot, s.Read); err != nil {
			return nil, nil, policy.Errorf(policy.CodeUnavailable, "read the policies: %w", err)
		}
	}
	if next.open = next.rules.OpenAt(now); same && next.open == g.open {
		g.minute = minute
		return snapshot, g.compiler, nil
	}
	o := s.Compile
	o.Time = now
	next.compiler = compile.New(next.rules, o)
	*g = next
	return snapshot, g.compiler, nil
}

// Request says what to sync.
type Request struct {
	// Roots are the securables to sync, each with everything inside it. None means the whole metastore. A METASTORE
	// root without a name stands for the metastore with every root object that is not a catalog.
	Roots    []policy.Securable
	Approved string         // digest of a plan that a guard refused and a person approved
	Progress func(Progress) // called now and then, never twice at once; must return soon
}

// Progress is how far a sync is.
type Progress struct {
	Phase string // "list", "read" or "apply"
	Done  int
	Total int // 0 while not known
}

func (r Request) report(phase string, done, total int) {
	if r.Progress != nil {
		r.Progress(Progress{phase, done, total})
	}
}

// Result is what a sync found and did.
type Result struct {
	Plan       *policy.Plan
	Missing    []policy.Securable // requested roots that do not exist, or are Unity Catalog's own to keep
	Outcomes   []Outcome          // one for each of Plan.Changes, in their order; fewer when the sync ended early
	AlsoSynced []policy.Securable // containers that had to be synced too, to open the way to a root
}

// Outcome is what became of a change.
type Outcome struct {
	Change  policy.Change      // as applied: without what was left out
	Unknown []policy.Principal // principals left out because the workspace does not know them
	Gone    bool               // the securable was dropped meanwhile
	Err     error              // nil when the change holds
}
