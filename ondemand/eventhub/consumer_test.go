package eventhub_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"ucwarden/ondemand"
	"ucwarden/ondemand/eventhub"
	"ucwarden/ondemand/eventhub/emulator"
	"ucwarden/ondemand/queue"
	"ucwarden/ondemand/store"
)

// deadline bounds every test: the client waits for ever without one.
const deadline = 3 * time.Minute

// rig is a hub and a queue that nobody works off, so that its tasks stay as they came.
type rig struct {
	t      *testing.T
	hub    *emulator.Server
	store  *store.Store
	queue  *queue.Queue
	o      eventhub.Options
	logged *logBuffer
}

// logBuffer collects log lines.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.text.String(), text)
}

func newRig(t *testing.T, partitions, maxQueued int) *rig {
	return newRigOn(t, emulator.Options{Hub: "tasks", Partitions: partitions, ConsumerGroups: []string{"other"}}, maxQueued)
}

func newRigOn(t *testing.T, o emulator.Options, maxQueued int) *rig {
	hub, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hub.Close() })
	s, err := store.Open(filepath.Join(t.TempDir(), "tasks.db"), store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	q, err := queue.New(s, queue.Options{MaxQueued: maxQueued})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, hub: hub, store: s, queue: q, logged: &logBuffer{}}
	r.o = eventhub.Options{
		Address: eventhub.Address{ConnectionString: hub.ConnectionString()}, TaskTypes: []ondemand.Type{ondemand.ResourceSync}, Queue: q,
		Logger:      slog.New(slog.NewTextHandler(r.logged, nil)),
		CallTimeout: 2 * time.Second, IdleCheck: 300 * time.Millisecond, RefreshEvery: 50 * time.Millisecond, Retry: 5 * time.Millisecond,
	}
	return r
}

// consume runs a consumer until the returned function is called.
func (r *rig) consume(o eventhub.Options) (*eventhub.Consumer, func()) {
	r.t.Helper()
	c, err := eventhub.New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Run(ctx)
	}()
	stop := sync.OnceFunc(func() { cancel(); <-ended })
	r.t.Cleanup(stop)
	return c, stop
}

// publish sends bodies to a partition; while a fault makes it fail, it tries again.
func (r *rig) publish(partition string, bodies ...string) {
	r.t.Helper()
	if err := r.send(partition, bodies...); err != nil {
		r.t.Fatal(err)
	}
}

// send is publish for goroutines other than that of the test.
func (r *rig) send(partition string, bodies ...string) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), deadline)
	defer cancel()
	p, err := azeventhubs.NewProducerClientFromConnectionString(r.hub.ConnectionString(), "", &azeventhubs.ProducerClientOptions{
		RetryOptions: azeventhubs.RetryOptions{MaxRetries: 20, RetryDelay: time.Millisecond, MaxRetryDelay: 10 * time.Millisecond},
	})
	if err != nil {
		return err
	}
	defer p.Close(ctx)
	batch, err := p.NewEventDataBatch(ctx, &azeventhubs.EventDataBatchOptions{PartitionID: &partition})
	for _, body := range bodies {
		if err == nil {
			err = batch.AddEventData(&azeventhubs.EventData{Body: []byte(body)}, nil)
		}
	}
	if err == nil {
		err = p.SendEventDataBatch(ctx, batch, nil)
	}
	return err
}

// tasks returns every task, oldest first.
func (r *rig) tasks() []ondemand.Task {
	r.t.Helper()
	var all []ondemand.Task
	for cursor := ""; ; {
		page, err := r.queue.List(r.t.Context(), ondemand.Filter{Limit: 1000, Cursor: cursor})
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
	}
}

// eventually waits until check returns "".
func (r *rig) eventually(check func() string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), deadline)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		problem := check()
		if problem == "" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("after %v: %s\nlog:\n%s", deadline, problem, r.logged.text.String())
		}
	}
}

