// Package shareddata finds the data that lies beside the checkout: Apache Ranger's own suites, which are not copied into the
// project. Only tests import it.
package shareddata

import (
	"os"
	"path/filepath"
	"testing"
)

// Folder returns a folder of that data, in a folder "shared" above the test. Where there is none it skips the
// test: the project's own suites stand in for it.
func Folder(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		folder := filepath.Join(dir, "shared", name)
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			return folder
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skipf("NOT RUN: the folder shared/%s lies in no folder above this one; the project's own suites stand in for it", name)
		}
		dir = up
	}
}
