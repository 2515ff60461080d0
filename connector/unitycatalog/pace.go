package unitycatalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"ucwarden/connector/call"
	"ucwarden/endpoint"
	"ucwarden/span"
)

// maxResponseSize bounds the size of one answer, in bytes: that of the largest page, 10,000 objects, with some to spare.
const maxResponseSize = 32 << 20

// pacer is an http.RoundTripper that adapts rate and concurrency to the workspace, and retries what is safe to retry.
// The responses it returns have their body in memory: a body that breaks off is a failed attempt like any other.
type pacer struct {
	base    http.RoundTripper
	pacing  Pacing
	timeout time.Duration // for one call, from its first attempt on
	limiter *limiter
	metrics *metrics
	log     *slog.Logger
}

func newPacer(base http.RoundTripper, pacing Pacing, timeout time.Duration, m *metrics, log *slog.Logger) *pacer {
	return &pacer{base: base, pacing: pacing, timeout: timeout, limiter: newLimiter(pacing, timeout, m), metrics: m, log: log}
}

// requestInfo is what the pacer must know about a request; it is passed in the request's context.
type requestInfo struct {
	route      string // metric label
	idempotent bool   // may be sent twice with the same effect
	// readFirst says that the request follows from what was read, so that after a conflict that must be read again.
	readFirst bool
}

type requestInfoKey struct{}

func withRequestInfo(ctx context.Context, c requestInfo) context.Context {
	return context.WithValue(ctx, requestInfoKey{}, c)
}

func requestInfoOf(req *http.Request) requestInfo {
	if c, ok := req.Context().Value(requestInfoKey{}).(requestInfo); ok {
		return c
	}
	return requestInfo{route: req.Method + " other", idempotent: req.Method == http.MethodGet || req.Method == http.MethodHead}
}

// RoundTrip implements http.RoundTripper, and notes for the connector the id that the service gave the request. When all attempts failed it returns the answer or error of the last one.
func (p *pacer) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, s := span.Start(req.Context(), requestInfoOf(req).route)
	if s.IsRecording() {
		req = req.WithContext(ctx)
	}
	resp, err := p.roundTrip(req)
	if resp != nil {
		call.NoteRequestID(req.Context(), resp.Header.Get("X-Request-Id"))
	}
	span.EndCall(s, req, resp, err)
	return resp, err
}

func (p *pacer) roundTrip(req *http.Request) (*http.Response, error) {
	if err := call.Count(req.Context()); err != nil {
		return nil, err
	}
	body, err := readBody(req)
	if err != nil {
		return nil, fmt.Errorf("read request body: %w", err)
	}
	var (
		c      = requestInfoOf(req)
		ticket = p.limiter.ticket()
		ctx    = req.Context()
		last   attemptResult
		since  uint64 // what the server had accepted when the attempt before started
		passed int    // attempts that were refused while the server accepted those of other calls
	)
	for n := 1; ; n++ {
		permit, err := p.limiter.acquire(ctx, ticket)
		if err != nil {
			if last.isSet() && req.Context().Err() == nil {
				return last.resp, last.err // the call timed out: the last attempt's error says why
			}
			return nil, err
		}
		if n == 1 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, p.timeout)
			defer cancel()
			since = permit.since
		}
		permit.since, since = since, permit.since
		trace.SpanFromContext(ctx).AddEvent("sent") // what came before was the wait at the gate
		last = p.attempt(ctx, req, body)
		now := time.Now()
		if err := req.Context().Err(); err != nil && last.err != nil {
			p.limiter.release(permit, c.route, signalNone, time.Time{})
			return nil, err
		}
		p.metrics.observe(c.route, last.status(), now.Sub(permit.started))
		decision := decide(last.resp, last.body, last.err, c, now)
		var retryAt time.Time
		if decision.hasWait {
			retryAt = now.Add(decision.wait)
		}
		if p.limiter.release(permit, c.route, decision.signal, retryAt) {
			passed++ // the call has its timeout, and with it longer and longer waits, to get its turn
		}
		if !decision.retry || n-passed >= p.pacing.MaxAttempts {
			return last.resp, last.err
		}
		wait := decision.wait
		if !decision.hasWait {
			wait = p.pacing.backoff(n)
			if decision.reason == reasonGarbled {
				// What was cut off comes whole the next time; a login page in the workspace's place stays, however long one waits.
				wait = p.pacing.backoff(1)
			}
		}
		if deadline, _ := ctx.Deadline(); now.Add(wait).After(deadline) {
			return last.resp, last.err
		}
		p.metrics.retries.WithLabelValues(c.route, decision.reason).Inc()
		trace.SpanFromContext(ctx).AddEvent("refused", trace.WithAttributes(attribute.Int("http.response.status_code", last.status()), attribute.String("reason", decision.reason)))
		p.log.LogAttrs(ctx, slog.LevelDebug, "retrying request", slog.String("route", c.route), slog.String("reason", decision.reason),
			slog.Int("attempt", n), slog.Int("status", last.status()), slog.Duration("wait", wait), slog.Bool("retry_after", decision.hasWait))
		if !sleep(ctx, wait) {
			if err := req.Context().Err(); err != nil {
				return nil, err
			}
			return last.resp, last.err
		}
	}
}

