package emulator

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// dataVersion is the version of the form of a data file.
const dataVersion = 1

// A data file keeps the state over restarts: its first line holds the state at first, each further one a change. The
// changes are carried out again at a start, as at the time when they were made, so that ids and times are the same.
type dataHeader struct {
	Version int       `json:"ucwarden_emulator"`
	Time    time.Time `json:"time"`
	Seed    *Seed     `json:"seed"`
}

// dataChange is a request that took effect, with its whole body, or a change of the principals.
type dataChange struct {
	Request *requestChange   `json:"request,omitempty"`
	Add     *principalChange `json:"add,omitempty"`
	Remove  string           `json:"remove,omitempty"`
}

type requestChange struct {
	Applied int64     `json:"applied"`
	Time    time.Time `json:"time"`
	Caller  string    `json:"caller,omitempty"`
	Method  string    `json:"method"`
	Path    string    `json:"path"`
	Query   string    `json:"query,omitempty"`
	Body    []byte    `json:"body,omitempty"`
}

type principalChange struct {
	Kind    PrincipalKind `json:"kind"`
	Name    string        `json:"name"`
	Members []string      `json:"members,omitempty"`
}

// openData opens the data file, or makes one that begins with the seed of the options, and brings the server to its state.
func (s *Server) openData() error {
	f, err := os.OpenFile(s.opts.Data, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("emulator: open the data file: %w", err)
	}
	err = s.recall(f)
	s.clock = time.Now
	if err != nil {
		return errors.Join(fmt.Errorf("emulator: data file %s: %w", s.opts.Data, err), f.Close())
	}
	s.changes.file = f
	return nil
}

func (s *Server) recall(f *os.File) error {
	reader := bufio.NewReaderSize(f, 1<<20)
	line, err := reader.ReadBytes('\n')
	switch {
	case errors.Is(err, io.EOF) && len(line) == 0: // new
		first := dataHeader{dataVersion, time.Now(), s.opts.Seed}
		if err := s.loadFirst(first); err != nil {
			return err
		}
		header, err := json.Marshal(first)
		if err == nil {
			_, err = f.Write(append(header, '\n'))
		}
		return err
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	var header dataHeader
	if json.Unmarshal(line, &header) != nil || header.Version == 0 || header.Seed == nil {
		return errors.New("its first line is not that of a data file of this emulator; remove the file, or name another one")
	}
	if header.Version > dataVersion {
		return fmt.Errorf("it is of version %d, and this program reads up to %d", header.Version, dataVersion)
	}
	if err := s.loadFirst(header); err != nil {
		return err
	}
	at := int64(len(line))
	defer func(asked bool) { s.opts.AutoPrincipals = asked }(s.opts.AutoPrincipals)
	s.opts.AutoPrincipals = true // for changes that were made so
	for n := 2; ; n++ {
		line, err := reader.ReadBytes('\n')
		if err == io.EOF { // what is left is a change that was not written whole, and so not answered
			break
		}
		if err != nil {
			return err
		}
		if err := s.recallChange(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		at += int64(len(line))
	}
	s.ResetTrace()
	s.log.Info("the state is that of the data file", "file", s.opts.Data, "changes", s.changes.last)
	if err := f.Truncate(at); err != nil {
		return err
	}
	_, err = f.Seek(at, io.SeekStart)
	return err
}

// loadFirst loads the state at first, as at that time.
func (s *Server) loadFirst(header dataHeader) error {
	s.clock = func() time.Time { return header.Time }
	return s.load(header.Seed)
}

func (s *Server) recallChange(line []byte) error {
	var change dataChange
	if err := json.Unmarshal(line, &change); err != nil {
		return err
	}
	switch {
	case change.Add != nil:
		s.directory.add(change.Add.Kind, change.Add.Name, change.Add.Members)
		return nil
	case change.Remove != "":
		s.directory.remove(change.Remove)
		return nil
	case change.Request == nil:
		return errors.New("it holds no change")
	}
	r := change.Request
	if r.Applied != s.changes.last+1 {
		return fmt.Errorf("change %d follows change %d: two emulators wrote to the file at the same time", r.Applied, s.changes.last)
	}
	return s.again(TraceEntry{Time: r.Time, Caller: r.Caller, Method: r.Method, Path: r.Path, Query: r.Query, Body: string(r.Body)})
}

// keep writes a change to the data file, if there is one. An error says that it is not kept.
func (l *changeLog) keep(change dataChange) error {
	if l.file == nil {
		return nil
	}
	line, err := json.Marshal(change)
	if err == nil {
		_, err = l.file.Write(append(bytes.TrimSpace(line), '\n'))
	}
	if err != nil {
		return fmt.Errorf("emulator: write to the data file: %w", err)
	}
	return nil
}

// Close closes the data file. The server must not be used afterwards.
func (s *Server) Close() error {
	s.stopPending()
	s.changes.mu.Lock()
	defer s.changes.mu.Unlock()
	if s.changes.file == nil {
		return nil
	}
	err := s.changes.file.Close()
	s.changes.file = nil
	return err
}
