package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// This file reads bbolt's format by itself. bbolt checks its two meta pages only, falls back from a bad newest one to the
// one before, which forgets the last commit, and panics, or recurses without end, over other damage; some of that in
// goroutines of its own, where nobody can recover it. So a file is read whole here before bbolt sees it.
//
// A page begins with its number (8 bytes), flags (2), number of elements (2) and number of further pages that belong to
// it (4). Pages 0 and 1 are meta pages; commits write them in turn. Integers are in the byte order of the machine.
const (
	pageHeader    = 16
	elementHeader = 16 // of branch and leaf elements alike
	bucketHeader  = 16

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10

	flagBucket = 0x01 // of a leaf element whose value is a bucket

	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	metaSize     = 64 // up to and with the checksum
	maxPageSize  = 64 << 10
	noFreelist   = ^uint64(0)
	manyElements = 0xFFFF // of a freelist: their number is the first of them
)

var order = binary.NativeEndian

// meta is what a meta page says.
type meta struct {
	pageSize int
	root     uint64
	freelist uint64
	high     uint64 // number of pages of the file
	txid     uint64
}

// readMetas returns the newer of the two meta pages, and an error where any of them is bad.
func readMetas(file io.ReaderAt, size int64) (meta, error) {
	if size == 0 {
		return meta{}, fmt.Errorf("the file is empty")
	}
	first, err := readMeta(file, size, 0, 0)
	if err != nil {
		return meta{}, err
	}
	second, err := readMeta(file, size, int64(first.pageSize), 1)
	if err != nil {
		return meta{}, err
	}
	switch {
	case first.pageSize != second.pageSize:
		return meta{}, fmt.Errorf("the meta pages differ in their page size")
	case first.txid > second.txid:
		return first, nil
	}
	return second, nil
}

func readMeta(file io.ReaderAt, size, at int64, number uint64) (meta, error) {
	bad := func(why string) (meta, error) { return meta{}, fmt.Errorf("meta page %d: %s", number, why) }
	page := make([]byte, pageHeader+metaSize)
	if at+int64(len(page)) > size {
		return bad("the file ends before it")
	}
	if _, err := file.ReadAt(page, at); err != nil {
		return meta{}, fmt.Errorf("read meta page %d: %w", number, err)
	}
	body := page[pageHeader:]
	sum := fnv.New64a()
	sum.Write(body[:metaSize-8]) // never fails
	m := meta{
		pageSize: int(order.Uint32(body[8:])), root: order.Uint64(body[16:]), freelist: order.Uint64(body[32:]),
		high: order.Uint64(body[40:]), txid: order.Uint64(body[48:]),
	}
	switch {
	case order.Uint32(body) != metaMagic:
		return bad("it is not one of a task store")
	case order.Uint32(body[4:]) != metaVersion:
		return bad("unknown version of the file format")
	case order.Uint64(body[metaSize-8:]) != sum.Sum64():
		return bad("wrong checksum")
	case order.Uint64(page) != number || order.Uint16(page[8:]) != flagMeta:
		return bad("wrong page header")
	case m.pageSize < 512 || m.pageSize > maxPageSize:
		return bad("impossible page size")
	}
	return m, nil
}

// fits returns an error where a file of that size does not hold all pages.
func (m meta) fits(size int64) error {
	if m.high < 4 || m.high > uint64(size)/uint64(m.pageSize) {
		return fmt.Errorf("the file has %d bytes and should have %d pages of %d", size, m.high, m.pageSize)
	}
	return nil
}

// readFreelistHeader returns an error where the page with the list of free pages is not one.
func readFreelistHeader(file io.ReaderAt, m meta) error {
	header := make([]byte, pageHeader)
	if m.freelist < 2 || m.freelist >= m.high {
		return fmt.Errorf("it has no list of free pages")
	}
	if _, err := file.ReadAt(header, int64(m.freelist)*int64(m.pageSize)); err != nil {
		return fmt.Errorf("list of free pages: %w", err)
	}
	if order.Uint64(header) != m.freelist || order.Uint16(header[8:]) != flagFreelist || uint64(order.Uint32(header[12:])) >= m.high-m.freelist {
		return fmt.Errorf("list of free pages: page %d is none", m.freelist)
	}
	return nil
}

// checker reads every page of a file once.
type checker struct {
	file io.ReaderAt
	meta meta
	seen []uint64 // bit set of pages that are in use or free
	bufs [][]byte // of pages that have been read
	// entry is called with each key of each bucket, in their order; a bucket is named by its key.
	entry func(bucket, key, value []byte) error
	// salvage, where set, is called with damage, and what is around it is read on.
	salvage func(error)
}

