package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/apiserver"
	"ucwarden/config"
	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
	"ucwarden/webhook"
)

// events tells the receiver of the webhook what happens; nil tells nobody.
type events struct{ sender *webhook.Sender }

// openEvents returns nil where no receiver is configured.
func (p *pipeline) openEvents(c config.Webhook, reg prometheus.Registerer) (*events, error) {
	if c.URL == "" {
		return nil, nil
	}
	sender, err := webhook.New(p.store, webhook.Options{
		URL: c.URL, Query: c.Query.Reveal(), Secrets: strings.Fields(c.Secret.Reveal()), Types: c.Events, AllowHTTP: c.AllowHTTP, AllowPrivate: c.AllowPrivate,
		GiveUpAfter: c.GiveUpAfter, Logger: p.log, Registerer: reg,
	})
	if err != nil {
		return nil, err
	}
	return &events{sender}, nil
}

// driftMetrics count the grants that others made and no policy asks for, those that others took away, and the row filters and masks that
// others took off or changed.
type driftMetrics struct {
	found            *prometheus.CounterVec
	removed, putBack prometheus.Counter

	protection, protected prometheus.Counter
}

func newDriftMetrics(r prometheus.Registerer) (*driftMetrics, error) {
	m := &driftMetrics{
		found: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ucwarden_drift_grants_found_total", Help: "Grants that a sync found and no policy asks for (excess), or that the last sync had made sure of and others took away (missing), other than after a change of the policies.",
		}, []string{"kind"}),
		removed:    prometheus.NewCounter(prometheus.CounterOpts{Name: "ucwarden_drift_grants_removed_total", Help: "Those of the excess ones that were removed."}),
		putBack:    prometheus.NewCounter(prometheus.CounterOpts{Name: "ucwarden_drift_grants_put_back_total", Help: "Those of the missing ones that were put back."}),
		protection: prometheus.NewCounter(prometheus.CounterOpts{Name: "ucwarden_drift_protections_found_total", Help: "Row filters and masks that a sync found others had taken off, replaced, dropped or altered since they were set."}),
		protected:  prometheus.NewCounter(prometheus.CounterOpts{Name: "ucwarden_drift_protections_put_back_total", Help: "Those of them that were put back."}),
	}
	for _, kind := range []string{driftExcess, driftMissing} { // an increase is seen only of what was there before
		m.found.WithLabelValues(kind)
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.found, m.removed, m.putBack, m.protection, m.protected} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of drift: %w", err)
		}
	}
	return m, nil
}

// The kinds of drift, as the label of metrics has them.
const (
	driftExcess  = "excess"
	driftMissing = "missing"
)

// driftFound is called in the transaction that stores what a job found. One that is tried again counts again.
func (p *pipeline) driftFound(tx *store.Tx, t *ondemand.Task, found ondemand.Drift) error {
	p.drift.found.WithLabelValues(driftExcess).Add(float64(found.Excess))
	p.drift.found.WithLabelValues(driftMissing).Add(float64(found.Missing))
	p.drift.removed.Add(float64(found.Removed))
	p.drift.putBack.Add(float64(found.PutBack))
	p.drift.protection.Add(float64(found.Protection))
	p.drift.protected.Add(float64(found.Protected))
	if p.told == nil {
		return nil
	}
	return p.told.drift(tx, t, found)
}

// taskEnded is called in the transaction in which a task ends.
func (p *pipeline) taskEnded(tx *store.Tx, t *ondemand.Task) error {
	p.fullSyncs.ended(t)
	if p.told == nil {
		return nil
	}
	return p.told.ended(tx, t)
}

// planRefused is called where guards refused the plan of a task.
func (p *pipeline) planRefused(t ondemand.Task, reason error) error {
	if p.told == nil {
		return nil
	}
	return p.told.refused(t, reason)
}

// wakeEvents is called once such a transaction is committed.
func (p *pipeline) wakeEvents() {
	if p.told != nil {
		p.told.sender.Wake()
	}
}

// endedTask is the data of task.ended. It names no grants: a receiver asks for the task with a token of its own.
type endedTask struct {
	ID            string             `json:"id"`
	Type          ondemand.Type      `json:"type"`
	Status        ondemand.Status    `json:"status"`
	StatusMessage string             `json:"statusMessage,omitempty"`
	Source        string             `json:"source,omitempty"`
	PostedBy      string             `json:"postedBy,omitempty"`
	RetriedBy     string             `json:"retriedBy,omitempty"`
	Attempts      int                `json:"attempts"`
	ReceivedTime  time.Time          `json:"receivedTime"`
	EndTime       time.Time          `json:"endTime"`
	Children      *ondemand.Children `json:"children,omitempty"`
}

// maxEventText bounds a text of an event, in bytes.
const maxEventText = 2000

