package unitycatalog

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
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
	hold       time.Duration // of each level, at least
	spread     time.Duration // by how much more a level may hold, at random; the first may then have begun before
	latency    time.Duration
	retryAfter string
	stray      float64 // share of 429s without a limit behind
	calls      int
	pacing     Pacing
	seed       uint64 // of when it begins within a second, how long each answer takes, and which 429s are stray
}

// level returns the limit after a time from the start, and until when it holds.
func (m *simulation) level(after time.Duration) (limit float64, until time.Duration) {
	if m.spread == 0 {
		n := after / m.hold
		return m.levels[int(n)%len(m.levels)], (n + 1) * m.hold
	}
	random := rand.New(rand.NewPCG(m.seed, 4))
	until = -time.Duration(random.Int64N(int64(m.hold)))
	for i := 0; ; i++ {
		if until += m.hold + time.Duration(random.Int64N(int64(m.spread))); until > after {
			return m.levels[i%len(m.levels)], until
		}
	}
}

// capacity returns how many calls the limit lets in until a time from the start.
func (m *simulation) capacity(end time.Duration) (calls float64) {
	const step = 10 * time.Millisecond
	most := float64(m.pacing.withDefaults().MaxConcurrency) / (1.05 * m.latency.Seconds()) // answers take up to a tenth longer
	for t := time.Duration(0); t < end; t += step {
		limit, _ := m.level(t)
		calls += min(limit, most*(1-m.stray)) * step.Seconds()
	}
	return calls
}

type simulated struct {
	use     float64 // share of what the limit lets in
	refused float64 // share of attempts answered 429
	stray   float64 // share of attempts answered 429 without a limit behind
	failed  int
}

func (r simulated) String() string {
	return fmt.Sprintf("use %.3f, 429s %.2f %%", r.use, 100*r.refused)
}

// run sends the calls of a sync by way of p.
func (m *simulation) run(t testing.TB, p *pacer, s *service) simulated {
	return m.serve(s, func(time.Time) (failed int) {
		var mu sync.Mutex
		calls := make(chan int)
		var wg sync.WaitGroup
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
		return failed
	})
}

// serve lets a client send the calls of a sync to s, from a time on, and returns what became of them.
func (m *simulation) serve(s *service, client func(begin time.Time) (failed int)) simulated {
	random := rand.New(rand.NewPCG(m.seed, 2))
	time.Sleep(time.Duration(random.Int64N(int64(time.Second)))) // windows of the server begin at any time
	begin := time.Now()
	var mu sync.Mutex
	refused, stray, attempts := 0, 0, 0
	s.latency = m.latency / 2 // until the server decides
	// decide also returns how long the answer takes: no two the same, so that no two calls are answered at one instant, in
	// an order that is not the same in each run.
	decide := func() (taken bool, answer time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		answer = m.latency/2 + time.Duration(random.Int64N(int64(m.latency/10)))
		attempts++
		limit, _ := m.level(now.Sub(begin))
		switch {
		case random.Float64() < m.stray:
			stray++
		case m.limit.take(now, limit):
			return true, answer
		}
		refused++
		return false, answer
	}
	s.serve = func(int, *http.Request) (*http.Response, error) {
		taken, answer := decide()
		time.Sleep(answer)
		switch {
		case taken:
			return ok()
		case m.retryAfter == "":
			return reply(429, "{}")
		}
		return reply(429, "{}", "Retry-After", m.retryAfter)
	}
	failed := client(begin)
	return simulated{use: float64(m.calls) / m.capacity(time.Since(begin)), failed: failed,
		refused: float64(refused) / float64(attempts), stray: float64(stray) / float64(attempts)}
}

// movingLevels are limits as they move, of which each sync sees a few.
var movingLevels = [][]float64{
	{5, 200}, {200, 5}, {50, 180, 20, 120}, {5, 40, 200, 10, 100}, {100, 60, 140, 200, 5, 80}, {200, 150, 100, 50, 25},
}

