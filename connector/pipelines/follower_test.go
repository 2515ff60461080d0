package pipelines_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/connector/pipelines"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// usual are the states of an update that takes two minutes.
var usual = []state{{"CREATED", 5 * time.Second}, {"QUEUED", 5 * time.Second}, {"SETTING_UP_TABLES", 50 * time.Second}, {"RUNNING", time.Minute}, {"COMPLETED", 0}}

func unending(name string) []state { return []state{{name, time.Hour}} }

func TestUpdateIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(usual...)
		s.events = []pipelines.Event{{Time: time.Now().Add(125 * time.Second)}}
		w := newWorld(t, s, pipelines.Options{})
		id := w.submit(`{"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":{"externalId":"` + strings.ToUpper(one) + `","parameters":{"full_refresh":true,"spark.x":"1","photon":true}}}}`)
		time.Sleep(30 * time.Second)
		got := w.get(id)
		if got.Status != ondemand.InProgress || got.Run.Status != ondemand.RunRunning || got.Run.RawState != "SETTING_UP_TABLES" {
			t.Errorf("after 30 s the task is %s, its run %+v", got.Status, got.Run)
		}
		got = w.end(id)
		r := got.Run
		if got.Status != ondemand.Success || r.Status != ondemand.RunSuccess || r.RawState != "COMPLETED" || got.Attempts != 1 || s.starts != 1 {
			t.Errorf("the task ended %s after %d attempts and %d starts: %s; %+v", got.Status, got.Attempts, s.starts, got.StatusMessage, r)
		}
		if r.ID != one+":"+r.UpdateID || r.Link != "https://work.example.com/#joblist/pipelines/"+one || r.UpdateLink != r.Link+"/updates/"+r.UpdateID || r.PipelineName != "name of 1" || !r.FullRefresh {
			t.Errorf("the run is %+v", r)
		}
		if !strings.Contains(got.StatusMessage, "ignored, since only full_refresh is sent: photon, spark.x") {
			t.Errorf("the message is %q", got.StatusMessage)
		}
		if took := r.EndTime.Sub(r.StartTime); took < 124*time.Second || took > 125*time.Second || r.LastStateChange.Before(r.StartTime) {
			t.Errorf("the update took %v; last change %v", took, r.LastStateChange)
		}
		if s.polls < 8 || s.polls > 15 { // 2 s, 3 s, 4.5 s, ... 30 s
			t.Errorf("%d polls in two minutes", s.polls)
		}
	})
}

