package eventhub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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
	made   *creation
	sure   ondemand.Position // what the partition held up to there is of that creation
	decode decoder
	tasks  []ondemand.EventTask // of the last batch, for their memory

	read    int64 // sequence number of the last event that is stored; -1 before the first
	level   int64
	backlog bool // the last batch was large
	more    bool // there is likely to be more: it was as large as was asked for, or the one before was large too
	largest int  // bytes of the largest event of the last batch
	stuck   int  // times in a row that the receiver delivered nothing although there was something
	latest  bool // begins with the next event where no position is stored
}

func (c *Consumer) newPartition(client *azeventhubs.ConsumerClient, hub azeventhubs.EventHubProperties, id string) *partition {
	level := int64(ownerLevel)
	c.update(id, func(s *state) {
		if s.lost { // also over another connection: two daemons must not take it from one another in turns
			level = waitingLevel
		}
	})
	return &partition{
		c: c, client: client, id: id, stream: streamOf(c.hub.namespace, hub, c.o.ConsumerGroup, id), level: level,
		decode: decoder{
			name: nameOf(c.hub.namespace, hub), postedBy: "event hub " + hub.Name,
			types: c.o.TaskTypes, catalogs: c.catalogs, elements: min(maxElements, c.o.Queue.Stats().MaxQueued),
		},
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
			return nil //nolint:nilerr // the end was asked for
		case errors.Is(err, errReconnect):
			return err
		case ownershipLost(err):
			p.yield(ctx, err)
			continue
		}
		if p.read > read {
			delay, failures = p.c.o.Retry, 0
		}
		p.c.metrics.reopened.WithLabelValues("link").Inc()
		p.c.log.Debug("reopen a partition of the event hub", "partition", p.id, "reason", err)
		if failures++; failures >= 3 {
			p.c.note(p.id, p.c.hub.describe(err))
			if p.c.mayReconnect(p.id) {
				return errReconnect
			}
		}
		wait(ctx, delay)
		delay = min(2*delay, time.Minute)
	}
	return nil
}

// ownershipLost reports whether another receiver has a partition: it took ours, or ours was not let in. Of the latter the
// client's code says only that the connection was lost.
func ownershipLost(err error) bool {
	failure, ok := errors.AsType[*azeventhubs.Error](err)
	return ok && (failure.Code == azeventhubs.ErrorCodeOwnershipLost || strings.Contains(err.Error(), "amqp:link:stolen"))
}

// yield leaves the partition to the receiver that took it, and waits. From then on we ask with a level below: that is
// refused while the other is there, and does not take the partition back from it.
func (p *partition) yield(ctx context.Context, err error) {
	p.c.note(p.id, &Failure{
		What: "another receiver of the consumer group " + p.c.o.ConsumerGroup + " reads a partition of the event hub; waiting until it has gone",
		Do:   "give each daemon a consumer group of its own", Err: err,
	})
	p.level = waitingLevel
	p.c.update(p.id, func(s *state) { s.lost = true })
	wait(ctx, p.c.o.waiting())
}

// start finds the position to read from, and stores it where there is none: "latest" is resolved once, so that a restart
// before the first event does not pass over what came in between.
func (p *partition) start(ctx context.Context) error {
	position, found, err := p.c.o.Queue.PositionOf(p.stream)
	switch {
	case err != nil:
		return err
	case found:
		p.arrived(position.Sequence)
		return nil
	case !p.latest:
		p.read = -1
		return nil
	}
	properties, err := p.c.properties(ctx, p.client, p.id)
	if err != nil {
		return err
	}
	p.arrived(properties.LastEnqueuedSequenceNumber)
	_, err = p.c.o.Queue.SubmitEvents(ctx, nil, ondemand.Position{Stream: p.stream, Sequence: p.read, Time: properties.LastEnqueuedOn})
	return err
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
	opened := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var storing sync.WaitGroup // of one batch, while the next one arrives
	var failed error           // of that batch
	defer storing.Wait()
	for {
		room := p.awaitRoom(ctx)
		events, err := p.batch(ctx, receiver, room)
		if err == nil {
			p.alive()
			if time.Since(opened) >= p.c.o.waiting() { // whoever had it has gone, and is not only being connected again
				p.level = ownerLevel // from the next link on
				p.c.update(p.id, func(s *state) { s.lost = false })
			}
		}
		if storing.Wait(); failed != nil {
			return failed
		}
		switch {
		case err == nil && p.backlog && room > ampleRoom && p.largest*len(events) <= smallBatchBytes:
			more := p.more
			storing.Go(func() {
				if failed = p.take(ctx, events, room, more); failed != nil {
					cancel()
				}
			})
		case err == nil:
			if err := p.take(ctx, events, room, p.more); err != nil {
				return err
			}
			p.tasks = nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, context.DeadlineExceeded):
			return err
		default:
			if err := p.checkLife(ctx); err != nil {
				return err
			}
		}
	}
}

