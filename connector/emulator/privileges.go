package emulator

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
)

// privilege is a Unity Catalog privilege as the API spells it.
type privilege string

// The privileges that decide what the server does.
const (
	allPrivileges privilege = "ALL_PRIVILEGES"
	manage        privilege = "MANAGE"
	browse        privilege = "BROWSE"
	useCatalog    privilege = "USE_CATALOG"
	useSchema     privilege = "USE_SCHEMA"
	selectRows    privilege = "SELECT"
	execute       privilege = "EXECUTE"
	readVolume    privilege = "READ_VOLUME"
	createSchema  privilege = "CREATE_SCHEMA"
	createTable   privilege = "CREATE_TABLE"
)

// notImplied are the privileges that ALL_PRIVILEGES does not confer, and that revoking it leaves.
var notImplied = []privilege{manage, "READ_METADATA", "EXTERNAL_USE_SCHEMA", "EXTERNAL_USE_LOCATION"}

// What each kind of object accepts. The lists are the service's, not those of a client of it: they hold old privileges,
// which the service still takes, and ones that are newer than most clients. Containers accept what is inherited by
// something inside them.
var (
	onAny         = []privilege{allPrivileges, manage, "READ_METADATA"}
	onTagged      = sorted(onAny, []privilege{"APPLY_TAG"})
	onForeign     = sorted(onTagged, []privilege{selectRows})
	onView        = onForeign
	onRefreshed   = sorted(onView, []privilege{"REFRESH"})
	onTable       = sorted(onView, []privilege{"MODIFY", "INSERT", "UPDATE", "DELETE", "READ_PRIVATE_FILES", "WRITE_PRIVATE_FILES"})
	onVolume      = sorted(onTagged, []privilege{readVolume, "WRITE_VOLUME"})
	onFunction    = sorted(onAny, []privilege{execute})
	onModel       = sorted(onFunction, onTagged, []privilege{"CREATE_MODEL_VERSION"})
	onOtherInside = []privilege{"CREATE_SECRET", "READ_SECRET", "WRITE_SECRET", "CREATE_FEATURE", "READ_FEATURE", "CREATE_SERVICE"}
	onSchema      = sorted(onTable, onRefreshed, onVolume, onFunction, onModel, onOtherInside, []privilege{useSchema, createTable,
		"CREATE_MATERIALIZED_VIEW", "CREATE_FUNCTION", "CREATE_MODEL", "CREATE_VOLUME", "EXTERNAL_USE_SCHEMA", "CREATE_VIEW", "CREATE", "USAGE"})
	onCatalog   = sorted(onSchema, []privilege{useCatalog, browse, createSchema, "CREATE_CONNECTION"})
	onMetastore = sorted([]privilege{"CREATE_CATALOG", "CREATE_CLEAN_ROOM", "CREATE_CONNECTION", "CREATE_EXTERNAL_LOCATION",
		"CREATE_EXTERNAL_METADATA", "CREATE_PROVIDER", "CREATE_RECIPIENT", "CREATE_SHARE", "CREATE_SERVICE_CREDENTIAL",
		"CREATE_STORAGE_CREDENTIAL", "MANAGE_ALLOWLIST", "SET_SHARE_PERMISSION", "USE_CONNECTION", "USE_MARKETPLACE_ASSETS",
		"USE_PROVIDER", "USE_RECIPIENT", "USE_SHARE", "READ_METADATA"})
	onLocation = sorted(onAny, []privilege{browse, "CREATE_EXTERNAL_TABLE", "CREATE_EXTERNAL_VOLUME", "CREATE_FOREIGN_SECURABLE",
		"CREATE_MANAGED_STORAGE", "EXTERNAL_USE_LOCATION", "READ_FILES", "WRITE_FILES"})
	onStorageCredential = sorted(onAny, []privilege{"CREATE_EXTERNAL_LOCATION", "CREATE_EXTERNAL_TABLE", "READ_FILES", "WRITE_FILES"})
	onCredential        = sorted(onAny, []privilege{"ACCESS", "CREATE_CONNECTION"})
	onConnection        = sorted(onAny, []privilege{"USE_CONNECTION", "CREATE_FOREIGN_CATALOG"})
	onShare             = []privilege{selectRows}
	// onOthers are the privileges of objects that the emulator does not serve: it knows them, and refuses them as not
	// applicable.
	onOthers = []privilege{"EXECUTE_CLEAN_ROOM_TASK", "MODIFY_CLEAN_ROOM"}
)

// applicable returns the privileges that may be granted on an object of that type and kind, sorted.
func applicable(t securableType, k objectKind) []privilege {
	switch k {
	case kindView:
		return onView
	case kindMaterializedView, kindStreamingTable:
		return onRefreshed
	case kindForeignTable:
		return onForeign
	case kindModel:
		return onModel
	}
	switch t {
	case typeMetastore:
		return onMetastore
	case typeCatalog:
		return onCatalog
	case typeSchema:
		return onSchema
	case typeTable:
		return onTable
	case typeFunction:
		return onFunction
	case typeVolume:
		return onVolume
	case typeExternalLocation:
		return onLocation
	case typeStorageCredential:
		return onStorageCredential
	case typeCredential:
		return onCredential
	case typeConnection:
		return onConnection
	case typeShare:
		return onShare
	}
	return nil
}

