package main

import (
	"cmp"
	"log/slog"
	"os"
	"sync"
	"time"

	"ucwarden/config"
	"ucwarden/connector/pipelines"
	"ucwarden/connector/tasks"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// refreshAfter returns what follows from what a sync changed: updates of the pipelines that read it; nil where none is to follow. The
// file of job definitions must be there.
func refreshAfter(c *config.Config, log *slog.Logger) (func(ondemand.Job, tasks.Changed) []ondemand.Task, error) {
	if c.Refresh.On == "off" || c.Sync.Mode == string(policy.ModeObserve) {
		return nil, nil
	}
	file := &jobsFile{path: c.Pipelines.Jobs, log: log}
	if err := file.read(); err != nil {
		return nil, err
	}
	refresher := pipelines.NewRefresher(pipelines.RefreshOptions{
		Jobs: file.jobs, Targets: c.Refresh.Targets, Grants: c.Refresh.On == "all", Window: c.Refresh.Window, Logger: log,
	})
	return func(job ondemand.Job, changed tasks.Changed) []ondemand.Task {
		return refresher.After(cmp.Or(job.Task.ParentID, job.Task.ID), pipelines.Change(changed)) // of a part: the whole sync
	}, nil
}

// jobsFile is a file of job definitions, which is read again when it changes.
type jobsFile struct {
	path string
	log  *slog.Logger

	mu       sync.Mutex
	kept     pipelines.Jobs
	modified time.Time
	failed   string // why it could not be read again
}

// read reads the file where it is not the one that was read last.
func (f *jobsFile) read() error {
	info, err := os.Stat(f.path)
	if err == nil && info.ModTime().Equal(f.modified) {
		return nil
	}
	jobs, err := readJobs(f.path)
	if err != nil {
		return err
	}
	f.kept, f.modified = jobs, info.ModTime()
	return nil
}

// jobs returns the job definitions; those that were read last, where the file cannot be read now.
func (f *jobsFile) jobs() pipelines.Jobs {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.read()
	switch {
	case err == nil:
		f.failed = ""
	case err.Error() != f.failed:
		f.failed = err.Error()
		f.log.Warn("the job definitions of pipelines cannot be read; those that were read last count", "error", err)
	}
	return f.kept
}
