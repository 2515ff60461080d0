package ondemand

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"ucwarden/input"
	"ucwarden/jsontext"
	"ucwarden/policy"
)

const (
	// maxResources is the most resources one task may name.
	maxResources = 1000
	// maxIDLength is the length of the longest task id, in characters.
	maxIDLength = 255

	// maxDepth is how deep a document may be nested.
	maxDepth = 1000

	maxProblems = 20 // reported at once; more would only lengthen the answer
)

// Problem is one error in a task document.
type Problem struct {
	Pointer string `json:"pointer"` // JSON pointer (RFC 6901) into the document; "" is the whole document
	Detail  string `json:"detail"`
}

// ValidationError says why a task document was rejected. Its class (policy.CodeOf) is policy.CodeInvalid, or
// policy.CodeTooLarge when the only problem is the number of resources.
type ValidationError struct {
	Code     policy.Code
	Problems []Problem // at least one
}

func (e *ValidationError) Error() string {
	list := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		list[i] = p.Detail
		if p.Pointer != "" {
			list[i] = p.Pointer + ": " + p.Detail
		}
	}
	return "invalid task document: " + strings.Join(list, "; ")
}

// Unwrap returns an error that carries the class.
func (e *ValidationError) Unwrap() error { return &policy.Error{Code: e.Code, Message: e.Error()} }

// ParseTask parses one task document as a client sends it: JSON, see [Task]. Fields that only the server sets are
// ignored, unknown fields are kept in Extra. An unknown task or resource type, missing values and invalid names are not
// errors here: such a task is stored and ends SKIPPED, so that its producer finds it. The error is a
// *[ValidationError].
func ParseTask(data []byte) (Task, error) {
	if err := measure(data); err != nil {
		return Task{}, err
	}
	if err := checkJSON(data); err != nil {
		return Task{}, err
	}
	p := &parser{}
	t := p.task(data)
	return t, p.err()
}

func invalid(pointer, format string, args ...any) *ValidationError {
	return &ValidationError{policy.CodeInvalid, []Problem{{pointer, fmt.Sprintf(format, args...)}}}
}

// maxObjects is how many JSON objects one task may have: two for each resource, and those in unknown fields.
const maxObjects = 2*maxResources + maxExtra

// maxFields is how many fields all objects of a task may have together: some for each resource, and unknown ones.
const maxFields = 10*maxResources + maxExtra

// measure looks at the punctuation of a document alone, and returns an error for one that is nested too deep or has too many objects
// or fields. It takes a millisecond for what would take long to decode.
func measure(data []byte) error {
	if len(data) <= maxDepth { // too short for any of that
		return nil
	}
	depth, objects, fields := 0, 0, 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if data[i] == '{' {
				objects++
			}
			if depth++; depth > maxDepth {
				return invalid("", "not JSON that is taken: it is nested deeper than %d levels", maxDepth)
			}
			if objects > maxObjects {
				return &ValidationError{policy.CodeTooLarge, []Problem{{"/requestInfo/resources", fmt.Sprintf("too many; one task may name at most %d: split it", maxResources)}}}
			}
		case '}', ']':
			depth--
		case ':':
			if fields++; fields > maxFields {
				return &ValidationError{policy.CodeTooLarge, []Problem{{"", fmt.Sprintf("too many fields; one task may have at most %d", maxFields)}}}
			}
		}
	}
	return nil
}

func checkJSON(data []byte) error {
	if err := input.CheckText(data); err != nil {
		return invalid("", "not JSON that is taken: %v", err)
	}
	err := input.CheckUnique(data, maxDepth)
	if err == nil {
		return nil
	}
	if duplicate, ok := errors.AsType[*input.DuplicateError](err); ok {
		return invalid(duplicate.Pointer, "%v", err)
	}
	return invalid("", "not JSON: %v", err)
}

// parser decodes a document and collects its problems.
type parser struct {
	problems []Problem
	tooLarge bool
}

func (p *parser) err() error {
	if len(p.problems) == 0 {
		return nil
	}
	code := policy.CodeInvalid
	if p.tooLarge && len(p.problems) == 1 {
		code = policy.CodeTooLarge
	}
	return &ValidationError{code, p.problems[:min(len(p.problems), maxProblems)]}
}

func (p *parser) add(at *place, format string, args ...any) {
	p.problems = append(p.problems, Problem{at.pointer(), fmt.Sprintf(format, args...)})
}

// place is where a value is in a document: a field or an element of what is at the place before; nil is the whole document.
type place struct {
	before *place
	token  string
}

// to returns the place of a field, or of an element by its index.
func (at *place) to(token string) *place { return &place{at, token} }

