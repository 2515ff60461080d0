package emulator

import (
	"iter"
	"slices"
	"strings"
	"time"
)

// pipelineRun is the script of an update: the states that it goes through, and how it ends.
type pipelineRun struct {
	steps    []runStep
	end      string        // terminal state; "" for none, so that the last step lasts
	errors   []string      // why it fails, an event each
	stopping time.Duration // how long it is STOPPING once it is stopped; never to an end, if negative
	late     time.Duration // after which time events are shown
	retried  bool          // by the service, if it fails
	byReset  bool          // with RESETTING, for a full refresh
}

type runStep struct {
	state string // "" is an answer without state
	lasts time.Duration
}

// defaultRun is the script of a pipeline that has none: half a second.
func defaultRun() pipelineRun {
	return pipelineRun{end: "COMPLETED", stopping: 100 * time.Millisecond, byReset: true, steps: []runStep{
		{"QUEUED", 50 * time.Millisecond}, {"INITIALIZING", 100 * time.Millisecond}, {"SETTING_UP_TABLES", 50 * time.Millisecond},
		{"RUNNING", 300 * time.Millisecond}}}
}

var terminalStates = []string{"COMPLETED", "FAILED", "CANCELED"}

// pipelineUpdate is an update of a pipeline. Its state follows from its script and the time.
type pipelineUpdate struct {
	id, cause  string
	created    time.Time
	stopped    time.Time // when it was stopped; zero for never
	run        pipelineRun
	continuous bool
	in         updateRequest
}

type updateRequest struct {
	FullRefresh          bool              `json:"full_refresh"`
	FullRefreshSelection []string          `json:"full_refresh_selection,omitempty"`
	RefreshSelection     []string          `json:"refresh_selection,omitempty"`
	ValidateOnly         bool              `json:"validate_only"`
	Parameters           map[string]string `json:"parameters,omitempty"`
	Cause                string            `json:"cause,omitempty"`
}

// reached is a state of an update, and since when.
type reachedState struct {
	state string
	since time.Time
}

// history returns the states of the update until now, at least its first.
func (u *pipelineUpdate) history(now time.Time) []reachedState {
	var list []reachedState
	at, lasting := u.created, u.continuous || u.run.end == ""
	steps := u.run.steps
	if i := slices.IndexFunc(steps, func(step runStep) bool { return step.state == "RUNNING" }); u.run.byReset && u.in.FullRefresh && i > 0 {
		steps = slices.Insert(slices.Clone(steps), i, runStep{"RESETTING", 50 * time.Millisecond})
	}
	for _, step := range steps {
		list = append(list, reachedState{step.state, at})
		at = at.Add(step.lasts)
	}
	if !lasting {
		list = append(list, reachedState{u.run.end, at})
	}
	if !u.stopped.IsZero() && (lasting || u.stopped.Before(at)) {
		list = slices.DeleteFunc(list, func(r reachedState) bool { return r.since.After(u.stopped) })
		list = append(list, reachedState{"STOPPING", u.stopped})
		if u.run.stopping >= 0 {
			list = append(list, reachedState{"CANCELED", u.stopped.Add(u.run.stopping)})
		}
	}
	for len(list) > 1 && list[len(list)-1].since.After(now) {
		list = list[:len(list)-1]
	}
	return list
}

// at returns the state at that time.
func (u *pipelineUpdate) at(now time.Time) string {
	list := u.history(now)
	return list[len(list)-1].state
}

// active returns the update that is not over, or nil.
func (p *pipeline) active(now time.Time) *pipelineUpdate {
	if n := len(p.updates); n > 0 && !slices.Contains(terminalStates, p.updates[n-1].at(now)) {
		return p.updates[n-1]
	}
	return nil
}

// begin starts an update.
func (p *pipeline) begin(at time.Time, cause string, in updateRequest) *pipelineUpdate {
	n := len(p.updates)
	u := &pipelineUpdate{id: p.updateID(n), cause: cause, created: at, run: p.runs[min(n, len(p.runs)-1)], continuous: p.settings.Continuous, in: in}
	p.updates = append(p.updates, u)
	return u
}

// retry starts the update that follows one that has failed, if the service does so: once.
func (p *pipeline) retry(now time.Time) {
	n := len(p.updates)
	if n == 0 || !p.updates[n-1].run.retried || p.updates[n-1].cause == "RETRY_ON_FAILURE" {
		return
	}
	list := p.updates[n-1].history(now)
	if last := list[len(list)-1]; last.state == "FAILED" {
		p.begin(last.since, "RETRY_ON_FAILURE", p.updates[n-1].in)
	}
}

