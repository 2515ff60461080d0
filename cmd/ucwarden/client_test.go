package main

import (
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