// privilegeSet is a set of privileges, one bit each, in the order of privilegeTable.names.
type privilegeSet [2]uint64

func (s privilegeSet) empty() bool { return s == privilegeSet{} }
func (s privilegeSet) union(o privilegeSet) privilegeSet {
	return privilegeSet{s[0] | o[0], s[1] | o[1]}
}
func (s privilegeSet) minus(o privilegeSet) privilegeSet {
	return privilegeSet{s[0] &^ o[0], s[1] &^ o[1]}
}
func (s privilegeSet) overlap(o privilegeSet) privilegeSet {
	return privilegeSet{s[0] & o[0], s[1] & o[1]}
}

// privilegeTable numbers every privilege.
type privilegeTable struct {
	names      []privilege // sorted, so that sets are listed in order
	bit        map[privilege]privilegeSet
	implying   map[privilege]privilegeSet // those any of which implies the privilege, itself included
	notImplied privilegeSet
}

func newPrivilegeTable() *privilegeTable {
	t := &privilegeTable{
		names: sorted(onMetastore, onCatalog, onLocation, onStorageCredential, onCredential, onConnection, onShare, onOthers),
		bit:   make(map[privilege]privilegeSet), implying: make(map[privilege]privilegeSet),
	}
	for i, name := range t.names {
		var bit privilegeSet
		bit[i/64] = 1 << (i % 64)
		t.bit[name] = bit
	}
	t.notImplied = t.set(notImplied...)
	for _, p := range t.names {
		t.implying[p] = t.bit[p]
		if !slices.Contains(notImplied, p) {
			t.implying[p] = t.set(p, allPrivileges)
		}
	}
	return t
}

func (t *privilegeTable) set(list ...privilege) privilegeSet {
	var set privilegeSet
	for _, p := range list {
		set = set.union(t.bit[p])
	}
	return set
}

// parse returns the privilege of that name, written with spaces or underscores between the words.
func (t *privilegeTable) parse(text string) (privilege, error) {
	p := privilege(strings.ReplaceAll(text, " ", "_"))
	if t.bit[p].empty() {
		return "", invalid("Privilege '%s' is not a privilege of Unity Catalog.", text)
	}
	return p, nil
}

// list returns the privileges of the set, sorted.
func (t *privilegeTable) list(s privilegeSet) []privilege {
	list := make([]privilege, 0, bits.OnesCount64(s[0])+bits.OnesCount64(s[1]))
	for word, rest := range s {
		for ; rest != 0; rest &= rest - 1 {
			list = append(list, t.names[64*word+bits.TrailingZeros64(rest)])
		}
	}
	return list
}

// change returns what a principal holds that held the set, after a change. Revoking ALL_PRIVILEGES takes away all that it
// confers, however that was granted, and whether ALL_PRIVILEGES was held or not. What is added is added afterwards.
func (t *privilegeTable) change(held, add, remove privilegeSet) privilegeSet {
	if !remove.overlap(t.bit[allPrivileges]).empty() {
		held = held.overlap(t.notImplied)
	}
	return held.minus(remove).union(add)
}

// expanded returns the set with ALL_PRIVILEGES written out, as some workspaces report it: everything that it confers on
// the object by itself.
func (t *privilegeTable) expanded(s privilegeSet, typ securableType, k objectKind) privilegeSet {
	all := t.bit[allPrivileges]
	if s.overlap(all).empty() {
		return s
	}
	return s.minus(all).union(t.set(applicable(typ, k)...).minus(t.notImplied).minus(all).minus(t.set(rarelyReported...)))
}

// rarelyReported are the privileges that a workspace which reports ALL_PRIVILEGES written out leaves out.
var rarelyReported = []privilege{"APPLY_TAG", "INSERT", "UPDATE", "DELETE", "READ_PRIVATE_FILES", "WRITE_PRIVATE_FILES", "CREATE", "USAGE", "CREATE_VIEW"}

// grantee is a principal with its privileges on one object.
type grantee struct {
	id    int64
	privs privilegeSet
}

// grantList holds the grants on one object: sorted by id, without empty sets, and immutable once stored, so that answers
// and history may share it.
type grantList []grantee

func (g grantList) find(id int64) (int, bool) {
	return slices.BinarySearchFunc(g, id, func(g grantee, id int64) int { return cmp.Compare(g.id, id) })
}

func (g grantList) of(id int64) privilegeSet {
	if i, ok := g.find(id); ok {
		return g[i].privs
	}
	return privilegeSet{}
}

// with returns a copy in which the principal has exactly privs.
func (g grantList) with(id int64, privs privilegeSet) grantList {
	i, found := g.find(id)
	switch next := slices.Clone(g); {
	case found && privs.empty():
		return slices.Delete(next, i, i+1)
	case found:
		next[i].privs = privs
		return next
	case privs.empty():
		return g
	default:
		return slices.Insert(next, i, grantee{id, privs})
	}
}