func (s *Server) startUpdate(c *call, p *pipeline) (any, error) {
	var in updateRequest
	if len(c.body) > 0 {
		if err := c.decodeBody(&in); err != nil {
			return nil, err
		}
	}
	if err := oneOf("cause", &in.Cause, "API_CALL", "API_CALL", "USER_ACTION", "JOB_TASK", "RETRY_ON_FAILURE", "SCHEMA_CHANGE", "SERVICE_UPGRADE", "INFRASTRUCTURE_MAINTENANCE"); err != nil {
		return nil, err
	}
	if in.FullRefresh && len(in.FullRefreshSelection)+len(in.RefreshSelection) > 0 {
		return nil, invalid("full_refresh and a selection of tables exclude each other.")
	}
	if u := p.active(s.now()); u != nil {
		return nil, &apiError{status: 409, code: "RESOURCE_CONFLICT", message: "An active update " + u.id + " already exists."}
	}
	return map[string]string{"update_id": p.begin(s.now(), in.Cause, in).id}, nil
}

// stopPipeline stops whatever is active.
func (s *Server) stopPipeline(_ *call, p *pipeline) (any, error) {
	if u := p.active(s.now()); u != nil && u.stopped.IsZero() {
		u.stopped = s.now()
	}
	return nil, nil
}

// findUpdate returns the update that the path names.
func (c *call) findUpdate(p *pipeline) (*pipelineUpdate, error) {
	id := c.req.PathValue("update")
	if !uuidForm.MatchString(id) {
		return nil, invalid("'%s' is not the id of an update: it must be a UUID.", id)
	}
	for _, u := range p.updates {
		if strings.EqualFold(u.id, id) {
			return u, nil
		}
	}
	return nil, &apiError{status: 404, code: "RESOURCE_DOES_NOT_EXIST", message: "The specified update " + id + " was not found."}
}

// stopUpdate stops that update and no other. Which servers have this call is not known; those that do not answer as for any path
// without a call.
func (s *Server) stopUpdate(c *call) (any, error) {
	if !s.opts.UpdateStop {
		return nil, endpointNotFound(c.req)
	}
	return s.onPipeline("CAN_RUN", func(c *call, p *pipeline) (any, error) {
		u, err := c.findUpdate(p)
		if err == nil && u.stopped.IsZero() && !slices.Contains(terminalStates, u.at(s.now())) {
			u.stopped = s.now()
		}
		return nil, err
	})(c)
}

// shownUpdate returns an update as lists show it.
func (s *Server) shownUpdate(p *pipeline, u *pipelineUpdate) map[string]any {
	shown := map[string]any{"pipeline_id": p.id, "update_id": u.id, "cause": u.cause, "creation_time": u.created.UnixMilli(),
		"full_refresh": u.in.FullRefresh, "validate_only": u.in.ValidateOnly}
	if state := u.at(s.now()); state != "" {
		shown["state"] = state
	}
	if len(u.in.FullRefreshSelection) > 0 {
		shown["full_refresh_selection"] = u.in.FullRefreshSelection
	}
	if len(u.in.RefreshSelection) > 0 {
		shown["refresh_selection"] = u.in.RefreshSelection
	}
	if len(u.in.Parameters) > 0 {
		shown["parameters"] = u.in.Parameters
	}
	return shown
}

func (s *Server) getUpdate(c *call, p *pipeline) (any, error) {
	u, err := c.findUpdate(p)
	if err != nil {
		return nil, err
	}
	shown := s.shownUpdate(p, u)
	shown["config"], shown["mode"] = p.spec, "DEFAULT"
	if u.continuous {
		shown["mode"] = "CONTINUOUS"
	}
	return map[string]any{"update": shown}, nil
}

// listUpdates lists the updates of a pipeline, the newest first, down to until_update_id.
func (s *Server) listUpdates(c *call, p *pipeline) (any, error) {
	size, err := c.pipelinePageSize()
	if err != nil {
		return nil, err
	}
	until := c.req.URL.Query().Get("until_update_id")
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, any] {
		return func(yield func(string, any) bool) {
			seen := after == ""
			for _, u := range slices.Backward(p.updates) {
				if seen && !yield(u.id, s.shownUpdate(p, u)) || u.id == until {
					return
				}
				seen = seen || u.id == after
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("updates", page, next), nil
}
