package keys_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
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

// What is well-formed and holds no key revokes every token, wherever it comes from; what is not well-formed says nothing.
func TestEmptyKeySetRevokesEveryToken(t *testing.T) {
	for name, empty := range map[string]string{
		"no key":               `{"keys":[]}`,
		"none that is usable":  `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"k"}]}`,
		"a key of another use": `{"keys":[{"kty":"RSA","use":"enc","n":"AQAB","e":"AQAB","kid":"k"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newEC(t, "k")
				path := writeTemp(t, "jwks.json", jwks(t, k))
				is := &issuer{}
				is.publish(jwks(t, k))
				for _, v := range []*keys.Verifier{
					verifier(t, keys.VerifierOptions{JWKS: path}),
					verifier(t, keys.VerifierOptions{JWKS: "https://issuer.test/jwks", Transport: is}),
				} {
					wantAccepted(t, v, k.token(t, claims(nil)))
				}
				file, remote := verifier(t, keys.VerifierOptions{JWKS: path}), verifier(t, keys.VerifierOptions{JWKS: "https://issuer.test/jwks", Transport: is})
				rewrite(t, path, []byte(empty))
				is.publish([]byte(empty))
				time.Sleep(2 * time.Second)
				token := k.token(t, claims(map[string]any{"exp": time.Now().Add(4 * time.Hour).Unix()}))
				wantRefused(t, file, token, "its kid names no key")
				wantRefused(t, file, signed(t, k.method, k.signer, `{"alg":"ES256"}`, object(t, claims(nil))), "no kid")
				time.Sleep(40 * time.Minute)
				wantRefused(t, remote, token, "its kid names no key")
				if err := file.Ready(t.Context()); err != nil {
					t.Errorf("not ready, although what is known is that no token is good: %v", err)
				}
				rewrite(t, path, jwks(t, k))
				wantAccepted(t, file, token) // at once: its kid was unknown
			})
		})
	}
}

// At start a set without any key revokes; one whose keys are all unusable is a mistake.
func TestEmptyKeySetAtStart(t *testing.T) {
	k := newEC(t, "k")
	path := writeTemp(t, "jwks.json", []byte(`{"keys":[]}`))
	v := verifier(t, keys.VerifierOptions{JWKS: path})
	wantRefused(t, v, k.token(t, claims(nil)), "its kid names no key")
	if w := v.Warnings(); len(w) != 1 || !strings.Contains(w[0], "every token is refused") {
		t.Errorf("that nobody gets in is not said: %q", w)
	}
	_, err := keys.NewVerifier(t.Context(), keys.VerifierOptions{JWKS: writeTemp(t, "x.json", []byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`))})
	if policy.CodeOf(err) != policy.CodeInvalid || !strings.Contains(err.Error(), "no usable key") {
		t.Errorf("error %v", err)
	}
}

// A source that cannot be read keeps its keys for a bounded time; readiness says so, first as a warning.
func TestUnreadableKeysEnd(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"garbled":       func(t *testing.T, path string) { rewrite(t, path, []byte(`{"keys":[`)) },
		"another thing": func(t *testing.T, path string) { rewrite(t, path, []byte(`{"error":"busy"}`)) },
		"null":          func(t *testing.T, path string) { rewrite(t, path, []byte(`{"keys":null}`)) },
		"two lists":     func(t *testing.T, path string) { rewrite(t, path, []byte(`{"keys":[],"keys":[]}`)) },
		"emptied file":  func(t *testing.T, path string) { rewrite(t, path, nil) },
		"removed": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newEC(t, "k")
				path := writeTemp(t, "jwks.json", jwks(t, k))
				v := verifier(t, keys.VerifierOptions{JWKS: path, KeepUnread: 10 * time.Minute})
				token := k.token(t, claims(map[string]any{"exp": time.Now().Add(4 * time.Hour).Unix()}))
				spoil(t, path)
				time.Sleep(9 * time.Minute)
				wantAccepted(t, v, token)
				if err := v.Ready(t.Context()); err != nil {
					t.Error(err)
				}
				if w := v.Warnings(); len(w) != 1 || !strings.Contains(w[0], path) || !strings.Contains(w[0], "2000-01-01T00:10:00Z") {
					t.Errorf("warnings %q", w)
				}
				time.Sleep(2 * time.Minute)
				if err := v.Ready(t.Context()); policy.CodeOf(err) != policy.CodeUnavailable || !strings.Contains(err.Error(), path) {
					t.Errorf("ready: %v", err)
				}
				if _, err := v.Verify(t.Context(), token); policy.CodeOf(err) != policy.CodeUnavailable {
					t.Errorf("error %v, want one of class unavailable", err)
				}
				rewrite(t, path, jwks(t, k))
				time.Sleep(2 * time.Second)
				wantAccepted(t, v, token)
				if err := v.Ready(t.Context()); err != nil || len(v.Warnings()) > 0 {
					t.Errorf("after it is readable again: %v %q", err, v.Warnings())
				}
			})
		})
	}
}

