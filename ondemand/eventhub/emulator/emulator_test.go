package emulator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"ucwarden/ondemand/eventhub/emulator"
)

// deadline bounds every test: the client waits for ever without one.
const deadline = 30 * time.Second

// retries make the client reconnect at once.
var retries = azeventhubs.RetryOptions{MaxRetries: 10, RetryDelay: time.Millisecond, MaxRetryDelay: 20 * time.Millisecond}

func start(t *testing.T, o emulator.Options) *emulator.Server {
	t.Helper()
	o.Hub = "tasks"
	o.Partitions = max(o.Partitions, 2)
	s, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// publish sends bodies to a partition in one batch.
func publish(t *testing.T, ctx context.Context, s *emulator.Server, partition string, bodies ...string) {
	t.Helper()
	p, err := azeventhubs.NewProducerClientFromConnectionString(s.ConnectionString(), "", &azeventhubs.ProducerClientOptions{RetryOptions: retries})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(ctx)
	batch, err := p.NewEventDataBatch(ctx, &azeventhubs.EventDataBatchOptions{PartitionID: &partition})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range bodies {
		if err := batch.AddEventData(&azeventhubs.EventData{Body: []byte(body)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.SendEventDataBatch(ctx, batch, nil); err != nil {
		t.Fatal(err)
	}
}

func consumer(t *testing.T, ctx context.Context, connectionString string) *azeventhubs.ConsumerClient {
	t.Helper()
	c, err := azeventhubs.NewConsumerClientFromConnectionString(connectionString, "", azeventhubs.DefaultConsumerGroup, &azeventhubs.ConsumerClientOptions{RetryOptions: retries})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(ctx)) })
	return c
}

func open(t *testing.T, ctx context.Context, c *azeventhubs.ConsumerClient, partition string, from azeventhubs.StartPosition, level *int64) *azeventhubs.PartitionClient {
	t.Helper()
	p, err := c.NewPartitionClient(partition, &azeventhubs.PartitionClientOptions{StartPosition: from, OwnerLevel: level})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.WithoutCancel(ctx)) })
	return p
}

// receive returns the next n events.
func receive(t *testing.T, ctx context.Context, p *azeventhubs.PartitionClient, n int) []*azeventhubs.ReceivedEventData {
	t.Helper()
	var all []*azeventhubs.ReceivedEventData
	for len(all) < n {
		got, err := p.ReceiveEvents(ctx, n-len(all), nil)
		if err != nil {
			t.Fatalf("after %d events: %v", len(all), err)
		}
		all = append(all, got...)
	}
	return all
}

func bodies(events []*azeventhubs.ReceivedEventData) []string {
	var all []string
	for _, e := range events {
		all = append(all, string(e.Body))
	}
	return all
}

var earliest = azeventhubs.StartPosition{Earliest: to.Ptr(true)}

// Events of a batch arrive in order, with their sequence numbers, large ones in several frames.
func TestSendAndReceive(t *testing.T) {
	t.Parallel()
	s, ctx := start(t, emulator.Options{}), within(t)
	want := []string{"a", "", strings.Repeat("x", 300<<10), "b"}
	publish(t, ctx, s, "1", want...)
	c := consumer(t, ctx, s.ConnectionString())
	got := receive(t, ctx, open(t, ctx, c, "1", earliest, nil), len(want))
	if !slices.Equal(bodies(got), want) {
		t.Errorf("received other bodies than were sent")
	}
	for i, e := range got {
		if e.SequenceNumber != int64(i) || e.Offset == "" || e.EnqueuedTime == nil {
			t.Errorf("event %d: sequence number %d, offset %q, enqueued %v", i, e.SequenceNumber, e.Offset, e.EnqueuedTime)
		}
	}
	hub, err := c.GetEventHubProperties(ctx, nil)
	if err != nil || hub.Name != "tasks" || !slices.Equal(hub.PartitionIDs, []string{"0", "1"}) || hub.CreatedOn.IsZero() {
		t.Errorf("hub: %+v, %v", hub, err)
	}
	for id, last := range map[string]int64{"0": -1, "1": 3} {
		p, err := c.GetPartitionProperties(ctx, id, nil)
		if err != nil || p.LastEnqueuedSequenceNumber != last || p.IsEmpty != (last < 0) {
			t.Errorf("partition %s: %+v, %v", id, p, err)
		}
	}
}

