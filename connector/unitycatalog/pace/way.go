package pace

import (
	"slices"
	"time"
)

// way is a way in which a server may count calls, with a weight for each limit.
type way struct {
	kind   wayKind
	burst  float64       // of a bucket, in seconds of the limit
	phase  time.Duration // when whole seconds begin, at the earliest,
	spread time.Duration // and by how much later they may

	weight []float64 // of each limit
	sum    float64   // of weight
	tokens []float64 // calls that are saved up in the bucket, for each limit
	most   []float64 // of them
}

type wayKind int

const (
	bucket      wayKind = iota // fills at the limit, and each call takes one
	lastSecond                 // the calls of the second before each count
	wholeSecond                // the calls of each whole second count, by the server's clock
)

const (
	phases    = 16 // hypotheses on when whole seconds begin
	minSpread = 8 * time.Millisecond

	// How many calls a server may let in more or less than its limit says, where a hypothesis fits: a part that is the same for all limits,
	// for limits lie between those of the hypotheses, and one in seconds of the limit, for calls arrive neither evenly nor in order.
	slack           = 0.2
	lastSecondSlack = 0.02
	wholeSlack      = 0.01
)

// ways returns all ways, each with its share of the weight.
func ways(limits, prior []float64) (all []*way) {
	add := func(share float64, w way) {
		w.sum = share
		w.weight = make([]float64, len(limits))
		for i, p := range prior {
			w.weight[i] = p * share
		}
		if w.kind == bucket {
			w.most = make([]float64, len(limits))
			for i, l := range limits {
				w.most[i] = max(1, w.burst*l)
			}
			w.tokens = slices.Clone(w.most)
		}
		all = append(all, &w)
	}
	for _, burst := range []float64{0.1, 0.3, 1} {
		add(0.2, way{kind: bucket, burst: burst})
	}
	add(0.2, way{kind: lastSecond})
	for i := range phases {
		add(0.2/phases, way{kind: wholeSecond, phase: time.Duration(i) * time.Second / phases, spread: time.Second / phases})
	}
	return all
}

// window returns when the time began of which the calls count together with one that starts then.
func (w *way) window(started time.Time) time.Time {
	if w.kind == lastSecond {
		return started.Add(1 - time.Second)
	}
	into := time.Duration(started.UnixNano()-int64(w.phase+w.spread/2)) % time.Second
	return started.Add(-into)
}

// slackPerLimit returns the slack in seconds of the limit, where times of arrival are known to so many seconds.
func (w *way) slackPerLimit(blur float64) float64 {
	switch w.kind {
	case lastSecond:
		return blur + lastSecondSlack
	case wholeSecond:
		return blur + wholeSlack + w.spread.Seconds()/2
	}
	return blur
}

// chance returns how likely a call is accepted if left calls are, some slack more or less.
func (w *way) chance(left, slackOfLimit float64) float64 {
	switch w.kind {
	case bucket:
		left += slackOfLimit + slack - 1
	case lastSecond: // calls that arrive later than others count longer
		left += slackOfLimit + (slack-1)/2
	case wholeSecond:
		left += (slackOfLimit + slack - 1) / 2
	}
	return min(max(left/(slackOfLimit+slack), 0), 1)
}

// fill lets the bucket fill.
func (w *way) fill(seconds float64, limits []float64) {
	for i, t := range w.tokens {
		w.tokens[i] = min(w.most[i], t+seconds*limits[i])
	}
}

// put adds n calls to the bucket, or takes them.
func (w *way) put(n float64) {
	for i, t := range w.tokens {
		w.tokens[i] = min(max(0, t+n), w.most[i])
	}
}

// refine gives the place of a phase that has no weight to one half of that with the most, so that by and by it is known better when whole
// seconds begin.
func refine(ways []*way) {
	var slots []*way
	sum, total := 0.0, 0.0
	for _, w := range ways {
		total += w.sum
		if w.kind == wholeSecond {
			slots = append(slots, w)
			sum += w.sum
		}
	}
	slices.SortFunc(slots, func(a, b *way) int { return int(a.phase - b.phase) })
	best := slices.MaxFunc(slots, func(a, b *way) int {
		if a.sum < b.sum {
			return -1
		}
		return 1
	})
	const likely, unlikely = 0.3, 0.01
	if sum < likely*total || best.spread <= minSpread {
		return
	}
	for i, w := range slots {
		next := slots[(i+1)%len(slots)]
		if w != best && next != best && w.sum < unlikely*sum && next.sum < unlikely*sum {
			w.join(next)
			best.halve(next)
			return
		}
	}
}

// join takes over the phases of the way behind.
func (w *way) join(next *way) {
	w.spread += next.spread
	for i, x := range next.weight {
		w.weight[i] += x
	}
	w.sum += next.sum
}

// halve gives the later half of the phases to another way.
func (w *way) halve(other *way) {
	half := w.spread / 2
	other.phase, other.spread = (w.phase+half)%time.Second, w.spread-half
	w.spread = half
	for i := range w.weight {
		w.weight[i] /= 2
	}
	w.sum /= 2
	copy(other.weight, w.weight)
	other.sum = w.sum
}
