package unitycatalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestRetries(t *testing.T) {
	var (
		reset   = &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
		refused = &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	)
	broken := func() (*http.Response, error) {
		resp, _ := reply(200, "")
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"tables": [`), &failing{io.ErrUnexpectedEOF}))
		return resp, nil
	}
	tests := []struct {
		name       string
		serve      func() (*http.Response, error)
		idempotent int // attempts for an idempotent request
		other      int // and for one that may not
	}{
		{"success", ok, 1, 1},
		{"400", func() (*http.Response, error) { return reply(400, "{}") }, 1, 1},
		{"404", func() (*http.Response, error) { return reply(404, "{}") }, 1, 1},
		{"401", func() (*http.Response, error) { return reply(401, "{}") }, 1, 1},
		{"409", func() (*http.Response, error) { return reply(409, "{}") }, 4, 1},
		{"429", func() (*http.Response, error) { return reply(429, "{}") }, 4, 4},
		{"500", func() (*http.Response, error) { return reply(500, "{}") }, 4, 1},
		{"502", func() (*http.Response, error) { return reply(502, "<html>") }, 4, 1},
		{"503", func() (*http.Response, error) { return reply(503, "{}") }, 4, 1},
		{"504", func() (*http.Response, error) { return reply(504, "{}") }, 4, 1},
		{"501", func() (*http.Response, error) { return reply(501, "{}") }, 1, 1},
		{"connection refused", func() (*http.Response, error) { return nil, refused }, 4, 4},
		{"connection reset", func() (*http.Response, error) { return nil, reset }, 4, 1},
		{"body breaks off", broken, 4, 1},
		{"body cut short", func() (*http.Response, error) { return reply(200, `{"tables": [`) }, 4, 1},
		{"web page", func() (*http.Response, error) { return reply(200, `<html>log in</html>`) }, 4, 1},
		{"empty answer", func() (*http.Response, error) { return reply(200, ``) }, 4, 1},
	}
	for _, test := range tests {
		for _, idempotent := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/idempotent=%t", test.name, idempotent), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &service{serve: func(int, *http.Request) (*http.Response, error) { return test.serve() }}
					p := testPacer(t, s, Pacing{MaxAttempts: 4})
					want, method := test.other, http.MethodPost
					ctx := t.Context()
					if idempotent {
						want, method = test.idempotent, http.MethodPatch
						ctx = withRequestInfo(ctx, requestInfo{route: "test", idempotent: true})
					}
					const body = `{"changes":[]}`
					send(t, p, request(ctx, method, "x", body))
					if s.n != want {
						t.Errorf("%d attempts, want %d", s.n, want)
					}
					for i, got := range s.bodies {
						if got != body {
							t.Errorf("attempt %d sent body %q", i, got)
						}
					}
					if s.open != 0 {
						t.Errorf("%d bodies left open", s.open)
					}
					route := "POST other"
					if idempotent {
						route = "test"
					}
					if got := s.counted(t, "requests_total", route); got != float64(want) {
						t.Errorf("metric counts %v requests of %s, want %d", got, route, want)
					}
					if got := s.counted(t, "retries_total", route); got != float64(want-1) {
						t.Errorf("metric counts %v retries, want %d", got, want-1)
					}
				})
			})
		}
	}
}

// Answers that cannot be used are not waited for: what made them garbled is gone at once, or stays.
func TestGarbledAnswersEndSoon(t *testing.T) {
	for name, test := range map[string]struct {
		body     io.Reader
		attempts int
	}{
		"web page":   {strings.NewReader(`<html>log in</html>`), 6},
		"cut short":  {strings.NewReader(`{"tables": [`), 6},
		"breaks off": {io.MultiReader(strings.NewReader(`{"tables": [`), &failing{io.ErrUnexpectedEOF}), 6},
		"oversize":   {strings.NewReader(strings.Repeat("x", maxResponseSize+1)), 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{serve: func(int, *http.Request) (*http.Response, error) {
					resp, err := reply(200, "")
					resp.Body = io.NopCloser(test.body)
					return resp, err
				}}
				p := testPacer(t, s, Pacing{MaxAttempts: 6})
				begun := time.Now()
				send(t, p, request(t.Context(), http.MethodGet, "x", ""))
				if took := time.Since(begun); s.n != test.attempts || took > 2*time.Second {
					t.Errorf("%d attempts in %s, want %d in two seconds", s.n, took, test.attempts)
				}
			})
		})
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestSuccessAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{serve: func(n int, _ *http.Request) (*http.Response, error) {
			if n < 3 {
				return reply(503, "{}")
			}
			return reply(200, `{"name":"x"}`)
		}}
		p := testPacer(t, s, Pacing{})
		resp, err := p.RoundTrip(request(t.Context(), "GET", "x", ""))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 || string(body) != `{"name":"x"}` {
			t.Errorf("got %d %s", resp.StatusCode, body)
		}
		if got := s.counted(t, "retries_total", "unavailable"); got != 3 {
			t.Errorf("metric counts %v retries, want 3", got)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for name, header := range map[string]func() string{
		"seconds": func() string { return "7" },
		"date":    func() string { return time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		for _, status := range []int{429, 503} {
			t.Run(name+"/"+strconv.Itoa(status), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &service{serve: func(n int, _ *http.Request) (*http.Response, error) {
						if n == 0 {
							return reply(status, "{}", "Retry-After", header())
						}
						return ok()
					}}
					p := testPacer(t, s, Pacing{})
					start := time.Now()
					if got, err := send(t, p, request(t.Context(), "GET", "x", "")); got != 200 {
						t.Fatalf("got %d, %v", got, err)
					}
					if got := s.starts[1].Sub(start); got != 7*time.Second {
						t.Errorf("second attempt after %s, want exactly 7s", got)
					}
				})
			})
		}
	}
}

// Refusals one after another speak for the whole workspace: nobody else starts before their Retry-After is over either.
func TestRetryAfterHoldsEveryone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &service{latency: 10 * time.Millisecond, serve: func(int, *http.Request) (*http.Response, error) {
			if time.Since(start) < 30*time.Second {
				return reply(429, "{}", "Retry-After", "30")
			}
			return ok()
		}}
		p := testPacer(t, s, Pacing{InitialConcurrency: 2})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() { send(t, p, request(t.Context(), "GET", strconv.Itoa(i), "")) })
		}
		wg.Wait()
		early := 0
		for _, at := range s.starts {
			if at.Sub(start) < 30*time.Second {
				early++
			}
		}
		if early > 7 { // as many as it takes to know, and those in progress meanwhile
			t.Errorf("%d requests started before Retry-After was over", early)
		}
		if got := len(s.starts); got != 20+early {
			t.Errorf("%d attempts, want %d", got, 20+early)
		}
	})
}

// A refusal among accepted calls holds back only the call that was refused.
func TestStrayRefusalHoldsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{latency: 10 * time.Millisecond, serve: func(n int, _ *http.Request) (*http.Response, error) {
			if n == 0 {
				return reply(429, "{}", "Retry-After", "30")
			}
			return ok()
		}}
		p := testPacer(t, s, Pacing{})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() { send(t, p, request(t.Context(), "GET", strconv.Itoa(i), "")) })
		}
		wg.Wait()
		if len(s.starts) != 21 {
			t.Fatalf("%d attempts, want 21", len(s.starts))
		}
		if got := s.starts[19].Sub(start); got > 5*time.Second {
			t.Errorf("the others started within %s", got)
		}
		if got := s.starts[20].Sub(start); got < 30*time.Second {
			t.Errorf("the refused call started again after %s, before its Retry-After", got)
		}
	})
}

// A Retry-After beyond the time a call has is not waited for, and fails others at once instead of hanging them.
func TestRetryAfterTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{serve: func(int, *http.Request) (*http.Response, error) {
			return reply(429, "{}", "Retry-After", "600")
		}}
		p := testPacer(t, s, Pacing{})
		for {
			status, err := send(t, p, request(t.Context(), "GET", "x", ""))
			if errors.As(err, new(*pausedError)) {
				break
			}
			if status != 429 || err != nil {
				t.Fatalf("got %d, %v, want 429", status, err)
			}
			if s.n > 5 {
				t.Fatalf("%d calls were refused, and the next is still sent", s.n)
			}
		}
		sent := s.n
		start := time.Now()
		if _, err := send(t, p, request(t.Context(), "GET", "x", "")); !errors.As(err, new(*pausedError)) {
			t.Errorf("got %v, want a pausedError", err)
		}
		if s.n != sent || time.Since(start) != 0 {
			t.Errorf("%d requests in %s, want none in no time", s.n-sent, time.Since(start))
		}
		time.Sleep(601 * time.Second)
		send(t, p, request(t.Context(), "GET", "x", ""))
		if s.n != sent+1 {
			t.Error("no request after the pause was over")
		}
	})
}

func TestBackoffGrowsWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Pacing{
			BaseBackoff: time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "base")),
			MaxBackoff:  time.Duration(rapid.Int64Range(int64(time.Minute), int64(time.Hour)).Draw(t, "max")),
		}
		n := rapid.IntRange(1, 1000).Draw(t, "attempt")
		full := p.BaseBackoff
		for i := 1; i < n && full < p.MaxBackoff; i++ {
			full *= 2
		}
		full = min(full, p.MaxBackoff)
		if got := p.backoff(n); got < full/2 || got > full {
			t.Fatalf("attempt %d: %s, want between %s and %s", n, got, full/2, full)
		}
	})
}

func TestIsObject(t *testing.T) {
	for body, want := range map[string]bool{
		"{}": true, " \n{\"a\":[1]} ": true, "": false, "null": false, "[]": false, "{": false, "{}{}": false,
		`{"a":1}<html>`: false, "<html>": false,
	} {
		if got := isObject([]byte(body)); got != want {
			t.Errorf("%q: %t", body, got)
		}
	}
	if isObject(bytes.Repeat([]byte{'{'}, 100)) {
		t.Error("unclosed braces")
	}
}

// A call that is refused again and again while the server accepts others does not fail for it: the limit is shared, and
// its turn comes. One that is refused while nothing is accepted uses up its attempts.
func TestRefusedWhileOthersAreAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refusals := 0
		s := &service{latency: 10 * time.Millisecond, serve: func(_ int, req *http.Request) (*http.Response, error) {
			if strings.HasSuffix(req.URL.Path, "/unlucky") && refusals < 9 {
				refusals++
				return reply(429, "{}")
			}
			return ok()
		}}
		p := testPacer(t, s, Pacing{MaxAttempts: 4})
		ctx, stop := context.WithCancel(t.Context())
		var others sync.WaitGroup
		others.Go(func() {
			for sleep(ctx, 50*time.Millisecond) {
				send(t, p, request(t.Context(), "GET", "other", ""))
			}
		})
		if status, err := send(t, p, request(t.Context(), "GET", "unlucky", "")); status != 200 || err != nil {
			t.Errorf("got %d, %v after %d refusals, want 200", status, err, refusals)
		}
		stop()
		others.Wait()

		refusals = 0
		if status, _ := send(t, p, request(t.Context(), "GET", "unlucky", "")); status != 429 || refusals != 4 {
			t.Errorf("alone: got %d after %d refusals, want 429 after 4", status, refusals)
		}
	})
}
