package queue

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

// The clock on the wall jumps by an hour, either way: nothing is lost or stuck, retries keep their delay, what ended is kept for
// its time, and transitions stay in order.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(fmt.Sprint(jump), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var offset atomic.Int64
				r := newRig(t, Options{
					RetryBase: 10 * time.Second, RetryMax: 10 * time.Second, Retention: 24 * time.Hour,
					Now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) },
					Handlers: handlers(func(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
						if job.Task.Attempts == 1 {
							return ondemand.Outcome{}, policy.Errorf(policy.CodeUnavailable, "try again")
						}
						return succeed(ctx, job)
					}),
				})
				for round, restart := range []bool{false, true} {
					r.start()
					id := fmt.Sprint(round)
					before := r.opts.Now()
					r.submit(syncTask(id, "catalog:c"))
					synctest.Wait() // it failed once, and waits
					begun := time.Now()
					offset.Add(int64(jump))
					if restart {
						r.close()
						r.open()
						r.start()
					}
					r.submit(syncTask(id+"-after", "catalog:d"))
					for _, id := range []string{id, id + "-after"} {
						if done := r.waitFor(id, time.Minute); done.Status != ondemand.Success {
							t.Fatalf("%s is %s", id, done.Status)
						}
					}
					if took := time.Since(begun); took > 11*time.Second {
						t.Errorf("the next attempt came after %v", took)
					}
					done := r.get(id)
					if !done.ReceivedTime.Equal(before) || done.EndTime.Before(before.Add(jump)) || done.EndTime.After(before.Add(jump+time.Minute)) {
						t.Errorf("received %v, ended %v", done.ReceivedTime, done.EndTime)
					}
					if n, last := len(done.Transitions), done.Transitions[len(done.Transitions)-1]; n != 5 || last.To != ondemand.Success {
						t.Errorf("%d transitions, the last to %s", n, last.To)
					}
					r.stop()
				}
				if n, err := r.purgeBefore(r.now().Add(-r.Queue.opts.Retention)); n != 0 || err != nil {
					t.Errorf("%d tasks removed before their time, %v", n, err)
				}
				offset.Add(int64(27 * time.Hour)) // also where two hours are to come again
				if n, err := r.purgeBefore(r.now().Add(-r.Queue.opts.Retention)); n != 4 || err != nil {
					t.Errorf("%d tasks removed after their time, %v", n, err)
				}
				r.close()
			})
		})
	}
}

func (r *rig) waitFor(id string, most time.Duration) ondemand.Task {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	task, _ := r.Wait(ctx, id) // as it is, where time is over
	return task
}
