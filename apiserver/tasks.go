package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// Tasks is what the server needs of the task queue; *ondemand.Queue has it.
type Tasks interface {
	Records
	Control
	Watcher
}

// Records takes in tasks and finds them again.
type Records interface {
	// Submit stores a task before it returns. created is false when the same task was there already; the same id with
	// other content is an error of class conflict, a full queue one of class rate limited.
	Submit(ctx context.Context, t ondemand.Task) (stored ondemand.Task, created bool, err error)
	// Get gives a task, or an error of class not found.
	Get(ctx context.Context, id string) (ondemand.Task, error)
	// List gives one page of the tasks that the filter takes, newest first.
	List(ctx context.Context, f ondemand.Filter) (ondemand.Page, error)
}

// Control changes the course of a task. Errors are of class not found, or conflict where its state does not allow it.
type Control interface {
	Cancel(ctx context.Context, id string) (ondemand.Task, error)
	Retry(ctx context.Context, id string) (ondemand.Task, error)
}

const (
	pathTasks  = "/api/v1/tasks"
	pathTask   = pathTasks + "/:id"
	pathCancel = pathTask + "/cancel"
	pathRetry  = pathTask + "/retry"
	pathEvents = pathTask + "/events"
)

func (s *Server) addTaskRoutes(e *echo.Echo) {
	e.POST(pathTasks, s.authenticate(keys.ScopeWrite, s.submit))
	e.GET(pathTasks, s.authenticate(keys.ScopeRead, s.list))
	e.GET(pathTask, s.authenticate(keys.ScopeRead, s.get))
	e.POST(pathCancel, s.authenticate(keys.ScopeWrite, s.control(s.tasks.Cancel)))
	e.POST(pathRetry, s.authenticate(keys.ScopeWrite, s.control(s.tasks.Retry)))
	e.GET(pathEvents, s.authenticate(keys.ScopeRead, s.events))
}

func (s *Server) submit(c echo.Context) error {
	body, err := s.readBody(c)
	if err != nil {
		return err
	}
	task, err := ondemand.ParseTask(body)
	if err != nil {
		return err
	}
	if err := s.checkTask(identityOf(c), task); err != nil {
		return err
	}
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
		latest, held, err := s.waitFor(c, stored.ID, wait)
		if err != nil {
			// The task is stored: an answer without the wait is still a true one.
			s.log.Warn("wait for task", "task", stored.ID, "error", err)
		} else if held {
			h.Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
			stored, status = latest, http.StatusOK
		}
	}
	return c.JSON(status, stored)
}

// checkTask holds a parsed document against the limits of the server and of its bearer.
func (s *Server) checkTask(id keys.Identity, t ondemand.Task) error {
	if n := len(t.RequestInfo.Resources); n > s.opts.MaxResources {
		return &failure{
			code:   policy.CodeTooLarge,
			detail: fmt.Sprintf("The task names %d resources; at most %d are taken. Split it.", n, s.opts.MaxResources),
			fields: []FieldError{{Pointer: "/requestInfo/resources", Detail: "too many"}},
		}
	}
	if t.ID == "." || t.ID == ".." { // no client can put these into a path
		return &failure{
			code: policy.CodeInvalid, detail: "The task document is refused; the errors say why.",
			fields: []FieldError{{Pointer: "/id", Detail: "it stands for a folder in a URL: choose another id, or none"}},
		}
	}
	if t.RequestInfo.Approve != "" && !id.Has(keys.ScopeAdmin) {
		return &failure{
			code:   policy.CodeForbidden,
			detail: fmt.Sprintf("To approve a refused plan the token needs the scope %s.", keys.ScopeAdmin),
			fields: []FieldError{{Pointer: "/requestInfo/approve", Detail: "not allowed for this token"}},
		}
	}
	return permit(id, t)
}

// readBody takes the whole JSON body within the limits.
func (s *Server) readBody(c echo.Context) ([]byte, error) {
	r := c.Request()
	media, params, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	charset := strings.ToLower(params["charset"])
	if err != nil || media != echo.MIMEApplicationJSON || (charset != "" && charset != "utf-8") {
		return nil, &failure{
			code: policy.CodeInvalid, status: http.StatusUnsupportedMediaType,
			detail: "The body must be JSON: send Content-Type: application/json.",
			header: http.Header{"Accept-Post": {echo.MIMEApplicationJSON}},
		}
	}
	if coding := r.Header.Get(echo.HeaderContentEncoding); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, &failure{
			code: policy.CodeInvalid, status: http.StatusUnsupportedMediaType,
			detail: "The body must not be compressed: send it without Content-Encoding.",
			header: http.Header{"Accept-Encoding": {"identity"}},
		}
	}
	if r.ContentLength > s.opts.BodyLimit { // said in advance: nothing of it needs to be read
		return nil, &http.MaxBytesError{Limit: s.opts.BodyLimit}
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response().Writer, r.Body, s.opts.BodyLimit))
	var tooBig *http.MaxBytesError
	var timeout net.Error
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &tooBig):
		return nil, err
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, &failure{code: policy.CodeInvalid, status: http.StatusRequestTimeout, detail: "The body did not arrive in time."}
	}
	return nil, &failure{code: policy.CodeInvalid, detail: "The body ended before it was complete."}
}

// taskID takes the id of the path. The router leaves a path that was escaped in an unusual way as it came.
func taskID(c echo.Context) (string, error) {
	id := c.Param("id")
	if c.Request().URL.RawPath != "" {
		var err error
		if id, err = url.PathUnescape(id); err != nil {
			return "", policy.Errorf(policy.CodeInvalid, "the id in the path is not escaped correctly")
		}
	}
	return id, nil
}

// lookUp gives the task of the path if the bearer may reach it.
func (s *Server) lookUp(c echo.Context) (ondemand.Task, error) {
	id, err := taskID(c)
	if err != nil {
		return ondemand.Task{}, err
	}
	c.Set(taskKey, id)
	t, err := s.tasks.Get(c.Request().Context(), id)
	if err != nil {
		return ondemand.Task{}, fmt.Errorf("get task: %w", err)
	}
	return t, permit(identityOf(c), t)
}

func (s *Server) get(c echo.Context) error {
	t, err := s.lookUp(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, t)
}

// control answers a cancel or a retry.
func (s *Server) control(act func(context.Context, string) (ondemand.Task, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		t, err := s.lookUp(c)
		if err != nil {
			return err
		}
		if t, err = act(c.Request().Context(), t.ID); err != nil {
			return fmt.Errorf("change task: %w", err)
		}
		return c.JSON(http.StatusAccepted, t)
	}
}

// fieldsOf gives the faults of a task document.
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
