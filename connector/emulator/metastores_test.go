package emulator_test

import (
	"strings"
	"testing"

	"ucwarden/connector/emulator"
)

const metastoreID = "11111111-2222-4333-8444-555555555555"

func TestMetastoreSummaryAndAssignment(t *testing.T) {
	w := newWorld(t)
	r := w.must(bob, "GET", "metastore_summary", "")
	if r.json["metastore_id"] != metastoreID || r.json["name"] != "main" || r.json["cloud"] != "aws" || r.json["global_metastore_id"] != "aws:local:"+metastoreID {
		t.Errorf("summary: %s", r.raw)
	}
	r = w.must(admin, "GET", "current-metastore-assignment", "")
	if r.json["metastore_id"] != metastoreID || r.json["workspace_id"] != 1.0 {
		t.Errorf("assignment: %s", r.raw)
	}
	w.must(wendy, "PATCH", "workspaces/1/metastore", `{"default_catalog_name":"Sales"}`)
	if r = w.must(admin, "GET", "current-metastore-assignment", ""); r.json["default_catalog_name"] != "sales" {
		t.Errorf("assignment: %s", r.raw)
	}
	w.refused(wendy, "PATCH", "workspaces/2/metastore", `{"default_catalog_name":"sales"}`, 404, "WORKSPACE_DOES_NOT_EXIST")
	w.refused(admin, "PUT", "workspaces/1/metastore", `{}`, 400, "INVALID_PARAMETER_VALUE")
	w.refused(admin, "PUT", "workspaces/1/metastore", `{"metastore_id":"none","default_catalog_name":""}`, 404, "METASTORE_DOES_NOT_EXIST")
	w.refused(bob, "PATCH", "workspaces/1/metastore", `{"default_catalog_name":"hr"}`, 403, "PERMISSION_DENIED")
}

func TestSecondMetastore(t *testing.T) {
	w := newWorld(t)
	w.refused(bob, "POST", "metastores", `{"name":"second","storage_root":"abfss://c@a.dfs.core.windows.net/x"}`, 403, "PERMISSION_DENIED")
	w.refused(admin, "POST", "metastores", `{"name":"second"}`, 400, "INVALID_PARAMETER_VALUE")
	w.refused(admin, "POST", "metastores", `{"name":"MAIN","storage_root":"s3://x"}`, 409, "METASTORE_ALREADY_EXISTS")
	made := w.must(admin, "POST", "metastores", `{"name":"second","storage_root":"abfss://c@a.dfs.core.windows.net/x","delta_sharing_scope":"INTERNAL_AND_EXTERNAL"}`)
	id := made.json["metastore_id"].(string)
	if made.json["cloud"] != "azure" || made.json["delta_sharing_scope"] != "INTERNAL" || !strings.HasSuffix(made.json["storage_root"].(string), "/"+id) {
		t.Errorf("created: %s", made.raw)
	}
	w.refused(admin, "PATCH", "metastores/"+id, `{"storage_root":"s3://y"}`, 400, "INVALID_PARAMETER_VALUE")
	w.refused(admin, "PATCH", "metastores/"+id, `{"delta_sharing_scope":"INTERNAL_AND_EXTERNAL"}`, 400, "INVALID_PARAMETER_VALUE")
	changed := w.must(admin, "PATCH", "metastores/"+id, `{"delta_sharing_scope":"INTERNAL_AND_EXTERNAL","delta_sharing_recipient_token_lifetime_in_seconds":60}`)
	if changed.json["storage_root"] != made.json["storage_root"] {
		t.Errorf("updated: %s", changed.raw)
	}
	names, _ := w.names(admin, "metastores", "metastores", "name")
	equal(t, "only the assigned one is listed", names, []string{"main"})

	w.must(admin, "PUT", "workspaces/1/metastore", `{"metastore_id":"`+id+`","default_catalog_name":"x"}`)
	names, _ = w.names(admin, "catalogs", "catalogs", "name")
	equal(t, "catalogs of the new metastore", names, nil)
	w.must(admin, "POST", "catalogs", `{"name":"x"}`)
	w.refused(admin, "DELETE", "metastores/"+id, "", 400, "INVALID_STATE")
	w.must(admin, "PUT", "workspaces/1/metastore", `{"metastore_id":"`+metastoreID+`","default_catalog_name":""}`)
	w.must(admin, "DELETE", "metastores/"+id+"?force=true", "")
	w.refused(admin, "GET", "metastores/"+id, "", 404, "METASTORE_DOES_NOT_EXIST")
	w.must(admin, "DELETE", "workspaces/1/metastore?metastore_id="+metastoreID, "")
	w.refused(admin, "GET", "catalogs", "", 404, "METASTORE_DOES_NOT_EXIST")
	w.refused(admin, "GET", "metastore_summary", "", 404, "METASTORE_DOES_NOT_EXIST")
}

