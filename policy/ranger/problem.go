package ranger

import (
	"fmt"
	"strings"

	"ucwarden/policy"
)

// UnknownField is a field of a document that Ranger's model does not have, or has but whose meaning is not read here.
type UnknownField struct {
	Path     string // of the field in its document: "policies[3].denyPolicyItem"
	Name     string // the field's own name
	Nearest  string // the known field of the same object that was probably meant, "" when none is near
	PolicyID int64  // of the policy the field stands in, 0 outside of policies
	Policy   string // its name
	InPolicy bool   // it stands in a policy
	// Restricts is set for a field outside of policies that may hold what takes access away, or what decides whom that is about.
	Restricts bool
	// Fault is set where the field makes a part of its policy one that cannot be understood, which its policy then says: see
	// [Fault].
	Fault bool
	// Ignored is set for a field that Ranger reads to decide access and that has no effect here. It is reported only
	// where it holds something.
	Ignored bool
	// Wrong says what is wrong with the value of a field that the model has, outside of policies: it is of another kind, and not read.
	Wrong string
}

// String returns the field's path, the policy it is in, what is wrong with it and what to write instead.
func (u UnknownField) String() string {
	var b strings.Builder
	b.WriteString(u.Path)
	if u.Policy != "" || u.PolicyID != 0 {
		fmt.Fprintf(&b, " (policy %d %q)", u.PolicyID, u.Policy)
	}
	if u.Wrong != "" {
		b.WriteByte(':')
	}
	b.WriteString(" " + u.Reason())
	return b.String()
}

// Reason returns what is wrong with the field and what to write instead.
func (u UnknownField) Reason() string {
	switch {
	case u.Wrong != "":
		return u.Wrong
	case u.Ignored:
		return "decides access in Ranger but is not supported here"
	case u.IsOfAnother():
		return fmt.Sprintf("belongs to a document of its own: move %s to another file, or in YAML behind a line of ---", documentOf[u.Path])
	case u.Nearest != "":
		return fmt.Sprintf("is not a field of Ranger's model; did you mean %s?", u.Nearest)
	}
	return "is not a field of Ranger's model"
}

// documentOf says what the keys that tell the kind of a document hold. Beside those of another kind they are not read.
var documentOf = map[string]string{
	"policies": "the policies", "rangerRoles": "the roles", "roles": "the roles", "userGroupMapping": "the users and groups",
	"userAttrMapping": "the attributes of users", "groupAttrMapping": "the attributes of groups", "serviceResources": "the tags",
	"resourceToTagIds": "the tags", "tagDefinitions": "the tags",
}

// IsOfAnother reports whether the field is one that tells the kind of a document, and the document is of another kind.
func (u UnknownField) IsOfAnother() bool { return u.Wrong == "" && documentOf[u.Path] != "" }

// Problem is something in the documents of a snapshot that was accepted although it does not mean what its author may
// expect: a field without a meaning here, or a file or policies that are left out.
type Problem struct {
	PolicyID int64         `json:"policyId,omitempty"` // of the policy it is in, 0 outside of policies
	Policy   string        `json:"policy,omitempty"`   // its name
	Origin   string        `json:"origin,omitempty"`   // file or URL
	Field    string        `json:"field,omitempty"`    // path in the policy, or in the document where it is in none
	Effect   policy.Effect `json:"effect"`
	Message  string        `json:"message"` // what is wrong, and what to write instead
	// LeftOut is set where a file or policies of it are not in force, for which Message says why.
	LeftOut bool `json:"leftOut,omitempty"`
}

// Text returns the problem on one line, with file and field.
func (p Problem) Text() string {
	text := p.Message
	if p.Field != "" {
		text = p.Field + " " + text
	}
	if p.Origin != "" {
		text = p.Origin + ": " + text
	}
	return text
}
