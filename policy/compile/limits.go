package compile

import (
	"fmt"
	"maps"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/rules"
)

// outsideKey tells apart what is said of objects that are out of scope: by the node above, and their class.
type outsideKey struct {
	above *outcome
	class policy.ObjectClass
}

// outOfScope notes that grants on the containers above an object that is out of scope apply to it too. Policies allow them,
// but who left the object out may not expect it.
func (r *compilation) outOfScope(o policy.Object, on *outcome) {
	inside := policy.ClassOf(o)
	if o.Type == policy.Schema {
		inside = inside.Inside()
	}
	key := outsideKey{on, inside}
	noted, known := r.outside[key]
	if !known {
		noted = r.note(r.alsoReached(on.above, inside))
		r.outside[key] = noted
	}
	noted.at(o.Securable)
}

// alsoReached returns a finding on the first grant above that acts on objects of the classes.
func (r *compilation) alsoReached(above map[rules.SubjectID]policy.PrivilegeSet, inside policy.ObjectClass) []policy.Finding {
	for _, p := range slices.Sorted(maps.Keys(above)) {
		for x := range above[p].All() {
			if !x.IsUse() && policy.ActsOn[x]&inside != 0 {
				return []policy.Finding{{Effect: policy.EffectNone, Principal: r.principals[p], Privilege: x, Message: fmt.Sprintf(
					"%s is granted %s on what holds this, so the grant applies here too although the scope leaves it out", r.describe(p), x)}}
			}
		}
	}
	return nil
}

// notOursOn returns the privileges that may not be granted on a container because of its name.
func (r *compilation) notOursOn(container policy.Securable) policy.PrivilegeSet {
	if r.opts.NotOurs == nil {
		return 0
	}
	return r.opts.NotOurs(container)
}
