package endpoint_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ucwarden/endpoint"
)

func mustParse(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func newClient(t testing.TB, o endpoint.ClientOptions) *http.Client {
	t.Helper()
	o.Setting = "some.url"
	c, err := endpoint.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Plain http is for this machine alone, unless it is allowed.
func TestPlainHTTPIsRefused(t *testing.T) {
	for address, plain := range map[string]bool{
		"https://host": false, "https://127.0.0.1": false, "http://127.0.0.1:80": false, "http://localhost": false, "http://[::1]:1": false, "http://LOCALHOST.": false,
		"http://host": true, "http://10.0.0.1": true, "http://0.0.0.0": true, "http://localhost.example.com": true, "http://127.0.0.1.example.com": true,
		"http://[::ffff:10.0.0.1]": true, "http://2130706433": true, "http://127.1": true, "http://0x7f.1": true, "http://127.0.0.1@host": true,
	} {
		u := mustParse(t, address)
		_, err := endpoint.NewClient(endpoint.ClientOptions{URL: u, Setting: "some.url"})
		if refused := errors.As(err, new(*endpoint.PlainTextError)); refused != plain || endpoint.IsPlain(u) != plain {
			t.Errorf("%s: error %v, plain %t, want %t", address, err, endpoint.IsPlain(u), plain)
		}
		if plain && (!strings.Contains(err.Error(), "some.url.allow_http") || !strings.Contains(err.Error(), u.Host)) {
			t.Errorf("%s: the error does not say what to do: %v", address, err)
		}
		newClient(t, endpoint.ClientOptions{URL: u, AllowHTTP: true})
	}
	for _, u := range []*url.URL{nil, {}, mustParse(t, "ftp://host"), mustParse(t, "https:///x"), mustParse(t, "/x")} {
		if _, err := endpoint.NewClient(endpoint.ClientOptions{URL: u, Setting: "some.url", AllowHTTP: true}); err == nil || !strings.Contains(err.Error(), "some.url") {
			t.Errorf("%v: %v", u, err)
		}
	}
}

// Whatever a server answers, a credential reaches no other origin, and the error names the target.
func TestNoRedirectIsFollowed(t *testing.T) {
	var reached atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer other.Close()
	var calls atomic.Int64
	var status atomic.Int64
	var location atomic.Pointer[string]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if *location.Load() != "" {
			w.Header().Set("Location", *location.Load())
		}
		w.WriteHeader(int(status.Load()))
	}))
	defer server.Close()
	client := newClient(t, endpoint.ClientOptions{URL: mustParse(t, server.URL)})
	host := strings.TrimPrefix(other.URL, "http://")
	for _, code := range []int{301, 302, 303, 307, 308} {
		for to, named := range map[string]string{
			other.URL:                              other.URL,
			other.URL + "/login?token=s3cr3t#frag": other.URL + "/login",
			"//" + host + "/x":                     other.URL + "/x",
			"/login":                               server.URL + "/login",
			"":                                     "an unnamed target",
			"http://me:s3cr3t@" + host:             other.URL,
			"https://login.example.com/a b":        "https://login.example.com/a%20b",
			"http://[":                             "an unreadable URL",
			"javascript:alert(1)":                  "redirects to",
		} {
			for _, method := range []string{"GET", "POST", "PATCH"} {
				before := calls.Load()
				status.Store(int64(code))
				location.Store(&to)
				req, err := http.NewRequest(method, server.URL+"/api", strings.NewReader("a secret body"))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer s3cr3t")
				resp, err := client.Do(req)
				if err == nil {
					resp.Body.Close()
					t.Fatalf("%d to %q: no error", code, to)
				}
				var redirect *endpoint.RedirectError
				if !errors.As(err, &redirect) || redirect.Status != code || !strings.Contains(err.Error(), named) || !strings.Contains(err.Error(), "some.url") {
					t.Errorf("%d to %q: %v", code, to, err)
				}
				if strings.Contains(err.Error(), "s3cr3t") {
					t.Errorf("the error shows a secret: %v", err)
				}
				if calls.Load() != before+1 {
					t.Errorf("%d to %q: the server was called %d times", code, to, calls.Load()-before)
				}
			}
		}
	}
	if reached.Load() > 0 {
		t.Errorf("the other server was reached %d times", reached.Load())
	}
	for _, code := range []int{200, 300, 304, 305} { // not to be followed by anybody
		status.Store(int64(code))
		resp, err := client.Get(server.URL)
		if err != nil || resp.StatusCode != code {
			t.Errorf("%d: %v", code, err)
			continue
		}
		resp.Body.Close()
	}
}

