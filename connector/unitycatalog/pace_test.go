package unitycatalog

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"ucwarden/connector/call"
)

// service plays a workspace: serve returns status, headers and body, or an error, for the n-th request it gets (from 0).
// It keeps what it was sent.
type service struct {
	latency time.Duration
	serve   func(n int, req *http.Request) (*http.Response, error)

	mu       sync.Mutex
	n        int
	starts   []time.Time
	bodies   []string
	names    []string // last part of the path
	inFlight int
	most     int
	open     int // bodies given and not yet closed

	registry *prometheus.Registry
}

func (s *service) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	n := s.n
	s.n++
	s.starts = append(s.starts, time.Now())
	s.names = append(s.names, req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:])
	s.inFlight++
	s.most = max(s.most, s.inFlight)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.inFlight--
		s.mu.Unlock()
	}()
	if req.Body != nil {
		body, _ := io.ReadAll(req.Body)
		req.Body.Close()
		s.mu.Lock()
		s.bodies = append(s.bodies, string(body))
		s.mu.Unlock()
	}
	if !sleep(req.Context(), s.latency) {
		return nil, req.Context().Err()
	}
	resp, err := s.serve(n, req)
	if resp != nil {
		s.mu.Lock()
		s.open++
		s.mu.Unlock()
		resp.Body = &tracked{resp.Body, s}
	}
	return resp, err
}

type tracked struct {
	io.ReadCloser
	s *service
}

func (t *tracked) Close() error {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.s.open--
	return t.ReadCloser.Close()
}

func reply(status int, body string, headers ...string) (*http.Response, error) {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func ok() (*http.Response, error) { return reply(200, "{}") }

func testPacer(t testing.TB, s *service, p Pacing) *pacer {
	t.Helper()
	s.registry = prometheus.NewRegistry()
	m, err := newMetrics(s.registry)
	if err != nil {
		t.Fatal(err)
	}
	return newPacer(s, p.withDefaults(), 3*time.Minute, m, slog.New(slog.DiscardHandler))
}

// counted sums a metric over all label sets that hold the label value, or over all for "".
func (s *service) counted(t *testing.T, name, value string) (sum float64) {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "ucwarden_unitycatalog_"+name {
			continue
		}
		for _, m := range family.GetMetric() {
			match := value == ""
			for _, label := range m.GetLabel() {
				match = match || label.GetValue() == value
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func request(ctx context.Context, method, name, body string) *http.Request {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://workspace.example/"+name, r)
	if err != nil {
		panic(err)
	}
	return req
}

// send returns the status, or 0 and the error, and fails on an answer whose body cannot be read.
func send(t testing.TB, p *pacer, req *http.Request) (int, error) {
	t.Helper()
	resp, err := p.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("read the body of the answer: %v", err)
	}
	return resp.StatusCode, nil
}

func TestFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{latency: time.Second, serve: func(n int, _ *http.Request) (*http.Response, error) {
			if n == 0 {
				return reply(500, "{}") // request 0 comes again while 1 to 9 wait
			}
			return ok()
		}}
		p := testPacer(t, s, Pacing{InitialConcurrency: 1, MaxConcurrency: 1})
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { send(t, p, request(t.Context(), "GET", strconv.Itoa(i), "")) })
			synctest.Wait() // it is in the queue
		}
		wg.Wait()
		if got := strings.Join(s.names, " "); got != "0 1 0 2 3 4 5 6 7 8 9" {
			t.Errorf("order of requests %s", got)
		}
	})
}

// Two calls at a time, after a time without any, begin at once, though the rate alone would part them; many are parted by it.
func TestStartsAfterIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{latency: 20 * time.Millisecond, serve: func(int, *http.Request) (*http.Response, error) { return ok() }}
		p := testPacer(t, s, Pacing{})
		together := func(n int) (atOnce int) {
			time.Sleep(time.Second)
			from := len(s.starts)
			var calls sync.WaitGroup
			for range n {
				calls.Go(func() {
					if status, err := send(t, p, request(t.Context(), "GET", "x", "")); status != 200 || err != nil {
						t.Errorf("status %d, %v", status, err)
					}
				})
			}
			calls.Wait()
			for _, start := range s.starts[from:] {
				if start.Equal(s.starts[from]) {
					atOnce++
				}
			}
			return atOnce
		}
		together(1)
		if n := together(2); n != 2 {
			t.Errorf("%d of 2 calls began at once", n)
		}
		if n := together(8); n != 1+savedStarts {
			t.Errorf("%d of 8 calls began at once", n)
		}
	})
}

