package apiserver

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ucwarden/policy"
)

// The routes that probes ask.
const (
	pathHealth  = "/healthz"
	pathReady   = "/readyz"
	pathMetrics = "/metrics"
)

func isProbe(route string) bool {
	return route == pathHealth || route == pathReady || route == pathMetrics
}

// checkTimeout bounds the readiness checks, which run concurrently.
const checkTimeout = 3 * time.Second

// openapi is the OpenAPI 3.1 document of the API, from which what is served of it is made.
//
//go:embed openapi.yaml
var openapi []byte

// Health says that the process is alive.
func (s calls) Health(c echo.Context) error { return c.JSON(http.StatusOK, Health{Status: "ok"}) }

// Metrics answers with the metrics, or with those that name[] names.
func (s calls) Metrics(c echo.Context, _ MetricsParams) error {
	promhttp.HandlerFor(s.opts.Gatherer, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, // one failing collector must not hide the others
	}).ServeHTTP(c.Response(), c.Request())
	return nil
}

// runSafely runs the check; a panic becomes an error.
func (c Check) runSafely(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return c.Run(ctx)
}

// Ready runs every check. When one fails that does not only degrade the server, it answers 503 with one entry of errors for
// each that failed.
func (s calls) Ready(c echo.Context) error {
	if s.draining.Err() != nil {
		return &responseError{code: policy.CodeUnavailable, detail: "Not ready: the server is shutting down."}
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), checkTimeout)
	defer cancel()
	checks := s.opts.Checks
	if s.verifier != nil {
		checks = append([]Check{{Name: "keys", Run: s.verifier.Ready}}, checks...)
	}
	errs := make([]error, len(checks))
	var wg sync.WaitGroup
	for i, check := range checks {
		wg.Go(func() { errs[i] = check.runSafely(ctx) })
	}
	wg.Wait()

	answer := Readiness{Status: "ready", Checks: []string{}}
	var fields []FieldError
	unready := false
	for i, err := range errs {
		if err == nil {
			if !slices.Contains(answer.Checks, checks[i].Name) {
				answer.Checks = append(answer.Checks, checks[i].Name)
			}
			continue
		}
		unready = unready || !checks[i].Degrades
		detail := err.Error()
		if policy.CodeOf(err) == policy.CodeInternal { // not classified: its text is for the log only
			detail = "failed; see the server's log for the cause"
			s.log.Warn("readiness check failed", "check", checks[i].Name, "error", err)
		}
		fields = append(fields, FieldError{Pointer: "/checks/" + checks[i].Name, Detail: detail})
	}
	switch {
	case unready:
		return &responseError{code: policy.CodeUnavailable, detail: "Not ready; the errors say why.", fields: fields}
	case len(fields) > 0:
		answer.Status, answer.Degraded = "degraded", fields
	}
	if s.verifier != nil {
		for _, text := range s.verifier.Warnings() {
			answer.Warnings = append(answer.Warnings, FieldError{Pointer: "/checks/keys", Detail: text})
		}
	}
	return c.JSON(http.StatusOK, answer)
}
