package config

import "strings"

// nearest returns the candidate with the smallest edit distance to name, and that distance; the first of equals, "" and
// -1 for no candidates. The distance of a candidate with the same last part (workers in sync.workers and
// ondemand.workers) is at most 2.
func nearest(name string, candidates []string) (best string, distance int) {
	distance = -1
	name = shorten(name, 200) // the longest candidate is shorter
	for _, c := range candidates {
		d := editDistance(strings.ToLower(name), strings.ToLower(c))
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

// editDistance returns the number of inserted, deleted, replaced and swapped characters (optimal string alignment).
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, previous, current := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(x); i++ {
		current[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(y)]
}
