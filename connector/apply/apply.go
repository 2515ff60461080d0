package apply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"ucwarden/connector/coordinate"
	"ucwarden/connector/expansion"
	"ucwarden/connector/identity"
	"ucwarden/connector/written"
	"ucwarden/group"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/order"
)

// ErrHeldBack is the error of a change of which some was not tried, because what has to come first was not made: it failed, or waits
// itself. Applying it alone could open what should stay closed.
var ErrHeldBack = errors.New("held back, because what has to come before it was not made")

// errUnprotected is ErrHeldBack where that is the protection of tables.
var errUnprotected = fmt.Errorf("%w: a row filter or mask of a table that it opens", ErrHeldBack)

// ErrOutdated ends an apply whose plan is no longer what the policies mean.
var ErrOutdated = policy.Errorf(policy.CodeUnavailable, "the policies changed while the plan was being applied; the rest is planned anew")

// Outcome is what became of a change.
type Outcome struct {
	Change  policy.Change      // as applied: without what was left out
	Unknown []policy.Principal // principals left out because the workspace does not know them
	Gone    bool               // the securable was dropped meanwhile
	Err     error              // nil when the change holds
}

// Options say what changes are sent to, and what one sync knows of it. All must be set but for Report.
type Options struct {
	Permissions Permissions // with the principals that the directory knows; see Resolved
	// Get returns a securable by its name. It tells one that was dropped from a call that does not find it.
	Get     func(context.Context, policy.Securable) (policy.Object, error)
	Journal Journal
	Origin  Origin

	Coordinator *coordinate.Coordinator
	Sync        uint64            // its number with the coordinator
	Compiler    *compile.Compiler // by which the changes were planned
	// Outdated reports whether the policies, or the principals, mean something else now than by that compiler.
	Outdated func() bool
	// MayRemove reports whether a sync takes grants of a privilege on a type of securable away that no policy gives.
	MayRemove func(policy.SecurableType, policy.Privilege) bool

	Unknown    *identity.Unknown // whom the workspace does not know
	NotTried   identity.View     // of it: who is left out
	Expansions *expansion.Expansions
	Watch      *written.Watch // of the grants that the changes were planned on

	Parallel int // calls at once
	Report   func(done, total int)
	Sent     func(policy.Change) // with what was added and removed
	Failed   func()              // for each change that was not made
	Logger   *slog.Logger
}

type applier struct{ Options }

// Changes carries out changes wave by wave, those of a wave at once. What waits for something that was not made is held
// back; see policy.Wait. With an error, the outcomes end with the wave it happened in. On what is in closed nothing is added
// yet; unmade, which may be nil, is what was not made before.
func Changes(ctx context.Context, o Options, changes []policy.Change, closed map[policy.Securable]bool, unmade *order.Unmade) ([]Outcome, error) {
	a := &applier{o}
	outcomes := make([]Outcome, len(changes))
	if unmade == nil {
		unmade = new(order.Unmade)
	}
	for first := 0; first < len(changes); {
		last := endOfWave(changes, first)
		var outdated atomic.Bool
		g := group.New() // not ended by the first error: what is on its way when the policies change is waited for
		g.SetLimit(a.Parallel)
		for i := first; i < last; i++ {
			g.Go(func() error {
				if outcomes[i] = a.applyUnlessHeldBack(ctx, changes[i], unmade, closed[changes[i].Securable]); errors.Is(outcomes[i].Err, ErrOutdated) {
					outdated.Store(true)
				}
				return nil
			})
		}
		_ = g.Wait() // no function fails: outcomes hold the errors
		switch {
		case outdated.Load():
			return outcomes[:last], ErrOutdated
		case ctx.Err() != nil:
			return outcomes[:last], GivenUp(ctx.Err())
		}
		for i := first; i < last; i++ {
			if outcomes[i].Err != nil {
				unmade.Note(changes[i], outcomes[i].Change)
			}
		}
		if a.Report != nil {
			a.Report(last, len(changes))
		}
		first = last
	}
	return outcomes, nil
}

// applyUnlessHeldBack applies what of a change does not depend on what was not made.
func (a *applier) applyUnlessHeldBack(ctx context.Context, c policy.Change, unmade *order.Unmade, closed bool) Outcome {
	rest, held := unmade.WithoutHeldBack(c)
	why := ErrHeldBack
	if closed {
		adding := make(map[policy.Principal]bool)
		for _, g := range slices.Concat(rest.Add, rest.AddTemporary) {
			adding[g.Principal] = true
		}
		if len(adding) > 0 && !held {
			held, why = true, errUnprotected
		}
		rest = rest.Filter(func(g policy.Assignment) bool { return !adding[g.Principal] }) // what is replaced stays with what replaces it
	}
	out := nothingDone(c)
	if !rest.Empty() {
		out = a.applyChange(ctx, rest)
	}
	if held && out.Err == nil && !out.Gone {
		out.Err = why
	}
	return out
}