// TestEnds: how each kind of update, pipeline and request ends.
func TestEnds(t *testing.T) {
	refusal := func(code policy.Code) func(int) (bool, error) {
		return func(int) (bool, error) { return false, policy.Errorf(code, "refused so") }
	}
	for name, tt := range map[string]struct {
		script  []state
		options pipelines.Options
		prepare func(s *service)
		later   func(s *service) // after 20 s
		id      string
		status  ondemand.Status
		run     ondemand.RunStatus
		message string
		starts  int
		atLeast time.Duration
	}{
		"malformed id":     {id: "../clusters", status: ondemand.Failed, message: "is not the id of a pipeline"},
		"unknown pipeline": {id: strings.Replace(one, "1111", "9999", 1), status: ondemand.Failed, message: "there is no pipeline"},
		"no permission": {prepare: func(s *service) { s.start = refusal(policy.CodeForbidden) },
			status: ondemand.Failed, message: "CAN_RUN", starts: 1},
		"refused for another reason": {prepare: func(s *service) { s.start = refusal(policy.CodeInvalid) },
			status: ondemand.Failed, message: "refused so", starts: 1},
		"observed": {options: pipelines.Options{Observe: true}, status: ondemand.Success, message: "mode observe: an update of pipeline name of 1 (" + one + ") would be started"},
		"stopped by somebody else": {script: usual, later: func(s *service) { s.find(one, s.pipelines[one].updates[0].ID).stopped = time.Now() },
			status: ondemand.Skipped, run: ondemand.RunCancelled, message: "by somebody else", starts: 1},
		"pipeline deleted": {script: usual, later: func(s *service) { delete(s.pipelines, one) },
			status: ondemand.Failed, run: ondemand.RunUnknown, message: "pipeline deleted", starts: 1},
		"update not known": {script: usual, later: func(s *service) { s.pipelines[one].updates = nil },
			status: ondemand.Failed, run: ondemand.RunUnknown, message: "does not know the update", starts: 1, atLeast: time.Hour},
		"no state": {script: unending(""), status: ondemand.Failed, run: ondemand.RunUnknown, message: "no state", starts: 1, atLeast: time.Hour},
		"a state never seen": {script: unending("PONDERING"), status: ondemand.Failed, run: ondemand.RunUnknown, message: `"PONDERING"`, starts: 1,
			atLeast: time.Hour},
		"a state never seen for a while": {script: []state{{"PONDERING", 59 * time.Minute}, {"RUNNING", time.Minute}, {"PONDERING", 59 * time.Minute}, {"COMPLETED", 0}},
			status: ondemand.Success, run: ondemand.RunSuccess, message: "COMPLETED", starts: 1, atLeast: 119 * time.Minute},
		"unreachable": {script: usual, later: func(s *service) { s.err = policy.Errorf(policy.CodeUnavailable, "no answer") },
			status: ondemand.Failed, run: ondemand.RunUnknown, message: "no answer; the update itself was not stopped", starts: 1, atLeast: time.Hour},
		"unreachable before the start": {prepare: func(s *service) { s.err = policy.Errorf(policy.CodeUnavailable, "no answer") },
			status: ondemand.Failed, message: "no answer", atLeast: time.Hour},
		"not to be read any more": {script: usual, later: func(s *service) { s.err = policy.Errorf(policy.CodeForbidden, "not for you") },
			status: ondemand.Failed, run: ondemand.RunUnknown, message: "not for you", starts: 1, atLeast: time.Hour},
		"continuous": {script: unending("RUNNING"), prepare: func(s *service) { s.pipelines[one].Spec = map[string]json{"continuous": json("true")} },
			status: ondemand.Success, run: ondemand.RunSuccess, message: "continuous", starts: 1},
		"waits": {script: usual, prepare: func(s *service) { s.begin(one, "USER_ACTION", usual...) },
			status: ondemand.Success, run: ondemand.RunSuccess, message: "COMPLETED", starts: 1, atLeast: 4 * time.Minute},
		"waits too long": {prepare: func(s *service) { s.begin(one, "USER_ACTION", unending("STOPPING")...) },
			status: ondemand.Failed, message: "waited 1h", atLeast: time.Hour},
		"fails beside another": {options: pipelines.Options{WhenActive: pipelines.Fail}, prepare: func(s *service) { s.begin(one, "USER_ACTION", usual...) },
			status: ondemand.Failed, message: "none was started"},
		"joins another": {options: pipelines.Options{WhenActive: pipelines.Join}, prepare: func(s *service) { s.begin(one, "USER_ACTION", usual...) },
			status: ondemand.Success, run: ondemand.RunSuccess, message: "COMPLETED", atLeast: 2 * time.Minute},
		"a continuous one runs already": {prepare: func(s *service) {
			s.pipelines[one].Spec = map[string]json{"continuous": json("true")}
			s.begin(one, "USER_ACTION", unending("RUNNING")...)
		}, status: ondemand.Success, run: ondemand.RunSuccess, message: "continuous"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(tt.script...)
				if tt.prepare != nil {
					tt.prepare(s)
				}
				w := newWorld(t, s, tt.options)
				begin := time.Now()
				if tt.id == "" {
					tt.id = one
				}
				id := w.update(tt.id)
				if tt.later != nil {
					time.Sleep(20 * time.Second)
					s.mu.Lock()
					tt.later(s)
					s.mu.Unlock()
				}
				got := w.end(id)
				run := ondemand.RunStatus("")
				if got.Run != nil {
					run = got.Run.Status
				}
				if got.Status != tt.status || run != tt.run || !strings.Contains(got.StatusMessage, tt.message) || s.starts != tt.starts || s.stops != 0 {
					t.Errorf("it ended %s, run %q, after %d starts and %d stops: %s", got.Status, run, s.starts, s.stops, got.StatusMessage)
				}
				if took := time.Since(begin); took < tt.atLeast || took > tt.atLeast+2*time.Hour {
					t.Errorf("it ended after %v", took)
				}
			})
		})
	}
}

func TestFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(state{"RUNNING", time.Minute}, state{"FAILED", 0})
		long := strings.Repeat("é", 1500)
		s.events = []pipelines.Event{{Level: "ERROR", Message: "general", Exceptions: []string{"no such column", long}}, {Level: "ERROR", Exceptions: []string{"no such column"}}, {Level: "INFO", Message: "bye"}}
		s.late = 65 * time.Second
		w := newWorld(t, s, pipelines.Options{})
		id := w.update(one)
		time.Sleep(61 * time.Second)
		s.begin(one, "RETRY_ON_FAILURE", usual...)
		got := w.end(id)
		if got.Status != ondemand.Failed || s.starts != 1 || got.Run.Status != ondemand.RunFailed {
			t.Errorf("it ended %s after %d starts", got.Status, s.starts)
		}
		if m := got.StatusMessage; !strings.Contains(m, "FAILED: no such column; é") || strings.Count(m, "no such column") != 1 || !strings.Contains(m, "the service itself started update") || len(m) > 2500 {
			t.Errorf("its message of %d bytes is %.300q", len(m), m)
		}
	})
}

