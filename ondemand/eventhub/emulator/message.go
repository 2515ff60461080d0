package emulator

import "fmt"

// Descriptors of the sections of a message.
const (
	sectionHeader              = 0x70
	sectionDeliveryAnnotations = 0x71
	sectionAnnotations         = 0x72
	sectionProperties          = 0x73
	sectionApplication         = 0x74
	sectionData                = 0x75
	sectionSequence            = 0x76
	sectionValue               = 0x77
)

// batchFormat is the message format of a batch: its data sections are encoded messages.
const batchFormat = 0x80013700

// Fields of the properties section.
const (
	propMessageID     = 0
	propReplyTo       = 4
	propCorrelationID = 5
)

// section is one section of a message with its encoding, so that it is passed on byte by byte.
type section struct {
	code  uint64
	value any
	raw   []byte
}

// parseMessage splits a message into its sections.
func parseMessage(b []byte) ([]section, error) {
	var all []section
	for d := (decoder{b}); len(d.b) > 0; {
		before := d.b
		v, err := d.value()
		if err != nil {
			return nil, fmt.Errorf("decode message: %w", err)
		}
		s, ok := v.(described)
		code, isCode := s.descriptor.(uint64)
		if !ok || !isCode || code < sectionHeader || code > 0x78 {
			return nil, fmt.Errorf("decode message: not a section of a message")
		}
		all = append(all, section{code, s.value, before[:len(before)-len(d.b)]})
	}
	return all, nil
}

// find returns the value of the first section of a kind; nil where there is none.
func find(all []section, code uint64) any {
	for _, s := range all {
		if s.code == code {
			return s.value
		}
	}
	return nil
}

// property returns a field of the properties section.
func property(all []section, i int) any {
	list, _ := find(all, sectionProperties).([]any)
	return fields(list).at(i)
}

// annotation returns an annotation of the message as text.
func annotation(all []section, key string) string {
	m, _ := find(all, sectionAnnotations).(amqpMap)
	return text(m.get(key))
}

// annotate returns the message with annotations added to those its producer wrote, which cannot replace them.
func annotate(all []section, added amqpMap) []byte {
	var before, after []byte
	merged := added
	for _, s := range all {
		switch s.code {
		case sectionHeader, sectionDeliveryAnnotations:
			before = append(before, s.raw...)
		case sectionAnnotations:
			m, _ := s.value.(amqpMap)
			for _, p := range m {
				if added.get(text(p.key)) == nil {
					merged = append(merged, p)
				}
			}
		default:
			after = append(after, s.raw...)
		}
	}
	b := appendValue(before, described{uint64(sectionAnnotations), merged})
	return append(b, after...)
}
