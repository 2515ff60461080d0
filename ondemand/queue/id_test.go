package queue

import (
	"strings"
	"testing"
)

func TestIDsSortByTime(t *testing.T) {
	var m idGenerator
	last := ""
	for range 10_000 {
		id := m.next()
		if id <= last {
			t.Fatalf("id %s does not sort after %s", id, last)
		}
		if len(id) != 36 || id[14] != '7' || !strings.Contains("89ab", id[19:20]) {
			t.Fatalf("id %s is no UUID of version 7", id)
		}
		last = id
	}
}
