package policy

import (
	"errors"
	"fmt"
)

// Code classifies an error once, for all its readers: the HTTP status an API answers with, whether a task is tried
// again, the exit code of a command.
type Code string

// The classes of error.
const (
	CodeInvalid         Code = "invalid"         // the input is wrong; the same call will fail again
	CodeUnauthenticated Code = "unauthenticated" // no credentials, or ones that are not accepted
	CodeForbidden       Code = "forbidden"       // known caller, not allowed
	CodeNotFound        Code = "not found"       // the named thing does not exist
	CodeConflict        Code = "conflict"        // the state of the thing does not allow it
	CodeTooLarge        Code = "too large"       // over a documented limit
	CodeRateLimited     Code = "rate limited"    // try later
	CodeUnavailable     Code = "unavailable"     // the other side failed or did not answer; try later
	CodeRefused         Code = "refused"         // a guard refused the plan
	CodeInternal        Code = "internal"        // anything not classified
)

// Retryable reports whether the same act may succeed later without anyone changing its input.
func (c Code) Retryable() bool {
	return c == CodeRateLimited || c == CodeUnavailable
}

// Error is an error with a class. Its text is the message, followed by the cause when there is one.
type Error struct {
	Code    Code
	Message string // what failed and what to do about it; may be empty when Err says it all
	Err     error  // cause, may be nil
}

// Errorf makes an Error of class code. A %w verb in format sets the cause, as in fmt.Errorf.
func Errorf(code Code, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

func (e *Error) Error() string {
	if e.Message == "" && e.Err != nil {
		return e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the class of the outermost classified error in err's chain, CodeInternal when there is none,
// and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
