package ondemand

import (
	"encoding/json"
	"slices"
	"time"
)

// sourceRefresh is the source of tasks that update a pipeline after a sync changed what it reads.
const sourceRefresh = "refresh"

// RefreshCause is a sync after which a pipeline is updated, and what it changed there.
type RefreshCause struct {
	Task       string   `json:"task"`
	Reason     string   `json:"reason"`
	Securables []string `json:"securables,omitempty"` // TYPE:NAME, the first ones
}

// causedByField is where a refresh names the syncs that caused it, in its requestInfo.
const causedByField = "causedBy"

// MaxNamed bounds how many securables a cause names.
const MaxNamed = 10

// maxCauses bounds how many syncs a refresh names; the first ones are kept.
const maxCauses = 20

// RefreshTask returns a task that updates a pipeline at a time, because of a sync. Others for the same pipeline and time join it while
// it waits: they have its id.
func RefreshTask(pipeline string, at time.Time, cause RefreshCause) (Task, error) {
	t, err := PipelineTask(pipeline, false)
	if err != nil {
		return t, err
	}
	t.ID, t.Source, t.NotBefore = "refresh-"+pipeline+"-"+at.UTC().Format("20060102T150405.000Z"), sourceRefresh, at.UTC().Round(0)
	return t, t.setCauses([]RefreshCause{cause})
}

func (t *Task) setCauses(list []RefreshCause) error {
	raw, err := json.Marshal(list)
	if err == nil {
		t.RequestInfo.Extra[causedByField] = raw
	}
	return err
}

// Causes returns the syncs because of which a pipeline is updated; none for a task that somebody asked for.
func (t *Task) Causes() []RefreshCause {
	var list []RefreshCause
	if t.Source != sourceRefresh || json.Unmarshal(t.RequestInfo.Extra[causedByField], &list) != nil {
		return nil
	}
	return list
}

// Joins reports whether a task that waits does what the other one asks for, so that the other can join it: somebody may have chosen
// its id for something else.
func (t *Task) Joins(other *Task) bool {
	return t.Type == other.Type && t.PostedBy == other.PostedBy && t.Pipeline().ID == other.Pipeline().ID
}

// Join adds what caused another refresh of the same pipeline. Several parts of one sync are one cause for each reason.
func (t *Task) Join(other *Task) error {
	list := t.Causes()
	for _, cause := range other.Causes() {
		i := slices.IndexFunc(list, func(c RefreshCause) bool { return c.Task == cause.Task && c.Reason == cause.Reason })
		if i < 0 {
			list = append(list, cause)
			continue
		}
		list[i].Securables = slices.Compact(slices.Sorted(slices.Values(append(list[i].Securables, cause.Securables...))))
		list[i].Securables = list[i].Securables[:min(len(list[i].Securables), MaxNamed)]
	}
	return t.setCauses(list[:min(len(list), maxCauses)])
}
