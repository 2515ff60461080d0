package emulator_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector/emulator"
)

// With a data file a server goes on where another ended, also one that was killed in the middle of a line: the same
// objects, with their ids and times, the same grants, the same principals.
func TestDataFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	open := func(first bool) *world {
		t.Helper()
		return newWorld(t, func(o *emulator.Options) {
			if o.Data, o.AutoPrincipals = file, first; !first {
				o.Seed = nil
			}
		})
	}
	w := open(true)
	w.must(admin, "POST", "storage-credentials", `{"name":"sas","azure_service_principal":{"directory_id":"d","application_id":"a","client_secret":"s3cret"}}`)
	w.must(admin, "POST", "schemas", `{"name":"new","catalog_name":"sales"}`)
	w.must(admin, "PATCH", "permissions/schema/sales.new", `{"changes":[{"principal":"somebody@example.com","add":["SELECT","USE_SCHEMA"]}]}`)
	w.must(admin, "PATCH", orders, grantSelect)
	w.must(admin, "DELETE", "tables/sales.apac.orders", "")
	w.refused(bob, "POST", "catalogs", `{"name":"mine"}`, 403, "PERMISSION_DENIED")
	w.must("", "POST", "/_emulator/principals", `{"kind":"group","name":"late","members":["bob@example.com"]}`)
	w.must("", "DELETE", "/_emulator/principals?name=analysts", "")
	about := func(w *world) string {
		return w.must(admin, "GET", "schemas/sales.new", "").raw + w.must(admin, "GET", "tables/sales.emea.ext", "").raw
	}
	before, state, grants := about(w), w.srv.State(), w.srv.Grants()

	appendTo(t, file, `{"request":{"applied":7,"method":"DELETE","path":"/api/2.1/unity`)
	again := open(false)
	if diff := cmp.Diff(state, again.srv.State()); diff != "" {
		t.Errorf("state (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(grants, again.srv.Grants()); diff != "" {
		t.Errorf("grants (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(before, about(again)); diff != "" {
		t.Errorf("a schema and a table (-before +after):\n%s", diff)
	}
	again.must(admin, "DELETE", "schemas/sales.new", "")
	if open(false).do(admin, "GET", "schemas/sales.new", "").status != 404 {
		t.Error("a change after the restart is not kept")
	}
	var second struct{ Request struct{ Body []byte } }
	if lines := bytes.SplitAfter(read(t, file), []byte("\n")); json.Unmarshal(lines[1], &second) != nil || !bytes.Contains(second.Request.Body, []byte("s3cret")) {
		t.Errorf("a request is not kept whole: %s", second.Request.Body)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Objects are dated as when they were made, not as when they are made again.
func TestDataFileKeepsTimes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	appendTo(t, file, `{"ucwarden_emulator":1,"time":"2001-02-03T04:05:06Z","seed":{"metastore":{"name":"m","owner":"admin@example.com"},"catalogs":[{"name":"old"}]}}
{"request":{"applied":1,"time":"2002-03-04T05:06:07Z","caller":"admin@example.com","method":"POST","path":"/api/2.1/unity-catalog/schemas","body":"eyJuYW1lIjoicyIsImNhdGFsb2dfbmFtZSI6Im9sZCJ9"}}
`)
	w := newWorld(t, func(o *emulator.Options) { o.Data, o.Seed = file, nil })
	for path, want := range map[string]string{"catalogs/old": `"created_at":981173106000`, "schemas/old.s": `"created_at":1015218367000`} {
		if got := w.must(admin, "GET", path, ""); !strings.Contains(got.raw, want) {
			t.Errorf("%s: %s, want %s", path, got.raw, want)
		}
	}
}

func TestDataFileOfSomethingElse(t *testing.T) {
	for content, want := range map[string]string{
		"hello\n":                           "is not that of a data file",
		`{"ucwarden_emulator":9,"seed":{}}`: "version 9",
		`{"ucwarden_emulator":1,"seed":{}}` + "\n{\"request\":{\"applied\":2}}\n": "two emulators",
		`{"ucwarden_emulator":1,"seed":{}}` + "\nrubbish\n":                       "line 2",
	} {
		file := filepath.Join(t.TempDir(), "data")
		appendTo(t, file, content)
		if _, err := emulator.New(emulator.Options{Data: file, Tokens: map[string]string{"x": ""}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", content, err, want)
		}
		if string(read(t, file)) != content {
			t.Errorf("%s: the file was changed", content)
		}
	}
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
