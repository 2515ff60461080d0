package endpoint_test

import (
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
			for _, text := range []string{string(body), resp.Header.Get("X-Echo")} {
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
