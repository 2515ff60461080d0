package connector

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
)

// Policies gives the policies in force.
type Policies interface {
	// Current gives the last verified snapshot; nil when there has never been one.
	Current() *policy.Snapshot
}

// State keeps small facts from one run to the next.
type State interface {
	// Load gives the value saved under key, nil when there is none.
	Load(key string) ([]byte, error)
	Save(key string, value []byte) error
}

// Options say what a Syncer works on and how.
type Options struct {
	Workspace Workspace
	Policies  Policies
	Scope     policy.Scope // what is ours to manage; must have no roots
	Compile   policy.CompileOptions
	Mode      policy.Mode // "" is enforce
	Guards    []policy.Guard
	State     State // listing sizes of earlier runs; nil forgets them
	// Parallel is how many calls a sync has under way at once; the workspace's own pacing bounds them further.
	// Default 32.
	Parallel int
	// ContainerTTL is how long grants on catalogs and schemas, once read, are trusted when a task for an object inside
	// needs to know whether the way to it is open. Default 1 h.
	ContainerTTL time.Duration
	// UnknownPrincipalTTL is how long a principal that the workspace did not know is not tried again. Default 15 min.
	UnknownPrincipalTTL time.Duration
	Logger              *slog.Logger
	Registerer          prometheus.Registerer // may be nil
}

func (o *Options) validate() error {
	switch {
	case o.Workspace == nil:
		return errors.New("connector: no workspace")
	case o.Policies == nil:
		return errors.New("connector: no policies")
	case len(o.Scope.Roots()) > 0:
		return errors.New("connector: the managed scope must not be narrowed to roots")
	}
	if o.Mode == "" {
		o.Mode = policy.ModeEnforce
	}
	if o.Parallel == 0 {
		o.Parallel = 32
	}
	if o.ContainerTTL == 0 {
		o.ContainerTTL = time.Hour
	}
	if o.UnknownPrincipalTTL == 0 {
		o.UnknownPrincipalTTL = 15 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Syncer brings scopes of one workspace in accord with the policies. It may be used by many goroutines at once.
type Syncer struct {
	Options
	metrics *metrics
	ledger  *ledger
	unknown *unknownPrincipals

	mu       sync.Mutex
	compiled struct { // the compiler of the last snapshot
		of       *policy.Snapshot
		at       time.Time
		compiler *policy.Compiler
	}
}

// New makes a Syncer.
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
	return &Syncer{Options: o, metrics: m, ledger: newLedger(o.ContainerTTL), unknown: newUnknownPrincipals(o.UnknownPrincipalTTL)}, nil
}

// Request says what to sync.
type Request struct {
	// Roots are the securables to sync, each with everything inside it. None means the whole metastore. A METASTORE
	// root without a name stands for the metastore with every root object that is not a catalog.
	Roots    []policy.Securable
	Approved string // digest of a plan that a guard refused and a person approved
	Progress func(Progress)
}

// Progress tells how far a sync is.
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
	Plan     *policy.Plan
	Missing  []policy.Securable // roots that do not exist
	Outcomes []Outcome          // one for each of Plan.Changes, in their order; none when nothing was applied
	Widened  []policy.Securable // containers that had to be synced too, to open the way to a root
}

// Outcome is what became of a change.
type Outcome struct {
	Change  policy.Change      // as applied: without what was left out
	Unknown []policy.Principal // principals left out because the workspace does not know them
	Gone    bool               // the securable was dropped meanwhile
	Err     error              // nil when the change holds
}

// Plan works out what a sync would change, and changes nothing. Guards are not asked.
func (s *Syncer) Plan(ctx context.Context, r Request) (*Result, error) {
	w, err := s.prepare(ctx, r)
	if err != nil {
		return nil, err
	}
	defer w.close()
	return w.result(), nil
}

// Sync brings the requested roots in accord with the policies:
//
//	load securables and their grants → compile the policies → diff → ask the guards → apply, wave by wave
//
// An error says that the sync could not be done or was refused as a whole; what went wrong with single changes is in
// the result's outcomes.
func (s *Syncer) Sync(ctx context.Context, r Request) (*Result, error) {
	start := time.Now()
	w, err := s.prepare(ctx, r)
	if err != nil {
		s.metrics.syncs.WithLabelValues("error").Inc()
		return nil, err
	}
	defer w.close()
	if err := policy.CheckAll(s.Guards, w.plan, w.circumstances(r)); err != nil {
		s.metrics.syncs.WithLabelValues("refused").Inc()
		return w.result(), err
	}
	result := w.result()
	if s.Mode != policy.ModeObserve {
		result.Outcomes, err = s.apply(ctx, w, r)
		if err != nil {
			s.metrics.syncs.WithLabelValues("error").Inc()
			return result, err
		}
	}
	if err := w.remember(); err != nil {
		s.Logger.WarnContext(ctx, "cannot save the size of the listing", "error", err)
	}
	s.metrics.syncs.WithLabelValues("done").Inc()
	s.metrics.duration.Observe(time.Since(start).Seconds())
	return result, nil
}

// work is a sync under way: what was loaded, and the plan made of it.
type work struct {
	s        *Syncer
	snapshot *policy.Snapshot
	compiler *policy.Compiler
	scope    policy.Scope
	loaded   *loaded
	plan     *policy.Plan
	desired  *policy.GrantSet
	widened  []policy.Securable
	began    uint64 // position in the ledger when reading began
}

