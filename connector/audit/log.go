package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/connector/apply"
	"ucwarden/policy"
)

// Options say where the trail is kept.
type Options struct {
	Path    string // of the file; its folder is made if need be
	MaxSize int64  // bytes after which a new file is begun; default 100 MB
	Keep    int    // files kept besides the one that grows; default 10
	// Copy receives the lines of changes, not of intents, when they are known. What it does not take is not repeated.
	// Nil copies nowhere.
	Copy       io.Writer
	Logger     *slog.Logger
	Registerer prometheus.Registerer // may be nil
}

func (o *Options) validate() error {
	switch {
	case o.Path == "":
		return policy.Errorf(policy.CodeInvalid, "audit: no path")
	case o.MaxSize < 0 || o.Keep < 0:
		return policy.Errorf(policy.CodeInvalid, "audit: size and number of files must not be negative")
	}
	if o.MaxSize == 0 {
		o.MaxSize = 100_000_000
	}
	if o.Keep == 0 {
		o.Keep = 10
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Log writes the trail. It is safe for concurrent use; only one process may have a file open.
type Log struct {
	opts    Options
	started string // of the ids of intents
	writer  *writer
	metrics *metrics

	mu   sync.Mutex
	next int
	sent map[string]intent // their requests are under way
	left map[string]intent // of whose requests it is not known what became
}

var _ apply.Journal = (*Log)(nil)

// Open opens the file, or begins it, and finds the intents that are open. It returns an error where the file cannot be
// read and written; lines that are damaged are left as they are and logged.
func Open(o Options) (*Log, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the audit trail: %w", err)
	}
	left, damaged, _, err := findOpen(o.Path)
	if err != nil {
		return nil, err
	}
	if len(damaged) > 0 {
		o.Logger.Warn("lines of the audit trail cannot be read; they are left as they are", "lines", len(damaged), "first", damaged[0].String())
	}
	l := &Log{opts: o, started: strconv.FormatInt(time.Now().UnixNano(), 36), metrics: m, sent: make(map[string]intent), left: left}
	if l.writer, err = openWriter(o, m, l.open); err != nil {
		return nil, err
	}
	if len(left) > 0 {
		o.Logger.Info("changes of an earlier run have an unknown end; the objects are read again", "requests", len(left))
	}
	return l, nil
}

// Close waits for what is being written and closes the file.
func (l *Log) Close() error {
	if err := l.writer.close(); err != nil {
		return fmt.Errorf("close the audit trail: %w", err)
	}
	return nil
}

// Begin implements apply.Journal.
func (l *Log) Begin(ctx context.Context, o apply.Origin, c policy.Change) (func(requestID string, err error), error) {
	l.mu.Lock()
	l.next++
	in := newIntent(l.started+"-"+strconv.Itoa(l.next), time.Now(), o, c)
	l.sent[in.ID] = in
	l.mu.Unlock()
	return l.begin(in)
}

// BeginProtection implements apply.Journal.
func (l *Log) BeginProtection(ctx context.Context, o apply.Origin, c policy.ProtectionChange) (func(error), error) {
	l.mu.Lock()
	l.next++
	in := newIntent(l.started+"-"+strconv.Itoa(l.next), time.Now(), o, policy.Change{Securable: c.Table})
	noted := c
	noted.Create = nil
	for _, f := range c.Create {
		noted.Create = append(noted.Create, policy.SQLFunction{Name: f.Name}) // the comment of the function names its policies
	}
	in.Protection = &noted
	l.sent[in.ID] = in
	l.mu.Unlock()
	ended, err := l.begin(in)
	if err != nil {
		return nil, err
	}
	return func(err error) { ended("", err) }, nil
}

// begin writes an intent, and returns what ends it.
func (l *Log) begin(in intent) (func(requestID string, err error), error) {
	if err := l.writer.write(in); err != nil {
		l.mu.Lock()
		delete(l.sent, in.ID)
		l.mu.Unlock()
		return nil, policy.Errorf(policy.CodeUnavailable, "note a change in the audit trail %s: %w; nothing is changed until it can be written", l.opts.Path, err)
	}
	return func(requestID string, err error) { l.end(in, requestID, err) }, nil
}

// end closes an intent by what the call returned. Where that does not say what became of the change, the intent is left
// open for Settle.
func (l *Log) end(in intent, requestID string, err error) {
	result, known := resultOf(err)
	l.mu.Lock()
	delete(l.sent, in.ID)
	if !known {
		l.left[in.ID] = in
	}
	l.mu.Unlock()
	if !known {
		return
	}
	list := in.alike(time.Now(), result)
	for i := range list {
		list[i].RequestID = requestID
		if err != nil {
			list[i].Error = err.Error()
		}
	}
	l.close(list)
}

// resultOf returns what the error of a call says became of the change; known is false where it does not say.
func resultOf(err error) (result Result, known bool) {
	if err == nil {
		return ResultApplied, true
	}
	if _, ok := errors.AsType[*apply.PrincipalError](err); ok {
		return ResultRefused, true
	}
	switch policy.CodeOf(err) {
	case policy.CodeNotFound:
		return ResultGone, true
	case policy.CodeInvalid, policy.CodeForbidden, policy.CodeUnauthenticated, policy.CodeTooLarge, policy.CodeConflict:
		return ResultRefused, true
	}
	return "", false // no answer, or one of several attempts had none
}

// close writes the lines that close an intent.
func (l *Log) close(list []Change) {
	for _, c := range list {
		l.metrics.changes.WithLabelValues(string(c.Act), string(c.Result)).Inc()
	}
	l.writer.writeLater(list)
}

// open returns the intents that have no end yet.
func (l *Log) open() []intent {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]intent, 0, len(l.sent)+len(l.left))
	for _, in := range l.left {
		list = append(list, in)
	}
	for _, in := range l.sent {
		list = append(list, in)
	}
	return list
}

