package order

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/policy"
)

// solve orders the changes: one for each securable, but where securables would wait for each other some are changed
// in parts.
func (p *problem) solve() []policy.Change {
	p.split()
	return p.sequence()
}

// split decides which securables are changed in parts.
func (p *problem) split() {
	next := make([][]int, len(p.nodes))
	p.pairs(func(n, m int) {
		if n == m {
			return
		}
		var up, down bool
		p.between(n, m, func(first, _ int, _ bool) bool {
			up, down = up || p.ops[first].node == n, down || p.ops[first].node == m
			return !up || !down
		})
		if up {
			next[n] = append(next[n], m)
		}
		if down {
			next[m] = append(next[m], n)
		}
	})
	of, count := components(next)
	members := make([][]int, count)
	for n, c := range of {
		members[c] = append(members[c], n)
	}
	if len(p.nodes) == count {
		return
	}
	before := p.untangle(func(n, m int) bool { return of[n] == of[m] && len(members[of[n]]) > 1 })
	for _, list := range members {
		if len(list) > 1 {
			p.divide(list, before)
		}
	}
}

// untangle returns, for each op of the securables that concern picks, the ops that must not come after it. Where no
// order of changes respects that, USE_* is granted for a time in place of ALL_PRIVILEGES, so that the two natures of its
// removal may come at different times; where that is not enough, a gap is accepted, and reported.
func (p *problem) untangle(concern func(n, m int) bool) (before [][]int) {
	for attempt := 0; ; attempt++ {
		before = make([][]int, len(p.ops))
		p.pairs(func(n, m int) {
			if concern(n, m) {
				p.between(n, m, func(first, second int, _ bool) bool {
					before[second] = append(before[second], first)
					return true
				})
			}
		})
		for i, o := range p.ops {
			if o.outlasts != i {
				before[i] = append(before[i], o.outlasts)
			}
		}
		of, count := components(before)
		tangles := make([][]int, count)
		for i, c := range of {
			tangles[c] = append(tangles[c], i)
		}
		tangles = slices.DeleteFunc(tangles, func(ops []int) bool {
			return !slices.ContainsFunc(ops, func(i int) bool { return p.ops[i].node != p.ops[ops[0]].node })
		})
		switch {
		case len(tangles) == 0:
			return before
		case attempt == 0:
			for _, ops := range tangles {
				for _, i := range ops {
					p.loosen(i)
				}
			}
		default:
			for _, ops := range tangles {
				p.acceptGap(ops)
			}
		}
	}
}

// loosen makes the USE_* that a removal of ALL_PRIVILEGES from a container takes away a remove of its own.
func (p *problem) loosen(i int) {
	o := p.ops[i]
	n := &p.nodes[o.node]
	if o.add || o.grant.Privilege != policy.AllPrivileges || !n.change.Securable.Type.IsContainer() {
		return
	}
	for x := range (o.effect & use).All() {
		temporary := policy.Assignment{Principal: o.grant.Principal, Privilege: x}
		if slices.Contains(n.change.Add, temporary) || p.MayRemove != nil && !p.MayRemove(n.change.Securable.Type, x) {
			continue
		}
		p.ops[i].effect &^= x.Set()
		p.addOp(op{node: o.node, who: o.who, grant: temporary, effect: x.Set(), temporary: true, outlasts: i})
	}
}

// acceptGap lets ops that wait for each other be made without regard for who keeps access by several principals or,
// where that is not enough, by one.
func (p *problem) acceptGap(ops []int) {
	known := make(map[*tangle]bool)
	for _, i := range ops {
		if t := p.ops[i].tangle; t != nil {
			known[t] = true
		}
	}
	t := &tangle{own: len(known) > 0}
	for i := range p.ops {
		if known[p.ops[i].tangle] || slices.Contains(ops, i) { // tangles only grow, so that this ends
			p.ops[i].tangle = t
		}
	}
	if len(known) > 0 {
		return // reported already
	}
	names := make(map[string]bool)
	for _, i := range ops {
		names[p.ops[i].grant.Name] = true
	}
	p.findings = append(p.findings, policy.Finding{
		Effect: policy.EffectNone, Securable: p.nodes[p.ops[ops[0]].node].change.Securable,
		Message: fmt.Sprintf("whoever is several of %s may lack access for a moment while this is applied: no order of requests spares them that without giving others more than they have",
			strings.Join(slices.Sorted(maps.Keys(names)), ", ")),
	})
}

// divide assigns the ops of securables that wait for each other to parts: as many ops as can be made at once each time,
// and a securable in parts only where none can be changed as a whole.
func (p *problem) divide(nodes []int, before [][]int) {
	done := make([]bool, len(p.ops))
	left := make(map[int][]int, len(nodes))
	for _, n := range nodes {
		left[n], p.nodes[n].parts = p.nodes[n].ops, 0
	}
	take := func(n int, ops []int) {
		for _, i := range ops {
			p.ops[i].part, done[i] = p.nodes[n].parts, true
		}
		p.nodes[n].parts++
		left[n] = slices.DeleteFunc(slices.Clone(left[n]), func(i int) bool { return done[i] })
	}
	for len(nodes) > 0 {
		partial, ready := -1, []int(nil)
		rest := slices.DeleteFunc(slices.Clone(nodes), func(n int) bool {
			r := p.ready(left[n], before, done)
			if len(r) == len(left[n]) {
				take(n, r)
				return true
			}
			if partial < 0 && len(r) > 0 { // containers come first, of which there are fewer
				partial, ready = n, r
			}
			return false
		})
		if len(rest) == len(nodes) {
			take(partial, ready)
		}
		nodes = rest
	}
}

