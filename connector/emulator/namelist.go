package emulator

import (
	"iter"
	"slices"
	"sort"
	"strings"
)

// nameList holds the objects of one type in one container, sorted by name. They are kept in chunks, and an insert moves
// the elements of one chunk only, so that inserting a million tables in any order does not take quadratic time. The zero
// value is an empty list.
type nameList struct {
	chunks [][]*object // none is empty; every name of a chunk is below every name of the next
	size   int
}

const maxChunk = 1024

// chunkOf returns the index of the chunk that holds name, or where it would be inserted.
func (l *nameList) chunkOf(name string) int {
	i := sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i][0].name > name })
	return max(i-1, 0)
}

func (l *nameList) find(name string) (chunk, index int, found bool) {
	if len(l.chunks) == 0 {
		return 0, 0, false
	}
	chunk = l.chunkOf(name)
	index, found = slices.BinarySearchFunc(l.chunks[chunk], name, func(o *object, name string) int {
		return strings.Compare(o.name, name)
	})
	return chunk, index, found
}

// get returns the object of that name, or nil.
func (l *nameList) get(name string) *object {
	if l == nil {
		return nil
	}
	if chunk, index, found := l.find(name); found {
		return l.chunks[chunk][index]
	}
	return nil
}

// insert adds o, whose name must not be in the list yet.
func (l *nameList) insert(o *object) {
	l.size++
	if len(l.chunks) == 0 {
		l.chunks = [][]*object{{o}}
		return
	}
	c, i, _ := l.find(o.name)
	if chunk := l.chunks[c]; len(chunk) >= maxChunk {
		half := len(chunk) / 2
		if c == len(l.chunks)-1 && i == len(chunk) {
			half = len(chunk) // inserted in order: keep the chunks full
		}
		if half == len(chunk) {
			l.chunks = append(l.chunks, []*object{o})
			return
		}
		l.chunks = slices.Insert(l.chunks, c+1, slices.Clone(chunk[half:]))
		clear(chunk[half:])
		l.chunks[c] = chunk[:half]
		if i > half {
			c, i = c+1, i-half
		}
	}
	l.chunks[c] = slices.Insert(l.chunks[c], i, o)
}

// remove removes the object of that name, if there is one.
func (l *nameList) remove(name string) {
	c, i, found := l.find(name)
	if !found {
		return
	}
	l.size--
	l.chunks[c] = slices.Delete(l.chunks[c], i, i+1)
	if len(l.chunks[c]) == 0 {
		l.chunks = slices.Delete(l.chunks, c, c+1)
	}
}

func (l *nameList) len() int {
	if l == nil {
		return 0
	}
	return l.size
}

// after ranges over the objects whose name is above the given one, in order; "" ranges over all.
func (l *nameList) after(name string) iter.Seq[*object] {
	return func(yield func(*object) bool) {
		if l == nil || len(l.chunks) == 0 {
			return
		}
		c, i, found := l.find(name)
		if found {
			i++
		}
		for ; c < len(l.chunks); c, i = c+1, 0 {
			for _, o := range l.chunks[c][i:] {
				if !yield(o) {
					return
				}
			}
		}
	}
}
