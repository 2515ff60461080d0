package ondemand

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"ucwarden/policy"
)

// Status is the state of a task. A task moves
//
//	NEW → WAITING → INPROGRESS → SUCCESS | FAILED | SKIPPED
//
// and back from INPROGRESS to WAITING for a further attempt; a terminal status is never left except by an explicit
// retry, which starts over from WAITING.
type Status string

const (
	// New: stored, and so durable; not yet admitted.
	New Status = "NEW"
	// Waiting: admitted, or between two attempts.
	Waiting Status = "WAITING"
	// InProgress: claimed by a worker.
	InProgress Status = "INPROGRESS"
	// Success: every resource is in sync, or some are and the others were skipped.
	Success Status = "SUCCESS"
	// Failed: a resource could not be synced, and the attempts are used up or the error is permanent.
	Failed Status = "FAILED"
	// Skipped: well-formed but not to be done: unsupported type, resource gone, cancelled, superseded.
	Skipped Status = "SKIPPED"
)

// Terminal reports whether the status is final.
func (s Status) Terminal() bool { return s == Success || s == Failed || s == Skipped }

// Urgent is the priority of tasks that cannot wait for others: one of them runs even where every worker has a job.
const Urgent = 100

// ShardPriority is the priority of children without one of their own: below on-demand work.
const ShardPriority = -10

// KeepFirst is the number of a task's first transitions that are kept; Task.LeftOut counts those left out after them.
const KeepFirst = 20

// Type is what a task asks for.
type Type string

// The task types: sync the named resources, sync everything in scope, sync what validity schedules opened or closed, run a
// pipeline update.
const (
	ResourceSync   Type = "RESOURCE_SYNC"
	FullSync       Type = "FULL_SYNC"
	ValiditySync   Type = "VALIDITY_SYNC"
	PipelineUpdate Type = "PIPELINE_UPDATE"
)

// Task is a durable request. The JSON form is the wire contract of the REST API and of Event Hubs, and the form in
// the store.
type Task struct {
	ID          string      `json:"id"`
	Type        Type        `json:"type"`
	AppType     string      `json:"appType,omitempty"`
	AppSubType  string      `json:"appSubType,omitempty"`
	Source      string      `json:"source,omitempty"`
	CreateTime  time.Time   `json:"createTime,omitzero"`
	RequestInfo RequestInfo `json:"requestInfo"`

	Status        Status           `json:"status"`
	StatusMessage string           `json:"statusMessage,omitempty"`
	Attempts      int              `json:"attempts"`
	Crashes       int              `json:"crashes,omitempty"`  // of the attempts, those during which the process stopped
	RanAlone      bool             `json:"ranAlone,omitempty"` // no other job ran beside the last attempt, to find the cause of crashes
	ParentID      string           `json:"parentId,omitempty"`
	PostedBy      string           `json:"postedBy,omitempty"`  // who submitted it, as verified: the subject of a token, a person at the terminal, the event hub
	RetriedBy     string           `json:"retriedBy,omitempty"` // who had it, or the full sync it is part of, start over last, as verified
	Priority      int              `json:"priority"`            // higher runs first; 0 is on-demand work, full-sync shards are below, [Urgent] above
	ReceivedTime  time.Time        `json:"receivedTime,omitzero"`
	NotBefore     time.Time        `json:"notBefore,omitzero"` // earliest time of the next attempt
	StartTime     time.Time        `json:"startTime,omitzero"`
	EndTime       time.Time        `json:"endTime,omitzero"`
	PolicyVersion int64            `json:"policyVersion,omitempty"` // of the policies that were enforced
	Resources     []ResourceResult `json:"resources,omitempty"`
	Transitions   []Transition     `json:"transitions,omitempty"`
	// LeftOut counts transitions that are not kept, between the first and the last ones.
	LeftOut int `json:"transitionsLeftOut,omitempty"`

	// Children counts the tasks that this one was split into. While some of them are open the task is INPROGRESS
	// without holding a worker, and it ends when the last of them does.
	Children *Children `json:"children,omitempty"`

	// Run is the update of a pipeline that the task started, follows, or is about to start.
	Run *Run `json:"pipelineRun,omitempty"`

	// SupersededBy is the task that does what this one asked for, which ended SKIPPED because of it.
	SupersededBy string `json:"supersededBy,omitempty"`

	// Pending are tasks that do what this one left to them.
	Pending []PendingTask `json:"pending,omitempty"`

	// Traceparent is the span of whoever asked for the task, as W3C Trace Context writes it; its runs are recorded under that.
	Traceparent string `json:"traceparent,omitempty"`

	// Extra keeps unknown fields of the input, so that producers get them back.
	Extra map[string]json.RawMessage `json:"-"`
}

// AskedBy returns who asked for what the task does, as verified: who had it start over last, else who submitted it; "" where the
// daemon asked for it by itself.
func (t *Task) AskedBy() string { return cmp.Or(t.RetriedBy, t.PostedBy) }

// PendingTask is a task that does what another one left to it.
type PendingTask struct {
	ID       string   `json:"id"`
	Resource Resource `json:"resource"`
	Reason   string   `json:"reason"`
}

