package conformance_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Marks of a field, as in the specification: for create and for update, R required, O optional, I ignored, E an error.
type field struct {
	marks string
	// value is what create is sent, and what the answers then hold; changed is what update is sent. nil is not sent.
	value, changed any
	// wrong is a value that is refused, if the call reads the field.
	wrong any
	// hidden says that answers do not hold the field as it was sent.
	hidden bool
}

// object is a type with the fields of its create and update.
type object struct {
	kind string // of the collection
	by   role
	// fields returns the fields with their values, for an object of its own.
	fields func(f *fixture) map[string]field
	// output are fields that the server sets.
	output []string
	// absent are fields that answers do not have.
	absent []string
	// fullName says that the object is found under its full name.
	fullName bool
}

// common adds the fields that every object has.
func common(f *fixture, more map[string]field) map[string]field {
	all := map[string]field{
		"name":       {marks: "R/O", value: strings.ToUpper(f.w.unique("Ünï")), changed: strings.ToUpper(f.w.unique("Other")), wrong: 7, hidden: true},
		"comment":    {marks: "O/O", value: "first", changed: "second", wrong: 7},
		"owner":      {marks: "I/O", value: f.w.user(bob), changed: f.w.user(alice), wrong: []any{}},
		"created_at": {marks: "I/I", value: "never", hidden: true}, "updated_by": {marks: "I/I", value: 5, hidden: true},
		"metastore_id": {marks: "I/I", value: "none", hidden: true}, "no_such_field": {marks: "I/I", value: map[string]any{"a": 1}, hidden: true},
	}
	maps.Copy(all, more)
	return all
}

