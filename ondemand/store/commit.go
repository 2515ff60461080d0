package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
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
	applied func() // nil: nothing, or it was called
	done    chan error
}

func (w *write) apply() {
	if f := w.applied; f != nil {
		w.applied = nil
		f()
	}
}

// committer is the only writer of the file. It commits all writes that are waiting in one transaction (group commit):
// under load many share an fsync. A single write is committed at once, by whoever wants it, since waking another goroutine
// takes as long as a good part of an fsync.
//
// A commit that returned an error may be in the file or not, and what bbolt holds in memory may differ from it. So the
// committer stops, opens the file anew, and looks; until a commit has succeeded again it accepts no write. The same when
// the file is not as the last commit left it.
type committer struct {
	store *Store
	queue chan *write
	wake  chan struct{} // capacity 1: look at the file
	noted chan struct{} // capacity 1: problem may have changed
	dirty chan struct{} // capacity 1: there was a commit
	quit  chan struct{}
	ended chan struct{}
	once  sync.Once
	quiet *time.Timer // reads the time of the file when there was no commit for noteAfter
	taken atomic.Bool // run has a write that is neither in queue nor committed

	expected atomic.Pointer[expectation] // nil: none

	problem    atomic.Pointer[error] // why no write is accepted; nil: they are
	unreadable atomic.Pointer[error] // why nothing is read; nil: it is
	suspected  atomic.Bool           // a transaction met what should not be in the file
	cleared    atomic.Int64          // when the file was last found whole although it was suspected, in nanoseconds

	mu        sync.Mutex  // held while the file is written to or looked at; guards what follows
	seq       uint64      // number of the last commit; the same number in the file shows whether a commit that returned an error was written
	uncertain bool        // the last commit returned an error
	unknown   []*write    // of that commit
	found     bool        // and it was in the file
	room      int         // bytes that must fit into the file before writes are accepted again
	seen      os.FileInfo // of the damaged file when it was last read whole
	vain      int         // commits after which nothing is expected, since it did not come

	seconds prometheus.Histogram
	size    prometheus.Histogram
}

// expectation is how many writes are soon to come after a commit of many: those who wait for one often want the next as soon as it
// is done. Where the first of them began a commit by itself, the others would wait for it.
type expectation struct {
	writes int
	until  time.Time
}

const (
	expectAfter = 4 // writes in one commit: of fewer it is not worth while;
	expectFor   = 2 // for half the time that the commit took,
	expectMost  = 2 * time.Millisecond
	expectAgain = 4 // commits after those that were not followed by half of what was expected
)

func newCommitter(s *Store, reg prometheus.Registerer) (*committer, error) {
	c := &committer{
		store: s, queue: make(chan *write, maxBatch), wake: make(chan struct{}, 1), noted: make(chan struct{}, 1), dirty: make(chan struct{}, 1),
		quit: make(chan struct{}), ended: make(chan struct{}),
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
		bytes := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ucwarden_store_size_bytes", Help: "Size of the file of the task store."}, func() float64 {
			info, err := os.Stat(s.path)
			if err != nil {
				return 0
			}
			return float64(info.Size())
		})
		for _, m := range []prometheus.Collector{c.seconds, c.size, bytes} {
			if err := reg.Register(m); err != nil {
				return nil, fmt.Errorf("register the metrics of the task store: %w", err)
			}
		}
	}
	var err error
	if c.seq, err = s.file.lastCommit(); err != nil {
		return nil, err
	}
	c.quiet = time.AfterFunc(time.Hour, c.note) // each commit sets it
	c.quiet.Stop()
	go c.run()
	go c.scrub()
	return c, nil
}

// noteAfter is how long after the last commit the time of the file is read, which makes the next commit slower.
const noteAfter = 20 * time.Millisecond

// note has what else is written to the file show by its time.
func (c *committer) note() {
	if !c.mu.TryLock() {
		c.quiet.Reset(noteAfter)
		return
	}
	defer c.mu.Unlock()
	if file := c.store.file; file != nil && file.last == nil {
		if err := file.note(); err != nil {
			c.store.log.Debug("the time of the task store cannot be read", "error", err) // whoever needs the file says it
		}
	}
}

// do queues a write and waits until it is durable or rejected. It returns fn's error, or an error of class unavailable
// when the store cannot commit or is closed: the write must then not be acknowledged.
func (c *committer) do(fn func(tx *Tx) error, applied func()) error {
	w := &write{fn, applied, make(chan error, 1)}
	select {
	case <-c.quit: // first, because the queue may have room as well
		return c.store.closedError()
	default:
	}
	if c.alone(w) {
		return <-w.done
	}
	select {
	case c.queue <- w:
	case <-c.quit:
		return c.store.closedError()
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
		return c.store.closedError()
	}
}

