package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"ucwarden/atomicfile"
	"ucwarden/policy"
)

// schemaVersion is raised when the layout of the file changes in a way that older programs would misread. Version 2 put a
// checksum before each value; [openFile.upgrade] rewrites a file of version 1. Version 3 added an index of tasks, which older
// programs would not keep; version 4 left one out, which they read. [Store.Upgrade] raises a file to it.
const schemaVersion, sealedVersion = 4, 2

// ErrDamaged is in the chain of every error that says that a file is damaged.
var ErrDamaged = errors.New("damaged")

func damagedError(path string, cause any) error {
	return &policy.Error{Code: policy.CodeInternal, Err: &damageError{path, cause}}
}

// damageError says what is wrong with a file.
type damageError struct {
	path  string
	cause any
}

func (d *damageError) Error() string {
	return fmt.Sprintf("task store %s is %v (%v): restore a backup (ucwarden store restore BACKUP --file %s), "+
		"or move it away to start with an empty one (mv %s %s.damaged, or set store.on_damage to quarantine)",
		d.path, ErrDamaged, d.cause, d.path, d.path, d.path)
}

func (d *damageError) Is(target error) bool { return target == ErrDamaged }

func (d *damageError) Unwrap() error {
	err, _ := d.cause.(error) // else it is text, or what a panic was about
	return err
}

// newerLayout says that a later version of the program wrote a file.
type newerLayout struct {
	path   string
	layout int
}

func newerError(path string, layout int) error {
	return &policy.Error{Code: policy.CodeConflict, Err: &newerLayout{path, layout}}
}

func (n *newerLayout) Error() string {
	return fmt.Sprintf("task store %s has layout version %d, this program knows up to %d: "+
		"run the version of ucwarden that wrote it, or restore a backup from before (ucwarden store restore BACKUP --file %s)",
		n.path, n.layout, schemaVersion, n.path)
}

// openFile is an open file of a store: locked, and checked when it was opened.
type openFile struct {
	db    *bolt.DB
	file  *os.File // of db
	path  string
	state fileState   // of the file after our own last write; nobody else writes to it
	last  os.FileInfo // the same with its time; nil: [openFile.note] was not called since

	stuck    bool         // a transaction could not be begun or ended, so that bbolt lets no other one write, and cannot be closed
	written  int64        // up to where the file holds blocks of the disk, see writeAhead
	unmapped atomic.Int64 // when unmap was called last, in nanoseconds
}

// createIfMissing creates an empty store where there is no file. It is written elsewhere and moved, so that a process
// that is killed meanwhile leaves no half of one.
func createIfMissing(path string) (err error) {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return nil // opening it says what is wrong with it
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*")
	if err != nil {
		return fmt.Errorf("create the task store: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(temp.Name())) }()
	if err := temp.Close(); err != nil {
		return fmt.Errorf("create the task store: %w", err)
	}
	db, err := bolt.Open(temp.Name(), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType})
	if err != nil {
		return fmt.Errorf("create the task store %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, ValuesBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keySchema, []byte(strconv.Itoa(schemaVersion)))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("create the task store %s: %w", path, err)
	}
	// A link, unlike a rename, does not replace the file of a process that was faster.
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("create the task store: %w", err)
	}
	return atomicfile.SyncFolder(filepath.Dir(path))
}

// openChecked opens and locks the file and reads all of it.
func openChecked(path string, o Options) (_ *openFile, err error) {
	f := &openFile{path: path}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damagedError(path, r)
		}
		if err != nil && f.file != nil {
			unlock(f.file)     // where bbolt panicked, it has the file mapped still
			_ = f.file.Close() // err says enough
		}
	}()
	f.db, err = bolt.Open(path, 0o600, &bolt.Options{
		Timeout: o.LockTimeout, FreelistType: bolt.FreelistMapType, MaxSize: o.MaxSize, NoSync: o.NoSync,
		OpenFile: func(string, int, os.FileMode) (*os.File, error) {
			file, err := openLocked(path, o.LockTimeout)
			if err != nil {
				return nil, err
			}
			f.file = file
			_, err = inspect(file, path, o.Visit)
			return file, err
		},
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, inUseError(path, f.file)
	case errors.Is(err, ErrDamaged), policy.CodeOf(err) == policy.CodeUnavailable, policy.CodeOf(err) == policy.CodeConflict:
		return nil, err // it says all
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, damagedError(path, err)
	case err != nil:
		return nil, fmt.Errorf("open the task store %s: %w", path, err)
	}
	if err := f.upgrade(o.Visit); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, errors.Join(f.wrote(), f.note())
}

