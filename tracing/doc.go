// Package tracing exports the spans that package span records to a receiver of OTLP over HTTP, such as an OpenTelemetry Collector. In:
// the receiver's URL, headers, the share of traces to record. Out: a provider of tracers for those who begin traces, and a metric and
// a warning where the receiver does not take what is sent.
//
// It is the only importer of the OpenTelemetry SDK. Nothing waits for the receiver: spans go through a bounded queue, and are dropped
// where that is full. The commands call it, where a receiver is configured.
package tracing
