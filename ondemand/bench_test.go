package ondemand_test

import (
	"testing"

	"ucwarden/ondemand"
)

// BenchmarkWriteTask measures how long such a task takes to be written.
func BenchmarkWriteTask(b *testing.B) {
	task, err := ondemand.ParseTask([]byte(`{"type":"RESOURCE_SYNC","source":"nightly-load","requestInfo":{"resources":[
		{"type":"table","values":{"catalog":"sales","schema":"eu","table":"orders_2026"}}]}}`))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := task.MarshalJSON(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseTask measures how long a task of one table, as scripts send it, takes to be read.
func BenchmarkParseTask(b *testing.B) {
	document := []byte(`{"type":"RESOURCE_SYNC","appType":"DATABRICKS_UNITY_CATALOG","source":"nightly-load","createTime":"2026-01-31T10:00:00Z",
		"requestInfo":{"resources":[{"type":"table","values":{"catalog":"sales","schema":"eu","table":"orders_2026"}}]}}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(document)))
	for b.Loop() {
		if _, err := ondemand.ParseTask(document); err != nil {
			b.Fatal(err)
		}
	}
}
