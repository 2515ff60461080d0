package conformance_test

import (
	"testing"
)

const accountPath = "/api/2.0/accounts/acme/"

// TestAccountAuthorization: metastores of the account are for its admins, whoever owns them.
func TestAccountAuthorization(t *testing.T) {
	w := newWorld(t)
	w.changesMetastores()
	f := w.fixture()
	metastore, credential := f.name("metastore"), f.name("credential")
	one := accountPath + "metastores/" + metastore
	assignment := accountPath + "workspaces/" + w.workspace + "/metastore"
	for _, call := range []request{
		{"GET", accountPath + "metastores", nil}, {"GET", one, nil}, {"PUT", one, map[string]any{"metastore_info": map[string]any{"delta_sharing_organization_name": "x"}}},
		{"GET", one + "/storage-credentials", nil}, {"GET", one + "/storage-credentials/" + credential, nil},
		{"PUT", one + "/storage-credentials/" + credential, map[string]any{"credential_info": map[string]any{"comment": "x"}}},
		{"GET", one + "/workspaces", nil}, {"GET", assignment, nil},
		{"PUT", assignment + "s/" + metastore, map[string]any{"metastore_assignment": map[string]any{"default_catalog_name": "main"}}},
		{"POST", assignment + "s/" + metastore, map[string]any{"metastore_assignment": map[string]any{"metastore_id": metastore, "default_catalog_name": ""}}},
	} {
		for _, r := range []role{alice, metastoreAdmin, workspaceAdmin, bob} {
			w.refused(r, call.method, call.path, call.body, 403, forbidden)
		}
		w.must(accountAdmin, call.method, call.path, call.body)
	}
	for _, call := range []request{{"POST", accountPath + "metastores", map[string]any{"metastore_info": map[string]any{"name": "x", "storage_root": "s3://x"}}}, {"DELETE", one + "?force=true", nil},
		{"POST", one + "/storage-credentials", map[string]any{"credential_info": map[string]any{"name": "x", "aws_iam_role": map[string]any{"role_arn": "arn:1"}}}},
		{"DELETE", one + "/storage-credentials/" + credential, nil}, {"DELETE", assignment + "s/" + metastore, nil}} {
		for _, r := range []role{alice, metastoreAdmin, workspaceAdmin, bob} {
			w.refused(r, call.method, call.path, call.body, 403, forbidden)
		}
	}
	// To be an account admin gives nothing beyond these calls.
	w.refused(accountAdmin, "GET", "metastores/"+metastore, nil, 403, forbidden)
	w.refused(accountAdmin, "GET", f.path("location"), nil, 403, forbidden)
}

