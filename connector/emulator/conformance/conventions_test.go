package conformance_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"ucwarden/connector/emulator"
)

// TestTokens makes calls without a token that is known.
func TestTokens(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"metastore_summary", "catalogs", "permissions/catalog/none", "userinfo/me"} {
		w.refused("", "GET", path, nil, 401, "UNAUTHENTICATED")
		w.tokens["stranger"] = "no-such-token"
		w.refused("stranger", "GET", path, nil, 401, "UNAUTHENTICATED")
	}
	w.refused("", "POST", "catalogs", map[string]any{"name": "x"}, 401, "UNAUTHENTICATED")
}

// TestNames writes one table's name in different cases, encoded, in paths, bodies and parameters.
func TestNames(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	f.own("catalog", metastoreAdmin)
	catalog := f.name("catalog")
	w.must(metastoreAdmin, "POST", "schemas", map[string]any{"name": "SømeSchëma", "catalog_name": strings.ToUpper(catalog)})
	body := f.tableBody()
	body["catalog_name"], body["schema_name"], body["name"] = strings.ToUpper(catalog), "SØMESCHËMA", "テーブル"
	made := w.must(metastoreAdmin, "POST", "tables", body)
	full := catalog + ".sømeschëma.テーブル"
	if made.str("full_name") != full || made.str("schema_name") != "sømeschëma" {
		w.Errorf("created %s", made.raw)
	}
	columns, _ := made.json["columns"].([]any)
	if first, _ := columns[0].(map[string]any); first["name"] != "Id" {
		w.Errorf("column names keep their case; got %v", first["name"])
	}
	for _, spelled := range []string{full, strings.ToUpper(full), strings.ToUpper(catalog[:1]) + full[1:]} {
		path := "tables/" + url.PathEscape(spelled)
		if got := w.must(metastoreAdmin, "GET", path, nil); got.str("full_name") != full {
			w.Errorf("%s: %s", path, got.raw)
		}
		w.must(metastoreAdmin, "GET", "permissions/table/"+url.PathEscape(spelled), nil)
		w.must(metastoreAdmin, "GET", "permissions/TABLE/"+url.PathEscape(spelled), nil)
	}
	query := url.Values{"catalog_name": {strings.ToUpper(catalog)}, "schema_name": {"SØMESCHËMA"}}.Encode()
	if got := w.must(metastoreAdmin, "GET", "tables?"+query, nil); !listHolds(got, "tables", full) {
		w.Errorf("listed: %s", got.raw)
	}
	if got := w.must(metastoreAdmin, "POST", "table-summaries", map[string]any{"catalog_name": strings.ToUpper(catalog), "table_name_pattern": "テ%"}); !listHolds(got, "tables", full) {
		w.Errorf("summaries: %s", got.raw)
	}
	body["name"] = "テーブル"
	w.refused(metastoreAdmin, "POST", "tables", body, 409, "TABLE_ALREADY_EXISTS")

	for _, bad := range []string{"", "a.b", "a/b", "a b", "a\nb", "\u0000", strings.Repeat("x", 256)} {
		w.refused(metastoreAdmin, "POST", "catalogs", map[string]any{"name": bad}, 400, badValue)
	}
	for _, path := range []string{"tables/a", "tables/a.b", "tables/a.b.c.d", "schemas/a", "tables/a..c", "schemas/a.b%2Fc", "permissions/table/a.b"} {
		w.refused(metastoreAdmin, "GET", path, nil, 400, badValue)
	}
}

// TestMissing asks for objects that are not there.
func TestMissing(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	none, schema := f.name("catalog")+"_none", f.name("schema")
	for path, code := range map[string]string{
		"catalogs/" + none: "CATALOG", "schemas/" + none + ".x": "CATALOG", "schemas/" + schema + "_none": "SCHEMA", "tables/" + schema + ".none": "TABLE",
		"tables/" + schema + "_none.t": "SCHEMA", "storage-credentials/" + none: "STORAGE_CREDENTIAL", "external-locations/" + none: "EXTERNAL_LOCATION",
		"shares/" + none: "SHARE", "recipients/" + none: "RECIPIENT", "providers/" + none: "PROVIDER", "metastores/" + none: "METASTORE",
	} {
		w.refused(metastoreAdmin, "GET", path, nil, 404, code+"_DOES_NOT_EXIST")
		w.refused(metastoreAdmin, "PATCH", path, map[string]any{"comment": "x"}, 404, code+"_DOES_NOT_EXIST")
		w.refused(metastoreAdmin, "DELETE", path, nil, 404, code+"_DOES_NOT_EXIST")
	}
	for path, code := range map[string]string{
		"shares/" + none + "/permissions": "SHARE", "recipients/" + none + "/share-permissions": "RECIPIENT", "providers/" + none + "/shares": "PROVIDER",
		"permissions/catalog/" + none: "CATALOG", "permissions/share/" + none: "SHARE", "schemas?catalog_name=" + none: "CATALOG",
		"tables?schema_name=x&catalog_name=" + none: "CATALOG", "table-summaries?catalog_name=" + none: "CATALOG",
	} {
		w.refused(metastoreAdmin, "GET", path, nil, 404, code+"_DOES_NOT_EXIST")
	}
	for _, path := range []string{"schemas", "tables?catalog_name=x", "tables?schema_name=x", "table-summaries", "files"} {
		w.refused(metastoreAdmin, "GET", path, nil, 400, badValue)
	}
	w.refused(metastoreAdmin, "GET", "permissions/cluster/x", nil, 400, badValue)
	w.refused(metastoreAdmin, "POST", "recipients/"+none+"/rotate-token", map[string]any{"existing_token_expire_in_seconds": 0}, 404, "RECIPIENT_DOES_NOT_EXIST")
	exists := w.must(metastoreAdmin, "GET", "tables/"+schema+".none/exists", nil)
	if exists.json["table_exists"] != false {
		w.Errorf("exists: %s", exists.raw)
	}
	w.refused(alice, "GET", "tables/"+schema+".none/exists", nil, 403, forbidden) // who may not look there
}

