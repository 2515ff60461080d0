package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ucwarden/ondemand/eventhub"
	"ucwarden/policy"
)

// publishFlags say where events go.
type publishFlags struct {
	connectionString, hub string
	lines                 bool
	options               eventhub.PublishOptions
}

func newTaskPublishCommand(a *app) *cobra.Command {
	var f publishFlags
	cmd := &cobra.Command{
		Use:   "publish FILE...",
		Short: "Send task documents to an event hub",
		Long: `Send the content of each FILE as one event to an Azure event hub, from where a daemon with ondemand.eventhub.enabled
reads it; - is standard input. A file holds a task document, or an array of them. It is sent as it is: what cannot be
read becomes a SKIPPED task that says so. Without --connection-string the hub of the configuration is used.`,
		Example: `  ucwarden task publish task.json
  ucwarden task publish --connection-string "$HUB" --lines tasks.jsonl`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.publish(cmd.Context(), f, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.connectionString, "connection-string", "", "connection string of the hub; may be read by other users of this machine, unlike that of the configuration")
	flags.StringVar(&f.hub, "hub", "", "event hub, where the connection string has no EntityPath")
	flags.BoolVar(&f.lines, "lines", false, "send each line of a file as an event of its own")
	flags.StringVar(&f.options.Partition, "partition", "", "partition to send to; default: the hub chooses")
	flags.StringVar(&f.options.Key, "partition-key", "", "events with the same key go to the same partition, in their order")
	flags.DurationVar(&f.options.Timeout, "timeout", 30*time.Second, "time for each request")
	return cmd
}

// publish sends the files.
func (a *app) publish(ctx context.Context, f publishFlags, files []string) error {
	if len(files) == 0 {
		return usageErrorf("task publish: which file? - is standard input")
	}
	address := eventhub.Address{ConnectionString: f.connectionString, Hub: f.hub}
	if f.connectionString == "" {
		c, err := a.loadQuietly()
		if err != nil {
			return err
		}
		address = hubAddress(c)
		if f.hub != "" {
			address.Hub = f.hub
		}
	}
	var bodies [][]byte
	for _, file := range files {
		data, err := a.readEvents(file)
		if err != nil {
			return err
		}
		if !f.lines {
			bodies = append(bodies, data)
			continue
		}
		for line := range bytes.Lines(data) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				bodies = append(bodies, line)
			}
		}
	}
	unread := 0
	for _, body := range bodies {
		if !json.Valid(body) {
			unread++
		}
	}
	if unread > 0 {
		fmt.Fprintf(a.stderr, "warning: %s not JSON, and will be SKIPPED\n", countOf(unread, "event is", "events are"))
	}
	sent, err := eventhub.Publish(ctx, address, f.options, bodies...)
	if err != nil {
		if sent > 0 {
			fmt.Fprintf(a.stderr, "%s sent before the error\n", countOf(sent, "event was", "events were"))
		}
		return err
	}
	result := struct {
		Events int `json:"events"`
	}{sent}
	return show(a, &result, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s sent\n", countOf(sent, "event", "events"))
		return err
	})
}

// readEvents reads a file, or standard input.
func (a *app) readEvents(file string) ([]byte, error) {
	var data []byte
	var err error
	if file == "-" {
		data, err = io.ReadAll(a.stdin)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "read events: %w", err)
	}
	return data, nil
}
