package conformance_test

import (
	"net/url"
	"strings"
	"testing"
)

var aws = map[string]any{"role_arn": "arn:aws:iam::1:role/a"}

// TestCredentialKinds: exactly one kind on create, at most one on update; inside it a field that is absent stays.
func TestCredentialKinds(t *testing.T) {
	w := newWorld(t)
	w.needs(accountAdmin)
	azure := map[string]any{"directory_id": "d", "application_id": "a", "client_secret": "hush-1"}
	gcp := map[string]any{"email": "e@x.iam", "private_key_id": "k", "private_key": "hush-2"}
	kinds := map[string]map[string]any{"aws_iam_role": aws, "azure_service_principal": azure, "gcp_service_account_key": gcp}
	create := func(fields map[string]any) map[string]any {
		body := map[string]any{"name": w.unique("credential"), "skip_validation": true}
		for key, value := range fields {
			body[key] = value
		}
		return body
	}
	w.refused(accountAdmin, "POST", "storage-credentials", create(nil), 400, badValue)
	w.refused(accountAdmin, "POST", "storage-credentials", create(map[string]any{"aws_iam_role": aws, "azure_service_principal": azure}), 400, badValue)
	w.refused(accountAdmin, "POST", "storage-credentials", create(map[string]any{"aws_iam_role": aws, "azure_service_principal": azure, "gcp_service_account_key": gcp}), 400, badValue)
	for kind, values := range kinds {
		for field := range values {
			for _, value := range []any{nil, ""} {
				partial := without(values, field)
				if value != nil {
					partial[field] = value
				}
				w.refused(accountAdmin, "POST", "storage-credentials", create(map[string]any{kind: partial}), 400, badValue)
			}
			wrong := without(values, field)
			wrong[field] = 7
			w.refused(accountAdmin, "POST", "storage-credentials", create(map[string]any{kind: wrong}), 400, badValue, malformed)
		}
		made := w.must(accountAdmin, "POST", "storage-credentials", create(map[string]any{kind: values}))
		path := "storage-credentials/" + made.str("name")
		w.Cleanup(func() { w.send(accountAdmin, "DELETE", path, nil) })
		shown := func(r reply) map[string]any { inner, _ := r.json[kind].(map[string]any); return inner }
		check := func(what string, r reply, want map[string]any) {
			t.Helper()
			for field, value := range want {
				if secret := field == "client_secret" || field == "private_key"; !secret && shown(r)[field] != value {
					t.Errorf("%s: %s.%s is %v, want %v", what, kind, field, shown(r)[field], value)
				}
			}
			if strings.Contains(r.raw, "hush") {
				t.Errorf("%s: the secret is answered: %s", what, r.raw)
			}
			for other := range kinds {
				if other != kind && r.json[other] != nil {
					t.Errorf("%s: %s is there, too", what, other)
				}
			}
		}
		check("create", made, values)
		check("get", w.must(accountAdmin, "GET", path, nil), values)
		check("list", reply{raw: w.must(accountAdmin, "GET", "storage-credentials", nil).raw, json: made.json}, nil)
		for field := range values { // one field alone
			next := without(values, field)
			next[field] = "hush-new"
			if field != "client_secret" && field != "private_key" {
				next[field] = "new"
			}
			check("update of "+field, w.must(accountAdmin, "PATCH", path, map[string]any{kind: map[string]any{field: next[field]}}), next)
			check("get after it", w.must(accountAdmin, "GET", path, nil), next)
			w.must(accountAdmin, "PATCH", path, map[string]any{kind: values})
		}
		w.must(accountAdmin, "PATCH", path, map[string]any{"comment": "kept"})
		check("update of the comment", w.must(accountAdmin, "GET", path, nil), values)
		w.refused(accountAdmin, "PATCH", path, map[string]any{"aws_iam_role": aws, "azure_service_principal": azure}, 400, badValue)
		for other, otherValues := range kinds { // another kind needs all its fields
			if other != kind {
				for field := range otherValues {
					w.refused(accountAdmin, "PATCH", path, map[string]any{other: without(otherValues, field)}, 400, badValue)
				}
			}
		}
		check("get in the end", w.must(accountAdmin, "GET", path, nil), values)
	}
	made := w.must(accountAdmin, "POST", "storage-credentials", create(map[string]any{"aws_iam_role": map[string]any{"role_arn": "arn:1", "external_id": "mine", "unity_catalog_iam_arn": "mine"}}))
	w.Cleanup(func() { w.send(accountAdmin, "DELETE", "storage-credentials/"+made.str("name"), nil) })
	role, _ := made.json["aws_iam_role"].(map[string]any)
	for _, field := range []string{"external_id", "unity_catalog_iam_arn"} {
		if text, _ := role[field].(string); text == "" || text == "mine" {
			w.Errorf("%s is %q; the server sets it", field, text)
		}
	}
}

