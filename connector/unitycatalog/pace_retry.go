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
	"strconv"
	"strings"
	"time"
)

// verdict is what to do after one attempt.
type verdict struct {
	outcome  outcome
	retry    bool
	reason   string        // of a retry, as a metric label; empty when the attempt succeeded or failed for good
	wait     time.Duration // asked for by the server; see told
	told     bool
	everyone bool // the wait is for all requests, not for this one alone
}

// judge decides on an attempt that ended with err, or with resp and its whole body. repeatable says that the request
// may be carried out twice without harm.
func judge(resp *http.Response, body []byte, err error, repeatable bool, now time.Time) verdict {
	if err != nil {
		return judgeError(err, repeatable)
	}
	wait, told := retryAfter(resp.Header, now)
	switch resp.StatusCode {
	case http.StatusTooManyRequests: // refused before anything was done: any request may be sent again
		return verdict{outcome: throttled, retry: true, reason: "throttled", wait: wait, told: told, everyone: true}
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return verdict{outcome: overloaded, retry: repeatable, reason: "unavailable", wait: wait, told: told}
	case http.StatusInternalServerError, http.StatusRequestTimeout:
		return verdict{outcome: untold, retry: repeatable, reason: "server error", wait: wait, told: told}
	}
	if resp.StatusCode/100 == 2 && !isObject(body) {
		return verdict{outcome: answered, retry: repeatable, reason: "garbled"}
	}
	return verdict{outcome: answered}
}

func judgeError(err error, repeatable bool) verdict {
	var op *net.OpError
	switch {
	case isUntrusted(err):
		return verdict{outcome: untold}
	case errors.As(err, &op) && op.Op == "dial": // it never left
		return verdict{outcome: untold, retry: true, reason: "connect"}
	case errors.As(err, new(*attemptTimeout)):
		return verdict{outcome: overloaded, retry: repeatable, reason: "timeout"}
	}
	return verdict{outcome: untold, retry: repeatable, reason: "connection"}
}

// isUntrusted reports whether the server's certificate was refused, which no retry changes.
func isUntrusted(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		record       tls.RecordHeaderError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &record)
}

// attemptTimeout says that one attempt got no whole answer in time.
type attemptTimeout struct{ after time.Duration }

func (e *attemptTimeout) Error() string { return fmt.Sprintf("no answer within %s", e.after) }
func (e *attemptTimeout) Timeout() bool { return true }

// isObject reports whether body is one JSON object, as every answer of the API is. A page cut short is not, nor is
// the web page that a proxy or a login puts in its place.
func isObject(body []byte) bool {
	body = bytes.TrimLeft(body, " \t\r\n")
	return len(body) > 0 && body[0] == '{' && json.Valid(body)
}

// maxRetryAfter is the longest wait that is believed: a server that asks for a month is mistaken.
const maxRetryAfter = time.Hour

// retryAfter reads a Retry-After header: seconds, or an HTTP date (RFC 9110, section 10.2.3).
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), maxRetryAfter), true
}

// backoff is the wait before the attempt that follows attempt n: doubling, with half of it left to chance, so that
// requests that failed together do not come back together.
func (p Pacing) backoff(n int) time.Duration {
	wait := p.MaxBackoff
	if n < 64 && p.BaseBackoff <= p.MaxBackoff>>(n-1) {
		wait = p.BaseBackoff << (n - 1)
	}
	half := wait / 2
	return half + rand.N(half+1)
}
