package main

import (
	"context"
	"sync"
	"time"

	"ucwarden/endpoint"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// contact keeps whether the workspace answers, as far as that is known without asking it more than the work does.
type contact struct {
	mu      sync.Mutex
	problem error // of the last task, where another attempt may help; nil where it went well
	since   time.Time
	dialed  time.Time
	dialErr error
}

// How long a connection for readiness may take, and how long what is known holds.
const (
	dialTimeout  = time.Second
	dialHolds    = 2 * time.Second
	problemHolds = 10 * time.Minute
)

// ended notes the end of an attempt to carry out a task.
func (c *contact) ended(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch policy.CodeOf(err) {
	case "":
		c.problem = nil
	case policy.CodeUnavailable, policy.CodeUnauthenticated, policy.CodeRateLimited:
		c.problem, c.since = err, time.Now()
	}
}

// check returns why the workspace at host seems not to answer. It opens a connection, and closes it again.
func (c *contact) check(ctx context.Context, host string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.problem != nil && time.Since(c.since) < problemHolds {
		return policy.Errorf(policy.CodeUnavailable, "the last task failed: %w", c.problem)
	}
	if time.Since(c.dialed) > dialHolds {
		if c.dialErr = endpoint.Reach(ctx, host, dialTimeout); c.dialErr != nil {
			c.dialErr = policy.Errorf(policy.CodeUnavailable, "the workspace cannot be reached: %w", c.dialErr)
		}
		c.dialed = time.Now()
	}
	return c.dialErr
}

// connectedHandler is the handler of a type of task, which there is only once the workspace is connected.
type connectedHandler struct {
	pipeline *pipeline
	typ      ondemand.Type
}

// Handle implements ondemand.Handler.
func (h connectedHandler) Handle(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	out, err := h.pipeline.handlers[h.typ].Handle(ctx, job)
	if ctx.Err() == nil && h.typ != ondemand.PipelineUpdate { // which asks the workspace nothing
		h.pipeline.contact.ended(err)
	}
	if policy.CodeOf(err) == policy.CodeRefused && h.typ != ondemand.PipelineUpdate {
		if told := h.pipeline.planRefused(job.Task, err); told != nil {
			h.pipeline.log.Error("the receiver of the webhook is not told that a plan was refused", "task", job.Task.ID, "error", told)
		}
	}
	return out, err
}
