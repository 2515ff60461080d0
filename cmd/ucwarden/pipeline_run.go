package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ucwarden/apiserver/client"
	"ucwarden/config"
	"ucwarden/connector/pipelines"
	"ucwarden/connector/unitycatalog"
	"ucwarden/connector/unitycatalog/pipelineapi"
	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// pipelineLook is how often a command that waits for an update looks at it and its events, or more often where
// pipelines.poll_interval is shorter.
const pipelineLook = time.Second

func newPipelineRunCommand(a *app) *cobra.Command {
	var daemon clientFlags
	var jobs jobsFlag
	var wait, fullRefresh bool
	cmd := &cobra.Command{
		Use:   "run PIPELINE",
		Short: "Start an update of a pipeline, and with --wait follow it to its end",
		Long: `Start an update of a pipeline, named by its id or, as in the file of pipeline import, by its name. With --server the
daemon there does it as a task; without, it is done here. With --wait the pipeline's events are shown on standard error, a line
each, until the update is over, and the exit code says how it ended (ucwarden help exit-codes): 0 COMPLETED, 1 FAILED, 3
cancelled. An interrupt (Ctrl-C) ends the waiting and leaves the update as it is.
--full-refresh resets every table of the pipeline: what its sources do not keep any more is lost.`,
		Example: `  ucwarden pipeline run 11111111-2222-4333-8444-555555555555 --wait
  ucwarden pipeline run nightly --jobs pipelines.json --wait --server http://127.0.0.1:8282`,
		Args: wantArgs("PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, log, err := a.loadOnce()
			if err != nil {
				return err
			}
			id, err := jobs.find(c, args[0])
			if err != nil {
				return err
			}
			task, err := ondemand.PipelineTask(id, fullRefresh)
			if err != nil {
				return err
			}
			task.Source = "cli"
			var run pipelineRunner
			if cmd.Flags().Changed("server") {
				run, err = a.runRemote(cmd.Context(), &daemon, c, log)
			} else {
				run, err = a.runHere(cmd.Context(), c, log)
			}
			if err != nil {
				return err
			}
			defer run.close()
			run.look = min(pipelineLook, c.Pipelines.PollInterval)
			return a.runPipeline(cmd.Context(), run, task, wait)
		},
	}
	daemon.register(cmd)
	cmd.PersistentFlags().Lookup("server").Usage = "submit the task to the daemon whose REST API is at this URL"
	jobs.register(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "show the events of the pipeline, and wait for the end of the update")
	cmd.Flags().BoolVar(&fullRefresh, "full-refresh", false, "reset every table of the pipeline; can lose data")
	return cmd
}

// find returns the id of a pipeline that is named by id or by a name in the file.
func (f *jobsFlag) find(c *config.Config, idOrName string) (string, error) {
	if pipelines.CheckID("a pipeline", idOrName) == nil {
		return strings.ToLower(idOrName), nil
	}
	if f.file(c) == "" {
		return "", usageErrorf("%q is not the id of a pipeline; to name pipelines by name, import them: ucwarden pipeline import --jobs FILE", idOrName)
	}
	jobs, err := f.read(c)
	if err != nil {
		return "", err
	}
	switch found := jobs.Find(idOrName); len(found) {
	case 1:
		return found[0].ExternalID, nil
	case 0:
		return "", usageErrorf("no pipeline in %s has the name %q; import it: ucwarden pipeline import", f.file(c), idOrName)
	default:
		return "", usageErrorf("%d pipelines in %s have the name %q: name one by its id", len(found), f.file(c), idOrName)
	}
}

// pipelineRunner runs a task that updates a pipeline, here or in a daemon.
type pipelineRunner struct {
	submit func(ctx context.Context, t ondemand.Task) (ondemand.Task, error)
	get    func(ctx context.Context, id string) (ondemand.Task, error)
	events pipelines.Reader // nil: events cannot be read
	look   time.Duration
	close  func()
}

