package apiserver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// checkPipeline is checkAccess for a task that updates a pipeline: an update costs money, and a full refresh can lose data, so the
// token must name the pipeline, by its id or by its name.
func (s *Server) checkPipeline(ctx context.Context, id keys.Identity, t ondemand.Task) error {
	return checkPipeline(ctx, id, t, func(ctx context.Context, pipeline string) (string, error) {
		if s.opts.PipelineName == nil {
			return "", nil
		}
		return s.names.get(ctx, pipeline, s.opts.PipelineName)
	})
}

// checkPipeline is the same by names that nameOf returns, as far as they count.
func checkPipeline(ctx context.Context, id keys.Identity, t ondemand.Task, nameOf func(context.Context, string) (string, error)) error {
	if len(id.Pipelines) == 0 {
		return &responseError{
			code:   policy.CodeForbidden,
			detail: fmt.Sprintf("The token has no claim pipelines, which tasks of type %s need.", ondemand.PipelineUpdate),
		}
	}
	pipeline := t.Pipeline().ID
	if id.AllowsPipeline(pipeline) {
		return nil
	}
	name := ""
	if t.Run != nil {
		name = t.Run.PipelineName
	}
	if name == "" && len(pipeline) == pipelineIDLength {
		var err error
		if name, err = nameOf(ctx, pipeline); policy.CodeOf(err).Retryable() {
			return &responseError{code: policy.CodeUnavailable, err: err,
				detail: "The token names pipelines by name, and the workspace does not say the name of this one at present. Try again later."}
		}
	}
	if name != "" && id.AllowsPipeline(name) {
		return nil
	}
	return &responseError{
		code:   policy.CodeForbidden,
		detail: "The token's claim pipelines does not allow this pipeline, or there is none.",
		fields: []FieldError{{Pointer: "/requestInfo/pipeline/externalId", Detail: "not a pipeline that the token allows"}},
	}
}

// pipelineIDLength is that of a UUID: no other text can be the id of a pipeline that has a name.
const pipelineIDLength = 36

// nameTimeout bounds how long a request waits for the name of a pipeline.
const nameTimeout = 10 * time.Second

// nameTTL is how long the name of a pipeline is believed.
const nameTTL = time.Minute

// maxNames bounds how many names are kept.
const maxNames = 10_000

// pipelineNames keeps the names of pipelines for a while, and which ids are those of none.
type pipelineNames struct {
	mu    sync.Mutex
	names map[string]keptName
}

type keptName struct {
	name  string
	err   error // not retryable
	until time.Time
}

// known returns the name of a pipeline that was asked for lately.
func (n *pipelineNames) known(_ context.Context, id string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.names[id].name, nil
}

func (n *pipelineNames) get(ctx context.Context, id string, ask func(context.Context, string) (string, error)) (string, error) {
	n.mu.Lock()
	kept, ok := n.names[id]
	n.mu.Unlock()
	if ok && time.Now().Before(kept.until) {
		return kept.name, kept.err
	}
	ctx, cancel := context.WithTimeout(ctx, nameTimeout)
	defer cancel()
	name, err := ask(ctx, id)
	if policy.CodeOf(err).Retryable() || ctx.Err() != nil {
		return "", err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names == nil || len(n.names) >= maxNames {
		n.names = make(map[string]keptName)
	}
	n.names[id] = keptName{name, err, time.Now().Add(nameTTL)}
	return name, err
}
