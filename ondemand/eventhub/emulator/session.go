package emulator

import "math"

// window is how many transfers a session may send us: more than any test sends, so that it never has to be renewed.
const window = math.MaxInt32

// session is one session of a connection, whose mu guards it.
type session struct {
	channel  uint16 // the client's, and ours
	links    map[uint32]*link
	incoming uint32 // next-incoming-id
	outgoing uint32 // next-outgoing-id
	room     uint32 // transfers the client still takes
	delivery uint32 // next delivery-id
}

func (c *connection) begin(f frame) *amqpError {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &session{channel: f.channel, links: make(map[uint32]*link), incoming: unsigned(f.fields.at(1)), room: unsigned(f.fields.at(2))}
	c.sessions[f.channel] = n
	c.send(f.channel, perfBegin, []any{f.channel, uint32(0), uint32(window), uint32(window), uint32(255)})
	_ = c.flush()
	return nil
}

// end answers end and forgets the session's links.
func (c *connection) end(n *session) {
	c.mu.Lock()
	links := n.links
	n.links = make(map[uint32]*link)
	delete(c.sessions, n.channel)
	c.ended[n.channel] = true
	c.send(n.channel, perfEnd, []any{nil})
	_ = c.flush()
	c.mu.Unlock()
	for _, l := range links {
		l.stop()
	}
}

// endSessions forgets every link of a connection that ended.
func (c *connection) endSessions() {
	c.mu.Lock()
	sessions := c.sessions
	c.sessions = make(map[uint16]*session)
	c.mu.Unlock()
	for _, n := range sessions {
		for _, l := range n.links {
			l.stop()
		}
	}
}

// flow notes how much the client takes, of the session and of one link.
func (c *connection) flow(n *session, list fields) *amqpError {
	c.mu.Lock()
	defer c.mu.Unlock()
	n.room = unsigned(list.at(0)) + unsigned(list.at(1)) - n.outgoing
	echo, _ := list.at(9).(bool)
	if list.at(4) == nil {
		for _, l := range n.links {
			l.notify()
		}
		if echo {
			c.send(n.channel, perfFlow, n.state(nil))
			_ = c.flush()
		}
		return nil
	}
	l := n.links[unsigned(list.at(4))]
	if l == nil { // detached by us while this was on its way
		return nil
	}
	if l.delivers {
		l.credit = unsigned(list.at(5)) + unsigned(list.at(6)) - l.delivered
		l.drain, _ = list.at(8).(bool)
		l.notify()
	}
	if echo {
		c.send(n.channel, perfFlow, n.state(l))
		_ = c.flush()
	}
	return nil
}

// state returns the fields of a flow: those of the session, and of a link that is not nil.
func (n *session) state(l *link) []any {
	list := []any{n.incoming, uint32(window), n.outgoing, uint32(window)}
	if l == nil {
		return list
	}
	return append(list, l.handle, l.delivered, l.credit, nil, l.drain)
}
