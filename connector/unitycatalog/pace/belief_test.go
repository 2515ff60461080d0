package pace

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The way in which a server counts calls, and its limit, show in what it accepts, whichever of them it is.
func TestBeliefFindsTheServer(t *testing.T) {
	const limit = 50.0
	start := time.Date(2026, 1, 1, 0, 0, 0, 321e6, time.UTC)
	saved := func(burst float64) func(time.Time) bool {
		tokens, last := burst*limit, start
		return func(now time.Time) bool {
			tokens = min(burst*limit, tokens+now.Sub(last).Seconds()*limit)
			last = now
			if tokens < 1 {
				return false
			}
			tokens--
			return true
		}
	}
	var let []time.Time
	n, second := 0, start
	servers := map[string]struct {
		kind    wayKind
		burst   float64
		accepts func(time.Time) bool
	}{
		"bucket of 0.1 s": {bucket, 0.1, saved(0.1)},
		"bucket of 1 s":   {bucket, 1, saved(1)},
		"last second": {lastSecond, 0, func(now time.Time) bool {
			for len(let) > 0 && now.Sub(let[0]) >= time.Second {
				let = let[1:]
			}
			if len(let) >= limit {
				return false
			}
			let = append(let, now)
			return true
		}},
		"whole seconds": {wholeSecond, 0, func(now time.Time) bool {
			if s := now.Truncate(time.Second); s != second {
				n, second = 0, s
			}
			n++
			return n <= limit
		}},
	}
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			b := newBelief()
			var calls calls
			// Calls come at twice the limit for some seconds and then at half of it, so that each way refuses others.
			for now, i := start, 0; now.Before(start.Add(30 * time.Second)); i++ {
				calls.start(now)
				s := refused
				if server.accepts(now) {
					s = accepted
				}
				calls.answer(now, s)
				if _, ok := calls.next(now); !ok {
					t.Fatal("a call with an answer is not settled")
				}
				b.learn(now, s == accepted, calls.accepted)
				rate := 2 * limit
				if i/200%2 == 1 {
					rate = limit / 2
				}
				now = now.Add(time.Duration(float64(time.Second) / rate))
			}
			total, right := 0.0, 0.0
			var phase time.Duration
			for _, w := range b.ways {
				total += w.sum
				if w.kind == server.kind && w.burst == server.burst {
					right += w.sum
					if w.sum > total/2 {
						phase = w.phase
					}
				}
			}
			if right < 0.9*total {
				t.Errorf("the way has %.2f of the weight", right/total)
			}
			if got := b.quantile(0.5); got < 0.96*limit || got > 1.04*limit {
				t.Errorf("limit %.1f, want %.0f", got, limit)
			}
			if phase = phase.Round(time.Second/phases) % time.Second; server.kind == wholeSecond && phase != 0 {
				t.Errorf("whole seconds begin %s late", phase)
			}
		})
	}
}

// Refusals that come now and then, whatever the rate, show no limit.
func TestBeliefOfStrayRefusals(t *testing.T) {
	b := newBelief()
	var calls calls
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	random := rand.New(rand.NewPCG(1, 1)) // every 25th call would be just what a limit refuses
	for range 2000 {
		s := accepted
		if random.Float64() < 0.04 {
			s = refused
		}
		calls.start(now)
		calls.answer(now, s)
		calls.next(now)
		stray := b.learn(now, s == accepted, calls.accepted)
		b.noteStray(stray)
		now = now.Add(5 * time.Millisecond)
	}
	if b.stray < 0.02 || b.stray > 0.06 {
		t.Errorf("%.3f of the calls are stray, want 0.04", b.stray)
	}
	if got := b.quantile(0.2); got < 190 {
		t.Errorf("a limit of %.0f where 200 calls a second were accepted", got)
	}
}
