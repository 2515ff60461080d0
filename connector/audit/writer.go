package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"ucwarden/atomicfile"
)

var errClosed = errors.New("the audit trail is closed")

// writer appends lines to the file. One goroutine writes: what comes while it waits for the disk is written together
// after that, so that many intents share one fsync.
type writer struct {
	opts    Options
	metrics *metrics
	open    func() []intent // that a new file must begin with

	file *os.File // of the goroutine
	size int64

	mu      sync.Mutex
	pending *batch // what is written next; never nil
	failing bool   // the last write failed: what nobody waits for is tried again with the next intent
	closed  bool
	more    *sync.Cond // with mu: pending or closed changed
	ended   chan struct{}
}

// batch is what is written together.
type batch struct {
	intents []byte        // lines that somebody waits for until they are on disk
	ends    []byte        // lines that nobody waits for
	written chan struct{} // closed when the intents are, or err says why not
	err     error

	appended bool // to the file, if not to the disk
}

func newBatch() *batch { return &batch{written: make(chan struct{})} }

func openWriter(o Options, m *metrics, open func() []intent) (*writer, error) {
	w := &writer{opts: o, metrics: m, open: open, pending: newBatch(), ended: make(chan struct{})}
	w.more = sync.NewCond(&w.mu)
	if err := w.openFile(); err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

// openFile opens the file to append to, and begins it where there is none.
func (w *writer) openFile() (err error) {
	if _, err := os.Stat(w.opts.Path); errors.Is(err, fs.ErrNotExist) {
		if err := w.begin(); err != nil {
			return err
		}
	}
	if w.file, err = os.OpenFile(w.opts.Path, os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		return fmt.Errorf("open the audit trail: %w", err)
	}
	info, err := w.file.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open the audit trail: %w", err), w.file.Close())
	}
	w.size = info.Size()
	last := make([]byte, 1)
	if w.size > 0 {
		if _, err := w.file.ReadAt(last, w.size-1); err != nil {
			return errors.Join(fmt.Errorf("open the audit trail: %w", err), w.file.Close())
		}
		if last[0] != '\n' { // a crash of the machine tore the last line: it stays, and stands alone
			return w.append([]byte{'\n'})
		}
	}
	return nil
}

// begin makes the file, with the intents that are open.
func (w *writer) begin() error {
	var lines []byte
	for _, in := range w.open() {
		var err error
		if lines, err = appendLine(lines, in); err != nil {
			return fmt.Errorf("begin an audit trail: %w", err)
		}
	}
	if err := atomicfile.Write(w.opts.Path, 0o600, lines); err != nil {
		return fmt.Errorf("begin an audit trail: %w", err)
	}
	return nil
}

// write appends the line of an intent; it is on disk when write returns without an error.
func (w *writer) write(in intent) error {
	text, err := appendLine(nil, in)
	if err != nil {
		return err
	}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errClosed
	}
	b := w.pending
	b.intents = append(b.intents, text...)
	w.more.Signal()
	w.mu.Unlock()
	<-b.written
	return b.err
}

// writeLater appends the lines of changes, which are in the file soon and on disk with the next intent.
func (w *writer) writeLater(list []Change) {
	var lines []byte
	for _, c := range list {
		var err error
		if lines, err = appendLine(lines, c); err != nil {
			w.report(err)
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending.ends = append(w.pending.ends, lines...)
	w.more.Signal()
}

// take waits for what is to be written; nil when the writer is closed and nothing is left.
func (w *writer) take() *batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending.intents) == 0 && (len(w.pending.ends) == 0 || w.failing) {
		if w.closed {
			break
		}
		w.more.Wait()
	}
	b := w.pending
	if len(b.intents)+len(b.ends) == 0 {
		return nil
	}
	w.pending = newBatch()
	return b
}

// run writes batches until the writer is closed and nothing is left.
func (w *writer) run() {
	defer close(w.ended)
	for b := w.take(); b != nil; b = w.take() {
		b.err = w.flush(b)
		close(b.written)
		w.mu.Lock()
		w.failing = b.err != nil
		if w.failing && !b.appended && !w.closed {
			w.pending.ends = append(b.ends, w.pending.ends...)
		}
		w.mu.Unlock()
		switch {
		case b.err != nil:
			w.report(b.err)
		case len(b.ends) > 0 && w.opts.Copy != nil:
			if _, err := w.opts.Copy.Write(b.ends); err != nil {
				w.opts.Logger.Warn("cannot write the copy of the audit trail", "error", err)
			}
		}
	}
}

// flush writes a batch, and waits for the disk where somebody waits for that.
func (w *writer) flush(b *batch) error {
	lines := slices.Concat(b.ends, b.intents)
	if w.size > 0 && w.size+int64(len(lines)) > w.opts.MaxSize {
		if err := w.rotate(); err != nil {
			// The trail goes on in the file there is: its size is worth less than what it says.
			w.opts.Logger.Error("cannot begin a new file of the audit trail", "path", w.opts.Path, "error", err)
		}
	}
	if err := w.append(lines); err != nil {
		return err
	}
	b.appended = true
	if len(b.intents) == 0 {
		return nil
	}
	start := time.Now()
	err := w.file.Sync()
	w.metrics.syncs.Observe(time.Since(start).Seconds())
	return err
}

// append writes whole lines: after an error the file is as it was.
func (w *writer) append(lines []byte) error {
	if w.file == nil { // a rotation failed half way
		if err := w.openFile(); err != nil {
			return err
		}
	}
	n, err := w.file.Write(lines)
	if err == nil {
		w.size += int64(n)
		return nil
	}
	if n > 0 {
		err = errors.Join(err, w.file.Truncate(w.size))
	}
	_ = w.file.Close() // the next write opens it anew
	w.file = nil
	return err
}

// rotate renames the file and begins a new one.
func (w *writer) rotate() error {
	if err := errors.Join(w.file.Sync(), w.file.Close()); err != nil {
		w.file = nil
		return err
	}
	w.file = nil
	for n := w.opts.Keep; n > 0; n-- {
		if err := os.Rename(rotatedPath(w.opts.Path, n-1), rotatedPath(w.opts.Path, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return w.openFile()
}

// rotatedPath returns the path of the n-th file back; 0 is the one that grows.
func rotatedPath(path string, n int) string {
	if n == 0 {
		return path
	}
	return fmt.Sprintf("%s.%d", path, n)
}

// rotatedPattern matches the paths of the files rotated away.
func rotatedPattern(path string) string {
	escaped := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
	return escaped + ".[0-9]*"
}

func (w *writer) report(err error) {
	w.metrics.failures.Inc()
	w.opts.Logger.Error("cannot write the audit trail", "path", w.opts.Path, "error", err)
}

func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.more.Signal()
	w.mu.Unlock()
	<-w.ended
	if w.file == nil {
		return nil
	}
	return errors.Join(w.file.Sync(), w.file.Close())
}
