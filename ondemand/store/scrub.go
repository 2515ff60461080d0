package store

import (
	"errors"
	"time"
)

// Damage that something else does to the file while this process writes to it does not show in the file's time, and what is damaged may
// not be read for long. So the file is read some time after commits.
const (
	scrubAfter = 5 * time.Second
	// scrubShare is of how much time one part at most is spent on that.
	scrubShare = 100
)

// scrub reads the file after commits, until the committer is told to stop.
func (c *committer) scrub() {
	wait := scrubAfter
	for {
		select {
		case <-c.dirty:
		case <-c.quit:
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.quit:
			timer.Stop()
			return
		}
		begun := time.Now()
		if err := c.store.readState(c.quit); errors.Is(err, ErrDamaged) {
			c.suspect()
		}
		wait = max(scrubAfter, scrubShare*time.Since(begun))
	}
}

var errStopped = errors.New("stopped")

// readState reads one state of the file, page by page and not through the mapping, so that the memory of the process does not grow to the
// size of the file. Writers do not wait for it. Its error is [ErrDamaged], or none of interest.
func (s *Store) readState(stop <-chan struct{}) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	file := s.file
	if file == nil {
		return nil
	}
	// While the transaction lasts, bbolt leaves the pages of its state as they are.
	return file.view(func(tx *Tx) error {
		m, size, found := file.metaOf(uint64(tx.tx.ID()))
		if !found {
			return nil // two commits were faster: the next one has it read again
		}
		if err := m.fits(size); err != nil {
			return damagedError(file.path, err)
		}
		c := &checker{file: file.file, meta: m, seen: make([]uint64, m.high/64+1), entry: func(bucket, key, value []byte) error {
			select {
			case <-stop:
				return errStopped
			default:
			}
			if _, ok := unseal(bucket, key, value); !ok {
				return wrongChecksum(bucket, key)
			}
			return nil
		}}
		err := c.tree(m.root, nil, nil, nil)
		if err == nil || errors.Is(err, errStopped) {
			return err
		}
		return damagedError(file.path, err)
	})
}

// metaOf returns the meta page of the state that a transaction of that number left, and the size of the file.
func (f *openFile) metaOf(txid uint64) (m meta, size int64, found bool) {
	now, err := stateOf(f.file)
	if err != nil {
		return meta{}, 0, false
	}
	at := int64(0)
	for number := range uint64(2) {
		m, err := readMeta(f.file, now.size, at, number)
		if err == nil && m.txid == txid {
			return m, now.size, true
		}
		at = int64(f.db.Info().PageSize)
	}
	return meta{}, 0, false
}
