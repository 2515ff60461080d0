// Package coordinate keeps the syncs of one process from undoing one another's work. A sync says when it begins to read, which
// changes it sends and what it requires to stay ([Coordinator]); it learns when it may go on, and which removals to leave out.
// Package connector calls it.
package coordinate
