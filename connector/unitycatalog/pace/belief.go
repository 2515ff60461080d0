package pace

import (
	"math"
	"slices"
	"time"
)

// belief weighs hypotheses about the server: each is a way to count calls with a limit. It compares what each says about a call with
// the answer. Those that are contradicted lose weight, and since the limit may move, all limits gain some of it as time passes.
type belief struct {
	limits []float64 // calls per second, rising; the last is noLimit
	prior  []float64 // weight of each limit after a move
	ways   []*way

	at    time.Time // until when buckets have filled
	mixed time.Time // until when moves are allowed for
	quiet bool      // the limit hardly moves now
	blur  float64   // seconds to which the times are known at which calls arrive
	stray float64   // share of calls that are refused without a limit

	shares []float64 // of each limit in all weight; empty: not reckoned
}

const (
	lowest, highest = 1.0, 1000.0 // limits, in calls per second
	step            = 1.015       // from one to the next
	usualLow        = 5           // between these, all limits are as likely, by their logarithm
	usualHigh       = 250
	noLimit         = 1e9 // no client comes near it
	unlimited       = 0.1 // share of its weight, at first

	moveRate       = 1.0 / 60 // how often limits move, in a second,
	quietMoves     = 1.0 / 300
	mixEvery       = 50 * time.Millisecond
	leastWeight    = 1e-4      // of a way, so that it comes back when all others are contradicted
	contradiction  = 0.03      // what an accepted call leaves of the weight of a hypothesis that says it is refused
	strayMemory    = 1.0 / 200 // of one call
	minStray       = 0.01
	maxStray       = 0.1
	negligible     = 1e-3
	blurPerLatency = 0.03
)

func newBelief() *belief {
	b := &belief{stray: 0.03}
	total := 0.0
	for l := lowest; l < highest; l *= step {
		w := min(l/usualLow, 1, usualHigh/l)
		b.limits, b.prior = append(b.limits, l), append(b.prior, w)
		total += w
	}
	b.limits, b.prior = append(b.limits, noLimit), append(b.prior, unlimited*total)
	for i := range b.prior {
		b.prior[i] /= (1 + unlimited) * total
	}
	b.ways = ways(b.limits, b.prior)
	return b
}

// advance lets time pass.
func (b *belief) advance(now time.Time) {
	if b.at.IsZero() {
		b.at, b.mixed = now, now
	}
	passed := now.Sub(b.at).Seconds()
	if passed <= 0 {
		return
	}
	b.at = now
	for _, w := range b.ways {
		w.fill(passed, b.limits)
	}
	since := now.Sub(b.mixed)
	if since < mixEvery {
		return
	}
	b.mixed = now
	moved := moveRate
	if b.quiet {
		moved = quietMoves
	}
	moved *= min(since.Seconds(), 5)
	for _, w := range b.ways {
		before := w.sum
		w.sum = 0
		for i, p := range b.prior {
			w.weight[i] += moved * (before*p - w.weight[i])
			w.sum += w.weight[i]
		}
	}
}

// learn compares the hypotheses with the answer to a call. accepted counts the accepted calls from one time on and before another. It
// returns how likely the refusal was stray.
func (b *belief) learn(started time.Time, ok bool, accepted func(from, to time.Time) float64) (stray float64) {
	b.advance(started)
	b.shares = b.shares[:0]
	total, explained := 0.0, 0.0
	for _, w := range b.ways {
		taken := 0.0
		if w.kind != bucket {
			taken = accepted(w.window(started), started)
		}
		if ok {
			b.learnAccepted(w, taken)
		} else {
			explained += b.learnRefused(w, taken)
		}
		total += w.sum
	}
	b.normalize(total)
	if ok {
		return 0
	}
	refine(b.ways)
	return 1 - explained/total
}

// learnAccepted compares the hypotheses of a way with a call that was accepted.
func (b *belief) learnAccepted(w *way, taken float64) {
	slack := w.slackPerLimit(b.blur)
	for i, l := range b.limits {
		left := l - taken
		if w.kind == bucket {
			left = w.tokens[i]
		}
		p := w.chance(left, slack*l)
		if p >= 1 { // as for all higher limits
			break
		}
		lost := w.weight[i] * min(1-p, 1-contradiction)
		w.weight[i] -= lost
		w.sum -= lost
	}
	w.put(-1)
}

