package pace

import (
	"slices"
	"time"
)

// stop is what follows a refusal that counts: no call starts but single scouts, one at a time, until one is accepted. So
// a limit that is reached costs no more refusals than there are calls under way, and a few scouts.
//
// Servers that count calls in windows refuse everything until the window ends. Scouts that are refused, and then several
// accepted at once, show such a window and where it ends. From then on a stop lasts until the end of the window, no longer.
type stop struct {
	phase   stopPhase
	trial   bool          // nothing was refused: the scout shows whether more than the known limit is accepted
	first   time.Time     // start of the call whose refusal began it
	refused time.Time     // start of the last call that was refused
	scout   time.Time     // start of the scout under way
	next    time.Time     // when the next scout may start
	gap     time.Duration // between two scouts
	tries   int           // scouts that were refused
	confirm int           // scouts still to be accepted, so that the stop shows a window
	ended   time.Time     // start of the first scout that was accepted

	passed, failed int // calls that were under way when it began, behind the first refused

	// A window of the server began after the first of these times and at the second at the latest, by starts of calls; zero
	// where none shows. Others began whole windows before and after.
	after, boundary time.Time

	accepted []time.Time // starts of the calls accepted in the last seconds, in order
}

type stopPhase int

const (
	stopNone  stopPhase = iota
	stopArmed           // the next call to start is a scout
	stopScout           // a scout is under way
)

const (
	countWindow   = time.Second // of servers that count calls, and of what is counted here
	windowMargin  = 5 * time.Millisecond
	longStop      = countWindow * 11 / 10
	scoutPatience = time.Second // how long calls wait for the answer to a scout
	minScoutGap   = 40 * time.Millisecond
	maxScoutGap   = 120 * time.Millisecond
	maxLongGap    = 5 * time.Second
	confirmations = 2
	maxAccepted   = 4096
)

// begin begins a stop after the refusal of a call. interval is that between two calls which the limit allows, as far as known.
func (s *stop) begin(started, now time.Time, interval time.Duration) {
	s.phase, s.trial, s.first, s.refused, s.tries, s.confirm, s.passed, s.failed = stopArmed, false, started, started, 0, 0, 0, 0
	s.gap = max(minScoutGap, interval-now.Sub(started))
	s.next = now.Add(s.gap)
	if end := s.windowEnd(started); !s.boundary.IsZero() && end.Sub(now) < 3*minScoutGap {
		s.next = s.early(end, now)
	}
}

// early returns when the first scout for the end of a window starts: half-way of what is not known about it, so that it is
// known better afterwards.
func (s *stop) early(end, now time.Time) time.Time {
	if unsure := s.unsure(); unsure > 4*windowMargin && s.gap < maxScoutGap/2 {
		end = end.Add(-windowMargin - unsure/2)
	}
	if end.Before(now) {
		return now
	}
	return end
}

// unsure returns how well it is known when windows begin.
func (s *stop) unsure() time.Duration { return s.boundary.Sub(s.after) }

// windowEnd returns the end of the window in which a call started, with a margin.
func (s *stop) windowEnd(started time.Time) time.Time {
	since := started.Sub(s.boundary)
	into := since % countWindow // of the window
	if into < 0 {
		into += countWindow
	}
	return s.boundary.Add(since - into + countWindow + windowMargin)
}

// windowStart returns about when the window began in which a call started.
func (s *stop) windowStart(started time.Time) time.Time {
	half := s.unsure() / 2
	return s.windowEnd(started.Add(half)).Add(-windowMargin - countWindow - half)
}

// endedWithWindow reports whether the stop ended when the window did in which it began.
func (s *stop) endedWithWindow() bool {
	return !s.boundary.IsZero() && s.ended.After(s.windowEnd(s.first).Add(-s.unsure()-windowMargin-time.Millisecond))
}