// ended stores, in the transaction in which a task ends, that it did. Parts of a full sync are not told one by one.
func (e *events) ended(tx *store.Tx, t *ondemand.Task) error {
	if t.ParentID != "" {
		return nil
	}
	return e.sender.Put(tx, webhook.Event{Type: webhook.TypeTaskEnded, Time: t.EndTime, Data: endedTask{
		ID: t.ID, Type: t.Type, Status: t.Status, StatusMessage: cut(t.StatusMessage), Source: cut(t.Source), PostedBy: t.PostedBy, RetriedBy: t.RetriedBy,
		Attempts: t.Attempts, ReceivedTime: t.ReceivedTime, EndTime: t.EndTime, Children: t.Children,
	}})
}

func cut(text string) string {
	if len(text) <= maxEventText {
		return text
	}
	return strings.ToValidUTF8(text[:maxEventText], "") + "..."
}

// drift is the data of grants.drift: grants that a task found and no policy asks for, and that others took away.
type drift struct {
	TaskID     string   `json:"taskId"`
	ParentID   string   `json:"parentId,omitempty"`
	Grants     int      `json:"grants"` // both
	Excess     int      `json:"excess"`
	Missing    int      `json:"missing"`
	Removed    bool     `json:"removed"`    // all of the excess ones; false where there are none
	PutBack    bool     `json:"putBack"`    // all of the missing ones; likewise
	Securables []string `json:"securables"` // the first of those they are on
}

func driftOf(t *ondemand.Task, found ondemand.Drift) drift {
	return drift{
		TaskID: t.ID, ParentID: t.ParentID, Grants: found.Excess + found.Missing, Excess: found.Excess, Missing: found.Missing,
		Removed: found.Excess > 0 && found.Removed >= found.Excess, PutBack: found.Missing > 0 && found.PutBack >= found.Missing, Securables: found.Securables,
	}
}

// protectionDrift is the data of protection.drift: row filters and masks that others took off, replaced, dropped or altered.
type protectionDrift struct {
	TaskID   string   `json:"taskId"`
	ParentID string   `json:"parentId,omitempty"`
	Count    int      `json:"count"`
	PutBack  bool     `json:"putBack"` // all of them
	Tables   []string `json:"tables"`  // the first of those they are on
}

// drift stores, in the transaction that stores what a job found, that others changed grants, and that they did row filters and masks.
func (e *events) drift(tx *store.Tx, t *ondemand.Task, found ondemand.Drift) error {
	now := time.Now()
	if found.Excess+found.Missing > 0 {
		if err := e.sender.Put(tx, webhook.Event{Type: webhook.TypeDrift, Time: now, Data: driftOf(t, found)}); err != nil {
			return err
		}
	}
	if found.Protection == 0 {
		return nil
	}
	return e.sender.Put(tx, webhook.Event{Type: webhook.TypeProtectionDrift, Time: now, Data: protectionDrift{
		TaskID: t.ID, ParentID: t.ParentID, Count: found.Protection, PutBack: found.Protected >= found.Protection, Tables: found.Tables,
	}})
}

// refused stores that guards refused the plan of a task.
func (e *events) refused(t ondemand.Task, reason error) error {
	return e.sender.Publish(webhook.Event{Type: webhook.TypePlanRefused, Time: time.Now(), Data: map[string]any{
		"taskId": t.ID, "type": t.Type, "source": cut(t.Source), "reason": cut(reason.Error()),
	}})
}

const (
	// healthInterval is how often the checks of readiness are looked at. Only what is wrong twice is told.
	healthInterval = 15 * time.Second
	// keyToldDegraded is where the store keeps that the receiver was told of a degraded state.
	keyToldDegraded = "events/degraded"
)

// watchHealth tells the receiver when the service is degraded, and when it is restored, also after a restart in between.
func (e *events) watchHealth(ctx context.Context, s *store.Store, checks []apiserver.Check, failed func(error)) {
	before := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(healthInterval):
		}
		problems := []map[string]string{}
		for _, c := range checks {
			limited, cancel := context.WithTimeout(ctx, healthInterval)
			if err := c.Run(limited); err != nil {
				problems = append(problems, map[string]string{"check": c.Name, "detail": cut(err.Error())})
			}
			cancel()
		}
		degraded := len(problems) > 0
		steady := degraded == before
		before = degraded
		if !steady || ctx.Err() != nil {
			continue
		}
		if err := e.tellHealth(s, degraded, problems); err != nil {
			failed(err)
		}
	}
}

// tellHealth stores that the service is degraded or restored, where that is not what was told last.
func (e *events) tellHealth(s *store.Store, degraded bool, problems []map[string]string) error {
	told, err := s.Load(keyToldDegraded)
	if err != nil || (told != nil) == degraded {
		return err
	}
	event := webhook.Event{Type: webhook.TypeServiceRestored, Time: time.Now(), Data: map[string]any{}}
	if degraded {
		event.Type, event.Data = webhook.TypeServiceDegraded, map[string]any{"problems": problems}
	}
	err = s.Update(func(tx *store.Tx) error {
		if err := e.sender.Put(tx, event); err != nil {
			return err
		}
		if degraded {
			return tx.Bucket(store.ValuesBucket).Put([]byte(keyToldDegraded), []byte("told"))
		}
		return tx.Bucket(store.ValuesBucket).Delete([]byte(keyToldDegraded))
	}, nil)
	if err == nil {
		e.sender.Wake()
	}
	return err
}
