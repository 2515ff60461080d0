package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ucwarden/endpoint"
)

// The types of events.
const (
	TypeTaskEnded       = "task.ended"
	TypePlanRefused     = "plan.refused"
	TypeDrift           = "grants.drift"
	TypeProtectionDrift = "protection.drift"
	TypeServiceDegraded = "service.degraded"
	TypeServiceRestored = "service.restored"
)

// Types are all of them.
var Types = []string{TypeTaskEnded, TypePlanRefused, TypeDrift, TypeProtectionDrift, TypeServiceDegraded, TypeServiceRestored}

// secretPrefix is that of the secrets of Standard Webhooks.
const secretPrefix = "whsec_"

// ParseSecrets returns the keys that secrets hold: whsec_ and base64 of 24 to 64 bytes each. The error does not repeat them.
func ParseSecrets(secrets []string) ([][]byte, error) {
	var keys [][]byte
	for _, secret := range secrets {
		text, found := strings.CutPrefix(secret, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(text)
		if !found || err != nil || len(key) < 24 || len(key) > 64 {
			return nil, errors.New("webhook.secret: want whsec_ and base64 of 24 to 64 bytes, for example from: echo whsec_$(openssl rand -base64 32)")
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("webhook.secret: none is set, so that a receiver could not tell who sends: set it, for example from: echo whsec_$(openssl rand -base64 32)")
	}
	return keys, nil
}

// Sign returns the webhook-signature of a message: v1, and base64 of the HMAC-SHA-256 of id, time in seconds and body, for each key.
func Sign(keys [][]byte, id string, at time.Time, body []byte) string {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body) // a hash returns no error
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}

// send sends a message once. Where the receiver takes it, it is removed; else the error says why not, it is stored when to send it
// again, and pause is how long the receiver wants to be left alone.
func (s *Sender) send(ctx context.Context, m stored) (pause time.Duration, err error) {
	start := time.Now()
	pause, err = s.post(ctx, m.message)
	s.metrics.seconds.Observe(time.Since(start).Seconds())
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err == nil {
		s.metrics.sent.WithLabelValues("taken").Inc()
		if err := s.store.Save(m.key, nil); err != nil { // it is sent again, with the same id
			s.log.Error("an event of the webhook was taken and cannot be removed; it is sent again", "id", m.ID, "error", err)
			return paceDelay, err
		}
		return 0, nil
	}
	s.metrics.sent.WithLabelValues("failed").Inc()
	m.Attempts++
	m.Next = time.Now().Add(max(pause, backoff(m.Attempts, firstDelay, longDelay))).UTC().Round(0)
	s.log.Warn("the receiver of the webhook did not take an event; it is sent again", "id", m.ID, "type", m.Type, "attempts", m.Attempts, "next", m.Next, "error", err)
	value, encodeErr := json.Marshal(m.message)
	if encodeErr == nil {
		encodeErr = s.store.Save(m.key, value)
	}
	if encodeErr != nil {
		s.log.Error("cannot store when to send an event of the webhook again", "id", m.ID, "error", encodeErr)
	}
	return pause, err
}

func (s *Sender) post(ctx context.Context, m message) (pause time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), bytes.NewReader(m.Body))
	if err != nil {
		return 0, s.masked(err)
	}
	now := time.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "ucwarden-webhook")
	req.Header.Set("webhook-id", m.ID)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("webhook-signature", Sign(s.secrets, m.ID, now, m.Body))
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, s.masked(err)
	}
	defer func() { _ = resp.Body.Close() }()        // nothing of it is needed
	_, _ = io.CopyN(io.Discard, resp.Body, maxBody) // so that the connection can be used again
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return 0, nil
	}
	pause, _ = endpoint.RetryAfter(resp.Header, now)
	return pause, fmt.Errorf("it answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)) // the words of its own may repeat the URL
}

// masked returns an error of a request without its URL but for the server: path and query may be what lets send to the receiver, and it
// may have repeated them.
func (s *Sender) masked(err error) error {
	text := err.Error()
	if of, ok := errors.AsType[*url.Error](err); ok {
		text = fmt.Sprintf("%s %s://%s: %v", of.Op, s.url.Scheme, s.url.Host, of.Err)
	}
	return errors.New(endpoint.MaskURLs(endpoint.HideQuery(s.url, text)))
}

func randomBelow(n int64) int64 { return mathrand.Int64N(n) }
