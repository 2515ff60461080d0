package main

import (
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ucwarden/apiserver/client"
	"ucwarden/connector/audit"
	"ucwarden/ondemand"
)

// A daemon is killed again and again while it changes grants, before a request takes effect or after. Each request finds
// its intent in the trail; afterwards each one that took effect has its line there, and no intent is open.
func TestAuditSurvivesKills(t *testing.T) {
	t.Parallel()
	const kills, seed = 4, 20261126
	random := rand.New(rand.NewPCG(seed, 0))
	w, tasks, right := manyTables(t, 50)
	trail := filepath.Join(w.dir, "data", "audit.jsonl")
	// noted fails the test unless the trail has an open intent for the object of a PATCH.
	noted := func(r *http.Request) {
		_, object, _ := strings.Cut(r.URL.Path, "/permissions/")
		kind, name, _ := strings.Cut(object, "/")
		changes, damaged, err := audit.Read(trail, audit.Query{})
		if err != nil || len(damaged) > 0 {
			t.Errorf("read the trail during PATCH %s: %v, damaged %v", object, err, damaged)
		}
		for _, c := range changes {
			if c.Result == audit.ResultOpen && c.Securable == strings.ToUpper(kind)+":"+name {
				return
			}
		}
		t.Errorf("PATCH %s without an intent in the trail", object)
	}
	for range kills {
		daemon, api := w.serve()
		countdown := int32(1 + random.IntN(8))
		afterEffect := random.IntN(2) == 0
		killed := make(chan struct{})
		var once sync.Once
		w.onRequest(func(r *http.Request, serve func()) {
			if r.Method != http.MethodPatch {
				serve()
				return
			}
			left := atomic.AddInt32(&countdown, -1)
			if left >= 0 {
				noted(r)
			}
			switch {
			case left > 0:
				serve()
			case left == 0:
				if afterEffect {
					serve()
				}
				daemon.kill()
				once.Do(func() { close(killed) })
			}
		})
		if err := postAll(t.Context(), api, tasks, func(string) {}); err != nil && !isClosed(killed) {
			<-killed // it broke the submission off
		}
		select {
		case <-killed:
		case <-time.After(processTimeout):
			t.Fatalf("seed %d: the daemon changed too little to be killed", seed)
		}
		w.onRequest(nil)
	}
	daemon, api := w.serve()
	if err := postAll(t.Context(), api, tasks, func(string) {}); err != nil {
		t.Fatal(err)
	}
	checkAllDone(w, api, tasks, right)
	if err := daemon.signal(syscall.SIGTERM); err != nil {
		t.Fatalf("%v\n%s", err, daemon.logs())
	}

	changes, damaged, err := audit.Read(trail, audit.Query{})
	if err != nil || len(damaged) > 0 {
		t.Fatalf("%v, damaged %v", err, damaged)
	}
	applied, byRequest, settled := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, c := range changes {
		if c.Result == audit.ResultOpen {
			t.Errorf("open: %+v", c)
		}
		if c.Task == "" || c.By == "" || c.Cause.PolicyID != 1 {
			t.Errorf("no task, nobody or no cause: %+v", c)
		}
		if c.Result == audit.ResultApplied {
			applied[c.Securable+" "+c.Principal+" "+string(c.Privilege)] = true
		}
		byRequest[c.RequestID], settled[c.Securable] = true, settled[c.Securable] || c.Settled
	}
	for _, grant := range right {
		if strings.HasPrefix(grant, "TABLE:") && !applied[grant] {
			t.Errorf("%s is not in the trail", grant)
		}
	}
	for _, e := range w.emulator.Trace() {
		_, name, _ := strings.Cut(e.Path, "/permissions/table/")
		if e.Method == http.MethodPatch && e.Status == http.StatusOK && !byRequest[e.RequestID] && !settled["TABLE:"+name] {
			t.Errorf("request %s, which changed %s, is not in the trail", e.RequestID, name)
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// A PATCH that gets no answer leaves an intent, which the next attempt closes by what it finds.
func TestAuditOfAChangeWithoutAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	_, api := w.serve("--set", "databricks.max_attempts=1")
	var patches atomic.Int32
	w.onRequest(func(r *http.Request, serve func()) {
		serve()
		if r.Method == http.MethodPatch && patches.Add(1) == 1 {
			panic(http.ErrAbortHandler) // it took effect, and nobody hears of it
		}
	})
	if _, err := api.Submit(t.Context(), tableSync("one", "c", "s", "t1")); err != nil {
		t.Fatal(err)
	}
	w.done(api, "one", ondemand.Success)
	changes, _, err := audit.Read(filepath.Join(w.dir, "data", "audit.jsonl"), audit.Query{})
	if err != nil || len(changes) != 1 || changes[0].Result != audit.ResultApplied || !changes[0].Settled {
		t.Errorf("%+v, %v", changes, err)
	}
}

// The API shows the trail of a daemon, page by page, and with the last position what came later.
func TestAuditByTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1", "t2"), readTables)
	_, api := w.serve()
	sync := func(table string) ondemand.Task {
		accepted, err := api.Submit(t.Context(), tableSync("", "c", "s", table))
		if err != nil {
			t.Fatal(err)
		}
		return w.done(api, accepted.ID, ondemand.Success)
	}
	first := sync("t1")
	page, err := api.Audit(t.Context(), client.ListAuditParams{Task: &first.ID})
	if err != nil || len(page.Items) == 0 || page.NextCursor != "" || page.Position == "" {
		t.Fatalf("%+v, %v", page, err)
	}
	for _, item := range page.Items {
		if item.Task != first.ID || item.By == "" || item.Result != "applied" || item.Act != "add" || item.Why == "" || item.Principal != "analysts" {
			t.Errorf("%+v", item)
		}
	}
	sync("t2")
	securable := "table:c.s.t2"
	later, err := api.Audit(t.Context(), client.ListAuditParams{Cursor: &page.Position, Securable: &securable})
	if err != nil || len(later.Items) != 1 || later.Items[0].Privilege != "SELECT" {
		t.Errorf("%+v, %v", later, err)
	}
}
