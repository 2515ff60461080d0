package connector

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/connector/apply"
	"ucwarden/policy"
)

// successes keeps when each catalog was last synced as a whole, with no change that failed and nothing that could not be read. It
// is itself the prometheus.Collector of that.
type successes struct {
	at, age *prometheus.Desc

	mu   sync.Mutex
	last map[string]time.Time // by catalog
}

func newSuccesses() *successes {
	labels := []string{"catalog"}
	return &successes{
		at:   prometheus.NewDesc("ucwarden_last_success_timestamp_seconds", "When all of a catalog was last synced without a failure; none before the first time since the start.", labels, nil),
		age:  prometheus.NewDesc("ucwarden_last_success_age_seconds", "Seconds since all of a catalog was last synced without a failure.", labels, nil),
		last: make(map[string]time.Time),
	}
}

// note notes a sync of roots that ended without an error.
func (s *successes) note(roots []policy.Securable, result *Result) {
	clean := len(result.Unread) == 0 && len(result.Unprotected) == 0 && !slices.ContainsFunc(result.Outcomes, func(o apply.Outcome) bool { return o.Err != nil })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, root := range roots {
		switch {
		case root.Type != policy.Catalog:
		case slices.Contains(result.Missing, root):
			delete(s.last, root.FullName)
		case clean:
			s.last[root.FullName] = time.Now()
		}
	}
}

// Describe implements prometheus.Collector.
func (s *successes) Describe(c chan<- *prometheus.Desc) { c <- s.at; c <- s.age }

// Collect implements prometheus.Collector.
func (s *successes) Collect(c chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for catalog, at := range s.last {
		c <- prometheus.MustNewConstMetric(s.at, prometheus.GaugeValue, float64(at.UnixMilli())/1000, catalog)
		c <- prometheus.MustNewConstMetric(s.age, prometheus.GaugeValue, time.Since(at).Seconds(), catalog)
	}
}
