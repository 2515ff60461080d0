package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// damage is what the faults of a policy take from it. What is not understood of an allow allows nothing; what is not
// understood of a deny, an exception from allows, a mask or a filter closes what it might cover. All else holds.
type damage struct {
	void       bool // when, in what order or under what conditions it holds is not known: its allows do not hold
	closed     bool // whom it denies what is not known: everybody is denied everything that it is about
	where      bool // what it is about is not known in full
	order      bool // its priority is not known
	noAllow    bool // the list of allows is not known
	noExcept   bool // the list of exceptions from denies is not known
	protection bool // masks or filters are among the damaged items
	items      map[itemPlace]itemDamage
	effects    []faultEffect // by fault
}

type itemPlace struct {
	kind  ItemKind
	index int
}

// itemDamage is what faults take from an item.
type itemDamage struct {
	accesses map[int]bool // those that do not count
	allAccesses,
	who, // whom it names is not known in full
	rest bool // something else, as its conditions
}

// faultEffect is what follows from a fault, for messages.
type faultEffect uint8

const (
	faultHarmless   faultEffect = iota
	faultNoAllow                // what cannot be understood allows nothing, and all else holds
	faultVoid                   // the policy allows nothing
	faultClosesItem             // the item closes all that it might cover
	faultCloses                 // everybody is denied what the policy is about
	faultWhere                  // what it is about is not known
	faultLost                   // nothing of the policy is known
)

var itemKindOf = map[string]ItemKind{
	"policyItems": ItemAllow, "denyPolicyItems": ItemDeny, "allowExceptions": ItemAllowException, "denyExceptions": ItemDenyException,
	"dataMaskPolicyItems": ItemDataMask, "rowFilterPolicyItems": ItemRowFilter,
}

// newDamage works out what the faults of a policy take from it; nil where it has none.
func newDamage(p *ranger.Policy) *damage {
	if len(p.Faults) == 0 {
		return nil
	}
	d := &damage{items: make(map[itemPlace]itemDamage)}
	for _, f := range p.Faults {
		d.effects = append(d.effects, d.add(f))
	}
	return d
}

func (d *damage) add(f ranger.Fault) faultEffect {
	name, index, rest := f.Step()
	ofPolicy := index < 0 && rest == ""
	if ofPolicy && f.Known != "" {
		name = f.Known
	}
	kind, isList := itemKindOf[name]
	switch {
	case !ofPolicy && isMisplaced(f):
		d.closed = true
		return faultCloses
	case isList && index >= 0:
		return d.addItem(kind, index, rest, f)
	case name == "policyItems" || name == "denyExceptions":
		if f.Known == "" { // else what stands under the misspelt name is not read, and the list itself is
			d.noAllow, d.noExcept = d.noAllow || name == "policyItems", d.noExcept || name == "denyExceptions"
		}
		return faultNoAllow
	case isList && name != "allowExceptions", name == "isDenyAllElse", name == "policyType":
		d.closed = true
		return faultCloses
	case name == "resources" || name == "additionalResources":
		d.where = true
		return faultWhere
	}
	if f.IsEntry() {
		d.noAllow = true
		return faultLost
	}
	switch name {
	case "allowExceptions", "id": // nothing is decided by an id, but which of two policies holds is not known
		d.noAllow = true
		return faultVoid
	case "validitySchedules", "conditions", "isEnabled", "service", "serviceType", "zoneName":
		d.void = true
		return faultVoid
	case "policyPriority":
		d.void, d.order = true, true
		return faultVoid
	case "guid", "name", "description", "version", "isAuditEnabled", "policyLabels", "options", "resourceSignature",
		"createdBy", "updatedBy", "createTime", "updateTime":
		return faultHarmless
	}
	d.closed = true // a field that nobody knows may restrict anything
	return faultCloses
}

// isMisplaced reports whether a fault, in a part of a policy, is a field that restricts as a field of the policy does, as denies that are
// indented too far.
func isMisplaced(f ranger.Fault) bool {
	name := f.Field[strings.LastIndexByte(f.Field, '.')+1:]
	switch name {
	case "allowExceptions", "isDenyAllElse", "dataMaskPolicyItems", "rowFilterPolicyItems":
		return true
	}
	lower := strings.ToLower(name)
	return strings.Contains(lower, "deny") || strings.Contains(lower, "denied") || strings.Contains(lower, "denial")
}

