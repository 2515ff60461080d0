package emulator

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

// Every kind of value is read as it was written.
func TestValues(t *testing.T) {
	for _, v := range []any{
		nil, true, false, uint8(1), uint16(2), uint32(3), uint64(4), uint64(1) << 40, int8(-1), int16(-2), int32(-3), int64(-4),
		float32(1.5), float64(-2.5), char('x'), time.UnixMilli(1234).UTC(), uuid{1, 2}, []byte{0, 1}, "text", symbol("symbol"),
		decimal{0x84, make([]byte, 8)}, []any{"a", []any{}, nil}, amqpMap{{symbol("k"), int32(1)}, {"l", amqpMap{}}},
		described{uint64(0x75), []byte("x")}, described{symbol("name"), nil},
	} {
		d := decoder{appendValue(nil, v)}
		got, err := d.value()
		if err != nil || !reflect.DeepEqual(got, v) || len(d.b) > 0 {
			t.Errorf("%#v: read %#v, %v, %d bytes left", v, got, err, len(d.b))
		}
	}
}

// Whatever arrives, a frame is read or refused; what was read is written and read again as the same.
func FuzzReadFrame(f *testing.F) {
	f.Add(encodeFrame(frameAMQP, 1, perfOpen, []any{"id", nil, uint32(512)}, nil))
	f.Add(encodeFrame(frameAMQP, 0, perfTransfer, []any{uint32(0), uint32(1), []byte{1}}, []byte("\x00\x53\x75\xa0\x01x")))
	f.Add(encodeFrame(frameSASL, 0, saslMechanisms, []any{[]symbol{"PLAIN"}}, nil))
	f.Add(encodeFrame(frameAMQP, 0, 0, nil, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readFrame(bytes.NewReader(b))
		if err != nil {
			return
		}
		_, _ = parseMessage(got.payload)
		again, err := readFrame(bytes.NewReader(encodeFrame(got.kind, got.channel, got.descriptor, got.fields, got.payload)))
		if len(b) < maxFrame/8 && (err != nil || again.descriptor != got.descriptor || !bytes.Equal(again.payload, got.payload)) {
			t.Errorf("written and read again: %+v, %v, want %+v", again, err, got)
		}
	})
}

// Each performative is written with all of its fields: not every client takes missing ones at the end for nothing.
func TestFramesAreWhole(t *testing.T) {
	t.Parallel()
	for descriptor, want := range fieldCounts {
		f, err := readFrame(bytes.NewReader(encodeFrame(frameAMQP, 1, descriptor, []any{nil}, nil)))
		if err != nil || len(f.fields) != want {
			t.Errorf("performative 0x%x has %d fields, want %d: %v", descriptor, len(f.fields), want, err)
		}
	}
	failure, _ := errorf("amqp:not-found", "gone").encode().(described)
	if list, _ := failure.value.([]any); len(list) != 3 {
		t.Errorf("an error has the fields %v, want three", list)
	}
}