var objects = []object{
	{kind: "metastore", by: accountAdmin, output: []string{"cloud", "region", "global_metastore_id", "privilege_model_version"}, fields: func(f *fixture) map[string]field {
		all := common(f, map[string]field{
			"storage_root":                                      {marks: "R/E", value: "s3://" + bucket(f.w), changed: "s3://other", wrong: "ftp://x", hidden: true},
			"storage_root_credential_id":                        {marks: "I/O", value: 7, changed: "an-id", wrong: 7},
			"default_data_access_config_id":                     {marks: "I/O", value: 7, changed: "another-id", wrong: 7},
			"delta_sharing_enabled":                             {marks: "I/O", value: "x", changed: true, wrong: "x"},
			"delta_sharing_scope":                               {marks: "I/O", value: "INTERNAL_AND_EXTERNAL", changed: "INTERNAL", wrong: "EVERYWHERE"},
			"delta_sharing_recipient_token_lifetime_in_seconds": {marks: "I/O", value: 1, changed: 3600, wrong: 1 << 40},
			"delta_sharing_organization_name":                   {marks: "I/O", value: 7, changed: "acme", wrong: 7},
			"privilege_model_version":                           {marks: "I/O", value: 7, changed: "1.2", wrong: "new"},
			"global_metastore_id":                               {marks: "I/I", value: 7, hidden: true},
		})
		delete(all, "comment") // which a metastore does not have
		return all
	}},
	{kind: "credential", by: accountAdmin, output: []string{"id"}, absent: []string{"skip_validation"}, fields: func(f *fixture) map[string]field {
		return common(f, map[string]field{
			"skip_validation": {marks: "O/O", value: true, changed: true, wrong: "yes", hidden: true},
			"aws_iam_role": {marks: "R/O", value: map[string]any{"role_arn": "arn:aws:iam::1:role/a", "external_id": 5, "unity_catalog_iam_arn": []any{}},
				changed: map[string]any{"role_arn": "arn:aws:iam::1:role/b"}, wrong: "arn", hidden: true},
			"id": {marks: "I/I", value: 7, hidden: true},
		})
	}},
	{kind: "location", by: metastoreAdmin, output: []string{"credential_id"}, absent: []string{"skip_validation", "force"}, fields: func(f *fixture) map[string]field {
		other := f.w.fixture()
		return common(f, map[string]field{
			"url":             {marks: "R/O", value: "s3://" + bucket(f.w) + "/a", changed: "s3://" + bucket(f.w) + "/b", wrong: "https://x/y"},
			"credential_name": {marks: "R/O", value: f.name("credential"), changed: other.name("credential"), wrong: 7},
			"read_only":       {marks: "O/O", value: true, changed: false, wrong: "no"},
			"skip_validation": {marks: "O/O", value: true, changed: true, wrong: "no", hidden: true},
			"force":           {marks: "I/O", value: "x", changed: true, wrong: "no", hidden: true},
			"credential_id":   {marks: "I/I", value: 7, hidden: true},
		})
	}},
	{kind: "catalog", by: metastoreAdmin, absent: []string{"provider_name", "share_name"}, fields: func(f *fixture) map[string]field {
		return common(f, map[string]field{
			"properties":    {marks: "O/O", value: map[string]any{"a": "1", "B": "2"}, changed: map[string]any{"c": "3"}, wrong: map[string]any{"a": 1}},
			"provider_name": {marks: "-/I", changed: "nobody", hidden: true},
			"share_name":    {marks: "-/I", changed: 7, hidden: true},
		})
	}},
	{kind: "schema", by: metastoreAdmin, fullName: true, fields: func(f *fixture) map[string]field {
		return common(f, map[string]field{
			"catalog_name": {marks: "R/I", value: f.name("catalog"), changed: "elsewhere", wrong: 7},
			"properties":   {marks: "O/O", value: map[string]any{"a": "1"}, changed: map[string]any{}, wrong: []any{}, hidden: true},
			"full_name":    {marks: "I/I", value: "a.b", hidden: true},
		})
	}},
	{kind: "table", by: metastoreAdmin, fullName: true, output: []string{"table_id", "storage_location"}, fields: func(f *fixture) map[string]field {
		body := f.tableBody()
		f.own("catalog", metastoreAdmin) // who is to update the table
		f.own("schema", metastoreAdmin)
		all := common(f, map[string]field{
			"catalog_name":       {marks: "R/I", value: body["catalog_name"], changed: "elsewhere", wrong: 7},
			"schema_name":        {marks: "R/I", value: body["schema_name"], changed: "elsewhere", wrong: 7},
			"columns":            {marks: "R/I", value: body["columns"], changed: []any{}, wrong: map[string]any{}, hidden: true},
			"table_type":         {marks: "R/I", value: "MANAGED", changed: "VIEW", wrong: "CUBE"},
			"data_source_format": {marks: "R/I", value: "DELTA", changed: "CSV", wrong: "XLS"},
			"properties":         {marks: "O/I", value: map[string]any{"a": "1"}, changed: map[string]any{}, wrong: 7},
			"sql_path":           {marks: "O/I", value: "x", changed: "y", wrong: 7},
		})
		name := all["name"]
		name.marks = "R/I"
		all["name"] = name
		return all
	}},
	{kind: "share", by: metastoreAdmin, absent: []string{"objects"}, fields: func(f *fixture) map[string]field {
		all := common(f, map[string]field{"objects": {marks: "I/O", value: "not a list", changed: []any{}, wrong: "x", hidden: true}})
		delete(all, "metastore_id")
		return all
	}},
	{kind: "recipient", by: metastoreAdmin, output: []string{"tokens"}, absent: []string{"metastore_id", "cloud", "region", "data_recipient_global_metastore_id"},
		fields: func(f *fixture) map[string]field {
			return common(f, map[string]field{
				"authentication_type": {marks: "R/I", value: "TOKEN", changed: "DATABRICKS", wrong: "CARD"},
				"ip_access_list": {marks: "O/O", value: map[string]any{"allowed_ip_addresses": []any{"10.0.0.1", "10.1.0.0/16", "2001:db8::/32"}},
					changed: map[string]any{"allowed_ip_addresses": []any{"10.0.0.2"}}, wrong: map[string]any{"allowed_ip_addresses": []any{"everywhere"}}},
				"data_recipient_global_metastore_id": {marks: "-/I", changed: "aws:x:y", hidden: true},
				"tokens":                             {marks: "I/I", value: 7, hidden: true},
			})
		}},
	{kind: "provider", by: metastoreAdmin, output: []string{"recipient_profile", "recipient_profile_str"}, absent: []string{"metastore_id", "cloud", "region"},
		fields: func(f *fixture) map[string]field {
			return common(f, map[string]field{
				"authentication_type":   {marks: "R/I", value: "TOKEN", changed: "DATABRICKS", wrong: "CARD"},
				"recipient_profile_str": {marks: "O/O", value: profile("https://one.example.com"), changed: profile("https://two.example.com"), wrong: "{", hidden: true},
				"recipient_profile":     {marks: "I/I", value: 7, hidden: true},
			})
		}},
}

func profile(endpoint string) string {
	return string(jsonOf(map[string]any{"shareCredentialsVersion": 1, "endpoint": endpoint, "bearerToken": "hush-hush", "expirationTime": "2030-01-01T00:00:00Z"}))
}

