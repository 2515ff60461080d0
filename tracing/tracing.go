package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"ucwarden/endpoint"
	"ucwarden/policy"
	"ucwarden/span"
)

const (
	setting = "tracing.url" // for errors

	defaultPath   = "/v1/traces" // of OTLP over HTTP
	exportTimeout = 10 * time.Second
	maxAnswer     = 1 << 20 // bytes
	maxText       = 4 << 10 // bytes of one attribute
	maxQueue      = 8 << 10 // spans that wait to be sent
)

// Options say where traces go. URL is required.
type Options struct {
	URL       string            // of a receiver of OTLP over HTTP; without a path, /v1/traces is taken
	AllowHTTP bool              // plain http to a host that is not this machine
	Headers   map[string]string // sent with each request; they often hold a key
	Ratio     float64           // share of traces that are recorded, 0 to 1; one that came with a request is recorded as its caller's is
	Version   string            // of this program
	Instance  string            // tells this process from others of the service; "" is not sent

	Logger     *slog.Logger
	Registerer prometheus.Registerer // may be nil
}

// Provider records spans and sends them. Create it with [New].
type Provider struct{ provider *sdk.TracerProvider }

// New returns a provider that exports to the receiver; nothing is sent before there are spans. An error names the wrong option.
func New(ctx context.Context, o Options) (*Provider, error) {
	invalid := func(format string, a ...any) error {
		return policy.Errorf(policy.CodeInvalid, "tracing: "+format, a...)
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, invalid("%s is not a URL", setting) // which may hold a password
	}
	if u.User != nil {
		return nil, invalid("%s holds a user or password: send it with tracing.headers", setting)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = defaultPath
	}
	client, err := endpoint.NewClient(endpoint.ClientOptions{
		URL: u, Setting: setting, AllowHTTP: o.AllowHTTP, AllowedBy: setting + ".allow_http", HeaderTimeout: exportTimeout, MaxBody: maxAnswer,
	})
	if err != nil {
		return nil, invalid("%w", err)
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithHTTPClient(client),
		otlptracehttp.WithHeaders(o.Headers), otlptracehttp.WithCompression(otlptracehttp.GzipCompression), otlptracehttp.WithTimeout(exportTimeout))
	if err != nil {
		return nil, invalid("make the exporter: %w", err)
	}
	watched := &watchedExporter{SpanExporter: exporter, log: o.Logger, url: u.Redacted()}
	if err := watched.register(o.Registerer); err != nil {
		return nil, invalid("%w", err)
	}
	limits := sdk.NewSpanLimits()
	limits.AttributeValueLengthLimit = maxText
	return &Provider{sdk.NewTracerProvider(
		sdk.WithSpanProcessor(countedEnds{watched.ended}), sdk.WithBatcher(watched, sdk.WithMaxQueueSize(maxQueue), sdk.WithExportTimeout(2*exportTimeout)),
		sdk.WithResource(resourceOf(ctx, o)), sdk.WithRawSpanLimits(limits),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.Ratio))),
	)}, nil
}

// resourceOf describes this process. What OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say is kept.
func resourceOf(ctx context.Context, o Options) *resource.Resource {
	attributes := []attribute.KeyValue{attribute.String("service.name", "ucwarden"), attribute.String("service.version", o.Version)}
	if o.Instance != "" {
		attributes = append(attributes, attribute.String("service.instance.id", o.Instance))
	}
	r, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(attributes...), resource.WithFromEnv())
	if err != nil {
		o.Logger.Warn("what the environment says of the service is left out of traces", "error", err)
	}
	return r
}

// Tracer begins traces, and spans of traces that others began.
// That of a nil provider is nil.
func (p *Provider) Tracer() trace.Tracer {
	if p == nil {
		return nil
	}
	return p.provider.Tracer(span.Scope)
}

// Shutdown sends what is left and ends the provider. It returns an error where ctx ended before all was sent. A nil provider has
// nothing to send.
func (p *Provider) Shutdown(ctx context.Context) error {
	if p == nil {
		return nil
	}
	if err := p.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last traces: %w", err)
	}
	return nil
}

// watchedExporter says and counts what the receiver does not take: the SDK would tell a handler of the whole process, for each batch.
type watchedExporter struct {
	sdk.SpanExporter
	log     *slog.Logger
	url     string
	failing atomic.Bool

	ended, exported, lost prometheus.Counter
}

func (e *watchedExporter) register(r prometheus.Registerer) error {
	e.ended = prometheus.NewCounter(prometheus.CounterOpts{Name: "ucwarden_trace_spans_ended_total", Help: "Spans that were recorded, to be exported; those that did not fit into the queue are among them."})
	e.exported = prometheus.NewCounter(prometheus.CounterOpts{Name: "ucwarden_trace_spans_exported_total", Help: "Spans that the receiver of traces took."})
	e.lost = prometheus.NewCounter(prometheus.CounterOpts{Name: "ucwarden_trace_spans_lost_total", Help: "Spans that the receiver of traces did not take."})
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{e.ended, e.exported, e.lost} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// ExportSpans implements sdk.SpanExporter.
func (e *watchedExporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err == nil:
		e.exported.Add(float64(len(spans)))
		if e.failing.Swap(false) {
			e.log.Info("the receiver of traces takes them again", "url", e.url)
		}
	default:
		e.lost.Add(float64(len(spans)))
		if !e.failing.Swap(true) {
			e.log.Warn("the receiver of traces does not take them; they are dropped until it does, and nothing else is affected: check "+setting+" and tracing.headers",
				"url", e.url, "error", err)
		}
	}
	return nil
}

// countedEnds counts the spans that end, whether or not there is room for them in the queue.
type countedEnds struct{ ended prometheus.Counter }

// OnStart implements sdk.SpanProcessor, as do the others.
func (countedEnds) OnStart(context.Context, sdk.ReadWriteSpan) {}

func (c countedEnds) OnEnd(sdk.ReadOnlySpan)         { c.ended.Inc() }
func (countedEnds) Shutdown(context.Context) error   { return nil }
func (countedEnds) ForceFlush(context.Context) error { return nil }
