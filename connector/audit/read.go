package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ucwarden/policy"
)

// errNoRecord says that a line is JSON, but neither an intent nor a change.
var errNoRecord = errors.New("not a record of the audit trail")

// maxLine bounds the memory that a damaged file can take; one request holds the grants of one object.
const maxLine = 64 << 20

// Query selects changes. The zero Query selects all.
type Query struct {
	Securable policy.Securable // with everything inside it
	Principal string           // name, in any case
	Task      string           // its id
	Since     time.Time
	Until     time.Time // exclusive
}

func (q Query) selects(c *Change) bool {
	if q.Principal != "" && policy.FoldPrincipal(q.Principal) != policy.FoldPrincipal(c.Principal) || c.Time.Before(q.Since) {
		return false
	}
	if q.Task != "" && q.Task != c.Task || !q.Until.IsZero() && !c.Time.Before(q.Until) {
		return false
	}
	if q.Securable == (policy.Securable{}) {
		return true
	}
	// Objects that were there once may have names that are refused today: they are compared as they are written.
	kind, name, _ := strings.Cut(c.Securable, ":")
	return q.Securable.Contains(policy.Securable{Type: policy.SecurableType(kind), FullName: name})
}

// Damage is a line that cannot be read.
type Damage struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

func (d Damage) String() string { return fmt.Sprintf("%s:%d", d.File, d.Line) }

// Read returns the changes that q selects, the oldest first, from the file at path and those rotated away, and the lines
// that cannot be read. Changes whose end is not known come last, with [ResultOpen]. The file may grow and be rotated meanwhile.
// An error of class CodeNotFound says that there is no file.
func Read(path string, q Query) ([]Change, []Damage, error) {
	files, err := openAll(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		for _, f := range files {
			_ = f.Close() // was only read
		}
	}()
	if len(files) == 0 {
		return nil, nil, policy.Errorf(policy.CodeNotFound, "there is no audit trail at %s", path)
	}
	var (
		changes []Change
		damaged []Damage
		open    = make(openIntents)
	)
	for _, f := range files {
		bad, err := scan(f, func(l line) {
			open.note(l)
			if l.change != nil && q.selects(l.change) {
				changes = append(changes, *l.change)
			}
		})
		if err != nil {
			return nil, nil, fmt.Errorf("read the audit trail: %w", err)
		}
		damaged = append(damaged, bad...)
	}
	for _, id := range slices.Sorted(maps.Keys(open)) {
		in := open[id]
		for _, c := range in.alike(in.Time, ResultOpen) {
			if q.selects(&c) {
				changes = append(changes, c)
			}
		}
	}
	return changes, damaged, nil
}

// openAll opens the file at path and those rotated away, the oldest first. Files only ever move to higher numbers, so
// opening them by rising numbers misses none; one that moved meanwhile is met twice.
func openAll(path string) ([]*os.File, error) {
	names, err := filepath.Glob(rotatedPattern(path))
	if err != nil {
		return nil, fmt.Errorf("find the files of the audit trail: %w", err)
	}
	highest := 0
	for _, name := range names {
		if n, err := strconv.Atoi(name[len(path)+1:]); err == nil {
			highest = max(highest, n)
		}
	}
	var files []*os.File
	var last os.FileInfo
	for n := 0; n <= highest+1; n++ { // one more: a rotation may come between
		f, err := os.Open(rotatedPath(path, n))
		if errors.Is(err, fs.ErrNotExist) {
			continue // also where a crash came between the steps of a rotation
		}
		var info os.FileInfo
		if err == nil {
			info, err = f.Stat()
		}
		if err != nil {
			return files, fmt.Errorf("open the audit trail: %w", err)
		}
		if last != nil && os.SameFile(last, info) {
			_ = f.Close()
			continue
		}
		last = info
		files = append(files, f)
	}
	slices.Reverse(files)
	return files, nil
}

// scan calls yield for each line of a file, and returns the numbers of those that cannot be read. A last line without
// its end is being written, or was torn by a crash.
func scan(f *os.File, yield func(line)) ([]Damage, error) {
	var damaged []Damage
	r := bufio.NewReaderSize(f, 1<<20)
	for n := 1; ; n++ {
		text, err := readLine(r)
		if err != nil && !errors.Is(err, io.EOF) {
			return damaged, err
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			if l, err := parseLine(text); err != nil {
				damaged = append(damaged, Damage{f.Name(), n})
			} else {
				yield(l)
			}
		}
		if err != nil {
			return damaged, nil //nolint:nilerr // the end of the file
		}
	}
}

// A line that is being written is looked at again after tornWait, tornLooks times: then a crash has torn it.
const (
	tornWait  = 5 * time.Millisecond
	tornLooks = 20
)

// readLine reads a line of any length; of one longer than maxLine, the beginning.
func readLine(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for looks := 0; ; {
		part, err := r.ReadSlice('\n')
		if len(text)+len(part) <= maxLine {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, io.EOF) && len(text) > 0 && looks < tornLooks:
			looks++
			time.Sleep(tornWait) //nolint:forbidigo // nothing says when the rest of a line is in the file
		case !errors.Is(err, bufio.ErrBufferFull):
			return text, err
		}
	}
}

// Check returns how many requests have an unknown end, and which lines of the newest files cannot be read. An error of class
// CodeNotFound says that there is no file.
func Check(path string) (open int, damaged []Damage, err error) {
	left, damaged, files, err := findOpen(path)
	if err == nil && files == 0 {
		err = policy.Errorf(policy.CodeNotFound, "there is no audit trail at %s", path)
	}
	return len(left), damaged, err
}

// findOpen finds the intents that have no end. A file begins with those that were open, so it looks at two files: ends may
// have been lost with a crash just after the last rotation, or stand in the file that it began.
func findOpen(path string) (open openIntents, damaged []Damage, files int, err error) {
	open = make(openIntents)
	for _, n := range []int{1, 0} {
		f, err := os.Open(rotatedPath(path, n))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, 0, fmt.Errorf("open the audit trail: %w", err)
		}
		files++
		bad, err := scan(f, open.note)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, nil, 0, fmt.Errorf("read the audit trail: %w", err)
		}
		damaged = append(damaged, bad...)
	}
	return open, damaged, files, nil
}
