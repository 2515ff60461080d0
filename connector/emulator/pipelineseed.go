package emulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// addSeedPipeline adds a pipeline of a seed. owner is that of the metastore.
func (s *Server) addSeedPipeline(in SeedPipeline, owner string) error {
	s.lastID++
	p := &pipeline{id: strings.ToLower(cmp.Or(in.ID, uuid(pipelineSpace, s.lastID))), creator: cmp.Or(in.Owner, owner), script: in.Runs, permissions: make(map[string]string)}
	if !uuidForm.MatchString(p.id) {
		return invalid("id '%s' must be a UUID.", in.ID)
	}
	if s.pipelines[p.id] != nil {
		return invalid("id '%s' is that of another pipeline.", in.ID)
	}
	p.creator = s.seedPrincipal(p.creator)
	p.runAs = s.seedPrincipal(cmp.Or(in.RunAs, p.creator))
	for _, name := range slices.Sorted(maps.Keys(in.Permissions)) {
		level := in.Permissions[name]
		if err := oneOf("permissions of "+name, &level, "", pipelineLevels[:3]...); err != nil {
			return err
		}
		p.permissions[s.seedPrincipal(name)] = level
	}
	p.permissions[p.creator] = "IS_OWNER"
	text, err := json.Marshal(in.Spec)
	if err != nil {
		return err
	}
	if p.spec, err = jsonObject(text); in.Spec != nil && err != nil {
		return err
	}
	if p.spec == nil {
		p.spec = make(map[string]json.RawMessage)
	}
	if p.spec["name"], err = json.Marshal(in.Name); err != nil {
		return err
	}
	if text, err = json.Marshal(p.spec); err != nil {
		return err
	}
	if err := decode(text, &p.settings); err != nil {
		return err
	}
	for i, run := range in.Runs {
		parsed, err := run.parse(fmt.Sprintf("runs[%d].", i))
		if err != nil {
			return err
		}
		p.runs = append(p.runs, parsed)
	}
	if len(p.runs) == 0 {
		p.runs = []pipelineRun{defaultRun()}
	}
	if err := s.checkPipeline(p); err != nil {
		return err
	}
	s.pipelines[p.id] = p
	return nil
}

// seedPrincipal returns the name of a principal that a seed names, which exists by that.
func (s *Server) seedPrincipal(name string) string {
	if s.directory.find(name) == nil && name != workspaceUsers && name != workspaceAdmins {
		s.directory.add(guessKind(name), name, nil)
	}
	return s.directory.spelled(name)
}

// seed returns the pipeline as a seed describes it.
func (p *pipeline) seed() SeedPipeline {
	out := SeedPipeline{ID: p.id, Name: p.settings.Name, RunAs: p.runAs, Runs: p.script, Spec: make(map[string]any), Permissions: make(map[string]string)}
	for name, raw := range p.spec {
		var value any
		if name != "id" && name != "name" && json.Unmarshal(raw, &value) == nil {
			out.Spec[name] = value
		}
	}
	for name, level := range p.permissions {
		if level == "IS_OWNER" {
			out.Owner = name
		} else {
			out.Permissions[name] = level
		}
	}
	return out
}

// parse returns the script that the seed describes; at is where it is there.
func (in SeedPipelineRun) parse(at string) (pipelineRun, error) {
	out := defaultRun()
	duration := func(field, text string, fallback time.Duration) (time.Duration, error) {
		if text == "" {
			return fallback, nil
		}
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return 0, invalid("%s%s '%s' is not a duration like 300ms.", at, field, text)
		}
		return d, nil
	}
	var err error
	if len(in.Steps) > 0 {
		out.steps, out.byReset = nil, false
	}
	for i, step := range in.Steps {
		lasts, err := duration(fmt.Sprintf("steps[%d].for", i), step.For, 0)
		if err != nil {
			return out, err
		}
		out.steps = append(out.steps, runStep{step.State, lasts})
	}
	if in.End == "never" && len(in.Steps) == 0 {
		return out, invalid("%send never needs steps, of which the last one lasts.", at)
	}
	out.end = cmp.Or(in.End, out.end)
	if out.end == "never" {
		out.end = ""
	} else if err := oneOf(at+"end", &out.end, "", append(slices.Clone(terminalStates), "never")...); err != nil {
		return out, err
	}
	if in.Stopping == "never" {
		out.stopping = -1
	} else if out.stopping, err = duration("stopping", in.Stopping, out.stopping); err != nil {
		return out, err
	}
	out.late, err = duration("events_late", in.EventsLate, 0)
	out.errors, out.retried = in.Errors, in.Retried
	if len(out.errors) > 0 && out.end != "FAILED" {
		return out, invalid("%serrors are for an update whose end is FAILED.", at)
	}
	return out, err
}