// openLocked opens the file and waits for its lock, so that it is checked while nobody writes to it. bbolt locks the same
// open file again, which does nothing.
func openLocked(path string, timeout time.Duration) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(timeout); ; time.Sleep(lockRetry) { //nolint:forbidigo // nothing says when another process lets the lock go
		locked, err := tryLock(file)
		switch {
		case err != nil:
			return nil, errors.Join(fmt.Errorf("lock the file: %w", err), file.Close())
		case locked:
			return file, nil
		case !time.Now().Before(deadline):
			return nil, errors.Join(inUseError(path, file), file.Close())
		}
	}
}

// lockRetry is the time between two attempts to lock a file.
const lockRetry = 20 * time.Millisecond

// inUseError returns the error for a file that another process has locked.
func inUseError(path string, file *os.File) error {
	holder := ""
	if file != nil {
		holder = lockHolder(file)
	}
	return policy.Errorf(policy.CodeUnavailable,
		"task store %s is in use by another process: %sstop that process, or choose another folder (store.path)", path, holder)
}

// checkFile reads a file whole. Its error is [ErrDamaged], or of class conflict where another version wrote the file.
func checkFile(file *os.File, path string) error {
	_, err := inspect(file, path, nil)
	return err
}

// inspect is checkFile that also says what is in the file, and calls visit, where set, with what has a right checksum.
func inspect(file *os.File, path string, visit func(bucket, key, value []byte)) (Report, error) {
	info, err := file.Stat()
	if err != nil {
		return Report{}, fmt.Errorf("read the task store %s: %w", path, err)
	}
	r := Report{Path: path, Bytes: info.Size(), Entries: make(map[string]int)}
	var version string
	var wrong error // the first value with a wrong checksum
	var current []byte
	var count *int // of current
	counts := make(map[string]*int)
	r.FreeBytes, err = checkPages(file, info.Size(), func(bucket, key, value []byte) error {
		if count == nil || !bytes.Equal(bucket, current) {
			if count = counts[string(bucket)]; count == nil {
				count = new(int)
				counts[string(bucket)] = count
			}
			current = append(current[:0], bucket...)
		}
		*count++
		switch {
		case !bytes.Equal(bucket, bucketMeta):
		case bytes.Equal(key, keySchema):
			version = string(value)
		case bytes.Equal(key, keySeq) && len(value) == 8:
			r.Commits = binary.BigEndian.Uint64(value)
		}
		switch plain, ok := unseal(bucket, key, value); {
		case !ok && wrong == nil:
			wrong = wrongChecksum(bucket, key)
		case ok && visit != nil:
			visit(bucket, key, plain)
		}
		return nil
	})
	for bucket, n := range counts {
		r.Entries[bucket] = *n
	}
	delete(r.Entries, string(bucketMeta))
	number, notNumber := strconv.Atoi(version)
	r.Layout = number
	switch {
	case err != nil:
		return r, damagedError(path, err)
	case notNumber != nil || number < 1:
		return r, damagedError(path, fmt.Sprintf("its layout version is %q", version))
	case number > schemaVersion:
		return r, newerError(path, number)
	case number >= sealedVersion && wrong != nil:
		return r, damagedError(path, wrong)
	}
	return r, nil
}

