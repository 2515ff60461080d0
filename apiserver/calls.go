package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"ucwarden/apiserver/document"
	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// calls are the calls of the API's document. What each takes, and who may make it, was checked by the document before.
type calls struct{ *Server }

var _ ServerInterface = calls{}

// addRoutes adds the calls of the document: those that need a token to api, the others to open.
func (s *Server) addRoutes(api, open *echo.Echo) {
	options := RegisterHandlersOptions{OperationMiddlewares: make(map[string][]echo.MiddlewareFunc)}
	for _, op := range s.document.operations {
		var before []echo.MiddlewareFunc
		for _, scope := range op.Scopes {
			before = append(before, s.authenticate(keys.Scope(scope)))
		}
		options.OperationMiddlewares[op.ID] = append(before, s.checkRequest(op))
	}
	RegisterHandlersWithOptions(router{api, open}, calls{s}, options)
}

// pathAPI begins the paths of the calls that need a token.
const pathAPI = "/api/"

// router puts what lies below /api on one server and all else on another, and answers HEAD where it answers GET.
type router struct {
	*echo.Echo
	open *echo.Echo
}

func (r router) on(path string) *echo.Echo {
	if strings.HasPrefix(path, pathAPI) {
		return r.Echo
	}
	return r.open
}

// GET adds a handler for GET and for HEAD, of which net/http sends no body.
func (r router) GET(path string, h echo.HandlerFunc, before ...echo.MiddlewareFunc) *echo.Route {
	r.on(path).HEAD(path, h, before...)
	return r.on(path).GET(path, h, before...)
}

func (r router) POST(path string, h echo.HandlerFunc, before ...echo.MiddlewareFunc) *echo.Route {
	return r.on(path).POST(path, h, before...)
}

const bodyKey = "ucwarden.body"

// bodyOf returns the body of a request, which the document allows.
func bodyOf(c echo.Context) []byte {
	body, _ := c.Get(bodyKey).([]byte)
	return body
}

// checkRequest returns what refuses the requests that the document does not allow.
func (s *Server) checkRequest(op document.Operation) echo.MiddlewareFunc {
	queryNames, headerNames := op.Names("query"), op.Names("header")
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := checkQuery(c, queryNames); err != nil {
				return err
			}
			header := c.Request().Header
			for _, name := range headerNames { // several lines are one value (RFC 9110, section 5.3)
				if lines := header.Values(name); len(lines) > 1 {
					header.Set(name, strings.Join(lines, ", "))
				}
			}
			if faults := op.CheckParameters(func(name string) string { return pathValue(c, name) }, c.QueryParams(), header); len(faults) > 0 {
				return badParameters(faults)
			}
			for _, name := range queryNames { // nothing sets no limit
				if values := c.QueryParams()[name]; len(values) == 1 && values[0] == "" {
					delete(c.QueryParams(), name)
				}
			}
			if largeAnswers[op.ID] {
				if err := s.takeTurn(c); err != nil {
					return err
				}
			}
			if op.Body != nil {
				body, err := s.readBody(c)
				if err != nil {
					return err
				}
				if err := s.checkBody(c.Request().Context(), op, body); err != nil {
					return err
				}
				c.Set(bodyKey, body)
			}
			return next(c)
		}
	}
}

// explainers say of a body what is wrong with it, in the words that every producer of tasks reads.
var explainers = map[string]func(body []byte) error{
	"submitTask":  func(body []byte) error { _, err := ondemand.ParseTask(body); return err },
	"submitTasks": func(body []byte) error { _, err := splitBatch(body); return err },
}

// checkBody returns an error for a body that the document does not allow. A large one may take a processor for a tenth of a second, so
// that half of them at most do that at a time: the others are for small ones.
func (s *Server) checkBody(ctx context.Context, op document.Operation, body []byte) error {
	if len(body) >= smallBody {
		select {
		case s.checks <- struct{}{}:
			defer func() { <-s.checks }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return checkBody(op, body)
}

func checkBody(op document.Operation, body []byte) error {
	faults := op.Body.Check(body)
	if len(faults) == 0 {
		return nil
	}
	if explain := explainers[op.ID]; explain != nil {
		if err := explain(body); err != nil {
			return err
		}
	}
	return badBody(faults)
}

func badBody(faults []document.Fault) error {
	fields := make([]FieldError, len(faults))
	for i, f := range faults {
		fields[i] = FieldError{Pointer: f.Pointer, Detail: f.Detail}
	}
	return &responseError{code: policy.CodeInvalid, detail: "The body is not as the document at /openapi.json describes it; see errors.", fields: fields}
}

// badParameters returns the error for parameters that the document does not allow.
func badParameters(faults []document.ParameterFault) error {
	e := &responseError{code: policy.CodeInvalid, detail: "A query parameter is invalid; see errors."}
	for _, f := range faults {
		if f.In != "query" {
			e.detail = "A parameter is invalid; see errors."
		}
		e.fields = append(e.fields, FieldError{Pointer: "/" + f.Name, In: f.In, Detail: f.Detail})
	}
	return e
}

// pathValue returns a parameter in the path. The router does not unescape a path that was escaped in an unusual way; what is not
// escaped correctly is refused by the generated code.
func pathValue(c echo.Context, name string) string {
	value := c.Param(name)
	if c.Request().URL.RawPath != "" {
		if unescaped, err := url.PathUnescape(value); err == nil {
			return unescaped
		}
	}
	return value
}

// served is what is made of the document, once for all servers.
type served struct {
	json, page []byte
	policy     string // Content-Security-Policy of the page
	operations []document.Operation
	task       *document.Schema // of one task of a batch
}

func parseDocument() (served, error) {
	d, err := document.Parse(openapi)
	if err != nil {
		return served{}, err
	}
	s := served{json: d.JSON()}
	if s.page, s.policy, err = d.Page(); err != nil {
		return served{}, err
	}
	if s.operations, err = d.Operations(); err != nil {
		return served{}, err
	}
	for _, op := range s.operations {
		if strings.HasPrefix(op.Path, pathAPI) && len(op.Scopes) == 0 { // else a slip in the document would open the call to everybody
			return served{}, fmt.Errorf("the document names no scope for %s %s", op.Method, op.Path)
		}
	}
	s.task, err = d.Schema("TaskInput")
	return s, err
}

// parseTask returns the task of a document that came by itself or in a batch, or what is wrong with it.
func (s *Server) parseTask(text []byte) (ondemand.Task, error) {
	if faults := s.document.task.Check(text); len(faults) > 0 {
		if _, err := ondemand.ParseTask(text); err != nil {
			return ondemand.Task{}, err
		}
		return ondemand.Task{}, badBody(faults)
	}
	return ondemand.ParseTask(text)
}

// Openapi answers with the document.
func (s calls) Openapi(c echo.Context) error {
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, s.document.json)
}

// Docs answers with the document as a page, which a browser lets do nothing.
func (s calls) Docs(c echo.Context) error {
	c.Response().Header().Set("Content-Security-Policy", s.document.policy)
	return c.HTMLBlob(http.StatusOK, s.document.page)
}
