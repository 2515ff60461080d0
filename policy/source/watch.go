package source

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"ucwarden/policy/ranger"
)

// Watch watches the files until ctx ends, and calls onChange, from one goroutine, with each snapshot whose content is
// new. A change is found by a file system notification or by polling. A change that cannot be used is logged once and
// returned by Problem; the files are read again soon, and with backoff up to PollInterval. Watch returns the error of ctx.
// Call Load first to get the first error; without it Watch loads at once.
func (f *Files) Watch(ctx context.Context, onChange func(*ranger.Snapshot)) error {
	changed := make(chan struct{}, 1)
	n := f.startNotifier(ctx, changed)
	defer n.close()
	wait := func(ctx context.Context, failures int) error {
		if n.addFolders(f.watchedFolders()) {
			return nil // something may have changed between the last read and now
		}
		delay := f.options.PollInterval
		if failures > 0 {
			delay = backoff(failures, delay)
		}
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-timer.C:
		}
		return nil
	}
	return f.watchLoop(ctx, f.refresh, wait, onChange)
}

// watchedFolders returns the folders in which a change may change what Files reads. The folders above the paths are
// among them, because a path itself may be a link that is replaced.
func (f *Files) watchedFolders() []string {
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	if f.folders != nil {
		return f.folders
	}
	var dirs []string
	for _, p := range append([]string{f.options.Path}, f.options.ExtraPaths...) {
		dirs = append(dirs, filepath.Dir(p), p)
	}
	return dirs
}

// notifier signals file system events that may change the policies. With a nil watcher it does nothing.
type notifier struct {
	files   *Files
	watcher *fsnotify.Watcher
	done    chan struct{}
}

func (f *Files) startNotifier(ctx context.Context, changed chan<- struct{}) *notifier {
	n := &notifier{files: f, done: make(chan struct{})}
	if f.options.DisableNotify {
		close(n.done)
		return n
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		f.log.Warn("file system notifications are not available; changes of policy files are found by polling", "interval", f.options.PollInterval, "error", err)
		close(n.done)
		return n
	}
	n.watcher = watcher
	go n.run(ctx, changed)
	return n
}

// run signals changed at each relevant event. An overflow of events counts as one.
func (n *notifier) run(ctx context.Context, changed chan<- struct{}) {
	defer close(n.done)
	for {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-n.watcher.Events:
			if !ok {
				return
			}
			if !n.files.isRelevant(event.Name) {
				continue
			}
		case _, ok := <-n.watcher.Errors:
			if !ok {
				return
			}
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

// isRelevant reports whether an event may change the policies. Events of other files in the folder of a watched path do
// not.
func (f *Files) isRelevant(name string) bool {
	base, dir := filepath.Base(name), filepath.Dir(name)
	if strings.HasPrefix(base, "..") {
		return true // a mounted ConfigMap is changed by replacing its link "..data"
	}
	neighbour := false
	for _, p := range append([]string{f.options.Path}, f.options.ExtraPaths...) {
		if base == filepath.Base(p) {
			return true
		}
		neighbour = neighbour || dir == filepath.Dir(p)
	}
	return !neighbour && !strings.HasPrefix(base, ".")
}

// addFolders watches these folders too, and reports whether there was a new one. A folder that cannot be watched is
// left to polling. Real paths are watched, because a link may be changed; and each once, because adding a path again
// loses its events.
func (n *notifier) addFolders(dirs []string) (added bool) {
	if n.watcher == nil {
		return false
	}
	watched := map[string]bool{}
	for _, dir := range n.watcher.WatchList() {
		watched[dir] = true
	}
	for _, dir := range dirs {
		real, err := filepath.EvalSymlinks(dir)
		if err == nil && !watched[real] {
			watched[real] = true
			err = n.watcher.Add(real)
			added = added || err == nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			n.files.warnOnce("watch "+dir, "a policy folder cannot be watched; changes in it are found by polling", "folder", dir, "error", err)
		}
	}
	return added
}

func (n *notifier) close() {
	if n.watcher != nil {
		_ = n.watcher.Close()
	}
	<-n.done
}
