package emulator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// The values of AMQP are Go values: nil, bool, the sized integers and floats, string, []byte (binary), time.Time
// (timestamp), and those below. A list is []any, a map is amqpMap, an array is []any after decoding; arrays are written
// from []symbol and []string.
type (
	symbol string
	uuid   [16]byte
	char   uint32
	// decimal is a value that is only passed on: its constructor and its bytes.
	decimal struct {
		code byte
		raw  []byte
	}
	// described is a value with a descriptor, as performatives and sections are.
	described struct {
		descriptor any
		value      any
	}
	// amqpMap keeps the order of its pairs; keys need not be strings.
	amqpMap []pair
	pair    struct{ key, value any }
)

// get returns the value of a key that is a string or a symbol; nil where it is missing.
func (m amqpMap) get(key string) any {
	for _, p := range m {
		if text(p.key) == key {
			return p.value
		}
	}
	return nil
}

// text returns v as a string where it is a string or a symbol.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case symbol:
		return string(v)
	}
	return ""
}

// number returns an integer of any width; false for another type.
func number(v any) (int64, bool) {
	switch v := v.(type) {
	case uint8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case uint64:
		return int64(min(v, math.MaxInt64)), true
	case int8:
		return int64(v), true
	case int16:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	}
	return 0, false
}

// unsigned returns a field of a performative as uint32; 0 where it is missing or of another type.
func unsigned(v any) uint32 {
	n, _ := number(v)
	return uint32(n)
}

// maxDepth bounds how deep values may nest, so that a frame cannot exhaust the stack.
const maxDepth = 64

var errShort = errors.New("value ends too early")

// decoder reads values from the front of b.
type decoder struct{ b []byte }

// take returns the next n bytes.
func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || n > len(d.b) {
		return nil, errShort
	}
	taken := d.b[:n]
	d.b = d.b[n:]
	return taken, nil
}

// value reads one value.
func (d *decoder) value() (any, error) { return d.nested(0) }

func (d *decoder) nested(depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("values nest deeper than %d", maxDepth)
	}
	code, err := d.take(1)
	if err != nil {
		return nil, err
	}
	if code[0] != 0 {
		return d.body(code[0], depth)
	}
	descriptor, err := d.nested(depth + 1)
	if err != nil {
		return nil, err
	}
	value, err := d.nested(depth + 1)
	return described{descriptor, value}, err
}

// body reads what follows a constructor. The high half of a constructor says how the width is encoded.
func (d *decoder) body(code byte, depth int) (any, error) {
	switch code >> 4 {
	case 0x4:
		return constant(code)
	case 0x5, 0x6, 0x7, 0x8, 0x9:
		raw, err := d.take(1 << (code>>4 - 5))
		if err != nil {
			return nil, err
		}
		return fixed(code, raw)
	case 0xa, 0xb:
		raw, err := d.sized(code>>4 == 0xb)
		if err != nil {
			return nil, err
		}
		switch code & 0xf {
		case 0:
			return append([]byte(nil), raw...), nil
		case 1:
			return string(raw), nil
		case 3:
			return symbol(raw), nil
		}
	case 0xc, 0xd, 0xe, 0xf:
		wide := code&0x10 != 0
		raw, err := d.sized(wide)
		if err != nil {
			return nil, err
		}
		return compound(code, raw, wide, depth)
	}
	return nil, fmt.Errorf("unknown type 0x%02x", code)
}

// sized reads a size of one byte or four, and as many bytes.
func (d *decoder) sized(wide bool) ([]byte, error) {
	if !wide {
		n, err := d.take(1)
		if err != nil {
			return nil, err
		}
		return d.take(int(n[0]))
	}
	n, err := d.take(4)
	if err != nil {
		return nil, err
	}
	return d.take(int(binary.BigEndian.Uint32(n)))
}

func constant(code byte) (any, error) {
	switch code {
	case 0x40:
		return nil, nil
	case 0x41, 0x42:
		return code == 0x41, nil
	case 0x43:
		return uint32(0), nil
	case 0x44:
		return uint64(0), nil
	case 0x45:
		return []any{}, nil
	}
	return nil, fmt.Errorf("unknown type 0x%02x", code)
}

func fixed(code byte, raw []byte) (any, error) {
	switch code {
	case 0x50:
		return raw[0], nil
	case 0x51:
		return int8(raw[0]), nil
	case 0x52:
		return uint32(raw[0]), nil
	case 0x53:
		return uint64(raw[0]), nil
	case 0x54:
		return int32(int8(raw[0])), nil
	case 0x55:
		return int64(int8(raw[0])), nil
	case 0x56:
		return raw[0] != 0, nil
	case 0x60:
		return binary.BigEndian.Uint16(raw), nil
	case 0x61:
		return int16(binary.BigEndian.Uint16(raw)), nil
	case 0x70:
		return binary.BigEndian.Uint32(raw), nil
	case 0x71:
		return int32(binary.BigEndian.Uint32(raw)), nil
	case 0x72:
		return math.Float32frombits(binary.BigEndian.Uint32(raw)), nil
	case 0x73:
		return char(binary.BigEndian.Uint32(raw)), nil
	case 0x80:
		return binary.BigEndian.Uint64(raw), nil
	case 0x81:
		return int64(binary.BigEndian.Uint64(raw)), nil
	case 0x82:
		return math.Float64frombits(binary.BigEndian.Uint64(raw)), nil
	case 0x83:
		return time.UnixMilli(int64(binary.BigEndian.Uint64(raw))).UTC(), nil
	case 0x98:
		return uuid(raw), nil
	case 0x74, 0x84, 0x94:
		return decimal{code, append([]byte(nil), raw...)}, nil
	}
	return nil, fmt.Errorf("unknown type 0x%02x", code)
}

