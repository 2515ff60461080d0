package connector

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
)

type metrics struct {
	syncs    *prometheus.CounterVec
	duration prometheus.Histogram
	grants   prometheus.Counter
	revokes  prometheus.Counter
	failures prometheus.Counter
	leftOut  prometheus.Counter
	recalled prometheus.Counter
	findings *prometheus.CounterVec
	success  *successes
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		syncs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ucwarden_syncs_total", Help: "Syncs by result: done, refused by a guard, error.",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ucwarden_sync_duration_seconds", Help: "Time a sync took, loading included.",
			Buckets: prometheus.ExponentialBuckets(0.05, 3, 12),
		}),
		grants:   prometheus.NewCounter(prometheus.CounterOpts{Name: "ucwarden_grants_added_total", Help: "Grants added in Unity Catalog."}),
		revokes:  prometheus.NewCounter(prometheus.CounterOpts{Name: "ucwarden_grants_removed_total", Help: "Grants removed in Unity Catalog."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "ucwarden_change_failures_total", Help: "Changes that Unity Catalog did not take."}),
		leftOut:  prometheus.NewCounter(prometheus.CounterOpts{Name: "ucwarden_left_out_total", Help: "Objects in scope that could not be read or listed, and that a sync went on without."}),
		recalled: prometheus.NewCounter(prometheus.CounterOpts{Name: "ucwarden_listing_misses_total", Help: "Objects that a listing did not show although they exist."}),
	}
	m.findings = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ucwarden_findings_total", Help: "Findings of syncs, by what they mean for access; each sync counts its own.",
	}, []string{"effect"})
	m.success = newSuccesses()
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.syncs, m.duration, m.grants, m.revokes, m.failures, m.leftOut, m.recalled, m.findings, m.success} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) changed(c policy.Change) {
	m.grants.Add(float64(len(c.Add)))
	m.revokes.Add(float64(len(c.Remove)))
}

// synced counts a sync of these roots that ended with err.
func (m *metrics) synced(roots []policy.Securable, result *Result, err error, took time.Duration) {
	if result != nil && result.Plan != nil && result.Plan.Report != nil {
		for _, f := range result.Plan.Report.Findings {
			m.findings.WithLabelValues(string(f.Effect)).Inc()
		}
	}
	if err == nil && result != nil {
		m.success.note(roots, result)
	}
	switch {
	case err == nil:
		m.syncs.WithLabelValues("done").Inc()
		m.duration.Observe(took.Seconds())
	case policy.CodeOf(err) == policy.CodeRefused:
		m.syncs.WithLabelValues("refused").Inc()
	default:
		m.syncs.WithLabelValues("error").Inc()
	}
}
