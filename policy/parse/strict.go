package parse

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ucwarden/input"
	"ucwarden/jsontext"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// mayRestrict reports whether a text of JSON speaks of restrictions, escaped or not.
func mayRestrict(text []byte) bool {
	lower := strings.ToLower(string(escapes.ReplaceAllFunc(text, func(escape []byte) []byte {
		code, _ := strconv.ParseUint(string(escape[2:]), 16, 32) // four digits
		return []byte(string(rune(code)))
	})))
	return slices.ContainsFunc(restricting, func(word string) bool { return strings.Contains(lower, word) })
}

// switchesOff reports whether a field that is neither object nor list, of that name and value in lower case, may say that what it stands
// in does not hold, or not always: "disabled", "validTo", or "active" that is false.
func switchesOff(name []byte, value string) bool {
	off := slices.Contains([]string{"false", "null", `""`, "0", `"false"`, `"no"`, "[]", "{}"}, value)
	lower := strings.ToLower(string(name))
	isSwitch := value == "true" || value == `"true"` || value == `"yes"` || value == "1" || off
	for _, on := range []string{"enabl", "valid", "active", "allow"} {
		if isSwitch && strings.Contains(lower, on) && !strings.Contains(lower, "in"+on) && !strings.Contains(lower, "not"+on) && !strings.Contains(lower, "disallow") {
			return off && value != "null" && value != `""`
		}
	}
	return !off && (mayRestrict(name) || strings.Contains(lower, "inactive") || strings.Contains(lower, "disallow"))
}

var escapes = regexp.MustCompile(`\\u[0-9a-fA-F]{4}`)

// restricting are words of which a field's name speaks of a restriction: one that nobody reads may be a deny.
var restricting = []string{"deny", "denied", "denies", "denial", "except", "exclud", "mask", "filter", "condition", "valid", "expir", "enabl", "disabl",
	"block", "forbid", "prohibit", "restrict", "revok", "limit"}

// isFault reports whether the field makes a part of its policy one that cannot be understood. Every one does in a file, and where it
// is near a known one. In a download or a suite those do whose name speaks of a restriction; others, such as newer servers add, are
// only reported.
func isFault(u *ranger.UnknownField, every bool) bool {
	if !u.InPolicy || u.Ignored {
		return false
	}
	return every || mayRestrict([]byte(u.Name))
}

// turning are words, in lower case, that turn what a field's name says into its opposite.
var turning = []string{"deny", "denied", "denies", "denial", "except", "exclu", "disallow", "forbid", "block", "prohibit", "revok", "restrict", "without",
	"not", "non", "but", "minus", "mask", "filter"}

// ofAllows matches the words that a field may have that is meant for policyItems.
var ofAllows = regexp.MustCompile("policy|policies|items?|allow(?:s|ed)?|grants?|permit(?:s|ted)?|access(?:es)?|list|[-_ ]")

// nearestField returns the known field that an unknown one may be meant for, "" where none is near; near is whether one is by its letters.
// It never returns one that says the opposite, for which what the field takes away would be given: "policyDenyItems" is meant for
// denyPolicyItems and not for policyItems, "exceptUsers" not for users, and "exceptions" may be those from an allow.
func nearestField(name string, known []string) (nearest string, near bool) {
	nearest = input.Nearest(name, known)
	if nearest == "" {
		return "", false
	}
	lower := strings.ToLower(name)
	const edits = 2
	if nearest == "denyExceptions" && !strings.Contains(lower, "den") && input.Distance(lower, strings.ToLower(nearest)) > edits {
		return "", true
	}
	for _, word := range turning {
		if strings.Contains(lower, word) && !strings.Contains(strings.ToLower(nearest), word) {
			var same []string
			for _, k := range known {
				if strings.Contains(strings.ToLower(k), word) {
					same = append(same, k)
				}
			}
			return input.Nearest(name, same), true
		}
	}
	if nearest == "policyItems" && input.Distance(lower, "policyitems") > edits && ofAllows.ReplaceAllString(lower, "") != "" {
		return "", true // some word of it may say that it restricts
	}
	return nearest, true
}

