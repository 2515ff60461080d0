package protect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ucwarden/policy"
)

// markerVersion begins the comment of every function of ours.
const markerVersion = "ucwarden/1"

// maxMarkedPolicies is how many ids of policies a comment names.
const maxMarkedPolicies = 20

// marker is what the comment of a function of ours says.
type marker struct {
	Hash  string // of its signature and body, in hexadecimal digits
	Table string // the full name of the table whose rows it is for; "*" for masks, which tables share
}

var markerText = regexp.MustCompile(`^` + markerVersion + ` sha256=([0-9a-f]{64}) for=(\S+) policies=([0-9,]*)(\+\d+)?$`)

// parseMarker reads the comment of a function; ok is false where it is none of ours.
func parseMarker(comment string) (m marker, ok bool) {
	found := markerText.FindStringSubmatch(comment)
	if found == nil {
		return marker{}, false
	}
	return marker{Hash: found[1], Table: found[2]}, true
}

// Ours reports whether a function is one that we made: it lies in our schema, is named as ours are, carries our marker, and
// belongs to us. self reports whether a principal is us.
func Ours(f policy.SQLFunction, schema string, self func(owner string) bool) bool {
	_, marked := parseMarker(f.Comment)
	return marked && OurName(f.Name, schema) && self(f.Owner)
}

// OurName reports whether a function is named as ours are.
func OurName(fullName, schema string) bool {
	parts := strings.Split(fullName, ".")
	return len(parts) == 3 && parts[1] == schema && (strings.HasPrefix(parts[2], "rf_") || strings.HasPrefix(parts[2], "mf_"))
}

// hashOf returns the hash of all that a function does.
func hashOf(f *policy.SQLFunction) string {
	sum := sha256.New()
	for _, p := range f.Parameters {
		fmt.Fprintf(sum, "%q %q\n", p.Name, p.Type)
	}
	fmt.Fprintf(sum, "%q %q", f.Returns, f.Body)
	return hex.EncodeToString(sum.Sum(nil))
}

// name gives a function its name and comment. What it does is part of the name, so that a changed one is another function: no
// statement meets a function whose arguments do not fit.
func (c *compilation) name(f *policy.SQLFunction, of string, policies []int64) error {
	sum := hashOf(f)
	catalog := c.table.Names()[0]
	name := "mf_" + sum[:16]
	if of != "*" {
		name = "rf_" + shortID(c.table.ID) + "_" + sum[:12]
	}
	f.Name = catalog + "." + c.options.Schema + "." + name
	slices.Sort(policies)
	ids, more := make([]string, 0, len(policies)), ""
	for i, id := range policies {
		if i == maxMarkedPolicies {
			more = "+" + strconv.Itoa(len(policies)-i)
			break
		}
		ids = append(ids, strconv.FormatInt(max(id, 0), 10))
	}
	f.Comment = fmt.Sprintf("%s sha256=%s for=%s policies=%s%s", markerVersion, sum, of, strings.Join(ids, ","), more)
	return nil
}

// shortID returns 12 hexadecimal digits of a table's id.
func shortID(id string) string {
	digits := strings.ToLower(strings.ReplaceAll(id, "-", ""))
	if len(digits) >= 12 && strings.Trim(digits[:12], "0123456789abcdef") == "" {
		return digits[:12]
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:6])
}
