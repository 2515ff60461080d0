package order_test

import (
	"fmt"
	"slices"
	"strings"

	"ucwarden/policy"
)

// The tests know Unity Catalog by themselves: what a request does to the grants of a securable, and what access grants
// give. Nothing here calls the code under test.

// Where grants are, to whom, and of what. Of the principals two are users, whom nobody can be both of.
var (
	places     = [...]string{"CATALOG:c", "SCHEMA:c.s1", "SCHEMA:c.s2", "TABLE:c.s1.t", "VOLUME:c.s1.v", "TABLE:c.s2.t", "TABLE:c.s1.t2"}
	above      = [][]int{{}, {0}, {0}, {1, 0}, {1, 0}, {2, 0}, {1, 0}} // the schema first
	names      = []string{"g1", "g2", "g3", "u1@example.com", "u2@example.com", "account users"}
	privileges = []string{"ALL_PRIVILEGES", "USE_CATALOG", "USE_SCHEMA", "SELECT", "MODIFY", "READ_VOLUME", "CREATE_TABLE", "MANAGE", "EXTERNAL_USE_SCHEMA", "READ_METADATA", "READ_PRIVATE_FILES"}
	onType     = map[string]privs{
		"CATALOG": of("ALL_PRIVILEGES USE_CATALOG USE_SCHEMA SELECT MODIFY READ_VOLUME CREATE_TABLE MANAGE EXTERNAL_USE_SCHEMA READ_METADATA READ_PRIVATE_FILES"),
		"SCHEMA":  of("ALL_PRIVILEGES USE_SCHEMA SELECT MODIFY READ_VOLUME CREATE_TABLE MANAGE EXTERNAL_USE_SCHEMA READ_METADATA"),
		"TABLE":   of("ALL_PRIVILEGES SELECT MODIFY MANAGE READ_METADATA READ_PRIVATE_FILES"),
		"VOLUME":  of("ALL_PRIVILEGES READ_VOLUME MANAGE"),
	}
	spared = of("MANAGE EXTERNAL_USE_SCHEMA READ_METADATA") // by revoking ALL_PRIVILEGES, which does not confer them
)

// privs is a set of privileges, by their place in the list.
type privs uint16

func of(list string) (set privs) {
	for x := range strings.FieldsSeq(list) {
		set |= 1 << slices.Index(privileges, x)
	}
	return set
}

func (s privs) has(x string) bool { return s&of(x) != 0 }

// world is the grants on each place to each principal.
type world [len(places)][6]privs

func (w *world) set(s policy.Securable, a policy.Assignment, granted bool) {
	at := &w[slices.Index(places[:], s.String())][slices.Index(names, a.Name)]
	if *at &^= of(string(a.Privilege)); granted {
		*at |= of(string(a.Privilege))
	}
}

func (w *world) holds(s policy.Securable, a policy.Assignment) bool {
	return w[slices.Index(places[:], s.String())][slices.Index(names, a.Name)].has(string(a.Privilege))
}

// patch does what one request does: for each principal what is removed, then what is added.
func (w *world) patch(c policy.Change) {
	add, remove := c.Request()
	for _, r := range remove {
		if r.Privilege == "ALL_PRIVILEGES" {
			w[slices.Index(places[:], c.Securable.String())][slices.Index(names, r.Name)] &= spared
		}
		w.set(c.Securable, r, false)
	}
	for _, a := range add {
		w.set(c.Securable, a, true)
	}
}

// grants is the world in the product's form.
func (w *world) grants() *policy.GrantSet {
	g := &policy.GrantSet{}
	for i, s := range places {
		for j, p := range names {
			for k, x := range privileges {
				if w[i][j]>>k&1 == 1 {
					g.Add(policy.Grant{Securable: securable(s), Principal: policy.PrincipalByShape(p), Privilege: policy.Privilege(x)})
				}
			}
		}
	}
	return g
}

func (w *world) String() string {
	var b strings.Builder
	for g := range w.grants().All() {
		fmt.Fprintf(&b, "  %s %s %s\n", g.Securable, g.Principal, g.Privilege)
	}
	return b.String()
}

func securable(s string) policy.Securable {
	parsed, err := policy.ParseSecurable(s)
	if err != nil {
		panic(err)
	}
	return parsed
}

// person is a set of principals, by their place in the list.
type person uint8

func (p person) String() string {
	var list []string
	for i, name := range names {
		if p>>i&1 == 1 {
			list = append(list, name)
		}
	}
	return strings.Join(list, "+")
}

// everybody lists who a person may be: all principals together but one user, always with account users.
func everybody() (list []person) {
	for p := range person(1 << len(names)) {
		if p>>5 == 1 && p>>3&3 != 3 {
			list = append(list, p)
		}
	}
	return list
}

// access is what each person may do at each place. For a container there are two readings, since some of what can be
// done with it needs USE_* on it too: of the same set, the second is in the upper half.
type access [][len(places)]uint32

// access works out what every person may do: what is granted there or above, with USE_SCHEMA on the schema or above and
// USE_CATALOG on the catalog.
func (w *world) access() access {
	list := make(access, len(people))
	for i, who := range people {
		var held [len(places)]privs
		for s := range places {
			for p := range names {
				if who>>p&1 == 1 {
					held[s] |= w[s][p]
				}
			}
			if held[s].has("ALL_PRIVILEGES") {
				held[s] |= ^spared
			}
		}
		for s, name := range places {
			typ, _, _ := strings.Cut(name, ":")
			all, useSchema, useCatalog := held[s], false, held[0].has("USE_CATALOG")
			for _, up := range above[s] {
				all |= held[up]
			}
			switch typ {
			case "CATALOG":
				list[i][s] = uint32(all)
				if useCatalog {
					list[i][s] |= uint32(all) << 16
				}
				continue
			case "SCHEMA":
				useSchema = all.has("USE_SCHEMA")
				if useCatalog {
					list[i][s] = uint32(all)
				}
				if useCatalog && useSchema {
					list[i][s] |= uint32(all) << 16
				}
				continue
			}
			for _, up := range above[s] {
				useSchema = useSchema || held[up].has("USE_SCHEMA")
			}
			if useSchema && useCatalog {
				list[i][s] = uint32(all & onType[typ])
			}
		}
	}
	return list
}

var people = everybody()

// outside says who has in state more than old or new give, or lacks what both do.
func outside(state, old, new access) (wider, narrower string) {
	say := func(set uint32, i, s int) string {
		var list []string
		for k, x := range privileges {
			if (set|set>>16)>>k&1 == 1 {
				list = append(list, x)
			}
		}
		return fmt.Sprintf("%s: %s on %s", people[i], strings.Join(list, " "), places[s])
	}
	for i := range people {
		for s := range places {
			if more := state[i][s] &^ (old[i][s] | new[i][s]); more != 0 && wider == "" {
				wider = "wider: " + say(more, i, s)
			}
			if less := old[i][s] & new[i][s] &^ state[i][s]; less != 0 && narrower == "" {
				narrower = "narrower: " + say(less, i, s)
			}
		}
	}
	return wider, narrower
}

func spell(changes []policy.Change) string {
	var b strings.Builder
	for _, c := range changes {
		fmt.Fprintf(&b, "  %d %s", c.Wave, c)
		if len(c.Keep) > 0 {
			fmt.Fprintf(&b, "  keep %v", c.Keep)
		}
		for _, w := range c.Waits {
			fmt.Fprintf(&b, "  (%s waits for %v)", w.Assignment, w.On)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
