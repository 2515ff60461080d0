package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
)

// Options configures [Open]. The zero value is usable.
type Options struct {
	LockTimeout time.Duration // how long to wait for another process to release the file; default 1s
	MaxSize     int           // bytes the file may grow to; 0 for no limit
	Logger      *slog.Logger
	Registerer  prometheus.Registerer // may be nil

	// Visit, where set, is called with every entry of the file while Open reads it, in no order. Where Open returns an error,
	// what it saw is of no use.
	Visit func(bucket, key, value []byte)

	// NoSync leaves out the fsync of commits, for tests that cut no power.
	NoSync bool
	// Commit, where set, is called in place of each commit with a function that commits, for tests of a failing disk.
	Commit func(commit func() error) error
}

func (o *Options) validate() error {
	if o.LockTimeout < 0 || o.MaxSize < 0 {
		return policy.Errorf(policy.CodeInvalid, "task store: lock timeout and size limit must not be negative")
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Commit == nil {
		o.Commit = func(commit func() error) error { return commit() }
	}
	return nil
}

// The buckets of the package itself. Those of the tasks are added by [Store.AddBuckets].
//
//	meta    "schema", "seq"
//	values  key → value saved by another package (Store.Save)
var (
	bucketMeta = []byte("meta")
	// ValuesBucket holds what [Store.Save] saved.
	ValuesBucket = []byte("values")

	keySchema = []byte("schema")
	keySeq    = []byte("seq")
)

// Store is a file that holds sorted buckets of keys and values ([Store.View], [Store.Update]), and small values of other
// packages ([Store.Save]). Only one process can have it open. All writes go through one group commit, so that many
// writers share one fsync.
type Store struct {
	path    string
	opts    Options
	log     *slog.Logger
	commits *committer
	many    chan struct{} // holds one while a write of many records is under way

	mu   sync.RWMutex // held by each reader as long as its transaction lasts, and to replace the file
	file *openFile    // nil while it cannot be opened
}

// Open opens the store in the file at path, and creates the file and its folder when there is none. It reads every page
// once, so that a damaged file is found here and not later. Errors are one line that says what to do: another process has
// the file open, it is damaged ([ErrDamaged]), or a newer version wrote it.
func Open(path string, o Options) (*Store, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of the task store: %w", err)
	}
	if err := createIfMissing(path); err != nil {
		return nil, err
	}
	s := &Store{path: path, opts: o, log: o.Logger, many: make(chan struct{}, 1)}
	var err error
	if s.file, err = openChecked(path, o); err != nil {
		return nil, err
	}
	s.opts.Visit = nil
	if s.commits, err = newCommitter(s, o.Registerer); err != nil {
		return nil, errors.Join(err, s.file.close())
	}
	return s, nil
}

// Close waits for the writes in progress and closes the file. Later writes return an error of class unavailable.
func (s *Store) Close() error {
	s.commits.stop()
	s.commits.mu.Lock()
	defer s.commits.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file = nil
	if err := file.close(); err != nil {
		return fmt.Errorf("close the task store %s: %w", s.path, err)
	}
	return nil
}

// Path returns the path of the file.
func (s *Store) Path() string { return s.path }

// Update runs fn in a transaction with whatever other writes wait, and returns when it is durable. fn may run more than
// once, each time in a new transaction, so it must produce the same results each time, and check before it writes: an
// error of class internal aborts the transaction, an error of any other class rejects this write only. applied, where
// set, runs after the commit, in the order of commits, and only when the write is in the file. It also runs in the rare
// case that the write is in the file but not known to be durable. Update returns fn's error, or an error of class
// unavailable when the store cannot commit or is closed: the write must then not be acknowledged.
func (s *Store) Update(fn func(tx *Tx) error, applied func()) error { return s.commits.do(fn, applied) }

// manyRecords is from how many records on writes take turns: one transaction would hold all that wait, and a small write would wait
// until it ends.
const manyRecords = 100

// UpdateMany is [Store.Update] of n records. Of those with many, at most one is in each commit, so that a small write waits for two of
// them at most. It returns an error of class unavailable where ctx ends before its turn.
func (s *Store) UpdateMany(ctx context.Context, n int, fn func(tx *Tx) error, applied func()) error {
	if n >= manyRecords {
		select {
		case s.many <- struct{}{}:
			defer func() { <-s.many }()
		case <-ctx.Done():
			return policy.Errorf(policy.CodeUnavailable, "wait for other large writes to the task store: %w", ctx.Err())
		}
	}
	return s.Update(fn, applied)
}