// TestAssigningNeedsAnAccountAdmin: being admin of both metastores is not enough to swap them.
func TestAssigningNeedsAnAccountAdmin(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.Seed.AccountAdmins = []string{"carol@example.com"} })
	id := w.must("carol-token", "POST", "metastores", `{"name":"second","storage_root":"gs://x"}`).json["metastore_id"].(string)
	w.must("carol-token", "PATCH", "metastores/"+id, `{"owner":"metastore-admins"}`)
	w.refused(admin, "PATCH", "workspaces/1/metastore", `{"metastore_id":"`+id+`"}`, 403, "PERMISSION_DENIED")
	w.must("carol-token", "PATCH", "workspaces/1/metastore", `{"metastore_id":"`+id+`"}`)
	w.refused(admin, "DELETE", "workspaces/1/metastore?metastore_id="+id, "", 403, "PERMISSION_DENIED")
}

func TestShares(t *testing.T) {
	w := newWorld(t)
	grant := `{"changes":[{"principal":"Partner","add":["SELECT"]}]}`
	w.must(admin, "PATCH", "shares/outbound/permissions", grant)
	for _, path := range []string{"shares/outbound/permissions", "permissions/share/outbound"} {
		equal(t, path, lines(w.must(admin, "GET", path, "")), []string{"partner SELECT"})
	}
	w.refused(admin, "PATCH", "shares/outbound/permissions", `{"changes":[{"principal":"analysts","add":["SELECT"]}]}`, 404, "RECIPIENT_DOES_NOT_EXIST")
	w.refused(admin, "PATCH", "shares/outbound/permissions", `{"changes":[{"principal":"partner","add":["MODIFY"]}]}`, 400, "INVALID_PARAMETER_VALUE")
	w.refused(alice, "GET", "shares/outbound/permissions", "", 403, "PERMISSION_DENIED")

	w.must(admin, "PATCH", "shares/outbound", `{"owner":"alice@example.com"}`)
	w.refused(alice, "PATCH", "shares/outbound/permissions", grant, 403, "PERMISSION_DENIED") // the recipient is not alice's
	w.must(alice, "PATCH", "shares/outbound/permissions", `{"changes":[{"principal":"partner","remove":["SELECT"]}]}`)
	w.must(admin, "PATCH", "recipients/partner", `{"owner":"alice@example.com"}`)
	w.must(alice, "PATCH", "shares/outbound/permissions", grant)
	w.refused(alice, "PATCH", "shares/outbound", `{"new_name":"other"}`, 403, "PERMISSION_DENIED") // needs an admin too

	permissions := w.must(alice, "GET", "recipients/partner/share-permissions", "")
	if want := `{"permissions_out":[{"share_name":"outbound","privilege_assignments":[{"principal":"partner","privileges":["SELECT"]}]}]}` + "\n"; permissions.raw != want {
		t.Errorf("share permissions: %s, want %s", permissions.raw, want)
	}
	add := `{"updates":[{"action":"ADD","data_object":{"name":"SALES.apac.orders","shared_as":"x.apac"}}]}`
	w.refused(alice, "PATCH", "shares/outbound", add, 403, "PERMISSION_DENIED") // the owner may not read the table
	w.grant("catalog", "sales", "alice@example.com", "USE_CATALOG", "USE_SCHEMA", "SELECT")
	changed := w.must(alice, "PATCH", "shares/outbound", add)
	if !strings.Contains(changed.raw, `"shared_as":"x.apac"`) || !strings.Contains(changed.raw, `"shared_as":"emea.orders"`) {
		t.Errorf("shared: %s", changed.raw)
	}
	w.refused(alice, "PATCH", "shares/outbound", add, 409, "RESOURCE_ALREADY_EXISTS")
	w.refused(alice, "PATCH", "shares/outbound", `{"updates":[{"action":"ADD","data_object":{"name":"sales.emea.ext","shared_as":"x.apac"}}]}`, 400, "INVALID_PARAMETER_VALUE")
	w.refused(alice, "PATCH", "shares/outbound", `{"updates":[{"action":"ADD","data_object":{"name":"sales.emea.none"}}]}`, 404, "TABLE_DOES_NOT_EXIST")
	w.must(alice, "PATCH", "shares/outbound", `{"updates":[{"action":"REMOVE","data_object":{"name":"sales.emea.orders"}}]}`)
	w.refused(alice, "PATCH", "shares/outbound", `{"updates":[{"action":"UPDATE","data_object":{"name":"sales.emea.orders"}}]}`, 404, "RESOURCE_DOES_NOT_EXIST")

	w.must(alice, "DELETE", "recipients/partner", "")
	equal(t, "grants go with the recipient", lines(w.must(alice, "GET", "shares/outbound/permissions", "")), []string{})
}

