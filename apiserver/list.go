package apiserver

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

// defaultLimit is the size of a page.
const defaultLimit = 100

// ListTasks answers with one page of the tasks that the bearer may see.
func (s calls) ListTasks(c echo.Context, params ListTasksParams) error {
	filter, err := filterOf(params)
	if err != nil {
		return err
	}
	id := identityOf(c)
	if id.Limited {
		filter.TopLevel = false // a limited token knows of no parents; see shown
		filter.Visible = func(t ondemand.Task) bool { return s.mayList(c.Request().Context(), id, t) }
	}
	page, err := s.tasks.List(c.Request().Context(), filter)
	if err != nil {
		if policy.CodeOf(err) == policy.CodeInvalid && filter.Cursor != "" {
			return badQuery([]FieldError{queryError("cursor", "invalid: use nextCursor of the previous page")})
		}
		return fmt.Errorf("list tasks: %w", err)
	}
	for i := range page.Items {
		page.Items[i] = shown(id, page.Items[i])
	}
	return c.JSON(http.StatusOK, page)
}

// wantTime is what a time in a query must be.
const wantTime = "want RFC 3339 text such as 2026-01-31T10:00:00Z, or epoch milliseconds"

// filterOf returns the filter of a list. The document has allowed the parameters: what is left is what it cannot say of times.
func filterOf(p ListTasksParams) (ondemand.Filter, error) {
	f := ondemand.Filter{
		Status: value(p.Status), Type: ondemand.Type(value(p.Type)), Source: value(p.Source), ParentID: value(p.ParentID),
		ExternalID: value(p.ExternalID), TopLevel: value(p.TopLevel), Cursor: value(p.Cursor), Limit: defaultLimit,
	}
	if p.Limit != nil {
		f.Limit = *p.Limit
	}
	if p.Since != nil {
		var err error
		if f.Since, err = parseTime(*p.Since); err != nil {
			return ondemand.Filter{}, badQuery([]FieldError{queryError("since", wantTime)})
		}
	}
	return f, nil
}

// value returns a parameter, the zero value where it was not given.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// parseTime parses RFC 3339 text or epoch milliseconds, of the years 1700 to 2200, where they are
// written: the store counts in nanoseconds, which begin in 1678 and end in 2262.
func parseTime(text string) (time.Time, error) {
	var t time.Time
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		t = time.UnixMilli(ms).UTC()
	} else if t, err = time.Parse(time.RFC3339, strings.Replace(text, " ", "+", 1)); err != nil { // a + that was not escaped
		return time.Time{}, err
	}
	if y := t.Year(); y < 1700 || y > 2200 {
		return time.Time{}, fmt.Errorf("the year %d is out of range", y)
	}
	return t, nil
}

func queryError(name, detail string) FieldError {
	return FieldError{Pointer: "/" + name, In: "query", Detail: detail}
}

func badQuery(errs []FieldError) error {
	return &responseError{code: policy.CodeInvalid, detail: "A query parameter is invalid; see errors.", fields: errs}
}
