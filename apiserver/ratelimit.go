package apiserver

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxSubjects bounds the memory of a limiter. Only subjects of verified tokens are counted.
const maxSubjects = 10_000

// limiter limits the rate of calls per subject. A nil limiter allows everything.
type limiter struct {
	rate  rate.Limit
	burst int

	mu       sync.Mutex
	subjects map[string]*rate.Limiter
}

func newLimiter(perSecond float64, burst int) *limiter {
	if perSecond < 0 {
		return nil
	}
	return &limiter{rate: rate.Limit(perSecond), burst: burst, subjects: make(map[string]*rate.Limiter)}
}

// allow reports whether the subject may make a call now, and counts it; otherwise wait is how long to wait.
func (l *limiter) allow(subject string) (wait time.Duration, ok bool) {
	if l == nil {
		return 0, true
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	lim, found := l.subjects[subject]
	if !found {
		if len(l.subjects) >= maxSubjects {
			l.evict(now)
		}
		lim = rate.NewLimiter(l.rate, l.burst)
		l.subjects[subject] = lim
	}
	r := lim.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, false
	}
	return 0, true
}

// evict removes the subjects that have their full burst again, for whom a new entry would be the same. If there is none,
// it removes any one.
func (l *limiter) evict(now time.Time) {
	for subject, lim := range l.subjects {
		if lim.TokensAt(now) >= float64(l.burst) {
			delete(l.subjects, subject)
		}
	}
	for subject := range l.subjects {
		if len(l.subjects) < maxSubjects {
			break
		}
		delete(l.subjects, subject)
	}
}
