package queue

import (
	"container/heap"

	"ucwarden/ondemand"
)

// readyTasks holds the tasks that can run now. Those of full syncs are apart, because they may not have every worker.
//
// On-demand tasks of one priority take turns by owner: the first task that waits of each, then the second of each, and so on.
// Whoever posts ten thousand tasks delays the next one of somebody else by one.
type readyTasks struct {
	onDemand, shards entryHeap
	last             map[string]uint64 // the last turn of each lane that has one to come
	turn             uint64            // of the task that was taken last
}

// isShard reports whether a task is part of a full sync, or plans one.
func (e *entry) isShard() bool {
	return e.priority <= ondemand.ShardPriority || e.typ == ondemand.FullSync
}

// before orders tasks by priority, then as they were received.
func before(a, b *entry) bool {
	switch {
	case a.priority != b.priority:
		return a.priority > b.priority
	case !a.received.Equal(b.received):
		return a.received.Before(b.received)
	}
	return a.id < b.id
}

// inTurn orders tasks by priority, then by turn.
func inTurn(a, b *entry) bool {
	if a.priority == b.priority && a.turn != b.turn {
		return a.turn < b.turn
	}
	return before(a, b)
}

func (r *readyTasks) push(e *entry) {
	if e.isShard() {
		r.shards.push(e)
		return
	}
	if e.turn == 0 {
		e.turn = max(r.turn, r.last[e.lane]+1)
		r.last[e.lane] = e.turn
	}
	r.onDemand.push(e)
}

// next returns the first task for which there is room; nil when there is none.
func (r *readyTasks) next(free room) *entry {
	e := r.onDemand.peek()
	if e != nil && e.priority < free.least {
		e = nil
	}
	if shard := r.shards.peek(); e == nil && free.shards {
		return shard
	}
	return e
}

// took notes that the turn of a task has come.
func (r *readyTasks) took(e *entry) {
	r.turn = max(r.turn, e.turn)
	if r.last[e.lane] <= r.turn {
		delete(r.last, e.lane)
	}
}

// entryHeap is a priority queue whose entries know their index, so that any of them can be removed.
type entryHeap struct {
	list []*entry
	less func(a, b *entry) bool
}

func (h *entryHeap) push(e *entry) { heap.Push(h, e) }

func (h *entryHeap) remove(e *entry) { heap.Remove(h, e.index) }

func (h *entryHeap) peek() *entry {
	if len(h.list) == 0 {
		return nil
	}
	return h.list[0]
}

// Len, Less, Swap, Push and Pop are heap.Interface.
func (h *entryHeap) Len() int           { return len(h.list) }
func (h *entryHeap) Less(i, j int) bool { return h.less(h.list[i], h.list[j]) }

func (h *entryHeap) Swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.list[i].index, h.list[j].index = i, j
}

func (h *entryHeap) Push(x any) {
	e := x.(*entry)
	e.heap, e.index = h, len(h.list)
	h.list = append(h.list, e)
}

func (h *entryHeap) Pop() any {
	n := len(h.list) - 1
	e := h.list[n]
	h.list[n] = nil
	h.list = h.list[:n]
	e.heap, e.index = nil, -1
	return e
}
