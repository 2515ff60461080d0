package pipelines

import (
	"context"
	"strings"

	"ucwarden/ondemand"
)

// Handler takes tasks of type PIPELINE_UPDATE and leaves them to the [Follower], so that no worker waits for an update.
type Handler struct {
	Host string // URL of the workspace, for links
}

// Handle implements ondemand.Handler.
func (h Handler) Handle(_ context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	request := job.Task.Pipeline()
	if err := CheckID("a pipeline", request.ID); err != nil {
		return ondemand.Outcome{}, err
	}
	message := "an update is to be started"
	if causes := job.Task.Causes(); len(causes) > 0 {
		message += ", since task " + causes[0].Task + " changed what the pipeline reads"
	}
	return ondemand.Outcome{
		Run: &ondemand.Run{
			PipelineID: request.ID, FullRefresh: request.FullRefresh, Ignored: request.Ignored,
			Link: strings.TrimSuffix(h.Host, "/") + "/#joblist/pipelines/" + request.ID,
		},
		Message: message,
	}, nil
}
