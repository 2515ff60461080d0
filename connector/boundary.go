package connector

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"ucwarden/connector/apply"
	"ucwarden/connector/coordinate"
	"ucwarden/connector/load"
	"ucwarden/connector/memory"
	"ucwarden/connector/unread"
	"ucwarden/connector/written"
	"ucwarden/group"
	"ucwarden/policy"
	"ucwarden/policy/compile"
)

// SyncValidity makes the changes that follow from validity schedules that opened or closed since shards were last brought
// into sync, and no others: it reads and plans only the objects whose grants these change. Without roots it takes every shard
// concerned as the last listing showed it, so that the first revoke does not wait for a listing, and leaves what depends on
// all that a container holds: USE_* that is needed no more, and, where grants on single objects replace one on a container,
// objects that are new. With roots, which must be shards, it lists them, and leaves USE_* with which grants could be used
// that were not read.
//
// It returns the shards in which something is left to do: by a call with them as roots, and if that returns them too, by
// Sync. What a guard refuses is left as a whole.
func (s *Syncer) SyncValidity(ctx context.Context, r Request) (*Result, []policy.Securable, error) {
	start := time.Now()
	result, left, err := s.syncValidity(ctx, r)
	s.ended(ctx, nil, result, err, time.Since(start))
	return result, left, err
}

func (s *Syncer) syncValidity(ctx context.Context, request Request) (*Result, []policy.Securable, error) {
	if err := s.recallOrReadDirectory(ctx); err != nil {
		return nil, nil, apply.GivenUp(err)
	}
	run, err := s.beginNow(ctx, request)
	if err != nil {
		return nil, nil, err
	}
	defer run.end()
	b := &boundary{
		run: run, listed: len(request.Roots) > 0, opened: make(map[policy.Securable]string), left: make(map[policy.Securable]bool),
		compilers: make(map[string]*compile.Compiler), gained: &policy.GrantSet{}, lost: &policy.GrantSet{}, gainsInside: make(map[policy.Securable]bool),
	}
	if err := b.find(); err != nil {
		return nil, nil, err
	}
	result := &Result{Plan: &policy.Plan{PolicyVersion: run.snapshot.Version, Report: &policy.Report{}}, Outcomes: []apply.Outcome{}}
	if len(b.opened) == 0 {
		return result, b.rest(), nil
	}
	if err := b.load(ctx); err != nil {
		return nil, nil, orGivenUp(ctx, err)
	}
	if result.Plan, err = b.plan(ctx); err != nil {
		return nil, nil, orGivenUp(ctx, err)
	}
	s.metrics.found(result.Plan.Report.Findings)
	result.LeftOut = b.unresolved
	if s.Mode == policy.ModeObserve {
		result.Outcomes = nil
		return result, nil, nil
	}
	if err := run.judge(ctx, result.Plan, b.found.Listings); policy.CodeOf(err) == policy.CodeRefused {
		s.Logger.WarnContext(ctx, "a guard refuses what follows from validity schedules; it is left to syncs of the whole, which are judged by themselves", "reason", err)
		result.Plan.Changes, result.Plan.Totals = nil, policy.Totals{}
		for shard := range b.opened {
			b.left[shard] = true
		}
		return result, b.rest(), nil
	} else if err != nil {
		return nil, nil, err
	}
	s.remember(ctx, b.found.Listings)
	for _, c := range result.Plan.Changes {
		s.keepGranted(ctx, memory.ShardOf(c.Securable), nil) // what one schedule closes, and another opens again, is no drift
	}
	run.watch = written.NewWatch(written.Before(b.found, result.Plan.Changes))
	if result.Outcomes, err = run.apply(ctx, result.Plan.Changes, nil, nil); err != nil {
		return result, nil, err
	}
	for _, o := range result.Outcomes {
		if o.Err != nil {
			b.leave(o.Change.Securable)
		}
	}
	for _, drifted := range run.watch.Changed() {
		b.leave(drifted)
	}
	for shard := range b.opened {
		if !b.left[shard] {
			run.note(ctx, shard, run.basis(shard))
		}
	}
	return result, b.rest(), nil
}

// recallOrReadDirectory sees to it that there is a directory of principals: which one an earlier run kept is enough to take
// back what was granted by it.
func (s *Syncer) recallOrReadDirectory(ctx context.Context) error {
	if s.Directory == nil || s.principals.Current().Read() {
		return nil
	}
	if id, err := s.metastore(ctx); err == nil {
		if found, err := s.principals.Recall(s.memory.Shared(), id); err == nil && found {
			return nil
		}
	}
	return s.refreshDirectory(ctx, false, false)
}

