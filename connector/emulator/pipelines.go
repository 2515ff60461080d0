package emulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// pipeline is a declarative pipeline. It computes nothing: its updates go through the states of a script.
type pipeline struct {
	id, creator, runAs string
	spec               map[string]json.RawMessage // replaced, never changed
	settings           pipelineSettings           // of the spec
	modified           int64
	permissions        map[string]string // levels by principal; replaced, never changed
	runs               []pipelineRun     // of the first update, the second and so on; the last of all later ones
	script             []SeedPipelineRun // of which runs are made
	updates            []*pipelineUpdate // the oldest first
}

// pipelineSettings are the fields of a spec that mean something here, and those of the calls that hold one.
type pipelineSettings struct {
	Name          string            `json:"name"`
	Catalog       string            `json:"catalog"`
	Schema        string            `json:"schema"`
	Target        string            `json:"target"`
	Configuration map[string]string `json:"configuration"`
	Continuous    bool              `json:"continuous"`
	Development   bool              `json:"development"`
	Photon        bool              `json:"photon"`
	Serverless    bool              `json:"serverless"`
	Libraries     []struct {
		Notebook struct {
			Path string `json:"path"`
		} `json:"notebook"`
	} `json:"libraries"`
	RunAs struct {
		UserName             string `json:"user_name"`
		ServicePrincipalName string `json:"service_principal_name"`
	} `json:"run_as"`

	AllowDuplicateNames  bool  `json:"allow_duplicate_names"`
	DryRun               bool  `json:"dry_run"`
	ExpectedLastModified int64 `json:"expected_last_modified"`
}

// Levels of permission on a pipeline, the least first. Each includes those before it.
var pipelineLevels = []string{"CAN_VIEW", "CAN_RUN", "CAN_MANAGE", "IS_OWNER"}

const (
	pipelineSpace   = 0x9199 // of ids
	pipelinePage    = 25     // entries of a page, by default
	maxPipelinePage = 100    // more is an error, unlike in Unity Catalog's lists
	latestUpdates   = 5      // shown with a pipeline
)

func (s *Server) registerPipelines() {
	const base, id = "/api/2.0/pipelines", "/api/2.0/pipelines/{id}"
	const views, runs, manages = "workspace admin, or CAN_VIEW on it", "workspace admin, or CAN_RUN on it", "workspace admin, or CAN_MANAGE on it"
	s.route("GET "+base, "any user; shows what the caller may get", s.listPipelines)
	s.route("POST "+base, anyUser.String(), s.createPipeline)
	s.route("GET "+id, views, s.onPipeline("CAN_VIEW", s.getPipeline))
	s.route("PUT "+id, manages, s.onPipeline("CAN_MANAGE", s.editPipeline))
	s.route("DELETE "+id, manages, s.onPipeline("CAN_MANAGE", func(_ *call, p *pipeline) (any, error) {
		delete(s.pipelines, p.id)
		return nil, nil
	}))
	s.route("POST "+id+"/stop", runs, s.onPipeline("CAN_RUN", s.stopPipeline))
	s.route("GET "+id+"/updates", views, s.onPipeline("CAN_VIEW", s.listUpdates))
	s.route("POST "+id+"/updates", runs, s.onPipeline("CAN_RUN", s.startUpdate))
	s.route("GET "+id+"/updates/{update}", views, s.onPipeline("CAN_VIEW", s.getUpdate))
	s.route("POST "+id+"/updates/{update}/stop", runs+"; only where Options.UpdateStop is set", s.stopUpdate)
	s.route("GET "+id+"/events", views, s.onPipeline("CAN_VIEW", s.listPipelineEvents))
	const permissions = "/api/2.0/permissions/pipelines/{id}"
	s.route("GET "+permissions, manages, s.onPipeline("CAN_MANAGE", s.pipelinePermissions))
	s.route("PUT "+permissions, manages, s.onPipeline("CAN_MANAGE", s.setPipelinePermissions))
	s.route("PATCH "+permissions, manages, s.onPipeline("CAN_MANAGE", s.setPipelinePermissions))
	s.route("GET "+permissions+"/permissionLevels", anyUser.String(), listLevels(pipelineLevels))
}

