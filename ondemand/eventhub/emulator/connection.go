package emulator

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Protocol headers.
var (
	headerAMQP = []byte{'A', 'M', 'Q', 'P', 0, 1, 0, 0}
	headerSASL = []byte{'A', 'M', 'Q', 'P', 3, 1, 0, 0}
)

// Time-outs: of what we write, and of a client that sends nothing.
const (
	writeTimeout = 30 * time.Second
	idleTimeout  = 4 * time.Minute
)

// writeBuffer is how much is written at a time: a few dozen small events.
const writeBuffer = 16 << 10

// timedConn gives each write writeTimeout.
type timedConn struct{ net.Conn }

func (c timedConn) Write(b []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
	return c.Conn.Write(b)
}

// connection is one client. Its goroutine reads frames; each link that delivers has another one. Where both locks are
// taken, Server.mu is taken while mu is not held.
type connection struct {
	s    *Server
	conn net.Conn
	r    *bufio.Reader
	done chan struct{}
	once sync.Once
	wg   sync.WaitGroup

	mu        sync.Mutex
	w         *bufio.Writer
	frame     []byte // the last transfer, for its memory
	maxFrame  int    // of the client
	sessions  map[uint16]*session
	ended     map[uint16]bool // channels that had a session; the reading goroutine's
	allowed   []allowance
	allowsAll bool // by SASL PLAIN
}

func newConnection(s *Server, conn net.Conn) *connection {
	return &connection{s: s, conn: conn, r: bufio.NewReader(conn), w: bufio.NewWriterSize(timedConn{conn}, writeBuffer), done: make(chan struct{}),
		maxFrame: 512, sessions: make(map[uint16]*session), ended: make(map[uint16]bool)}
}

// kill closes the connection without a word.
func (c *connection) kill() {
	c.once.Do(func() {
		close(c.done)
		_ = c.conn.Close()
	})
}

// serve reads frames until the connection ends, and says why it did.
func (c *connection) serve() error {
	defer c.wg.Wait()
	defer c.endSessions()
	defer c.kill()
	if err := c.handshake(); err != nil {
		return err
	}
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(idleTimeout))
		f, err := readFrame(c.r)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				c.close(errorf("amqp:decode-error", "%v", err))
			}
			return err
		}
		c.pause()
		if f.descriptor == perfClose {
			c.close(nil)
			return nil
		}
		if failure := c.handle(f); failure != nil {
			c.close(failure)
			return failure
		}
	}
}

// pause waits while the server is frozen.
func (c *connection) pause() {
	c.s.mu.Lock()
	thaw := c.s.thaw
	c.s.mu.Unlock()
	if thaw == nil {
		return
	}
	select {
	case <-thaw:
	case <-c.done:
	}
}

// handshake exchanges the protocol headers, with SASL before where the client begins with it.
func (c *connection) handshake() error {
	_ = c.conn.SetReadDeadline(time.Now().Add(writeTimeout))
	header, err := c.readHeader()
	if err != nil {
		return err
	}
	c.pause()
	if bytes.Equal(header, headerSASL) {
		if err := c.sasl(); err != nil {
			return err
		}
		if header, err = c.readHeader(); err != nil {
			return err
		}
	}
	if err := c.write(headerAMQP); err != nil {
		return err
	}
	if !bytes.Equal(header, headerAMQP) {
		return fmt.Errorf("protocol header %q", header)
	}
	return nil
}

func (c *connection) readHeader() ([]byte, error) {
	header := make([]byte, 8)
	for i := range header {
		b, err := c.r.ReadByte()
		if err != nil {
			return nil, fmt.Errorf("read protocol header: %w", err)
		}
		header[i] = b
	}
	return header, nil
}

