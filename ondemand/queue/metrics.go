package queue

import (
	"fmt"

	"ucwarden/ondemand"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what the queue does. It is itself the prometheus.Collector of the gauges, which it computes at each
// scrape.
type metrics struct {
	queue       *Queue
	transitions *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	attempts    *prometheus.CounterVec
	coalesced   prometheus.Counter
	tasks       *prometheus.Desc
	depth       *prometheus.Desc
	jobs        *prometheus.Desc
	paused      *prometheus.Desc
}

func newMetrics(q *Queue, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		queue: q,
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ucwarden_task_transitions_total", Help: "Transitions of tasks from one status to another.",
		}, []string{"type", "from", "to"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ucwarden_task_seconds", Help: "Time from the receipt of a task to its end.",
			Buckets: prometheus.ExponentialBuckets(0.005, 3, 13),
		}, []string{"type", "status"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ucwarden_task_attempts_total", Help: "Runs of tasks, first and further ones.",
		}, []string{"type"}),
		coalesced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ucwarden_tasks_coalesced_total", Help: "Tasks that ran as part of another task that covers them.",
		}),
		tasks:  prometheus.NewDesc("ucwarden_tasks", "Tasks that have not ended.", []string{"type", "status"}, nil),
		depth:  prometheus.NewDesc("ucwarden_task_queue_depth", "Tasks that wait for their first or next attempt.", nil, nil),
		jobs:   prometheus.NewDesc("ucwarden_task_jobs", "Jobs running now.", nil, nil),
		paused: prometheus.NewDesc("ucwarden_task_paused", "1 while the pipeline is paused, so that no task begins; else 0.", nil, nil),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m, m.transitions, m.seconds, m.attempts, m.coalesced} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of the task queue: %w", err)
		}
	}
	return m, nil
}

// label returns the metrics label of a task type; types that clients invent share one, to bound the time series.
func label(t ondemand.Type) string {
	switch t {
	case ondemand.ResourceSync, ondemand.FullSync, ondemand.ValiditySync, ondemand.PipelineUpdate:
		return string(t)
	}
	return "other"
}

// countTransition counts one transition of a task. from is "" for a new task.
func (m *metrics) countTransition(t *ondemand.Task, from ondemand.Status) {
	m.transitions.WithLabelValues(label(t.Type), string(from), string(t.Status)).Inc()
	switch {
	case t.Status == ondemand.InProgress:
		m.attempts.WithLabelValues(label(t.Type)).Inc()
	case t.Status.Terminal():
		m.seconds.WithLabelValues(label(t.Type), string(t.Status)).Observe(max(0, t.EndTime.Sub(t.ReceivedTime).Seconds())) // the clock may have been set
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(c chan<- *prometheus.Desc) {
	c <- m.tasks
	c <- m.depth
	c <- m.jobs
	c <- m.paused
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(c chan<- prometheus.Metric) {
	m.queue.mu.Lock()
	counts := make(map[[2]string]int)
	for k, n := range m.queue.live.counts {
		counts[[2]string{label(k.typ), string(k.status)}] += n
	}
	depth, jobs, paused := m.queue.live.waiting, m.queue.running, 0.0
	if m.queue.paused != nil {
		paused = 1
	}
	m.queue.mu.Unlock()
	for k, n := range counts {
		c <- prometheus.MustNewConstMetric(m.tasks, prometheus.GaugeValue, float64(n), k[0], k[1])
	}
	c <- prometheus.MustNewConstMetric(m.depth, prometheus.GaugeValue, float64(depth))
	c <- prometheus.MustNewConstMetric(m.jobs, prometheus.GaugeValue, float64(jobs))
	c <- prometheus.MustNewConstMetric(m.paused, prometheus.GaugeValue, paused)
}
