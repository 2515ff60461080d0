package order

import "ucwarden/policy"

// A need is a privilege at some place on the chain from a catalog to an object, held there or above. The chain has one
// USE_CATALOG, one USE_SCHEMA and, for each other privilege, one place that matters at a time, so the needs of a chain
// are a set of privileges.
var (
	use = policy.NewPrivilegeSet(policy.UseCatalog, policy.UseSchema)

	// needsAt are the privileges that a grant on a type can confer on what is below.
	needsAt = map[policy.SecurableType]policy.PrivilegeSet{
		policy.Catalog:  policy.AllPrivilegeSet,
		policy.Schema:   policy.AllPrivilegeSet &^ policy.UseCatalog.Set(),
		policy.Table:    onObjects(policy.ClassTable),
		policy.Function: onObjects(policy.ClassFunction | policy.ClassModel),
		policy.Volume:   onObjects(policy.ClassVolume),
	}
)

func onObjects(classes policy.ObjectClass) policy.PrivilegeSet {
	var set policy.PrivilegeSet
	for p, c := range policy.ActsOn {
		if c&classes != 0 {
			set |= p.Set()
		}
	}
	return set
}

// grants are the needs that a principal meets by grants: before all changes, after them, and all the time by a grant
// that no change touches.
type grants struct{ old, new, steady policy.PrivilegeSet }

func (g grants) with(h grants) grants {
	return grants{g.old | h.old, g.new | h.new, g.steady | h.steady}
}

// op is an add or a remove of one grant.
type op struct {
	node    int // the securable, in problem.nodes
	who     int
	grant   policy.Assignment
	effect  policy.PrivilegeSet // the needs it meets or stops to meet, unless another grant of its principal does
	add     bool
	replace bool // a remove of what the principal holds afterwards by other grants
	// outlasts is the removal of ALL_PRIVILEGES from the same principal on the same securable that must not come after
	// this remove, so that the need this remove ends has ended then; the op itself where there is none.
	outlasts  int
	temporary bool // a remove of USE_* that is added together with that removal of ALL_PRIVILEGES
	part      int  // the change it is made by, of those of its securable
	tangle    *tangle
}

// tangle is a set of ops that no order of changes spares from a gap: a need is lost before it is gained.
type tangle struct {
	own bool // also where one principal does both
}

// actor is a principal with ops on one securable.
type actor struct {
	who           int
	adds, removes []int // in problem.ops
}

// visitor is called for ops of which the first must not be made after the second: in the same change or, on another
// securable, before it. hard says that the second must not be made at all while the first is not. It returns false to
// hear no more about these two securables.
type visitor func(first, second int, hard bool) bool

// relate finds what the ops of principal x, who loses something, and y, who gains something, require of each other,
// because one person may hold the grants of both, and those of account users. They may be one principal, and are not two
// persons.
//
// Never wider: a need that only x meets, and only before, and one that only y meets, and only afterwards, give access
// together that there neither was nor will be. So x loses the first before y gains the second. This includes the grant
// that confers nothing today and is to go before USE_* is added, and the grant that is added behind USE_* that goes.
//
// Never narrower: a need that x meets before and y afterwards is gained before it is lost.
//
// Needs of which neither is USE_* never give access together.
func (p *problem) relate(x, y *actor, visit visitor) bool {
	if len(x.removes) == 0 || len(y.adds) == 0 {
		return true
	}
	loser, gainer, all := p.state(x.who), p.state(y.who), p.state(p.everyone)
	lost, gained := loser.old&^loser.new, gainer.new&^gainer.old
	onlyBefore, onlyAfter := lost&^(gainer.new|all.new), gained&^(loser.old|all.old)
	moved := lost & gained &^ (all.old & all.new)
	if x.who == y.who {
		moved = loser.old & loser.new &^ loser.steady
	}
	moved &= p.continuous
	wider := onlyBefore != 0 && onlyAfter != 0 && (onlyBefore|onlyAfter)&use != 0
	if !wider && moved == 0 {
		return true
	}
	for _, r := range x.removes {
		remove := &p.ops[r]
		for _, a := range y.adds {
			add := &p.ops[a]
			lose, gain := remove.effect&onlyBefore, add.effect&onlyAfter
			if p.together(lose, gain) && !visit(r, a, true) {
				return false
			}
			gap := add.tangle != nil && add.tangle == remove.tangle && (add.tangle.own || x.who != y.who)
			if add.effect&remove.effect&moved != 0 && !gap && !visit(a, r, (x.who == y.who || y.who == p.everyone) && remove.replace) {
				return false
			}
		}
	}
	return true
}

// together reports whether a need of either set can give access together: one of them is USE_*, and somebody holds what
// else it takes.
func (p *problem) together(a, b policy.PrivilegeSet) bool {
	if a == 0 || b == 0 || (a|b)&use == 0 {
		return false
	}
	for missing := range (use &^ p.available).All() { // which nobody holds, before or afterwards
		if missing == policy.UseCatalog || p.object {
			return false
		}
	}
	return true
}

// state returns what a principal holds on the chain at hand.
func (p *problem) state(who int) grants {
	if who < 0 {
		return grants{}
	}
	g := p.chain[who]
	return grants{g.old & p.mask, g.new & p.mask, g.steady & p.mask}
}
