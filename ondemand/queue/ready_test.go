package queue

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/ondemand"
)

// However many shards of a full sync wait, one worker is left for on-demand tasks; where there is one at all, both have one.
func TestShardsLeaveAWorker(t *testing.T) {
	for workers, want := range map[int]string{1: "now shard0", 2: "now shard0", 4: "now shard0 shard1 shard2"} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate()
			o := g.options()
			o.Workers = workers
			r := newRig(t, o)
			for i := range 6 {
				r.submit(withPriority(syncTask(fmt.Sprintf("shard%d", i), fmt.Sprintf("catalog:c%d", i)), ondemand.ShardPriority))
			}
			r.start()
			synctest.Wait()
			r.submit(syncTask("now", "table:c0.s.t"))
			synctest.Wait()
			if got := g.seen(); got != want {
				t.Errorf("%d workers: at once %s, want %s", workers, got, want)
			}
			close(g.open)
			r.wait("shard5")
			r.close()
		})
	}
}

// A shard takes no task for a table along, which would then wait for all of the shard; one for the same objects it does.
func TestShardsTakeNoOnDemandTaskAlong(t *testing.T) {
	r := newRig(t, handlersOnly())
	r.submit(withPriority(syncTask("shard", "catalog:c"), ondemand.ShardPriority))
	r.submit(withPriority(syncTask("z-part", "table:c.s.u"), ondemand.ShardPriority))
	r.submit(syncTask("table", "table:c.s.t"))
	r.submit(syncTask("same", "catalog:c"))
	leader, followers := r.live.claim(time.Now(), room{least: math.MaxInt, shards: true})
	var ids []string
	for _, f := range followers {
		ids = append(ids, f.id)
	}
	if got := strings.Join(ids, " "); leader == nil || leader.id != "shard" || got != "same z-part" {
		t.Errorf("%v takes along %s", leader, got)
	}
}

func handlersOnly() Options { return Options{Handlers: handlers(succeed)} }

// Owners take turns: somebody's single task goes after one task of each of the others, however many these have.
func TestOwnersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var ran []string
		r := newRig(t, Options{Workers: 1, Handlers: handlers(func(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
			mu.Lock()
			defer mu.Unlock()
			ran = append(ran, job.Task.ID)
			return succeed(ctx, job)
		})})
		submit := func(owner string, by func(*ondemand.Task, string), n int) {
			for i := range n {
				task := syncTask(fmt.Sprintf("%s%d", owner, i), fmt.Sprintf("table:%s.s.t%d", owner, i))
				by(&task, owner)
				r.submit(task)
			}
		}
		subject := func(t *ondemand.Task, owner string) { t.PostedBy, t.Source = owner, "airflow" }
		submit("ann", subject, 5)
		submit("bob", subject, 2)
		submit("hub", func(t *ondemand.Task, owner string) { t.Source = owner }, 1)
		r.start()
		synctest.Wait()
		if got, want := strings.Join(ran, " "), "ann0 bob0 hub0 ann1 bob1 ann2 ann3 ann4"; got != want {
			t.Errorf("ran %s, want %s", got, want)
		}
		if n := len(r.live.ready.last); n != 0 {
			t.Errorf("%d owners are kept who have no task", n)
		}
		r.close()
	})
}
