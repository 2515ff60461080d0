package apiserver

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// Tasks is what the server needs of the task queue; *ondemand.Queue implements it.
type Tasks interface {
	Records
	Control
	Pauser
	Watcher
}

// Records stores and returns tasks.
type Records interface {
	// Submit stores a task before it returns. created is false when the same task was stored already; the same id with
	// other content is an error of class conflict, a full queue one of class rate limited.
	Submit(ctx context.Context, t ondemand.Task) (stored ondemand.Task, created bool, err error)
	// SubmitAll stores tasks in one commit, and returns what became of each. After an error nothing is stored.
	SubmitAll(ctx context.Context, tasks []ondemand.Task) ([]ondemand.Submission, error)
	// Get returns a task, or an error of class not found.
	Get(ctx context.Context, id string) (ondemand.Task, error)
	// List returns one page of the tasks that the filter selects, newest first.
	List(ctx context.Context, f ondemand.Filter) (ondemand.Page, error)
}

// Control cancels and retries tasks for the subject by, and returns the changed task. Errors are of class not found, or conflict where its
// status does not allow it.
type Control interface {
	Cancel(ctx context.Context, id, by string) (ondemand.Task, error)
	Retry(ctx context.Context, id, by string) (ondemand.Task, error)
}

// Pauser keeps tasks from beginning, and lets them begin again.
type Pauser interface {
	Pause(ctx context.Context, by string) (ondemand.Pause, error)
	Resume(ctx context.Context, by string) error
}

// pathTasks is where tasks are, of whose ids a Location is made.
const pathTasks = "/api/v1/tasks"

// SubmitTask stores a task, and answers with it then, or once it has ended where that is preferred.
func (s calls) SubmitTask(c echo.Context, _ SubmitTaskParams) error {
	task, err := ondemand.ParseTask(bodyOf(c))
	if err != nil {
		return err
	}
	if err := s.checkTask(c.Request().Context(), identityOf(c), task); err != nil {
		return err
	}
	task.PostedBy = identityOf(c).Subject
	ctx := c.Request().Context()
	stored, created, err := s.tasks.Submit(ctx, task)
	if err != nil {
		return fmt.Errorf("submit task: %w", err)
	}
	c.Set(taskKey, stored.ID)
	h := c.Response().Header()
	h.Set(echo.HeaderLocation, pathTasks+"/"+url.PathEscape(stored.ID))
	status := http.StatusOK
	if created {
		status = http.StatusAccepted
	}
	if wait, ok := preferWait(c.Request().Header); ok && wait > 0 {
		latest, waited, err := s.waitFor(c, stored.ID, wait)
		if err != nil {
			// The task is stored: answer without having waited.
			s.log.Warn("waiting for a task failed", "task", stored.ID, "error", err)
		} else if waited {
			h.Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
			stored, status = latest, http.StatusOK
		}
	}
	return c.JSON(status, shown(identityOf(c), stored))
}

// checkTask checks a parsed document against the limits of the server and the rights of the bearer.
func (s *Server) checkTask(ctx context.Context, id keys.Identity, t ondemand.Task) error {
	if n := len(t.RequestInfo.Resources); n > s.opts.MaxResources {
		return &responseError{
			code:   policy.CodeTooLarge,
			detail: fmt.Sprintf("The task names %d resources; at most %d are allowed. Split it.", n, s.opts.MaxResources),
			fields: []FieldError{{Pointer: "/requestInfo/resources", Detail: "too many"}},
		}
	}
	if t.ID == "." || t.ID == ".." { // no client can put these into a path
		return &responseError{
			code: policy.CodeInvalid, detail: "The task document is refused; the errors say why.",
			fields: []FieldError{{Pointer: "/id", Detail: "it cannot be used in a URL: choose another id, or none"}},
		}
	}
	if err := checkApproval(id, t); err != nil {
		return err
	}
	return s.checkAccess(ctx, id, t)
}

