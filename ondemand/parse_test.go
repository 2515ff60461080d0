package ondemand

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucwarden/policy"
)

const published = `{
  "type": "RESOURCE_SYNC", "appType": "PS_CONNECTOR", "appSubType": "databricks_unity_catalog",
  "source": "airflow", "createTime": "2026-01-31T10:00:00Z",
  "requestInfo": {"resources": [
    {"type": "catalog", "values": {"catalog": "sales"}},
    {"type": "view", "values": {"catalog": "sales", "schema": "emea", "table": "orders_v"}}
  ]}}`

func TestParseTask(t *testing.T) {
	got, err := ParseTask([]byte(published))
	if err != nil {
		t.Fatal(err)
	}
	want := Task{
		Type: ResourceSync, AppType: "PS_CONNECTOR", AppSubType: "databricks_unity_catalog", Source: "airflow",
		CreateTime: time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC),
		RequestInfo: RequestInfo{Resources: []Resource{
			{Type: "catalog", Values: map[string]string{"catalog": "sales"}},
			{Type: "view", Values: map[string]string{"catalog": "sales", "schema": "emea", "table": "orders_v"}},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parsed task (-want +got):\n%s", diff)
	}
}

// A number is whole however it is written, as in JSON Schema.
func TestCreateTimeAsNumber(t *testing.T) {
	want := time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
	for _, number := range []string{"1769853600000", "1769853600000.0", "1.7698536e12", "17698536E+5"} {
		task, err := ParseTask([]byte(`{"type":"FULL_SYNC","createTime":` + number + `}`))
		if err != nil || !task.CreateTime.Equal(want) {
			t.Errorf("%s: %v, %v", number, task.CreateTime, err)
		}
	}
}

func TestParseTaskRefuses(t *testing.T) {
	const ok = `"requestInfo":{"resources":[{"type":"catalog","values":{"catalog":"c"}}]}`
	many := strings.TrimSuffix(strings.Repeat(`{"type":"catalog"},`, maxResources+1), ",")
	for _, c := range []struct {
		name, doc, pointer, detail string
		code                       policy.Code
	}{
		{"empty", ``, "", "not JSON", policy.CodeInvalid},
		{"not JSON", `{"type":`, "", "not JSON", policy.CodeInvalid},
		{"two documents", `{} {}`, "", "not JSON", policy.CodeInvalid},
		{"not UTF-8", "{\"type\":\"\xff\"}", "", "UTF-8", policy.CodeInvalid},
		{"array", `[]`, "", "want an object, got an array", policy.CodeInvalid},
		{"null", `null`, "", "want an object, got null", policy.CodeInvalid},
		{"no type", `{` + ok + `}`, "/type", "required", policy.CodeInvalid},
		{"null type", `{"type":null,` + ok + `}`, "/type", "required", policy.CodeInvalid},
		{"type is a number", `{"type":1,` + ok + `}`, "/type", "want a string, got a number", policy.CodeInvalid},
		{"type in other case", `{"Type":"RESOURCE_SYNC",` + ok + `}`, "/Type", "did you mean type?", policy.CodeInvalid},
		{"no requestInfo", `{"type":"RESOURCE_SYNC"}`, "/requestInfo/resources", "required", policy.CodeInvalid},
		{"no resources", `{"type":"RESOURCE_SYNC","requestInfo":{}}`, "/requestInfo/resources", "required", policy.CodeInvalid},
		{"empty resources", `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[]}}`, "/requestInfo/resources", "required", policy.CodeInvalid},
		{"requestInfo is text", `{"type":"FULL_SYNC","requestInfo":"x"}`, "/requestInfo", "want an object, got a string", policy.CodeInvalid},
		{"resources is an object", `{"type":"RESOURCE_SYNC","requestInfo":{"resources":{}}}`, "/requestInfo/resources", "want an array, got an object", policy.CodeInvalid},
		{"resource is null", `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[null]}}`, "/requestInfo/resources/0", "want an object, got null", policy.CodeInvalid},
		{"value is a number", `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"catalog","values":{"a~/b":7}}]}}`, "/requestInfo/resources/0/values/a~0~1b", "want a string, got a number", policy.CodeInvalid},
		{"values is an array", `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"catalog","values":[]}]}}`, "/requestInfo/resources/0/values", "want an object, got an array", policy.CodeInvalid},
		{"createTime is a boolean", `{"type":"FULL_SYNC","createTime":true}`, "/createTime", "epoch milliseconds, got a boolean", policy.CodeInvalid},
		{"createTime is no time", `{"type":"FULL_SYNC","createTime":"yesterday"}`, "/createTime", "RFC 3339", policy.CodeInvalid},
		{"createTime is a fraction", `{"type":"FULL_SYNC","createTime":1.5}`, "/createTime", "RFC 3339", policy.CodeInvalid},
		{"createTime is far away", `{"type":"FULL_SYNC","createTime":9223372036854775807}`, "/createTime", "years 1 to 9999", policy.CodeInvalid},
		{"createTime leaves the calendar", `{"type":"FULL_SYNC","createTime":"9999-12-31T23:59:59-10:00"}`, "/createTime", "years 1 to 9999", policy.CodeInvalid},
		{"id has a newline", `{"id":"a\nb","type":"FULL_SYNC"}`, "/id", "control character", policy.CodeInvalid},
		{"id has a zero-width space", `{"id":"a\u200bb","type":"FULL_SYNC"}`, "/id", "formatting", policy.CodeInvalid},
		{"id turns the text", `{"id":"a\u202eb","type":"FULL_SYNC"}`, "/id", "formatting", policy.CodeInvalid},
		{"id has a character of private use", `{"id":"a\ue000b","type":"FULL_SYNC"}`, "/id", "private use", policy.CodeInvalid},
		{"id is long", `{"id":"` + strings.Repeat("x", 256) + `","type":"FULL_SYNC"}`, "/id", "longer than 255", policy.CodeInvalid},
		{"source is an object", `{"source":{},"type":"FULL_SYNC"}`, "/source", "want a string, got an object", policy.CodeInvalid},
		{"createTime in seconds", `{"type":"FULL_SYNC","createTime":1769853600}`, "/createTime", "the year 1970", policy.CodeInvalid},
		{"createTime in microseconds", `{"type":"FULL_SYNC","createTime":1769853600000000}`, "/createTime", "the year", policy.CodeInvalid},
		{"createTime is negative", `{"type":"FULL_SYNC","createTime":-1}`, "/createTime", "the year 1969", policy.CodeInvalid},
		{"createTime of another age", `{"type":"FULL_SYNC","createTime":"0026-01-31T10:00:00Z"}`, "/createTime", "the year 26", policy.CodeInvalid},
		{"createTime of the far future", `{"type":"FULL_SYNC","createTime":"2926-01-31T10:00:00Z"}`, "/createTime", "the year 2926", policy.CodeInvalid},
		{"a full sync of one table", `{"type":"FULL_SYNC","requestInfo":{"resources":[{"type":"catalog","values":{"catalog":"c"}}]}}`, "/requestInfo/resources", "make it a RESOURCE_SYNC", policy.CodeInvalid},
		{"a validity sync of one", `{"type":"VALIDITY_SYNC","requestInfo":{"resources":[{"type":"catalog","values":{"catalog":"c"}}]}}`, "/requestInfo/resources", "make it a RESOURCE_SYNC", policy.CodeInvalid},
		{"a key twice", `{"type":"FULL_SYNC","type":"RESOURCE_SYNC"}`, "/type", "duplicate key", policy.CodeInvalid},
		{"a key twice, escaped", `{"type":"FULL_SYNC","t\u0079pe":"RESOURCE_SYNC"}`, "/type", "duplicate key", policy.CodeInvalid},
		{"a value twice", `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"catalog","values":{"catalog":"a","catalog":"b"}}]}}`, "/requestInfo/resources/0/values/catalog", "duplicate key", policy.CodeInvalid},
		{"a producer's key twice", `{"type":"FULL_SYNC","x":[{"a~/b":1,"a~/b":2}]}`, "/x/0/a~0~1b", "duplicate key", policy.CodeInvalid},
		{"misspelt field", `{"type":"FULL_SYNC","creatTime":"2026-01-31T10:00:00Z"}`, "/creatTime", "did you mean createTime?", policy.CodeInvalid},
		{"misspelt requestInfo", `{"type":"RESOURCE_SYNC","requestinfo":{"resources":[]}}`, "/requestinfo", "did you mean requestInfo?", policy.CodeInvalid},
		{"misspelt resources", `{"type":"FULL_SYNC","requestInfo":{"resource":[]}}`, "/requestInfo/resource", "did you mean resources?", policy.CodeInvalid},
		{"misspelt approve", `{"type":"FULL_SYNC","requestInfo":{"aprove":"x"}}`, "/requestInfo/aprove", "did you mean approve?", policy.CodeInvalid},
		{"misspelt values", `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"catalog","vaules":{"catalog":"a"}}]}}`, "/requestInfo/resources/0/vaules", "did you mean values?", policy.CodeInvalid},
		{"misspelt value", `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"table","values":{"catalog":"a","shema":"b","table":"c"}}]}}`, "/requestInfo/resources/0/values/shema", "did you mean schema?", policy.CodeInvalid},
		{"no pipeline", `{"type":"PIPELINE_UPDATE"}`, "/requestInfo/pipeline/externalId", "required", policy.CodeInvalid},
		{"pipeline is null", `{"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":null}}`, "/requestInfo/pipeline/externalId", "required", policy.CodeInvalid},
		{"pipeline is text", `{"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":"p"}}`, "/requestInfo/pipeline", "want an object, got a string", policy.CodeInvalid},
		{"misspelt pipeline", `{"type":"PIPELINE_UPDATE","requestInfo":{"pipelines":{"externalId":"p"}}}`, "/requestInfo/pipelines", "did you mean pipeline?", policy.CodeInvalid},
		{"no id of a pipeline", `{"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":{"externalId":" "}}}`, "/requestInfo/pipeline/externalId", "required", policy.CodeInvalid},
		{"id of a pipeline is a number", `{"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":{"externalId":7}}}`, "/requestInfo/pipeline/externalId", "want a string, got a number", policy.CodeInvalid},
		{"misspelt id of a pipeline", `{"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":{"externalID":"p"}}}`, "/requestInfo/pipeline/externalID", "did you mean externalId?", policy.CodeInvalid},
		{"parameters are an array", `{"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":{"externalId":"p","parameters":[]}}}`, "/requestInfo/pipeline/parameters", "want an object, got an array", policy.CodeInvalid},
		{"full_refresh is text", `{"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":{"externalId":"p","parameters":{"full_refresh":"true"}}}}`, "/requestInfo/pipeline/parameters/full_refresh", "want true or false, got a string", policy.CodeInvalid},
		{"full_refresh is null", `{"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":{"externalId":"p","parameters":{"full_refresh":null}}}}`, "/requestInfo/pipeline/parameters/full_refresh", "want true or false, got null", policy.CodeInvalid},
		{"misspelt full_refresh", `{"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":{"externalId":"p","parameters":{"fullrefresh":true}}}}`, "/requestInfo/pipeline/parameters/fullrefresh", "did you mean full_refresh?", policy.CodeInvalid},
		{"deep", `{"type":"FULL_SYNC","x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`, "", "nested deeper", policy.CodeInvalid},
		{"too many resources", `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[` + many + `]}}`, "/requestInfo/resources", "at most 1000", policy.CodeTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseTask([]byte(c.doc))
			var invalid *ValidationError
			if !errors.As(err, &invalid) {
				t.Fatalf("error is %v, want a ValidationError", err)
			}
			p := invalid.Problems[0]
			if len(invalid.Problems) != 1 || p.Pointer != c.pointer || !strings.Contains(p.Detail, c.detail) {
				t.Errorf("problems are %+v, want one at %q with %q", invalid.Problems, c.pointer, c.detail)
			}
			if got := policy.CodeOf(err); got != c.code {
				t.Errorf("class is %q, want %q", got, c.code)
			}
		})
	}
}

