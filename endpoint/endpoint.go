package endpoint

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// IsLoopback reports whether requests to host stay on this machine: host is localhost, in any case, or an address of
// 127.0.0.0/8 or ::1 (RFC 6890, RFC 6761), without port and brackets.
func IsLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// MaxRetryAfter is the longest wait that is believed: a server that asks for a month is mistaken.
const MaxRetryAfter = time.Hour

// RetryAfter returns how long from now a server asks to be left alone (RFC 9110, section 10.2.3: seconds, or an HTTP
// date), from 0 to [MaxRetryAfter]; false when it asks for nothing that can be read.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter), true
}
