package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/eventhub"
	hubemulator "ucwarden/ondemand/eventhub/emulator"
	"ucwarden/policy"
)

// startHub serves the event hub that the daemon reads.
func (d *demo) startHub() (stop func() error, err error) {
	d.hub, err = hubemulator.New(hubemulator.Options{Hub: "tasks", Partitions: 2})
	if err != nil {
		return nil, err
	}
	if err := d.hub.Start("127.0.0.1:0"); err != nil {
		return nil, policy.Errorf(policy.CodeUnavailable, "%w", err)
	}
	return d.hub.Close, nil
}

// newEvent creates a table and has it synced by an event.
func (d *demo) newEvent(ctx context.Context) error {
	d.title("Another table is created, and synced by an event of an Azure event hub (ucwarden task publish)")
	const id, catalog, schema, table = "demo-event", "marketing", "curated", "customers_2027"
	if err := d.createTable(ctx, catalog, schema, table); err != nil {
		return err
	}
	document, err := json.Marshal(map[string]any{
		"id": id, "type": ondemand.ResourceSync, "source": "demo-event",
		"requestInfo": ondemand.RequestInfo{Resources: []ondemand.Resource{
			{Type: "table", Values: map[string]string{"catalog": catalog, "schema": schema, "table": table}},
		}},
	})
	if err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, demoWait)
	defer cancel()
	start := time.Now()
	if _, err := eventhub.Publish(ctx, eventhub.Address{ConnectionString: d.hub.ConnectionString()}, eventhub.PublishOptions{}, document, document); err != nil {
		return err
	}
	fmt.Fprintf(d.stdout, "The event, sent twice:\n  %s\n\n", document)
	if _, err := d.taskFrom(ctx, "demo-event"); err != nil {
		return err
	}
	task, err := d.api.Follow(ctx, id, func(t ondemand.Transition) { d.printTransition(d.stdout, t) })
	if err != nil {
		return err
	}
	if err := d.printResults(d.stdout, task); err != nil {
		return err
	}
	granted := slices.ContainsFunc(task.Resources, func(r ondemand.ResourceResult) bool { return len(r.Changes) > 0 })
	if task.Status != ondemand.Success || !granted {
		return fmt.Errorf("the event's task ended %s, and nothing was granted on %s", task.Status, strings.Join([]string{catalog, schema, table}, "."))
	}
	page, err := d.daemon.queue.List(ctx, ondemand.Filter{Source: "demo-event"})
	if err != nil {
		return err
	}
	if len(page.Items) != 1 {
		return errors.New("the event that was sent twice became more than one task")
	}
	fmt.Fprintf(d.stdout, "\nFrom the event to SUCCESS: %s; one task of two events\n", time.Since(start).Round(time.Millisecond))
	return nil
}
