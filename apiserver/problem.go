package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"ucwarden/policy"
)

// Problem is the body of every error answer (RFC 9457), of type application/problem+json.
type Problem struct {
	Type      string       `json:"type"` // urn:ucwarden:problem:CLASS
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail,omitempty"`
	Instance  string       `json:"instance,omitempty"` // path of the request
	RequestID string       `json:"requestId,omitempty"`
	Errors    []FieldError `json:"errors,omitempty"`
}

// FieldError says what is wrong with one part of a request.
type FieldError struct {
	// Pointer is a JSON pointer (RFC 6901) into the body, or "/" and the name of a query parameter where In says so.
	Pointer string `json:"pointer"`
	In      string `json:"in,omitempty"` // "query" for a query parameter; else the body
	Detail  string `json:"detail"`
}

const mediaProblem = "application/problem+json"

// statusOf is the one table from the class of an error to its HTTP status.
var statusOf = map[policy.Code]int{
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

// shown is what the caller reads of errors whose own text is for the log.
var shown = map[policy.Code]string{
	policy.CodeUnavailable: "The service cannot take this request at present; nothing was acknowledged. Try again later.",
	policy.CodeInternal:    "The request failed inside the server. Its log has the cause under the request id.",
}

// retryAfter is how long a caller is told to wait after 429 and 503, unless the time is known.
const retryAfter = 5 * time.Second

// failure is an error that knows more of its answer than a class: the detail to show, fields, headers, or a status
// that no class has.
type failure struct {
	code   policy.Code
	status int    // 0: by code
	detail string // shown to the caller
	fields []FieldError
	header http.Header
	err    error // for the log: set when the caller is not shown it
}

func (f *failure) Error() string {
	if f.err != nil {
		return f.detail + ": " + f.err.Error()
	}
	return f.detail
}

func (f *failure) Unwrap() error { return f.err }

// respond writes err as a problem, and logs what the caller is not shown. It is the only place that does either.
func (s *Server) respond(err error, c echo.Context) {
	f := classify(err)
	log := s.log.With("request", requestID(c), "method", c.Request().Method, "path", c.Request().URL.Path)
	if f.err != nil && !errors.Is(f.err, context.Canceled) { // else the caller went away: nothing failed here
		log.Error("request failed", "error", f.err)
	}
	if c.Response().Committed { // a stream that broke: its status has gone out already
		return
	}
	h := c.Response().Header()
	for name, values := range f.header {
		h[name] = values
	}
	if (f.status == http.StatusTooManyRequests || f.status == http.StatusServiceUnavailable) && h.Get("Retry-After") == "" {
		h.Set("Retry-After", seconds(retryAfter))
	}
	if f.status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h["Www-Authenticate"] = challenge("")["Www-Authenticate"]
	}
	p := Problem{
		Type:      "urn:ucwarden:problem:" + slug(f),
		Title:     http.StatusText(f.status),
		Status:    f.status,
		Detail:    f.detail,
		Instance:  c.Request().URL.EscapedPath(),
		RequestID: requestID(c),
		Errors:    f.fields,
	}
	body, err := json.Marshal(p)
	if err != nil { // strings and numbers only: cannot happen
		log.Error("encode problem", "error", err)
		c.Response().WriteHeader(f.status)
		return
	}
	if err := c.Blob(f.status, mediaProblem, append(body, '\n')); err != nil {
		log.Debug("answer not written", "error", err)
	}
}

// classify turns any error into the failure to answer with.
func classify(err error) *failure {
	var (
		f       *failure
		he      *echo.HTTPError
		tooBig  *http.MaxBytesError
		classed *policy.Error
	)
	switch {
	case errors.As(err, &f):
		f = &failure{f.code, f.status, f.detail, f.fields, f.header, f.err}
		if f.code == "" {
			f.code = policy.CodeInternal
		}
	case errors.As(err, &tooBig):
		f = &failure{code: policy.CodeTooLarge, detail: "The request body is larger than " + strconv.FormatInt(tooBig.Limit, 10) + " bytes."}
	case errors.As(err, &he):
		f = &failure{code: codeOfStatus(he.Code), status: he.Code, detail: detailOfStatus[he.Code]}
	case errors.As(err, &classed):
		f = &failure{code: classed.Code, detail: err.Error(), fields: fieldsOf(err)}
		if text, ok := shown[f.code]; ok {
			f.detail, f.err = text, err
		}
		if len(f.fields) > 0 {
			f.detail = "The task document is refused; the errors say why."
		}
	default:
		f = &failure{code: policy.CodeInternal, detail: shown[policy.CodeInternal], err: err}
	}
	if f.status == 0 {
		f.status = statusOf[f.code]
	}
	if f.status == 0 { // a class that the table does not know
		f.status, f.code, f.detail, f.err = http.StatusInternalServerError, policy.CodeInternal, shown[policy.CodeInternal], err
	}
	return f
}

// detailOfStatus words the errors of the router.
var detailOfStatus = map[int]string{
	http.StatusNotFound:         "There is nothing at this path. The document at /openapi.json lists the calls.",
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

// slug names the kind of problem: its class, or its status where no class has that status.
func slug(f *failure) string {
	name := string(f.code)
	if statusOf[f.code] != f.status {
		name = strings.ToLower(http.StatusText(f.status))
	}
	return strings.ReplaceAll(name, " ", "-")
}

// seconds renders a duration for Retry-After: whole seconds, rounded up, at least one.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}
