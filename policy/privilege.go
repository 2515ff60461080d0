package policy

import "slices"

// Privilege is a Unity Catalog privilege in the client library's spelling.
type Privilege string

// The privileges named in code. The full list is in privilegesOf.
const (
	AllPrivileges Privilege = "ALL_PRIVILEGES"
	Manage        Privilege = "MANAGE"
	Browse        Privilege = "BROWSE"
	UseCatalog    Privilege = "USE_CATALOG"
	UseSchema     Privilege = "USE_SCHEMA"
	Select        Privilege = "SELECT"
	Modify        Privilege = "MODIFY"
	Refresh       Privilege = "REFRESH"
	Execute       Privilege = "EXECUTE"
	ReadVolume    Privilege = "READ_VOLUME"
	WriteVolume   Privilege = "WRITE_VOLUME"
	ApplyTag      Privilege = "APPLY_TAG"
	CreateTable   Privilege = "CREATE_TABLE"

	externalUseSchema   Privilege = "EXTERNAL_USE_SCHEMA"
	externalUseLocation Privilege = "EXTERNAL_USE_LOCATION"
	readMetadata        Privilege = "READ_METADATA"
)

var (
	// ownPrivileges act on the object that carries them, not only on what is inside it.
	tablePrivileges  = []Privilege{Select, Modify, Refresh, ApplyTag, Manage, AllPrivileges}
	viewPrivileges   = []Privilege{Select, ApplyTag, Manage, AllPrivileges}
	volumePrivileges = []Privilege{ReadVolume, WriteVolume, ApplyTag, Manage, AllPrivileges}
	schemaPrivileges = []Privilege{UseSchema, CreateTable, "CREATE_VIEW", "CREATE_MATERIALIZED_VIEW", "CREATE_FUNCTION",
		"CREATE_VOLUME", "CREATE_MODEL", externalUseSchema, ApplyTag, Manage, AllPrivileges}
	catalogPrivileges = []Privilege{UseCatalog, Browse, "CREATE_SCHEMA", ApplyTag, Manage, AllPrivileges}
)

// privilegesOf maps each securable type to the privileges that Unity Catalog accepts on it. A container accepts its
// own and those of everything it can hold. Source: table "securable, privileges UC accepts" of the Ranger facts.
var privilegesOf = map[SecurableType][]Privilege{
	Metastore: {"CREATE_CATALOG", "CREATE_CONNECTION", "CREATE_EXTERNAL_LOCATION", "CREATE_STORAGE_CREDENTIAL",
		"CREATE_SERVICE_CREDENTIAL", "CREATE_SHARE", "CREATE_RECIPIENT", "CREATE_PROVIDER", "CREATE_CLEAN_ROOM",
		"MANAGE_ALLOWLIST", "USE_CONNECTION", "USE_SHARE", "USE_RECIPIENT", "USE_PROVIDER", "USE_MARKETPLACE_ASSETS",
		"SET_SHARE_PERMISSION"},
	Catalog:  union(catalogPrivileges, schemaPrivileges, tablePrivileges, volumePrivileges, []Privilege{Execute}),
	Schema:   union(schemaPrivileges, tablePrivileges, volumePrivileges, []Privilege{Execute}),
	Table:    {Select, Modify, ApplyTag, Manage, AllPrivileges},
	Function: {Execute, Manage, AllPrivileges},
	Volume:   volumePrivileges,
	ExternalLocation: {"READ_FILES", "WRITE_FILES", "CREATE_EXTERNAL_TABLE", "CREATE_EXTERNAL_VOLUME",
		"CREATE_FOREIGN_SECURABLE", "CREATE_MANAGED_STORAGE", Browse, Manage, AllPrivileges},
	StorageCredential: {"READ_FILES", "WRITE_FILES", "CREATE_EXTERNAL_LOCATION", "CREATE_EXTERNAL_TABLE", Manage, AllPrivileges},
	Credential:        {"ACCESS", "CREATE_CONNECTION", Manage, AllPrivileges},
	Connection:        {"USE_CONNECTION", "CREATE_FOREIGN_CATALOG", Manage, AllPrivileges},
	Share:             {Select},
}

