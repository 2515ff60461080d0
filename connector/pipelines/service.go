package pipelines

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"time"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

// Pipeline is a pipeline of the workspace.
type Pipeline struct {
	ID, Name, State, Health string
	RunAs                   string
	Spec                    map[string]json.RawMessage // what it was created with; in lists it is empty
	Latest                  []Update                   // the newest first, without their mode
}

// Active returns the update that has not ended, if there is one.
func (p Pipeline) Active() (Update, bool) {
	i := slices.IndexFunc(p.Latest, func(u Update) bool { return !u.Over() })
	if i < 0 {
		return Update{}, false
	}
	return p.Latest[i], true
}

// Continuous reports whether updates of the pipeline do not complete.
func (p Pipeline) Continuous() bool { return string(p.Spec["continuous"]) == "true" }

// Update is a run of a pipeline. State is as the service names it, "" where an answer has none.
type Update struct {
	ID, State, Cause string
	Created          time.Time
	FullRefresh      bool
	Continuous       bool // it does not complete
}

// Over reports whether the update has ended. A state that is not known has not.
func (u Update) Over() bool { return endsOf[u.State] != "" }

// The states of an update. Those before RUNNING are shown as Running, with their own name beside it.
var (
	endsOf = map[string]ondemand.RunStatus{
		"COMPLETED": ondemand.RunSuccess, "FAILED": ondemand.RunFailed, "CANCELED": ondemand.RunCancelled,
	}
	running = []string{
		"CREATED", "QUEUED", "WAITING_FOR_RESOURCES", "INITIALIZING", "RESETTING", "SETTING_UP_TABLES", "RUNNING", "STOPPING",
	}
)

// Status returns what the state of the update means.
func (u Update) Status() ondemand.RunStatus {
	switch {
	case u.Over():
		return endsOf[u.State]
	case slices.Contains(running, u.State):
		return ondemand.RunRunning
	}
	return ondemand.RunUnknown
}

// Event is what a pipeline says of an update.
type Event struct {
	ID, Level, Type, Message string
	Time                     time.Time
	Exceptions               []string // messages, of an error
}

// Service is what there is of pipelines in a workspace. Errors are classified by policy.CodeOf.
type Service interface {
	Reader
	// StartUpdate starts an update and returns its id. After an error of class policy.CodeUnavailable it may have been started.
	StartUpdate(ctx context.Context, pipeline string, fullRefresh bool) (string, error)
	// StopUpdate asks for an update to be stopped, which may take long, and stops no other one.
	StopUpdate(ctx context.Context, pipeline, id string) error
}

// Reader reads pipelines.
type Reader interface {
	// Pipeline returns a pipeline with its newest updates.
	Pipeline(ctx context.Context, id string) (Pipeline, error)
	// Update returns an update.
	Update(ctx context.Context, pipeline, id string) (Update, error)
	// Updates returns the updates that were created at or after a time, the newest first.
	Updates(ctx context.Context, pipeline string, since time.Time) ([]Update, error)
	// Events returns what there is on an update.
	Events(ctx context.Context, of EventQuery) ([]Event, error)
}

// EventQuery selects events of an update.
type EventQuery struct {
	Pipeline, Update string
	Since            time.Time
	ErrorsOnly       bool
	Last             bool // the last one alone; else all, the oldest first
}

var idForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// CheckID returns an error for a text that cannot be the id of what: it must not reach a path.
func CheckID(what, id string) error {
	if !idForm.MatchString(id) {
		return policy.Errorf(policy.CodeInvalid, "%.100q is not the id of %s: want a UUID, as in the URL of the pipeline in the workspace", id, what)
	}
	return nil
}
