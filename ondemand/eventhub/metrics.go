package eventhub

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what a consumer does. It is itself the prometheus.Collector of the gauges, which it computes at each
// scrape.
type metrics struct {
	c        *Consumer
	events   *prometheus.CounterVec
	tasks    *prometheus.CounterVec
	reopened *prometheus.CounterVec
	stuck    *prometheus.CounterVec
	expired  *prometheus.CounterVec

	up, read, last, lag, silent *prometheus.Desc
}

func newMetrics(c *Consumer, reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	gauge := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m := &metrics{
		c:        c,
		events:   counter("ucwarden_eventhub_events_total", "Events of the hub that are stored as tasks.", "partition"),
		tasks:    counter("ucwarden_eventhub_tasks_total", "Documents of events: stored as tasks, or repeated ones that made none.", "result"),
		reopened: counter("ucwarden_eventhub_reconnects_total", "Times that a link or a connection to the hub was opened again.", "what"),
		stuck:    counter("ucwarden_eventhub_stuck_total", "Times that a partition delivered nothing although it held events.", "partition"),
		expired:  counter("ucwarden_eventhub_expired_total", "Events that the hub deleted before they were read, as at the end of their retention.", "partition"),
		up:       gauge("ucwarden_eventhub_up", "1 while every partition of the hub can be read, else 0."),
		read:     gauge("ucwarden_eventhub_read_sequence", "Sequence number of the last event that is stored; -1 before the first.", "partition"),
		last:     gauge("ucwarden_eventhub_last_sequence", "Sequence number of the last event of the partition, as of the last look at it.", "partition"),
		lag:      gauge("ucwarden_eventhub_lag_events", "Events of the partition that are not stored yet, as of the last look at it.", "partition"),
		silent:   gauge("ucwarden_eventhub_partition_stuck", "1 while a partition delivers nothing although it holds events, else 0.", "partition"),
	}
	for _, result := range []string{"stored", "repeated"} { // an increase is seen only of what was there before
		m.tasks.WithLabelValues(result)
	}
	for _, what := range []string{"link", "connection"} {
		m.reopened.WithLabelValues(what)
	}
	m.know("0") // which every hub has
	if reg == nil {
		return m, nil
	}
	for _, collector := range []prometheus.Collector{m, m.events, m.tasks, m.reopened, m.stuck, m.expired} {
		if err := reg.Register(collector); err != nil {
			return nil, fmt.Errorf("register the metrics of the event hub: %w", err)
		}
	}
	return m, nil
}

// know begins the counters of a partition at 0.
func (m *metrics) know(partition string) {
	m.events.WithLabelValues(partition)
	m.stuck.WithLabelValues(partition)
	m.expired.WithLabelValues(partition)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.up, m.read, m.last, m.lag, m.silent} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(c chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	number := map[bool]float64{true: 1}
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	gauge(m.up, number[len(m.c.problems) == 0 && len(m.c.states) > 0])
	for id, s := range m.c.states {
		gauge(m.read, float64(s.read), id)
		gauge(m.last, float64(s.last), id)
		gauge(m.lag, float64(max(s.last-s.read, 0)), id)
		gauge(m.silent, number[s.silent > 0], id)
	}
}
