package queue

import (
	"testing"
	"testing/synctest"

	"ucwarden/ondemand"
)

// A paused queue begins no job, takes tasks all the same, and stays paused after a restart; what runs goes on to its end.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		r := newRig(t, g.options())
		r.start()
		r.submit(syncTask("running", "catalog:a"))
		synctest.Wait()
		first, err := r.Pause(t.Context(), "ann")
		if err != nil || first.By != "ann" || first.Since.IsZero() {
			t.Fatalf("paused by %+v, %v", first, err)
		}
		if again, err := r.Pause(t.Context(), "bob"); err != nil || again != first {
			t.Errorf("paused again: %+v, %v, want %+v", again, err, first)
		}
		r.submit(syncTask("later", "catalog:b"))
		r.submit(withPriority(syncTask("urgent", "catalog:c"), ondemand.Urgent))
		close(g.open)
		r.wait("running")
		synctest.Wait()
		if got := g.seen(); got != "running" {
			t.Errorf("began while paused: %s", got)
		}

		r.close()
		r.open()
		r.start()
		synctest.Wait()
		if p := r.Paused(); p == nil || *p != first {
			t.Errorf("after a restart paused by %+v, want %+v", p, first)
		}
		if got := g.seen(); got != "running" {
			t.Errorf("began after a restart: %s", got)
		}
		if err := r.Resume(t.Context(), "bob"); err != nil {
			t.Fatal(err)
		}
		r.wait("later")
		r.wait("urgent")
		if r.Paused() != nil {
			t.Error("still paused")
		}
		r.close()
		r.open()
		if r.Paused() != nil {
			t.Error("paused again after a restart")
		}
		r.close()
	})
}
