package records

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	// maxPage is how many bytes of tasks, as they are stored, end a page; one task may have more.
	maxPage = 1 << 20
	// maxScan is how many tasks that are not visible one page passes over.
	maxScan = 10_000
)

// List returns one page. It reads the index with the fewest entries to skip; the keys of all of them end with the order
// key.
func List(tx *store.Tx, f ondemand.Filter) (ondemand.Page, error) {
	limit := min(f.Limit, maxLimit)
	if limit <= 0 {
		limit = defaultLimit
	}
	status, known := statusBytes[f.Status]
	if f.Status != "" && !known {
		return ondemand.Page{}, policy.Errorf(policy.CodeInvalid, "list tasks: unknown status %q", f.Status)
	}
	var before []byte
	if f.Cursor != "" {
		var err error
		if before, err = base64.RawURLEncoding.DecodeString(f.Cursor); err != nil || len(before) < 9 {
			return ondemand.Page{}, policy.Errorf(policy.CodeInvalid, "list tasks: invalid cursor: use nextCursor of the previous page")
		}
	}
	visible := f.Visible
	var tasks descending
	switch {
	case f.ExternalID != "":
		tasks.add(tx.Bucket(bucketByExternal), externalKey(strings.ToLower(f.ExternalID), nil), before)
		if f.Status != "" { // which its entries do not hold
			visible = func(t ondemand.Task) bool { return t.Status == f.Status && (f.Visible == nil || f.Visible(t)) }
		}
	case f.Status != "":
		tasks.add(tx.Bucket(bucketByStatus), []byte{status}, before)
	case f.ParentID != "":
		tasks.add(tx.Bucket(bucketByParent), parentKey(f.ParentID, nil), before)
	default:
		for _, status := range statusBytes {
			tasks.add(tx.Bucket(bucketByStatus), []byte{status}, before)
		}
	}
	page := ondemand.Page{Items: []ondemand.Task{}}
	size := 0               // of the items, as they are stored
	var last, hidden []byte // order keys of the last task of the page, and of the last one passed over
	scanned := 0
	for at, v := tasks.next(); at != nil; at, v = tasks.next() {
		if !f.Since.IsZero() && bytes.Compare(at[:8], timeKey(f.Since)) < 0 {
			break
		}
		fields := decodeSummary(v)
		if f.Type != "" && fields.typ != f.Type || f.Source != "" && fields.source != f.Source ||
			f.ParentID != "" && fields.parent != f.ParentID || f.TopLevel && fields.parent != "" {
			continue
		}
		// Only between two times, so that the cursor need not hold the id of a task that is not visible.
		if scanned >= maxScan && !bytes.Equal(at[:8], hidden[:8]) {
			if len(page.Items) < limit {
				last = append(bytes.Clone(hidden[:8]), 0) // everything received before that time
			}
			page.NextCursor = base64.RawURLEncoding.EncodeToString(last)
			break
		}
		full := len(page.Items) == limit || size >= maxPage
		if full && visible == nil {
			page.NextCursor = base64.RawURLEncoding.EncodeToString(last)
			break
		}
		t, err := LoadExisting(tx, string(at[8:]))
		if err != nil {
			return ondemand.Page{}, fmt.Errorf("list tasks: %w", err)
		}
		if visible != nil && !visible(t) {
			scanned, hidden = scanned+1, at
			continue
		}
		if full {
			page.NextCursor = base64.RawURLEncoding.EncodeToString(last)
			break
		}
		page.Items = append(page.Items, t)
		size += len(tx.Bucket(bucketTasks).Get(at[8:]))
		last = at
	}
	return page, nil
}

// descending merges parts of indexes: it goes through their entries from the greatest order key to the least.
type descending struct{ parts []indexPart }

// indexPart is what an index has under a prefix, from an entry on downwards.
type indexPart struct {
	cursor     *store.Cursor
	prefix     []byte
	key, value []byte // of the entry; the key without the prefix
}

// read takes the entry at which the cursor is, and reports whether it has the prefix.
func (p *indexPart) read(k, v []byte) (ok bool) {
	p.key, ok = bytes.CutPrefix(k, p.prefix)
	p.value = v
	return ok && k != nil
}

// add adds the entries under a prefix: those with a lesser order key than before, or all where that is nil.
func (d *descending) add(index store.Bucket, prefix, before []byte) {
	if before == nil {
		before = bytes.Repeat([]byte{0xff}, 9)
	}
	p := indexPart{cursor: index.Cursor(), prefix: prefix}
	move := p.cursor.Prev
	if k, _ := p.cursor.Seek(append(bytes.Clone(prefix), before...)); k == nil {
		move = p.cursor.Last
	}
	if p.read(move()) {
		d.parts = append(d.parts, p)
	}
}

// next returns the order key and the summary of the next entry; the key is nil at the end.
func (d *descending) next() (order, summary []byte) {
	if len(d.parts) == 0 {
		return nil, nil
	}
	greatest := 0
	for i := range d.parts {
		if bytes.Compare(d.parts[i].key, d.parts[greatest].key) > 0 {
			greatest = i
		}
	}
	p := &d.parts[greatest]
	order, summary = p.key, p.value
	if !p.read(p.cursor.Prev()) {
		d.parts = append(d.parts[:greatest], d.parts[greatest+1:]...)
	}
	return order, summary
}