// TestPaging reads every list page by page.
func TestPaging(t *testing.T) {
	w := newWorld(t)
	w.needs(accountAdmin)
	fixtures := []*fixture{w.fixture(), w.fixture(), w.fixture()}
	first := fixtures[0]
	for _, f := range fixtures {
		for _, kind := range []string{"location", "catalog", "share", "recipient", "provider"} {
			f.name(kind)
		}
		if f != first { // three schemas and tables in one place
			f.names["catalog"] = first.name("catalog")
		}
		f.name("schema")
		f.own("recipient", metastoreAdmin)
		w.must(metastoreAdmin, "PATCH", f.path("share")+"/permissions", map[string]any{"changes": []any{map[string]any{"principal": f.name("recipient"), "add": []string{"SELECT"}}}})
	}
	var tables []string
	for range 3 {
		made := w.must(metastoreAdmin, "POST", "tables", first.tableBody())
		tables = append(tables, made.str("full_name"))
	}
	shares := make([]string, 0, 3)
	first.own("recipient", metastoreAdmin)
	for _, f := range fixtures {
		w.must(metastoreAdmin, "PATCH", f.path("share")+"/permissions", map[string]any{"changes": []any{map[string]any{"principal": first.name("recipient"), "add": []string{"SELECT"}}}})
		shares = append(shares, f.name("share"))
	}
	of := func(kind string) []string {
		var names []string
		for _, f := range fixtures {
			names = append(names, f.name(kind))
		}
		return names
	}
	catalog, schema, _ := strings.Cut(first.name("schema"), ".")
	for _, l := range []struct {
		path, key, field string
		want             []string
	}{
		{"storage-credentials", "storage_credentials", "name", of("credential")},
		{"external-locations", "external_locations", "name", of("location")},
		{"catalogs", "catalogs", "name", nil},
		{"schemas?catalog_name=" + catalog, "schemas", "full_name", of("schema")},
		{"tables?catalog_name=" + catalog + "&schema_name=" + schema, "tables", "full_name", tables},
		{"table-summaries?catalog_name=" + catalog, "tables", "full_name", tables},
		{"shares", "shares", "name", of("share")},
		{"recipients", "recipients", "name", of("recipient")},
		{"providers", "providers", "name", of("provider")},
		{first.path("recipient") + "/share-permissions", "permissions_out", "share_name", shares},
	} {
		t.Run(l.path, func(t *testing.T) {
			w := w.with(t)
			for _, size := range []int{1, 2, 1000} {
				got, pages := w.pages(l.path, l.key, l.field, size)
				for _, name := range l.want {
					if n := len(slices.DeleteFunc(slices.Clone(got), func(other string) bool { return other != name })); n != 1 {
						w.Errorf("pages of %d: %s is there %d times: %q", size, name, n, got)
					}
				}
				if size == 1 && pages < len(l.want) {
					w.Errorf("%d objects on %d pages of one", len(l.want), pages)
				}
			}
			separator := "?"
			if strings.Contains(l.path, "?") {
				separator = "&"
			}
			for _, query := range []string{"max_results=-1", "max_results=x", "max_results=1.5", "page_token=none"} {
				w.refused(metastoreAdmin, "GET", l.path+separator+query, nil, 400, badValue)
			}
		})
	}
	w.refused(metastoreAdmin, "POST", "table-summaries", map[string]any{"catalog_name": catalog, "max_results": "many"}, 400, malformed, badValue)
	one := w.must(metastoreAdmin, "POST", "table-summaries", map[string]any{"catalog_name": catalog, "max_results": 1})
	two := w.must(metastoreAdmin, "POST", "table-summaries", map[string]any{"catalog_name": catalog, "max_results": 1, "page_token": one.str("next_page_token")})
	if listHolds(two, "tables", tables[0]) == listHolds(one, "tables", tables[0]) && listHolds(two, "tables", tables[1]) == listHolds(one, "tables", tables[1]) {
		w.Errorf("the second page is the first: %s %s", one.raw, two.raw)
	}
}