// take stores events that are of the hub that is read; more reports whether there are likely to be more of them.
func (p *partition) take(ctx context.Context, events []*azeventhubs.ReceivedEventData, room int, more bool) error {
	switch err := p.checkHub(ctx, events, more); {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil: // events came, and no answer: the connection is of no use
		p.c.note(wholeHub, p.c.hub.describe(fmt.Errorf("partition %s: %w", p.id, err)))
		return errReconnect
	case err != nil:
		return err
	}
	return p.store(ctx, events, room)
}

// checkHub returns an error unless events are known to be of the hub that is read. Of a backlog that is asked once: what the
// partition held before the hub was looked at, and found to be the same, is of it.
func (p *partition) checkHub(ctx context.Context, events []*azeventhubs.ReceivedEventData, more bool) error {
	if !slices.ContainsFunc(events, func(e *azeventhubs.ReceivedEventData) bool {
		return e.EnqueuedTime == nil || e.EnqueuedTime.After(p.sure.Time) || e.EnqueuedTime.Equal(p.sure.Time) && e.SequenceNumber > p.sure.Sequence
	}) {
		return nil
	}
	sure := p.sure
	if more {
		properties, err := p.c.properties(ctx, p.client, p.id)
		if err != nil {
			return err
		}
		sure = ondemand.Position{Sequence: properties.LastEnqueuedSequenceNumber, Time: properties.LastEnqueuedOn}
		p.c.update(p.id, func(s *state) { s.last = max(s.last, sure.Sequence) })
	}
	if err := p.made.check(ctx); err != nil {
		return err
	}
	p.sure = sure
	return nil
}

// awaitRoom waits while the queue is full, and returns for how many tasks it has room.
func (p *partition) awaitRoom(ctx context.Context) int {
	for {
		s := p.c.o.Queue.Stats()
		if room := s.MaxQueued - s.New - s.Waiting; room > 0 || ctx.Err() != nil {
			return max(room, 1)
		}
		wait(ctx, min(p.c.o.Retry, time.Second))
	}
}

// batch waits for an event, and takes along what comes right after it, up to limit in all.
func (p *partition) batch(ctx context.Context, receiver *azeventhubs.PartitionClient, limit int) ([]*azeventhubs.ReceivedEventData, error) {
	patience, last := 1, int64(0)
	p.c.update(p.id, func(s *state) { patience, last = s.patience(), s.last })
	idle := p.c.o.IdleCheck
	if p.level == waitingLevel {
		idle = p.c.o.waiting()
	}
	idle *= time.Duration(patience)
	start, most := time.Now(), idle+p.c.o.CallTimeout
	events, err := call(ctx, most, func(ctx context.Context) ([]*azeventhubs.ReceivedEventData, error) {
		ctx, cancel := context.WithTimeout(ctx, idle)
		defer cancel()
		return receiver.ReceiveEvents(ctx, 1, nil)
	})
	switch {
	case err != nil && ctx.Err() == nil && time.Since(start) >= most:
		return nil, errReconnect // it ignores its deadline, and may still take events, which this receiver's end gives back
	case err != nil || limit < 2:
		return events, err
	}
	wait := gather
	if p.backlog {
		wait = gatherBacklog
	}
	more, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	count := min(limit, p.fits()) - 1
	if known := last - events[0].SequenceNumber; known > 0 {
		count = int(min(int64(count), known)) // rather than to wait for what may not come
	}
	if count > 0 {
		rest, _ := receiver.ReceiveEvents(more, count, nil) // its error comes back with the next call
		events = append(events, rest...)
	}
	backlog := len(events) >= maxBatch/8
	p.more = backlog && (p.backlog || len(events) > count)
	p.backlog, p.largest = backlog, 1
	for _, e := range events {
		p.largest = max(p.largest, len(e.Body))
	}
	return events, nil
}

// fits returns how many events like those of the last batch may be on their way at a time.
func (p *partition) fits() int { return max(1, min(maxBatch, maxBatchBytes/max(p.largest, 1))) }

