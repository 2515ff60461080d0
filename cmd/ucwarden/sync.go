package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"ucwarden/apiserver/client"
	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
	"ucwarden/policy"
)

func newSyncCommand(a *app) *cobra.Command {
	var (
		daemon     clientFlags
		approve    string
		planFile   string
		securables []string
		changes    bool
	)
	cmd := &cobra.Command{
		Use:        "sync",
		SuggestFor: []string{"apply", "run"},
		Short:      "Bring the workspace into sync with the policies, once",
		GroupID:    groupSync,
		Long: `Run one full sync, or with --securable a sync of these objects, as a task, and wait for its end.
With --server the task is submitted to the daemon there; without, it runs here, on the task store that a daemon with the
same configuration would use. How far it is appears on standard error: a bar on a terminal, a few lines elsewhere.
An interrupt (Ctrl-C) ends a sync that runs here once the requests on their way are answered, and says what was done and
what was not; a second one ends it at once. A full sync that was killed before is not gone on with: this one takes its place,
and says so. Look first with: ucwarden plan`,
		Example: `  ucwarden sync -c ucwarden.yaml
  ucwarden sync --securable catalog:sales
  ucwarden sync --plan monday.json            # what plan --out saved, or nothing
  ucwarden sync --approve 3f2a9c0d11e84b52    # a plan that a guard refused`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var saved *savedPlan
			task, err := syncTask(securables, approve)
			if err == nil && planFile != "" {
				if len(securables) > 0 {
					return usageErrorf("--plan and --securable exclude one another: the saved plan says what it is for")
				}
				if saved, err = readPlan(planFile); err == nil {
					task, err = saved.task(approve)
				}
			}
			if err != nil {
				return err
			}
			var done syncReport
			if cmd.Flags().Changed("server") {
				done, err = a.syncRemote(cmd.Context(), &daemon, task)
			} else {
				done, err = a.syncHere(cmd.Context(), task, saved)
			}
			if err != nil {
				return err
			}
			if err := show(a, &done, func(w io.Writer) error { return a.printSync(w, done, changes) }); err != nil {
				return err
			}
			if done.Interrupted {
				fmt.Fprintln(a.stderr, "ucwarden: interrupted: what was done stays, and the next sync does the rest")
				return exitError{exitSignal}
			}
			if done.KeptOut != "" {
				fmt.Fprintln(a.stderr, "ucwarden: this went by the last policies that could be used, not by those that are there now:", visibleText(done.KeptOut))
				return exitError{exitFailed}
			}
			return taskExit(done.Task)
		},
	}
	daemon.register(cmd)
	cmd.PersistentFlags().Lookup("server").Usage = "submit the task to the daemon whose REST API is at this URL"
	cmd.Flags().StringVar(&approve, "approve", "", "digest of a plan that a guard refused, to carry out exactly that one")
	cmd.Flags().StringVar(&planFile, "plan", "", "apply exactly the plan that plan --out saved in this file, or nothing where it is stale")
	cmd.Flags().StringArrayVar(&securables, "securable", nil, "sync TYPE:NAME and everything inside only; may be repeated")
	cmd.Flags().BoolVar(&changes, "changes", false, "list every change that was made; those that mode observe would make are listed always")
	return cmd
}

func syncTask(securables []string, approve string) (ondemand.Task, error) {
	t := ondemand.Task{Type: ondemand.FullSync, Source: "cli", RequestInfo: ondemand.RequestInfo{Approve: approve}}
	if len(securables) > 0 {
		t.Type = ondemand.ResourceSync
	}
	for _, arg := range securables {
		r, err := parseResource(arg)
		if err != nil {
			return t, &usageError{fmt.Errorf("--securable: %w", err)}
		}
		t.RequestInfo.Resources = append(t.RequestInfo.Resources, r)
	}
	return t, nil
}

// syncReport is an ended task with the tasks it was split into.
type syncReport struct {
	Task        ondemand.Task   `json:"task"`
	Shards      []ondemand.Task `json:"shards,omitempty"`
	Interrupted bool            `json:"interrupted,omitempty"` // before it ended: the tasks are as they were then
	Left        []ondemand.Task `json:"left,omitempty"`        // tasks that were there before, as they are at its end
	KeptOut     string          `json:"keptOut,omitempty"`     // why newer policies than those it went by are not in force
}

