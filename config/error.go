package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Source says where a value came from. The zero Source is the default.
type Source struct {
	Kind Kind   `json:"kind"`           // which layer
	Name string `json:"name,omitempty"` // the name it was given by: a key, property, variable or flag
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

// String is the source in a few words: "default", "ucwarden.yaml:3", "env UCWARDEN_STORE_PATH", "flag --log-level".
// A property name is added to the place in the file.
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

// called is the name a value was given by, with its line in the file.
func (s Source) called() string {
	if s.Kind == FromFile {
		return fmt.Sprintf("%s (line %d)", s.Name, s.Line)
	}
	return s.Name
}

// Problem is one thing wrong with the configuration. Its text never holds a secret.
type Problem struct {
	Key     string `json:"key,omitempty"` // as it was given; empty when no single key is to blame
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

// Error is every problem found in one load, in a stable order.
type Error struct {
	Problems []Problem
}

// Error gives the problems one a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxProblems is how many are worth reading at once.
const maxProblems = 50

// problems collects while loading goes on.
type problems []Problem

func (ps *problems) add(key string, from Source, format string, args ...any) {
	*ps = append(*ps, Problem{Key: key, Source: from, Message: fmt.Sprintf(format, args...)})
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
