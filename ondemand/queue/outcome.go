package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// completion turns what a handler returned into the next status of every task of the job.
type completion struct {
	job         ondemand.Job
	named       map[string][]policy.Securable // see run.named
	outcome     ondemand.Outcome
	err         error
	interrupted bool            // by a shutdown: the attempt does not count
	early       map[string]bool // tasks that ran before their NotBefore: the attempt does not count
	maxAttempts int
	backoff     func(attempt int) time.Duration
}

// checkOutcome returns an error unless the outcome has a final result for each resource of the job.
func checkOutcome(job ondemand.Job, out ondemand.Outcome) error {
	if out.Run != nil {
		return nil // the end of the run is the result
	}
	if len(out.Results) != len(job.Resources) {
		return policy.Errorf(policy.CodeInternal, "internal error: the handler returned %d results for %d resources", len(out.Results), len(job.Resources))
	}
	for i, res := range out.Results {
		if !res.Status.Terminal() {
			return policy.Errorf(policy.CodeInternal, "internal error: the handler left resource %d with status %q", i, res.Status)
		}
	}
	return nil
}

// commit moves every task of the job that is still INPROGRESS, and stores the leader's children.
func (v *completion) commit(tx *store.Tx, newID func() string, now time.Time) ([]change, error) {
	results := make(map[policy.Securable]ondemand.ResourceResult, len(v.outcome.Results))
	for i, res := range v.outcome.Results {
		if v.err != nil {
			break
		}
		results[v.job.Securables[i]] = res
	}
	var changes []change
	pending := make([]ondemand.Task, 0, len(v.outcome.Pending))
	for _, t := range v.outcome.Pending {
		if v.err == nil {
			pending = append(pending, part(t, newID(), now))
		}
	}
	for i, claimed := range append([]ondemand.Task{v.job.Task}, v.job.Followers...) {
		t, found, err := records.Load(tx, claimed.ID)
		if err != nil {
			return nil, err
		}
		if !found || t.Status != ondemand.InProgress {
			continue // cancelled while it ran
		}
		var done []change
		switch {
		case v.err != nil:
			done, err = v.retryOrFail(tx, t, claimed.NotBefore, now)
		case i == 0 && v.outcome.Run != nil:
			done, err = v.storeRun(tx, t)
		case i == 0 && v.outcome.Again:
			done, err = v.putBack(tx, t, now)
		case i == 0 && len(v.outcome.Children) > 0:
			done, err = v.storeChildren(tx, t, results, newID, now)
		default:
			t.Pending = pendingOf(pending, v.named[t.ID])
			done, err = v.endByResults(tx, t, i == 0, results, now)
		}
		if err != nil {
			return nil, err
		}
		changes = append(changes, done...)
	}
	next, err := storeNext(tx, v.outcome.Next, newID, now)
	if err != nil {
		return nil, err
	}
	if changes = append(changes, next...); len(changes) == 0 {
		return nil, policy.Errorf(policy.CodeConflict, "finish: every task of the job was cancelled")
	}
	for _, t := range pending {
		if err := records.Store(tx, &t, ""); err != nil {
			return nil, err
		}
		changes = append(changes, change{task: &t})
	}
	return changes, nil
}

// storeNext stores tasks that follow from what a job did. One that is there and waits is joined; one that is not to be had again has
// another id.
func storeNext(tx *store.Tx, list []ondemand.Task, newID func() string, now time.Time) ([]change, error) {
	var changes []change
	for _, t := range list {
		there, found, err := records.Load(tx, t.ID)
		if err != nil {
			return nil, err
		}
		if found && there.Status.Queued() && there.Joins(&t) {
			if err := there.Join(&t); err != nil {
				return nil, err
			}
			if err := records.Store(tx, &there, there.Status); err != nil { // memory has nothing of what changed
				return nil, err
			}
			continue
		}
		id := t.ID
		if found || id == "" {
			id = newID()
		}
		t = part(t, id, now)
		if err := records.Store(tx, &t, ""); err != nil {
			return nil, err
		}
		changes = append(changes, change{task: &t})
	}
	return changes, nil
}

