package webhook

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	sent    *prometheus.CounterVec
	dropped *prometheus.CounterVec
	seconds prometheus.Histogram
	pending prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ucwarden_webhook_requests_total", Help: "Requests to the receiver of the webhook, by result: taken, failed.",
		}, []string{"result"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ucwarden_webhook_dropped_events_total", Help: "Events that the receiver never took, by reason: too old, too many, unreadable.",
		}, []string{"reason"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ucwarden_webhook_request_duration_seconds", Help: "Time until the receiver of the webhook answered.", Buckets: prometheus.ExponentialBuckets(0.01, 3, 8),
		}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ucwarden_webhook_pending_events", Help: "Events that the receiver of the webhook has not taken yet.",
		}),
	}
	for _, result := range []string{"taken", "failed"} { // an increase is seen only of what was there before
		m.sent.WithLabelValues(result)
	}
	for _, reason := range []string{"too old", "too many", "unreadable"} {
		m.dropped.WithLabelValues(reason)
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.sent, m.dropped, m.seconds, m.pending} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of the webhook: %w", err)
		}
	}
	return m, nil
}
