package conformance_test

import "testing"

const temporaryPath = "/api/2.0/unity-catalog/temporary-"

// openToOutside lets outside engines read what is in the metastore, until the test is over.
func (w *world) openToOutside(f *fixture) {
	w.Helper()
	path := f.path("metastore")
	w.must(metastoreAdmin, "PATCH", path, map[string]any{"external_access_enabled": true})
	w.Cleanup(func() { w.send(metastoreAdmin, "PATCH", path, map[string]any{"external_access_enabled": false}) })
}

// TestTemporaryCredentials: who may read data from outside, by credentials for its files.
func TestTemporaryCredentials(t *testing.T) {
	const outside = "USE_CATALOG:catalog & USE_SCHEMA:schema & (EXTERNAL_USE_SCHEMA:schema | EXTERNAL_USE_SCHEMA:catalog)"
	of := func(kind, id, operation string) func(f *fixture) request {
		return func(f *fixture) request {
			f.w.changesMetastores()
			f.w.openToOutside(f)
			info := f.w.must(metastoreAdmin, "GET", f.path(kind), nil)
			return request{"POST", temporaryPath + kind + "-credentials", map[string]any{id: info.str(id), "operation": operation}}
		}
	}
	list := []endpoint{
		{name: "read a table", allowed: outside + " & (SELECT:table | own:table)", try: "MODIFY:table", call: of("table", "table_id", "READ")},
		{name: "write a table", allowed: outside + " & (SELECT:table & MODIFY:table | own:table)", call: of("table", "table_id", "READ_WRITE")},
		{name: "read a volume", allowed: outside + " & (READ_VOLUME:volume | own:volume)", try: "WRITE_VOLUME:volume", call: of("volume", "volume_id", "READ_VOLUME")},
		{name: "write a volume", allowed: outside + " & (WRITE_VOLUME:volume | own:volume)", try: "READ_VOLUME:volume", call: of("volume", "volume_id", "WRITE_VOLUME")},
		{name: "read a path", allowed: "own:location | EXTERNAL_USE_LOCATION:location", try: "READ_FILES:location ALL_PRIVILEGES:location", call: func(f *fixture) request {
			f.w.changesMetastores()
			f.w.openToOutside(f)
			where := f.w.must(metastoreAdmin, "GET", f.path("location"), nil).str("url")
			return request{"POST", temporaryPath + "path-credentials", map[string]any{"url": where + "/deep", "operation": "PATH_READ"}}
		}},
		{name: "use a service", allowed: "MA | own:service | ACCESS:service", try: "CREATE_CONNECTION:service", call: func(f *fixture) request {
			return request{"POST", "temporary-service-credentials", map[string]any{"credential_name": f.name("service")}}
		}},
	}
	for i := range list {
		list[i].few = true
	}
	checkAuthorization(t, list)

	w := newWorld(t)
	w.changesMetastores()
	f := w.fixture()
	f.own("table", alice)
	id := w.must(metastoreAdmin, "GET", f.path("table"), nil).str("table_id")
	for kind, privilege := range map[string]string{"catalog": "USE_CATALOG", "schema": "USE_SCHEMA"} {
		f.grant(kind, alice, privilege)
	}
	f.grant("schema", alice, "EXTERNAL_USE_SCHEMA")
	w.refused(alice, "POST", temporaryPath+"table-credentials", map[string]any{"table_id": id, "operation": "READ"}, 400, badState)
	w.openToOutside(f)
	got := w.must(alice, "POST", temporaryPath+"table-credentials", map[string]any{"table_id": id, "operation": "READ"})
	if got.json["aws_temp_credentials"] == nil || got.str("url") == "" || got.json["expiration_time"] == nil {
		t.Errorf("credentials %s", got.raw)
	}
	w.refused(alice, "POST", temporaryPath+"table-credentials", map[string]any{"table_id": id}, 400, badValue)
	w.refused(alice, "POST", temporaryPath+"table-credentials", map[string]any{"table_id": "no-such", "operation": "READ"}, 404, "TABLE_DOES_NOT_EXIST")
	w.refused(alice, "POST", temporaryPath+"path-credentials", map[string]any{"url": "s3://nowhere", "operation": "PATH_READ"}, 404, "EXTERNAL_LOCATION_DOES_NOT_EXIST")
	// What is protected, or a view, has no files for others.
	body := f.tableBody()
	body["row_filter"] = map[string]any{"function_name": "a.b.c", "input_column_names": []any{"region"}}
	view := f.tableBody()
	view["table_type"], view["view_definition"] = "VIEW", "SELECT 1"
	delete(view, "data_source_format")
	for _, made := range []map[string]any{body, view} {
		table := w.must(metastoreAdmin, "POST", "tables", made)
		w.must(metastoreAdmin, "PATCH", "tables/"+escape(table.str("full_name")), map[string]any{"owner": w.user(alice)})
		w.refused(alice, "POST", temporaryPath+"table-credentials", map[string]any{"table_id": table.str("table_id"), "operation": "READ"}, 400, badValue)
	}
	// The path of an external table takes what the table takes.
	external := f.tableBody()
	location := w.must(metastoreAdmin, "GET", f.path("location"), nil).str("url")
	external["table_type"], external["storage_location"] = "EXTERNAL", location+"/t"
	w.must(metastoreAdmin, "POST", "tables", external)
	f.grant("location", alice, "EXTERNAL_USE_LOCATION")
	w.refused(alice, "POST", temporaryPath+"path-credentials", map[string]any{"url": location + "/t/part", "operation": "PATH_READ"}, 403, forbidden)
	w.refused(alice, "POST", temporaryPath+"path-credentials", map[string]any{"url": location, "operation": "PATH_READ"}, 403, forbidden)
	w.must(alice, "POST", temporaryPath+"path-credentials", map[string]any{"url": location + "/other", "operation": "PATH_READ", "dry_run": true})
}

