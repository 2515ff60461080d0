package apiserver

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"ucwarden/span"
)

const (
	startKey = "ucwarden.start"

	headerTraceparent = "Traceparent"
)

// beginSpan begins the span of a request, under the caller's where a header names one (W3C Trace Context). It is called once the
// caller is known: nobody else has anything recorded.
func (s *Server) beginSpan(c echo.Context) {
	if s.opts.Tracer == nil {
		return
	}
	start, _ := c.Get(startKey).(time.Time)
	r := c.Request()
	ctx, _ := s.opts.Tracer.Start(span.Within(r.Context(), r.Header.Get(headerTraceparent)), r.Method+" "+c.Path(), trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(start))
	c.SetRequest(r.WithContext(ctx))
}

// endSpan ends the span of a request that was answered, if it has one.
func endSpan(c echo.Context) {
	s := trace.SpanFromContext(c.Request().Context())
	if !s.IsRecording() {
		return
	}
	status := c.Response().Status
	s.SetAttributes(attribute.String("http.request.method", c.Request().Method), attribute.String("http.route", c.Path()),
		attribute.Int("http.response.status_code", status), attribute.String("ucwarden.request.id", requestID(c)), attribute.String("enduser.id", identityOf(c).Subject))
	if task, _ := c.Get(taskKey).(string); task != "" {
		s.SetAttributes(attribute.String("ucwarden.task.id", task))
	}
	if status >= http.StatusInternalServerError {
		s.SetStatus(codes.Error, http.StatusText(status))
	}
	s.End()
}
