package audit

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
)

type metrics struct {
	changes  *prometheus.CounterVec
	failures prometheus.Counter
	syncs    prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ucwarden_audited_changes_total", Help: "Lines of the audit trail, one for each grant added or removed, by act and result.",
		}, []string{"act", "result"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ucwarden_audit_failures_total", Help: "Writes of the audit trail that failed; nothing is changed until one succeeds.",
		}),
		syncs: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ucwarden_audit_sync_seconds", Help: "Time that changes waited until their intents were on disk.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 3, 10),
		}),
	}
	for _, act := range []policy.Act{policy.ActAdd, policy.ActRemove} { // an increase is seen only of what was there before
		for _, result := range []Result{ResultApplied, ResultRefused, ResultGone, ResultAbsent, ResultUnknown} {
			m.changes.WithLabelValues(string(act), string(result))
		}
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.changes, m.failures, m.syncs} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}
