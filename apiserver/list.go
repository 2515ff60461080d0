package apiserver

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

// The page sizes.
const (
	defaultLimit = 100
	maxLimit     = 500
)

// maxParam is the longest allowed value of a query parameter, in characters.
const maxParam = 1024

func (s *Server) list(c echo.Context) error {
	filter, err := parseFilter(c.QueryParams())
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

var statuses = []ondemand.Status{
	ondemand.New, ondemand.Waiting, ondemand.InProgress, ondemand.Success, ondemand.Failed, ondemand.Skipped,
}

// listParameters are the query parameters of a list.
var listParameters = []string{"status", "type", "source", "parentId", "topLevel", "since", "limit", "cursor"}

// parseFilter parses the query parameters of a list; the error lists every invalid one.
func parseFilter(query url.Values) (ondemand.Filter, error) {
	var errs []FieldError
	value := func(name string) string {
		values := query[name]
		switch {
		case len(values) == 0:
			return ""
		case len(values) > 1:
			errs = append(errs, queryError(name, "given more than once"))
		case utf8.RuneCountInString(values[0]) > maxParam:
			errs = append(errs, queryError(name, "too long"))
		default:
			return values[0]
		}
		return ""
	}
	f := ondemand.Filter{
		Status:   ondemand.Status(value("status")),
		Type:     ondemand.Type(value("type")),
		Source:   value("source"),
		ParentID: value("parentId"),
		Cursor:   value("cursor"),
		Limit:    defaultLimit,
	}
	if f.Status != "" && !slices.Contains(statuses, f.Status) {
		errs = append(errs, queryError("status", fmt.Sprintf("want one of %s", joinWords(statuses))))
	}
	if text := value("topLevel"); text != "" {
		if f.TopLevel = text == "true"; !f.TopLevel && text != "false" {
			errs = append(errs, queryError("topLevel", "want true or false"))
		}
	}
	if text := value("since"); text != "" {
		since, err := parseTime(text)
		if err != nil {
			errs = append(errs, queryError("since", "want RFC 3339 text such as 2026-01-31T10:00:00Z, or epoch milliseconds"))
		}
		f.Since = since
	}
	if text := value("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLimit {
			errs = append(errs, queryError("limit", fmt.Sprintf("want a whole number from 1 to %d", maxLimit)))
		}
		f.Limit = n
	}
	if len(errs) > 0 {
		return ondemand.Filter{}, badQuery(errs)
	}
	return f, nil
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

func joinWords[T ~string](words []T) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}
