package pace_test

import (
	"testing"
	"time"

	"ucwarden/connector/unitycatalog/pace"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// server refuses, in each whole second, what goes beyond its limit.
type server struct {
	limit  int
	second time.Time
	n      int
}

func (s *server) accepts(now time.Time) bool {
	if second := now.Truncate(time.Second); second != s.second {
		s.second, s.n = second, 0
	}
	s.n++
	return s.n <= s.limit
}

// drive sends calls one after another, each answered after 10 ms, for d, and returns how many were accepted and refused and
// the longest time without a start.
func drive(c *pace.Control, s *server, from time.Time, d time.Duration) (accepted, refused int, pause time.Duration) {
	next := from
	for now := from; now.Before(from.Add(d)); {
		at := next
		if until := c.Earliest(now, 0); until.After(at) {
			at = until
		}
		if at.After(now) {
			pause = max(pause, at.Sub(now))
			now = at
			continue
		}
		c.Start(now)
		answered := now.Add(10 * time.Millisecond)
		if s.accepts(now) {
			accepted++
			c.Accept(now, answered, true)
		} else {
			refused++
			c.Refuse(now, answered, answered.Add(time.Second), true)
		}
		next = now
		if c.Rate() > 0 {
			next = now.Add(c.Interval())
		}
		now = answered
	}
	return accepted, refused, pause
}

// A server that counts calls in whole seconds is used nearly to its limit, and refuses hardly any call.
func TestLearnsAWindow(t *testing.T) {
	c, s := pace.New(0), &server{limit: 40}
	drive(c, s, begin, 10*time.Second)
	accepted, refused, pause := drive(c, s, begin.Add(10*time.Second), time.Minute)
	if accepted < 60*40*9/10 || refused > accepted/50 || pause > time.Second {
		t.Errorf("%d of %d calls accepted, %d refused, pauses of up to %s", accepted, 60*40, refused, pause)
	}
}

// Where calls are refused one after another, whatever the limit may be, they start one at a time, later and later. An answer that got lost
// holds up none, and one that was accepted ends it.
func TestStartsFewWhereAllAreRefused(t *testing.T) {
	const answerTime, horizon = 5 * time.Millisecond, 20 * time.Second
	c, now := pace.New(0), begin
	// next returns when the next call may start, from now on.
	next := func(inFlight int) time.Time {
		at := now
		for at.Sub(now) < horizon {
			until := c.Earliest(at, inFlight)
			if !until.After(at) {
				break
			}
			at = until
		}
		return at
	}
	starts := 0
	for now.Sub(begin) < 30*time.Minute {
		at := next(0)
		c.Start(at)
		starts++
		if now = at; next(1).Sub(now) < horizon && starts > 3 {
			t.Fatalf("another call may start while the %d. is under way", starts)
		}
		now = at.Add(answerTime)
		c.Refuse(at, now, time.Time{}, true)
	}
	if starts < 300 || starts > 400 {
		t.Errorf("%d calls in half an hour", starts)
	}
	at := next(0)
	c.Start(at)
	now = at.Add(time.Millisecond)
	c.Lose(at, now)
	if at = next(0); at.Sub(now) > 6*time.Second {
		t.Errorf("after a call without an answer no other may start for %s", at.Sub(now))
	}
	c.Start(at)
	now = at.Add(answerTime)
	c.Accept(at, now, true)
	if wait := next(0).Sub(now); wait > time.Second {
		t.Errorf("after a call was accepted no other may start for %s", wait)
	}
}

// After the limit moved it is not probed until it may move again. Then a higher one is found soon.
func TestProbesWhenAMoveIsDue(t *testing.T) {
	const second = time.Second
	c, s := pace.New(0), &server{limit: 40}
	drive(c, s, begin, 20*second)
	s.limit = 20
	drive(c, s, begin.Add(20*second), 6*second)
	if _, refused, _ := drive(c, s, begin.Add(26*second), 22*second); refused > 4 {
		t.Errorf("%d of some 440 calls refused within half a minute after the limit fell, when it was known", refused)
	}
	drive(c, s, begin.Add(48*second), 2*second)
	s.limit = 60
	drive(c, s, begin.Add(50*second), 6*second)
	if accepted, _, _ := drive(c, s, begin.Add(56*second), 10*second); accepted < 10*60*8/10 {
		t.Errorf("%d calls accepted in 10 s, 6 s after the limit was raised to 60", accepted)
	}
}