// skip passes damage to salvage, where that is set.
func (c *checker) skip(err error) error {
	if err == nil || c.salvage == nil {
		return err
	}
	c.salvage(err)
	return nil
}

// checkPages returns an error that names the first damage of the file: a bad meta page, a page that is not there, is used
// twice or not at all, or keys out of order. It calls entry with all that is stored, and returns its error, or how many bytes are free.
func checkPages(file io.ReaderAt, size int64, entry func(bucket, key, value []byte) error) (free int64, err error) {
	m, err := readMetas(file, size)
	if err != nil {
		return 0, err
	}
	if err := m.fits(size); err != nil {
		return 0, err
	}
	c := &checker{file: file, meta: m, seen: make([]uint64, m.high/64+1), entry: entry}
	c.mark(0)
	c.mark(1)
	pages, err := c.freelist()
	if err != nil {
		return 0, err
	}
	if err := c.tree(m.root, nil, nil, nil); err != nil {
		return 0, err
	}
	for id := range m.high {
		if c.mark(id) {
			return 0, fmt.Errorf("page %d is neither in use nor free", id)
		}
	}
	return size - int64(m.high-pages)*int64(m.pageSize), nil
}

// salvagePages calls entry with whatever can be read of a damaged file, and damaged with what cannot. The error is that of
// entry, or says why nothing can be read.
func salvagePages(file io.ReaderAt, size int64, entry func(bucket, key, value []byte) error, damaged func(error)) error {
	var newest meta
	for number := range uint64(2) {
		for _, pageSize := range []int{os.Getpagesize(), 4096, 8192, 16384, 65536} { // it is in the first meta page only
			m, err := readMeta(file, size, int64(number)*int64(pageSize), number)
			if err == nil && m.pageSize == pageSize && (newest.pageSize == 0 || m.txid > newest.txid) {
				newest = m
			}
		}
	}
	if newest.pageSize == 0 {
		return fmt.Errorf("both meta pages are bad")
	}
	newest.high = min(newest.high, uint64(size)/uint64(newest.pageSize))
	c := &checker{file: file, meta: newest, seen: make([]uint64, newest.high/64+1), entry: entry, salvage: damaged}
	return c.skip(c.tree(newest.root, nil, nil, nil))
}

// mark marks a page, and reports whether it was not marked before.
func (c *checker) mark(id uint64) bool {
	fresh := c.seen[id/64]&(1<<(id%64)) == 0
	c.seen[id/64] |= 1 << (id % 64)
	return fresh
}

// page reads a page with those that belong to it.
func (c *checker) page(id uint64, buf []byte) (page []byte, flags, count uint16, err error) {
	bad := func(format string, args ...any) ([]byte, uint16, uint16, error) {
		return nil, 0, 0, fmt.Errorf("page %d: %s", id, fmt.Sprintf(format, args...))
	}
	if id < 2 || id >= c.meta.high {
		return bad("there is no such page")
	}
	size := uint64(c.meta.pageSize)
	if uint64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	if _, err := c.file.ReadAt(buf, int64(id*size)); err != nil {
		return bad("%v", err)
	}
	further := uint64(order.Uint32(buf[12:]))
	if order.Uint64(buf) != id || further >= c.meta.high-id {
		return bad("wrong page header")
	}
	if further > 0 {
		buf = append(buf, make([]byte, further*size)...)
		if _, err := c.file.ReadAt(buf[size:], int64((id+1)*size)); err != nil {
			return bad("%v", err)
		}
	}
	for n := range further + 1 {
		if !c.mark(id + n) {
			return bad("it is used twice")
		}
	}
	return buf, order.Uint16(buf[8:]), order.Uint16(buf[10:]), nil
}

// freelist marks the free pages and returns their number.
func (c *checker) freelist() (pages uint64, err error) {
	if c.meta.freelist == noFreelist {
		return 0, fmt.Errorf("it has no list of free pages")
	}
	page, flags, count, err := c.page(c.meta.freelist, nil)
	if err != nil {
		return 0, fmt.Errorf("list of free pages: %w", err)
	}
	ids := page[pageHeader:]
	n := uint64(count)
	if count == manyElements {
		n, ids = order.Uint64(ids), ids[8:]
	}
	if flags != flagFreelist || n > uint64(len(ids)/8) {
		return 0, fmt.Errorf("list of free pages: page %d is none", c.meta.freelist)
	}
	for i := range n {
		if id := order.Uint64(ids[8*i:]); id < 2 || id >= c.meta.high || !c.mark(id) {
			return 0, fmt.Errorf("list of free pages: page %d cannot be free", id)
		}
	}
	return n, nil
}

