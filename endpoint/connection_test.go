package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a network in memory.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}

	mu    sync.Mutex
	dials int
	last  *muteConn
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.accepted <- there
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dials++
	p.last = &muteConn{Conn: here, mute: make(chan struct{}), closed: make(chan struct{})}
	return p.last, nil
}

// muteConn is a connection that may die without a word: what is sent is lost, and nothing comes.
type muteConn struct {
	net.Conn
	mute, closed chan struct{}
	once         sync.Once
}

func (c *muteConn) Write(b []byte) (int, error) {
	select {
	case <-c.mute:
		return len(b), nil
	default:
		return c.Conn.Write(b)
	}
}

func (c *muteConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	select {
	case <-c.mute:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (c *muteConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// A connection that died without a word is given up for a new one.
func TestDeadConnectionIsReplaced(t *testing.T) {
	fixture := httptest.NewTLSServer(nil) // for its certificate
	fixture.Close()
	synctest.Test(t, func(t *testing.T) {
		network := &pipes{accepted: make(chan net.Conn, 1), closed: make(chan struct{})}
		server := &http.Server{
			Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }),
			TLSConfig: &tls.Config{Certificates: fixture.TLS.Certificates, MinVersion: tls.VersionTLS12},
		}
		served := make(chan error, 1)
		go func() { served <- server.ServeTLS(network, "", "") }()
		base := newBase(&ClientOptions{InsecureSkipVerify: true})
		base.DialContext = network.dial
		client := &http.Client{Transport: &transport{base: base, origin: "https://host:443"}}
		get := func() (string, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			req := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: "host"}}
			resp, err := client.Do(req.WithContext(ctx))
			if err != nil {
				return "", err
			}
			body, err := io.ReadAll(resp.Body)
			return string(body), errors.Join(err, resp.Body.Close())
		}
		if proto, err := get(); err != nil || proto != "HTTP/2.0" {
			t.Fatalf("%s %v", proto, err)
		}
		first := network.last
		close(first.mute)
		if _, err := get(); err == nil {
			t.Error("a dead connection answers")
		}
		if proto, err := get(); err != nil || proto != "HTTP/2.0" || network.dials != 2 {
			t.Errorf("after the connection died: %s %v, %d connections", proto, err, network.dials)
		}
		_ = first.Close()
		base.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-served
	})
}
