package unitycatalog

import (
	"context"
	"errors"
	"net/http"
)

// Call is a request of an API that this package has no method for.
type Call struct {
	Method string
	Route  string // label in metrics, without ids: /api/2.0/things/{id}
	Path   string // escaped, with its query
	// Once says that the request must not be sent a second time: after an error that is retryable it may have had its effect.
	Once bool
	Body any // JSON object; nil sends none
}

// Call sends the request by the client's pace and decodes the JSON object of the answer into answer. Errors are classified.
func (c *Client) Call(ctx context.Context, call Call, answer any) error {
	return c.do(ctx, requestInfo{route: call.Method + " " + call.Route, idempotent: !call.Once}, call.Method, call.Path, call.Body, answer)
}

// IsUnsupported reports whether an error says that the server does not have the call; a 404 may say so, or that it does not have
// what the call is about.
func IsUnsupported(err error) (unsupported, maybe bool) {
	var api *apiError
	if !errors.As(err, &api) {
		return false, false
	}
	return api.isUnsupported(), api.isUnsupported() || api.status == http.StatusNotFound
}
