package ranger

import (
	"slices"
	"strconv"
	"strings"
)

// Fault is something in a policy that cannot be understood: a field that Ranger's model does not have, a value of the wrong
// kind, a name that the service definition does not have. A fault binds the least that it is about, which package rules
// decides: what cannot be understood allows nothing, and closes what it might deny.
type Fault struct {
	Field  string `json:"field"`            // path in the policy, as "denyPolicyItems[0].accesses[1].type"
	Known  string `json:"known,omitempty"`  // of a field that the model does not have: the field that was probably meant
	Reason string `json:"reason,omitempty"` // what is wrong, and what to write instead
	// Unknown is set for a field that the model does not have: of the policy, or of the file around it.
	Unknown bool `json:"unknown,omitempty"`
}

// EntryField is the field of a fault about an entry in a list of policies that is no policy, but a text, a number or null: what
// stood there, or was to, may deny.
const EntryField = "entry"

// DuplicateKey is the reason of a fault about a field that an object has twice.
const DuplicateKey = "duplicate key: the object has it twice; keep one"

// NullEntry is the fault of an entry in a list of policies that is null.
var NullEntry = Fault{Field: EntryField, Reason: "it is null; write the policy, or remove it"}

// FileField is the field of a fault about the file that the policy stands in. No field of a policy has such a name.
const FileField = "its file"

// String returns the field and what is wrong with it.
func (f Fault) String() string {
	if f.Field == "" {
		return f.Reason
	}
	return f.Field + ": " + f.Reason
}

// IsEntry reports whether the fault is about an entry in a list of policies that is no policy. A policy may have a field of that
// name, which nobody knows.
func (f Fault) IsEntry() bool { return f.Field == EntryField && !f.Unknown && !f.IsDuplicate() }

// IsDuplicate reports whether the object has the field twice, so that one of two values was read, and nobody knows which is meant.
func (f Fault) IsDuplicate() bool { return f.Reason == DuplicateKey }

// Step returns the first step of the field's path: the name of a field of the policy, the index behind it, -1 where there
// is none, and the rest of the path.
func (f Fault) Step() (name string, index int, rest string) {
	name, rest, _ = strings.Cut(f.Field, ".")
	index = -1
	if at := strings.IndexByte(name, '['); at >= 0 && strings.HasSuffix(name, "]") {
		if n, err := strconv.Atoi(name[at+1 : len(name)-1]); err == nil {
			index = n
		}
		name = name[:at]
	}
	return name, index, rest
}

// WithFaults returns the policies with further faults, by their index in the list: the list itself where there are none,
// else a copy. A fault of, or in, a field that has one already says nothing new and is left out, and so does any of what is
// no policy.
func WithFaults(policies []Policy, faults map[int][]Fault) []Policy {
	if len(faults) == 0 {
		return policies
	}
	policies = slices.Clone(policies)
	for i, list := range faults {
		p := &policies[i]
		known := p.Faults
		for _, f := range list {
			if !slices.ContainsFunc(known, func(k Fault) bool {
				return k.IsEntry() || within(f.Field, k.Field) || within(k.Field, f.Field)
			}) {
				p.Faults = append(slices.Clip(p.Faults), f)
			}
		}
	}
	return policies
}

// Within reports whether the fault is the field at path, or something in it.
func (f Fault) Within(path string) bool { return within(f.Field, path) }

// within reports whether the path inner is outer, or leads to something in it.
func within(inner, outer string) bool {
	rest, ok := strings.CutPrefix(inner, outer)
	return outer == "" || ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
