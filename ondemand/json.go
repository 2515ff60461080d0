package ondemand

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"ucwarden/jsontext"
	"ucwarden/policy"
)

// The JSON of a task is read by exact field names: encoding/json alone would match them in any case, and a producer's
// own field "Status" would then overwrite ours when the stored task is read again.

// object is a JSON object whose fields are decoded and removed one by one; what remains is kept as unknown fields.
type object []field

// field is a field of an object, in the order of the document; its value is nil once it is removed.
type field struct {
	name string
	raw  json.RawMessage
}

// fewFields is room for the fields of a usual object, on the stack of whoever reads it.
type fewFields [8]field

// appendObject appends the fields of the object that data holds, which must be valid JSON: of a name that stands twice, the last
// value.
func (o object) appendObject(data []byte) object {
	for name, value := range jsontext.Members(data) {
		known, ok := knownNames[string(name)]
		if !ok {
			known = string(name)
		}
		o = append(o, field{known, value})
	}
	return o
}

// decodeObject appends the fields of the object that data holds, which must be valid JSON; for null it has none.
func (o object) decodeObject(data []byte) (object, error) {
	if kind := jsonKind(data); kind != "an object" && kind != "null" {
		return nil, fmt.Errorf("want an object, got %s", kind)
	}
	return o.appendObject(data), nil
}

// get returns the value of a field that is there.
func (o object) get(name string) (raw json.RawMessage, ok bool) {
	for i := len(o) - 1; i >= 0; i-- {
		if o[i].name == name && o[i].raw != nil {
			return o[i].raw, true
		}
	}
	return nil, false
}

// take decodes the named field into v and removes it. An absent field and null leave v alone.
func (o object) take(name string, v any) error {
	raw, ok := o.get(name)
	if !ok {
		return nil
	}
	o.drop(name)
	return json.Unmarshal(raw, v)
}

// drop removes the named fields.
func (o object) drop(names ...string) {
	for i := range o {
		if o[i].raw != nil && slices.Contains(names, o[i].name) {
			o[i].raw = nil
		}
	}
}

