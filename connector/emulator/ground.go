package emulator

import (
	"strings"
)

// ground is a reason for which a caller may do something with an object. The zero value is one that nobody has.
type ground struct {
	met func(c *call, o *object) bool
	// text says what is needed, for refusals; what names the object, as in "the catalog".
	text   func(what string) string
	either bool // the text is a choice
}

func (g ground) is(c *call, o *object) bool { return g.met != nil && o != nil && g.met(c, o) }

func (g ground) String() string {
	return g.in("it")
}

// in returns the text with the name of what the ground is on.
func (g ground) in(what string) string {
	if g.text == nil {
		return "nobody"
	}
	return g.text(what)
}

func plainText(text string) func(string) string { return func(string) string { return text } }
func named(text string) func(string) string {
	return func(what string) string { return text + " " + what }
}

var (
	anyUser = ground{met: func(*call, *object) bool { return true }, text: plainText("any user")}

	// metastoreAdmin is the owner of the metastore that the object is in, or a member of the group that owns it.
	metastoreAdmin = ground{met: func(c *call, o *object) bool { return c.account || c.who.identities[o.top().owner] }, text: plainText("metastore admin")}

	accountAdmin = ground{met: func(c *call, _ *object) bool {
		for name := range c.who.identities {
			if c.srv.accountAdmins[name] {
				return true
			}
		}
		return false
	}, text: plainText("account admin")}

	// workspaceAdmin is a member of the workspace's own group "admins".
	workspaceAdmin = ground{met: func(c *call, _ *object) bool { return c.who.identities[workspaceAdmins] }, text: plainText("workspace admin")}

	// owns is ownership alone, which lets its holder read data.
	owns = ground{met: func(c *call, o *object) bool { return c.who.identities[o.owner] }, text: named("owner of")}

	// owner is who owns the object, or holds MANAGE on it or on what it is in, which stands for ownership.
	owner = ground{met: func(c *call, o *object) bool {
		return c.account || c.who.identities[o.owner] || c.holdsInherited(o, c.srv.privs.bit[manage])
	}, text: named("owner of")}

	anyPrivilege = ground{met: func(c *call, o *object) bool { return !c.directPrivileges(o).empty() }, text: named("any privilege on")}

	// access to a catalog or schema is to own it, or to hold USE_CATALOG or USE_SCHEMA on it. What is in a schema needs
	// access to its catalog, too.
	access = ground{met: func(c *call, o *object) bool {
		p := useSchema
		if o.res.typ == typeCatalog {
			p = useCatalog
		}
		return owner.is(c, o) || c.holdsInherited(o, c.srv.privs.implying[p])
	}, text: named("access to")}
)

// reaches is access to every container that the object is in, from the workspace.
var reaches = ground{met: func(c *call, o *object) bool {
	if c.srv.bindingOf(o) == "" {
		return false
	}
	for at := o.container(); at != nil; at = at.container() {
		if !access.is(c, at) {
			return false
		}
	}
	return true
}, text: plainText("access to what it is in")}

// holds is the privilege p on the object, granted there or on what it is in, by itself or as part of ALL_PRIVILEGES.
func holds(p privilege) ground {
	return ground{met: func(c *call, o *object) bool { return c.holdsInherited(o, c.srv.privs.implying[p]) }, text: named(string(p) + " on")}
}

// inCatalog and inSchema are a ground on the catalog or schema that the object is in.
func inCatalog(g ground) ground { return above(typeCatalog, "the catalog", g) }
func inSchema(g ground) ground  { return above(typeSchema, "the schema", g) }

func above(t securableType, name string, g ground) ground {
	return ground{met: func(c *call, o *object) bool {
		at := o.parent
		for at != nil && at.res.typ != t {
			at = at.parent
		}
		return g.is(c, at)
	}, text: func(string) string { return g.text(name) }, either: g.either}
}

func anyOf(list ...ground) ground {
	return ground{met: func(c *call, o *object) bool {
		for _, g := range list {
			if g.is(c, o) {
				return true
			}
		}
		return false
	}, text: func(what string) string { return joinTexts(list, what, ", or ") }, either: true}
}

func allOf(list ...ground) ground {
	return ground{met: func(c *call, o *object) bool {
		for _, g := range list {
			if !g.is(c, o) {
				return false
			}
		}
		return true
	}, text: func(what string) string { return joinTexts(list, what, " and ") }}
}

func joinTexts(list []ground, what, separator string) string {
	texts := make([]string, len(list))
	for i, g := range list {
		texts[i] = g.text(what)
		if separator == " and " && g.either {
			texts[i] = "(" + texts[i] + ")"
		}
	}
	return strings.Join(texts, separator)
}
