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
	def := l.model.Resource(p.PolicyType, name)
	if def == nil {
		return true
	}
	for _, v := range r.Values {
		l.expressions(p, path+".values", v)
	}
	if accepted.ExcludesAll(r) != "" {
		return false
	}
	level, _, known := rules.LevelOf(name)
	if l.tags {
		return true
	}
	if !known {
		return true // nothing of Unity Catalog
	}
	possible := 0
	for i, value := range r.Values {
		if !faulty(p, fmt.Sprintf("%s.values[%d]", path, i)) && accepted.ValueProblem(value) == "" && (level == 0 || accepted.ObjectProblem(def, value) == "") {
			possible++
		}
	}
	return possible > 0 || r.IsExcludes
}

// items checks every item: what it names, whom it names, and whether it does anything.
func (l *lintList) items(p *ranger.Policy) {
	lists := []struct {
		kind  rules.ItemKind
		items []ranger.PolicyItem
		of    ranger.PolicyType
	}{
		{rules.ItemAllow, p.PolicyItems, ranger.PolicyTypeAccess},
		{rules.ItemDeny, p.DenyPolicyItems, ranger.PolicyTypeAccess},
		{rules.ItemAllowException, p.AllowExceptions, ranger.PolicyTypeAccess},
		{rules.ItemDenyException, p.DenyExceptions, ranger.PolicyTypeAccess},
		{rules.ItemDataMask, maskItems(p), ranger.PolicyTypeDataMask},
		{rules.ItemRowFilter, filterItems(p), ranger.PolicyTypeRowFilter},
	}
	for _, list := range lists {
		if list.of != p.PolicyType {
			continue // a remark
		}
		for i := range list.items {
			l.item(p, list.kind, i, &list.items[i])
		}
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
	if l.tags && accepted.IsOfOthers(item, l.snapshot.ServiceDef.Name) {
		return
	}
	for subject, names := range map[rules.SubjectKind][]string{rules.SubjectUser: item.Users, rules.SubjectGroup: item.Groups, rules.SubjectRole: item.Roles} {
		for i, name := range names {
			if kind != rules.ItemAllow && kind != rules.ItemDenyException && l.store.Near(subject, name) != "" {
				continue // a remark
			}
			if doubt, _ := accepted.Name(subject, name); doubt == accepted.DoubtNone && l.isUnknown(subject, name) {
				l.find(p, SeverityWarning, CheckPrincipal, fmt.Sprintf("%s.%ss[%d]", path, subject, i), "%s %q %s", subject, name, l.unknownWords(subject, name))
			}
		}
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