func (r *rig) awaitTasks(n int) []ondemand.Task {
	r.t.Helper()
	var all []ondemand.Task
	r.eventually(func() string {
		if all = r.tasks(); len(all) < n {
			return fmt.Sprintf("%d tasks, want %d", len(all), n)
		}
		return ""
	})
	if len(all) != n {
		r.t.Fatalf("%d tasks, want %d", len(all), n)
	}
	return all
}

func document(id, table string) string {
	return fmt.Sprintf(`{"id":%q,"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"table","values":{"catalog":"c","schema":"s","table":%q}}]}}`, id, table)
}

// Each event becomes one task, each element of an array too, a repeated document none, and what is no task one that is
// SKIPPED with the reason.
func TestEventsBecomeTasks(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, 0)
	r.o.Catalogs = []string{"c"}
	r.consume(r.o)
	r.publish("0", document("a", "t"), document("a", "t"), document("a", "other"), "["+document("b", "t")+","+document("c", "t")+",7]",
		"", "{", "\xff", strings.Repeat("[", 5000), `[]`, `{"type":"FULL_SYNC"}`, strings.Replace(document("d", "t"), `"catalog":"c"`, `"catalog":"secret"`, 1))
	r.publish("1", document("e", "t"))
	reasons := []string{"other content", "want an object", "no body", "not JSON", "UTF-8", "not JSON", "empty", "task_types", "catalogs"}
	all := r.awaitTasks(4 + len(reasons))
	byID := make(map[string]ondemand.Task)
	var messages []string
	for _, task := range all {
		byID[task.ID] = task
		if task.Status == ondemand.Skipped {
			messages = append(messages, task.StatusMessage)
		}
	}
	for _, id := range []string{"a", "b", "c", "e"} {
		if byID[id].Status != ondemand.New {
			t.Errorf("task %s: %q", id, byID[id].Status)
		}
	}
	for _, want := range reasons {
		if !strings.Contains(strings.Join(messages, "\n"), want) {
			t.Errorf("no task was skipped with %q: %q", want, messages)
		}
	}
}

// No event approves what a guard refused, whatever its type may be and whatever the configuration lets events ask for: that
// takes a token of scope admin. Whose task it is, no event says either.
func TestEventsApproveNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 0)
	r.o.TaskTypes = []ondemand.Type{ondemand.ResourceSync, ondemand.FullSync, ondemand.PipelineUpdate}
	r.consume(r.o)
	approving := func(id string) string {
		return strings.Replace(document(id, "t"), `"requestInfo":{`, `"requestInfo":{"approve":"0240941fe01c00cd",`, 1)
	}
	r.publish("0", approving("a"), "["+approving("b")+"]", `{"id":"c","type":"FULL_SYNC","requestInfo":{"approve":"0240941fe01c00cd"}}`,
		`{"id":"d","type":"FULL_SYNC","requestInfo":{"\u0061pprove":"0240941fe01c00cd"}}`,
		`{"id":"e","type":"PIPELINE_UPDATE","requestInfo":{"approve":"x","pipeline":{"externalId":"p"}}}`,
		`{"id":"own","type":"FULL_SYNC","source":"policy change","postedBy":"admin","retriedBy":"admin","priority":100,"parentId":"a"}`)
	for _, task := range r.awaitTasks(6) {
		if task.PostedBy != "event hub tasks" || task.RetriedBy != "" || task.Priority != 0 || task.ParentID != "" {
			t.Errorf("task %s posted by %q, retried by %q, priority %d, part of %q", task.ID, task.PostedBy, task.RetriedBy, task.Priority, task.ParentID)
		}
		switch {
		case task.ID == "own":
		case task.Status != ondemand.Skipped || !strings.Contains(task.StatusMessage, "events may not approve"):
			t.Errorf("task %s: %s %q", task.ID, task.Status, task.StatusMessage)
		}
	}
}