// store stores the tasks of events with the position after them, in as many transactions as the room of the queue wants.
func (p *partition) store(ctx context.Context, events []*azeventhubs.ReceivedEventData, room int) error {
	most := min(room, p.decode.elements)
	pending := slices.Grow(p.tasks[:0], len(events))
	defer func() {
		clear(pending[:cap(pending)]) // what they hold is stored
		p.tasks = pending
	}()
	count, first := 0, int64(-1)
	var position ondemand.Position
	flush := func(tasks []ondemand.EventTask) error {
		if position.Stream == "" {
			return nil
		}
		before := p.read
		err := p.submit(ctx, tasks, position)
		if err == nil {
			p.noteExpired(before, first)
			first = position.Sequence + 1
			p.c.metrics.events.WithLabelValues(p.id).Add(float64(count))
		}
		position, count = ondemand.Position{}, 0
		return err
	}
	for _, e := range events {
		if e.SequenceNumber <= p.read { // delivered again after a reconnect
			continue
		}
		if first < 0 {
			first = e.SequenceNumber
		}
		before := len(pending)
		if pending = p.decode.appendTasks(pending, p.id, e); len(pending) > most {
			if err := flush(pending[:before]); err != nil {
				return err
			}
			pending = append(pending[:0], pending[before:]...)
		}
		count++
		position = ondemand.Position{Stream: p.stream, Sequence: e.SequenceNumber}
		if e.EnqueuedTime != nil {
			position.Time = e.EnqueuedTime.UTC()
		}
	}
	return flush(pending)
}

// noteExpired says which events between the one that was read last and the next one the hub did not keep until they were read.
// What it deleted before it was first read is not missed.
func (p *partition) noteExpired(read, next int64) {
	if read < 0 || next <= read+1 {
		return
	}
	p.c.metrics.expired.WithLabelValues(p.id).Add(float64(next - read - 1))
	p.c.log.Warn("the event hub deleted events before they were read, as at the end of their retention; the next full sync makes up for them",
		"partition", p.id, "events", next-read-1, "first", read+1, "last", next-1)
}

// submit stores some tasks, and waits while the queue is full or the store cannot write: nothing is given up.
func (p *partition) submit(ctx context.Context, tasks []ondemand.EventTask, position ondemand.Position) error {
	for {
		created, err := p.c.o.Queue.SubmitEvents(ctx, tasks, position)
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
		p.c.metrics.tasks.WithLabelValues("stored").Add(float64(created))
		p.c.metrics.tasks.WithLabelValues("repeated").Add(float64(len(tasks) - created))
		p.arrived(position.Sequence)
		return nil
	}
}

// arrived notes up to where events are stored.
func (p *partition) arrived(sequence int64) {
	p.read = sequence
	p.c.update(p.id, func(s *state) { s.read, s.last = sequence, max(s.last, sequence) })
}

// alive notes that the receiver works.
func (p *partition) alive() {
	p.stuck = 0
	p.c.update(p.id, func(s *state) { s.silent = 0 })
	p.c.note(p.id, nil)
}

// checkLife compares what was read with what the partition holds: equal is idle, and so is a partition whose events the hub
// has deleted; more, with nothing received, is a receiver that went silent. It is opened again, and the second time the connection is.
func (p *partition) checkLife(ctx context.Context) error {
	properties, err := p.c.properties(ctx, p.client, p.id)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		p.c.note(wholeHub, p.c.hub.describe(fmt.Errorf("partition %s: %w", p.id, err)))
		return errReconnect
	case properties.LastEnqueuedSequenceNumber <= p.read:
		p.alive()
		return nil
	case properties.IsEmpty || properties.BeginningSequenceNumber > properties.LastEnqueuedSequenceNumber:
		last := properties.LastEnqueuedSequenceNumber
		before := p.read
		if err := p.submit(ctx, nil, ondemand.Position{Stream: p.stream, Sequence: last, Time: properties.LastEnqueuedOn.UTC()}); err != nil {
			return err
		}
		p.noteExpired(before, last+1)
		p.alive()
		return nil
	}
	p.stuck++
	p.c.metrics.stuck.WithLabelValues(p.id).Inc()
	p.c.update(p.id, func(s *state) { s.silent, s.last = s.silent+1, properties.LastEnqueuedSequenceNumber })
	p.c.log.Warn("a partition of the event hub went silent although it holds events; opening it again",
		"partition", p.id, "read", p.read, "last", properties.LastEnqueuedSequenceNumber, "times", p.stuck)
	if p.stuck > 1 && p.c.mayReconnect(p.id) {
		return errReconnect
	}
	return errStuck
}

var errStuck = errors.New("the receiver went silent")
