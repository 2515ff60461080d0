package conformance_test

import (
	"net/url"
	"strings"
)

// fixture holds objects of a test, made when they are first named. They belong to bob, so that nobody else has rights on
// them by having made them.
type fixture struct {
	w     *world
	names map[string]string // full names, by kind
	order []string          // kinds, in the order they were made
	undo  []func()
}

func (w *world) fixture() *fixture { return &fixture{w: w, names: make(map[string]string)} }

// collections are the paths of the kinds of object; permissionTypes how permissions name them.
var (
	collections = map[string]string{"metastore": "metastores", "other_metastore": "metastores", "catalog": "catalogs", "schema": "schemas",
		"table": "tables", "external": "tables", "credential": "storage-credentials", "location": "external-locations",
		"share": "shares", "recipient": "recipients", "provider": "providers",
		"function": "functions", "model": "models", "volume": "volumes", "connection": "connections", "service": "credentials",
		"seeded_catalog": "catalogs", "seeded_schema": "schemas", "seeded_model": "models"}
	permissionTypes = map[string]string{"metastore": "metastore", "catalog": "catalog", "schema": "schema", "table": "table",
		"external": "table", "credential": "storage-credential", "location": "external-location", "share": "share", "recipient": "recipient", "provider": "provider",
		"function": "function", "model": "function", "volume": "volume", "connection": "connection", "service": "credential",
		"seeded_catalog": "catalog", "seeded_schema": "schema", "seeded_model": "function"}
)

// name returns the full name of the object of that kind, the id of a metastore.
func (f *fixture) name(kind string) string {
	f.w.Helper()
	if name, ok := f.names[kind]; ok {
		return name
	}
	maker, body := metastoreAdmin, map[string]any{"name": f.w.unique(kind)}
	switch kind {
	case "metastore":
		f.names[kind] = f.w.must(metastoreAdmin, "GET", "metastore_summary", nil).str("metastore_id")
		return f.names[kind]
	case "other_metastore":
		f.w.needs(accountAdmin)
		maker, body["storage_root"] = accountAdmin, "s3://"+bucket(f.w)
	case "seeded_catalog", "seeded_schema", "seeded_model":
		if f.w.emulator == nil {
			f.w.Skip("skipped: only the emulator has a seed")
		}
		parts := strings.Split(seededModel, ".")
		f.names[kind] = strings.Join(parts[:map[string]int{"seeded_catalog": 1, "seeded_schema": 2, "seeded_model": 3}[kind]], ".")
		return f.names[kind]
	case "catalog":
	case "schema":
		body["catalog_name"] = f.name("catalog")
	case "table":
		body = f.tableBody()
	case "external":
		body = f.tableBody()
		body["table_type"], body["data_source_format"], body["storage_location"] = "EXTERNAL", "PARQUET", "s3://"+bucket(f.w)+"/tables/t"
	case "credential":
		f.w.needs(accountAdmin)
		maker, body["aws_iam_role"] = accountAdmin, map[string]any{"role_arn": "arn:aws:iam::123456789012:role/conformance"}
		body["skip_validation"] = true
	case "location":
		body["credential_name"], body["url"], body["skip_validation"] = f.name("credential"), "s3://"+bucket(f.w)+"/loc", true
	case "function":
		body = map[string]any{"function_info": f.functionBody()}
	case "model", "volume":
		body["catalog_name"], body["schema_name"], _ = strings.Cut(f.name("schema"), ".")
	case "connection":
		body["connection_type"] = "MYSQL"
	case "service":
		body["aws_iam_role"] = map[string]any{"role_arn": "arn:aws:iam::123456789012:role/conformance"}
	case "share":
	case "recipient", "provider":
		body["authentication_type"] = "TOKEN"
	default:
		f.w.Fatalf("no kind of object %q", kind)
	}
	made := f.w.must(maker, "POST", collections[kind], body)
	name := made.str("name")
	switch kind {
	case "other_metastore":
		name = made.str("metastore_id")
	case "schema", "table", "external", "function", "model", "volume":
		name = made.str("full_name")
	}
	f.names[kind], f.order = name, append(f.order, kind)
	if kind == "other_metastore" {
		f.w.must(maker, "PATCH", f.path(kind), map[string]any{"owner": f.w.user(bob)})
	} else {
		f.own(kind, bob)
	}
	if f.w.emulator == nil {
		f.w.Cleanup(func() { f.remove(kind) })
	}
	return name
}

