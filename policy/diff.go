package policy

import (
	"cmp"
	"slices"
)

// Mode says how far a sync may go.
type Mode string

// The modes.
const (
	ModeEnforce   Mode = "enforce"    // grant and revoke
	ModeGrantOnly Mode = "grant-only" // never revoke
	ModeObserve   Mode = "observe"    // plan and report, change nothing
)

// DiffInput is what a diff compares.
type DiffInput struct {
	Read    []Securable // whose current grants are known; grants on others are never changed
	Current *GrantSet
	Desired *GrantSet
	Scope   Scope
	Mode    Mode
	// Kept is called, if it is not nil, for each grant that is not removed because our own access may depend on it.
	Kept func(Securable, Assignment)
	// Expresses tells whether the policies could say a privilege on a type of securable at all. What they cannot say
	// is not theirs to take away. Nil means they can say everything.
	Expresses func(SecurableType, Privilege) bool
}

// Diff returns the changes that lead from the current to the desired grants on the securables that were read, and counts
// them. Only grants that the scope manages are changed, and only privileges this package knows; with ModeGrantOnly
// nothing is removed.
//
// The changes are ordered so that at every moment of their application each person's access lies between what they
// hold both before and after, and what they hold before or after:
//
//   - what gives access to objects is added before anything that gives the same is removed, so a grant that moves
//     between a container and its objects leaves no gap;
//   - it is removed before USE_* is added, so that a grant which confers nothing today, because nobody can reach it,
//     is gone before the way to it opens;
//   - USE_* is added before other USE_* is removed.
//
// Each securable is changed in one request where this order allows it; a container may take more.
func Diff(in DiffInput) ([]Change, Totals) {
	totals := Totals{Securables: len(in.Read)}
	managed := managedPrincipals{scope: in.Scope, known: make(map[Principal]bool)}
	var changes []Change
	for _, s := range in.Read {
		addsOnly := in.Scope.AddsOnly(s) // USE_CATALOG alone, and nothing is taken away
		if !in.Scope.inRoots(s) || !addsOnly && !in.Scope.Filters(s) {
			continue
		}
		c := Change{Securable: s}
		have, want := in.Current.Of(s), in.Desired.Of(s)
		totals.Grants += len(have)
		for i, j := 0, 0; i < len(have) || j < len(want); {
			order := 0
			switch {
			case i == len(have):
				order = 1
			case j == len(want):
				order = -1
			default:
				order = CompareAssignments(have[i], want[j])
			}
			switch {
			case order == 0:
				if managed.has(have[i].Principal) {
					totals.Managed++
					totals.Desired++
				}
				i++
				j++
			case order < 0:
				if a := have[i]; !addsOnly && managed.has(a.Principal) && a.Privilege.Set() != 0 && (in.Expresses == nil || in.Expresses(s.Type, a.Privilege)) {
					switch {
					case in.Mode == ModeGrantOnly:
						totals.Managed++
					case !in.Scope.keeps(s, a):
						totals.Managed++
						c.Remove = append(c.Remove, a)
					case in.Kept != nil:
						in.Kept(s, a)
					}
				}
				i++
			default:
				if managed.has(want[j].Principal) && (!addsOnly || want[j].Privilege == UseCatalog) {
					totals.Desired++
					c.Add = append(c.Add, want[j])
				}
				j++
			}
		}
		if len(c.Add)+len(c.Remove) > 0 {
			totals.Changed++
			totals.Adds += len(c.Add)
			totals.Removes += len(c.Remove)
			changes = append(changes, c)
		}
	}
	return order(changes, in.Current), totals
}

// managedPrincipals remembers the scope's answers: principals are few, grants are many.
type managedPrincipals struct {
	scope Scope
	known map[Principal]bool
}

func (m managedPrincipals) has(p Principal) bool {
	yes, ok := m.known[p]
	if !ok {
		yes = m.scope.Manages(p)
		m.known[p] = yes
	}
	return yes
}

// The waves of a plan, and what each holds when nothing is merged.
const (
	waveAdd       = 1 // access to objects is added
	waveExchange  = 2 // an object's adds and removes, together
	waveRemove    = 3 // access to objects is removed
	waveAddUse    = 4 // USE_* is added
	waveRemoveUse = 5 // USE_* is removed
)

// step is a kind of act whose order among the securables of one lineage matters.
type step uint8

const (
	stepAdd step = iota
	stepRemove
	stepAddUse
	stepRemoveUse
	steps
)

var naturalWave = [steps]int{stepAdd: waveAdd, stepRemove: waveRemove, stepAddUse: waveAddUse, stepRemoveUse: waveRemoveUse}

// mustPrecede reports whether step a on one securable has to come before step b on another of the same lineage.
func mustPrecede(a, b step) bool { return b == a+1 }

// stepsAt is the set of steps taken in each wave.
type stepsAt [steps][waveRemoveUse + 1]bool

func (s *stepsAt) merge(o *stepsAt) {
	for i := range s {
		for w := range s[i] {
			s[i][w] = s[i][w] || o[i][w]
		}
	}
}

