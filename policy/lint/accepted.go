package lint

import (
	"fmt"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/condition"
	"ucwarden/policy/explain"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// The checks of what is accepted and has no meaning, or not the one it seems to have.
const (
	CheckField     = "unknown-field"     // a field without a meaning here
	CheckZone      = "unknown-zone"      // a zone that does not exist, or that the policy is not in
	CheckCondition = "unknown-condition" // a condition that nothing can judge
	CheckScript    = "script"            // a script that fails
	CheckService   = "other-service"     // a service or service type other than that of the policies
)

// problems reports the fields of the documents that have no meaning here.
func (l *linter) problems() {
	for _, p := range l.snapshot.Problems {
		f := Finding{Severity: SeverityWarning, Check: CheckField, PolicyID: p.PolicyID, Policy: p.Policy, File: p.Origin, Field: p.Field, Message: "it " + p.Message}
		switch {
		case p.LeftOut && p.Effect == policy.EffectNone:
			f.Severity, f.Check, f.Message = SeverityInfo, CheckService, p.Message
		case p.LeftOut:
			f.Severity, f.Check, f.Message = SeverityError, CheckRefused, p.Message
		}
		l.out.Findings = append(l.out.Findings, f)
	}
}

// checkOptions reports options of the service definition that have no effect by a mistake.
func (l *linter) checkOptions() {
	for _, p := range accepted.OptionProblems(l.snapshot.ServiceDef) {
		l.find(nil, SeverityError, CheckField, "service definition: "+p.Field, "%s", p.Message)
	}
}

// tagProblems reports tags that nothing can carry.
func (l *linter) tagProblems() {
	if l.rules == nil {
		return
	}
	for _, p := range accepted.TagProblems(l.rules) {
		l.find(nil, SeverityError, CheckNoMatch, "tags: "+p.Field, "%s", p.Message)
	}
}

// zones reports what means nothing in security zones.
func (l *linter) zones() {
	if l.rules == nil {
		return
	}
	for _, p := range accepted.ZoneProblems(l.rules) {
		severity, field := SeverityWarning, "securityZones."+p.Zone+"."+p.Field
		if p.Error {
			severity = SeverityError
		}
		var of *ranger.Policy
		if p.Policy != nil {
			of, field = p.Policy.Source, p.Field
		}
		l.find(of, severity, CheckNoMatch, field, "%s", p.Why)
	}
}

// accepted reports what a policy says without effect.
func (l *lintList) accepted(p *ranger.Policy) {
	l.zone(p)
	l.service(p)
	l.conditions(p, "conditions", p.Conditions)
	l.recurrences(p)
	if p.IsDenyAllElse && p.PolicyType != ranger.PolicyTypeAccess {
		l.find(p, SeverityWarning, CheckNothing, "isDenyAllElse", "it has no effect in a policy of policyType %d, which denies nobody; put it into a policy of policyType %d", p.PolicyType, ranger.PolicyTypeAccess)
	}
	if l.model != nil && !l.model.Denies() && p.PolicyType == ranger.PolicyTypeAccess {
		for _, kind := range []rules.ItemKind{rules.ItemDeny, rules.ItemAllowException, rules.ItemDenyException} {
			if len(itemsOf(p, kind)) > 0 {
				l.find(p, SeverityWarning, CheckNothing, kind.String(), "the service definition switches these items off (option enableDenyAndExceptionsInPolicies); switch them on, or remove them")
			}
		}
	}
	if len(p.Options) > 0 {
		l.find(p, SeverityInfo, CheckNothing, "options", "options of policies have no effect here")
	}
	for _, kind := range []rules.ItemKind{rules.ItemAllow, rules.ItemDeny, rules.ItemAllowException, rules.ItemDenyException, rules.ItemDataMask, rules.ItemRowFilter} {
		for i, item := range itemsOf(p, kind) {
			l.acceptedItem(p, explain.ItemPath(kind, i), &item)
		}
	}
	for i, item := range p.DataMaskPolicyItems {
		path := fmt.Sprintf("dataMaskPolicyItems[%d].dataMaskInfo", i)
		l.expressions(p, path+".conditionExpr", item.DataMaskInfo.ConditionExpr)
		l.expressions(p, path+".valueExpr", item.DataMaskInfo.ValueExpr)
	}
	for i := range p.RowFilterPolicyItems {
		l.expressions(p, fmt.Sprintf("rowFilterPolicyItems[%d].rowFilterInfo.filterExpr", i), p.RowFilterPolicyItems[i].RowFilterInfo.FilterExpr)
		if p.PolicyType == ranger.PolicyTypeRowFilter && p.RowFilterPolicyItems[i].RowFilterInfo.FilterExpr == "" {
			l.find(p, SeverityWarning, CheckNothing, fmt.Sprintf("rowFilterPolicyItems[%d].rowFilterInfo.filterExpr", i), "it is empty, so no row is filtered; write the condition of the rows to show")
		}
	}
}

// itemsOf lists the items of one kind; those of masks and filters without mask and filter.
func itemsOf(p *ranger.Policy, kind rules.ItemKind) []ranger.PolicyItem {
	switch kind {
	case rules.ItemAllow:
		return p.PolicyItems
	case rules.ItemDeny:
		return p.DenyPolicyItems
	case rules.ItemAllowException:
		return p.AllowExceptions
	case rules.ItemDenyException:
		return p.DenyExceptions
	case rules.ItemDataMask:
		return maskItems(p)
	case rules.ItemRowFilter:
		return filterItems(p)
	}
	return nil
}

func (l *lintList) acceptedItem(p *ranger.Policy, path string, item *ranger.PolicyItem) {
	l.conditions(p, path+".conditions", item.Conditions)
	if item.DelegateAdmin && len(item.Accesses) > 0 {
		l.find(p, SeverityInfo, CheckNothing, path+".delegateAdmin", "delegated administration says who may edit policies; it has no counterpart in Unity Catalog")
	}
}

// misspelt reports a name that is a slip of writing, or may be one; p is nil where it stands in no policy.
func (l *linter) misspelt(p *ranger.Policy, name accepted.NameProblem) {
	severity, check := SeverityError, CheckPrincipal
	if name.Doubt != accepted.DoubtNobody {
		severity = SeverityWarning
	}
	if name.Name == "" {
		check = CheckNobody
	}
	l.find(p, severity, check, name.Field, "%s", name)
}

// zone compares the zone that a policy names with the one whose list it is in.
func (l *lintList) zone(p *ranger.Policy) {
	holds := "outside security zones"
	if l.inZone != "" {
		holds = "in security zone " + l.inZone
	}
	switch {
	case p.ZoneName == "" || p.ZoneName == l.inZone:
	case l.snapshot.Zones[p.ZoneName] == nil && l.tags:
		l.find(p, SeverityWarning, CheckZone, "zoneName", "there is no security zone %q, so the policy holds nowhere; add the zone to securityZones, or correct the name", p.ZoneName)
	case l.snapshot.Zones[p.ZoneName] == nil:
		l.find(p, SeverityWarning, CheckZone, "zoneName", "there is no security zone %q; the policy holds %s, as in Ranger; add the zone to securityZones, or correct the name", p.ZoneName, holds)
	case !l.tags:
		l.find(p, SeverityWarning, CheckZone, "zoneName", "the policy is not in the list of security zone %q, so it holds %s, as in Ranger; move it to securityZones.%s.policies, or remove the name", p.ZoneName, holds, p.ZoneName)
	}
}

// zoneOfList returns the security zone whose list it is, "" when it is none's.
func zoneOfList(s *ranger.Snapshot, list []ranger.Policy) string {
	for name, zone := range s.Zones {
		if zone != nil && len(list) > 0 && len(zone.Policies) > 0 && &zone.Policies[0] == &list[0] {
			return name
		}
	}
	return ""
}

// service compares the service that a policy names with that of the policies.
func (l *lintList) service(p *ranger.Policy) {
	service := l.snapshot.Service
	if l.tags {
		service = l.snapshot.TagPolicies.ServiceName
	}
	if p.Service != "" && service != "" && p.Service != service {
		l.find(p, SeverityWarning, CheckService, "service", "it is of service %q among the policies of %q, and holds like those; remove it, or correct the name", p.Service, service)
	}
	if l.model != nil && p.ServiceType != "" && p.ServiceType != l.model.Name() {
		l.find(p, SeverityInfo, CheckService, "serviceType", "it has no effect: the policies are read by service definition %q, not by that of %q", l.model.Name(), p.ServiceType)
	}
}

// conditions reports those that nothing can judge, or that are not what they seem to be.
func (l *lintList) conditions(p *ranger.Policy, path string, list []ranger.Condition) {
	if l.model == nil {
		return
	}
	for i, c := range list {
		for _, problem := range l.model.Conditions.Problems(c) {
			severity, field := SeverityWarning, fmt.Sprintf("%s[%d].%s", path, i, problem.Field)
			if problem.Never {
				severity = SeverityError
			}
			if !faulty(p, field) {
				l.find(p, severity, CheckCondition, field, "%s", problem.Message)
			}
		}
		if source, _, ok := l.model.Conditions.Script(c); ok {
			l.script(p, fmt.Sprintf("%s[%d].values", path, i), source, condition.Unjudged, true)
		}
	}
}

// expressions reports those, in a text, that fail as scripts.
func (l *lintList) expressions(p *ranger.Policy, field, text string) {
	for _, source := range match.Expressions(text) {
		l.script(p, field, source, "the expression becomes an empty text", false)
	}
}

// recurrences reports those that limit nothing, or never begin.
func (l *lintList) recurrences(p *ranger.Policy) {
	for i, v := range p.ValiditySchedules {
		for n, r := range v.Recurrences {
			path := fmt.Sprintf("validitySchedules[%d].recurrences[%d]", i, n)
			switch s := r.Schedule; {
			case r.Interval.Days <= 0 && r.Interval.Hours <= 0 && r.Interval.Minutes <= 0:
				l.find(p, SeverityWarning, CheckNothing, path+".interval", "it has no length, so the recurrence limits nothing; say how many days, hours or minutes it lasts")
			case s.DayOfMonth == "" && s.DayOfWeek == "":
				l.find(p, SeverityWarning, CheckNeverOpen, path+".schedule", "it names neither days of the month nor of the week, so it never begins; say dayOfMonth or dayOfWeek, \"*\" for each day")
			}
		}
	}
}