func TestCancel(t *testing.T) {
	for _, when := range []string{"waiting", "starting", "running", "joined", "late"} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := newService(usual...), pipelines.Options{}
				switch when {
				case "waiting":
					s.begin(one, "USER_ACTION", usual...)
				case "joined":
					s.begin(one, "USER_ACTION", usual...)
					o.WhenActive = pipelines.Join
				case "starting":
					s.start = func(int) (bool, error) { return true, policy.Errorf(policy.CodeUnavailable, "lost") }
				}
				w := newWorld(t, s, o)
				id := w.update(one)
				time.Sleep(map[string]time.Duration{"starting": time.Second, "late": 119500 * time.Millisecond}[when])
				if when != "starting" && when != "late" {
					time.Sleep(30 * time.Second)
				}
				if when == "late" { // it completes in the same moment
					s.mu.Lock()
					s.pipelines[one].updates[0].script = []state{{"COMPLETED", 0}}
					s.mu.Unlock()
				}
				if _, err := w.Cancel(t.Context(), id, ""); err != nil {
					t.Fatal(err)
				}
				if when == "late" {
					s.mu.Lock()
					s.pipelines[one].updates[0].stopped = time.Time{}
					s.mu.Unlock()
				}
				if when == "running" || when == "starting" {
					time.Sleep(30 * time.Second)
					if got := w.get(id); got.Status != ondemand.InProgress || got.Run.Status != ondemand.RunRunning || got.Run.RawState != "STOPPING" {
						t.Errorf("while the update drains the task is %s, its run %+v", got.Status, got.Run)
					}
					if _, err := w.Cancel(t.Context(), id, ""); err != nil {
						t.Errorf("a second cancel: %v", err)
					}
				}
				got := w.end(id)
				if when != "late" && (got.Status != ondemand.Skipped || !strings.Contains(got.StatusMessage, "cancelled")) {
					t.Errorf("it ended %s: %s", got.Status, got.StatusMessage)
				}
				stops := map[string]int{"running": 1, "starting": 1}[when]
				if when != "late" && s.stops != stops {
					t.Errorf("%d stops, want %d", s.stops, stops)
				}
				if when == "joined" || when == "waiting" {
					if u := s.pipelines[one].updates[0]; !u.stopped.IsZero() || len(s.pipelines[one].updates) > 1 {
						t.Error("an update of somebody else was stopped, or another one started")
					}
				}
			})
		})
	}
}

// TestOneStart: however a start ends, and whatever happens to the process meanwhile, there is one update.
func TestOneStart(t *testing.T) {
	lost := policy.Errorf(policy.CodeUnavailable, "the connection broke")
	for name, tt := range map[string]struct {
		start    func(w *world) func(int) (bool, error)
		restarts bool
		jump     time.Duration
		made     int
	}{
		"answer lost after the effect":         {start: func(*world) func(int) (bool, error) { return func(n int) (bool, error) { return true, lost } }, made: 1},
		"answer lost, no effect":               {start: func(*world) func(int) (bool, error) { return func(n int) (bool, error) { return n > 1, lost } }, made: 1},
		"answer lost by a clock that is wrong": {jump: 72 * time.Hour, start: func(*world) func(int) (bool, error) { return func(n int) (bool, error) { return true, lost } }, made: 1},
		"process ended after the effect":       {start: func(*world) func(int) (bool, error) { return func(n int) (bool, error) { return true, lost } }, restarts: true, made: 1},
		"process ended before the effect":      {start: func(*world) func(int) (bool, error) { return func(n int) (bool, error) { return n > 1, lost } }, restarts: true, made: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(usual...)
				s.begin(one, "API_CALL", state{"COMPLETED", 0}) // known before
				w := newWorld(t, s, pipelines.Options{})
				s.start = tt.start(w)
				w.jump.Store(int64(tt.jump))
				id, other := w.update(one), w.update(one) // which waits for its turn
				if tt.restarts {
					time.Sleep(100 * time.Millisecond)
					w.stop()
					w.jump.Store(int64(-time.Hour))
					time.Sleep(time.Second)
					w.open()
				}
				got, second := w.end(id), w.end(other)
				if got.Status != ondemand.Success || second.Status != ondemand.Success || got.Attempts != 1 || second.Attempts != 1 {
					t.Errorf("they ended %s and %s after %d and %d attempts: %s; %s", got.Status, second.Status, got.Attempts, second.Attempts, got.StatusMessage, second.StatusMessage)
				}
				if n := len(s.pipelines[one].updates) - 1; n != 2 || got.Run.UpdateID == second.Run.UpdateID {
					t.Errorf("%d updates were made for two tasks", n)
				}
			})
		})
	}
}