// An idle hour without a request is no hour in which the keys could not be read.
func TestIdleKeysDoNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newEC(t, "k")
		is := &issuer{}
		is.publish(jwks(t, k))
		for _, o := range []keys.VerifierOptions{
			{JWKS: writeTemp(t, "jwks.json", jwks(t, k))},
			{JWKS: "https://issuer.test/jwks", Transport: is},
			{JWKS: "https://issuer.test/jwks", Transport: is, KeepUnread: time.Minute},
			{PEMFiles: []string{writeTemp(t, "k.pem", publicPEM(t, k.signer.Public()))}},
		} {
			v := verifier(t, o)
			for range 3 {
				time.Sleep(25 * time.Hour)
				wantAccepted(t, v, k.token(t, claims(nil)))
				if err := v.Ready(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// Keys of a server that is down end too; those of other sources do not.
func TestUnreadableURLTakesNoOtherKeysAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote, local := newEC(t, "remote"), newEC(t, "local")
		is := &issuer{}
		is.publish(jwks(t, remote))
		v := verifier(t, keys.VerifierOptions{JWKS: "https://issuer.test/jwks", Transport: is, PEMFiles: []string{writeTemp(t, "local.pem", publicPEM(t, local.signer.Public()))}})
		token := func(k testKey) string {
			return k.token(t, claims(map[string]any{"exp": time.Now().Add(time.Minute).Unix()}))
		}
		is.down.Store(true)
		for range 6 {
			time.Sleep(9 * time.Minute)
			wantAccepted(t, v, token(remote))
		}
		time.Sleep(9 * time.Minute)
		if _, err := v.Verify(t.Context(), token(remote)); policy.CodeOf(err) != policy.CodeUnavailable {
			t.Errorf("error %v, want one of class unavailable", err)
		}
		wantAccepted(t, v, token(local))
		is.down.Store(false)
		time.Sleep(time.Minute)
		wantAccepted(t, v, token(remote))
	})
}

// Two different keys of one kid are a mistake at start, and while it runs neither of them counts.
func TestAmbiguousKidNamesNoKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other, third := newEC(t, "k"), newEC(t, "k"), newEC(t, "third")
		path := writeTemp(t, "jwks.json", jwks(t, one, third))
		v := verifier(t, keys.VerifierOptions{JWKS: path})
		set := strings.TrimSuffix(string(jwks(t, one, third)), "]}") + "," + strings.TrimPrefix(string(jwks(t, other)), `{"keys":[`)
		rewrite(t, path, []byte(set))
		time.Sleep(2 * time.Second)
		wantRefused(t, v, one.token(t, claims(nil)), "its kid names no key")
		wantRefused(t, v, other.token(t, claims(nil)), "its kid names no key")
		wantAccepted(t, v, third.token(t, claims(nil)))
	})
}

func TestReloadReadsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		older, newer := newEC(t, "older"), newEC(t, "newer")
		is := &issuer{}
		is.publish(jwks(t, older))
		v := verifier(t, keys.VerifierOptions{JWKS: "https://issuer.test/jwks", Transport: is})
		is.publish(jwks(t, newer))
		if n, err := v.Reload(t.Context()); n != 1 || err != nil {
			t.Errorf("%d keys, %v", n, err)
		}
		wantRefused(t, v, older.token(t, claims(nil)), "its kid names no key")
		wantAccepted(t, v, newer.token(t, claims(nil)))
		is.down.Store(true)
		if n, err := v.Reload(t.Context()); n != 1 || policy.CodeOf(errors.Unwrap(err)) != policy.CodeUnavailable && !strings.Contains(err.Error(), "https://issuer.test/jwks") {
			t.Errorf("%d keys, %v", n, err)
		}
		wantAccepted(t, v, newer.token(t, claims(nil)))
	})
}

