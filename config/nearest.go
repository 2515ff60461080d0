package config

import (
	"strings"

	"ucwarden/input"
)

// nearest returns the candidate with the smallest edit distance to name, and that distance; the first of equals, "" and
// -1 for no candidates. The distance of a candidate with the same last part (workers in sync.workers and
// ondemand.workers) is at most 2.
func nearest(name string, candidates []string) (best string, distance int) {
	distance = -1
	name = shorten(name, 200) // the longest candidate is shorter
	for _, c := range candidates {
		d := input.Distance(strings.ToLower(name), strings.ToLower(c))
		if d > 2 && lastPart(name) == lastPart(c) {
			d = 2
		}
		if distance < 0 || d < distance {
			best, distance = c, d
		}
	}
	return best, distance
}

// isNearMiss reports whether a name at this distance is probably a misspelling: at most one edit in six characters, and
// never more than four.
func isNearMiss(name string, distance int) bool {
	return distance > 0 && distance <= min(max(1, len(name)/6), 4)
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }
