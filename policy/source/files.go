package source

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source/content"
)

// FilesOptions says where policy files are and how they are watched.
type FilesOptions struct {
	// Path is a JSON or YAML file or a folder of them; required. The kind of a document is recognised by its keys:
	// policies (one, a list, a Ranger download or export), roles, user store, tags, service definition.
	Path string
	// ExtraPaths are read along with Path, for example a user store kept elsewhere.
	ExtraPaths []string
	// Service selects the policies of one service where files hold several; "" requires that there is only one.
	Service string

	Guard GuardOptions
	// CacheDir is a folder for the last verified snapshot; "" disables the cache.
	CacheDir string
	// CacheReadOnly leaves the cache as it is: another process keeps it.
	CacheReadOnly bool
	// Debounce is how long files must be unchanged before they are read; 0 means 250 ms.
	Debounce time.Duration
	// PollInterval is how often Watch reads the files without a notification; 0 means 30 s.
	PollInterval time.Duration
	// DisableNotify disables file system notifications: changes are found by polling alone.
	DisableNotify bool
	// MaxBytes bounds the size of all files together; 0 means 256 MiB.
	MaxBytes int64

	Logger     *slog.Logger          // nil: none
	Registerer prometheus.Registerer // nil: none
}

func (o *FilesOptions) validate() error {
	if o.Path == "" {
		return policy.Errorf(policy.CodeInvalid, "policy files: no path; set policies.path to a file or folder of policies")
	}
	if o.Debounce < 0 || o.PollInterval < 0 || o.MaxBytes < 0 {
		return policy.Errorf(policy.CodeInvalid, "policy files: debounce, poll interval and size limit must not be negative")
	}
	if o.Debounce == 0 {
		o.Debounce = 250 * time.Millisecond
	}
	if o.PollInterval == 0 {
		o.PollInterval = 30 * time.Second
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	return nil
}

// defaultMaxBytes bounds all policy files together.
const defaultMaxBytes = 256 << 20

// Files is a source of policies in files. Safe for concurrent use.
type Files struct {
	*snapshotStore
	options  FilesOptions
	lastRead *content.Tree // what the last successful load read; guarded by snapshotStore.refreshing
	folders  []string      // the folders that the last load read; guarded by snapshotStore.refreshing
}

// NewFiles returns a source of policy files. It reads nothing yet; its errors are about the options.
func NewFiles(o FilesOptions) (*Files, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	identity, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "policy files: %w", err)
	}
	h, err := newSnapshotStore(snapshotStoreOptions{
		kind: "files", identity: identity, cacheDir: o.CacheDir, cacheReadOnly: o.CacheReadOnly, guard: o.Guard, logger: o.Logger, registerer: o.Registerer,
	})
	if err != nil {
		return nil, err
	}
	return &Files{snapshotStore: h, options: o}, nil
}

// Load reads the files and returns the snapshot in force. When they cannot be used it returns the last verified
// snapshot (of this process, or from the cache), and Problem returns why. Without one it returns an error that names
// file, policy and field.
func (f *Files) Load(ctx context.Context) (*ranger.Snapshot, error) {
	return f.load(ctx, f.refresh)
}

// refresh reads the files once nobody is writing them, and publishes their content.
func (f *Files) refresh(ctx context.Context) error {
	t, err := f.readSettled(ctx)
	if err != nil {
		return err
	}
	if f.lastRead != nil && f.lastRead.Digest == t.Digest && f.Problem() == nil {
		f.touch()
		return nil
	}
	if len(t.Files) == 0 && !f.options.Guard.AllowEmpty {
		return policy.Errorf(policy.CodeRefused, "%s: no policy file (*.json, *.yaml, *.yml) in it", f.options.Path)
	}
	next, err := content.Merge(t.Files, f.options.Service, f.content)
	if err != nil {
		return err
	}
	if err := f.publish(next, nextFileVersion(next, t)); err != nil {
		return err
	}
	f.lastRead = t
	return nil
}

// nextFileVersion returns a function that numbers a new version of files: by the version in its documents, or the time
// of the newest file, and always above the version in force.
func nextFileVersion(c *content.Content, t *content.Tree) func(int64) int64 {
	return func(inForce int64) int64 {
		version := c.Policies.PolicyVersion
		if version == 0 && inForce == 0 {
			version = max(t.Newest.Unix(), 1)
		}
		return max(version, inForce+1)
	}
}

// maxSettleReads is how many times files are read while they keep changing.
const maxSettleReads = 40

// readSettled reads the files when nobody is writing them: nothing was modified for Options.Debounce, or two reads that
// far apart are equal. That avoids half-written files; a writer that pauses for longer should write to another name and
// rename the file.
func (f *Files) readSettled(ctx context.Context) (*content.Tree, error) {
	paths := append([]string{f.options.Path}, f.options.ExtraPaths...)
	var before *content.Tree
	for range maxSettleReads {
		t, err := content.ReadTree(paths, f.options.MaxBytes)
		if err != nil {
			return nil, err
		}
		f.folders = t.Dirs
		age := time.Since(t.Newest)
		if before != nil && before.Digest == t.Digest || f.lastRead != nil && f.lastRead.Digest == t.Digest || age >= f.options.Debounce {
			return t, nil
		}
		before = t
		if err := sleep(ctx, f.options.Debounce); err != nil {
			return nil, err
		}
	}
	return nil, policy.Errorf(policy.CodeUnavailable, "%s: the files keep changing; they are read once they are unchanged for %v",
		strings.Join(paths, ", "), f.options.Debounce)
}

// sleep waits for d, or returns the error of ctx when ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