// A start position is honoured in each of its forms, for plain offsets and those of geo-replicated hubs.
func TestStartPositions(t *testing.T) {
	t.Parallel()
	for _, geo := range []bool{false, true} {
		t.Run(fmt.Sprintf("geo=%v", geo), func(t *testing.T) {
			s, ctx := start(t, emulator.Options{GeoReplicated: geo}), within(t)
			publish(t, ctx, s, "0", "a", "b", "c")
			c := consumer(t, ctx, s.ConnectionString())
			all := receive(t, ctx, open(t, ctx, c, "0", earliest, nil), 3)
			for _, test := range []struct {
				from azeventhubs.StartPosition
				want string
			}{
				{azeventhubs.StartPosition{SequenceNumber: to.Ptr(int64(0))}, "b"},
				{azeventhubs.StartPosition{SequenceNumber: to.Ptr(int64(1)), Inclusive: true}, "b"},
				{azeventhubs.StartPosition{Offset: &all[1].Offset}, "c"},
				{azeventhubs.StartPosition{Offset: &all[1].Offset, Inclusive: true}, "b"},
				{azeventhubs.StartPosition{EnqueuedTime: to.Ptr(time.Unix(0, 0))}, "a"},
			} {
				p := open(t, ctx, c, "0", test.from, nil)
				if got := bodies(receive(t, ctx, p, 1)); got[0] != test.want {
					t.Errorf("from %+v: received %q, want %q", test.from, got, test.want)
				}
				_ = p.Close(ctx)
			}
		})
	}
}

// Detached links, reset connections, refused authorization and a silent partition end, and no event is lost or comes twice.
func TestFaultsPass(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*emulator.Server){
		"detach": (*emulator.Server).DetachReceivers,
		"kill":   (*emulator.Server).KillConnections,
		"mute":   func(s *emulator.Server) { s.MutePartition("0", true); s.MutePartition("0", false) },
		"freeze": func(s *emulator.Server) { s.Freeze(); s.Thaw() },
	} {
		t.Run(name, func(t *testing.T) {
			s, ctx := start(t, emulator.Options{}), within(t)
			p := open(t, ctx, consumer(t, ctx, s.ConnectionString()), "0", earliest, nil)
			for i := range 3 {
				body := fmt.Sprint(i)
				publish(t, ctx, s, "0", body)
				if got := receive(t, ctx, p, 1); string(got[0].Body) != body || got[0].SequenceNumber != int64(i) {
					t.Errorf("received %q with %d, want %q", got[0].Body, got[0].SequenceNumber, body)
				}
				fault(s)
			}
		})
	}
}

// While a partition is muted nothing is delivered, and its properties tell that there is something.
func TestMutedPartition(t *testing.T) {
	t.Parallel()
	s, ctx := start(t, emulator.Options{}), within(t)
	c := consumer(t, ctx, s.ConnectionString())
	p := open(t, ctx, c, "0", earliest, nil)
	publish(t, ctx, s, "0", "a")
	receive(t, ctx, p, 1)
	s.MutePartition("0", true)
	publish(t, ctx, s, "0", "b")
	properties, err := c.GetPartitionProperties(ctx, "0", nil)
	if err != nil || properties.LastEnqueuedSequenceNumber != 1 {
		t.Errorf("properties: %+v, %v", properties, err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if got, err := p.ReceiveEvents(short, 1, nil); len(got) > 0 {
		t.Errorf("a muted partition delivered %q, %v", got[0].Body, err)
	}
	s.MutePartition("0", false)
	if got := receive(t, ctx, p, 1); string(got[0].Body) != "b" {
		t.Errorf("received %q", got[0].Body)
	}
}

// The receiver of a higher level takes the partition, and the one of a lower level is refused.
func TestOwnerLevels(t *testing.T) {
	t.Parallel()
	s, ctx := start(t, emulator.Options{}), within(t)
	publish(t, ctx, s, "0", "a")
	c := consumer(t, ctx, s.ConnectionString())
	low := open(t, ctx, c, "0", earliest, to.Ptr(int64(1)))
	receive(t, ctx, low, 1)
	receive(t, ctx, open(t, ctx, consumer(t, ctx, s.ConnectionString()), "0", earliest, to.Ptr(int64(2))), 1)
	_, err := low.ReceiveEvents(ctx, 1, nil)
	var failure *azeventhubs.Error
	if !errors.As(err, &failure) || failure.Code != azeventhubs.ErrorCodeOwnershipLost {
		t.Errorf("the lower level received %v, want ownership lost", err)
	}
}

// A wrong key and a hub that does not exist are refused in words.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := start(t, emulator.Options{Key: "right"})
	for name, test := range map[string]struct{ old, new, want string }{
		"wrong key":    {"SharedAccessKey=right", "SharedAccessKey=wrong", "unauthorized"},
		"wrong policy": {"SharedAccessKeyName=Root", "SharedAccessKeyName=Other", "unauthorized"},
		"no such hub":  {"EntityPath=tasks", "EntityPath=none", "not be found"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t)
			p := open(t, ctx, consumer(t, ctx, strings.Replace(s.ConnectionString(), test.old, test.new, 1)), "0", earliest, nil)
			if _, err := p.ReceiveEvents(ctx, 1, nil); err == nil || !strings.Contains(strings.ToLower(err.Error()), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
