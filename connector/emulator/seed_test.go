package emulator_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector/emulator"
)

func TestStateLoadsAgain(t *testing.T) {
	w := newWorld(t)
	w.grant("catalog", "sales", "analysts", "USE_CATALOG")
	w.grant("table", "sales.emea.orders", "bob@example.com", "SELECT")
	w.grant("table", "sales.emea.orders", "carol@example.com", "MODIFY")
	w.grant("share", "outbound", "partner", "SELECT")
	w.grant("metastore", metastoreID, "analysts", "CREATE_CATALOG")
	w.srv.DeletePrincipal("carol@example.com")
	raw := w.must("", "GET", "/_emulator/state", "").raw
	if strings.Contains(raw, "account users") {
		t.Error("the state declares the group that is always there")
	}
	path := filepath.Join(t.TempDir(), "state.json")
	if err := os.WriteFile(path, []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	seed, err := emulator.LoadSeed(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := emulator.New(emulator.Options{Seed: seed, Tokens: map[string]string{admin: "admin@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.srv.Grants(), again.Grants()); diff != "" {
		t.Errorf("grants differ:\n%s", diff)
	}
	want, got := scrub(t, w.srv.State()), scrub(t, again.State())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state differs:\n%s", diff)
	}
	if want := (emulator.Grant{Type: "SHARE", Name: "outbound", Principal: "partner", Privilege: "SELECT"}); !slices.Contains(again.Grants(), want) {
		t.Error("the share's grant is lost")
	}
}

// scrub turns a state into JSON without the ids of deleted principals, which a load assigns again.
func scrub(t *testing.T, seed *emulator.Seed) string {
	t.Helper()
	raw, err := json.MarshalIndent(seed, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(raw), "\n")
	for i, line := range lines {
		if before, _, found := strings.Cut(line, `"deleted:`); found {
			lines[i] = before + `"deleted"`
		}
	}
	return strings.Join(lines, "\n")
}

func TestSeedsAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"catalogs: [{name: a, shemas: []}]":                                         "shemas",
		"catalogs: [{name: a, schemas: [{name: s, tables: [{nam: t}]}]}]":           "nam",
		"catalogs: [{name: a}, {name: A}]":                                          `catalogs "A"`,
		"catalogs: [{name: a.b}]":                                                   `"a.b"`,
		"catalogs: [{name: a, grants: {x: [SELEKT]}}]":                              "SELEKT",
		"catalogs: [{name: a, schemas: [{name: s, grants: {x: [USE_CATALOG]}}]}]":   "USE_CATALOG",
		"catalogs: [{name: a, schemas: [{name: s, tables: [{name: t, type: X}]}]}]": `"a.s.t"`,
		"external_locations: [{name: l, url: s3://b/l, credential: none}]":          "none",
		"shares: [{name: s, grants: {nobody: [SELECT]}}]":                           "nobody",
		"shares: [{name: s, tables: [a.b.c]}]":                                      "'a'",
		"{":                                                                         "parse the seed",
	} {
		seed, err := emulator.ParseSeed([]byte(text))
		if err == nil {
			_, err = emulator.New(emulator.Options{Seed: seed, Tokens: map[string]string{"t": "a@example.com"}})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one that names %s", text, err, want)
		}
	}
	if _, err := emulator.LoadSeed(filepath.Join(t.TempDir(), "none.yaml")); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]emulator.Size{
		"catalogs=3,schemas=4,tables=20":     {3, 4, 20, 1},
		"tables=1_000, catalogs=2 ,extras=0": {2, 1, 1000, 0},
	} {
		if got, err := emulator.ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "catalogs", "catalogs=x", "catalogs=-1", "columns=3"} {
		if _, err := emulator.ParseSize(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestGenerate(t *testing.T) {
	size := emulator.Size{Catalogs: 12, Schemas: 3, Tables: 45, Extras: 2}
	seed := emulator.Generate(size)
	if diff := cmp.Diff(seed, emulator.Generate(size)); diff != "" {
		t.Errorf("not the same every time:\n%s", diff)
	}
	w := newWorld(t, func(o *emulator.Options) { o.Seed = seed })
	catalogs, _ := w.names(admin, "catalogs", "catalogs", "name")
	tables, _ := w.names(admin, "table-summaries?catalog_name=sales", "tables", "full_name")
	models, _ := w.names(admin, "models", "registered_models", "full_name")
	if len(catalogs) != 12 || len(tables) != 3*45 || len(models) != 12*3*2 {
		t.Errorf("%d catalogs, %d tables in one, %d models; want 12, 135, 72", len(catalogs), len(tables), len(models))
	}
}

// TestLargeMetastore holds 300,000 tables within the memory promised, and lists them all.
func TestLargeMetastore(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 300,000 tables")
	}
	const catalogs, schemas, tables = 3, 2, 50_000
	srv, err := emulator.New(emulator.Options{
		Seed:   emulator.Generate(emulator.Size{Catalogs: catalogs, Schemas: schemas, Tables: tables}),
		Tokens: map[string]string{admin: "admin@example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	if memory.HeapAlloc > 512<<20 {
		t.Errorf("300,000 tables take %d MiB", memory.HeapAlloc>>20)
	}
	running, err := srv.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer running.Shutdown(t.Context())
	w := &world{t, srv, running.URL}
	got, pages := w.names(admin, "table-summaries?catalog_name=sales&max_results=10000", "tables", "full_name")
	if len(got) != schemas*tables || pages != schemas*tables/10000 || !slices.IsSorted(got) {
		t.Errorf("%d tables on %d pages", len(got), pages)
	}
}
