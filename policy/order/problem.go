package order

import (
	"encoding/binary"
	"slices"

	"ucwarden/policy"
)

// problem is the changes of one catalog that bear on each other.
type problem struct {
	Options
	current  *policy.GrantSet
	ids      map[policy.Principal]int
	names    []policy.Principal
	persons  []bool // by principal
	everyone int    // account users; -1 when they hold nothing
	nodes    []node // what is changed: the catalog, schemas and objects
	ops      []op
	catalog  place
	schemas  []section
	findings []policy.Finding

	// While nodes are added: which stands for the objects of a type, with grants and a change, and the last key of that.
	alike      map[string]int
	keyed      []byte
	privileges map[policy.Privilege]int

	// The chain at hand, from the catalog down.
	chain      []grants            // by principal: what is held on it
	object     bool                // it ends in an object, not in a container
	mask       policy.PrivilegeSet // the needs that matter on it
	available  policy.PrivilegeSet // of USE_*, what anybody holds before or afterwards
	continuous policy.PrivilegeSet // the needs that confer access both before and afterwards, if somebody holds them
}

// node is a securable with its change or, since there are many more objects than ways to change them, all objects of a
// schema that have the same type, grants and change.
type node struct {
	place
	change policy.Change // of the first of them
	others []policy.Securable
	actors []actor     // those that are no persons first
	groups int         // how many these are
	byWho  map[int]int // where the actors are
	ops    []int
	parts  int // changes that it takes
	first  int // of them, among all
}

// place is what principals hold by grants on one securable: each of them, and of USE_* anybody.
type place struct {
	held   []holder
	anyUse grants
}

type holder struct {
	who int
	grants
}

// section is a schema with what is changed of it and in it.
type section struct {
	place
	node        int // -1 when the schema itself is not changed
	first, last int // its changed objects, in problem.nodes
}

func newProblem(changes []policy.Change, current *policy.GrantSet, o Options) *problem {
	p := &problem{Options: o, current: current, ids: make(map[policy.Principal]int), everyone: -1,
		alike: make(map[string]int), privileges: make(map[policy.Privilege]int)}
	catalog := policy.Securable{Type: policy.Catalog, FullName: catalogOf(changes[0].Securable)}
	if changes[0].Securable == catalog {
		p.addNode(changes[0])
		p.catalog = p.nodes[0].place
		changes = changes[1:]
	} else {
		p.catalog = p.place(catalog, policy.Change{})
	}
	var schema policy.Securable
	for _, c := range changes {
		in := c.Securable
		if in.Type != policy.Schema {
			in, _ = in.Parent()
		}
		if len(p.schemas) == 0 || in != schema {
			schema = in
			p.schemas = append(p.schemas, section{node: -1, first: len(p.nodes), last: len(p.nodes)})
		}
		s := &p.schemas[len(p.schemas)-1]
		if n, ok := p.alike[string(p.key(c))]; ok && n >= s.first {
			p.nodes[n].others = append(p.nodes[n].others, c.Securable)
			continue
		}
		n := p.addNode(c)
		p.alike[string(p.keyed)] = n
		switch {
		case c.Securable == schema:
			s.node, s.place = n, p.nodes[n].place
			s.first, s.last = n+1, n+1
		case s.node < 0 && s.first == n:
			s.place = p.place(schema, policy.Change{})
			fallthrough
		default:
			s.last = n + 1
		}
	}
	p.chain = make([]grants, len(p.persons))
	p.findReplaced()
	return p
}

func (p *problem) id(name policy.Principal) int {
	id, ok := p.ids[name]
	if !ok {
		id = len(p.persons)
		p.ids[name] = id
		p.names, p.persons = append(p.names, name), append(p.persons, name.Kind == policy.User || name.Kind == policy.ServicePrincipal)
		if name.IsEveryone() {
			p.everyone = id
		}
	}
	return id
}

