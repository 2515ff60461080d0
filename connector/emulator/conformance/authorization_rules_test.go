package conformance_test

import (
	"net/url"
	"slices"
	"strings"
)

// assignBack gives the workspace its metastore again.
func assignBack(f *fixture) {
	f.w.Helper()
	f.w.must(accountAdmin, "PUT", "workspaces/"+f.w.workspace+"/metastore", map[string]any{"metastore_id": f.name("metastore"), "default_catalog_name": ""})
}

func assignment(method string, body map[string]any) func(f *fixture) request {
	return func(f *fixture) request {
		id := f.name("metastore")
		path := "workspaces/" + f.w.workspace + "/metastore"
		sent := make(map[string]any)
		for key, value := range body {
			if value == "ID" {
				value = id
			}
			sent[key] = value
		}
		if method == "DELETE" {
			return request{method, path + "?metastore_id=" + id, nil}
		}
		return request{method, path, sent}
	}
}

var metastoreEndpoints = []endpoint{
	{name: "create metastore", metastores: true, allowed: "MA | AA", try: "CREATE_CATALOG:metastore", call: func(f *fixture) request {
		return request{"POST", "metastores", map[string]any{"name": f.w.unique("metastore"), "storage_root": "s3://" + bucket(f.w)}}
	}},
	{name: "list metastores", allowed: "MA", try: "CREATE_CATALOG:metastore", lists: "metastore", key: "metastores", call: list("metastore", "metastores")},
	{name: "get metastore", allowed: "MA", try: "CREATE_CATALOG:metastore", call: get("metastore")},
	{name: "update metastore", allowed: "MA", call: patch("metastore", "delta_sharing_organization_name", "conformance")},
	{name: "get another metastore", metastores: true, allowed: "own:other_metastore", call: get("other_metastore")},
	{name: "update another metastore", metastores: true, allowed: "own:other_metastore", call: patch("other_metastore", "new_name", "new")},
	{name: "delete another metastore", metastores: true, allowed: "own:other_metastore", call: remove("other_metastore")},
	{name: "metastore summary", allowed: "anybody", call: func(*fixture) request { return request{"GET", "metastore_summary", nil} }},
	{name: "current assignment", allowed: "anybody", call: func(*fixture) request { return request{"GET", "current-metastore-assignment", nil} }},
	{name: "assign a metastore", metastores: true, allowed: "AA", after: assignBack,
		call: assignment("PUT", map[string]any{"metastore_id": "ID", "default_catalog_name": "main"})},
	{name: "change the assigned metastore", metastores: true, allowed: "AA", after: assignBack,
		call: assignment("PATCH", map[string]any{"metastore_id": "ID"})},
	{name: "change metastore and default catalog", metastores: true, allowed: "AA", after: assignBack,
		call: assignment("PATCH", map[string]any{"metastore_id": "ID", "default_catalog_name": "main"})},
	{name: "change the default catalog", metastores: true, allowed: "WA", after: assignBack,
		call: assignment("PATCH", map[string]any{"default_catalog_name": "main"})},
	{name: "remove the assignment", metastores: true, allowed: "AA", after: assignBack, call: assignment("DELETE", nil)},
	{name: "am I admin", allowed: "anybody", call: func(*fixture) request { return request{"GET", "userinfo/me", nil} }},
	{name: "my groups", allowed: "anybody", call: func(*fixture) request { return request{"GET", "userinfo/my-groups", nil} }},
}

// creation makes the call that creates an object, and the check that a refused one did not.
func creation(collection string, body func(f *fixture) map[string]any) (call func(*fixture) request, creates func(*fixture) string) {
	return func(f *fixture) request {
		b := body(f)
		if b["name"] == nil {
			b["name"] = f.w.unique("made")
		}
		f.names["made"], _ = b["name"].(string)
		for _, part := range []string{"schema_name", "catalog_name"} {
			if container, ok := b[part].(string); ok {
				f.names["made"] = container + "." + f.names["made"]
			}
		}
		return request{"POST", collection, b}
	}, func(f *fixture) string { return collection + "/" + url.PathEscape(f.names["made"]) }
}

