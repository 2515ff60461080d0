package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ucwarden/policy/script"
	"ucwarden/policy/suite"
)

// document is a set of policies and the questions asked about it, one line of the input of both engines. Suite is a suite
// in Ranger's format without tests, whose service definitions are named by file.
type document struct {
	ID          json.Number                `json:"id"`
	Again       bool                       `json:"again,omitempty"` // asks Ranger as java/Again.java says
	Suite       map[string]json.RawMessage `json:"suite"`
	Roles       json.RawMessage            `json:"roles,omitempty"`
	ServiceTags json.RawMessage            `json:"serviceTags,omitempty"`
	Kinds       []string                   `json:"kinds"`
	Requests    []json.RawMessage          `json:"requests"`
}

type serviceRoles struct {
	RangerRoles []struct {
		Name                 string
		Users, Groups, Roles []struct{ Name string }
	} `json:"rangerRoles"`
}

// difference is a question that the engines answer differently, one line of the output.
type difference struct {
	Document json.Number     `json:"doc"`
	What     string          `json:"what"` // decision, or id where only the policy differs that access is decided by
	Kind     string          `json:"kind"`
	Ranger   string          `json:"ranger"`
	Ours     string          `json:"ucwarden"`
	Request  json.RawMessage `json:"request"`
}

// counts are the numbers of a comparison.
type counts struct{ documents, decisions, positive, failed, decision, id int }

func (c counts) String() string {
	return fmt.Sprintf("%d documents, %d decisions (%d positive), %d that Ranger could not answer, %d decisions differ, %d differ in the deciding policy only",
		c.documents, c.decisions, c.positive, c.failed, c.decision, c.id)
}

// engine answers documents by ucwarden's own evaluator, through the suites that `ucwarden policy test` runs.
type engine struct {
	defs   string // folder of service definitions
	loaded map[string]json.RawMessage
}

