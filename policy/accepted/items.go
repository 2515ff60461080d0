package accepted

import (
	"fmt"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// findEmpty reports a policy that has no items, or exceptions from nothing.
func (f *finder) findEmpty(p *rules.Policy) {
	raw := p.Source
	if len(raw.Faults) > 0 {
		return // what stands there is not known
	}
	total := len(raw.PolicyItems) + len(raw.DenyPolicyItems) + len(raw.AllowExceptions) + len(raw.DenyExceptions) +
		len(raw.DataMaskPolicyItems) + len(raw.RowFilterPolicyItems) // those of other types are said by themselves
	effect := policy.EffectWider // it may have been to mask or filter
	if p.Type == ranger.PolicyTypeAccess {
		effect = policy.EffectNone
		for _, list := range []struct {
			kind, of      rules.ItemKind
			items, needed int
		}{
			{rules.ItemAllowException, rules.ItemAllow, len(raw.AllowExceptions), len(raw.PolicyItems)},
			{rules.ItemDenyException, rules.ItemDeny, len(raw.DenyExceptions), len(raw.DenyPolicyItems)},
		} {
			if list.items == 0 || list.needed > 0 {
				continue
			}
			follows := policy.EffectNone
			if list.kind == rules.ItemAllowException && list.items == total {
				follows = policy.EffectWider // it may have been to deny
			}
			f.find(p, follows, "%s: exceptions from nothing: the policy has no %s, and an exception alone allows and denies nothing", list.kind, list.of).Slip = true
		}
	}
	if total == 0 && !raw.IsDenyAllElse {
		f.find(p, effect, "it has no items, so it allows and denies nothing; remove or complete it").Slip = true
	}
}

// findItems reports the items of a policy that say less than their author may expect: those for nobody or for no access,
// those that a policy of this type or service definition does not have, and names that can be nobody's.
func (f *finder) findItems(p *rules.Policy) {
	raw := p.Source
	for _, list := range []struct {
		kind  rules.ItemKind
		items []ranger.PolicyItem
	}{
		{rules.ItemAllow, raw.PolicyItems}, {rules.ItemDeny, raw.DenyPolicyItems}, {rules.ItemAllowException, raw.AllowExceptions}, {rules.ItemDenyException, raw.DenyExceptions},
	} {
		restricts := list.kind == rules.ItemDeny || list.kind == rules.ItemAllowException
		if len(list.items) > 0 && restricts {
			switch {
			case p.Type != ranger.PolicyTypeAccess:
				f.find(p, policy.EffectWider, "%s: a policy of policyType %d has none, so they deny nothing; put them into a policy of policyType 0", list.kind, p.Type)
				continue
			case !p.MayDeny():
				f.find(p, policy.EffectWider, "%s: the service definition switches them off (option enableDenyAndExceptionsInPolicies), so they deny nothing; switch them on, or remove them", list.kind)
				continue
			}
		}
		if len(list.items) > 0 && list.kind == rules.ItemDenyException && p.Type == ranger.PolicyTypeAccess && !p.MayDeny() {
			f.find(p, policy.EffectNone, "%s: the service definition switches them off (option enableDenyAndExceptionsInPolicies), with the denies; remove them", list.kind).Slip = true
			continue
		}
		for i := range list.items {
			f.findItem(p, list.kind, i, &list.items[i], restricts)
		}
	}
	for i := range raw.DataMaskPolicyItems {
		f.findItem(p, rules.ItemDataMask, i, &raw.DataMaskPolicyItems[i].PolicyItem, true)
		f.findTagMask(p, i, &raw.DataMaskPolicyItems[i])
	}
	for i := range raw.RowFilterPolicyItems {
		f.findItem(p, rules.ItemRowFilter, i, &raw.RowFilterPolicyItems[i].PolicyItem, true)
		if path := fmt.Sprintf("%s[%d].rowFilterInfo.filterExpr", rules.ItemRowFilter, i); p.Type == ranger.PolicyTypeRowFilter &&
			strings.TrimSpace(raw.RowFilterPolicyItems[i].RowFilterInfo.FilterExpr) == "" && !faulty(p, path) {
			f.find(p, policy.EffectNone, "%s: it is empty, so by this policy whom the item names sees every row, as in Ranger; where that is not meant, write the condition of the rows to show", path).Slip = true
		}
	}
	if raw.IsDenyAllElse && p.Type != ranger.PolicyTypeAccess {
		f.find(p, policy.EffectWider, "isDenyAllElse: it has no effect in a policy of policyType %d, which denies nobody; put it into a policy of policyType %d", p.Type, ranger.PolicyTypeAccess)
	}
}

func (f *finder) findItem(p *rules.Policy, kind rules.ItemKind, index int, item *ranger.PolicyItem, restricts bool) {
	effect := policy.EffectNarrower
	if restricts {
		effect = policy.EffectWider
	}
	path := itemPath{kind, index}
	if p.Tag && IsOfOthers(item, f.Model.Name()) {
		return // who is meant there need not be known here
	}
	for _, name := range f.names.itemNames(p.Source, path, item) {
		if f.somebody(&name) {
			continue // which the compiler notes
		}
		r := f.find(p, effect, "%s: %s", name.Field, name)
		if r.Kind, r.Slip, r.Never = KindName, true, name.Doubt.IsError(); !r.Never {
			r.Effect = policy.EffectNone // what it says is done
		}
		if name.Name == "" {
			r.Kind = KindNobody
		}
	}
	if restricts {
		f.findMisnamed(p, path, item)
	}
	if len(item.Conditions) > 0 {
		f.findConditions(p, path.String()+".conditions", item.Conditions)
	}
	if len(p.Source.Faults) > 0 && faulty(p, path.String()) {
		return // what is not understood of it has a finding, and may be what is missing
	}
	if !restricts {
		effect = policy.EffectNone // what allows nothing allows nothing, as it says
	}
	if namesNobody(item) {
		r := f.find(p, effect, "%s: it names no user, group or role, so it is for nobody; name somebody, or remove it", path)
		r.Kind, r.Slip = KindNobody, true
	}
	if p.Tag && restricts {
		f.findTagAccess(p, kind, index, item)
	}
	switch off := switchedOff(item); {
	case len(off) < len(item.Accesses) && len(off) > 0:
		f.find(p, effect, "%s.accesses: %s is switched off (isAllowed false), so the item is not about it", path, strings.Join(off, ", "))
	case len(off) < len(item.Accesses) || item.DelegateAdmin:
	case len(off) > 0:
		f.find(p, effect, "%s.accesses: every access is switched off (isAllowed false), so the item does nothing; switch one on, or remove the item", path).Slip = true
	default:
		f.find(p, effect, "%s.accesses: it names no access, so it does nothing; name one, or remove the item", path).Slip = true
	}
}

// findConditions reports conditions that nothing can judge, or that no request can meet. That a grant cannot express them, and what
// follows, the compiler reports.
func (f *finder) findConditions(p *rules.Policy, path string, list []ranger.Condition) {
	for i, c := range list {
		for _, problem := range p.ConditionProblems(c) {
			if field := fmt.Sprintf("%s[%d].%s", path, i, problem.Field); !faulty(p, field) {
				r := f.find(p, policy.EffectNone, "%s: %s", field, problem.Message)
				r.Kind, r.Slip, r.Never = KindCondition, true, problem.Never
			}
		}
	}
}

// namesNobody reports whether an item holds no name at all, but empty ones.
func namesNobody(item *ranger.PolicyItem) bool {
	for _, list := range [][]string{item.Users, item.Groups, item.Roles} {
		if slices.ContainsFunc(list, func(name string) bool { return name != "" }) {
			return false
		}
	}
	return true
}

// switchedOff lists the access types of an item that take no part in it.
func switchedOff(item *ranger.PolicyItem) (off []string) {
	for _, a := range item.Accesses {
		if !a.Allowed() {
			off = append(off, a.Type)
		}
	}
	return off
}

// findTagAccess reports access types of a tag policy that no service has: a tag policy names them with their service
// definition, "hive:select", and leaves those of other services to them. It reports those, too, that imply nothing by the tag
// service's definition, and something by that of this service.
func (f *finder) findTagAccess(p *rules.Policy, kind rules.ItemKind, index int, item *ranger.PolicyItem) {
	def := f.Snapshot.TagPolicies.ServiceDef
	for i, a := range item.Accesses {
		service, local, ok := strings.Cut(a.Type, ":")
		if !ok {
			local = a.Type
		}
		if implied := f.Model.ImpliedBy(local); (!ok || service == f.Model.Name()) && def != nil && len(implied) > 1 && a.Allowed() &&
			slices.ContainsFunc(def.AccessTypes, func(d ranger.AccessTypeDef) bool { return d.Name == a.Type && len(d.ImpliedGrants) == 0 }) {
			f.find(p, policy.EffectWider, "%s[%d].accesses[%d].type: by the tag service's definition %q implies nothing, and by that of this service %s, so it is about the one alone, as in Ranger; name the others, too",
				kind, index, i, a.Type, strings.Join(implied, ", ")).Slip = true
		}
		if !ok || ranger.ComponentNamed(service, f.Model.Name()) != ranger.ComponentUnknown || def != nil && slices.ContainsFunc(def.AccessTypes, func(d ranger.AccessTypeDef) bool { return d.Name == a.Type }) {
			continue
		}
		f.find(p, policy.EffectWider, "%s[%d].accesses[%d].type: %q is an access type of no service that is known here; those of this service begin with %q",
			kind, index, i, a.Type, f.Model.Name()+":")
	}
}

// IsOfOthers reports whether an item of a tag policy is about access types of other services only; own is the service definition that
// the tags are read for.
func IsOfOthers(item *ranger.PolicyItem, own string) bool {
	return len(item.Accesses) > 0 && !item.DelegateAdmin && !slices.ContainsFunc(item.Accesses, func(a ranger.ItemAccess) bool {
		of, _, others := strings.Cut(a.Type, ":")
		return !others || ranger.ComponentNamed(of, own) != ranger.ComponentOther
	})
}

// findTagMask reports a mask of another service in an item of a tag policy that is about an access of this one, and the other way
// round: it masks nothing here.
func (f *finder) findTagMask(p *rules.Policy, index int, item *ranger.DataMaskPolicyItem) {
	if !p.Tag || item.DataMaskInfo.DataMaskType == "" {
		return
	}
	service, _, ok := strings.Cut(item.DataMaskInfo.DataMaskType, ":")
	masksOwn := !ok || ranger.ComponentNamed(service, f.Model.Name()) <= ranger.ComponentNearly
	own := ""
	for _, a := range item.Accesses {
		if of, _, others := strings.Cut(a.Type, ":"); a.Allowed() && (!others || ranger.ComponentNamed(of, f.Model.Name()) <= ranger.ComponentNearly) {
			own = a.Type
			break
		}
	}
	switch {
	case masksOwn && ok && own == "" && len(item.Accesses) > 0:
		f.find(p, policy.EffectWider, "dataMaskPolicyItems[%d].accesses: they are of other services, and the mask is of this one, so nothing is masked; name an access of this one, that begins with %q", index, f.Model.Name()+":").Slip = true
	case !masksOwn && own != "":
		f.find(p, policy.EffectWider, "dataMaskPolicyItems[%d].dataMaskInfo.dataMaskType: %q is a mask of another service, so nothing is masked for %q; write a mask of this one, that begins with %q",
			index, item.DataMaskInfo.DataMaskType, own, f.Model.Name()+":").Slip = true
	}
}
