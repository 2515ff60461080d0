package eventhub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

// partition reads one partition over one connection.
type partition struct {
	c      *Consumer
	client *azeventhubs.ConsumerClient
	id     string
	stream string
	decode decoder

	read   int64 // sequence number of the last event that is stored; -1 before the first
	level  int64
	stuck  int // times in a row that the receiver delivered nothing although there was something
	lost   bool
	latest bool // begins with the next event where no position is stored
}

func (c *Consumer) newPartition(client *azeventhubs.ConsumerClient, hub azeventhubs.EventHubProperties, id string) *partition {
	return &partition{
		c: c, client: client, id: id, stream: streamOf(c.namespace, hub, c.o.ConsumerGroup, id), level: ownerLevel,
		decode: decoder{name: nameOf(c.namespace, hub), types: c.o.TaskTypes, catalogs: c.o.Catalogs, elements: min(maxElements, c.o.Queue.Stats().MaxQueued)},
	}
}

// run reads until ctx ends. Its error asks for another connection.
func (p *partition) run(ctx context.Context) error {
	delay, failures := p.c.o.Retry, 0
	for ctx.Err() == nil {
		read := p.read
		err := p.start(ctx)
		if err == nil {
			err = p.receive(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errReconnect):
			return err
		case ownershipLost(err):
			p.yield(ctx)
			continue
		}
		if p.read > read {
			delay, failures = p.c.o.Retry, 0
		}
		if failures++; failures >= 3 {
			return describe(err)
		}
		p.c.log.Debug("reopen a partition of the event hub", "partition", p.id, "reason", err)
		wait(ctx, delay)
		delay *= 2
	}
	return nil
}

func ownershipLost(err error) bool {
	var failure *azeventhubs.Error
	return errors.As(err, &failure) && failure.Code == azeventhubs.ErrorCodeOwnershipLost
}

// yield leaves the partition to the receiver that took it, and waits. From then on we ask with a level below: that is
// refused while the other is there, and does not take the partition back from it.
func (p *partition) yield(ctx context.Context) {
	if !p.lost {
		p.c.log.Warn("another receiver of the consumer group took a partition of the event hub; waiting until it has gone. Give each daemon a consumer group of its own",
			"partition", p.id, "group", p.c.o.ConsumerGroup)
	}
	p.lost, p.level = true, waitingLevel
	wait(ctx, p.c.o.IdleCheck)
}

// start finds the position to read from, and stores it where there is none: "latest" is resolved once, so that a restart
// before the first event does not pass over what came in between.
func (p *partition) start(ctx context.Context) error {
	position, found, err := p.c.o.Queue.PositionOf(p.stream)
	switch {
	case err != nil:
		return err
	case found:
		p.read = position.Sequence
		return nil
	case !p.latest:
		p.read = -1
		return nil
	}
	properties, err := p.properties(ctx)
	if err != nil {
		return err
	}
	p.read = properties.LastEnqueuedSequenceNumber
	_, err = p.c.o.Queue.SubmitEvents(ctx, nil, ondemand.Position{Stream: p.stream, Sequence: p.read, Time: properties.LastEnqueuedOn})
	return err
}

func (p *partition) properties(ctx context.Context) (azeventhubs.PartitionProperties, error) {
	return call(ctx, p.c.o.CallTimeout, func(ctx context.Context) (azeventhubs.PartitionProperties, error) {
		return p.client.GetPartitionProperties(ctx, p.id, nil)
	})
}

// receive stores events until the receiver fails or is found stuck.
func (p *partition) receive(ctx context.Context) error {
	from := azeventhubs.StartPosition{SequenceNumber: &p.read}
	if p.read < 0 {
		earliest := true
		from = azeventhubs.StartPosition{Earliest: &earliest}
	}
	receiver, err := p.client.NewPartitionClient(p.id, &azeventhubs.PartitionClientOptions{
		StartPosition: from, OwnerLevel: &p.level,
		Prefetch: -1, // only what was asked for is sent, so that nothing is fetched that cannot be stored
	})
	if err != nil {
		return err
	}
	defer p.c.close(ctx, receiver.Close)
	for {
		p.awaitRoom(ctx)
		events, err := p.batch(ctx, receiver)
		if len(events) > 0 {
			p.stuck = 0
			if p.lost {
				p.c.log.Info("reading a partition of the event hub again that another receiver had taken", "partition", p.id)
				p.lost = false
			}
			if err := p.store(ctx, events); err != nil {
				return err
			}
			continue
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, context.DeadlineExceeded):
			return err
		}
		if err := p.checkLife(ctx); err != nil {
			return err
		}
	}
}

