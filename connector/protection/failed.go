package protection

import (
	"context"
	"maps"
	"slices"
	"time"

	"ucwarden/policy"
)

// failure is that a table could not be protected, which keeps it closed for a while.
type failure struct {
	until time.Time
	err   error
	times int  // in a row
	asked bool // it was due, and returned by Due
}

// A table that could not be protected stays closed before that is tried again: for closedFor, or where the reason may pass for
// closedAtFirst, and twice as long each time until that.
const (
	closedFor     = 15 * time.Minute
	closedAtFirst = time.Minute
)

func (w *Worker) fail(table policy.Securable, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	times := w.failed[table].times
	wait := closedFor
	if policy.CodeOf(err).Retryable() {
		wait = min(closedAtFirst<<min(times, 10), closedFor)
	}
	w.failed[table] = failure{until: time.Now().Add(wait), err: err, times: times + 1}
}

func (w *Worker) succeed(table policy.Securable) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.failed, table)
}

// failedBefore returns why a table could not be protected a while ago; nil where it could, or is to be tried again.
func (p *planning) failedBefore(table policy.Securable) error {
	p.Worker.mu.Lock()
	defer p.Worker.mu.Unlock()
	f, ok := p.failed[table]
	if !ok || p.TryAgain || !time.Now().Before(f.until) {
		return nil
	}
	return f.err
}

// dueEvery is how often Due looks at the clock.
const dueEvery = 10 * time.Second

// Due waits until tables are to be tried again that could not be protected for a reason that may pass, and returns their catalogs,
// sorted, once for each time that this failed; nil says that ctx has ended.
func (w *Worker) Due(ctx context.Context) []policy.Securable {
	tick := time.NewTicker(dueEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		catalogs := make(map[policy.Securable]bool)
		w.mu.Lock()
		for table, f := range w.failed {
			if !f.asked && policy.CodeOf(f.err).Retryable() && !time.Now().Before(f.until) {
				f.asked = true
				w.failed[table] = f
				catalogs[policy.Securable{Type: policy.Catalog, FullName: table.Names()[0]}] = true
			}
		}
		w.mu.Unlock()
		if len(catalogs) > 0 {
			return slices.SortedFunc(maps.Keys(catalogs), policy.Securable.Compare)
		}
	}
}