// part returns a task that a job asks for, as it is stored.
func part(t ondemand.Task, id string, now time.Time) ondemand.Task {
	t.ID, t.Status, t.ReceivedTime = id, ondemand.New, now.UTC().Round(0)
	if t.Priority == 0 {
		t.Priority = ondemand.ShardPriority
	}
	return t
}

// pendingOf names those of the tasks that have a resource which contains one of the named ones.
func pendingOf(tasks []ondemand.Task, named []policy.Securable) []ondemand.PendingTask {
	var list []ondemand.PendingTask
	for _, t := range tasks {
		for i, s := range ondemand.SecurablesOf(t.RequestInfo.Resources) {
			if slices.ContainsFunc(named, func(n policy.Securable) bool { return s == n || s.Contains(n) }) {
				list = append(list, ondemand.PendingTask{ID: t.ID, Resource: t.RequestInfo.Resources[i], Reason: fmt.Sprintf("USE_* on %s, and inside, once all of it has been looked at", s)})
				break
			}
		}
	}
	return list
}

// endByResults ends a task with the status that its results add up to.
func (v *completion) endByResults(tx *store.Tx, t ondemand.Task, leader bool, results map[policy.Securable]ondemand.ResourceResult, now time.Time) ([]change, error) {
	t.Resources = resultsOf(&t, v.named[t.ID], results)
	status, message := aggregateResults(t.Resources)
	for _, p := range t.Pending {
		message = joinMessages(message, "pending with task "+p.ID+": "+p.Reason)
	}
	t.StatusMessage = message
	if leader {
		t.StatusMessage = joinMessages(v.outcome.Message, message)
	}
	t.PolicyVersion, t.StatusMessage = v.outcome.PolicyVersion, joinMessages(v.outcome.Note, t.StatusMessage)
	if message == "" {
		message = "done"
	}
	return endTask(tx, t, status, message, now)
}

// putBack moves a task whose job goes on later back to WAITING, behind on-demand work.
func (v *completion) putBack(tx *store.Tx, t ondemand.Task, now time.Time) ([]change, error) {
	t.Attempts--
	t.Priority = min(t.Priority, ondemand.ShardPriority)
	t.StatusMessage = v.outcome.Message
	c, err := moveTask(tx, t, ondemand.Waiting, joinMessages("makes room for other tasks", v.outcome.Message), now)
	return []change{c}, err
}

// storeChildren stores the children of a task, which stays INPROGRESS until they have ended.
func (v *completion) storeChildren(tx *store.Tx, t ondemand.Task, results map[policy.Securable]ondemand.ResourceResult, newID func() string, now time.Time) ([]change, error) {
	if err := records.DeleteShards(tx, t.ID); err != nil {
		return nil, err
	}
	t.Resources = resultsOf(&t, v.named[t.ID], results)
	t.PolicyVersion, t.StatusMessage = v.outcome.PolicyVersion, joinMessages(v.outcome.Note, v.outcome.Message)
	t.Children = &ondemand.Children{Total: len(v.outcome.Children)}
	if err := records.Store(tx, &t, ondemand.InProgress); err != nil {
		return nil, err
	}
	changes := []change{{task: &t, from: ondemand.InProgress}}
	for _, child := range v.outcome.Children {
		child = part(child, newID(), now)
		child.ParentID, child.PostedBy, child.RetriedBy = t.ID, t.PostedBy, t.RetriedBy
		if err := records.Store(tx, &child, ""); err != nil {
			return nil, err
		}
		if err := records.SetShard(tx, t.ID, child.ID, ondemand.New); err != nil {
			return nil, err
		}
		changes = append(changes, change{task: &child})
	}
	return changes, nil
}

