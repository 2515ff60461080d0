package store_test

import (
	"errors"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
)

// A store of layout version 2, which had no index by external id, gets it at its first start, once.
func TestUpgradeAddsIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	open := func() *store.Store {
		s, err := store.Open(path, store.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := records.Open(s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	update, err := ondemand.PipelineTask("some-pipeline", false)
	if err != nil {
		t.Fatal(err)
	}
	tasks := []ondemand.Task{update, {Type: ondemand.FullSync}, update}
	err = s.Update(func(tx *store.Tx) error {
		for i := range tasks {
			tasks[i].ID, tasks[i].Status = string(rune('a'+i)), ondemand.Success
			if err := records.Store(tx, &tasks[i], ""); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		return errors.Join(tx.DeleteBucket([]byte("by_external")), tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte("2")))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if r, err := store.Check(path); err != nil || r.Layout != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	var commits []uint64
	for range 2 {
		s := open()
		err := s.View(func(tx *store.Tx) error {
			page, err := records.List(tx, ondemand.Filter{ExternalID: "some-pipeline"})
			if len(page.Items) != 2 || page.Items[0].ID != "c" || page.Items[1].ID != "a" {
				t.Errorf("listed %+v", page.Items)
			}
			return err
		})
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		r, err := store.Check(path)
		if err != nil || r.Layout != 3 {
			t.Fatalf("%+v, %v", r, err)
		}
		commits = append(commits, r.Commits)
	}
	if commits[0] != commits[1] {
		t.Errorf("%d commits after the first start, %d after the second", commits[0], commits[1])
	}
}