// hostileServer answers a download of keys in every way but the right one.
func TestHostileKeySetServers(t *testing.T) {
	k := newEC(t, "k")
	var reached atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		_, _ = w.Write(jwks(t, k))
	}))
	defer other.Close()
	bomb := func() []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.CopyN(z, zeros{}, 64<<20)
		_ = z.Close()
		return b.Bytes()
	}()
	for name, answer := range map[string]http.HandlerFunc{
		"redirect to another port": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) },
		"307": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/x", http.StatusTemporaryRedirect)
		},
		"redirect to itself": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/again", http.StatusMovedPermanently)
		},
		"huge": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.CopyN(w, zeros{}, 2<<20) },
		"compressed bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		},
		"breaks off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"keys":[]`)
		},
		"an error page":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>log in</html>") },
		"accepted":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202); fmt.Fprint(w, `{"keys":[]}`) },
		"an empty answer": func(http.ResponseWriter, *http.Request) {},
		"a list":          func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[]`) },
		"two documents":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}{"keys":[]}`) },
		"an object of it": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":{}}`) },
		"nested too deep": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"keys":[],"x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}`)
		},
		"an unlikely code": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(299); fmt.Fprint(w, `{"keys":[]}`) },
	} {
		t.Run(name, func(t *testing.T) {
			var spoilt atomic.Bool
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if spoilt.Load() {
					answer(w, r)
					return
				}
				_, _ = w.Write(jwks(t, k))
			}))
			defer server.Close()
			v := verifier(t, keys.VerifierOptions{JWKS: strings.Replace(server.URL, "http://", "http://me:s3cr3t@", 1) + "/jwks"})
			spoilt.Store(true)
			_, err := v.Reload(t.Context())
			if err == nil {
				t.Fatal("read as a key set")
			}
			if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "me:") {
				t.Errorf("the error shows the password: %v", err)
			}
			if strings.Contains(name, "redirect") && !strings.Contains(err.Error(), "redirects to http://127.0.0.1:") {
				t.Errorf("the error does not name the target: %v", err)
			}
			wantAccepted(t, v, k.token(t, claims(nil)))
		})
	}
	if reached.Load() != 0 {
		t.Errorf("a redirect was followed %d times", reached.Load())
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Times that cannot be meant, and names one letter from a known one, are rejected although the signature is good.
func TestAbsurdClaims(t *testing.T) {
	k := newEC(t, "k")
	v := verifier(t, keys.VerifierOptions{JWKS: writeTemp(t, "jwks.json", jwks(t, k))})
	good := object(t, claims(nil))
	with := func(member string) string {
		return signed(t, k.method, k.signer, `{"alg":"ES256","kid":"k"}`, strings.Replace(good, "{", "{"+member+",", 1))
	}
	without := func(name, member string) string {
		return signed(t, k.method, k.signer, `{"alg":"ES256","kid":"k"}`, strings.Replace(object(t, claims(map[string]any{name: nil})), "{", "{"+member+",", 1))
	}
	now := time.Now().Unix()
	for _, number := range []string{
		"0", "-1", "1", "946684799", fmt.Sprint(now*1000 + 1e13), "7289654401", "253402300800", "1e18", "9223372036854775807", "9223372036854775808",
		"18446744073709551616", "99999999999999999999999999", "-1e10", "1e-300", "1e300",
	} {
		for _, name := range []string{"exp", "nbf", "iat"} {
			if id, err := v.Verify(t.Context(), without(name, fmt.Sprintf("%q:%s", name, number))); policy.CodeOf(err) != policy.CodeUnauthenticated {
				t.Errorf("%s %s: accepted as %+v, or %v", name, number, id, err)
			}
		}
	}
	for name, at := range map[string]int64{"exp": now + 60, "nbf": now - 60, "iat": now - 60} { // a NumericDate may have a fraction
		for _, form := range []string{"%d.5", "%d.0", "%d0e-1", "%d.999999999"} {
			wantAccepted(t, v, without(name, fmt.Sprintf(`%q:`+form, name, at)))
		}
	}
	wantRefused(t, v, without("exp", fmt.Sprintf(`"exp":%d.9`, now-32)), "expired")
	for _, name := range []string{"exp", "nbf", "iat"} {
		for _, value := range []string{`"1900000000"`, "true", "[]", "{}"} {
			if id, err := v.Verify(t.Context(), without(name, fmt.Sprintf("%q:%s", name, value))); policy.CodeOf(err) != policy.CodeUnauthenticated {
				t.Errorf("%s %s: accepted as %+v, or %v", name, value, id, err)
			}
		}
	}
	for name, near := range map[string]string{
		"catalog": "catalogs", "Catalogs": "catalogs", "catalgos": "catalogs", "katalogs": "catalogs", "catalogs ": "catalogs", "scopes": "scope", "Scope": "scope",
		"pipeline": "pipelines", "EXP": "exp", "Sub": "sub", "NBF": "nbf", "AUD": "aud",
	} {
		wantRefused(t, v, with(fmt.Sprintf(`%q:[]`, name)), "differs from "+near)
	}
	for _, name := range []string{"uti", "ext", "azp", "sid", "typ", "acr", "roles", "scp", "catalog_limit", "iat_local", "auth_time"} {
		wantAccepted(t, v, with(fmt.Sprintf(`%q:"x"`, name)))
	}
	for _, header := range []string{`{"alg":"ES256","KID":"k"}`, `{"ALG":"none","alg":"ES256","kid":"k"}`, `{"alg":"ES256","kid":"k","Crit":[]}`} {
		token := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + b64(good)
		sig, err := k.method.Sign(token, k.signer)
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(t, v, token+"."+base64.RawURLEncoding.EncodeToString(sig), "its header has a member that differs")
	}
}
