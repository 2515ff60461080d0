package apiserver_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"ucwarden/apiserver/keys"
	"ucwarden/ondemand/queue"
	"ucwarden/ondemand/store"
)

const (
	checkPath  = "/api/v1/admin/store/check"
	backupPath = "/api/v1/admin/store/backup"
)

// A backup of a running server is a whole store with its tasks, and nothing is left beside the original.
func TestStoreOfARunningServer(t *testing.T) {
	var folder string
	e := newEnv(t, func(s *setup) { s.stopped = true })
	e.do("POST", tasksPath, table("t", "sales")).want(202)

	var report store.Report
	if err := json.Unmarshal(e.do("POST", checkPath, "").want(200).body, &report); err != nil {
		t.Fatal(err)
	}
	if report.Entries["tasks"] != 1 || report.Layout == 0 || report.Bytes == 0 {
		t.Errorf("report %+v", report)
	}
	folder = filepath.Dir(report.Path)
	path := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(path, e.do("POST", backupPath, "").want(200).body, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	q, err := queue.New(s, queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Get(t.Context(), "t"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("%d files beside the store, %v", len(left), err)
	}
	for _, path := range []string{checkPath, backupPath} {
		for _, scope := range []keys.Scope{keys.ScopeRead, keys.ScopeWrite} {
			e.do("POST", path, "", bearer(e.issue("s", nil, scope))...).want(403)
		}
		e.do("POST", path, "", bearer(e.issue("limited", []string{"sales"}, keys.ScopeAdmin))...).want(403)
		e.do("POST", path, "", "Authorization", "").want(401)
		e.do("GET", path, "").want(405)
	}
}
