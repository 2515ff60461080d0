package apiserver

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"ucwarden/input"
)

// maxShownParameter is how much of an unknown parameter's name an answer repeats, in bytes.
const maxShownParameter = 50

// checkQuery refuses query parameters other than those named, since one that is misspelt would otherwise have no effect, and a query
// that does not parse.
func checkQuery(c echo.Context, names []string) error {
	if c.Request().URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return badQuery([]FieldError{{In: "query", Detail: "not a query: parameters are NAME=VALUE, separated by & and escaped"}})
	}
	var errs []FieldError
	for name := range query {
		if slices.Contains(names, name) {
			continue
		}
		detail := "unknown parameter: this call takes none"
		if near := nearestParameter(name, names); near != "" {
			detail = fmt.Sprintf("unknown parameter; did you mean %s?", near)
		} else if len(names) > 0 {
			detail = "unknown parameter: want one of " + strings.Join(names, ", ")
		}
		errs = append(errs, queryError(input.EscapePointer(name[:min(len(name), maxShownParameter)]), detail))
	}
	if len(errs) == 0 {
		return nil
	}
	slices.SortFunc(errs, func(a, b FieldError) int { return strings.Compare(a.Pointer, b.Pointer) })
	return badQuery(errs[:min(len(errs), maxErrorFields)])
}

// nearestParameter returns the parameter that was probably meant, "" when none is near.
func nearestParameter(name string, names []string) string {
	const most = 2 // edits
	best, distance := "", most+1
	for _, candidate := range names {
		if len(name) > 2*len(candidate) { // and comparing takes long
			continue
		}
		if d := input.Distance(name, candidate); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}
