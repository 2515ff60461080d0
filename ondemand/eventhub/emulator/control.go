package emulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// fault is a fault by its name; a lasting one is ended by calling it with on unset.
type fault struct {
	lasting      bool
	ofAPartition bool
	set          func(s *Server, partition string, on bool)
}

// faults are what can go wrong, by name.
var faults = map[string]fault{
	"detach":        {set: func(s *Server, _ string, _ bool) { s.DetachReceivers() }},
	"steal":         {set: func(s *Server, _ string, _ bool) { s.StealReceivers() }},
	"kill":          {set: func(s *Server, _ string, _ bool) { s.KillConnections() }},
	"recreate":      {set: func(s *Server, _ string, _ bool) { s.Recreate() }},
	"add-partition": {set: func(s *Server, _ string, _ bool) { s.AddPartition() }},
	"expire":        {ofAPartition: true, set: func(s *Server, partition string, _ bool) { s.Expire(partition) }},
	"odd-bodies":    {ofAPartition: true, set: func(s *Server, partition string, _ bool) { s.AddOddBodies(partition) }},
	"refuse":        {lasting: true, set: func(s *Server, _ string, on bool) { s.Refuse(on) }},
	"mute-cbs":      {lasting: true, set: func(s *Server, _ string, on bool) { s.MuteCBS(on) }},
	"reject-cbs":    {lasting: true, set: func(s *Server, _ string, on bool) { s.RejectCBS(on) }},
	"mute":          {lasting: true, ofAPartition: true, set: func(s *Server, partition string, on bool) { s.MutePartition(partition, on) }},
	"freeze": {lasting: true, set: func(s *Server, _ string, on bool) {
		if on {
			s.Freeze()
		} else {
			s.Thaw()
		}
	}},
}

// Faults returns the names of the faults.
func Faults() []string { return slices.Sorted(maps.Keys(faults)) }

// Fault makes something go wrong by name. Those that concern a partition take its id after a colon: mute:0.
func (s *Server) Fault(name string, on bool) error {
	name, partition, named := strings.Cut(name, ":")
	f, known := faults[name]
	switch {
	case !known:
		return fmt.Errorf("there is no fault %q: want one of %s", name, strings.Join(Faults(), ", "))
	case !on && !f.lasting:
		return fmt.Errorf("the fault %s happens once: there is nothing to end", name)
	case named && !f.ofAPartition:
		return fmt.Errorf("the fault %s is not one of a partition: leave :%s out", name, partition)
	case !named:
		partition = "0"
	}
	if ids := s.partitionIDs(); f.ofAPartition && !slices.Contains(ids, partition) {
		return fmt.Errorf("there is no partition %q: want one of %s", partition, strings.Join(ids, ", "))
	}
	f.set(s, partition, on)
	return nil
}

func (s *Server) partitionIDs() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.hub.partitions {
		ids = append(ids, p.id)
	}
	return ids
}

// status is what the emulator says of itself.
type status struct {
	Hub         string         `json:"hub"`
	Created     string         `json:"created"`
	Events      map[string]int `json:"events"`    // by partition
	Receivers   map[string]int `json:"receivers"` // by partition
	Connections int            `json:"connections"`
	Reads       int            `json:"reads"` // how often somebody asked what the hub or a partition is
}

// ServeHTTP lets tests in other processes use the faults: POST /_emulator/faults/NAME begins one, DELETE ends one, and GET
// /_emulator/status says how many events, receivers and reads
// of $management there are.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, isFault := strings.CutPrefix(r.URL.Path, "/_emulator/faults/")
	switch {
	case isFault && (r.Method == http.MethodPost || r.Method == http.MethodDelete):
		if err := s.Fault(name, r.Method == http.MethodPost); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Path == "/_emulator/status" && r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.status()) // a client that has gone needs no answer
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) status() status {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := status{
		Hub: s.o.Hub, Created: s.hub.created.Format("2006-01-02T15:04:05.000Z07:00"), Connections: len(s.connections), Reads: s.reads,
		Events: make(map[string]int), Receivers: make(map[string]int),
	}
	for _, p := range s.hub.partitions {
		answer.Events[p.id], answer.Receivers[p.id] = len(p.events), len(p.receivers)
	}
	return answer
}
