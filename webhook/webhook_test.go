package webhook_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ucwarden/ondemand/store"
	"ucwarden/policy"
	"ucwarden/webhook"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// receiver answers requests without a network.
type receiver struct {
	answer func(r *http.Request, body string) (status int, header http.Header)

	mu  sync.Mutex
	got []request
}

type request struct {
	id, body string
	at       time.Time
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.got = append(r.got, request{req.Header.Get("webhook-id"), string(body), time.Now()})
	r.mu.Unlock()
	status, header := http.StatusNoContent, http.Header{}
	if r.answer != nil {
		status, header = r.answer(req, string(body))
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: status, Status: strconv.Itoa(status), Header: header, Body: http.NoBody, Request: req}, nil
}

func (r *receiver) requests() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// rig is a sender over a store.
type rig struct {
	*testing.T
	*webhook.Sender
	store *store.Store
	stop  func()
}

func open(t *testing.T, path string, o webhook.Options) *rig {
	t.Helper()
	s, err := store.Open(path, store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	o.URL, o.Secrets = "https://receiver.example/hook", []string{secret}
	sender, err := webhook.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := sender.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return &rig{t, sender, s, func() {
		cancel()
		running.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}}
}

func (r *rig) publish(data string) {
	r.Helper()
	if err := r.Publish(webhook.Event{Type: webhook.TypeTaskEnded, Time: time.Now(), Data: map[string]string{"id": data}}); err != nil {
		r.Fatal(err)
	}
}

// A request has the headers and the signature of Standard Webhooks; each secret signs.
func TestRequest(t *testing.T) {
	keys, err := webhook.ParseSecrets([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	if got := webhook.Sign(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("signature %q", got)
	}
	synctest.Test(t, func(t *testing.T) {
		var seen *http.Request
		r := open(t, filepath.Join(t.TempDir(), "db"), webhook.Options{Transport: &receiver{answer: func(r *http.Request, _ string) (int, http.Header) {
			seen = r
			return 200, nil
		}}})
		r.publish("t1")
		synctest.Wait()
		r.stop()
		if seen == nil || seen.Method != http.MethodPost || seen.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%+v", seen)
		}
		body := `{"type":"task.ended","timestamp":"` + time.Now().UTC().Format(time.RFC3339Nano) + `","data":{"id":"t1"}}`
		want := webhook.Sign(keys, seen.Header.Get("webhook-id"), time.Now(), []byte(body))
		if got := seen.Header.Get("webhook-signature"); got != want || seen.Header.Get("webhook-timestamp") != fmt.Sprint(time.Now().Unix()) {
			t.Errorf("signature %q, want %q of %s", got, want, body)
		}
	})
}

// What the receiver does not take is sent again with backoff and the same id, also after a restart; others go on.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		up := false
		to := &receiver{answer: func(_ *http.Request, body string) (int, http.Header) {
			switch {
			case strings.Contains(body, "poison"):
				return 400, nil
			case up:
				return 200, nil
			}
			return 0, nil
		}}
		reg := prometheus.NewRegistry()
		r := open(t, path, webhook.Options{Transport: to, Registerer: reg})
		r.publish("poison")
		r.publish("a")
		time.Sleep(30 * time.Minute)
		r.stop()
		before := to.requests()
		if n := len(before); n < 10 || n > 60 {
			t.Errorf("%d requests in half an hour", n)
		}
		for i := 1; i < len(before); i++ {
			if gap := before[i].at.Sub(before[i-1].at); gap < 2*time.Second {
				t.Errorf("requests %d and %d are %v apart", i-1, i, gap)
			}
		}

		up = true
		r = open(t, path, webhook.Options{Transport: to})
		time.Sleep(2 * time.Hour)
		r.publish("b")
		time.Sleep(time.Minute)
		r.stop()
		ids := make(map[string]string)
		taken := map[string]int{}
		for i, q := range to.requests() {
			var e struct{ Data struct{ ID string } }
			if err := json.Unmarshal([]byte(q.body), &e); err != nil {
				t.Fatal(err)
			}
			if id, found := ids[e.Data.ID]; found && id != q.id {
				t.Errorf("%s has the ids %s and %s", e.Data.ID, id, q.id)
			}
			ids[e.Data.ID] = q.id
			if i >= len(before) && e.Data.ID != "poison" {
				taken[e.Data.ID]++
			}
		}
		if len(taken) != 2 || taken["a"] != 1 || taken["b"] != 1 {
			t.Errorf("taken %v, want a and b once", taken)
		}
	})
}

