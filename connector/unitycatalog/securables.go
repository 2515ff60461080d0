package unitycatalog

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"ucwarden/policy"
	"ucwarden/policy/naming"
)

// collection describes the API's collection of the objects of a type.
type collection struct {
	path  string // below prefix; also the route label
	field string // field of a list answer that holds the objects
	query url.Values
	kind  policy.Kind
}

var (
	models         = collection{path: "models", field: "registered_models", kind: policy.KindModel}
	tableSummaries = collection{path: "table-summaries", field: "tables"}
)

// collectionOf returns the collection of each type but METASTORE, which has none. Columns and properties of tables are
// omitted, because they are most of a page's size.
func collectionOf(t policy.SecurableType) (collection, bool) {
	switch t {
	case policy.Catalog:
		return collection{path: "catalogs", field: "catalogs"}, true
	case policy.Schema:
		return collection{path: "schemas", field: "schemas"}, true
	case policy.Table:
		return collection{path: "tables", field: "tables",
			query: url.Values{"omit_columns": {"true"}, "omit_properties": {"true"}}}, true
	case policy.Function:
		return collection{path: "functions", field: "functions"}, true
	case policy.Volume:
		return collection{path: "volumes", field: "volumes"}, true
	case policy.ExternalLocation:
		return collection{path: "external-locations", field: "external_locations"}, true
	case policy.StorageCredential:
		return collection{path: "storage-credentials", field: "storage_credentials"}, true
	case policy.Credential:
		return collection{path: "credentials", field: "credentials", query: url.Values{"purpose": {"SERVICE"}}}, true
	case policy.Connection:
		return collection{path: "connections", field: "connections"}, true
	case policy.Share:
		return collection{path: "shares", field: "shares"}, true
	case policy.Recipient:
		return collection{path: "recipients", field: "recipients"}, true
	case policy.Provider:
		return collection{path: "providers", field: "providers"}, true
	}
	return collection{}, false
}

// permissionsPath returns the escaped path of the grants on s. Shares, whose principals are recipients, have another
// path.
func permissionsPath(s policy.Securable) string {
	if s.Type == policy.Share {
		return prefix + "shares/" + url.PathEscape(s.FullName) + "/permissions"
	}
	return prefix + "permissions/" + strings.ToLower(string(s.Type)) + "/" + url.PathEscape(s.FullName)
}

// permissionsRoute returns the metric label of permissionsPath.
func permissionsRoute(s policy.Securable) string {
	if s.Type == policy.Share {
		return "share permissions"
	}
	return "permissions " + strings.ToLower(string(s.Type))
}

// checkName returns an error for a name that cannot be used in a path: the wrong number of parts, an empty one, or "."
// or "..", which a proxy may resolve. It is less strict than policy.ValidateName, because an existing object must be
// reachable whatever its name is.
func checkName(s policy.Securable) error {
	depth := s.Type.Depth()
	if depth == 0 {
		return policy.Errorf(policy.CodeInvalid, "unknown securable type %q", s.Type)
	}
	names := s.Names()
	if len(names) != depth {
		return policy.Errorf(policy.CodeInvalid, "%s: want %d name(s), got %d", s, depth, len(names))
	}
	for _, name := range names {
		if name == "" || name == "." || name == ".." || !utf8.ValidString(name) {
			return policy.Errorf(policy.CodeInvalid, "%s: invalid name %q", s, name)
		}
	}
	return nil
}

// objectInfo holds the fields that are read of an object of any type.
type objectInfo struct {
	Name        string `json:"name"`
	FullName    string `json:"full_name"`
	CatalogName string `json:"catalog_name"`
	SchemaName  string `json:"schema_name"`
	TableType   string `json:"table_type"`
	Purpose     string `json:"purpose"`
	Owner       string `json:"owner"`
}

// object returns the policy.Object, or an error if the fields do not name an object of type t.
func (i objectInfo) object(t policy.SecurableType, kind policy.Kind) (policy.Object, error) {
	name := i.Name
	switch t.Depth() {
	case 2:
		if name = i.FullName; name == "" {
			name = i.CatalogName + "." + i.Name
		}
	case 3:
		if name = i.FullName; name == "" {
			name = i.CatalogName + "." + i.SchemaName + "." + i.Name
		}
		if t == policy.Table {
			kind = kindOf(i.TableType)
		}
	}
	s := policy.Securable{Type: t, FullName: naming.Canonical(name)}
	return policy.Object{Securable: s, Kind: kind, Owner: i.Owner}, checkName(s)
}

// kindOf returns the kind of a table_type. Metric views have the privileges of views; all other types (MANAGED,
// EXTERNAL, shallow clones) are plain tables.
func kindOf(tableType string) policy.Kind {
	switch tableType {
	case "VIEW", "METRIC_VIEW":
		return policy.KindView
	case "MATERIALIZED_VIEW":
		return policy.KindMaterializedView
	case "STREAMING_TABLE":
		return policy.KindStreamingTable
	case "FOREIGN":
		return policy.KindForeignTable
	}
	return ""
}
