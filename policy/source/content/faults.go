package content

import (
	"fmt"
	"strings"

	"ucwarden/policy/ranger"
)

// maxDescribed is how many faults an error names.
const maxDescribed = 5

// DescribeFaults writes on one line what cannot be understood in the policies of a snapshot, with file, policy and field, and
// returns how much that is.
func DescribeFaults(s *ranger.Snapshot) (text string, n int) {
	var texts []string
	for p, f := range s.Faults {
		if n++; n > maxDescribed {
			continue
		}
		origin := ""
		if p.Origin != "" {
			origin = p.Origin + ": "
		}
		texts = append(texts, fmt.Sprintf("%spolicy %d %q: %s", origin, p.ID, p.Name, f))
	}
	if n > maxDescribed {
		texts = append(texts, fmt.Sprintf("and %d more", n-maxDescribed))
	}
	return strings.Join(texts, "; "), n
}