// compound reads the elements of a list, a map or an array.
func compound(code byte, raw []byte, wide bool, depth int) (any, error) {
	d := decoder{raw}
	var count int
	width := 1
	if wide {
		width = 4
	}
	head, err := d.take(width)
	if err != nil {
		return nil, err
	}
	if count = int(head[0]); wide {
		count = int(binary.BigEndian.Uint32(head))
	}
	if count > len(raw) { // also for elements without bytes: a frame buys no more memory than it has bytes
		return nil, fmt.Errorf("%d elements in %d bytes", count, len(raw))
	}
	if code>>5 == 0x7 {
		return array(d, count, depth)
	}
	isMap := code&0xf == 1
	if code&0xf > 1 || isMap && count%2 != 0 {
		return nil, fmt.Errorf("malformed value of type 0x%02x with %d elements", code, count)
	}
	items := make([]any, count)
	for i := range items {
		if items[i], err = d.nested(depth + 1); err != nil {
			return nil, err
		}
	}
	if !isMap {
		return items, nil
	}
	m := make(amqpMap, 0, count/2)
	for i := 0; i < count; i += 2 {
		m = append(m, pair{items[i], items[i+1]})
	}
	return m, nil
}

// array reads count elements that share one constructor.
func array(d decoder, count, depth int) (any, error) {
	code, err := d.take(1)
	if err != nil {
		return nil, err
	}
	var descriptor any
	isDescribed := code[0] == 0
	if isDescribed {
		if descriptor, err = d.nested(depth + 1); err != nil {
			return nil, err
		}
		if code, err = d.take(1); err != nil {
			return nil, err
		}
	}
	if depth >= maxDepth {
		return nil, fmt.Errorf("values nest deeper than %d", maxDepth)
	}
	items := make([]any, count)
	for i := range items {
		if items[i], err = d.body(code[0], depth+1); err != nil {
			return nil, err
		}
		if isDescribed {
			items[i] = described{descriptor, items[i]}
		}
	}
	return items, nil
}

// appendValue appends the encoding of v. It panics on a type that no decoder returns, which is a programming error.
func appendValue(b []byte, v any) []byte {
	be := binary.BigEndian
	switch v := v.(type) {
	case nil:
		return append(b, 0x40)
	case bool:
		if v {
			return append(b, 0x41)
		}
		return append(b, 0x42)
	case uint8:
		return append(b, 0x50, v)
	case int8:
		return append(b, 0x51, byte(v))
	case uint16:
		return be.AppendUint16(append(b, 0x60), v)
	case int16:
		return be.AppendUint16(append(b, 0x61), uint16(v))
	case uint32:
		return be.AppendUint32(append(b, 0x70), v)
	case int32:
		return be.AppendUint32(append(b, 0x71), uint32(v))
	case float32:
		return be.AppendUint32(append(b, 0x72), math.Float32bits(v))
	case char:
		return be.AppendUint32(append(b, 0x73), uint32(v))
	case uint64:
		if v < 256 { // as descriptors are written
			return append(b, 0x53, byte(v))
		}
		return be.AppendUint64(append(b, 0x80), v)
	case int64:
		return be.AppendUint64(append(b, 0x81), uint64(v))
	case float64:
		return be.AppendUint64(append(b, 0x82), math.Float64bits(v))
	case time.Time:
		return be.AppendUint64(append(b, 0x83), uint64(v.UnixMilli()))
	case uuid:
		return append(append(b, 0x98), v[:]...)
	case decimal:
		return append(append(b, v.code), v.raw...)
	case []byte:
		return append(be.AppendUint32(append(b, 0xb0), uint32(len(v))), v...)
	case string:
		return append(be.AppendUint32(append(b, 0xb1), uint32(len(v))), v...)
	case symbol:
		return append(be.AppendUint32(append(b, 0xb3), uint32(len(v))), v...)
	case described:
		return appendValue(appendValue(append(b, 0), v.descriptor), v.value)
	case []any:
		return appendCompound(b, 0xd0, len(v), func(b []byte) []byte {
			for _, item := range v {
				b = appendValue(b, item)
			}
			return b
		})
	case amqpMap:
		return appendCompound(b, 0xd1, 2*len(v), func(b []byte) []byte {
			for _, p := range v {
				b = appendValue(appendValue(b, p.key), p.value)
			}
			return b
		})
	case []symbol:
		return appendTexts(b, 0xb3, v)
	case []string:
		return appendTexts(b, 0xb1, v)
	}
	panic(fmt.Sprintf("emulator: cannot encode %T", v))
}

// appendTexts appends an array of strings or symbols.
func appendTexts[T ~string](b []byte, code byte, items []T) []byte {
	return appendCompound(b, 0xf0, len(items), func(b []byte) []byte {
		b = append(b, code)
		for _, item := range items {
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(item))), item...)
		}
		return b
	})
}

// appendCompound appends a constructor, the size of what follows, the count, and the items.
func appendCompound(b []byte, code byte, count int, items func([]byte) []byte) []byte {
	at := len(b) + 1
	b = append(b, code, 0, 0, 0, 0)
	b = items(binary.BigEndian.AppendUint32(b, uint32(count)))
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}
