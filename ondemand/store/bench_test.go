package store_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
)

// BenchmarkAccept compares durable submissions of tasks with plain updates of a file of bbolt, of as many bytes, in turn within
// one run. accepts/update is the rate of 64 clients by the rate of updates; latency/update the median latency of one client by
// that of an update.
func BenchmarkAccept(b *testing.B) {
	s, err := store.Open(filepath.Join(b.TempDir(), "tasks.db"), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	queue, err := queue.New(s, queue.Options{MaxQueued: 1 << 30, InMemory: 1 << 22})
	if err != nil {
		b.Fatal(err)
	}
	db, err := bolt.Open(filepath.Join(b.TempDir(), "plain.db"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	task, err := ondemand.ParseTask([]byte(`{"type": "RESOURCE_SYNC", "source": "airflow", "requestInfo": {"resources": [
		{"type": "table", "values": {"catalog": "sales", "schema": "emea", "table": "orders"}}]}}`))
	if err != nil {
		b.Fatal(err)
	}
	value := make([]byte, 500)
	updates := 0
	update := func() {
		updates++
		err := db.Update(func(tx *bolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("tasks"))
			if err != nil {
				return err
			}
			return bucket.Put(binary.BigEndian.AppendUint64(nil, uint64(updates)), value)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	submit := func() {
		if _, _, err := queue.Submit(context.Background(), task); err != nil {
			b.Error(err)
		}
	}
	var plain, one []time.Duration
	var accepted int
	var spent time.Duration
	timed := func(list *[]time.Duration, f func()) {
		for range 50 {
			begun := time.Now()
			f()
			*list = append(*list, time.Since(begun))
		}
	}
	for b.Loop() {
		timed(&plain, update)
		timed(&one, submit)
		begun := time.Now()
		accepted += many(64, 2000, submit)
		spent += time.Since(begun)
	}
	perUpdate := mean(plain)
	rate := float64(accepted) / spent.Seconds()
	b.ReportMetric(1/perUpdate.Seconds(), "updates/s")
	b.ReportMetric(rate, "accepts/s")
	b.ReportMetric(rate*perUpdate.Seconds(), "accepts/update")
	b.ReportMetric(float64(median(one))/float64(median(plain)), "latency/update")
	b.ReportMetric(0, "ns/op")
}

// many calls f n times by as many clients, and returns n.
func many(clients, n int, f func()) int {
	var left atomic.Int64
	left.Store(int64(n))
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			for left.Add(-1) >= 0 {
				f()
			}
		})
	}
	running.Wait()
	return n
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

func mean(list []time.Duration) time.Duration {
	var sum time.Duration
	for _, d := range list {
		sum += d
	}
	return sum / time.Duration(len(list))
}

// BenchmarkOpenMillion measures how long it takes until a queue over a million waiting tasks takes more, and what memory it needs.
func BenchmarkOpenMillion(b *testing.B) {
	path := filepath.Join(b.TempDir(), "tasks.db")
	fill(b, path, 1_000_000)
	for b.Loop() {
		census := new(records.Census)
		s, err := store.Open(path, store.Options{Visit: census.Visit})
		if err != nil {
			b.Fatal(err)
		}
		queue, err := queue.New(s, queue.Options{MaxQueued: 2_000_000, Census: census})
		if err != nil {
			b.Fatal(err)
		}
		if n := queue.Stats().New; n != 1_000_000 {
			b.Fatalf("%d tasks", n)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(residentBytes(b))/(1<<20), "peak-MiB")
}

func fill(b *testing.B, path string, n int) {
	s, err := store.Open(path, store.Options{NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	queue, err := queue.New(s, queue.Options{MaxQueued: 2 * n})
	if err != nil {
		b.Fatal(err)
	}
	var batch []ondemand.Task
	for i := range n {
		task := ondemand.Task{Type: ondemand.ResourceSync, PostedBy: fmt.Sprintf("subject-%d", i%7), RequestInfo: ondemand.RequestInfo{
			Resources: []ondemand.Resource{{Type: "table", Values: map[string]string{"catalog": "sales", "schema": "emea", "table": fmt.Sprintf("t%d", i%100_000)}}},
		}}
		if batch = append(batch, task); len(batch) == 1000 {
			if _, err := queue.SubmitAll(context.Background(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
}