// syncHere runs the task in this process. A saved plan must be of the workspace that is configured.
func (a *app) syncHere(ctx context.Context, task ondemand.Task, saved *savedPlan) (report syncReport, err error) {
	c, log, err := a.loadOnce()
	if err != nil {
		return report, err
	}
	warnWithoutEffect(c, log)
	if here := workspaceOf(c); saved != nil && saved.Host != here {
		return report, fmt.Errorf("the saved plan is of the workspace %s, and %s is configured", saved.Host, here)
	}
	bar := a.progressInLines()
	p, err := openPipeline(ctx, c, bar.showOf, log)
	if err != nil {
		return report, err
	}
	if paused := p.queue.Paused(); paused != nil {
		err := policy.Errorf(policy.CodeUnavailable, "the tasks of this store are paused since %s", paused.Since.Format(time.RFC3339))
		return report, errors.Join(withHint(err, "start the daemon and let them begin again: ucwarden task resume"), p.close())
	}
	task.PostedBy = localUser()
	submitted, left, err := a.submitHere(ctx, p.queue, task)
	if err != nil {
		return report, errors.Join(err, p.close())
	}
	running, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- p.runTasks(running) }()
	end := sync.OnceValue(func() error {
		stop()
		return <-ran
	})
	defer func() {
		if runErr := end(); err == nil {
			err = runErr
		}
		if closeErr := p.close(); err == nil {
			err = closeErr
		}
	}()
	id := submitted
	wait := func(ctx context.Context) (ondemand.Task, error) {
		bar.watch(id)
		stopBar := bar.follow(ctx, 200*time.Millisecond, func(ctx context.Context) (ondemand.Task, error) { return p.queue.Get(ctx, id) })
		defer stopBar()
		return p.queue.Wait(ctx, id)
	}
	report.Task, err = wait(ctx)
	for err == nil && a.superseded(report.Task) {
		id = report.Task.SupersededBy
		report.Task, err = wait(ctx)
	}
	if err != nil && ctx.Err() != nil {
		fmt.Fprintln(a.stderr, "ucwarden: interrupted: waiting for the requests on their way; interrupt again to end at once")
		err = end()
		bar.done()
		if err != nil {
			return report, err
		}
		return interrupted(context.WithoutCancel(ctx), p.queue, id)
	}
	bar.showTask(report.Task)
	bar.done()
	if err != nil {
		return report, err
	}
	if err := keptOut(p.source); err != nil {
		report.KeptOut = err.Error()
	}
	if report.Shards, err = shardsOf(ctx, p.queue, id); err != nil {
		return report, err
	}
	if len(left) > 0 { // what runs of them ends first, so that it is shown with its results
		if err := end(); err != nil {
			return report, err
		}
	}
	for _, t := range left {
		if t, err = p.queue.Get(ctx, t.ID); err != nil {
			return report, err
		}
		report.Left = append(report.Left, t)
	}
	return report, nil
}

// superseded reports whether another task, as one that a crash has left, does what a task asked for, and says so.
func (a *app) superseded(t ondemand.Task) bool {
	if t.Status != ondemand.Skipped || t.SupersededBy == "" {
		return false
	}
	fmt.Fprintf(a.stderr, "ucwarden: task %s asks for the same and was there before: following that one\n", t.SupersededBy)
	return true
}

// interrupted reports how far a sync came before it was interrupted. What of it waits is cancelled: no later run is to go
// on with what a person has ended.
func interrupted(ctx context.Context, q *queue.Queue, id string) (report syncReport, err error) {
	if report.Task, err = q.Get(ctx, id); err != nil {
		return report, err
	}
	if report.Shards, err = shardsOf(ctx, q, id); err != nil || report.Task.Status.Terminal() {
		return report, err // it had just ended
	}
	report.Interrupted = true
	_, err = q.Cancel(ctx, id, localUser())
	return report, err
}

// localUser is who runs this process, for the audit trail.
func localUser() string {
	u, err := user.Current()
	if err != nil {
		return "uid " + strconv.Itoa(os.Getuid())
	}
	return u.Username
}

// taskLister lists tasks: the queue of this process, or a client of another's.
type taskLister interface {
	List(ctx context.Context, f ondemand.Filter) (ondemand.Page, error)
}

