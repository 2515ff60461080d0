package ondemand

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"ucwarden/policy"
)

const (
	// MaxResources is the most resources one task may name.
	MaxResources = 1000
	// MaxIDLength is the longest task id, in bytes.
	MaxIDLength = 255

	maxProblems = 20 // enough to mend a document by; more would only fill the answer
)

// Problem is one thing wrong with a task document.
type Problem struct {
	Pointer string `json:"pointer"` // JSON pointer (RFC 6901) into the document; "" is the whole of it
	Detail  string `json:"detail"`
}

// ValidationError says why a task document was refused. Its class (policy.CodeOf) is policy.CodeInvalid, or
// policy.CodeTooLarge when the only fault is the number of resources.
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
	return "task document is refused: " + strings.Join(list, "; ")
}

// Unwrap gives the class of the error.
func (e *ValidationError) Unwrap() error { return &policy.Error{Code: e.Code, Message: e.Error()} }

// ParseTask reads one task document as it comes from outside. Server-side fields in it are ignored, unknown fields
// are kept. An unknown task or resource type, missing values and illegal names are no errors here: such a task is
// stored and ends SKIPPED, so that its producer finds it. The error is a *[ValidationError].
func ParseTask(data []byte) (Task, error) {
	if err := checkJSON(data); err != nil {
		return Task{}, err
	}
	p := &parser{}
	t := p.task("", data)
	return t, p.err()
}

// ParseTasks reads a task document or an array of them; pointers of the second start with the index. It refuses the
// whole array when one of its tasks is refused.
func ParseTasks(data []byte) ([]Task, error) {
	if err := checkJSON(data); err != nil {
		return nil, err
	}
	p := &parser{}
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); trimmed[0] != '[' {
		t := p.task("", data)
		return []Task{t}, p.err()
	}
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, invalid("", "not JSON: %v", err)
	}
	if len(list) == 0 {
		return nil, invalid("", "the array holds no task")
	}
	tasks := make([]Task, len(list))
	for i, raw := range list {
		tasks[i] = p.task("/"+strconv.Itoa(i), raw)
	}
	return tasks, p.err()
}

func invalid(pointer, format string, args ...any) *ValidationError {
	return &ValidationError{policy.CodeInvalid, []Problem{{pointer, fmt.Sprintf(format, args...)}}}
}

func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return invalid("", "not JSON: the text is not valid UTF-8")
	}
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return invalid("", "not JSON: %v", err)
	}
	return nil
}

// parser walks a document and collects what is wrong with it.
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

func (p *parser) add(pointer, format string, args ...any) {
	p.problems = append(p.problems, Problem{pointer, fmt.Sprintf(format, args...)})
}

func (p *parser) object(pointer string, raw json.RawMessage) (object, bool) {
	if kind(raw) != "an object" {
		p.add(pointer, "want an object, got %s", kind(raw))
		return nil, false
	}
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		p.add(pointer, "not JSON: %v", err)
		return nil, false
	}
	return o, true
}

// text takes a string field; absent and null give "".
func (p *parser) text(o object, pointer, name string) string {
	raw, ok := o[name]
	delete(o, name)
	if !ok || kind(raw) == "null" {
		return ""
	}
	if kind(raw) != "a string" {
		p.add(pointer+"/"+escape(name), "want a string, got %s", kind(raw))
		return ""
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		p.add(pointer+"/"+escape(name), "not JSON: %v", err)
	}
	return s
}