// randomLevels returns limits between 5 and 200 calls per second, small ones as often as large ones.
func randomLevels(seed uint64) []float64 {
	random := rand.New(rand.NewPCG(seed, 3))
	levels := make([]float64, 12)
	for i := range levels {
		levels[i] = math.Round(5 * math.Pow(40, random.Float64()))
	}
	return levels
}

// randomSchedules is enough for a test. More show better what a change of the pace is worth.
const randomSchedules = 6

// TestFollowsAHiddenLimit holds the pace to what it reaches with each kind of limit, on average of several ways in which the
// limit moves. The same happens in each run: where calls may overtake another, they are alike.
func TestFollowsAHiddenLimit(t *testing.T) {
	small := func() serverLimit { return &tokenBucket{burst: 0.1} }
	second := func() serverLimit { return &fixedWindow{window: time.Second} }
	none := func() serverLimit { return noLimit{} }
	moving := slices.Clone(movingLevels)
	for seed := range uint64(randomSchedules) {
		moving = append(moving, randomLevels(seed))
	}
	unlimited := slices.Repeat([][]float64{{1e6}}, 6)
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
		{"bucket", small, moving, "1", 30 * time.Millisecond, 0, 0.93, 0.008},
		{"bucket, no Retry-After", small, moving, "", 30 * time.Millisecond, 0, 0.93, 0.008},
		{"bucket, fast answers", small, moving, "1", 3 * time.Millisecond, 0, 0.94, 0.009},
		{"bucket, slow answers", small, moving, "1", 100 * time.Millisecond, 0, 0.9, 0.01},
		{"bucket of a second", func() serverLimit { return &tokenBucket{burst: 1} }, moving, "1", 30 * time.Millisecond, 0, 0.92, 0.011},
		{"sliding second", func() serverLimit { return &slidingWindow{window: time.Second} }, moving, "1", 30 * time.Millisecond, 0, 0.9, 0.009},
		{"fixed second", second, moving, "1", 30 * time.Millisecond, 0, 0.9, 0.009},
		{"fixed second, no Retry-After", second, moving, "", 30 * time.Millisecond, 0, 0.9, 0.009},
		{"fixed minute", func() serverLimit { return &fixedWindow{window: time.Minute} }, [][]float64{{20}, {50}}, "30", 30 * time.Millisecond, 0, 1, 0.02},
		{"steady", small, [][]float64{{5}, {20}, {60}, {200}}, "1", 30 * time.Millisecond, 0, 0.97, 0.011},
		{"stray ones and a bucket", small, moving, "1", 30 * time.Millisecond, 0.04, 0.82, 0.048},
		{"stray ones and fixed seconds", second, moving, "1", 30 * time.Millisecond, 0.04, 0.74, 0.048},
		{"stray alone", none, unlimited, "1", 100 * time.Millisecond, 0.04, 0.86, 0.041},
		{"stray alone, slow answers", none, unlimited, "1", 300 * time.Millisecond, 0.04, 0.89, 0.041},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var sum simulated
			for i, levels := range test.levels {
				synctest.Test(t, func(t *testing.T) {
					m := &simulation{limit: test.limit(), levels: levels, hold: 30 * time.Second, latency: test.latency,
						retryAfter: test.retry, stray: test.stray, calls: 5000, seed: uint64(i)}
					if raceDetected { // which slows all this down tenfold
						m.calls = 300
					}
					s := &service{}
					got := m.run(t, testPacer(t, s, m.pacing), s)
					t.Logf("%v: %s", levels, got)
					sum.use += got.use
					sum.refused += got.refused
					sum.failed += got.failed
				})
			}
			sum.use /= float64(len(test.levels))
			sum.refused /= float64(len(test.levels))
			t.Logf("on average %s", sum)
			if !raceDetected && (sum.use < test.use || sum.refused > test.refused) {
				t.Errorf("on average %s; want use %.2f, 429s %.1f %%", sum, test.use, 100*test.refused)
			}
			if sum.failed > 0 {
				t.Errorf("%d calls failed", sum.failed)
			}
		})
	}
}
