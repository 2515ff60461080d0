package pipelines

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

// holdStart notes that no other task may start an update of the pipeline, where an earlier process may have sent a start whose
// answer is not stored.
func (f *Follower) holdStart(ctx context.Context, id string) {
	t, err := f.Tasks.Get(ctx, id)
	if err == nil && t.Run != nil && t.Run.UpdateID == "" && !t.Run.SentTime.IsZero() {
		f.mayStart(t.Run.PipelineID, id)
	}
}

// mayStart reports whether the task is the one that may start an update of the pipeline, which it is until releaseStart.
func (f *Follower) mayStart(pipeline, task string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.starting[pipeline] == "" {
		f.starting[pipeline] = task
	}
	return f.starting[pipeline] == task
}

func (f *Follower) releaseStart(task string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for pipeline, by := range f.starting {
		if by == task {
			delete(f.starting, pipeline)
		}
	}
}

// begin starts an update where none is active, or does what is configured where one is.
func (f *Follower) begin(ctx context.Context, it *item, t ondemand.Task) (time.Duration, bool) {
	r := t.Run
	if f.Tasks.Paused() != nil || !f.mayStart(r.PipelineID, it.id) {
		return f.PollFirst / 2, false
	}
	p, err := f.Service.Pipeline(ctx, r.PipelineID)
	if err != nil {
		f.releaseStart(it.id)
		return f.notStarted(ctx, it, r, err)
	}
	if f.Observe {
		return f.end(ctx, it, ondemand.Success, with(fmt.Sprintf("mode observe: an update of pipeline %s would be started%s, nothing was", nameOf(p), fullText(r)), r),
			func(r *ondemand.Run) { r.PipelineName = p.Name })
	}
	if u, active := p.Active(); active {
		f.releaseStart(it.id)
		return f.meet(ctx, it, r, p, u)
	}
	return f.send(ctx, it, r, p)
}

// meet does what is configured for a pipeline with an active update.
func (f *Follower) meet(ctx context.Context, it *item, r *ondemand.Run, p Pipeline, u Update) (time.Duration, bool) {
	says := fmt.Sprintf("update %s of pipeline %s, which this task did not start, is %s", u.ID, nameOf(p), stateOf(u))
	alwaysActive := p.Continuous() && u.State == "RUNNING" && !r.FullRefresh
	switch {
	case f.WhenActive == Fail:
		return f.end(ctx, it, ondemand.Failed, says+": none was started, since pipelines.active_update is fail", func(r *ondemand.Run) { r.PipelineName = p.Name })
	case f.WhenActive == Join || alwaysActive:
		_, err := f.update(ctx, it, func(t *ondemand.Task) {
			t.Run.Joined, t.StatusMessage = true, says+": it is followed"
			f.setStart(t.Run, u.ID, u.Created)
			t.Run.PipelineName, t.Run.RawState, t.Run.Status = p.Name, u.State, u.Status()
		})
		if err != nil {
			return f.stumble(it, err)
		}
		return 0, false
	}
	return f.wait(ctx, it, r, p.Name, says)
}

// wait lets the task wait, until the limit.
func (f *Follower) wait(ctx context.Context, it *item, r *ondemand.Run, name, says string) (time.Duration, bool) {
	lasted, store := it.waiting.elapsed(r.WaitedSeconds)
	if lasted >= f.Limit {
		return f.end(ctx, it, ondemand.Failed, fmt.Sprintf("waited %v, and no update could be started: %s", lasted.Round(time.Second), says), nil)
	}
	if store || r.UnknownSeconds != 0 {
		it.unknown = span{}
		if _, err := f.update(ctx, it, func(t *ondemand.Task) {
			t.Run.WaitedSeconds, t.Run.UnknownSeconds = secondsOf(lasted), 0
			t.Run.PipelineName, t.StatusMessage = name, says+": waiting for its end"
		}); err != nil {
			return f.stumble(it, err)
		}
	}
	return f.later(it), false
}

