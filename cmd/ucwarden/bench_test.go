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

// waitsOf returns how many calls were waited for one after the other: those that began while another was under way count with it.
func waitsOf(trace []emulator.TraceEntry, latency time.Duration) int {
	slices.SortFunc(trace, func(a, b emulator.TraceEntry) int { return a.Time.Compare(b.Time) })
	n := 0
	var end time.Time
	for _, e := range trace {
		if !e.Time.Before(end) {
			n, end = n+1, e.Time.Add(latency)
		}
	}
	return n
}

// BenchmarkTaskLatency measures a task for one table that lacks a grant, from POST to SUCCESS, through the whole
// daemon: REST, store, queue, compile, diff, apply. The workspace takes 20 ms for each call. p50-ms and p99-ms are the
// whole; over-p50-ms and over-p99-ms are what is left of each task's time without the waits for the workspace. As many more tasks
// follow during full syncs: full-over-p99-ms, and its ratio to that of the idle daemon.
func BenchmarkTaskLatency(b *testing.B) {
	const latency = 20 * time.Millisecond
	const tables = 5000 // two for each round
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
		begun := time.Now()
		task, err := api.SubmitWait(ctx, tableSync("", "c", "s", table), 30*time.Second)
		took = time.Since(begun)
		if err != nil || task.Status != ondemand.Success {
			b.Fatalf("task for %s: %s %s %v", table, task.Status, task.StatusMessage, err)
		}
		return took, len(task.Resources[0].Changes) > 0, w.emulator.Trace()
	}
	syncTable("twarm") // the first reads the directory, too
	var all, over []time.Duration
	calls, waits := 0, 0
	for i := 0; b.Loop(); i++ {
		if i == tables/2 {
			b.Fatalf("more than %d rounds: there are no more tables", tables/2)
		}
		took, _, trace := syncTable(names[i])
		waits = waitsOf(trace, latency)
		all, over = append(all, took), append(over, took-time.Duration(waits)*latency)
		calls += len(trace)
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
	var during []time.Duration
	for i := range all {
		took, changed, _ := syncTable(names[tables/2+i])
		n := waits
		if !changed { // the full sync was there first
			n--
		}
		during = append(during, took-time.Duration(n)*latency)
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
