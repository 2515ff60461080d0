package emulator_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/connector/emulator"
)

func TestPageSizes(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.PageSize, o.MaxPageSize = 2, 3 })
	want := []string{"ext", "orders", "orders_mv", "orders_st", "orders_v"}
	const list = "tables?catalog_name=sales&schema_name=emea"
	for query, wantPages := range map[string]int{"": 3, "&max_results=0": 3, "&max_results=1": 5, "&max_results=3": 2, "&max_results=1000": 2} {
		got, pages := w.names(admin, list+query, "tables", "name")
		equal(t, query, got, want)
		if pages != wantPages {
			t.Errorf("%q: %d pages, want %d", query, pages, wantPages)
		}
	}
	for _, query := range []string{"&max_results=-1", "&max_results=x", "&page_token=x", "&page_token=%21%21"} {
		w.refused(admin, "GET", list+query, "", 400, "INVALID_PARAMETER_VALUE")
	}
	token := url.QueryEscape(w.must(admin, "GET", list, "").json["next_page_token"].(string))
	w.must(admin, "GET", list+"&max_results=3&page_token="+token, "")
	w.refused(admin, "GET", "tables?catalog_name=sales&schema_name=apac&page_token="+token, "", 400, "INVALID_PARAMETER_VALUE")
	w.refused(admin, "GET", "functions?catalog_name=sales&schema_name=emea&page_token="+token, "", 400, "INVALID_PARAMETER_VALUE")
	w.refused(admin, "GET", list+"&page_token="+token[1:], "", 400, "INVALID_PARAMETER_VALUE")
}

func TestEmptyPagesLieBetweenFullOnes(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.PageSize, o.EmptyPages = 2, true })
	got, pages := w.names(admin, "tables?catalog_name=sales&schema_name=emea", "tables", "name")
	equal(t, "tables", got, []string{"ext", "orders", "orders_mv", "orders_st", "orders_v"})
	if pages != 5 {
		t.Errorf("%d pages, want 3 full and 2 empty", pages)
	}
	r := w.must(admin, "GET", "tables?catalog_name=sales&schema_name=emea", "")
	r = w.must(admin, "GET", "tables?catalog_name=sales&schema_name=emea&page_token="+url.QueryEscape(r.json["next_page_token"].(string)), "")
	if _, found := r.json["tables"]; found || r.json["next_page_token"] == nil {
		t.Errorf("the page in between is %s", r.raw)
	}
}

// TestPagesSurviveChanges lists a schema page by page while tables come and go: whatever is there from the first page
// to the last is listed exactly once, whatever never was is not listed, and nothing is listed twice.
func TestPagesSurviveChanges(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.EmptyPages = true })
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		schema := fmt.Sprintf("s%d", run)
		w.must(admin, "POST", "schemas", `{"catalog_name":"hr","name":"`+schema+`"}`)
		create := func(name string) {
			w.must(admin, "POST", "tables", fmt.Sprintf(`{"catalog_name":"hr","schema_name":%q,"name":%q,"table_type":"VIEW","view_definition":"x","columns":[]}`, schema, name))
		}
		name := rapid.StringMatching(`[a-e]{1,2}`)
		stable := make(map[string]bool) // there all the time
		present := make(map[string]bool)
		ever := make(map[string]bool)
		for _, n := range rapid.SliceOfNDistinct(name, 0, 12, rapid.ID).Draw(rt, "initial") {
			create(n)
			stable[n], present[n], ever[n] = true, true, true
		}
		summaries := rapid.Bool().Draw(rt, "summaries")
		list, key, field := "tables?catalog_name=hr&schema_name="+schema, "tables", "name"
		if summaries {
			list, field = "table-summaries?catalog_name=hr&schema_name_pattern="+schema, "full_name"
		}
		list += fmt.Sprint("&max_results=", rapid.IntRange(1, 4).Draw(rt, "size"))
		seen := make(map[string]int)
		pages := 0
		for token := ""; ; {
			if pages++; pages > 200 {
				rt.Fatal("pages never end")
			}
			r := w.must(admin, "GET", list+"&page_token="+url.QueryEscape(token), "")
			items, _ := r.json[key].([]any)
			for _, item := range items {
				n := item.(map[string]any)[field].(string)
				seen[n[strings.LastIndexByte(n, '.')+1:]]++
			}
			var more bool
			if token, more = r.json["next_page_token"].(string); !more {
				break
			}
			n := name.Draw(rt, "changed")
			if present[n] {
				w.must(admin, "DELETE", "tables/hr."+schema+"."+n, "")
				delete(present, n)
				delete(stable, n)
			} else {
				create(n)
				present[n], ever[n] = true, true
			}
		}
		for n := range stable {
			if seen[n] != 1 {
				rt.Fatalf("%q was there all the time and listed %d times", n, seen[n])
			}
		}
		for n, times := range seen {
			if !ever[n] || times != 1 {
				rt.Fatalf("%q listed %d times (ever there: %v)", n, times, ever[n])
			}
		}
	})
}

