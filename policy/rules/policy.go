package rules

import (
	"slices"
	"strings"

	"ucwarden/policy/condition"
	"ucwarden/policy/match"
	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
	"ucwarden/policy/schedule"
)

// ItemKind tells which of a policy's lists an item is in.
type ItemKind uint8

// The kinds of items. ItemDenyAllElse and ItemUnreadable are none of the lists: the policy denies whom it does not allow,
// or cannot be understood and so denies everybody.
const (
	ItemNone ItemKind = iota
	ItemAllow
	ItemDeny
	ItemAllowException
	ItemDenyException
	ItemDataMask
	ItemRowFilter
	ItemDenyAllElse
	ItemUnreadable
)

var itemKindNames = [...]string{"none", "policyItems", "denyPolicyItems", "allowExceptions", "denyExceptions",
	"dataMaskPolicyItems", "rowFilterPolicyItems", "isDenyAllElse", "unreadable policy"}

func (k ItemKind) String() string { return itemKindNames[k] }

// Listed reports whether items of this kind stand in a list of the policy, and so have an index.
func (k ItemKind) Listed() bool { return k != ItemDenyAllElse && k != ItemUnreadable }

// priorityUnreadable is the priority of policies that cannot be understood: above all others, so that no allow opens
// what they may close.
const priorityUnreadable = 1 << 29

// Policy is a policy as evaluator and compiler both read it.
type Policy struct {
	Source    *ranger.Policy
	Type      ranger.PolicyType // of a policy that closes what cannot be understood of it PolicyTypeAccess, since it denies
	Priority  int
	Zone      string // whose list it is in; of a tag policy the zone it names
	Tag       bool   // a policy on tags
	Elsewhere bool   // it is in another list, and may have been meant for this zone: it denies here, too

	Resources  []match.Matcher // one is enough; none: it matches nothing
	Everywhere bool            // its resources cannot be understood: it is about everything
	Validity   schedule.Validity
	Conditions condition.List

	Allow, Deny, AllowExceptions, DenyExceptions []Item
	Protect                                      []Item // data masks or row filters
	DenyAllElse                                  bool
	HasDeny                                      bool // it denies all else, or has deny items that may be about this service

	model  *Model
	damage *damage // what faults take from it; nil where it has none
	ascii  bool    // no resource has other characters than ASCII
	order  int     // lower is evaluated first among equals
}

// Item is a policy item as evaluator and compiler both read it.
type Item struct {
	Kind       ItemKind
	Index      int      // in its list
	Named      []string // access types as the item names them, of this service, but those switched off
	Expanded   []string // with implied grants, sorted; where the item restricts, with all that may be implied
	accesses   []string // the same in lower case, sorted
	all        bool     // every access type
	Admin      bool     // delegated administration
	Who        SubjectSet
	HasUsers   bool // Who may hold users
	HasRoles   bool // Who may hold roles
	Owner      bool // {OWNER} is named
	Conditions condition.List
	Mask       *ranger.DataMaskInfo
	Filter     *ranger.RowFilterInfo
	macros     *itemMacros
	raw        *ranger.PolicyItem
}

// itemMacros are the macros of a mask's condition and value, or of a row filter.
type itemMacros struct{ condition, value, filter *match.Template }

// The access types that are not in any service definition.
const (
	AdminAccess   = "_admin"
	SuperUserOnly = "_super_user"
)

// reader prepares the policies of one snapshot.
type reader struct {
	table   *SubjectTable
	scripts match.ScriptCompiler
	tags    bool                             // policies of the tag service
	rename  func(name string) (string, bool) // an access type's or mask's name in this service; false for those of other services
}

func sameName(name string) (string, bool) { return name, true }