// A consumer goes on where the last one ended, also where a geo-replicated hub writes offsets in another form.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	for _, geo := range []bool{false, true} {
		t.Run(fmt.Sprintf("geo-replicated=%t", geo), func(t *testing.T) {
			t.Parallel()
			r := newRigOn(t, emulator.Options{Hub: "tasks", Partitions: 1, GeoReplicated: geo}, 0)
			r.publish("0", document("a", "t"), "poison")
			_, stop := r.consume(r.o)
			r.awaitTasks(2)
			stop()
			r.publish("0", document("b", "t"))
			_, stop = r.consume(r.o)
			r.awaitTasks(3) // the poison event would have another id or be there twice
			r.hub.DetachReceivers()
			r.publish("0", document("c", "t"))
			r.awaitTasks(4)
			stop()
		})
	}
}

// "latest" passes over what is there at the first contact, and over nothing after it, in new partitions either.
func TestLatest(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 0)
	r.o.Latest = true
	r.publish("0", document("before", "t"))
	c, stop := r.consume(r.o)
	_ = c
	r.eventually(func() string {
		found := false
		err := r.store.View(func(tx *store.Tx) error {
			k, _ := tx.Bucket([]byte("positions")).Cursor().Seek([]byte("hub/"))
			found = k != nil && strings.HasPrefix(string(k), "hub/")
			return nil
		})
		if err != nil || !found {
			return fmt.Sprintf("no first contact: %v", err)
		}
		return ""
	})
	stop()
	r.publish("0", document("meanwhile", "t"))
	r.hub.AddPartition()
	r.publish("1", document("added", "t"))
	r.consume(r.o)
	for _, task := range r.awaitTasks(2) {
		if task.ID != "meanwhile" && task.ID != "added" {
			t.Errorf("task %s", task.ID)
		}
	}
}

// A hub made again under its name is read from its first event, and that is said.
func TestHubMadeAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 0)
	r.publish("0", document("a", "t"), document("b", "t"))
	r.consume(r.o)
	r.awaitTasks(2)
	r.hub.Recreate()
	r.publish("0", document("c", "t"))
	r.awaitTasks(3)
	if n := r.logged.count("made again under its name"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
}

// What is behind the position of the old hub in one made again under its name is no event of the old one: each becomes one task.
func TestHubMadeAgainRunsAhead(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 0)
	r.o.RefreshEvery, r.o.IdleCheck = deadline, deadline // what a link delivers after it was opened again is all there is to notice it by
	var bodies []string
	for i := range 9 {
		bodies = append(bodies, document("", fmt.Sprintf("t%d", i)))
	}
	r.publish("0", bodies[:4]...)
	r.consume(r.o)
	r.awaitTasks(4)
	r.hub.Recreate()
	r.publish("0", bodies...)
	of := make(map[string]int)
	for _, task := range r.awaitTasks(13) {
		hub, _, _ := strings.Cut(task.ID, "-0-")
		of[hub]++
	}
	counts := slices.Sorted(maps.Values(of))
	if !slices.Equal(counts, []int{4, 9}) {
		t.Errorf("tasks of hubs: %v, want 4 of the old and 9 of the new", of)
	}
}

// A partition that goes silent with its link open is noticed and read again, by another connection where it must be.
func TestSilentPartition(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, 0)
	r.consume(r.o)
	r.publish("0", document("a", "t"))
	r.awaitTasks(1)
	r.hub.MutePartition("0", true)
	r.publish("0", document("b", "t"))
	r.publish("1", document("c", "t"))
	r.awaitTasks(2)
	r.eventually(func() string {
		if r.logged.count("went silent") == 0 {
			return "the silence is not noticed"
		}
		return ""
	})
	r.hub.MutePartition("0", false)
	r.awaitTasks(3)
}

