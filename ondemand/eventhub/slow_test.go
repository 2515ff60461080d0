package eventhub_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ucwarden/ondemand/eventhub"
)

// An event that is on its way for longer than a partition may be idle arrives all the same: the receiver is not opened again and
// again while it comes.
func TestSlowLine(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 0)
	const size = 400_000
	r.publish("0", `{"type":"RESOURCE_SYNC","more":"`+strings.Repeat("y", size)+`"}`, document("after", "t"))
	r.o.IdleCheck = 100 * time.Millisecond
	slow := slowProxy(t, addressOf(t, r.hub.ConnectionString()), size) // a second
	r.o.Address = eventhub.Address{ConnectionString: strings.ReplaceAll(r.hub.ConnectionString(), addressOf(t, r.hub.ConnectionString()), slow)}
	r.consume(r.o)
	r.awaitTasks(2)
	if r.logged.count("went silent") == 0 {
		t.Error("the line was not slow")
	}
}

// addressOf returns the host and port in a connection string.
func addressOf(t *testing.T, connection string) string {
	t.Helper()
	_, rest, ok := strings.Cut(connection, "sb://")
	address, _, more := strings.Cut(rest, ";")
	if !ok || !more {
		t.Fatalf("no address in %q", connection)
	}
	return strings.TrimSuffix(address, "/")
}

// slowProxy returns an address from which that many bytes a second come of what the server at another address sends.
func slowProxy(t *testing.T, to string, rate int) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() {
				defer server.Close()
				_, _ = io.Copy(server, client)
			}()
			go func() {
				defer client.Close()
				const part = 10_000
				for tick := time.NewTicker(part * time.Second / time.Duration(rate)); ; <-tick.C {
					if _, err := io.CopyN(client, server, part); err != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}
