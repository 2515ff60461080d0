package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ucwarden/connector/audit"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// kills returns how often TestKilledHundredsOfTimes kills: RAPID_CHECKS, which make soak N= sets, or enough for every run.
func kills(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("RAPID_CHECKS"))
	switch {
	case err == nil && n > 0:
		return n
	case testing.Short():
		return 20
	}
	return 200
}

// The program is killed at random instants of its life, from its start on, while tasks are posted and their records are
// removed after a second. Whatever was acknowledged has its effect and its end, what has ended stays so, nothing is done
// that no task asked for, and the audit trail has a line for every change that Unity Catalog made.
func TestKilledHundredsOfTimes(t *testing.T) {
	t.Parallel()
	const perLife, lives = 4, 4 // tasks posted in one life; daemons side by side, each with a workspace of its own
	rounds := (kills(t) + lives - 1) / lives
	for lane := range lives {
		t.Run(fmt.Sprint(lane), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(lane)))
			tables := make([]string, min(rounds*perLife, 400))
			for i := range tables {
				tables[i] = fmt.Sprintf("t%04d", i)
			}
			k := &killing{world: newWorld(t, oneSchema(tables...), readTables), acked: make(map[string]string), ended: make(map[string]ondemand.Status)}
			before := k.grants()
			longest := 300 * time.Millisecond // adapted to the machine, so that every part of a life is hit
			reached := 0
			for round := range rounds {
				began := time.Now()
				p, err := launch(k.dir, environment(), "serve", "-c", k.config, "--set", "ondemand.retention=1s",
					"--set", "ondemand.max_crashes=1000000", // none of these crashes is the fault of a task
					"--set", "sync.on_start="+strconv.FormatBool(round%10 == 0))
				if err != nil {
					t.Fatal(err)
				}
				killer := time.AfterFunc(time.Duration(random.Int64N(int64(longest))), func() { _ = p.cmd.Process.Kill() })
				if m, err := p.logged(serving); err == nil {
					longest = (8*longest + 2*4*time.Since(began)) / 10
					reached++
					k.post("http://"+m[1], fmt.Sprintf("%d-%d", lane, round), tables, perLife, random)
				} else {
					longest += longest / 8
				}
				<-p.ended
				killer.Stop()
				if log := p.logs(); strings.Contains(log, "panic") || strings.Contains(log, "damaged") {
					t.Fatalf("round %d:\n%s", round, log)
				}
			}
			t.Logf("%d lives, %d of them served, %d tasks acknowledged, %d seen to end", rounds, reached, len(k.acked), len(k.ended))
			if len(k.acked) == 0 || reached == 0 {
				t.Fatal("no life took a task")
			}
			k.checkAll(before)
		})
	}
}

type killing struct {
	*world
	mu    sync.Mutex
	acked map[string]string          // task → table
	ended map[string]ondemand.Status // as seen before a kill
}

// post submits tasks until the daemon dies, and looks at what has become of some.
func (k *killing) post(url, prefix string, tables []string, n int, random *rand.Rand) {
	api := k.api(url)
	ctx, cancel := context.WithTimeout(k.Context(), processTimeout)
	defer cancel()
	var posting sync.WaitGroup
	for i := range n {
		table := tables[random.IntN(len(tables))]
		posting.Go(func() {
			id := fmt.Sprintf("%s-%d", prefix, i)
			if _, err := api.Submit(ctx, tableSync(id, "c", "s", table)); err != nil {
				return // it was killed: not acknowledged
			}
			k.mu.Lock()
			k.acked[id] = table
			k.mu.Unlock()
			if i%2 == 0 {
				return
			}
			for {
				task, err := api.Get(ctx, id)
				if err != nil {
					return // killed, or removed after its time
				}
				if task.Status.Terminal() {
					k.mu.Lock()
					k.ended[id] = task.Status
					k.mu.Unlock()
					return
				}
			}
		})
	}
	posting.Wait()
}

// checkAll lets a last life carry out what is left, and checks what all lives did.
func (k *killing) checkAll(before []string) {
	p, api := k.serve("--set", "ondemand.retention=1s", "--set", "ondemand.max_crashes=1000000")
	for id := range k.acked {
		ctx, cancel := context.WithTimeout(k.Context(), processTimeout)
		task, err := api.Follow(ctx, id, func(ondemand.Transition) {})
		cancel()
		switch status, seen := k.ended[id]; {
		case err != nil && strings.Contains(err.Error(), "404"): // removed after its end; its effect is checked below
		case err != nil:
			k.Errorf("task %s: %v", id, err)
		case task.Status != ondemand.Success:
			k.Errorf("task %s ended %s: %s", id, task.Status, task.StatusMessage)
		case seen && status != task.Status:
			k.Errorf("task %s ended %s, and later %s", id, status, task.Status)
		}
	}
	granted := k.grants()
	for id, table := range k.acked {
		if !slices.Contains(granted, "TABLE:c.s."+table+" analysts SELECT") {
			k.Errorf("task %s was acknowledged, and %s is not granted", id, table)
		}
	}
	if lost := onlyIn(before, granted); len(lost) > 0 {
		k.Errorf("revoked, though nobody asked for it: %q", lost)
	}
	if err := p.signal(os.Interrupt); err != nil {
		k.Error(err)
	}
	changes, damaged, err := audit.Read(filepath.Join(k.dir, "data", "audit.jsonl"), audit.Query{})
	if err != nil || len(damaged) > 1 { // the last line of a life may be cut off
		k.Logf("audit trail: %v, %v", damaged, err)
	}
	written := make(map[string]bool)
	for _, c := range changes {
		if c.Act == policy.ActAdd {
			written[c.Securable+" "+c.Principal+" "+string(c.Privilege)] = true
		}
	}
	for _, grant := range onlyIn(granted, before) {
		if !written[grant] {
			k.Errorf("no line of the audit trail for %s", grant)
		}
	}
	for _, e := range k.emulator.Trace() {
		if e.Method == http.MethodPatch && strings.Contains(e.Body, `"remove"`) {
			k.Errorf("a request that revokes: %s %s", e.Path, e.Body)
		}
	}
}
