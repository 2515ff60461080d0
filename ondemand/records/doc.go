// Package records keeps tasks as records of a store: the task itself, and the indexes by which it is found by time, status, parent,
// and by what it syncs where it waits in the backlog.
//
// In: a transaction of package store, and the new state of a task. Out: tasks, pages of them ([List]), counts of what has not ended
// ([Census]), and the whole as JSON lines ([Export], [Import]). Package queue calls it, and the store commands do.
package records
