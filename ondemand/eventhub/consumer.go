package eventhub

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
	"ucwarden/policy"
	"ucwarden/policy/naming"
)

// Options configures a [Consumer]. Zero durations take the defaults named here.
type Options struct {
	Address
	ConsumerGroup string // default $Default
	Latest        bool   // begin with the next event where no position is stored, not with the first
	TaskTypes     []ondemand.Type
	Catalogs      []string // exact names or * patterns that events may name; nil: all
	Queue         *queue.Queue
	Logger        *slog.Logger
	Registerer    prometheus.Registerer // may be nil

	CallTimeout    time.Duration // of one call; default 30s
	IdleCheck      time.Duration // without an event before a partition is checked for life, longer after some in a row; default 30s
	RefreshEvery   time.Duration // between two looks for new partitions; default 1m
	Retry          time.Duration // before the next attempt after an error, doubled up to a minute; default 1s
	ReconnectEvery time.Duration // how often one partition may have the connection of all closed; default 5m
}

// waiting is how long a partition that another receiver has is left alone, before the next look at whether it has gone.
func (o *Options) waiting() time.Duration { return o.IdleCheck / 4 }

// Consumer reads one hub.
type Consumer struct {
	o        Options
	hub      *connector
	catalogs []naming.Pattern
	log      *slog.Logger
	metrics  *metrics
	calls    spacing // that ask what the hub and its partitions are

	mu       sync.Mutex
	problems map[string]*Failure // by partition, or wholeHub
	states   map[string]state    // by partition
}

// wholeHub is the key of a problem that is not one of a partition.
const wholeHub = ""

// state is what is known of a partition.
type state struct {
	read, last int64     // sequence numbers of the last event that is stored, and that is there; -1 before the first
	silent     int       // times in a row that events were there and none arrived
	lost       bool      // to another receiver
	reopened   time.Time // when it last had the connection closed
}

// maxPatience bounds how much longer than Options.IdleCheck is waited for an event: a large one on a slow line may be on its way
// for long, and would never arrive where the receiver is opened again before.
const maxPatience = 16

// patience returns how many times as long is waited for an event of a partition that has delivered nothing several times in a row.
func (s state) patience() int { return min(1<<min(s.silent, 10), maxPatience) }

// ownerLevel is the level of our receivers: one with it takes a partition from receivers without. The level below is that of
// one who lost a partition and waits until the other has gone.
const (
	ownerLevel   = 1
	waitingLevel = 0
)

// maxBatch is how many events are asked for at a time, and maxBatchBytes how large they may be together, going by those
// before; no more are ever on their way.
const (
	maxBatch      = 256
	maxBatchBytes = 16 << 20
)

// While a batch is stored the next one may arrive where the queue has ampleRoom for both, and the first has at most
// smallBatchBytes.
const (
	ampleRoom       = 4 * maxBatch
	smallBatchBytes = 1 << 20
)

// How long a batch is gathered after its first event, and while there is a backlog: then more come as fast as the machine
// lets them, and each batch costs an fsync.
const (
	gather        = 5 * time.Millisecond
	gatherBacklog = 20 * time.Millisecond
)

// closeTimeout bounds the end of a connection once the consumer is to stop.
const closeTimeout = time.Second

// New checks the options. It does not connect.
func New(o Options) (*Consumer, error) {
	hub, err := newConnector(o.Address)
	if err != nil {
		return nil, err
	}
	if o.Queue == nil || len(o.TaskTypes) == 0 {
		return nil, policy.Errorf(policy.CodeInvalid, "event hub: a queue and a task type are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.ConsumerGroup = cmp.Or(o.ConsumerGroup, azeventhubs.DefaultConsumerGroup)
	o.CallTimeout = cmp.Or(o.CallTimeout, 30*time.Second)
	o.IdleCheck = cmp.Or(o.IdleCheck, 30*time.Second)
	o.RefreshEvery = cmp.Or(o.RefreshEvery, time.Minute)
	o.Retry = cmp.Or(o.Retry, time.Second)
	o.ReconnectEvery = cmp.Or(o.ReconnectEvery, 5*time.Minute)
	c := &Consumer{o: o, hub: hub, log: o.Logger, problems: make(map[string]*Failure), states: make(map[string]state)}
	for _, text := range o.Catalogs {
		c.catalogs = append(c.catalogs, naming.NewPattern(text, true, true))
	}
	c.metrics, err = newMetrics(c, o.Registerer)
	return c, err
}

// Problem returns why the hub, or a partition of it, is not read at the moment; nil where everything is.
func (c *Consumer) Problem() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(c.problems)) { // that of the hub first
		return c.problems[key]
	}
	return nil
}

