package connector

import (
	"cmp"
	"context"
	"sync"
	"time"

	"ucwarden/connector/apply"
	"ucwarden/connector/coordinate"
	"ucwarden/connector/drift"
	"ucwarden/connector/expansion"
	"ucwarden/connector/identity"
	"ucwarden/connector/load"
	"ucwarden/connector/memory"
	"ucwarden/connector/named"
	"ucwarden/connector/protection"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/directory"
	"ucwarden/policy/protect"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Syncer brings scopes of one workspace into sync with the policies. It may be used by many goroutines at once: see
// the package's documentation for what holds between syncs that run side by side.
type Syncer struct {
	Options
	metrics     *Metrics
	revokes     revokeBudget
	coordinator *coordinate.Coordinator
	principals  *identity.Cache
	unknown     *identity.Unknown
	expansions  *expansion.Expansions
	memory      *memory.Memory
	protections *protection.Worker // nil where nothing enforces row filters and masks

	mu   sync.Mutex
	now  generation
	held map[string]uint64 // syncs of planned shards, not yet applied
	// warnedOfScope are the findings on the scope that were logged.
	warnedOfScope map[string]bool
	metastoreID   string // "" while not known
	// plannedBy is the oldest directory that a sync was planned by since WatchPrincipals last had all synced anew for another;
	// nil before the first sync.
	plannedBy *directory.Directory
}

// New returns a Syncer; the error says what is wrong with the options.
func New(o Options) (*Syncer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Compile.Manages == nil {
		o.Compile.Manages = o.Scope.Manages
	}
	if o.Compile.More == nil {
		o.Compile.More, o.Compile.Excluded = o.Scope.MorePrivileges, o.Scope.ExcludedPrivileges
	}
	if o.Compile.NotOurs == nil && o.Scope.FiltersObjects() {
		o.Compile.NotOurs = o.Scope.NotOurs
	}
	o.Compile.Protects = o.Protection != nil
	o.Compile.Columns = o.Protection != nil && o.Protection.Policies.Columns
	s := &Syncer{
		Options: o, metrics: o.Metrics, coordinator: coordinate.New(), principals: identity.NewCache(o.Directory, o.DirectoryInterval, o.Logger),
		unknown: identity.NewUnknown(o.UnknownPrincipalTTL, o.UnknownState), expansions: expansion.New(cmp.Or(o.UnknownState, o.State)),
		memory: memory.New(o.State, cmp.Or(o.UnknownState, o.State)), held: make(map[string]uint64), warnedOfScope: make(map[string]bool),
	}
	if p := o.Protection; p != nil {
		s.protections = protection.New(protection.Options{
			Warehouse: p.Warehouse, Reader: p.Reader, Shares: p.Shares, Schema: p.Policies.Schema, Self: p.Self, Parallel: o.Parallel, Memory: s.memory, Logger: o.Logger,
		})
	}
	return s, nil
}

// generation is what plans are made by: the compiler of one snapshot and one directory of principals, between two openings
// or closings of validity schedules. Two plans of one compiler want the same.
type generation struct {
	snapshot   *ranger.Snapshot
	rules      *rules.RuleSet
	places     *named.Places
	compiler   *compile.Compiler
	protector  *protect.Protector // nil where nothing enforces row filters and masks
	identities *identity.Names    // of the directory that the compiler resolved by
	open       string             // which schedules are open
	at         time.Time          // when the compiler was made: the time at which it judges validity
	looked     time.Time          // when it was last looked at which are open
}

// current returns the snapshot in force and its compiler, which stays the same for as long as the policies and the
// principals mean the same. An error, of class CodeUnavailable, says that there are no policies yet, or that they cannot
// be read.
func (s *Syncer) current() (generation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot := s.Policies.Current() // asked with the lock held, so that the compiler never goes back to older policies
	if snapshot == nil {
		return generation{}, errNoPolicies
	}
	now := time.Now()
	g := &s.now
	same := g.compiler != nil && g.snapshot.Same(snapshot)
	principals := s.principals.Current()
	if g.compiler != nil && g.identities.Directory != principals && s.sameResolutions(g.rules, g.identities.Directory, principals) {
		g.identities = identity.NewNames(principals) // plans under way stand
		g.protector = s.protector(g)                 // who is in a group may be another
	}
	resolved := g.compiler != nil && g.identities.Directory == principals
	looked := now.Truncate(validityPrecision)
	if same && resolved && (!g.rules.Scheduled() || g.looked.Equal(looked)) {
		return g.with(snapshot), nil
	}
	next := generation{snapshot: snapshot, rules: g.rules, places: g.places, identities: g.identities, looked: looked}
	if !same {
		var err error
		if next.rules, err = rules.New(snapshot, s.Read); err != nil {
			return generation{}, policy.Errorf(policy.CodeUnavailable, "read the policies: %w", err)
		}
		next.places = named.NewPlaces(snapshot)
	}
	if !resolved {
		next.identities = identity.NewNames(principals)
	}
	if next.open = next.rules.OpenAt(now); same && resolved && next.open == g.open {
		g.looked = looked
		return g.with(snapshot), nil
	}
	next.at, next.compiler = now, s.compilerAt(next.rules, principals, now)
	next.protector = s.protector(&next)
	*g = next
	return *g, nil
}

// compilerAt returns the compiler of policies and principals that judges validity at t.
func (s *Syncer) compilerAt(set *rules.RuleSet, principals *directory.Directory, t time.Time) *compile.Compiler {
	o := s.Compile
	o.Time = t
	if s.Directory != nil {
		o.Directory = principals
	}
	return compile.New(set, o)
}

// with returns the generation with a snapshot that says the same as its own.
func (g generation) with(s *ranger.Snapshot) generation {
	g.snapshot = s
	return g
}

// Request says what to sync.
type Request struct {
	// Roots are the securables to sync, each with everything inside it. None means the whole metastore. A METASTORE
	// root without a name stands for the metastore with every root object that is not a catalog.
	Roots    []policy.Securable
	ByPerson bool           // a person asked for it: whom the workspace did not know is tried again
	Bounded  bool           // where all of a container above the roots has to be looked at, leave that to another sync, unless it is small
	Approved string         // digest of a plan that a guard refused and a person approved
	Saved    string         // digest of a saved plan: that is carried out, or nothing
	Origin   apply.Origin   // for the journal
	Progress func(Progress) // called now and then, never twice at once; must return soon

	judged *judgedShard // what this takes the place of
	only   bool         // a plan is wanted, which nobody applies
	again  bool         // of what was just synced, because somebody else changed it meanwhile
}

// Progress is how far a sync is.
type Progress struct {
	Phase string // "list", "read" or "apply"; of a full sync "plan"
	Done  int
	Total int // 0 while not known
	Read  int // while a full sync is planned: objects whose grants were read
}

func (r Request) report(phase string, done, total int) {
	if r.Progress != nil {
		r.Progress(Progress{Phase: phase, Done: done, Total: total})
	}
}

// Result is what a sync found and did.
type Result struct {
	Plan        *policy.Plan
	Parts       []*policy.Plan     // of a plan: those that it was joined from, with their changes alone; without empty ones
	Missing     []policy.Securable // requested roots that do not exist
	Skipped     []load.Skipped     // requested roots that are not for a sync
	Unread      []load.LeftOut     // what could not be looked at
	NotInForce  []string           // policies, and files of them, that are not in force as they are written
	Refused     error              // of a plan, and in mode observe: why a guard would refuse it
	Outcomes    []apply.Outcome    // one for each of Plan.Changes, in their order; fewer when the sync ended early
	Pending     []policy.Securable // containers that must be synced, each by itself, before USE_* are granted on them and inside
	Unprotected []load.LeftOut     // tables whose row filters and masks could not be set or lifted
	Conflicts   []protection.Conflict
	AlsoSynced  []policy.Securable // containers that had to be synced too, for the USE_* that a root requires
	LeftOut     []policy.Principal // whom the policies grant something there and the workspace does not know; sorted
	Drift       drift.Found        // what others changed, whether it is put right or stays
}

// metastore returns the id of the workspace's metastore; "" where it may not be read.
func (s *Syncer) metastore(ctx context.Context) (string, error) {
	s.mu.Lock()
	id := s.metastoreID
	s.mu.Unlock()
	if id != "" {
		return id, nil
	}
	found, err := s.Workspace.List(ctx, policy.Securable{}, policy.Metastore)
	switch code := policy.CodeOf(err); {
	case err != nil && code.Retryable():
		return "", err
	case err != nil || len(found) == 0:
		return "", nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metastoreID = found[0].FullName
	return s.metastoreID, nil
}
