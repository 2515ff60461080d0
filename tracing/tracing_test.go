package tracing_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"ucwarden/policy"
	"ucwarden/span"
	"ucwarden/tracing"
)

// received is one request to a receiver.
type received struct {
	path   string
	header http.Header
	body   *collector.ExportTraceServiceRequest
}

// receiver returns the URL of a receiver that answers with the status, and its requests.
func receiver(t *testing.T, status *atomic.Int32) (string, <-chan received) {
	requests := make(chan received, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		text, err := io.ReadAll(content)
		if err != nil {
			t.Error(err)
		}
		one := received{r.URL.Path, r.Header, new(collector.ExportTraceServiceRequest)}
		if err := proto.Unmarshal(text, one.body); err != nil {
			t.Error(err)
		}
		w.WriteHeader(int(status.Load()))
		requests <- one
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

func statusOf(code int32) *atomic.Int32 {
	s := new(atomic.Int32)
	s.Store(code)
	return s
}

// record records a span under the one that traceparent names, and shuts the provider down.
func record(t *testing.T, o tracing.Options, traceparent string) {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p, err := tracing.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	_, s := p.Tracer().Start(span.Within(t.Context(), traceparent), "work")
	span.End(s, nil)
	if err := p.Shutdown(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

// Spans arrive, with the headers, and what tells this process from others.
func TestExport(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	for path, want := range map[string]string{"": "/v1/traces", "/": "/v1/traces", "/otlp/v1/traces": "/otlp/v1/traces"} {
		address, requests := receiver(t, statusOf(http.StatusOK))
		registry := prometheus.NewRegistry()
		record(t, tracing.Options{URL: address + path, Headers: map[string]string{"Api-Key": "k"}, Ratio: 1, Version: "v1", Instance: "one", Registerer: registry}, "")
		got := <-requests
		if got.path != want || got.header.Get("Api-Key") != "k" {
			t.Errorf("sent to %s with %v, want %s and the key", got.path, got.header, want)
		}
		attributes := make(map[string]string)
		for _, a := range got.body.ResourceSpans[0].Resource.Attributes {
			attributes[a.Key] = a.Value.GetStringValue()
		}
		for key, want := range map[string]string{
			"service.name": "ucwarden", "service.version": "v1", "service.instance.id": "one", "deployment.environment.name": "test",
		} {
			if attributes[key] != want {
				t.Errorf("%s is %q, want %q", key, attributes[key], want)
			}
		}
		if spans := got.body.ResourceSpans[0].ScopeSpans[0].Spans; len(spans) != 1 || spans[0].Name != "work" {
			t.Errorf("%v", spans)
		}
		if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP ucwarden_trace_spans_exported_total Spans that the receiver of traces took.
# TYPE ucwarden_trace_spans_exported_total counter
ucwarden_trace_spans_exported_total 1
`), "ucwarden_trace_spans_exported_total"); err != nil {
			t.Error(err)
		}
	}
}

// A receiver that refuses is said once, without the headers, until it takes spans again; nothing else fails.
func TestRefused(t *testing.T) {
	status := statusOf(http.StatusUnauthorized)
	address, requests := receiver(t, status)
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	p, err := tracing.New(t.Context(), tracing.Options{
		URL: address, Headers: map[string]string{"Api-Key": "canary"}, Ratio: 1, Logger: slog.New(slog.NewTextHandler(&log, nil)), Registerer: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	send := func() {
		t.Helper()
		_, s := p.Tracer().Start(t.Context(), "work")
		s.End()
		if err := p.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		<-requests
	}
	send()
	send()
	if n := strings.Count(log.String(), "does not take them"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log.String())
	}
	status.Store(http.StatusOK)
	send()
	if !strings.Contains(log.String(), "takes them again") || strings.Contains(log.String(), "canary") {
		t.Errorf("log:\n%s", log.String())
	}
	for name, want := range map[string]string{"ucwarden_trace_spans_ended_total": "3", "ucwarden_trace_spans_lost_total": "2", "ucwarden_trace_spans_exported_total": "1"} {
		text, err := testutil.CollectAndFormat(registry, expfmt.TypeTextPlain, name)
		if err != nil || !strings.Contains(string(text), "\n"+name+" "+want+"\n") {
			t.Errorf("%s, %v; want %s", text, err, want)
		}
	}
}

// Of traces that begin here the ratio decides; others are recorded as their callers record them.
func TestRatio(t *testing.T) {
	for _, test := range []struct {
		traceparent string
		ratio       float64
		want        bool
	}{
		{"", 0, false},
		{"", 1, true},
		{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", 0, true},
		{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", 1, false},
	} {
		address, requests := receiver(t, statusOf(http.StatusOK))
		record(t, tracing.Options{URL: address, Ratio: test.ratio}, test.traceparent)
		select {
		case got := <-requests:
			if !test.want {
				t.Errorf("%+v: recorded %v", test, got.body)
			}
		default:
			if test.want {
				t.Errorf("%+v: nothing was recorded", test)
			}
		}
	}
}

func TestWrongOptions(t *testing.T) {
	for address, want := range map[string]string{
		"":                              "tracing.url is not an http or https URL",
		"collector:4318":                "tracing.url is not an http or https URL",
		"http://collector:4318":         "tracing.url.allow_http",
		"https://user:canary@collector": "tracing.headers",
		"https://user:canary@:x:y":      "tracing.url is not a URL",
	} {
		_, err := tracing.New(t.Context(), tracing.Options{URL: address, Logger: slog.New(slog.DiscardHandler)})
		if policy.CodeOf(err) != policy.CodeInvalid || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v; want %q", address, err, want)
		}
	}
}

// Without a provider nothing is traced.
func TestNoProvider(t *testing.T) {
	var p *tracing.Provider
	if p.Tracer() != trace.Tracer(nil) || p.Shutdown(t.Context()) != nil {
		t.Error("a nil provider is not nothing")
	}
}
