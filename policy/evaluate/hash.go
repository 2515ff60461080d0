package evaluate

import (
	"slices"
	"unicode/utf16"
)

// hashOrder returns the different names in the order in which a Java HashSet that they were added to lists them. Ranger
// asks for any access type in that order, and stops at the first that a policy allows, so that the order decides what the
// policies that follow can still take away.
func hashOrder(names []string) []string {
	var list []string
	for _, name := range names {
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	buckets := 16
	for len(list) > buckets*3/4 {
		buckets *= 2
	}
	slices.SortStableFunc(list, func(a, b string) int {
		return int(bucketHash(a)&uint32(buckets-1)) - int(bucketHash(b)&uint32(buckets-1))
	})
	return list
}

// bucketHash is Java's String.hashCode as HashMap spreads it.
func bucketHash(name string) uint32 {
	var h uint32
	for _, unit := range utf16.Encode([]rune(name)) {
		h = 31*h + uint32(unit)
	}
	return h ^ h>>16
}
