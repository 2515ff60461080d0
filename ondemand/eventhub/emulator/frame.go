package emulator

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Descriptors of performatives and SASL frames.
const (
	perfOpen        = 0x10
	perfBegin       = 0x11
	perfAttach      = 0x12
	perfFlow        = 0x13
	perfTransfer    = 0x14
	perfDisposition = 0x15
	perfDetach      = 0x16
	perfEnd         = 0x17
	perfClose       = 0x18
	typeError       = 0x1d
	stateAccepted   = 0x24
	stateRejected   = 0x25
	typeSource      = 0x28
	typeTarget      = 0x29
	saslMechanisms  = 0x40
	saslInit        = 0x41
	saslOutcome     = 0x44
)

// Kinds of frames.
const (
	frameAMQP = 0
	frameSASL = 1
)

// maxFrame is the largest frame that is read, and what open announces.
const maxFrame = 64 << 10

// frame is one frame: an empty one, which keeps a connection alive, has descriptor 0.
type frame struct {
	kind       byte
	channel    uint16
	descriptor uint64
	fields     fields
	payload    []byte
}

// fields are those of a performative; missing ones at the end are nil.
type fields []any

func (f fields) at(i int) any {
	if i < len(f) {
		return f[i]
	}
	return nil
}

// readFrame reads one frame of at most maxFrame bytes.
func readFrame(r io.Reader) (frame, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	size, offset := binary.BigEndian.Uint32(head[:]), uint32(head[4])*4
	if size < 8 || size > maxFrame || offset < 8 || offset > size {
		return frame{}, fmt.Errorf("frame of %d bytes with its body at %d", size, offset)
	}
	body := make([]byte, size-8)
	if _, err := io.ReadFull(r, body); err != nil {
		return frame{}, fmt.Errorf("frame ends too early: %w", err)
	}
	f := frame{kind: head[5], channel: binary.BigEndian.Uint16(head[6:])}
	d := decoder{body[offset-8:]}
	if len(d.b) == 0 {
		return f, nil
	}
	v, err := d.value()
	if err != nil {
		return frame{}, fmt.Errorf("decode frame: %w", err)
	}
	performative, ok := v.(described)
	code, isCode := performative.descriptor.(uint64)
	list, isList := performative.value.([]any)
	if !ok || !isCode || !isList {
		return frame{}, fmt.Errorf("decode frame: not a performative")
	}
	f.descriptor, f.fields, f.payload = code, list, d.b
	return f, nil
}

// fieldCounts are how many fields a performative has. Those at the end that are not set could be left out; but the client of
// Python reads each by its index.
var fieldCounts = map[uint64]int{
	perfOpen: 10, perfBegin: 8, perfAttach: 14, perfFlow: 11, perfTransfer: 11, perfDisposition: 6, perfDetach: 3, perfEnd: 1, perfClose: 1,
	saslMechanisms: 1, saslOutcome: 2,
}

// encodeFrame returns the bytes of a frame.
func encodeFrame(kind byte, channel uint16, descriptor uint64, list []any, payload []byte) []byte {
	return appendFrame(make([]byte, 0, 128+len(payload)), kind, channel, descriptor, list, payload)
}

// appendFrame appends the bytes of a frame.
func appendFrame(b []byte, kind byte, channel uint16, descriptor uint64, list []any, payload []byte) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0, 2, kind, byte(channel>>8), byte(channel))
	if descriptor != 0 {
		b = appendValue(append(b, 0), descriptor)
		count := max(len(list), fieldCounts[descriptor])
		b = appendCompound(b, 0xd0, count, func(b []byte) []byte {
			for _, v := range list {
				b = appendValue(b, v)
			}
			for range count - len(list) {
				b = appendValue(b, nil)
			}
			return b
		})
	}
	b = append(b, payload...)
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at))
	return b
}

// amqpError is an error of the protocol, as detach and close carry it.
type amqpError struct{ condition, description string }

func (e *amqpError) Error() string { return e.condition + ": " + e.description }

func (e *amqpError) encode() any {
	if e == nil {
		return nil
	}
	return described{uint64(typeError), []any{symbol(e.condition), e.description, nil}}
}

func errorf(condition, format string, args ...any) *amqpError {
	return &amqpError{condition, fmt.Sprintf(format, args...)}
}
