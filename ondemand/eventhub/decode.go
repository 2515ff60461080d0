package eventhub

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"ucwarden/ondemand"
	"ucwarden/policy/naming"
	"ucwarden/span"
)

// Limits of what is read of one event.
const (
	maxBody     = 1 << 20
	maxElements = 1000
	maxMessage  = 500 // bytes of a reason

	maxTraceparent = 128
)

// decoder makes tasks of events.
type decoder struct {
	name     string // of the hub and its creation; ids of tasks begin with it
	postedBy string // whom all its tasks are of: who sent an event is not known
	types    []ondemand.Type
	catalogs []naming.Pattern // nil: all
	elements int              // most elements of one event
}

// appendTasks appends the tasks of an event: one for each document, or a SKIPPED one that says why there is none.
func (d *decoder) appendTasks(all []ondemand.EventTask, partition string, e *azeventhubs.ReceivedEventData) []ondemand.EventTask {
	before := len(all)
	all = d.read(all, partition, e)
	traceparent := traceparentOf(e.Properties)
	for i := range all[before:] {
		all[before+i].Task.PostedBy, all[before+i].Task.Traceparent = d.postedBy, traceparent
	}
	return all
}

// traceparentOf returns the span of whoever sent an event, by the property of W3C Trace Context or the older one of Azure's libraries.
func traceparentOf(properties map[string]any) string {
	for _, name := range []string{"traceparent", "Diagnostic-Id"} {
		if text, _ := properties[name].(string); len(text) <= maxTraceparent && span.ContextOf(text).IsValid() {
			return text
		}
	}
	return ""
}

func (d *decoder) read(all []ondemand.EventTask, partition string, e *azeventhubs.ReceivedEventData) []ondemand.EventTask {
	id := d.name + "-" + partition + "-" + strconv.FormatInt(e.SequenceNumber, 10)
	body := e.Body
	switch raw := e.RawAMQPMessage; {
	case raw != nil && (raw.Body.Value != nil || len(raw.Body.Sequence) > 0):
		switch value := raw.Body.Value.(type) {
		case string:
			body = []byte(value)
		case []byte:
			body = value
		}
		return append(all, skipped(id, body, "its body is an AMQP value or sequence, not data"))
	case raw != nil && len(raw.Body.Data) > 1:
		body = bytes.Join(raw.Body.Data, nil) // one document, sent in parts
	}
	switch {
	case len(body) == 0:
		return append(all, skipped(id, body, "it has no body"))
	case len(body) > maxBody:
		return append(all, skipped(id, body, fmt.Sprintf("its body has %d bytes, more than %d", len(body), maxBody)))
	}
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '[' {
		return append(all, d.task(id, body))
	}
	var elements []json.RawMessage
	switch err := json.Unmarshal(body, &elements); {
	case !utf8.Valid(body):
		return append(all, skipped(id, body, "it is not valid UTF-8"))
	case err != nil:
		return append(all, skipped(id, body, "it is not JSON: "+err.Error()))
	case len(elements) == 0:
		return append(all, skipped(id, body, "its array is empty"))
	case len(elements) > d.elements:
		return append(all, skipped(id, body, fmt.Sprintf("its array has %d elements, more than %d: send several events", len(elements), d.elements)))
	}
	for i, element := range elements {
		all = append(all, d.task(id+"-"+strconv.Itoa(i), element))
	}
	return all
}

// task reads one document, and binds what it may ask for.
func (d *decoder) task(id string, document []byte) ondemand.EventTask {
	t, err := ondemand.ParseTask(document)
	if err != nil {
		return skipped(id, document, err.Error())
	}
	if reason := d.refuses(t); reason != "" {
		t.Status, t.StatusMessage = ondemand.Skipped, reason
	}
	return ondemand.EventTask{Task: t, EventID: id}
}

// refuses returns why events may not ask for a task; "" where they may. Events carry no token, so that the
// configuration says what they may ask for. What takes the scope admin of a token, no event may ask for.
func (d *decoder) refuses(t ondemand.Task) string {
	if t.RequestInfo.Approve != "" {
		return "events may not approve a plan that a guard refused: they carry no token. Who may approve it runs 'ucwarden sync --approve', or posts the task with a token of scope admin"
	}
	if !slices.Contains(d.types, t.Type) {
		return fmt.Sprintf("events may not ask for tasks of type %s: ondemand.eventhub.task_types does not name it", t.Type)
	}
	if d.catalogs == nil {
		return ""
	}
	if t.Type != ondemand.ResourceSync {
		return fmt.Sprintf("events may not ask for tasks of type %s while ondemand.eventhub.catalogs limits them to catalogs", t.Type)
	}
	for i, r := range t.RequestInfo.Resources {
		catalog, ok := r.Catalog()
		if !ok || !slices.ContainsFunc(d.catalogs, func(p naming.Pattern) bool { return p.Match(naming.Canonical(catalog)) }) {
			return fmt.Sprintf("resource %d is not in a catalog of ondemand.eventhub.catalogs", i)
		}
	}
	return ""
}

// skipped returns the task that records what cannot be read. Where the body is no bytes there is no digest of it.
func skipped(id string, body []byte, reason string) ondemand.EventTask {
	if len(reason) > maxMessage {
		reason = strings.ToValidUTF8(reason[:maxMessage], "") + "..."
	}
	message := "the event is no task: " + reason
	if len(body) > 0 {
		message += fmt.Sprintf(" (%d bytes, SHA-256 %x)", len(body), sha256.Sum256(body))
	}
	return ondemand.EventTask{EventID: id, Task: ondemand.Task{Type: ondemand.UnknownType, Status: ondemand.Skipped, StatusMessage: message}}
}
