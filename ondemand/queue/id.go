package queue

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"
)

// idGenerator generates task ids: UUIDs of version 7 (RFC 9562, section 5.7), whose text sorts by time. Ids of the same
// millisecond differ by a counter in the 12 bits of rand_a (section 6.2, method 1), so that the ids of one process are
// strictly increasing.
type idGenerator struct {
	mu      sync.Mutex
	last    int64 // milliseconds
	counter uint16
}

func (m *idGenerator) next() string {
	var b [16]byte
	rand.Read(b[8:]) // never fails (crypto/rand)

	m.mu.Lock()
	if ms := time.Now().UnixMilli(); ms > m.last {
		m.last, m.counter = ms, 0
	} else if m.counter++; m.counter > 0xfff {
		m.last, m.counter = m.last+1, 0 // the counter is full: use the next millisecond
	}
	ms, counter := m.last, m.counter
	m.mu.Unlock()

	binary.BigEndian.PutUint64(b[:8], uint64(ms)<<16)
	binary.BigEndian.PutUint16(b[6:8], 0x7000|counter)
	b[8] = b[8]&0x3f | 0x80

	var text [36]byte
	hex.Encode(text[0:8], b[0:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:36], b[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