var (
	_ taskLister = (*queue.Queue)(nil)
	_ taskLister = (*client.Client)(nil)
)

// shardsOf returns the tasks that a full sync was split into, in the order of what they are about.
func shardsOf(ctx context.Context, from taskLister, parent string) ([]ondemand.Task, error) {
	var shards []ondemand.Task
	filter := ondemand.Filter{ParentID: parent, Limit: client.MaxPage}
	for {
		page, err := from.List(ctx, filter)
		if err != nil {
			return nil, err
		}
		shards = append(shards, page.Items...)
		if page.NextCursor == "" {
			break
		}
		filter.Cursor = page.NextCursor
	}
	slices.SortFunc(shards, func(x, y ondemand.Task) int { return strings.Compare(summary(x), summary(y)) })
	return shards, nil
}

// syncRemote returns the task to a running daemon.
func (a *app) syncRemote(ctx context.Context, flags *clientFlags, task ondemand.Task) (report syncReport, err error) {
	c, err := flags.client(a)
	if err != nil {
		return report, err
	}
	submitted, err := c.Submit(ctx, task)
	if err != nil {
		return report, fmt.Errorf("submit sync: %w", err)
	}
	bar := a.progressInLines()
	id := submitted.ID
	follow := func() (ondemand.Task, error) {
		stopBar := bar.follow(ctx, 2*time.Second, func(ctx context.Context) (ondemand.Task, error) { return c.Get(ctx, id) })
		defer stopBar()
		return c.Follow(ctx, id, func(ondemand.Transition) {})
	}
	report.Task, err = follow()
	for err == nil && a.superseded(report.Task) {
		id = report.Task.SupersededBy
		report.Task, err = follow()
	}
	bar.showTask(report.Task)
	bar.done()
	if err != nil {
		return report, a.lost(err, id)
	}
	report.Shards, err = shardsOf(ctx, c, id)
	return report, err
}

// printSync shows what a sync did: a line for each shard or resource, then the end of the task.
func (a *app) printSync(w io.Writer, r syncReport, changes bool) error {
	tasks := r.Shards
	if len(tasks) == 0 && r.Task.Type != ondemand.FullSync { // a full sync without shards says all in its last line
		tasks = []ondemand.Task{r.Task}
	}
	if err := a.printLeft(w, r.Left); err != nil {
		return err
	}
	var rows [][]string
	for _, t := range tasks {
		if len(t.Resources) == 0 || t.Status == ondemand.Failed && t.Resources[0].Status != ondemand.Failed {
			says := t.StatusMessage
			if says == "" && t.Attempts == 0 && !t.Status.Terminal() {
				says = "not begun"
			}
			rows = append(rows, []string{a.status(t.Status), summary(t), says})
			continue
		}
		for _, res := range t.Resources {
			rows = append(rows, []string{a.status(res.Status), resourceName(res.Type, res.Values), res.Message})
		}
	}
	if len(rows) > 0 {
		if err := printTable(w, []string{"status", "resource", "result"}, rows); err != nil {
			return err
		}
	}
	for _, t := range tasks {
		if !changes && !slices.ContainsFunc(t.Resources, func(r ondemand.ResourceResult) bool { return len(r.WouldChange) > 0 }) {
			continue
		}
		if err := a.printResults(w, t); err != nil {
			return err
		}
	}
	if r.Interrupted {
		_, err := fmt.Fprintf(w, "\n%s\n", interruptedLine(r))
		return err
	}
	message := r.Task.StatusMessage
	if message != "" {
		message = ": " + message
	}
	_, err := fmt.Fprintf(w, "\n%s after %s%s\n", a.status(r.Task.Status), took(r.Task), message)
	return err
}

// interruptedLine says what of a sync was not done.
func interruptedLine(r syncReport) string {
	ended := 0
	for _, t := range r.Shards {
		if t.Status.Terminal() {
			ended++
		}
	}
	switch {
	case len(r.Shards) > 0:
		return fmt.Sprintf("Interrupted: %d of %s ended; what waits was not done, or not all of it.", ended, count(len(r.Shards), "part"))
	case r.Task.Type == ondemand.FullSync:
		return "Interrupted before anything was changed."
	}
	return "Interrupted: not all of it was done."
}
