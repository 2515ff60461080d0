package apiserver_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/apiserver"
	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
	"ucwarden/ondemand/store"
)

// pipes is a listener of connections in memory, whose deadlines follow the time of a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours, nil
}

// newBubble returns an env with keys and a queue, in the bubble of a test, and the store of the queue.
func newBubble(t *testing.T) (*env, *store.Store) {
	t.Helper()
	time.Sleep(24 * time.Hour) // away from the first instant of the bubble, before which no token can be issued
	e := &env{t: t}
	var err error
	if e.signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if e.verifier, err = keys.NewVerifier(t.Context(), keys.VerifierOptions{JWKS: e.keySet()}); err != nil {
		t.Fatal(err)
	}
	file, err := store.Open(filepath.Join(t.TempDir(), "tasks.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if e.queue, err = queue.New(file, queue.Options{Handlers: map[ondemand.Type]ondemand.Handler{ondemand.FullSync: handler{}}}); err != nil {
		t.Fatal(err)
	}
	return e, file
}

// serveOnPipes runs a server on connections in memory, until end is called.
func (e *env) serveOnPipes(t *testing.T, o apiserver.Options) (listener *pipes, ctx context.Context, end func()) {
	t.Helper()
	var err error
	if e.server, err = apiserver.New(o); err != nil {
		t.Fatal(err)
	}
	listener = newPipes()
	e.server.ListenOn(listener)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.server.Run(ctx) }()
	return listener, ctx, func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// Clients that are slow to send or to read are cut off after the time that each step may take, hold nothing then, and keep nobody else
// waiting.
func TestSlowClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, file := newBubble(t)
		registry := prometheus.NewRegistry()
		listener, ctx, end := e.serveOnPipes(t, apiserver.Options{Tasks: e.queue, Verifier: e.verifier, Registerer: registry, Heartbeat: time.Second})
		token := e.issue("slow", nil, keys.ScopeAdmin)
		head := " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n"

		good := &http.Client{Transport: &http.Transport{DialContext: listener.dial}}
		call := func(method, path, body string) int {
			req, err := http.NewRequest(method, "http://x"+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
			resp, err := good.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			_, _ = io.Copy(io.Discard, resp.Body)
			return resp.StatusCode
		}
		if status := call("POST", tasksPath, `{"id":"t","type":"FULL_SYNC"}`); status != 202 {
			t.Fatalf("status %d", status)
		}

		begun := time.Now()
		var slow sync.WaitGroup
		// client sends the beginning of a request, then a byte every other second, and returns when it was cut off, and the status of
		// the answer if it reads one.
		client := func(name, begin string, reads bool, within time.Duration, want int) {
			slow.Go(func() {
				conn, _ := listener.dial(ctx, "", "")
				defer conn.Close()
				status := make(chan int, 1)
				if reads {
					go func() {
						resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
						if err != nil {
							status <- 0
							return
						}
						status <- resp.StatusCode
						_, _ = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}()
				}
				_, err := conn.Write([]byte(begin))
				for err == nil && time.Since(begun) < 2*time.Minute {
					time.Sleep(2 * time.Second)
					_, err = conn.Write([]byte("x"))
				}
				if err == nil || time.Since(begun) > within+2*time.Second {
					t.Errorf("%s: cut off after %v (%v), want %v at most", name, time.Since(begun), err, within)
				}
				if reads {
					if got := <-status; got != want {
						t.Errorf("%s: answered %d, want %d", name, got, want)
					}
				}
			})
		}
		const post = "POST " + tasksPath
		client("headers", "GET /healthz HTTP/1.1\r\nX-Slow: ", true, 10*time.Second, 0) // net/http answers nothing
		client("body", post+head+"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", true, 30*time.Second, 408)
		client("chunks", post+head+"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n{", true, 30*time.Second, 408)
		client("idle stream reader", "GET "+tasksPath+"/t/events"+head+"\r\n", false, 16*time.Second, 0)
		client("idle reader", "GET /openapi.json"+head+"\r\n", false, 41*time.Second, 0)

		time.Sleep(time.Second)
		if n := held(t, registry); n != 1 {
			t.Errorf("%v requests are held, want that of the stream", n)
		}
		for range 50 {
			before := time.Now()
			if status := call("GET", tasksPath+"/t", ""); status != 200 || time.Since(before) > 0 {
				t.Errorf("another client: status %d after %v", status, time.Since(before))
			}
			time.Sleep(time.Second)
		}
		slow.Wait()
		if n := held(t, registry); n != 0 {
			t.Errorf("%v requests are held after all were cut off", n)
		}
		good.CloseIdleConnections()
		end()
		if err := file.Close(); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// held returns how many requests are held.
func held(t *testing.T, registry *prometheus.Registry) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "ucwarden_http_requests_held" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("no such metric")
	return 0
}
