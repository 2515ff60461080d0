package connector

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/connector/apply"
	"ucwarden/policy"
)

// Metrics count what syncs do.
type Metrics struct {
	syncs    *prometheus.CounterVec
	duration prometheus.Histogram
	grants   prometheus.Counter
	revokes  prometheus.Counter
	failures prometheus.Counter
	leftOut  prometheus.Counter
	recalled prometheus.Counter
	findings *prometheus.CounterVec
}

// NewMetrics returns counters at 0, registered unless r is nil. An error says that they are registered already.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
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
	for _, result := range []string{"done", "refused", "error"} { // an increase is seen only of what was there before
		m.syncs.WithLabelValues(result)
	}
	for _, effect := range []policy.Effect{policy.EffectNone, policy.EffectNarrower, policy.EffectWider} {
		m.findings.WithLabelValues(string(effect))
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.syncs, m.duration, m.grants, m.revokes, m.failures, m.leftOut, m.recalled, m.findings} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) changed(c policy.Change) {
	m.grants.Add(float64(len(c.Add)))
	m.revokes.Add(float64(len(c.Remove)))
}

// NotBegun counts as failed a sync that cannot begin, since what it needs is not there.
func (m *Metrics) NotBegun() { m.syncs.WithLabelValues("error").Inc() }

// synced counts a sync that ended with err.
func (m *Metrics) synced(err error, took time.Duration) {
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

// found counts the findings of a plan that is made to be carried out.
func (m *Metrics) found(findings []policy.Finding) {
	for _, f := range findings {
		m.findings.WithLabelValues(string(f.Effect)).Inc()
	}
}

// ended notes the end of a sync of roots.
func (s *Syncer) ended(ctx context.Context, roots []policy.Securable, result *Result, err error, took time.Duration) {
	if err != nil && ctx.Err() != nil {
		return // it was given up, since its task was cancelled or the process ends
	}
	s.metrics.synced(err, took)
	if err != nil || result == nil {
		return
	}
	err = s.Successes.Gone(result.Missing)
	clean := len(result.Unread) == 0 && len(result.Unprotected) == 0 && !slices.ContainsFunc(result.Outcomes, func(o apply.Outcome) bool { return o.Err != nil })
	if err == nil && clean {
		err = s.Successes.Synced(slices.DeleteFunc(slices.Clone(roots), func(root policy.Securable) bool { return slices.Contains(result.Missing, root) }))
	}
	s.warnOfSuccesses(ctx, err)
}

func (s *Syncer) warnOfSuccesses(ctx context.Context, err error) {
	if err != nil {
		s.Logger.WarnContext(ctx, "cannot keep when catalogs were last synced; after a restart the metric shows an earlier time", "error", err)
	}
}

// Planned notes how a full sync ended that was planned shard by shard: whole says that these were all shards, err why none of them is
// applied, which the error of a guard may be.
func (s *Syncer) Planned(ctx context.Context, whole bool, err error) {
	switch {
	case err == nil && whole:
		s.warnOfSuccesses(ctx, s.Successes.SyncedAll())
	case err != nil && ctx.Err() == nil:
		s.metrics.synced(err, 0)
	}
}
