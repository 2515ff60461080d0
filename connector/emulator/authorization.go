package emulator

import "encoding/json"

// act is what a caller may want to do with an object.
type act int

const (
	toCreate      act = iota // asked of what the new object is to be in
	toList                   // asked of what the objects are in; without a rule every user may
	toSee                    // in a list; without a rule as toRead
	toRead                   // get
	toUpdate                 // any field
	toChangeOwner            // the field owner and nothing else
	toRename                 // besides toUpdate
	toDelete
	toMount   // make a catalog of it
	toShare   // have it in a share; asked of the share's owner
	toGrantTo // grant it a share
	toRotate  // its token
	numActs
)

func (a act) String() string {
	return [numActs]string{"create", "list what is in", "see", "read", "update", "change the owner of", "rename", "delete",
		"make a catalog of", "share", "grant a share to", "rotate the token of"}[a]
}

type rules [numActs]ground

var (
	seesCatalog = anyOf(metastoreAdmin, inCatalog(access))
	inside      = allOf(inCatalog(access), inSchema(access))
)

// authorization says who may do what, by type (the label of error codes): the column "who" of the specification. An act
// without a ground is refused to everybody, but for toList, toSee and toRename.
var authorization = map[string]rules{
	"METASTORE": {
		toCreate: anyOf(metastoreAdmin, accountAdmin), // of the one assigned to the workspace
		toRead:   metastoreAdmin,
		toUpdate: metastoreAdmin,
		toDelete: metastoreAdmin,
	},
	"STORAGE_CREDENTIAL": {
		toCreate:      accountAdmin,
		toRead:        anyOf(metastoreAdmin, accountAdmin, owner, anyPrivilege),
		toUpdate:      owner,
		toChangeOwner: anyOf(metastoreAdmin, accountAdmin),
		toDelete:      anyOf(owner, accountAdmin),
	},
	"EXTERNAL_LOCATION": {
		toCreate:      anyOf(metastoreAdmin, holds("CREATE_EXTERNAL_LOCATION")),
		toRead:        anyOf(metastoreAdmin, owner, anyPrivilege),
		toUpdate:      owner,
		toChangeOwner: metastoreAdmin,
		toDelete:      owner,
	},
	"CATALOG": {
		toCreate:      anyOf(metastoreAdmin, holds("CREATE_CATALOG")),
		toRead:        anyOf(metastoreAdmin, owner, holds(useCatalog), holds(browse)),
		toUpdate:      owner,
		toChangeOwner: metastoreAdmin,
		toRename:      metastoreAdmin,
		toDelete:      owner,
	},
	"SCHEMA": {
		toCreate:      anyOf(metastoreAdmin, owner, allOf(access, holds(createSchema))),
		toList:        anyOf(metastoreAdmin, access),
		toSee:         anyOf(metastoreAdmin, inCatalog(owner), allOf(seesCatalog, anyOf(owner, holds(useSchema)))),
		toRead:        anyOf(metastoreAdmin, allOf(seesCatalog, anyOf(owner, holds(useSchema)))),
		toUpdate:      allOf(seesCatalog, owner),
		toChangeOwner: metastoreAdmin,
		toRename:      anyOf(metastoreAdmin, inCatalog(owner), inCatalog(holds(createSchema))),
		toDelete:      anyOf(inCatalog(owner), allOf(seesCatalog, owner)),
		toShare:       anyOf(owns, holds(selectRows)),
	},
	"TABLE": {
		toCreate:      anyOf(metastoreAdmin, allOf(inCatalog(access), owner), allOf(inCatalog(access), access, holds(createTable))),
		toList:        anyOf(metastoreAdmin, allOf(inCatalog(access), access)),
		toRead:        anyOf(metastoreAdmin, allOf(inside, anyOf(owner, holds(selectRows)))),
		toUpdate:      allOf(inside, owner),
		toChangeOwner: metastoreAdmin,
		toDelete:      anyOf(inCatalog(owner), allOf(inCatalog(access), inSchema(owner)), allOf(inside, owner)),
		toShare:       anyOf(owns, holds(selectRows)),
	},
	"SHARE":     shared("CREATE_SHARE"),
	"RECIPIENT": with(shared("CREATE_RECIPIENT"), rules{toGrantTo: owner, toRotate: owner}),
	"PROVIDER":  with(shared("CREATE_PROVIDER"), rules{toMount: owner}),

	// What the specification does not have.
	"FUNCTION": with(inSchemaRules(execute, "CREATE_FUNCTION"), rules{
		toRead:   anyOf(metastoreAdmin, inCatalog(owner), allOf(inCatalog(access), owner), allOf(inside, holds(execute))),
		toUpdate: anyOf(metastoreAdmin, inCatalog(owner), allOf(inCatalog(access), inSchema(owner)), allOf(inside, owner)),
		toDelete: anyOf(inCatalog(owner), allOf(inCatalog(access), inSchema(owner)), allOf(inside, owner)),
	}),
	"REGISTERED_MODEL": inSchemaRules(execute, "CREATE_MODEL", "CREATE_FUNCTION"),
	"VOLUME":           inSchemaRules(readVolume, "CREATE_VOLUME"),
	"CREDENTIAL":       rootRules("CREATE_SERVICE_CREDENTIAL"),
	"CONNECTION": with(rootRules("CREATE_CONNECTION"),
		rules{toMount: anyOf(metastoreAdmin, owner, holds("CREATE_FOREIGN_CATALOG"))}),
}

// shared returns the rules of shares, recipients and providers.
func shared(create privilege) rules {
	return rules{
		toCreate:      anyOf(metastoreAdmin, holds(create)),
		toRead:        anyOf(metastoreAdmin, owner),
		toUpdate:      owner,
		toChangeOwner: metastoreAdmin,
		toRename:      metastoreAdmin,
		toDelete:      owner,
	}
}

