package content

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/parse"
	"ucwarden/policy/source/yamljson"
)

// maxUnread is how many bytes of a file that is not read, by its name, are looked at, and maxLooked of how many such files: a policy
// folder may lie among many other files, and is read again and again.
const (
	maxUnread = 64 << 10
	maxLooked = 1000
)

// unread notes a file of a folder whose name is not that of a policy file, where it holds policies all the same: its author
// may expect them to be in force. What cannot be opened, or is no plain file, holds none.
func (r *treeReader) unread(at, name string, info fs.FileInfo) error {
	if isOfEditor(name) || !info.Mode().IsRegular() || info.Size() == 0 {
		return nil
	}
	if r.looked++; r.looked > maxLooked {
		return nil
	}
	f, err := os.Open(at)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxUnread))
	if err != nil || !looksLikePolicies(data, info.Size() > maxUnread) {
		return nil
	}
	if len(r.tree.Files) >= maxFiles {
		return policy.Errorf(policy.CodeTooLarge, "%s: more than %d policy files", at, maxFiles)
	}
	r.tree.Files = append(r.tree.Files, File{path: at, name: name, data: data, unread: true})
	return nil
}

// looksLikePolicies reports whether a text, of which the rest may be missing, is a document of policies, or of what belongs to
// them. Prose about them, or a file of a program that only names what they have, is none.
func looksLikePolicies(data []byte, cutOff bool) bool {
	text := leadingComments.ReplaceAll(bytes.TrimPrefix(data, []byte("\ufeff")), nil)
	if bytes.HasPrefix(text, []byte("{")) || bytes.HasPrefix(text, []byte("[")) {
		return quotedKey.Match(text) // JSON, maybe with comments in it
	}
	if cutOff || !anyKey.Match(data) {
		return false
	}
	docs, err := yamljson.Documents(data)
	return err == nil && slices.ContainsFunc(docs, func(doc []byte) bool {
		kind := parse.Classify(doc)
		if kind == parse.DocumentPolicyList { // which a list of anything else than objects is, too
			return ownKey.Match(doc)
		}
		return kind != parse.DocumentUnknown && kind != parse.DocumentSuite
	})
}

var (
	// leadingComments matches the comments of JSON, as some editors take them, before a document.
	leadingComments = regexp.MustCompile(`^(?:\s+|//[^\n]*|(?s:/\*.*?\*/))+`)
	quotedKey       = regexp.MustCompile(`"(?:` + strings.Join(slices.Concat(ownKeys, mappingKeys), "|") + `)"\s*:`)
	anyKey          = regexp.MustCompile(strings.Join(slices.Concat(ownKeys, documentKeys), "|"))
	ownKey          = regexp.MustCompile(`"(?:` + strings.Join(ownKeys, "|") + `)"`)
)

// mappingKeys are those of documentKeys that no policy has, and that documents of other programs hardly have.
var mappingKeys = []string{"rangerRoles", "userGroupMapping", "userAttrMapping", "groupAttrMapping", "serviceResources", "resourceToTagIds", "tagDefinitions", "securityZones", "tagPolicies"}

// leaveUnread notes that a file is not read. What a copy holds that a person keeps under such a name is not meant to be in force.
func (m *merger) leaveUnread(f File) {
	effect, what := policy.EffectNarrower, "it holds policies"
	switch {
	case isCopy(f.name):
		effect = policy.EffectNone
	case mayRestrict(f.data, nil) != "":
		effect, what = policy.EffectWider, "it may hold what takes access away"
	}
	m.problem(f.path, effect, "left out: its name is not that of a policy file, and %s; rename it so that it ends with .json, .yaml or .yml, or move it out of the folder", what)
}

// isOfEditor reports whether a name is one under which editors keep a file while another is edited: such files come and go, and
// each would be a new version of the policies.
func isOfEditor(name string) bool {
	return strings.HasSuffix(name, "~") || strings.HasPrefix(path.Base(name), "#") || slices.Contains([]string{".swp", ".swo", ".tmp"}, strings.ToLower(path.Ext(name)))
}

// isCopy reports whether a name is one under which people keep an older copy of a file, or one that is not to be read.
func isCopy(name string) bool {
	return slices.Contains([]string{".bak", ".backup", ".old", ".orig", ".rej", ".save", ".disabled", ".off"}, strings.ToLower(path.Ext(name)))
}
