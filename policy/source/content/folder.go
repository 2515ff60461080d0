package content

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"ucwarden/policy"
)

// maxDepth and maxFiles bound a policy folder, in case a link leads to the root of a file system.
const (
	maxDepth = 16
	maxFiles = 100_000
)

// File is one policy file as read.
type File struct {
	path  string // as the operator wrote it, for messages
	name  string // path below the policy folder, separated by '/'
	data  []byte
	named bool // by a setting, not found in a folder
	// unread is set for a file that holds policies although its name is not that of a policy file; data is then its beginning.
	unread bool
}

// Tree holds all policy files as one load read them.
type Tree struct {
	Files  []File
	Digest [sha256.Size]byte // of names and bytes
	Newest time.Time         // latest modification of a file or folder
	Dirs   []string          // folders to watch for changes
}

// treeReader reads policy files up to a limit of bytes.
type treeReader struct {
	bytesLeft int64
	limit     int64
	tree      *Tree
	visited   map[string]bool // real paths of folders, to detect loops of links
	targets   map[string]bool // folders of the files that links point to
	looked    int             // at files that are not read, by their names
}

// ReadTree reads the files at paths; each is a file, or a folder of which every *.json, *.yaml and *.yml is read,
// sub-folders included. Of other files it takes those that hold policies, to have them named. Names that begin with a dot are skipped: hidden files, and the "..data" folders in which
// Kubernetes keeps the versions of a mounted ConfigMap. Links are followed.
func ReadTree(paths []string, maxBytes int64) (*Tree, error) {
	r := &treeReader{bytesLeft: maxBytes, limit: maxBytes, tree: &Tree{}, visited: map[string]bool{}, targets: map[string]bool{}}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, readError(err)
		}
		r.tree.Dirs = append(r.tree.Dirs, filepath.Dir(p))
		if info.IsDir() {
			err = r.folder(p, "", info, 0)
		} else {
			err = r.file(p, filepath.Base(p), info, true)
		}
		if err != nil {
			return nil, err
		}
	}
	h := sha256.New()
	for _, f := range r.tree.Files {
		fmt.Fprintf(h, "%q %q %d\n", f.path, f.name, len(f.data))
		h.Write(f.data)
	}
	h.Sum(r.tree.Digest[:0])
	return r.tree, nil
}

func (r *treeReader) folder(dir, prefix string, info fs.FileInfo, depth int) error {
	if depth > maxDepth {
		return policy.Errorf(policy.CodeTooLarge, "%s: policy folders are nested more than %d deep", dir, maxDepth)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return readError(err)
	}
	if r.visited[real] {
		return policy.Errorf(policy.CodeInvalid, "%s: this folder (%s) was read already; remove the link to it", dir, real)
	}
	r.visited[real] = true
	r.tree.Dirs = append(r.tree.Dirs, dir)
	r.note(info)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return readError(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		at := filepath.Join(dir, name)
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !isPolicyFile(name):
			continue // a dangling link, such as an editor's lock file
		case err != nil:
			return readError(err)
		case info.IsDir():
			err = r.folder(at, path.Join(prefix, name), info, depth+1)
		case isPolicyFile(name):
			err = r.file(at, path.Join(prefix, name), info, false)
		default:
			err = r.unread(at, path.Join(prefix, name), info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func isPolicyFile(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json", ".yaml", ".yml":
		return true
	}
	return false
}

func (r *treeReader) file(at, name string, info fs.FileInfo, named bool) error {
	if !info.Mode().IsRegular() {
		return policy.Errorf(policy.CodeInvalid, "%s: not a regular file", at)
	}
	if len(r.tree.Files) >= maxFiles {
		return policy.Errorf(policy.CodeTooLarge, "%s: more than %d policy files", at, maxFiles)
	}
	if info.Size() > r.bytesLeft { // before it is read
		return policy.Errorf(policy.CodeTooLarge, "%s: it has %d bytes, and all policy files together may have %d", at, info.Size(), r.limit)
	}
	f, err := os.Open(at)
	if err != nil {
		return readError(err)
	}
	data, err := io.ReadAll(io.LimitReader(f, r.bytesLeft+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return readError(err)
	}
	if r.bytesLeft -= int64(len(data)); r.bytesLeft < 0 {
		return policy.Errorf(policy.CodeTooLarge, "%s: the policy files are larger than %d bytes in all", at, r.limit)
	}
	r.note(info)
	if target, err := filepath.EvalSymlinks(at); err == nil {
		if dir := filepath.Dir(target); !r.targets[dir] {
			r.targets[dir] = true
			r.tree.Dirs = append(r.tree.Dirs, dir)
		}
	}
	r.tree.Files = append(r.tree.Files, File{path: at, name: name, data: data, named: named})
	return nil
}

func (r *treeReader) note(info fs.FileInfo) {
	if t := info.ModTime(); t.After(r.tree.Newest) {
		r.tree.Newest = t
	}
}

func readError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return policy.Errorf(policy.CodeNotFound, "read policies: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return policy.Errorf(policy.CodeForbidden, "read policies: %w; let the user of this process read it", err)
	}
	return policy.Errorf(policy.CodeUnavailable, "read policies: %w", err)
}
