package emulator

import (
	"encoding/binary"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Limits of links: the largest message, and how many a producer may send ahead.
const (
	maxMessage     = 1 << 20
	producerCredit = 1000
)

// kind is what a link is for.
type kind int

const (
	requests  kind = iota // to $cbs or $management
	replies               // from $cbs or $management
	consumer              // events of a partition
	publisher             // events to the hub
)

// link is one link. The mu of its connection guards what is not said otherwise.
type link struct {
	c        *connection
	n        *session
	name     string
	handle   uint32
	kind     kind
	address  string // of the node: $cbs, $management, or the entity
	replyTo  string // of replies: the client's address
	delivers bool   // we send

	credit    uint32
	delivered uint32
	drain     bool
	wake      chan struct{}
	done      chan struct{}
	once      sync.Once
	outbox    [][]byte

	partial  []byte // of a message that has not arrived whole
	first    uint32 // its delivery-id
	settled  bool
	format   uint32
	arriving bool

	// Set before the link is seen by others.
	p     *partition
	group string
	epoch int64 // -1: none
	next  int   // index of the next event; then its own goroutine's
}

func (l *link) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// stop ends the link's goroutine and takes it from its partition. Neither lock may be held.
func (l *link) stop() {
	l.once.Do(func() { close(l.done) })
	l.c.s.mu.Lock()
	defer l.c.s.mu.Unlock()
	if l.p != nil {
		l.p.receivers = slices.DeleteFunc(l.p.receivers, func(r *link) bool { return r == l })
	}
}

// attach answers attach: with both termini, or without and then with detach, which is how a link is refused.
func (c *connection) attach(n *session, list fields) *amqpError {
	receives, _ := list.at(2).(bool) // the client does
	l := &link{c: c, n: n, name: text(list.at(0)), handle: unsigned(list.at(1)), delivers: receives, epoch: -1,
		wake: make(chan struct{}, 1), done: make(chan struct{})}
	source, target := terminus(list.at(5)), terminus(list.at(6))
	l.address = path(text(source.at(0)))
	if !receives {
		l.address = path(text(target.at(0)))
	}
	l.replyTo = text(target.at(0))
	stolen, refusal := c.admit(l, list, source)
	c.mu.Lock()
	if n.links[l.handle] != nil {
		c.mu.Unlock()
		l.stop()
		return errorf("amqp:session:handle-in-use", "handle %d", l.handle)
	}
	answer := []any{l.name, l.handle, !receives, list.at(3), list.at(4), nil, nil, nil, nil, nil, uint64(maxMessage)}
	if refusal != nil {
		if !l.delivers {
			answer[10] = nil
		} else {
			answer[9] = uint32(0)
		}
		c.send(n.channel, perfAttach, answer)
		c.send(n.channel, perfDetach, []any{l.handle, true, refusal.encode()})
		_ = c.flush()
		c.mu.Unlock()
		return nil
	}
	answer[5], answer[6] = list.at(5), list.at(6)
	if receives {
		answer[9] = uint32(0)
	}
	n.links[l.handle] = l
	c.send(n.channel, perfAttach, answer)
	if !receives {
		l.credit = producerCredit
		c.send(n.channel, perfFlow, n.state(l))
	}
	_ = c.flush()
	c.mu.Unlock()
	for _, other := range stolen {
		other.c.detach(other, errorf("amqp:link:stolen", "New receiver '%s' with higher epoch of '%d' is created hence current receiver '%s' with epoch '%d' is getting disconnected.", l.name, l.epoch, other.name, other.epoch))
	}
	if receives {
		c.wg.Go(l.deliver)
	}
	return nil
}

// terminus returns the fields of a source or a target.
func terminus(v any) fields {
	d, _ := v.(described)
	list, _ := d.value.([]any)
	return list
}

// path returns the entity of an address, which some clients write as a URL.
func path(address string) string {
	if u, err := url.Parse(address); err == nil && u.Scheme != "" && u.Host != "" {
		address = u.Path
	}
	return strings.Trim(address, "/")
}

// admit decides whether a link may attach, and returns the receivers that it displaces.
func (c *connection) admit(l *link, list, source fields) (stolen []*link, refusal *amqpError) {
	s := c.s
	node := l.address[strings.LastIndexByte(l.address, '/')+1:]
	if node == "$cbs" || node == "$management" {
		if node == "$management" && !c.may(l.address) {
			return nil, errorf("amqp:unauthorized-access", "Unauthorized access. 'Listen' claim(s) are required to perform this operation. Resource: '%s'.", l.address)
		}
		l.address, l.kind = node, requests
		if l.delivers {
			l.kind = replies
		}
		return nil, nil
	}
	if !c.may(l.address) {
		return nil, errorf("amqp:unauthorized-access", "Unauthorized access. A valid token for '%s' is required.", l.address)
	}
	parts := strings.Split(l.address, "/")
	if !strings.EqualFold(parts[0], s.o.Hub) {
		return nil, errorf("amqp:not-found", "The messaging entity '%s' could not be found.", l.address)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !l.delivers && len(parts) == 1:
		l.kind = publisher
		return nil, nil
	case !l.delivers && len(parts) == 3 && strings.EqualFold(parts[1], "Partitions"):
		if l.kind, l.p = publisher, s.hub.partition(parts[2]); l.p == nil {
			return nil, noPartition(parts[2], len(s.hub.partitions))
		}
		return nil, nil
	case l.delivers && len(parts) == 5 && strings.EqualFold(parts[1], "ConsumerGroups") && strings.EqualFold(parts[3], "Partitions"):
		return s.admitConsumer(l, parts[2], parts[4], list, source)
	}
	return nil, errorf("amqp:not-found", "The messaging entity '%s' could not be found.", l.address)
}

func noPartition(id string, count int) *amqpError {
	return errorf("com.microsoft:argument-out-of-range", "The specified partition is invalid for an EventHub partition sender or receiver. It should be between 0 and %d, and is %q.", count-1, id)
}

// admitConsumer attaches l to a partition; mu is held. A receiver with an epoch displaces all with a lower or equal one
// and those without; one without is refused while one with an epoch is there.
func (s *Server) admitConsumer(l *link, group, id string, list, source fields) (stolen []*link, refusal *amqpError) {
	l.kind = consumer
	at := slices.IndexFunc(s.o.ConsumerGroups, func(g string) bool { return strings.EqualFold(g, group) })
	if at < 0 {
		return nil, errorf("amqp:not-found", "The messaging entity 'sb://%s/consumergroups/%s' could not be found.", s.o.Hub, group)
	}
	p := s.hub.partition(id)
	if p == nil {
		return nil, noPartition(id, len(s.hub.partitions))
	}
	expression := ""
	filters, _ := source.at(7).(amqpMap)
	for _, f := range filters {
		if d, ok := f.value.(described); ok {
			expression = text(d.value)
		}
	}
	properties, _ := list.at(13).(amqpMap)
	if epoch, ok := number(properties.get("com.microsoft:epoch")); ok {
		l.epoch = epoch
	}
	plain := 0
	for _, other := range p.receivers {
		if other.group != s.o.ConsumerGroups[at] {
			continue
		}
		if other.epoch > l.epoch {
			return nil, errorf("amqp:link:stolen", "Receiver '%s' with a higher epoch '%d' already exists. Receiver '%s' with epoch %d cannot be created.", other.name, other.epoch, l.name, l.epoch)
		}
		if l.epoch >= 0 {
			stolen = append(stolen, other)
		} else {
			plain++
		}
	}
	if plain >= 5 {
		return nil, errorf("amqp:resource-limit-exceeded", "Exceeded the maximum number of allowed receivers per partition in a consumer group which is 5.")
	}
	next, refusal := p.position(expression, s.o.GeoReplicated)
	if refusal != nil {
		return nil, refusal
	}
	l.next, l.group, l.p = max(next, p.expired), s.o.ConsumerGroups[at], p
	p.receivers = slices.DeleteFunc(p.receivers, func(r *link) bool { return slices.Contains(stolen, r) })
	p.receivers = append(p.receivers, l)
	return stolen, nil
}

// detach ends a link from our side.
func (c *connection) detach(l *link, failure *amqpError) {
	c.mu.Lock()
	if l.n.links[l.handle] == l {
		delete(l.n.links, l.handle)
		c.send(l.n.channel, perfDetach, []any{l.handle, true, failure.encode()})
		_ = c.flush()
	}
	c.mu.Unlock()
	l.stop()
}

// detached answers the client's detach; the answer to ours is not answered again.
func (c *connection) detached(n *session, handle uint32) {
	c.mu.Lock()
	l := n.links[handle]
	delete(n.links, handle)
	if l != nil {
		c.send(n.channel, perfDetach, []any{handle, true})
		_ = c.flush()
	}
	c.mu.Unlock()
	if l != nil {
		l.stop()
	}
}

// deliver sends messages while the client takes them.
func (l *link) deliver() {
	for {
		for l.deliverOne() {
			l.c.pause()
		}
		l.c.mu.Lock()
		if l.drain && l.credit > 0 && l.n.links[l.handle] == l {
			l.delivered += l.credit
			l.credit = 0
			l.c.send(l.n.channel, perfFlow, l.n.state(l))
			l.drain = false
		}
		_ = l.c.flush()
		l.c.mu.Unlock()
		select {
		case <-l.wake:
			l.c.pause()
		case <-l.done:
			return
		case <-l.c.done:
			return
		}
	}
}

// deliverOne sends the next message, where there is one and the client takes it.
func (l *link) deliverOne() bool {
	event := l.peek()
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if l.n.links[l.handle] != l || l.credit == 0 || l.n.room == 0 {
		return false
	}
	switch {
	case l.kind == consumer && event != nil:
		l.next++
	case len(l.outbox) > 0:
		event, l.outbox = l.outbox[0], l.outbox[1:]
	default:
		return false
	}
	l.transfer(event)
	return true
}

// peek returns the next event of the partition; nil where there is none.
func (l *link) peek() []byte {
	l.c.s.mu.Lock()
	defer l.c.s.mu.Unlock()
	if l.p == nil || l.p.muted || l.next >= len(l.p.events) {
		return nil
	}
	return l.p.events[l.next].message
}

// transfer sends a message, settled, in as many frames as it needs; mu of the connection is held.
func (l *link) transfer(message []byte) {
	const overhead = 64 // of a frame and the fields of a transfer
	tag := binary.BigEndian.AppendUint32(nil, l.n.delivery)
	for first := true; first || len(message) > 0; first = false {
		size := min(len(message), l.c.maxFrame-overhead)
		list := []any{l.handle, l.n.delivery, tag, uint32(0), true, size < len(message)}
		l.c.frame = appendFrame(l.c.frame[:0], frameAMQP, l.n.channel, perfTransfer, list, message[:size])
		l.c.put(l.c.frame)
		message = message[size:]
		l.n.outgoing++
		if l.n.room > 0 {
			l.n.room--
		}
	}
	l.n.delivery++
	l.delivered++
	l.credit--
}
