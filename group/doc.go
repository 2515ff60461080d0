// Package group runs functions in goroutines of their own, as errgroup does, for code whose panics somebody catches: a panic in
// one of the goroutines ends the others, and comes out of Wait in the goroutine that waits for them, instead of ending the
// process. Functions go in; their first error, or their panic, comes out. Whatever runs under a task calls it.
package group
