package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ucwarden/apiserver/client"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// submitFlags describe a task to submit.
type submitFlags struct {
	full                bool
	file                string
	id, source, approve string
	wait, watch         bool
}

func newTaskSubmitCommand(a *app, daemon *clientFlags) *cobra.Command {
	var f submitFlags
	cmd := &cobra.Command{
		Use:   "submit [TYPE:NAME...]",
		Short: "Submit a task: a sync of the named objects, a full sync, or a document",
		Long: `Submit a task. TYPE:NAME names an object to sync: catalog:sales, schema:sales.emea,
table:sales.emea.orders, view:..., function:..., volume:..., model:..., external_location:raw and so on.
With --wait or --watch the exit code tells how the task ended: 0 SUCCESS, 1 FAILED, 3 SKIPPED.`,
		Example: `  ucwarden task submit table:sales.emea.orders --watch
  ucwarden task submit --full --wait
  ucwarden task submit --file task.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range []string{"id", "source", "approve"} {
				if f.file != "" && cmd.Flags().Changed(name) {
					return usageErrorf("task submit: --%s is for objects and --full: with --file, the document says it", name)
				}
			}
			document, err := f.document(a, args)
			if err != nil {
				return err
			}
			c, err := daemon.client(a)
			if err != nil {
				return err
			}
			return a.submit(cmd.Context(), c, document, f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.full, "full", false, "sync everything (FULL_SYNC)")
	flags.StringVarP(&f.file, "file", "f", "", "file with the task document, JSON; - is standard input")
	flags.StringVar(&f.id, "id", "", "id of the task; the same id and content again return the task that is there")
	flags.StringVar(&f.source, "source", "cli", "label of where the task comes from")
	flags.StringVar(&f.approve, "approve", "", "digest of a refused plan that may be carried out")
	flags.BoolVar(&f.wait, "wait", false, "wait until the task ends, then show it")
	flags.BoolVar(&f.watch, "watch", false, "show each transition until the task ends")
	return cmd
}

// document returns the JSON of the task to submit.
func (f *submitFlags) document(a *app, args []string) ([]byte, error) {
	ways := 0
	for _, given := range []bool{len(args) > 0, f.full, f.file != ""} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return nil, usageErrorf("task submit: give either objects as TYPE:NAME, or --full, or --file")
	}
	if f.wait && f.watch {
		return nil, usageErrorf("task submit: --wait and --watch exclude one another")
	}
	if f.file != "" {
		return readDocument(a, f.file)
	}
	request := struct {
		ID          string               `json:"id,omitempty"`
		Type        ondemand.Type        `json:"type"`
		Source      string               `json:"source,omitempty"`
		RequestInfo ondemand.RequestInfo `json:"requestInfo"`
	}{ID: f.id, Type: ondemand.ResourceSync, Source: f.source}
	if f.full {
		request.Type = ondemand.FullSync
	}
	request.RequestInfo.Approve = f.approve
	for _, arg := range args {
		r, err := parseResource(arg)
		if err != nil {
			return nil, usageErrorf("task submit: %w", err)
		}
		request.RequestInfo.Resources = append(request.RequestInfo.Resources, r)
	}
	return json.Marshal(request)
}

func readDocument(a *app, file string) ([]byte, error) {
	var data []byte
	var err error
	if file == "-" {
		data, err = io.ReadAll(a.stdin)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read task document: %w", err)
	}
	if !json.Valid(data) {
		return nil, fmt.Errorf("read task document: %s is not JSON", file)
	}
	return bytes.TrimSpace(data), nil
}

// parseResource reads TYPE:NAME. The type keeps the user's word (view, model), because the daemon reports it back.
func parseResource(arg string) (ondemand.Resource, error) {
	s, err := policy.ParseSecurable(arg)
	if err != nil {
		return ondemand.Resource{}, &usageError{err}
	}
	if s.Type == policy.Metastore && s.FullName != "" {
		return ondemand.Resource{}, usageErrorf("a workspace has one metastore, which is named without a name: metastore")
	}
	word, _, _ := strings.Cut(arg, ":")
	word = strings.ToLower(strings.ReplaceAll(word, "-", "_"))
	r := ondemand.ResourceOf(s)
	if own := strings.ToLower(string(s.Type)); word != own {
		r.Type = word
		r.Values[word] = r.Values[own]
		delete(r.Values, own)
	}
	return r, nil
}

// submit posts the document and, where asked, follows the task.
func (a *app) submit(ctx context.Context, c *client.Client, document []byte, f submitFlags) error {
	task, err := c.SubmitDocument(ctx, document)
	if err != nil {
		return fmt.Errorf("submit task: %w", err)
	}
	switch {
	case f.watch:
		if a.output == "text" {
			fmt.Fprintf(a.stdout, "task %s\n", task.ID)
		}
		return a.watch(ctx, c, task.ID)
	case f.wait:
		ended, err := c.Follow(ctx, task.ID, func(ondemand.Transition) {})
		if err != nil {
			return a.lost(err, task.ID)
		}
		if err := show(a, &ended, func(w io.Writer) error { return a.printTask(w, ended) }); err != nil {
			return err
		}
		return taskExit(ended)
	}
	return show(a, &task, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "task %s is %s\n", task.ID, task.Status)
		return err
	})
}

// watch prints each transition as it comes (as JSON lines with -o json) and ends with the code of the status.
func (a *app) watch(ctx context.Context, c *client.Client, id string) error {
	encoder := json.NewEncoder(a.stdout)
	encoder.SetEscapeHTML(false)
	var printErr error
	task, err := c.Follow(ctx, id, func(t ondemand.Transition) {
		if a.output == "json" {
			printErr = errors.Join(printErr, encoder.Encode(t))
		} else {
			a.printTransition(a.stdout, visible(t))
		}
	})
	if err != nil {
		return a.lost(err, id)
	}
	if a.output == "text" {
		printErr = errors.Join(printErr, a.printResults(a.stdout, visible(task)))
	}
	if printErr != nil {
		return fmt.Errorf("write result: %w", printErr)
	}
	return taskExit(task)
}

// lost says that the task goes on without a watcher.
func (a *app) lost(err error, id string) error {
	if errors.Is(err, context.Canceled) {
		fmt.Fprintf(a.stderr, "ucwarden: the daemon goes on with task %s; to end it: ucwarden task cancel %s\n", id, id)
	}
	return withHint(fmt.Errorf("watch task %s: %w", id, err), "the task is not affected; look again with: ucwarden task watch %s", id)
}

// taskExit is nil for SUCCESS and the exit code for the other ends.
func taskExit(t ondemand.Task) error {
	switch t.Status {
	case ondemand.Success:
		return nil
	case ondemand.Skipped:
		return exitError{exitSkipped}
	}
	return exitError{exitFailed}
}