// policy prepares, in e, a policy of a zone's list ("" outside zones). A policy with a schedule that cannot be read is read like
// one under a condition that cannot be judged.
func (r *reader) policy(e *Policy, m *Model, p *ranger.Policy, zone string) {
	*e = Policy{
		Source: p, Type: p.PolicyType, Priority: p.PolicyPriority, Zone: zone, Tag: r.tags, model: m, damage: newDamage(p),
		Conditions: m.Conditions.Compile(p.Conditions, r.scripts),
	}
	if r.tags {
		e.Zone = p.ZoneName
	}
	var err error
	if e.Validity, err = schedule.New(p.ValiditySchedules); err != nil {
		e.Conditions = e.Conditions.WithUnknown()
	}
	if e.Type < ranger.PolicyTypeAccess || int(e.Type) >= len(m.forests) {
		if e.damage == nil {
			e.damage = &damage{}
		}
		e.damage.closed = true // of what type its items are is not known
		r.applyDamage(e)
		return
	}
	e.readResources(r.scripts)
	e.Allow = r.items(e, ItemAllow, p.PolicyItems)
	if m.denies {
		e.Deny = r.items(e, ItemDeny, p.DenyPolicyItems)
		e.AllowExceptions = r.items(e, ItemAllowException, p.AllowExceptions)
		e.DenyExceptions = r.items(e, ItemDenyException, p.DenyExceptions)
	}
	e.DenyAllElse = p.IsDenyAllElse
	e.HasDeny = p.IsDenyAllElse || len(e.Deny) > 0 || !m.denies && len(p.DenyPolicyItems) > 0
	r.protection(e)
	if e.damage != nil {
		r.applyDamage(e)
	}
}

func (e *Policy) readResources(scripts match.ScriptCompiler) {
	e.Resources, e.ascii = nil, true
	for i := range len(e.Source.AdditionalResources) + 1 {
		resources := e.Source.Resources
		if i > 0 {
			resources = e.Source.AdditionalResources[i-1]
		}
		e.addResources(resources, scripts)
	}
}

// addResources adds one set of resources, and reports whether it is one that policies of this type can be about.
func (e *Policy) addResources(resources map[string]ranger.PolicyResource, scripts match.ScriptCompiler) bool {
	m, ok := match.New(e.model.forests[e.Type], resources, scripts)
	if ok {
		e.Resources = append(e.Resources, m)
		e.ascii = e.ascii && m.IsASCII()
	}
	return ok
}

// Restricts reports whether the policy may take access away: it denies, masks or filters.
func (e *Policy) Restricts() bool { return e.HasDeny || len(e.Protect) > 0 }

// Damaged reports whether some of the policy cannot be understood.
func (e *Policy) Damaged() bool { return e.damage != nil }

// Confirms reports whether the policy, where it is about what is asked for, ends an evaluation in which something allowed, so that
// no policy after it can deny. It must not be able to deny itself, and that it is in force must be known. Source:
// RangerPolicyEngineImpl.evaluatePoliciesForOneAccessTypeNoAudit, evaluateTagPolicies.
func (e *Policy) Confirms() bool {
	return !e.HasDeny && (e.damage == nil || !e.damage.void && !e.damage.noAllow)
}

func (r *reader) items(e *Policy, kind ItemKind, list []ranger.PolicyItem) []Item {
	if len(list) == 0 {
		return nil
	}
	items := make([]Item, 0, len(list))
	for i := range list {
		if item, ok := r.item(e, kind, i, &list[i]); ok {
			items = append(items, item)
		}
	}
	return items
}

// protection reads the items of masks and row filters.
func (r *reader) protection(e *Policy) {
	switch e.Type {
	case ranger.PolicyTypeDataMask:
		for i := range e.Source.DataMaskPolicyItems {
			raw := &e.Source.DataMaskPolicyItems[i]
			item, ok := r.item(e, ItemDataMask, i, &raw.PolicyItem)
			info := raw.DataMaskInfo
			if name, known := r.rename(info.DataMaskType); ok && known {
				info.DataMaskType = name
				item.Mask = &info
				item.macros = &itemMacros{condition: match.NewTemplate(info.ConditionExpr, r.scripts), value: match.NewTemplate(info.ValueExpr, r.scripts)}
				e.Protect = append(e.Protect, item)
			}
		}
	case ranger.PolicyTypeRowFilter:
		for i := range e.Source.RowFilterPolicyItems {
			raw := &e.Source.RowFilterPolicyItems[i]
			if item, ok := r.item(e, ItemRowFilter, i, &raw.PolicyItem); ok {
				item.Filter = &raw.RowFilterInfo
				item.macros = &itemMacros{filter: match.NewTemplate(raw.RowFilterInfo.FilterExpr, r.scripts)}
				e.Protect = append(e.Protect, item)
			}
		}
	}
}