// Settle implements apply.Journal.
func (l *Log) Settle(ctx context.Context, from apply.Permissions, tables apply.Tables) {
	l.mu.Lock()
	left := make([]intent, 0, len(l.left))
	for _, in := range l.left {
		left = append(left, in)
	}
	l.mu.Unlock()
	for _, in := range left {
		var have []policy.Assignment
		var carries policy.TableState
		var err error
		if in.Protection == nil {
			have, err = from.Grants(ctx, in.Change.Securable)
		} else {
			carries, err = carriedBy(ctx, in.Change.Securable, tables)
		}
		list, ok := settled(in, have, carries, err)
		if !ok {
			l.opts.Logger.WarnContext(ctx, "cannot find out what became of a change; it is tried again", "securable", in.Change.Securable.String(), "error", err)
			continue
		}
		l.mu.Lock()
		_, mine := l.left[in.ID] // else another has settled it
		delete(l.left, in.ID)
		l.mu.Unlock()
		if mine {
			l.close(list)
		}
	}
}

// carriedBy returns what a table carries; not known where nothing can tell.
func carriedBy(ctx context.Context, table policy.Securable, tables apply.Tables) (t policy.TableState, err error) {
	if tables == nil {
		return t, nil
	}
	list, err := tables.Tables(ctx, table)
	if err != nil || len(list) != 1 {
		return t, err
	}
	return list[0], nil
}

// settled returns the lines that close an intent by the grants that its object has, or what it carries, or by the error of reading them;
// ok is false where another time may tell more.
func settled(in intent, have []policy.Assignment, carries policy.TableState, err error) (list []Change, ok bool) {
	shown := make(map[policy.Assignment]bool, len(have))
	for _, a := range have {
		shown[a] = true
	}
	var whole Result // of all acts
	switch policy.CodeOf(err) {
	case policy.CodeNotFound:
		whole = ResultGone
	case policy.CodeForbidden, policy.CodeInvalid:
		whole = ResultUnknown
	default:
		if err != nil {
			return nil, false
		}
	}
	if whole != "" {
		list = in.alike(time.Now(), whole)
	} else {
		list = in.changes(time.Now(), func(act policy.Act, a policy.Assignment) Result {
			if shown[a] == (act == policy.ActAdd) {
				return ResultApplied
			}
			return ResultAbsent
		}, func(act policy.ProtectionAct) Result {
			switch done, known := act.Shown(carries.Protection); {
			case !known || !carries.Known:
				return ResultUnknown
			case done:
				return ResultApplied
			}
			return ResultAbsent
		})
	}
	for i := range list {
		list[i].Settled = true
		if err != nil {
			list[i].Error = err.Error()
		}
	}
	return list, true
}