func TestRecipients(t *testing.T) {
	w := newWorld(t)
	w.refused(admin, "POST", "recipients", `{"name":"r","authentication_type":"TOKEN","data_recipient_global_metastore_id":"aws:x:y"}`, 400, "INVALID_PARAMETER_VALUE")
	w.refused(admin, "POST", "recipients", `{"name":"r","authentication_type":"CARD"}`, 400, "INVALID_PARAMETER_VALUE")
	r := w.must(admin, "POST", "recipients", `{"name":"r","authentication_type":"DATABRICKS","data_recipient_global_metastore_id":"azure:westeurope:abc"}`)
	if r.json["cloud"] != "azure" || r.json["region"] != "westeurope" || r.json["metastore_id"] != "abc" || r.json["tokens"] != nil {
		t.Errorf("recipient of Databricks: %s", r.raw)
	}
	w.refused(admin, "POST", "recipients/r/rotate-token", `{"existing_token_expire_in_seconds":0}`, 400, "INVALID_PARAMETER_VALUE")
	for _, body := range []string{`{}`, `{"existing_token_expire_in_seconds":-1}`} {
		w.refused(admin, "POST", "recipients/partner/rotate-token", body, 400, "INVALID_PARAMETER_VALUE")
	}
	w.refused(bob, "POST", "recipients/partner/rotate-token", `{"existing_token_expire_in_seconds":0}`, 403, "PERMISSION_DENIED")
	first := func(r reply) map[string]any { return r.json["tokens"].([]any)[0].(map[string]any) }
	once := w.must(admin, "POST", "recipients/partner/rotate-token", `{"existing_token_expire_in_seconds":3600}`)
	soon := first(once)["expiration_time"].(float64)
	twice := w.must(admin, "POST", "recipients/partner/rotate-token", `{"existing_token_expire_in_seconds":999999}`)
	if again := first(twice)["expiration_time"].(float64); again != soon {
		t.Errorf("a rotation moved the end of the old token from %.0f to %.0f", soon, again)
	}
	if n := len(twice.json["tokens"].([]any)); n != 3 {
		t.Errorf("%d tokens after two rotations, want 3", n)
	}
	w.grant("share", "outbound", "partner", "SELECT")
	w.must(admin, "PATCH", "recipients/partner", `{"new_name":"friend"}`)
	equal(t, "grants follow a rename", w.grants("share", "outbound"), []string{"friend SELECT"})
	w.grant("share", "outbound", "friend", "SELECT")
}
