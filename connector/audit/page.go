package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"ucwarden/policy"
)

// maxScan bounds how many bytes of the trail one page reads, beyond the line that passes it.
const maxScan = 16 << 20

// markSize is how much of a file before a position identifies it.
const markSize = 4 << 10

// Page is a part of the trail, the oldest change first.
type Page struct {
	Changes []Change
	Damaged int // lines that cannot be read, and are left out
	// Next is where the next page begins. It is set on the last one, too: what is written later follows there.
	Next string
	// Last says that there was nothing more when the page was read.
	Last bool
}

// ReadPage returns up to limit of the changes that q selects, and visible, of those whose result is known, from the position on
// that a page before names; "" is the beginning. It reads a bounded part of the trail, so that a page may have fewer, and be not the
// last. An error of class CodeNotFound says that there is no file, or no such position in it, because
// what was there has been removed since, and one of class CodeInvalid that the position is none.
func ReadPage(ctx context.Context, path string, q Query, visible func(Change) bool, position string, limit int) (Page, error) {
	files, err := openAll(path)
	defer func() {
		for _, f := range files {
			_ = f.Close() // was only read
		}
	}()
	if err != nil {
		return Page{}, err
	}
	if len(files) == 0 {
		return Page{}, policy.Errorf(policy.CodeNotFound, "there is no audit trail at %s", path)
	}
	first, offset, err := seek(files, position)
	if err != nil {
		return Page{}, err
	}
	p := Page{Next: position}
	budget := int64(maxScan)
	for i, f := range files[first:] {
		if i > 0 {
			offset = 0
		}
		if position == "" && !q.Since.IsZero() { // a file ends with its last change
			if info, err := f.Stat(); err == nil && info.ModTime().Before(q.Since) && first+i < len(files)-1 {
				continue
			}
		}
		end, full, err := p.scan(ctx, f, offset, &budget, limit, func(c *Change) bool { return q.selects(c) && visible(*c) })
		if err != nil {
			return Page{}, err
		}
		if end > 0 {
			if p.Next, err = positionOf(f, end); err != nil {
				return Page{}, err
			}
		}
		if full {
			return p, nil
		}
	}
	p.Last = true
	return p, nil
}

// scan reads lines of a file from an offset on, and returns where it ended, and whether that is because the page is full. A file begins
// with intents that stand in others as well: there it does not end, and 0 says that it found nothing else.
func (p *Page) scan(ctx context.Context, f *os.File, offset int64, budget *int64, limit int, selects func(*Change) bool) (end int64, full bool, err error) {
	r := bufio.NewReaderSize(io.NewSectionReader(f, offset, 1<<62), 1<<16)
	end = offset
	for lines := 0; ; lines++ {
		if len(p.Changes) >= limit || *budget <= 0 && end > 0 {
			return end, true, nil
		}
		if lines%1000 == 0 && ctx.Err() != nil {
			return 0, false, ctx.Err()
		}
		text, n, err := readWhole(r)
		if errors.Is(err, io.EOF) { // a last line without its end is being written
			return end, false, nil
		}
		if err != nil {
			return 0, false, fmt.Errorf("read the audit trail: %w", err)
		}
		offset += n
		*budget -= n
		var l line
		if text = bytes.TrimSpace(text); len(text) > 0 {
			if l, err = parseLine(text); err != nil {
				p.Damaged++
			}
		}
		if l.change != nil || end > 0 {
			end = offset
		}
		if l.change != nil && selects(l.change) {
			p.Changes = append(p.Changes, *l.change)
		}
	}
}

// readWhole reads a line with its end, of which it returns up to maxLine, and how long it was.
func readWhole(r *bufio.Reader) (text []byte, n int64, err error) {
	for {
		part, err := r.ReadSlice('\n')
		n += int64(len(part))
		if len(text)+len(part) <= maxLine {
			text = append(text, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, n, err
		}
	}
}

// positionOf returns a position after a line of a file as text.
func positionOf(f *os.File, offset int64) (string, error) {
	mark, err := markBefore(f, offset)
	if err != nil {
		return "", fmt.Errorf("read the audit trail: %w", err)
	}
	return mark + "-" + strconv.FormatInt(offset, 10), nil
}

// seek returns the file and the offset that a position names.
func seek(files []*os.File, position string) (file int, offset int64, err error) {
	if position == "" {
		return 0, 0, nil
	}
	invalid := policy.Errorf(policy.CodeInvalid, "that is no position in the audit trail")
	mark, number, _ := strings.Cut(position, "-")
	if offset, err = strconv.ParseInt(number, 10, 64); err != nil || offset <= 0 {
		return 0, 0, invalid
	}
	for i, f := range files {
		if is, err := markBefore(f, offset); err == nil && is == mark { // an error: the file is shorter
			return i, offset, nil
		}
	}
	return 0, 0, policy.Errorf(policy.CodeNotFound, "no such position in the audit trail, or no longer: begin again without one (audit.keep says how much is kept)")
}

// markBefore returns a digest of what stands before an offset in a file. Lines are written once, but for intents at the beginning.
func markBefore(f *os.File, offset int64) (string, error) {
	before := make([]byte, min(offset, markSize))
	if _, err := f.ReadAt(before, offset-int64(len(before))); err != nil {
		return "", err
	}
	sum := sha256.Sum256(before)
	return hex.EncodeToString(sum[:8]), nil
}
