package conformance_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// ownShare is a share of the metastore admin's, with tables of its own.
type ownShare struct {
	*world
	f    *fixture
	path string // of the share
}

func newOwnShare(w *world) *ownShare {
	w.Helper()
	s := &ownShare{w, w.fixture(), ""}
	for _, kind := range []string{"catalog", "schema", "share"} {
		s.f.own(kind, metastoreAdmin)
	}
	s.path = s.f.path("share")
	return s
}

// table makes a table of that name and version, and returns its full name.
func (s *ownShare) table(name string, version int) string {
	s.Helper()
	body := s.f.tableBody()
	body["name"] = name
	if version > 0 {
		body["properties"] = map[string]any{"delta.lastUpdateVersion": fmt.Sprint(version)}
	}
	return s.must(metastoreAdmin, "POST", "tables", body).str("full_name")
}

func updateOf(action string, object map[string]any) map[string]any {
	return map[string]any{"updates": []any{map[string]any{"action": action, "data_object": object}}}
}

// objects returns the share's objects by name, in what get answers.
func (s *ownShare) objects() map[string]map[string]any {
	s.Helper()
	return objectsOf(s.must(metastoreAdmin, "GET", s.path+"?include_shared_data=true", nil))
}

func objectsOf(r reply) map[string]map[string]any {
	all := make(map[string]map[string]any)
	list, _ := r.json["objects"].([]any)
	for _, item := range list {
		object, _ := item.(map[string]any)
		all[text(object["name"])] = object
	}
	return all
}