// item prepares an item. One that is left with none of its access types takes no part.
func (r *reader) item(p *Policy, kind ItemKind, index int, raw *ranger.PolicyItem) (Item, bool) {
	m, damaged := p.model, itemDamage{}
	if p.damage != nil {
		damaged = p.damage.items[itemPlace{kind, index}]
	}
	e := Item{Kind: kind, Index: index, raw: raw, Admin: raw.DelegateAdmin, Conditions: m.Conditions.Compile(raw.Conditions, r.scripts)}
	named, left := r.named(m, raw, damaged.accesses)
	e.Named = named
	if left == 0 && len(raw.Accesses) > 0 && !raw.DelegateAdmin {
		return e, false
	}
	e.Expanded = m.expand(e.Named, e.Restricts())
	e.accesses = e.Expanded
	if slices.ContainsFunc(e.Expanded, func(a string) bool { return naming.Canonical(a) != a }) {
		e.accesses = nil
		for _, a := range e.Expanded {
			e.accesses = append(e.accesses, naming.Canonical(a))
		}
		slices.Sort(e.accesses)
		e.accesses = slices.Compact(e.accesses)
	}
	e.Who = newSubjectSet(r.table, raw)
	e.HasUsers, e.HasRoles, e.Owner = len(raw.Users) > 0, len(raw.Roles) > 0, slices.Contains(raw.Users, UserOwner)
	return e, p.damage == nil || e.damaged(damaged)
}

// named lists the access types that an item names, of this service, but those switched off or lost; left is the number with
// those. Most items name one, and share what the definition holds of it.
func (r *reader) named(m *Model, raw *ranger.PolicyItem, lost map[int]bool) (list []string, left int) {
	for i, a := range raw.Accesses {
		name, ok := r.rename(a.Type)
		if !ok {
			continue
		}
		left++
		switch {
		case !a.Allowed() || lost[i]:
		case len(raw.Accesses) == 1 && len(m.Implied[name]) == 1:
			list = m.Implied[name]
		default:
			list = append(list, name)
		}
	}
	return list, left
}

// Restricts reports whether the item takes access away: what it applies to without need is lost, not leaked.
func (i *Item) Restricts() bool {
	switch i.Kind {
	case ItemDeny, ItemAllowException, ItemDataMask, ItemRowFilter, ItemUnreadable:
		return true
	}
	return false
}

// MatchesAccess reports whether the item is about an access type, written in lower case.
func (i *Item) MatchesAccess(access string) bool {
	if access == AdminAccess {
		return i.Admin
	}
	if i.all {
		return true
	}
	_, found := slices.BinarySearch(i.accesses, access)
	return found
}

// MatchesAny reports whether the item is about any access type at all.
func (i *Item) MatchesAny() bool { return i.all || len(i.accesses) > 0 }

// Accesses lists the access types that the item is about, in lower case and sorted; all is true where it is about every
// one. The caller must not change the list.
func (i *Item) Accesses() (list []string, all bool) { return i.accesses, i.all }

// MaskFor returns the item's mask with its macros replaced for one request.
func (i *Item) MaskFor(v *match.Values) *ranger.DataMaskInfo {
	if i.Mask == nil {
		return nil
	}
	mask := *i.Mask
	mask.ConditionExpr, mask.ValueExpr = i.macros.condition.Expand(mask.ConditionExpr, v), i.macros.value.Expand(mask.ValueExpr, v)
	return &mask
}

