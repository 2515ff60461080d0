package eventhub

import (
	"context"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
)

// The service answers 50 calls a second: between looks at when a hub was made is lookEvery on the average, and fewLooks may be taken
// at once.
const (
	lookEvery = 25 * time.Millisecond
	fewLooks  = 4
)

// creation tells the partitions that are read over one connection whether the hub is still the one whose positions they
// store. The client opens links and connections again by itself, and says nothing: what a link delivers after that may be of a
// hub that was made again under the name, and begins behind a position of the old one. So what arrives is stored only once the
// hub was looked at after that. Partitions that wait at the same time share a look.
type creation struct {
	of   time.Time // when the hub was made that is read
	look func(context.Context) (azeventhubs.EventHubProperties, error)

	turn sync.Mutex // held while a look waits until it may begin
	free time.Time  // from when on looks may begin without regard to those before; turn guards it

	mu   sync.Mutex
	next *look // not begun: for all who ask until it begins
}

// look is one look at the hub. What it saw may be read once done is closed.
type look struct {
	done chan struct{}
	made time.Time
	err  error
}

func newCreation(of time.Time, see func(context.Context) (azeventhubs.EventHubProperties, error)) *creation {
	return &creation{of: of, look: see}
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
	c.turn.Lock()
	wait(ctx, time.Until(c.free.Add(-(fewLooks-1)*lookEvery)))
	if now := time.Now(); c.free.Before(now) {
		c.free = now
	}
	c.free = c.free.Add(lookEvery)
	c.mu.Lock()
	c.next = nil
	c.mu.Unlock()
	c.turn.Unlock()
	properties, err := c.look(ctx)
	l.made, l.err = properties.CreatedOn, err
	close(l.done)
}
