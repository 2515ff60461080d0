package emulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pipelineEvent is an event of a pipeline. Events follow from the updates and the time.
type pipelineEvent struct {
	ID        string          `json:"id"`
	Timestamp string          `json:"timestamp"`
	Level     string          `json:"level"`
	EventType string          `json:"event_type"`
	Message   string          `json:"message"`
	Error     *eventError     `json:"error,omitempty"`
	Origin    eventOrigin     `json:"origin"`
	Sequence  json.RawMessage `json:"sequence"`

	at time.Time
}

type eventOrigin struct {
	PipelineID   string `json:"pipeline_id"`
	PipelineName string `json:"pipeline_name"`
	UpdateID     string `json:"update_id"`
}

type eventError struct {
	Fatal      bool             `json:"fatal"`
	Exceptions []eventException `json:"exceptions"`
}

type eventException struct {
	ClassName string `json:"class_name"`
	Message   string `json:"message"`
}

// eventTime is the form of the time of an event, in which texts are in the order of times.
const eventTime = "2006-01-02T15:04:05.000Z"

// events returns the events of a pipeline that are to be seen, the oldest first.
func (p *pipeline) events(now time.Time) []pipelineEvent {
	var list []pipelineEvent
	for number, u := range p.updates {
		n := 0
		add := func(at time.Time, level, typ, message string, failure *eventError) {
			n++
			if at.Add(u.run.late).After(now) {
				return
			}
			list = append(list, pipelineEvent{ID: u.id[:9] + fmt.Sprintf("0e5e-4%03x", n&0xfff) + u.id[18:], Timestamp: at.UTC().Format(eventTime), Level: level,
				EventType: typ, Message: message, Error: failure, Origin: eventOrigin{p.id, p.settings.Name, u.id},
				Sequence: json.RawMessage(`{"control_plane_seq_no":` + strconv.Itoa(number<<12|n) + `}`), at: at})
		}
		short := u.id[24:30]
		add(u.created, "INFO", "create_update", "Update "+short+" started by "+u.cause+".", nil)
		for _, reached := range u.history(now) {
			if reached.state == "" {
				continue
			}
			level, failure := "INFO", (*eventError)(nil)
			if reached.state == "FAILED" {
				level, failure = "ERROR", &eventError{Fatal: true}
				for _, text := range u.run.errors {
					exception := eventException{"org.apache.spark.sql.streaming.StreamingQueryException", text}
					failure.Exceptions = append(failure.Exceptions, exception)
					add(reached.since, "ERROR", "flow_progress", "Flow failed.", &eventError{Exceptions: []eventException{exception}})
				}
			}
			add(reached.since, level, "update_progress", "Update "+short+" is "+reached.state+".", failure)
		}
	}
	slices.SortStableFunc(list, func(a, b pipelineEvent) int { return a.at.Compare(b.at) })
	return list
}

var eventCondition = regexp.MustCompile(`(?i)^\s*(?:(level|id|update_id)\s*=\s*'([^']*)'|level\s+in\s*\(([^)]*)\)|timestamp\s*(>=|<=|>|<|=)\s*'([^']*)')\s*$`)

// eventFilter returns whether an event is one that the filter selects.
func eventFilter(text string) (func(*pipelineEvent) bool, error) {
	var conditions []func(*pipelineEvent) bool
	for part := range strings.SplitSeq(regexp.MustCompile(`(?i)\s+and\s+`).ReplaceAllString(text, "\x00"), "\x00") {
		if text == "" {
			break
		}
		m := eventCondition.FindStringSubmatch(part)
		switch {
		case m == nil:
			return nil, invalid("filter '%s' is not understood: conditions on level, id, timestamp and update_id, joined by AND.", text)
		case m[1] != "":
			field, want := strings.ToLower(m[1]), m[2]
			conditions = append(conditions, func(e *pipelineEvent) bool {
				return map[string]string{"level": e.Level, "id": e.ID, "update_id": e.Origin.UpdateID}[field] == want
			})
		case m[3] != "":
			var levels []string
			for level := range strings.SplitSeq(m[3], ",") {
				levels = append(levels, strings.Trim(strings.TrimSpace(level), "'"))
			}
			conditions = append(conditions, func(e *pipelineEvent) bool { return slices.Contains(levels, e.Level) })
		default:
			at, err := time.Parse(time.RFC3339, m[5])
			if err != nil {
				return nil, invalid("filter '%s': '%s' is not a time.", text, m[5])
			}
			conditions = append(conditions, func(e *pipelineEvent) bool {
				order := e.at.Truncate(time.Millisecond).Compare(at)
				return order < 0 && m[4][0] == '<' || order > 0 && m[4][0] == '>' || order == 0 && strings.HasSuffix(m[4], "=")
			})
		}
	}
	return func(e *pipelineEvent) bool {
		return !slices.ContainsFunc(conditions, func(holds func(*pipelineEvent) bool) bool { return !holds(e) })
	}, nil
}

// listPipelineEvents lists events, the newest first unless asked otherwise. A token of a page holds filter and order, and is the
// only parameter but max_results.
func (s *Server) listPipelineEvents(c *call, p *pipeline) (any, error) {
	size, err := c.pipelinePageSize()
	if err != nil {
		return nil, err
	}
	query := c.req.URL.Query()
	bare := *c // tokens are bound to the path alone
	bare.req = c.req.Clone(c.req.Context())
	bare.req.URL = &url.URL{Path: c.req.URL.Path}
	var from struct{ Filter, Order, After string }
	from.Filter, from.Order = query.Get("filter"), strings.ToLower(cmp.Or(strings.Join(query["order_by"], ","), "timestamp desc"))
	if token := query.Get("page_token"); token != "" {
		if query.Has("filter") || query.Has("order_by") {
			return nil, invalid("page_token excludes all other parameters but max_results.")
		}
		_, state, err := bare.decodeToken(token)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(state), &from); err != nil {
			return nil, err
		}
	}
	if from.Order != "timestamp asc" && from.Order != "timestamp desc" {
		return nil, invalid("order_by '%s' is not understood: timestamp asc or timestamp desc.", from.Order)
	}
	selected, err := eventFilter(from.Filter)
	if err != nil {
		return nil, err
	}
	events := p.events(s.now())
	if from.Order == "timestamp desc" {
		slices.Reverse(events)
	}
	if i := slices.IndexFunc(events, func(e pipelineEvent) bool { return e.ID == from.After }); i >= 0 {
		events = events[i+1:]
	}
	var page []pipelineEvent
	for e := range selectedEvents(events, selected) {
		if len(page) == size {
			from.After = page[size-1].ID
			state, err := json.Marshal(from)
			if err != nil {
				return nil, err
			}
			return pageOf("events", page, bare.encodeToken(tokenPlain, string(state))), nil
		}
		page = append(page, e)
	}
	return pageOf("events", page, ""), nil
}

func selectedEvents(list []pipelineEvent, selected func(*pipelineEvent) bool) iter.Seq[pipelineEvent] {
	return func(yield func(pipelineEvent) bool) {
		for _, e := range list {
			if selected(&e) && !yield(e) {
				return
			}
		}
	}
}
