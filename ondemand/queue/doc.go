// Package queue carries durable tasks out. A task is submitted to a [Queue], stored before it is acknowledged, admitted, claimed by
// a worker, handed to an [ondemand.Handler], and ends in a terminal status.
//
// In: tasks from the REST API, the terminal and event hubs; a [Scheduler] submits full syncs. Out: calls of the handlers, and the
// state of each task to whoever asks ([Queue.Get], [Queue.List], [Queue.Wait], [Queue.Subscribe]). The composition root makes it;
// apiserver, ondemand/eventhub and the commands call it.
//
// Package records has the state of every task, in one file; the queue keeps in memory what it needs to choose the next job
// among a window of the waiting tasks. The others are the backlog: only the store has them, until it is their turn or a job
// takes them along.
//
// # States
//
// Every step is a compare-and-set in one transaction of the store, appended to the task's transitions:
//
//	NEW → WAITING            admitted
//	NEW, WAITING → SKIPPED   cannot run (no handler, no valid resource), superseded, cancelled
//	WAITING → INPROGRESS     claimed; the attempt counts from here
//	INPROGRESS → WAITING     another attempt after a transient error, or the process stopped
//	INPROGRESS → terminal    by the results; SKIPPED when cancelled
//	FAILED, SKIPPED → WAITING on an explicit retry, attempts from 0
//
// A parent whose children were committed stays INPROGRESS, holding no worker, its Children counted in the
// transaction that ends each child; the last one ends it. A restart therefore finds it as it was.
//
// # Coalescing
//
// A RESOURCE_SYNC that is claimed takes along every waiting RESOURCE_SYNC whose resources its own cover: the same
// objects, or objects inside them. They run as one [ondemand.Job] and each ends with the results of its own resources. A
// follower that was waiting for its next attempt runs early, and that attempt is not counted: after a transient failure
// it waits for its own time again.
//
// Full syncs, shards included, never have the last worker, and a shard takes no on-demand task along but for its own objects.
// On-demand tasks take turns by who posted them.
//
// A job locks the outermost of its resources, and two jobs whose resources overlap never run at once; between a part of a full
// sync and an on-demand task only the same object counts, so that a table overtakes its catalog there. Full syncs run one at a
// time, shards included; one that finds another still waiting to begin is superseded by it.
//
// # Crashes
//
// A run that ends with the process is no attempt: crashes have a budget of their own. After half of it a task runs alone, before
// all others, and only what crashes then ends FAILED.
package queue