// endOfWave returns the index after the last change of the wave that begins at first.
func endOfWave(changes []policy.Change, first int) int {
	last := first
	for last < len(changes) && changes[last].Wave == changes[first].Wave {
		last++
	}
	return last
}

func nothingDone(c policy.Change) Outcome {
	return Outcome{Change: policy.Change{Securable: c.Securable, Wave: c.Wave, Causes: c.Causes}}
}

// applyChange applies one change, unless the policies have changed. The coordinator leaves out what other syncs
// require.
func (a *applier) applyChange(ctx context.Context, planned policy.Change) Outcome {
	c := a.Coordinator.Enter(a.Sync, a.Compiler, planned)
	defer a.Coordinator.Leave(a.Compiler, c)
	out := nothingDone(c)
	if err := ctx.Err(); err != nil {
		out.Err = GivenUp(err)
		return out
	}
	// Looked at only now that the change is known to be on its way: a sync by newer policies waits for it, or this
	// sees the newer policies.
	if a.Outdated() {
		out.Err = ErrOutdated
		return out
	}
	err := a.send(ctx, c, &out)
	a.Sent(out.Change)
	if policy.CodeOf(err) == policy.CodeNotFound { // perhaps about the call alone
		switch _, getErr := a.Get(ctx, c.Securable); {
		case policy.CodeOf(getErr) == policy.CodeNotFound:
			out.Gone, err = true, nil // dropped since it was listed: nothing is left to protect
		case getErr == nil:
			err = policy.Errorf(policy.CodeInvalid, "%s exists, but the call that changes its grants does not find it: %w", c.Securable, err)
		default:
			err = getErr
		}
	}
	if err != nil {
		a.Failed()
		out.Err = err
	}
	return out
}

// send sends a change, and notes in out what of it holds. Principals that the workspace does not know are left out:
// those known as such beforehand, and those that it names, or that are found by sending the rest in parts.
func (a *applier) send(ctx context.Context, c policy.Change, out *Outcome) error {
	for parts := []policy.Change{c}; len(parts) > 0; {
		part, left := order.WithoutAdds(parts[0], a.NotTried.Has)
		out.addUnknown(left...)
		parts = parts[1:]
		if part.Empty() {
			continue
		}
		have, err := a.write(ctx, part)
		if refused, ok := errors.AsType[*PrincipalError](err); ok {
			unknown, smaller := order.SplitRefused(part, refused.Principal)
			if unknown.Name != "" {
				out.addUnknown(unknown)
				a.rememberUnknown(ctx, unknown, c.Securable)
			}
			parts = slices.Concat(smaller, parts)
			continue
		}
		if err != nil {
			return err
		}
		a.Watch.Landed(part, have)
		a.forgetUnknown(ctx, part.Add)
		out.Change.Add, out.Change.Remove = append(out.Change.Add, part.Add...), append(out.Change.Remove, part.Remove...)
		out.Change.AddTemporary = append(out.Change.AddTemporary, part.AddTemporary...)
		out.Change.RemoveTemporary = append(out.Change.RemoveTemporary, part.RemoveTemporary...)
	}
	return nil
}

func (o *Outcome) addUnknown(list ...policy.Principal) {
	for _, p := range list {
		if !slices.Contains(o.Unknown, p) {
			o.Unknown = append(o.Unknown, p)
		}
	}
}

func (a *applier) rememberUnknown(ctx context.Context, p policy.Principal, on policy.Securable) {
	if err := a.Unknown.Add(p, on); err != nil {
		a.Logger.WarnContext(ctx, "an unknown principal will be tried again by the next run", "principal", p.Name, "error", err)
	}
}

// forgetUnknown notes that the workspace knows whom a change granted something.
func (a *applier) forgetUnknown(ctx context.Context, granted []policy.Assignment) {
	if len(granted) == 0 || a.Unknown.Len() == 0 {
		return
	}
	known := make(map[policy.Principal]bool)
	for _, g := range granted {
		known[g.Principal] = true
	}
	if err := a.Unknown.Remove(func(p policy.Principal) bool { return known[p] }); err != nil {
		a.Logger.WarnContext(ctx, "cannot save that principals are known", "error", err)
	}
}

// GivenUp classifies the end of a context: whoever asks again may be answered.
func GivenUp(err error) error {
	return policy.Errorf(policy.CodeUnavailable, "sync given up: %w", err)
}