// readBody returns the JSON body, or an error for another content type, an encoding, or a body that is too large.
func (s *Server) readBody(c echo.Context) ([]byte, error) {
	r := c.Request()
	media, params, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	charset := strings.ToLower(params["charset"])
	if err != nil || media != echo.MIMEApplicationJSON || (charset != "" && charset != "utf-8") {
		return nil, &responseError{
			code: policy.CodeInvalid, status: http.StatusUnsupportedMediaType,
			detail: "The body must be JSON: send Content-Type: application/json.",
			header: http.Header{"Accept-Post": {echo.MIMEApplicationJSON}},
		}
	}
	if coding := r.Header.Get(echo.HeaderContentEncoding); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, &responseError{
			code: policy.CodeInvalid, status: http.StatusUnsupportedMediaType,
			detail: "The body must not be compressed: send it without Content-Encoding.",
			header: http.Header{"Accept-Encoding": {"identity"}},
		}
	}
	if r.ContentLength > s.opts.BodyLimit { // declared too large: do not read it
		return nil, &http.MaxBytesError{Limit: s.opts.BodyLimit}
	}
	body, err := s.readInTurn(c, http.MaxBytesReader(c.Response().Writer, r.Body, s.opts.BodyLimit))
	var tooBig *http.MaxBytesError
	var refused *responseError
	var timeout net.Error
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &tooBig), errors.As(err, &refused):
		return nil, err
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, &responseError{code: policy.CodeInvalid, status: http.StatusRequestTimeout, detail: "The body did not arrive in time."}
	}
	return nil, &responseError{code: policy.CodeInvalid, detail: "The body ended before it was complete."}
}

// findTask returns the task of that id. One that the bearer may not access is not found, with the same answer as one
// that is not there.
func (s *Server) findTask(c echo.Context, id ID) (ondemand.Task, error) {
	c.Set(taskKey, id)
	t, err := s.tasks.Get(c.Request().Context(), id)
	if err == nil && !s.mayRead(c.Request().Context(), identityOf(c), t) {
		err = ondemand.NotFound(id)
	}
	if err != nil {
		return ondemand.Task{}, fmt.Errorf("get task: %w", err)
	}
	return t, nil
}

// GetTask answers with a task.
func (s calls) GetTask(c echo.Context, id ID) error {
	t, err := s.findTask(c, id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, shown(identityOf(c), t))
}

// CancelTask cancels a task.
func (s calls) CancelTask(c echo.Context, id ID) error {
	return s.changeTask(c, id, s.checkAccess, s.tasks.Cancel)
}

// RetryTask starts a task over, for who asks that now: only who may submit the task may have it run again.
func (s calls) RetryTask(c echo.Context, id ID) error {
	return s.changeTask(c, id, s.checkRetry, s.tasks.Retry)
}

// changeTask changes a task that the bearer knows of, where may returns no error for it.
func (s *Server) changeTask(c echo.Context, id ID, may func(context.Context, keys.Identity, ondemand.Task) error,
	change func(ctx context.Context, id, by string) (ondemand.Task, error)) error {
	t, err := s.findTask(c, id)
	if err != nil {
		return err
	}
	if err := may(c.Request().Context(), identityOf(c), t); err != nil {
		return err
	}
	if t, err = change(c.Request().Context(), t.ID, identityOf(c).Subject); err != nil {
		return fmt.Errorf("change task: %w", err)
	}
	return c.JSON(http.StatusAccepted, shown(identityOf(c), t))
}

// fieldsOf returns the problems of a task document as field errors; nil for other errors.
func fieldsOf(err error) []FieldError {
	var ve *ondemand.ValidationError
	if !errors.As(err, &ve) {
		return nil
	}
	fields := make([]FieldError, len(ve.Problems))
	for i, p := range ve.Problems {
		fields[i] = FieldError{Pointer: p.Pointer, Detail: p.Detail}
	}
	return fields
}
