package ranger

import (
	"fmt"
	"reflect"
	"strings"
	"ucwarden/policy"
)

// UnknownField is a field of a document that Ranger's model does not have, or has but whose meaning is not read here.
type UnknownField struct {
	Path     string // of the field in its document: "policies[3].denyPolicyItem"
	Name     string // the field's own name
	Nearest  string // the known field of the same object that was probably meant, "" when none is near
	PolicyID int64  // of the policy the field stands in, 0 outside of policies
	Policy   string // its name
	InPolicy bool   // it stands in a policy
	// Ignored is set for a field that Ranger reads to decide access and that has no effect here. It is reported only
	// where it holds something.
	Ignored bool
}

// String returns the field's path, the policy it is in, what is wrong with it and what to write instead.
func (u UnknownField) String() string {
	var b strings.Builder
	b.WriteString(u.Path)
	if u.Policy != "" || u.PolicyID != 0 {
		fmt.Fprintf(&b, " (policy %d %q)", u.PolicyID, u.Policy)
	}
	b.WriteString(" " + u.reason())
	return b.String()
}

// reason returns what is wrong with the field and what to write instead.
func (u UnknownField) reason() string {
	switch {
	case u.Ignored:
		return "decides access in Ranger but is not supported here"
	case u.Nearest != "":
		return fmt.Sprintf("is not a field of Ranger's model; did you mean %s?", u.Nearest)
	}
	return "is not a field of Ranger's model"
}

// maxUnknown is how many unknown fields of one document are kept. A newer server may add a field to each of its
// policies; a document made to exhaust memory has millions.
const maxUnknown = 10_000

// strictShown is how many unknown fields an error names.
const strictShown = 5

// StrictError returns an error of class CodeInvalid that names the unknown fields of the document read from origin, at
// most five of them, each with its path and the nearest known field. It returns nil when there are none.
//
// Callers decide who is strict. Files are: a misspelt field there is one that its author relies on. Downloads from
// Ranger Admin are not, because newer servers add fields.
func StrictError(unknown []UnknownField, origin string) error {
	if len(unknown) == 0 {
		return nil
	}
	var b strings.Builder
	for i, u := range unknown[:min(len(unknown), strictShown)] {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(u.String())
	}
	if more := len(unknown) - strictShown; more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return policy.Errorf(policy.CodeInvalid, "%s: %s", origin, b.String())
}

// MarkUnreadable records in each of the policies why it cannot be understood. It is for callers that must go on with a
// file that strict parsing refused: the allows of such a policy grant nothing, and what it is about is closed. A policy
// that has a reason keeps it.
func MarkUnreadable(policies []Policy, reason string) {
	for i := range policies {
		if policies[i].Unreadable == "" {
			policies[i].Unreadable = reason
		}
	}
}

// UnknownFields returns the fields of a JSON document that neither the type of into nor Ranger's model has, in the order
// of the document. into is a value of the type, or a pointer to one, that the document is read into; it is not changed.
// Names must match exactly, in case too. The names in objects with free keys, such as resources and options, are never
// unknown; the fields of their values may be.
//
// Errors are of class CodeInvalid: the document is no valid JSON, or an object in it has the same key twice, of which
// encoding/json would keep one in silence. They name the place, beginning with origin.
func UnknownFields(data []byte, origin string, into any) ([]UnknownField, error) {
	w, err := inspect(trimBOM(data), origin, into)
	if err != nil {
		return nil, err
	}
	return w.unknown, nil
}

// inspect walks a document with the fields of into's type.
func inspect(data []byte, origin string, into any) (*walker, error) {
	if at := invalidUTF8(data); at >= 0 {
		return nil, policy.Errorf(policy.CodeInvalid, "%s: %s is not valid UTF-8", origin, describeOffset(data, int64(at)))
	}
	typ := reflect.TypeOf(into)
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	w := &walker{data: data}
	if !w.document(schemaOf(typ)) {
		if err := unmarshal(data, origin, new(any)); err != nil {
			return nil, err
		}
		line, column := lineColumn(data, int64(w.at))
		return nil, policy.Errorf(policy.CodeInvalid, "%s: line %d, column %d: not valid JSON", origin, line, column+1)
	}
	if w.duplicate != "" {
		line, column := lineColumn(data, int64(w.duplicateAt))
		where := w.duplicate
		if id, name, rest, ok := policyAt(data, where); ok {
			where = fmt.Sprintf("policy %d %q: %s", id, name, rest)
		}
		return nil, policy.Errorf(policy.CodeInvalid, "%s: line %d, column %d: %s: duplicate key: the object has it twice; keep one",
			origin, line, column+1, where)
	}
	return w, nil
}

// read decodes a document and returns its unknown fields. Fields that differ from a known one in case only are not
// decoded, although encoding/json would take them for the known one: the last of "denyPolicyItems" and "denypolicyitems"
// would count. Ranger ignores such a field too. No version of it writes one, so somebody meant the known field: the
// policies that hold one are to be marked unreadable, by [walker.markMisspelt].
func read(data []byte, origin string, into any) (*walker, error) {
	data = trimBOM(data)
	w, err := inspect(data, origin, into)
	if err != nil {
		return nil, err
	}
	w.preallocate(into)
	return w, unmarshal(w.withoutMisspelt(), origin, into)
}

// preallocate makes room for the policies that the walk counted, so that decoding need not grow and copy the list.
func (w *walker) preallocate(into any) {
	switch doc := into.(type) {
	case *ServicePolicies:
		doc.Policies = w.room()
	case *[]Policy:
		*doc = w.room()
	}
}

func (w *walker) room() []Policy {
	const shortest = 32 // bytes of a policy that says anything
	if n := min(w.policies, len(w.data)/shortest); n > 0 {
		return make([]Policy, 0, n)
	}
	return nil
}

// withoutMisspelt returns the document without the names that differ from a known one in case only: each is
// overwritten by underscores, which are the name of no field, in a copy.
func (w *walker) withoutMisspelt() []byte {
	if len(w.misspelt) == 0 {
		return w.data
	}
	data := append([]byte(nil), w.data...)
	for _, span := range w.misspelt {
		for i := span.from; i < span.to; i++ {
			data[i] = '_'
		}
	}
	return data
}

// markMisspelt marks the policies unreadable that have a field whose name differs from a known one in case only. each
// ranges over the policies of the document: the path of a list, or of the only policy when index is negative.
func (w *walker) markMisspelt(each func(visit func(path string, index int, p *Policy))) {
	if len(w.closed) == 0 {
		return
	}
	closed := make(map[string]bool, len(w.closed))
	for _, path := range w.closed {
		closed[path] = true
	}
	each(func(path string, index int, p *Policy) {
		if index >= 0 {
			path = fmt.Sprintf("%s[%d]", path, index)
		}
		if closed[path] {
			p.Unreadable = "a field's name differs from the known one in case"
		}
	})
}
