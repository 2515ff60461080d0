package eventhub

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
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
