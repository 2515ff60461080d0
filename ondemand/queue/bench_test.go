package queue

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
)

// syncedRig is a queue whose commits reach the disk.
func syncedRig(b *testing.B, o Options) *rig {
	b.Helper()
	r := &rig{t: b, opts: o, stop: func() {}}
	var err error
	if r.store, err = store.Open(filepath.Join(b.TempDir(), "tasks.db"), store.Options{}); err != nil {
		b.Fatal(err)
	}
	if r.Queue, err = New(r.store, o); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.close)
	return r
}

// BenchmarkSubmit measures durable submissions: one writer pays an fsync for each, many share them.
func BenchmarkSubmit(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			r := syncedRig(b, Options{MaxQueued: 1 << 30})
			task := syncTask("", "table:c.s.t")
			work := make(chan struct{})
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for range work {
						if _, _, err := r.Submit(context.Background(), task); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ResetTimer()
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}

// BenchmarkAcceptToDone measures the time from Submit to the end of a task whose handler does nothing: what the queue
// adds to the latency of the workspace.
func BenchmarkAcceptToDone(b *testing.B) {
	r := syncedRig(b, Options{Handlers: handlers(succeed)})
	r.start()
	var times []time.Duration
	for i := range b.N {
		start := time.Now()
		t := r.submit(syncTask("", fmt.Sprintf("table:c.s.t%d", i)))
		if done := r.wait(t.ID); done.Status != ondemand.Success {
			b.Fatalf("ended %s", done.Status)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkClaim measures a claim among 10,000 waiting tasks on different tables.
func BenchmarkClaim(b *testing.B) {
	none := func(*ondemand.Task, int) string { return "" }
	for _, names := range []string{"table", "catalog"} {
		b.Run(names, func(b *testing.B) {
			l := newLiveTasks(20_000)
			now := time.Now()
			for i := range 10_000 {
				t := syncTask(fmt.Sprint(i), fmt.Sprintf("table:c%d.s.t%d", i%100, i))
				t.Status, t.Priority = ondemand.Waiting, -1
				l.add(newEntry(&t, none), now)
			}
			b.ResetTimer()
			for i := range b.N {
				name := fmt.Sprintf("table:c%d.s.t%d", i%100, i%10_000)
				if names == "catalog" {
					name = fmt.Sprintf("catalog:c%d", i%100)
				}
				t := syncTask("leader", name)
				t.Status = ondemand.Waiting
				l.add(newEntry(&t, none), now)
				leader, followers := l.claim(now, room{least: math.MinInt, shards: true})
				if want := map[string]int{"table": 1, "catalog": 100}[names]; len(followers) != want {
					b.Fatalf("%d followers, want %d", len(followers), want)
				}
				l.setStatus(leader, ondemand.InProgress)
				l.remove(leader)
				for _, f := range followers {
					l.enqueue(f, now)
				}
			}
		})
	}
}
