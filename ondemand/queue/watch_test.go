package queue

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

func TestSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		r := newRig(t, g.options())
		r.submit(syncTask("a", "catalog:c"))
		c, err := r.Subscribe(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		var seen []ondemand.Status
		step := func() {
			task, ok := <-c
			if ok {
				seen = append(seen, task.Status)
			}
		}
		step()
		r.start()
		synctest.Wait()
		step()
		close(g.open)
		step()
		if _, ok := <-c; ok || !slices.Equal(seen, []ondemand.Status{ondemand.New, ondemand.InProgress, ondemand.Success}) {
			t.Errorf("saw %v, channel open %v", seen, ok)
		}
		if _, err := r.Subscribe(t.Context(), "none"); policy.CodeOf(err) != policy.CodeNotFound {
			t.Errorf("subscribe to no task: %v", err)
		}
		r.submit(ondemand.Task{ID: "b", Type: ondemand.ResourceSync, RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{{Type: "catalog", Values: map[string]string{"catalog": "z"}}}}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if done, err := r.Wait(ctx, "b"); err != nil || done.Status != ondemand.Success {
			t.Errorf("wait: %s, %v", done.Status, err)
		}
		r.stop()
		r.submit(ondemand.Task{ID: "never", Type: ondemand.FullSync})
		if got, err := r.Wait(ctx, "never"); !errors.Is(err, context.DeadlineExceeded) || got.Status != ondemand.New {
			t.Errorf("wait until the deadline: %s, %v", got.Status, err)
		}
		r.close()
	})
}