// Children counts the tasks a parent was split into, by how they ended.
type Children struct {
	Total     int `json:"total"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Skipped   int `json:"skipped"`
}

// Open returns the number of children that have not ended.
func (c Children) Open() int { return c.Total - c.Succeeded - c.Failed - c.Skipped }

// RequestInfo says what to sync. Unknown fields are kept in Extra.
type RequestInfo struct {
	Resources []Resource                 `json:"resources,omitempty"`
	Approve   string                     `json:"approve,omitempty"` // digest of a plan that a guard refused and an operator approved
	Plan      string                     `json:"plan,omitempty"`    // digest of a saved plan: that is done, or nothing
	Extra     map[string]json.RawMessage `json:"-"`
}

// Resource names one object by its parts: type "table" with values catalog, schema and table.
type Resource struct {
	Type   string                     `json:"type"`
	Values map[string]string          `json:"values,omitempty"`
	Extra  map[string]json.RawMessage `json:"-"`
}

// ResourceResult is the result of one resource of a task. Results are in the order of RequestInfo.Resources.
type ResourceResult struct {
	Type    string            `json:"type"`
	Values  map[string]string `json:"values,omitempty"`
	Status  Status            `json:"status"`
	Message string            `json:"message,omitempty"`
	Changes []Change          `json:"changes,omitempty"`
	// WouldChange is, in mode observe, what would have been changed.
	WouldChange []Change `json:"wouldChange,omitempty"`
}

// Change is what was added and removed for one principal on one securable.
type Change struct {
	Securable string   `json:"securable"` // TYPE:full.name
	Principal string   `json:"principal"`
	Add       []string `json:"add,omitempty"`
	Remove    []string `json:"remove,omitempty"`
	// Causes says why, by privilege: which policy item, for example.
	Causes map[string]string `json:"causes,omitempty"`
	// PutBack are those of Add that the last sync had made sure of, so that others took them away.
	PutBack []string `json:"putBack,omitempty"`
}

// Drift is what a job found that others changed: how many grants they made and no policy asks for, how many they took away, and how many
// row filters and masks they took off or changed.
type Drift struct {
	Excess, Missing  int
	Removed, PutBack int      // of the excess, and of the missing ones, those that the job put right
	Securables       []string // the first of those they are on

	Protection, Protected int      // row filters and masks, and those of them that the job put back
	Tables                []string // the first of those they are on
}

// PutRight returns what was put right of the drift: the rest is found again by the next attempt.
func (d Drift) PutRight() Drift {
	d.Excess, d.Missing, d.Protection = d.Removed, d.PutBack, d.Protected
	return d
}

// None reports whether there is no drift.
func (d Drift) None() bool { return d.Excess+d.Missing+d.Protection == 0 }

// Transition is one change of a task's status.
type Transition struct {
	From   Status    `json:"from"`
	To     Status    `json:"to"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason,omitempty"`
}

// Job is what a worker passes to a Handler: one claimed task, with the WAITING tasks that its run covers (tasks for the
// same resources, or for tables of a catalog being synced), which end together with it.
type Job struct {
	Task      Task       // the leader
	Followers []Task     // may be empty
	Resources []Resource // of all these tasks, without duplicates; valid ones only
	// Securables are what Resources name, in their order.
	Securables []policy.Securable
	// Yield reports whether tasks wait for the worker that the job has. A long job may end its run then, with
	// Outcome.Again, and go on later.
	Yield func() bool
}

// Outcome is the result of a job.
type Outcome struct {
	// Results holds one result for each of Job.Resources, in their order.
	Results []ResourceResult
	// Children are tasks to store in the same transaction as the leader's result (the shards of a full sync). The
	// leader then stays INPROGRESS until they have ended.
	Children []Task
	// Pending are tasks to store in that transaction, which nobody waits for: something is left to them. Each is named in those
	// of the job's tasks that have a resource in one of its own.
	Pending []Task
	// Next are tasks to store with the result, also where the handler returns an error: they follow from what was done until then. One
	// with the id of a task that waits joins that one, where that does the same ([Task.Joins]).
	Next []Task
	// Again says that the job is not done: the leader goes back to WAITING, behind on-demand work, and its handler is called
	// again. The attempt is not counted. There are no children then.
	Again bool
	// Run, where set, says that the leader goes on without a worker: it is stored with the leader, which stays INPROGRESS until
	// whoever follows runs ends it. There are no results then.
	Run *Run
	// Message goes into the leader's statusMessage; may be empty.
	Message string
	// Note goes into the statusMessage of every task of the job; may be empty.
	Note string
	// PolicyVersion is the version of the policies by which the job was done; 0 where there is none.
	PolicyVersion int64
	// Drift is what the job found that others changed, also where the handler returns an error.
	Drift Drift
}

// SetTraceparent records what the tasks of an outcome do under the span that traceparent names, unless they have one of their own.
func (o *Outcome) SetTraceparent(traceparent string) {
	for _, list := range [][]Task{o.Children, o.Pending, o.Next} {
		for i := range list {
			list[i].Traceparent = cmp.Or(list[i].Traceparent, traceparent)
		}
	}
}

// Handler runs jobs. It may be called for the same task again after a crash or a failure, and must be idempotent. After
// an error of a retryable class (policy.CodeOf) the tasks get another attempt, after any other they end FAILED; with a
// nil error the results decide. When ctx ends because of a shutdown, the tasks go back to WAITING and the attempt is
// not counted. Of the outcome beside an error the message counts, which may say what was done until then: the results of the
// last attempt do not have it.
type Handler interface {
	Handle(ctx context.Context, job Job) (Outcome, error)
}

// Queued reports whether a task of this status waits for its first or next attempt.
func (s Status) Queued() bool { return s == New || s == Waiting }