// rootRules returns the rules of other objects that are in no catalog: those of external locations.
func rootRules(create privilege) rules {
	return rules{
		toCreate:      anyOf(metastoreAdmin, holds(create)),
		toRead:        anyOf(metastoreAdmin, owner, anyPrivilege),
		toUpdate:      owner,
		toChangeOwner: metastoreAdmin,
		toDelete:      owner,
	}
}

// inSchemaRules returns the rules of other objects in a schema, as the client library documents them: those of tables, but
// that a metastore admin may change and delete them.
func inSchemaRules(read privilege, create ...privilege) rules {
	creates := make([]ground, len(create))
	for i, p := range create {
		creates[i] = holds(p)
	}
	return rules{
		toCreate: anyOf(metastoreAdmin, allOf(inCatalog(access), owner), allOf(inCatalog(access), access, anyOf(creates...))),
		toList:   anyOf(metastoreAdmin, allOf(inCatalog(access), access)),
		toRead:   anyOf(metastoreAdmin, allOf(inside, anyOf(owner, holds(read)))),
		toUpdate: anyOf(metastoreAdmin, allOf(inside, owner)),
		toDelete: anyOf(metastoreAdmin, inCatalog(owner), allOf(inCatalog(access), inSchema(owner)), allOf(inside, owner)),
		toShare:  anyOf(owns, holds(read)),
	}
}

func with(r, more rules) rules {
	for a, g := range more {
		if g.met != nil {
			r[a] = g
		}
	}
	return r
}

// Rules that are not about one type.
var (
	// managesGrants lets its holder read all grants on an object, and change them.
	managesGrants = anyOf(metastoreAdmin, owner, inSchema(owner), inCatalog(owner))

	// tags lets its holder change the tags of an object and of its columns.
	tags = allOf(reaches, anyOf(owner, holds("APPLY_TAG")))

	// managesPolicies lets its holder read and change the policies on an object; readsRows lets its holder read from a table;
	// executes lets a policy, row filter or mask call a function.
	managesPolicies = allOf(reaches, owner)
	readsRows       = allOf(reaches, anyOf(owns, holds(selectRows)))
	executes        = allOf(reaches, anyOf(owner, holds(execute)))

	// managesBindings lets its holder say in which workspaces an object can be used.
	managesBindings = anyOf(metastoreAdmin, owner)

	// What it takes to read files from outside, by credentials that expire; to see where to ask for access;
	// and to change constraints.
	externalUse         = allOf(reaches, inSchema(holds("EXTERNAL_USE_SCHEMA")))
	externalUseLocation = anyOf(owns, holds("EXTERNAL_USE_LOCATION"))
	usesCredential      = anyOf(metastoreAdmin, owner, holds("ACCESS"))
	browses             = anyOf(metastoreAdmin, owner, inSchema(owner), inCatalog(owner), holds(browse))
	ownsTable           = allOf(reaches, owner)

	// managesVersions lets its holder change the versions and aliases of a model.
	managesVersions = anyOf(metastoreAdmin, allOf(inside, owner))

	// Of what is kept for a whole metastore: the schemas of the service itself, allow-lists and quotas.
	managesSystem     = anyOf(metastoreAdmin, accountAdmin)
	managesAllowlists = anyOf(metastoreAdmin, holds("MANAGE_ALLOWLIST"))
	seesQuotas        = anyOf(metastoreAdmin, accountAdmin)

	// Of assignments of metastores to workspaces, in which metastore admins have no say.
	assigns        = accountAdmin
	setsDefaultFor = workspaceAdmin
)

// groundFor returns what it takes to do something with objects of the resource.
func (r *resource) groundFor(a act) ground {
	g := r.rules[a]
	if g.met == nil {
		switch a {
		case toList, toRename:
			return anyUser
		case toSee:
			return r.rules[toRead]
		}
	}
	return g
}

// may reports whether the caller may do that with o.
func (c *call) may(a act, o *object) bool {
	return o != nil && (o.res.groundFor(a).is(c, o) || c.browsesOnly(a, o)) && c.checkBinding(a, o) == nil
}

// browsesOnly reports whether the caller may do that with o, or in o, by BROWSE alone, because the query includes what may
// only be browsed.
func (c *call) browsesOnly(a act, o *object) bool {
	return c.browse && (a == toRead || a == toSee || a == toList) && !o.res.groundFor(a).is(c, o) && holds(browse).is(c, o)
}

// check returns an error unless the caller may do that with o.
func (c *call) check(a act, o *object) error {
	if o.res.groundFor(a).is(c, o) || c.browsesOnly(a, o) {
		return c.checkBinding(a, o)
	}
	return denied("User may not %s %s '%s': this takes %s.", a, displayLabel(o.res.label), o.fullName(), o.res.groundFor(a))
}

// checkIn returns an error unless the caller may create or list objects of res in the container.
func (c *call) checkIn(a act, res *resource, container *object) error {
	if g := res.groundFor(a); !g.is(c, container) && !(c.browse && a == toList && holds(browse).is(c, container)) {
		return denied("User may not %s a %s in %s '%s': this takes %s.", a, displayLabel(res.label),
			displayLabel(container.res.label), container.name, g)
	}
	return c.checkBinding(a, container)
}

// checkUpdate returns an error unless the caller may update o with the given JSON object, which is one of its fields.
func (c *call) checkUpdate(o *object, body map[string]json.RawMessage, renamed bool) error {
	if _, owner := body["owner"]; owner && len(body) == 1 && c.may(toChangeOwner, o) {
		return nil
	}
	if err := c.check(toUpdate, o); err != nil {
		return err
	}
	if renamed {
		return c.check(toRename, o)
	}
	return nil
}