// referredTo are words in what an unknown field holds of which denies may depend on it.
var referredTo = []string{"rangerroles", "usergroupmapping", "serviceresources", "securityzone"}

// maxUnknown is how many unknown fields of one document are kept. A newer server may add a field to each of its
// policies; a document made to exhaust memory has millions.
const maxUnknown = 10_000

// strictShown is how many unknown fields an error names.
const strictShown = 5

// CheckFields returns an error of class CodeInvalid for the unknown fields outside of policies that are misspelt, by one edit
// or in case, in the document read from origin: what "securityZone", or "user" in a role, holds is not read, and nothing can
// be closed for it. It names at most five, each with its path and the known field. What stands in a policy binds that policy
// alone (see [Fault]), and other fields, which newer servers add, are only reported.
func CheckFields(unknown []ranger.UnknownField, origin string) error {
	return refuse(unknown, origin, func(u ranger.UnknownField) bool { return input.Misspelt(u.Name, []string{u.Nearest}) != "" })
}

// CheckFileFields is [CheckFields] for a file: every unknown field outside of policies is an error. Of a document of policies
// spared returns those far from any known one, which hold nothing that is known to be missing, and values of the wrong kind: its
// policies bear them.
func CheckFileFields(unknown []ranger.UnknownField, origin string, ofPolicies bool) (spared []ranger.UnknownField, err error) {
	err = refuse(unknown, origin, func(u ranger.UnknownField) bool {
		if u.Wrong == "" && (!ofPolicies || u.Nearest != "" || u.IsOfAnother()) {
			return true
		}
		spared = append(spared, u)
		return false
	})
	return spared, err
}

