package ondemand

import (
	"encoding/json"
	"strings"
)

// The fields of what a PIPELINE_UPDATE asks for, requestInfo.pipeline, and the one parameter that has an effect. They are kept
// among the unknown fields of requestInfo: in tasks of other types the name is a producer's own.
const pipelineField, fullRefreshField = "pipeline", "full_refresh"

var pipelineFields = []string{"externalId", "parameters"}

// pipeline adds a problem for each field of the task that does not say which pipeline to update, and how.
func (p *parser) pipeline(at *place, info RequestInfo) {
	var fields object
	for name, raw := range info.Extra {
		fields = append(fields, field{name, raw})
	}
	if p.misspelt(fields, at, []string{pipelineField})[pipelineField] {
		return
	}
	raw, ok := info.Extra[pipelineField]
	at = at.to(pipelineField)
	if !ok || jsonKind(raw) == "null" {
		p.add(at.to("externalId"), "required: the id of the pipeline to update")
		return
	}
	o, ok := p.object(nil, at, raw)
	if !ok {
		return
	}
	misspelt := p.misspelt(o, at, pipelineFields)
	before := len(p.problems)
	if id := p.text(o, at, "externalId"); strings.TrimSpace(id) == "" && len(p.problems) == before && !misspelt["externalId"] {
		p.add(at.to("externalId"), "required: the id of the pipeline to update")
	}
	if raw, ok := o.get("parameters"); ok && jsonKind(raw) != "null" {
		p.pipelineParameters(at.to("parameters"), raw)
	}
}

func (p *parser) pipelineParameters(at *place, raw json.RawMessage) {
	parameters, ok := p.object(nil, at, raw)
	if !ok {
		return
	}
	p.misspelt(parameters, at, []string{fullRefreshField})
	if raw, ok := parameters.get(fullRefreshField); ok && jsonKind(raw) != "a boolean" { // null neither: it is not said what that would do
		p.add(at.to(fullRefreshField), "want true or false, got %s", jsonKind(raw))
	}
}

// PipelineRequest is what a PIPELINE_UPDATE asks for.
type PipelineRequest struct {
	ID          string // of the pipeline, in lower case
	FullRefresh bool
	Ignored     []string // names of parameters that have no effect, sorted
}

// Pipeline returns what a task of type PIPELINE_UPDATE asks for. What was not checked by [ParseTask] and is not understood is left
// out.
func (t *Task) Pipeline() PipelineRequest {
	var request PipelineRequest
	raw := t.RequestInfo.Extra[pipelineField]
	if !json.Valid(raw) {
		return request
	}
	fields := object(nil).appendObject(raw)
	_ = fields.take("externalId", &request.ID) // "" where it is no text
	request.ID = strings.ToLower(strings.TrimSpace(request.ID))
	raw, _ = fields.get("parameters")
	parameters := object(nil).appendObject(raw)
	_ = parameters.take(fullRefreshField, &request.FullRefresh)
	request.Ignored = parameters.names()
	return request
}

// ExternalID returns what a task is about that is no securable: the pipeline that a PIPELINE_UPDATE asks for, in lower case; "" for
// other tasks.
func (t *Task) ExternalID() string {
	if t.Type != PipelineUpdate {
		return ""
	}
	return t.Pipeline().ID
}

// PipelineTask returns a task that asks for an update of a pipeline.
func PipelineTask(id string, fullRefresh bool) (Task, error) {
	raw, err := json.Marshal(map[string]any{"externalId": id, "parameters": map[string]bool{fullRefreshField: fullRefresh}})
	return Task{Type: PipelineUpdate, RequestInfo: RequestInfo{Extra: map[string]json.RawMessage{pipelineField: raw}}}, err
}
