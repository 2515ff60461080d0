// Package ondemand has the words of tasks: a [Task] is a durable request to sync some [Resource]s, everything, or what validity
// schedules changed; a [Job] is what a [Handler] gets of it, an [Outcome] what it returns.
//
// In: documents, read by [ParseTask], from the REST API, files and event hubs. Out: tasks, or every problem of a document with its
// path. Package queue runs them and package records stores them; apiserver, its client and connector/tasks use the words alone.
package ondemand
