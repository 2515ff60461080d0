package webhook

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/endpoint"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// Options say whom to tell what. URL and Secrets are required.
type Options struct {
	URL   string
	Query string // of the URL, which may be a secret; no error and no log line repeats it
	// Secrets sign: whsec_ and base64 of 24 to 64 bytes each. Several are for a rotation: each signs every request.
	Secrets []string
	// Types are the types of events that are sent; empty sends all.
	Types        []string
	AllowHTTP    bool          // plain http to a host that is not this machine
	AllowPrivate bool          // addresses that are not public; proxies of the environment are then used, too
	Timeout      time.Duration // of one request; default 15s
	GiveUpAfter  time.Duration // age at which an event is dropped; default 72h

	Logger     *slog.Logger
	Registerer prometheus.Registerer // may be nil
	// Transport replaces the connections, and with them the check of addresses; for tests.
	Transport http.RoundTripper
}

// Bounds of what is kept and sent.
const (
	maxPending = 10_000 // events
	maxBody    = 64 << 10
	firstDelay = 5 * time.Second
	longDelay  = time.Hour
	// paceDelay is the longest time for which a receiver that took nothing is left alone before another event is tried.
	paceDelay = time.Minute
)

// Event is something that happened. Data is encoded as JSON, which must be small.
type Event struct {
	Type string
	Time time.Time
	Data any
}

// message is an event as it is stored and sent.
type message struct {
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Created  time.Time       `json:"created"`
	Attempts int             `json:"attempts"`
	Next     time.Time       `json:"next"` // not to be sent before
	Body     json.RawMessage `json:"body"`
}

// Sender stores events and sends them. Create it with [New].
type Sender struct {
	store   *store.Store
	o       Options
	url     *url.URL
	secrets [][]byte
	client  *http.Client
	log     *slog.Logger
	metrics *metrics
	wake    chan struct{} // capacity 1
}

// New returns a sender over the events in s. An error names the wrong option.
func New(s *store.Store, o Options) (*Sender, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "webhook: webhook.url is not a URL") // which may hold a password
	}
	u.RawQuery = cmp.Or(o.Query, u.RawQuery)
	secrets, err := ParseSecrets(o.Secrets)
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "webhook: %w", err)
	}
	for _, t := range o.Types {
		if !slices.Contains(Types, t) {
			return nil, policy.Errorf(policy.CodeInvalid, "webhook: there are no events of type %q", t)
		}
	}
	o.Timeout, o.GiveUpAfter = cmp.Or(o.Timeout, 15*time.Second), cmp.Or(o.GiveUpAfter, 72*time.Hour)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	sender := &Sender{store: s, o: o, url: u, secrets: secrets, log: o.Logger, wake: make(chan struct{}, 1)}
	sender.client, err = endpoint.NewClient(endpoint.ClientOptions{
		URL: u, Setting: "webhook.url", AllowHTTP: o.AllowHTTP, PublicOnly: !o.AllowPrivate, HeaderTimeout: o.Timeout, MaxBody: maxBody, Transport: o.Transport,
	})
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "webhook: %w", err)
	}
	if sender.metrics, err = newMetrics(o.Registerer); err != nil {
		return nil, err
	}
	pending, err := sender.pending()
	if err != nil {
		return nil, err
	}
	sender.metrics.pending.Set(float64(len(pending)))
	return sender, nil
}

// prefix is that of the keys of events in the store, which go on with the time at which each was stored.
const prefix = "webhook/"

// encode returns key and value of an event, or no key for one that is not sent.
func (s *Sender) encode(e Event) (key string, value []byte, err error) {
	if len(s.o.Types) > 0 && !slices.Contains(s.o.Types, e.Type) {
		return "", nil, nil
	}
	at := e.Time.UTC().Round(0)
	m := message{ID: "evt_" + rand.Text(), Type: e.Type, Created: at, Next: at}
	m.Body, err = json.Marshal(struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      any       `json:"data"`
	}{e.Type, at, e.Data})
	if err != nil {
		return "", nil, fmt.Errorf("write an event of type %s: %w", e.Type, err)
	}
	value, err = json.Marshal(m)
	return fmt.Sprintf("%s%020d/%s", prefix, at.UnixNano(), m.ID), value, err
}