// learnRefused compares the hypotheses of a way with a call that was refused. It returns the weight of what explains that.
func (b *belief) learnRefused(w *way, taken float64) (explained float64) {
	slack := w.slackPerLimit(b.blur)
	w.sum = 0
	for i, l := range b.limits {
		left := l - taken
		if w.kind == bucket {
			left = w.tokens[i]
		}
		p := w.chance(left, slack*l)
		explained += w.weight[i] * min(1-p, 1-b.stray)
		w.weight[i] *= min(1-p+b.stray, 1)
		w.sum += w.weight[i]
	}
	return explained
}

// noteStray notes how likely the refusal of a call was stray, 0 for one that was accepted.
func (b *belief) noteStray(p float64) {
	b.stray = min(max(b.stray+strayMemory*(p-b.stray), minStray), maxStray)
}

// normalize keeps the weight of all hypotheses near 1, and that of each way from vanishing.
func (b *belief) normalize(total float64) {
	scale := 1.0
	if total < 0.5 {
		scale = 1 / total
	}
	for _, w := range b.ways {
		least := max(0, leastWeight-w.sum*scale)
		if scale == 1 && least == 0 {
			continue
		}
		for i, p := range b.prior {
			w.weight[i] = w.weight[i]*scale + least*p
		}
		w.sum = w.sum*scale + least
	}
}

// assume notes a call that was accepted, as far as known, or given back because it was not.
func (b *belief) assume(started time.Time, accepted bool) {
	b.advance(started)
	for _, w := range b.ways {
		if accepted {
			w.put(-1)
		} else {
			w.put(1)
		}
	}
}

// chance returns how likely a call is accepted that starts now. pending are the starts of those that were not learned, which may all
// be accepted.
func (b *belief) chance(now time.Time, pending []time.Time, accepted func(from, to time.Time) float64) float64 {
	p, total := 0.0, 0.0
	passed := max(0, now.Sub(b.at).Seconds())
	for _, w := range b.ways {
		if w.sum < negligible {
			continue
		}
		total += w.sum
		p += w.sum
		slack, taken := w.slackPerLimit(b.blur), float64(len(pending))
		if w.kind != bucket {
			from := w.window(now)
			before, _ := slices.BinarySearchFunc(pending, from, time.Time.Compare)
			taken += accepted(from, now) - float64(before)
		}
		for i, l := range b.limits {
			left := l - taken
			if w.kind == bucket {
				left = max(0, min(w.most[i], w.tokens[i]+passed*l-taken))
			}
			c := w.chance(left, slack*l)
			if c >= 1 { // as for all higher limits
				break
			}
			p -= w.weight[i] * (1 - c)
		}
	}
	return p / total
}

// share returns the share of each limit in all weight.
func (b *belief) share() []float64 {
	if len(b.shares) > 0 {
		return b.shares
	}
	b.shares = append(b.shares, make([]float64, len(b.limits))...)
	total := 0.0
	for _, w := range b.ways {
		if w.sum < negligible {
			continue
		}
		total += w.sum
		for i, x := range w.weight {
			b.shares[i] += x
		}
	}
	for i := range b.shares {
		b.shares[i] /= total
	}
	return b.shares
}

// quantile returns the limit below which so much of the weight is.
func (b *belief) quantile(share float64) float64 {
	sum := 0.0
	for i, s := range b.share() {
		if sum+s < share {
			sum += s
			continue
		}
		if l := b.limits[i]; i == 0 || l == noLimit {
			return l
		}
		return b.limits[i-1] * math.Pow(step, (share-sum)/s)
	}
	return noLimit
}

// above returns how much of the weight limits from one on have.
func (b *belief) above(limit float64) (sum float64) {
	i, _ := slices.BinarySearch(b.limits, limit)
	for _, s := range b.share()[i:] {
		sum += s
	}
	return sum
}

// saved returns how many calls are saved up if a limit holds.
func (b *belief) saved(limit float64) (n float64) {
	i, _ := slices.BinarySearch(b.limits, limit)
	total := 0.0
	for _, w := range b.ways {
		total += w.sum
		if w.kind == bucket {
			n += w.sum * w.tokens[min(i, len(b.limits)-2)]
		}
	}
	return n / total
}
