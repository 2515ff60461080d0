package document_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/apiserver/document"
)

func parse(t testing.TB) *document.Document {
	t.Helper()
	text, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := document.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestJSON(t *testing.T) {
	d, err := document.Parse([]byte("z: 'no'\na: [1, 2.5, true, null, \"200\", <&>]\n\"200\": {x: |-\n    two\n    lines\n}\n"))
	if err == nil {
		t.Fatalf("a literal within braces was taken: %s", d.JSON())
	}
	if d, err = document.Parse([]byte("z: 'no'\na: [1, 2.5, true, null, \"200\", <&>]\n\"200\": {}\ntext: |-\n  two\n  lines\n")); err != nil {
		t.Fatal(err)
	}
	var compact strings.Builder
	for line := range strings.SplitSeq(string(d.JSON()), "\n") {
		compact.WriteString(strings.TrimSpace(line))
	}
	if diff := cmp.Diff(`{"z": "no","a": [1,2.5,true,null,"200","<&>"],"200": {},"text": "two\nlines"}`, compact.String()); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string]string{
		"":               "empty",
		"a: [":           "line 1",
		"a: 1\na: 2":     `line 2`,
		"a: .inf":        "line 1",
		"a: 0x10":        "line 1",
		"a: &x 1\nb: *x": "line 2",
	} {
		if _, err := document.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %s", text, err, want)
		}
	}
}

// The page has each call and each schema, no link that leads nowhere, and nothing that a browser would load or run.
func TestPage(t *testing.T) {
	d := parse(t)
	data, policy, err := d.Page()
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	var doc struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct{ Schemas map[string]json.RawMessage }
	}
	if err := json.Unmarshal(d.JSON(), &doc); err != nil {
		t.Fatal(err)
	}
	calls := 0
	for path, item := range doc.Paths {
		for method, raw := range item {
			var op struct{ OperationID, Summary string }
			if method == "parameters" {
				continue
			}
			if err := json.Unmarshal(raw, &op); err != nil {
				t.Fatal(err)
			}
			if calls++; !strings.Contains(page, `<article id="`+op.OperationID+`">`) || !strings.Contains(page, "<code>"+path+"</code>") {
				t.Errorf("%s %s is not on the page", method, path)
			}
		}
	}
	for name := range doc.Components.Schemas {
		if !strings.Contains(page, `<article id="schema-`+name+`">`) {
			t.Errorf("the schema %s is not on the page", name)
		}
	}
	if calls == 0 || len(doc.Components.Schemas) == 0 {
		t.Error("the document is empty")
	}
	for _, link := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		anchor, inside := strings.CutPrefix(link[1], "#")
		if inside && !strings.Contains(page, `id="`+anchor+`"`) {
			t.Errorf("a link leads nowhere: %s", link[1])
		}
		if !inside && link[1] != "openapi.json" && link[1] != "data:," {
			t.Errorf("a link leads outside: %s", link[1])
		}
	}
	if loads := regexp.MustCompile(`(?i)<(script|img|iframe|object|embed|form)|\bsrc=|url\(|@import|\son[a-z]+=|style="`).FindString(page); loads != "" {
		t.Errorf("the page has %q", loads)
	}
	_, rest, _ := strings.Cut(page, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	if !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the policy does not allow the style: %s", policy)
	}
}

// What the document says is text on the page, not HTML.
func TestPageEscapes(t *testing.T) {
	d, err := document.Parse([]byte(`
info: {title: "<script>alert(1)</script>", description: "</style><b>x</b>"}
tags: [{name: a}]
paths: {"/x": {get: {operationId: x, tags: [a], summary: "<img src=x>", responses: {}}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	page, _, err := d.Page()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "<img", "<b>"} {
		if strings.Contains(string(page), bad) {
			t.Errorf("%s is not escaped", bad)
		}
	}
}