// runHere runs tasks in this process, on a store that is removed with it. Another one may belong to a daemon.
func (a *app) runHere(ctx context.Context, c *config.Config, log *slog.Logger) (run pipelineRunner, err error) {
	workspace, err := openWorkspace(ctx, c, log, nil)
	if err != nil {
		return run, err
	}
	api := pipelineapi.New(workspace)
	dir, err := os.MkdirTemp("", "ucwarden-run-")
	if err != nil {
		return run, err
	}
	s, err := store.Open(filepath.Join(dir, "tasks.db"), store.Options{NoSync: true})
	if err != nil {
		return run, errors.Join(err, os.RemoveAll(dir))
	}
	clean := func() {
		if err := errors.Join(s.Close(), os.RemoveAll(dir)); err != nil {
			log.Warn("cannot remove the store of this run", "error", err)
		}
	}
	q, err := queue.New(s, queue.Options{Logger: log, Handlers: map[ondemand.Type]ondemand.Handler{ondemand.PipelineUpdate: pipelines.Handler{Host: workspace.Host()}}})
	if err != nil {
		clean()
		return run, err
	}
	follower, err := pipelines.New(followerOptions(c, api, q, log))
	if err != nil {
		clean()
		return run, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var g errgroup.Group
	g.Go(func() error { return q.Run(running) })
	g.Go(func() error { return follower.Run(running) })
	return pipelineRunner{
		submit: func(ctx context.Context, t ondemand.Task) (ondemand.Task, error) {
			stored, _, err := q.Submit(ctx, t)
			return stored, err
		},
		get: q.Get, events: api,
		close: func() {
			stop()
			_ = g.Wait() // neither returns an error
			clean()
		},
	}, nil
}

// runRemote has a daemon run tasks. Where the workspace is configured here too, its events are shown.
func (a *app) runRemote(ctx context.Context, flags *clientFlags, c *config.Config, log *slog.Logger) (run pipelineRunner, err error) {
	remote, err := flags.client(a)
	if err != nil {
		return run, err
	}
	run = pipelineRunner{submit: remote.Submit, get: remote.Get, close: func() {}}
	if c.Databricks.Host != "" {
		var workspace *unitycatalog.Client
		if workspace, err = openWorkspace(ctx, c, log, nil); err != nil {
			log.Warn("the events of the pipeline cannot be shown", "error", err)
			return run, nil
		}
		run.events = pipelineapi.New(workspace)
	}
	return run, nil
}

// runPipeline submits the task, and waits until its update has started, or ended.
func (a *app) runPipeline(ctx context.Context, run pipelineRunner, task ondemand.Task, wait bool) error {
	task, err := run.submit(ctx, task)
	if err != nil {
		return fmt.Errorf("submit the update: %w", err)
	}
	id := task.ID
	shown := &eventsShown{w: a.stderr, events: run.events, seen: make(map[string]bool)}
	for answered := time.Now(); ; {
		got, err := run.get(ctx, id)
		switch {
		case ctx.Err() != nil:
			fmt.Fprintln(a.stderr, "ucwarden: interrupted:", leftRunning(task))
			return exitError{exitSignal}
		case err != nil && (refusedByDaemon(err) || time.Since(answered) > longestSilence):
			return a.lost(err, id)
		case err == nil:
			task, answered = got, time.Now()
		}
		if wait {
			shown.show(ctx, task)
		}
		if task.Status.Terminal() || !wait && task.Run != nil && task.Run.ID != "" {
			break
		}
		select {
		case <-time.After(run.look):
		case <-ctx.Done():
		}
	}
	if err := show(a, &task, func(w io.Writer) error { return a.printRun(w, task) }); err != nil {
		return err
	}
	if !task.Status.Terminal() {
		return nil
	}
	return taskExit(task)
}

// longestSilence is how long a daemon may not answer, as one that is started again, while a command waits for its task.
const longestSilence = time.Minute

// refusedByDaemon reports whether a daemon answered, and will answer the same again.
func refusedByDaemon(err error) bool {
	refused, ok := errors.AsType[*client.Error](err)
	return ok && refused.Status < 500 && refused.Status != http.StatusTooManyRequests
}

func leftRunning(t ondemand.Task) string {
	if t.Run == nil || t.Run.ID == "" {
		return "no update is known to have been started"
	}
	return fmt.Sprintf("update %s goes on; stop it with: ucwarden pipeline cancel %s", t.Run.UpdateID, t.Run.ID)
}

func (a *app) printRun(w io.Writer, t ondemand.Task) error {
	r := cmp.Or(t.Run, &ondemand.Run{})
	rows := [][]string{{"status", a.status(t.Status)}, {"update", strings.TrimSpace(string(r.Status) + " " + r.RawState)}, {"run", r.ID}, {"link", cmp.Or(r.UpdateLink, r.Link)}}
	if !r.StartTime.IsZero() {
		rows = append(rows, []string{"start", moment(r.StartTime)})
	}
	if !r.EndTime.IsZero() {
		rows = append(rows, []string{"end", moment(r.EndTime)})
	}
	if !r.LastStateChange.IsZero() {
		rows = append(rows, []string{"last state change", moment(r.LastStateChange)})
	}
	rows = append(rows, []string{"message", t.StatusMessage})
	for _, row := range rows {
		if row[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-18s %s\n", row[0], row[1]); err != nil {
			return err
		}
	}
	return nil
}

// eventsShown writes what a pipeline says of an update, a line for each event, once; or its states, where events cannot be read.
type eventsShown struct {
	w      io.Writer
	events pipelines.Reader // may be nil
	seen   map[string]bool
	state  string
	since  time.Time // of the last event, which is read again
}

func (s *eventsShown) show(ctx context.Context, t ondemand.Task) {
	r := t.Run
	if r == nil {
		return
	}
	if r.UpdateID == "" || s.events == nil {
		if says := visibleText(cmp.Or(r.RawState, t.StatusMessage)); says != s.state && !t.Status.Terminal() {
			s.state = says
			fmt.Fprintf(s.w, "%s %s\n", time.Now().UTC().Format(time.TimeOnly), says)
		}
		return
	}
	list, err := s.events.Events(ctx, pipelines.EventQuery{Pipeline: r.PipelineID, Update: r.UpdateID, Since: s.since})
	if err != nil {
		if says := "the events cannot be read: " + visibleText(err.Error()); says != s.state && ctx.Err() == nil {
			s.state = says
			fmt.Fprintln(s.w, says)
		}
		return
	}
	for _, e := range list {
		if s.seen[e.ID] {
			continue
		}
		s.seen[e.ID] = true
		if e.Time.After(s.since) {
			s.since = e.Time.Add(-lateEvents)
		}
		e = visible(e)
		fmt.Fprintf(s.w, "%s %-5s %s: %s\n", e.Time.UTC().Format(time.TimeOnly), e.Level, e.Type, e.Message)
	}
}

// lateEvents is how far back events are read again, since some come late.
const lateEvents = time.Minute

func newPipelineCancelCommand(a *app) *cobra.Command {
	var daemon clientFlags
	var jobs jobsFlag
	cmd := &cobra.Command{
		Use:   "cancel RUN|PIPELINE",
		Short: "Stop an update of a pipeline",
		Long: `Stop an update: that of a run, as PIPELINE_ID:UPDATE_ID, or the active one of a pipeline, by its id or its name in the file
of pipeline import. With --server the tasks of the daemon there that follow such an update are cancelled, each of which then stops
its update; without, the workspace is asked to stop it, whoever started it. An update may have to drain: it stops later.`,
		Args: wantArgs("RUN or PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := a.loadOnce()
			if err != nil {
				return err
			}
			pipeline, update, _ := strings.Cut(args[0], ":")
			if pipeline, err = jobs.find(c, pipeline); err != nil {
				return err
			}
			if strings.Contains(args[0], ":") {
				if err := pipelines.CheckID("an update", update); err != nil {
					return usageErrorf("%w", err)
				}
			}
			if cmd.Flags().Changed("server") {
				return a.cancelRemote(cmd.Context(), &daemon, pipeline, strings.ToLower(update))
			}
			return a.cancelHere(cmd.Context(), pipeline, strings.ToLower(update))
		},
	}
	daemon.register(cmd)
	cmd.PersistentFlags().Lookup("server").Usage = "cancel tasks of the daemon whose REST API is at this URL"
	jobs.register(cmd)
	return cmd
}

// cancelHere asks the workspace to stop an update; "" is the active one.
func (a *app) cancelHere(ctx context.Context, pipeline, update string) error {
	api, _, err := a.openPipelines(ctx)
	if err != nil {
		return err
	}
	if update == "" {
		p, err := api.Pipeline(ctx, pipeline)
		if err != nil {
			return pipelineHint(err)
		}
		u, active := p.Active()
		if !active {
			return policy.Errorf(policy.CodeConflict, "pipeline %s has no active update", pipeline)
		}
		update = u.ID
	}
	if err := api.StopUpdate(ctx, pipeline, update); err != nil {
		return pipelineHint(err)
	}
	u, err := api.Update(ctx, pipeline, update)
	if err != nil {
		return pipelineHint(err)
	}
	result := struct {
		Run   string `json:"run"`
		State string `json:"state"`
	}{pipeline + ":" + update, u.State}
	return show(a, &result, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "update %s is %s\n", update, cmp.Or(u.State, "in no state"))
		return err
	})
}

