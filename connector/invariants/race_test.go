//go:build race

package invariants_test

// The race detector makes a world eight times as slow.
const worlds = 50
