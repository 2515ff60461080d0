package drift

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"sort"

	"ucwarden/policy"
)

// entrySize is how long an entry of a Record is: 8 bytes each of the hashes of the securable's name and of its grants.
const entrySize = 16

// Record is which grants a sync made sure of in a part of the workspace: for each securable that policies grant something on, a hash of all
// of that, sorted by the hash of its name. It can be stored as it is; nil is that of nothing.
type Record []byte

// NewRecord returns the record of the securables that were read, which are as desired from then on.
func NewRecord(read []policy.Securable, desired *policy.GrantSet) Record {
	h := newHasher()
	entries := make([][entrySize]byte, 0, len(read))
	for _, s := range read {
		if list := desired.Of(s); len(list) > 0 {
			entries = append(entries, h.entry(s, list))
		}
	}
	slices.SortFunc(entries, func(a, b [entrySize]byte) int { return bytes.Compare(a[:], b[:]) })
	r := make(Record, 0, entrySize*len(entries))
	for _, e := range entries {
		r = append(r, e[:]...)
	}
	return r
}

// hasher hashes grants; alike objects share lists of them.
type hasher struct {
	lists map[*policy.Assignment]listHash
	text  []byte // what is hashed
}

type listHash struct {
	length int
	sum    [sha256.Size]byte
}

func newHasher() *hasher { return &hasher{lists: make(map[*policy.Assignment]listHash)} }

func (h *hasher) entry(s policy.Securable, list []policy.Assignment) (e [entrySize]byte) {
	h.text = h.text[:0]
	h.write(string(s.Type), s.FullName)
	name := sha256.Sum256(h.text)
	copy(e[:8], name[:])
	if len(list) == 0 {
		return e // unlike that of any list
	}
	known, found := h.lists[&list[0]]
	if !found || known.length != len(list) {
		h.text = h.text[:0]
		for _, a := range list {
			h.write(a.Kind.String(), a.Name, string(a.Privilege))
		}
		known = listHash{len(list), sha256.Sum256(h.text)}
		h.lists[&list[0]] = known
	}
	copy(e[8:], known.sum[:])
	return e
}

// write adds texts, each with its length, so that no others give the same.
func (h *hasher) write(texts ...string) {
	for _, text := range texts {
		h.text = append(binary.AppendUvarint(h.text, uint64(len(text))), text...)
	}
}

// find returns where in the record the entry of a securable is, or would be.
func (r Record) find(e [entrySize]byte) (at int, found bool) {
	n := len(r) / entrySize
	i := sort.Search(n, func(i int) bool { return bytes.Compare(r[i*entrySize:][:8], e[:8]) >= 0 })
	return i * entrySize, i < n && bytes.Equal(r[i*entrySize:][:8], e[:8])
}

// Without returns the record without some securables: it is not known what is granted there.
func (r Record) Without(list []policy.Securable) Record {
	if len(list) == 0 {
		return r
	}
	h := newHasher()
	whatever := []policy.Assignment{{}}
	left := make(map[[8]byte]bool, len(list))
	for _, s := range list {
		e := h.entry(s, whatever)
		left[[8]byte(e[:8])] = true
	}
	rest := make(Record, 0, len(r))
	for e := range slices.Chunk(r, entrySize) {
		if len(e) == entrySize && !left[[8]byte(e[:8])] {
			rest = append(rest, e...)
		}
	}
	return rest
}

// Note notes in the causes of changes what others changed since the records were made. A grant is put back that a record has, on a
// securable of which policies want now exactly what they wanted then. One that no policy asks for is no drift where they want something
// else now than then: it may be what they no longer ask for. That is not looked at where policies are not enforced, since records are of
// what was. desired is what policies want now; recordOf returns the record of the part
// of the workspace that a securable is in.
func Note(changes []policy.Change, desired *policy.GrantSet, recordOf func(policy.Securable) Record, enforced bool) {
	h := newHasher()
	for i := range changes {
		c := &changes[i]
		e := h.entry(c.Securable, desired.Of(c.Securable))
		r := recordOf(c.Securable)
		at, found := r.find(e)
		if !found {
			continue
		}
		causes := maps.Clone(c.Causes) // which alike objects share
		if causes == nil {
			causes = make(policy.Causes)
		}
		if bytes.Equal(r[at:][:entrySize], e[:]) {
			for _, a := range c.Add {
				if cause := causes.Of(policy.ActAdd, a); cause.Kind != policy.CauseKept {
					cause.PutBack = true
					causes.Set(policy.ActAdd, a, cause)
				}
			}
		} else if enforced {
			for _, a := range c.Remove {
				if cause := causes.Of(policy.ActRemove, a); cause.Kind == policy.CauseDrift {
					cause.PoliciesChanged = true
					causes.Set(policy.ActRemove, a, cause)
				}
			}
		}
		c.Causes = causes
	}
}
