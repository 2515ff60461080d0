package attach

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

// Name gives a function its name, in a schema of ours, and its comment. What it does is part of the name, so that a changed one is
// another function: no statement meets a function whose arguments do not fit. rowsOf is the table whose rows it is for, nil for a mask;
// policies are the ids of those that it is made by.
func Name(f *policy.SQLFunction, schema string, rowsOf *policy.TableState, policies []int64) {
	sum := hashOf(f)
	name, of := "mf_"+sum[:16], "*"
	if rowsOf != nil {
		name, of = "rf_"+shortID(rowsOf.ID)+"_"+sum[:12], rowsOf.FullName
	}
	f.Name = schema + "." + name
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

// MadeAs reports whether a function is ours and was made as f, by its owner and its marker, of which it returns the hash.
func MadeAs(have, f *policy.SQLFunction, self func(owner string) bool) (hash string, ok bool) {
	m, ok := parseMarker(have.Comment)
	return m.Hash, ok && m.Hash == hashOf(f) && self(have.Owner)
}

// SameBody reports whether two bodies of functions are one but for blanks outside of literals.
func SameBody(a, b string) bool { return plain(a) == plain(b) }

// plain returns a text with each run of blanks outside of literals as one.
func plain(text string) string {
	var b strings.Builder
	quoted, blank := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if !quoted && strings.IndexByte(" \t\r\n", c) >= 0 {
			blank = true
			continue
		}
		if blank && b.Len() > 0 {
			b.WriteByte(' ')
		}
		blank = false
		b.WriteByte(c)
		switch {
		case quoted && c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case c == '\'':
			quoted = !quoted
		}
	}
	return b.String()
}
