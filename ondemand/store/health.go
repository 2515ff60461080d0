package store

import (
	"errors"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"ucwarden/policy"
)

// The delays between two looks at a file to which no commit succeeded: doubled from the first to the longest.
const (
	firstLook   = 20 * time.Millisecond
	longestLook = 2 * time.Second
)

// keyProbe is where a probe puts bytes, to find out whether the disk has room.
var keyProbe = []byte("probe")

// Health returns nil while the store accepts writes, or why it does not: the last commit failed, or the file was changed,
// truncated, replaced or removed under this process. It looks at the file each time.
func (s *Store) Health() error {
	c := s.commits
	if problem := c.problem.Load(); problem != nil {
		return *problem
	}
	select {
	case <-c.quit:
		return s.closedError()
	default:
	}
	if !c.mu.TryLock() {
		return nil // a commit is in progress, which looks as well
	}
	defer c.mu.Unlock()
	if s.file == nil {
		return s.closedError()
	}
	err := s.file.changed()
	if err == nil {
		err = s.file.intact(c.seq)
	}
	if err != nil {
		signal(c.wake)
	}
	return err
}

// readable returns an error where reading the file might not end well, because something else than this process wrote to
// it: bbolt trusts what it maps.
func (c *committer) readable() error {
	if reason := c.unreadable.Load(); reason != nil {
		return *reason
	}
	if !c.mu.TryLock() {
		return nil // a commit is in progress, which looks as well
	}
	defer c.mu.Unlock()
	if c.store.file == nil {
		return nil // closed, or about to be opened again
	}
	if err := c.store.file.modified(); err != nil {
		signal(c.wake)
		return err
	}
	return nil
}

// unchanged returns why the file cannot be written to; nil when it can. mu is held.
func (c *committer) unchanged() error {
	if problem := c.problem.Load(); problem != nil {
		return *problem
	}
	if !c.uncertain && c.store.file.changed() == nil && c.store.file.intact(c.seq) == nil {
		return nil
	}
	c.lookLocked()
	if problem := c.problem.Load(); problem != nil {
		return *problem
	}
	return nil
}

// suspectAgain is how long a file that was found whole is not read again on suspicion: the fault may be the program's, and come often.
const suspectAgain = time.Minute

// suspect has the file read whole soon.
func (c *committer) suspect() {
	if time.Now().UnixNano()-c.cleared.Load() > int64(suspectAgain) {
		c.suspected.Store(true)
		signal(c.wake)
	}
}

// resolve finds out what became of writes whose commit returned an error. It returns nil when they are in the file after
// all, and durable: the new root page may have been written while only its fsync failed.
func (c *committer) resolve(unknown []*write, cause error) error {
	c.unknown = unknown
	c.found = false
	problem := c.writeError(cause)
	c.problem.Store(&problem)
	c.store.log.Warn("a commit of the task store failed; opening the file anew", "error", cause)
	c.lookLocked()
	if c.problem.Load() == nil && c.found {
		return nil
	}
	return problem
}

func (c *committer) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookLocked()
}

// lookLocked finds out whether writes can be accepted, and keeps why not.
func (c *committer) lookLocked() {
	err := c.recover()
	switch before := c.problem.Load(); {
	case err != nil:
		if before == nil || (*before).Error() != err.Error() {
			c.store.log.Error("the task store accepts no tasks", "error", err)
		}
		c.problem.Store(&err)
	case before != nil:
		c.store.log.Info("the task store accepts tasks again", "path", c.store.path)
		c.problem.Store(nil)
	}
}

// recover makes the store usable, or returns why it is not.
func (c *committer) recover() error {
	file := c.store.file
	if file != nil {
		// Before anything closes it: where the file was removed, the open one is all there is.
		if err := file.moved(); err != nil {
			return err
		}
	}
	switch {
	case c.uncertain:
		if err := c.openAnew(); err != nil {
			return err
		}
	case c.unreadable.Load() != nil || c.suspected.Load() || file.modified() != nil || file.intact(c.seq) != nil:
		if err := c.readWhole(); err != nil {
			return err
		}
	}
	if c.problem.Load() == nil {
		return nil // it was touched only
	}
	return c.probe()
}

// openAnew opens the file again after a commit that returned an error, and finds out whether that is in the file.
func (c *committer) openAnew() error {
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		if err := s.file.close(); err != nil {
			s.log.Warn("closing the task store failed", "error", err)
		}
		s.file = nil
	}
	file, err := openChecked(s.path, s.opts)
	if err != nil {
		return policy.Errorf(policy.CodeUnavailable, "%w", err)
	}
	seq, err := file.lastCommit()
	if err == nil && seq != c.seq && seq != c.seq+1 {
		err = wrongCommit(s.path, seq, c.seq)
	}
	if err != nil {
		return policy.Errorf(policy.CodeUnavailable, "%w", errors.Join(err, file.close()))
	}
	s.file, c.uncertain = file, false
	if c.found = seq == c.seq+1; c.found {
		// Memory follows the file, even where the commit is not known to be durable and is therefore not acknowledged.
		c.seq = seq
		for _, w := range c.unknown {
			w.apply()
		}
	}
	c.unknown = nil
	return nil
}

// readWhole reads a file to which something else wrote. One that is whole is used on.
func (c *committer) readWhole() error {
	file := c.store.file
	now, err := file.file.Stat()
	if err != nil {
		return policy.Errorf(policy.CodeUnavailable, "task store %s cannot be read: %w", file.path, err)
	}
	if reason := c.unreadable.Load(); reason != nil && c.seen != nil && sameState(now, c.seen) {
		return *reason
	}
	if file.modified() != nil { // else it may be the program's fault
		checking := policy.Errorf(policy.CodeUnavailable, "task store %s was changed by something else than this process and is being checked", file.path)
		c.unreadable.Store(&checking)
	}
	if err := file.check(c.seq); err != nil {
		err = policy.Errorf(policy.CodeUnavailable, "%w", err)
		c.seen = now
		c.unreadable.Store(&err)
		return err
	}
	c.unreadable.Store(nil)
	if c.suspected.Swap(false) {
		c.cleared.Store(time.Now().UnixNano())
	} else {
		c.store.log.Warn("something else than this process wrote to the task store; what is in it is whole", "path", file.path)
	}
	file.state.size, file.last = now.Size(), now
	return nil
}

func sameState(a, b os.FileInfo) bool { return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) }

// probe commits something of the size of what could not be committed, and removes it again.
func (c *committer) probe() error {
	for _, size := range []int{2 * c.room, 0} {
		err := func() (err error) {
			defer func() {
				if r := recover(); r != nil {
					err = damagedError(c.store.path, r)
				}
			}()
			var tx *bolt.Tx
			if tx, err = c.begin(); err != nil {
				return err
			}
			defer func() {
				if tx.DB() != nil {
					err = errors.Join(err, c.rollback(tx))
				}
			}()
			if err := tx.Bucket(bucketMeta).Put(keyProbe, make([]byte, size)); err != nil {
				return err
			}
			return c.commit(tx, 0)
		}()
		if err != nil {
			return c.writeError(err)
		}
	}
	c.room = 0
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // a signal is pending already
	}
}
