package pipelines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"ucwarden/policy"
)

// JobType is the type of the job definitions that [NewJob] makes.
const JobType = "DATABRICKS_PIPELINE"

// Job is a pipeline as a job definition: what there is to know of it when it is run, and when it is to be refreshed.
type Job struct {
	ExternalID string      `json:"externalId"` // of the pipeline
	Type       string      `json:"type"`
	Name       string      `json:"name"`
	RunAs      string      `json:"runAs,omitempty"`
	Target     string      `json:"target,omitempty"` // the schema that the pipeline writes to, as schema:CATALOG.SCHEMA
	Parameters []Parameter `json:"parameters"`       // by name
	// RefreshOn names, as TYPE:NAME, the securables after whose changes the pipeline is to be updated: what it reads. A person
	// writes it; no import changes it.
	RefreshOn []string `json:"refreshOn,omitempty"`
}

// Parameter is a setting of a pipeline that a run depends on. Only full_refresh is sent; the others are there to be read.
type Parameter struct {
	Name  string `json:"name"`
	Type  string `json:"type"`           // boolean, integer, double or string
	Value any    `json:"value"`          // of that type
	Text  string `json:"text,omitempty"` // as it is written, where that is not how the value is written
	Sent  bool   `json:"sent,omitempty"`
}

// NewJob returns the job definition of a pipeline, whose specification must be there.
func NewJob(p Pipeline) Job {
	j := Job{ExternalID: strings.ToLower(p.ID), Type: JobType, Name: p.Name, RunAs: p.RunAs, Target: targetOf(p)}
	j.Parameters = append(j.Parameters, Parameter{Name: "full_refresh", Type: "boolean", Value: false, Sent: true})
	for _, name := range []string{"continuous", "development", "photon"} {
		var value bool
		if raw, ok := p.Spec[name]; ok && json.Unmarshal(raw, &value) == nil {
			j.Parameters = append(j.Parameters, Parameter{Name: name, Type: "boolean", Value: value})
		}
	}
	var configuration map[string]json.RawMessage
	_ = json.Unmarshal(p.Spec["configuration"], &configuration) // nil where it is none
	for name, raw := range configuration {
		if !strings.HasPrefix(name, "spark.") && !strings.HasPrefix(name, "custom.") {
			continue
		}
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		j.Parameters = append(j.Parameters, typed(name, text))
	}
	slices.SortFunc(j.Parameters, func(a, b Parameter) int { return strings.Compare(a.Name, b.Name) })
	return j
}

// targetOf returns the schema that the pipeline writes to; "" where it does not say.
func targetOf(p Pipeline) string {
	text := func(name string) (s string) {
		_ = json.Unmarshal(p.Spec[name], &s) // "" where it is no text
		return s
	}
	catalog, schema := text("catalog"), text("schema")
	if schema == "" {
		schema = text("target") // of older ones
	}
	if before, after, found := strings.Cut(schema, "."); found {
		catalog, schema = before, after
	}
	if catalog == "" || schema == "" {
		return ""
	}
	return "schema:" + catalog + "." + schema
}

// typed infers the type of a parameter from its text: texts are all that configurations hold.
func typed(name, text string) Parameter {
	p := Parameter{Name: name, Type: "string", Value: text}
	trimmed := strings.TrimSpace(text)
	switch lower := strings.ToLower(trimmed); {
	case lower == "true" || lower == "false":
		p.Type, p.Value = "boolean", lower == "true"
	default:
		if i, err := strconv.ParseInt(trimmed, 10, 64); err == nil {
			p.Type, p.Value = "integer", i
		} else if f, err := strconv.ParseFloat(trimmed, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			p.Type, p.Value = "double", f
		}
	}
	if written := fmt.Sprint(p.Value); written != text {
		p.Text = text
	}
	return p
}

// written returns the value as it is written in the pipeline.
func (p Parameter) written() string {
	if p.Text != "" {
		return p.Text
	}
	return fmt.Sprint(p.Value)
}

// Jobs are the job definitions of a file.
type Jobs struct {
	Jobs []Job `json:"jobs"`
}

// ParseJobs reads a file of job definitions. Unknown fields are errors: what is misspelt would have no effect.
func ParseJobs(data []byte) (Jobs, error) {
	var j Jobs
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if err := decoder.Decode(&j); err != nil {
		return Jobs{}, policy.Errorf(policy.CodeInvalid, "not a file of ucwarden pipeline import: %w", err)
	}
	seen := make(map[string]bool)
	var problems []error
	for i, job := range j.Jobs {
		err := CheckID("a pipeline", job.ExternalID)
		j.Jobs[i].ExternalID = strings.ToLower(job.ExternalID)
		id := j.Jobs[i].ExternalID
		if err == nil && seen[id] {
			err = fmt.Errorf("%s is there twice", id)
		}
		seen[id] = true
		for _, on := range job.RefreshOn {
			_, onErr := policy.ParseSecurable(on)
			err = errors.Join(err, onErr)
		}
		if err != nil {
			problems = append(problems, policy.Errorf(policy.CodeInvalid, "job %d, %q: %w", i+1, job.Name, err))
		}
	}
	return j, errors.Join(problems...)
}

// Format returns the file.
func (j Jobs) Format() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(j); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Find returns the jobs of that id or name.
func (j Jobs) Find(idOrName string) []Job {
	var found []Job
	for _, job := range j.Jobs {
		if strings.EqualFold(job.ExternalID, idOrName) || job.Name == idOrName {
			found = append(found, job)
		}
	}
	return found
}

// Merge adds jobs, or puts them in the place of those with the same id, whose RefreshOn stays. The result is sorted by name.
func (j *Jobs) Merge(jobs []Job) {
	for _, job := range jobs {
		i := slices.IndexFunc(j.Jobs, func(o Job) bool { return o.ExternalID == job.ExternalID })
		if i < 0 {
			j.Jobs = append(j.Jobs, job)
			continue
		}
		job.RefreshOn = j.Jobs[i].RefreshOn
		j.Jobs[i] = job
	}
	slices.SortStableFunc(j.Jobs, func(a, b Job) int { return strings.Compare(a.Name, b.Name) })
}

// Differences says in a line each how a job differs from what it was.
func Differences(was, is Job) []string {
	var list []string
	for _, field := range []struct{ name, was, is string }{
		{"name", was.Name, is.Name}, {"run as", was.RunAs, is.RunAs}, {"target", was.Target, is.Target},
	} {
		if field.was != field.is {
			list = append(list, fmt.Sprintf("%s: %q is now %q", field.name, field.was, field.is))
		}
	}
	before, after := byName(was), byName(is)
	for _, name := range slices.Sorted(maps.Keys(before)) {
		p, ok := after[name]
		switch {
		case !ok:
			list = append(list, fmt.Sprintf("%s: removed, it was %s", name, before[name].written()))
		case p.written() != before[name].written() || p.Type != before[name].Type:
			list = append(list, fmt.Sprintf("%s: %s is now %s", name, describe(before[name]), describe(p)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[name]; !ok {
			list = append(list, fmt.Sprintf("%s: added, %s", name, describe(after[name])))
		}
	}
	return list
}

func describe(p Parameter) string { return fmt.Sprintf("%s (%s)", p.written(), p.Type) }

func byName(j Job) map[string]Parameter {
	m := make(map[string]Parameter, len(j.Parameters))
	for _, p := range j.Parameters {
		m[p.Name] = p
	}
	return m
}
