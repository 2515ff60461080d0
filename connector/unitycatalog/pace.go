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
)

// maxAnswer bounds what is read of one answer. The largest page, 10,000 objects, is below a tenth of it.
const maxAnswer = 256 << 20

// pacer sends requests as fast as the workspace takes them and no faster, and sends again what may be sent again. An
// answer it gives has its body in memory: a body that breaks off is a failed attempt like any other.
type pacer struct {
	base    http.RoundTripper
	pacing  Pacing
	timeout time.Duration // for a call, from its first attempt on
	gate    *gate
	metrics *metrics
	log     *slog.Logger
}

func newPacer(base http.RoundTripper, pacing Pacing, timeout time.Duration, m *metrics, log *slog.Logger) *pacer {
	return &pacer{base: base, pacing: pacing, timeout: timeout, gate: newGate(pacing, timeout, m), metrics: m, log: log}
}

// call is what a request's context tells the pacer.
type call struct {
	route      string // metric label
	repeatable bool   // may be carried out twice without harm
}

type callKey struct{}

func withCall(ctx context.Context, c call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

func callOf(req *http.Request) call {
	if c, ok := req.Context().Value(callKey{}).(call); ok {
		return c
	}
	return call{route: req.Method + " other", repeatable: req.Method == http.MethodGet || req.Method == http.MethodHead}
}

// RoundTrip implements http.RoundTripper. When all attempts failed it gives the last one's answer or error.
func (p *pacer) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := drain(req)
	if err != nil {
		return nil, fmt.Errorf("read request body: %w", err)
	}
	var (
		c      = callOf(req)
		ticket = p.gate.ticket()
		ctx    = req.Context()
		last   answer
	)
	for n := 1; ; n++ {
		permit, err := p.gate.acquire(ctx, ticket)
		if err != nil {
			if last.given() && req.Context().Err() == nil {
				return last.resp, last.err // the call's own time is over: say why, not that
			}
			return nil, err
		}
		if n == 1 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, p.timeout)
			defer cancel()
		}
		last = p.attempt(ctx, req, body)
		now := time.Now()
		if err := req.Context().Err(); err != nil && last.err != nil {
			p.gate.release(permit, c.route, untold)
			return nil, err
		}
		p.metrics.observe(c.route, last.status(), now.Sub(permit.started))
		v := judge(last.resp, last.body, last.err, c.repeatable, now)
		if v.told && v.everyone {
			p.gate.pause(now.Add(v.wait)) // before the permit is free for the next
		}
		p.gate.release(permit, c.route, v.outcome)
		if !v.retry || n >= p.pacing.MaxAttempts {
			return last.resp, last.err
		}
		wait := v.wait
		if !v.told {
			wait = p.pacing.backoff(n)
		}
		if deadline, _ := ctx.Deadline(); now.Add(wait).After(deadline) {
			return last.resp, last.err
		}
		p.metrics.retries.WithLabelValues(c.route, v.reason).Inc()
		p.log.LogAttrs(ctx, slog.LevelDebug, "send request again", slog.String("route", c.route), slog.String("reason", v.reason),
			slog.Int("attempt", n), slog.Int("status", last.status()), slog.Duration("wait", wait), slog.Bool("told", v.told))
		if !sleep(ctx, wait) {
			if err := req.Context().Err(); err != nil {
				return nil, err
			}
			return last.resp, last.err
		}
	}
}

// answer is what one attempt led to: a response with its body, or an error.
type answer struct {
	resp *http.Response
	body []byte
	err  error
}

func (a answer) given() bool { return a.resp != nil || a.err != nil }

// status is the HTTP status, 0 for an error.
func (a answer) status() int {
	if a.resp == nil {
		return 0
	}
	return a.resp.StatusCode
}

func (p *pacer) attempt(ctx context.Context, req *http.Request, body []byte) answer {
	actx, cancel := context.WithTimeout(ctx, p.pacing.AttemptTimeout)
	defer cancel()
	again := req.Clone(actx)
	if body != nil {
		again.Body = io.NopCloser(bytes.NewReader(body))
		again.ContentLength = int64(len(body))
	}
	resp, err := p.base.RoundTrip(again)
	if err != nil {
		return answer{err: p.named(ctx, actx, err)}
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return answer{err: fmt.Errorf("read answer: %w", p.named(ctx, actx, err))}
	}
	if len(content) > maxAnswer {
		return answer{err: fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)}
	}
	resp.Request = req
	resp.Body = io.NopCloser(bytes.NewReader(content))
	resp.ContentLength = int64(len(content))
	return answer{resp: resp, body: content}
}

// named tells the end of the attempt's or of the call's time from other errors.
func (p *pacer) named(ctx, actx context.Context, err error) error {
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &attemptTimeout{p.timeout}
	case actx.Err() != nil:
		return &attemptTimeout{p.pacing.AttemptTimeout}
	}
	return err
}

// drain reads the body, so that it can be sent several times.
func drain(req *http.Request) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	defer req.Body.Close()
	return io.ReadAll(req.Body)
}

// sleep waits for d and reports whether ctx lasted that long.
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
