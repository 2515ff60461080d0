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

// A store of layout version 2, which had no index by external id, gets it at its first start, once; the index by time, which version 3
// had as well, goes.
func TestUpgradeIndexes(t *testing.T) {
	for _, layout := range []string{"2", "3"} {
		t.Run(layout, func(t *testing.T) { testUpgrade(t, layout) })
	}
}

func testUpgrade(t *testing.T, layout string) {
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
	byTime := []byte("by_time")
	if err := s.AddBuckets(byTime); err != nil {
		t.Fatal(err)
	}
	err = s.Update(func(tx *store.Tx) error {
		if err := tx.Bucket(byTime).Put([]byte("12345678a"), nil); err != nil {
			return err
		}
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
		if layout == "2" {
			if err := tx.DeleteBucket([]byte("by_external")); err != nil {
				return err
			}
		}
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte(layout))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if r, err := store.Check(path); r.Layout != int(layout[0]-'0') {
		t.Fatalf("%+v, %v", r, err)
	}
	var commits []uint64
	for range 2 {
		s := open()
		err := s.View(func(tx *store.Tx) error {
			page, err := records.List(tx, ondemand.Filter{ExternalID: "some-pipeline"})
			all, allErr := records.List(tx, ondemand.Filter{})
			if len(all.Items) != 3 || all.Items[0].ID != "c" || all.Items[1].ID != "b" || all.Items[2].ID != "a" {
				t.Errorf("listed of all %+v", all.Items)
			}
			err = errors.Join(err, allErr)
			if len(page.Items) != 2 || page.Items[0].ID != "c" || page.Items[1].ID != "a" {
				t.Errorf("listed %+v", page.Items)
			}
			return err
		})
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		r, err := store.Check(path)
		if err != nil || r.Layout != 4 || r.Entries["by_time"] > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		commits = append(commits, r.Commits)
	}
	if commits[0] != commits[1] {
		t.Errorf("%d commits after the first start, %d after the second", commits[0], commits[1])
	}
}
