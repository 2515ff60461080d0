package document

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"strings"
)

//go:embed page.html
var pageTemplate string

//go:embed page.css
var pageStyle string

// Page returns the document as a page of HTML for people, and the Content-Security-Policy to send with it: it has no script, and
// needs nothing but what is in it.
func (d *Document) Page() (html []byte, policy string, err error) {
	parsed, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return nil, "", fmt.Errorf("read the template of the page: %w", err)
	}
	var b bytes.Buffer
	if err := parsed.Execute(&b, d.contents()); err != nil {
		return nil, "", fmt.Errorf("write the page: %w", err)
	}
	_, rest, _ := strings.Cut(b.String(), "<style>")
	style, _, found := strings.Cut(rest, "</style>")
	if !found {
		return nil, "", fmt.Errorf("write the page: it has no style")
	}
	sum := sha256.Sum256([]byte(style))
	policy = "default-src 'none'; img-src data:; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return b.Bytes(), policy, nil
}

// contents is what the page shows.
type contents struct {
	Style          template.CSS
	Title, Version string
	Paragraphs     []string
	Groups         []group
	Schemas        []schema
}

// group are the calls with one tag.
type group struct {
	Name, Description string
	Calls             []call
}

type call struct {
	ID, Method, Path, Summary string
	Paragraphs                []string
	Scopes                    []string
	Open                      bool // needs no token
	Parameters                []field
	Body                      []body
	BodyDescription           string
	Command                   string // for a shell
	Answers                   []answer
}

// body is what is sent in one media type.
type body struct {
	Media string
	kind
	Fields []field
}

type answer struct {
	Status, Description string
	Bodies              []body
	Headers             []field
}

type schema struct {
	Name        string
	Description string
	Kind        kind
	Fields      []field
	Example     string
}

// field is a parameter, a header, or a property of an object.
type field struct {
	Name, In    string
	Kind        kind
	Required    bool
	Description string
	Fields      []field // of an object that has no name of its own
}

// kind says which values are allowed.
type kind struct {
	Text   string // "array of", before Ref
	Ref    string // a schema with a name
	Limits []string
}

func (d *Document) contents() contents {
	info := d.root.get("info")
	c := contents{
		Style: template.CSS(pageStyle), Title: info.get("title").text(), Version: info.get("version").text(),
		Paragraphs: paragraphs(info.get("description")),
	}
	for tag := range d.root.get("tags").elements {
		c.Groups = append(c.Groups, group{Name: tag.get("name").text(), Description: tag.get("description").text()})
	}
	for _, op := range d.operations() {
		for i := range c.Groups {
			if c.Groups[i].Name == op.tag {
				c.Groups[i].Calls = append(c.Groups[i].Calls, d.call(op))
			}
		}
	}
	for name, s := range d.root.get("components").get("schemas").members {
		c.Schemas = append(c.Schemas, schema{
			Name: name, Description: s.get("description").text(), Kind: d.kind(s), Fields: d.fields(s), Example: example(s),
		})
	}
	return c
}

// operation is a call as the document has it.
type operation struct {
	method, path, tag string
	node, item        node
}

func (d *Document) operations() []operation {
	var list []operation
	for path, item := range d.root.get("paths").members {
		for method, n := range item.members {
			if method != "parameters" {
				list = append(list, operation{strings.ToUpper(method), path, n.get("tags").texts()[0], n, item})
			}
		}
	}
	return list
}

// scopes returns the scopes that the operation needs, and whether it needs no token.
func (d *Document) scopes(op operation) (scopes []string, open bool) {
	security := op.node.get("security")
	if !security.exists() {
		security = d.root.get("security")
	}
	open = true
	for alternative := range security.elements {
		for _, needed := range alternative.members {
			open = false
			scopes = append(scopes, needed.texts()...)
		}
	}
	return scopes, open
}

func (d *Document) parameters(op operation) []node {
	var list []node
	for _, from := range []node{op.item, op.node} {
		for p := range from.get("parameters").elements {
			list = append(list, d.resolve(p))
		}
	}
	return list
}