// privilegesNotManaged are further privileges that Unity Catalog accepts: newer ones, and old ones. They are kept where
// they stand, and neither granted nor revoked unless the scope asks for them; see [Scope.LeavesAlone].
var privilegesNotManaged = map[SecurableType][]Privilege{
	Metastore:        {readMetadata, "CREATE_EXTERNAL_METADATA"},
	Catalog:          {readMetadata},
	Schema:           {readMetadata, "CREATE_SERVICE", "CREATE_SECRET", "READ_SECRET", "WRITE_SECRET", "CREATE_FEATURE", "READ_FEATURE"},
	Table:            {readMetadata, "INSERT", "UPDATE", "DELETE"},
	Function:         {readMetadata, "CREATE_MODEL_VERSION"},
	Volume:           {readMetadata},
	ExternalLocation: {externalUseLocation},
}

// morePrivileges lists what Unity Catalog accepts on a securable of type t besides [Privileges], and what is not managed
// unless the scope asks for it: not what is old and must not be granted any more.
func morePrivileges(t SecurableType) []Privilege {
	switch t {
	case Catalog:
		return union(privilegesNotManaged[Catalog], morePrivileges(Schema))
	case Schema:
		return union(privilegesNotManaged[Schema], privilegesNotManaged[Table], privilegesNotManaged[Function], privilegesNotManaged[Volume])
	}
	return privilegesNotManaged[t]
}

// privilegesOfKind holds the kinds that differ from the plain object of their type.
var privilegesOfKind = map[Kind][]Privilege{
	KindView:             viewPrivileges,
	KindMaterializedView: append(slices.Clone(viewPrivileges), Refresh),
	KindStreamingTable:   append(slices.Clone(viewPrivileges), Refresh),
	KindForeignTable:     viewPrivileges,
	KindModel:            {Execute, ApplyTag, Manage, AllPrivileges},
}

func union(lists ...[]Privilege) []Privilege {
	var all []Privilege
	for _, list := range lists {
		all = append(all, list...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Privileges lists what Unity Catalog accepts on a securable of type t and kind k ("" for a plain object).
// The caller must not change the list.
func Privileges(t SecurableType, k Kind) []Privilege {
	if list, ok := privilegesOfKind[k]; ok {
		return list
	}
	return privilegesOf[t]
}

// Supports reports whether Unity Catalog accepts p on a securable of type t and kind k.
func Supports(t SecurableType, k Kind, p Privilege) bool {
	return slices.Contains(Privileges(t, k), p)
}

// IsPrivilege reports whether some securable type accepts p, and p is managed unless the scope says otherwise.
func IsPrivilege(p Privilege) bool {
	for _, list := range privilegesOf {
		if slices.Contains(list, p) {
			return true
		}
	}
	return false
}

// ClearedByAll reports whether revoking ALL_PRIVILEGES on a securable takes p from its principal too, also where it was
// granted by itself. Unity Catalog spares four privileges.
func (p Privilege) ClearedByAll() bool {
	return p != Manage && p != readMetadata && p != externalUseSchema && p != externalUseLocation
}

// Implies reports whether a grant of p on some securable also confers q there. ALL_PRIVILEGES confers everything
// but what Unity Catalog wants to be given by name.
func (p Privilege) Implies(q Privilege) bool {
	return p == q || p == AllPrivileges && q.ClearedByAll()
}

// IsUse reports whether p is required on a container to use what is granted inside, and confers no access by itself.
func (p Privilege) IsUse() bool { return p == UseCatalog || p == UseSchema }

// ConfersUse reports whether a grant of p on a container confers the USE_* that its objects require: USE_* does, and so does
// ALL_PRIVILEGES.
func (p Privilege) ConfersUse() bool { return p.Implies(UseCatalog) || p.Implies(UseSchema) }
