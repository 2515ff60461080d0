package audit

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"ucwarden/connector/apply"
	"ucwarden/policy"
)

// Result is what became of a change.
type Result string

// The results.
const (
	ResultApplied Result = "applied" // Unity Catalog confirmed it or, settled, shows it
	ResultRefused Result = "refused" // Unity Catalog answered that it does not do it; Error says why
	ResultGone    Result = "gone"    // the object does not exist any more
	ResultAbsent  Result = "absent"  // settled: the grants, or the table, do not show it
	ResultUnknown Result = "unknown" // settled: the object exists and cannot be read
	ResultOpen    Result = "open"    // not known yet; in no line of the file, only in answers
)

// Change is one grant that was added or removed, or was to be.
type Change struct {
	Time      time.Time            `json:"time"` // when the result was known
	Intent    string               `json:"intent"`
	Task      string               `json:"task,omitempty"`
	By        string               `json:"by,omitempty"` // who posted the task
	Securable string               `json:"securable"`    // TYPE:full.name
	Principal string               `json:"principal"`
	Kind      policy.PrincipalKind `json:"principalKind,omitempty"` // of the principal
	Privilege policy.Privilege     `json:"privilege"`
	Act       policy.Act           `json:"act"`
	// Protection is, of a change of a row filter or mask, which of them and its function; principal and privilege are empty.
	Protection string       `json:"protection,omitempty"`
	Cause      policy.Cause `json:"cause,omitzero"`
	Result     Result       `json:"result"`
	Settled    bool         `json:"settled,omitempty"` // found out later, by reading the object
	RequestID  string       `json:"requestId,omitempty"`
	Error      string       `json:"error,omitempty"`
}

func (c *Change) assignment() policy.Assignment {
	return policy.Assignment{Principal: policy.Principal{Name: c.Principal, Kind: c.Kind}, Privilege: c.Privilege}
}

// intent is a request that is about to be sent.
type intent struct {
	Time   time.Time     `json:"time"`
	ID     string        `json:"intent"`
	Task   string        `json:"task,omitempty"`
	By     string        `json:"by,omitempty"`
	Change policy.Change `json:"change"`
	// Protection is what is about to be set or lifted, of a change of row filters and masks.
	Protection *policy.ProtectionChange `json:"protection,omitempty"`
}

func newIntent(id string, now time.Time, o apply.Origin, c policy.Change) intent {
	noted := policy.Change{Securable: c.Securable, Wave: c.Wave, Causes: c.Causes}
	noted.Add, noted.Remove = c.Request() // all that is sent, what is put back too
	if len(c.AddTemporary)+len(c.RemoveTemporary)+len(c.Keep) > 0 {
		noted.Causes = maps.Clone(c.Causes)
		if noted.Causes == nil {
			noted.Causes = make(policy.Causes)
		}
		for act, list := range map[policy.Act][]policy.Assignment{policy.ActAdd: slices.Concat(c.AddTemporary, c.Keep), policy.ActRemove: c.RemoveTemporary} {
			for _, a := range list {
				noted.Causes.Set(act, a, policy.Cause{Kind: policy.CauseKept})
			}
		}
	}
	return intent{Time: now.UTC().Truncate(time.Millisecond), ID: id, Task: o.Task, By: o.By, Change: noted}
}

// changes returns the lines that close the intent, with what result says of each act on grants, and protection of those on a table.
func (in *intent) changes(now time.Time, result func(policy.Act, policy.Assignment) Result, protection func(policy.ProtectionAct) Result) []Change {
	var list []Change
	add := func(act policy.Act, assignments []policy.Assignment) {
		for _, a := range assignments {
			list = append(list, Change{
				Time: now.UTC().Truncate(time.Millisecond), Intent: in.ID, Task: in.Task, By: in.By,
				Securable: in.Change.Securable.String(), Principal: a.Name, Kind: a.Kind, Privilege: a.Privilege, Act: act,
				Cause: in.Change.Causes.Of(act, a), Result: result(act, a),
			})
		}
	}
	add(policy.ActAdd, in.Change.Add)
	add(policy.ActRemove, in.Change.Remove)
	if in.Protection != nil {
		for _, what := range in.Protection.Acts() {
			list = append(list, Change{
				Time: now.UTC().Truncate(time.Millisecond), Intent: in.ID, Task: in.Task, By: in.By, Securable: in.Protection.Table.String(),
				Act: what.Act, Protection: what.Text, Result: protection(what),
			})
		}
	}
	return list
}

// alike returns the lines that close the intent where all of it has one result.
func (in *intent) alike(now time.Time, result Result) []Change {
	return in.changes(now, func(policy.Act, policy.Assignment) Result { return result }, func(policy.ProtectionAct) Result { return result })
}

// without returns the intent without one of its acts, which has a line already.
func (in intent) without(act policy.Act, a policy.Assignment) intent {
	drop := func(list []policy.Assignment) []policy.Assignment {
		var rest []policy.Assignment
		for _, x := range list {
			if x != a {
				rest = append(rest, x)
			}
		}
		return rest
	}
	if a == (policy.Assignment{}) {
		in.Protection = nil
		return in
	}
	if act == policy.ActAdd {
		in.Change.Add = drop(in.Change.Add)
	} else {
		in.Change.Remove = drop(in.Change.Remove)
	}
	return in
}

func (in *intent) closed() bool {
	return len(in.Change.Add)+len(in.Change.Remove) == 0 && in.Protection == nil
}

// line is a record as it stands in the file: an intent, or a change.
type line struct {
	intent *intent
	change *Change
}

// parseLine reads one line of the file.
func parseLine(text []byte) (line, error) {
	var probe struct {
		Change json.RawMessage `json:"change"`
		Intent string          `json:"intent"`
	}
	if err := json.Unmarshal(text, &probe); err != nil {
		return line{}, err
	}
	if probe.Change != nil {
		l := line{intent: new(intent)}
		return l, json.Unmarshal(text, l.intent)
	}
	l := line{change: new(Change)}
	if err := json.Unmarshal(text, l.change); err != nil {
		return line{}, err
	}
	if l.change.Result == "" {
		return line{}, errNoRecord
	}
	return l, nil
}

// appendLine appends a record as one line.
func appendLine(to []byte, record any) ([]byte, error) {
	body, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	return append(append(to, body...), '\n'), nil
}

// openIntents follows the intents of a file.
type openIntents map[string]intent

func (o openIntents) note(l line) {
	if l.intent != nil {
		o[l.intent.ID] = *l.intent
		return
	}
	in, ok := o[l.change.Intent]
	if !ok {
		return
	}
	in = in.without(l.change.Act, l.change.assignment())
	if in.closed() {
		delete(o, in.ID)
		return
	}
	o[in.ID] = in
}