func (d *Document) call(op operation) call {
	c := call{
		ID: op.node.get("operationId").text(), Method: op.method, Path: op.path, Summary: op.node.get("summary").text(),
		Paragraphs: paragraphs(op.node.get("description")),
	}
	c.Scopes, c.Open = d.scopes(op)
	for _, p := range d.parameters(op) {
		c.Parameters = append(c.Parameters, field{
			Name: p.get("name").text(), In: p.get("in").text(), Required: p.get("required").text() == "true",
			Description: p.get("description").text(), Kind: d.kind(p.get("schema")),
		})
	}
	request := op.node.get("requestBody")
	c.BodyDescription = request.get("description").text()
	c.Body = d.bodies(request)
	c.Command = command(op, c.Open)
	for status, r := range op.node.get("responses").members {
		r = d.resolve(r)
		a := answer{Status: status, Description: r.get("description").text(), Bodies: d.bodies(r)}
		for name, h := range r.get("headers").members {
			a.Headers = append(a.Headers, field{Name: name, Description: h.get("description").text()})
		}
		c.Answers = append(c.Answers, a)
	}
	return c
}

func (d *Document) bodies(of node) []body {
	var list []body
	for media, content := range of.get("content").members {
		b := body{Media: media, kind: d.kind(content.get("schema"))}
		if b.Ref == "" {
			b.Fields = d.fields(content.get("schema"))
		}
		list = append(list, b)
	}
	return list
}

// command returns a command for a shell that makes the call.
func command(op operation, open bool) string {
	var b strings.Builder
	b.WriteString("curl -sS")
	if op.method != "GET" {
		b.WriteString(" -X " + op.method)
	}
	if !open {
		b.WriteString(` -H "Authorization: Bearer $TOKEN"`)
	}
	for media, content := range op.node.get("requestBody").get("content").members {
		fmt.Fprintf(&b, " \\\n  -H 'Content-Type: %s' -d '%s'", media, indented(content.get("example")))
	}
	b.WriteString(" \\\n  \"$SERVER" + strings.ReplaceAll(op.path, "{id}", "$ID") + `"`)
	return b.String()
}

// example returns the first example of a schema that is an object, as JSON.
func example(s node) string {
	if s.get("properties").exists() {
		for e := range s.get("examples").elements {
			return indented(e)
		}
	}
	return ""
}

// indented returns a value as JSON, on several lines where it is long.
func indented(value node) string {
	if !value.exists() {
		return ""
	}
	compact, err := appendJSON(nil, value)
	if err != nil { // Parse has done the same with all of the document
		return ""
	}
	if len(compact) < 80 {
		return string(compact)
	}
	var b bytes.Buffer
	if err := writeIndented(&b, value, ""); err != nil {
		return string(compact)
	}
	return b.String()
}

// writeIndented writes a value on as many lines as it needs to be narrow.
func writeIndented(b *bytes.Buffer, value node, indent string) error {
	compact, err := appendJSON(nil, value)
	if err != nil {
		return err
	}
	inner, first := indent+"  ", true
	next := func() {
		if !first {
			b.WriteString(",")
		}
		first = false
		b.WriteString("\n" + inner)
	}
	switch {
	case len(indent)+len(compact) < 80 || compact[0] != '{' && compact[0] != '[':
		b.Write(compact)
	case compact[0] == '{':
		b.WriteString("{")
		for name, member := range value.members {
			next()
			quoted, err := appendText(nil, name)
			if err != nil {
				return err
			}
			b.Write(append(quoted, ": "...))
			if err := writeIndented(b, member, inner); err != nil {
				return err
			}
		}
		b.WriteString("\n" + indent + "}")
	default:
		b.WriteString("[")
		for element := range value.elements {
			next()
			if err := writeIndented(b, element, inner); err != nil {
				return err
			}
		}
		b.WriteString("\n" + indent + "]")
	}
	return nil
}

// resolve follows a reference into the document; anything else is returned as it is.
func (d *Document) resolve(n node) node {
	for range 10 { // a reference to itself is none
		ref := n.get("$ref").text()
		if ref == "" {
			return n
		}
		n = d.root
		for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			n = n.get(part)
		}
	}
	return node{}
}

func paragraphs(n node) []string {
	if n.text() == "" {
		return nil
	}
	return strings.Split(strings.TrimSpace(n.text()), "\n\n")
}
