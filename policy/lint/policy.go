package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/explain"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// resources checks that what the policy names is there, and can match something.
func (l *lintList) resources(p *ranger.Policy) {
	for i := range len(p.AdditionalResources) + 1 {
		path, resources := "resources", p.Resources
		if i > 0 {
			path, resources = fmt.Sprintf("additionalResources[%d]", i-1), p.AdditionalResources[i-1]
		}
		matches := !faulty(p, path)
		for _, name := range slices.Sorted(maps.Keys(resources)) {
			if !l.values(p, path+"."+name, name, resources[name]) {
				matches = false
			}
		}
		if matches && l.objects != nil && !l.tags {
			l.objectsFor(p, path, resources)
		}
	}
}

// values checks the values of one resource level, and reports whether some name can match them.
func (l *lintList) values(p *ranger.Policy, path, name string, r ranger.PolicyResource) bool {
	def := l.model.Resource(name)
	if def == nil {
		return true
	}
	for _, v := range r.Values {
		l.expressions(p, path+".values", v)
	}
	all := slices.ContainsFunc(r.Values, func(v string) bool { return v != "" && strings.Trim(v, "*") == "" })
	if r.IsExcludes && all {
		l.find(p, SeverityWarning, CheckNoMatch, path, "it excludes '*', every name, so the policy matches nothing; name what to exclude")
		return false
	}
	if !def.MatcherOptions.Bool("wildCard", true) && slices.ContainsFunc(r.Values, func(v string) bool { return strings.ContainsAny(v, "*?") }) {
		l.find(p, SeverityWarning, CheckNoMatch, path+".values", "wildcards stand for themselves here, by the service definition; name the values")
	}
	level, _, known := rules.LevelOf(name)
	if l.tags {
		for i, value := range r.Values {
			if why := accepted.TagProblem(l.snapshot, value); why != "" && !faulty(p, fmt.Sprintf("%s.values[%d]", path, i)) {
				l.find(p, SeverityError, CheckNoMatch, fmt.Sprintf("%s.values[%d]", path, i), "%q can match no tag: %s", value, why)
			}
		}
		return true
	}
	if !known {
		return true // nothing of Unity Catalog
	}
	severity := SeverityError
	if level == 0 {
		severity = SeverityWarning // names of columns may hold nearly anything
	}
	possible := 0
	for i, value := range r.Values {
		if faulty(p, fmt.Sprintf("%s.values[%d]", path, i)) {
			continue
		}
		if why := accepted.ValueProblem(value); why != "" {
			l.find(p, severity, CheckNoMatch, fmt.Sprintf("%s.values[%d]", path, i), "%q can match no object: %s", value, why)
			continue
		}
		if level == 0 {
			possible++
			continue
		}
		why := l.model.NameProblem(name, value)
		if why == "" {
			possible++
			continue
		}
		l.find(p, SeverityError, CheckNoMatch, fmt.Sprintf("%s.values[%d]", path, i), "%q can match no object: %s", value, why)
	}
	return possible > 0 || r.IsExcludes
}

// items checks every item: what it names, whom it names, and whether it does anything.
func (l *lintList) items(p *ranger.Policy) {
	lists := []struct {
		kind  rules.ItemKind
		items []ranger.PolicyItem
		of    ranger.PolicyType
		needs []ranger.PolicyItem // what exceptions are from
		what  string
	}{
		{rules.ItemAllow, p.PolicyItems, ranger.PolicyTypeAccess, nil, ""},
		{rules.ItemDeny, p.DenyPolicyItems, ranger.PolicyTypeAccess, nil, ""},
		{rules.ItemAllowException, p.AllowExceptions, ranger.PolicyTypeAccess, p.PolicyItems, "policyItems"},
		{rules.ItemDenyException, p.DenyExceptions, ranger.PolicyTypeAccess, p.DenyPolicyItems, "denyPolicyItems"},
		{rules.ItemDataMask, maskItems(p), ranger.PolicyTypeDataMask, nil, ""},
		{rules.ItemRowFilter, filterItems(p), ranger.PolicyTypeRowFilter, nil, ""},
	}
	total := 0
	for _, list := range lists {
		if len(list.items) == 0 {
			continue
		}
		if list.of != p.PolicyType {
			l.find(p, SeverityWarning, CheckNothing, list.kind.String(), "a policy of policyType %d has no use for these items; put them into a policy of policyType %d", p.PolicyType, list.of)
			continue
		}
		total += len(list.items)
		if list.what != "" && len(list.needs) == 0 {
			l.find(p, SeverityWarning, CheckNothing, list.kind.String(), "exceptions from nothing: the policy has no %s, and an exception alone allows and denies nothing", list.what)
		}
		for i := range list.items {
			l.item(p, list.kind, i, &list.items[i])
		}
	}
	if total == 0 && !p.IsDenyAllElse {
		l.find(p, SeverityWarning, CheckNothing, "", "it has no items, so it allows and denies nothing; remove or complete it")
	}
}

func maskItems(p *ranger.Policy) []ranger.PolicyItem {
	var list []ranger.PolicyItem
	for i := range p.DataMaskPolicyItems {
		list = append(list, p.DataMaskPolicyItems[i].PolicyItem)
	}
	return list
}

