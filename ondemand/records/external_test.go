package records_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
)

func open(t *testing.T, path string) *store.Store {
	t.Helper()
	s, err := store.Open(path, store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := records.Open(s); err != nil {
		t.Fatal(err)
	}
	return s
}

func update(t *testing.T, s *store.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := s.Update(fn, nil); err != nil {
		t.Fatal(err)
	}
}

var begun = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// pipelineTasks returns three tasks for each pipeline, that begin with its name, and one of another type.
func pipelineTasks(t *testing.T, pipelines ...string) []ondemand.Task {
	t.Helper()
	tasks := []ondemand.Task{{ID: "other", Type: ondemand.FullSync, Status: ondemand.New, ReceivedTime: begun}}
	for i := range 3 {
		for j, pipeline := range pipelines {
			task, err := ondemand.PipelineTask(pipeline, false)
			if err != nil {
				t.Fatal(err)
			}
			task.ID, task.Status = fmt.Sprintf("%d-%d", j, i), []ondemand.Status{ondemand.Success, ondemand.Failed, ondemand.Success}[i]
			task.ReceivedTime = begun.Add(time.Duration(i) * time.Minute)
			tasks = append(tasks, task)
		}
	}
	return tasks
}

// list returns the ids that a filter selects, read a page of one task at a time.
func list(t *testing.T, s *store.Store, f ondemand.Filter) []string {
	t.Helper()
	var ids []string
	for f.Limit = 1; ; {
		var page ondemand.Page
		err := s.View(func(tx *store.Tx) (err error) {
			page, err = records.List(tx, f)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range page.Items {
			ids = append(ids, task.ID)
		}
		if f.Cursor = page.NextCursor; f.Cursor == "" {
			return ids
		}
	}
}

func checkLists(t *testing.T, s *store.Store) {
	t.Helper()
	for _, c := range []struct {
		filter ondemand.Filter
		want   []string
	}{
		{ondemand.Filter{ExternalID: "abc"}, []string{"0-2", "0-1", "0-0"}},
		{ondemand.Filter{ExternalID: "ABC", Status: ondemand.Success}, []string{"0-2", "0-0"}},
		{ondemand.Filter{ExternalID: "abc", Status: ondemand.Failed}, []string{"0-1"}},
		{ondemand.Filter{ExternalID: "abc", Since: begun.Add(time.Minute)}, []string{"0-2", "0-1"}},
		{ondemand.Filter{ExternalID: "abc", Type: ondemand.FullSync}, nil},
		{ondemand.Filter{ExternalID: "abc\x00"}, []string{"1-2", "1-1", "1-0"}},
		{ondemand.Filter{ExternalID: "ab"}, nil},
		{ondemand.Filter{Status: ondemand.Failed}, []string{"1-1", "0-1"}},
	} {
		if got := list(t, s, c.filter); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.filter, got, c.want)
		}
	}
}

// Tasks are found by what they are about, a purged one no longer, and no id is taken for the beginning of another.
func TestExternalID(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "tasks.db"))
	tasks := pipelineTasks(t, "abc", "Abc\x00", "gone")
	update(t, s, func(tx *store.Tx) error {
		for i := range tasks {
			if err := records.Store(tx, &tasks[i], ""); err != nil {
				return err
			}
		}
		return nil
	})
	update(t, s, func(tx *store.Tx) error {
		for i := range tasks {
			if tasks[i].ExternalID() == "gone" {
				if err := records.Delete(tx, &tasks[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	checkLists(t, s)
	if got := list(t, s, ondemand.Filter{ExternalID: "gone"}); got != nil {
		t.Errorf("%q are listed, and were removed", got)
	}
}
