package unitycatalog

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// serverLimit is a way in which servers limit calls. take reports whether a call is let in, at limit calls per second.
type serverLimit interface {
	take(now time.Time, limit float64) bool
}

// tokenBucket lets in burst seconds' worth of calls at once, at least one.
type tokenBucket struct {
	burst  float64 // seconds
	tokens float64
	last   time.Time
}

func (b *tokenBucket) take(now time.Time, limit float64) bool {
	b.tokens = min(max(1, b.burst*limit), b.tokens+now.Sub(b.last).Seconds()*limit)
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// fixedWindow lets in so many calls in each whole window.
type fixedWindow struct {
	window time.Duration
	start  time.Time
	n      float64
}

func (w *fixedWindow) take(now time.Time, limit float64) bool {
	if start := now.Truncate(w.window); start != w.start {
		w.start, w.n = start, 0
	}
	if w.n+1 > limit*w.window.Seconds() {
		return false
	}
	w.n++
	return true
}

// slidingWindow lets in so many calls in the time before each.
type slidingWindow struct {
	window time.Duration
	let    []time.Time
}

func (w *slidingWindow) take(now time.Time, limit float64) bool {
	for len(w.let) > 0 && now.Sub(w.let[0]) >= w.window {
		w.let = w.let[1:]
	}
	if float64(len(w.let)+1) > limit*w.window.Seconds() {
		return false
	}
	w.let = append(w.let, now)
	return true
}

// noLimit lets everything in.
type noLimit struct{}

func (noLimit) take(time.Time, float64) bool { return true }

// simulation is a full sync's calls against a server with a hidden limit.
type simulation struct {
	limit      serverLimit
	levels     []float64     // calls per second
	hold       time.Duration // of each level
	latency    time.Duration
	retryAfter string
	stray      float64 // share of 429s without a limit behind
	calls      int
	pacing     Pacing
}

// level returns the limit after a time from the start.
func (m *simulation) level(after time.Duration) float64 {
	return m.levels[int(after/m.hold)%len(m.levels)]
}

// capacity returns how many calls the limit lets in until a time from the start.
func (m *simulation) capacity(end time.Duration) (calls float64) {
	const step = 10 * time.Millisecond
	most := float64(m.pacing.withDefaults().MaxConcurrency) / m.latency.Seconds()
	for t := time.Duration(0); t < end; t += step {
		calls += min(m.level(t), most) * step.Seconds()
	}
	return calls
}

type simulated struct {
	use     float64 // share of what the limit lets in
	refused float64 // share of attempts answered 429
	failed  int
}

func (r simulated) String() string {
	return fmt.Sprintf("use %.3f, 429s %.2f %%", r.use, 100*r.refused)
}

func (m *simulation) run(t testing.TB, p *pacer, s *service) simulated {
	random := rand.New(rand.NewPCG(1, 2))
	begin := time.Now()
	var mu sync.Mutex
	refused, attempts := 0, 0
	s.latency = m.latency
	s.serve = func(int, *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		attempts++
		if random.Float64() >= m.stray && m.limit.take(now, m.level(now.Sub(begin))) {
			return ok()
		}
		refused++
		if m.retryAfter == "" {
			return reply(429, "{}")
		}
		return reply(429, "{}", "Retry-After", m.retryAfter)
	}
	calls := make(chan int)
	var wg sync.WaitGroup
	failed := 0
	for range 48 {
		wg.Go(func() {
			for range calls {
				status, err := send(t, p, request(t.Context(), "GET", "x", ""))
				if status != 200 || err != nil {
					mu.Lock()
					failed++
					mu.Unlock()
				}
			}
		})
	}
	for i := range m.calls {
		calls <- i
	}
	close(calls)
	wg.Wait()
	return simulated{use: float64(m.calls) / m.capacity(time.Since(begin)), refused: float64(refused) / float64(attempts), failed: failed}
}

// movingLevels are limits as they move, of which each sync sees a few.
var movingLevels = [][]float64{
	{5, 200}, {200, 5}, {50, 180, 20, 120}, {5, 40, 200, 10, 100}, {100, 60, 140, 200, 5, 80}, {200, 150, 100, 50, 25},
}

// TestFollowsAHiddenLimit holds the pace to what it reaches with each kind of limit, with some to spare: the order in which
// calls start is not the same in each run.
func TestFollowsAHiddenLimit(t *testing.T) {
	small := func() serverLimit { return &tokenBucket{burst: 0.1} }
	none := func() serverLimit { return noLimit{} }
	tests := []struct {
		name    string
		limit   func() serverLimit
		levels  [][]float64
		retry   string
		latency time.Duration
		stray   float64
		use     float64 // at least
		refused float64 // at most
	}{
		{"bucket", small, movingLevels, "1", 30 * time.Millisecond, 0, 0.8, 0.01},
		{"bucket, no Retry-After", small, movingLevels, "", 30 * time.Millisecond, 0, 0.8, 0.01},
		{"bucket, fast answers", small, movingLevels, "1", 3 * time.Millisecond, 0, 0.8, 0.01},
		{"bucket, slow answers", small, movingLevels, "1", 100 * time.Millisecond, 0, 0.4, 0.025},
		{"bucket of a second", func() serverLimit { return &tokenBucket{burst: 1} }, movingLevels, "1", 30 * time.Millisecond, 0, 0.5, 0.025},
		{"sliding second", func() serverLimit { return &slidingWindow{window: time.Second} }, movingLevels, "1", 30 * time.Millisecond, 0, 0.6, 0.015},
		{"fixed second", func() serverLimit { return &fixedWindow{window: time.Second} }, movingLevels, "1", 30 * time.Millisecond, 0, 0.6, 0.015},
		{"fixed second, no Retry-After", func() serverLimit { return &fixedWindow{window: time.Second} }, movingLevels, "", 30 * time.Millisecond, 0, 0.6, 0.015},
		{"fixed minute", func() serverLimit { return &fixedWindow{window: time.Minute} }, [][]float64{{20}, {50}}, "30", 30 * time.Millisecond, 0, 0.7, 0.05},
		{"steady", small, [][]float64{{5}, {20}, {60}, {200}}, "1", 30 * time.Millisecond, 0, 0.9, 0.03},
		{"stray alone", none, [][]float64{{1e6}}, "1", 100 * time.Millisecond, 0.04, 0.6, 0.05},
		{"stray alone, slow answers", none, [][]float64{{1e6}}, "1", 300 * time.Millisecond, 0.04, 0.7, 0.05},
	}
	for _, test := range tests {
		for _, levels := range test.levels {
			t.Run(fmt.Sprintf("%s/%v", test.name, levels), func(t *testing.T) {
				var sum simulated
				for n := 1.0; n <= 3; n++ { // one run alone may be unlucky
					synctest.Test(t, func(t *testing.T) {
						m := &simulation{limit: test.limit(), levels: levels, hold: 30 * time.Second, latency: test.latency,
							retryAfter: test.retry, stray: test.stray, calls: 5000}
						if raceDetected { // which slows all this down tenfold
							m.calls = 300
						}
						s := &service{}
						got := m.run(t, testPacer(t, s, m.pacing), s)
						t.Logf("%s", got)
						sum = simulated{use: sum.use + got.use, refused: sum.refused + got.refused, failed: sum.failed + got.failed}
					})
					if raceDetected || sum.use/n >= test.use && sum.refused/n <= test.refused {
						break
					}
					if n == 3 {
						t.Errorf("on average %s; want use %.2f, 429s %.1f %%", simulated{use: sum.use / n, refused: sum.refused / n}, test.use, 100*test.refused)
					}
				}
				if sum.failed > 0 {
					t.Errorf("%d calls failed", sum.failed)
				}
			})
		}
	}
}

// BenchmarkHiddenLimit runs 5,000 calls against a limit that moves, in real time, and reports which share of it was used
// (a client that knows the limit uses all of it) and which share of the calls was answered 429.
func BenchmarkHiddenLimit(b *testing.B) {
	for name, limit := range map[string]func() serverLimit{
		"bucket":       func() serverLimit { return &tokenBucket{burst: 0.1} },
		"fixed-second": func() serverLimit { return &fixedWindow{window: time.Second} },
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				m := &simulation{limit: limit(), levels: []float64{50, 180, 20, 120}, hold: 30 * time.Second,
					latency: 30 * time.Millisecond, retryAfter: "1", calls: 5000}
				s := &service{}
				got := m.run(b, testPacer(b, s, m.pacing), s)
				b.ReportMetric(got.use, "of-known-limit")
				b.ReportMetric(100*got.refused, "%429")
			}
		})
	}
}