// TestRestart: a new process goes on with what is followed, counts no attempt, and does not take what the clock did for time that
// passed.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(state{"RUNNING", 10 * time.Minute}, state{"ODD", 30 * time.Minute}, state{"COMPLETED", 0})
		w := newWorld(t, s, pipelines.Options{})
		id := w.update(one)
		for i := range 20 {
			time.Sleep(90 * time.Second)
			w.jump.Store(int64([]time.Duration{0, 72 * time.Hour, -72 * time.Hour}[i%3]))
			if i%2 == 0 {
				w.restart()
			}
		}
		got := w.end(id)
		if got.Status != ondemand.Success || got.Attempts != 1 || got.Crashes != 0 || s.starts != 1 {
			t.Errorf("it ended %s after %d attempts, %d crashes and %d starts: %s", got.Status, got.Attempts, got.Crashes, s.starts, got.StatusMessage)
		}
	})
}

// TestGivingUpAcrossRestarts: how long a state has not been known is kept, also where no process lives for long.
func TestGivingUpAcrossRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(unending("PONDERING")...)
		w := newWorld(t, s, pipelines.Options{})
		id := w.update(one)
		for range 40 { // of which each counts all but a minute
			time.Sleep(10 * time.Minute)
			w.jump.Add(int64(-24 * time.Hour))
			w.restart()
			if w.get(id).Status.Terminal() {
				break
			}
		}
		if got := w.get(id); got.Status != ondemand.Failed || !strings.Contains(got.StatusMessage, "gave up after 1h") {
			t.Errorf("it is %s: %s", got.Status, got.StatusMessage)
		}
	})
}

// TestMany: each of many updates is looked at once per interval, few at a time, and a sync goes on meanwhile. make soak N= has a
// thousand of them.
func TestMany(t *testing.T) {
	n := 100
	if os.Getenv("RAPID_CHECKS") != "" {
		n = 1000
	}
	synctest.Test(t, func(t *testing.T) {
		s := newService(unending("RUNNING")...)
		w := newWorld(t, s, pipelines.Options{Parallel: 4})
		var tasks []ondemand.Task
		for i := range n {
			id := fmt.Sprintf("11111111-2222-4333-8444-1%011d", i)
			s.mu.Lock()
			s.add(id)
			s.mu.Unlock()
			task, err := ondemand.PipelineTask(id, false)
			if err != nil {
				t.Fatal(err)
			}
			tasks = append(tasks, task)
		}
		stored, err := w.SubmitAll(t.Context(), tasks)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Minute)
		s.mu.Lock()
		s.polls = 0
		s.mu.Unlock()
		sync := w.submit(`{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"catalog","values":{"catalog":"a"}}]}}`)
		begin := time.Now()
		if got := w.end(sync); got.Status != ondemand.Success || time.Since(begin) > time.Second {
			t.Errorf("a sync ended %s after %v", got.Status, time.Since(begin))
		}
		time.Sleep(2 * time.Minute)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.polls < n*7/2 || s.polls > n*5 { // one each 30 s, up to a tenth sooner
			t.Errorf("%d polls of %d updates in two minutes", s.polls, n)
		}
		if s.starts != n || s.most > 4 {
			t.Errorf("%d starts, %d at a time", s.starts, s.most)
		}
		for _, one := range stored {
			if got := w.get(one.Task.ID); got.Status != ondemand.InProgress {
				t.Errorf("task %s is %s", got.ID, got.Status)
			}
		}
	})
}

// TestPause: while the queue is paused no update is started.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(usual...)
		s.begin(one, "USER_ACTION", usual...)
		w := newWorld(t, s, pipelines.Options{})
		id := w.update(one)
		time.Sleep(time.Minute)
		if _, err := w.Pause(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if s.starts != 0 {
			t.Error("an update was started during a pause")
		}
		if err := w.Resume(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		if got := w.end(id); got.Status != ondemand.Success {
			t.Errorf("it ended %s", got.Status)
		}
	})
}
