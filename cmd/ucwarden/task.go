package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ucwarden/ondemand"
)

func newTaskCommand(a *app) *cobra.Command {
	var client clientFlags
	cmd := &cobra.Command{
		Use:     "task",
		Short:   "Submit and follow tasks of a running daemon",
		GroupID: groupTasks,
		Args:    wantArgs(),
		RunE:    needSubcommand,
	}
	client.register(cmd)
	cmd.AddCommand(
		newTaskSubmitCommand(a, &client),
		newTaskGetCommand(a, &client),
		newTaskListCommand(a, &client),
		newTaskWatchCommand(a, &client),
		newTaskMoveCommand(a, &client, "cancel", "Cancel a task that has not ended"),
		newTaskMoveCommand(a, &client, "retry", "Start a failed or skipped task over"),
	)
	return cmd
}

func newTaskGetCommand(a *app, client *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "get ID",
		Short: "Show a task with its results and transitions",
		Args:  wantArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := client.client(a)
			if err != nil {
				return err
			}
			task, err := c.get(cmd.Context(), args[0])
			if err != nil {
				return fmt.Errorf("get task %s: %w", args[0], err)
			}
			return a.print(task, func(w io.Writer) error { return a.printTask(w, task) })
		},
	}
}

func newTaskListCommand(a *app, client *clientFlags) *cobra.Command {
	var status, kind, source, parent, since, cursor string
	var limit int
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tasks, newest first",
		Args:  wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 500 {
				return usageErrorf("--limit %d: want 1 to 500; --all reads every page", limit)
			}
			c, err := client.client(a)
			if err != nil {
				return err
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, value := range map[string]string{
				"status": strings.ToUpper(status), "type": strings.ToUpper(kind), "source": source,
				"parentId": parent, "since": since, "cursor": cursor,
			} {
				if value != "" {
					query.Set(name, value)
				}
			}
			page := ondemand.Page{Items: []ondemand.Task{}}
			for {
				var next ondemand.Page
				if err := c.call(cmd.Context(), request{method: http.MethodGet, query: query}, &next); err != nil {
					return fmt.Errorf("list tasks: %w", err)
				}
				page.Items, page.NextCursor = append(page.Items, next.Items...), next.NextCursor
				if !all || next.NextCursor == "" || next.NextCursor == query.Get("cursor") {
					break
				}
				query.Set("cursor", next.NextCursor)
			}
			return a.print(page, func(w io.Writer) error { return a.printTasks(w, page) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&status, "status", "", "only tasks of this status")
	flags.StringVar(&kind, "type", "", "only tasks of this type")
	flags.StringVar(&source, "source", "", "only tasks of this source")
	flags.StringVar(&parent, "parent", "", "only the parts of this task")
	flags.StringVar(&since, "since", "", "only tasks received since this time, RFC 3339")
	flags.StringVar(&cursor, "cursor", "", "go on after the page that gave this cursor")
	flags.IntVar(&limit, "limit", 50, "tasks per page, at most 500")
	flags.BoolVar(&all, "all", false, "read every page")
	completeWords(cmd, "status", []string{"NEW", "WAITING", "INPROGRESS", "SUCCESS", "FAILED", "SKIPPED"})
	completeWords(cmd, "type", []string{"RESOURCE_SYNC", "FULL_SYNC", "PIPELINE_UPDATE"})
	return cmd
}

func newTaskWatchCommand(a *app, client *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "watch ID",
		Short: "Follow a task until it ends",
		Long: `Follow a task until it ends, one line per transition. The exit code tells how it ended:
0 SUCCESS, 1 FAILED, 3 SKIPPED.`,
		Args: wantArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := client.client(a)
			if err != nil {
				return err
			}
			return a.watch(cmd.Context(), c, args[0])
		},
	}
}

// newTaskMoveCommand makes cancel and retry, which differ in a word.
func newTaskMoveCommand(a *app, client *clientFlags, verb, short string) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " ID",
		Short: short,
		Args:  wantArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := client.client(a)
			if err != nil {
				return err
			}
			var task ondemand.Task
			r := request{method: http.MethodPost, path: []string{args[0], verb}}
			if err := c.call(cmd.Context(), r, &task); err != nil {
				return fmt.Errorf("%s task %s: %w", verb, args[0], err)
			}
			return a.print(task, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "task %s is %s\n", task.ID, task.Status)
				return err
			})
		},
	}
}