// TestSharedObjects: the list of an update is what the share has then, and keeps what stays.
func TestSharedObjects(t *testing.T) {
	s := newOwnShare(newWorld(t))
	a, b, c := s.table("a", 0), s.table("b", 0), s.table("c", 0)
	set := func(names ...string) reply {
		var list []any
		for _, name := range names {
			list = append(list, map[string]any{"name": name})
		}
		if list == nil {
			list = []any{}
		}
		return s.must(metastoreAdmin, "PATCH", s.path, map[string]any{"objects": list})
	}
	check := func(what string, want ...string) {
		t.Helper()
		got := s.objects()
		for _, name := range want {
			if got[name] == nil {
				t.Errorf("%s: %s is missing", what, name)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: the share has %d objects, want %q", what, len(got), want)
		}
	}
	answer := objectsOf(set(a, strings.ToUpper(b)))
	check("set", a, b)
	if len(answer) != 2 {
		t.Errorf("an update answers %v", answer)
	}
	first := s.objects()[a]
	schema := strings.Split(a, ".")[1]
	for field, want := range map[string]any{"shared_as": schema + ".a", "data_object_type": "TABLE", "added_by": s.user(metastoreAdmin), "cdf_enabled": false} {
		if first[field] != want {
			t.Errorf("%s is %v by default, want %v", field, first[field], want)
		}
	}
	if at, _ := first["added_at"].(float64); at < 1e12 {
		t.Errorf("added_at is %v", first["added_at"])
	}
	set(a, c)
	check("replaced", a, c)
	if after := s.objects()[a]; !same(after, first) {
		t.Errorf("what stays was %v, is %v", first, after)
	}
	s.must(metastoreAdmin, "PATCH", s.path, map[string]any{"comment": "x"})
	check("a change of the comment", a, c)
	s.must(metastoreAdmin, "PATCH", s.path, updateOf("ADD", map[string]any{"name": b}))
	s.must(metastoreAdmin, "PATCH", s.path, updateOf("REMOVE", map[string]any{"name": strings.ToUpper(a)}))
	check("operations", b, c)
	// Refused: twice, missing, already there, not there, an unknown operation; and none of it is done.
	for _, bad := range []map[string]any{
		{"objects": []any{map[string]any{"name": a}, map[string]any{"name": strings.ToUpper(a)}}},
		{"objects": []any{map[string]any{"name": a}, map[string]any{"name": a + "_none"}}},
		{"objects": []any{map[string]any{}}},
		{"objects": []any{"x"}},
		updateOf("ADD", map[string]any{"name": b}),
		updateOf("REMOVE", map[string]any{"name": a}),
		updateOf("UPDATE", map[string]any{"name": a}),
		updateOf("REPLACE", map[string]any{"name": b}),
		{"updates": []any{map[string]any{"action": "ADD"}}},
		{"updates": []any{map[string]any{"data_object": map[string]any{"name": a}}}},
		{"updates": []any{map[string]any{"action": "ADD", "data_object": map[string]any{"name": a}}, map[string]any{"action": "ADD", "data_object": map[string]any{"name": a + "_none"}}}},
		{"comment": "not kept", "objects": []any{map[string]any{"name": a + "_none"}}},
	} {
		if got := s.do(metastoreAdmin, "PATCH", s.path, bad); got.status < 400 || got.status >= 500 {
			t.Errorf("%s: %d %s", jsonOf(bad), got.status, got.raw)
		}
		check(string(jsonOf(bad)), b, c)
	}
	if got := s.must(metastoreAdmin, "GET", s.path, nil).str("comment"); got != "x" {
		t.Errorf("a refused update left the comment %q", got)
	}
	set()
	check("set to nothing")
	// Without them on create.
	made := s.must(metastoreAdmin, "POST", "shares", map[string]any{"name": s.unique("share"), "objects": []any{map[string]any{"name": a}}})
	s.Cleanup(func() { s.send(metastoreAdmin, "DELETE", "shares/"+made.str("name"), nil) })
	if made.json["objects"] != nil {
		t.Errorf("created with objects: %s", made.raw)
	}
}

// TestSharedAs: the name in the share is schema.table, in any case, and unique in the share.
func TestSharedAs(t *testing.T) {
	s := newOwnShare(newWorld(t))
	a, b := s.table("a", 0), s.table("b", 0)
	s.must(metastoreAdmin, "PATCH", s.path, updateOf("ADD", map[string]any{"name": a, "shared_as": "Public.Orders"}))
	if got := s.objects()[a]["shared_as"]; got != "public.orders" {
		t.Errorf("shared as %v", got)
	}
	for _, bad := range []string{"public.orders", "PUBLIC.ORDERS", "orders", "a.b.c", ".orders", "public.", "."} {
		s.refused(metastoreAdmin, "PATCH", s.path, updateOf("ADD", map[string]any{"name": b, "shared_as": bad}), 400, badValue)
	}
	s.must(metastoreAdmin, "PATCH", s.path, updateOf("ADD", map[string]any{"name": b, "shared_as": "public.others"}))
	s.refused(metastoreAdmin, "PATCH", s.path, updateOf("UPDATE", map[string]any{"name": b, "shared_as": "public.orders"}), 400, badValue)
	// Two objects may change their names with each other, at once.
	s.must(metastoreAdmin, "PATCH", s.path, map[string]any{"objects": []any{
		map[string]any{"name": a, "shared_as": "public.others"}, map[string]any{"name": b, "shared_as": "public.orders"}}})
	if got := s.objects(); got[a]["shared_as"] != "public.others" || got[b]["shared_as"] != "public.orders" {
		t.Errorf("exchanged: %v", got)
	}
	s.must(metastoreAdmin, "PATCH", s.path, updateOf("UPDATE", map[string]any{"name": b, "comment": "c"}))
	if got := s.objects()[b]; got["shared_as"] != "public.orders" || got["comment"] != "c" {
		t.Errorf("an update of the comment led to %v", got)
	}
}

// TestSharedPartitions: partitions are ORs of ANDs; a value that is absent is null, and stays absent.
func TestSharedPartitions(t *testing.T) {
	s := newOwnShare(newWorld(t))
	a := s.table("a", 5)
	value := func(name, op string, more ...string) map[string]any {
		v := map[string]any{"name": name, "op": op}
		if len(more) > 0 {
			v["value"] = more[0]
		}
		return v
	}
	parts := func(list ...[]any) []any {
		var all []any
		for _, values := range list {
			all = append(all, map[string]any{"values": values})
		}
		return all
	}
	s.must(metastoreAdmin, "PATCH", s.path, updateOf("ADD", map[string]any{"name": a}))
	good := parts([]any{value("region", "EQUAL", "eu"), value("id", "LIKE", "1%")}, []any{value("region", "EQUAL"), value("id", "EQUAL", "")})
	for _, form := range []map[string]any{{"partition_specification": map[string]any{"partitions": good}}, {"partitions": good}} {
		form["name"] = a
		s.must(metastoreAdmin, "PATCH", s.path, updateOf("UPDATE", form))
		got := s.objects()[a]
		specification, _ := got["partition_specification"].(map[string]any)
		if !same(specification["partitions"], good) || !same(got["partitions"], good) {
			t.Errorf("partitions %s, shown %s", jsonOf(good), jsonOf(got))
		}
		s.must(metastoreAdmin, "PATCH", s.path, map[string]any{"objects": []any{map[string]any{"name": a}}})
	}
	for _, bad := range [][]any{
		parts([]any{value("region", "EQUAL", "a"), value("region", "LIKE", "b")}),
		parts([]any{value("region", "EQUAL", "a"), value("REGION", "LIKE", "b")}),
		parts([]any{value("", "EQUAL", "a")}),
		parts([]any{value("region", "", "a")}),
		parts([]any{value("region", "equal", "a")}),
		parts([]any{value("region", "IN", "a")}),
		parts([]any{map[string]any{"name": "region", "op": "EQUAL", "value": 7}}),
		{"x"},
	} {
		s.refused(metastoreAdmin, "PATCH", s.path, updateOf("UPDATE", map[string]any{"name": a, "partition_specification": map[string]any{"partitions": bad}}), 400, badValue, malformed)
	}
	for version, fits := range map[any]bool{0: true, 5: true, 6: false, -1: false, "5": false, 1.5: false} {
		if s.emulator == nil && version == 5 {
			continue // the version of the table is the server's
		}
		got := s.do(metastoreAdmin, "PATCH", s.path, updateOf("UPDATE", map[string]any{"name": a, "cdf_enabled": true, "start_version": version}))
		if ok := got.status < 300; ok != fits || !ok && got.status != 400 {
			t.Errorf("start_version %v: %d %s", version, got.status, got.raw)
		}
		if object := s.objects()[a]; got.status < 300 && (!same(object["start_version"], version) || object["cdf_enabled"] != true) {
			t.Errorf("start_version %v: shown %v", version, object)
		}
	}
	// What the server sets is not read.
	s.must(metastoreAdmin, "PATCH", s.path, updateOf("UPDATE", map[string]any{"name": a, "added_at": "never", "added_by": 7}))
	if got := s.objects()[a]; got["added_by"] != s.user(metastoreAdmin) {
		t.Errorf("added by %v", got["added_by"])
	}
}

// TestShareFollows: what refers to an object by its name shows the name that it has now.
func TestShareFollows(t *testing.T) {
	s := newOwnShare(newWorld(t))
	a := s.table("a", 0)
	s.f.own("recipient", metastoreAdmin)
	s.must(metastoreAdmin, "PATCH", s.path, updateOf("ADD", map[string]any{"name": a}))
	s.must(metastoreAdmin, "PATCH", s.path+"/permissions", diffOf(change(s.f.name("recipient"), []string{"SELECT"}, nil)))
	for _, kind := range []string{"schema", "catalog", "recipient", "share"} {
		name := s.unique("renamed")
		s.must(metastoreAdmin, "PATCH", s.f.path(kind), map[string]any{"new_name": name})
		switch kind {
		case "schema":
			s.f.names[kind] = s.f.name("catalog") + "." + name
		case "catalog":
			s.f.names["schema"] = name + s.f.names["schema"][strings.IndexByte(s.f.names["schema"], '.'):]
			s.f.names[kind] = name
		default:
			s.f.names[kind] = name
		}
	}
	s.path = s.f.path("share")
	now := s.f.name("schema") + ".a"
	if got := s.objects(); got[now] == nil || len(got) != 1 {
		t.Errorf("the share has %v, want %s", got, now)
	}
	s.must(metastoreAdmin, "PATCH", s.path, map[string]any{"objects": []any{map[string]any{"name": now, "shared_as": "kept.name"}}})
	if got := granted(s.must(metastoreAdmin, "GET", s.path+"/permissions", nil)); !same(got, map[string]string{s.f.name("recipient"): "SELECT"}) {
		t.Errorf("grants on the share: %v", got)
	}
	of := s.must(metastoreAdmin, "GET", s.f.path("recipient")+"/share-permissions", nil)
	want := []any{map[string]any{"share_name": s.f.name("share"), "privilege_assignments": []any{
		map[string]any{"principal": s.f.name("recipient"), "privileges": []string{"SELECT"}}}}}
	if !same(of.json["permissions_out"], want) {
		t.Errorf("shares of the recipient: %s", of.raw)
	}
	// Another table of the name is another table, which the share does not have by itself.
	s.must(metastoreAdmin, "DELETE", "tables/"+escape(now), nil)
	again := s.table("a", 0)
	s.must(metastoreAdmin, "PATCH", s.path, map[string]any{"objects": []any{map[string]any{"name": again}}})
	if got := s.objects()[again]; got == nil || got["shared_as"] == "kept.name" {
		t.Errorf("the new table is shared as the old one was: %v", got)
	}
	s.must(metastoreAdmin, "DELETE", s.f.path("recipient"), nil)
	if got := granted(s.must(metastoreAdmin, "GET", s.path+"/permissions", nil)); len(got) != 0 {
		t.Errorf("grants to a recipient that is gone: %v", got)
	}
}

// TestSharePermissionDiffs: principals are recipients, the privilege is SELECT.
func TestSharePermissionDiffs(t *testing.T) {
	s := newOwnShare(newWorld(t))
	s.f.own("recipient", metastoreAdmin)
	to := s.f.name("recipient")
	for _, path := range []string{s.path + "/permissions", s.f.permissions("share")} {
		for _, bad := range []struct {
			body   any
			status int
		}{
			{diffOf(change(to, []string{"MODIFY"}, nil)), 400},
			{diffOf(change(to, []string{"FLY"}, nil)), 400},
			{diffOf(change(s.user(alice), []string{"SELECT"}, nil)), 404},
			{diffOf(change(to, []string{"SELECT"}, nil), change("no_such_recipient", []string{"SELECT"}, nil)), 404},
			{map[string]any{}, 400}, {"[]", 400}, {"{", 400},
		} {
			if got := s.do(metastoreAdmin, "PATCH", path, bad.body); got.status != bad.status && !(bad.status == 404 && got.status == 400) {
				t.Errorf("%s: %d %s", jsonOf(bad.body), got.status, got.raw)
			}
			if got := granted(s.must(metastoreAdmin, "GET", path, nil)); len(got) != 0 {
				t.Fatalf("%s was refused, and granted %v", jsonOf(bad.body), got)
			}
		}
		added := granted(s.must(metastoreAdmin, "PATCH", path, diffOf(change(strings.ToUpper(to), []string{"SELECT"}, nil))))
		if !same(added, map[string]string{to: "SELECT"}) {
			t.Errorf("granted %v", added)
		}
		if removed := granted(s.must(metastoreAdmin, "PATCH", path, diffOf(change(to, nil, []string{"SELECT"})))); len(removed) != 0 {
			t.Errorf("revoked, and left %v", removed)
		}
	}
}

// TestRecipientTypes: what only one authentication type has is an error, or absent, with the other.
func TestRecipientTypes(t *testing.T) {
	w := newWorld(t)
	create := func(typ string, more map[string]any) map[string]any {
		body := map[string]any{"name": w.unique("recipient"), "authentication_type": typ}
		for key, value := range more {
			body[key] = value
		}
		return body
	}
	const global = "azure:westeurope:11111111-2222-4333-8444-555555555555"
	list := func(addresses ...string) map[string]any {
		return map[string]any{"ip_access_list": map[string]any{"allowed_ip_addresses": addresses}}
	}
	many := slices.Repeat([]string{"10.0.0.1"}, 101)
	for _, bad := range []map[string]any{
		create("", nil), create("token", nil), create("TOKEN", map[string]any{"data_recipient_global_metastore_id": global}),
		create("DATABRICKS", list("10.0.0.1")), create("DATABRICKS", map[string]any{"data_recipient_global_metastore_id": "azure:westeurope"}),
		create("DATABRICKS", map[string]any{"data_recipient_global_metastore_id": "a::b"}),
		create("TOKEN", list("10.0.0")), create("TOKEN", list("10.0.0.0/33")), create("TOKEN", list("host.example.com")), create("TOKEN", list("10.0.0.1", "")),
		create("TOKEN", list("fe80::1%eth0")), create("TOKEN", list(many...)),
		create("TOKEN", map[string]any{"ip_access_list": []any{}}),
	} {
		w.refused(metastoreAdmin, "POST", "recipients", bad, 400, badValue, malformed)
	}
	token := w.must(metastoreAdmin, "POST", "recipients", create("TOKEN", list(many[:100]...)))
	other := w.must(metastoreAdmin, "POST", "recipients", create("DATABRICKS", map[string]any{"data_recipient_global_metastore_id": global}))
	for _, r := range []reply{token, other} {
		w.Cleanup(func() { w.send(metastoreAdmin, "DELETE", "recipients/"+r.str("name"), nil) })
	}
	for _, field := range []string{"cloud", "region", "metastore_id", "data_recipient_global_metastore_id"} {
		if token.json[field] != nil {
			w.Errorf("a recipient by token has %s: %s", field, token.raw)
		}
	}
	for field, want := range map[string]any{"cloud": "azure", "region": "westeurope", "metastore_id": global[len("azure:westeurope:"):], "data_recipient_global_metastore_id": global,
		"tokens": nil, "ip_access_list": nil} {
		if other.json[field] != want {
			w.Errorf("%s of a recipient of Databricks is %v, want %v", field, other.json[field], want)
		}
	}
	w.refused(metastoreAdmin, "PATCH", "recipients/"+other.str("name"), list("10.0.0.1"), 400, badValue)
	w.refused(metastoreAdmin, "POST", "recipients/"+other.str("name")+"/rotate-token", map[string]any{"existing_token_expire_in_seconds": 0}, 400, badValue, badState)
	emptied := w.must(metastoreAdmin, "PATCH", "recipients/"+token.str("name"), list())
	if strings.Contains(emptied.raw, "10.0.0.1") {
		w.Errorf("an empty list left %s", emptied.raw)
	}
}

// TestTokenRotation: the end of the old token only comes nearer.
func TestTokenRotation(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	f.own("recipient", metastoreAdmin)
	path := f.path("recipient") + "/rotate-token"
	ends := func(r reply) map[string]float64 {
		all := make(map[string]float64)
		list, _ := r.json["tokens"].([]any)
		for _, item := range list {
			token, _ := item.(map[string]any)
			all[text(token["id"])], _ = token["expiration_time"].(float64)
			for _, field := range []string{"created_at", "created_by", "updated_at", "updated_by", "activation_url"} {
				if token[field] == nil {
					w.Errorf("a token has no %s: %s", field, r.raw)
				}
			}
		}
		return all
	}
	before := ends(w.must(metastoreAdmin, "GET", f.path("recipient"), nil))
	if len(before) != 1 {
		w.Fatalf("a new recipient has %d tokens", len(before))
	}
	for _, bad := range []any{map[string]any{}, map[string]any{"existing_token_expire_in_seconds": -1}, map[string]any{"existing_token_expire_in_seconds": "60"},
		map[string]any{"existing_token_expire_in_seconds": json.RawMessage("null")}, "", "[]"} {
		w.refused(metastoreAdmin, "POST", path, bad, 400, badValue, malformed)
	}
	rotate := func(seconds int64) map[string]float64 {
		w.Helper()
		return ends(w.must(metastoreAdmin, "POST", path, map[string]any{"existing_token_expire_in_seconds": seconds}))
	}
	first := rotate(3600)
	if len(first) != 2 {
		w.Errorf("after a rotation there are %d tokens", len(first))
	}
	if w.emulator == nil {
		return // which may not allow a third token
	}
	later := rotate(1 << 40)
	sooner := rotate(60)
	for id := range before {
		if first[id] == 0 || later[id] != first[id] || sooner[id] >= first[id] {
			w.Errorf("the old token ends at %v, then %v, then %v", first[id], later[id], sooner[id])
		}
	}
}

// TestProviderTypes: a profile is for providers by token, and its secrets are in no answer.
func TestProviderTypes(t *testing.T) {
	w := newWorld(t)
	create := func(typ string, more map[string]any) map[string]any {
		body := map[string]any{"name": w.unique("provider"), "authentication_type": typ}
		for key, value := range more {
			body[key] = value
		}
		return body
	}
	with := func(profile string) map[string]any { return map[string]any{"recipient_profile_str": profile} }
	for _, bad := range []map[string]any{create("", nil), create("OAUTH", nil), create("DATABRICKS", with(profile("https://x"))),
		create("TOKEN", with("x")), create("TOKEN", with("[]")), create("TOKEN", with("{}")), create("TOKEN", map[string]any{"recipient_profile_str": map[string]any{}})} {
		w.refused(metastoreAdmin, "POST", "providers", bad, 400, badValue, malformed)
	}
	here := w.must(metastoreAdmin, "GET", "metastore_summary", nil).str("metastore_id")
	for _, body := range []map[string]any{create("TOKEN", nil), create("TOKEN", with(profile("https://one.example.com"))), create("DATABRICKS", nil)} {
		made := w.must(metastoreAdmin, "POST", "providers", body)
		path := "providers/" + made.str("name")
		w.Cleanup(func() { w.send(metastoreAdmin, "DELETE", path, nil) })
		for _, r := range []reply{made, w.must(metastoreAdmin, "GET", path, nil), w.must(metastoreAdmin, "PATCH", path, map[string]any{"comment": "x"})} {
			shown, _ := r.json["recipient_profile"].(map[string]any)
			switch {
			case strings.Contains(r.raw, "hush"):
				w.Errorf("the bearer token is answered: %s", r.raw)
			case body["authentication_type"] == "DATABRICKS":
				for _, field := range []string{"cloud", "region", "metastore_id"} {
					if r.str(field) == "" || r.str(field) == here {
						w.Errorf("%s of a provider of Databricks: %s", field, r.raw)
					}
				}
				if shown != nil || r.json["recipient_profile_str"] != nil {
					w.Errorf("a provider of Databricks has a profile: %s", r.raw)
				}
				continue
			case body["recipient_profile_str"] == nil:
				if shown != nil || r.json["recipient_profile_str"] != nil {
					w.Errorf("a profile that was not given: %s", r.raw)
				}
			case shown["endpoint"] != "https://one.example.com" || shown["share_credentials_version"] != 1.0:
				w.Errorf("recipient_profile is %v", shown)
			case !strings.Contains(r.str("recipient_profile_str"), "https://one.example.com"):
				w.Errorf("recipient_profile_str is %q", r.str("recipient_profile_str"))
			}
			for _, field := range []string{"cloud", "region", "metastore_id"} {
				if r.json[field] != nil {
					w.Errorf("a provider by token has %s: %s", field, r.raw)
				}
			}
		}
		if body["authentication_type"] == "DATABRICKS" {
			w.refused(metastoreAdmin, "PATCH", path, with(profile("https://x")), 400, badValue)
			continue
		}
		w.must(metastoreAdmin, "PATCH", path, with(profile("https://two.example.com")))
		got := w.must(metastoreAdmin, "GET", path, nil)
		w.must(metastoreAdmin, "PATCH", path, with(got.str("recipient_profile_str"))) // as it was read
		if again := w.must(metastoreAdmin, "GET", path, nil); again.str("recipient_profile_str") != got.str("recipient_profile_str") || strings.Contains(again.raw, "hush") {
			w.Errorf("a profile that was read and written is %s", again.raw)
		}
		if shares := w.must(metastoreAdmin, "GET", path+"/shares", nil); w.emulator != nil && shares.json["shares"] != nil {
			w.Errorf("shares of a provider that has none: %s", shares.raw)
		}
	}
}
