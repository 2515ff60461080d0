package accepted

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"ucwarden/input"
	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
)

// TagNames are the names of a snapshot's tags, with which those in policies are compared.
type TagNames struct {
	carried []string          // by resources, sorted
	exact   map[string]bool   // known, carried or not
	alike   map[string]string // by the name without regard to case, and to blanks and marks around it
}

// NewTagNames returns the names of the snapshot's tags.
func NewTagNames(s *ranger.Snapshot) *TagNames {
	n := &TagNames{exact: make(map[string]bool), alike: make(map[string]string)}
	if s.Tags == nil {
		return n
	}
	carried, others := make(map[string]bool), s.Tags.OfOthers(s.Service)
	for i := range s.Tags.ServiceResources {
		if others[i] {
			continue
		}
		for _, id := range s.Tags.ResourceToTagIDs[strconv.FormatInt(s.Tags.ServiceResources[i].ID, 10)] {
			if tag, ok := s.Tags.Tags[strconv.FormatInt(id, 10)]; ok {
				carried[tag.Type] = true
			}
		}
	}
	n.carried = slices.Sorted(maps.Keys(carried))
	for _, tag := range s.Tags.Tags {
		n.exact[tag.Type] = true
		if known, ok := n.alike[alike(tag.Type)]; !ok || tag.Type < known {
			n.alike[alike(tag.Type)] = tag.Type
		}
	}
	for _, d := range s.Tags.TagDefinitions {
		n.exact[d.Name] = true
	}
	return n
}

func alike(name string) string {
	return strings.ToLower(strings.TrimFunc(name, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("%.,;", r) }))
}

// Problem returns why a value that a tag policy names is no tag's name, as [ValueProblem], or nearly one's; "" where some tag has the
// name, since names of tags may hold nearly anything. def is the definition of the resource that it is the value of.
func (n *TagNames) Problem(def *ranger.ResourceDef, value string) string {
	if n.exact[value] {
		return ""
	}
	near, ok := n.alike[alike(value)]
	switch {
	case strings.ContainsAny(value, "*?") && def != nil && !def.MatcherOptions.Matching("wildCard", true):
		return "wildcards stand for themselves, by the definition of the tag service; name the tags"
	case !ok:
		return ValueProblem(value)
	case def != nil && def.MatcherOptions.Matching("ignoreCase", true) && strings.EqualFold(near, value):
		return ""
	}
	return fmt.Sprintf("there is %q, and names of tags are compared as they are written, as in Ranger; write it as the tag's name", near)
}

// Uncarried reports whether nothing carries a tag that a value, in which there is no [TagNames.Problem], names; near is a tag that
// something carries and that may be meant, "" where none is near or the tag is known. Where nothing carries any tag, which is said
// by itself, it is false.
func (n *TagNames) Uncarried(def *ranger.ResourceDef, value string) (near string, is bool) {
	fold := def == nil || def.MatcherOptions.Matching("ignoreCase", true)
	pattern := naming.NewPattern(value, def == nil || def.MatcherOptions.Matching("wildCard", true), fold)
	if len(n.carried) == 0 || strings.ContainsAny(value, "{$") || slices.ContainsFunc(n.carried, pattern.Match) {
		return "", false
	}
	if n.exact[value] {
		return "", true
	}
	for _, tag := range n.carried {
		if isNearTag(value, tag) {
			return tag, true
		}
	}
	return "", true
}

// isNearTag reports whether a name may be meant for a tag's: but for case, marks and digits for letters they are one, one begins or
// ends with the other, or few letters part them.
func isNearTag(name, tag string) bool {
	const shortest = 3
	a, b := bareTag(name), bareTag(tag)
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) < shortest {
		return a == b && a != ""
	}
	return strings.HasPrefix(b, a) || strings.HasSuffix(b, a) || input.Distance(a, b) <= max(1, len(a)/4)
}

// lookalikes are digits that are taken for letters, and letters for one another.
var lookalikes = strings.NewReplacer("0", "o", "1", "i", "l", "i", "5", "s")

func bareTag(name string) string {
	letters := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
	return lookalikes.Replace(letters)
}
