package store

import (
	bolt "go.etcd.io/bbolt"
)

// Tx is a transaction. What it returns is valid until it ends, and must not be changed.
type Tx struct {
	tx *bolt.Tx
}

// Bucket returns the bucket of that name, which is one of those that [Store.AddBuckets] added.
func (tx *Tx) Bucket(name []byte) Bucket { return Bucket{tx.tx.Bucket(name)} }

// Bucket is a sorted map of keys and values within a transaction.
type Bucket struct {
	bucket *bolt.Bucket
}

// Get returns the value under key; nil when there is none.
func (b Bucket) Get(key []byte) []byte { return b.bucket.Get(key) }

// Put stores a value under key, which must not be empty.
func (b Bucket) Put(key, value []byte) error { return b.bucket.Put(key, value) }

// Delete removes a key, which need not be there.
func (b Bucket) Delete(key []byte) error { return b.bucket.Delete(key) }

// Len counts the keys. It reads all of them.
func (b Bucket) Len() int { return b.bucket.Stats().KeyN }

// Cursor returns a cursor before the first key.
func (b Bucket) Cursor() *Cursor { return &Cursor{b.bucket.Cursor()} }

// Cursor moves over the keys of a bucket in their order. Where it reaches the end it returns the key nil.
type Cursor struct {
	cursor *bolt.Cursor
}

// Seek moves to the key, or to the next one after it, and returns it with its value.
func (c *Cursor) Seek(key []byte) (k, v []byte) { return c.cursor.Seek(key) }

// Next moves to the next key and returns it with its value.
func (c *Cursor) Next() (k, v []byte) { return c.cursor.Next() }

// Prev moves to the key before and returns it with its value.
func (c *Cursor) Prev() (k, v []byte) { return c.cursor.Prev() }

// Last moves to the last key and returns it with its value.
func (c *Cursor) Last() (k, v []byte) { return c.cursor.Last() }

// Delete removes the key at which the cursor is.
func (c *Cursor) Delete() error { return c.cursor.Delete() }
