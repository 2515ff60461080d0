package eventhub_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/eventhub"
	"ucwarden/ondemand/eventhub/emulator"
	"ucwarden/ondemand/queue"
	"ucwarden/ondemand/store"
)

// BenchmarkEvents measures events that become durable tasks, against plain commits of the same records (task, index entries)
// in batches of the same size: of-plain is the ratio of the rates. heap-MB is how much the heap grew at most meanwhile, with every event
// waiting in the hub from the beginning.
func BenchmarkEvents(b *testing.B) {
	for _, events := range []int{4_000, 32_000} {
		b.Run(fmt.Sprint("lag=", events), func(b *testing.B) { benchmarkEvents(b, events) })
	}
}

const benchPartitions, benchBatch = 4, 256

func benchmarkEvents(b *testing.B, events int) {
	hub, err := emulator.New(emulator.Options{Hub: "tasks", Partitions: benchPartitions})
	if err != nil {
		b.Fatal(err)
	}
	if err := hub.Start("127.0.0.1:0"); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = hub.Close() })
	address := eventhub.Address{ConnectionString: hub.ConnectionString()}
	documents := make([][]byte, events)
	for i := range documents {
		documents[i] = []byte(document(fmt.Sprint(i), fmt.Sprint("t", i)))
	}
	for i := range benchPartitions {
		part := documents[i*events/benchPartitions : (i+1)*events/benchPartitions]
		if _, err := eventhub.Publish(b.Context(), address, eventhub.PublishOptions{Partition: fmt.Sprint(i)}, part...); err != nil {
			b.Fatal(err)
		}
	}
	open := func() *store.Store {
		s, err := store.Open(filepath.Join(b.TempDir(), "tasks.db"), store.Options{})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	var plain, read time.Duration
	var heap uint64
	for range b.N {
		s := open()
		q, err := queue.New(s, queue.Options{MaxQueued: 1 << 30})
		if err != nil {
			b.Fatal(err)
		}
		c, err := eventhub.New(eventhub.Options{Address: address, TaskTypes: []ondemand.Type{ondemand.ResourceSync}, Queue: q})
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		before := heapInUse()
		ctx, cancel := context.WithCancel(b.Context())
		start := time.Now()
		ended := make(chan struct{})
		go func() { defer close(ended); _ = c.Run(ctx) }()
		for tick := time.NewTicker(20 * time.Millisecond); q.Stats().New < events; <-tick.C {
			heap = max(heap, heapInUse()-min(before, heapInUse()))
		}
		read += time.Since(start)
		cancel()
		<-ended
		path := s.Path()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		plain += plainCommits(b, path, open(), events)
	}
	b.ReportMetric(float64(events*b.N)/read.Seconds(), "events/s")
	b.ReportMetric(float64(plain)/float64(read), "of-plain")
	b.ReportMetric(float64(heap)/(1<<20), "heap-MB")
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// record is what one key of a bucket holds.
type record struct{ key, value []byte }

// plainCommits puts what a store holds into another one, in batches of as many tasks as the consumer takes at a time, and
// returns how long that took.
func plainCommits(b *testing.B, from string, to *store.Store, events int) time.Duration {
	defer to.Close()
	records := make(map[string][]record)
	damage, err := store.Entries(from, func(bucket, key, value []byte) error {
		records[string(bucket)] = append(records[string(bucket)], record{bytes.Clone(key), bytes.Clone(value)})
		return nil
	})
	if err != nil || len(damage) > 0 || len(records["tasks"]) != events {
		b.Fatalf("%d tasks, want %d: %v, %v", len(records["tasks"]), events, damage, err)
	}
	for bucket := range records {
		if err := to.AddBuckets([]byte(bucket)); err != nil {
			b.Fatal(err)
		}
	}
	start := time.Now()
	for at := 0; at < events; at += benchBatch {
		err := to.Update(func(tx *store.Tx) error {
			for bucket, all := range records {
				for _, r := range all[min(at, len(all)):min(at+benchBatch, len(all))] {
					if err := tx.Bucket([]byte(bucket)).Put(r.key, r.value); err != nil {
						return err
					}
				}
			}
			return nil
		}, nil)
		if err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start)
}
