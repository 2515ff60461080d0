package script

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

// The bound on the memory of one run. The interpreter has none of its own, and there are too many ways to make values of it to count
// each, so the heap of the process is watched while a script runs, and the run is ended once a collection finds that it holds more
// than maxMemory. Scripts make values at up to 1 GB a second, and until the next collection the heap may be twice as large as what is
// held, as always: seen were at most 250 MB, where 2 GB were before. A watcher that the machine does not let run sees it later, which
// the deadline bounds.
const (
	maxMemory  = 64 << 20             // bytes held
	watchEvery = 2 * time.Millisecond // most scripts end before
)

// running is held by the one script that runs: what the heap grows by is its own. It belongs to the process because the heap does.
var running sync.Mutex

// memoryWatch tells when the heap holds too much more than when it was made.
type memoryWatch struct {
	samples []metrics.Sample
	start   uint64 // bytes of the heap at first, garbage too: what others hold may have been made since the last collection
	held    uint64 // bytes of the heap that the last collection until then found held
	marked  uint64 // bytes of the heap when it was last collected on our behalf
}

func newMemoryWatch() *memoryWatch {
	w := &memoryWatch{samples: []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"},
	}}
	w.start, w.held = w.read()
	w.marked = w.start
	return w
}

// read returns the bytes of all objects, garbage too, and of those that the last collection found held.
func (w *memoryWatch) read() (objects, held uint64) {
	metrics.Read(w.samples)
	return w.samples[0].Value.Uint64(), w.samples[1].Value.Uint64()
}

// tooMuch reports whether more than maxMemory is held. Where the heap is large, the next collection may be far off: it has one made.
func (w *memoryWatch) tooMuch() bool {
	objects, held := w.read()
	if objects > w.marked+maxMemory {
		runtime.GC()
		w.marked, held = w.read()
	}
	return held > w.start+maxMemory
}

// close collects what a script leaves that made much, lest it is taken for what others hold when the next one runs.
func (w *memoryWatch) close() {
	if objects, held := w.read(); objects > w.start+maxMemory/4 || held > w.held+maxMemory/4 {
		runtime.GC()
	}
}