// send stores that the start is about to be sent, sends it, and stores the id of the update.
func (f *Follower) send(ctx context.Context, it *item, r *ondemand.Run, p Pipeline) (time.Duration, bool) {
	var known []string
	var newest time.Time // by the clock of the service
	for _, u := range p.Latest {
		known = append(known, u.ID)
		if u.Created.After(newest) {
			newest = u.Created
		}
	}
	it.sent, it.unknown = span{}, span{}
	if _, err := f.update(ctx, it, func(t *ondemand.Task) {
		t.Run.SentTime, t.Run.Known, t.Run.KnownTime = f.Now().UTC().Round(0), known, newest.UTC()
		t.Run.PipelineName, t.Run.RunAs, t.Run.UnknownSeconds, t.Run.Warning = p.Name, p.RunAs, 0, f.warning(t, p)
		t.StatusMessage = "an update is being started"
	}); err != nil {
		return f.stumble(it, err)
	}
	it.sent.elapsed(0)
	id, err := f.Service.StartUpdate(ctx, r.PipelineID, r.FullRefresh)
	if err == nil {
		it.started = id
		return f.storeStart(ctx, it, id, f.Now())
	}
	switch policy.CodeOf(err) {
	case policy.CodeInvalid, policy.CodeUnauthenticated, policy.CodeForbidden, policy.CodeNotFound, policy.CodeConflict, policy.CodeTooLarge, policy.CodeRateLimited:
	default:
		f.Logger.Warn("whether an update of a pipeline was started is not known: the list of updates is asked", "task", it.id, "pipeline", r.PipelineID, "error", err)
		return f.PollFirst, false // find looks for it
	}
	t, storeErr := f.update(ctx, it, func(t *ondemand.Task) { t.Run.SentTime, t.Run.Known = time.Time{}, nil })
	if storeErr != nil {
		return f.stumble(it, storeErr) // find learns that nothing was started
	}
	f.releaseStart(it.id)
	if !t.Run.CancelTime.IsZero() {
		return f.end(ctx, it, ondemand.Skipped, t.Run.Cancelled()+"; no update was started", nil)
	}
	return f.refused(ctx, it, t.Run, err)
}

// refused decides what a refusal to start means: where there is an active update, that was why, whatever the answer says.
func (f *Follower) refused(ctx context.Context, it *item, r *ondemand.Run, refusal error) (time.Duration, bool) {
	code := policy.CodeOf(refusal)
	if code != policy.CodeConflict && code != policy.CodeInvalid {
		return f.notStarted(ctx, it, r, refusal)
	}
	p, err := f.Service.Pipeline(ctx, r.PipelineID)
	if err != nil {
		return f.notStarted(ctx, it, r, err)
	}
	if u, active := p.Active(); active {
		return f.meet(ctx, it, r, p, u)
	}
	if code == policy.CodeConflict { // it has ended meanwhile
		return f.wait(ctx, it, r, p.Name, refusal.Error())
	}
	return f.notStarted(ctx, it, r, refusal)
}

// notStarted ends a task whose update cannot be started, or has it tried again where the error may pass.
func (f *Follower) notStarted(ctx context.Context, it *item, r *ondemand.Run, err error) (time.Duration, bool) {
	if ctx.Err() != nil {
		return f.PollFirst, false
	}
	text := err.Error()
	switch code := policy.CodeOf(err); code {
	case policy.CodeNotFound:
		text = fmt.Sprintf("there is no pipeline %s in the workspace, or it may not be seen: %s", r.PipelineID, text)
	case policy.CodeForbidden:
		text = strings.TrimRight(text, ".") + " (the identity in use needs CAN_VIEW on the pipeline to look at it, CAN_RUN to start and stop its updates)"
	case policy.CodeInvalid, policy.CodeUnauthenticated, policy.CodeConflict, policy.CodeTooLarge:
	default:
		return f.unclear(ctx, it, r, "no update is started yet: "+text, "")
	}
	return f.end(ctx, it, ondemand.Failed, "no update was started: "+text, nil)
}