// attemptResult is the result of one attempt: a response with its body, or an error.
type attemptResult struct {
	resp *http.Response
	body []byte
	err  error
}

func (a attemptResult) isSet() bool { return a.resp != nil || a.err != nil }

// status returns the HTTP status, 0 for an error.
func (a attemptResult) status() int {
	if a.resp == nil {
		return 0
	}
	return a.resp.StatusCode
}

func (p *pacer) attempt(ctx context.Context, req *http.Request, body []byte) attemptResult {
	actx, cancel := p.attemptContext(ctx, req)
	defer cancel()
	again := req.Clone(actx)
	if body != nil {
		again.Body = io.NopCloser(bytes.NewReader(body))
		again.ContentLength = int64(len(body))
	}
	resp, err := p.base.RoundTrip(again)
	if err != nil {
		return attemptResult{err: p.timeoutError(ctx, actx, err)}
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseSize+1))
	if err != nil {
		return attemptResult{err: &brokenOffError{p.timeoutError(ctx, actx, err)}}
	}
	if len(content) > maxResponseSize {
		return attemptResult{err: &endpoint.TooLargeError{Limit: maxResponseSize}}
	}
	resp.Request = req
	resp.Body = io.NopCloser(bytes.NewReader(content))
	resp.ContentLength = int64(len(content))
	return attemptResult{resp: resp, body: content}
}

// finishTime is how long a request that was sent, and changes something, may go on when its caller gives up: what became of
// it is then known.
const finishTime = 5 * time.Second

// attemptContext returns the context of one attempt, a child of that of the call. One that changes something outlives the
// context of its request for finishTime.
func (p *pacer) attemptContext(ctx context.Context, req *http.Request) (context.Context, context.CancelFunc) {
	if req.Method == http.MethodGet || req.Method == http.MethodHead {
		return context.WithTimeout(ctx, p.pacing.AttemptTimeout)
	}
	end := time.Now().Add(p.pacing.AttemptTimeout)
	if ofCall, ok := ctx.Deadline(); ok && ofCall.Before(end) {
		end = ofCall
	}
	actx, cancel := context.WithDeadline(context.WithoutCancel(ctx), end)
	stop := context.AfterFunc(req.Context(), func() {
		if sleep(actx, finishTime) {
			cancel()
		}
	})
	return actx, func() { stop(); cancel() }
}

// timeoutError returns an *attemptTimeout if the attempt's or the call's time is over, otherwise err.
func (p *pacer) timeoutError(ctx, actx context.Context, err error) error {
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &attemptTimeout{p.timeout}
	case actx.Err() != nil:
		return &attemptTimeout{p.pacing.AttemptTimeout}
	}
	return err
}

// readBody returns the request's body, so that it can be sent several times.
func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	defer req.Body.Close()
	return io.ReadAll(req.Body)
}

// sleep waits for d; it returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