// pointer returns the place as a JSON pointer. Most documents have no problem, so that none is made of them.
func (at *place) pointer() string {
	if at == nil {
		return ""
	}
	return at.before.pointer() + "/" + input.EscapePointer(at.token)
}

// object appends the fields of an object to few.
func (p *parser) object(few []field, at *place, raw json.RawMessage) (object, bool) {
	if jsonKind(raw) != "an object" {
		p.add(at, "want an object, got %s", jsonKind(raw))
		return nil, false
	}
	return object(few).appendObject(raw), true
}

// text takes a string field; it returns "" where the field is absent or null.
func (p *parser) text(o object, at *place, name string) string {
	raw, ok := o.get(name)
	o.drop(name)
	if !ok || jsonKind(raw) == "null" {
		return ""
	}
	if jsonKind(raw) != "a string" {
		p.add(at.to(name), "want a string, got %s", jsonKind(raw))
		return ""
	}
	return string(jsontext.Unescape(bytes.TrimSpace(raw)))
}

// misspelt adds a problem for each name that is one edit away from a known one of the object: its value would have no
// effect. Other unknown names are a producer's own. It returns the known names that were meant.
func (p *parser) misspelt(o object, at *place, known []string) map[string]bool {
	var meant map[string]bool
	var unknown []string
	for i := range o {
		if o[i].raw != nil && o[i].name != cloudEventTime && !slices.Contains(known, o[i].name) {
			unknown = append(unknown, o[i].name)
		}
	}
	if len(unknown) > maxExtra/2 {
		return nil // more than is taken of unknown fields, see extraSize
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		if near := input.Misspelt(name, known); near != "" {
			p.add(at.to(name), "unknown field; did you mean %s?", near)
			if meant == nil {
				meant = make(map[string]bool)
			}
			meant[near] = true
		}
	}
	return meant
}

// cloudEventTime is the one attribute of a CloudEvents envelope that is a letter away from a name of ours, type.
const cloudEventTime = "time"

func (p *parser) task(raw json.RawMessage) Task {
	var few fewFields
	o, ok := p.object(few[:0], nil, raw)
	if !ok {
		return Task{}
	}
	misspelt := p.misspelt(o, nil, taskFields)
	var t Task
	var root *place
	requestInfo := root.to("requestInfo")
	t.ID = p.text(o, nil, "id")
	if t.ID != "" {
		if err := CheckID(t.ID); err != nil {
			p.add(root.to("id"), "%v", err)
		}
	}
	before := len(p.problems)
	t.Type = Type(p.text(o, nil, "type"))
	if t.Type == "" && len(p.problems) == before && !misspelt["type"] {
		p.add(root.to("type"), "required: the task type, for example %s", ResourceSync)
	}
	t.AppType = p.text(o, nil, "appType")
	t.AppSubType = p.text(o, nil, "appSubType")
	t.Source = p.text(o, nil, "source")
	if raw, ok := o.get("createTime"); ok {
		switch jsonKind(raw) {
		case "a string", "a number", "null":
			created, err := readTime(bytes.TrimSpace(raw))
			if err == nil && !created.IsZero() {
				err = input.CheckTime(created)
			}
			if err != nil {
				p.add(root.to("createTime"), "%v", err)
			}
			t.CreateTime = created
		default:
			p.add(root.to("createTime"), "want RFC 3339 text or epoch milliseconds, got %s", jsonKind(raw))
		}
	}
	before = len(p.problems)
	if raw, ok := o.get("requestInfo"); ok && jsonKind(raw) != "null" {
		t.RequestInfo = p.info(requestInfo, raw)
	}
	if t.Type == ResourceSync && len(t.RequestInfo.Resources) == 0 && len(p.problems) == before && !misspelt["requestInfo"] {
		p.add(requestInfo.to("resources"), "required: at least one resource to sync")
	}
	if (t.Type == FullSync || t.Type == ValiditySync) && len(t.RequestInfo.Resources) > 0 {
		p.add(requestInfo.to("resources"), "a %s names none, it syncs whatever is in scope: leave them out, or make it a %s", t.Type, ResourceSync)
	}
	if t.Type == PipelineUpdate && len(p.problems) == before && !misspelt["requestInfo"] {
		p.pipeline(requestInfo, t.RequestInfo)
	}
	o.drop(requestFields...)
	o.drop(serverFields...)
	t.Extra = o.remaining()
	if n := t.extraSize(); n > maxExtra {
		p.tooLarge = true
		p.add(nil, "its unknown fields hold %d bytes; one task may carry at most %d", n, maxExtra)
	}
	return t
}

// maxExtra bounds the unknown fields of a task, which are kept and returned with it, in bytes of compact JSON.
const maxExtra = 8 << 10

func (t *Task) extraSize() int {
	n := sizeOf(t.Extra) + sizeOf(t.RequestInfo.Extra)
	for _, r := range t.RequestInfo.Resources {
		n += sizeOf(r.Extra)
	}
	return n
}

