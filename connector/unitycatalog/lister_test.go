package unitycatalog_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ucwarden/connector/unitycatalog"
	"ucwarden/policy"
)

var (
	catalogA = policy.Securable{Type: policy.Catalog, FullName: "a"}
	schemaAB = policy.Securable{Type: policy.Schema, FullName: "a.b"}
)

// show writes objects as "TYPE:name KIND owner", one by one.
func show(list []policy.Object) []string {
	var lines []string
	for _, o := range list {
		lines = append(lines, strings.TrimSpace(strings.Join(strings.Fields(o.String()+" "+string(o.Kind)+" "+o.Owner), " ")))
	}
	return lines
}

func TestListEachType(t *testing.T) {
	const all = "?max_results=10000"
	tests := []struct {
		name   string
		parent policy.Securable
		t      policy.SecurableType
		serves map[string][]string // by path below uc
		want   []string
	}{
		{"metastore", policy.Securable{}, policy.Metastore,
			map[string][]string{"metastore_summary": {`{"metastore_id":"11-AA","name":"main","owner":"root"}`}},
			[]string{"METASTORE:11-aa root"}},
		{"catalogs", policy.Securable{}, policy.Catalog,
			map[string][]string{"catalogs" + all: {`{"catalogs":[{"name":"A","owner":"me"},{"name":"b"}]}`}},
			[]string{"CATALOG:a me", "CATALOG:b"}},
		{"schemas", catalogA, policy.Schema,
			map[string][]string{"schemas?catalog_name=a&max_results=10000": {`{"schemas":[{"name":"x","catalog_name":"a"},{"name":"Y","full_name":"a.Y"}]}`}},
			[]string{"SCHEMA:a.x", "SCHEMA:a.y"}},
		{"tables of a schema", schemaAB, policy.Table,
			map[string][]string{"tables?catalog_name=a&max_results=10000&omit_columns=true&omit_properties=true&schema_name=b": {`{"tables":[
				{"name":"m","catalog_name":"a","schema_name":"b","table_type":"MANAGED","owner":"me"},
				{"full_name":"a.b.e","table_type":"EXTERNAL"},{"full_name":"a.b.v","table_type":"VIEW"},
				{"full_name":"a.b.mv","table_type":"MATERIALIZED_VIEW"},{"full_name":"a.b.st","table_type":"STREAMING_TABLE"},
				{"full_name":"a.b.metric","table_type":"METRIC_VIEW"},{"full_name":"a.b.new","table_type":"SOMETHING_NEW"}]}`}},
			[]string{"TABLE:a.b.m me", "TABLE:a.b.e", "TABLE:a.b.v VIEW", "TABLE:a.b.mv MATERIALIZED_VIEW",
				"TABLE:a.b.st STREAMING_TABLE", "TABLE:a.b.metric VIEW", "TABLE:a.b.new"}},
		{"tables of a catalog", catalogA, policy.Table,
			map[string][]string{"table-summaries?catalog_name=a&max_results=10000": {`{"tables":[
				{"full_name":"a.b.t","table_type":"MANAGED"},{"full_name":"a.c.v","table_type":"VIEW"}]}`}},
			[]string{"TABLE:a.b.t", "TABLE:a.c.v VIEW"}},
		{"functions and models of a schema", schemaAB, policy.Function,
			map[string][]string{
				"functions?catalog_name=a&max_results=10000&schema_name=b": {`{"functions":[{"full_name":"a.b.f"}]}`},
				"models?catalog_name=a&max_results=10000&schema_name=b":    {`{"registered_models":[{"full_name":"a.b.m"}]}`}},
			[]string{"FUNCTION:a.b.f", "FUNCTION:a.b.m REGISTERED_MODEL"}},
		{"volumes of a catalog", catalogA, policy.Volume,
			map[string][]string{
				"schemas?catalog_name=a&max_results=10000":               {`{"schemas":[{"full_name":"a.b"},{"full_name":"a.c"}]}`},
				"volumes?catalog_name=a&max_results=10000&schema_name=b": {`{"volumes":[{"full_name":"a.b.v"}]}`},
				"volumes?catalog_name=a&max_results=10000&schema_name=c": {`{"volumes":[{"full_name":"a.c.v"}]}`}},
			[]string{"VOLUME:a.b.v", "VOLUME:a.c.v"}},
		{"a schema dropped meanwhile", catalogA, policy.Volume,
			map[string][]string{
				"schemas?catalog_name=a&max_results=10000":               {`{"schemas":[{"full_name":"a.b"},{"full_name":"a.c"}]}`},
				"volumes?catalog_name=a&max_results=10000&schema_name=b": {`404 {"error_code":"SCHEMA_DOES_NOT_EXIST"}`},
				"volumes?catalog_name=a&max_results=10000&schema_name=c": {`{"volumes":[{"full_name":"a.c.v"}]}`}},
			[]string{"VOLUME:a.c.v"}},
		{"external locations", policy.Securable{}, policy.ExternalLocation,
			map[string][]string{"external-locations" + all: {`{"external_locations":[{"name":"lake"}]}`}}, []string{"EXTERNAL_LOCATION:lake"}},
		{"storage credentials", policy.Securable{}, policy.StorageCredential,
			map[string][]string{"storage-credentials" + all: {`{"storage_credentials":[{"name":"sc","full_name":"sc"}]}`}}, []string{"STORAGE_CREDENTIAL:sc"}},
		{"credentials, without those for storage", policy.Securable{}, policy.Credential,
			map[string][]string{"credentials?max_results=10000&purpose=SERVICE": {`{"credentials":[{"name":"c","purpose":"SERVICE"},{"name":"sc","purpose":"STORAGE"}]}`}},
			[]string{"CREDENTIAL:c"}},
		{"connections", policy.Securable{}, policy.Connection,
			map[string][]string{"connections" + all: {`{"connections":[{"name":"pg","full_name":"pg"}]}`}}, []string{"CONNECTION:pg"}},
		{"shares", policy.Securable{}, policy.Share,
			map[string][]string{"shares" + all: {`{"shares":[{"name":"s"}]}`}}, []string{"SHARE:s"}},
		{"recipients", policy.Securable{}, policy.Recipient,
			map[string][]string{"recipients" + all: {`{"recipients":[{"name":"r"}]}`}}, []string{"RECIPIENT:r"}},
		{"providers", policy.Securable{}, policy.Provider,
			map[string][]string{"providers" + all: {`{"providers":[{"name":"p"}]}`}}, []string{"PROVIDER:p"}},
		{"nothing there", policy.Securable{}, policy.Provider, map[string][]string{"providers" + all: {`{}`}}, nil},
		{"pages, empty ones too", policy.Securable{}, policy.Catalog, map[string][]string{
			"catalogs" + all:                                   {`{"next_page_token":"1"}`},
			"catalogs" + all + "&page_token=1":                 {`{"catalogs":[{"name":"a"}],"next_page_token":"2 &=?/+"}`},
			"catalogs" + all + "&page_token=2+%26%3D%3F%2F%2B": {`{"catalogs":[],"next_page_token":"3"}`},
			"catalogs" + all + "&page_token=3":                 {`{"catalogs":null,"next_page_token":"4"}`},
			"catalogs" + all + "&page_token=4":                 {`{"catalogs":[{"name":"a"},{"name":"b"}],"next_page_token":""}`}},
			[]string{"CATALOG:a", "CATALOG:b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answers := make(map[string][]string)
			for path, list := range test.serves {
				answers["GET "+uc+path] = list
			}
			w := newWorkspace(t, answers)
			list, err := w.client(t).List(t.Context(), test.parent, test.t)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, show(list)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			if calls := w.sent(); len(calls) != len(test.serves) {
				t.Errorf("%d calls, want %d: %q", len(calls), len(test.serves), calls)
			}
		})
	}
}

