package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ucwarden/config"
)

func TestLocalURL(t *testing.T) {
	for want, c := range map[string]config.APIServer{
		"http://127.0.0.1:8282":  {Addr: "127.0.0.1:8282"},
		"http://127.0.0.1:80":    {Addr: ":80"},
		"http://127.0.0.1:81":    {Addr: "0.0.0.0:81"},
		"http://127.0.0.1:82":    {Addr: "[::]:82"},
		"https://uc.example:443": {Addr: "uc.example:443", TLS: config.TLS{Cert: "c", Key: "k"}},
	} {
		if got := localURL(c); got != want {
			t.Errorf("%s: got %s, want %s", c.Addr, got, want)
		}
	}
}

// TestClientHint holds that what speaks to the server in the wrong way, or to a wrong one, is told how to.
func TestClientHint(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "a page", http.StatusNotFound) })
	plain, secure := httptest.NewServer(page), httptest.NewUnstartedServer(page)
	defer plain.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	for server, want := range map[string]string{
		plain.URL:  "this is no answer of ucwarden",
		secure.URL: "--ca-file",
		strings.Replace(plain.URL, "http:", "https:", 1):  "write http:// in --server",
		strings.Replace(secure.URL, "https:", "http:", 1): "whether it is https://",
	} {
		c, err := (&clientFlags{server: server, token: "x"}).client(&app{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.Get(t.Context(), "id"); !strings.Contains(clientHint(err), want) {
			t.Errorf("%s: %v: hint %q, want one with %q", server, err, clientHint(err), want)
		}
	}
}
