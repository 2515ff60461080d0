package apiserver

import (
	"context"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"ucwarden/policy"
)

// Reloaded is one part that was read again.
type Reloaded struct {
	Part   string // policies, keys, certificate
	Detail string // what is in force now
	Err    error  // why it was not read; what was in force before still is
}

// Reload reads policies, token keys and the certificate again, at once, and returns each part. One that fails does not
// keep the others from being read.
func (s *Server) Reload(ctx context.Context) []Reloaded {
	var parts []Reloaded
	if s.opts.Reload != nil {
		parts = s.opts.Reload(ctx)
	}
	if s.verifier != nil {
		n, err := s.verifier.Reload(ctx)
		parts = append(parts, Reloaded{Part: "keys", Detail: fmt.Sprintf("%d in force", n), Err: err})
	}
	if s.certs != nil {
		parts = append(parts, Reloaded{Part: "certificate", Detail: s.opts.TLSCert, Err: s.certs.reload()})
	}
	return parts
}

// Reload answers with the parts, or with an error that has an entry for each part that failed.
func (s calls) Reload(c echo.Context) error {
	if identityOf(c).Limited {
		return &responseError{code: policy.CodeForbidden, detail: "The token is limited to some catalogs: it may not read policies and keys again for all."}
	}
	answer := ReloadAnswer{Parts: []ReloadedPart{}}
	var fields []FieldError
	for _, p := range s.Server.Reload(c.Request().Context()) {
		if p.Err == nil {
			answer.Parts = append(answer.Parts, ReloadedPart{Name: p.Part, Detail: p.Detail})
			continue
		}
		s.log.Warn("not read again; what was in force stays in force", "part", p.Part, "error", p.Err)
		detail := p.Err.Error()
		if policy.CodeOf(p.Err) == policy.CodeInternal { // not classified: its text is for the log only
			detail = "failed; see the server's log for the cause"
		}
		fields = append(fields, FieldError{Pointer: "/parts/" + p.Part, Detail: detail})
	}
	if len(fields) > 0 {
		return &responseError{code: policy.CodeUnavailable, detail: "Not everything could be read again; what was in force stays in force. The errors say why.", fields: fields}
	}
	return c.JSON(http.StatusOK, answer)
}

// Pause keeps tasks from beginning until they are resumed; those that run go on.
func (s calls) Pause(c echo.Context) error {
	id := identityOf(c)
	if id.Limited {
		return &responseError{code: policy.CodeForbidden, detail: "The token is limited to some catalogs: it may not pause the tasks of all."}
	}
	p, err := s.tasks.Pause(c.Request().Context(), id.Subject)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, PauseState{Paused: true, Since: p.Since, By: p.By})
}

// Resume lets tasks begin again.
func (s calls) Resume(c echo.Context) error {
	id := identityOf(c)
	if id.Limited {
		return &responseError{code: policy.CodeForbidden, detail: "The token is limited to some catalogs: it may not resume the tasks of all."}
	}
	if err := s.tasks.Resume(c.Request().Context(), id.Subject); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, PauseState{})
}