// remove deletes an object of another server, if the test has left it.
func (f *fixture) remove(kind string) {
	path := f.path(kind)
	f.w.send(metastoreAdmin, "PATCH", path, map[string]any{"owner": f.w.user(metastoreAdmin)})
	f.w.send(metastoreAdmin, "DELETE", path+"?force=true", nil)
}

func bucket(w *world) string { return strings.ReplaceAll(w.unique("bucket"), "_", "-") }

// tableBody returns the body that makes a table in the fixture's schema.
func (f *fixture) tableBody() map[string]any {
	catalog, schema, _ := strings.Cut(f.name("schema"), ".")
	return map[string]any{"name": f.w.unique("table"), "catalog_name": catalog, "schema_name": schema, "table_type": "MANAGED",
		"data_source_format": "DELTA", "columns": []any{column("Id", "LONG", 0), column("region", "STRING", 1)}}
}

// functionBody returns what describes a function in the fixture's schema.
func (f *fixture) functionBody() map[string]any {
	catalog, schema, _ := strings.Cut(f.name("schema"), ".")
	return map[string]any{"name": f.w.unique("function"), "catalog_name": catalog, "schema_name": schema, "routine_body": "SQL",
		"routine_definition": "true", "data_type": "BOOLEAN", "full_data_type": "BOOLEAN"}
}

func column(name, typ string, position int) map[string]any {
	return map[string]any{"name": name, "type_name": typ, "type_text": strings.ToLower(typ), "position": position,
		"type_json": `{"name":"` + name + `","type":"` + strings.ToLower(typ) + `","nullable":true,"metadata":{}}`}
}

// path returns the path of the object of that kind.
func (f *fixture) path(kind string) string {
	f.w.Helper()
	return collections[kind] + "/" + url.PathEscape(f.name(kind))
}

// permissions returns the path of its permissions.
func (f *fixture) permissions(kind string) string {
	f.w.Helper()
	return "permissions/" + permissionTypes[kind] + "/" + url.PathEscape(f.name(kind))
}

// own makes somebody its owner.
func (f *fixture) own(kind string, who role) {
	f.w.Helper()
	by := metastoreAdmin
	if kind == "other_metastore" {
		by = bob
	}
	f.w.must(by, "PATCH", f.path(kind), map[string]any{"owner": f.w.user(who)})
}

// grant grants a privilege on it. What is granted on an object that the fixture did not make is taken back by undone.
func (f *fixture) grant(kind string, who role, privilege string) {
	f.w.Helper()
	change := func(how string) map[string]any {
		return map[string]any{"changes": []any{map[string]any{"principal": f.w.user(who), how: []string{privilege}}}}
	}
	f.w.must(metastoreAdmin, "PATCH", f.permissions(kind), change("add"))
	if kind == "metastore" || strings.HasPrefix(kind, "seeded_") {
		f.undo = append(f.undo, func() { f.w.must(metastoreAdmin, "PATCH", f.permissions(kind), change("remove")) })
	}
}

// arrange gives somebody a ground of a formula: "own:catalog", "SELECT:table".
func (f *fixture) arrange(who role, ground string) {
	f.w.Helper()
	privilege, kind, _ := strings.Cut(ground, ":")
	if privilege == "own" {
		f.own(kind, who)
		return
	}
	f.grant(kind, who, privilege)
}

func (f *fixture) undone() {
	f.w.Helper()
	for _, undo := range f.undo {
		undo()
	}
}

// snapshot returns all objects of the fixture, with their grants, as the metastore admin sees them.
func (f *fixture) snapshot() string {
	f.w.Helper()
	var all strings.Builder
	for _, kind := range f.order {
		by := metastoreAdmin
		if kind == "other_metastore" {
			continue // which the admin of the metastore of the workspace does not see
		}
		all.WriteString(f.w.do(by, "GET", f.path(kind), nil).raw)
		if permissionTypes[kind] != "" {
			all.WriteString(f.w.do(by, "GET", f.permissions(kind), nil).raw)
		}
	}
	return all.String()
}
