package apiserver

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

const identityKey = "ucwarden.identity"

// identityOf gives the verified bearer of a request that passed authenticate.
func identityOf(c echo.Context) keys.Identity {
	id, _ := c.Get(identityKey).(keys.Identity)
	return id
}

// authenticate verifies the bearer token of a request, holds its subject to the rate limit, and demands the scope.
// A token is taken from the Authorization header alone.
func (s *Server) authenticate(scope keys.Scope, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
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
			return &failure{code: policy.CodeUnavailable, detail: "Tokens cannot be checked at present: the key set was not loaded. Try again later.", err: err}
		default:
			return fmt.Errorf("verify token: %w", err)
		}
		c.Set(identityKey, id)
		if wait, ok := s.limiter.allow(id.Subject); !ok {
			return &failure{
				code:   policy.CodeRateLimited,
				detail: "Too many requests of this subject. Try again after the time in Retry-After.",
				header: http.Header{"Retry-After": {seconds(wait)}},
			}
		}
		if !id.Has(scope) {
			return &failure{
				code:   policy.CodeForbidden,
				detail: fmt.Sprintf("The token lacks the scope %s, which this call needs.", scope),
				header: challenge(fmt.Sprintf(`error="insufficient_scope", scope="%s"`, scope)),
			}
		}
		return next(c)
	}
}

// bearer takes the token of RFC 6750, section 2.1.
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
	return &failure{code: policy.CodeUnauthenticated, detail: detail, header: challenge(params)}
}

// challenge is the header that RFC 6750, section 3, asks of a 401 or 403.
func challenge(params string) http.Header {
	value := `Bearer realm="ucwarden"`
	if params != "" {
		value += ", " + params
	}
	return http.Header{"Www-Authenticate": {value}}
}

// permit checks that the bearer may submit, change or read the task; see the package documentation for the rule.
func permit(id keys.Identity, t ondemand.Task) error {
	if !id.Limited {
		return nil
	}
	if t.Type != ondemand.ResourceSync {
		return &failure{
			code:   policy.CodeForbidden,
			detail: fmt.Sprintf("The token is limited to some catalogs: it reaches tasks of type %s only.", ondemand.ResourceSync),
		}
	}
	var fields []FieldError
	for i, r := range t.RequestInfo.Resources {
		if catalog, ok := catalogOf(r); !ok || !id.Reaches(catalog) {
			fields = append(fields, FieldError{
				Pointer: fmt.Sprintf("/requestInfo/resources/%d", i),
				Detail:  "not in a catalog that the token reaches",
			})
		}
	}
	if len(fields) > 0 || len(t.RequestInfo.Resources) == 0 {
		return &failure{
			code:   policy.CodeForbidden,
			detail: "The token is limited to some catalogs, and the task reaches beyond them.",
			fields: fields[:min(len(fields), maxFields)],
		}
	}
	return nil
}

// maxFields bounds the errors of one answer.
const maxFields = 100

// catalogOf names the catalog that a resource lies in; ok is false for one in no catalog, or of no known type.
func catalogOf(r ondemand.Resource) (catalog string, ok bool) {
	t, err := policy.ParseSecurableType(r.Type)
	if err != nil {
		return "", false
	}
	switch t {
	case policy.Catalog, policy.Schema, policy.Table, policy.Function, policy.Volume:
	default:
		return "", false
	}
	// What the task will act on decides, not the spelling. A resource that names nothing legal is only ever skipped.
	if sec, err := r.Securable(); err == nil {
		return sec.Names()[0], true
	}
	catalog = r.Values["catalog"]
	return catalog, catalog != ""
}

// mayRead is permit as a predicate, for lists.
func mayRead(id keys.Identity, t ondemand.Task) bool { return permit(id, t) == nil }
