package unitycatalog

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"ucwarden/endpoint"
)

// reasonGarbled is the reason of a retry after an answer that is not the API's.
const reasonGarbled = "garbled"

// brokenOffError says that the body of an answer ended before it was whole.
type brokenOffError struct{ err error }

func (e *brokenOffError) Error() string { return "the answer broke off: " + e.err.Error() }
func (e *brokenOffError) Unwrap() error { return e.err }

// retryDecision is what to do after one attempt.
type retryDecision struct {
	signal  loadSignal
	retry   bool
	reason  string        // of a retry, as a metric label; "" when there is nothing to retry
	wait    time.Duration // the server's Retry-After, if hasWait
	hasWait bool
}

// decide returns what to do after an attempt of request c that ended with err, or with resp and its whole body.
func decide(resp *http.Response, body []byte, err error, c requestInfo, now time.Time) retryDecision {
	idempotent := c.idempotent
	if err != nil {
		return decideOnError(err, idempotent)
	}
	wait, hasWait := endpoint.RetryAfter(resp.Header, now)
	switch resp.StatusCode {
	case http.StatusTooManyRequests: // nothing was done: any request may be sent again
		return retryDecision{signal: signalThrottled, retry: true, reason: "throttled", wait: wait, hasWait: hasWait}
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return retryDecision{signal: signalOverloaded, retry: idempotent, reason: "unavailable", wait: wait, hasWait: hasWait}
	case http.StatusConflict: // two clients changed one object at once
		return retryDecision{signal: signalNone, retry: idempotent && !c.readFirst, reason: "conflict", wait: wait, hasWait: hasWait}
	case http.StatusInternalServerError, http.StatusRequestTimeout:
		return retryDecision{signal: signalNone, retry: idempotent, reason: "server error", wait: wait, hasWait: hasWait}
	}
	if resp.StatusCode/100 == 2 && !isObject(body) {
		return retryDecision{signal: signalOK, retry: idempotent, reason: reasonGarbled}
	}
	return retryDecision{signal: signalOK}
}

func decideOnError(err error, idempotent bool) retryDecision {
	var op *net.OpError
	switch {
	case isUntrusted(err), isRefused(err), errors.As(err, new(*endpoint.TooLargeError)):
		return retryDecision{signal: signalNone}
	case errors.As(err, &op) && op.Op == "dial": // it was never sent
		return retryDecision{signal: signalNone, retry: true, reason: "connect"}
	case errors.As(err, new(*attemptTimeout)):
		return retryDecision{signal: signalOverloaded, retry: idempotent, reason: "timeout"}
	}
	if errors.As(err, new(*brokenOffError)) {
		return retryDecision{signal: signalNone, retry: idempotent, reason: reasonGarbled}
	}
	return retryDecision{signal: signalNone, retry: idempotent, reason: "connection"}
}

// isUntrusted reports whether the server's certificate was not accepted, which no retry changes.
func isUntrusted(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		record       tls.RecordHeaderError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &record)
}

// isExpired reports whether the server's certificate was not accepted because of the time, which is ours.
func isExpired(err error) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == x509.Expired
}

// isRefused reports whether our own transport refused to go on, because another server would have got the request.
func isRefused(err error) bool {
	return errors.As(err, new(*endpoint.RedirectError)) || errors.As(err, new(*endpoint.OriginError))
}

// attemptTimeout says that an attempt did not receive the whole answer in time.
type attemptTimeout struct{ after time.Duration }

func (e *attemptTimeout) Error() string { return fmt.Sprintf("no answer within %s", e.after) }
func (e *attemptTimeout) Timeout() bool { return true }

// isObject reports whether body is one JSON object, as every answer of the API is. A truncated page is not, nor is the
// web page of a proxy or a login.
func isObject(body []byte) bool {
	body = bytes.TrimLeft(body, " \t\r\n")
	return len(body) > 0 && body[0] == '{' && json.Valid(body)
}

// backoff returns the delay after attempt n: doubled each time, and jittered between half of that and the whole, so that
// requests that failed together do not retry together.
func (p Pacing) backoff(n int) time.Duration {
	wait := p.MaxBackoff
	if n < 64 && p.BaseBackoff <= p.MaxBackoff>>(n-1) {
		wait = p.BaseBackoff << (n - 1)
	}
	half := wait / 2
	return half + rand.N(half+1)
}