// Put stores an event in a transaction, that of what it is about. [Sender.Wake] is to be called once that is committed.
func (s *Sender) Put(tx *store.Tx, e Event) error {
	key, value, err := s.encode(e)
	if err != nil || key == "" {
		return err
	}
	return tx.Bucket(store.ValuesBucket).Put([]byte(key), value)
}

// Publish stores an event; it is durable then.
func (s *Sender) Publish(e Event) error {
	if err := s.store.Update(func(tx *store.Tx) error { return s.Put(tx, e) }, nil); err != nil {
		return fmt.Errorf("store an event of type %s: %w", e.Type, err)
	}
	s.Wake()
	return nil
}

// Wake has Run look for new events.
func (s *Sender) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// stored is a message with its key.
type stored struct {
	key string
	message
}

// pending returns the stored messages, oldest first. One that cannot be read is removed.
func (s *Sender) pending() ([]stored, error) {
	var list []stored
	var unreadable []string
	err := s.store.Range(prefix, func(key string, value []byte) error {
		m := stored{key: key}
		if err := json.Unmarshal(value, &m.message); err != nil {
			unreadable = append(unreadable, key)
			return nil //nolint:nilerr // it is removed
		}
		list = append(list, m)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the events to send: %w", err)
	}
	for _, key := range unreadable {
		s.log.Error("an event of the webhook cannot be read and is dropped", "key", key)
		s.drop(key, "unreadable")
	}
	return list, nil
}

// drop removes a message that is not sent.
func (s *Sender) drop(key, reason string) {
	if err := s.store.Save(key, nil); err != nil {
		s.log.Error("cannot remove an event of the webhook; it is looked at again later", "error", err)
		return
	}
	s.metrics.dropped.WithLabelValues(reason).Inc()
}

// Run sends events until ctx ends.
func (s *Sender) Run(ctx context.Context) error {
	failures := 0 // one after the other
	for {
		wait, pause, err := s.sendDue(ctx, &failures)
		if err != nil && ctx.Err() == nil {
			s.log.Error("cannot send events of the webhook; trying again", "error", err)
			wait = paceDelay
		}
		wake := s.wake
		if failures > 0 { // what is new waits as well, but not for long
			wake, wait = nil, min(wait, max(pause, paceDelay))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// idle is how long Run waits for an event where none is stored.
const idle = time.Hour

// sendDue sends what is due, oldest first, until the receiver does not take one, and returns when to go on, and
// for how long the receiver wants to be left alone.
func (s *Sender) sendDue(ctx context.Context, failures *int) (wait, pause time.Duration, err error) {
	list, err := s.pending()
	if err != nil {
		return 0, 0, err
	}
	s.metrics.pending.Set(float64(len(list)))
	if over := len(list) - maxPending; over > 0 {
		s.log.Error("too many events of the webhook wait; the oldest are dropped", "dropped", over, "most", maxPending)
		for _, m := range list[:over] {
			s.drop(m.key, "too many")
		}
		list = list[over:]
	}
	wait = idle
	left := len(list)
	for _, m := range list {
		now := time.Now()
		if now.Sub(m.Created) > s.o.GiveUpAfter {
			s.log.Error("an event of the webhook was not taken in time and is dropped", "id", m.ID, "type", m.Type, "attempts", m.Attempts)
			s.drop(m.key, "too old")
			left--
			continue
		}
		if due := m.Next.Sub(now); due > 0 {
			wait = min(wait, due)
			continue
		}
		pause, err = s.send(ctx, m)
		if ctx.Err() != nil {
			return 0, 0, nil //nolint:nilerr // the end was asked for; it is sent again by the next process
		}
		if err == nil {
			*failures = 0
			left--
			s.metrics.pending.Set(float64(left))
			continue
		}
		*failures++
		return max(pause, backoff(*failures, firstDelay, paceDelay)), pause, nil
	}
	return wait, 0, nil
}

// backoff returns the delay after the nth failure: doubled up to longest, and jittered between half of that and the whole.
func backoff(n int, first, longest time.Duration) time.Duration {
	d := longest
	if n < 32 && first<<(n-1) > 0 {
		d = min(d, first<<(n-1))
	}
	return d/2 + time.Duration(randomBelow(int64(d/2)+1))
}