func sizeOf(extra map[string]json.RawMessage) int {
	n := 0
	for name, value := range extra {
		n += len(name) + len(value)
	}
	return n
}

func (p *parser) info(at *place, raw json.RawMessage) RequestInfo {
	var few fewFields
	o, ok := p.object(few[:0], at, raw)
	if !ok {
		return RequestInfo{}
	}
	info := RequestInfo{Approve: p.text(o, at, "approve"), Plan: p.text(o, at, "plan")}
	if raw, ok := o.get("resources"); ok && jsonKind(raw) != "null" {
		info.Resources = p.resources(at.to("resources"), raw)
	}
	o.drop(infoFields...)
	p.misspelt(o, at, infoFields)
	info.Extra = o.remaining()
	return info
}

func (p *parser) resources(at *place, raw json.RawMessage) []Resource {
	if jsonKind(raw) != "an array" {
		p.add(at, "want an array, got %s", jsonKind(raw))
		return nil
	}
	list := slices.Collect(jsontext.Elements(raw))
	if len(list) > maxResources {
		p.tooLarge = true
		p.add(at, "%d resources; one task may name at most %d: split it", len(list), maxResources)
		return nil
	}
	resources := make([]Resource, len(list))
	for i, raw := range list {
		resources[i] = p.resource(at.to(strconv.Itoa(i)), raw)
	}
	return resources
}

func (p *parser) resource(at *place, raw json.RawMessage) Resource {
	var few fewFields
	o, ok := p.object(few[:0], at, raw)
	if !ok {
		return Resource{}
	}
	r := Resource{Type: p.text(o, at, "type")}
	var fewValues fewFields
	if raw, ok := o.get("values"); ok && jsonKind(raw) != "null" {
		in := at.to("values")
		if values, ok := p.object(fewValues[:0], in, raw); ok {
			r.Values = make(map[string]string, len(values))
			p.misspelt(values, in, valueNames)
			for _, f := range values {
				r.Values[f.name] = p.text(values, in, f.name)
			}
		}
	}
	o.drop(resourceFields...)
	p.misspelt(o, at, resourceFields)
	r.Extra = o.remaining()
	return r
}

// jsonKind returns the JSON type of a valid value, with its article.
func jsonKind(raw json.RawMessage) string {
	for len(raw) > 0 && (raw[0] == ' ' || raw[0] == '\t' || raw[0] == '\r' || raw[0] == '\n') {
		raw = raw[1:]
	}
	if len(raw) == 0 {
		return "null"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// notInIDs are spaces, control characters, those that format text or turn it round, and those of private use. They are listed, because
// what Unicode says of its characters differs from version to version, and who reads the API's document has another version.
var notInIDs = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x0000, Hi: 0x0020, Stride: 1}, {Lo: 0x007f, Hi: 0x00a0, Stride: 1}, {Lo: 0x00ad, Hi: 0x00ad, Stride: 1},
		{Lo: 0x061c, Hi: 0x061c, Stride: 1}, {Lo: 0x1680, Hi: 0x1680, Stride: 1}, {Lo: 0x180e, Hi: 0x180e, Stride: 1},
		{Lo: 0x2000, Hi: 0x200f, Stride: 1}, {Lo: 0x2028, Hi: 0x202f, Stride: 1}, {Lo: 0x205f, Hi: 0x206f, Stride: 1},
		{Lo: 0x3000, Hi: 0x3000, Stride: 1}, {Lo: 0xe000, Hi: 0xf8ff, Stride: 1}, {Lo: 0xfeff, Hi: 0xfeff, Stride: 1},
		{Lo: 0xfff9, Hi: 0xfffb, Stride: 1},
	},
	R32:         []unicode.Range32{{Lo: 0xe0000, Hi: 0x10ffff, Stride: 1}},
	LatinOffset: 3,
}

// graphic reports whether a text consists of letters, digits and punctuation of ASCII.
func graphic(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// CheckID returns an error for an id that cannot be typed, logged or put into a URL safely.
func CheckID(id string) error {
	switch {
	case len(id) <= maxIDLength && graphic(id):
		return nil
	case utf8.RuneCountInString(id) > maxIDLength:
		return policy.Errorf(policy.CodeInvalid, "the id is longer than %d characters", maxIDLength)
	case !utf8.ValidString(id):
		return policy.Errorf(policy.CodeInvalid, "the id is not valid UTF-8")
	}
	if strings.ContainsFunc(id, func(r rune) bool { return unicode.Is(notInIDs, r) }) {
		return policy.Errorf(policy.CodeInvalid, "the id contains a space, a control character, or one of formatting or private use")
	}
	return nil
}