// boundary is what follows, in some shards, from validity schedules that opened or closed.
type boundary struct {
	*run
	listed    bool                         // what the shards hold is listed now
	opened    map[policy.Securable]string  // which schedules were open when a shard was brought into sync
	compilers map[string]*compile.Compiler // of the policies in force, by which schedules are open
	left      map[policy.Securable]bool    // shards in which something is left to do
	found     *load.Found

	after        *policy.GrantSet          // what policies say
	unresolved   []policy.Principal        // of whom they say it and who do not resolve
	gained, lost *policy.GrantSet          // what they say and did not say before, and the reverse
	gainsInside  map[policy.Securable]bool // containers of what gains something
	managed      int                       // grants that policies said before
}

func (b *boundary) leave(s policy.Securable) { b.left[memory.ShardOf(s)] = true }

// rest returns the shards in which something is left to do, sorted.
func (b *boundary) rest() []policy.Securable {
	return slices.SortedFunc(maps.Keys(b.left), policy.Securable.Compare)
}

// find finds the shards concerned. One that was brought into sync by other policies or settings needs a sync besides, as
// does a root that was not.
func (b *boundary) find() error {
	g, err := b.current()
	if err != nil {
		return err
	}
	passed, err := b.passed(g)
	if err != nil {
		return err
	}
	for _, p := range passed {
		if b.listed && !slices.Contains(b.request.Roots, p.shard) || load.BuiltIn(p.shard) || !b.Scope.Reaches(p.shard) {
			continue
		}
		b.opened[p.shard] = p.open
		if b.protect != nil { // filters and masks, and grants that count on them, are not looked at here
			b.left[p.shard] = true
		}
		if b.compilers[p.open] == nil {
			b.compilers[p.open] = b.compilerAt(g.rules, b.dir, p.last.At)
		}
		if b.basisBy(b.compilers[p.open], p.shard) != p.last.Basis {
			b.left[p.shard] = true
		}
	}
	if !b.listed {
		return nil
	}
	concerned, err := b.Concerned(b.request.Roots)
	for _, root := range concerned {
		if _, ok := b.opened[root]; !ok {
			b.left[root] = true
		}
	}
	return err
}

// load finds out which objects gain or lose something, and reads the grants on these.
func (b *boundary) load(ctx context.Context) error {
	shards := slices.SortedFunc(maps.Keys(b.opened), policy.Securable.Compare)
	l := load.New(b.loadOptions(), shards, nil)
	b.found = l.Found()
	list := func() error { return l.ListObjects(ctx) }
	if !b.listed {
		list = l.ListRemembered
	}
	if err := list(); err != nil {
		return err
	}
	if err := b.compare(); err != nil {
		return err
	}
	concerned := func(s policy.Securable) bool { return len(b.gained.Of(s))+len(b.lost.Of(s)) > 0 }
	if err := l.ReadGrants(ctx, concerned); err != nil {
		return err
	}
	for _, left := range b.found.Left {
		b.leave(left.Securable)
	}
	b.found.Current = b.readBack(b.found.Current, b.after)
	return nil
}

