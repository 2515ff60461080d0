package ondemand

import (
	"context"
	"encoding/json"
	"time"
)

// Status is where a task stands. A task moves
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
	// Success: every resource was brought in accord, or was skipped while others were.
	Success Status = "SUCCESS"
	// Failed: some resource could not be brought in accord, and the attempts are spent or the error is permanent.
	Failed Status = "FAILED"
	// Skipped: well-formed but not to be done: unsupported type, resource gone, cancelled, superseded.
	Skipped Status = "SKIPPED"
)

// Terminal reports whether the status is final.
func (s Status) Terminal() bool { return s == Success || s == Failed || s == Skipped }

// Type is what a task asks for.
type Type string

// The task types.
const (
	ResourceSync   Type = "RESOURCE_SYNC"
	FullSync       Type = "FULL_SYNC"
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
	ParentID      string           `json:"parentId,omitempty"`
	Priority      int              `json:"priority"` // higher first; 0 is on-demand work, full-sync shards are below
	ReceivedTime  time.Time        `json:"receivedTime,omitzero"`
	NotBefore     time.Time        `json:"notBefore,omitzero"` // of the next attempt
	StartTime     time.Time        `json:"startTime,omitzero"`
	EndTime       time.Time        `json:"endTime,omitzero"`
	Resources     []ResourceResult `json:"resources,omitempty"`
	Transitions   []Transition     `json:"transitions,omitempty"`

	// Children counts the tasks that this one was split into. While some of them are open the task is INPROGRESS
	// without holding a worker, and it ends when the last of them does.
	Children *Children `json:"children,omitempty"`

	// Extra keeps the fields of the input that are none of the above, so that producers find them again.
	Extra map[string]json.RawMessage `json:"-"`
}

// Children counts the tasks a parent was split into, by how they ended.
type Children struct {
	Total     int `json:"total"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Skipped   int `json:"skipped"`
}

// Open is the number of children that have not ended yet.
func (c Children) Open() int { return c.Total - c.Succeeded - c.Failed - c.Skipped }

// RequestInfo says what to sync. Unknown fields are kept in Extra.
type RequestInfo struct {
	Resources []Resource                 `json:"resources,omitempty"`
	Approve   string                     `json:"approve,omitempty"` // digest of a plan that a guard refused and a person approved
	Extra     map[string]json.RawMessage `json:"-"`
}

// Resource names one object by its parts: type "table" with values catalog, schema and table.
type Resource struct {
	Type   string                     `json:"type"`
	Values map[string]string          `json:"values,omitempty"`
	Extra  map[string]json.RawMessage `json:"-"`
}

// ResourceResult is what became of one resource of a task, in the order of RequestInfo.Resources.
type ResourceResult struct {
	Type    string            `json:"type"`
	Values  map[string]string `json:"values,omitempty"`
	Status  Status            `json:"status"`
	Message string            `json:"message,omitempty"`
	Changes []Change          `json:"changes,omitempty"`
}

// Change is what was applied for one principal on one securable.
type Change struct {
	Securable string   `json:"securable"` // TYPE:full.name
	Principal string   `json:"principal"`
	Add       []string `json:"add,omitempty"`
	Remove    []string `json:"remove,omitempty"`
}

// Transition is one step of a task's life.
type Transition struct {
	From   Status    `json:"from"`
	To     Status    `json:"to"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason,omitempty"`
}

// Job is what a worker hands to a Handler: one claimed task, with the WAITING tasks that its run covers (twins of
// the same resource, tables of a catalog being synced), which end together with it.
type Job struct {
	Task      Task       // the leader
	Followers []Task     // may be empty
	Resources []Resource // of all of them, without duplicates; only ones that parsed as legal
}

// Outcome is the result of a job.
type Outcome struct {
	// Results holds one result for each of Job.Resources, in their order.
	Results []ResourceResult
	// Children are tasks to commit together with the end of the leader (the shards of a full sync).
	Children []Task
	// Message is for the leader's statusMessage; may be empty.
	Message string
}

// Handler carries out jobs. It may be called for the same task again after a crash or a failure, and must end in the
// same state. An error of a retryable class (policy.CodeOf) leads to another attempt, any other to FAILED; with a nil
// error the results decide. When ctx ends because of a shutdown the task goes back to WAITING, uncounted.
type Handler interface {
	Handle(ctx context.Context, job Job) (Outcome, error)
}
