package emulator

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// hub holds the events. Server.mu guards it.
type hub struct {
	created    time.Time
	partitions []*partition
	next       int // partition of the next event without a key
}

type partition struct {
	id        string
	events    []event // event i has sequence number i
	expired   int     // how many of the first are not there any more
	size      int64
	muted     bool
	receivers []*link
}

// event is a stored event: its message with the annotations of the service.
type event struct {
	offset   string
	enqueued time.Time
	message  []byte
}

func newHub(partitions int) *hub {
	h := &hub{created: time.Now().UTC().Truncate(time.Millisecond)}
	for range partitions {
		h.add()
	}
	return h
}

func (h *hub) add() {
	h.partitions = append(h.partitions, &partition{id: strconv.Itoa(len(h.partitions))})
}

// partition returns the partition of an id; nil where there is none.
func (h *hub) partition(id string) *partition {
	for _, p := range h.partitions {
		if p.id == id {
			return p
		}
	}
	return nil
}

// choose returns the partition for an event with a key or without.
func (h *hub) choose(key string) *partition {
	if key == "" {
		h.next++
		return h.partitions[h.next%len(h.partitions)]
	}
	sum := fnv.New32a()
	sum.Write([]byte(key))
	return h.partitions[int(sum.Sum32()%uint32(len(h.partitions)))]
}

// append stores messages one after another and notifies those who wait for them.
func (p *partition) append(messages [][]section, geo bool) {
	for _, m := range messages {
		now := time.Now().UTC().Truncate(time.Millisecond)
		sequence := int64(len(p.events))
		offset := strconv.FormatInt(p.size, 10)
		if geo {
			offset = fmt.Sprintf("1:%d:%d", p.size, sequence)
		}
		message := annotate(m, amqpMap{
			{symbol("x-opt-sequence-number"), sequence},
			{symbol("x-opt-offset"), offset},
			{symbol("x-opt-enqueued-time"), now},
		})
		p.events = append(p.events, event{offset, now, message})
		p.size += int64(len(message))
	}
	p.notify()
}

func (p *partition) notify() {
	for _, l := range p.receivers {
		l.notify()
	}
}

// properties are what a READ of the partition answers.
func (p *partition) properties(name string) amqpMap {
	offset, enqueued := "-1", time.UnixMilli(0).UTC()
	if n := len(p.events); n > 0 {
		offset, enqueued = p.events[n-1].offset, p.events[n-1].enqueued
	}
	return amqpMap{
		{"name", name}, {"type", "com.microsoft:partition"}, {"partition", p.id},
		{"begin_sequence_number", int64(p.expired)}, {"last_enqueued_sequence_number", int64(len(p.events)) - 1},
		{"last_enqueued_offset", offset}, {"last_enqueued_time_utc", enqueued}, {"is_partition_empty", len(p.events) == p.expired},
	}
}

// properties are what a READ of the hub answers.
func (h *hub) properties(name string, geo bool) amqpMap {
	ids := make([]string, len(h.partitions))
	for i, p := range h.partitions {
		ids[i] = p.id
	}
	factor := int32(1)
	if geo {
		factor = 2
	}
	return amqpMap{
		{"name", name}, {"type", "com.microsoft:eventhub"}, {"created_at", h.created},
		{"partition_count", int32(len(ids))}, {"partition_ids", ids}, {"georeplication_factor", factor},
	}
}

var selector = regexp.MustCompile(`^amqp\.annotation\.x-opt-(offset|sequence-number|enqueued-time)\s*(>=?)\s*'([^']*)'$`)

// position returns the index of the first event that a selector asks for.
func (p *partition) position(expression string, geo bool) (int, *amqpError) {
	if expression == "" {
		return 0, nil
	}
	m := selector.FindStringSubmatch(strings.TrimSpace(expression))
	if m == nil {
		return 0, errorf("amqp:invalid-field", "the selector filter %q is not understood", expression)
	}
	field, inclusive, value := m[1], m[2] == ">=", m[3]
	if value == "@latest" {
		return len(p.events), nil
	}
	if field == "offset" && geo {
		if value == "-1" {
			return 0, nil
		}
		for i, e := range p.events {
			if e.offset == value {
				return after(i, inclusive), nil
			}
		}
		return 0, errorf("com.microsoft:georeplication:invalid-offset", "the offset %q is not one of this geo-replicated hub", value)
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, errorf("amqp:invalid-field", "the selector filter %q has no number", expression)
	}
	switch field {
	case "sequence-number":
		if n >= int64(len(p.events)) && n > 0 {
			return 0, errorf("com.microsoft:argument-out-of-range", "the sequence number %d is not in partition %s, whose last is %d", n, p.id, len(p.events)-1)
		}
		return after(int(max(n, -1)), inclusive && n >= 0), nil
	case "enqueued-time":
		for i, e := range p.events {
			if at := e.enqueued.UnixMilli(); at > n || at == n && inclusive {
				return i, nil
			}
		}
		return len(p.events), nil
	}
	for i, e := range p.events {
		if at, _ := strconv.ParseInt(e.offset, 10, 64); at > n || at == n && inclusive {
			return i, nil
		}
	}
	return len(p.events), nil
}

func after(i int, inclusive bool) int {
	if inclusive {
		return i
	}
	return i + 1
}
