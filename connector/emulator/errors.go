package emulator

import (
	"fmt"
	"net/http"
	"strings"
)

// apiError is an error answer of the API: {"error_code": ..., "message": ...}.
type apiError struct {
	status     int
	code       string
	message    string
	retryAfter string // value of the header, may be empty
	oauth      bool   // answered in OAuth's form: {"error": ..., "error_description": ...}
}

func (e *apiError) body() map[string]string {
	if e.oauth {
		return map[string]string{"error": e.code, "error_description": e.message}
	}
	return map[string]string{"error_code": e.code, "message": e.message}
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func invalid(format string, args ...any) error {
	return &apiError{status: http.StatusBadRequest, code: "INVALID_PARAMETER_VALUE", message: fmt.Sprintf(format, args...)}
}

func malformed(format string, args ...any) error {
	return &apiError{status: http.StatusBadRequest, code: "MALFORMED_REQUEST", message: fmt.Sprintf(format, args...)}
}

func invalidState(format string, args ...any) error {
	return &apiError{status: http.StatusBadRequest, code: "INVALID_STATE", message: fmt.Sprintf(format, args...)}
}

func denied(format string, args ...any) error {
	return &apiError{status: http.StatusForbidden, code: "PERMISSION_DENIED", message: fmt.Sprintf(format, args...)}
}

// unauthorized returns the 403 of a permissions call: the permissions API has a code of its own for it, which the calls
// about the permissions of shares do not use.
func (c *call) unauthorized(format string, args ...any) error {
	if c.req.PathValue("type") == "" {
		return denied(format, args...)
	}
	return &apiError{status: http.StatusForbidden, code: "UNAUTHORIZED", message: fmt.Sprintf(format, args...)}
}

func notFound(label, name string) error {
	return &apiError{status: http.StatusNotFound, code: label + "_DOES_NOT_EXIST",
		message: fmt.Sprintf("%s '%s' does not exist.", displayLabel(label), name)}
}

func alreadyExists(label, name string) error {
	return &apiError{status: http.StatusConflict, code: label + "_ALREADY_EXISTS",
		message: fmt.Sprintf("%s '%s' already exists.", displayLabel(label), name)}
}

func principalNotFound(name string) error {
	return &apiError{status: http.StatusNotFound, code: "PRINCIPAL_DOES_NOT_EXIST",
		message: fmt.Sprintf("Could not find principal with name %s", name)}
}

func endpointNotFound(r *http.Request) error {
	return &apiError{status: http.StatusNotFound, code: "ENDPOINT_NOT_FOUND", message: "No API found for '" + r.Method + " " + r.URL.Path + "'"}
}

func unauthenticated(message string) error {
	return &apiError{status: http.StatusUnauthorized, code: "UNAUTHENTICATED", message: message}
}

// displayLabel turns "EXTERNAL_LOCATION" into "External location".
func displayLabel(label string) string {
	words := strings.ToLower(strings.ReplaceAll(label, "_", " "))
	return strings.ToUpper(words[:1]) + words[1:]
}

// checkName returns one part of a name in lower case, as the server stores every name but column names, or an error.
func checkName(name string) (string, error) {
	if err := validateName(name); err != nil {
		return "", invalid("%v", err)
	}
	return canonicalName(name), nil
}
