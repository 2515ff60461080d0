package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"ucwarden/endpoint"
)

// Error is an answer of the server that is not the one asked for.
type Error struct {
	Status  int     // HTTP status
	Problem Problem // zero where the answer held none, as a proxy's page
	// RetryAfter is how long the server, or a proxy, wants to be left alone, at most an hour; 0 where it does not say.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the server answers %d %s", e.Status, http.StatusText(e.Status))
	if e.Problem.Detail != "" {
		fmt.Fprintf(&b, ": %s", e.Problem.Detail)
	}
	for _, f := range e.Problem.Errors {
		fmt.Fprintf(&b, "; %s: %s", f.Pointer, f.Detail)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, "; it can be sent again after %s", e.RetryAfter)
	}
	return b.String()
}

// permanent reports whether the same request will be answered like this again.
func (e *Error) permanent() bool {
	return e.Status < http.StatusInternalServerError && e.Status != http.StatusTooManyRequests
}

// readError reads an error answer and closes it.
func readError(resp *http.Response) error {
	defer func() { _ = resp.Body.Close() }() // the status says it all
	e := &Error{Status: resp.StatusCode}
	e.RetryAfter, _ = endpoint.RetryAfter(resp.Header, time.Now())
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err == nil && json.Unmarshal(body, &e.Problem) != nil {
		e.Problem = Problem{} // not the server's own: a proxy's page
	}
	return e
}

// UnreachableError says that no connection could be made.
type UnreachableError struct {
	BaseURL string
	Err     error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no daemon answers at %s: %v", e.BaseURL, e.Err)
}

// Unwrap returns why no connection could be made.
func (e *UnreachableError) Unwrap() error { return e.Err }
