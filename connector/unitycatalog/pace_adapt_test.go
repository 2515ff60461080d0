package unitycatalog

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// bucket is a server's limit: so many requests per second, with a small burst.
type bucket struct {
	perSecond, burst float64 // perSecond 0: no limit
	retryAfter       string

	mu     sync.Mutex
	tokens float64
	last   time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.perSecond == 0 {
		return true
	}
	b.tokens = min(b.burst, b.tokens+now.Sub(b.last).Seconds()*b.perSecond)
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func (b *bucket) set(perSecond float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.perSecond = perSecond
}

func (b *bucket) serve(int, *http.Request) (*http.Response, error) {
	if b.take(time.Now()) {
		return ok()
	}
	if b.retryAfter == "" {
		return reply(429, "{}")
	}
	return reply(429, "{}", "Retry-After", b.retryAfter)
}

// load keeps workers busy for d and returns how many calls succeeded and how many failed.
func load(t *testing.T, p *pacer, workers int, d time.Duration) (succeeded, failed int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for range workers {
		wg.Go(func() {
			for time.Now().Before(end) {
				status, err := send(t, p, request(t.Context(), "GET", "x", ""))
				mu.Lock()
				if status == 200 && err == nil {
					succeeded++
				} else {
					failed++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return succeeded, failed
}

// Under a limit of the server the pace settles just below it: most of what the server would take gets through, few
// requests are refused, and no call fails for good.
func TestSettlesBelowTheServersLimit(t *testing.T) {
	for _, test := range []struct {
		name       string
		limit      float64
		retryAfter string
		share      float64 // of the limit that must get through
		refused    float64 // share of all requests that may be refused
	}{
		{"without Retry-After", 20, "", 0.7, 0.1},
		{"with Retry-After", 20, "1", 0.5, 0.1},
		{"a high limit", 200, "", 0.7, 0.1},
		{"a low limit", 2, "", 0.5, 0.2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bucket{perSecond: test.limit, burst: max(1, test.limit/10), retryAfter: test.retryAfter}
				s := &service{latency: 30 * time.Millisecond, serve: b.serve}
				p := testPacer(t, s, Pacing{})
				load(t, p, 8, 30*time.Second) // settle
				before := s.counted(t, "requests_total", "429")
				const d = 2 * time.Minute
				succeeded, failed := load(t, p, 8, d)
				refused := s.counted(t, "requests_total", "429") - before
				if got, want := float64(succeeded)/d.Seconds(), test.share*test.limit; got < want {
					t.Errorf("%.1f calls per second got through, want at least %.1f of %.0f", got, want, test.limit)
				}
				if share := refused / (refused + float64(succeeded)); share > test.refused {
					t.Errorf("%.0f %% of the requests were refused", 100*share)
				}
				if failed > 0 {
					t.Errorf("%d calls failed for good", failed)
				}
			})
		})
	}
}

// After a storm of 429s the pace comes back to where it was.
func TestRecoversAfterAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bucket{burst: 1}
		s := &service{latency: 50 * time.Millisecond, serve: b.serve}
		p := testPacer(t, s, Pacing{MaxConcurrency: 20})
		load(t, p, 40, 5*time.Second)
		before, _ := load(t, p, 40, 10*time.Second)
		b.set(1)
		storm, _ := load(t, p, 40, 30*time.Second)
		b.set(0)
		load(t, p, 40, time.Minute)
		after, failed := load(t, p, 40, 10*time.Second)
		if storm > before/10 {
			t.Fatalf("%d calls got through in the storm: no storm", storm)
		}
		if float64(after) < 0.95*float64(before) || failed > 0 {
			t.Errorf("%d calls in 10 s before the storm, %d a minute after it, %d failed", before, after, failed)
		}
		if s.most > 20 {
			t.Errorf("%d requests at once, allowed are 20", s.most)
		}
	})
}

