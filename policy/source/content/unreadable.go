package content

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ucwarden/input"
	"ucwarden/policy"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
)

// documentKeys are the keys of which one tells what a document holds.
var documentKeys = []string{"policies", "tagPolicies", "securityZones", "policyItems", "denyPolicyItems", "dataMaskPolicyItems", "rowFilterPolicyItems",
	"resources", "rangerRoles", "roles", "userGroupMapping", "userAttrMapping", "groupAttrMapping", "serviceResources", "resourceToTagIds", "tagDefinitions"}

// restrictingKeys are the keys, in lower case, whose loss may open access.
var restrictingKeys = []string{"denypolicyitem", "isdenyallelse", "allowexception", "datamaskpolicy", "rowfilterpolicy", "securityzone",
	"rangerroles", "usergroupmapping", "serviceresources"}

// unreadable decides about a file of which a document cannot be read.
// What was in force of such a file stays; another one is left out. It returns the error where neither is safe: a setting
// names the file, or it may hold what takes access away, or what other files refer to.
func (m *merger) unreadable(d *document, err error, before *Content) ([]*document, error) {
	f := d.file
	switch d.kind {
	case parse.DocumentZone, parse.DocumentRoles, parse.DocumentUsers, parse.DocumentTags, parse.DocumentServiceDef:
		return nil, err
	}
	if f.named || before.alsoHolds(f.path) {
		return nil, err
	}
	reason := strings.TrimPrefix(err.Error(), f.path+": ")
	if kept := before.policiesOf(f.path); len(kept) > 0 {
		m.problem(f.path, policy.EffectWider, "cannot be read: %s; what was last read from it stays in force", reason)
		return []*document{m.keep(f, kept, err)}, nil
	}
	if d.kind == parse.DocumentSuite || errors.Is(err, errOnlyComments) {
		m.problem(f.path, policy.EffectNone, "left out: %s", reason)
		return nil, nil
	}
	what := mayRestrict(f.data, err)
	if what == "" && (d.kind == parse.DocumentPolicies || d.kind == parse.DocumentPolicy || d.kind == parse.DocumentPolicyList) && restrictingKey.Match(unescape(f.data)) {
		what = "it may hold what takes access away"
	}
	if what != "" {
		return nil, fmt.Errorf("%w (%s)", err, what)
	}
	effect := policy.EffectNarrower
	if isOtherText(f.data) {
		effect = policy.EffectNone
	}
	if d.data != nil && d.kind == parse.DocumentUnknown && json.Unmarshal(d.data, new(json.RawMessage)) == nil {
		if d.isMisspelt() {
			return nil, err
		}
		if d.hint() == "" {
			effect = policy.EffectNone
		}
	}
	m.problem(f.path, effect, "left out: %s", reason)
	return nil, nil
}

// jsonComment matches JSON that has a comment on a line of its own, as some programs take it.
var jsonComment = regexp.MustCompile(`^\s*(?://[^\n]*\s*)*[{\[](?s:.*\n|\s*)[ \t]*(?://|/\*)`)

// isOtherText reports whether a text that is no document is a template of documents, a log of them, or JSON with comments, in which no
// word is one of policies.
func isOtherText(data []byte) bool {
	if anyKey.Match(unescape(data)) {
		return false
	}
	if bytes.Contains(data, []byte("{{")) || bytes.Contains(data, []byte("{%")) || jsonComment.Match(data) {
		return true
	}
	lines := json.NewDecoder(bytes.NewReader(data))
	n := 0
	for ; ; n++ {
		var object map[string]json.RawMessage
		if err := lines.Decode(&object); errors.Is(err, io.EOF) {
			return n > 1
		} else if err != nil {
			return false
		}
	}
}

// keep returns the policies that stay in place of a file, as a document, and notes why the file itself does not count.
func (m *merger) keep(f File, policies []ranger.Policy, why error) *document {
	m.kept[f.path] = why
	return &document{file: f, number: 1, kind: parse.DocumentPolicyList, kept: true, policies: &ranger.ServicePolicies{Policies: policies}}
}