// A receiver says for how long it is to be left alone; an event that is too old is dropped, and counted.
func TestRetryAfterAndGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &receiver{answer: func(*http.Request, string) (int, http.Header) {
			return 429, http.Header{"Retry-After": {"600"}}
		}}
		reg := prometheus.NewRegistry()
		r := open(t, filepath.Join(t.TempDir(), "db"), webhook.Options{Transport: to, Registerer: reg, GiveUpAfter: time.Hour})
		r.publish("a")
		time.Sleep(9 * time.Minute)
		if n := len(to.requests()); n != 1 {
			t.Errorf("%d requests before the receiver wants another", n)
		}
		time.Sleep(3 * time.Hour)
		n := len(to.requests())
		time.Sleep(24 * time.Hour)
		r.stop()
		if after := len(to.requests()); after != n || n > 7 {
			t.Errorf("%d requests, then %d", n, after)
		}
		const want = `# HELP ucwarden_webhook_dropped_events_total Events that the receiver never took, by reason: too old, too many, unreadable.
# TYPE ucwarden_webhook_dropped_events_total counter
ucwarden_webhook_dropped_events_total{reason="too many"} 0
ucwarden_webhook_dropped_events_total{reason="too old"} 1
ucwarden_webhook_dropped_events_total{reason="unreadable"} 0
# HELP ucwarden_webhook_pending_events Events that the receiver of the webhook has not taken yet.
# TYPE ucwarden_webhook_pending_events gauge
ucwarden_webhook_pending_events 0
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "ucwarden_webhook_dropped_events_total", "ucwarden_webhook_pending_events"); err != nil {
			t.Error(err)
		}
	})
}

// An event of a transaction that does not commit is not sent; one of a type that is not wanted neither.
func TestPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &receiver{}
		r := open(t, filepath.Join(t.TempDir(), "db"), webhook.Options{Transport: to, Types: []string{webhook.TypeTaskEnded}})
		put := func(kind string, fail error) {
			err := r.store.Update(func(tx *store.Tx) error {
				if err := r.Put(tx, webhook.Event{Type: kind, Time: time.Now()}); err != nil {
					return err
				}
				return fail
			}, nil)
			if (err == nil) != (fail == nil) {
				t.Fatal(err)
			}
			r.Wake()
			synctest.Wait()
		}
		put(webhook.TypeTaskEnded, policy.Errorf(policy.CodeInternal, "undone"))
		put(webhook.TypeDrift, nil)
		put(webhook.TypeTaskEnded, nil)
		r.stop()
		if n := len(to.requests()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

// Over real connections: an address that is not public is refused when it is dialled, a redirect is not followed, and either is
// an event to send again.
func TestConnections(t *testing.T) {
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	for _, private := range []bool{false, true} {
		s, err := store.Open(filepath.Join(t.TempDir(), "db"), store.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan string, 10)
		sender, err := webhook.New(s, webhook.Options{URL: server.URL + "/hook", Secrets: []string{secret}, AllowPrivate: private, Logger: loggerTo(failed)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- sender.Run(ctx) }()
		if err := sender.Publish(webhook.Event{Type: webhook.TypeDrift, Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
		text, want := <-failed, "not a public address"
		if private {
			want = "redirects to"
		}
		if !strings.Contains(text, want) {
			t.Errorf("private addresses allowed %v: %s", private, text)
		}
		cancel()
		if err := errors.Join(<-done, s.Close()); err != nil {
			t.Error(err)
		}
	}
	if len(asked) != 1 || <-asked != "/hook" {
		t.Error("the receiver was asked otherwise than once, where that is allowed")
	}
}

// The query of the URL is sent as it is, and neither errors nor the log show it or the path, whatever goes wrong and whatever the
// receiver repeats of it.
func TestQueryIsASecret(t *testing.T) {
	const query, key = "v=1&sig=k3y%2Bof-the_receiver", "k3y+of-the_receiver"
	asked := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.RawQuery
		switch len(asked) % 4 {
		case 0:
			http.Redirect(w, r, "/login/"+key+"?"+r.URL.RawQuery, http.StatusFound)
		case 1:
			http.Error(w, r.RequestURI, http.StatusInternalServerError)
		default: // words of its own, or nothing at all
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			if len(asked)%4 == 2 {
				fmt.Fprintf(conn, "HTTP/1.1 403 %s %s\r\nContent-Length: 0\r\n\r\n", key, r.RequestURI)
			}
			_ = conn.Close() // which may be gone
		}
	}))
	defer server.Close()
	refusing := httptest.NewServer(http.NotFoundHandler())
	refusing.Close()
	try := func(o webhook.Options) string {
		t.Helper()
		s, err := store.Open(filepath.Join(t.TempDir(), "db"), store.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		lines := make(chan string, 10)
		o.Secrets, o.Logger = []string{secret}, loggerTo(lines)
		sender, err := webhook.New(s, o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- sender.Run(ctx) }()
		if err := sender.Publish(webhook.Event{Type: webhook.TypeDrift, Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
		line := <-lines
		cancel()
		if err := errors.Join(<-done, s.Close()); err != nil {
			t.Error(err)
		}
		return line
	}
	check := func(line string) {
		t.Helper()
		if !strings.Contains(line, "did not take an event") || strings.Contains(line, "k3y") || strings.Contains(line, "v=1") || strings.Contains(line, "in-the-path") {
			t.Error(line)
		}
	}
	for range 4 {
		check(try(webhook.Options{URL: server.URL + "/in-the-path", Query: query, AllowPrivate: true}))
	}
	check(try(webhook.Options{URL: server.URL + "/in-the-path?" + query, AllowPrivate: true}))
	check(try(webhook.Options{URL: server.URL + "/in-the-path", Query: query}))                                             // not a public address
	check(try(webhook.Options{URL: refusing.URL + "/in-the-path", Query: query, AllowPrivate: true}))                       // nothing listens
	check(try(webhook.Options{URL: "https" + server.URL[len("http"):] + "/in-the-path", Query: query, AllowPrivate: true})) // no TLS there
	check(try(webhook.Options{URL: "https://no.such.host.invalid/in-the-path", Query: query, AllowPrivate: true, Transport: &receiver{answer: func(*http.Request, string) (int, http.Header) { return 0, nil }}}))
	close(asked)
	n := 0
	for got := range asked {
		if n++; got != query {
			t.Errorf("the receiver was sent the query %q", got)
		}
	}
	if n < 5 {
		t.Errorf("the receiver was asked %d times", n)
	}
	if _, err := webhook.New(nil, webhook.Options{URL: "https://h.example/%zz?" + query, Secrets: []string{secret}}); err == nil || strings.Contains(err.Error(), "k3y") {
		t.Errorf("%v", err)
	}
}

func TestOptionsRefused(t *testing.T) {
	long := "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65))
	for name, o := range map[string]webhook.Options{
		"no secret":      {URL: "https://h.example"},
		"short secret":   {URL: "https://h.example", Secrets: []string{"whsec_c2hvcnQ="}},
		"long secret":    {URL: "https://h.example", Secrets: []string{long}},
		"no prefix":      {URL: "https://h.example", Secrets: []string{strings.TrimPrefix(secret, "whsec_")}},
		"plain http":     {URL: "http://h.example", Secrets: []string{secret}},
		"another scheme": {URL: "ftp://h.example", Secrets: []string{secret}},
		"unknown type":   {URL: "https://h.example", Secrets: []string{secret}, Types: []string{"task.began"}},
	} {
		_, err := webhook.New(nil, o)
		if policy.CodeOf(err) != policy.CodeInvalid || strings.Contains(err.Error(), "c2hvcnQ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
