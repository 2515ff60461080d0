package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"

	"ucwarden/atomicfile"
	"ucwarden/policy"
)

// Report says what is in the file of a store.
type Report struct {
	Path      string         `json:"path"`
	Bytes     int64          `json:"bytes"`
	FreeBytes int64          `json:"freeBytes"` // that Compact would free
	Layout    int            `json:"layout"`    // version
	Commits   uint64         `json:"commits"`   // number of the last one
	Entries   map[string]int `json:"entries"`   // by bucket
}

// offlineTimeout is how long a command waits for the lock of a file.
const offlineTimeout = 500 * time.Millisecond

// Check reads a file that no process has open, and returns what is in it. Errors are those of [Open].
func Check(path string) (r Report, err error) {
	err = withLocked(path, func(file *os.File) error {
		r, err = inspect(file, path, nil)
		return err
	})
	return r, err
}

func withLocked(path string, do func(file *os.File) error) error {
	file, err := openLocked(path, offlineTimeout)
	if policy.CodeOf(err) == policy.CodeUnavailable {
		return err
	}
	if err != nil {
		return fmt.Errorf("open the task store %s: %w", path, err)
	}
	return errors.Join(do(file), file.Close())
}

// Backup copies a file that no process has open to a new one, which is read whole and durable when Backup returns.
func Backup(path, to string) (r Report, err error) {
	err = withLocked(path, func(file *os.File) error {
		if err := checkFile(file, path); err != nil {
			return err
		}
		r, err = writeNew(to, func(w io.Writer) error {
			_, err := io.Copy(w, io.NewSectionReader(file, 0, 1<<62))
			return err
		})
		return err
	})
	return r, err
}

// Backup copies one state of the open store to a new file, which is read whole and durable when Backup returns. It works
// also where the file of the store was removed, or its folder, which is made anew where the copy is to lie in it.
func (s *Store) Backup(to string) (Report, error) {
	if folder := filepath.Dir(s.path); filepath.Dir(to) == folder {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return Report{}, fmt.Errorf("copy the task store: %w", err)
		}
	}
	return writeNew(to, func(w io.Writer) error {
		return s.View(func(tx *Tx) error {
			_, err := tx.tx.WriteTo(w)
			return err
		})
	})
}

// Check reads one state of the open store, which it copies to a file beside it first.
func (s *Store) Check() (Report, error) {
	to := s.path + ".check-" + time.Now().UTC().Format("20060102T150405.000000000Z")
	r, err := s.Backup(to)
	if err != nil {
		return Report{}, err
	}
	r.Path = s.path
	return r, os.Remove(to)
}

// writeNew writes a new file, checks it, and leaves none where that fails.
func writeNew(path string, write func(w io.Writer) error) (r Report, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return Report{}, policy.Errorf(policy.CodeConflict, "%s exists already: choose another name", path)
	}
	if err != nil {
		return Report{}, fmt.Errorf("copy the task store: %w", err)
	}
	if err = errors.Join(write(file), file.Sync()); err == nil {
		r, err = inspect(file, path, nil)
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = atomicfile.SyncFolder(filepath.Dir(path))
	}
	if err != nil {
		return Report{}, errors.Join(fmt.Errorf("copy the task store to %s: %w", path, err), os.Remove(path))
	}
	return r, nil
}