// note remembers the problem of a partition or of the hub, nil for none, and logs it where none is like it.
func (c *Consumer) note(key string, problem *Failure) {
	c.mu.Lock()
	before, known := c.problems[key], false
	for _, other := range c.problems {
		known = known || problem != nil && other.What == problem.What
	}
	if problem != nil {
		c.problems[key] = problem
	} else {
		delete(c.problems, key)
	}
	over := before != nil && len(c.problems) == 0
	c.mu.Unlock()
	switch {
	case problem != nil && !known:
		log := c.log
		if key != wholeHub {
			log = log.With("partition", key)
		}
		log.Error("cannot read tasks from the event hub; trying again", "error", problem)
	case over:
		c.log.Info("reading tasks from the event hub again")
	}
}

// update changes what is known of a partition.
func (c *Consumer) update(id string, change func(*state)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.states[id]
	if !ok {
		s = state{read: -1, last: -1}
	}
	change(&s)
	c.states[id] = s
	c.metrics.know(id)
}

// mayReconnect reports whether a partition may have the connection of all closed, and notes that it does.
func (c *Consumer) mayReconnect(id string) (may bool) {
	c.update(id, func(s *state) {
		if may = time.Since(s.reopened) >= c.o.ReconnectEvery; may {
			s.reopened = time.Now()
		}
	})
	return may
}

