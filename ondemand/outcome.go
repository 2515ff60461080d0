package ondemand

import (
	"context"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"ucwarden/policy"
)

// verdict turns what a handler returned into the end of every task of the job.
type verdict struct {
	job         Job
	outcome     Outcome
	err         error
	interrupted bool // by a shutdown: the attempt does not count
	early       map[string]bool
	maxAttempts int
	backoff     func(attempt int) time.Duration
}

// checkOutcome refuses an outcome that does not answer for each resource.
func checkOutcome(job Job, out Outcome) error {
	if len(out.Results) != len(job.Resources) {
		return policy.Errorf(policy.CodeInternal, "internal fault: the handler gave %d results for %d resources", len(out.Results), len(job.Resources))
	}
	for i, res := range out.Results {
		if !res.Status.Terminal() {
			return policy.Errorf(policy.CodeInternal, "internal fault: the handler left resource %d with status %q", i, res.Status)
		}
	}
	return nil
}

// commit moves every task of the job that is still INPROGRESS, and stores the leader's children.
func (v *verdict) commit(tx *bolt.Tx, newID func() string, now time.Time) ([]change, error) {
	results := make(map[policy.Securable]ResourceResult, len(v.outcome.Results))
	for i, res := range v.outcome.Results {
		if v.err != nil {
			break
		}
		if s, err := v.job.Resources[i].Securable(); err == nil {
			results[s] = res
		}
	}
	var changes []change
	for i, claimed := range append([]Task{v.job.Task}, v.job.Followers...) {
		t, found, err := loadTask(tx, claimed.ID)
		if err != nil {
			return nil, err
		}
		if !found || t.Status != InProgress {
			continue // cancelled while it ran
		}
		var done []change
		switch {
		case v.err != nil:
			done, err = v.failed(tx, t, claimed.NotBefore, now)
		case i == 0 && len(v.outcome.Children) > 0:
			done, err = v.split(tx, t, results, newID, now)
		default:
			done, err = v.ended(tx, t, i == 0, results, now)
		}
		if err != nil {
			return nil, err
		}
		changes = append(changes, done...)
	}
	if len(changes) == 0 {
		return nil, policy.Errorf(policy.CodeConflict, "finish: every task of the job was cancelled")
	}
	return changes, nil
}

// ended ends a task by its results.
func (v *verdict) ended(tx *bolt.Tx, t Task, leader bool, results map[policy.Securable]ResourceResult, now time.Time) ([]change, error) {
	t.Resources = resultsOf(&t, results)
	status, message := aggregate(t.Resources)
	t.StatusMessage = message
	if leader {
		t.StatusMessage = join(v.outcome.Message, message)
	}
	return endTask(tx, t, status, message, now)
}

// split stores the children of a task, which stays INPROGRESS until they have ended.
func (v *verdict) split(tx *bolt.Tx, t Task, results map[policy.Securable]ResourceResult, newID func() string, now time.Time) ([]change, error) {
	if err := dropShards(tx, t.ID); err != nil {
		return nil, err
	}
	t.Resources = resultsOf(&t, results)
	t.StatusMessage = v.outcome.Message
	t.Children = &Children{Total: len(v.outcome.Children)}
	if err := storeTask(tx, &t, InProgress); err != nil {
		return nil, err
	}
	changes := []change{{task: t, from: InProgress}}
	for _, child := range v.outcome.Children {
		child.ID, child.ParentID, child.Status, child.ReceivedTime = newID(), t.ID, New, now.UTC().Round(0)
		if child.Priority == 0 {
			child.Priority = ShardPriority
		}
		if err := storeTask(tx, &child, ""); err != nil {
			return nil, err
		}
		key := familyKey(t.ID, []byte(child.ID))
		if err := tx.Bucket(bucketShards).Put(key, []byte{statusBytes[New]}); err != nil {
			return nil, err
		}
		changes = append(changes, change{task: child})
	}
	return changes, nil
}

// failed sends a task back to wait for another attempt, or ends it. due is where a task that ran early came from.
func (v *verdict) failed(tx *bolt.Tx, t Task, due, now time.Time) ([]change, error) {
	again := func(notBefore time.Time, reason string) ([]change, error) {
		t.StatusMessage = reason
		t.NotBefore = notBefore.UTC().Round(0)
		c, err := moveTask(tx, t, Waiting, reason, now)
		return []change{c}, err
	}
	if v.interrupted {
		if !v.early[t.ID] {
			t.Attempts--
		}
		return again(due, "interrupted by a shutdown")
	}
	message := v.err.Error()
	if !retryable(v.err) {
		t.StatusMessage = message
		return endTask(tx, t, Failed, message, now)
	}
	switch {
	case v.early[t.ID]:
		return again(due, message)
	case t.Attempts < v.maxAttempts:
		return again(now.Add(v.backoff(t.Attempts)), message)
	}
	t.StatusMessage = fmt.Sprintf("gave up after %d attempts: %s", t.Attempts, message)
	return endTask(tx, t, Failed, t.StatusMessage, now)
}

// retryable reports whether another attempt may help. A deadline that passed is another side that did not answer,
// also where nobody classified it.
func retryable(err error) bool {
	if code := policy.CodeOf(err); code != policy.CodeInternal {
		return code.Retryable()
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// resultsOf gives the results for a task's own resources, in their order and spelling. Illegal ones are SKIPPED.
func resultsOf(t *Task, results map[policy.Securable]ResourceResult) []ResourceResult {
	if len(t.RequestInfo.Resources) == 0 {
		return nil
	}
	list := make([]ResourceResult, len(t.RequestInfo.Resources))
	for i, r := range t.RequestInfo.Resources {
		s, err := r.Securable()
		res, ok := results[s]
		switch {
		case err != nil:
			res = ResourceResult{Status: Skipped, Message: err.Error()}
		case !ok:
			res = ResourceResult{Status: Skipped, Message: "not carried out"}
		}
		res.Type, res.Values = r.Type, r.Values
		list[i] = res
	}
	return list
}

// aggregate is the status of a task of several resources, with one line about what did not succeed: FAILED if any
// failed, SKIPPED if all were skipped, else SUCCESS.
func aggregate(results []ResourceResult) (Status, string) {
	var failed, skipped int
	var firstFailed, firstSkipped string
	for _, r := range results {
		switch r.Status {
		case Failed:
			if failed++; firstFailed == "" {
				firstFailed = r.Message
			}
		case Skipped:
			if skipped++; firstSkipped == "" {
				firstSkipped = r.Message
			}
		}
	}
	n := len(results)
	switch {
	case failed > 0 && n == 1:
		return Failed, firstFailed
	case failed > 0:
		return Failed, join(fmt.Sprintf("%d of %d resources failed", failed, n), firstFailed)
	case n == 1 && skipped == 1:
		return Skipped, firstSkipped
	case n > 0 && skipped == n:
		return Skipped, join(fmt.Sprintf("all %d resources were skipped", n), firstSkipped)
	case skipped > 0:
		return Success, join(fmt.Sprintf("%d of %d resources were skipped", skipped, n), firstSkipped)
	}
	return Success, ""
}
