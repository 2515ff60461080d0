package span_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"ucwarden/policy"
	"ucwarden/span"
)

// recorded returns a context with a recorded span, and a function that returns the spans that have ended.
func recorded(t *testing.T) (context.Context, func() tracetest.SpanStubs) {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
	ctx, s := provider.Tracer("test").Start(t.Context(), "whole")
	t.Cleanup(func() { s.End() })
	return ctx, exporter.GetSpans
}

// A span stands under the one in its context, with the class of the error it ended with.
func TestStart(t *testing.T) {
	ctx, ended := recorded(t)
	inner, s := span.Start(ctx, "part", attribute.Int("n", 3))
	span.End(s, policy.Errorf(policy.CodeUnavailable, "no answer"))
	list := ended()
	if len(list) != 1 {
		t.Fatalf("%d spans have ended, want 1", len(list))
	}
	got := list[0]
	if got.Name != "part" || got.Status.Code != codes.Error || got.Status.Description != "no answer" {
		t.Errorf("%s ended with %+v", got.Name, got.Status)
	}
	if want := span.ContextOf(span.Traceparent(ctx)); got.Parent.SpanID() != want.SpanID() || got.SpanContext.TraceID() != want.TraceID() {
		t.Errorf("the parent is %s of %s, want %s of %s", got.Parent.SpanID(), got.SpanContext.TraceID(), want.SpanID(), want.TraceID())
	}
	if span.Traceparent(inner) == span.Traceparent(ctx) {
		t.Error("the context does not carry the new span")
	}
	want := map[attribute.Key]string{"n": "3", "error.type": string(policy.CodeUnavailable)}
	for _, a := range got.Attributes {
		if want[a.Key] != a.Value.String() {
			t.Errorf("attribute %s is %s", a.Key, a.Value.String())
		}
		delete(want, a.Key)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

// The span of a call has what was asked and answered, and fails with the answer.
func TestEndCall(t *testing.T) {
	ctx, ended := recorded(t)
	_, s := span.Start(ctx, "GET thing")
	answer := httptest.NewRecorder()
	answer.Header().Set("X-Request-Id", "r-1")
	answer.WriteHeader(http.StatusTooManyRequests)
	span.EndCall(s, httptest.NewRequestWithContext(ctx, http.MethodGet, "https://host/a/b?token=secret", nil), answer.Result(), nil)
	got := ended()[0]
	values := make(map[attribute.Key]string)
	for _, a := range got.Attributes {
		values[a.Key] = a.Value.String()
	}
	for key, want := range map[attribute.Key]string{
		"http.request.method": "GET", "server.address": "host", "url.path": "/a/b", "http.response.status_code": "429", "ucwarden.request.id": "r-1",
	} {
		if values[key] != want {
			t.Errorf("%s is %q, want %q", key, values[key], want)
		}
	}
	if len(values) != 5 || got.Status.Code != codes.Error {
		t.Errorf("%v, %+v", values, got.Status)
	}
}

// Without a recorded span in its context nothing is recorded, and nothing allocated.
func TestNothingToRecord(t *testing.T) {
	ctx := span.Within(t.Context(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	for _, ctx := range []context.Context{t.Context(), ctx} {
		allocations := testing.AllocsPerRun(100, func() {
			got, s := span.Start(ctx, "part")
			if got != ctx || s.IsRecording() {
				t.Error("something is recorded")
			}
			span.End(s, nil)
		})
		if allocations > 0 {
			t.Errorf("%v allocations", allocations)
		}
	}
}

// What W3C Trace Context does not allow names nothing.
func TestTraceparent(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if got := span.Traceparent(span.Within(t.Context(), good)); got != good {
		t.Errorf("read and written: %q, want %q", got, good)
	}
	for _, bad := range []string{
		"", "x", good[:len(good)-1], good + "-more", "ff" + good[2:], "00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01", good + "\n",
	} {
		if got := span.Traceparent(span.Within(t.Context(), bad)); got != "" || span.ContextOf(bad).IsValid() {
			t.Errorf("%q is read as %q", bad, got)
		}
	}
}
