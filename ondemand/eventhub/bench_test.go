package eventhub_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/eventhub"
	"ucwarden/ondemand/eventhub/emulator"
	"ucwarden/ondemand/queue"
	"ucwarden/ondemand/store"
)

// BenchmarkEvents measures events that become durable tasks, against plain commits of the same records (task, index entries)
// in batches of the same size and in the same order: of-plain is the ratio of the rates. heap-MB is how much the heap grew at most
// meanwhile, with every event waiting in the hub from the beginning. The time includes the start: connecting, looking at the hub
// and opening a link for each partition, which first-ms shows up to the first task, and which weighs in the smallest lag only;
// flowing-of-plain is the ratio of the rates from the first task on, as in a daemon that is connected.
func BenchmarkEvents(b *testing.B) {
	for _, events := range []int{4_000, 32_000, 128_000} {
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
	var plain, read, first time.Duration
	flowed := 0 // events that were no tasks yet when first ended
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
		began := false
		for tick := time.NewTicker(time.Millisecond); q.Stats().New < events; <-tick.C {
			if have := q.Stats().New; !began && have > 0 {
				began = true
				first += time.Since(start)
				flowed += events - have
			}
			inUse := heapInUse()
			heap = max(heap, inUse-min(before, inUse))
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
	b.ReportMetric(float64(plain)/float64(read-first)*float64(flowed)/float64(events*b.N), "flowing-of-plain")
	b.ReportMetric(float64(heap)/(1<<20), "heap-MB")
	b.ReportMetric(float64(first.Microseconds())/1000/float64(b.N), "first-ms")
}

// heapInUse does not stop the world, as runtime.ReadMemStats does.
func heapInUse() uint64 {
	inUse := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	metrics.Read(inUse)
	return inUse[0].Value.Uint64() + inUse[1].Value.Uint64()
}

// record is what one key of a bucket holds.
type record struct{ bucket, key, value []byte }

// plainCommits puts what a store holds about tasks into another one, task by task in the order in which they came, in batches of as
// many as the consumer takes at a time, and returns how long that took.
func plainCommits(b *testing.B, from string, to *store.Store, events int) time.Duration {
	defer to.Close()
	records := make(map[string][]record) // by id
	buckets := make(map[string]bool)
	var order []string
	damage, err := store.Entries(from, func(bucket, key, value []byte) error {
		id := string(key)
		switch string(bucket) {
		case "tasks":
		case "by_status":
			id = id[9:]
			order = append(order, id) // in that of the time, since all have the same status
		case "backlog":
			n, size := binary.Uvarint(key)
			id = id[size+int(n)+8:]
		case "backlog_resources":
			id = id[strings.LastIndexByte(id, 0)+1:]
		default:
			return nil
		}
		buckets[string(bucket)] = true
		records[id] = append(records[id], record{bytes.Clone(bucket), bytes.Clone(key), bytes.Clone(value)})
		return nil
	})
	if err != nil || len(damage) > 0 || len(records) != events || len(order) != events {
		b.Fatalf("records of %d tasks, %d in order, want %d: %v, %v", len(records), len(order), events, damage, err)
	}
	for bucket := range buckets {
		if err := to.AddBuckets([]byte(bucket)); err != nil {
			b.Fatal(err)
		}
	}
	start := time.Now()
	for batch := range slices.Chunk(order, benchBatch) {
		err := to.Update(func(tx *store.Tx) error {
			for _, id := range batch {
				for _, r := range records[id] {
					if err := tx.Bucket(r.bucket).Put(r.key, r.value); err != nil {
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
