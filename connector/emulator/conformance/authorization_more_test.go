package conformance_test

import (
	"slices"
	"strings"
	"testing"
)

// inSchema returns the rules of the calls about a kind of object in schemas, as the client library documents them: those of
// tables, but that a metastore admin may change and delete them.
func inSchema(kind, collection, key, createPrivilege, read string, create func(f *fixture) map[string]any, updates ...endpoint) []endpoint {
	own, reads := "own:"+kind, read+":"+kind
	for i := range updates {
		updates[i].allowed, updates[i].try = "MA | "+usesBoth+" & "+own, reads
	}
	list := append([]endpoint{
		creates(kind, collection, "MA | (own:catalog | USE_CATALOG:catalog) & (own:schema | USE_SCHEMA:schema & "+createPrivilege+":schema)", "MODIFY:schema", create),
		{name: "get " + kind, allowed: "MA | " + usesBoth + " & (" + own + " | " + reads + ")", try: "MODIFY:schema", call: get(kind)},
		{name: "get " + kind + " by inherited privileges", allowed: "MA | USE_CATALOG:catalog & USE_SCHEMA:catalog & (" + read + ":catalog | " + read + ":schema)",
			try: "BROWSE:catalog", call: get(kind)},
		{name: "list " + collection, allowed: "MA | " + usesBoth + " & (" + own + " | " + reads + ")", lists: kind, key: key,
			call: list(kind, collection+"?catalog_name=CATALOG&schema_name=SCHEMA")},
		{name: "delete " + kind, allowed: "MA | own:catalog | USE_CATALOG:catalog & (own:schema | USE_SCHEMA:schema & " + own + ")", try: reads, call: remove(kind)},
	}, updates...)
	for i := range list {
		list[i].few = true
	}
	return list
}

// root returns the rules of the calls about a kind of object that is in no catalog.
func root(kind, collection, key, createPrivilege, privilege string, create func(f *fixture) map[string]any) []endpoint {
	own := "own:" + kind
	return slices.Concat([]endpoint{
		creates(kind, collection, "MA | "+createPrivilege+":metastore", "CREATE_CATALOG:metastore", create),
		{name: "get " + kind, allowed: "MA | " + own + " | " + privilege + ":" + kind, call: get(kind)},
		{name: "list " + collection, allowed: "MA | " + own + " | " + privilege + ":" + kind, lists: kind, key: key, call: list(kind, collection)},
		{name: "delete " + kind, allowed: own, try: privilege + ":" + kind, call: remove(kind)},
	}, updates(kind, own, "MA", own, privilege+":"+kind))
}

// inFixture returns a body with the names of the fixture's catalog and schema, and more fields.
func inFixture(more map[string]any) func(f *fixture) map[string]any {
	return func(f *fixture) map[string]any {
		catalog, schema, _ := strings.Cut(f.name("schema"), ".")
		body := map[string]any{"catalog_name": catalog, "schema_name": schema}
		for key, value := range more {
			body[key] = value
		}
		return body
	}
}

// TestAuthorizationOfOthers: the objects that the specification does not have are guarded like those that it has.
func TestAuthorizationOfOthers(t *testing.T) {
	functions := inSchema("function", "functions", "functions", "CREATE_FUNCTION", "EXECUTE", (*fixture).functionBody,
		endpoint{name: "change owner of function", call: patch("function", "owner", "bob")})
	create := functions[0].call
	functions[0].call = func(f *fixture) request { // of all calls, this one alone nests the object
		r := create(f)
		r.body = map[string]any{"function_info": r.body}
		return r
	}
	for i := range functions { // whose rules are documented otherwise
		switch functions[i].name {
		case "get function":
			functions[i].allowed = "MA | own:catalog | USE_CATALOG:catalog & own:function | " + usesBoth + " & EXECUTE:function"
		case "delete function":
			functions[i].allowed = strings.TrimPrefix(functions[i].allowed, "MA | ")
		case "change owner of function":
			functions[i].allowed = "MA | own:catalog | USE_CATALOG:catalog & (own:schema | USE_SCHEMA:schema & own:function)"
		}
	}
	// To list takes access to the schema.
	functions[3].allowed = "MA | " + usesBoth + " & (own:catalog | own:function | EXECUTE:function)"
	for _, list := range [][]endpoint{
		functions,
		inSchema("model", "models", "registered_models", "CREATE_MODEL", "EXECUTE", inFixture(nil),
			endpoint{name: "rename model", call: patch("model", "new_name", "new")}, endpoint{name: "change owner of model", call: patch("model", "owner", "bob")}),
		{creates("model by CREATE_FUNCTION", "models", "MA | USE_CATALOG:catalog & USE_SCHEMA:schema & (CREATE_MODEL:schema | CREATE_FUNCTION:schema)", "CREATE_TABLE:schema", inFixture(nil))},
		inSchema("volume", "volumes", "volumes", "CREATE_VOLUME", "READ_VOLUME", inFixture(map[string]any{"volume_type": "MANAGED"}),
			endpoint{name: "rename volume", call: patch("volume", "new_name", "new")}, endpoint{name: "change owner of volume", call: patch("volume", "owner", "bob")}),
		root("connection", "connections", "connections", "CREATE_CONNECTION", "USE_CONNECTION", func(*fixture) map[string]any {
			return map[string]any{"connection_type": "MYSQL"}
		}),
		root("service", "credentials", "credentials", "CREATE_SERVICE_CREDENTIAL", "ACCESS", func(*fixture) map[string]any {
			return map[string]any{"aws_iam_role": map[string]any{"role_arn": "arn:1"}, "purpose": "SERVICE", "skip_validation": true}
		}),
		{creates("catalog of a connection", "catalogs", "MA | CREATE_CATALOG:metastore & (own:connection | CREATE_FOREIGN_CATALOG:connection)", "USE_CONNECTION:connection",
			func(f *fixture) map[string]any { return map[string]any{"connection_name": f.name("connection")} })},
	} {
		checkAuthorization(t, list)
	}
}

// TestPermissionsOfOthers: the grants on every other type are for its owner and the owners of what it is in.
func TestPermissionsOfOthers(t *testing.T) {
	for kind, privilege := range map[string]string{"function": "EXECUTE", "model": "CREATE_MODEL_VERSION", "volume": "WRITE_VOLUME"} {
		calls := permissionCalls(kind, "MA | own:catalog | own:schema | own:"+kind+" | MANAGE:schema", "ALL_PRIVILEGES:"+kind, privilege)
		for i := range calls {
			calls[i].few = true
		}
		checkAuthorization(t, calls)
	}
	checkAuthorization(t, permissionCalls("connection", "MA | own:connection | MANAGE:connection", "USE_CONNECTION:connection", "CREATE_FOREIGN_CATALOG"))
	checkAuthorization(t, permissionCalls("service", "MA | own:service | MANAGE:service", "ACCESS:service", "CREATE_CONNECTION"))
	for _, kind := range []string{"recipient", "provider"} { // on which nothing can be granted
		checkAuthorization(t, []endpoint{
			{name: "get permissions of " + kind, code: "UNAUTHORIZED", allowed: "MA | own:" + kind, call: func(f *fixture) request {
				return request{"GET", f.permissions(kind), nil}
			}},
			{name: "change no permissions of " + kind, code: "UNAUTHORIZED", allowed: "MA | own:" + kind, call: func(f *fixture) request {
				return request{"PATCH", f.permissions(kind), map[string]any{"changes": []any{}}}
			}},
		})
	}
}
