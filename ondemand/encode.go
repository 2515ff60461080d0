package ondemand

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Each change of a task writes all of it, so the fields that most tasks have are written here one by one: several times as
// fast as encoding/json, with the same bytes.

// MarshalJSON writes the wire form: the known fields, then those of Extra.
func (t Task) MarshalJSON() ([]byte, error) {
	w := writer{b: make([]byte, 0, 512+256*(len(t.RequestInfo.Resources)+len(t.Resources)+len(t.Transitions)))}
	w.task(&t)
	return w.b, w.err
}

// AppendJSON appends what [Task.MarshalJSON] returns.
func (t *Task) AppendJSON(to []byte) ([]byte, error) {
	w := writer{b: to}
	w.task(t)
	return w.b, w.err
}

// MarshalJSON writes the known fields, then those of Extra.
func (r RequestInfo) MarshalJSON() ([]byte, error) {
	var w writer
	w.info(&r)
	return w.b, w.err
}

// MarshalJSON writes the known fields, then those of Extra.
func (r Resource) MarshalJSON() ([]byte, error) {
	var w writer
	w.resource(&r)
	return w.b, w.err
}

// writer appends JSON to b until something cannot be written.
type writer struct {
	b   []byte
	err error
}

func (w *writer) task(t *Task) {
	w.open('{')
	w.name("id").text(t.ID)
	w.name("type").text(string(t.Type))
	w.optional("appType", t.AppType)
	w.optional("appSubType", t.AppSubType)
	w.optional("source", t.Source)
	w.time("createTime", t.CreateTime)
	w.name("requestInfo").info(&t.RequestInfo)
	w.name("status").text(string(t.Status))
	w.optional("statusMessage", t.StatusMessage)
	w.name("attempts").number(int64(t.Attempts))
	w.count("crashes", int64(t.Crashes))
	if t.RanAlone {
		w.name("ranAlone").raw("true")
	}
	w.optional("parentId", t.ParentID)
	w.optional("postedBy", t.PostedBy)
	w.optional("retriedBy", t.RetriedBy)
	w.name("priority").number(int64(t.Priority))
	w.time("receivedTime", t.ReceivedTime)
	w.time("notBefore", t.NotBefore)
	w.time("startTime", t.StartTime)
	w.time("endTime", t.EndTime)
	w.count("policyVersion", t.PolicyVersion)
	if len(t.Resources) > 0 {
		w.name("resources").open('[')
		for i := range t.Resources {
			w.comma().result(&t.Resources[i])
		}
		w.close(']')
	}
	if len(t.Transitions) > 0 {
		w.name("transitions").open('[')
		for i := range t.Transitions {
			w.comma().transition(&t.Transitions[i])
		}
		w.close(']')
	}
	w.count("transitionsLeftOut", int64(t.LeftOut))
	if t.Children != nil {
		w.name("children").value(t.Children)
	}
	if t.Run != nil {
		w.name("pipelineRun").value(t.Run)
	}
	w.optional("supersededBy", t.SupersededBy)
	if len(t.Pending) > 0 {
		w.name("pending").value(t.Pending)
	}
	w.optional("traceparent", t.Traceparent)
	w.extra(t.Extra, taskFields)
	w.close('}')
}

func (w *writer) info(r *RequestInfo) {
	w.open('{')
	if len(r.Resources) > 0 {
		w.name("resources").open('[')
		for i := range r.Resources {
			w.comma().resource(&r.Resources[i])
		}
		w.close(']')
	}
	w.optional("approve", r.Approve)
	w.optional("plan", r.Plan)
	w.extra(r.Extra, infoFields)
	w.close('}')
}

func (w *writer) resource(r *Resource) {
	w.open('{')
	w.name("type").text(r.Type)
	w.values(r.Values)
	w.extra(r.Extra, resourceFields)
	w.close('}')
}

func (w *writer) result(r *ResourceResult) {
	w.open('{')
	w.name("type").text(r.Type)
	w.values(r.Values)
	w.name("status").text(string(r.Status))
	w.optional("message", r.Message)
	if len(r.Changes) > 0 {
		w.name("changes").value(r.Changes)
	}
	if len(r.WouldChange) > 0 {
		w.name("wouldChange").value(r.WouldChange)
	}
	w.close('}')
}

func (w *writer) transition(t *Transition) {
	w.open('{')
	w.name("from").text(string(t.From))
	w.name("to").text(string(t.To))
	w.name("time").moment(t.Time)
	w.optional("reason", t.Reason)
	w.close('}')
}

// values writes the values of a resource, if there are any, sorted by name.
func (w *writer) values(values map[string]string) {
	if len(values) == 0 {
		return
	}
	var few [8]string
	names := few[:0]
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	w.name("values").open('{')
	for _, name := range names {
		w.comma().text(name)
		w.b = append(w.b, ':')
		w.text(values[name])
	}
	w.close('}')
}

// extra writes unknown fields, sorted by name, but for those whose name is reserved.
func (w *writer) extra(fields map[string]json.RawMessage, reserved []string) {
	if len(fields) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if slices.Contains(reserved, name) {
			continue
		}
		w.comma().text(name)
		w.b = append(w.b, ':')
		if len(fields[name]) == 0 {
			w.raw("null")
		} else {
			w.value(fields[name])
		}
	}
}

func (w *writer) open(c byte) { w.b = append(w.b, c) }

func (w *writer) close(c byte) { w.b = append(w.b, c) }

// comma separates what follows from an earlier field or element.
func (w *writer) comma() *writer {
	if last := w.b[len(w.b)-1]; last != '{' && last != '[' {
		w.b = append(w.b, ',')
	}
	return w
}

// name begins a field of that name, which needs no escapes.
func (w *writer) name(name string) *writer {
	w.comma()
	w.b = append(append(append(w.b, '"'), name...), '"', ':')
	return w
}

func (w *writer) optional(name, text string) {
	if text != "" {
		w.name(name).text(text)
	}
}

func (w *writer) count(name string, n int64) {
	if n != 0 {
		w.name(name).number(n)
	}
}

func (w *writer) time(name string, t time.Time) {
	if !t.IsZero() {
		w.name(name).moment(t)
	}
}

func (w *writer) raw(text string) { w.b = append(w.b, text...) }

func (w *writer) number(n int64) { w.b = strconv.AppendInt(w.b, n, 10) }

func (w *writer) moment(t time.Time) {
	w.b = append(w.b, '"')
	b, err := t.AppendText(w.b)
	if err != nil {
		w.fail(err)
		return
	}
	w.b = append(b, '"')
}

// text writes a string. One with characters that need escapes, or others than those of ASCII, is left to encoding/json.
func (w *writer) text(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			w.value(s)
			return
		}
	}
	w.b = append(append(append(w.b, '"'), s...), '"')
}

// value writes what has no form of its own here.
func (w *writer) value(v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		w.fail(err)
		return
	}
	w.b = append(w.b, b.Bytes()[:b.Len()-1]...) // without the encoder's newline
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}