// upgrade rewrites a file of version 1 to version 2, in one transaction, and calls visit, where set, with what is in it.
func (f *openFile) upgrade(visit func(bucket, key, value []byte)) error {
	err := f.db.Update(func(tx *bolt.Tx) error {
		own := tx.Bucket(bucketMeta)
		if string(own.Get(keySchema)) != "1" {
			return errUpToDate
		}
		err := tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			type entry struct{ key, sealed []byte }
			var entries []entry // first, because a cursor does not survive writes
			err := b.ForEach(func(k, v []byte) error {
				entries = append(entries, entry{bytes.Clone(k), bytes.Clone(seal(name, k, v))})
				return nil
			})
			for _, e := range entries {
				err = errors.Join(err, b.Put(e.key, e.sealed))
				if plain, ok := unseal(name, e.key, e.sealed); ok && visit != nil {
					visit(name, e.key, plain)
				}
			}
			return err
		})
		return errors.Join(err, own.Put(keySchema, []byte(strconv.Itoa(sealedVersion))))
	})
	if err != nil && !errors.Is(err, errUpToDate) {
		return fmt.Errorf("upgrade the task store %s to layout version %d: %w", f.path, sealedVersion, err)
	}
	return nil
}

var errUpToDate = errors.New("the layout is up to date")

// wrote records what our own last write left, for [openFile.changed]. We never make the file shorter: where it is, something else cut it
// meanwhile, which is to show.
func (f *openFile) wrote() error {
	f.last = nil
	now, err := stateOf(f.file)
	if err == nil {
		now.size = max(now.size, f.state.size)
		f.state = now
	}
	return err
}

// note records the time of our own last write, too. To ask for it after each makes the next one slower, see [stateOf]; until it is
// called, what else writes to the file does not show by the time.
func (f *openFile) note() (err error) {
	f.last, err = f.file.Stat()
	return err
}

// settle does what follows a commit.
func (f *openFile) settle() {
	var used int64
	err := f.view(func(tx *Tx) error { // which also unmaps the pages that the commit touched
		used = tx.tx.Size()
		return nil
	})
	if err == nil {
		f.writeAhead(used)
	}
}

// ahead is how many bytes behind the last used page are written at once, before they are used.
const ahead = 1 << 20

var zeros = make([]byte, ahead)

// writeAhead writes zeros behind the last page that is used. bbolt makes the file longer without that: a commit to pages that no
// block of the disk belongs to yet makes the file system change its own records as well, and waits for them. What is there
// means nothing, so that no harm is done where this ends half way. No transaction may be in progress that writes.
func (f *openFile) writeAhead(used int64) {
	if f.db.NoSync || f.written-used > ahead/2 {
		return
	}
	from := max(f.written, used)
	to := min(from+ahead, f.state.size)
	if from >= to {
		return
	}
	f.written = to                               // also where it fails: the commit that needs the pages says so
	_, _ = f.file.WriteAt(zeros[:to-from], from) // an error has no effect but on speed
	f.last = nil                                 // since it was us who wrote
}

// changed returns an error when the file is not as our own last write left it. No write may be in progress.
func (f *openFile) changed() error {
	if err := f.modified(); err != nil {
		return err
	}
	return f.moved()
}

// modified returns an error when something else than this process wrote to the file or changed its length.
func (f *openFile) modified() error {
	var changed bool
	var err error
	if f.last == nil {
		var now fileState
		now, err = stateOf(f.file)
		changed = now.size != f.state.size
	} else {
		var now os.FileInfo
		now, err = f.file.Stat()
		changed = err == nil && !sameState(now, f.last)
	}
	if err != nil {
		return policy.Errorf(policy.CodeUnavailable, "task store %s cannot be read: %w", f.path, err)
	}
	if changed {
		return policy.Errorf(policy.CodeUnavailable, "task store %s was changed by something else than this process", f.path)
	}
	return nil
}

