// Package pipelines runs updates of Databricks pipelines. In: tasks of type PIPELINE_UPDATE, which [Handler] takes from the queue's
// workers at once, and leaves to a [Follower]. Out: the update is started by a [Service], and followed to its end, however long
// that takes and across restarts; the task shows how far it is and ends with it.
//
// # One start
//
// The service has no key by which it would know a second request to start for the same, so a start is not sent twice. Before it
// is sent, the task stores when, and which updates there are. After a lost answer, or a crash before the answer is stored, the
// list of updates shows whether there is another one since then: it is ours. Meanwhile no other task starts an update of that
// pipeline.
//
// The composition root makes the Follower; the adapter connector/unitycatalog/pipelineapi is its Service, and ondemand/queue has its
// Tasks.
package pipelines
