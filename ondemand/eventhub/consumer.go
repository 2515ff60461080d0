package eventhub

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

// Options configures a [Consumer]. Zero durations take the defaults named here.
type Options struct {
	ConnectionString string
	Hub              string // where the connection string has no EntityPath
	ConsumerGroup    string // default $Default
	Latest           bool   // begin with the next event where no position is stored, not with the first
	TaskTypes        []ondemand.Type
	Catalogs         []policy.Pattern // that events may name; nil: all
	Queue            *ondemand.Queue
	Logger           *slog.Logger

	CallTimeout  time.Duration // of one call; default 30s
	IdleCheck    time.Duration // without an event before a partition is checked for life; default 30s
	RefreshEvery time.Duration // between two looks for new partitions; default 1m
	Retry        time.Duration // before the next attempt after an error, doubled up to a minute; default 1s
}

// Consumer reads one hub.
type Consumer struct {
	o         Options
	namespace string
	log       *slog.Logger

	mu      sync.Mutex
	problem error // why nothing is read; nil while something is
}

// ownerLevel is the level of our receivers: one with it takes a partition from receivers without. The level below is that of
// one who lost a partition and waits until the other has gone.
const (
	ownerLevel   = 1
	waitingLevel = 0
)

// maxBatch is how many events are asked for at a time; no more are ever on their way.
const maxBatch = 256

// gather is how long a batch is gathered after its first event.
const gather = 5 * time.Millisecond

// New checks the options. It does not connect.
func New(o Options) (*Consumer, error) {
	parsed, err := azeventhubs.ParseConnectionString(o.ConnectionString)
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "ondemand.eventhub.connection_string: %w", err)
	}
	if parsed.EntityPath != nil && *parsed.EntityPath != "" {
		if o.Hub != "" && o.Hub != *parsed.EntityPath {
			return nil, policy.Errorf(policy.CodeInvalid, "ondemand.eventhub.name %q is not the EntityPath %q of the connection string: keep one", o.Hub, *parsed.EntityPath)
		}
		o.Hub = ""
	} else if o.Hub == "" {
		return nil, policy.Errorf(policy.CodeInvalid, "ondemand.eventhub.name is missing: the connection string has no EntityPath")
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
	return &Consumer{o: o, namespace: parsed.FullyQualifiedNamespace, log: o.Logger}, nil
}

// Problem returns why nothing is read at the moment; nil where the hub answers.
func (c *Consumer) Problem() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.problem
}

// note remembers a problem and logs it when it is another one than before.
func (c *Consumer) note(err error) {
	c.mu.Lock()
	before := c.problem
	c.problem = err
	c.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		c.log.Error("cannot read tasks from the event hub; trying again", "error", err)
	case err == nil && before != nil:
		c.log.Info("reading tasks from the event hub again")
	}
}

// Run reads until ctx ends. Whatever the hub does, it goes on trying.
func (c *Consumer) Run(ctx context.Context) error {
	delay := c.o.Retry
	for ctx.Err() == nil {
		start := time.Now()
		err := c.connect(ctx)
		if ctx.Err() != nil {
			break
		}
		if !errors.Is(err, errReconnect) {
			c.note(err)
		}
		if time.Since(start) > time.Minute {
			delay = c.o.Retry
		}
		wait(ctx, delay)
		delay = min(2*delay, time.Minute)
	}
	return nil
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
	client, err := azeventhubs.NewConsumerClientFromConnectionString(c.o.ConnectionString, c.o.Hub, c.o.ConsumerGroup, &azeventhubs.ConsumerClientOptions{
		ApplicationID: "ucwarden",
		RetryOptions:  azeventhubs.RetryOptions{MaxRetries: 2, RetryDelay: 100 * time.Millisecond, MaxRetryDelay: time.Second},
	})
	if err != nil {
		return fmt.Errorf("event hub: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer func() {
		cancel(nil)
		c.close(ctx, client.Close) // before the wait: calls that ignore their deadline end with the connection
		wg.Wait()
	}()
	reading := make(map[string]bool)
	var created time.Time
	for {
		hub, err := call(ctx, c.o.CallTimeout, func(ctx context.Context) (azeventhubs.EventHubProperties, error) {
			return client.GetEventHubProperties(ctx, nil)
		})
		switch {
		case context.Cause(ctx) != nil:
			return context.Cause(ctx)
		case err != nil:
			return describe(err)
		case !created.IsZero() && !hub.CreatedOn.Equal(created):
			return errReconnect
		}
		created = hub.CreatedOn
		latest, err := c.beginsLatest(hub)
		if err != nil {
			return err
		}
		var found []*partition
		for _, id := range hub.PartitionIDs {
			if reading[id] {
				continue
			}
			reading[id] = true
			p := c.newPartition(client, hub, id)
			p.latest = latest
			if err := p.start(ctx); err != nil {
				return describe(err)
			}
			found = append(found, p)
		}
		if err := c.remember(ctx, hub); err != nil {
			return err
		}
		c.note(nil)
		for _, p := range found {
			wg.Go(func() {
				if err := p.run(ctx); err != nil && ctx.Err() == nil {
					cancel(err)
				}
			})
		}
		wait(ctx, c.o.RefreshEvery)
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
	return strings.ToLower(strings.Join([]string{"hub", c.namespace, hub.Name, c.o.ConsumerGroup}, "/"))
}

// close closes something of the client within the time of a call, also where ctx has ended.
func (c *Consumer) close(ctx context.Context, closer func(context.Context) error) {
	_, err := call(context.WithoutCancel(ctx), c.o.CallTimeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, closer(ctx) })
	if err != nil {
		c.log.Debug("close a connection to the event hub", "error", err)
	}
}

// call runs f with a deadline, and returns at the deadline even where f does not: some calls of the client ignore it.
func call[T any](ctx context.Context, timeout time.Duration, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		value, err := f(ctx)
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

// describe says what to fix.
func describe(err error) error {
	var failure *azeventhubs.Error
	text := err.Error()
	switch {
	case errors.As(err, &failure) && failure.Code == azeventhubs.ErrorCodeUnauthorizedAccess, strings.Contains(text, "status code 401"):
		return fmt.Errorf("the event hub refuses the key: check SharedAccessKeyName and SharedAccessKey of ondemand.eventhub.connection_string, and that the policy may Listen: %w", err)
	case strings.Contains(text, "amqp:not-found") || strings.Contains(text, "could not be found"):
		return fmt.Errorf("there is no such event hub or consumer group: check ondemand.eventhub.name (or EntityPath) and .consumer_group: %w", err)
	case strings.Contains(text, "no such host"):
		return fmt.Errorf("the namespace does not resolve: check Endpoint of ondemand.eventhub.connection_string: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the event hub did not answer in time: check the network (AMQP needs port 5671): %w", err)
	}
	return fmt.Errorf("event hub: %w", err)
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
