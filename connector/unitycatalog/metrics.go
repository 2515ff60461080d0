package unitycatalog

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of the pacing transport. Routes are labels from a fixed set ("GET tables"), never paths, which
// contain names of objects.
type metrics struct {
	requests *prometheus.CounterVec   // by route and status
	retries  *prometheus.CounterVec   // by route and reason
	seconds  *prometheus.HistogramVec // by route
	inFlight prometheus.Gauge
	waiting  prometheus.Gauge
	limit    prometheus.Gauge
	rate     prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	const namespace, subsystem = "ucwarden", "unitycatalog"
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help})
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem,
			Name: "requests_total", Help: "Attempts sent to the workspace, by route and HTTP status; status error: no usable answer."},
			[]string{"route", "status"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem,
			Name: "retries_total", Help: "Retries, by route and reason."},
			[]string{"route", "reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Subsystem: subsystem,
			Name: "request_duration_seconds", Help: "Time from sending an attempt to receiving its whole answer.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}},
			[]string{"route"}),
		inFlight: gauge("in_flight", "Attempts in progress."),
		waiting:  gauge("waiting", "Requests queued by pacing."),
		limit:    gauge("concurrency_limit", "Concurrent attempts that pacing allows at present."),
		rate:     gauge("rate_limit", "Attempts per second that pacing allows at present; 0: no limit."),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.retries, m.seconds, m.inFlight, m.waiting, m.limit, m.rate} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of the Unity Catalog client: %w", err)
		}
	}
	return m, nil
}

// observe records one attempt; status 0 means that there was no valid answer.
func (m *metrics) observe(route string, status int, took time.Duration) {
	label := "error"
	if status != 0 {
		label = strconv.Itoa(status)
	}
	m.requests.WithLabelValues(route, label).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}