// names returns the names of the fields that are left, sorted.
func (o object) names() []string {
	var names []string
	for i := range o {
		if o[i].raw != nil {
			names = append(names, o[i].name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// remaining returns the fields that were not taken, in compact form; nil when there are none.
func (o object) remaining() map[string]json.RawMessage {
	var extra map[string]json.RawMessage
	for i := range o {
		if o[i].raw == nil {
			continue
		}
		var b bytes.Buffer
		if json.Compact(&b, o[i].raw) != nil {
			continue // cannot happen: it came out of a decoder
		}
		if extra == nil {
			extra = make(map[string]json.RawMessage, len(o))
		}
		extra[o[i].name] = b.Bytes()
	}
	return extra
}

// serverFields are the fields of a task that only the server writes.
var serverFields = []string{
	"status", "statusMessage", "attempts", "crashes", "ranAlone", "parentId", "postedBy", "retriedBy", "priority", "receivedTime", "notBefore", "startTime",
	"endTime", "policyVersion", "resources", "transitions", "transitionsLeftOut", "children", "pending", "supersededBy", "pipelineRun",
	"traceparent",
}

var (
	requestFields  = []string{"id", "type", "appType", "appSubType", "source", "createTime", "requestInfo"}
	infoFields     = []string{"resources", "approve", "plan"}
	resourceFields = []string{"type", "values"}
	taskFields     = slices.Concat(requestFields, serverFields)
)

// knownNames holds the names of all fields, under themselves: what is read of a document need not be copied then.
var knownNames = func() map[string]string {
	names := make(map[string]string)
	for _, name := range slices.Concat(taskFields, infoFields, resourceFields, valueNames) {
		names[name] = name
	}
	return names
}()

// UnmarshalJSON reads the wire form with its server-side fields, as the server wrote it. Input from outside goes
// through [ParseTask] instead.
func (t *Task) UnmarshalJSON(data []byte) error {
	var few fewFields
	o, err := object(few[:0]).decodeObject(data)
	if err != nil {
		return err
	}
	*t = Task{}
	created := flexTime{&t.CreateTime}
	fields := []struct {
		name string
		v    any
	}{
		{"id", &t.ID}, {"type", &t.Type}, {"appType", &t.AppType}, {"appSubType", &t.AppSubType},
		{"source", &t.Source}, {"createTime", &created}, {"requestInfo", &t.RequestInfo}, {"status", &t.Status},
		{"statusMessage", &t.StatusMessage}, {"attempts", &t.Attempts}, {"parentId", &t.ParentID}, {"postedBy", &t.PostedBy},
		{"retriedBy", &t.RetriedBy},
		{"crashes", &t.Crashes}, {"ranAlone", &t.RanAlone},
		{"priority", &t.Priority}, {"receivedTime", &t.ReceivedTime}, {"notBefore", &t.NotBefore},
		{"startTime", &t.StartTime}, {"endTime", &t.EndTime}, {"resources", &t.Resources},
		{"transitions", &t.Transitions}, {"transitionsLeftOut", &t.LeftOut}, {"children", &t.Children}, {"policyVersion", &t.PolicyVersion}, {"pending", &t.Pending}, {"supersededBy", &t.SupersededBy},
		{"pipelineRun", &t.Run}, {"traceparent", &t.Traceparent},
	}
	for _, f := range fields {
		if err := o.take(f.name, f.v); err != nil {
			return err
		}
	}
	t.Extra = o.remaining()
	return nil
}

// UnmarshalJSON reads the wire form, keeping unknown fields.
func (r *RequestInfo) UnmarshalJSON(data []byte) error {
	var few fewFields
	o, err := object(few[:0]).decodeObject(data)
	if err != nil {
		return err
	}
	*r = RequestInfo{}
	if err := o.take("resources", &r.Resources); err != nil {
		return err
	}
	if err := o.take("approve", &r.Approve); err != nil {
		return err
	}
	if err := o.take("plan", &r.Plan); err != nil {
		return err
	}
	r.Extra = o.remaining()
	return nil
}

// UnmarshalJSON reads the wire form, keeping unknown fields.
func (r *Resource) UnmarshalJSON(data []byte) error {
	var few fewFields
	o, err := object(few[:0]).decodeObject(data)
	if err != nil {
		return err
	}
	*r = Resource{}
	if err := o.take("type", &r.Type); err != nil {
		return err
	}
	if err := o.take("values", &r.Values); err != nil {
		return err
	}
	r.Extra = o.remaining()
	return nil
}

// flexTime reads a time as [readTime] does; null leaves it alone.
type flexTime struct{ t *time.Time }

func (f *flexTime) UnmarshalJSON(data []byte) error {
	t, err := readTime(data)
	if err == nil && !t.IsZero() {
		*f.t = t
	}
	return err
}

// readTime returns the time that a JSON value stands for, RFC 3339 text or epoch milliseconds, a number or a string of digits; zero for
// null.
func readTime(raw []byte) (time.Time, error) {
	switch {
	case len(raw) > 0 && raw[0] == '"':
		return parseTime(string(jsontext.Unescape(raw)))
	case string(raw) == "null":
		return time.Time{}, nil
	}
	return parseTime(wholeNumber(string(raw)))
}

// wholeNumber returns a JSON number that is whole, as 1.5e12 or 1500000000000.0 are, as digits; other text as it is.
func wholeNumber(text string) string {
	const exact = 1 << 53 // up to which a float64 holds every whole number
	if f, err := strconv.ParseFloat(text, 64); err == nil && f == math.Trunc(f) && math.Abs(f) <= exact {
		return strconv.FormatInt(int64(f), 10)
	}
	return text
}

// parseTime reads RFC 3339 or epoch milliseconds. The result is in UTC and within the years 1 to 9999, so that it
// can be written as RFC 3339 again.
func parseTime(text string) (time.Time, error) {
	var t time.Time
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		t = time.UnixMilli(ms).UTC()
	} else if t, err = time.Parse(time.RFC3339, text); err != nil {
		return time.Time{}, policy.Errorf(policy.CodeInvalid, "want RFC 3339 text such as 2026-01-31T10:00:00Z, or epoch milliseconds")
	}
	t = t.UTC()
	if y := t.Year(); y < 1 || y > 9999 {
		return time.Time{}, policy.Errorf(policy.CodeInvalid, "the time is outside the years 1 to 9999")
	}
	return t, nil
}
