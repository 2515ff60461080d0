package apiserver

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// Store is the file of the tasks, as far as the API shows it; *store.Store.
type Store interface {
	Path() string
	// Check reads a copy of the file whole.
	Check() (store.Report, error)
	// Backup copies the file to a new one.
	Backup(to string) (store.Report, error)
}

// longestCopy bounds how long the file may take to be copied and read.
const longestCopy = 10 * time.Minute

// storeCall lets one request at a time copy the store, since each needs room for a copy.
func (s *Server) storeCall(c echo.Context, call func(c echo.Context, rc *http.ResponseController) error) error {
	if identityOf(c).Limited {
		return &responseError{code: policy.CodeForbidden, detail: "The token is limited to some catalogs: the store holds the tasks of all."}
	}
	if s.opts.Store == nil {
		return &responseError{code: policy.CodeNotFound, detail: "This server has no store."}
	}
	if !s.copying.TryLock() {
		return &responseError{code: policy.CodeRateLimited, detail: "The store is being copied for another request: try again when that has ended."}
	}
	defer s.copying.Unlock()
	rc := http.NewResponseController(c.Response())
	// Errors mean a writer without deadlines, as in tests.
	_ = rc.SetReadDeadline(time.Time{})
	_ = rc.SetWriteDeadline(time.Now().Add(longestCopy))
	return call(c, rc)
}

// CheckStore answers with what is in the store.
func (s calls) CheckStore(c echo.Context) error { return s.storeCall(c, s.checkStore) }

// BackupStore answers with a copy of the store.
func (s calls) BackupStore(c echo.Context) error { return s.storeCall(c, s.backupStore) }

func (s *Server) checkStore(c echo.Context, _ *http.ResponseController) error {
	report, err := s.opts.Store.Check()
	if err != nil {
		return fmt.Errorf("check the store: %w", err)
	}
	return c.JSON(http.StatusOK, report)
}

// backupStore copies the store to a file beside it first, so that no slow client holds a transaction.
func (s *Server) backupStore(c echo.Context, rc *http.ResponseController) error {
	path := s.opts.Store.Path() + ".backup-" + rand.Text()
	report, err := s.opts.Store.Backup(path)
	if err != nil {
		return fmt.Errorf("back the store up: %w", err)
	}
	file, err := os.Open(path)
	if removeErr := os.Remove(path); removeErr != nil {
		s.log.Warn("a copy of the store was not removed", "path", path, "error", removeErr)
	}
	if err != nil {
		return fmt.Errorf("back the store up: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, echo.MIMEOctetStream)
	h.Set(echo.HeaderContentLength, strconv.FormatInt(report.Bytes, 10))
	c.Response().WriteHeader(http.StatusOK)
	const part = 1 << 20
	for sent := int64(0); sent < report.Bytes; {
		_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout))
		n, err := io.CopyN(c.Response(), file, min(part, report.Bytes-sent))
		if sent += n; err != nil {
			return policy.Errorf(policy.CodeUnavailable, "send the backup: %w", err) // too late for an answer; the length shows it
		}
	}
	return nil
}
