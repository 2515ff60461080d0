package emulator

// transfer takes a part of a message from the client; whole ones are stored or answered.
func (c *connection) transfer(n *session, f frame) *amqpError {
	c.mu.Lock()
	n.incoming++
	l := n.links[unsigned(f.fields.at(0))]
	c.mu.Unlock()
	if l == nil { // detached by us while this was on its way
		return nil
	}
	if l.delivers {
		return errorf("amqp:not-allowed", "transfer on a link that receives")
	}
	if !l.arriving {
		l.arriving, l.partial, l.first, l.settled, l.format = true, nil, unsigned(f.fields.at(1)), false, unsigned(f.fields.at(3))
	}
	if settled, _ := f.fields.at(4).(bool); settled {
		l.settled = true
	}
	if aborted, _ := f.fields.at(9).(bool); aborted {
		l.arriving, l.partial = false, nil
		return nil
	}
	if len(l.partial)+len(f.payload) > maxMessage {
		c.detach(l, errorf("amqp:link:message-size-exceeded", "The received message is larger than the limit of %d bytes.", maxMessage))
		return nil
	}
	l.partial = append(l.partial, f.payload...)
	if more, _ := f.fields.at(5).(bool); more {
		return nil
	}
	message := l.partial
	l.arriving, l.partial = false, nil
	failure := c.take(l, message)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !l.settled {
		state := described{uint64(stateAccepted), []any{}}
		if failure != nil {
			state = described{uint64(stateRejected), []any{failure.encode()}}
		}
		c.send(n.channel, perfDisposition, []any{true, l.first, l.first, true, state})
	}
	l.delivered++
	if l.credit--; l.credit < producerCredit/2 {
		l.credit = producerCredit
		c.send(n.channel, perfFlow, n.state(l))
	}
	_ = c.flush()
	return nil
}

// take acts on a whole message.
func (c *connection) take(l *link, raw []byte) *amqpError {
	sections, err := parseMessage(raw)
	if err != nil {
		return errorf("amqp:decode-error", "%v", err)
	}
	if l.kind == requests {
		return c.answer(l, sections)
	}
	key := annotation(sections, "x-opt-partition-key")
	messages := [][]section{sections}
	if l.format == batchFormat {
		messages = nil
		for _, s := range sections {
			body, isData := s.value.([]byte)
			if s.code != sectionData || !isData {
				continue
			}
			message, err := parseMessage(body)
			if err != nil {
				return errorf("amqp:decode-error", "event %d of the batch: %v", len(messages), err)
			}
			messages = append(messages, message)
		}
		if key == "" && len(messages) > 0 {
			key = annotation(messages[0], "x-opt-partition-key")
		}
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	p := l.p
	if p == nil {
		p = s.hub.choose(key)
	}
	p.append(messages, s.o.GeoReplicated)
	return nil
}
