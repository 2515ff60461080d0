package eventhub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"ucwarden/policy"
)

// PublishOptions say where events go. At most one of the two is set; without, the hub chooses.
type PublishOptions struct {
	Partition string
	Key       string        // events with the same key go to the same partition
	Timeout   time.Duration // default 30s
}

// Publish sends each body as an event, in their order, in as few batches as they fit in. It returns how many were sent
// before an error.
func Publish(ctx context.Context, a Address, o PublishOptions, bodies ...[]byte) (sent int, err error) {
	hub, err := newConnector(a)
	if err != nil {
		return 0, err
	}
	if o.Partition != "" && o.Key != "" {
		return 0, policy.Errorf(policy.CodeInvalid, "publish: a partition and a partition key exclude one another")
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	client, err := hub.producer()
	if err != nil {
		return 0, hub.describe(err)
	}
	defer func() {
		_, _ = call(context.WithoutCancel(ctx), closeTimeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, client.Close(ctx) })
	}()
	batchOptions := &azeventhubs.EventDataBatchOptions{}
	if o.Partition != "" {
		batchOptions.PartitionID = &o.Partition
	}
	if o.Key != "" {
		batchOptions.PartitionKey = &o.Key
	}
	newBatch := func() (*azeventhubs.EventDataBatch, error) {
		return call(ctx, o.Timeout, func(ctx context.Context) (*azeventhubs.EventDataBatch, error) {
			return client.NewEventDataBatch(ctx, batchOptions)
		})
	}
	send := func(batch *azeventhubs.EventDataBatch) error {
		if batch.NumEvents() == 0 {
			return nil
		}
		_, err := call(ctx, o.Timeout, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, client.SendEventDataBatch(ctx, batch, nil)
		})
		if err == nil {
			sent += int(batch.NumEvents())
		}
		return err
	}
	batch, err := newBatch()
	for i := 0; i < len(bodies) && err == nil; {
		err = batch.AddEventData(&azeventhubs.EventData{Body: bodies[i]}, nil)
		switch {
		case err == nil:
			i++
		case errors.Is(err, azeventhubs.ErrEventDataTooLarge) && batch.NumEvents() > 0:
			if err = send(batch); err == nil {
				batch, err = newBatch()
			}
		case errors.Is(err, azeventhubs.ErrEventDataTooLarge):
			return sent, policy.Errorf(policy.CodeInvalid, "publish event %d: %d bytes are more than the hub takes in one", i+1, len(bodies[i]))
		}
	}
	if err == nil {
		err = send(batch)
	}
	if err != nil {
		return sent, fmt.Errorf("publish: %w", hub.describe(err))
	}
	return sent, nil
}
