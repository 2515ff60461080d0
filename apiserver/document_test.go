package apiserver_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"

	"ucwarden/apiserver"
)

// TestRandomRequests sends requests that are made from the document, most of them as it says and some not. What it forbids is
// refused, what it allows is not, and every answer is as documented (see env.do), none of them a failure of the server.
func TestRandomRequests(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(apiserver.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	e := newEnv(t, func(s *setup) { s.stopped, s.Rate, s.queue.MaxQueued = true, -1, 1<<30 })
	e.log.discard = true
	e.do("POST", tasksPath, table("known", "sales")).want(202)
	operations := operationsOf(doc)
	taken, refused := make(map[string]int), make(map[string]int)
	rapid.Check(t, func(rt *rapid.T) {
		op := rapid.SampledFrom(operations).Draw(rt, "operation")
		path, allowed := op.drawPath(rt)
		query, ok := op.drawQuery(rt)
		allowed = allowed && ok
		body := ""
		if op.body != nil {
			value := drawValue(rt, op.body, 0)
			data, err := json.Marshal(value)
			if err != nil {
				rt.Fatal(err)
			}
			body = string(data)
			allowed = allowed && accepts(op.body, value)
		}
		e := *e
		e.t = rapidTB{t, rt}
		r := e.do(op.method, path+query, body)
		if r.status >= 500 {
			rt.Errorf("%s %s: %d %s", op.method, path+query, r.status, r.body)
		}
		switch r.status {
		case 400, 413, 415:
			refused[op.id]++
			if allowed {
				rt.Errorf("%s %s is allowed, and refused: %s\n%s", op.method, path+query, r.body, body)
			}
		case 404, 409: // about what is there, not about the request
		default:
			taken[op.id]++
			if !allowed {
				rt.Errorf("%s %s is forbidden, and answered %d\n%s", op.method, path+query, r.status, body)
			}
		}
	})
	t.Log("taken:", taken, "refused:", refused)
	if len(taken) == 0 || len(refused) == 0 {
		t.Error("the requests are all of one kind")
	}
}

// Every call below /api needs a token, whatever the document comes to say, and none beside it does.
func TestEveryCallNeedsAToken(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(apiserver.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	e := newEnv(t, nil)
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			status := e.do(method, strings.ReplaceAll(path, "{id}", "t"), "{}", "Authorization", "").status
			if needs := strings.HasPrefix(path, "/api/"); needs != (status == 401) {
				t.Errorf("%s %s without a token: %d", method, path, status)
			}
		}
	}
}

// rapidTB reports to the run of rapid, so that it shrinks what failed.
type rapidTB struct {
	testing.TB
	rt *rapid.T
}

func (t rapidTB) Errorf(format string, args ...any) { t.rt.Errorf(format, args...) }
func (t rapidTB) Fatalf(format string, args ...any) { t.rt.Fatalf(format, args...) }
func (t rapidTB) Fatal(args ...any)                 { t.rt.Fatal(args...) }

// operation is one call of the document.
type operation struct {
	id, method, path string
	parameters       openapi3.Parameters
	body             *openapi3.Schema // nil: none
}

func operationsOf(doc *openapi3.T) []operation {
	var list []operation
	for _, path := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
		item := doc.Paths.Map()[path]
		for method, o := range item.Operations() {
			if o.OperationID == "watchTask" || o.OperationID == "backupStore" { // one does not end, the other fills the disk
				continue
			}
			op := operation{id: o.OperationID, method: method, path: path, parameters: slices.Concat(item.Parameters, o.Parameters)}
			if o.RequestBody != nil {
				op.body = o.RequestBody.Value.Content.Get("application/json").Schema.Value
			}
			list = append(list, op)
			if op.body != nil || len(o.Parameters) > 0 { // more often than those to which there is less
				list = append(list, op, op, op)
			}
		}
	}
	slices.SortFunc(list, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return list
}

// drawPath returns the path with its parameters, and whether the document allows them.
func (op operation) drawPath(t *rapid.T) (path string, allowed bool) {
	path, allowed = op.path, true
	for _, p := range op.parameters {
		if p.Value.In != "path" {
			continue
		}
		value := rapid.OneOf(rapid.Just("known"), rapid.StringMatching(`[!-~]{1,300}`)).Draw(t, p.Value.Name)
		if value == "." || value == ".." { // another path
			value = "known"
		}
		allowed = allowed && accepts(p.Value.Schema.Value, value)
		path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", url.PathEscape(value))
	}
	return path, allowed
}

// drawQuery returns a query, "" or one that begins with ?, and whether the document allows it.
func (op operation) drawQuery(t *rapid.T) (query string, allowed bool) {
	values := url.Values{}
	allowed = true
	for _, p := range op.parameters {
		if p.Value.In != "query" || rapid.IntRange(0, 2).Draw(t, p.Value.Name+" given") > 0 {
			continue
		}
		schema := p.Value.Schema.Value
		if schema.Type.Is("array") { // of texts, none of which is forbidden
			values[p.Value.Name] = rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, p.Value.Name)
			continue
		}
		text := fmt.Sprint(drawValue(t, schema, 0))
		values.Set(p.Value.Name, text)
		var number json.Number
		allowed = allowed && (accepts(schema, text) || json.Unmarshal([]byte(text), &number) == nil && accepts(schema, mustFloat(number)))
	}
	if rapid.IntRange(0, 30).Draw(t, "unknown parameter") == 0 {
		values.Set("unknown", "1")
		allowed = false
	}
	if len(values) == 0 {
		return "", allowed
	}
	return "?" + values.Encode(), allowed
}