// pages reads a list in pages of one size, and returns a field of every object with the number of pages.
func (w *world) pages(path, key, field string, size int) (names []string, pages int) {
	w.Helper()
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	token := ""
	for {
		r := w.must(metastoreAdmin, "GET", fmt.Sprintf("%s%smax_results=%d&page_token=%s", path, separator, size, url.QueryEscape(token)), nil)
		pages++
		items, _ := r.json[key].([]any)
		if len(items) > size {
			w.Errorf("%s: a page of %d holds %d", path, size, len(items))
		}
		for _, item := range items {
			name, _ := item.(map[string]any)[field].(string)
			names = append(names, name)
		}
		if token = r.str("next_page_token"); token == "" {
			return names, pages
		}
		if pages > 10000 {
			w.Fatalf("%s: pages never end", path)
		}
	}
}

// A page may be empty and have a token; another server need not have such pages.
func TestEmptyPages(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.EmptyPages = true })
	for range 3 {
		w.fixture().name("share")
	}
	if got, pages := w.pages("shares", "shares", "name", 1); len(got) != 3 || pages != 5 {
		t.Errorf("%d shares on %d pages, want 3 on 5", len(got), pages)
	}
}

// TestForce deletes what is in use: refused, until it is forced, in the query or in the body.
func TestForce(t *testing.T) {
	w := newWorld(t)
	w.needs(accountAdmin)
	for _, c := range []struct{ kind, holder string }{
		{"catalog", "schema"}, {"schema", "table"}, {"credential", "location"}, {"credential", "external"}, {"location", "external"},
	} {
		for _, forced := range []struct {
			query string
			body  any
		}{{"?force=true", nil}, {"", map[string]any{"force": true}}} {
			f := w.fixture()
			f.name(c.kind)
			f.hold(c.kind, c.holder)
			f.own(c.kind, alice)
			path := f.path(c.kind)
			if c.kind == "schema" {
				f.grant("catalog", alice, "USE_CATALOG")
			}
			for _, unforced := range []struct {
				query string
				body  any
			}{{"", nil}, {"?force=false", nil}, {"", map[string]any{"force": false}}, {"", map[string]any{}}} {
				w.refused(alice, "DELETE", path+unforced.query, unforced.body, 400, badState, badValue)
			}
			w.refused(alice, "DELETE", path+"?force=perhaps", nil, 400, badValue)
			w.refused(alice, "DELETE", path, map[string]any{"force": "perhaps"}, 400, malformed, badValue)
			w.refused(alice, "DELETE", path, "{", 400, malformed)
			w.must(metastoreAdmin, "GET", path, nil)
			w.must(metastoreAdmin, "GET", f.path(c.holder), nil)
			w.must(alice, "DELETE", path+forced.query, forced.body)
			w.refused(metastoreAdmin, "GET", path, nil, 404)
			if got := w.do(metastoreAdmin, "GET", f.path(c.holder), nil); c.kind == "credential" || c.kind == "location" {
				if got.status != 200 {
					w.Errorf("%s left without its %s: %d %s", c.holder, c.kind, got.status, got.raw)
				}
			} else if got.status != 404 {
				w.Errorf("%s is left after its %s was deleted: %d", c.holder, c.kind, got.status)
			}
		}
	}
}

// hold makes an object that keeps another from being deleted.
func (f *fixture) hold(kind, holder string) {
	f.w.Helper()
	if holder != "external" {
		f.name(holder)
		return
	}
	body := f.tableBody()
	body["table_type"], body["data_source_format"], body["storage_location"] = "EXTERNAL", "PARQUET", "s3://"+bucket(f.w)+"/t"
	if kind == "credential" {
		body["storage_credential_name"] = strings.ToUpper(f.name("credential"))
	} else {
		body["storage_location"] = f.w.must(metastoreAdmin, "GET", f.path("location"), nil).str("url") + "/inside/t"
	}
	f.names[holder] = f.w.must(metastoreAdmin, "POST", "tables", body).str("full_name")
}

// TestDeleteEmpty deletes objects that nothing uses, without force.
func TestDeleteEmpty(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	for _, kind := range []string{"table", "schema", "catalog", "location", "credential", "share", "recipient", "provider"} {
		if kind == "location" || kind == "credential" {
			w.needs(accountAdmin)
		}
		f.name(kind)
		if kind != "table" {
			f.own(kind, bob)
		}
	}
	f.own("schema", bob)
	for _, kind := range []string{"table", "schema", "catalog", "location", "credential", "share", "recipient", "provider"} {
		w.must(bob, "DELETE", f.path(kind), nil)
		w.refused(metastoreAdmin, "GET", f.path(kind), nil, 404)
		w.refused(bob, "DELETE", f.path(kind), nil, 404)
	}
}
