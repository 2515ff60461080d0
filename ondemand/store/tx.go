package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	bolt "go.etcd.io/bbolt"
)

// Tx is a transaction. What it returns is valid until it ends, and must not be changed.
type Tx struct {
	tx      *bolt.Tx
	written int // bytes put
}

// Bucket returns the bucket of that name, which is one of those that [Store.AddBuckets] added.
func (tx *Tx) Bucket(name []byte) Bucket {
	b := tx.tx.Bucket(name)
	if b == nil {
		panic(fmt.Sprintf("there is no bucket %q", name))
	}
	b.FillPercent = fillPercent
	return Bucket{b, name, tx}
}

// DropBucket removes a bucket that only older versions of the program have, with all that it holds, where it is there.
func (tx *Tx) DropBucket(name []byte) error {
	if tx.tx.Bucket(name) == nil {
		return nil
	}
	return tx.tx.DeleteBucket(name)
}

// fillPercent is how full bbolt leaves a page that it splits. Most keys begin with a time, so that they are added at the end.
const fillPercent = 0.9

// Bucket is a sorted map of keys and values within a transaction. Each value has a checksum in the file, so that one that
// was damaged is never returned: the transaction ends with an error then.
type Bucket struct {
	bucket *bolt.Bucket
	name   []byte
	tx     *Tx
}

// Get returns the value under key; nil when there is none.
func (b Bucket) Get(key []byte) []byte { return mustOpen(b.name, key, b.bucket.Get(key)) }

// Put stores a value under key, which must not be empty.
func (b Bucket) Put(key, value []byte) error {
	b.tx.written += len(key) + len(value)
	return b.bucket.Put(key, seal(b.name, key, value))
}

// Entry is a key of a bucket with its value and checksum, made before the transaction that puts it: only one transaction runs at a
// time, and others wait for it.
type Entry struct{ bucket, key, sealed []byte }

// SealSize is how many bytes the checksum before each value takes: CRC-32C, big-endian.
const SealSize = 4

// Seal returns an entry of a bucket that [Store.AddBuckets] added. sealed is the value behind SealSize bytes, which Seal sets. The
// entry shares the memory of both, which must not be changed any more.
func Seal(bucket, key, sealed []byte) Entry {
	binary.BigEndian.PutUint32(sealed, checksum(bucket, key, sealed[SealSize:]))
	return Entry{bucket, key, sealed}
}

// Put stores an entry, whose key must not be empty.
func (tx *Tx) Put(e Entry) error {
	tx.written += len(e.key) + len(e.sealed)
	return tx.Bucket(e.bucket).bucket.Put(e.key, e.sealed)
}

// Delete removes a key, which need not be there.
func (b Bucket) Delete(key []byte) error { return b.bucket.Delete(key) }

// Len counts the keys. It reads all of them.
func (b Bucket) Len() int { return b.bucket.Stats().KeyN }

// Cursor returns a cursor before the first key.
func (b Bucket) Cursor() *Cursor { return &Cursor{b.bucket.Cursor(), b.name} }

// Cursor moves over the keys of a bucket in their order. Where it reaches the end it returns the key nil.
type Cursor struct {
	cursor *bolt.Cursor
	bucket []byte
}

// Seek moves to the key, or to the next one after it, and returns it with its value.
func (c *Cursor) Seek(key []byte) (k, v []byte) { return c.at(c.cursor.Seek(key)) }

// Next moves to the next key and returns it with its value.
func (c *Cursor) Next() (k, v []byte) { return c.at(c.cursor.Next()) }

// Prev moves to the key before and returns it with its value.
func (c *Cursor) Prev() (k, v []byte) { return c.at(c.cursor.Prev()) }

// Last moves to the last key and returns it with its value.
func (c *Cursor) Last() (k, v []byte) { return c.at(c.cursor.Last()) }

func (c *Cursor) at(k, v []byte) (key, value []byte) { return k, mustOpen(c.bucket, k, v) }

// Delete removes the key at which the cursor is.
func (c *Cursor) Delete() error { return c.cursor.Delete() }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers what belongs together: a value, its key and its bucket.
func checksum(bucket, key, value []byte) uint32 {
	sum := crc32.Update(uint32(len(key)), castagnoli, bucket)
	return crc32.Update(crc32.Update(sum, castagnoli, key), castagnoli, value)
}

// seal returns the value as it is in the file. The package's own bucket has no checksums: an older program must be able
// to read the version of the layout.
func seal(bucket, key, value []byte) []byte {
	if bytes.Equal(bucket, bucketMeta) {
		return value
	}
	sealed := append(make([]byte, SealSize, SealSize+len(value)), value...)
	return Seal(bucket, key, sealed).sealed
}

// unseal returns the value that is in the file as sealed, and whether its checksum is right.
func unseal(bucket, key, sealed []byte) (value []byte, ok bool) {
	if bytes.Equal(bucket, bucketMeta) {
		return sealed, true
	}
	if len(sealed) < SealSize {
		return nil, false
	}
	value = sealed[SealSize:]
	return value, binary.BigEndian.Uint32(sealed) == checksum(bucket, key, value)
}

// mustOpen returns the value of an entry. Whoever runs a transaction recovers from its panic, as from those of bbolt.
func mustOpen(bucket, key, sealed []byte) []byte {
	if sealed == nil {
		return nil
	}
	value, ok := unseal(bucket, key, sealed)
	if !ok {
		panic(wrongChecksum(bucket, key))
	}
	return value
}

func wrongChecksum(bucket, key []byte) error {
	return fmt.Errorf("bucket %q: the value under %q has a wrong checksum", bucket, key)
}