// refuse returns an error for the fields outside of policies that matter.
func refuse(unknown []ranger.UnknownField, origin string, matters func(ranger.UnknownField) bool) error {
	var refused []ranger.UnknownField
	for _, u := range unknown {
		if !u.InPolicy && !u.Ignored && matters(u) {
			refused = append(refused, u)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	var texts []string
	for _, u := range refused[:min(len(refused), strictShown)] {
		texts = append(texts, u.String())
	}
	if more := len(refused) - strictShown; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return policy.Errorf(policy.CodeInvalid, "%s: %s", origin, strings.Join(texts, "; "))
}

// UnknownFields returns the fields of a JSON document that neither the type of into nor Ranger's model has, in the order
// of the document. into is a value of the type, or a pointer to one, that the document is read into; it is not changed.
// Names must match exactly, in case too. The names in objects with free keys, such as resources and options, are never
// unknown; the fields of their values may be.
//
// Errors are of class CodeInvalid: the document is no valid JSON, or an object in it has the same key twice, of which
// encoding/json would keep one in silence. They name the place, beginning with origin.
func UnknownFields(data []byte, origin string, into any) ([]ranger.UnknownField, error) {
	w, err := inspect(jsontext.TrimBOM(data), origin, into, false)
	if err != nil {
		return nil, err
	}
	if w.invalidUTF8 {
		return nil, policy.Errorf(policy.CodeInvalid, "%s: %s is not valid UTF-8", origin, describeOffset(data, int64(jsontext.InvalidUTF8(data))))
	}
	if w.duplicate == "" && w.inPolicyDuplicate != "" {
		w.duplicate, w.duplicateAt = w.inPolicyDuplicate, w.inPolicyDuplicateAt
	}
	return w.unknown, w.duplicateError(origin)
}

// inspect walks a document with the fields of into's type. file says that it is a file.
func inspect(data []byte, origin string, into any, file bool) (*walker, error) {
	typ := reflect.TypeOf(into)
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	w := &walker{Scanner: jsontext.Scanner{Data: data}, file: file, invalidUTF8: !utf8.Valid(data), invalidAt: -1}
	if !w.document(schemaOf(typ)) {
		if err := unmarshal(data, origin, new(any)); err != nil {
			return nil, err
		}
		line, column := jsontext.LineColumn(data, int64(w.At))
		return nil, policy.Errorf(policy.CodeInvalid, "%s: line %d, column %d: not valid JSON", origin, line, column+1)
	}
	if w.invalidAt >= 0 {
		return nil, policy.Errorf(policy.CodeInvalid, "%s: %s is not valid UTF-8", origin, describeOffset(data, int64(w.invalidAt)))
	}
	return w, nil
}

// duplicateError returns an error for the first duplicate key, nil when there is none.
func (w *walker) duplicateError(origin string) error {
	if w.duplicate == "" {
		return nil
	}
	line, column := jsontext.LineColumn(w.Data, int64(w.duplicateAt))
	where := w.duplicate
	if id, name, rest, ok := policyAt(w.Data, where); ok {
		where = fmt.Sprintf("policy %d %q: %s", id, name, rest)
	}
	return policy.Errorf(policy.CodeInvalid, "%s: line %d, column %d: %s: %s", origin, line, column+1, where, ranger.DuplicateKey)
}

// twoResources is the fault of a policy of which it is not known what it is about.
var twoResources = ranger.Fault{Field: "resources", Reason: ranger.DuplicateKey}

// read decodes a document. What is wrong within a policy becomes a fault of that policy, and is not decoded: values of the
// wrong kind, fields that differ from a known one in case only, although encoding/json would take them for it (the last of
// "denyPolicyItems" and "denypolicyitems" would count); and fields that are misspelt, or that an object has twice. Call
// markFaults once the policies are where they belong.
func read(data []byte, origin string, into any, file bool) (*walker, error) {
	data = jsontext.TrimBOM(data)
	w, err := inspect(data, origin, into, file)
	if err != nil {
		return nil, err
	}
	if err := w.duplicateError(origin); err != nil {
		return nil, err
	}
	w.preallocate(into)
	data = w.withoutMisspelt()
	if err := unmarshal(data, origin, into); err != nil {
		mended, ok := w.mend(data, reflect.TypeOf(into).Elem())
		if ok {
			data = mended
			reflect.ValueOf(into).Elem().SetZero()
			err = unmarshal(data, origin, into)
		}
		if _, isDocument := into.(*ranger.ServicePolicies); err != nil && file && isDocument {
			if mended, ok = w.mendAround(data); ok {
				reflect.ValueOf(into).Elem().SetZero()
				err = unmarshal(mended, origin, into)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return w, nil
}

// preallocate makes room for the policies that the walk counted, so that decoding need not grow and copy the list.
func (w *walker) preallocate(into any) {
	switch doc := into.(type) {
	case *ranger.ServicePolicies:
		doc.Policies = w.room()
	case *[]ranger.Policy:
		*doc = w.room()
	}
}

func (w *walker) room() []ranger.Policy {
	const shortest = 32 // bytes of a policy that says anything
	if n := min(w.policies, len(w.Data)/shortest); n > 0 {
		return make([]ranger.Policy, 0, n)
	}
	return nil
}

// withoutMisspelt returns the document without the names that differ from a known one in case only: each is
// overwritten by underscores, which are the name of no field, in a copy.
func (w *walker) withoutMisspelt() []byte {
	if len(w.misspelt) == 0 {
		return w.Data
	}
	data := append([]byte(nil), w.Data...)
	for _, span := range w.misspelt {
		for i := span.from; i < span.to; i++ {
			data[i] = '_'
		}
	}
	return data
}

// markFaults records in each policy what of it cannot be understood. each ranges over the policies of the document: the path
// of a list and the index in it, or the path of the only policy when the index is negative.
func (w *walker) markFaults(each func(visit func(path string, index int, p *ranger.Policy))) {
	if len(w.faults) == 0 {
		return
	}
	each(func(path string, index int, p *ranger.Policy) {
		if index >= 0 {
			path = fmt.Sprintf("%s[%d]", path, index)
		}
		p.Faults = w.faults[path]
		if slices.Contains(p.Faults, twoResources) {
			p.Resources = nil // one of the two was read, and nobody knows which is meant
		}
	})
}
