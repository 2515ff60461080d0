// Package doctor says what is wrong with a set-up, and what to do. It takes [Check]s, of which each adapter brings its own;
// [Run] returns their [Finding]s, each with a [Status], one sentence about what was found and, unless all is well, one
// about what to do. The command "doctor" makes the checks, runs them and prints what they found. No check changes anything
// but for [Folder], which makes a file and removes it again.
package doctor