func mustFloat(n json.Number) float64 {
	f, _ := n.Float64() // of a number of JSON
	return f
}

// accepts reports whether the schema allows a value of JSON.
func accepts(s *openapi3.Schema, value any) bool {
	data, err := json.Marshal(value)
	if err != nil {
		return false
	}
	var plain any // as encoding/json reads it
	if json.Unmarshal(data, &plain) != nil {
		return false
	}
	return s.VisitJSON(plain, openapi3.EnableJSONSchema2020()) == nil
}

// drawValue returns a value that the schema allows, as far as that is easy, and sometimes another.
func drawValue(t *rapid.T, s *openapi3.Schema, depth int) any {
	if depth > 6 || rapid.IntRange(0, 40).Draw(t, "anything") == 0 {
		return anything(t)
	}
	if s.Const != nil {
		return s.Const
	}
	if len(s.Enum) > 0 {
		return rapid.SampledFrom(s.Enum).Draw(t, "enum")
	}
	if either := slices.Concat(s.OneOf, s.AnyOf); len(either) > 0 {
		return drawValue(t, either[rapid.IntRange(0, len(either)-1).Draw(t, "alternative")].Value, depth+1)
	}
	kinds := s.Type.Slice()
	if len(kinds) == 0 {
		return anything(t)
	}
	switch rapid.SampledFrom(kinds).Draw(t, "type") {
	case "object":
		return drawObject(t, s, depth)
	case "array":
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			if s.Items == nil {
				list = append(list, anything(t))
			} else {
				list = append(list, drawValue(t, s.Items.Value, depth+1))
			}
		}
		return list
	case "integer":
		lowest, highest := int64(-10), int64(10)
		if s.Min != nil {
			lowest = int64(*s.Min)
		}
		if s.Max != nil {
			highest = int64(*s.Max)
		}
		return rapid.Int64Range(lowest-1, highest+1).Draw(t, "integer")
	case "boolean":
		return rapid.Bool().Draw(t, "boolean")
	case "string":
		return drawString(t, s)
	}
	return nil
}

func drawString(t *rapid.T, s *openapi3.Schema) string {
	if len(s.Examples) > 0 && rapid.IntRange(0, 3).Draw(t, "example") > 0 {
		if text, ok := rapid.SampledFrom(s.Examples).Draw(t, "which").(string); ok {
			return text
		}
	}
	if s.Pattern != "" && rapid.IntRange(0, 5).Draw(t, "by pattern") > 0 {
		return rapid.StringMatching(s.Pattern).Draw(t, "text")
	}
	return rapid.StringN(-1, 20, -1).Draw(t, "text")
}

// drawObject leaves out few required fields, adds unknown ones, and follows one of the conditions that the schema has.
func drawObject(t *rapid.T, s *openapi3.Schema, depth int) any {
	o := make(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		most := 1
		if slices.Contains(s.Required, name) {
			most = 20
		}
		if rapid.IntRange(0, most).Draw(t, name+" given") > 0 {
			o[name] = drawValue(t, s.Properties[name].Value, depth+1)
		}
	}
	if s.AdditionalProperties.Schema != nil {
		for range rapid.IntRange(0, 2).Draw(t, "more") {
			o["x-"+rapid.StringMatching(`[a-z]{4}`).Draw(t, "name")] = drawValue(t, s.AdditionalProperties.Schema.Value, depth+1)
		}
	} else if rapid.IntRange(0, 5).Draw(t, "unknown") == 0 {
		o["x-"+rapid.StringMatching(`[a-z]{4}`).Draw(t, "name")] = anything(t)
	}
	if len(s.AllOf) == 0 || rapid.Bool().Draw(t, "no condition") {
		return o
	}
	part := rapid.SampledFrom(s.AllOf).Draw(t, "condition").Value
	for name, p := range part.If.Value.Properties {
		o[name] = p.Value.Const
	}
	for _, name := range slices.Sorted(maps.Keys(part.Then.Value.Properties)) {
		want, ok := drawValue(t, part.Then.Value.Properties[name].Value, depth+1).(map[string]any)
		have, _ := drawValue(t, s.Properties[name].Value, depth+1).(map[string]any)
		if !ok {
			continue
		}
		for field, value := range have {
			want[field] = value
		}
		o[name] = want
	}
	return o
}

// anything returns some value of JSON.
func anything(t *rapid.T) any {
	return rapid.SampledFrom([]any{nil, true, 0, -1, 1.5, 1 << 40, "", "x", "\u00e9", []any{}, []any{nil}, map[string]any{}, map[string]any{"x-any": 1}}).Draw(t, "any value")
}