func (w *work) close() { w.s.ledger.end(w.began) }

func (w *work) result() *Result {
	return &Result{Plan: w.plan, Missing: w.loaded.missing, Widened: w.widened}
}

// prepare loads and plans, and widens the request to a container as long as the way to a root is closed there.
func (s *Syncer) prepare(ctx context.Context, r Request) (*work, error) {
	snapshot := s.Policies.Current()
	if snapshot == nil {
		return nil, policy.Errorf(policy.CodeUnavailable, "no policies have been loaded yet, so nothing can be said about what should be granted")
	}
	w := &work{s: s, snapshot: snapshot, compiler: s.compilerOf(snapshot), began: s.ledger.begin()}
	roots := r.Roots
	for {
		var err error
		if w.loaded, err = s.load(ctx, roots, r); err != nil {
			w.close()
			return nil, err
		}
		w.scope = s.Scope
		if len(roots) > 0 {
			w.scope = s.Scope.Within(w.loaded.roots...)
			if len(w.loaded.roots) == 0 {
				w.scope = s.Scope.Within(policy.Securable{}) // nothing that was asked for exists
			}
		}
		w.draft()
		closed, err := w.openWay(ctx)
		if err != nil {
			w.close()
			return nil, err
		}
		if closed == (policy.Securable{}) {
			return w, nil
		}
		s.Logger.InfoContext(ctx, "syncing a container too: who is granted something inside lacks USE_* on it", "container", closed.String())
		w.widened = append(w.widened, closed)
		roots = append([]policy.Securable{closed}, withoutInside(roots, closed)...)
	}
}

func withoutInside(roots []policy.Securable, container policy.Securable) []policy.Securable {
	var rest []policy.Securable
	for _, r := range roots {
		if !container.Contains(r) {
			rest = append(rest, r)
		}
	}
	return rest
}

// draft compiles the policies for what was loaded and makes the plan.
func (w *work) draft() {
	compiled := w.compiler.Compile(w.loaded.inventory)
	w.desired = compiled.Grants
	changes, totals := policy.Diff(policy.DiffInput{
		Read: w.loaded.read, Current: w.loaded.current, Desired: w.s.unknown.without(compiled.Grants, w.loaded.read),
		Scope: w.scope, Mode: w.s.Mode, Expresses: w.compiler.Expresses,
	})
	w.plan = &policy.Plan{PolicyVersion: w.snapshot.Version, Changes: changes, Totals: totals, Report: compiled.Report}
}

// compilerOf gives the compiler of a snapshot, made once while no validity schedule may open or close.
func (s *Syncer) compilerOf(snapshot *policy.Snapshot) *policy.Compiler {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.compiled
	if c.compiler == nil || !c.of.Same(snapshot) || snapshot.Scheduled() && !now.Truncate(time.Minute).Equal(c.at.Truncate(time.Minute)) {
		o := s.Compile
		o.Time = now
		c.of, c.at, c.compiler = snapshot, now, policy.NewCompiler(snapshot, o)
	}
	return c.compiler
}

func (w *work) circumstances(r Request) policy.Circumstances {
	return policy.Circumstances{
		Now: time.Now(), FetchedAt: w.snapshot.FetchedAt, Policies: w.compiler.Policies(),
		Listed: w.loaded.listed, LastTime: w.lastListed(), Approved: r.Approved,
	}
}

// openWay looks at the containers above the roots. What the policies grant there and the roots need is added to the
// plan where adding it is safe by itself. A container on which somebody lacks USE_* is given back: opening it may wake
// grants on objects that were not read, so it must be synced as a whole.
func (w *work) openWay(ctx context.Context) (closed policy.Securable, err error) {
	for _, a := range w.loaded.ancestors {
		want := w.desired.Of(a)
		if len(want) == 0 || !w.s.Scope.Filters(a) {
			continue
		}
		have, err := w.s.containerGrants(ctx, a)
		if policy.CodeOf(err) == policy.CodeNotFound {
			continue
		}
		if err != nil {
			return policy.Securable{}, err
		}
		current := &policy.GrantSet{}
		current.Set(a, have)
		changes, _ := policy.Diff(policy.DiffInput{
			Read: []policy.Securable{a}, Current: current, Desired: w.s.unknown.without(w.desired, []policy.Securable{a}),
			Scope: w.s.Scope, Mode: policy.ModeGrantOnly,
		})
		for _, c := range changes {
			for _, add := range c.Add {
				if add.Privilege.IsUse() {
					return a, nil
				}
			}
			c.Wave = 1
			w.plan.Changes = append([]policy.Change{c}, w.plan.Changes...)
			w.plan.Totals.Changed++
			w.plan.Totals.Adds += len(c.Add)
			w.loaded.current.Set(a, have)
		}
	}
	return policy.Securable{}, nil
}

// containerGrants gives the grants on a container, as last seen if that is not long ago.
func (s *Syncer) containerGrants(ctx context.Context, c policy.Securable) ([]policy.Assignment, error) {
	if list, ok := s.ledger.container(c); ok {
		return list, nil
	}
	list, err := s.Workspace.Grants(ctx, c)
	if err != nil {
		return nil, err
	}
	s.ledger.saw(c, list)
	return list, nil
}