func creates(name, collection, allowed, try string, body func(f *fixture) map[string]any) endpoint {
	e := endpoint{name: "create " + name, allowed: allowed, try: try}
	e.call, e.creates = creation(collection, body)
	return e
}

var rootEndpoints = slices.Concat(
	[]endpoint{
		creates("credential", "storage-credentials", "AA", "CREATE_STORAGE_CREDENTIAL:metastore CREATE_EXTERNAL_LOCATION:metastore", func(*fixture) map[string]any {
			return map[string]any{"aws_iam_role": map[string]any{"role_arn": "arn:1"}, "skip_validation": true}
		}),
		{name: "get credential", allowed: "MA | AA | own:credential | READ_FILES:credential | CREATE_EXTERNAL_TABLE:credential", call: get("credential")},
		{name: "list credentials", allowed: "MA | AA | own:credential | READ_FILES:credential | CREATE_EXTERNAL_TABLE:credential", lists: "credential",
			key: "storage_credentials", call: list("credential", "storage-credentials?max_results=0")},
		{name: "delete credential", allowed: "AA | own:credential", try: "READ_FILES:credential", call: remove("credential")},
		{name: "delete credential by force", allowed: "AA | own:credential", try: "own:location", call: func(f *fixture) request {
			f.name("location")
			return request{"DELETE", f.path("credential") + "?force=true", nil}
		}},
	},
	updates("credential", "own:credential", "MA | AA", "own:credential", "READ_FILES:credential"),
	[]endpoint{
		creates("location", "external-locations", "MA | CREATE_EXTERNAL_LOCATION:metastore", "own:credential CREATE_CATALOG:metastore", func(f *fixture) map[string]any {
			return map[string]any{"url": "s3://" + bucket(f.w), "credential_name": f.name("credential"), "skip_validation": true}
		}),
		{name: "get location", allowed: "MA | own:location | READ_FILES:location", try: "own:credential", call: get("location")},
		{name: "list locations", allowed: "MA | own:location | READ_FILES:location", lists: "location", key: "external_locations",
			call: list("location", "external-locations")},
		{name: "list files", allowed: "MA | own:location | READ_FILES:location", try: "own:credential", call: func(f *fixture) request {
			info := f.w.must(metastoreAdmin, "GET", f.path("location"), nil)
			return request{"GET", "files?url=" + url.QueryEscape(info.str("url")), nil}
		}},
		{name: "delete location", allowed: "own:location", try: "READ_FILES:location own:credential", call: remove("location")},
		{name: "move location", allowed: "own:location", try: "READ_FILES:location own:credential", call: func(f *fixture) request {
			return request{"PATCH", f.path("location"), map[string]any{"url": "s3://" + bucket(f.w), "skip_validation": true}}
		}},
	},
	updates("location", "own:location", "MA", "own:location", "READ_FILES:location"),
)

// What the specification asks of a container before anything in it.
const (
	seesCatalog = "(MA | own:catalog | USE_CATALOG:catalog)"
	usesBoth    = "(own:catalog | USE_CATALOG:catalog) & (own:schema | USE_SCHEMA:schema)"
)

