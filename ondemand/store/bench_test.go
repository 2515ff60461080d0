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

// BenchmarkOpenMillion measures how long it takes until a queue over a million tasks takes more, and what memory it needs: where
// all of them wait, and where all have ended.
func BenchmarkOpenMillion(b *testing.B) {
	for _, status := range []ondemand.Status{ondemand.New, ondemand.Success} {
		b.Run(string(status), func(b *testing.B) { benchmarkOpen(b, status, 1_000_000) })
	}
}

func benchmarkOpen(b *testing.B, status ondemand.Status, n int) {
	path := filepath.Join(b.TempDir(), "tasks.db")
	fill(b, path, status, n)
	waiting := 0
	if status == ondemand.New {
		waiting = n
	}
	b.ResetTimer()
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
		if got := queue.Stats().New; got != waiting {
			b.Fatalf("%d tasks wait, want %d", got, waiting)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(residentBytes(b))/(1<<20), "peak-MiB")
}

// fill makes a store with n tasks of a status, those that wait in the backlog.
func fill(b *testing.B, path string, status ondemand.Status, n int) {
	s, err := store.Open(path, store.Options{NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := records.Open(s); err != nil {
		b.Fatal(err)
	}
	begun := time.Now().UTC().Add(-time.Hour)
	const batch = 1000
	for from := 0; from < n; from += batch {
		err := s.Update(func(tx *store.Tx) error {
			for i := from; i < from+batch; i++ {
				t := ondemand.Task{
					ID: fmt.Sprintf("0199-%08d", i), Type: ondemand.ResourceSync, Status: status, PostedBy: fmt.Sprintf("subject-%d", i%7),
					ReceivedTime: begun.Add(time.Duration(i) * time.Millisecond),
					RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{
						{Type: "table", Values: map[string]string{"catalog": "sales", "schema": "emea", "table": fmt.Sprintf("t%d", i%100_000)}},
					}},
				}
				if status.Terminal() {
					t.EndTime = t.ReceivedTime.Add(time.Second)
					for _, step := range []ondemand.Transition{{From: ondemand.New, To: ondemand.Waiting}, {From: ondemand.Waiting, To: ondemand.InProgress}, {From: ondemand.InProgress, To: status}} {
						step.Time, step.Reason = t.EndTime, "a reason of some words"
						t.Transitions = append(t.Transitions, step)
					}
				}
				new, err := records.NewBatch(1).Prepare(&t, !status.Terminal())
				if err != nil {
					return err
				}
				if err := new.Create(tx); err != nil {
					return err
				}
			}
			return nil
		}, nil)
		if err != nil {
			b.Fatal(err)
		}
	}
}