func without(values map[string]any, field string) map[string]any {
	left := make(map[string]any)
	for key, value := range values {
		if key != field {
			left[key] = value
		}
	}
	return left
}

// TestRenamedCredential: what depends on a credential shows its new name, and still depends on it.
func TestRenamedCredential(t *testing.T) {
	w := newWorld(t)
	w.needs(accountAdmin)
	f := w.fixture()
	f.name("location")
	f.hold("credential", "external")
	f.own("credential", bob)
	name := w.unique("renamed")
	w.must(bob, "PATCH", f.path("credential"), map[string]any{"name": name})
	f.names["credential"] = name
	for kind, field := range map[string]string{"location": "credential_name", "external": "storage_credential_name"} {
		if got := w.must(metastoreAdmin, "GET", f.path(kind), nil).str(field); got != name {
			w.Errorf("the %s shows %q, want %q", kind, got, name)
		}
	}
	w.refused(bob, "DELETE", f.path("credential"), nil, 400, badState, badValue)
	// Another credential under the old name is another credential.
	again := w.fixture()
	again.name("credential")
	w.must(metastoreAdmin, "PATCH", again.path("credential"), map[string]any{"owner": w.user(bob)})
	w.must(bob, "DELETE", again.path("credential"), nil)
}

// TestLocationsOverlap: no location is, contains or is in another, or is, or is in, an external table.
func TestLocationsOverlap(t *testing.T) {
	w := newWorld(t)
	w.needs(accountAdmin)
	f := w.fixture()
	at := w.must(metastoreAdmin, "GET", f.path("location"), nil).str("url") // s3://bucket/loc
	root := strings.TrimSuffix(at, "/loc")
	body := f.tableBody()
	body["table_type"], body["data_source_format"], body["storage_location"] = "EXTERNAL", "CSV", root+"/tables/t"
	f.names["external"] = w.must(metastoreAdmin, "POST", "tables", body).str("full_name")
	mover := w.fixture()
	mover.name("location")
	mover.own("location", bob)
	home := "s3://" + bucket(w) + "/a"
	for text, fits := range map[string]bool{
		at: false, at + "/": false, at + "/deep": false, at + "/deep/er/": false, root: false, root + "/": false,
		at + "al": true, root + "/lo": true, root + "/other": true,
		root + "/tables/t": false, root + "/tables/t/": false, root + "/tables/t/part=1": false, root + "/tables/t2": true, root + "/tables": true,
		"ftp://x/y": false, "bucket/loc": false, "s3:///x": false, "https://x/y": false,
		"gs://" + bucket(w) + "/a": true, "abfss://c@" + bucket(w) + ".dfs.core.windows.net/a": true, "abfss://" + bucket(w) + "/a": false,
	} {
		sent := map[string]any{"name": w.unique("location"), "url": text, "credential_name": strings.ToUpper(f.name("credential")), "skip_validation": true}
		got := w.do(metastoreAdmin, "POST", "external-locations", sent)
		if ok := got.status < 300; ok != fits || !ok && got.status != 400 {
			w.Errorf("create at %s: %d %s", text, got.status, got.raw)
		}
		if got.status < 300 {
			if got.str("url") != text {
				w.Errorf("created at %s, answered %s", text, got.str("url"))
			}
			w.must(metastoreAdmin, "DELETE", "external-locations/"+got.str("name")+"?force=true", nil)
		}
		got = w.do(bob, "PATCH", mover.path("location"), map[string]any{"url": text, "skip_validation": true})
		if ok := got.status < 300; ok != fits || !ok && got.status != 400 {
			w.Errorf("move to %s: %d %s", text, got.status, got.raw)
		}
		w.must(bob, "PATCH", mover.path("location"), map[string]any{"url": home, "force": true})
	}
	own := w.must(metastoreAdmin, "GET", mover.path("location"), nil).str("url")
	for _, text := range []string{own, own + "/", own + "/deeper", strings.TrimSuffix(own, "/a")} { // it does not overlap itself
		w.must(bob, "PATCH", mover.path("location"), map[string]any{"url": text})
	}
	none := map[string]any{"name": w.unique("location"), "url": "s3://" + bucket(w), "credential_name": "no_such_credential"}
	w.refused(metastoreAdmin, "POST", "external-locations", none, 404, "STORAGE_CREDENTIAL_DOES_NOT_EXIST")
	w.refused(bob, "PATCH", mover.path("location"), map[string]any{"credential_name": "no_such_credential"}, 404, "STORAGE_CREDENTIAL_DOES_NOT_EXIST")
}