// inWindow returns how many calls were accepted in the window in which the stop began.
func (s *stop) inWindow() float64 {
	to := s.first.Add(1)
	switch start := s.windowStart(s.first); {
	case s.boundary.IsZero(), s.unsure() >= minScoutGap && s.tries > 0:
		return s.count(s.refused.Add(-countWindow), to)
	case s.unsure() >= minScoutGap:
		return s.count(s.ended.Add(-countWindow), to)
	case s.first.Sub(start) < s.unsure()+2*windowMargin: // the window before, rather
		return s.count(s.first.Add(-countWindow), to)
	default:
		return s.count(start, to)
	}
}

// narrow notes what the stop showed about when windows begin.
func (s *stop) narrow() {
	if late := s.ended.Sub(s.boundary) % countWindow; late > countWindow/2 { // earlier than thought
		s.boundary = s.boundary.Add(late - countWindow)
	}
	if s.tries > 0 {
		n := s.ended.Sub(s.boundary).Round(countWindow)
		if after := s.refused.Add(-n); after.After(s.after) {
			s.after = after
		}
		s.boundary, s.after = s.boundary.Add(n), s.after.Add(n)
	}
	if s.after.After(s.boundary) {
		s.after = s.boundary.Add(-minScoutGap)
	}
}

// start notes that a call starts.
func (s *stop) start(now time.Time) {
	if s.phase == stopArmed {
		s.phase, s.scout = stopScout, now
	}
}

// waitsUntil returns until when no call may start.
func (s *stop) waitsUntil() time.Time {
	switch s.phase {
	case stopArmed:
		return s.next
	case stopScout:
		return s.scout.Add(scoutPatience)
	}
	return time.Time{}
}

// isScout reports whether a call that started then is a scout whose answer is waited for.
func (s *stop) isScout(started time.Time) bool {
	return s.phase == stopScout && !started.Before(s.scout)
}

// lose arms another scout where one got no answer that shows anything.
func (s *stop) lose(started, now time.Time) {
	if s.isScout(started) {
		s.phase, s.next = stopArmed, now
	}
}

// refuse arms the next scout after one was refused.
func (s *stop) refuse(started, now time.Time) {
	s.tries++
	s.phase, s.refused = stopArmed, started
	if !s.boundary.IsZero() {
		end := s.windowEnd(started)
		if s.tries == 1 {
			s.next = s.early(end, now)
			return
		}
		s.boundary = time.Time{}
		if end.Sub(now) < minScoutGap {
			s.next = end
			return
		}
	}
	if now.Sub(s.first) > longStop {
		s.gap = min(2*s.gap, maxLongGap)
	} else {
		s.gap = min(s.gap*3/2, max(s.gap, maxScoutGap))
	}
	s.next = now.Add(s.gap)
}

// refuseUnderWay notes the refusal of a call that is no scout.
func (s *stop) refuseUnderWay(started time.Time) {
	if s.phase != stopNone && started.After(s.first) {
		s.failed++
	}
}

// accept notes the start of a call that was accepted.
func (s *stop) accept(started time.Time) {
	if s.phase != stopNone && started.After(s.first) && !s.isScout(started) {
		s.passed++
	}
	i := len(s.accepted)
	for i > 0 && s.accepted[i-1].After(started) {
		i--
	}
	s.accepted = slices.Insert(s.accepted, i, started)
	if full := len(s.accepted) >= maxAccepted; full || s.accepted[0].Before(started.Add(-4*countWindow)) {
		old := s.before(started.Add(-3 * countWindow))
		if full {
			old = max(old, maxAccepted/4)
		}
		s.accepted = slices.Delete(s.accepted, 0, old)
	}
}

// before returns how many of the accepted calls that are kept started before a time.
func (s *stop) before(t time.Time) int {
	i, _ := slices.BinarySearchFunc(s.accepted, t, time.Time.Compare)
	return i
}

// count returns how many accepted calls started from one time on and before another.
func (s *stop) count(from, to time.Time) float64 {
	return float64(max(0, s.before(to)-s.before(from)))
}