// key returns a text for the type of an object, its grants and its change.
func (p *problem) key(c policy.Change) []byte {
	p.keyed = append(p.keyed[:0], c.Securable.Type...)
	for _, list := range [][]policy.Assignment{c.Add, c.Remove, p.current.Of(c.Securable)} {
		p.keyed = binary.AppendUvarint(p.keyed, uint64(len(list)))
		for _, a := range list {
			x, ok := p.privileges[a.Privilege]
			if !ok {
				x = len(p.privileges)
				p.privileges[a.Privilege] = x
			}
			p.keyed = binary.AppendUvarint(binary.AppendUvarint(p.keyed, uint64(p.id(a.Principal))), uint64(x))
		}
	}
	return p.keyed
}

// addNode adds the securable of a change, with one op for each add and remove.
func (p *problem) addNode(c policy.Change) int {
	n := len(p.nodes)
	p.nodes = append(p.nodes, node{place: p.place(c.Securable, c), change: c, parts: 1, byWho: make(map[int]int)})
	for _, a := range c.Add {
		p.addOp(op{node: n, who: p.id(a.Principal), grant: a, add: true, effect: effect(c.Securable.Type, a.Privilege), outlasts: len(p.ops)})
	}
	all := make(map[policy.Principal]int)
	for _, r := range c.Remove {
		if r.Privilege == policy.AllPrivileges {
			all[r.Principal] = len(p.ops)
			p.addOp(op{node: n, who: p.id(r.Principal), grant: r, effect: effect(c.Securable.Type, r.Privilege), outlasts: len(p.ops)})
		}
	}
	for _, a := range p.current.Of(c.Securable) { // what was granted by itself too does not end with it: see Kept
		if i, ok := all[a.Principal]; ok && a.Privilege != policy.AllPrivileges {
			p.ops[i].effect &^= a.Privilege.Set()
		}
	}
	for _, r := range c.Remove {
		if r.Privilege != policy.AllPrivileges {
			outlasts, ok := all[r.Principal]
			if !ok {
				outlasts = len(p.ops)
			}
			p.addOp(op{node: n, who: p.id(r.Principal), grant: r, effect: effect(c.Securable.Type, r.Privilege), outlasts: outlasts})
		}
	}
	return n
}

// effect is the needs that a grant on a type of securable meets.
func effect(t policy.SecurableType, x policy.Privilege) policy.PrivilegeSet {
	return x.Set().WithImplied() & needsAt[t]
}

func (p *problem) addOp(o op) {
	i := len(p.ops)
	p.ops = append(p.ops, o)
	n := &p.nodes[o.node]
	n.ops = append(n.ops, i)
	at, found := n.byWho[o.who]
	if !found {
		at = len(n.actors)
		n.byWho[o.who], n.actors = at, append(n.actors, actor{who: o.who})
		if !p.persons[o.who] {
			first := n.groups
			n.actors[first], n.actors[at] = n.actors[at], n.actors[first]
			n.byWho[n.actors[at].who], n.byWho[o.who] = at, first
			at, n.groups = first, first+1
		}
	}
	if a := &n.actors[at]; o.add {
		a.adds = append(a.adds, i)
	} else {
		a.removes = append(a.removes, i)
	}
}

// place works out what is held by grants on s, before and after the change.
func (p *problem) place(s policy.Securable, c policy.Change) place {
	by := make(map[int]int)
	var list []holder
	holds := func(name policy.Principal) *holder {
		who := p.id(name)
		i, ok := by[who]
		if !ok {
			i = len(list)
			by[who] = i
			list = append(list, holder{who: who})
		}
		return &list[i]
	}
	removed := make(map[policy.Assignment]bool, len(c.Remove))
	for _, r := range c.Remove {
		removed[r] = true
	}
	for _, a := range p.current.Of(s) {
		e, h := effect(s.Type, a.Privilege), holds(a.Principal)
		h.old |= e
		if !removed[a] {
			h.new |= e
			h.steady |= e
		}
	}
	for _, a := range c.Add {
		holds(a.Principal).new |= effect(s.Type, a.Privilege)
	}
	at := place{held: list}
	if slices.Contains(p.Unread, s) {
		at.anyUse = grants{old: use, new: use}
	}
	for _, h := range list {
		at.anyUse = at.anyUse.with(grants{old: h.old & use, new: h.new & use})
	}
	return at
}