// Run reads until ctx ends. Whatever the hub does, it goes on trying.
func (c *Consumer) Run(ctx context.Context) error {
	for delay := c.o.Retry; ctx.Err() == nil; delay = min(2*delay, time.Minute) {
		start := time.Now()
		err := c.connect(ctx)
		if ctx.Err() != nil {
			break
		}
		c.metrics.reopened.WithLabelValues("connection").Inc()
		if !errors.Is(err, errReconnect) {
			c.note(wholeHub, c.hub.describe(err))
		}
		if time.Since(start) > time.Minute {
			delay = c.o.Retry
		}
		wait(ctx, delay)
	}
	return nil //nolint:nilerr // the end was asked for
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

var errReconnect = errors.New("a partition asked for another connection")

// connect reads over one connection, until it fails or another one is wanted.
func (c *Consumer) connect(ctx context.Context) error {
	client, err := c.hub.consumer(c.o.ConsumerGroup)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer func() {
		cancel(nil)
		c.close(ctx, client.Close) // before the wait: calls that ignore their deadline end with the connection
		wg.Wait()
	}()
	reading := make(map[string]bool)
	look := func(ctx context.Context) (azeventhubs.EventHubProperties, error) {
		return call(ctx, c.o.CallTimeout, func(ctx context.Context) (azeventhubs.EventHubProperties, error) {
			return client.GetEventHubProperties(ctx, nil)
		})
	}
	var made *creation
	for {
		c.calls.await(ctx)
		hub, err := look(ctx)
		switch {
		case context.Cause(ctx) != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case made != nil && !hub.CreatedOn.Equal(made.of):
			return errReconnect
		}
		first := made == nil
		if first {
			made = &creation{of: hub.CreatedOn, look: look, calls: &c.calls, stored: make(chan struct{})}
		}
		latest, err := c.beginsLatest(hub)
		if err != nil {
			return err
		}
		if first {
			c.forget(hub.PartitionIDs)
		}
		var found []*partition
		for _, id := range hub.PartitionIDs {
			if reading[id] {
				continue
			}
			reading[id] = true
			p := c.newPartition(client, hub, id)
			p.latest, p.made = latest, made
			if err := p.start(ctx); err != nil {
				return err
			}
			found = append(found, p)
		}
		for _, p := range found {
			wg.Go(func() {
				if err := p.run(ctx); err != nil && ctx.Err() == nil {
					cancel(err)
				}
			})
		}
		if err := c.remember(ctx, hub); err != nil { // while the partitions open their links
			return err
		}
		if first {
			close(made.stored)
		}
		c.note(wholeHub, nil)
		if len(found) > 0 {
			c.log.Info("reading tasks from the event hub", "hub", hub.Name, "namespace", c.hub.namespace, "group", c.o.ConsumerGroup, "partitions", len(reading))
		}
		if first { // the partitions ask that too where they have a backlog, and come first
			wait(ctx, min(time.Second, c.o.RefreshEvery))
		}
		c.measure(ctx, client, hub.PartitionIDs)
		wait(ctx, c.o.RefreshEvery)
	}
}

// forget drops what is known of partitions that are not there any more.
func (c *Consumer) forget(there []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gone := func(id string) bool { return id != wholeHub && !slices.Contains(there, id) }
	maps.DeleteFunc(c.states, func(id string, _ state) bool { return gone(id) })
	maps.DeleteFunc(c.problems, func(id string, _ *Failure) bool { return gone(id) })
}

// properties asks what a partition holds.
func (c *Consumer) properties(ctx context.Context, client *azeventhubs.ConsumerClient, id string) (azeventhubs.PartitionProperties, error) {
	c.calls.await(ctx)
	return call(ctx, c.o.CallTimeout, func(ctx context.Context) (azeventhubs.PartitionProperties, error) {
		return client.GetPartitionProperties(ctx, id, nil)
	})
}

// measure looks how far the partitions go, for the metrics; what does not answer is noticed elsewhere.
func (c *Consumer) measure(ctx context.Context, client *azeventhubs.ConsumerClient, ids []string) {
	for _, id := range ids {
		p, err := c.properties(ctx, client, id)
		if err != nil {
			return
		}
		c.update(id, func(s *state) { s.last = p.LastEnqueuedSequenceNumber })
	}
}

// beginsLatest reports whether partitions without a position begin with the next event. That is so only at the first
// contact with a hub: what is in a partition that was added, or in a hub that was made again, came after we began.
func (c *Consumer) beginsLatest(hub azeventhubs.EventHubProperties) (bool, error) {
	known, found, err := c.o.Queue.PositionOf(c.hubStream(hub))
	if err != nil {
		return false, err
	}
	if found && known.Sequence != hub.CreatedOn.UnixMilli() {
		c.log.Warn("the event hub was made again under its name; reading the new one from its first event",
			"hub", hub.Name, "created", hub.CreatedOn, "before", known.Time)
	}
	return c.o.Latest && !found, nil
}

// remember stores which creation of the hub is read.
func (c *Consumer) remember(ctx context.Context, hub azeventhubs.EventHubProperties) error {
	p := ondemand.Position{Stream: c.hubStream(hub), Sequence: hub.CreatedOn.UnixMilli(), Time: hub.CreatedOn}
	if known, found, err := c.o.Queue.PositionOf(p.Stream); err != nil || found && known.Sequence >= p.Sequence {
		return err
	}
	_, err := c.o.Queue.SubmitEvents(ctx, nil, p)
	return err
}

// hubStream names the hub for a consumer group, whenever it was made.
func (c *Consumer) hubStream(hub azeventhubs.EventHubProperties) string {
	return strings.ToLower(strings.Join([]string{"hub", c.hub.namespace, hub.Name, c.o.ConsumerGroup}, "/"))
}

// close closes something of the client within the time of a call, also where ctx has ended.
func (c *Consumer) close(ctx context.Context, closer func(context.Context) error) {
	timeout := c.o.CallTimeout
	if ctx.Err() != nil {
		timeout = min(timeout, closeTimeout)
	}
	_, err := call(context.WithoutCancel(ctx), timeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, closer(ctx) })
	if err != nil {
		c.log.Debug("close a connection to the event hub", "error", err)
	}
}

// streamOf names a partition of one creation of a hub, for a consumer group.
func streamOf(namespace string, hub azeventhubs.EventHubProperties, group, partition string) string {
	return strings.Join([]string{strings.ToLower(namespace), strings.ToLower(hub.Name), hub.CreatedOn.UTC().Format(time.RFC3339Nano), strings.ToLower(group), partition}, "/")
}

// nameOf is what ids of tasks begin with: short, and another one for a hub made again.
func nameOf(namespace string, hub azeventhubs.EventHubProperties) string {
	sum := sha256.Sum256([]byte(streamOf(namespace, hub, "", "")))
	return fmt.Sprintf("%s-%x", strings.ToLower(hub.Name), sum[:4])
}
