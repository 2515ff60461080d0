package pace

import (
	"slices"
	"time"
)

// calls are those of the last seconds, in order of their starts. Each is settled once what became of it and of those before it is known, or
// an answer is so late that it is taken to be accepted.
type calls struct {
	all     []sent
	settled int // so many of all, from the first
	waiting []time.Time
}

type sent struct {
	started time.Time
	state   state
}

type state int

const (
	underWay state = iota
	accepted
	refused
	lost // without an answer that shows whether it was refused
)

const keepCalls = 2 * time.Second

// start notes that a call starts.
func (c *calls) start(now time.Time) {
	c.all = append(c.all, sent{started: now})
	if half := len(c.all) / 2; half > 32 && half < c.settled && now.Sub(c.all[half].started) > keepCalls {
		c.all = slices.Delete(c.all, 0, half)
		c.settled -= half
	}
}

// answer notes what became of a call. It reports whether it was settled before.
func (c *calls) answer(started time.Time, s state) (late bool) {
	i, _ := slices.BinarySearchFunc(c.all, started, func(s sent, t time.Time) int { return s.started.Compare(t) })
	for ; i < len(c.all) && c.all[i].started.Equal(started); i++ {
		if c.all[i].state == underWay {
			c.all[i].state = s
			return i < c.settled
		}
	}
	return false
}

// next returns the next call that can be settled. One that is under way can if it started before a time, and one behind it was answered.
func (c *calls) next(overdue time.Time) (s sent, ok bool) {
	if c.settled == len(c.all) {
		return sent{}, false
	}
	s = c.all[c.settled]
	if s.state == underWay {
		passed := slices.ContainsFunc(c.all[c.settled:], func(s sent) bool { return s.state != underWay })
		if !passed || !s.started.Before(overdue) {
			return sent{}, false
		}
	}
	c.settled++
	return s, true
}

// accepted returns how many settled calls were accepted, as far as known, that started from one time on and before another.
func (c *calls) accepted(from, to time.Time) (n float64) {
	for i := c.settled - 1; i >= 0 && !c.all[i].started.Before(from); i-- {
		if s := c.all[i]; s.started.Before(to) && (s.state == accepted || s.state == underWay) {
			n++
		}
	}
	return n
}

// pending returns the starts of the calls that are not settled and may be accepted.
func (c *calls) pending() []time.Time {
	c.waiting = c.waiting[:0]
	for _, s := range c.all[c.settled:] {
		if s.state == underWay || s.state == accepted {
			c.waiting = append(c.waiting, s.started)
		}
	}
	return c.waiting
}

// lastStart returns when the last call started.
func (c *calls) lastStart() time.Time {
	if len(c.all) == 0 {
		return time.Time{}
	}
	return c.all[len(c.all)-1].started
}
