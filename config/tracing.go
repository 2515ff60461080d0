package config

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// HeaderMap returns the headers by name. Those of a configuration that was loaded are in order.
func (t *Tracing) HeaderMap() map[string]string {
	headers, _ := parseHeaders(t.Headers.Reveal())
	return headers
}

func checkTracingHeaders(v any) string {
	_, problem := parseHeaders(v.(Secret).Reveal())
	return problem
}

// parseHeaders reads headers in the form of the variable OTEL_EXPORTER_OTLP_HEADERS. What is wrong is said without showing a value.
func parseHeaders(text string) (map[string]string, string) {
	headers := make(map[string]string)
	for i, pair := range strings.Split(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !found || err != nil || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Sprintf("pair %d is not a header: want name=value,name=value with the values URL-encoded, for example Authorization=Bearer%%20KEY", i+1)
		}
		headers[http.CanonicalHeaderKey(name)] = value
	}
	return headers, ""
}

// validateTracing refuses what would send a password in a URL, which is shown.
func (c *Config) validateTracing(ps *problems) {
	u, err := url.Parse(c.Tracing.URL)
	if err == nil && u.User != nil {
		ps.add("tracing.url", c.source("tracing.url"), "must hold no user or password: send them with tracing.headers")
	}
}
