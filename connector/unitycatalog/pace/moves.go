package pace

import (
	"math"
	"time"
)

// Limits that move, because others begin or end to work, mostly hold for half a minute at least. So a probe soon after a move shows
// nothing new, and one half a minute after it is worth most.
const (
	quietTime    = 29 * time.Second // after a move there is no probe, once what was measured is confirmed
	dueTime      = 31 * time.Second // from then on probes become rarer, as long as they find the limit where it was
	dueGap       = time.Second      // between the first of them
	dueGapGrowth = 1.5
	dueProbes    = 8
	confirmTime  = 2 * time.Second // from a move to the probe that confirms what was measured
	settleTime   = 5 * time.Second // what is measured within this time after a move corrects it

	fallen, raised = 0.8, 1.25 // times the limit before: a move; between them it is where it was
)

// moves is what is known about when the limit moved.
type moves struct {
	limit     float64       // as last measured
	since     time.Time     // when it was measured first, or moved
	confirmed bool          // it was measured again since, about the same
	at        time.Time     // when it moved, at the earliest; zero: not known
	unsure    time.Duration // how much later it may have been
	probes    int           // that found it where it was, since a move is due

	notFallen time.Time // start of the last call that showed that it had not fallen
	notRaised time.Time // of the last that showed that it had not been raised
}

// measured notes a limit that was measured by the refusal of a call that started then.
func (m *moves) measured(limit float64, started time.Time) {
	down, up := limit < fallen*m.limit, limit > raised*m.limit
	switch {
	case m.limit == 0:
		m.since = started
	case (down || up) && started.Sub(m.since) < settleTime:
		m.confirmed, m.probes = false, 0
	case down:
		m.move(m.notFallen, started)
	case up:
		m.move(m.notRaised, started)
	default:
		m.confirmed = true
		if started.Sub(m.at) > dueTime+m.unsure {
			m.probes++
		}
	}
	m.limit, m.notRaised = limit, started
}

// move notes that the limit moved between two times.
func (m *moves) move(after, before time.Time) {
	m.at, m.unsure, m.since = after, before.Sub(after), before
	m.confirmed, m.probes = false, 0
}

// quiet reports whether the limit moved so short a time before that it hardly moves again.
func (m *moves) quiet(now time.Time) bool {
	return m.confirmed && !m.at.IsZero() && now.Sub(m.at) < quietTime
}

// gap returns the time from one probe to the next that follows from when the limit moved; zero: nothing follows.
func (m *moves) gap() time.Duration {
	switch {
	case m.at.IsZero(), m.probes >= dueProbes:
		return 0
	case !m.confirmed:
		return confirmTime
	}
	return time.Duration(float64(dueGap) * math.Pow(dueGapGrowth, float64(m.probes)))
}