func TestAccountMetastores(t *testing.T) {
	w := newWorld(t)
	w.changesMetastores()
	if w.emulator == nil {
		t.Skip("skipped: a test must not change the metastores of an account")
	}
	body := map[string]any{"metastore_info": map[string]any{"name": "second", "storage_root": "s3://second", "region": "eu-west-1"}}
	info := func(r reply, key string) map[string]any {
		t.Helper()
		inner, _ := r.json[key].(map[string]any)
		if inner == nil {
			t.Fatalf("no %s in %s", key, r.raw)
		}
		return inner
	}
	made := info(w.must(accountAdmin, "POST", accountPath+"metastores", body), "metastore_info")
	id, _ := made["metastore_id"].(string)
	if made["name"] != "second" || made["owner"] != w.user(accountAdmin) || id == "" {
		t.Errorf("made %v", made)
	}
	one := accountPath + "metastores/" + id
	if got := info(w.must(accountAdmin, "GET", one, nil), "metastore_info"); !same(got, made) {
		t.Errorf("got %v, made %v", got, made)
	}
	if got := w.must(accountAdmin, "GET", accountPath+"metastores", nil); len(got.json["metastores"].([]any)) != 2 {
		t.Errorf("metastores %s", got.raw)
	}
	changed := info(w.must(accountAdmin, "PUT", one, map[string]any{"metastore_info": map[string]any{"owner": w.user(bob), "delta_sharing_organization_name": "acme"}}), "metastore_info")
	if changed["owner"] != w.user(bob) || changed["delta_sharing_organization_name"] != "acme" {
		t.Errorf("changed to %v", changed)
	}
	for _, bad := range []any{map[string]any{}, map[string]any{"name": "third"}, "[]", map[string]any{"metastore_info": map[string]any{"name": "third"}}} {
		w.refused(accountAdmin, "POST", accountPath+"metastores", bad, 400, badValue, malformed)
	}
	w.refused(accountAdmin, "POST", accountPath+"metastores", body, 409, "METASTORE_ALREADY_EXISTS")
	w.refused(accountAdmin, "GET", accountPath+"metastores/no-such", nil, 404, "METASTORE_DOES_NOT_EXIST")

	credentials := one + "/storage-credentials"
	details := func(arn string) map[string]any {
		return map[string]any{"credential_info": map[string]any{"name": "Cred", "aws_iam_role": map[string]any{"role_arn": arn}}}
	}
	credential := info(w.must(accountAdmin, "POST", credentials, details("arn:1")), "credential_info")
	if credential["name"] != "cred" || credential["metastore_id"] != id {
		t.Errorf("made %v", credential)
	}
	w.refused(accountAdmin, "POST", credentials, details("arn:1"), 409, "STORAGE_CREDENTIAL_ALREADY_EXISTS")
	w.refused(accountAdmin, "GET", "storage-credentials/cred", nil, 404) // which is in another metastore
	credential = info(w.must(accountAdmin, "PUT", credentials+"/cred", map[string]any{"credential_info": map[string]any{"aws_iam_role": map[string]any{"role_arn": "arn:2"}}}), "credential_info")
	if got := info(w.must(accountAdmin, "GET", credentials+"/CRED", nil), "credential_info"); !same(got, credential) || !same(got["aws_iam_role"].(map[string]any)["role_arn"], "arn:2") {
		t.Errorf("got %v, changed to %v", got, credential)
	}
	if got := w.must(accountAdmin, "GET", credentials, nil); len(got.json["storage_credentials"].([]any)) != 1 {
		t.Errorf("credentials %s", got.raw)
	}
	w.refused(accountAdmin, "DELETE", one, nil, 400, badState) // a credential is left in it
	w.must(accountAdmin, "DELETE", credentials+"/cred?force=true", nil)
	w.refused(accountAdmin, "GET", credentials+"/cred", nil, 404, "STORAGE_CREDENTIAL_DOES_NOT_EXIST")

	first := w.must(metastoreAdmin, "GET", "metastore_summary", nil).str("metastore_id")
	assignment := accountPath + "workspaces/" + w.workspace + "/metastore"
	assigned := func(want string) {
		t.Helper()
		if got := info(w.must(accountAdmin, "GET", assignment, nil), "metastore_assignment"); got["metastore_id"] != want {
			t.Errorf("assigned %v, want %s", got, want)
		}
		for _, m := range []string{first, id} {
			got := w.must(accountAdmin, "GET", accountPath+"metastores/"+m+"/workspaces", nil)
			if list, _ := got.json["workspace_ids"].([]any); (len(list) == 1) != (m == want) {
				t.Errorf("workspaces of %s: %s", m, got.raw)
			}
		}
	}
	assigned(first)
	w.must(accountAdmin, "PUT", assignment+"s/"+id, map[string]any{"metastore_assignment": map[string]any{"default_catalog_name": "main"}})
	assigned(id)
	w.refused(accountAdmin, "DELETE", assignment+"s/"+first, nil, 404, "METASTORE_ASSIGNMENT_DOES_NOT_EXIST")
	w.must(accountAdmin, "DELETE", assignment+"s/"+id, nil)
	w.refused(accountAdmin, "GET", assignment, nil, 404)
	w.must(accountAdmin, "POST", assignment+"s/"+first, map[string]any{"metastore_assignment": map[string]any{"metastore_id": first, "default_catalog_name": ""}})
	assigned(first)
	w.refused(accountAdmin, "POST", accountPath+"workspaces/99/metastores/"+first, nil, 404, "WORKSPACE_DOES_NOT_EXIST")
	w.must(accountAdmin, "DELETE", one, nil)
	w.refused(accountAdmin, "GET", one, nil, 404, "METASTORE_DOES_NOT_EXIST")
}
