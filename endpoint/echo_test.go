package endpoint_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"ucwarden/endpoint"
)

// What a server repeats of the credentials that it was sent is masked where it reports an error; the rest is as it was.
func TestEchoedCredentialsAreMasked(t *testing.T) {
	const secret = `s3cret/with "quotes" & more`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		user, password, _ := r.BasicAuth()
		w.Header().Set("X-Echo", r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, strings.Join([]string{"hello", r.Header.Get("Authorization"), user, password, string(body), "bye"}, "\n"))
	}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := endpoint.NewClient(endpoint.ClientOptions{URL: u, Setting: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for name, prepare := range map[string]func(*http.Request){
		"bearer":  func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) },
		"basic":   func(r *http.Request) { r.SetBasicAuth("reader", secret) },
		"escaped": func(r *http.Request) { r.SetBasicAuth("reader", url.QueryEscape(secret)) },
		"form":    func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") },
	} {
		t.Run(name, func(t *testing.T) {
			form := ""
			if name == "form" {
				form = url.Values{"client_secret": {secret}, "grant_type": {"client_credentials"}}.Encode()
			}
			req, err := http.NewRequest(http.MethodPost, server.URL, strings.NewReader(form))
			if err != nil {
				t.Fatal(err)
			}
			prepare(req)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{string(body), resp.Header.Get("X-Echo"), resp.Status} {
				for _, form := range []string{secret, url.QueryEscape(secret), strings.TrimPrefix(req.Header.Get("Authorization"), "Basic ")} {
					if form != "" && strings.Contains(text, form) {
						t.Errorf("%q shows %q", text, form)
					}
				}
			}
			if !strings.HasPrefix(string(body), "hello\n") || !strings.HasSuffix(string(body), "\nbye") || !strings.Contains(string(body), "********") {
				t.Errorf("%q", body)
			}
		})
	}
}

// What a server repeats where nobody looks for it, in the words of its status and in where a redirect leads, is masked too, and the query
// of the request as its credentials are, also where the text is cut.
func TestEchoInStatusAndRedirect(t *testing.T) {
	const token, key = "dapi0123456789abcdef", "k3y+of/the=receiver"
	status, location := "", ""
	u, err := url.Parse("https://h.example/hook?v=1&sig=" + url.QueryEscape(key))
	if err != nil {
		t.Fatal(err)
	}
	client, err := endpoint.NewClient(endpoint.ClientOptions{URL: u, Setting: "test", Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		code := http.StatusForbidden
		if location != "" {
			code = http.StatusFound
		}
		return &http.Response{StatusCode: code, Status: status, Header: http.Header{"Location": {location}}, Body: http.NoBody, Request: r}, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	do := func() string {
		req, err := http.NewRequest(http.MethodPost, u.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(req)
		if failed, ok := errors.AsType[*endpoint.RedirectError](err); ok {
			return failed.Error()
		} else if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.Status
	}
	status = "403 go away " + token
	if got := do(); got != "403 go away ********" {
		t.Errorf("status %q", got)
	}
	for _, echoed := range []string{token, key, url.QueryEscape(key), url.PathEscape(key), "v=1&sig=" + key} {
		for _, before := range []string{"/", "/" + strings.Repeat("x", 170) + "/"} {
			location = before + echoed
			if got := do(); !strings.Contains(got, "***") || strings.Contains(got, token[:6]) || strings.Contains(got, "k3y") {
				t.Errorf("redirect to %s: %s", location, got)
			}
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