// Restore puts a copy of a backup, which is read whole first, in the place of a file that no process has open. What was
// there is moved aside; the path is returned, "" where there was nothing.
func Restore(backup, path string) (r Report, aside string, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return Report{}, "", fmt.Errorf("create the folder of the task store: %w", err)
	}
	stamp := time.Now().UTC().Format("20060102T150405.000Z")
	temp := path + ".restoring-" + stamp
	if r, err = Backup(backup, temp); err != nil {
		if d, ok := errors.AsType[*damageError](err); ok && d.path == backup { // what to do about a store is not what to do about a backup
			err = policy.Errorf(policy.CodeInvalid, "%s is not a whole backup of a task store (%v): nothing was changed; restore another one", backup, d.cause)
		}
		if n, ok := errors.AsType[*newerLayout](err); ok && n.path == backup {
			err = policy.Errorf(policy.CodeConflict, "%s has layout version %d, this program knows up to %d: nothing was changed; "+
				"restore it with the version of ucwarden that wrote it, or restore one from before", backup, n.layout, schemaVersion)
		}
		return Report{}, "", err
	}
	r.Path = path
	aside, err = replace(path, temp, path+".before-restore-"+stamp)
	return r, aside, err
}

// replace moves next to path, and what is there aside. Whoever has it open keeps its lock, and is waited for.
func replace(path, next, aside string) (string, error) {
	swap := func() error { return errors.Join(os.Rename(next, path), atomicfile.SyncFolder(filepath.Dir(path))) }
	old, err := openLocked(path, offlineTimeout)
	if errors.Is(err, os.ErrNotExist) {
		return "", swap()
	}
	if err == nil {
		if err = os.Rename(path, aside); err == nil {
			err = swap()
		}
		err = errors.Join(err, old.Close())
	}
	if err != nil {
		if removeErr := os.Remove(next); !errors.Is(removeErr, os.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
		return "", err
	}
	return aside, nil
}

// Compact rewrites a file that no process has open without its free pages.
func Compact(path string) (before, after Report, err error) {
	if before, err = Check(path); err != nil {
		return before, after, err
	}
	temp := path + ".compacting-" + time.Now().UTC().Format("20060102T150405.000Z")
	err = func() error {
		old, err := openChecked(path, Options{LockTimeout: offlineTimeout})
		if err != nil {
			return err
		}
		next, err := bolt.Open(temp, 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType})
		if err != nil {
			return errors.Join(err, old.close())
		}
		err = errors.Join(bolt.Compact(next, old.db, 64<<20), next.Close())
		if err == nil {
			after, err = Check(temp)
		}
		if err == nil { // while the old one is locked
			err = errors.Join(os.Rename(temp, path), atomicfile.SyncFolder(filepath.Dir(path)))
		}
		return errors.Join(err, old.close())
	}()
	after.Path = path
	if err != nil {
		err = fmt.Errorf("compact the task store %s: %w", path, err)
		if removeErr := os.Remove(temp); !errors.Is(removeErr, os.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}
	return before, after, err
}

// Entries calls visit with every key and value of a file that no process has open, bucket by bucket, and returns what
// could not be read: of a damaged file it reads what is whole.
func Entries(path string, visit func(bucket, key, value []byte) error) (damage []error, err error) {
	err = withLocked(path, func(file *os.File) error {
		info, err := file.Stat()
		if err != nil {
			return err
		}
		sealed, newer := true, 0
		layout := func(bucket, key, value []byte) error {
			if string(bucket) == string(bucketMeta) && string(key) == string(keySchema) {
				sealed = string(value) != "1"
				if number, err := strconv.Atoi(string(value)); err == nil && number > schemaVersion {
					newer = number
				}
			}
			return nil
		}
		if err := salvagePages(file, info.Size(), layout, func(error) {}); err != nil {
			return damagedError(path, err)
		}
		if newer > 0 { // it may hold what this program would leave out unseen
			return newerError(path, newer)
		}
		var failed error // of visit
		err = salvagePages(file, info.Size(), func(bucket, key, value []byte) error {
			if failed != nil || string(bucket) == string(bucketMeta) {
				return nil //nolint:nilerr // it is returned below
			}
			if sealed {
				var ok bool
				if value, ok = unseal(bucket, key, value); !ok {
					return wrongChecksum(bucket, key)
				}
			}
			failed = visit(bucket, key, value)
			return nil
		}, func(err error) { damage = append(damage, err) })
		return errors.Join(err, failed)
	})
	return damage, err
}