// A library that is told of another server does not reach it with our transport.
func TestOtherOriginsAreRefused(t *testing.T) {
	var reached atomic.Int64
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	server, other := httptest.NewServer(handler), httptest.NewServer(handler)
	defer server.Close()
	defer other.Close()
	client := newClient(t, endpoint.ClientOptions{URL: mustParse(t, server.URL+"/base")})
	for _, address := range []string{other.URL, strings.Replace(server.URL, "http:", "https:", 1), "http://127.0.0.1", "https://host", strings.Replace(server.URL, "127.0.0.1", "localhost", 1)} {
		resp, err := client.Post(address, "text/plain", strings.NewReader("x"))
		if err == nil {
			resp.Body.Close()
		}
		var refused *endpoint.OriginError
		if !errors.As(err, &refused) || refused.Other == refused.Origin {
			t.Errorf("%s: %v", address, err)
		}
	}
	if reached.Load() > 0 {
		t.Error("a request was sent")
	}
	for _, address := range []string{server.URL, server.URL + "/elsewhere?x=1"} {
		resp, err := client.Get(address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		resp.Body.Close()
	}
	tls := httptest.NewTLSServer(handler)
	defer tls.Close()
	u := mustParse(t, strings.Replace(tls.URL, "https", "HTTPS", 1)) // schemes and hosts have no case
	u.Scheme = strings.ToLower(u.Scheme)
	resp, err := newClient(t, endpoint.ClientOptions{URL: u, InsecureSkipVerify: true}).Get(tls.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func TestAnswersAreBounded(t *testing.T) {
	const limit = 1 << 20
	bomb := func() []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(make([]byte, 100<<20))
		_ = z.Close()
		return b.Bytes()
	}()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		case "/headers":
			for i := range 10_000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 100))
			}
		case "/slow":
			<-r.Context().Done()
		default:
			_, _ = w.Write(make([]byte, limit))
		}
	}))
	defer server.Close()
	client := newClient(t, endpoint.ClientOptions{URL: mustParse(t, server.URL), MaxBody: limit, HeaderTimeout: 100 * time.Millisecond})
	read := func(path string) (int, error) {
		resp, err := client.Get(server.URL + path)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		return len(data), err
	}
	if n, err := read("/"); n != limit || err != nil {
		t.Errorf("an answer of the allowed size: %d bytes, %v", n, err)
	}
	for _, path := range []string{"/bomb", "/endless", "/headers", "/slow"} {
		if n, err := read(path); n > limit || err == nil {
			t.Errorf("%s: %d bytes, %v", path, n, err)
		}
	}
}

// With a proxy in the environment: what is for this machine does not go there, nor does a plain request that is not
// allowed. The environment is read once in a process, so this runs in one of its own.
func TestProxyOfTheEnvironment(t *testing.T) {
	if os.Getenv("ENDPOINT_PROXY_CHILD") == "" {
		var seen atomic.Pointer[string]
		none := ""
		seen.Store(&none)
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			line := r.Method + " " + r.RequestURI + " " + r.Header.Get("Authorization")
			seen.Store(&line)
			w.WriteHeader(418)
		}))
		defer proxy.Close()
		for what, want := range map[string]string{
			"loopback": "", "refused": "", "allowed": "GET http://ranger.test/x Bearer s3cr3t", "tls": "CONNECT ranger.test:443 ",
		} {
			seen.Store(&none)
			cmd := exec.Command(os.Args[0], "-test.run=^TestProxyOfTheEnvironment$")
			cmd.Env = append(os.Environ(), "ENDPOINT_PROXY_CHILD="+what, "HTTP_PROXY="+proxy.URL, "HTTPS_PROXY="+proxy.URL, "NO_PROXY=", "http_proxy=", "https_proxy=", "no_proxy=")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", what, err, out)
			}
			if got := *seen.Load(); got != want {
				t.Errorf("%s: the proxy saw %q, want %q", what, got, want)
			}
		}
		return
	}
	get := func(address string, allow bool) error {
		client, err := endpoint.NewClient(endpoint.ClientOptions{URL: mustParse(t, address), Setting: "some.url", AllowHTTP: allow})
		if err != nil {
			return err
		}
		req, err := http.NewRequest("GET", address+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer s3cr3t")
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	switch os.Getenv("ENDPOINT_PROXY_CHILD") {
	case "loopback":
		server := httptest.NewServer(http.NotFoundHandler())
		defer server.Close()
		for _, name := range []string{"127.0.0.1", "localhost", "LOCALHOST", "localhost."} {
			if err := get(strings.Replace(server.URL, "127.0.0.1", name, 1), false); err != nil && !strings.Contains(err.Error(), "localhost.:") { // not every resolver knows it
				t.Error(err)
			}
		}
	case "refused":
		if err := get("http://ranger.test", false); !errors.As(err, new(*endpoint.PlainTextError)) {
			t.Error(err)
		}
	case "allowed":
		if err := get("http://ranger.test", true); err != nil {
			t.Error(err)
		}
	case "tls":
		if err := get("https://ranger.test", false); err == nil {
			t.Error("no error")
		}
	}
}