// TestMoveLocation: a move that leaves an external table outside must be forced.
func TestMoveLocation(t *testing.T) {
	w := newWorld(t)
	w.needs(accountAdmin)
	f := w.fixture()
	f.hold("location", "external") // at <url>/inside/t
	f.own("location", bob)
	path := f.path("location")
	at := w.must(bob, "GET", path, nil).str("url")
	move := func(to string, force any) map[string]any {
		body := map[string]any{"url": to, "skip_validation": true}
		if force != nil {
			body["force"] = force
		}
		return body
	}
	away := "s3://" + bucket(w) + "/away"
	for _, force := range []any{nil, false} {
		w.refused(bob, "PATCH", path, move(away, force), 400, badState, badValue)
		w.refused(bob, "PATCH", path, move(at+"/outside", force), 400, badState, badValue)
	}
	if got := w.must(bob, "GET", path, nil).str("url"); got != at {
		w.Errorf("a refused move led to %s", got)
	}
	w.must(bob, "PATCH", path, move(at+"/inside", nil)) // the table is still inside
	w.refused(bob, "DELETE", path, nil, 400, badState, badValue)
	w.must(bob, "PATCH", path, move(strings.TrimSuffix(at, "/loc"), nil))
	w.must(bob, "PATCH", path, move(away, true))
	w.must(bob, "DELETE", path, nil) // nothing is inside any more
}

// TestFiles lists the directories of what is stored below a URL.
func TestFiles(t *testing.T) {
	w := newWorld(t)
	w.needs(accountAdmin)
	f := w.fixture()
	f.hold("location", "external")
	at := w.must(metastoreAdmin, "GET", f.path("location"), nil).str("url")
	w.refused(metastoreAdmin, "GET", "files", nil, 400, badValue)
	w.refused(metastoreAdmin, "GET", "files?url=nowhere", nil, 400, badValue)
	w.refused(metastoreAdmin, "GET", "files?url="+url.QueryEscape(at)+"&max_results=x", nil, 400, badValue)
	w.refused(metastoreAdmin, "GET", "files?credential_name=no_such_credential&url="+url.QueryEscape(at), nil, 404, "STORAGE_CREDENTIAL_DOES_NOT_EXIST")
	w.refused(metastoreAdmin, "GET", "files?url="+url.QueryEscape("s3://"+bucket(w)), nil, 404)
	for _, text := range []string{at, at + "/"} {
		got := w.must(metastoreAdmin, "GET", "files?url="+url.QueryEscape(text)+"&max_results=5&credential_name="+f.name("credential"), nil)
		if w.emulator == nil {
			continue // what is there is not known
		}
		if !listHolds(got, "files", "inside") || strings.Count(got.raw, `"path"`) != 1 || !strings.Contains(got.raw, `"is_dir":true`) {
			w.Errorf("files below %s: %s", text, got.raw)
		}
	}
}
