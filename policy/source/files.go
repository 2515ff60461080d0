package source

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
)

// FilesOptions says where policy files are and how they are followed.
type FilesOptions struct {
	// Path is a JSON or YAML file or a folder of them; required. Documents are told apart by their shape: policies
	// (one, a list, a Ranger download or export), roles, user store, tags, service definition.
	Path string
	// ExtraPaths are read along with Path, for example a user store kept elsewhere.
	ExtraPaths []string
	// Service picks the policies of one service where files hold several; "" wants there to be one only.
	Service string

	Guard GuardOptions
	// CacheDir is a folder for the last verified snapshot; "" keeps none.
	CacheDir string
	// Debounce is how long files must be left alone before they are read; 0 means 250 ms.
	Debounce time.Duration
	// PollInterval is how often Watch reads the files without being notified; 0 means 30 s.
	PollInterval time.Duration
	// DisableNotify leaves changes to be found by polling alone, as on network file systems.
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
		o.MaxBytes = DefaultMaxBytes
	}
	return nil
}

// DefaultMaxBytes bounds policy files, and each download, unless options say otherwise: 256 MiB.
const DefaultMaxBytes = 256 << 20

// Files is a source of policies in files. Safe for concurrent use.
type Files struct {
	*holder
	options FilesOptions
	taken   *tree    // what the last good load read; guarded by holder.refreshing
	folders []string // that the last read went through; guarded by holder.refreshing
}

// NewFiles makes a source; it reads nothing yet.
func NewFiles(o FilesOptions) (*Files, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	identity, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "policy files: %w", err)
	}
	h, err := newHolder(holderOptions{
		kind: "files", identity: identity, cacheDir: o.CacheDir, guard: o.Guard, logger: o.Logger, registerer: o.Registerer,
	})
	if err != nil {
		return nil, err
	}
	return &Files{holder: h, options: o}, nil
}

// Load reads the files and gives the snapshot in force. When they cannot be taken it gives the last verified snapshot
// (of this process, or from the cache) and Problem says why; without one it is an error, which names file, policy and
// field.
func (f *Files) Load(ctx context.Context) (*policy.Snapshot, error) {
	return f.load(ctx, f.refresh)
}

// refresh reads the files once they are settled and offers what they hold.
func (f *Files) refresh(ctx context.Context) error {
	t, err := f.settled(ctx)
	if err != nil {
		return err
	}
	if f.taken != nil && f.taken.digest == t.digest && f.Problem() == nil {
		f.confirm()
		return nil
	}
	if len(t.files) == 0 && !f.options.Guard.AllowEmpty {
		return policy.Errorf(policy.CodeRefused, "%s: no policy file (*.json, *.yaml, *.yml) in it", f.options.Path)
	}
	next, skipped, err := merge(t.files, f.options.Service)
	if err != nil {
		return err
	}
	for service, n := range skipped {
		f.warnOnce("skipped "+service, fmt.Sprintf("policies of service %q are left out; %q is read", service, f.options.Service), "policies", n)
	}
	if err := f.offer(next, nextFileVersion(next, t)); err != nil {
		return err
	}
	f.taken = t
	return nil
}

// nextFileVersion numbers a new content: by the version its documents carry, or by the time of the newest file, and
// always above the version in force.
func nextFileVersion(c *content, t *tree) func(int64) int64 {
	return func(inForce int64) int64 {
		version := c.Policies.PolicyVersion
		if version == 0 && inForce == 0 {
			version = max(t.newest.Unix(), 1)
		}
		return max(version, inForce+1)
	}
}

// maxUnsettled is how many times files may change while they are being read.
const maxUnsettled = 40

// settled reads the files when nobody is writing them: nothing was modified for the debounce time, or two reads so
// far apart agree. Half-written files are so left alone; a writer that pauses longer should write to another name and
// rename.
func (f *Files) settled(ctx context.Context) (*tree, error) {
	paths := append([]string{f.options.Path}, f.options.ExtraPaths...)
	var before *tree
	for range maxUnsettled {
		t, err := readTree(paths, f.options.MaxBytes)
		if err != nil {
			return nil, err
		}
		f.folders = t.dirs
		age := time.Since(t.newest)
		if before != nil && before.digest == t.digest || f.taken != nil && f.taken.digest == t.digest || age >= f.options.Debounce {
			return t, nil
		}
		before = t
		if err := pause(ctx, f.options.Debounce); err != nil {
			return nil, err
		}
	}
	return nil, policy.Errorf(policy.CodeUnavailable, "%s: the files keep changing; they are read once they are left alone for %v",
		strings.Join(paths, ", "), f.options.Debounce)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
