package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

const mediaProblem = "application/problem+json"

// statusByCode maps the class of an error to its HTTP status.
var statusByCode = map[policy.Code]int{
	policy.CodeInvalid:         http.StatusBadRequest,
	policy.CodeUnauthenticated: http.StatusUnauthorized,
	policy.CodeForbidden:       http.StatusForbidden,
	policy.CodeNotFound:        http.StatusNotFound,
	policy.CodeConflict:        http.StatusConflict,
	policy.CodeTooLarge:        http.StatusRequestEntityTooLarge,
	policy.CodeRateLimited:     http.StatusTooManyRequests,
	policy.CodeUnavailable:     http.StatusServiceUnavailable,
	policy.CodeRefused:         http.StatusConflict,
	policy.CodeInternal:        http.StatusInternalServerError,
}

// publicDetail is the detail sent for errors whose own text is only logged.
var publicDetail = map[policy.Code]string{
	policy.CodeUnavailable: "The service cannot take this request at present; nothing was acknowledged. Try again later.",
	policy.CodeInternal:    "The request failed inside the server. The server's log has the cause under the request id.",
}

// retryAfter is the Retry-After of 429 and 503 when no better time is known.
const retryAfter = 5 * time.Second

// responseError is an error with more of its answer than a class: the detail, field errors, headers, or a status that
// no class has.
type responseError struct {
	code   policy.Code
	status int    // 0: by code
	detail string // sent to the client
	fields []FieldError
	header http.Header
	err    error // for the log; nil when detail says it all
}

func (f *responseError) Error() string {
	if f.err != nil {
		return f.detail + ": " + f.err.Error()
	}
	return f.detail
}

func (f *responseError) Unwrap() error { return f.err }

// respond writes err as a problem, and logs what is not sent to the client. It is the only place that does either.
func (s *Server) respond(err error, c echo.Context) {
	f := classify(err)
	log := s.log.With("request", requestID(c), "method", c.Request().Method, "path", c.Request().URL.Path)
	if f.err != nil && !errors.Is(f.err, context.Canceled) { // canceled: the client disconnected, nothing failed here
		log.Error("request failed", "error", f.err)
	}
	if c.Response().Committed { // a stream: its status was sent already
		return
	}
	h := c.Response().Header()
	for name, values := range f.header {
		h[name] = values
	}
	if f.status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h["Www-Authenticate"] = challenge("")["Www-Authenticate"]
	}
	body, err := json.Marshal(problemOf(f, c))
	if err != nil { // strings and numbers only: cannot happen
		log.Error("encode problem", "error", err)
		c.Response().WriteHeader(f.status)
		return
	}
	if err := c.Blob(f.status, mediaProblem, append(body, '\n')); err != nil {
		log.Debug("answer not written", "error", err)
	}
}

// problemOf returns the problem that an answer holds, or an item of one.
func problemOf(f *responseError, c echo.Context) Problem {
	p := Problem{
		Type:      "urn:ucwarden:problem:" + problemName(f),
		Title:     http.StatusText(f.status),
		Status:    f.status,
		Detail:    f.detail,
		Instance:  c.Request().URL.EscapedPath(),
		RequestID: requestID(c),
		Errors:    f.fields,
	}
	if after := f.header.Get("Retry-After"); after != "" {
		p.RetryAfter, _ = strconv.Atoi(after) // ours: a number
	}
	return p
}

// classify returns the answer for any error.
func classify(err error) *responseError {
	var (
		f       *responseError
		he      *echo.HTTPError
		tooBig  *http.MaxBytesError
		classed *policy.Error
	)
	switch {
	case errors.As(err, &f):
		f = &responseError{f.code, f.status, f.detail, f.fields, f.header, f.err}
		if f.code == "" {
			f.code = policy.CodeInternal
		}
	case errors.As(err, &tooBig):
		f = &responseError{code: policy.CodeTooLarge, detail: "The request body is larger than " + strconv.FormatInt(tooBig.Limit, 10) + " bytes."}
	case errors.As(err, &he):
		f = &responseError{code: codeOfStatus(he.Code), status: he.Code, detail: detailOfStatus[he.Code]}
	case errors.Is(err, store.ErrDamaged): // also what met the damage first
		f = &responseError{code: policy.CodeUnavailable, detail: publicDetail[policy.CodeUnavailable], err: err}
	case errors.As(err, &classed):
		f = &responseError{code: classed.Code, detail: err.Error(), fields: fieldsOf(err)}
		if text, ok := publicDetail[f.code]; ok {
			f.detail, f.err = text, err
		}
		if len(f.fields) > 0 {
			f.detail = "The task document is invalid; see errors."
		}
	default:
		f = &responseError{code: policy.CodeInternal, detail: publicDetail[policy.CodeInternal], err: err}
	}
	if f.status == 0 {
		f.status = statusByCode[f.code]
	}
	if f.status == 0 { // a class that the table does not know
		f.status, f.code, f.detail, f.err = http.StatusInternalServerError, policy.CodeInternal, publicDetail[policy.CodeInternal], err
	}
	if (f.status == http.StatusTooManyRequests || f.status == http.StatusServiceUnavailable) && f.header.Get("Retry-After") == "" {
		f.header = maps.Clone(f.header)
		if f.header == nil {
			f.header = make(http.Header)
		}
		f.header.Set("Retry-After", formatRetryAfter(retryAfter))
	}
	return f
}

// detailOfStatus has the details for errors of the router.
var detailOfStatus = map[int]string{
	http.StatusBadRequest:       "The path or a parameter cannot be read; the document at /openapi.json describes them.",
	http.StatusNotFound:         "There is no such path. The document at /openapi.json lists the calls.",
	http.StatusMethodNotAllowed: "The method is not allowed here; the Allow header lists those that are.",
}

func codeOfStatus(status int) policy.Code {
	switch {
	case status == http.StatusNotFound:
		return policy.CodeNotFound
	case status >= 500:
		return policy.CodeInternal
	}
	return policy.CodeInvalid
}

// problemName returns the last part of a problem's type: its class, or its status text where no class has that status.
func problemName(f *responseError) string {
	name := string(f.code)
	if statusByCode[f.code] != f.status {
		name = strings.ToLower(http.StatusText(f.status))
	}
	return strings.ReplaceAll(name, " ", "-")
}

// formatRetryAfter returns a duration as the value of Retry-After: whole seconds, rounded up, at least one.
func formatRetryAfter(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}
