package document

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// Operation is a call of the document, with what it takes.
type Operation struct {
	ID, Method, Path string
	Scopes           []string // of a token; nil: it needs none
	Body             *Schema  // nil: it takes none

	parameters []parameter
}

type parameter struct {
	name, in string
	required bool
	list     bool // may be given more than once
	schema   *Schema
}

// ParameterFault says what of a parameter the document does not allow.
type ParameterFault struct {
	In, Name, Detail string
}

// Operations returns the calls of the document in its order. The error says what of it is not known here.
func (d *Document) Operations() ([]Operation, error) {
	c := compiler{doc: d, named: make(map[string]*Schema)}
	var list []Operation
	for _, op := range d.operations() {
		o := Operation{ID: op.node.get("operationId").text(), Method: op.method, Path: op.path}
		o.Scopes, _ = d.scopes(op)
		for _, n := range d.parameters(op) {
			s, err := c.compile(n.get("schema"))
			if err != nil {
				return nil, fmt.Errorf("parameter %s of %s: %w", n.get("name").text(), o.ID, err)
			}
			o.parameters = append(o.parameters, parameter{
				name: n.get("name").text(), in: n.get("in").text(), required: n.get("required").text() == "true",
				list: n.get("schema").get("type").text() == "array", schema: s,
			})
		}
		if body := op.node.get("requestBody").get("content").get("application/json").get("schema"); body.exists() {
			var err error
			if o.Body, err = c.compile(body); err != nil {
				return nil, fmt.Errorf("body of %s: %w", o.ID, err)
			}
		}
		list = append(list, o)
	}
	return list, nil
}

// Names returns the names of the operation's parameters in a place: path, query or header.
func (o *Operation) Names(in string) []string {
	var names []string
	for _, p := range o.parameters {
		if p.in == in {
			names = append(names, p.name)
		}
	}
	return names
}

// CheckParameters returns what the document does not allow in the parameters of a request. A header that is there in several lines is
// one value (RFC 9110, section 5.3). Parameters that the document does not name are not looked at.
func (o *Operation) CheckParameters(path func(name string) string, query url.Values, header http.Header) []ParameterFault {
	var faults []ParameterFault
	for _, p := range o.parameters {
		var values []string
		switch p.in {
		case "path":
			values = []string{path(p.name)}
		case "query":
			values = query[p.name]
		case "header":
			values = header.Values(p.name)
		}
		detail := ""
		switch {
		case len(values) == 0 && p.required:
			detail = "missing"
		case p.list:
			detail = p.check(listOf(values))
		case p.in == "query" && len(values) > 1:
			detail = "given more than once"
		case len(values) > 0:
			for _, value := range values {
				if detail = p.check(quote(value)); detail == "" {
					continue
				}
				if whole(value) && p.check([]byte(value)) == "" {
					detail = ""
				}
				break
			}
		}
		if detail != "" {
			faults = append(faults, ParameterFault{p.in, p.name, detail})
		}
	}
	return faults
}

func (p *parameter) check(value []byte) string {
	if faults := p.schema.Check(value); len(faults) > 0 {
		return faults[0].Detail
	}
	return ""
}

// whole reports whether a text is a whole number, in digits.
func whole(text string) bool {
	digits := len(text) > 0 && len(text) < 20
	for i, c := range text {
		digits = digits && (c >= '0' && c <= '9' || c == '-' && i == 0 && len(text) > 1)
	}
	return digits && json.Valid([]byte(text))
}

// quote returns a text as JSON. What is no valid UTF-8 in it becomes the replacement character.
func quote(text string) []byte {
	quoted, err := appendText(nil, text)
	if err != nil { // texts can always be written
		return nil
	}
	return quoted
}

func listOf(values []string) []byte {
	list := []byte{'['}
	for i, value := range values {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, quote(value)...)
	}
	return append(list, ']')
}