func TestTableSummaries(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.PageSize = 2 })
	for query, want := range map[string][]string{
		"catalog_name=SALES":                                                    {"sales.apac.orders", "sales.emea.ext", "sales.emea.orders", "sales.emea.orders_mv", "sales.emea.orders_st", "sales.emea.orders_v"},
		"catalog_name=sales&schema_name_pattern=em%25":                          {"sales.emea.ext", "sales.emea.orders", "sales.emea.orders_mv", "sales.emea.orders_st", "sales.emea.orders_v"},
		"catalog_name=sales&table_name_pattern=Orders":                          {"sales.apac.orders", "sales.emea.orders"},
		"catalog_name=sales&table_name_pattern=orders%5C__v":                    {"sales.emea.orders_mv"},
		"catalog_name=sales&table_name_pattern=%25_v":                           {"sales.emea.orders_mv", "sales.emea.orders_v"},
		"catalog_name=sales&schema_name_pattern=_pac&table_name_pattern=_rd%25": {"sales.apac.orders"},
		"catalog_name=sales&schema_name_pattern=&table_name_pattern=none":       nil,
		"catalog_name=sales&table_name_pattern=ext%25":                          {"sales.emea.ext"},
		"catalog_name=hr": nil,
	} {
		got, _ := w.names(admin, "table-summaries?"+query, "tables", "full_name")
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	types, _ := w.names(admin, "table-summaries?catalog_name=sales&schema_name_pattern=emea", "tables", "table_type")
	equal(t, "types", types, []string{"EXTERNAL", "MANAGED", "MATERIALIZED_VIEW", "STREAMING_TABLE", "VIEW"})
	w.refused(admin, "GET", "table-summaries", "", 400, "INVALID_PARAMETER_VALUE")
	w.refused(admin, "GET", "table-summaries?catalog_name=none", "", 404, "CATALOG_DOES_NOT_EXIST")
	first := w.must(admin, "POST", "table-summaries", `{"catalog_name":"sales","schema_name_pattern":"emea","max_results":3}`)
	second := w.must(admin, "POST", "table-summaries", `{"catalog_name":"sales","schema_name_pattern":"emea","page_token":"`+first.json["next_page_token"].(string)+`"}`)
	if a, b := first.json["tables"].([]any), second.json["tables"].([]any); len(a) != 3 || len(b) != 2 {
		t.Errorf("POST: pages of %d and %d tables, want 3 and 2", len(a), len(b))
	}
	w.refused(admin, "POST", "table-summaries", `{"catalog":"sales"}`, 400, "INVALID_PARAMETER_VALUE")
	w.refused(admin, "POST", "table-summaries", `{"catalog_name":7}`, 400, "MALFORMED_REQUEST")
}

func TestModelsOfTheWholeMetastore(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.PageSize, o.EmptyPages = 1, true })
	for _, model := range []string{`"catalog_name":"sales","schema_name":"apac"`, `"catalog_name":"sales","schema_name":"emea"`} {
		w.must(admin, "POST", "models", `{"name":"zeta",`+model+`}`)
	}
	w.refused(admin, "POST", "models", `{"name":"mask","catalog_name":"sales","schema_name":"emea"}`, 409, "FUNCTION_ALREADY_EXISTS")
	got, _ := w.names(admin, "models", "registered_models", "full_name")
	equal(t, "all models", got, []string{"sales.apac.zeta", "sales.emea.churn", "sales.emea.zeta"})
	got, _ = w.names(admin, "models?catalog_name=sales&schema_name=emea", "registered_models", "full_name")
	equal(t, "of one schema", got, []string{"sales.emea.churn", "sales.emea.zeta"})
	got, _ = w.names(admin, "functions?catalog_name=sales&schema_name=emea", "functions", "name")
	equal(t, "functions are not models", got, []string{"mask"})
	w.refused(admin, "GET", "models?catalog_name=sales", "", 400, "INVALID_PARAMETER_VALUE")
	w.refused(admin, "GET", "functions/sales.emea.churn", "", 404, "FUNCTION_DOES_NOT_EXIST")
	w.refused(admin, "GET", "models/sales.emea.mask", "", 404, "REGISTERED_MODEL_DOES_NOT_EXIST")
}
