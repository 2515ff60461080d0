package source

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"ucwarden/policy"
)

// Watch follows the files until ctx ends and calls tell, from one goroutine, with each snapshot whose content is new.
// A change is found by notification of the file system, or by polling, and taken whole or not at all; what cannot be
// taken is logged once and told by Problem. Watch returns the error of ctx. Call Load first, to know how the
// beginning went; without it Watch loads at once.
func (f *Files) Watch(ctx context.Context, tell func(*policy.Snapshot)) error {
	changed := make(chan struct{}, 1)
	n := f.startNotifier(ctx, changed)
	defer n.close()
	next := func(ctx context.Context, _ int) error {
		if n.watch(f.watchedFolders()) {
			return nil // something may have changed between the last read and now
		}
		timer := time.NewTimer(f.options.PollInterval)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-timer.C:
		}
		return nil
	}
	return f.follow(ctx, f.refresh, next, tell)
}

// watchedFolders lists the folders in which something may happen that changes what Files reads. The folders above
// the paths are among them, because a path itself may be a link that is swapped.
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

// notifier turns events of the file system into a wake-up. A nil watcher notifies of nothing.
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
		f.log.Warn("changes of policy files are found by polling only: the file system cannot be watched", "interval", f.options.PollInterval, "err", err)
		close(n.done)
		return n
	}
	n.watcher = watcher
	go n.run(ctx, changed)
	return n
}

// run wakes the reader at each event that may matter. An overflow of events counts as one.
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
			if !n.files.concerns(event.Name) {
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

// concerns leaves out events of neighbours: files beside a path that is watched through the folder it lies in.
func (f *Files) concerns(name string) bool {
	base, dir := filepath.Base(name), filepath.Dir(name)
	if strings.HasPrefix(base, "..") {
		return true // a mounted ConfigMap is changed by swapping its link "..data"
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

// watch makes the notifier follow these folders too. A folder that cannot be watched is left to polling. Real paths
// are watched, because a link may lead elsewhere tomorrow; and each once, because adding a path again loses its events.
// It reports whether there was a new one.
func (n *notifier) watch(dirs []string) (added bool) {
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
			n.files.warnOnce("watch "+dir, "changes in a policy folder are found by polling only", "folder", dir, "err", err)
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
