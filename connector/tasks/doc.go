// Package tasks carries tasks out as syncs. It joins package ondemand, which stores, orders and retries tasks, with
// package connector, which syncs securables. [New] takes a [Syncer] and returns a handler for each type of task:
// a full sync is split into one task per catalog and one for the other objects of the metastore, and a resource sync
// ends with one result per resource. It takes an [ondemand.Job] and returns an [ondemand.Outcome] or a classified
// error, which the queue retries or ends the task by. The composition root in cmd passes the handlers to the queue.
package tasks
