// Package script runs the JavaScript of policies: conditions, and expressions in resource values, masks and filters.
// It takes the source of a script, and for each run the values of one request, and returns what the condition comes to, or
// the text of the expression, or an error when the script cannot be read, fails, takes too long or holds too much memory. One
// script runs at a time (memory.go says why). It is called by the commands that test, explain or lint policies, which hand
// [Recorder.Compile] to package rules and tell people what failed. The daemon never reaches it, because scripts decide no grant:
// a policy with a condition is not compiled to grants.
package script