// A server that fails when it is asked too much at once is asked less at once.
func TestConcurrencyFollowsOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const capacity = 5
		var s *service
		s = &service{latency: 40 * time.Millisecond, serve: func(int, *http.Request) (*http.Response, error) {
			s.mu.Lock()
			over := s.inFlight > capacity
			s.mu.Unlock()
			if over {
				return reply(503, "{}")
			}
			return ok()
		}}
		p := testPacer(t, s, Pacing{MaxConcurrency: 32})
		load(t, p, 32, 20*time.Second)
		before := s.counted(t, "requests_total", "503")
		succeeded, _ := load(t, p, 32, time.Minute)
		share := (s.counted(t, "requests_total", "503") - before) / float64(succeeded)
		if share > 0.35 {
			t.Errorf("%.0f %% as many overloads as successes", 100*share)
		}
		if perSecond := float64(succeeded) / 60; perSecond < 0.5*capacity/0.04 {
			t.Errorf("%.0f calls per second got through, the server can take %.0f", perSecond, capacity/0.04)
		}
	})
}

// A server whose answers become slow as requests pile up is not pushed further, though it refuses none.
func TestConcurrencyFollowsLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *service
		s = &service{latency: 50 * time.Millisecond, serve: func(int, *http.Request) (*http.Response, error) {
			s.mu.Lock()
			load := s.inFlight
			s.mu.Unlock()
			if load > 10 { // each request beyond ten costs everyone 100 ms
				time.Sleep(time.Duration(load-10) * 100 * time.Millisecond)
			}
			return ok()
		}}
		p := testPacer(t, s, Pacing{MaxConcurrency: 64, InitialConcurrency: 8})
		load(t, p, 64, 10*time.Second)
		s.mu.Lock()
		s.most = 0
		s.mu.Unlock()
		load(t, p, 64, 30*time.Second)
		if s.most > 25 { // 64 workers would like to
			t.Errorf("%d requests at once at a server that slows down beyond 10", s.most)
		}
	})
}

// A quick server is driven at full concurrency, without a bound on the rate.
func TestFullSpeedWithoutTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{latency: 20 * time.Millisecond, serve: func(int, *http.Request) (*http.Response, error) { return ok() }}
		p := testPacer(t, s, Pacing{MaxConcurrency: 16})
		load(t, p, 32, time.Second)
		if succeeded, _ := load(t, p, 32, 10*time.Second); succeeded < 10*16*50*95/100 {
			t.Errorf("%d calls in 10 s, want about %d", succeeded, 10*16*50)
		}
		if got := s.counted(t, "rate_limit", ""); got != 0 {
			t.Errorf("rate bound to %v per second", got)
		}
		if got := s.counted(t, "in_flight", ""); got != 0 {
			t.Errorf("metric says %v in flight after all ended", got)
		}
	})
}

// A limit beyond all that pacing keeps count of neither stalls nor trips it.
func TestLimitBeyondTheCeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bucket{perSecond: 4000, burst: 50}
		s := &service{latency: time.Millisecond, serve: b.serve}
		p := testPacer(t, s, Pacing{})
		load(t, p, 32, 10*time.Second) // settle
		succeeded, failed := load(t, p, 32, 2*time.Second)
		if succeeded < 200 || failed > 0 {
			t.Errorf("%d calls in 2 s, %d failed", succeeded, failed)
		}
	})
}

func TestMaxRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{serve: func(int, *http.Request) (*http.Response, error) { return ok() }}
		p := testPacer(t, s, Pacing{MaxRate: 10})
		succeeded, _ := load(t, p, 8, 20*time.Second)
		if succeeded < 195 || succeeded > 210 {
			t.Errorf("%d calls in 20 s at 10 per second", succeeded)
		}
		for i := 1; i < len(s.starts); i++ {
			if gap := s.starts[i].Sub(s.starts[i-1]); gap < 99*time.Millisecond {
				t.Fatalf("two requests %s apart", gap)
			}
		}
	})
}