var catalogEndpoints = slices.Concat(
	[]endpoint{
		creates("catalog", "catalogs", "MA | CREATE_CATALOG:metastore", "CREATE_SHARE:metastore", func(*fixture) map[string]any { return map[string]any{} }),
		creates("catalog of a provider", "catalogs", "(MA | CREATE_CATALOG:metastore) & own:provider", "CREATE_PROVIDER:metastore", func(f *fixture) map[string]any {
			return map[string]any{"provider_name": f.name("provider"), "share_name": "s"}
		}),
		{name: "get catalog", allowed: "MA | own:catalog | USE_CATALOG:catalog | BROWSE:catalog", try: "USE_SCHEMA:catalog own:schema", call: func(f *fixture) request {
			f.name("schema")
			return get("catalog")(f)
		}},
		{name: "list catalogs", allowed: "MA | own:catalog | USE_CATALOG:catalog | BROWSE:catalog", try: "SELECT:catalog", lists: "catalog",
			key: "catalogs", call: list("catalog", "catalogs")},
		{name: "delete catalog", allowed: "own:catalog", try: "USE_CATALOG:catalog", call: remove("catalog")},
	},
	updates("catalog", "own:catalog", "MA", "own:catalog & MA", "USE_CATALOG:catalog CREATE_CATALOG:metastore"),
	[]endpoint{
		creates("schema", "schemas", seesCatalog+" & (MA | own:catalog | CREATE_SCHEMA:catalog)", "USE_SCHEMA:catalog", func(f *fixture) map[string]any {
			return map[string]any{"catalog_name": f.name("catalog")}
		}),
		// The specification does not name the owner of the catalog, so that is not tried.
		{name: "get schema", allowed: "MA | USE_CATALOG:catalog & (own:schema | USE_SCHEMA:schema | USE_SCHEMA:catalog)", try: "SELECT:schema", call: get("schema")},
		{name: "list schemas", allowed: "MA | own:catalog | USE_CATALOG:catalog & (own:schema | USE_SCHEMA:schema | USE_SCHEMA:catalog)", try: "SELECT:schema",
			lists: "schema", key: "schemas", call: list("schema", "schemas?catalog_name=CATALOG")},
		{name: "delete schema", allowed: "own:catalog | " + seesCatalog + " & own:schema", try: "USE_SCHEMA:schema", call: remove("schema")},
	},
	updates("schema", seesCatalog+" & own:schema", "MA",
		"own:schema & (MA | own:catalog | USE_CATALOG:catalog & CREATE_SCHEMA:catalog)", "USE_SCHEMA:schema"),
)

var tableEndpoints = []endpoint{
	// The owner of the schema who may not look into its catalog is not tried: the addition can be read both ways.
	creates("table", "tables", "MA | (own:catalog | USE_CATALOG:catalog) & (own:schema | USE_SCHEMA:schema & CREATE_TABLE:schema)",
		"MODIFY:schema", func(f *fixture) map[string]any { return f.tableBody() }),
	{name: "get table", allowed: "MA | " + usesBoth + " & (own:table | SELECT:table)", call: get("table")},
	{name: "get table by inherited privileges", few: true, allowed: "MA | USE_CATALOG:catalog & (USE_SCHEMA:catalog) & (SELECT:catalog | SELECT:schema)",
		try: "MODIFY:table BROWSE:catalog", call: get("table")},
	{name: "list tables", allowed: "MA | " + usesBoth + " & (own:table | SELECT:table)", lists: "table", key: "tables",
		call: list("table", "tables?catalog_name=CATALOG&schema_name=SCHEMA")},
	{name: "table exists", few: true, allowed: "MA | " + usesBoth + " & (own:table | SELECT:table)", call: func(f *fixture) request {
		return request{"GET", f.path("table") + "/exists", nil}
	}},
	{name: "table summaries", allowed: "MA | " + usesBoth + " & (own:table | SELECT:table)", lists: "table", key: "tables", call: func(f *fixture) request {
		f.name("table")
		return request{"POST", "table-summaries", map[string]any{"catalog_name": f.name("catalog")}}
	}},
	{name: "table summaries by GET", few: true, allowed: "MA | " + usesBoth + " & (own:table | SELECT:table)", lists: "table", key: "tables",
		call: list("table", "table-summaries?catalog_name=CATALOG")},
	{name: "delete table", allowed: "own:catalog | USE_CATALOG:catalog & (own:schema | USE_SCHEMA:schema & own:table)", try: "SELECT:table", call: remove("table")},
	{name: "update table", allowed: usesBoth + " & own:table", try: "MODIFY:table", call: patch("table", "comment", "changed")},
	{name: "change owner of table", allowed: "MA | " + usesBoth + " & own:table", call: patch("table", "owner", "bob")},
	{name: "change owner and comment of table", few: true, allowed: usesBoth + " & own:table", call: patch("table", "owner", "bob", "comment", "changed")},
	{name: "MANAGE stands for ownership of a table", allowed: "USE_CATALOG:catalog & (USE_SCHEMA:schema & MANAGE:table | MANAGE:schema) | MANAGE:catalog", call: patch("table", "comment", "x")},
}