// compare works out what policies said when the shards were brought into sync, and say now.
func (b *boundary) compare() error {
	g := group.New()
	before := make(map[string]*policy.GrantSet)
	var mu sync.Mutex
	for open, c := range b.compilers {
		g.Go(func() error {
			grants := c.Compile(b.found.Inventory).Grants
			mu.Lock()
			defer mu.Unlock()
			before[open] = grants
			return nil
		})
	}
	g.Go(func() error {
		compiled := b.compiler.Compile(b.found.Inventory)
		b.after, b.unresolved = compiled.Grants, compiled.Unresolved
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	for o := range b.found.Inventory.Objects {
		s := o.Securable
		old, now := before[b.opened[memory.ShardOf(s)]].Of(s), b.after.Of(s)
		b.managed += len(old)
		if slices.Equal(old, now) {
			continue
		}
		gained, lost := without(now, old), without(old, now)
		if !b.listed && s.Type.IsContainer() && !slices.ContainsFunc(slices.Concat(gained, lost), func(a policy.Assignment) bool { return !a.Privilege.IsUse() }) {
			b.leave(s)
			continue
		}
		b.gained.Set(s, gained)
		b.lost.Set(s, lost)
		if !slices.ContainsFunc(gained, func(a policy.Assignment) bool { return !a.Privilege.IsUse() }) {
			continue
		}
		for parent, ok := s.Parent(); ok; parent, ok = parent.Parent() {
			b.gainsInside[parent] = true
		}
	}
	return nil
}

// without returns the assignments of a sorted list that another does not have.
func without(list, other []policy.Assignment) []policy.Assignment {
	return slices.DeleteFunc(slices.Clone(list), func(a policy.Assignment) bool { return slices.Contains(other, a) })
}

// plan returns the plan of what is gained and lost.
func (b *boundary) plan(ctx context.Context) (*policy.Plan, error) {
	desired := b.found.Current.Clone()
	for _, s := range b.found.Read {
		desired.Set(s, b.wanted(s))
	}
	desired, heldBack := unread.AsFarAsKnown(b.found, b.unknown.Without(desired, b.found.Current, b.found.Read), b.compiler)
	changes, totals := policy.Diff(policy.DiffInput{
		Read: b.found.Read, Current: b.found.Current, Desired: desired, Scope: b.keepOwn(b.scopeOf(b.found)), Mode: b.Mode, Expresses: b.compiler.Expresses,
	})
	totals.Managed = max(totals.Managed, b.managed) // of the shards, not of what is read of them
	plan := &policy.Plan{PolicyVersion: b.snapshot.Version, Changes: changes, Totals: totals, Report: &policy.Report{Findings: heldBack}}
	unlisted, err := b.unlisted(ctx, plan, b.found, make(map[policy.Securable]bool))
	if err != nil {
		return nil, err
	}
	for _, o := range unlisted { // which may need the USE_* that would go
		b.leave(o.Securable)
		plan.Changes = slices.DeleteFunc(plan.Changes, func(c policy.Change) bool { return coordinate.Closes(c) && c.Securable.Contains(o.Securable) })
	}
	var above ancestry
	seen := make(map[policy.Securable]bool)
	for _, c := range plan.Changes {
		for parent, ok := c.Securable.Parent(); ok && !seen[parent]; parent, ok = parent.Parent() {
			seen[parent] = true
			if err := b.coordinator.RequireUse(ctx, b.id, parent, b.after.Of(parent)); err != nil {
				return nil, err
			}
			if _, read := slices.BinarySearchFunc(b.found.Read, parent, policy.Securable.Compare); !read {
				above.unread = append(above.unread, parent)
			}
		}
	}
	b.order(plan, above, b.found)
	b.compiler.SetCauses(compile.CauseInput{Inventory: b.found.Inventory, Desired: b.after, Kinds: b.found.Kinds}, plan.Changes)
	return plan, nil
}

// wanted returns what is to be granted on s: what stands, with what it gains and without what it loses. What is left to do
// there is noted.
func (b *boundary) wanted(s policy.Securable) []policy.Assignment {
	have := b.found.Current.Of(s)
	want := slices.Clone(have)
	container := s.Type.IsContainer()
	for _, a := range b.lost.Of(s) {
		if container && !b.listed && a.Privilege.IsUse() {
			b.leave(s)
			continue
		}
		if b.gainsInside[s] && !b.listed {
			b.leave(s) // an object that no listing has shown yet may be to gain something too
		}
		want = without(want, []policy.Assignment{a})
		if !container || !a.Privilege.ConfersUse() {
			continue
		}
		for use := range unread.UsesOf(s.Type).All() {
			u := policy.Assignment{Principal: a.Principal, Privilege: use}
			switch {
			case !b.listed: // ALL_PRIVILEGES may go, what it opens not
				want = append(want, u)
				b.leave(s)
			case !slices.Contains(b.after.Of(s), u):
				want = without(want, []policy.Assignment{u})
			}
		}
	}
	for _, a := range b.gained.Of(s) {
		if container && b.opens(s, a) {
			b.leave(s)
			continue
		}
		want = append(want, a)
	}
	return want
}

// opens reports whether a grant on a container confers USE_* that its principal is not known to have, there or from above.
func (b *boundary) opens(container policy.Securable, a policy.Assignment) bool {
	if unread.Opens(b.found, container, a) == 0 {
		return false
	}
	parent, ok := container.Parent()
	return !ok || a.Privilege != policy.UseSchema || unread.Opens(b.found, parent, a) != 0
}