func TestParseTaskNamesEveryProblem(t *testing.T) {
	_, err := ParseTask([]byte(`{"id":7,"source":7,"requestInfo":{"resources":[{"type":1},{"values":2}]}}`))
	var invalid *ValidationError
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	var got []string
	for _, p := range invalid.Problems {
		got = append(got, p.Pointer)
	}
	want := []string{"/id", "/type", "/source", "/requestInfo/resources/0/type", "/requestInfo/resources/1/values"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pointers (-want +got):\n%s", diff)
	}
}

func TestParseTaskAcceptsTasksThatEndSkipped(t *testing.T) {
	for _, doc := range []string{
		`{"type":"DANCE"}`,
		`{"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":{"externalId":"p"}}}`,
		`{"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":{"externalId":"p","parameters":{"full_refresh":true,"other":{"a":1}},"x":1}}}`,
		`{"type":"FULL_SYNC","requestInfo":{"pipeline":"a producer's own","pipelines":7}}`,
		`{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"galaxy","values":{"a":"b"}}]}}`,
		`{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{}]}}`,
		`{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"catalog","values":{"catalog":"a b"}}]}}`,
	} {
		if _, err := ParseTask([]byte(doc)); err != nil {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

func TestParseTaskCreateTime(t *testing.T) {
	want := time.UnixMilli(1769853600123).UTC()
	for _, text := range []string{`1769853600123`, `"1769853600123"`, `"2026-01-31T10:00:00.123Z"`, `"2026-01-31T11:00:00.123+01:00"`} {
		got, err := ParseTask([]byte(`{"type":"FULL_SYNC","createTime":` + text + `}`))
		if err != nil || !got.CreateTime.Equal(want) {
			t.Errorf("createTime %s = %v, %v; want %v", text, got.CreateTime, err, want)
		}
	}
}

func TestParseTaskKeepsUnknownFieldsAndDropsServerFields(t *testing.T) {
	doc := `{"type":"RESOURCE_SYNC","State":"SUCCESS","uid":"FAILED","time":"2026","x":{"b":1,"a":"<&>"},
	  "status":"SUCCESS","attempts":"many","parentId":5,"priority":99,"resources":1,"transitions":{},"children":{"total":1},
	  "requestInfo":{"resource_list":3,"y":[1.50],"resources":[{"type":"catalog","values":{"catalog":"c"},"z":null}]}}`
	task, err := ParseTask([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	task.ID, task.Status = "id", New
	data, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	var stored Task
	if err := json.Unmarshal(data, &stored); err != nil {
		t.Fatal(err)
	}
	if stored.Status != New || stored.Priority != 0 || stored.Attempts != 0 || stored.ParentID != "" || stored.Children != nil {
		t.Errorf("input set fields of the server: %s", data)
	}
	for _, want := range []string{`"State":"SUCCESS"`, `"uid":"FAILED"`, `"time":"2026"`, `"resource_list":3`, `"x":{"b":1,"a":`, `"y":[1.50]`, `"z":null`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("%s is lost from %s", want, data)
		}
	}
	if string(stored.Extra["x"]) != `{"b":1,"a":"\u003c\u0026\u003e"}` {
		t.Errorf("field x is %s", stored.Extra["x"])
	}
}

// A field that a program puts into Extra under a name of ours does not double that field.
func TestExtraDoesNotShadow(t *testing.T) {
	data, err := json.Marshal(Task{ID: "a", Status: New, Extra: map[string]json.RawMessage{"status": json.RawMessage(`"SUCCESS"`), "x": nil}})
	if err != nil || strings.Count(string(data), `"status"`) != 1 || !strings.Contains(string(data), `"x":null`) {
		t.Errorf("written as %s, %v", data, err)
	}
}

func TestResourceSecurable(t *testing.T) {
	csx := func(last, name string) map[string]string {
		return map[string]string{"catalog": "Sales", "schema": "EMEA", last: name}
	}
	for _, c := range []struct {
		typ    string
		values map[string]string
		want   string // TYPE:name, or what the error says
	}{
		{"catalog", map[string]string{"catalog": "Sales"}, "CATALOG:sales"},
		{"Catalog", map[string]string{"catalog": "sales"}, "CATALOG:sales"},
		{"schema", csx("x", "y"), "SCHEMA:sales.emea"},
		{"table", csx("table", "Orders#1"), "TABLE:sales.emea.orders#1"},
		{"view", csx("table", "v"), "TABLE:sales.emea.v"},
		{"view", csx("view", "v"), "TABLE:sales.emea.v"},
		{"view", map[string]string{"catalog": "a", "schema": "b", "view": "v", "table": "V"}, "TABLE:a.b.v"},
		{"view", map[string]string{"catalog": "a", "schema": "b", "view": "v", "table": "w"}, "view and table name two different objects"},
		{"materialized-view", csx("view", "v"), "TABLE:sales.emea.v"},
		{"function", csx("function", "f"), "FUNCTION:sales.emea.f"},
		{"model", csx("model", "m"), "FUNCTION:sales.emea.m"},
		{"registered_model", csx("model", "m"), "FUNCTION:sales.emea.m"},
		{"volume", csx("volume", "v"), "VOLUME:sales.emea.v"},
		{"external_location", map[string]string{"external_location": "L"}, "EXTERNAL_LOCATION:l"},
		{"storage_credential", map[string]string{"storage_credential": "s"}, "STORAGE_CREDENTIAL:s"},
		{"credential", map[string]string{"credential": "s"}, "CREDENTIAL:s"},
		{"connection", map[string]string{"connection": "s"}, "CONNECTION:s"},
		{"share", map[string]string{"share": "s"}, "SHARE:s"},
		{"recipient", map[string]string{"recipient": "s"}, "RECIPIENT:s"},
		{"provider", map[string]string{"provider": "s"}, "PROVIDER:s"},
		{"metastore", nil, "METASTORE:"},
		{"metastore", map[string]string{"metastore": "x"}, "named by its type alone"},
		{"metastore", map[string]string{"catalog": "sales"}, "a metastore has no value catalog"},
		{"catalog", map[string]string{"catalog": "hr", "schema": "core"}, "a catalog has no value schema"},
		{"catalog", map[string]string{"volume": "v", "table": "t", "catalog": "hr", "schema": "core", "view": "w"}, "a catalog has no value schema"},
		{"table", map[string]string{"catalog": "a", "schema": "b", "table": "t", "volume": "v"}, "a table has no value volume"},
		{"table", map[string]string{"catalog": "a", "schema": "b", "table": "t", "volume": ""}, "TABLE:a.b.t"},
		{"galaxy", nil, `unknown resource type "galaxy"`},
		{"", nil, `unknown resource type ""`},
		{"catalog", nil, "a catalog needs the value catalog"},
		{"table", map[string]string{"catalog": "a", "table": "t"}, "a table needs the value schema"},
		{"table", csx("table", "a b"), "illegal Unity Catalog name"},
		{"table", csx("table", "a.b"), "illegal Unity Catalog name"},
	} {
		got, err := Resource{Type: c.typ, Values: c.values}.Securable()
		switch {
		case err != nil && (!strings.Contains(err.Error(), c.want) || policy.CodeOf(err) != policy.CodeInvalid):
			t.Errorf("%s %v: error %v, want %q", c.typ, c.values, err, c.want)
		case err == nil && got.String() != c.want:
			t.Errorf("%s %v names %v, want %v", c.typ, c.values, got, c.want)
		}
	}
	for _, typ := range policy.SecurableTypes {
		names := []string{"a", "b", "c"}[:typ.Depth()]
		s, err := policy.NewSecurable(typ, names...)
		if err != nil {
			t.Fatal(err)
		}
		if typ == policy.Metastore {
			s.FullName = ""
		}
		if back, err := ResourceOf(s).Securable(); err != nil || back != s {
			t.Errorf("%v as a resource names %v, %v", s, back, err)
		}
	}
}

// FuzzParseTask: whatever is taken can be stored, is found the same again, and asks for the same.
func FuzzParseTask(f *testing.F) {
	for _, seed := range []string{
		published, `{}`, `[]`, `{"type":"FULL_SYNC","createTime":1}`, `{"type":"X","Type":"Y","status":{},"":0}`,
		`{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"view","values":{"view":"a","":""},"é":[{}]}]}}`,
		`{"type":"\ud800","x":"\u2028<"}`, `{"type":"T","requestInfo":{"approve":"","a":1E400}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		task, err := ParseTask(data)
		if err != nil {
			var invalid *ValidationError
			if !errors.As(err, &invalid) || len(invalid.Problems) == 0 || len(invalid.Problems) > maxProblems {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		for _, r := range task.RequestInfo.Resources {
			if s, err := r.Securable(); err == nil && s.Type.Depth() == 0 {
				t.Fatalf("resource %v names %v", r, s)
			}
		}
		stored, err := json.Marshal(task)
		if err != nil {
			t.Fatalf("cannot be stored: %v", err)
		}
		var back Task
		if err := json.Unmarshal(stored, &back); err != nil {
			t.Fatalf("cannot be read again: %v\n%s", err, stored)
		}
		again, err := json.Marshal(back)
		if err != nil || string(again) != string(stored) {
			t.Fatalf("changed in the store, %v:\n%s\n%s", err, stored, again)
		}
		if err := SameContent(&back, &task); err != nil {
			t.Fatal(err)
		}
		reparsed, err := ParseTask(stored)
		if err != nil {
			t.Fatalf("not taken a second time: %v\n%s", err, stored)
		}
		if err := SameContent(&reparsed, &task); err != nil {
			t.Fatal(fmt.Errorf("%w\n%s", err, stored))
		}
	})
}

// Many fields are refused for their number, not after a look at each; as many as resources need are taken.
func TestFieldsAreBounded(t *testing.T) {
	fields := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"f%x":1`, i)
		}
		return b.String()
	}
	resource := `{"type":"table","values":{"catalog":"c","schema":"s","table":"t"},"a":1,"b":2,"c":3}`
	for _, c := range []struct {
		document string
		taken    bool
	}{
		{`{"type":"RESOURCE_SYNC","requestInfo":{"resources":[` + strings.Repeat(resource+",", maxResources-1) + resource + `]}}`, true},
		{`{"type":"X"` + fields(1000) + `}`, true},
		{`{"type":"X"` + fields(maxExtra/2+1) + `}`, false},
		{`{"type":"X"` + fields(maxFields+1) + `}`, false},
		{`{"type":"X","requestInfo":{"resources":[{"type":"table","values":{"a":"b"` + fields(maxFields) + `}}]}}`, false},
	} {
		_, err := ParseTask([]byte(c.document))
		if (err == nil) != c.taken || err != nil && policy.CodeOf(err) != policy.CodeTooLarge {
			t.Errorf("%.80s... of %d bytes: %v", c.document, len(c.document), err)
		}
	}
}

// Unknown fields are kept up to a size, wherever in the document they are.
func TestUnknownFieldsAreBounded(t *testing.T) {
	const task = `{"type":"RESOURCE_SYNC","a":"%s","requestInfo":{"b":"%s","resources":[{"type":"catalog","values":{"catalog":"c"},"x":"%s"}]}}`
	fill := strings.Repeat("z", maxExtra/3)
	if _, err := ParseTask(fmt.Appendf(nil, task, fill, fill, "small")); err != nil {
		t.Error(err)
	}
	if _, err := ParseTask(fmt.Appendf(nil, task, fill, fill, fill)); policy.CodeOf(err) != policy.CodeTooLarge {
		t.Errorf("error %v", err)
	}
}

// Refreshes of one pipeline that join name each sync once for each reason, with what it changed.
func TestRefreshesJoin(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	refresh := func(task, reason string, on ...string) Task {
		r, err := RefreshTask("p", at, RefreshCause{Task: task, Reason: reason, Securables: on})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := refresh("a", "filters", "TABLE:b", "TABLE:a")
	for _, other := range []Task{refresh("a", "filters", "TABLE:c", "TABLE:a"), refresh("a", "grants", "TABLE:a"), refresh("b", "filters", "TABLE:a")} {
		if !first.Joins(&other) {
			t.Errorf("%+v does not join", other)
		}
		if err := first.Join(&other); err != nil {
			t.Fatal(err)
		}
	}
	want := []RefreshCause{{"a", "filters", []string{"TABLE:a", "TABLE:b", "TABLE:c"}}, {"a", "grants", []string{"TABLE:a"}}, {"b", "filters", []string{"TABLE:a"}}}
	if d := cmp.Diff(want, first.Causes()); d != "" {
		t.Error(d)
	}
	posted := refresh("a", "filters")
	posted.PostedBy = "mallory"
	for _, other := range []Task{{ID: first.ID, Type: ResourceSync}, {ID: first.ID, Type: PipelineUpdate}, posted} {
		if other.Joins(&first) {
			t.Errorf("%+v takes the place of a refresh", other)
		}
	}
}
