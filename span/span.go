package span

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"ucwarden/policy"
)

// Scope is the name of the instrumentation scope of all spans.
const Scope = "ucwarden"

// Start begins a span under the one in ctx, which [End] ends. Where that one is not recorded, neither is this.
func Start(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, unrecorded
	}
	return parent.TracerProvider().Tracer(Scope).Start(ctx, name, trace.WithAttributes(attributes...))
}

// unrecorded takes what is said of a span that is not recorded.
var unrecorded = trace.SpanFromContext(context.Background())

// End ends a span. An error, which may be nil, makes it a failed one, with the error's class and text.
func End(s trace.Span, err error) {
	if err != nil && s.IsRecording() {
		s.SetStatus(codes.Error, err.Error())
		if code := policy.CodeOf(err); code != "" {
			s.SetAttributes(attribute.String("error.type", string(code)))
		}
	}
	s.End()
}

// EndCall ends the span of a request to a server, with its attributes as OpenTelemetry names them. resp may be nil.
func EndCall(s trace.Span, req *http.Request, resp *http.Response, err error) {
	if !s.IsRecording() {
		return
	}
	s.SetAttributes(attribute.String("http.request.method", req.Method), attribute.String("server.address", req.URL.Hostname()), attribute.String("url.path", req.URL.Path))
	if resp != nil {
		s.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode), attribute.String("ucwarden.request.id", resp.Header.Get("X-Request-Id")))
		if resp.StatusCode >= http.StatusBadRequest {
			s.SetStatus(codes.Error, http.StatusText(resp.StatusCode))
		}
	}
	End(s, err)
}

// A text map of one field, as propagation wants it.
type carrier struct{ traceparent string }

const field = "traceparent"

func (c *carrier) Get(key string) string {
	if key == field {
		return c.traceparent
	}
	return ""
}

func (c *carrier) Set(key, value string) {
	if key == field {
		c.traceparent = value
	}
}

func (*carrier) Keys() []string { return []string{field} }

// Traceparent returns the span in ctx as W3C Trace Context writes it; "" where there is none.
func Traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	var c carrier
	propagation.TraceContext{}.Inject(ctx, &c)
	return c.traceparent
}

// Within returns a context whose spans belong to the span that traceparent names, of this process or another. What is not in the
// form of W3C Trace Context is ignored, as that requires: then ctx is returned as it is.
func Within(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, &carrier{traceparent})
}

// ContextOf returns what traceparent names, to link to it; not valid where it names nothing.
func ContextOf(traceparent string) trace.SpanContext {
	return trace.SpanContextFromContext(Within(context.Background(), traceparent))
}