// mayRestrict says why a file that cannot be read may hold what takes access away; empty where what it holds shows that it
// does not.
func mayRestrict(data []byte, err error) string {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if errors.Is(err, errPage) {
		return "what is missing may hold denies"
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return "what is not text in UTF-8, such as UTF-16 or a compressed file, may hold denies"
	}
	text := unescape(data)
	lower := strings.ToLower(string(text))
	if slices.ContainsFunc(restrictingKeys, func(key string) bool { return strings.Contains(lower, key) }) || nearRestricting(text) {
		return "it may hold what takes access away"
	}
	if isCutOff(data, err) {
		return "it is cut off, and what is missing may hold denies"
	}
	return ""
}

// nearRestricting reports whether a key of the text is a misspelling of one whose loss may open access.
func nearRestricting(text []byte) bool {
	const edits = 3
	seen := make(map[string]bool)
	for _, match := range longKey.FindAllSubmatch(text, -1) {
		key := strings.ToLower(string(match[1]))
		if seen[key] {
			continue
		}
		seen[key] = true
		if slices.ContainsFunc(restrictingFields, func(field string) bool { return input.Distance(key, field) <= edits }) {
			return true
		}
	}
	return false
}

// restrictingFields are the fields that restrictingKeys stand for, in lower case.
var restrictingFields = []string{"denypolicyitems", "denyexceptions", "allowexceptions", "isdenyallelse", "datamaskpolicyitems", "rowfilterpolicyitems",
	"securityzones", "rangerroles", "usergroupmapping", "serviceresources"}

var (
	// longKey matches a name before a colon that is long enough to be a misspelling of one of restrictingFields.
	longKey = regexp.MustCompile(`([A-Za-z_-]{8,32})["']?\s*:`)
	// restrictingKey matches a name before a colon that speaks of a restriction.
	restrictingKey = regexp.MustCompile(`(?i)(?:deny|denie|denial|except|mask|filter|forbid|block|prohibit|revok)[A-Za-z_-]*["']?\s*:`)
)

// unescape returns the text with its escapes resolved, as far as a key may be written by them.
func unescape(data []byte) []byte {
	text := escaped.ReplaceAllFunc(data, func(escape []byte) []byte {
		code, _ := strconv.ParseUint(string(escape[2:]), 16, 32) // eight digits at most
		return []byte(string(rune(code)))
	})
	return lineEscape.ReplaceAll(text, nil)
}

// escaped and lineEscape match the escapes of JSON and YAML by which a key may be written otherwise.
var (
	escaped    = regexp.MustCompile(`\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|U[0-9a-fA-F]{8})`)
	lineEscape = regexp.MustCompile(`\\\r?\n[ \t]*`)
)

// isCutOff reports whether a text begins as JSON, or as YAML in braces, and ends before what it opened is closed. A text in
// which nothing was opened is whole, for all that can be told.
func isCutOff(data []byte, err error) bool {
	if err != nil && strings.Contains(err.Error(), "unexpected end of JSON input") && len(bytes.TrimSpace(data)) > 0 {
		return true
	}
	open, quote := 0, byte(0)
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '"' && (i == 0 || strings.IndexByte(" \t\r\n:{[,", data[i-1]) >= 0): // else it stands within a text of YAML, as in 5"
			quote = c
		case c == '{' || c == '[':
			open++
		case c == '}' || c == ']':
			open--
		}
	}
	return open > 0 || quote != 0
}

// problem notes that a file is left out.
func (m *merger) problem(origin string, effect policy.Effect, format string, args ...any) {
	m.content.Problems = append(m.content.Problems, ranger.Problem{Origin: origin, Effect: effect, LeftOut: true, Message: fmt.Sprintf(format, args...)})
}

// holdsMore notes that a file holds more than policies.
func (c *Content) holdsMore(path string) {
	if c.More == nil {
		c.More = make(map[string]bool)
	}
	c.More[path] = true
}

// alsoHolds reports whether more than policies was read from the file.
func (c *Content) alsoHolds(path string) bool { return c != nil && c.More[path] }

// policiesOf returns the policies that were read from a file.
func (c *Content) policiesOf(path string) []ranger.Policy {
	if c == nil {
		return nil
	}
	var found []ranger.Policy
	c.Each(func(list []ranger.Policy) {
		for _, p := range list {
			if p.Origin == path {
				found = append(found, p)
			}
		}
	})
	return found
}