// A call goes before those in the background that wait, and these are not starved: every fifth start is theirs.
func TestBackgroundGoesBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{latency: time.Second, serve: func(int, *http.Request) (*http.Response, error) { return ok() }}
		p := testPacer(t, s, Pacing{InitialConcurrency: 1, MaxConcurrency: 1})
		var wg sync.WaitGroup
		cancelled, cancel := context.WithCancel(t.Context())
		for _, name := range []string{"b1", "gone", "b2", "b3", "b4", "f1", "f2", "f3", "f4", "f5", "f6"} {
			ctx := t.Context()
			if name == "gone" {
				ctx = cancelled
			}
			if name[0] != 'f' {
				ctx = call.WithBackground(ctx)
			}
			wg.Go(func() { send(t, p, request(ctx, "GET", name, "")) })
			synctest.Wait() // it is in the queue
		}
		cancel()
		wg.Wait()
		if got := strings.Join(s.names, " "); got != "b1 f1 f2 f3 f4 b2 f5 f6 b3 b4" {
			t.Errorf("order of requests %s", got)
		}
	})
}

// Calls in the background leave a place to one that comes, which need not wait until those that started together end.
func TestBackgroundLeavesAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{latency: time.Second, serve: func(int, *http.Request) (*http.Response, error) { return ok() }}
		p := testPacer(t, s, Pacing{InitialConcurrency: 20, MaxConcurrency: 20})
		behind, cancel := context.WithCancel(call.WithBackground(t.Context()))
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if resp, err := p.RoundTrip(request(behind, "GET", "behind", "")); err == nil {
					resp.Body.Close()
				}
			})
		}
		time.Sleep(1500 * time.Millisecond)
		for range 3 {
			begun := time.Now()
			for range 2 {
				wg.Go(func() {
					send(t, p, request(t.Context(), "GET", "before", ""))
					if took := time.Since(begun); took > 1100*time.Millisecond {
						t.Errorf("answered after %s", took)
					}
				})
			}
			time.Sleep(1200 * time.Millisecond)
		}
		cancel()
		wg.Wait()
		if lim := p.limiter; lim.inFlight != 0 || lim.behind != 0 {
			t.Errorf("%d under way at the end, %d in the background", lim.inFlight, lim.behind)
		}
	})
}

func TestGivingUp(t *testing.T) {
	forever := func(_ int, req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	t.Run("in the queue", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &service{serve: forever}
			p := testPacer(t, s, Pacing{InitialConcurrency: 1, MaxConcurrency: 1})
			first, stop := context.WithCancel(t.Context())
			defer stop()
			go p.RoundTrip(request(first, "GET", "1", ""))
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			_, err := p.RoundTrip(request(ctx, "GET", "2", ""))
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
				t.Errorf("got %v after %s", err, time.Since(start))
			}
			if s.n != 1 {
				t.Errorf("%d requests sent, want 1", s.n)
			}
		})
	})
	t.Run("while under way, and the slot is free again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &service{serve: func(n int, req *http.Request) (*http.Response, error) {
				if n == 0 {
					return forever(n, req)
				}
				return ok()
			}}
			p := testPacer(t, s, Pacing{InitialConcurrency: 1, MaxConcurrency: 1})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := p.RoundTrip(request(ctx, "GET", "1", "")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if status, err := send(t, p, request(t.Context(), "GET", "2", "")); status != 200 {
				t.Errorf("got %d, %v", status, err)
			}
		})
	})
	// What changes something is not cut off: its caller hears of it, or at least that it took too long.
	for latency, want := range map[time.Duration]time.Duration{3 * time.Second: 3 * time.Second, time.Minute: time.Second + finishTime} {
		t.Run("while a change is under way, "+latency.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{latency: latency, serve: func(int, *http.Request) (*http.Response, error) { return ok() }}
				p := testPacer(t, s, Pacing{})
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				start := time.Now()
				status, err := send(t, p, request(ctx, "PATCH", "1", "{}"))
				if done := latency == want; (status == 200) != done || errors.Is(err, context.Canceled) == done || time.Since(start) != want {
					t.Errorf("got %d, %v after %s", status, err, time.Since(start))
				}
				start = time.Now()
				if _, err := send(t, p, request(ctx, "PATCH", "2", "{}")); !errors.Is(err, context.Canceled) || time.Since(start) != 0 || s.n != 1 {
					t.Errorf("a change that was not sent yet: %v after %s and %d requests", err, time.Since(start), s.n)
				}
			})
		})
	}
	t.Run("between attempts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &service{serve: func(int, *http.Request) (*http.Response, error) { return reply(503, "{}", "Retry-After", "60") }}
			p := testPacer(t, s, Pacing{})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			start := time.Now()
			_, err := p.RoundTrip(request(ctx, "GET", "1", ""))
			if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second || s.n != 1 {
				t.Errorf("got %v after %s and %d requests", err, time.Since(start), s.n)
			}
		})
	})
	t.Run("when the deadline does not leave time for another attempt", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &service{serve: func(int, *http.Request) (*http.Response, error) { return reply(503, "{}", "Retry-After", "60") }}
			p := testPacer(t, s, Pacing{})
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			start := time.Now()
			status, err := send(t, p, request(ctx, "GET", "1", ""))
			if status != 503 || err != nil || time.Since(start) != 0 {
				t.Errorf("got %d, %v after %s, want the 503 at once", status, err, time.Since(start))
			}
		})
	})
}

