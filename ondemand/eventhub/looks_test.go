package eventhub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// The hub is asked what it is and what its partitions hold as often as the service answers and no oftener, however fast events
// come on however many partitions, and however often partitions are looked for.
func TestLooksAreLimited(t *testing.T) {
	t.Parallel()
	const rounds, size = 24, 40
	for name, test := range map[string]struct {
		partitions int
		looking    time.Duration
	}{
		"events":         {8, deadline},
		"new partitions": {1, time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			partitions := test.partitions
			r := newRig(t, partitions, 0)
			r.o.RefreshEvery, r.o.IdleCheck = test.looking, deadline
			start := time.Now()
			r.consume(r.o)
			var publishing sync.WaitGroup
			for id := range partitions {
				publishing.Go(func() {
					for round := range rounds {
						bodies := make([]string, size*(round%2)+1) // a backlog now and then, and single events
						for i := range bodies {
							bodies[i] = document(fmt.Sprintf("%d-%d-%d", id, round, i), "t")
						}
						if err := r.send(fmt.Sprint(id), bodies...); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			publishing.Wait()
			r.awaitTasks(partitions * (rounds + rounds/2*size))
			w := httptest.NewRecorder()
			r.hub.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/_emulator/status", nil))
			var status struct{ Reads int }
			if err := json.Unmarshal(w.Body.Bytes(), &status); err != nil {
				t.Fatal(err)
			}
			took := time.Since(start)
			t.Logf("%d calls in %v", status.Reads, took)
			if most := 10 + int(took/(25*time.Millisecond)); status.Reads > most || status.Reads < 2 {
				t.Errorf("the hub was asked %d times in %v, want at least 2, and at most 10 at once and one in 25ms", status.Reads, took)
			}
		})
	}
}
