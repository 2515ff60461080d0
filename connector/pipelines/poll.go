package pipelines

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

// poll looks at the update, stops it where the task was cancelled, and ends the task where the update is over.
func (f *Follower) poll(ctx context.Context, it *item, t ondemand.Task) (time.Duration, bool) {
	r := t.Run
	stopping := ""
	if !r.CancelTime.IsZero() && r.RawState != "STOPPING" {
		if err := f.Service.StopUpdate(ctx, r.PipelineID, r.UpdateID); err != nil {
			stopping = r.Cancelled() + ", but the update could not be stopped yet: " + err.Error()
			f.Logger.Warn("an update of a pipeline could not be stopped; trying again", "task", it.id, "run", r.ID, "error", err)
		}
	}
	u, err := f.Service.Update(ctx, r.PipelineID, r.UpdateID)
	switch {
	case ctx.Err() != nil:
		return f.PollFirst, false
	case policy.CodeOf(err) == policy.CodeNotFound:
		return f.gone(ctx, it, r, err)
	case err != nil:
		return f.unclear(ctx, it, r, "the service does not say how far the update is: "+err.Error(), r.RawState)
	case u.Status() == ondemand.RunUnknown && u.State == "":
		return f.unclear(ctx, it, r, "the service's answer has no state of the update", "")
	case u.Status() == ondemand.RunUnknown:
		return f.unclear(ctx, it, r, fmt.Sprintf("the update is in state %.100q, which is not known", u.State), u.State)
	case u.Over():
		return f.finish(ctx, it, r, u)
	case u.Continuous && u.State == "RUNNING" && r.CancelTime.IsZero():
		return f.end(ctx, it, ondemand.Success, with(fmt.Sprintf("update %s is RUNNING, and does not end since the pipeline is continuous", r.UpdateID), r), func(r *ondemand.Run) {
			f.note(r, u)
			r.Status = ondemand.RunSuccess
		})
	}
	it.unknown = span{}
	if u.State != r.RawState || r.Status != ondemand.RunRunning || r.UnknownSeconds != 0 || stopping != "" && stopping != t.StatusMessage {
		if _, err := f.update(ctx, it, func(t *ondemand.Task) {
			f.note(t.Run, u)
			t.Run.UnknownSeconds = 0
			switch {
			case stopping != "":
				t.StatusMessage = stopping
			case !t.Run.CancelTime.IsZero():
				t.StatusMessage = fmt.Sprintf("%s: the update is being stopped, it is %s", t.Run.Cancelled(), u.State)
			default:
				t.StatusMessage = fmt.Sprintf("update %s is %s", r.UpdateID, u.State)
			}
		}); err != nil {
			return f.stumble(it, err)
		}
	}
	return f.later(it), false
}

// note sets what an answer says of the update.
func (f *Follower) note(r *ondemand.Run, u Update) {
	if r.RawState != u.State {
		r.RawState, r.LastStateChange = u.State, f.Now().UTC().Round(0)
	}
	r.Status = u.Status()
	if !u.Created.IsZero() {
		r.StartTime = u.Created.UTC()
	}
}

// gone decides what it means that the service does not know the update: the pipeline itself is asked for.
func (f *Follower) gone(ctx context.Context, it *item, r *ondemand.Run, cause error) (time.Duration, bool) {
	p, err := f.Service.Pipeline(ctx, r.PipelineID)
	if policy.CodeOf(err) == policy.CodeNotFound || err == nil && p.State == "DELETED" {
		return f.end(ctx, it, ondemand.Failed, "pipeline deleted while its update was followed: "+cause.Error(), func(r *ondemand.Run) { r.Status = ondemand.RunUnknown })
	}
	return f.unclear(ctx, it, r, "the service does not know the update, although the pipeline is there: "+cause.Error(), r.RawState)
}

// eventsLate is how long events of an update that has failed are waited for.
const eventsLate = 10 * time.Second

// finish ends the task of an update that is over.
func (f *Follower) finish(ctx context.Context, it *item, r *ondemand.Run, u Update) (time.Duration, bool) {
	about := EventQuery{Pipeline: r.PipelineID, Update: r.UpdateID, Since: u.Created}
	var to ondemand.Status
	var text string
	switch u.Status() {
	case ondemand.RunSuccess:
		to, text = ondemand.Success, fmt.Sprintf("update %s COMPLETED", r.UpdateID)
		if !r.CancelTime.IsZero() {
			text += " before it could be stopped"
		}
	case ondemand.RunCancelled:
		to, text = ondemand.Skipped, r.Cancelled()+": the update was stopped"
		if r.CancelTime.IsZero() {
			text = fmt.Sprintf("cancelled: update %s was stopped by somebody else", r.UpdateID)
		}
	default:
		why, ok := f.failure(ctx, about)
		if !ok && !it.asked {
			it.asked = true
			return eventsLate, false
		}
		to, text = ondemand.Failed, fmt.Sprintf("update %s FAILED: %s", r.UpdateID, why)
		if next := f.retried(ctx, r, u); next != "" {
			text += fmt.Sprintf("; the service itself started update %s after it, which this task does not follow", next)
		}
	}
	end := f.Now()
	about.Last = true
	if last, err := f.Service.Events(ctx, about); err == nil && len(last) > 0 {
		end = last[0].Time
	}
	if ctx.Err() != nil {
		return f.PollFirst, false
	}
	return f.end(ctx, it, to, with(text, r), func(r *ondemand.Run) {
		f.note(r, u)
		r.EndTime = end.UTC().Round(0)
		r.LastStateChange = r.EndTime
	})
}

// maxFailure bounds the text of why an update failed, in bytes.
const maxFailure = 2 << 10

// failure returns why an update failed, by its error events; ok is false where there are none, which may come late.
func (f *Follower) failure(ctx context.Context, about EventQuery) (text string, ok bool) {
	about.ErrorsOnly = true
	list, err := f.Service.Events(ctx, about)
	if err != nil {
		return "its events cannot be read: " + err.Error(), false
	}
	var lines []string
	seen := make(map[string]bool)
	for _, e := range list {
		if len(e.Exceptions) == 0 {
			e.Exceptions = []string{e.Message}
		}
		for _, line := range e.Exceptions {
			if line != "" && !seen[line] {
				seen[line] = true
				lines = append(lines, line)
			}
		}
	}
	if len(lines) == 0 {
		return "it has no error events", false
	}
	text = strings.Join(lines, "; ")
	if len(text) > maxFailure {
		text = strings.ToValidUTF8(text[:maxFailure-len("…")], "") + "…"
	}
	return text, true
}

// retried returns the update that the service started by itself after one that failed; "" where it has none yet.
func (f *Follower) retried(ctx context.Context, r *ondemand.Run, u Update) string {
	list, err := f.Service.Updates(ctx, r.PipelineID, u.Created)
	if err != nil {
		return ""
	}
	for _, next := range list {
		if next.Cause == "RETRY_ON_FAILURE" && next.ID != r.UpdateID {
			return next.ID
		}
	}
	return ""
}
