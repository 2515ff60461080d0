package emulator

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// securableType is the type of an object that can carry grants, as the API spells it.
type securableType string

// The securable types. Views are TABLE; registered models are FUNCTION.
const (
	typeMetastore         securableType = "METASTORE"
	typeCatalog           securableType = "CATALOG"
	typeSchema            securableType = "SCHEMA"
	typeTable             securableType = "TABLE"
	typeFunction          securableType = "FUNCTION"
	typeVolume            securableType = "VOLUME"
	typeExternalLocation  securableType = "EXTERNAL_LOCATION"
	typeStorageCredential securableType = "STORAGE_CREDENTIAL"
	typeCredential        securableType = "CREDENTIAL"
	typeConnection        securableType = "CONNECTION"
	typeShare             securableType = "SHARE"
	typeRecipient         securableType = "RECIPIENT"
	typeProvider          securableType = "PROVIDER"
)

// depth returns the number of names in a full name of the type.
func (t securableType) depth() int {
	switch t {
	case typeSchema:
		return 2
	case typeTable, typeFunction, typeVolume:
		return 3
	}
	return 1
}

// securableTypes maps the spellings that the API accepts in paths.
var securableTypes = map[string]securableType{
	"metastore": typeMetastore, "catalog": typeCatalog, "schema": typeSchema, "table": typeTable,
	"view": typeTable, "function": typeFunction, "volume": typeVolume,
	"storage-credential": typeStorageCredential, "storage_credential": typeStorageCredential,
	"external-location": typeExternalLocation, "external_location": typeExternalLocation,
	"share": typeShare, "recipient": typeRecipient, "provider": typeProvider,
	"connection": typeConnection, "credential": typeCredential,
}

// typeAliases are further spellings that faults may use.
var typeAliases = map[string]securableType{
	"materialized_view": typeTable, "streaming_table": typeTable, "model": typeFunction, "registered_model": typeFunction,
}

// parseSecurableType returns the type of that name, in any case, with '-' or '_' between words.
func parseSecurableType(text string) (securableType, error) {
	name := strings.ToLower(strings.ReplaceAll(text, "-", "_"))
	for _, names := range []map[string]securableType{securableTypes, typeAliases} {
		if t, ok := names[name]; ok {
			return t, nil
		}
	}
	return "", fmt.Errorf("unknown securable type %q", text)
}

// objectKind refines the type of an object where its privileges differ from those of others of the type.
type objectKind string

const (
	kindView             objectKind = "VIEW"
	kindMaterializedView objectKind = "MATERIALIZED_VIEW"
	kindStreamingTable   objectKind = "STREAMING_TABLE"
	kindForeignTable     objectKind = "FOREIGN"
	kindModel            objectKind = "REGISTERED_MODEL"
)

// Grant is one direct grant, as [Server.Grants] returns it.
type Grant struct {
	Type      string // of the securable, as in "TABLE"
	Name      string // its full name
	Principal string
	Privilege string
}

// canonicalName returns a name as the server stores every name but those of columns and principals.
func canonicalName(name string) string { return strings.ToLower(name) }

const maxNameLength = 255 // characters

// validateName checks one part of a full name: 1 to 255 characters of UTF-8, no '.', '/', space or control character.
func validateName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a name is empty")
	case !utf8.ValidString(name):
		return fmt.Errorf("name %q is not valid UTF-8", name)
	case utf8.RuneCountInString(name) > maxNameLength:
		return fmt.Errorf("name %.40q… is longer than %d characters", name, maxNameLength)
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '.' || r == '/' }); i >= 0 {
		r, _ := utf8.DecodeRuneInString(name[i:])
		return fmt.Errorf("name %q contains the character %#U", name, r)
	}
	return nil
}

// foldPrincipal returns what the names of users and of service principals are compared by: their case does not count.
func foldPrincipal(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}

// newGlob compiles a pattern in which '*' matches any characters and '?' one. With fold set it matches names in lower
// case.
func newGlob(text string, fold bool) likePattern {
	if fold {
		text = strings.ToLower(text)
	}
	if text != "" && strings.Trim(text, "*") == "" {
		return likePattern{all: true}
	}
	var p likePattern
	for _, r := range text {
		switch r {
		case '*':
			if n := len(p.tokens); n == 0 || p.tokens[n-1].kind != likeRun {
				p.tokens = append(p.tokens, likeToken{kind: likeRun})
			}
		case '?':
			p.tokens = append(p.tokens, likeToken{kind: likeOne})
		default:
			p.tokens = append(p.tokens, likeToken{likeChar, r})
		}
	}
	return p
}

// sorted returns the list sorted, without duplicates.
func sorted(lists ...[]privilege) []privilege {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
