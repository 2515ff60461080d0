package source

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source/content"
)

// metrics are the metrics of a source, each with the constant label source.
type metrics struct {
	loads    *prometheus.CounterVec // by result
	failures *prometheus.CounterVec // by class of error
}

// newMetrics creates the metrics of a store and registers them, if there is a registerer.
func newMetrics(store *snapshotStore, reg prometheus.Registerer) (*metrics, error) {
	labels := prometheus.Labels{"source": store.kind}
	m := &metrics{
		loads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ucwarden_policy_loads_total", ConstLabels: labels,
			Help: "Policy loads that succeeded, by result: changed or unchanged.",
		}, []string{"result"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ucwarden_policy_load_failures_total", ConstLabels: labels,
			Help: "Policy loads that failed or were refused, by reason; the snapshot in force stayed.",
		}, []string{"reason"}),
	}
	for _, result := range []string{"changed", "unchanged"} { // an increase is seen only of what was there before
		m.loads.WithLabelValues(result)
	}
	if reg == nil {
		return m, nil
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value)
	}
	ofSnapshot := func(value func(*ranger.Snapshot) float64) func() float64 {
		return func() float64 {
			if s := store.Current(); s != nil {
				return value(s)
			}
			return 0
		}
	}
	for _, c := range []prometheus.Collector{
		m.loads, m.failures,
		gauge("ucwarden_policy_snapshot_stale_seconds", "Seconds since the source last confirmed the policy snapshot in force; since the start when there is none.",
			func() float64 { return time.Since(store.confirmedAt()).Seconds() }),
		gauge("ucwarden_policy_snapshot_version", "Version of the policy snapshot in force; 0 when there is none.",
			ofSnapshot(func(s *ranger.Snapshot) float64 { return float64(s.Version) })),
		gauge("ucwarden_policy_snapshot_policies", "Policies in the snapshot in force.",
			ofSnapshot(func(s *ranger.Snapshot) float64 { return float64(len(s.Policies)) })),
		gauge("ucwarden_policy_snapshot_faults", "What cannot be understood in the policies in force; it allows nothing, and closes what it may deny.",
			ofSnapshot(func(s *ranger.Snapshot) float64 {
				_, n := content.DescribeFaults(s)
				return float64(n)
			})),
		gauge("ucwarden_policy_snapshot_left_out", "Files, and policies of other services by file, that are left out of the policies in force; or that cannot be read or are refused, so that what was last read or verified of them stays.",
			ofSnapshot(func(s *ranger.Snapshot) float64 { return float64(len(content.LeftOut(s.Problems))) })),
		gauge("ucwarden_policy_source_held", "1 while a problem keeps newer policies out and the last good snapshot stays in force.",
			func() float64 {
				if store.Problem() != nil {
					return 1
				}
				return 0
			}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, policy.Errorf(policy.CodeInternal, "register the metrics of the policy source %s: %w", store.kind, err)
		}
	}
	return m, nil
}