// awaitRoom waits while the queue has no room for a batch.
func (p *partition) awaitRoom(ctx context.Context) {
	for ctx.Err() == nil {
		s := p.c.o.Queue.Stats()
		if s.New+s.Waiting < s.MaxQueued {
			return
		}
		wait(ctx, min(p.c.o.Retry, time.Second))
	}
}

// batch waits for an event, and takes along what comes right after it.
func (p *partition) batch(ctx context.Context, receiver *azeventhubs.PartitionClient) ([]*azeventhubs.ReceivedEventData, error) {
	first, cancel := context.WithTimeout(ctx, p.c.o.IdleCheck)
	defer cancel()
	events, err := receiver.ReceiveEvents(first, 1, nil)
	if err != nil {
		return nil, err
	}
	more, cancel := context.WithTimeout(ctx, gather)
	defer cancel()
	rest, _ := receiver.ReceiveEvents(more, maxBatch-1, nil) // its error comes back with the next call
	return append(events, rest...), nil
}

// store stores the tasks of events with the position after them, in as many transactions as the room of the queue wants.
func (p *partition) store(ctx context.Context, events []*azeventhubs.ReceivedEventData) error {
	var pending []ondemand.EventTask
	var position ondemand.Position
	flush := func() error {
		if position.Stream == "" {
			return nil
		}
		err := p.submit(ctx, pending, position)
		pending, position = nil, ondemand.Position{}
		return err
	}
	for _, e := range events {
		if e.SequenceNumber <= p.read { // delivered again after a reconnect
			continue
		}
		made := p.decode.tasks(p.id, e)
		if len(pending)+len(made) > p.decode.elements {
			if err := flush(); err != nil {
				return err
			}
		}
		pending = append(pending, made...)
		position = ondemand.Position{Stream: p.stream, Sequence: e.SequenceNumber}
		if e.EnqueuedTime != nil {
			position.Time = e.EnqueuedTime.UTC()
		}
	}
	return flush()
}

// submit stores some tasks, and waits while the queue is full or the store cannot write: nothing is given up.
func (p *partition) submit(ctx context.Context, tasks []ondemand.EventTask, position ondemand.Position) error {
	for {
		_, err := p.c.o.Queue.SubmitEvents(ctx, tasks, position)
		switch policy.CodeOf(err) {
		case policy.CodeRateLimited, policy.CodeUnavailable:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			p.c.log.Debug("events wait for room in the queue", "partition", p.id, "reason", err)
			wait(ctx, min(p.c.o.Retry, time.Second))
			continue
		}
		if err != nil {
			return fmt.Errorf("partition %s: %w", p.id, err)
		}
		p.read = position.Sequence
		return nil
	}
}

// checkLife compares what was read with what the partition holds: equal is idle; more, with nothing received, is a
// receiver that went silent. It is opened again, and the second time the connection is.
func (p *partition) checkLife(ctx context.Context) error {
	properties, err := p.properties(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		p.c.note(fmt.Errorf("partition %s: %w", p.id, describe(err)))
		return errReconnect
	case properties.LastEnqueuedSequenceNumber <= p.read:
		p.stuck = 0
		return nil
	}
	p.stuck++
	p.c.log.Warn("a partition of the event hub went silent although it holds events; opening it again",
		"partition", p.id, "read", p.read, "last", properties.LastEnqueuedSequenceNumber, "times", p.stuck)
	if p.stuck > 1 {
		return errReconnect
	}
	return errStuck
}

var errStuck = errors.New("the receiver went silent")
