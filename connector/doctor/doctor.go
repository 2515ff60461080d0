package doctor

import (
	"context"
	"fmt"
	"time"
)

// Status says how bad a finding is.
type Status string

// The statuses, the worst last.
const (
	OK      Status = "ok"
	Note    Status = "note"    // worth knowing
	Warning Status = "warning" // works, but is risky or not what was meant
	Problem Status = "problem" // does not work
)

// Finding is one thing that a check found.
type Finding struct {
	Check   string `json:"check"`
	Status  Status `json:"status"`
	Message string `json:"message"`      // what is
	Do      string `json:"do,omitempty"` // what to do about it; set unless the status is OK
}

// Found returns a finding that needs nothing done.
func Found(format string, args ...any) Finding {
	return Finding{Status: OK, Message: fmt.Sprintf(format, args...)}
}

// Is returns a finding with what to do about it.
func (s Status) Is(do, format string, args ...any) Finding {
	return Finding{Status: s, Message: fmt.Sprintf(format, args...), Do: do}
}

// Check looks at one thing.
type Check struct {
	Name string // one word
	Run  func(ctx context.Context) []Finding
}

// timeout bounds one check: a person waits.
const timeout = 30 * time.Second

// Run runs the checks one after the other and returns what they found, in their order.
func Run(ctx context.Context, checks ...Check) []Finding {
	var all []Finding
	for _, c := range checks {
		all = append(all, c.run(ctx)...)
	}
	return all
}

func (c Check) run(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found := c.Run(ctx)
	for i := range found {
		found[i].Check = c.Name
	}
	return found
}

// Count returns how many of the findings have the status.
func Count(findings []Finding, s Status) int {
	n := 0
	for _, f := range findings {
		if f.Status == s {
			n++
		}
	}
	return n
}
