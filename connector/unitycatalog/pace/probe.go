package pace

import (
	"math"
	"time"
)

// Bounds of the time from one probe to the next.
const (
	longestGap  = 10 * time.Second // at startRate and above; shorter the further the rate is below, because there is more to gain
	gapExponent = 0.7
	minGap      = time.Second

	// Refusals that may be earned later: a probe costs one or two at the low rates where it is worth most. Where a move is due, it
	// is worth more.
	overdraft    = 10
	dueOverdraft = 20

	// Of servers that count windows, a probe costs more: what is under way and single calls until the window ends.
	windowGap          = 2 * time.Second
	windowProbeCost    = 3
	windowDueOverdraft = 12

	maxGap = 15 * time.Second
)

// countsWindows reports whether the server is known to count the calls of a second, whole or the last.
func (c *Control) countsWindows() bool { return c.exact || !c.stop.boundary.IsZero() }

// climbPeriod returns the seconds in which the rate doubles: more while the limit may be near, and the more calls are under
// way that would be refused with the first.
func (c *Control) climbPeriod() float64 {
	if grown := c.rate / c.base; c.known > 0 {
		switch {
		case c.slow:
			return 2
		case !c.stop.boundary.IsZero() && grown < 1.5: // in a window it shows only near the end
			return min(max(c.known/20, 0.5), 2)
		case grown < 1.3:
			return min(max(c.known/100, 0.5), 1.5)
		}
	}
	switch underWay := c.rate * c.latency; {
	case underWay < 1:
		return 0.25
	case underWay < 2:
		return 0.4
	case underWay < 3:
		return 0.6
	case c.known == 0: // a high limit, or none, must be found soon
		return 0.9
	}
	return 1.3
}

// holdTime returns the time from one probe to the next: long enough to earn what a probe costs, but short when a move is due, and
// until then where the limit moved shortly before.
func (c *Control) holdTime(now time.Time) time.Duration {
	if c.moves.quiet(now) {
		return c.held + c.moves.at.Add(quietTime).Sub(now)
	}
	gap := max(minGap, time.Duration(float64(longestGap)*math.Pow(c.rate/max(c.peak, startRate), gapExponent)))
	missing, plenty, most := -overdraft-c.budget, float64(-overdraft), float64(dueOverdraft)
	if c.countsWindows() {
		gap, missing, plenty, most = windowGap, windowProbeCost-c.budget, firstBudget/2, windowDueOverdraft
	}
	if due := c.moves.gap(); due > 0 && c.budget > -most {
		return min(due, gap)
	}
	switch {
	case c.budget > plenty:
		return gap
	case missing <= 0:
		return 2 * gap
	}
	return min(2*gap+time.Duration(missing/budgetPerCall/c.rate*float64(time.Second)), maxGap)
}
