// Package span records what a task spends its time on, as spans of OpenTelemetry. In: a context, a name, attributes. Out: a context
// that carries the span, for those within it and for [Traceparent].
//
// A span is begun under the one that its context carries, and by the same provider: only those who begin a trace, the REST API, the
// queue and the commands, are told which provider that is. Where there is none nothing is recorded, and next to nothing is spent.
// Everything that does work for a task calls it; package tracing exports what was recorded.
package span
