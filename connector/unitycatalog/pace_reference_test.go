package unitycatalog

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// reference sends the calls of a sync as a client does that knows the limit at each instant, and that it moves when it does.
// Calls start evenly at a share of the limit, as many at once as the pacer allows. One that is refused is sent again before all
// others, after its Retry-After.
func (m *simulation) reference(t testing.TB, s *service, share float64) simulated {
	return m.serve(s, func(begin time.Time) (failed int) {
		slots := make(chan struct{}, m.pacing.withDefaults().MaxConcurrency)
		retries := make(chan struct{}, m.calls)
		var done sync.WaitGroup // one for each call
		done.Add(m.calls)
		finished := make(chan struct{})
		go func() {
			done.Wait()
			close(finished)
		}()
		retryAfter, _ := strconv.Atoi(m.retryAfter)
		last := begin.Add(-time.Hour)
		for unsent := m.calls; ; {
			m.waitTurn(begin, last, share)
			slots <- struct{}{}
			select {
			case <-retries:
			default:
				if unsent == 0 {
					select {
					case <-finished:
						return 0
					case <-retries:
					}
					break
				}
				unsent--
			}
			last = time.Now()
			go func() {
				resp, err := s.RoundTrip(request(t.Context(), http.MethodGet, "x", ""))
				<-slots
				if err != nil {
					t.Error(err)
					done.Done()
					return
				}
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					done.Done()
					return
				}
				time.Sleep(time.Duration(retryAfter) * time.Second)
				retries <- struct{}{}
			}()
		}
	})
}

// waitTurn waits until the share of the limit allows another start after the last one.
func (m *simulation) waitTurn(begin, last time.Time, share float64) {
	for {
		now := time.Now()
		limit, until := m.level(now.Sub(begin))
		// A client with a whole interval behind it may start; the limit before a move counts until then.
		next := last.Add(time.Duration(float64(time.Second) / (share * limit)))
		if move := begin.Add(until); next.After(move) {
			next = move
		}
		if !next.After(now) {
			return
		}
		time.Sleep(next.Sub(now))
	}
}

// referenceShares are the shares of the limit that the reference may choose from. At the limit itself a server may refuse every
// other call, because a time is cut to whole nanoseconds.
var referenceShares = []float64{1, 0.999, 0.99, 0.98, 0.95, 0.9}

// BenchmarkHiddenLimit runs syncs of 5,000 calls against limits that move, in simulated time: one an iteration, each with other
// moves. It reports how much of the limit they used, how much compared with the reference, and how many of the calls were
// answered 429, by the reference too. The reference uses the share of the limit at which it uses most with no more than 1 % of
// refusals, stray ones aside.
func BenchmarkHiddenLimit(b *testing.B) {
	kinds := []struct {
		name  string
		limit func() serverLimit
		stray []float64
	}{
		{"bucket-of-0.1s", func() serverLimit { return &tokenBucket{burst: 0.1} }, []float64{0, 0.01, 0.04}},
		{"bucket-of-1s", func() serverLimit { return &tokenBucket{burst: 1} }, []float64{0}},
		{"last-second", func() serverLimit { return &slidingWindow{window: time.Second} }, []float64{0}},
		{"whole-seconds", func() serverLimit { return &fixedWindow{window: time.Second} }, []float64{0, 0.04}},
	}
	for _, kind := range kinds {
		for _, stray := range kind.stray {
			for _, latency := range []time.Duration{3 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond} {
				for _, spread := range []time.Duration{0, 30 * time.Second} {
					name := fmt.Sprintf("%s/%s", kind.name, latency)
					if stray > 0 {
						name += fmt.Sprintf("/stray=%.2f", stray)
					}
					if spread > 0 {
						name += "/holds-30-to-60s"
					}
					b.Run(name, func(b *testing.B) {
						compare(b, func(seed int) *simulation {
							return &simulation{limit: kind.limit(), levels: randomLevels(uint64(seed)), hold: 30 * time.Second, spread: spread,
								latency: latency, retryAfter: "1", stray: stray, calls: 5000, seed: uint64(seed)}
						})
					})
				}
			}
		}
	}
}

// firstSeed is that of the first sync of the benchmark; smaller ones were used while the control was made.
const firstSeed = 10000

// compare runs b.N syncs by our pace and by the reference, and reports the means.
func compare(b *testing.B, simulate func(seed int) *simulation) {
	mean := func(run func(*testing.T, *simulation) simulated) (sum simulated) {
		for i := range b.N {
			simulatedTime(b, func(t *testing.T) {
				got := run(t, simulate(firstSeed+i))
				sum.use += got.use / float64(b.N)
				sum.refused += got.refused / float64(b.N)
				sum.stray += got.stray / float64(b.N)
				sum.failed += got.failed
			})
		}
		return sum
	}
	ours := mean(func(t *testing.T, m *simulation) simulated {
		s := &service{}
		return m.run(t, testPacer(t, s, m.pacing), s)
	})
	b.StopTimer()
	var best simulated
	for _, share := range referenceShares {
		got := mean(func(t *testing.T, m *simulation) simulated { return m.reference(t, &service{}, share) })
		if best.use > 0 && got.use < best.use {
			break
		}
		if got.refused-got.stray <= 0.01 {
			best = got
		}
	}
	if ours.failed > 0 {
		b.Errorf("%d calls failed", ours.failed)
	}
	b.ReportMetric(0, "ns/op") // of no use here
	b.ReportMetric(ours.use, "of-limit")
	b.ReportMetric(ours.use/best.use, "of-reference")
	b.ReportMetric(100*ours.refused, "%429")
	b.ReportMetric(100*best.refused, "%429-reference")
}

// simulatedTime runs f in a bubble of simulated time, which only tests have.
func simulatedTime(b *testing.B, f func(*testing.T)) {
	all := func(string, string) (bool, error) { return true, nil }
	if !testing.RunTests(all, []testing.InternalTest{{Name: b.Name(), F: func(t *testing.T) { synctest.Test(t, f) }}}) {
		b.Fatal("a simulated sync failed")
	}
}