// tree reads the tree of a bucket from its root page, nil being the bucket of buckets. Its keys must be in [from, to).
func (c *checker) tree(id uint64, bucket, from, to []byte) error {
	var buf []byte
	if n := len(c.bufs); n > 0 {
		buf, c.bufs = c.bufs[n-1], c.bufs[:n-1]
	}
	page, flags, count, err := c.page(id, buf)
	if err != nil {
		return err
	}
	defer func() { c.bufs = append(c.bufs, page) }()
	if err := c.elements(page, flags, count, bucket, from, to); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (c *checker) elements(page []byte, flags, count uint16, bucket, from, to []byte) error {
	headers := pageHeader + elementHeader*int(count)
	if flags != flagBranch && flags != flagLeaf || flags == flagBranch && count == 0 || headers > len(page) {
		return fmt.Errorf("wrong page header")
	}
	if count == 0 && len(bytes.Trim(page[pageHeader:], "\x00")) > 0 {
		return fmt.Errorf("an empty page has content")
	}
	var last []byte
	begin := uint64(headers) // keys and values follow the headers without a gap, which shows that their number is right
	for i := range int(count) {
		e, err := elementAt(page, flags, i)
		if err != nil {
			return err
		}
		if e.start != begin {
			return fmt.Errorf("there is a gap before key %d", i)
		}
		begin += uint64(len(e.key) + len(e.value))
		if len(e.key) == 0 || bytes.Compare(e.key, from) < 0 || i > 0 && bytes.Compare(e.key, last) <= 0 ||
			to != nil && bytes.Compare(e.key, to) >= 0 {
			return fmt.Errorf("key %d is out of order", i)
		}
		last = e.key
		switch {
		case flags == flagBranch:
			end := to
			if i+1 < int(count) {
				next, err := elementAt(page, flags, i+1)
				if err != nil {
					return err
				}
				end = next.key
			}
			err = c.tree(e.child, bucket, e.key, end)
		case e.flags == flagBucket && bucket == nil:
			err = c.bucket(e.key, e.value)
		case e.flags != 0 || bucket == nil:
			err = fmt.Errorf("element %d is of an unknown kind", i)
		default:
			err = c.entry(bucket, e.key, e.value)
		}
		if err := c.skip(err); err != nil {
			return err
		}
	}
	return nil
}

// element is a key of a page, with its value in a leaf, or the page of its subtree in a branch.
type element struct {
	key, value []byte
	start      uint64 // of the key, in the page
	flags      uint32
	child      uint64
}

func elementAt(page []byte, flags uint16, i int) (element, error) {
	at := pageHeader + elementHeader*i
	header := page[at : at+elementHeader]
	var e element
	var pos, keySize, valueSize uint64
	if flags == flagBranch {
		pos, keySize, e.child = uint64(order.Uint32(header)), uint64(order.Uint32(header[4:])), order.Uint64(header[8:])
	} else {
		e.flags = order.Uint32(header)
		pos, keySize, valueSize = uint64(order.Uint32(header[4:])), uint64(order.Uint32(header[8:])), uint64(order.Uint32(header[12:]))
	}
	e.start = uint64(at) + pos
	if e.start+keySize+valueSize > uint64(len(page)) {
		return element{}, fmt.Errorf("element %d lies outside its page", i)
	}
	e.key, e.value = page[e.start:e.start+keySize], page[e.start+keySize:e.start+keySize+valueSize]
	return e, nil
}

// bucket reads a bucket, which has pages of its own, or lies whole in its value where it is small.
func (c *checker) bucket(name, value []byte) error {
	if len(value) < bucketHeader {
		return fmt.Errorf("bucket %q is cut off", name)
	}
	root, inline := order.Uint64(value), value[bucketHeader:]
	var err error
	switch {
	case root != 0:
		err = c.tree(root, name, nil, nil)
	case len(inline) < pageHeader || order.Uint16(inline[8:]) != flagLeaf:
		err = fmt.Errorf("wrong page header")
	default:
		err = c.elements(inline, flagLeaf, order.Uint16(inline[10:]), name, nil, nil)
	}
	if err != nil {
		return fmt.Errorf("bucket %q: %w", name, err)
	}
	return nil
}
