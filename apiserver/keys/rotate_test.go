package keys_test

import (
	"bytes"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/apiserver/keys"
	"ucwarden/policy"
)

func rewrite(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestKeyFileRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		older, newer := newEC(t, "older"), newEd(t, "newer")
		path := writeTemp(t, "jwks.json", jwks(t, older))
		var out bytes.Buffer
		v := verifier(t, keys.VerifierOptions{JWKS: path, Logger: slog.New(slog.NewTextHandler(&out, nil))})
		wantRefused(t, v, newer.token(t, claims(nil)), "its kid names no key")

		rewrite(t, path, jwks(t, older, newer))
		wantAccepted(t, v, newer.token(t, claims(nil))) // at once: its kid was unknown
		wantAccepted(t, v, older.token(t, claims(nil)))

		rewrite(t, path, []byte("half a fi"))
		time.Sleep(5 * time.Second)
		wantAccepted(t, v, older.token(t, claims(nil)))
		time.Sleep(5 * time.Second)
		wantAccepted(t, v, older.token(t, claims(nil)))
		if n := strings.Count(out.String(), "not reloaded"); n != 1 {
			t.Errorf("the bad file was reported %d times:\n%s", n, out.String())
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		wantAccepted(t, v, older.token(t, claims(nil)))

		rewrite(t, path, jwks(t, newer))
		time.Sleep(2 * time.Second)
		wantRefused(t, v, older.token(t, claims(nil)), "its kid names no key")
		wantAccepted(t, v, newer.token(t, claims(nil)))
	})
}

// issuer stands for the server of a key set.
type issuer struct {
	set   atomic.Pointer[[]byte]
	asked atomic.Int64
	down  atomic.Bool
}

func (i *issuer) publish(data []byte) { i.set.Store(&data) }

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.asked.Add(1)
	time.Sleep(time.Second) // of fake time: what is downloaded beside a request comes after that request
	if i.down.Load() {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: 200, Status: "200 OK", Request: r, Body: io.NopCloser(bytes.NewReader(*i.set.Load()))}, nil
}

func TestKeyURLRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		older, newer, forged := newEC(t, "older"), newEC(t, "newer"), newEC(t, "forged")
		is := &issuer{}
		is.publish(jwks(t, older))
		v := verifier(t, keys.VerifierOptions{JWKS: "https://issuer.test/jwks", Transport: is})
		wantAccepted(t, v, older.token(t, claims(nil)))

		// Unknown kids cause one download in half a minute, however many they are.
		time.Sleep(time.Minute)
		for range 100 {
			wantRefused(t, v, forged.token(t, claims(nil)), "its kid names no key")
		}
		if n := is.asked.Load(); n != 2 {
			t.Errorf("%d downloads, want the first and one for the forged kids", n)
		}

		is.publish(jwks(t, older, newer))
		time.Sleep(31 * time.Second)
		wantAccepted(t, v, newer.token(t, claims(nil)))
		wantAccepted(t, v, older.token(t, claims(nil)))

		// An age of the refresh interval leads to a download beside the requests.
		is.publish(jwks(t, newer))
		time.Sleep(16 * time.Minute)
		wantAccepted(t, v, older.token(t, claims(nil)))
		time.Sleep(2 * time.Second)
		wantRefused(t, v, older.token(t, claims(nil)), "its kid names no key")

		// After twice that age the set is downloaded before it is used.
		is.publish(jwks(t, older))
		time.Sleep(time.Hour)
		wantRefused(t, v, newer.token(t, claims(nil)), "its kid names no key")

		// An issuer that is down takes nothing away, for an hour.
		is.down.Store(true)
		time.Sleep(58 * time.Minute)
		wantAccepted(t, v, older.token(t, claims(nil)))
	})
}

func TestKeyURLDownAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newEC(t, "k")
		is := &issuer{}
		is.down.Store(true)
		is.publish(jwks(t, k))
		var logged bytes.Buffer
		v := verifier(t, keys.VerifierOptions{JWKS: "https://issuer.test/jwks", Transport: is, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		for range 100 { // over almost an hour
			if _, err := v.Verify(t.Context(), k.token(t, claims(nil))); policy.CodeOf(err) != policy.CodeUnavailable {
				t.Errorf("error %v, want one of class unavailable", err)
			}
			time.Sleep(30 * time.Second)
		}
		if lines := strings.Count(logged.String(), "\n"); lines != 1 || !strings.Contains(logged.String(), "connection refused") {
			t.Errorf("an issuer that stays down is told of in %d lines:\n%s", lines, logged.String())
		}
		if policy.CodeOf(v.Ready(t.Context())) != policy.CodeUnavailable {
			t.Error("ready without keys")
		}
		is.down.Store(false)
		time.Sleep(time.Minute)
		wantAccepted(t, v, k.token(t, claims(nil)))
		if err := v.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestKeyURLIsHTTPSAllTheWay(t *testing.T) {
	k := newEC(t, "k")
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(jwks(t, k)) }))
	defer plain.Close()
	var target atomic.Value
	target.Store("")
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := target.Load().(string); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_, _ = w.Write(jwks(t, k))
	}))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail as they should
	secure.StartTLS()
	defer secure.Close()

	v := verifier(t, keys.VerifierOptions{JWKS: secure.URL, Transport: secure.Client().Transport})
	wantAccepted(t, v, k.token(t, claims(nil)))

	// The default client knows neither the certificate nor a way from https to http.
	v = verifier(t, keys.VerifierOptions{JWKS: secure.URL})
	if _, err := v.Verify(t.Context(), k.token(t, claims(nil))); policy.CodeOf(err) != policy.CodeUnavailable {
		t.Errorf("error %v for a certificate nobody vouches for", err)
	}
	target.Store(plain.URL)
	o := keys.VerifierOptions{JWKS: secure.URL, Transport: secure.Client().Transport}
	v = verifier(t, o)
	if _, err := v.Verify(t.Context(), k.token(t, claims(nil))); policy.CodeOf(err) != policy.CodeUnavailable {
		t.Errorf("error %v: a redirect to http was followed", err)
	}
}