// permissionCalls returns the rules of all calls about the grants on a kind of object. The privilege is what is granted.
func permissionCalls(kind, managers, try, privilege string) []endpoint {
	const code = "UNAUTHORIZED"
	at := func(method, form, query string, body func(f *fixture) any) func(f *fixture) request {
		return func(f *fixture) request {
			path := strings.Replace(f.permissions(kind), "permissions", form, 1)
			switch query {
			case "bob":
				path += "?principal=" + url.QueryEscape(f.w.user(bob))
			case "":
			default:
				path += "?" + query
			}
			if body == nil {
				return request{method, path, nil}
			}
			return request{method, path, body(f)}
		}
	}
	diff := func(how string) func(f *fixture) any {
		return func(f *fixture) any {
			return map[string]any{"changes": []any{map[string]any{"principal": f.w.user(bob), how: []string{privilege}}}}
		}
	}
	list := []endpoint{
		{name: "get permissions of " + kind, call: at("GET", "permissions", "", nil)},
		{name: "get permissions of bob on " + kind, call: at("GET", "permissions", "bob", nil)},
		{name: "get effective permissions of " + kind, call: at("GET", "effective-permissions", "", nil)},
		{name: "list grants on " + kind, call: at("GET", "privilege-assignments", "", nil)},
		{name: "list effective grants on " + kind, call: at("GET", "effective-privilege-assignments", "bob", nil)},
		{name: "grant on " + kind, call: at("PATCH", "permissions", "", diff("add"))},
		{name: "revoke on " + kind, call: at("PATCH", "permissions", "", diff("remove"))},
	}
	if kind != "metastore" { // whose grants the other tests need
		list = append(list, endpoint{name: "replace grants on " + kind, call: at("PUT", "permissions", "", func(f *fixture) any {
			return map[string]any{"privilege_assignments": []any{map[string]any{"principal": f.w.user(bob), "privileges": []string{privilege}}}}
		})})
	}
	for i := range list {
		list[i].allowed, list[i].try, list[i].code, list[i].few = managers, try, code, i > 0
	}
	return list
}

var permissionEndpoints = slices.Concat(
	permissionCalls("metastore", "MA", "CREATE_CATALOG:metastore", "CREATE_SHARE"),
	permissionCalls("catalog", "MA | own:catalog | MANAGE:catalog", "USE_CATALOG:catalog ALL_PRIVILEGES:catalog", "BROWSE"),
	permissionCalls("schema", "MA | own:catalog | own:schema | MANAGE:catalog | MANAGE:schema", "ALL_PRIVILEGES:schema", "MODIFY"),
	permissionCalls("table", "MA | own:catalog | own:schema | own:table | MANAGE:schema", "ALL_PRIVILEGES:table", "MODIFY"),
	permissionCalls("credential", "MA | own:credential | MANAGE:credential", "READ_FILES:credential", "WRITE_FILES"),
	permissionCalls("location", "MA | own:location | MANAGE:location", "own:credential", "WRITE_FILES"),
	[]endpoint{
		{name: "replace grants on metastore", code: "UNAUTHORIZED", allowed: "MA", metastores: true, call: func(f *fixture) request {
			return request{"PUT", f.permissions("metastore"), map[string]any{"privilege_assignments": []any{}}}
		}},
		{name: "get permissions of share", code: "UNAUTHORIZED", allowed: "MA | own:share", try: "own:recipient", call: func(f *fixture) request {
			f.name("recipient")
			return request{"GET", f.permissions("share"), nil}
		}},
		{name: "grant share by permissions", code: "UNAUTHORIZED", allowed: "(MA | own:share) & own:recipient", call: func(f *fixture) request {
			return request{"PATCH", f.permissions("share"), map[string]any{"changes": []any{map[string]any{"principal": f.name("recipient"), "add": []string{"SELECT"}}}}}
		}},
		{name: "replace grants on share", code: "UNAUTHORIZED", allowed: "(MA | own:share) & own:recipient", call: func(f *fixture) request {
			return request{"PUT", f.permissions("share"), map[string]any{"privilege_assignments": []any{map[string]any{"principal": f.name("recipient"), "privileges": []string{"SELECT"}}}}}
		}},
	},
)