// sasl accepts ANONYMOUS and its like, after which $cbs decides, and PLAIN with the name and key of the policy.
func (c *connection) sasl() error {
	mechanisms := []symbol{"ANONYMOUS", "MSSBCBS", "PLAIN"}
	if err := c.write(append(bytes.Clone(headerSASL), encodeFrame(frameSASL, 0, saslMechanisms, []any{mechanisms}, nil)...)); err != nil {
		return err
	}
	f, err := readFrame(c.r)
	if err != nil {
		return err
	}
	if f.kind != frameSASL || f.descriptor != saslInit {
		return errors.New("want sasl-init")
	}
	code := uint8(0)
	switch text(f.fields.at(0)) {
	case "ANONYMOUS", "MSSBCBS":
	case "PLAIN":
		response, _ := f.fields.at(1).([]byte)
		want := []byte("\x00" + c.s.o.KeyName + "\x00" + c.s.o.Key)
		if at := bytes.IndexByte(response, 0); at < 0 || subtle.ConstantTimeCompare(response[at:], want) != 1 {
			code = 1
		}
		c.allowsAll = code == 0
	default:
		code = 1
	}
	if err := c.write(encodeFrame(frameSASL, 0, saslOutcome, []any{code}, nil)); err != nil {
		return err
	}
	if code != 0 {
		return errors.New("SASL: not authenticated")
	}
	return nil
}

// write sends bytes at once.
func (c *connection) write(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(b)
	return c.flush()
}

// put buffers bytes; mu is held. The error of a full buffer comes back from flush.
func (c *connection) put(b []byte) {
	_, _ = c.w.Write(b)
}

// flush sends what is buffered; mu is held. A client that takes nothing for long loses its connection.
func (c *connection) flush() error {
	err := c.w.Flush()
	if err != nil {
		c.kill()
	}
	return err
}

// send sends one performative; mu is held.
func (c *connection) send(channel uint16, descriptor uint64, list []any) {
	c.put(encodeFrame(frameAMQP, channel, descriptor, list, nil))
}

// close sends close and ends the connection.
func (c *connection) close(failure *amqpError) {
	_ = c.write(encodeFrame(frameAMQP, 0, perfClose, []any{failure.encode()}, nil))
	c.kill()
}

// handle acts on one frame; its error closes the connection.
func (c *connection) handle(f frame) *amqpError {
	switch f.descriptor {
	case 0: // keeps the connection alive
		return nil
	case perfOpen:
		return c.open(f.fields)
	}
	c.mu.Lock()
	n := c.sessions[f.channel]
	c.mu.Unlock()
	if f.descriptor == perfBegin {
		if n != nil {
			return errorf("amqp:not-allowed", "channel %d has a session", f.channel)
		}
		return c.begin(f)
	}
	if n == nil && c.ended[f.channel] {
		return nil // it was on its way when the session ended
	}
	if n == nil {
		return errorf("amqp:not-allowed", "channel %d has no session", f.channel)
	}
	switch f.descriptor {
	case perfAttach:
		return c.attach(n, f.fields)
	case perfFlow:
		return c.flow(n, f.fields)
	case perfTransfer:
		return c.transfer(n, f)
	case perfDisposition: // everything is delivered settled
		return nil
	case perfDetach:
		c.detached(n, unsigned(f.fields.at(0)))
		return nil
	case perfEnd:
		c.end(n)
		return nil
	}
	return errorf("amqp:not-implemented", "performative 0x%x", f.descriptor)
}

// open answers open and keeps the connection alive as the client asks.
func (c *connection) open(list fields) *amqpError {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.maxFrame = maxFrame
	if n := unsigned(list.at(2)); n >= 512 {
		c.maxFrame = min(int(n), maxFrame)
	}
	c.send(0, perfOpen, []any{"ucwarden-emulator", nil, uint32(maxFrame), uint16(255), uint32(idleTimeout.Milliseconds() / 2)})
	if c.flush() != nil {
		return nil
	}
	if idle := time.Duration(unsigned(list.at(4))) * time.Millisecond; idle > 0 {
		c.wg.Go(func() { c.beat(max(idle/2, 100*time.Millisecond)) })
	}
	return nil
}

// beat sends an empty frame at every interval.
func (c *connection) beat(interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.pause()
			if c.write(encodeFrame(frameAMQP, 0, 0, nil, nil)) != nil {
				return
			}
		case <-c.done:
			return
		}
	}
}
