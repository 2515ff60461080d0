//go:build !race

package invariants_test

const worlds = 300