// A listing is whole or it is an error: unknown is not empty.
func TestListFailsWhole(t *testing.T) {
	const first = "GET " + uc + "catalogs?max_results=10000"
	const second = first + "&page_token=x"
	page := []string{`{"catalogs":[{"name":"a"}],"next_page_token":"x"}`}
	tests := []struct {
		name    string
		parent  policy.Securable
		t       policy.SecurableType
		answers map[string][]string
		want    policy.Code
		mention string
	}{
		{"second page fails", policy.Securable{}, policy.Catalog, map[string][]string{first: page, second: {"500 {}"}}, policy.CodeUnavailable, "500"},
		{"second page forbidden", policy.Securable{}, policy.Catalog, map[string][]string{first: page, second: {"403 {}"}}, policy.CodeForbidden, "403"},
		{"second page gone", policy.Securable{}, policy.Catalog, map[string][]string{first: page, second: {`404 {"error_code":"X_DOES_NOT_EXIST"}`}}, policy.CodeNotFound, "404"},
		{"second page cut short", policy.Securable{}, policy.Catalog, map[string][]string{first: page, second: {`{"catalogs":[{"name":"b"}`}}, policy.CodeUnavailable, "JSON"},
		{"second page a web page", policy.Securable{}, policy.Catalog, map[string][]string{first: page, second: {`<html>`}}, policy.CodeUnavailable, "web page"},
		{"not a list", policy.Securable{}, policy.Catalog, map[string][]string{first: {`{"catalogs":{}}`}}, policy.CodeUnavailable, "catalogs"},
		{"a null answer", policy.Securable{}, policy.Catalog, map[string][]string{first: {`null`}}, policy.CodeUnavailable, "JSON"},
		{"the same token again", policy.Securable{}, policy.Catalog, map[string][]string{first: page, second: page}, policy.CodeUnavailable, "does not end"},
		{"tokens in a circle", policy.Securable{}, policy.Catalog, map[string][]string{first: page, second: {`{"next_page_token":"y"}`},
			first + "&page_token=y": {`{"next_page_token":"x"}`}}, policy.CodeUnavailable, "does not end"},
		{"an object without a name", policy.Securable{}, policy.Catalog, map[string][]string{first: {`{"catalogs":[{}]}`}}, policy.CodeUnavailable, "name"},
		{"an object of another parent", catalogA, policy.Schema,
			map[string][]string{"GET " + uc + "schemas?catalog_name=a&max_results=10000": {`{"schemas":[{"full_name":"aa.b"}]}`}}, policy.CodeUnavailable, "not in CATALOG:a"},
		{"one schema of several fails", catalogA, policy.Volume, map[string][]string{
			"GET " + uc + "schemas?catalog_name=a&max_results=10000":               {`{"schemas":[{"full_name":"a.b"},{"full_name":"a.c"}]}`},
			"GET " + uc + "volumes?catalog_name=a&max_results=10000&schema_name=b": {`{"volumes":[{"full_name":"a.b.v"}]}`},
			"GET " + uc + "volumes?catalog_name=a&max_results=10000&schema_name=c": {"403 {}"}}, policy.CodeForbidden, "VOLUME objects of CATALOG:a"},
		{"models fail", schemaAB, policy.Function, map[string][]string{
			"GET " + uc + "functions?catalog_name=a&max_results=10000&schema_name=b": {`{"functions":[{"full_name":"a.b.f"}]}`}}, policy.CodeInvalid, "No API found"},
		{"no metastore", policy.Securable{}, policy.Metastore, map[string][]string{"GET " + uc + "metastore_summary": {`{}`}}, policy.CodeNotFound, "metastore"},
		{"a type that lives elsewhere", catalogA, policy.Share, nil, policy.CodeInvalid, "holds no"},
		{"tables of nothing", policy.Securable{}, policy.Table, nil, policy.CodeInvalid, "holds no"},
		{"children of a table", securable(t, "table:a.b.c"), policy.Table, nil, policy.CodeInvalid, "holds no"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			list, err := newWorkspace(t, test.answers).client(t).List(t.Context(), test.parent, test.t)
			checkCode(t, err, test.want, test.mention)
			if list != nil {
				t.Errorf("objects in spite of an error: %v", show(list))
			}
		})
	}
}

