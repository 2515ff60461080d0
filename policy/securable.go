package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"ucwarden/input"
	"ucwarden/policy/naming"
)

// SecurableType is the type of an object that can carry grants, in the spelling of the Unity Catalog API.
type SecurableType string

// The securable types. Views, materialized views and streaming tables are TABLE; registered models are FUNCTION.
const (
	Metastore         SecurableType = "METASTORE"
	Catalog           SecurableType = "CATALOG"
	Schema            SecurableType = "SCHEMA"
	Table             SecurableType = "TABLE"
	Function          SecurableType = "FUNCTION"
	Volume            SecurableType = "VOLUME"
	ExternalLocation  SecurableType = "EXTERNAL_LOCATION"
	StorageCredential SecurableType = "STORAGE_CREDENTIAL"
	Credential        SecurableType = "CREDENTIAL"
	Connection        SecurableType = "CONNECTION"
	Share             SecurableType = "SHARE"
	Recipient         SecurableType = "RECIPIENT"
	Provider          SecurableType = "PROVIDER"
)

// SecurableTypes lists every type, containers before what they contain.
var SecurableTypes = []SecurableType{
	Metastore, Catalog, Schema, Table, Function, Volume,
	ExternalLocation, StorageCredential, Credential, Connection, Share, Recipient, Provider,
}

// Depth is the number of dot-separated names in a full name of this type; 0 for an unknown type.
func (t SecurableType) Depth() int {
	switch t {
	case Schema:
		return 2
	case Table, Function, Volume:
		return 3
	case Metastore, Catalog, ExternalLocation, StorageCredential, Credential, Connection, Share, Recipient, Provider:
		return 1
	}
	return 0
}

// IsContainer reports whether grants on this type are inherited by objects inside.
func (t SecurableType) IsContainer() bool { return t == Catalog || t == Schema }

// ParseSecurableType reads a type in any case, with '-' or '_' between words, and the aliases view, model,
// registered_model, materialized_view and streaming_table.
func ParseSecurableType(s string) (SecurableType, error) {
	name := strings.ToUpper(strings.ReplaceAll(s, "-", "_"))
	switch name {
	case "VIEW", "MATERIALIZED_VIEW", "STREAMING_TABLE":
		return Table, nil
	case "MODEL", "REGISTERED_MODEL":
		return Function, nil
	}
	if t := SecurableType(name); t.Depth() > 0 {
		return t, nil
	}
	words := make([]string, len(SecurableTypes))
	for i, t := range SecurableTypes {
		words[i] = strings.ToLower(string(t))
	}
	if meant := input.Nearest(strings.ReplaceAll(strings.ToLower(s), "-", "_"), words); meant != "" {
		return "", Errorf(CodeInvalid, "unknown securable type %q; did you mean %s?", s, meant)
	}
	return "", Errorf(CodeInvalid, "unknown securable type %q: want one of %s; view and model are other words for table and function", s, strings.Join(words, ", "))
}

// Securable names one object that can carry grants. FullName is canonical (lower-case) once parsed: `catalog`,
// `catalog.schema`, `catalog.schema.object`, or the name of a root object (the id of a metastore). Comparable.
type Securable struct {
	Type     SecurableType `json:"type"`
	FullName string        `json:"fullName"`
}

// NewSecurable joins names into a canonical securable, after checking their number and each name.
func NewSecurable(t SecurableType, names ...string) (Securable, error) {
	if t.Depth() == 0 {
		return Securable{}, Errorf(CodeInvalid, "unknown securable type %q", t)
	}
	if len(names) != t.Depth() {
		return Securable{}, Errorf(CodeInvalid, "%s needs %d name(s), got %d", t, t.Depth(), len(names))
	}
	for _, name := range names {
		if err := ValidateName(name); err != nil {
			return Securable{}, err
		}
	}
	return Securable{t, naming.Canonical(strings.Join(names, "."))}, nil
}