// enter adds to the chain at hand what is held at a place, and returns what was there before, for leave.
func (p *problem) enter(at place) (before []grants) {
	for _, h := range at.held {
		before = append(before, p.chain[h.who])
		p.chain[h.who] = p.chain[h.who].with(h.grants)
	}
	return before
}

func (p *problem) leave(at place, before []grants) {
	for i, h := range at.held {
		p.chain[h.who] = before[i]
	}
}

// pairs calls visit for each two changed securables of one chain, and for each with itself, with the chain at hand.
func (p *problem) pairs(visit func(n, m int)) {
	root := p.enter(p.catalog)
	catalog := p.nodes[0].change.Securable.Type == policy.Catalog
	if catalog {
		p.setChain(policy.Catalog, p.catalog.anyUse)
		visit(0, 0)
	}
	for i := range p.schemas {
		s := &p.schemas[i]
		above, anyUse := p.enter(s.place), p.catalog.anyUse.with(s.anyUse)
		if s.node >= 0 {
			p.setChain(policy.Schema, anyUse)
			visit(s.node, s.node)
			if catalog {
				visit(s.node, 0)
			}
		}
		for n := s.first; n < s.last; n++ {
			p.setChain(p.nodes[n].change.Securable.Type, anyUse)
			own := p.enter(p.nodes[n].place)
			visit(n, n)
			if s.node >= 0 {
				visit(n, s.node)
			}
			if catalog {
				visit(n, 0)
			}
			p.leave(p.nodes[n].place, own)
		}
		p.leave(s.place, above)
	}
	p.leave(p.catalog, root)
}

// setChain notes of the chain at hand what it ends in, and of USE_* what anybody holds on it. What is done on a catalog
// may take no USE_*, and what is done on a schema USE_CATALOG alone; all of it may be done on objects to come.
func (p *problem) setChain(end policy.SecurableType, anyUse grants) {
	p.object, p.mask = !end.IsContainer(), policy.AllPrivilegeSet
	if p.object {
		p.mask = needsAt[end] | use
	}
	p.available, p.continuous = anyUse.old|anyUse.new, p.mask
	both := anyUse.old & anyUse.new
	if end != policy.Catalog && !both.Has(policy.UseCatalog) || p.object && !both.Has(policy.UseSchema) {
		p.continuous = 0
	}
}

// between calls visit for what the ops of two securables of the chain at hand, or of one, require of each other.
func (p *problem) between(n, m int, visit visitor) {
	both := func(x, y *actor) bool {
		return p.relate(x, y, visit) && (n == m || p.relate(y, x, visit))
	}
	for i := range p.nodes[n].actors {
		x, others := &p.nodes[n].actors[i], p.nodes[m].actors
		if p.persons[x.who] { // nobody is two of them
			others = others[:p.nodes[m].groups]
			if own, ok := p.nodes[m].byWho[x.who]; ok && !both(x, &p.nodes[m].actors[own]) {
				return
			}
		}
		for j := range others {
			if !both(x, &others[j]) {
				return
			}
		}
	}
}

// findReplaced notes the removes of what their principal holds afterwards all the same, on the same securable or above.
func (p *problem) findReplaced() {
	p.pairs(func(n, m int) {
		if n != m {
			return
		}
		for _, i := range p.nodes[n].ops {
			o := &p.ops[i]
			o.replace = !o.add && o.effect&^(p.state(o.who).new|p.state(p.everyone).new) == 0
		}
	})
}
