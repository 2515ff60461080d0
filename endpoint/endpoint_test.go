package endpoint_test

import (
	"net/http"
	"testing"
	"time"

	"ucwarden/endpoint"
)

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "localhost.": true, "127.0.0.1": true, "127.8.9.10": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.example.com": false, "notlocalhost": false, "128.0.0.1": false, "0.0.0.0": false, "::": false, "::2": false,
		"127.0.0.1:80": false, "127.1": false, "127.0.0.1.example.com": false,
	} {
		if got := endpoint.IsLoopback(host); got != want {
			t.Errorf("%q: %t, want %t", host, got, want)
		}
	}
}

func TestRetryAfterValues(t *testing.T) {
	now := time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		value string
		want  time.Duration
		told  bool
	}{
		{"", 0, false},
		{"0", 0, true},
		{" 12 ", 12 * time.Second, true},
		{"-1", 0, false},
		{"1.5", 0, false},
		{"soon", 0, false},
		{"Sat, 31 Jan 2026 10:00:30 GMT", 30 * time.Second, true},
		{"Sat, 31 Jan 2026 09:00:00 GMT", 0, true},
		{"Sat, 31 Jan 2099 09:00:00 GMT", endpoint.MaxRetryAfter, true},
		{"86400", endpoint.MaxRetryAfter, true},
		{"99999999999999999999999", endpoint.MaxRetryAfter, true},
	}
	for _, test := range tests {
		got, told := endpoint.RetryAfter(http.Header{"Retry-After": {test.value}}, now)
		if got != test.want || told != test.told {
			t.Errorf("%q: got %s, %t, want %s, %t", test.value, got, told, test.want, test.told)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Sat, 31 Jan 2026 10:00:30 GMT")
	f.Add("-9223372036854775808")
	f.Fuzz(func(t *testing.T, value string) {
		wait, told := endpoint.RetryAfter(http.Header{"Retry-After": {value}}, time.Unix(1_700_000_000, 0))
		if wait < 0 || wait > endpoint.MaxRetryAfter || !told && wait != 0 {
			t.Errorf("%q: %s, %t", value, wait, told)
		}
	})
}