// FilterFor returns the item's row filter with its macros replaced for one request.
func (i *Item) FilterFor(v *match.Values) *ranger.RowFilterInfo {
	if i.Filter == nil {
		return nil
	}
	return &ranger.RowFilterInfo{FilterExpr: i.macros.filter.Expand(i.Filter.FilterExpr, v)}
}

// Match reports how the policy's i-th resources lie to those of a request.
func (p *Policy) Match(i int, path *match.Path, v *match.Values) match.Type {
	return p.Resources[i].Match(path.Elements, v, false)
}

// MatchLoosely is Match with names compared by [naming.Loose]. A policy none of whose resources matches by the very
// names, but one does loosely, denies and allows nothing.
func (p *Policy) MatchLoosely(i int, path *match.Path, v *match.Values) match.Type {
	return p.Resources[i].Match(path.Elements, v, true)
}

// MatchesLooselyAtAll reports whether comparing names loosely can make a difference for a request.
func (p *Policy) MatchesLooselyAtAll(path *match.Path) bool { return !p.ascii || !path.IsASCII() }

// MayDeny reports whether deny items and exceptions of the policy take part; its service definition may switch them off.
func (p *Policy) MayDeny() bool { return p.model.denies }

// Inherits reports whether a policy on a container holds for everything inside it.
func (p *Policy) Inherits() bool { return p.Tag || p.model.inherit }

// ConditionProblems returns what is wrong with one of the policy's conditions, or of its items', by its own service definition.
func (p *Policy) ConditionProblems(c ranger.Condition) []condition.Problem {
	return p.model.Conditions.Problems(c)
}

// DescribeConditions lists the types of the policy's conditions, for messages.
func (p *Policy) DescribeConditions() string {
	words := describeConditions(p.Source.Conditions)
	if len(p.Conditions) > len(p.Source.Conditions) {
		words = strings.TrimPrefix(words+", a validity schedule that cannot be read", ", ")
	}
	return words
}

// DescribeConditions lists the types of the item's conditions, for messages.
func (i *Item) DescribeConditions() string { return describeConditions(i.raw.Conditions) }

func describeConditions(list []ranger.Condition) string {
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.Type
	}
	return strings.Join(names, ", ")
}

// MatchWithoutRequest reports whether the policy is about a resource, and whether that depends on who asks, since its
// resources hold macros.
func (p *Policy) MatchWithoutRequest(path *match.Path, v *match.Values) (matched, conditional bool) {
	is := func(m match.Type) bool {
		return m == match.Self || m == match.SelfAndAllDescendants || m == match.Ancestor && p.model.inherit
	}
	for i := range p.Resources {
		m := &p.Resources[i]
		if is(m.Match(path.Elements, v, false)) {
			return true, false
		}
		if m.Dynamic() && !conditional {
			conditional = is(m.WithWildcards().Match(path.Elements, v, false))
		}
	}
	return conditional || p.Everywhere, conditional
}

// Resource returns the definition by which the policy's names of a resource are compared, nil when there is none.
func (p *Policy) Resource(name string) *ranger.ResourceDef { return p.model.Resource(p.Type, name) }

// AllAccesses lists the access types of the policy's service definition but the one named "all".
func (p *Policy) AllAccesses() []string {
	var list []string
	for _, a := range p.model.def.AccessTypes {
		if !strings.EqualFold(a.Name, "all") {
			list = append(list, a.Name)
		}
	}
	return list
}

// SourceValues writes, for people, what the policy names at one level of its resources.
func (p *Policy) SourceValues(level string) string {
	return strings.Join(p.Source.Resources[level].Values, " or ")
}

// Covers reports whether q matches whatever p matches. It errs on the side of no.
func (q *Policy) Covers(p *Policy) bool {
	for i := range p.Resources {
		if !slices.ContainsFunc(q.Resources, func(w match.Matcher) bool { return w.Covers(&p.Resources[i], q.model.inherit) }) {
			return false
		}
	}
	return true
}
