package connector

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/order"
)

// write sends a change and returns the grants on its securable afterwards, in which the change shows. The answer is
// compared with all that is to stand there for those who lose ALL_PRIVILEGES, and not only with what the change names.
func (r *run) write(ctx context.Context, c policy.Change) ([]policy.Assignment, error) {
	sent, stood, have, err := r.patch(ctx, c)
	if err != nil {
		return nil, err
	}
	rest := remaining(sent, stood, have)
	if !rest.Empty() { // the answer may be older than the change
		if have, err = r.grants(ctx, c.Securable); err != nil {
			return nil, err
		}
		rest = remaining(sent, stood, have)
	}
	if sent.RemovesAll() && len(rest.Add) > 0 { // more went with ALL_PRIVILEGES than is known to, or what was sent with it
		again := policy.Change{Securable: c.Securable, Wave: c.Wave, Add: rest.Add, Causes: make(policy.Causes)}
		for _, a := range rest.Add {
			cause := policy.Cause{Kind: policy.CauseKept}
			if slices.Contains(sent.Add, a) {
				cause = c.Causes.Of(policy.ActAdd, a)
			}
			again.Causes.Set(policy.ActAdd, a, cause)
		}
		if _, _, have, err = r.patch(ctx, again); err != nil {
			return nil, err
		}
		rest = remaining(sent, stood, have)
	}
	if !rest.Empty() {
		return nil, policy.Errorf(policy.CodeUnavailable, "the workspace accepted the change but shows other grants afterwards (%s)", rest)
	}
	return have, nil
}

const (
	// maxConflicts is how often a change is sent that somebody else's change of the same object comes in the way of.
	maxConflicts = 6
	// conflictWait is about how long is waited after the first of them; twice as long after each further one.
	conflictWait = 100 * time.Millisecond
)

// patch sends a change, and again while the workspace answers that the object is being changed by somebody else. What goes
// with a removal of ALL_PRIVILEGES, which clears the rest, follows from what stands at that moment: it is read just before,
// so that nothing is lost that was granted since the plan was made, and nothing comes back that was taken away. The change
// is returned as it was sent, with the grants that stood then, where they were read.
func (r *run) patch(ctx context.Context, c policy.Change) (sent policy.Change, stood, have []policy.Assignment, err error) {
	for n, wait := 1, conflictWait; ; n, wait = n+1, 2*wait {
		if c.RemovesAll() {
			if stood, err = r.grants(ctx, c.Securable); err != nil {
				return c, nil, nil, err
			}
			c.Keep = order.Kept(stood, c)
		}
		have, err = r.sendNoted(ctx, c)
		if policy.CodeOf(err) != policy.CodeConflict {
			return c, stood, have, err
		}
		if n == maxConflicts || !c.RemovesAll() { // the client itself has tried others again
			return c, nil, nil, policy.Errorf(policy.CodeUnavailable, "somebody else keeps changing the same object: %w", err)
		}
		if err := pause(ctx, wait/2+rand.N(wait)); err != nil {
			return c, nil, nil, err
		}
	}
}

// remaining returns what of c is not so yet, given the grants on its securable before, where they were read, and
// afterwards. Whom it takes ALL_PRIVILEGES from is to hold all else that it does not take.
func remaining(c policy.Change, stood, have []policy.Assignment) policy.Change {
	rest := policy.Change{Securable: c.Securable, Wave: c.Wave}
	add, remove := c.Request()
	for _, a := range stood {
		if slices.Contains(remove, policy.Assignment{Principal: a.Principal, Privilege: policy.AllPrivileges}) && !slices.Contains(remove, a) && !slices.Contains(add, a) {
			add = append(add, a)
		}
	}
	for _, a := range add {
		if !slices.Contains(have, a) {
			rest.Add = append(rest.Add, a)
		}
	}
	for _, a := range remove {
		if slices.Contains(have, a) {
			rest.Remove = append(rest.Remove, a)
		}
	}
	return rest
}

// pause waits; the error says that the sync was given up.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return givenUp(ctx.Err())
	}
}
