package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ucwarden/endpoint"
)

// Source says where a value came from. The zero Source is the default.
type Source struct {
	Kind Kind   `json:"kind"`           // which layer
	Name string `json:"name,omitempty"` // the name that was used: a key, property, variable or flag
	File string `json:"file,omitempty"` // of FromFile: the path as given
	Line int    `json:"line,omitempty"` // of FromFile: counted from 1
}

// Kind is a layer of the configuration.
type Kind string

// The layers, from weakest to strongest.
const (
	FromDefault Kind = "default"
	FromFile    Kind = "file"
	FromEnv     Kind = "env"
	FromFlag    Kind = "flag"
)

// String returns the source in a few words: "default", "ucwarden.yaml:3", "env UCWARDEN_STORE_PATH",
// "flag --log-level". For a property in the file its name is added.
func (s Source) String() string {
	switch s.Kind {
	case FromFile:
		place := fmt.Sprintf("%s:%d", s.File, s.Line)
		if strings.HasPrefix(s.Name, propertyPrefix) {
			place += " " + s.Name
		}
		return place
	case FromEnv:
		return "env " + s.Name
	case FromFlag:
		return "flag " + s.Name
	}
	return string(FromDefault)
}

// givenName returns the name that was used for the value, with its line in the file.
func (s Source) givenName() string {
	if s.Kind == FromFile {
		return fmt.Sprintf("%s (line %d)", s.Name, s.Line)
	}
	return s.Name
}

// Problem is one error in the configuration. Its text never contains a secret.
type Problem struct {
	Key     string `json:"key,omitempty"` // as it was written; empty when the problem is not about one key
	Source  Source `json:"source,omitzero"`
	Message string `json:"message"`
}

func (p Problem) String() string {
	text := p.Message
	from := ""
	if p.Source.Kind != "" && p.Source.Kind != FromDefault {
		from = p.Source.String()
	}
	if p.Key != "" && !strings.HasSuffix(from, " "+p.Key) {
		text = shorten(p.Key, 200) + ": " + text
	}
	if from != "" {
		text = from + ": " + text
	}
	return text
}

// Error holds every problem found in one load, in a stable order.
type Error struct {
	Problems []Problem
}

// Error returns the problems, one per line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxProblems bounds the problems in one Error.
const maxProblems = 50

// problems collects the problems of a load.
type problems []Problem

func (ps *problems) add(key string, from Source, format string, args ...any) {
	*ps = append(*ps, Problem{Key: key, Source: from, Message: endpoint.MaskURLs(fmt.Sprintf(format, args...))})
}

func (ps problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Source.File, b.Source.File), cmp.Compare(a.Source.Line, b.Source.Line))
	})
	if more := len(ps) - maxProblems; more > 0 {
		ps = append(ps[:maxProblems:maxProblems], Problem{Message: fmt.Sprintf("and %d more problems", more)})
	}
	return &Error{Problems: ps}
}
