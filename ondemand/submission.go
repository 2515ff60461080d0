package ondemand

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"ucwarden/policy"
)

// Submission is the result of submitting one task.
type Submission struct {
	Task    Task
	Created bool  // false: a task with this id and content exists already
	Err     error // why this one was rejected, while others were stored
}

// EventTask is a task that arrived as an event, or as an element of one.
type EventTask struct {
	Task    Task
	EventID string // id where the task has none, or where it repeats an id with other content
}

// UnknownType is the type of a task whose document could not be read.
const UnknownType Type = "UNKNOWN"

// Position is how far a stream of events was read: everything up to Sequence is stored as tasks.
type Position struct {
	Stream   string    `json:"-"` // names one partition of one creation of a hub, for one consumer group
	Sequence int64     `json:"sequence"`
	Time     time.Time `json:"time"` // when the event was enqueued
}

// Pause says since when no job begins, and who asked for it.
type Pause struct {
	Since time.Time `json:"since"`
	By    string    `json:"by,omitempty"` // the subject of a token
}

// SameContent returns an error of class conflict when two tasks with the same id differ in what the client set. Of unknown fields the
// values count, not how they are written: see canonical.
func SameContent(old, t *Task) error {
	content := func(t *Task) (string, error) {
		info := RequestInfo{Approve: t.RequestInfo.Approve, Plan: t.RequestInfo.Plan, Extra: canonicalFields(t.RequestInfo.Extra)}
		for _, r := range t.RequestInfo.Resources {
			info.Resources = append(info.Resources, Resource{Type: r.Type, Values: r.Values, Extra: canonicalFields(r.Extra)})
		}
		b, err := json.Marshal(Task{
			Type: t.Type, AppType: t.AppType, AppSubType: t.AppSubType, Source: t.Source,
			CreateTime: t.CreateTime, RequestInfo: info, Extra: canonicalFields(t.Extra),
		})
		return string(b), err
	}
	a, err := content(old)
	if err != nil {
		return err
	}
	b, err := content(t)
	if err != nil {
		return err
	}
	if a != b {
		return policy.Errorf(policy.CodeConflict, "task %s already exists with other content: choose another id", t.ID)
	}
	return nil
}

func canonicalFields(extra map[string]json.RawMessage) map[string]json.RawMessage {
	if len(extra) == 0 {
		return nil
	}
	fields := make(map[string]json.RawMessage, len(extra))
	for name, raw := range extra {
		fields[name] = canonical(raw)
	}
	return fields
}

// canonical returns one form for all texts of the same JSON value: the order of keys, white space, escapes and the way a number is
// written do not count. What is no JSON stays as it is.
func canonical(raw json.RawMessage) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return raw
	}
	b, err := json.Marshal(canonicalNumbers(value))
	if err != nil {
		return raw
	}
	return b
}

func canonicalNumbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		return canonicalNumber(v)
	case []any:
		for i := range v {
			v[i] = canonicalNumbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = canonicalNumbers(v[name])
		}
	}
	return value
}

// canonicalNumber returns a number as its digits, with neither leading nor trailing zeros, and an exponent: 1.50 is 15e-1. No digit is
// rounded away. An exponent that nobody could count stays as it is written.
func canonicalNumber(n json.Number) json.Number {
	text, sign := strings.CutPrefix(string(n), "-")
	mantissa, power, _ := strings.Cut(strings.ToLower(text), "e")
	exponent := int64(0)
	if power != "" {
		var err error
		if exponent, err = strconv.ParseInt(power, 10, 32); err != nil {
			return n
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exponent -= int64(len(fraction))
	digits := strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(digits, "0")
	exponent += int64(len(digits) - len(short))
	if short == "" {
		return "0"
	}
	if sign {
		short = "-" + short
	}
	return json.Number(short + "e" + strconv.FormatInt(exponent, 10))
}
