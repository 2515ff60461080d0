package main

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ucwarden/connector/emulator"
	"ucwarden/ondemand"
)

// A store that the version before wrote opens: its tasks are there as they ended, the pause still holds, and the task that
// waited is carried out. The file is of a daemon that was paused after a full sync and three tasks, with one task waiting; a
// release that changes what stores hold takes one of the release before.
func TestStoreOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &emulator.Seed{
		Groups: []emulator.SeedGroup{{Name: "analysts"}},
		Catalogs: []emulator.SeedCatalog{{SeedObject: emulator.SeedObject{Name: "sales"}, Schemas: []emulator.SeedSchema{{
			SeedObject: emulator.SeedObject{Name: "emea"}, Tables: []emulator.SeedTable{{SeedObject: emulator.SeedObject{Name: "orders"}}},
		}}}},
	}, `{id: 1, name: sales, service: unitycatalog, resources: {catalog: {values: [sales]}, schema: {values: ["*"]}, table: {values: ["*"]}},
policyItems: [{groups: [analysts], accesses: [{type: select}]}]}`)
	w.unpack("testdata/store-before.db.gz", filepath.Join("data", "ucwarden.db"))
	_, c := w.serve("--set", "ondemand.retention=876000h", "--set", "guard.confirm_upgrade=false") // it read policies otherwise

	page, err := c.List(t.Context(), ondemand.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	var waiting string
	for _, task := range page.Items {
		got = append(got, string(task.Type)+" "+string(task.Status))
		if task.Status == ondemand.Waiting || task.Status == ondemand.New {
			waiting = task.ID
		}
	}
	want := []string{"RESOURCE_SYNC WAITING", "RESOURCE_SYNC SKIPPED", "RESOURCE_SYNC SKIPPED", "RESOURCE_SYNC SUCCESS", "RESOURCE_SYNC SUCCESS", "FULL_SYNC SUCCESS"}
	if !slices.Equal(got, want) {
		t.Fatalf("tasks %q, want %q", got, want)
	}
	if len(w.grants()) > 0 {
		t.Error("something was granted while tasks are paused")
	}
	if _, err := c.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.done(c, waiting, ondemand.Success)
	if len(w.grants()) == 0 {
		t.Errorf("the waiting task had no effect: %q", w.grants())
	}
}

// unpack writes a compressed file of testdata into the world's folder.
func (w *world) unpack(from, to string) {
	w.Helper()
	packed, err := os.Open(from)
	if err != nil {
		w.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		w.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		w.Fatal(err)
	}
	path := filepath.Join(w.dir, to)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		w.Fatal(err)
	}
}
