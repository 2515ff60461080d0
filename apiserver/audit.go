package apiserver

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"ucwarden/apiserver/keys"
	"ucwarden/policy"
)

// AuditQuery selects entries of the audit trail.
type AuditQuery struct {
	Securable    policy.Securable // with everything inside it; zero: all
	Principal    string           // in any case; "" is all, as of the others
	Task         string
	Since, Until time.Time
	Cursor       string // where to begin: a nextCursor or position of a page before
	Limit        int
	// Visible reports whether the asker may know of changes of the securable, TYPE:full.name.
	Visible func(securable string) bool
}

// ListAudit answers with one page of the audit trail.
func (s calls) ListAudit(c echo.Context, params ListAuditParams) error {
	if s.opts.Audit == nil {
		return &responseError{code: policy.CodeNotFound, detail: "This server keeps no audit trail."}
	}
	query, err := auditQueryOf(params)
	if err != nil {
		return err
	}
	query.Visible = func(securable string) bool { return mayKnow(identityOf(c), securable) }
	page, err := s.opts.Audit(c.Request().Context(), query)
	if err != nil {
		if policy.CodeOf(err) == policy.CodeInvalid && query.Cursor != "" {
			return badQuery([]FieldError{queryError("cursor", err.Error())})
		}
		return fmt.Errorf("read the audit trail: %w", err)
	}
	return c.JSON(http.StatusOK, page)
}

func auditQueryOf(p ListAuditParams) (AuditQuery, error) {
	q := AuditQuery{Principal: value(p.Principal), Task: value(p.Task), Cursor: value(p.Cursor), Limit: defaultLimit}
	if p.Limit != nil {
		q.Limit = *p.Limit
	}
	var errs []FieldError
	if p.Securable != nil {
		var err error
		if q.Securable, err = policy.ParseSecurable(*p.Securable); err != nil {
			errs = append(errs, queryError("securable", err.Error()))
		}
	}
	for name, t := range map[string]struct {
		text *string
		to   *time.Time
	}{"since": {p.Since, &q.Since}, "until": {p.Until, &q.Until}} {
		if t.text == nil {
			continue
		}
		var err error
		if *t.to, err = parseTime(*t.text); err != nil {
			errs = append(errs, queryError(name, wantTime))
		}
	}
	if len(errs) > 0 {
		return AuditQuery{}, badQuery(errs)
	}
	return q, nil
}

// mayKnow reports whether the bearer may know what changes on a securable: a token that is limited to catalogs knows of those, and of
// what is in them.
func mayKnow(id keys.Identity, securable string) bool {
	if !id.Limited {
		return true
	}
	kind, name, _ := strings.Cut(securable, ":")
	if t := policy.SecurableType(kind); t != policy.Catalog && t.Depth() < 2 {
		return false
	}
	catalog, _, _ := strings.Cut(name, ".")
	return id.AllowsCatalog(catalog)
}