// ParseSecurable reads "TYPE:full.name", for example "table:sales.emea.orders", and "metastore" for the one of the workspace
// with its other root objects.
func ParseSecurable(s string) (Securable, error) {
	typ, name, ok := strings.Cut(s, ":")
	if t, err := ParseSecurableType(typ); !ok && err == nil && t == Metastore {
		return Securable{Type: Metastore}, nil // a workspace has one
	}
	if !ok {
		return Securable{}, Errorf(CodeInvalid, "securable %q: want TYPE:NAME, for example table:sales.emea.orders", s)
	}
	t, err := ParseSecurableType(typ)
	if err != nil {
		return Securable{}, err
	}
	names := []string{name}
	if t.Depth() > 1 {
		names = strings.Split(name, ".")
	}
	return NewSecurable(t, names...)
}

func (s Securable) String() string { return string(s.Type) + ":" + s.FullName }

// Names splits the full name into its parts, outermost first.
func (s Securable) Names() []string {
	if s.Type.Depth() <= 1 {
		return []string{s.FullName}
	}
	return strings.Split(s.FullName, ".")
}

// Parent returns the container of s; ok is false for catalogs and root objects.
func (s Securable) Parent() (parent Securable, ok bool) {
	switch s.Type {
	case Schema:
		parent.Type = Catalog
	case Table, Function, Volume:
		parent.Type = Schema
	default:
		return Securable{}, false
	}
	i := strings.LastIndexByte(s.FullName, '.')
	if i < 0 {
		return Securable{}, false
	}
	parent.FullName = s.FullName[:i]
	return parent, true
}

// Contains reports whether o is s itself or lies inside it.
func (s Securable) Contains(o Securable) bool {
	if s == o {
		return true
	}
	return s.Type.IsContainer() && o.Type.Depth() > s.Type.Depth() &&
		strings.HasPrefix(o.FullName, s.FullName) && o.FullName[len(s.FullName)] == '.'
}

// Compare orders securables by full name, then by type, so that a container comes before what it contains.
func (s Securable) Compare(o Securable) int {
	if c := compareNames(s.FullName, o.FullName); c != 0 {
		return c
	}
	return strings.Compare(string(s.Type), string(o.Type))
}

// compareNames orders dotted names part by part: '.' sorts before every other character.
func compareNames(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] != b[i] {
			switch {
			case a[i] == '.':
				return -1
			case b[i] == '.':
				return 1
			case a[i] < b[i]:
				return -1
			}
			return 1
		}
	}
	return len(a) - len(b)
}

// maxNameLength is the longest object name Unity Catalog accepts, in characters.
const maxNameLength = 255

// ValidateName checks one part of a full name against the rules of Unity Catalog: 1 to 255 characters of valid
// UTF-8, no '.', '/', space or control character.
func ValidateName(name string) error {
	switch {
	case name == "":
		return Errorf(CodeInvalid, "illegal Unity Catalog name: it is empty")
	case !utf8.ValidString(name):
		return Errorf(CodeInvalid, "illegal Unity Catalog name %q: not valid UTF-8", name)
	case utf8.RuneCountInString(name) > maxNameLength:
		return Errorf(CodeInvalid, "illegal Unity Catalog name %.40q…: longer than %d characters", name, maxNameLength)
	}
	for _, r := range name {
		if r <= ' ' || r == 0x7f || r == '.' || r == '/' {
			return Errorf(CodeInvalid, "illegal Unity Catalog name %q: it contains %s", name, describeRune(r))
		}
	}
	return nil
}

func describeRune(r rune) string {
	switch r {
	case ' ':
		return "a space"
	case '.', '/':
		return fmt.Sprintf("%q", r)
	}
	return fmt.Sprintf("the control character %#U", r)
}

// Kind refines a securable's type where Unity Catalog treats objects of one type differently.
type Kind string

// The kinds of TABLE and FUNCTION securables. The zero Kind is a plain object of its type.
const (
	KindView             Kind = "VIEW"
	KindMaterializedView Kind = "MATERIALIZED_VIEW"
	KindStreamingTable   Kind = "STREAMING_TABLE"
	KindForeignTable     Kind = "FOREIGN"
	KindModel            Kind = "REGISTERED_MODEL"
)

// Object is a securable as found in a workspace.
type Object struct {
	Securable
	Kind  Kind   `json:"kind,omitempty"`
	Owner string `json:"owner,omitempty"` // principal name, where the listing tells it
}
