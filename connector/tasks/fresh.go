package tasks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ucwarden/group"
	"ucwarden/ondemand"
	"ucwarden/policy"
	"ucwarden/span"
)

// The bounds of asking the policy source for news.
const (
	// longestAsk is how long a task waits for the answer.
	longestAsk = 5 * time.Second
	// longestRefresh bounds the request itself, which goes on when nobody waits for it any more: later tasks have what it
	// brings.
	longestRefresh = 5 * time.Minute
	// clockSlack is by how much the clock on the wall may have been set for times of it to be compared.
	clockSlack = time.Second
)

// news asks the policy source for news before tasks run, so that a task posted right after a change of the policies carries
// out that change. Tasks share a request that began after all of them were received.
type news struct {
	refresh func(context.Context) error // reads the policies again; nil: they are not asked for

	mu      sync.Mutex
	running *refresh // under way
	last    *refresh // that ended last
}

// refresh is one request to the policy source.
type refresh struct {
	began time.Time
	done  chan struct{} // closed when it has ended
	err   error         // why nothing new could be read; set before done is closed
}

// covers reports whether a request sees what the source had at a time. A clock that was set meanwhile says nothing.
func (r *refresh) covers(at time.Time) bool {
	if r == nil {
		return false
	}
	now := time.Now()
	set := now.Round(0).Sub(r.began.Round(0)) - now.Sub(r.began)
	return set.Abs() < clockSlack && !r.began.Round(0).Before(at)
}

// since returns nil once the policies in force are those that the source had at a time, or later ones; or why they may
// not be. It takes longestAsk at most, and no time where a request has been without an answer for so long already.
func (n *news) since(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(longestAsk)
	defer timer.Stop()
	for {
		r, ours, late := n.join(ctx, at)
		if late {
			return errLate
		}
		select {
		case <-r.done:
		case <-timer.C:
			return errLate
		case <-ctx.Done():
			return ctx.Err()
		}
		if p, ok := errors.AsType[*group.Panic](r.err); ok && ours {
			panic(p) // it is a fault of the program, and no reason to go on with older policies
		}
		if ours {
			return r.err
		}
	}
}

var errLate = policy.Errorf(policy.CodeUnavailable, "no answer within %v", longestAsk)

// join returns the request to wait for. ours says that it covers the time, late that nothing is worth waiting for.
func (n *news) join(ctx context.Context, at time.Time) (r *refresh, ours, late bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last.covers(at) {
		return n.last, true, false
	}
	if n.running != nil {
		return n.running, n.running.covers(at), time.Since(n.running.began) > longestAsk
	}
	r = &refresh{began: time.Now(), done: make(chan struct{})}
	n.running = r
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestRefresh)
		defer cancel()
		err := group.Call(func() error { return n.refresh(ctx) })
		n.mu.Lock()
		defer n.mu.Unlock()
		r.err, n.running, n.last = err, nil, r
		close(r.done)
	}()
	return r, true, false
}

// before asks for news before a job runs. It returns what the result of the job is to say where there was no answer: what
// was read last stays in force. An error is the end of ctx.
func (n *news) before(ctx context.Context, job ondemand.Job) (note string, err error) {
	if n.refresh == nil || job.Task.ParentID != "" || OwnSource(&job.Task) == SourcePolicyChange || job.Task.RequestInfo.Plan != "" {
		return "", nil
	}
	at := queuedAt(job.Task)
	for _, t := range job.Followers {
		if f := queuedAt(t); f.After(at) {
			at = f
		}
	}
	asking, s := span.Start(ctx, "ask the policy source for news")
	err = n.since(asking, at)
	span.End(s, err)
	if err == nil || ctx.Err() != nil {
		return "", ctx.Err()
	}
	return fmt.Sprintf("the policy source could not be asked for news (%v): the policies as they were read last were enforced", err), nil
}

// queuedAt returns when a task was received, or was last put back to wait for another attempt.
func queuedAt(t ondemand.Task) time.Time {
	at := t.ReceivedTime
	for _, step := range t.Transitions {
		if step.To == ondemand.Waiting && step.From != ondemand.New && step.Time.After(at) {
			at = step.Time
		}
	}
	return at
}
