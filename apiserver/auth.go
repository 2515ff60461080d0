package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

const identityKey = "ucwarden.identity"

// identityOf returns the identity that authenticate verified for the request.
func identityOf(c echo.Context) keys.Identity {
	id, _ := c.Get(identityKey).(keys.Identity)
	return id
}

// authenticate returns what verifies the bearer token, applies the subject's rate limit, and requires the scope. Only
// a token in the Authorization header counts.
func (s *Server) authenticate(scope keys.Scope) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := s.identify(c, scope); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// identify is authenticate for one request.
func (s *Server) identify(c echo.Context, scope keys.Scope) error {
	token, err := bearer(c.Request().Header)
	if err != nil {
		return err
	}
	id, err := s.verifier.Verify(c.Request().Context(), token)
	switch policy.CodeOf(err) {
	case "":
	case policy.CodeUnauthenticated:
		return unauthenticated(err.Error(), `error="invalid_token", error_description="`+err.Error()+`"`)
	case policy.CodeUnavailable:
		// Nothing of it is logged here: the verifier did, once, and anybody may call.
		return &responseError{code: policy.CodeUnavailable, detail: "Tokens cannot be verified at present: the key set is not loaded. Try again later."}
	default:
		return fmt.Errorf("verify token: %w", err)
	}
	c.Set(identityKey, id)
	s.beginSpan(c)
	if wait, ok := s.limiter.allow(id.Subject); !ok {
		return &responseError{
			code:   policy.CodeRateLimited,
			detail: "Too many requests from this subject. Try again after the time in Retry-After.",
			header: http.Header{"Retry-After": {formatRetryAfter(wait)}},
		}
	}
	if !id.Has(scope) {
		return &responseError{
			code:   policy.CodeForbidden,
			detail: fmt.Sprintf("The token lacks the scope %s, which this call needs.", scope),
			header: challenge(fmt.Sprintf(`error="insufficient_scope", scope="%s"`, scope)),
		}
	}
	return nil
}

// bearer returns the token of the Authorization header (RFC 6750, section 2.1).
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", unauthenticated("No token: send the header Authorization: Bearer TOKEN.", "")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", unauthenticated("The Authorization header is not of the form: Bearer TOKEN.",
			`error="invalid_request", error_description="want one Authorization header: Bearer TOKEN"`)
	}
	return token, nil
}

func unauthenticated(detail, params string) error {
	return &responseError{code: policy.CodeUnauthenticated, detail: detail, header: challenge(params)}
}

// challenge returns the header that RFC 6750, section 3, requires in a 401 or 403.
func challenge(params string) http.Header {
	value := `Bearer realm="ucwarden"`
	if params != "" {
		value += ", " + params
	}
	return http.Header{"Www-Authenticate": {value}}
}

// checkAccess returns an error unless the bearer may submit the task, and change and read it once it is there; see the
// package documentation.
func (s *Server) checkAccess(ctx context.Context, id keys.Identity, t ondemand.Task) error {
	if t.Type == ondemand.PipelineUpdate {
		return s.checkPipeline(ctx, id, t)
	}
	return checkCatalogs(id, t)
}

// checkCatalogs is checkAccess for tasks that are not about a pipeline.
func checkCatalogs(id keys.Identity, t ondemand.Task) error {
	if !id.Limited {
		return nil
	}
	if t.Type != ondemand.ResourceSync {
		return &responseError{
			code:   policy.CodeForbidden,
			detail: fmt.Sprintf("The token is limited to some catalogs: it allows tasks of type %s only.", ondemand.ResourceSync),
		}
	}
	var fields []FieldError
	for i, r := range t.RequestInfo.Resources {
		if catalog, ok := r.Catalog(); !ok || !id.AllowsCatalog(catalog) {
			fields = append(fields, FieldError{
				Pointer: fmt.Sprintf("/requestInfo/resources/%d", i),
				Detail:  "not in a catalog that the token allows",
			})
		}
	}
	if len(fields) > 0 || len(t.RequestInfo.Resources) == 0 {
		return &responseError{
			code:   policy.CodeForbidden,
			detail: "The token is limited to some catalogs, and the task names resources outside them.",
			fields: fields[:min(len(fields), maxErrorFields)],
		}
	}
	return nil
}

// checkApproval returns an error for a task that carries out a plan which a guard refused, unless the bearer may approve one.
func checkApproval(id keys.Identity, t ondemand.Task) error {
	if t.RequestInfo.Approve == "" || id.Has(keys.ScopeAdmin) {
		return nil
	}
	return &responseError{
		code:   policy.CodeForbidden,
		detail: fmt.Sprintf("To approve a refused plan the token needs the scope %s.", keys.ScopeAdmin),
		fields: []FieldError{{Pointer: "/requestInfo/approve", Detail: "not allowed for this token"}},
	}
}

// checkRetry returns an error unless the bearer may have the task start over: what it then does, it does for the bearer. A part
// of a full sync carries out what was approved with the whole.
func (s *Server) checkRetry(ctx context.Context, id keys.Identity, t ondemand.Task) error {
	if err := checkApproval(id, t); err != nil {
		return err
	}
	if err := s.checkAccess(ctx, id, t); err != nil || t.ParentID == "" || id.Has(keys.ScopeAdmin) {
		return err
	}
	whole, err := s.tasks.Get(ctx, t.ParentID)
	if policy.CodeOf(err) == policy.CodeNotFound || err == nil && whole.RequestInfo.Approve != "" {
		return &responseError{
			code: policy.CodeForbidden,
			detail: fmt.Sprintf("The task is part of a full sync with an approval, or of one that is not kept any more: to retry it the token needs the scope %s. "+
				"Post a task for its resources instead, which syncs them without an approval.", keys.ScopeAdmin),
		}
	}
	if err != nil {
		return fmt.Errorf("get the full sync of a task: %w", err)
	}
	return nil
}

// maxErrorFields bounds the number of field errors in one answer.
const maxErrorFields = 100

// mayRead reports whether the bearer may know of the task. Whoever is not limited to catalogs knows of all.
func (s *Server) mayRead(ctx context.Context, id keys.Identity, t ondemand.Task) bool {
	return !id.Limited || s.checkAccess(ctx, id, t) == nil
}

// mayList is mayRead for a token that is limited to catalogs, and asks the workspace nothing.
func (s *Server) mayList(ctx context.Context, id keys.Identity, t ondemand.Task) bool {
	if t.Type == ondemand.PipelineUpdate {
		return checkPipeline(ctx, id, t, s.names.known) == nil
	}
	return checkCatalogs(id, t) == nil
}

// shown returns the task as the bearer may see it: the parent of a shard is a full sync, which a limited token may not
// know of.
func shown(id keys.Identity, t ondemand.Task) ondemand.Task {
	if id.Limited {
		t.ParentID = ""
	}
	return t
}