func TestTimeouts(t *testing.T) {
	hang := func(_ int, req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	tests := []struct {
		name     string
		serve    func(int, *http.Request) (*http.Response, error)
		attempts int
		after    time.Duration
	}{
		{"each attempt", hang, 3, 30 * time.Second}, // plus backoff
		{"the body too", func(n int, req *http.Request) (*http.Response, error) {
			resp, _ := reply(200, "")
			resp.Body = io.NopCloser(&hanging{req.Context()})
			return resp, nil
		}, 3, 30 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{serve: test.serve}
				p := testPacer(t, s, Pacing{MaxAttempts: 3, AttemptTimeout: 10 * time.Second})
				start := time.Now()
				_, err := p.RoundTrip(request(t.Context(), "GET", "x", ""))
				if !errors.As(err, new(*attemptTimeout)) || s.n != test.attempts {
					t.Errorf("got %v after %d attempts", err, s.n)
				}
				if took := time.Since(start); took < test.after || took > test.after+2*time.Second {
					t.Errorf("took %s, want about %s", took, test.after)
				}
			})
		})
	}
	t.Run("the whole call", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &service{serve: hang}
			p := testPacer(t, s, Pacing{MaxAttempts: 100, AttemptTimeout: 50 * time.Second})
			start := time.Now()
			_, err := p.RoundTrip(request(t.Context(), "GET", "x", ""))
			if err == nil || time.Since(start) > 3*time.Minute {
				t.Errorf("got %v after %s, want an error within 3 minutes", err, time.Since(start))
			}
		})
	})
	t.Run("time in the queue does not count", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &service{latency: time.Minute, serve: func(int, *http.Request) (*http.Response, error) { return ok() }}
			p := testPacer(t, s, Pacing{InitialConcurrency: 1, MaxConcurrency: 1, AttemptTimeout: 2 * time.Minute})
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if status, err := send(t, p, request(t.Context(), "GET", "x", "")); status != 200 {
						t.Errorf("got %d, %v", status, err)
					}
				})
			}
			wg.Wait()
		})
	})
}

type hanging struct{ ctx context.Context }

func (h *hanging) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

// Whatever the server does, every call ends, bodies are closed, and there are never more requests at once than allowed.
func TestNeverMoreAtOnceThanAllowed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		most := rapid.IntRange(1, 12).Draw(rt, "max concurrency")
		script := rapid.SliceOfN(rapid.SampledFrom([]string{"ok", "ok", "ok", "429", "429 wait", "503", "reset", "cut", "slow"}), 1, 60).Draw(rt, "script")
		synctest.Test(t, func(t *testing.T) {
			s := &service{latency: 20 * time.Millisecond, serve: func(n int, req *http.Request) (*http.Response, error) {
				switch script[n%len(script)] {
				case "429":
					return reply(429, "{}")
				case "429 wait":
					return reply(429, "{}", "Retry-After", "1")
				case "503":
					return reply(503, "{}")
				case "reset":
					return nil, errors.New("connection reset by peer")
				case "cut":
					return reply(200, `{"a":`)
				case "slow":
					if !sleep(req.Context(), time.Second) {
						return nil, req.Context().Err()
					}
				}
				return ok()
			}}
			p := testPacer(t, s, Pacing{MaxConcurrency: most, AttemptTimeout: 10 * time.Second})
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() {
					ctx := t.Context()
					if i%7 == 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*time.Millisecond*20)
						defer cancel()
					}
					send(t, p, request(ctx, "GET", "x", ""))
				})
			}
			wg.Wait()
			if s.most > most {
				t.Errorf("%d requests at once, allowed are %d", s.most, most)
			}
			if s.open != 0 {
				t.Errorf("%d bodies left open", s.open)
			}
			if g := p.limiter; g.inFlight != 0 || g.waiting() != 0 {
				t.Errorf("left behind: %d in flight, %d waiting", g.inFlight, g.waiting())
			}
		})
		if t.Failed() {
			rt.FailNow()
		}
	})
}
