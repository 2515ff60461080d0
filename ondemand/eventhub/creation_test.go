package eventhub

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
)

// Events are of the hub that is read only once the store says which hub that is: a task that is stored before would, after a crash, have
// a partition that was added meanwhile begin with the latest event.
func TestNoTaskBeforeTheHubIsRemembered(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	made := time.Now()
	c := &creation{of: made, calls: new(spacing), stored: make(chan struct{})}
	c.look = func(context.Context) (azeventhubs.EventHubProperties, error) {
		cancel()
		return azeventhubs.EventHubProperties{CreatedOn: made}, nil
	}
	if err := c.check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("before the hub is remembered: %v", err)
	}
	close(c.stored)
	if err := c.check(t.Context()); err != nil {
		t.Errorf("once it is: %v", err)
	}
}

// Where events come and no answer which hub they are of, nothing is stored, the problem is that of the hub, and another connection is
// asked for.
func TestEventsOfAnUnknownHub(t *testing.T) {
	t.Parallel()
	c, err := New(Options{
		Address: Address{ConnectionString: "Endpoint=sb://localhost:5672;SharedAccessKeyName=k;SharedAccessKey=a2V5;EntityPath=tasks;UseDevelopmentEmulator=true"},
		Queue:   new(queue.Queue), TaskTypes: []ondemand.Type{ondemand.ResourceSync},
	})
	if err != nil {
		t.Fatal(err)
	}
	made := &creation{calls: new(spacing), stored: make(chan struct{})}
	close(made.stored)
	made.look = func(context.Context) (azeventhubs.EventHubProperties, error) {
		return azeventhubs.EventHubProperties{}, context.DeadlineExceeded
	}
	p := &partition{c: c, id: "0", made: made}
	events := []*azeventhubs.ReceivedEventData{{SequenceNumber: 1}}
	if err := p.take(t.Context(), events, 1, false); !errors.Is(err, errReconnect) {
		t.Errorf("error %v, want %v", err, errReconnect)
	}
	if c.Problem() == nil {
		t.Error("the problem is not noted")
	}
}