// alone commits a write at once where no other one waits, with those that come meanwhile, and reports whether it did.
func (c *committer) alone(w *write) bool {
	if e := c.expected.Load(); c.taken.Load() || len(c.queue) > 0 || e != nil && time.Now().Before(e.until) || !c.mu.TryLock() {
		return false
	}
	defer c.mu.Unlock()
	select {
	case <-c.quit: // under the lock, since the file is closed under it
		return false
	default:
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	c.batch(c.drain([]*write{w}))
	if c.problem.Load() != nil {
		signal(c.noted)
	}
	return true
}

// stop commits the queued writes and ends the committer.
func (c *committer) stop() {
	c.once.Do(func() { close(c.quit) })
	<-c.ended
	c.quiet.Stop()
}

func (c *committer) run() {
	defer close(c.ended)
	debug.SetPanicOnFault(true) // of this goroutine: a fault in the mapped file becomes an error of the write
	delay := firstLook
	var again *time.Timer // while no write is accepted; those that are refused meanwhile do not defer it
	for {
		var due <-chan time.Time
		switch failing := c.problem.Load() != nil; {
		case !failing:
			again, delay = nil, firstLook
		case again == nil:
			again, delay = time.NewTimer(delay), min(2*delay, longestLook)
			fallthrough
		default:
			due = again.C
		}
		select {
		case w := <-c.queue:
			c.taken.Store(true)
			list, came := c.gather(w)
			c.mu.Lock()
			c.taken.Store(false)
			if !came {
				c.vain = expectAgain
			}
			c.batch(c.drain(list))
			c.mu.Unlock()
		case <-c.wake:
			c.look()
		case <-c.noted:
		case <-due:
			c.look()
			again = nil
		case <-c.quit:
			rest := c.drain(nil)
			if len(rest) == 0 {
				return
			}
			c.mu.Lock()
			c.batch(rest)
			c.mu.Unlock()
		}
	}
}

// gather returns a write with those that wait and those that are expected. came reports whether about as many came.
func (c *committer) gather(w *write) (list []*write, came bool) {
	list = c.drain([]*write{w})
	e := c.expected.Swap(nil)
	if e == nil {
		return list, true
	}
	timer := time.NewTimer(time.Until(e.until))
	defer timer.Stop()
	for len(list) < e.writes {
		select {
		case w := <-c.queue:
			list = c.drain(append(list, w))
		case <-timer.C:
			return list, len(list) >= e.writes/2
		case <-c.quit:
			return list, true
		}
	}
	return list, true
}

// expect notes what is to come after a commit of some writes, which took so long; they are not answered yet. mu is held.
func (c *committer) expect(writes int, took time.Duration) {
	switch {
	case writes < expectAfter:
	case c.vain > 0:
		c.vain--
	default:
		c.expected.Store(&expectation{min(writes+len(c.queue), maxBatch), time.Now().Add(min(took/expectFor, expectMost))})
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
// again without it. mu is held.
func (c *committer) batch(list []*write) {
	for len(list) > 0 {
		refused, begun := make(map[*write]error), time.Now()
		broken, err := c.transaction(list, refused)
		if broken == nil {
			took := time.Since(begun)
			c.expect(len(list), took)
			for _, w := range list {
				if refusal, ok := refused[w]; ok {
					w.done <- refusal
					continue
				}
				if err == nil {
					w.apply()
				}
				w.done <- err
			}
			if e := c.expected.Load(); e != nil { // from now on they may come
				c.expected.CompareAndSwap(e, &expectation{e.writes, time.Now().Add(min(took/expectFor, expectMost))})
			}
			if err == nil {
				c.store.file.settle()
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
	if err := c.unchanged(); err != nil {
		return nil, err
	}
	start := time.Now()
	var tx *bolt.Tx
	defer func() {
		if r := recover(); r != nil {
			err = damagedError(c.store.path, r)
			c.suspect() // to find out whether it is the file
		}
		if tx != nil && tx.DB() != nil {
			err = errors.Join(err, c.rollback(tx))
		}
	}()
	if tx, err = c.begin(); err != nil {
		return nil, c.writeError(err)
	}
	wrapped := &Tx{tx: tx}
	for _, w := range list {
		broken = w // in case fn panics
		if err := w.fn(wrapped); err != nil {
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
	if err := c.commit(tx, wrapped.written); err != nil {
		var unknown []*write
		for _, w := range list {
			if refused[w] == nil {
				unknown = append(unknown, w)
			}
		}
		return nil, c.resolve(unknown, err)
	}
	c.seconds.Observe(time.Since(start).Seconds())
	c.size.Observe(float64(len(list)))
	return nil, nil
}

// commit commits a transaction of the given size and numbers it. After an error nobody knows whether it is in the file.
func (c *committer) commit(tx *bolt.Tx, size int) error {
	err := tx.Bucket(bucketMeta).Put(keySeq, binary.BigEndian.AppendUint64(nil, c.seq+1))
	if err == nil {
		err = c.store.opts.Commit(func() error { return commitTx(tx, c.store.path) })
	}
	// Also after an error, since it was us who wrote.
	if statErr := c.store.file.wrote(); err == nil {
		err = statErr
	}
	c.quiet.Reset(noteAfter)
	if err != nil {
		c.uncertain = true
		if probing := c.problem.Load() != nil; !probing {
			// The pages count, not only the bytes put: each bucket that is written to gets new ones up to its root.
			stats := tx.Stats()
			c.room = max(size, int(stats.GetPageAlloc()), c.room)
		}
		if tx.DB() != nil {
			err = errors.Join(err, c.rollback(tx))
		}
		return err
	}
	c.seq++
	signal(c.dirty)
	return nil
}

// commitTx commits, and returns an error where bbolt panics on the way: what it holds in memory is of no use then either.
func commitTx(tx *bolt.Tx, path string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = damagedError(path, r)
		}
	}()
	return tx.Commit()
}

func (c *committer) writeError(err error) error {
	return policy.Errorf(policy.CodeUnavailable, "task store %s cannot write: %w", c.store.path, err)
}
