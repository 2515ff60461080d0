package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/connector"
	"ucwarden/ondemand"
)

// A log gets a line at the end of each phase, about ten during one, and one every half minute where nothing moves.
func TestProgressInLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := (&app{stderr: &log}).progressInLines()
		lines := func() []string {
			text := strings.TrimSuffix(log.String(), "\n")
			log.Reset()
			return strings.Split(text, "\n")
		}
		for i := range 3 { // at once
			p.show(connector.Progress{Phase: "plan", Done: i + 1, Total: 3, Read: 1 + 70*i})
			p.show(connector.Progress{Phase: "plan", Done: i + 1, Total: 3, Read: 1 + 70*i})
		}
		p.showTask(ondemand.Task{})
		p.showTask(ondemand.Task{Children: &ondemand.Children{Total: 3}})
		p.showTask(ondemand.Task{Children: &ondemand.Children{Total: 3, Succeeded: 1, Failed: 1, Skipped: 1}})
		want := []string{"ucwarden: planning shards: 3 of 3, grants on 141 objects read", "ucwarden: syncing shards: 3 of 3"}
		if got := lines(); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%q", got)
		}

		for i := range 1000 { // in 1,000 s
			time.Sleep(time.Second)
			p.show(connector.Progress{Phase: "read", Done: i + 1, Total: 1000})
			p.tick()
		}
		got := lines()
		if first := "ucwarden: reading grants: 2 of 1000, after 2s"; got[0] != first {
			t.Errorf("%q, want %q", got[0], first)
		}
		if last := "ucwarden: reading grants: 1000 of 1000, after 16m40s"; got[len(got)-1] != last {
			t.Errorf("%q, want %q", got[len(got)-1], last)
		}
		if n := len(got); n < 30 || n > 45 {
			t.Errorf("%d lines in a quarter of an hour: %q", n, got)
		}

		ctx, cancel := context.WithCancel(t.Context())
		stop := p.follow(ctx, time.Second, func(context.Context) (ondemand.Task, error) {
			return ondemand.Task{Children: &ondemand.Children{Total: 9, Succeeded: 4}}, nil
		})
		time.Sleep(100 * time.Second)
		cancel()
		stop()
		if got := lines(); len(got) != 4 || !strings.HasPrefix(got[3], "ucwarden: syncing shards: 4 of 9, after ") {
			t.Errorf("%q", got)
		}
	})
}

// Only the task that somebody waits for is shown, and nothing by a command that was not asked for lines.
func TestProgressOfOneTask(t *testing.T) {
	var log bytes.Buffer
	p := (&app{stderr: &log}).progressInLines()
	p.watch("ours")
	p.showOf("left over", connector.Progress{Phase: "apply", Done: 1, Total: 1})
	if log.Len() > 0 {
		t.Errorf("%q", log.String())
	}
	p.showOf("ours", connector.Progress{Phase: "apply", Done: 2, Total: 2})
	if got := log.String(); got != "ucwarden: applying changes: 2 of 2\n" {
		t.Errorf("%q", got)
	}
	log.Reset()
	p = (&app{stderr: &log}).progress()
	p.show(connector.Progress{Phase: "read", Done: 2, Total: 2})
	p.done()
	if log.Len() > 0 {
		t.Errorf("%q", log.String())
	}
}
