package ondemand

import (
	"time"

	"ucwarden/policy"
)

// Filter selects tasks of a list. Zero fields select everything.
type Filter struct {
	Status   Status
	Type     Type
	Source   string
	ParentID string
	// ExternalID selects by [Task.ExternalID], in any case.
	ExternalID string
	TopLevel   bool      // only tasks that are not part of another
	Since      time.Time // received at or after
	Limit      int       // page size; 0 means 100, at most 1,000
	Cursor     string    // Page.NextCursor of the previous page, read with the same filter; "" for the first page
	// Visible, where set, selects the tasks that the caller may know of. A cursor then says nothing of the others but
	// that there are some.
	Visible func(Task) bool
}

// Page is one page of a list, newest received first.
type Page struct {
	Items      []Task `json:"items"`
	NextCursor string `json:"nextCursor,omitempty"` // empty on the last page
}

// NotFound returns the error for a task that is not there, or that the caller may not know of.
func NotFound(id string) error { return policy.Errorf(policy.CodeNotFound, "there is no task %q", id) }