// compare reads documents and Ranger's answers to them line by line. It writes to out what ucwarden answers otherwise, and
// to again a document for each decision that differs, in which it is the only question.
func (e *engine) compare(docs, answers io.Reader, out, again io.Writer) (counts, error) {
	var c counts
	differences, alone := json.NewEncoder(out), json.NewEncoder(again)
	err := eachAnswered(docs, answers, func(d *document, answers []string) error {
		c.documents++
		found, err := e.document(d, answers, &c)
		if err != nil {
			return err
		}
		for _, f := range found {
			if err := differences.Encode(f); err != nil {
				return err
			}
			if f.What == "decision" {
				one := *d
				one.Again, one.Kinds, one.Requests = true, []string{f.Kind}, []json.RawMessage{f.Request}
				if err := alone.Encode(one); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return c, err
}

// eachAnswered calls yield for every document with its answers.
func eachAnswered(docs, answers io.Reader, yield func(d *document, answers []string) error) error {
	questions, replies := bufio.NewScanner(docs), bufio.NewScanner(answers)
	questions.Buffer(nil, 64<<20)
	replies.Buffer(nil, 64<<20)
	for n := 1; questions.Scan(); n++ {
		var d document
		if err := json.Unmarshal(questions.Bytes(), &d); err != nil {
			return fmt.Errorf("read document %d: %w", n, err)
		}
		if !replies.Scan() {
			return fmt.Errorf("document %s has no answers: %w", d.ID, cmp.Or(replies.Err(), io.ErrUnexpectedEOF))
		}
		id, rest, _ := strings.Cut(replies.Text(), "\t")
		if id != d.ID.String() {
			return fmt.Errorf("the answers are out of step: document %s, answers for %s", d.ID, id)
		}
		if err := yield(&d, strings.Split(rest, "\t")); err != nil {
			return fmt.Errorf("document %s: %w", d.ID, err)
		}
	}
	return questions.Err()
}

// reasons are what README.md lists as kept different on purpose, in the order in which java/Again.java leaves them out.
var reasons = []string{"asked before", "silent policies", "calendars", "calendars", "time zones", "time zones"}

// explain reads the documents that compare wrote to again, with Ranger's answers to them. It returns how many differences
// have which reason, and the ids of the documents with one that has none.
func (e *engine) explain(docs, answers io.Reader) (byReason map[string]int, unexplained []string, err error) {
	byReason = map[string]int{}
	err = eachAnswered(docs, answers, func(d *document, answers []string) error {
		if len(answers) != len(reasons) {
			return fmt.Errorf("%d answers, want %d: %s", len(answers), len(reasons), answers[0])
		}
		for i, reason := range reasons {
			var c counts
			if _, err := e.document(d, answers[i:i+1], &c); err != nil {
				return err
			}
			if c.decisions == 1 && c.decision == 0 {
				byReason[reason]++
				return nil
			}
		}
		unexplained = append(unexplained, d.ID.String())
		return nil
	})
	return byReason, unexplained, err
}

// question is one test of the suite that a document becomes.
type question struct {
	request json.RawMessage
	kind    string
	ranger  string
}

func (e *engine) document(d *document, answers []string, c *counts) ([]difference, error) {
	var asked []question
	var tests []map[string]any
	if len(answers) == 1 && strings.HasPrefix(answers[0], "ERROR") { // Ranger could not read the policies
		c.failed += len(d.Requests) * len(d.Kinds)
		return nil, nil
	}
	n := 0
	for _, r := range d.Requests {
		for _, kind := range d.Kinds {
			if n >= len(answers) {
				return nil, fmt.Errorf("%d answers to %d questions", len(answers), len(d.Requests)*len(d.Kinds))
			}
			q := question{request: r, kind: kind, ranger: answers[n]}
			n++
			if strings.HasPrefix(q.ranger, "ERROR") {
				c.failed++
				continue
			}
			test, err := q.test()
			if err != nil {
				return nil, err
			}
			asked, tests = append(asked, q), append(tests, test)
		}
	}
	if len(tests) == 0 {
		return nil, nil
	}
	data, err := e.suite(d, tests)
	if err != nil {
		return nil, err
	}
	result, err := suite.Run(data, "document", suite.Options{Now: time.Now(), Scripts: script.Compile, File: func(string) ([]byte, error) { return d.ServiceTags, nil }})
	if err != nil {
		return nil, err
	}
	var found []difference
	for i, got := range result.Cases {
		q := asked[i]
		c.decisions++
		if q.positive() {
			c.positive++
		}
		diff := difference{Document: d.ID, Kind: q.kind, Ranger: q.ranger, Ours: strings.Join(strings.Fields(got.Problem+" ("+got.Decision+")"), " "), Request: q.request}
		switch {
		case !got.Passed:
			diff.What = "decision"
			c.decision++
		case q.kind == "access" && decidedBy(got.Decision) != q.policy():
			diff.What = "id"
			c.id++
		default:
			continue
		}
		found = append(found, diff)
	}
	return found, nil
}

var byPolicy = regexp.MustCompile(` by policy (-?\d+) `)

func decidedBy(decision string) string {
	if m := byPolicy.FindStringSubmatch(decision); m != nil {
		return m[1]
	}
	return "-1"
}

func (q *question) split() (answer, policy string) {
	i := strings.LastIndexByte(q.ranger, ':')
	return q.ranger[:i], q.ranger[i+1:]
}

func (q *question) policy() string { _, id := q.split(); return id }

func (q *question) positive() bool {
	return strings.HasPrefix(q.ranger, "A:") || q.kind != "access" && q.policy() != "-1"
}

// test is the question as a test in Ranger's format, which wants Ranger's answer.
func (q *question) test() (map[string]any, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(q.request, &fields); err != nil {
		return nil, err
	}
	t := map[string]any{"name": q.kind}
	if a, ok := fields["userAttributes"]; ok {
		t["userAttributes"] = a
		delete(fields, "userAttributes")
	}
	t["request"] = fields
	answer, policy := q.split()
	id, err := strconv.ParseInt(policy, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("answer %q: %w", q.ranger, err)
	}
	switch q.kind {
	case "access":
		t["result"] = map[string]any{"isAllowed": answer == "A", "policyId": id}
	case "mask":
		parts := strings.SplitN(answer, "|", 3)
		t["dataMaskResult"] = map[string]any{"maskType": parts[0], "maskCondition": parts[1], "maskedValue": parts[2], "policyId": id}
	case "filter":
		t["rowFilterResult"] = map[string]any{"filterExpr": answer, "policyId": id}
	default:
		return nil, fmt.Errorf("unknown kind %q", q.kind)
	}
	return t, nil
}

// suite writes a document as a suite that `ucwarden policy test` can run.
func (e *engine) suite(d *document, tests []map[string]any) ([]byte, error) {
	s := make(map[string]any, len(d.Suite)+4)
	for k, v := range d.Suite {
		s[k] = v
	}
	var err error
	if s["serviceDef"], err = e.def(d.Suite["serviceDef"]); err != nil {
		return nil, err
	}
	if raw := d.Suite["tagPolicyInfo"]; raw != nil {
		var info map[string]json.RawMessage
		if err := json.Unmarshal(raw, &info); err != nil {
			return nil, err
		}
		if info["serviceDef"], err = e.def(info["serviceDef"]); err != nil {
			return nil, err
		}
		if d.ServiceTags != nil {
			if info["serviceDef"], err = withEnricher(info["serviceDef"]); err != nil {
				return nil, err
			}
		}
		s["tagPolicyInfo"] = info
	}
	if d.Roles != nil {
		var defined serviceRoles
		if err := json.Unmarshal(d.Roles, &defined); err != nil {
			return nil, err
		}
		users, groups, roles := map[string][]string{}, map[string][]string{}, map[string][]string{}
		for _, r := range defined.RangerRoles {
			for _, m := range r.Users {
				users[m.Name] = append(users[m.Name], r.Name)
			}
			for _, m := range r.Groups {
				groups[m.Name] = append(groups[m.Name], r.Name)
			}
			for _, m := range r.Roles {
				roles[m.Name] = append(roles[m.Name], r.Name)
			}
		}
		s["userRoles"], s["groupRoles"], s["roleRoles"] = users, groups, roles
	}
	s["tests"] = tests
	return json.Marshal(s)
}

// withEnricher lets a service definition take the tags of resources from a file.
func withEnricher(def json.RawMessage) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(def, &fields); err != nil {
		return nil, err
	}
	fields["contextEnrichers"] = json.RawMessage(`[{"itemId": 1, "name": "tags", "enricherOptions": {"serviceTagsFileName": "tags.json"}}]`)
	return json.Marshal(fields)
}

// def returns a service definition: a file of the folder by its name, or one that the document brings.
func (e *engine) def(raw json.RawMessage) (json.RawMessage, error) {
	var name string
	if json.Unmarshal(raw, &name) != nil {
		return raw, nil
	}
	if e.loaded[name] == nil {
		data, err := os.ReadFile(filepath.Join(e.defs, filepath.Base(name)+".json"))
		if err != nil {
			return nil, fmt.Errorf("read service definition %s: %w", name, err)
		}
		if e.loaded == nil {
			e.loaded = map[string]json.RawMessage{}
		}
		e.loaded[name] = data
	}
	return e.loaded[name], nil
}