func (d *damage) addItem(kind ItemKind, index int, rest string, f ranger.Fault) faultEffect {
	place := itemPlace{kind, index}
	it := d.items[place]
	field, at, below := ranger.Fault{Field: rest}.Step()
	if at < 0 && below == "" && f.Known != "" {
		field = f.Known
	}
	switch field {
	case "accesses":
		if at >= 0 {
			if it.accesses == nil {
				it.accesses = make(map[int]bool)
			}
			it.accesses[at] = true
		} else {
			it.allAccesses = true
		}
	case "users", "groups", "roles":
		it.who = true
		it.rest = it.rest || f.IsDuplicate() // what is wrong in a list is not in it, but of two lists one is
	case "delegateAdmin":
		return faultHarmless
	case "conditions", "dataMaskInfo", "rowFilterInfo":
		it.rest = true
	default: // the item itself, or a field that nobody knows, which may say whom it is for and what
		it.allAccesses, it.who, it.rest = true, true, true
	}
	d.items[place] = it
	switch kind {
	case ItemAllow, ItemDenyException:
		return faultNoAllow
	case ItemDataMask, ItemRowFilter:
		d.protection = true
		return faultClosesItem
	}
	return faultClosesItem
}

// damaged applies damage to an item, and reports whether anything is left of it.
func (i *Item) damaged(d itemDamage) bool {
	if !i.Restricts() {
		return !d.rest && !d.allAccesses
	}
	i.all = i.all || d.allAccesses || len(d.accesses) > 0
	if d.who {
		i.Who = SubjectSet{Everyone}
	}
	if d.rest {
		i.Conditions = nil
	}
	return true
}

// applyDamage takes from a policy what its faults leave unknown.
func (r *reader) applyDamage(e *Policy) {
	d := e.damage
	if d.void || d.where || d.closed || d.noAllow {
		e.Allow = nil
	}
	if d.noExcept {
		e.DenyExceptions = nil
	}
	if d.void {
		e.Conditions, e.Validity = nil, nil
	}
	closes := d.closed
	switch restricts := e.Restricts(); {
	case d.closed:
		e.close([]Item{{Kind: ItemUnreadable, all: true, Admin: true, Who: SubjectSet{Everyone}}})
	case len(e.Protect) > 0 && (d.where || d.protection):
		var deny []Item
		for i := range e.Protect {
			deny = append(deny, Item{Kind: ItemUnreadable, Index: i, all: true, Who: e.Protect[i].Who})
		}
		e.close(deny)
		closes = true
	case restricts && d.order:
		e.Priority = priorityUnreadable
	case !restricts && d.where:
		e.Resources = nil
		return
	}
	switch {
	case d.where:
		r.widen(e)
	case closes: // the type is another one
		e.readResources(r.scripts)
		e.Everywhere = len(e.Resources) == 0
	}
}

// close makes the policy one that denies by these items alone, before all others.
func (e *Policy) close(deny []Item) {
	*e = Policy{Source: e.Source, Zone: e.Zone, Tag: e.Tag, model: e.model, damage: e.damage, Resources: e.Resources, ascii: e.ascii,
		Type: ranger.PolicyTypeAccess, Priority: priorityUnreadable, Deny: deny, HasDeny: true}
}

// widen sets the resources of the policy to all that it might be about: where the values of a resource, or the resources
// above it, are not known, they stand for every one, and for what is below them. A set of which no name is one of the service
// definition may be about anything, unless all are names of what other services of Ranger have and Unity Catalog does not.
func (r *reader) widen(e *Policy) {
	e.Resources, e.ascii = nil, true
	for i := range len(e.Source.AdditionalResources) + 1 {
		path, resources := "resources", e.Source.Resources
		if i > 0 {
			path, resources = fmt.Sprintf("additionalResources[%d]", i-1), e.Source.AdditionalResources[i-1]
		}
		inPath := func(f ranger.Fault) bool { return f.Within(path) }
		switch {
		case slices.ContainsFunc(e.Source.Faults, inPath):
			r.addWidened(e, path, resources)
		default:
			e.addResources(resources, r.scripts)
		}
	}
	for _, f := range e.Source.Faults { // a list that is not known
		if name, index, rest := f.Step(); index < 0 && rest == "" && (name == "additionalResources" || f.Known == "additionalResources" || f.Known == "resources") {
			e.Resources, e.Everywhere = nil, true
		}
	}
}

