package accepted

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// findUnused reports the lists of a policy that its type has no use for.
func (f *finder) findUnused(p *rules.Policy) {
	raw := p.Source
	for _, list := range []struct {
		kind   rules.ItemKind
		length int
		of     ranger.PolicyType
		effect policy.Effect
	}{
		{rules.ItemAllow, len(raw.PolicyItems), ranger.PolicyTypeAccess, policy.EffectNarrower},
		{rules.ItemDataMask, len(raw.DataMaskPolicyItems), ranger.PolicyTypeDataMask, policy.EffectWider},
		{rules.ItemRowFilter, len(raw.RowFilterPolicyItems), ranger.PolicyTypeRowFilter, policy.EffectWider},
	} {
		if list.length > 0 && raw.PolicyType != list.of {
			f.find(p, list.effect, "%s: a policy of policyType %d has no use for them, so they have no effect; put them into a policy of policyType %d", list.kind, raw.PolicyType, list.of)
		}
	}
}

// findSchedules reports validity schedules that never open, as those that end before they begin.
func (f *finder) findSchedules(p *rules.Policy) {
	for i := range p.Validity {
		if p.Validity[i:i+1].OpensWithin(time.Time{}, time.Time{}) {
			continue
		}
		effect, consequence := policy.EffectNone, "the others alone hold"
		if !p.Validity.OpensWithin(time.Time{}, time.Time{}) {
			effect, consequence = effectOfNoMatch(p, false), "the policy is never in force"
		}
		s := p.Source.ValiditySchedules[i]
		f.find(p, effect, "validitySchedules[%d]: it never opens (start %q, end %q), so %s; correct its start, end and recurrences", i, s.StartTime, s.EndTime, consequence)
	}
}

// findInItems reports what the items of an access policy say that Unity Catalog has no counterpart for.
func (f *finder) findInItems(p *rules.Policy) {
	var reached policy.ObjectClass
	if !p.Tag && !p.Everywhere && p.Type == ranger.PolicyTypeAccess {
		reached = classesOf(p) // 0 where its resources have a finding of their own
	}
	var delegates []string
	for _, list := range [][]rules.Item{p.Allow, p.Deny, p.AllowExceptions, p.DenyExceptions, p.Protect} {
		for i := range list {
			item := &list[i]
			f.findOwner(p, item)
			f.findInert(p, item, reached)
			if item.Admin && item.Kind.Listed() {
				delegates = append(delegates, fmt.Sprintf("%s[%d]", item.Kind, item.Index))
			}
		}
	}
	if len(delegates) > 0 {
		f.find(p, policy.EffectNone, "%s: delegateAdmin says who may edit policies in Ranger; Unity Catalog has no counterpart, so nothing is granted or denied for it (MANAGE is an access type of its own)", strings.Join(delegates, ", "))
	}
}

// findOwner reports what an item says of owners, who hold everything on what they own without a grant.
func (f *finder) findOwner(p *rules.Policy, item *rules.Item) {
	switch {
	case !item.Owner:
	case item.Restricts():
		f.find(p, policy.EffectWider, "%s[%d]: it names {OWNER}; the owner of an object holds everything on it in Unity Catalog, which no grant and no deny changes", item.Kind, item.Index)
	default:
		f.find(p, policy.EffectNone, "%s[%d]: it names {OWNER}; the owner of an object holds everything on it in Unity Catalog, so nothing is granted for that", item.Kind, item.Index)
	}
}

// findInert reports the access types of an item that act on no class of object that its policy can be about.
func (f *finder) findInert(p *rules.Policy, item *rules.Item, reached policy.ObjectClass) {
	if _, all := item.Accesses(); all || reached == 0 {
		return
	}
	var inert []string
	mapped := 0
	for _, access := range item.Named {
		var acts policy.ObjectClass
		var known policy.PrivilegeSet
		for _, implied := range f.Model.ImpliedBy(access) {
			x := policy.Privilege(strings.ToUpper(implied))
			known |= x.Set()
			acts |= policy.ActsOn[x]
		}
		switch {
		case known == 0: // the compiler reports what is no privilege
		case acts&reached == 0:
			inert = append(inert, access)
			mapped++
		default:
			mapped++
		}
	}
	if len(inert) == 0 {
		return
	}
	effect, what := policy.EffectNarrower, "granted"
	if item.Restricts() {
		effect, what = policy.EffectWider, "denied"
	}
	if len(inert) < mapped {
		effect = policy.EffectNone
	}
	slices.Sort(inert)
	f.find(p, effect, "%s[%d]: Unity Catalog has no %s on what its resources name, nor on anything in it, so nothing is %s for that", item.Kind, item.Index,
		strings.ToUpper(strings.Join(slices.Compact(inert), ", ")), what)
}

// classesOf returns the classes of object that a policy can be about: what its resources name, what that holds where policies
// are inherited, and the containers all of whose objects they name.
func classesOf(p *rules.Policy) (reached policy.ObjectClass) {
	for i := range p.Resources {
		levels := p.Resources[i].AppendLevels(nil)
		for n, level := range slices.Backward(levels) {
			_, class, ok := rules.LevelOf(level.Name)
			if !ok {
				return 0
			}
			if n == len(levels)-1 && p.Inherits() {
				class = class.Inside()
			}
			reached |= class
			if !level.Any {
				break
			}
		}
	}
	return reached
}