// ready returns which ops of one securable can be made at once, given those that are done.
func (p *problem) ready(ops []int, before [][]int, done []bool) []int {
	out := make(map[int]bool)
	for again := true; again; {
		again = false
		for _, i := range ops {
			if !out[i] && slices.ContainsFunc(before[i], func(b int) bool {
				return !done[b] && (p.ops[b].node != p.ops[i].node || out[b])
			}) {
				out[i], again = true, true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(ops), func(i int) bool { return out[i] })
}

// sequence makes the changes, with their waves and what they depend on.
func (p *problem) sequence() []policy.Change {
	count := 0
	for n := range p.nodes {
		p.nodes[n].first = count
		count += p.nodes[n].parts
	}
	changes := make([]policy.Change, count)
	for n := range p.nodes {
		p.fill(changes[p.nodes[n].first:][:p.nodes[n].parts], n)
	}
	next, before := make([][]int, len(changes)), make([]int, len(changes))
	follow := func(a, b int) { next[a], before[b] = append(next[a], b), before[b]+1 }
	for n := range p.nodes {
		for i := range p.nodes[n].parts - 1 {
			follow(p.nodes[n].first+i, p.nodes[n].first+i+1)
		}
	}
	waits := make(map[[2]int]bool) // ops, each with a principal
	p.pairs(func(n, m int) {
		if n == m && p.nodes[n].parts == 1 {
			return
		}
		var seen [][2]int
		p.between(n, m, func(a, b int, hard bool) bool {
			first, then := p.changeOf(a), p.changeOf(b)
			if first == then {
				return true
			}
			if n != m && !slices.Contains(seen, [2]int{first, then}) { // parts of one securable follow each other anyway
				seen = append(seen, [2]int{first, then})
				follow(first, then)
			}
			if hard {
				waits[[2]int{b, p.ops[a].who}] = true
			}
			return true
		})
	})
	p.addWaits(changes, waits)
	var ready []int
	for i := range changes {
		changes[i].Wave = 1
		if before[i] == 0 {
			ready = append(ready, i)
		}
	}
	for len(ready) > 0 {
		i := ready[0]
		ready = ready[1:]
		for _, j := range next[i] {
			changes[j].Wave = max(changes[j].Wave, changes[i].Wave+1)
			if before[j]--; before[j] == 0 {
				ready = append(ready, j)
			}
		}
	}
	return p.expand(changes)
}

// expand returns the changes of all objects that nodes stand for.
func (p *problem) expand(changes []policy.Change) []policy.Change {
	count := len(changes)
	for n := range p.nodes {
		count += p.nodes[n].parts * len(p.nodes[n].others)
	}
	all := slices.Grow(changes, count-len(changes))
	for n := range p.nodes {
		for _, c := range changes[p.nodes[n].first:][:p.nodes[n].parts] {
			for _, s := range p.nodes[n].others {
				c.Securable = s
				all = append(all, c)
			}
		}
	}
	return all
}

// addWaits notes with the changes which ops wait for which principals.
func (p *problem) addWaits(changes []policy.Change, waits map[[2]int]bool) {
	on := make(map[int][]policy.Principal)
	for w := range waits {
		on[w[0]] = append(on[w[0]], p.names[w[1]])
	}
	for op, list := range on {
		slices.SortFunc(list, policy.ComparePrincipals)
		c := &changes[p.changeOf(op)]
		c.Waits = append(c.Waits, policy.Wait{Assignment: p.ops[op].grant, On: list})
	}
	for i := range changes {
		slices.SortFunc(changes[i].Waits, func(a, b policy.Wait) int { return policy.CompareAssignments(a.Assignment, b.Assignment) })
	}
}

// changeOf returns which of the changes an op is made by.
func (p *problem) changeOf(op int) int { return p.nodes[p.ops[op].node].first + p.ops[op].part }

// fill makes the changes of one securable.
func (p *problem) fill(parts []policy.Change, n int) {
	s := p.nodes[n].change.Securable
	for i := range parts {
		parts[i].Securable = s
	}
	for _, i := range p.nodes[n].ops {
		o := &p.ops[i]
		c := &parts[o.part]
		switch {
		case o.add:
			c.Add = append(c.Add, o.grant)
		case !o.temporary:
			c.Remove = append(c.Remove, o.grant)
		case p.ops[o.outlasts].part != o.part: // else both went together after all
			c.RemoveTemporary = append(c.RemoveTemporary, o.grant)
			all := &parts[p.ops[o.outlasts].part]
			all.AddTemporary = append(all.AddTemporary, o.grant)
		}
	}
	have := p.current.Of(s)
	for i := range parts {
		parts[i].Keep = Kept(have, parts[i])
		have = parts[i].AppliedTo(have)
	}
}

// components returns the strongly connected component of each vertex of a graph, and their number (Tarjan's
// algorithm).
func components(next [][]int) (of []int, count int) {
	of = make([]int, len(next))
	index, low := make([]int, len(next)), make([]int, len(next))
	var stack []int
	clock := 0
	var visit func(v int)
	visit = func(v int) {
		clock++
		index[v], low[v], of[v] = clock, clock, -1
		stack = append(stack, v)
		for _, w := range next[v] {
			if index[w] == 0 {
				visit(w)
				low[v] = min(low[v], low[w])
			} else if of[w] < 0 {
				low[v] = min(low[v], index[w])
			}
		}
		if low[v] < index[v] {
			return
		}
		for {
			w := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			of[w] = count
			if w == v {
				break
			}
		}
		count++
	}
	for v := range next {
		if index[v] == 0 {
			visit(v)
		}
	}
	return of, count
}