// TestValidation: who may try a credential, and where.
func TestValidation(t *testing.T) {
	details := map[string]any{"role_arn": "arn:aws:iam::1:role/a"}
	try := func(path, name, kind string, more map[string]any) func(f *fixture) request {
		return func(f *fixture) request {
			body := map[string]any{"url": "s3://" + bucket(f.w)}
			if kind == "" {
				body["aws_iam_role"] = details
			} else {
				body[name] = f.name(kind)
			}
			for key, value := range more {
				body[key] = value
			}
			return request{"POST", path, body}
		}
	}
	list := []endpoint{
		{name: "validate a storage credential", allowed: "MA | own:credential | CREATE_EXTERNAL_LOCATION:metastore & CREATE_EXTERNAL_LOCATION:credential",
			try: "READ_FILES:credential", call: try("validate-storage-credentials", "storage_credential_name", "credential", nil)},
		{name: "validate details", allowed: "MA | CREATE_EXTERNAL_LOCATION:metastore", try: "CREATE_CATALOG:metastore", call: try("validate-storage-credentials", "", "", nil)},
		{name: "validate a service credential", allowed: "MA | own:service", try: "ACCESS:service", call: try("validate-credentials", "credential_name", "service", nil)},
	}
	checkAuthorization(t, list)

	w := newWorld(t)
	f := w.fixture()
	where := "s3://" + bucket(w)
	operations := func(r reply) (list []string) {
		results, _ := r.json["results"].([]any)
		for _, one := range results {
			result := one.(map[string]any)
			operation, _ := result["operation"].(string)
			list = append(list, operation+" "+result["result"].(string))
		}
		return list
	}
	got := w.must(metastoreAdmin, "POST", "validate-storage-credentials", map[string]any{"storage_credential_name": f.name("credential"), "url": where})
	if w.emulator != nil && (!same(operations(got), []string{"READ PASS", "LIST PASS", "WRITE PASS", "DELETE PASS", "PATH_EXISTS PASS"}) || got.json["isDir"] != true) {
		t.Errorf("validated: %s", got.raw)
	}
	got = w.must(metastoreAdmin, "POST", "validate-credentials", map[string]any{"purpose": "STORAGE", "credential_name": f.name("credential"), "external_location_name": f.name("location"), "read_only": true})
	if w.emulator != nil && !contains(operations(got), "WRITE SKIP") {
		t.Errorf("for reading: %s", got.raw)
	}
	for _, bad := range []map[string]any{{}, {"url": where}, {"storage_credential_name": f.name("credential")}, {"storage_credential_name": f.name("credential"), "url": "ftp://x"},
		{"aws_iam_role": details, "azure_managed_identity": map[string]any{"access_connector_id": "x"}, "url": where}} {
		w.refused(metastoreAdmin, "POST", "validate-storage-credentials", bad, 400, badValue)
	}
	w.refused(metastoreAdmin, "POST", "validate-storage-credentials", map[string]any{"storage_credential_name": "nothing", "url": where}, 404, "STORAGE_CREDENTIAL_DOES_NOT_EXIST")
	w.refused(metastoreAdmin, "POST", "validate-credentials", map[string]any{"credential_name": f.name("service"), "purpose": "OTHER"}, 400, badValue)
}
