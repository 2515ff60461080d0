package input

import "strings"

// shortestName is the length of the shortest name that a misspelling is looked for of. Shorter ones are one edit from too
// much that is meant: Entra ID's claim uti is no jti.
const shortestName = 4

// Misspelt returns the known name that an unknown one was probably meant to be, "" when there is none: one that differs in
// case only, or by one edit (a letter inserted, removed or replaced, or two neighbours swapped).
func Misspelt(name string, known []string) string {
	for _, k := range known {
		if k == name {
			return ""
		}
	}
	for _, k := range known {
		if strings.EqualFold(k, name) {
			return k
		}
	}
	for _, k := range known {
		if len(k) >= shortestName && len(name)-len(k) <= 1 && len(k)-len(name) <= 1 && Distance(strings.ToLower(name), strings.ToLower(k)) == 1 {
			return k
		}
	}
	return ""
}

// Distance returns how many characters must be inserted, removed, replaced, or swapped with their neighbour, to turn a
// into b (optimal string alignment).
func Distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