// With a full queue nothing is taken, and nothing is lost.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 5)
	var bodies []string
	for i := range 20 {
		bodies = append(bodies, document(fmt.Sprint(i), "t"))
	}
	r.consume(r.o)
	r.publish("0", bodies...)
	taken := 0
	for taken < 20 {
		r.eventually(func() string {
			if s := r.queue.Stats(); s.New == 0 {
				return "nothing is taken"
			} else if s.New > 5 {
				r.t.Fatalf("%d tasks are queued, more than 5", s.New)
			}
			return ""
		})
		page, err := r.queue.List(t.Context(), ondemand.Filter{Status: ondemand.New})
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range page.Items {
			if _, err := r.queue.Cancel(t.Context(), task.ID, ""); err != nil {
				t.Fatal(err)
			}
			taken++
		}
	}
	r.awaitTasks(20)
}

// Of two consumers of a group one reads, and the other says so and does not take the partition back.
func TestTwoDaemons(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 0)
	r.consume(r.o)
	r.publish("0", document("a", "t"))
	r.awaitTasks(1)
	second := newRig(t, 1, 0)
	second.hub, second.o.ConnectionString = r.hub, r.o.ConnectionString
	_, stop := second.consume(second.o)
	second.awaitTasks(1)
	r.eventually(func() string {
		if r.logged.count("another receiver") != 1 {
			return "the loser has not said so once"
		}
		return ""
	})
	r.publish("0", document("b", "t"))
	second.awaitTasks(2)
	if n := second.logged.count("another receiver"); n != 0 {
		t.Errorf("the winner lost the partition")
	}
	stop()
	r.awaitTasks(2) // read by the first again once the second has gone
}

// 3,000 events become 3,000 tasks, none twice, whatever the hub does meanwhile and however often the consumer starts again.
func TestManyFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4, 0)
	random := rand.New(rand.NewPCG(1, 2))
	_, stop := r.consume(r.o)
	const batches, size = 30, 100
	for i := range batches {
		bodies := make([]string, size)
		for j := range bodies {
			bodies[j] = document(fmt.Sprintf("%d-%d", i, j), "t")
		}
		r.publish(fmt.Sprint(i%4), bodies...)
		switch random.IntN(8) {
		case 0:
			r.hub.DetachReceivers()
		case 1:
			r.hub.KillConnections()
		case 2:
			stop()
			_, stop = r.consume(r.o)
		case 3:
			r.hub.RejectCBS(true)
			r.hub.KillConnections()
			r.eventually(func() string {
				if r.logged.count("cannot read tasks") == 0 {
					return "the refusal is not noticed"
				}
				return ""
			})
			r.hub.RejectCBS(false)
		case 4:
			r.hub.MuteCBS(true)
			r.hub.DetachReceivers()
			r.hub.MuteCBS(false)
		case 5:
			r.hub.Refuse(true)
			r.hub.KillConnections()
			r.hub.Refuse(false)
		}
	}
	ids := make(map[string]bool)
	for _, task := range r.awaitTasks(batches * size) {
		ids[task.ID] = true
	}
	if len(ids) != batches*size {
		t.Errorf("%d different tasks, want %d", len(ids), batches*size)
	}
}

// What is wrong is said in words, once.
func TestProblems(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ old, new, want string }{
		"key":      {"SharedAccessKey=", "SharedAccessKey=x", "SharedAccessKey"},
		"hub":      {"EntityPath=tasks", "EntityPath=none", "EntityPath"},
		"resolves": {"sb://127.0.0.1", "sb://nowhere.invalid", "resolve"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, 0)
			r.o.ConnectionString = strings.Replace(r.o.ConnectionString, test.old, test.new, 1)
			c, _ := r.consume(r.o)
			r.eventually(func() string {
				if err := c.Problem(); err == nil || !strings.Contains(err.Error(), test.want) {
					return fmt.Sprintf("problem %v, want one with %q", err, test.want)
				}
				return ""
			})
		})
	}
}