// retryOrFail moves a task whose handler returned an error back to WAITING, or ends it as FAILED. due is the NotBefore
// that the task had when it was claimed.
func (v *completion) retryOrFail(tx *store.Tx, t ondemand.Task, due, now time.Time) ([]change, error) {
	again := func(notBefore time.Time, reason string) ([]change, error) {
		t.StatusMessage = reason
		t.NotBefore = notBefore.UTC().Round(0)
		c, err := moveTask(tx, t, ondemand.Waiting, reason, now)
		return []change{c}, err
	}
	if v.interrupted {
		if !v.early[t.ID] {
			t.Attempts--
		}
		return again(due, joinMessages("interrupted by a shutdown", v.outcome.Message))
	}
	message := joinMessages(v.err.Error(), v.outcome.Message)
	if !retryable(v.err) {
		t.StatusMessage = message
		return endTask(tx, t, ondemand.Failed, message, now)
	}
	switch {
	case v.early[t.ID]:
		return again(due, message)
	case t.Attempts-t.Crashes < v.maxAttempts: // crashes are counted apart
		return again(now.Add(v.backoff(t.Attempts)), message)
	}
	t.StatusMessage = fmt.Sprintf("gave up after %d attempts: %s", t.Attempts, message)
	return endTask(tx, t, ondemand.Failed, t.StatusMessage, now)
}

// retryable reports whether another attempt may help. A deadline exceeded counts as a service that did not answer, even
// where the error has no class.
func retryable(err error) bool {
	if code := policy.CodeOf(err); code != policy.CodeInternal {
		return code.Retryable()
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// resultsOf returns the results of a task's own resources, which name the given securables, in their order and spelling.
// Invalid ones, which name none, are SKIPPED.
func resultsOf(t *ondemand.Task, named []policy.Securable, results map[policy.Securable]ondemand.ResourceResult) []ondemand.ResourceResult {
	if len(t.RequestInfo.Resources) == 0 {
		return nil
	}
	list := make([]ondemand.ResourceResult, len(t.RequestInfo.Resources))
	for i, r := range t.RequestInfo.Resources {
		res, ok := results[named[i]]
		switch {
		case named[i] == (policy.Securable{}):
			_, err := r.Securable() // again, for what is wrong with it
			res = ondemand.ResourceResult{Status: ondemand.Skipped, Message: err.Error()}
		case !ok:
			res = ondemand.ResourceResult{Status: ondemand.Skipped, Message: "the sync returned no result for it"}
		}
		res.Type, res.Values = r.Type, r.Values
		list[i] = res
	}
	return list
}

// aggregateResults returns the status of a task of several resources, with one line about what did not succeed: FAILED
// if any failed, SKIPPED if all were skipped, else SUCCESS.
func aggregateResults(results []ondemand.ResourceResult) (ondemand.Status, string) {
	var failed, skipped int
	var firstFailed, firstSkipped string
	for _, r := range results {
		switch r.Status {
		case ondemand.Failed:
			if failed++; firstFailed == "" {
				firstFailed = r.Message
			}
		case ondemand.Skipped:
			if skipped++; firstSkipped == "" {
				firstSkipped = r.Message
			}
		}
	}
	n := len(results)
	switch {
	case failed > 0 && n == 1:
		return ondemand.Failed, firstFailed
	case failed > 0:
		return ondemand.Failed, joinMessages(fmt.Sprintf("%d of %d resources failed", failed, n), firstFailed)
	case n == 1 && skipped == 1:
		return ondemand.Skipped, firstSkipped
	case n > 0 && skipped == n:
		return ondemand.Skipped, joinMessages(fmt.Sprintf("all %d resources were skipped", n), firstSkipped)
	case skipped > 0:
		return ondemand.Success, joinMessages(fmt.Sprintf("%d of %d resources were skipped", skipped, n), firstSkipped)
	}
	return ondemand.Success, ""
}
