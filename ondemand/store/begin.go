package store

import (
	"fmt"
	"reflect"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// begin begins a transaction. bbolt panics where it can read neither meta page, and keeps its locks: whoever comes next would wait for
// ever, and so would the end of the process.
func (f *openFile) begin(writable bool) (_ *bolt.Tx, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = damagedError(f.path, r)
			if writable {
				f.stuck = true // with the lock of writers
			} else {
				releaseReader(f.db)
			}
		}
	}()
	return f.db.Begin(writable)
}

// releaseReader releases what bbolt holds when it panics on the way into a transaction that reads. Nothing exported does: without it,
// transactions that began before could not end either.
func releaseReader(db *bolt.DB) {
	fields := reflect.ValueOf(db).Elem()
	(*sync.RWMutex)(fields.FieldByName("mmaplock").Addr().UnsafePointer()).RUnlock()
	(*sync.Mutex)(fields.FieldByName("metalock").Addr().UnsafePointer()).Unlock()
}

// begin begins a transaction that writes. mu is held.
func (c *committer) begin() (*bolt.Tx, error) {
	tx, err := c.store.file.begin(true)
	c.uncertain = c.uncertain || c.store.file.stuck
	return tx, err
}

// rollback ends a transaction that is not committed. Where that fails, bbolt lets no other one write, so that the file has to be opened
// anew. mu is held.
func (c *committer) rollback(tx *bolt.Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("roll back: %v", r)
		}
		if err != nil {
			c.store.file.stuck, c.uncertain = true, true
		}
	}()
	return tx.Rollback()
}
