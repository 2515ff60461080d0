package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// definitions writes the service definitions of both engines to a folder.
func definitions(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := run([]string{"defs", "-def", "../../deploy/ranger/servicedef-databricks-unity-catalog.json", dir}, io.Discard); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestRecordedAnswers compares with answers of Ranger's engine that were recorded, which needs no Java.
func TestRecordedAnswers(t *testing.T) {
	dir := definitions(t)
	again := filepath.Join(dir, "again.jsonl")
	var out strings.Builder
	if err := run([]string{"compare", "-defs", dir, "testdata/docs.jsonl", "testdata/answers.tsv", filepath.Join(dir, "out.jsonl"), again}, &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, " 0 decisions differ") || strings.HasPrefix(got, "0 documents") {
		data, _ := os.ReadFile(again)
		t.Errorf("%s\n%s", got, data)
	}
}

// TestDifferencesAreFound changes a recorded answer: it must be found, and explained only where Ranger takes it back.
func TestDifferencesAreFound(t *testing.T) {
	dir := definitions(t)
	docs, err := os.ReadFile("testdata/docs.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	answers, err := os.ReadFile("testdata/answers.tsv")
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Replace(string(answers), "\tA:", "\tD:", 1)
	if wrong == string(answers) {
		t.Fatal("nothing is allowed in the recorded answers")
	}
	var out, again bytes.Buffer
	e := &engine{defs: dir}
	c, err := e.compare(bytes.NewReader(docs), strings.NewReader(wrong), &out, &again)
	if err != nil || c.decision != 1 {
		t.Fatalf("%v, %v; want one decision that differs", c, err)
	}
	id := again.String()[len(`{"id":`):strings.Index(again.String(), ",")]
	for _, tc := range []struct {
		answers, reason string
	}{{"A:1 D:-1 D:-1 D:-1 D:-1 D:-1", "asked before"}, {"D:-1 D:-1 D:-1 A:1 D:-1 A:1", "calendars"}, {"D:-1 D:-1 D:-1 D:-1 D:-1 D:-1", ""}, {"ERROR ERROR ERROR ERROR ERROR ERROR", ""}} {
		byReason, unexplained, err := e.explain(bytes.NewReader(again.Bytes()), strings.NewReader(id+"\t"+strings.ReplaceAll(tc.answers, " ", "\t")+"\n"))
		if err != nil || tc.reason != "" && byReason[tc.reason] != 1 || tc.reason == "" && len(unexplained) != 1 {
			t.Errorf("%q: %v, unexplained %v, error %v; want reason %q", tc.answers, byReason, unexplained, err, tc.reason)
		}
	}
}