func (p *parser) task(pointer string, raw json.RawMessage) Task {
	o, ok := p.object(pointer, raw)
	if !ok {
		return Task{}
	}
	var t Task
	t.ID = p.text(o, pointer, "id")
	if t.ID != "" {
		if err := checkID(t.ID); err != nil {
			p.add(pointer+"/id", "%v", err)
		}
	}
	before := len(p.problems)
	t.Type = Type(p.text(o, pointer, "type"))
	if t.Type == "" && len(p.problems) == before {
		p.add(pointer+"/type", "required: the task type, for example %s", ResourceSync)
	}
	t.AppType = p.text(o, pointer, "appType")
	t.AppSubType = p.text(o, pointer, "appSubType")
	t.Source = p.text(o, pointer, "source")
	if raw, ok := o["createTime"]; ok {
		switch kind(raw) {
		case "a string", "a number", "null":
			if err := o.take("createTime", &flexTime{&t.CreateTime}); err != nil {
				p.add(pointer+"/createTime", "%v", err)
			}
		default:
			p.add(pointer+"/createTime", "want RFC 3339 text or epoch milliseconds, got %s", kind(raw))
		}
	}
	before = len(p.problems)
	if raw, ok := o["requestInfo"]; ok && kind(raw) != "null" {
		t.RequestInfo = p.info(pointer+"/requestInfo", raw)
	}
	if t.Type == ResourceSync && len(t.RequestInfo.Resources) == 0 && len(p.problems) == before {
		p.add(pointer+"/requestInfo/resources", "required: at least one resource to sync")
	}
	o.drop(requestFields...)
	o.drop(serverFields...)
	t.Extra = o.rest()
	return t
}

func (p *parser) info(pointer string, raw json.RawMessage) RequestInfo {
	o, ok := p.object(pointer, raw)
	if !ok {
		return RequestInfo{}
	}
	info := RequestInfo{Approve: p.text(o, pointer, "approve")}
	if raw, ok := o["resources"]; ok && kind(raw) != "null" {
		info.Resources = p.resources(pointer+"/resources", raw)
	}
	o.drop(infoFields...)
	info.Extra = o.rest()
	return info
}

func (p *parser) resources(pointer string, raw json.RawMessage) []Resource {
	if kind(raw) != "an array" {
		p.add(pointer, "want an array, got %s", kind(raw))
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		p.add(pointer, "not JSON: %v", err)
		return nil
	}
	if len(list) > MaxResources {
		p.tooLarge = true
		p.add(pointer, "%d resources; one task may name at most %d: split it", len(list), MaxResources)
		return nil
	}
	resources := make([]Resource, len(list))
	for i, raw := range list {
		resources[i] = p.resource(pointer+"/"+strconv.Itoa(i), raw)
	}
	return resources
}

func (p *parser) resource(pointer string, raw json.RawMessage) Resource {
	o, ok := p.object(pointer, raw)
	if !ok {
		return Resource{}
	}
	r := Resource{Type: p.text(o, pointer, "type")}
	if raw, ok := o["values"]; ok && kind(raw) != "null" {
		if values, ok := p.object(pointer+"/values", raw); ok {
			r.Values = make(map[string]string, len(values))
			names := make([]string, 0, len(values))
			for name := range values {
				names = append(names, name)
			}
			slices.Sort(names) // problems in the same order every time
			for _, name := range names {
				r.Values[name] = p.text(values, pointer+"/values", name)
			}
		}
	}
	o.drop(resourceFields...)
	r.Extra = o.rest()
	return r
}

// kind names the JSON type of a valid value, with its article.
func kind(raw json.RawMessage) string {
	raw = bytes.TrimLeft(raw, " \t\r\n")
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

// escape writes a field name as a step of a JSON pointer (RFC 6901, section 3).
func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// checkID refuses ids that could not be typed, logged or put into a URL safely.
func checkID(id string) error {
	switch {
	case len(id) > MaxIDLength:
		return policy.Errorf(policy.CodeInvalid, "the id is longer than %d bytes", MaxIDLength)
	case !utf8.ValidString(id):
		return policy.Errorf(policy.CodeInvalid, "the id is not valid UTF-8")
	}
	if strings.ContainsFunc(id, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return policy.Errorf(policy.CodeInvalid, "the id contains a space or a control character")
	}
	return nil
}
