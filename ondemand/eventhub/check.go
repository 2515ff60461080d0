package eventhub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
)

// Seen is what a hub says of itself.
type Seen struct {
	Hub, Namespace string
	Partitions     []string
	Created        time.Time
}

// Check connects to a hub, asks what it is, and opens a receiver of the consumer group without a level, which takes no
// partition from anybody. A hub that cannot be used is a [*Failure].
func Check(ctx context.Context, a Address, group string, timeout time.Duration) (Seen, error) {
	hub, err := newConnector(a)
	if err != nil {
		return Seen{}, err
	}
	client, err := hub.consumer(group)
	if err != nil {
		return Seen{}, hub.describe(err)
	}
	defer func() {
		_, _ = call(context.WithoutCancel(ctx), closeTimeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, client.Close(ctx) })
	}()
	properties, err := call(ctx, timeout, func(ctx context.Context) (azeventhubs.EventHubProperties, error) {
		return client.GetEventHubProperties(ctx, nil)
	})
	if err != nil {
		return Seen{}, hub.describe(err)
	}
	seen := Seen{Hub: properties.Name, Namespace: hub.namespace, Partitions: properties.PartitionIDs, Created: properties.CreatedOn}
	if len(seen.Partitions) == 0 {
		return seen, nil
	}
	if err := hub.probeGroup(ctx, client, seen.Partitions[0], timeout); err != nil {
		return seen, hub.describe(fmt.Errorf("consumer group %s: %w", group, err))
	}
	return seen, nil
}

// probeTime is how long a receiver is kept open to see whether it is refused: an answer comes at once, and none means that
// it waits for events.
const probeTime = 2 * time.Second

// probeGroup opens a receiver behind the last event of a partition. Where a daemon reads the group, the service refuses it,
// which says that the group is there.
func (c *connector) probeGroup(ctx context.Context, client *azeventhubs.ConsumerClient, partition string, timeout time.Duration) error {
	latest := true
	receiver, err := client.NewPartitionClient(partition, &azeventhubs.PartitionClientOptions{
		StartPosition: azeventhubs.StartPosition{Latest: &latest}, Prefetch: -1,
	})
	if err != nil {
		return err
	}
	_, err = call(ctx, min(timeout, probeTime), func(ctx context.Context) ([]*azeventhubs.ReceivedEventData, error) {
		return receiver.ReceiveEvents(ctx, 1, nil)
	})
	if errors.Is(err, context.DeadlineExceeded) || ownershipLost(err) {
		return nil
	}
	return err
}
