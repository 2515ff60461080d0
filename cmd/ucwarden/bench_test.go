package main

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ucwarden/config"
	"ucwarden/connector/emulator"
	"ucwarden/ondemand"
)

// inCalls returns for how long at least one of the calls was with the workspace.
func inCalls(trace []emulator.TraceEntry) (total time.Duration) {
	slices.SortFunc(trace, func(a, b emulator.TraceEntry) int { return a.Time.Compare(b.Time) })
	var until time.Time
	for _, e := range trace {
		begin, end := e.Time, e.Time.Add(e.Duration)
		if begin.Before(until) {
			begin = until
		}
		if end.After(begin) {
			total, until = total+end.Sub(begin), end
		}
	}
	return total
}

// BenchmarkTaskLatency measures a task for one table that lacks a grant, from its acceptance (202) to SUCCESS, as a client
// sees both, through the whole daemon: REST, store, queue, compile, diff, apply. The workspace takes 20 ms for each call, and what its timer is late. p50-ms and
// p99-ms are the whole; over-p50-ms and over-p99-ms are what is left of each task's time without that for which a call was with the
// workspace. As many more tasks follow during full syncs: full-over-p99-ms, and its ratio to that of the idle daemon. A round is
// a hundred tasks, so that the 99th percentile is not the slowest of a few.
func BenchmarkTaskLatency(b *testing.B) {
	const latency = 20 * time.Millisecond
	const tables, round = 5000, 100 // two tables for each task
	var names []string
	for i := range tables {
		names = append(names, "t"+strconv.Itoa(i))
	}
	w := newWorld(b, oneSchema(append(names, "twarm")...), readTables)
	c, err := config.Load(config.Options{File: w.config})
	if err != nil {
		b.Fatal(err)
	}
	d, err := newDaemon(b.Context(), c, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	api := w.api("http://" + d.api.Addr().String())
	if _, err := w.emulator.AddFaults(emulator.Fault{LatencyMS: int(latency.Milliseconds())}); err != nil {
		b.Fatal(err)
	}
	syncTable := func(table string) (took time.Duration, changed bool, trace []emulator.TraceEntry) {
		w.emulator.ResetTrace()
		task, err := api.Submit(ctx, tableSync("", "c", "s", table))
		accepted, ended := time.Now(), time.Time{}
		if err == nil {
			task, err = api.Follow(ctx, task.ID, func(step ondemand.Transition) {
				if step.To == ondemand.Success {
					ended = time.Now()
				}
			})
		}
		took = ended.Sub(accepted)
		if err != nil || task.Status != ondemand.Success || ended.IsZero() {
			b.Fatalf("task for %s: %s %s %v", table, task.Status, task.StatusMessage, err)
		}
		return took, len(task.Resources[0].Changes) > 0, w.emulator.Trace()
	}
	syncTable("twarm") // the first reads the directory, too
	var all, over, called []time.Duration
	calls := 0
	for b.Loop() {
		if len(all)+round > tables/2 {
			b.Fatalf("more than %d tasks: there are no more tables", tables/2)
		}
		for range round {
			took, _, trace := syncTable(names[len(all)])
			calls += len(trace)
			all, called = append(all, took), append(called, inCalls(trace))
			over = append(over, took-called[len(called)-1])
		}
	}
	last := "TABLE:c.s." + names[len(all)-1] + " "
	if !slices.ContainsFunc(w.grants(), func(g string) bool { return strings.HasPrefix(g, last) }) {
		b.Errorf("nothing was granted on %s", last)
	}
	full, stopFull := context.WithCancel(ctx)
	var syncing sync.WaitGroup
	begun := make(chan struct{}, 1)
	syncing.Go(func() {
		for full.Err() == nil {
			task, err := api.Submit(full, ondemand.Task{Type: ondemand.FullSync})
			if err != nil {
				return
			}
			select {
			case begun <- struct{}{}:
			default:
			}
			_, _ = api.Follow(full, task.ID, func(ondemand.Transition) {})
		}
	})
	<-begun
	slices.Sort(called)
	usual := called[len(called)/2] // the trace has the calls of the full syncs, too
	var during []time.Duration
	for i := range all {
		took, changed, _ := syncTable(names[tables/2+i])
		if !changed { // the full sync was there first
			took += latency
		}
		during = append(during, took-usual)
	}
	stopFull()
	syncing.Wait()
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for name, list := range map[string][]time.Duration{"": all, "over-": over} {
		slices.Sort(list)
		b.ReportMetric(ms(list[len(list)/2]), name+"p50-ms")
		b.ReportMetric(ms(list[len(list)*99/100]), name+"p99-ms")
	}
	slices.Sort(during)
	p99 := during[len(during)*99/100]
	b.ReportMetric(ms(p99), "full-over-p99-ms")
	b.ReportMetric(float64(p99)/float64(over[len(over)*99/100]), "full/idle")
	b.ReportMetric(float64(calls)/float64(len(all)), "calls/task")
}
