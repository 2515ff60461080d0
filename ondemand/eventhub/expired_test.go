package eventhub_test

import (
	"fmt"
	"testing"
)

// A partition whose events the hub has deleted is idle, not silent; what nobody read of them is said once.
func TestExpiredEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, 0)
	r.publish("0", document("a", "t"))
	r.publish("1", document("old", "t"))
	r.hub.Expire("1") // before the first contact
	_, stop := r.consume(r.o)
	r.awaitTasks(1)
	stop()
	r.publish("0", document("b", "t"), document("c", "t"))
	r.hub.Expire("0") // while nobody reads
	_, stop = r.consume(r.o)
	r.eventually(func() string {
		if n := r.logged.count("deleted events before they were read"); n != 1 {
			return fmt.Sprintf("said %d times", n)
		}
		return ""
	})
	stop()
	r.publish("0", document("d", "t"))
	r.hub.Expire("0")
	r.publish("0", document("e", "t"))
	r.consume(r.o)
	r.publish("1", document("new", "t"))
	r.awaitTasks(3) // a, e, new
	if n := r.logged.count("deleted events before they were read"); n != 2 {
		t.Errorf("said %d times, want once for each time", n)
	}
	if n := r.logged.count("went silent"); n != 0 {
		t.Errorf("taken for silent %d times", n)
	}
}