// intact returns an error when what the next commit builds on is not as the one of that number left it. What others write while this
// process does, or before [openFile.note], does not show in the time of the file; bbolt then goes on from an older meta page
// where the newer one is bad, and frees as many pages as the list of free pages seems to have, for hours. No write may be in progress.
func (f *openFile) intact(seq uint64) error {
	m, err := readMetas(f.file, f.state.size)
	if err == nil {
		err = m.fits(f.state.size)
	}
	if err == nil {
		err = readFreelistHeader(f.file, m)
	}
	if err != nil {
		return damagedError(f.path, err)
	}
	return f.isAt(seq)
}

// isAt returns an error when the last commit in the file is not the one of that number.
func (f *openFile) isAt(seq uint64) error {
	found, err := f.lastCommit()
	if err == nil && found != seq {
		err = wrongCommit(f.path, found, seq)
	}
	return err
}

func wrongCommit(path string, found, seq uint64) error {
	return damagedError(path, fmt.Sprintf("its last commit is number %d instead of %d", found, seq))
}

// moved returns an error when another file, or none, is at the path.
func (f *openFile) moved() error {
	there, err := stateAt(f.path)
	switch {
	case err == nil && there.same(f.state):
		return nil
	case err == nil:
		return policy.Errorf(policy.CodeUnavailable, "task store %s was replaced by another file: this process alone has its tasks; let it "+
			"save them (ucwarden store backup --server URL-OF-ITS-API FILE), stop it and restore them (ucwarden store restore FILE)", f.path)
	case errors.Is(err, os.ErrNotExist):
		return policy.Errorf(policy.CodeUnavailable, "task store %s was removed: this process alone has its tasks; let it "+
			"save them (ucwarden store backup --server URL-OF-ITS-API FILE), stop it and restore them (ucwarden store restore FILE)", f.path)
	}
	return policy.Errorf(policy.CodeUnavailable, "task store %s cannot be found: %w", f.path, err)
}

// check reads the open file whole; its last commit must be the one of that number.
func (f *openFile) check(seq uint64) error {
	if err := f.moved(); err != nil {
		return err
	}
	if err := checkFile(f.file, f.path); err != nil {
		return err
	}
	return f.isAt(seq)
}

// lastCommit returns the number of the last commit in the file.
func (f *openFile) lastCommit() (seq uint64, err error) {
	err = f.view(func(tx *Tx) error {
		if v := tx.Bucket(bucketMeta).Get(keySeq); len(v) == 8 {
			seq = binary.BigEndian.Uint64(v)
		}
		return nil
	})
	return seq, err
}

// view runs a read-only transaction. A damaged page becomes an error.
func (f *openFile) view(fn func(tx *Tx) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damagedError(f.path, r)
		}
	}()
	tx, err := f.begin(false)
	if err != nil {
		return err
	}
	defer func() {
		if endErr := tx.Rollback(); err == nil {
			err = endErr
		}
	}()
	err = fn(&Tx{tx: tx})
	f.unmap(tx)
	return err
}

// unmapInterval is how often the pages of a file are taken out of the memory of the process.
const unmapInterval = 200 * time.Millisecond

// unmap takes the pages of the file that the process has touched out of its memory: they are the file, which the system has in
// its cache as long as there is room. The process would seem to grow to the size of the file otherwise.
func (f *openFile) unmap(tx *bolt.Tx) {
	last, now := f.unmapped.Load(), time.Now().UnixNano()
	if now-last > int64(unmapInterval) && f.unmapped.CompareAndSwap(last, now) {
		unmapPages(f.db.Info().Data, tx.Size()) // a transaction keeps the mapping where it is
	}
}

// close closes the file and releases its lock, also where bbolt panics because the file is damaged.
func (f *openFile) close() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = damagedError(f.path, r)
		}
		unlock(f.file) // where bbolt is not closed, it has the file mapped still
		if closeErr := f.file.Close(); closeErr != nil && !errors.Is(closeErr, os.ErrClosed) {
			err = errors.Join(err, closeErr)
		}
	}()
	if f.stuck {
		return nil // bbolt would wait for that transaction for ever; what it holds is lost with the damaged file
	}
	return f.db.Close()
}
