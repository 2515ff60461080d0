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
