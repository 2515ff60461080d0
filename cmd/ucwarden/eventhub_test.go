package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"testing"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/eventhub"
	hubemulator "ucwarden/ondemand/eventhub/emulator"
)

// startHub serves an event hub in this process.
func startHub(t *testing.T, partitions int) *hubemulator.Server {
	t.Helper()
	hub, err := hubemulator.New(hubemulator.Options{Hub: "tasks", Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hub.Close() })
	return hub
}

// 3,000 events in a hub whose connections, receivers and authorization fail at random become 3,000 tasks, none twice and
// each with its end, although the daemon is killed again and again meanwhile.
func TestEventsOutliveKills(t *testing.T) {
	t.Parallel()
	const batches, size, partitions, lives = 15, 200, 3, 8
	hub := startHub(t, partitions)
	w := newWorld(t, oneSchema("t1", "t2"), readTables)
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	environ := environment("UCWARDEN_ONDEMAND_EVENTHUB_CONNECTION_STRING=" + hub.ConnectionString())
	// The kills are no fault of the tasks, of which one may be running each time.
	args := []string{"serve", "-c", w.config, "--set", "ondemand.eventhub.enabled=true", "--set", "ondemand.max_crashes=100"}
	reads := func(p *process) {
		t.Helper()
		if _, err := p.logged(regexp.MustCompile("reading tasks from the event hub")); err != nil {
			t.Fatal(err)
		}
	}
	published := make(chan error, 1)
	go func() {
		published <- func() error {
			for i := range batches {
				bodies := make([][]byte, size)
				for j := range bodies {
					bodies[j] = fmt.Appendf(nil, `{"id":"%d-%d","type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"table","values":{"catalog":"c","schema":"s","table":"t%d"}}]}}`, i, j, 1+j%2)
				}
				o := eventhub.PublishOptions{Partition: fmt.Sprint(i % partitions)}
				if _, err := eventhub.Publish(t.Context(), eventhub.Address{ConnectionString: hub.ConnectionString()}, o, bodies...); err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	for life := range lives {
		p, err := launch(w.dir, environ, args...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
		if life%2 == 0 { // the others may be killed while they start
			reads(p)
		}
		killer := time.AfterFunc(time.Duration(random.Int64N(int64(400*time.Millisecond))), func() { _ = p.cmd.Process.Kill() })
		<-p.ended
		killer.Stop()
	}
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	for _, fault := range []func(){hub.DetachReceivers, hub.StealReceivers, hub.KillConnections} {
		p, err := launch(w.dir, environ, args...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
		reads(p)
		time.AfterFunc(time.Duration(random.Int64N(int64(300*time.Millisecond))), fault)
		killer := time.AfterFunc(500*time.Millisecond, func() { _ = p.cmd.Process.Kill() })
		<-p.ended
		killer.Stop()
	}
	p, url, err := launchServe(w.dir, environ, args[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	c := w.api(url)
	last := fmt.Sprintf("-%d", size-1)
	until(t, "every event read", func() bool { // the last of each partition: they are in order
		for i := batches - partitions; i < batches; i++ {
			if _, err := c.Get(t.Context(), fmt.Sprint(i)+last); err != nil {
				return false
			}
		}
		return true
	})
	until(t, "every task at its end", func() bool {
		for _, status := range []ondemand.Status{ondemand.New, ondemand.Waiting, ondemand.InProgress} {
			if page, err := c.List(t.Context(), ondemand.Filter{Status: status, Limit: 1}); err != nil || len(page.Items) > 0 {
				return false
			}
		}
		return true
	})
	ids := make(map[string]bool)
	for cursor := ""; ; {
		page, err := c.List(t.Context(), ondemand.Filter{Limit: 500, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range page.Items {
			if ids[task.ID] || task.Status != ondemand.Success {
				t.Errorf("task %s: %s %q, twice: %t", task.ID, task.Status, task.StatusMessage, ids[task.ID])
			}
			ids[task.ID] = true
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if len(ids) != batches*size {
		t.Errorf("%d tasks, want %d", len(ids), batches*size)
	}
}

// Events alone are enough: without the REST API the daemon reads them, too.
func TestEventsAlone(t *testing.T) {
	t.Parallel()
	hub := startHub(t, 1)
	w := newWorld(t, oneSchema("t1"), readTables)
	body := []byte(`{"id":"alone","type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"table","values":{"catalog":"c","schema":"s","table":"t1"}}]}}`)
	address := eventhub.Address{ConnectionString: hub.ConnectionString()}
	if _, err := eventhub.Publish(t.Context(), address, eventhub.PublishOptions{}, body); err != nil {
		t.Fatal(err)
	}
	p, err := launch(w.dir, environment("UCWARDEN_ONDEMAND_EVENTHUB_CONNECTION_STRING="+address.ConnectionString),
		"serve", "-c", w.config, "--set", "apiserver.enabled=false", "--set", "ondemand.eventhub.enabled=true")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	if _, err := p.logged(regexp.MustCompile(`task=alone .*to=SUCCESS`)); err != nil {
		t.Error(err)
	}
	if err := p.signal(os.Interrupt); err != nil {
		t.Errorf("the daemon ended badly: %v", err)
	}
}
