package ondemand

import (
	"encoding/json"
	"time"

	"ucwarden/policy"
)

// Submission is the result of submitting one task.
type Submission struct {
	Task    Task
	Created bool  // false: a task with this id and content exists already
	Err     error // why this one was rejected, while others were stored
}

// EventTask is a task that arrived as an event, or as an element of one.
type EventTask struct {
	Task    Task
	EventID string // id where the task has none, or where it repeats an id with other content
}

// UnknownType is the type of a task whose document could not be read.
const UnknownType Type = "UNKNOWN"

// Position is how far a stream of events was read: everything up to Sequence is stored as tasks.
type Position struct {
	Stream   string    `json:"-"` // names one partition of one creation of a hub, for one consumer group
	Sequence int64     `json:"sequence"`
	Time     time.Time `json:"time"` // when the event was enqueued
}

// Pause says since when no job begins, and who asked for it.
type Pause struct {
	Since time.Time `json:"since"`
	By    string    `json:"by,omitempty"` // the subject of a token
}

// SameContent returns an error of class conflict when two tasks with the same id differ in what the client set.
func SameContent(old, t *Task) error {
	// Marshal normalises the escaping of unknown fields, so that only their meaning counts.
	content := func(t *Task) (string, error) {
		b, err := json.Marshal(Task{
			Type: t.Type, AppType: t.AppType, AppSubType: t.AppSubType, Source: t.Source,
			CreateTime: t.CreateTime, RequestInfo: t.RequestInfo, Extra: t.Extra,
		})
		return string(b), err
	}
	a, err := content(old)
	if err != nil {
		return err
	}
	b, err := content(t)
	if err != nil {
		return err
	}
	if a != b {
		return policy.Errorf(policy.CodeConflict, "task %s already exists with other content: choose another id", t.ID)
	}
	return nil
}
