package config

import "strings"

// privilegeTypes are the types of securable that have filters of privileges, as keys name them. In upper case they are
// part of the connector properties.
var privilegeTypes = []string{
	"metastore", "catalog", "schema", "table", "function", "volume", "external_location", "storage_credential", "credential",
	"connection", "share",
}

// privilegeKeys returns the keys of the filters of privileges. A policy manager's list to include only adds to what it
// manages by default, and so is not our include, which restricts.
func privilegeKeys() []Key {
	var keys []Key
	for _, typ := range privilegeTypes {
		word, on := strings.ToUpper(typ), strings.ReplaceAll(typ, "_", " ")+"s"
		keys = append(keys,
			Key{Name: "scope.privileges." + typ + ".include", Type: TypeList,
				Help: "privileges to manage on " + on + ", and no others; empty manages all that this version knows"},
			Key{Name: "scope.privileges." + typ + ".add", Properties: []string{property(word + "_CUSTOM_INCLUDE_PERMISSIONS_LIST")}, Type: TypeList,
				Help: "privileges to manage on " + on + " besides those that are by default"},
			Key{Name: "scope.privileges." + typ + ".exclude", Properties: []string{property(word + "_CUSTOM_EXCLUDE_PERMISSIONS_LIST")}, Type: TypeList,
				Help: "privileges on " + on + " that are never granted nor revoked; overrides the others"})
	}
	return keys
}