// AddBuckets creates the buckets that are not there yet.
func (s *Store) AddBuckets(names ...[]byte) error {
	missing := false
	err := s.View(func(tx *Tx) error {
		for _, name := range names {
			missing = missing || tx.tx.Bucket(name) == nil
		}
		return nil
	})
	if err != nil || !missing {
		return err
	}
	return s.Update(func(tx *Tx) error {
		for _, name := range names {
			if _, err := tx.tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// Upgrade calls add in a transaction that raises the layout of the file to the version of this program, where an older one wrote
// it. add puts there what the layout has since then, for all that the file holds; the buckets for it were added before.
func (s *Store) Upgrade(add func(tx *Tx) error) error {
	current := []byte(strconv.Itoa(schemaVersion))
	older := false
	err := s.View(func(tx *Tx) error {
		older = !bytes.Equal(tx.tx.Bucket(bucketMeta).Get(keySchema), current)
		return nil
	})
	if err != nil || !older {
		return err
	}
	err = s.Update(func(tx *Tx) error {
		if err := add(tx); err != nil {
			return err
		}
		return tx.tx.Bucket(bucketMeta).Put(keySchema, current)
	}, nil)
	if err != nil {
		return fmt.Errorf("upgrade the task store %s to layout version %d: %w", s.path, schemaVersion, err)
	}
	return nil
}

// Load returns the value saved under key; nil when there is none.
func (s *Store) Load(key string) ([]byte, error) {
	var value []byte
	err := s.View(func(tx *Tx) error {
		value = append(value, tx.Bucket(ValuesBucket).Get([]byte(key))...)
		return nil
	})
	return value, err
}

// Save stores a small value under key; it is durable when Save returns. A nil value removes the key.
func (s *Store) Save(key string, value []byte) error {
	if key == "" {
		return policy.Errorf(policy.CodeInvalid, "save a value: the key is empty")
	}
	return s.Update(func(tx *Tx) error {
		if value == nil {
			return tx.Bucket(ValuesBucket).Delete([]byte(key))
		}
		return tx.Bucket(ValuesBucket).Put([]byte(key), value)
	}, nil)
}

// SaveAll stores many values as Save does, in one transaction; a nil value removes its key.
func (s *Store) SaveAll(values map[string][]byte) error {
	if _, found := values[""]; found {
		return policy.Errorf(policy.CodeInvalid, "save values: a key is empty")
	}
	return s.Update(func(tx *Tx) error {
		bucket := tx.Bucket(ValuesBucket)
		for key, value := range values {
			if value == nil {
				if err := bucket.Delete([]byte(key)); err != nil {
					return err
				}
			} else if err := bucket.Put([]byte(key), value); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// Range calls visit with every saved value whose key begins with prefix, in the order of their keys, until visit returns
// an error, which Range returns. visit must not keep the value, and must not write to the store.
func (s *Store) Range(prefix string, visit func(key string, value []byte) error) error {
	return s.View(func(tx *Tx) error {
		c := tx.Bucket(ValuesBucket).Cursor()
		for k, v := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); k, v = c.Next() {
			if err := visit(string(k), v); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxRemoved bounds how many values one transaction removes, so that others need not wait long for it.
const maxRemoved = 1000

// RemoveAll removes every saved value whose key begins with prefix.
func (s *Store) RemoveAll(prefix string) error {
	for removed := maxRemoved; removed == maxRemoved; {
		err := s.Update(func(tx *Tx) error {
			removed = 0
			c := tx.Bucket(ValuesBucket).Cursor()
			for k, _ := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix) && removed < maxRemoved; k, _ = c.Seek([]byte(prefix)) {
				if err := c.Delete(); err != nil {
					return err
				}
				removed++
			}
			return nil
		}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// View runs fn in a read-only transaction, which sees one state of the file. It returns fn's error, or one of class
// unavailable where the store is closed or its file damaged.
func (s *Store) View(fn func(tx *Tx) error) error {
	if err := s.commits.readable(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.file == nil {
		return s.closedError()
	}
	err := s.file.view(fn)
	if errors.Is(err, ErrDamaged) {
		s.commits.suspect()
	}
	return err
}

func (s *Store) closedError() error {
	return policy.Errorf(policy.CodeUnavailable, "task store %s is closed", s.path)
}