// find looks for the update that a start without a stored answer may have made; where there is none, the start is sent again.
func (f *Follower) find(ctx context.Context, it *item, t ondemand.Task) (time.Duration, bool) {
	r := t.Run
	f.mayStart(r.PipelineID, it.id)
	sent, _ := it.sent.elapsed(0)
	list, err := f.Service.Updates(ctx, r.PipelineID, r.KnownTime)
	switch {
	case ctx.Err() != nil:
		return f.PollFirst, false
	case policy.CodeOf(err) == policy.CodeNotFound:
		return f.end(ctx, it, ondemand.Failed, "pipeline deleted; whether an update had been started is not known: "+err.Error(), nil)
	case err != nil:
		return f.unclear(ctx, it, r, "whether an update was started is not known: "+err.Error(), "")
	}
	for _, u := range slices.Backward(list) { // the first one after it was sent
		if !slices.Contains(r.Known, u.ID) && (u.Cause == "API_CALL" || u.Cause == "") {
			f.Logger.Info("found the update of a pipeline whose start was not stored", "task", it.id, "pipeline", r.PipelineID, "update", u.ID)
			return f.storeStart(ctx, it, u.ID, u.Created)
		}
	}
	if sent < 2*f.PollFirst {
		return f.PollFirst, false // it may not be shown yet
	}
	if !r.CancelTime.IsZero() {
		return f.end(ctx, it, ondemand.Skipped, r.Cancelled()+"; no update was started", nil)
	}
	if _, err := f.update(ctx, it, func(t *ondemand.Task) {
		t.Run.SentTime, t.Run.Known, t.StatusMessage = time.Time{}, nil, "no update was started yet: the request got no answer"
	}); err != nil {
		return f.stumble(it, err)
	}
	f.releaseStart(it.id)
	return f.later(it), false
}

// storeStart stores which update was started.
func (f *Follower) storeStart(ctx context.Context, it *item, id string, at time.Time) (time.Duration, bool) {
	t, err := f.update(ctx, it, func(t *ondemand.Task) {
		f.setStart(t.Run, id, at)
		if t.Run.CancelTime.IsZero() {
			t.StatusMessage = "update " + id + " was started"
		}
	})
	if err != nil {
		return f.stumble(it, err)
	}
	it.started, it.delay = "", f.PollFirst
	f.releaseStart(it.id)
	f.Logger.Info("an update of a pipeline was started", "task", it.id, "run", t.Run.ID, "full refresh", t.Run.FullRefresh)
	if !t.Run.CancelTime.IsZero() {
		return 0, false
	}
	return f.later(it), false
}

func (f *Follower) setStart(r *ondemand.Run, id string, at time.Time) {
	r.SetUpdate(id)
	r.UpdateLink = r.Link + "/updates/" + id
	r.Status, r.StartTime, r.LastStateChange = ondemand.RunRunning, at.UTC().Round(0), f.Now().UTC().Round(0)
	r.Known, r.WaitedSeconds, r.UnknownSeconds = nil, 0, 0
}

func nameOf(p Pipeline) string {
	if p.Name == "" {
		return p.ID
	}
	return fmt.Sprintf("%s (%s)", p.Name, p.ID)
}

func stateOf(u Update) string {
	if u.State == "" {
		return "in no state"
	}
	return u.State
}

func fullText(r *ondemand.Run) string {
	if r.FullRefresh {
		return " with full_refresh"
	}
	return ""
}

// warning returns what is to be known of the results of a refresh whose pipeline runs as somebody whom row filters and masks bind.
func (f *Follower) warning(t *ondemand.Task, p Pipeline) string {
	exempt := func(name string) bool { return strings.EqualFold(name, p.RunAs) }
	if len(t.Causes()) == 0 || p.RunAs == "" || slices.ContainsFunc(f.Exempt, exempt) {
		return ""
	}
	return fmt.Sprintf("the pipeline runs as %s, whom row filters and masks bind unless a group of protection.exempt has it: what these hide from it is missing in the results", p.RunAs)
}

// with returns a message with the parameters that had no effect, and the warning of the run.
func with(message string, r *ondemand.Run) string {
	if len(r.Ignored) > 0 {
		message += "; ignored, since only full_refresh is sent: " + strings.Join(r.Ignored, ", ")
	}
	if r.Warning != "" {
		message += "; " + r.Warning
	}
	return message
}
