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

	"ucwarden/apiserver/document"
	"ucwarden/policy"
)

// The routes that need no token.
const (
	pathHealth  = "/healthz"
	pathReady   = "/readyz"
	pathMetrics = "/metrics"
	pathOpenAPI = "/openapi.json"
	pathDocs    = "/docs"
)

// metricNames is the parameter by which Prometheus asks for some metrics only.
const metricNames = "name[]"

func isProbe(route string) bool {
	return route == pathHealth || route == pathReady || route == pathMetrics
}

// checkTimeout bounds the readiness checks, which run concurrently.
const checkTimeout = 3 * time.Second

// openapi is the OpenAPI 3.1 document of the API, from which what is served of it is made.
//
//go:embed openapi.yaml
var openapi []byte

// served is what is served of the document.
type served struct {
	json, page []byte
	policy     string // Content-Security-Policy of the page
}

// parseDocument returns what is served of the document, made once for all servers.
var parseDocument = sync.OnceValues(func() (served, error) {
	d, err := document.Parse(openapi)
	if err != nil {
		return served{}, err
	}
	s := served{json: d.JSON()}
	s.page, s.policy, err = d.Page()
	return s, err
})

func (s *Server) addOpenRoutes(e *echo.Echo) {
	addGET(e, pathHealth, takes(func(c echo.Context) error { return c.JSON(http.StatusOK, map[string]string{"status": "ok"}) }))
	addGET(e, pathReady, takes(s.ready))
	addGET(e, pathMetrics, takes(echo.WrapHandler(promhttp.HandlerFor(s.opts.Gatherer, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, // one failing collector must not hide the others
	})), metricNames))
	addGET(e, pathOpenAPI, takes(func(c echo.Context) error { return c.Blob(http.StatusOK, "application/json", s.document.json) }))
	addGET(e, pathDocs, takes(s.docs))
}

// docs answers with the document as a page, which a browser lets do nothing.
func (s *Server) docs(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Content-Security-Policy", s.document.policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	return c.HTMLBlob(http.StatusOK, s.document.page)
}

// readiness is the answer of /readyz when tasks are taken.
type readiness struct {
	Status string   `json:"status"` // ready, or degraded
	Checks []string `json:"checks"` // the names of the checks that passed
	// Degraded says what does not work now. Tasks are taken, and carried out later.
	Degraded []FieldError `json:"degraded,omitempty"`
	// Warnings say what works for now, but will not for long.
	Warnings []FieldError `json:"warnings,omitempty"`
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

// ready runs every check. When one fails that does not only degrade the server, it answers 503 with one entry of errors for
// each that failed.
func (s *Server) ready(c echo.Context) error {
	if s.draining.Err() != nil {
		return &responseError{code: policy.CodeUnavailable, detail: "Not ready: the server is shutting down."}
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), checkTimeout)
	defer cancel()
	checks := append([]Check{{Name: "keys", Run: s.verifier.Ready}}, s.opts.Checks...)
	errs := make([]error, len(checks))
	var wg sync.WaitGroup
	for i, check := range checks {
		wg.Go(func() { errs[i] = check.runSafely(ctx) })
	}
	wg.Wait()

	answer := readiness{Status: "ready", Checks: []string{}}
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
	for _, text := range s.verifier.Warnings() {
		answer.Warnings = append(answer.Warnings, FieldError{Pointer: "/checks/keys", Detail: text})
	}
	return c.JSON(http.StatusOK, answer)
}