// find returns the path of an object by the answer of its create.
func (o object) find(answer reply) string {
	switch {
	case o.kind == "metastore":
		return "metastores/" + answer.str("metastore_id")
	case o.fullName:
		return collections[o.kind] + "/" + escape(answer.str("full_name"))
	}
	return collections[o.kind] + "/" + escape(answer.str("name"))
}

// TestFields sends every field of every type by its marks.
func TestFields(t *testing.T) {
	for _, o := range objects {
		t.Run(o.kind, func(t *testing.T) {
			w := newWorld(t)
			w.needs(o.by)
			if o.kind == "metastore" {
				w.changesMetastores()
			}
			t.Run("create", func(t *testing.T) { o.checkCreate(w.with(t)) })
			t.Run("update", func(t *testing.T) { o.checkUpdate(w.with(t)) })
		})
	}
}

// with returns the same world for a subtest.
func (w *world) with(t *testing.T) *world { return &world{t, w.server, w.run, w.made} }

// body returns what create is sent.
func (o object) body(fields map[string]field) map[string]any {
	body := make(map[string]any)
	for name, f := range fields {
		if f.value != nil {
			body[name] = f.value
		}
	}
	return body
}

// create makes an object of those fields, and has it deleted in the end.
func (o object) create(w *world, body map[string]any) reply {
	w.Helper()
	made := w.must(o.by, "POST", collections[o.kind], body)
	if w.emulator == nil {
		w.Cleanup(func() { w.send(o.by, "DELETE", o.find(made)+"?force=true", nil) })
	}
	return made
}

func (o object) checkCreate(w *world) {
	collection := collections[o.kind]
	fields := o.fields(w.fixture())
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f := fields[name]
		if f.marks[0] == 'R' {
			for _, value := range []any{nil, json.RawMessage("null")} {
				body := o.body(fields)
				delete(body, name)
				if value != nil {
					body[name] = value
				}
				w.refused(o.by, "POST", collection, body, 400, badValue)
			}
		}
		if f.wrong != nil && (f.marks[0] == 'R' || f.marks[0] == 'O') {
			body := o.body(fields)
			body[name] = f.wrong
			w.refused(o.by, "POST", collection, body, 400, badValue, malformed)
		}
	}
	for _, body := range []any{"", "null", "[]", `"x"`, `{"name":`, `{"name":"a"} {}`, "{\"name\":\"\xff\"}"} {
		w.refused(o.by, "POST", collection, body, 400, malformed)
	}

	made := o.create(w, o.body(fields))
	for name, f := range fields {
		read := f.marks[0] == 'R' || f.marks[0] == 'O'
		switch {
		case read && !f.hidden && !same(made.json[name], f.value):
			w.Errorf("created with %s %v, answered %v", name, f.value, made.json[name])
		case f.marks[0] == 'I' && f.value != nil && same(made.json[name], f.value):
			w.Errorf("%s is ignored, and answered as it was sent: %v", name, f.value)
		}
	}
	if sent := fields["name"].value.(string); made.str("name") != strings.ToLower(sent) {
		w.Errorf("created as %q, answered %q", sent, made.str("name"))
	}
	if made.str("owner") != w.user(o.by) {
		w.Errorf("the owner is %q, want the caller", made.str("owner"))
	}
	for _, name := range append([]string{"created_at", "created_by", "updated_at", "updated_by"}, o.output...) {
		if made.json[name] == nil {
			w.Errorf("%s is not in the answer: %s", name, made.raw)
		}
	}
	for _, name := range o.absent {
		if made.json[name] != nil {
			w.Errorf("%s is in the answer: %s", name, made.raw)
		}
	}
	if at, _ := made.json["created_at"].(float64); at < 1e12 || at > 1e14 {
		w.Errorf("created_at is %v, want milliseconds since 1970", made.json["created_at"])
	}
	if strings.Contains(made.raw, "hush") {
		w.Errorf("a secret is answered: %s", made.raw)
	}
	if got := w.must(o.by, "GET", o.find(made), nil); !same(got.json, made.json) {
		w.Errorf("get answers\n%s, create\n%s", got.raw, made.raw)
	}
	// Only what is required is enough.
	body := make(map[string]any)
	for name, f := range o.fields(w.fixture()) {
		if f.marks[0] == 'R' {
			body[name] = f.value
		}
	}
	o.create(w, body)
	w.refused(o.by, "POST", collection, o.body(fields), 409)
}

