package emulator

// KillConnections resets every connection.
func (s *Server) KillConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.connections {
		c.kill()
	}
}

// DetachReceivers detaches every receiver of a partition, as the service does to move or to free one.
func (s *Server) DetachReceivers() {
	for _, l := range s.receivers() {
		l.c.detach(l, errorf("amqp:link:detach-forced", "the link was detached by the emulator's fault"))
	}
}

func (s *Server) receivers() []*link {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*link
	for _, p := range s.hub.partitions {
		all = append(all, p.receivers...)
	}
	return all
}

// StealReceivers detaches every receiver as the service does when another one with a higher level comes.
func (s *Server) StealReceivers() {
	for _, l := range s.receivers() {
		l.c.detach(l, errorf("amqp:link:stolen", "New receiver 'emulator' with higher epoch of '%d' is created hence current receiver '%s' with epoch '%d' is getting disconnected.", l.epoch+1, l.name, l.epoch))
	}
}

// oddBodies are the sections of messages whose body is not one piece of data.
func oddBodies() [][]described {
	data := func(text string) described { return described{uint64(sectionData), []byte(text)} }
	properties := described{uint64(sectionApplication), amqpMap{{"type", "RESOURCE_SYNC"}, {"catalog", "sales"}}}
	return [][]described{
		{{uint64(sectionValue), "text"}},
		{{uint64(sectionValue), nil}},
		{{uint64(sectionValue), int64(7)}},
		{{uint64(sectionValue), amqpMap{{"type", "RESOURCE_SYNC"}}}},
		{{uint64(sectionSequence), []any{"a", int64(1)}}, {uint64(sectionSequence), []any{}}},
		{properties},
		{properties, data("")},
		{data(`{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"catalog",`), data(`"values":{"catalog":"in_parts"}}]}}`)},
	}
}

// AddOddBodies adds events that no client of the Azure SDK sends: their bodies are AMQP values and sequences, or empty, or
// in several parts, of which the last is a task document. It returns how many.
func (s *Server) AddOddBodies(partition string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.hub.partition(partition)
	if p == nil {
		return 0
	}
	var messages [][]section
	for _, sections := range oddBodies() {
		var raw []byte
		for _, d := range sections {
			raw = appendValue(raw, d)
		}
		message, err := parseMessage(raw)
		if err != nil {
			panic("the emulator cannot read what it wrote: " + err.Error())
		}
		messages = append(messages, message)
	}
	p.append(messages, s.o.GeoReplicated)
	return len(messages)
}

// Freeze keeps every connection open and answers nothing, until Thaw.
func (s *Server) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.thaw == nil && !s.closed {
		s.thaw = make(chan struct{})
	}
}

// Thaw ends Freeze.
func (s *Server) Thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.thaw != nil {
		close(s.thaw)
		s.thaw = nil
	}
}

// Refuse closes new connections at once while refuse is set.
func (s *Server) Refuse(refuse bool) { s.set(&s.refuse, refuse) }

// MuteCBS leaves requests for authorization without an answer while mute is set.
func (s *Server) MuteCBS(mute bool) { s.set(&s.muteCBS, mute) }

// RejectCBS answers 401 to requests for authorization while reject is set.
func (s *Server) RejectCBS(reject bool) { s.set(&s.rejectCBS, reject) }

func (s *Server) set(flag *bool, value bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*flag = value
}

// MutePartition delivers nothing on the receivers of a partition while mute is set. They stay attached, and the
// properties of the partition go on: to its clients the partition has gone silent.
func (s *Server) MutePartition(id string, mute bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.hub.partition(id); p != nil {
		p.muted = mute
		p.notify()
	}
}

// Expire deletes the events that a partition holds, as the end of their retention does. Sequence numbers go on.
func (s *Server) Expire(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.hub.partition(id); p != nil {
		p.expired = len(p.events)
		for _, l := range p.receivers {
			l.next = p.expired
		}
	}
}

// AddPartition adds a partition at the end.
func (s *Server) AddPartition() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hub.add()
}

// Recreate replaces the hub by an empty one of the same name and with the number of partitions of the options: another
// creation time, and sequence numbers from zero. Connections are reset.
func (s *Server) Recreate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.hub.created
	s.hub = newHub(s.o.Partitions)
	if !s.hub.created.After(old) {
		s.hub.created = old.Add(1e6)
	}
	for c := range s.connections {
		c.kill()
	}
}