var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// onPipeline returns a handler that calls h with the pipeline of the path, as it is now, if the caller has the level on it. s.mu
// is held meanwhile, for reading too, because the service may have started an update since the last call.
func (s *Server) onPipeline(level string, h func(*call, *pipeline) (any, error)) handlerFunc {
	return func(c *call) (any, error) {
		id := c.req.PathValue("id")
		if !uuidForm.MatchString(id) {
			return nil, invalid("'%s' is not the id of a pipeline: it must be a UUID.", id)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		p, ok := s.pipelines[strings.ToLower(id)]
		if !ok {
			return nil, &apiError{status: 404, code: "RESOURCE_DOES_NOT_EXIST", message: "The specified pipeline " + id + " was not found."}
		}
		if c.levelIn(pipelineLevels, p.permissions) < slices.Index(pipelineLevels, level) {
			return nil, denied("User does not have %s permission on pipeline %s.", level, id)
		}
		p.retry(s.now())
		return h(c, p)
	}
}

// pipelinePageSize returns the page size of a list about pipelines.
func (c *call) pipelinePageSize() (int, error) {
	size, _, err := c.number("max_results")
	if size > maxPipelinePage {
		return 0, invalid("max_results must be at most %d, it is %d.", maxPipelinePage, size)
	}
	return cmp.Or(size, pipelinePage), err
}

var (
	nameFilter     = regexp.MustCompile(`(?i)^\s*name\s+like\s+'([^']*)'\s*$`)
	notebookFilter = regexp.MustCompile(`(?i)^\s*notebook\s*=\s*'([^']*)'\s*$`)
)

// pipelineFilter returns whether a pipeline is one that the query selects.
func (c *call) pipelineFilter() (func(*pipeline) bool, error) {
	text := c.req.URL.Query().Get("filter")
	if text == "" {
		return func(*pipeline) bool { return true }, nil
	}
	if m := nameFilter.FindStringSubmatch(text); m != nil {
		pattern := compileLike(m[1])
		return func(p *pipeline) bool { return pattern.match(p.settings.Name) }, nil
	}
	if m := notebookFilter.FindStringSubmatch(text); m != nil {
		return func(p *pipeline) bool {
			for _, library := range p.settings.Libraries {
				if library.Notebook.Path == m[1] {
					return true
				}
			}
			return false
		}, nil
	}
	return nil, invalid("filter '%s' is not understood: one of name LIKE '%%x%%' and notebook='<path>'.", text)
}

// pipelineOrder returns the key by which the query orders pipelines, and whether downwards.
func (c *call) pipelineOrder() (key func(*pipeline) string, down bool, err error) {
	text := cmp.Or(strings.Join(c.req.URL.Query()["order_by"], ","), "id asc")
	field, direction, _ := strings.Cut(strings.ToLower(text), " ")
	direction = cmp.Or(strings.TrimSpace(direction), "asc")
	if direction != "asc" && direction != "desc" {
		return nil, false, invalid("order_by '%s' is not understood: id or name, asc or desc.", text)
	}
	switch field {
	case "id":
		return func(p *pipeline) string { return p.id }, direction == "desc", nil
	case "name":
		return func(p *pipeline) string { return p.settings.Name + "\x00" + p.id }, direction == "desc", nil
	}
	return nil, false, invalid("order_by '%s' is not understood: id or name, asc or desc.", text)
}

func (s *Server) listPipelines(c *call) (any, error) {
	size, err := c.pipelinePageSize()
	if err != nil {
		return nil, err
	}
	selected, err := c.pipelineFilter()
	if err != nil {
		return nil, err
	}
	key, down, err := c.pipelineOrder()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make(map[string]*pipeline)
	for _, p := range s.pipelines {
		if selected(p) && c.levelIn(pipelineLevels, p.permissions) >= 0 {
			keys[key(p)] = p
		}
	}
	order := slices.Sorted(maps.Keys(keys))
	if down {
		slices.Reverse(order)
	}
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, any] {
		return func(yield func(string, any) bool) {
			for _, k := range order {
				if after != "" && (k == after || (k < after) != down) {
					continue
				}
				keys[k].retry(s.now())
				if !yield(k, s.shownState(keys[k])) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("statuses", page, next), nil
}

// shownState returns what a list shows of a pipeline.
func (s *Server) shownState(p *pipeline) map[string]any {
	now := s.now()
	state, health := "IDLE", "HEALTHY"
	latest := []map[string]any{}
	for i, u := range slices.Backward(p.updates) {
		at := u.at(now)
		if i == len(p.updates)-1 {
			switch {
			case at == "FAILED":
				state, health = "FAILED", "UNHEALTHY"
			case !slices.Contains(terminalStates, at):
				state = pipelineStateWhile(at)
			}
		}
		if len(latest) == latestUpdates {
			break
		}
		latest = append(latest, map[string]any{"update_id": u.id, "state": at, "creation_time": u.created.UTC().Format(time.RFC3339Nano)})
	}
	shown := map[string]any{"pipeline_id": p.id, "name": p.settings.Name, "state": state, "health": health, "creator_user_name": p.creator,
		"run_as_user_name": p.runAs}
	if len(latest) > 0 {
		shown["latest_updates"] = latest
	}
	return shown
}

// pipelineStateWhile returns the state of a pipeline whose update is in that state.
func pipelineStateWhile(update string) string {
	switch update {
	case "RUNNING", "STOPPING", "RESETTING":
		return update
	case "CREATED", "QUEUED", "WAITING_FOR_RESOURCES", "INITIALIZING", "SETTING_UP_TABLES":
		return "STARTING"
	}
	return "DEPLOYING"
}

func (s *Server) getPipeline(_ *call, p *pipeline) (any, error) {
	shown := s.shownState(p)
	shown["spec"], shown["last_modified"] = p.spec, p.modified
	shown["run_as"] = map[string]string{map[PrincipalKind]string{User: "user_name", ServicePrincipal: "service_principal_name"}[guessKind(p.runAs)]: p.runAs}
	return shown, nil
}

// readSpec returns the spec that the body holds, without the fields of the call.
func (c *call) readSpec() (spec map[string]json.RawMessage, settings pipelineSettings, err error) {
	if spec, err = c.object(""); err != nil {
		return nil, settings, err
	}
	if err = decode(c.body, &settings); err != nil {
		return nil, settings, err
	}
	for _, name := range []string{"allow_duplicate_names", "dry_run", "expected_last_modified", "run_as", "pipeline_id"} {
		delete(spec, name)
	}
	return spec, settings, nil
}

func (s *Server) createPipeline(c *call) (any, error) {
	spec, settings, err := c.readSpec()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	p := &pipeline{id: uuid(pipelineSpace, s.lastID), creator: c.who.name, runAs: c.who.name, spec: spec, settings: settings,
		permissions: map[string]string{c.who.name: "IS_OWNER"}, runs: []pipelineRun{defaultRun()}}
	if err := s.checkPipeline(p); err != nil {
		return nil, err
	}
	if settings.DryRun {
		return map[string]any{"effective_settings": spec}, nil
	}
	s.pipelines[p.id] = p
	return map[string]any{"pipeline_id": p.id}, nil
}

// checkPipeline completes a pipeline that is to be stored, and returns an error that names what is wrong with it.
func (s *Server) checkPipeline(p *pipeline) error {
	in := p.settings
	if strings.TrimSpace(in.Name) == "" {
		return invalid("name is required.")
	}
	for _, other := range s.pipelines {
		if other.settings.Name == in.Name && other.id != p.id && !in.AllowDuplicateNames {
			return &apiError{status: 409, code: "RESOURCE_CONFLICT", message: "The pipeline name '" + in.Name + "' is already used by another pipeline. This check can be skipped by setting `allow_duplicate_names = true` in the request."}
		}
	}
	if as := cmp.Or(in.RunAs.UserName, in.RunAs.ServicePrincipalName); as != "" {
		if s.directory.find(as) == nil {
			return principalNotFound(as)
		}
		p.runAs = s.directory.spelled(as)
	}
	p.spec = maps.Clone(p.spec)
	id, err := json.Marshal(p.id)
	if err != nil {
		return err
	}
	p.spec["id"], p.modified = id, s.nowMillis()
	return nil
}

func (s *Server) editPipeline(c *call, p *pipeline) (any, error) {
	spec, settings, err := c.readSpec()
	if err != nil {
		return nil, err
	}
	if want := settings.ExpectedLastModified; want != 0 && want != p.modified {
		return nil, &apiError{status: 409, code: "RESOURCE_CONFLICT", message: fmt.Sprintf("The pipeline was modified at %d, not at the expected %d.", p.modified, want)}
	}
	next := *p
	next.spec, next.settings = spec, settings
	if err := s.checkPipeline(&next); err != nil {
		return nil, err
	}
	s.pipelines[p.id] = &next
	return nil, nil
}

func (s *Server) pipelinePermissions(_ *call, p *pipeline) (any, error) {
	return s.shownPermissions("/pipelines/"+p.id, "pipelines", p.permissions), nil
}

func (s *Server) setPipelinePermissions(c *call, p *pipeline) (any, error) {
	list, err := c.accessControls()
	if err != nil {
		return nil, err
	}
	if p.permissions, err = c.changedLevels(pipelineLevels, p.permissions, list); err != nil {
		return nil, err
	}
	return s.pipelinePermissions(c, p)
}

// updateID returns the id of an update: one that depends on the pipeline and its number alone, so that it is the same when changes
// are carried out again.
func (p *pipeline) updateID(number int) string {
	h := fnv.New32a()
	h.Write([]byte(p.id))
	return uuid(0x09da, int64(h.Sum32())<<16|int64(number&0xffff))
}