func (o object) checkUpdate(w *world) {
	fields := o.fields(w.fixture())
	made := o.create(w, o.body(fields))
	path := o.find(made)
	current := func() map[string]any {
		got := w.must(o.by, "GET", path, nil).json
		for _, name := range []string{"updated_at", "updated_by"} {
			delete(got, name)
		}
		return got
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f := fields[name]
		before := current()
		mark := f.marks[2]
		if f.wrong != nil && mark == 'O' {
			w.refused(o.by, "PATCH", path, map[string]any{name: f.wrong}, 400, badValue, malformed)
		}
		if f.changed != nil && mark == 'E' {
			w.refused(o.by, "PATCH", path, map[string]any{name: f.changed}, 400, badValue)
		}
		if value := f.changed; mark == 'I' {
			if value == nil {
				value = f.value
			}
			w.must(o.by, "PATCH", path, map[string]any{name: value})
		}
		w.must(o.by, "PATCH", path, map[string]any{name: json.RawMessage("null")}) // is absent
		if after := current(); !same(after, before) {
			w.Errorf("%s (%s): was\n%s, is\n%s", name, f.marks, jsonOf(before), jsonOf(after))
		}
		if f.changed == nil || mark != 'O' || name == "name" || name == "owner" {
			continue
		}
		changed := w.must(o.by, "PATCH", path, map[string]any{name: f.changed})
		if !f.hidden && !same(changed.json[name], f.changed) {
			w.Errorf("%s changed to %v, answered %v", name, f.changed, changed.json[name])
		}
		if got := w.must(o.by, "GET", path, nil); !same(got.json, changed.json) {
			w.Errorf("get answers\n%s, update\n%s", got.raw, changed.raw)
		}
		after := current()
		for other := range before {
			if other != name && !slices.Contains([]string{"credential_id", "activation_url", "recipient_profile"}, other) && !same(before[other], after[other]) {
				w.Errorf("a change of %s changed %s from %v to %v", name, other, before[other], after[other])
			}
		}
	}
	w.refused(o.by, "PATCH", path, map[string]any{"owner": "nobody@example.com"}, 404, "PRINCIPAL_DOES_NOT_EXIST")
	w.refused(o.by, "PATCH", path, map[string]any{"owner": ""}, 400, badValue)
	for _, body := range []any{"", "null", "[]", `{"comment":`} {
		w.refused(o.by, "PATCH", path, body, 400, malformed)
	}
	w.must(o.by, "PATCH", path, map[string]any{})
	if fields["name"].marks[2] == 'O' {
		path = o.checkRename(w, path, made, fields["name"].changed.(string))
	}
	if got := w.must(o.by, "PATCH", path, map[string]any{"owner": w.user(alice)}); got.str("owner") != w.user(alice) {
		w.Errorf("the owner is %q", got.str("owner"))
	}
}

// checkRename renames an object, by either field, and returns its new path.
func (o object) checkRename(w *world, path string, made reply, name string) string {
	second := o.create(w, o.body(o.fields(w.fixture())))
	if o.kind != "schema" { // which is in a catalog of its own
		w.refused(o.by, "PATCH", path, map[string]any{"name": strings.ToUpper(second.str("name"))}, 409)
		w.refused(o.by, "PATCH", path, map[string]any{"new_name": second.str("name")}, 409)
	}
	for _, bad := range []string{"", "a.b", "a/b", "a b", "a\tb", strings.Repeat("x", 256)} {
		w.refused(o.by, "PATCH", path, map[string]any{"name": bad}, 400, badValue)
	}
	w.must(o.by, "PATCH", path, map[string]any{"name": strings.ToUpper(made.str("name"))}) // which is no other
	renamed := w.must(o.by, "PATCH", path, map[string]any{"name": name})
	if renamed.str("name") != strings.ToLower(name) {
		w.Errorf("renamed to %q, answered %q", name, renamed.str("name"))
	}
	if o.kind != "metastore" {
		w.refused(o.by, "GET", path, nil, 404)
	}
	again := w.must(o.by, "PATCH", o.find(renamed), map[string]any{"new_name": name + "_2"})
	return o.find(again)
}

// same compares values by their JSON.
func same(a, b any) bool {
	normal := func(v any) any {
		var out any
		if err := json.Unmarshal(jsonOf(v), &out); err != nil {
			return fmt.Sprint(v)
		}
		return out
	}
	if text, ok := a.(string); ok {
		a = json.RawMessage(jsonOf(map[string]string{"": text}))
	}
	if text, ok := b.(string); ok {
		b = json.RawMessage(jsonOf(map[string]string{"": text}))
	}
	return reflect.DeepEqual(normal(a), normal(b))
}
