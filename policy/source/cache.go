package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ucwarden/atomicfile"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source/content"
)

// cacheRefresh is the age of the confirmation time in a cache file at which the file is written again.
const cacheRefresh = time.Hour

// cacheHeader begins the first line of a cache file; the SHA-256 of everything after that line follows it.
const cacheHeader = "ucwarden policy snapshot 1 sha256:"

// cache keeps one source's last verified snapshot on disk. A file is written atomically, and is used only when its
// checksum is right; its content is verified again like any other.
type cache struct {
	path     string
	identity string
	savedAt  time.Time // confirmation time in the file
	readOnly bool
}

// cacheEntry is the content of a cache file.
type cacheEntry struct {
	Identity  string           `json:"identity"`
	Version   int64            `json:"version"`
	FetchedAt time.Time        `json:"fetchedAt"`
	Digest    string           `json:"digest"`
	Origins   map[int64]string `json:"origins,omitempty"`
	Content   *content.Content `json:"content"`
	// Faults are what of the policies cannot be understood; see content.faults.
	Faults map[int][]ranger.Fault `json:"faults,omitempty"`
	More   map[string]bool        `json:"more,omitempty"` // see content.more
}

// newCache returns the cache of a source. The file's name depends on the source's identity, so that several sources can
// share a folder and a source never reads another one's policies.
func newCache(dir, kind, identity string) *cache {
	sum := sha256.Sum256([]byte(kind + "\x00" + identity))
	return &cache{path: filepath.Join(dir, fmt.Sprintf("policies-%s-%x.snapshot", kind, sum[:4])), identity: kind + ":" + identity}
}

// load returns the cached entry; nil without error when there is none.
func (c *cache) load() (*cacheEntry, error) {
	info, err := os.Stat(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, policy.Errorf(policy.CodeUnavailable, "read the policy cache: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, policy.Errorf(policy.CodeForbidden, "%s: others may write it (mode %v); give it mode 0600 or remove it", c.path, info.Mode().Perm())
	}
	data, err := os.ReadFile(c.path)
	if err != nil {
		return nil, policy.Errorf(policy.CodeUnavailable, "read the policy cache: %w", err)
	}
	head, body, _ := bytes.Cut(data, []byte("\n"))
	sum := sha256.Sum256(body)
	if string(head) != cacheHeader+hex.EncodeToString(sum[:]) {
		return nil, policy.Errorf(policy.CodeInvalid, "%s: its checksum is wrong; remove it", c.path)
	}
	entry := &cacheEntry{}
	if err := json.Unmarshal(body, entry); err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "%s: %w; remove it", c.path, err)
	}
	if entry.Identity != c.identity || entry.Content == nil || entry.Content.Policies == nil {
		return nil, policy.Errorf(policy.CodeInvalid, "%s: not the cache of %s; remove it", c.path, c.identity)
	}
	entry.Content.SetFaults(entry.Faults)
	entry.Content.More = entry.More
	if digest, err := entry.Content.Digest(); err != nil || digest != entry.Digest {
		return nil, policy.Errorf(policy.CodeInvalid, "%s: its content does not have the digest %s; remove it", c.path, entry.Digest)
	}
	entry.Content.Each(func(list []ranger.Policy) {
		for i := range list {
			list[i].Origin = entry.Origins[list[i].ID]
		}
	})
	if now := time.Now(); entry.FetchedAt.After(now) {
		// The clock was set back, or the file was tampered with. Believed, the snapshot would look fresh until then. The
		// file system's time may be as wrong, but nothing can be fresher than now.
		entry.FetchedAt = earlier(info.ModTime(), now)
	}
	c.savedAt = entry.FetchedAt
	return entry, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// save replaces the cache file, unless the cache is read-only, so that a crash leaves the old one or the new one.
func (c *cache) save(entry *cacheEntry) error {
	if c.readOnly {
		return nil
	}
	entry.Identity = c.identity
	entry.Faults, entry.More = entry.Content.Faults(), entry.Content.More
	entry.Origins = map[int64]string{}
	entry.Content.Each(func(list []ranger.Policy) {
		for i := range list {
			if list[i].Origin != "" {
				entry.Origins[list[i].ID] = list[i].Origin
			}
		}
	})
	body, err := json.Marshal(entry)
	if err != nil {
		return policy.Errorf(policy.CodeInternal, "write the policy cache: %w", err)
	}
	sum := sha256.Sum256(body)
	err = os.MkdirAll(filepath.Dir(c.path), 0o700)
	if err == nil {
		err = atomicfile.Write(c.path, 0o600, []byte(cacheHeader+hex.EncodeToString(sum[:])+"\n"), body)
	}
	if err != nil {
		return policy.Errorf(policy.CodeUnavailable, "write the policy cache: %w", err)
	}
	c.savedAt = entry.FetchedAt
	return nil
}
