package eventhub

import (
	"context"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
)

// The service answers 50 calls a second that ask what a hub or a partition is: between those of ours is lookEvery on the average, and
// fewLooks may be made at once.
const (
	lookEvery = 25 * time.Millisecond
	fewLooks  = 10
)

// spacing keeps the calls within what the service answers, in the order in which they come.
type spacing struct {
	mu   sync.Mutex
	free time.Time // from when on calls may be made without regard to those before
}

// await returns when a call may be made, or when ctx ends.
func (s *spacing) await(ctx context.Context) {
	s.mu.Lock()
	at := time.Now()
	if earliest := s.free.Add(-(fewLooks - 1) * lookEvery); at.Before(earliest) {
		at = earliest
	}
	if s.free.Before(at) {
		s.free = at
	}
	s.free = s.free.Add(lookEvery)
	s.mu.Unlock()
	wait(ctx, time.Until(at))
}

// creation tells the partitions that are read over one connection whether the hub is still the one whose positions they
// store. The client opens links and connections again by itself, and says nothing: what a link delivers after that may be of a
// hub that was made again under the name, and begins behind a position of the old one. So what arrives is stored only once the
// hub was looked at after that. Partitions that wait at the same time share a look.
type creation struct {
	of     time.Time // when the hub was made that is read
	look   func(context.Context) (azeventhubs.EventHubProperties, error)
	calls  *spacing
	stored chan struct{} // closed once the store says which creation is read; no task may be stored before

	mu   sync.Mutex
	next *look // not begun: for all who ask until it begins
}

// look is one look at the hub. What it saw may be read once done is closed.
type look struct {
	done chan struct{}
	made time.Time
	err  error
}

// check returns nil where the hub, looked at from now on, is the one that is read, errReconnect where it was made again, and
// otherwise why it is not known. ctx is that of the connection.
func (c *creation) check(ctx context.Context) error {
	c.mu.Lock()
	l := c.next
	if l == nil {
		l = &look{done: make(chan struct{})}
		c.next = l
		go c.run(ctx, l)
	}
	c.mu.Unlock()
	<-l.done
	select {
	case <-c.stored:
	case <-ctx.Done():
		return ctx.Err()
	}
	switch {
	case l.err != nil:
		return l.err
	case !l.made.Equal(c.of):
		return errReconnect
	}
	return nil
}

// run takes a look once it may.
func (c *creation) run(ctx context.Context, l *look) {
	c.calls.await(ctx)
	c.mu.Lock()
	c.next = nil
	c.mu.Unlock()
	properties, err := c.look(ctx)
	l.made, l.err = properties.CreatedOn, err
	close(l.done)
}
