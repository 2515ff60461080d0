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

// Control cancels and retries tasks, and returns the changed task. Errors are of class not found, or conflict where its
// status does not allow it.
type Control interface {
	Cancel(ctx context.Context, id string) (ondemand.Task, error)
	Retry(ctx context.Context, id string) (ondemand.Task, error)
}

// Pauser keeps tasks from beginning, and lets them begin again.
type Pauser interface {
	Pause(ctx context.Context, by string) (ondemand.Pause, error)
	Resume(ctx context.Context, by string) error
}

const (
	pathTasks  = "/api/v1/tasks"
	pathBatch  = pathTasks + `\:batch` // the router takes a colon for the beginning of a parameter
	pathTask   = pathTasks + "/:id"
	pathCancel = pathTask + "/cancel"
	pathRetry  = pathTask + "/retry"
	pathEvents = pathTask + "/events"
	pathReload = "/api/v1/admin/reload"
	pathPause  = "/api/v1/admin/pause"
	pathResume = "/api/v1/admin/resume"
	pathCheck  = "/api/v1/admin/store/check"
	pathBackup = "/api/v1/admin/store/backup"
)

func (s *Server) addTaskRoutes(e *echo.Echo) {
	e.POST(pathTasks, s.authenticate(keys.ScopeWrite, takes(s.submit)))
	e.POST(pathBatch, s.authenticate(keys.ScopeWrite, takes(s.submitBatch)))
	addGET(e, pathTasks, s.authenticate(keys.ScopeRead, takes(s.list, listParameters...)))
	addGET(e, pathTask, s.authenticate(keys.ScopeRead, takes(s.get)))
	e.POST(pathCancel, s.authenticate(keys.ScopeWrite, takes(s.changeTask(s.tasks.Cancel))))
	e.POST(pathRetry, s.authenticate(keys.ScopeWrite, takes(s.changeTask(s.tasks.Retry))))
	addGET(e, pathEvents, s.authenticate(keys.ScopeRead, takes(s.events)))
	e.POST(pathReload, s.authenticate(keys.ScopeAdmin, takes(s.reload)))
	e.POST(pathPause, s.authenticate(keys.ScopeAdmin, takes(s.pause)))
	e.POST(pathResume, s.authenticate(keys.ScopeAdmin, takes(s.resume)))
	e.POST(pathCheck, s.authenticate(keys.ScopeAdmin, takes(s.storeCall(s.checkStore))))
	e.POST(pathBackup, s.authenticate(keys.ScopeAdmin, takes(s.storeCall(s.backupStore))))
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
	if t.RequestInfo.Approve != "" && !id.Has(keys.ScopeAdmin) {
		return &responseError{
			code:   policy.CodeForbidden,
			detail: fmt.Sprintf("To approve a refused plan the token needs the scope %s.", keys.ScopeAdmin),
			fields: []FieldError{{Pointer: "/requestInfo/approve", Detail: "not allowed for this token"}},
		}
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
	body, err := io.ReadAll(http.MaxBytesReader(c.Response().Writer, r.Body, s.opts.BodyLimit))
	var tooBig *http.MaxBytesError
	var timeout net.Error
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &tooBig):
		return nil, err
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, &responseError{code: policy.CodeInvalid, status: http.StatusRequestTimeout, detail: "The body did not arrive in time."}
	}
	return nil, &responseError{code: policy.CodeInvalid, detail: "The body ended before it was complete."}
}

// taskID returns the id in the path. The router does not unescape a path that was escaped in an unusual way.
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

// findTask returns the task of the path. One that the bearer may not access is not found, with the same answer as one
// that is not there.
func (s *Server) findTask(c echo.Context) (ondemand.Task, error) {
	id, err := taskID(c)
	if err != nil {
		return ondemand.Task{}, err
	}
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

func (s *Server) get(c echo.Context) error {
	t, err := s.findTask(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, shown(identityOf(c), t))
}

// changeTask returns the handler of cancel and retry.
func (s *Server) changeTask(change func(context.Context, string) (ondemand.Task, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		t, err := s.findTask(c)
		if err != nil {
			return err
		}
		if t.Type == ondemand.PipelineUpdate { // an update is stopped, or started again
			if err := s.checkPipeline(c.Request().Context(), identityOf(c), t); err != nil {
				return err
			}
		}
		if t, err = change(c.Request().Context(), t.ID); err != nil {
			return fmt.Errorf("change task: %w", err)
		}
		return c.JSON(http.StatusAccepted, shown(identityOf(c), t))
	}
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
