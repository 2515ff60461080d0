package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ucwarden/apiserver/client"
	"ucwarden/ondemand"
)

func newTaskCommand(a *app) *cobra.Command {
	var daemon clientFlags
	cmd := &cobra.Command{
		Use:     "task",
		Short:   "Submit and follow tasks of a running daemon",
		GroupID: groupTasks,
		Args:    wantArgs(),
		RunE:    needSubcommand,
	}
	daemon.register(cmd)
	cmd.AddCommand(
		newTaskSubmitCommand(a, &daemon),
		newTaskPublishCommand(a),
		newTaskGetCommand(a, &daemon),
		newTaskListCommand(a, &daemon),
		newTaskWatchCommand(a, &daemon),
		newTaskMoveCommand(a, &daemon, "cancel", "Cancel a task that has not ended", (*client.Client).Cancel),
		newTaskMoveCommand(a, &daemon, "retry", "Start a failed or skipped task over", (*client.Client).Retry),
		newTaskPauseCommand(a, &daemon, "pause", "Let no task begin until they are resumed", `Let no task begin until they are resumed, also after a restart of the daemon. Tasks that run go on to their end, and
new ones are stored. The daemon stays ready and says degraded. It needs a token of scope admin.`, (*client.Client).Pause),
		newTaskPauseCommand(a, &daemon, "resume", "Let tasks begin again after a pause", `Let tasks begin again after a pause. It needs a token of scope admin.`, (*client.Client).Resume),
	)
	return cmd
}

func newTaskGetCommand(a *app, daemon *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "get ID",
		Short: "Show a task with its results and transitions",
		Args:  wantArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := daemon.client(a)
			if err != nil {
				return err
			}
			task, err := c.Get(cmd.Context(), args[0])
			if err != nil {
				return fmt.Errorf("get task %s: %w", args[0], err)
			}
			return show(a, &task, func(w io.Writer) error { return a.printTask(w, task) })
		},
	}
}

func newTaskListCommand(a *app, daemon *clientFlags) *cobra.Command {
	var status, kind, source, parent, pipeline, since, cursor string
	var limit int
	var all, shards bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tasks, newest first",
		Long: `List tasks, newest first: where each comes from, how long ago it was received, how long it took, and how many of
the shards of a full sync have ended. A full sync is split into shards, one for each catalog and one for all else; they
are tasks too, and listed with --shards, --parent or --status.`,
		Example: `  ucwarden task list
  ucwarden task list --since 24h --status FAILED
  ucwarden task list --parent ID    # the shards of a full sync
  ucwarden task list --pipeline ID  # the updates of a pipeline`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > client.MaxPage {
				return usageErrorf("--limit %d: want 1 to %d; --all reads every page", limit, client.MaxPage)
			}
			now := time.Now()
			from, err := parseSince(since, now)
			if err != nil {
				return err
			}
			c, err := daemon.client(a)
			if err != nil {
				return err
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, value := range map[string]string{
				"status": strings.ToUpper(status), "type": strings.ToUpper(kind), "source": source,
				"parentId": parent, "externalId": pipeline, "cursor": cursor,
			} {
				if value != "" {
					query.Set(name, value)
				}
			}
			if !from.IsZero() {
				query.Set("since", from.UTC().Format(time.RFC3339Nano))
			}
			if !shards && status == "" && parent == "" {
				query.Set("topLevel", "true")
			}
			page := ondemand.Page{Items: []ondemand.Task{}}
			for {
				next, err := c.ListQuery(cmd.Context(), query)
				if err != nil {
					return fmt.Errorf("list tasks: %w", err)
				}
				page.Items, page.NextCursor = append(page.Items, next.Items...), next.NextCursor
				if !all || next.NextCursor == "" || next.NextCursor == query.Get("cursor") {
					break
				}
				query.Set("cursor", next.NextCursor)
			}
			return show(a, &page, func(w io.Writer) error { return a.printTasks(w, page, now) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&status, "status", "", "only tasks of this status")
	flags.StringVar(&kind, "type", "", "only tasks of this type")
	flags.StringVar(&source, "source", "", "only tasks of this source")
	flags.StringVar(&parent, "parent", "", "only the shards of this task")
	flags.StringVar(&pipeline, "pipeline", "", "only updates of the pipeline with this id")
	flags.BoolVar(&shards, "shards", false, "list the shards of full syncs too")
	flags.StringVar(&since, "since", "", "only tasks received since this time, RFC 3339, or for so long: 24h, 7d")
	flags.StringVar(&cursor, "cursor", "", "go on after the page that returned this cursor")
	flags.IntVar(&limit, "limit", 50, "tasks per page, at most 500")
	flags.BoolVar(&all, "all", false, "read every page")
	completeWords(cmd, "status", []string{"NEW", "WAITING", "INPROGRESS", "SUCCESS", "FAILED", "SKIPPED"})
	completeWords(cmd, "type", []string{"RESOURCE_SYNC", "FULL_SYNC", "PIPELINE_UPDATE"})
	return cmd
}

func newTaskWatchCommand(a *app, daemon *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "watch ID",
		Short: "Follow a task until it ends",
		Long: `Follow a task until it ends, one line per transition. The exit code tells how it ended:
0 SUCCESS, 1 FAILED, 3 SKIPPED.`,
		Args: wantArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := daemon.client(a)
			if err != nil {
				return err
			}
			return a.watch(cmd.Context(), c, args[0])
		},
	}
}

// newTaskMoveCommand makes cancel and retry, which differ in a word and in the call.
func newTaskMoveCommand(a *app, daemon *clientFlags, verb, short string, move taskCall) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " ID",
		Short: short,
		Args:  wantArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := daemon.client(a)
			if err != nil {
				return err
			}
			task, err := move(c, cmd.Context(), args[0])
			if err != nil {
				return fmt.Errorf("%s task %s: %w", verb, args[0], err)
			}
			return show(a, &task, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "task %s is %s\n", task.ID, task.Status)
				return err
			})
		},
	}
}

// newTaskPauseCommand makes pause and resume.
func newTaskPauseCommand(a *app, daemon *clientFlags, verb, short, long string, call func(*client.Client, context.Context) (client.Paused, error)) *cobra.Command {
	return &cobra.Command{
		Use:   verb,
		Short: short,
		Long:  long,
		Args:  wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := daemon.client(a)
			if err != nil {
				return err
			}
			p, err := call(c, cmd.Context())
			if err != nil {
				return fmt.Errorf("%s tasks: %w", verb, err)
			}
			return show(a, &p, func(w io.Writer) error {
				text := "tasks begin"
				if p.Paused && !p.Since.IsZero() {
					text = "tasks are paused since " + moment(p.Since)
					if p.By != "" {
						text += ", by " + p.By
					}
				}
				_, err := fmt.Fprintln(w, text)
				return err
			})
		},
	}
}

// taskCall is a call about the task with an id, which returns the task.
type taskCall func(c *client.Client, ctx context.Context, id string) (ondemand.Task, error)