// allows reports whether the given steps may all be taken in wave w while others are taken as s says.
func (s *stepsAt) allows(taken []step, w int) bool {
	for _, t := range taken {
		for other := range steps {
			for q, present := range s[other] {
				if present && (mustPrecede(t, other) && w >= q || mustPrecede(other, t) && q >= w) {
					return false
				}
			}
		}
	}
	return true
}

// order returns each change its wave, splits changes of containers where they cannot be made at once, and sorts.
func order(changes []Change, current *GrantSet) []Change {
	var ordered []Change
	containers := make(map[Securable]*container) // changed, or with changes inside
	at := func(s Securable) *container {
		c := containers[s]
		if c == nil {
			c = &container{}
			containers[s] = c
		}
		return c
	}
	var changed []Securable
	for _, c := range changes {
		if c.Securable.Type.IsContainer() {
			at(c.Securable).split(c, current)
			changed = append(changed, c.Securable)
			continue
		}
		c.Wave = waveExchange
		var inside stepsAt
		switch {
		case len(c.Remove) == 0:
			c.Wave = waveAdd
		case len(c.Add) == 0:
			c.Wave = waveRemove
		}
		inside[stepAdd][c.Wave] = len(c.Add) > 0
		inside[stepRemove][c.Wave] = len(c.Remove) > 0
		ordered = append(ordered, c)
		if schema, ok := c.Securable.Parent(); ok {
			catalog, _ := schema.Parent()
			at(schema).objects.merge(&inside)
			at(catalog).objects.merge(&inside)
		}
	}
	slices.SortFunc(changed, Securable.Compare)
	schemasOf := make(map[Securable][]*container)
	for _, s := range changed {
		if s.Type == Schema {
			catalog, _ := s.Parent()
			schemasOf[catalog] = append(schemasOf[catalog], containers[s])
		}
	}
	for _, s := range changed {
		c := containers[s]
		others := c.objects
		if s.Type == Catalog {
			for _, schema := range schemasOf[s] {
				taken := schema.taken()
				others.merge(&taken)
			}
		} else if catalog, _ := s.Parent(); containers[catalog] != nil {
			taken := containers[catalog].taken()
			others.merge(&taken)
		}
		c.join(&others)
		for _, part := range c.parts {
			ordered = append(ordered, Change{Securable: s, Wave: part.wave, Add: part.add, Remove: part.remove})
		}
	}
	slices.SortStableFunc(ordered, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Wave, b.Wave), a.Securable.Compare(b.Securable))
	})
	return ordered
}

// container is a catalog or schema while its changes are ordered.
type container struct {
	objects stepsAt // of the changed objects inside
	parts   []part
}

// part is some of a container's change, made in one request.
type part struct {
	steps       []step
	wave        int
	add, remove []Assignment
}

// split takes a change apart by steps.
func (c *container) split(change Change, current *GrantSet) {
	var parts [steps]part
	for _, a := range change.Add {
		i := stepAdd
		if a.Privilege.IsUse() && !holds(current, change.Securable, a) {
			i = stepAddUse
		}
		parts[i].add = append(parts[i].add, a)
	}
	for _, a := range change.Remove {
		i := stepRemove
		if a.Privilege.IsUse() {
			i = stepRemoveUse
		}
		parts[i].remove = append(parts[i].remove, a)
	}
	for i, p := range parts {
		if len(p.add)+len(p.remove) > 0 {
			p.steps, p.wave = []step{step(i)}, naturalWave[i]
			c.parts = append(c.parts, p)
		}
	}
}

// holds reports whether the principal itself holds the privilege on s already, by a grant on s or above that implies
// it: adding it opens nothing.
func holds(g *GrantSet, s Securable, a Assignment) bool {
	for ok := true; ok; s, ok = s.Parent() {
		for _, have := range g.Of(s) {
			if have.Principal == a.Principal && have.Privilege.Implies(a.Privilege) {
				return true
			}
		}
	}
	return false
}

func (c *container) taken() stepsAt {
	var t stepsAt
	for _, p := range c.parts {
		for _, s := range p.steps {
			t[s][p.wave] = true
		}
	}
	return t
}

// join makes as few parts as the steps taken on other securables of the lineage allow.
func (c *container) join(others *stepsAt) {
	joined := c.parts[:0:0]
	for _, p := range c.parts {
		if n := len(joined); n > 0 {
			last := &joined[n-1]
			after := 0
			if n > 1 {
				after = joined[n-2].wave
			}
			together := append(slices.Clone(last.steps), p.steps...)
			if w, ok := commonWave(together, after, others); ok {
				last.steps, last.wave = together, w
				last.add, last.remove = append(last.add, p.add...), append(last.remove, p.remove...)
				continue
			}
		}
		joined = append(joined, p)
	}
	for i := range joined {
		slices.SortFunc(joined[i].add, CompareAssignments)
		slices.SortFunc(joined[i].remove, CompareAssignments)
	}
	c.parts = joined
}

// commonWave finds a wave later than after in which all the steps may be taken.
func commonWave(taken []step, after int, others *stepsAt) (int, bool) {
	for w := after + 1; w <= waveRemoveUse; w++ {
		if others.allows(taken, w) {
			return w, true
		}
	}
	return 0, false
}