func TestWithoutTableSummaries(t *testing.T) {
	const (
		bulk    = "GET " + uc + "table-summaries?catalog_name=a&max_results=10000"
		schemas = "GET " + uc + "schemas?catalog_name=a&max_results=10000"
		tables  = "GET " + uc + "tables?catalog_name=a&max_results=10000&omit_columns=true&omit_properties=true&schema_name=b"
	)
	for _, refusal := range []string{`404 {"error_code":"ENDPOINT_NOT_FOUND"}`, `404 no page`, `400 {"error_code":"BAD_REQUEST","message":"unknown"}`, `501 {}`, `405 {}`} {
		t.Run(refusal, func(t *testing.T) {
			w := newWorkspace(t, map[string][]string{bulk: {refusal}, schemas: {`{"schemas":[{"full_name":"a.b"}]}`}, tables: {`{"tables":[{"full_name":"a.b.t"}]}`}})
			c := w.client(t)
			for range 2 {
				list, err := c.List(t.Context(), catalogA, policy.Table)
				if err != nil || len(list) != 1 {
					t.Fatalf("got %v, %v", list, err)
				}
			}
			if diff := cmp.Diff([]string{bulk, schemas, tables, schemas, tables}, w.sent()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("the catalog is not there", func(t *testing.T) {
		w := newWorkspace(t, map[string][]string{bulk: {`404 {"error_code":"CATALOG_DOES_NOT_EXIST","message":"no a"}`}})
		_, err := w.client(t).List(t.Context(), catalogA, policy.Table)
		checkCode(t, err, policy.CodeNotFound, "no a")
		if calls := w.sent(); len(calls) != 1 {
			t.Errorf("calls %q", calls)
		}
	})
	t.Run("a failure is no refusal", func(t *testing.T) {
		w := newWorkspace(t, map[string][]string{bulk: {"503 {}"}})
		_, err := w.client(t).List(t.Context(), catalogA, policy.Table)
		checkCode(t, err, policy.CodeUnavailable, "503")
	})
	t.Run("not remembered when the schemas fail too", func(t *testing.T) {
		w := newWorkspace(t, map[string][]string{bulk: {`400 {"error_code":"BAD_REQUEST"}`, "{}"}, schemas: {"403 {}"}})
		c := w.client(t)
		_, err := c.List(t.Context(), catalogA, policy.Table)
		checkCode(t, err, policy.CodeForbidden)
		if _, err := c.List(t.Context(), catalogA, policy.Table); err != nil {
			t.Error(err)
		}
	})
}

func TestGet(t *testing.T) {
	tests := []struct {
		s      string
		serves map[string][]string
		want   string
	}{
		{"metastore:m-1", map[string][]string{"metastore_summary": {`{"metastore_id":"M-1","owner":"root"}`}}, "METASTORE:m-1 root"},
		{"catalog:a", map[string][]string{"catalogs/a": {`{"name":"A","owner":"me"}`}}, "CATALOG:a me"},
		{"schema:a.b", map[string][]string{"schemas/a.b": {`{"name":"b","catalog_name":"a"}`}}, "SCHEMA:a.b"},
		{"table:a.b.t", map[string][]string{"tables/a.b.t": {`{"full_name":"a.b.t","table_type":"MANAGED"}`}}, "TABLE:a.b.t"},
		{"view:a.b.t", map[string][]string{"tables/a.b.t": {`{"full_name":"a.b.t","table_type":"VIEW"}`}}, "TABLE:a.b.t VIEW"},
		{"function:a.b.f", map[string][]string{"functions/a.b.f": {`{"full_name":"a.b.f"}`}}, "FUNCTION:a.b.f"},
		{"model:a.b.m", map[string][]string{"functions/a.b.m": {`404 {"error_code":"FUNCTION_DOES_NOT_EXIST"}`},
			"models/a.b.m": {`{"full_name":"a.b.m"}`}}, "FUNCTION:a.b.m REGISTERED_MODEL"},
		{"volume:a.b.v", map[string][]string{"volumes/a.b.v": {`{"full_name":"a.b.v"}`}}, "VOLUME:a.b.v"},
		{"external_location:l", map[string][]string{"external-locations/l": {`{"name":"l"}`}}, "EXTERNAL_LOCATION:l"},
		{"storage_credential:c", map[string][]string{"storage-credentials/c": {`{"name":"c"}`}}, "STORAGE_CREDENTIAL:c"},
		{"credential:c", map[string][]string{"credentials/c": {`{"name":"c"}`}}, "CREDENTIAL:c"},
		{"connection:c", map[string][]string{"connections/c": {`{"name":"c"}`}}, "CONNECTION:c"},
		{"share:s", map[string][]string{"shares/s": {`{"name":"s"}`}}, "SHARE:s"},
		{"recipient:r", map[string][]string{"recipients/r": {`{"name":"r"}`}}, "RECIPIENT:r"},
		{"provider:p", map[string][]string{"providers/p": {`{"name":"p"}`}}, "PROVIDER:p"},
	}
	for _, test := range tests {
		t.Run(test.s, func(t *testing.T) {
			answers := make(map[string][]string)
			for path, list := range test.serves {
				answers["GET "+uc+path] = list
			}
			w := newWorkspace(t, answers)
			o, err := w.client(t).Get(t.Context(), securable(t, test.s))
			if err != nil {
				t.Fatal(err)
			}
			if got := show([]policy.Object{o})[0]; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	t.Run("neither function nor model", func(t *testing.T) {
		w := newWorkspace(t, map[string][]string{"GET " + uc + "functions/a.b.x": {`404 {"error_code":"FUNCTION_DOES_NOT_EXIST"}`},
			"GET " + uc + "models/a.b.x": {`404 {"error_code":"RESOURCE_DOES_NOT_EXIST"}`}})
		_, err := w.client(t).Get(t.Context(), securable(t, "function:a.b.x"))
		checkCode(t, err, policy.CodeNotFound)
	})
	t.Run("another metastore", func(t *testing.T) {
		w := newWorkspace(t, map[string][]string{"GET " + uc + "metastore_summary": {`{"metastore_id":"m"}`}})
		_, err := w.client(t).Get(t.Context(), securable(t, "metastore:other"))
		checkCode(t, err, policy.CodeNotFound)
	})
}

func TestIllegalNamesAreNotSent(t *testing.T) {
	w := newWorkspace(t, nil)
	c := w.client(t)
	for _, s := range []policy.Securable{
		{}, {Type: policy.Catalog}, {Type: policy.Catalog, FullName: ".."}, {Type: policy.Catalog, FullName: "."},
		{Type: policy.Schema, FullName: "a"}, {Type: policy.Schema, FullName: "a.b.c"}, {Type: policy.Table, FullName: "a..t"},
		{Type: policy.Table, FullName: "a.b.\xff"}, {Type: "ROLE", FullName: "x"},
	} {
		_, err := c.Get(t.Context(), s)
		checkCode(t, err, policy.CodeInvalid)
		_, err = c.Grants(t.Context(), s)
		checkCode(t, err, policy.CodeInvalid)
		_, err = c.Apply(t.Context(), policy.Change{Securable: s, Add: []policy.Assignment{{Principal: policy.PrincipalByShape("p"), Privilege: policy.Select}}})
		checkCode(t, err, policy.CodeInvalid)
	}
	if calls := w.sent(); len(calls) > 0 {
		t.Errorf("calls %q", calls)
	}
}

// Whatever an object is called, a request for it reaches that very path, and a listing that very parent.
func TestNamesReachTheirObject(t *testing.T) {
	var path, query string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, query = r.URL.Path, r.URL.Query().Get("catalog_name")+"."+r.URL.Query().Get("schema_name")
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte("{}"))
	}))
	defer server.Close()
	c := newClient(t, unitycatalog.Options{Host: server.URL, Token: secret, Pacing: unitycatalog.Pacing{MaxAttempts: 1}})

	check := func(t interface {
		Errorf(string, ...any)
		Helper()
	}, ctxT *testing.T, names []string) {
		t.Helper()
		full := strings.Join(names, ".")
		table := policy.Securable{Type: policy.Table, FullName: full}
		if _, err := c.Grants(ctxT.Context(), table); err != nil || path != uc+"permissions/table/"+full {
			t.Errorf("grants on %q: reached %q, %v", full, path, err)
		}
		if _, err := c.Apply(ctxT.Context(), policy.Change{Securable: table, Add: []policy.Assignment{{Principal: policy.PrincipalByShape("p"), Privilege: policy.Select}}}); err != nil ||
			path != uc+"permissions/table/"+full {
			t.Errorf("change on %q: reached %q, %v", full, path, err)
		}
		c.Get(ctxT.Context(), table) // fails, as the answer is empty
		if path != uc+"tables/"+full {
			t.Errorf("get %q: reached %q", full, path)
		}
		schema := policy.Securable{Type: policy.Schema, FullName: names[0] + "." + names[1]}
		if _, err := c.List(ctxT.Context(), schema, policy.Volume); err != nil || query != schema.FullName {
			t.Errorf("list %q: asked for %q, %v", schema.FullName, query, err)
		}
		share := policy.Securable{Type: policy.Share, FullName: names[2]}
		if _, err := c.Grants(ctxT.Context(), share); err != nil || path != uc+"shares/"+names[2]+"/permissions" {
			t.Errorf("grants on share %q: reached %q, %v", names[2], path, err)
		}
	}
	for _, name := range []string{"#", "?", "%", "%2f", "%23", "ü", "+", "a b", "a+b", "a&b=c", "a;b", "a#b?c%d", "テーブル", "/", "a/b", "//", "\\", `"`, "'", "<>", "a:b", "@", "~"} {
		check(t, t, []string{"c" + name, "s" + name, name})
	}
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return r != '.' }), 1, 20, 200)
		check(rt, t, []string{name.Draw(rt, "catalog"), name.Draw(rt, "schema"), name.Draw(rt, "table")})
	})
}
