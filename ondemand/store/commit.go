package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	bolt "go.etcd.io/bbolt"

	"ucwarden/policy"
)

// maxBatch bounds how many writes share one transaction, and so how long one of them waits for the others.
const maxBatch = 256

// write is one unit of change. fn may run more than once, each time in a new transaction, so it must produce the same
// results each time. An error of class internal aborts the transaction; an error of any other class rejects this write
// only, and the transaction goes on with the others, so fn must check before it writes. applied runs after the commit,
// in the order of commits, and only when the write is in the file. It also runs in the rare case that the write is in
// the file but not known to be durable; done then receives an error.
type write struct {
	fn      func(tx *Tx) error
	applied func()
	done    chan error
}

// committer is the only writer of the file. It commits all writes that are waiting in one transaction (group commit):
// under load many share an fsync, and a single write is committed at once.
type committer struct {
	store *Store
	queue chan *write
	quit  chan struct{}
	ended chan struct{}
	once  sync.Once
	seq   uint64 // number of the last commit; the same number in the file shows whether a commit that returned an error was written

	seconds prometheus.Histogram
	size    prometheus.Histogram
}

func newCommitter(s *Store, reg prometheus.Registerer) (*committer, error) {
	c := &committer{
		store: s, queue: make(chan *write, maxBatch), quit: make(chan struct{}), ended: make(chan struct{}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ucwarden_store_commit_seconds", Help: "Time to commit one transaction of the task store, fsync included.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ucwarden_store_commit_writes", Help: "Writes that shared one transaction of the task store.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 6),
		}),
	}
	if reg != nil {
		for _, m := range []prometheus.Collector{c.seconds, c.size} {
			if err := reg.Register(m); err != nil {
				return nil, fmt.Errorf("register the metrics of the task store: %w", err)
			}
		}
	}
	seq, err := c.lastStored()
	if err != nil {
		return nil, err
	}
	c.seq = seq
	go c.run()
	return c, nil
}

// do queues a write and waits until it is durable or rejected. It returns fn's error, or an error of class unavailable
// when the store cannot commit or is closed: the write must then not be acknowledged.
func (c *committer) do(fn func(tx *Tx) error, applied func()) error {
	w := &write{fn, applied, make(chan error, 1)}
	select {
	case <-c.quit: // first, because the queue may have room as well
		return c.closedError()
	default:
	}
	select {
	case c.queue <- w:
	case <-c.quit:
		return c.closedError()
	}
	select {
	case err := <-w.done:
		return err
	case <-c.ended:
	}
	select { // it may have been answered just before the end
	case err := <-w.done:
		return err
	default:
		return c.closedError()
	}
}

func (c *committer) closedError() error {
	return policy.Errorf(policy.CodeUnavailable, "task store %s is closed", c.store.path)
}

// stop commits the queued writes and ends the committer.
func (c *committer) stop() {
	c.once.Do(func() { close(c.quit) })
	<-c.ended
}

func (c *committer) run() {
	defer close(c.ended)
	debug.SetPanicOnFault(true) // of this goroutine: a fault in the mapped file becomes an error of the write
	for {
		select {
		case w := <-c.queue:
			c.batch(c.drain([]*write{w}))
		case <-c.quit:
			if rest := c.drain(nil); len(rest) > 0 {
				c.batch(rest)
				continue
			}
			return
		}
	}
}

func (c *committer) drain(list []*write) []*write {
	for len(list) < maxBatch {
		select {
		case w := <-c.queue:
			list = append(list, w)
		default:
			return list
		}
	}
	return list
}

// batch runs the writes in one transaction. A write that aborts the transaction gets its error, and the others are run
// again without it.
func (c *committer) batch(list []*write) {
	for len(list) > 0 {
		refused := make(map[*write]error)
		before := c.seq
		broken, err := c.transaction(list, refused)
		if broken == nil {
			for _, w := range list {
				if refusal, ok := refused[w]; ok {
					w.done <- refusal
					continue
				}
				// Memory follows the file, even where the commit is not known to be durable and is therefore
				// not acknowledged.
				if c.seq > before && w.applied != nil {
					w.applied()
				}
				w.done <- err
			}
			return
		}
		broken.done <- err
		rest := make([]*write, 0, len(list)-1)
		for _, w := range list {
			if w != broken {
				rest = append(rest, w)
			}
		}
		list = rest
	}
}

// transaction runs and commits the writes together, and adds the rejected ones to refused. broken is the write that
// aborted the transaction, nil when it was committed or the commit itself failed.
func (c *committer) transaction(list []*write, refused map[*write]error) (broken *write, err error) {
	start := time.Now()
	var tx *bolt.Tx
	defer func() {
		if r := recover(); r != nil {
			err = damagedError(c.store.path, r)
		}
		if tx != nil && tx.DB() != nil {
			err = errors.Join(err, rollback(tx))
		}
	}()
	if tx, err = c.store.db.Begin(true); err != nil {
		return nil, c.writeError(err)
	}
	for _, w := range list {
		broken = w // in case fn panics
		if err := w.fn(&Tx{tx}); err != nil {
			if policy.CodeOf(err) == policy.CodeInternal {
				return w, c.writeError(err)
			}
			refused[w] = err
		}
		broken = nil
	}
	if len(refused) == len(list) {
		return nil, nil
	}
	next := binary.BigEndian.AppendUint64(nil, c.seq+1)
	if err := tx.Bucket(bucketMeta).Put(keySeq, next); err != nil {
		return nil, c.writeError(err)
	}
	if err := c.store.commit(tx.Commit); err != nil {
		return nil, c.resolveUncertain(err)
	}
	c.seq++
	c.seconds.Observe(time.Since(start).Seconds())
	c.size.Observe(float64(len(list)))
	return nil, nil
}

func rollback(tx *bolt.Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("roll back: %v", r)
		}
	}()
	return tx.Rollback()
}

func (c *committer) writeError(err error) error {
	return policy.Errorf(policy.CodeUnavailable, "task store %s cannot write: %w", c.store.path, err)
}

// resolveUncertain finds out whether a commit that returned an error was written. The new root page may have reached
// the file while only its fsync failed; then a further commit, which syncs a newer root page, makes it durable. It
// returns an error when the commit is not known to be durable.
func (c *committer) resolveUncertain(cause error) error {
	found, err := c.lastStored()
	if err != nil || found != c.seq+1 {
		return c.writeError(errors.Join(cause, err))
	}
	c.seq = found
	c.store.log.Warn("commit of the task store returned an error but was written; committing again to make it durable", "error", cause)
	recommit := func() error {
		tx, err := c.store.db.Begin(true)
		if err != nil {
			return err
		}
		if err := tx.Bucket(bucketMeta).Put(keySeq, binary.BigEndian.AppendUint64(nil, c.seq+1)); err != nil {
			return errors.Join(err, rollback(tx))
		}
		if err := c.store.commit(tx.Commit); err != nil {
			if tx.DB() != nil {
				err = errors.Join(err, rollback(tx))
			}
			return err
		}
		c.seq++
		return nil
	}
	if err := recommit(); err != nil {
		if found, readErr := c.lastStored(); readErr == nil {
			c.seq = found
		}
		return c.writeError(errors.Join(cause, err))
	}
	return nil
}

// lastStored returns the number of the last commit in the file.
func (c *committer) lastStored() (uint64, error) {
	var seq uint64
	err := c.store.View(func(tx *Tx) error {
		if v := tx.Bucket(bucketMeta).Get(keySeq); len(v) == 8 {
			seq = binary.BigEndian.Uint64(v)
		}
		return nil
	})
	return seq, err
}