func filterItems(p *ranger.Policy) []ranger.PolicyItem {
	var list []ranger.PolicyItem
	for i := range p.RowFilterPolicyItems {
		list = append(list, p.RowFilterPolicyItems[i].PolicyItem)
	}
	return list
}

func (l *lintList) item(p *ranger.Policy, kind rules.ItemKind, index int, item *ranger.PolicyItem) {
	path := explain.ItemPath(kind, index)
	for _, name := range accepted.ItemNames(p, path, item) {
		l.misspelt(p, name)
	}
	empty := true
	for subject, names := range map[rules.SubjectKind][]string{rules.SubjectUser: item.Users, rules.SubjectGroup: item.Groups, rules.SubjectRole: item.Roles} {
		for i, name := range names {
			empty = empty && name == ""
			if doubt, _ := accepted.Name(subject, name); doubt == accepted.DoubtNone && l.isUnknown(subject, name) {
				l.find(p, SeverityWarning, CheckPrincipal, fmt.Sprintf("%s.%ss[%d]", path, subject, i), "%s %q %s", subject, name, l.unknownWords(subject, name))
			}
		}
	}
	if empty && !faulty(p, path) { // else what is not understood of it may be a name
		l.find(p, SeverityWarning, CheckNobody, path, "it names no user, group or role, so it is for nobody; name somebody, or remove it")
	}
	on, protects := 0, kind == rules.ItemDataMask || kind == rules.ItemRowFilter
	for i, a := range item.Accesses {
		field := fmt.Sprintf("%s.accesses[%d].type", path, i)
		if faulty(p, field) {
			continue
		}
		if !a.Allowed() {
			continue
		}
		on++
		if where := l.notThere(p, a.Type); where != "" && !protects {
			l.find(p, SeverityWarning, CheckNothing, field, "the service definition gives %q no meaning on %s, so it does nothing; remove it, or name other resources", a.Type, where)
		}
	}
	switch {
	case on > 0 || len(item.Accesses) > 0 && l.refused[p]:
	case item.DelegateAdmin:
		l.find(p, SeverityInfo, CheckNothing, path, "it gives delegated administration only, which says who may edit policies and has no counterpart in Unity Catalog")
	case len(item.Accesses) > 0:
		l.find(p, SeverityWarning, CheckNothing, path+".accesses", "every access is switched off (isAllowed false), so the item does nothing; switch one on, or remove the item")
	default:
		l.find(p, SeverityWarning, CheckNothing, path+".accesses", "it names no access, so it does nothing; name one, or remove the item")
	}
	if kind == rules.ItemAllow && l.isPublic(item) && l.isAll(item) {
		l.find(p, SeverityWarning, CheckPublicAll, path, "everyone in the account is allowed all privileges; name the groups that need them")
	}
}

func (l *lintList) isPublic(item *ranger.PolicyItem) bool {
	return slices.Contains(item.Groups, rules.GroupPublic) || slices.Contains(item.Users, rules.UserCurrent)
}

// isAll reports whether an item allows everything: ALL_PRIVILEGES, or Ranger's marker or habitual name for all.
func (l *lintList) isAll(item *ranger.PolicyItem) bool {
	return slices.ContainsFunc(item.Accesses, func(a ranger.ItemAccess) bool {
		name := a.Type[strings.LastIndexByte(a.Type, ':')+1:]
		return a.Allowed() && (strings.EqualFold(name, string(policy.AllPrivileges)) || name == ranger.MarkerAll || strings.EqualFold(name, "all"))
	})
}

// nearAccess proposes the access type that a name may mean.

// notThere names the policy's resources when the service definition restricts their access types, and neither the
// access nor anything it implies is among them, nor below where policies are inherited.
func (l *lintList) notThere(p *ranger.Policy, access string) string {
	if l.model == nil || l.tags || p.PolicyType != ranger.PolicyTypeAccess {
		return ""
	}
	var names []string
	for i := range len(p.AdditionalResources) + 1 {
		resources := p.Resources
		if i > 0 {
			resources = p.AdditionalResources[i-1]
		}
		leaf := l.leaf(resources)
		if leaf == nil || len(leaf.AccessTypeRestrictions) == 0 {
			return ""
		}
		for _, a := range l.model.ImpliedBy(access) {
			if slices.Contains(leaf.AccessTypeRestrictions, a) {
				return ""
			}
		}
		names = append(names, leaf.Name)
	}
	return strings.Join(slices.Compact(names), " and ")
}

// leaf is the deepest of the resources; nil when they are on no path.
func (l *lintList) leaf(resources map[string]ranger.PolicyResource) *ranger.ResourceDef {
	for _, h := range l.model.HierarchiesWith(ranger.PolicyTypeAccess, resources) {
		if rules.CoversPrefix(h, resources) && len(resources) > 0 {
			leaf := h[len(resources)-1]
			if r := resources[leaf.Name]; strings.EqualFold(leaf.Name, "column") && len(r.Values) == 1 && r.Values[0] == "*" && len(resources) > 1 {
				leaf = h[len(resources)-2] // all columns are the table
			}
			return leaf
		}
	}
	return nil
}
