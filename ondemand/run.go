package ondemand

import (
	"time"
)

// RunStatus is how far the run of a pipeline is.
type RunStatus string

// The statuses of a run. Unknown is not final: the service named a state that is not known, or did not answer.
const (
	RunRunning   RunStatus = "Running"
	RunSuccess   RunStatus = "Success"
	RunFailed    RunStatus = "Failed"
	RunCancelled RunStatus = "Cancelled"
	RunUnknown   RunStatus = "Unknown"
)

// Run is the update of a pipeline that a PIPELINE_UPDATE started, or is about to start. A task that has one stays INPROGRESS
// without a worker until the run is over.
type Run struct {
	ID           string    `json:"id,omitempty"` // {pipeline id}:{update id}; "" while none is started
	PipelineID   string    `json:"pipelineId"`
	UpdateID     string    `json:"updateId,omitempty"`
	PipelineName string    `json:"pipelineName,omitempty"`
	RunAs        string    `json:"runAs,omitempty"` // the identity that the pipeline reads as
	Link         string    `json:"link,omitempty"`  // to the pipeline in the workspace
	UpdateLink   string    `json:"updateLink,omitempty"`
	Status       RunStatus `json:"status,omitempty"`
	RawState     string    `json:"rawState,omitempty"` // as the service names it
	FullRefresh  bool      `json:"fullRefresh"`
	// Ignored are parameters of the request that are not sent.
	Ignored []string `json:"ignoredParameters,omitempty"`
	// Warning is what whoever reads the result should know.
	Warning string `json:"warning,omitempty"`
	// Joined says that somebody else started the update, which is followed and never stopped.
	Joined bool `json:"joined,omitempty"`

	StartTime       time.Time `json:"startTime,omitzero"`
	EndTime         time.Time `json:"endTime,omitzero"` // of the update's last event, where the service shows it
	LastStateChange time.Time `json:"lastStateChange,omitzero"`

	// SentTime is when the request to start was about to be sent. Known are the updates that there were then, and KnownTime is when
	// the service made the newest of them: by these an update whose start was not answered, or not stored, is found.
	SentTime  time.Time `json:"sentTime,omitzero"`
	Known     []string  `json:"knownUpdates,omitempty"`
	KnownTime time.Time `json:"knownTime,omitzero"`

	// WaitedSeconds is for how long an update of somebody else was waited for, and UnknownSeconds for how long the state of the
	// update has not been known, both about: no clock that is set counts.
	WaitedSeconds  int       `json:"waitedSeconds,omitempty"`
	UnknownSeconds int       `json:"unknownSeconds,omitempty"`
	CancelTime     time.Time `json:"cancelTime,omitzero"` // when the task was cancelled: the update is to be stopped
	CancelledBy    string    `json:"cancelledBy,omitempty"`
}

// Cancelled says that the task was cancelled, and by whom, if that is known.
func (r *Run) Cancelled() string { return CancelledBy(r.CancelledBy) }

// CancelledBy says that a task was cancelled, and by whom; "" is nobody who is known.
func CancelledBy(by string) string { return askedBy("cancelled", by) }

// RetriedBy is the same for a task that starts over.
func RetriedBy(by string) string { return askedBy("retried", by) }

func askedBy(done, by string) string {
	if by == "" {
		return done
	}
	return done + " by " + by
}

// SetUpdate sets the update that is followed, and its id as others know it.
func (r *Run) SetUpdate(id string) {
	r.UpdateID, r.ID = id, r.PipelineID+":"+id
}