// otherResources are resources of Ranger's services that are nothing of Unity Catalog, whatever is meant by them. Source:
// agents-common/src/main/resources/service-defs.
var otherResources = []string{"path", "url", "queue", "topic", "transactionalid", "consumergroup", "delegationtoken", "topology", "keyname", "nifi-resource",
	"column-family", "hiveservice", "collection", "index", "bucket", "key", "project", "queryid", "trinouser", "systemproperty", "sessionproperty"}

func (r *reader) addWidened(e *Policy, path string, resources map[string]ranger.PolicyResource) {
	var (
		anything = ranger.PolicyResource{Values: []string{""}} // "*" is a name where the definition knows no wildcards
		known    = make(map[string]ranger.PolicyResource)
	)
	others := len(resources) > 0
	for name, values := range resources {
		if e.model.Resources[name] == nil {
			others = others && slices.Contains(otherResources, name)
			continue
		}
		others = false
		if len(values.Values) == 0 || slices.ContainsFunc(e.Source.Faults, func(f ranger.Fault) bool { return f.Within(path + "." + name) }) {
			values = anything
		}
		known[name] = values
	}
	for _, name := range slices.Collect(maps.Keys(known)) {
		for def := e.model.Resources[e.model.Resources[name].Parent]; def != nil && known[def.Name].Values == nil; def = e.model.Resources[def.Parent] {
			known[def.Name] = anything
		}
	}
	if others {
		return
	}
	added := false
	for _, h := range e.model.hierarchies[ranger.PolicyTypeAccess] {
		depth := 0
		for depth < len(h) && known[h[depth].Name].Values != nil {
			depth++
		}
		if depth == 0 || depth < len(known) {
			continue
		}
		set := maps.Clone(known)
		added = e.addResources(set, r.scripts) || added
		for ; depth < len(h) && !e.Inherits(); depth++ {
			set[h[depth].Name] = anything
			e.addResources(set, r.scripts)
		}
	}
	e.Everywhere = e.Everywhere || !added
}

// effectWords says what follows from a fault; done is whether the policy closes anything by it.
func (e *Policy) effectWords(effect faultEffect) (words string, of policy.Effect) {
	closes := len(e.Protect) > 0 || e.Type == ranger.PolicyTypeAccess && (len(e.Deny) > 0 || e.DenyAllElse)
	about := "what it is about"
	if e.Everywhere {
		about = "everything"
	}
	switch {
	case effect == faultLost:
		return "nothing is allowed and nothing is denied by it, though it may have been to deny", policy.EffectWider
	case effect == faultHarmless:
		return "it has no effect", policy.EffectNone
	case e.damage.where && closes && !e.Everywhere && len(e.Resources) == 0:
		return "the policy is about another service's resources, and nothing of Unity Catalog, so it allows and denies nothing here", policy.EffectNone
	case effect == faultNoAllow:
		return "it allows nothing, and all else in the policy holds", policy.EffectNarrower
	case effect == faultClosesItem:
		return "whom the item may be about is denied all that it may be about", policy.EffectNarrower
	case effect == faultCloses:
		return "the policy allows nothing, and everybody is denied " + about, policy.EffectNarrower
	case effect == faultWhere && closes && e.Everywhere && e.Tag:
		of = policy.EffectNarrower
		for name := range e.Source.Resources {
			if _, _, ours := LevelOf(name); ours {
				of = policy.EffectWider // it may have been meant for these, with or without a tag
			}
		}
		return "the policy allows nothing, and what it denies is denied on whatever carries a tag, and nowhere else", of
	case effect == faultWhere && closes && e.Everywhere:
		return "the policy allows nothing, and what it denies is denied everywhere", policy.EffectNarrower
	case effect == faultWhere && closes && len(e.Resources) > 0:
		return "the policy allows nothing, and what it denies is denied wherever it may be about", policy.EffectNarrower
	case closes:
		return "the policy allows nothing, and what it denies is denied", policy.EffectNarrower
	}
	return "the policy allows nothing", policy.EffectNarrower
}

// FollowsFrom returns in words what follows from a fault of the policy, by its place in Source.Faults, and what that means for
// access.
func (e *Policy) FollowsFrom(fault int) (words string, of policy.Effect) {
	return e.effectWords(e.damage.effects[fault])
}