// cancelRemote cancels the tasks of a daemon that follow an update of the pipeline, or that one.
func (a *app) cancelRemote(ctx context.Context, flags *clientFlags, pipeline, update string) error {
	c, err := flags.client(a)
	if err != nil {
		return err
	}
	var cancelled []ondemand.Task
	for _, status := range []ondemand.Status{ondemand.New, ondemand.Waiting, ondemand.InProgress} {
		filter := ondemand.Filter{Type: ondemand.PipelineUpdate, Status: status, Limit: client.MaxPage}
		for {
			page, err := c.List(ctx, filter)
			if err != nil {
				return err
			}
			for _, t := range page.Items {
				if t.Pipeline().ID != pipeline || update != "" && (t.Run == nil || t.Run.UpdateID != update) {
					continue
				}
				done, err := c.Cancel(ctx, t.ID)
				if err != nil {
					return fmt.Errorf("cancel task %s: %w", t.ID, err)
				}
				cancelled = append(cancelled, done)
			}
			if page.NextCursor == "" {
				break
			}
			filter.Cursor = page.NextCursor
		}
	}
	if len(cancelled) == 0 {
		return policy.Errorf(policy.CodeNotFound, "no task of the daemon follows such an update of pipeline %s", pipeline)
	}
	return show(a, &cancelled, func(w io.Writer) error {
		for _, t := range cancelled {
			if _, err := fmt.Fprintf(w, "task %s is %s: %s\n", t.ID, t.Status, t.StatusMessage); err != nil {
				return err
			}
		}
		return nil
	})
}
