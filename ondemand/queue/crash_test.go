package queue

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

const crashEnv = "UCWARDEN_TEST_CRASH_STORE"

// TestCrashChild is the process that TestKill9 kills: it submits tasks, carries them out, and says on standard output
// what was acknowledged, one line for each acknowledgement and each end.
func TestCrashChild(t *testing.T) {
	path := os.Getenv(crashEnv)
	if path == "" {
		t.Skip("runs only as a child of TestKill9")
	}
	s, err := store.Open(path, store.Options{LockTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	q, err := New(s, crashOptions())
	if err != nil {
		t.Fatal(err)
	}
	var out sync.Mutex
	say := func(format string, args ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf(format+"\n", args...) // one write, straight to the pipe
	}
	ctx := t.Context()
	for range 4 {
		go func() {
			for n := 0; ; n++ {
				task := syncTask("", fmt.Sprintf("table:c%d.s.t%d", rand.IntN(3), rand.IntN(20)))
				if n%10 == 0 {
					task = ondemand.Task{Type: ondemand.FullSync}
				}
				got, _, err := q.Submit(ctx, task)
				if err != nil {
					say("error %v", err)
					return
				}
				say("ack %s", got.ID)
				if n%4 != 0 {
					continue // leaves some under way
				}
				if done, err := q.Wait(ctx, got.ID); err == nil {
					say("end %s %s", done.ID, done.Status)
				}
			}
		}()
	}
	say("ready")
	if err := q.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func crashOptions() Options {
	handle := func(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
		if job.Task.Type == ondemand.FullSync {
			return ondemand.Outcome{Children: []ondemand.Task{syncTask("", "catalog:c1"), syncTask("", "catalog:c2")}}, nil
		}
		if rand.IntN(4) == 0 {
			return ondemand.Outcome{}, policy.Errorf(policy.CodeUnavailable, "try again")
		}
		return succeed(ctx, job)
	}
	return Options{
		Handlers: handlers(handle), MaxAttempts: 1000, RetryBase: time.Millisecond, RetryMax: 4 * time.Millisecond,
	}
}

// TestKill9 kills a working process at random instants and starts it again on the same file. Whatever was
// acknowledged is there and comes to an end, and what has ended stays so.
func TestKill9(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	path := filepath.Join(t.TempDir(), "tasks.db")
	acked := make(map[string]bool)
	ended := make(map[string]ondemand.Status)
	for round := range rounds {
		acks := 0
		child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
		child.Env = append(os.Environ(), crashEnv+"="+path)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			word := strings.Fields(lines.Text())
			switch {
			case len(word) == 1 && word[0] == "ready":
				time.AfterFunc(time.Duration(rand.IntN(120))*time.Millisecond, func() { child.Process.Kill() })
			case len(word) == 2 && word[0] == "ack":
				acked[word[1]] = true
				acks++
			case len(word) == 3 && word[0] == "end":
				ended[word[1]] = ondemand.Status(word[2])
			default:
				t.Fatalf("round %d: child says %q", round, lines.Text())
			}
		}
		t.Logf("life %d acknowledged %d tasks", round, acks)
		if err := child.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("round %d: child ended by itself: %v", round, err)
		}
	}
	if len(acked) == 0 {
		t.Fatal("no round acknowledged a task")
	}

	r := &rig{t: t, path: path, opts: crashOptions(), stop: func() {}}
	r.open()
	defer r.close()
	for id := range acked {
		r.get(id)
	}
	for id, status := range ended {
		if got := r.get(id); got.Status != status {
			t.Errorf("task %s ended %s and is %s after the crash", id, status, got.Status)
		}
	}
	r.start()
	for id := range acked {
		done := r.wait(id)
		if superseded := done.Type == ondemand.FullSync && done.Status == ondemand.Skipped; done.Status != ondemand.Success && !superseded {
			t.Errorf("task %s ended %s %q", id, done.Status, done.StatusMessage)
		}
		if status, ok := ended[id]; ok && status != done.Status {
			t.Errorf("task %s ended %s, and later %s", id, status, done.Status)
		}
	}
	for cursor := ""; ; {
		page, err := r.List(t.Context(), ondemand.Filter{Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range page.Items { // also the ones that were not acknowledged, and the children
			r.wait(task.ID)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	t.Logf("%d tasks acknowledged in %d lives, %d of them seen to end before a kill", len(acked), rounds, len(ended))
}
