package unitycatalog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/databricks/databricks-sdk-go/apierr"

	"ucwarden/policy"
)

// apiError is an error answer of the API, in one line.
type apiError struct {
	status  int
	code    string // error_code, may be empty
	message string
}

func (e *apiError) Error() string {
	text := fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))
	if e.code != "" {
		text = fmt.Sprintf("%d %s", e.status, e.code)
	}
	if e.message == "" {
		return text
	}
	return text + ": " + e.message
}

// isUnsupported reports whether the server does not support the call, rather than not have the object.
func (e *apiError) isUnsupported() bool {
	switch {
	case e.status == http.StatusNotImplemented, e.status == http.StatusMethodNotAllowed:
		return true
	case e.code == "ENDPOINT_NOT_FOUND", e.code == "NOT_IMPLEMENTED", e.code == "FEATURE_DISABLED":
		return true
	}
	// A gateway's 404, which has no error code of the API.
	return e.status == http.StatusNotFound && (e.code == "" || e.code == "UNKNOWN" || e.code == "<nil>")
}

// classify returns an error of the client library with its class and what an operator should check.
func (c *Client) classify(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return policy.Errorf(policy.CodeUnavailable, "cancelled: %w", ctx.Err())
	}
	var (
		auth   *authError
		api    *apierr.APIError
		paused *pausedError
	)
	switch {
	case errors.As(err, &auth):
		return c.classifyAuth(auth)
	case errors.As(err, &api):
		return c.classifyAPIError(&apiError{api.StatusCode, errorCode(api), oneLine(api.Message)})
	case errors.As(err, &paused):
		return &policy.Error{Code: policy.CodeRateLimited, Err: paused}
	}
	return unreachableError(c.host, innermost(err))
}

// errorCode returns the answer's error_code, "" for none; the library writes "<nil>".
func errorCode(api *apierr.APIError) string {
	if api.ErrorCode == "<nil>" {
		return ""
	}
	return api.ErrorCode
}

func (c *Client) classifyAPIError(a *apiError) error {
	code := policy.CodeInternal
	switch {
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden && isTokenRejection(a.message):
		return policy.Errorf(policy.CodeUnauthenticated, "workspace %s rejects the credentials: check %s: %w", c.host, c.auth.settings, a)
	case a.isUnsupported():
		code = policy.CodeInvalid
	case a.status == http.StatusNotFound, strings.HasSuffix(a.code, "_DOES_NOT_EXIST"), strings.HasSuffix(a.code, "_NOT_FOUND"):
		code = policy.CodeNotFound
	case a.status == http.StatusForbidden:
		code = policy.CodeForbidden
	case a.status == http.StatusConflict:
		code = policy.CodeConflict
	case a.status == http.StatusRequestEntityTooLarge, a.status == http.StatusRequestURITooLong:
		code = policy.CodeTooLarge
	case a.status == http.StatusTooManyRequests:
		code = policy.CodeRateLimited
	case a.status >= 500, a.status == http.StatusRequestTimeout:
		code = policy.CodeUnavailable
	case a.status >= 400:
		code = policy.CodeInvalid
	}
	return &policy.Error{Code: code, Err: a}
}

// isTokenRejection reports whether the message of a 403 says that the token is not valid, rather than lacks a right.
func isTokenRejection(message string) bool {
	message = strings.ToLower(message)
	return strings.Contains(message, "invalid access token") || strings.Contains(message, "invalid token") ||
		strings.Contains(message, "token is expired") || strings.Contains(message, "token has expired")
}

// classifyAuth distinguishes rejected credentials from a token server that does not answer.
func (c *Client) classifyAuth(err *authError) error {
	text := oneLine(err.Error())
	if isRefused(err) {
		return policy.Errorf(policy.CodeUnavailable, "no token for workspace %s: %s", c.host, text)
	}
	refused := false
	for _, kind := range []error{apierr.ErrBadRequest, apierr.ErrUnauthenticated, apierr.ErrPermissionDenied, apierr.ErrNotFound} {
		refused = refused || errors.Is(err, kind)
	}
	var status interface{ HTTPStatusCode() int }
	if errors.As(err, &status) {
		refused = status.HTTPStatusCode()/100 == 4 && status.HTTPStatusCode() != http.StatusTooManyRequests
	}
	if refused || !c.auth.fetchesToken {
		return policy.Errorf(policy.CodeUnauthenticated, "no token for workspace %s: check %s: %s", c.host, c.auth.settings, text)
	}
	return policy.Errorf(policy.CodeUnavailable, "no token for workspace %s: the token server does not answer, check network and proxy: %s",
		c.host, text)
}

// innermost returns err without the layers that repeat method and URL.
func innermost(err error) error {
	var timeout *attemptTimeout
	if errors.As(err, &timeout) {
		return timeout
	}
	var layer interface{ Timeout() bool } // *url.Error is the first that has it
	if errors.As(err, &layer) {
		if e, ok := layer.(error); ok {
			if inner := errors.Unwrap(e); inner != nil {
				return inner
			}
		}
	}
	return err
}

// notJSONError returns the error for a successful answer that is not a JSON object.
func notJSONError(host string, body []byte) error {
	if text := strings.TrimSpace(string(body[:min(len(body), 64)])); strings.HasPrefix(text, "<") {
		return policy.Errorf(policy.CodeUnavailable, "%s answers with a web page instead of the API: "+
			"check databricks.host, and that no login page or proxy answers for it", host)
	}
	return policy.Errorf(policy.CodeUnavailable, "%s sent an answer that is not a complete JSON object", host)
}

func schemaError(route string, err error) error {
	return policy.Errorf(policy.CodeUnavailable, "the answer to %s is not as the API defines it: %w", route, err)
}

// oneLine returns text from the server as one line of at most 400 bytes, safe for a log or a terminal.
func oneLine(text string) string {
	const most = 400
	clean := strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	if len(clean) > most {
		clean = strings.ToValidUTF8(clean[:most], "") + "…"
	}
	return clean
}

// wrap returns err with the act that failed in front.
func wrap(err error, format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, err)...)
}
