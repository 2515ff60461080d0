package parse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"ucwarden/jsontext"
	"ucwarden/policy/ranger"
)

// mend returns the document with null for each value within a policy that is of the wrong kind, and notes a fault for each.
// It returns false when there is no such value.
func (w *walker) mend(data []byte, typ reflect.Type) (mended []byte, ok bool) {
	last := 0
	again := &walker{Scanner: jsontext.Scanner{Data: data}}
	again.span = func(path string, from, to int) {
		if json.Unmarshal(data[from:to], new(ranger.Policy)) == nil {
			return
		}
		m := &mender{}
		policy := m.value(reflect.TypeFor[ranger.Policy](), data[from:to], "")
		if len(m.faults) == 0 {
			return
		}
		if data[from] != '{' {
			m.faults[0] = ranger.Fault{Field: ranger.EntryField, Reason: path + ": " + m.faults[0].Reason}
		}
		mended = append(append(mended, data[last:from]...), policy...)
		last, ok = to, true
		w.keepFaults(path, m.faults)
	}
	again.document(schemaOf(typ))
	return append(mended, data[last:]...), ok
}

// mendAround returns a document of policies, of a file, with null for each field around the policies of which something is of the
// wrong kind, and notes each as a field that is not read: the policies of the document are to bear it. It returns false when there is
// none, or the list of policies is none.
func (w *walker) mendAround(data []byte) (mended []byte, ok bool) {
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil {
		return nil, false
	}
	types := make(map[string]reflect.Type)
	fieldTypes(reflect.TypeFor[ranger.ServicePolicies](), types)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		typ := types[name]
		if typ == nil {
			continue
		}
		m := &mender{}
		if m.value(typ, object[name], name); len(m.faults) == 0 {
			continue
		}
		if name == "policies" || name == "policyDeltas" {
			return nil, false
		}
		// An object may hold what other policies are read by.
		restricts := typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Map
		w.foundUnknown(ranger.UnknownField{Path: m.faults[0].Field, Name: name, Restricts: restricts, Wrong: m.faults[0].Reason})
		object[name], ok = json.RawMessage("null"), true
	}
	return marshal(object), ok
}

// mender replaces the values in a policy that do not fit their type.
type mender struct{ faults []ranger.Fault }

// value returns the value, at path in the policy, with null for each part of it that does not fit the type.
func (m *mender) value(typ reflect.Type, raw json.RawMessage, path string) json.RawMessage {
	err := json.Unmarshal(raw, reflect.New(typ).Interface())
	if err == nil {
		return raw
	}
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch raw = bytes.TrimSpace(raw); {
	case typ.Kind() == reflect.Slice && raw[0] == '[':
		return m.list(typ.Elem(), raw, path)
	case typ.Kind() == reflect.Map && raw[0] == '{':
		return m.object(func(string) reflect.Type { return typ.Elem() }, raw, path)
	case typ.Kind() == reflect.Struct && raw[0] == '{':
		fields := make(map[string]reflect.Type)
		fieldTypes(typ, fields)
		return m.object(func(name string) reflect.Type { return fields[name] }, raw, path)
	}
	reason := err.Error()
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		reason = fmt.Sprintf("a JSON %s does not fit here, want %s", wrong.Value, wanted(wrong))
	}
	m.faults = append(m.faults, ranger.Fault{Field: path, Reason: reason})
	return json.RawMessage("null")
}

func (m *mender) list(typ reflect.Type, raw json.RawMessage, path string) json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return raw
	}
	for i := range list {
		list[i] = m.value(typ, list[i], fmt.Sprintf("%s[%d]", path, i))
	}
	return marshal(list)
}

// object mends the values of an object; typeOf returns their types by name, nil for those that are not read.
func (m *mender) object(typeOf func(name string) reflect.Type, raw json.RawMessage, path string) json.RawMessage {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return raw
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if typ := typeOf(name); typ != nil {
			object[name] = m.value(typ, object[name], strings.TrimPrefix(path+"."+name, "."))
		}
	}
	return marshal(object)
}

// fieldTypes collects the types of a struct's fields by their names in JSON.
func fieldTypes(typ reflect.Type, into map[string]reflect.Type) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "" && f.Anonymous:
			fieldTypes(f.Type, into)
		case name != "" && name != "-":
			into[name] = f.Type
		}
	}
}

func marshal(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil { // what was read from JSON can be written
		panic("mend a policy: " + err.Error())
	}
	return data
}