// sharingCalls returns the rules that shares, recipients and providers have in common.
func sharingCalls(kind, privilege string, body map[string]any) []endpoint {
	collection := collections[kind]
	return slices.Concat([]endpoint{
		creates(kind, collection, "MA | "+privilege+":metastore", "CREATE_CATALOG:metastore", func(*fixture) map[string]any {
			fresh := map[string]any{}
			for key, value := range body {
				fresh[key] = value
			}
			return fresh
		}),
		{name: "get " + kind, allowed: "MA | own:" + kind, try: privilege + ":metastore", call: get(kind)},
		{name: "list " + kind, allowed: "MA | own:" + kind, lists: kind, key: collection, call: list(kind, collection)},
		{name: "delete " + kind, allowed: "own:" + kind, try: privilege + ":metastore", call: remove(kind)},
	}, updates(kind, "own:"+kind, "MA", "own:"+kind+" & MA", privilege+":metastore"))
}

func shareUpdate(action string) func(f *fixture) request {
	return func(f *fixture) request {
		return request{"PATCH", f.path("share"), map[string]any{"updates": []any{map[string]any{"action": action, "data_object": map[string]any{"name": f.name("table")}}}}}
	}
}

func sharePermissions(f *fixture, how string) request {
	return request{"PATCH", f.path("share") + "/permissions", map[string]any{"changes": []any{map[string]any{"principal": f.name("recipient"), how: []string{"SELECT"}}}}}
}

var sharingEndpoints = slices.Concat(
	sharingCalls("share", "CREATE_SHARE", nil),
	sharingCalls("recipient", "CREATE_RECIPIENT", map[string]any{"authentication_type": "TOKEN"}),
	sharingCalls("provider", "CREATE_PROVIDER", map[string]any{"authentication_type": "TOKEN"}),
	[]endpoint{
		{name: "add a table to a share", allowed: "own:share & (SELECT:table | SELECT:catalog | own:table)", try: "MANAGE:table", call: shareUpdate("ADD")},
		{name: "set the tables of a share", few: true, allowed: "own:share & (SELECT:table | SELECT:schema | own:table)", try: "MODIFY:table", call: func(f *fixture) request {
			return request{"PATCH", f.path("share"), map[string]any{"objects": []any{map[string]any{"name": f.name("table")}}}}
		}},
		{name: "remove a table from a share", allowed: "own:share", try: "own:table", call: func(f *fixture) request {
			f.grant("table", bob, "SELECT")
			add := shareUpdate("ADD")(f)
			f.w.must(bob, add.method, add.path, add.body)
			return shareUpdate("REMOVE")(f)
		}},
		{name: "get permissions on share", allowed: "MA | own:share", try: "own:recipient", call: func(f *fixture) request {
			f.name("recipient")
			return request{"GET", f.path("share") + "/permissions", nil}
		}},
		{name: "grant share", allowed: "(MA | own:share) & own:recipient", call: func(f *fixture) request { return sharePermissions(f, "add") }},
		{name: "revoke share", allowed: "MA | own:share", try: "own:recipient", call: func(f *fixture) request {
			add := sharePermissions(f, "add")
			f.w.must(bob, add.method, add.path, add.body)
			return sharePermissions(f, "remove")
		}},
		{name: "shares of a recipient", allowed: "MA | own:recipient", try: "own:share", call: func(f *fixture) request {
			f.name("share")
			return request{"GET", f.path("recipient") + "/share-permissions", nil}
		}},
		{name: "rotate a token", allowed: "own:recipient", try: "CREATE_RECIPIENT:metastore", call: func(f *fixture) request {
			return request{"POST", f.path("recipient") + "/rotate-token", map[string]any{"existing_token_expire_in_seconds": 0}}
		}},
		{name: "shares of a provider", allowed: "MA | own:provider", call: func(f *fixture) request {
			return request{"GET", f.path("provider") + "/shares", nil}
		}},
	},
)
