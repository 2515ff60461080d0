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
		rate, answered := c.Rate(), now.Add(10*time.Millisecond)
		if s.accepts(now) {
			accepted++
			c.Accept(now, rate, answered, true)
		} else {
			refused++
			c.Refuse(now, rate, answered, answered.Add(time.Second), true)
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

// After a refusal calls start one at a time, until one is accepted.
func TestStopsAfterARefusal(t *testing.T) {
	c, now := pace.New(0), begin
	for range 10 {
		c.Start(now)
		c.Accept(now, c.Rate(), now.Add(5*time.Millisecond), true)
		now = now.Add(c.Interval())
	}
	c.Start(now)
	c.Refuse(now, c.Rate(), now.Add(5*time.Millisecond), time.Time{}, true)
	scout := c.Earliest(now.Add(5*time.Millisecond), 0)
	if !scout.After(now.Add(5 * time.Millisecond)) {
		t.Fatal("calls start at once after a refusal")
	}
	c.Start(scout)
	if at := c.Earliest(scout, 1); at.Sub(scout) < 500*time.Millisecond {
		t.Errorf("another call may start %s after the first, which has no answer", at.Sub(scout))
	}
	c.Lose(scout, scout.Add(time.Millisecond))
	again := scout.Add(2 * time.Millisecond)
	if at := c.Earliest(again, 0); at.After(again) {
		t.Errorf("after a call without an answer no other may start for %s", at.Sub(again))
	}
	c.Start(again)
	if !c.Accept(again, c.Rate(), again.Add(5*time.Millisecond), true) {
		t.Error("the answer was not waited for")
	}
	if at := c.Earliest(again.Add(5*time.Millisecond), 0); at.After(again.Add(time.Second)) {
		t.Errorf("no call may start until %s", at)
	}
}

// After the limit moved it is not probed until it may move again. Then a higher one is found soon.
func TestProbesWhenAMoveIsDue(t *testing.T) {
	const second = time.Second
	c, s := pace.New(0), &server{limit: 40}
	drive(c, s, begin, 20*second)
	s.limit = 20
	drive(c, s, begin.Add(20*second), 6*second)
	if _, refused, _ := drive(c, s, begin.Add(26*second), 22*second); refused > 0 {
		t.Errorf("%d calls refused within half a minute after the limit fell, when it was known", refused)
	}
	drive(c, s, begin.Add(48*second), 2*second)
	s.limit = 60
	drive(c, s, begin.Add(50*second), 6*second)
	if accepted, _, _ := drive(c, s, begin.Add(56*second), 10*second); accepted < 10*60*8/10 {
		t.Errorf("%d calls accepted in 10 s, 6 s after the limit was raised to 60", accepted)
	}
}
