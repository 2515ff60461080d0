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
	CheckField     = "unknown-field" // a field without a meaning here
	CheckZone      = string(accepted.KindZone)
	CheckCondition = string(accepted.KindCondition)
	CheckScript    = "script"        // a script that fails
	CheckService   = "other-service" // a service or service type other than that of the policies
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

// definition reports what has no effect in the service definition by a mistake.
func (l *linter) definition() {
	for _, p := range accepted.DefinitionProblems(l.snapshot.ServiceDef) {
		l.find(nil, SeverityError, CheckField, "service definition: "+p.Field, "%s", p.Message)
	}
	if tags := l.snapshot.TagPolicies; tags != nil {
		for _, p := range accepted.DefinitionProblems(tags.ServiceDef) {
			l.find(nil, SeverityError, CheckField, "definition of the tag service: "+p.Field, "%s", p.Message)
		}
	}
}

// remarks reports what policies say without effect, as the plan does.
func (l *linter) remarks() {
	if l.rules == nil {
		return
	}
	for _, r := range accepted.Remarks(l.rules) {
		severity := SeverityInfo
		switch {
		case r.Kind == accepted.KindFault:
			continue // said of disabled policies, too
		case r.Never:
			severity = SeverityError
		case r.Slip, r.Effect != policy.EffectNone:
			severity = SeverityWarning
		}
		l.find(r.Policy.Source, severity, string(r.Kind), r.Field, "%s", r.Message)
	}
}

// tagProblems reports tags that nothing can carry, and what of them cannot be understood.
func (l *linter) tagProblems() {
	if l.rules == nil {
		return
	}
	for _, p := range accepted.TagProblems(l.rules) {
		severity := SeverityError
		if tags := l.snapshot.Tags; tags == nil || len(tags.ServiceResources) == 0 {
			severity = SeverityWarning // they may come from elsewhere
		}
		if p.Field == "serviceResources" { // of other services, which may be meant
			severity = SeverityWarning
		}
		if p.Effect == policy.EffectNone {
			severity = SeverityInfo
		}
		l.find(nil, severity, CheckNoMatch, "tags: "+p.Field, "%s", p.Message)
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

// accepted reports what a policy says without effect, and what of it cannot be judged, beyond what the plan does.
func (l *lintList) accepted(p *ranger.Policy) {
	l.service(p)
	l.scripts(p, "conditions", p.Conditions)
	if len(p.Options) > 0 {
		l.find(p, SeverityInfo, CheckNothing, "options", "options of policies have no effect here")
	}
	for _, kind := range []rules.ItemKind{rules.ItemAllow, rules.ItemDeny, rules.ItemAllowException, rules.ItemDenyException, rules.ItemDataMask, rules.ItemRowFilter} {
		for i, item := range itemsOf(p, kind) {
			l.scripts(p, explain.ItemPath(kind, i)+".conditions", item.Conditions)
		}
	}
	for i, item := range p.DataMaskPolicyItems {
		path := fmt.Sprintf("dataMaskPolicyItems[%d].dataMaskInfo", i)
		l.expressions(p, path+".conditionExpr", item.DataMaskInfo.ConditionExpr)
		l.expressions(p, path+".valueExpr", item.DataMaskInfo.ValueExpr)
		l.maskExpression(p, path+".valueExpr", &item.DataMaskInfo)
	}
	for i := range p.RowFilterPolicyItems {
		field, text := fmt.Sprintf("rowFilterPolicyItems[%d].rowFilterInfo.filterExpr", i), p.RowFilterPolicyItems[i].RowFilterInfo.FilterExpr
		l.expressions(p, field, text)
		l.filterExpression(p, field, text)
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

// misspelt reports a name outside policies that is a slip of writing, or may be one.
func (l *linter) misspelt(name accepted.NameProblem) {
	severity, check := SeverityError, CheckPrincipal
	if !name.Doubt.IsError() {
		severity = SeverityWarning
	}
	if name.Name == "" {
		check = CheckNobody
	}
	l.find(nil, severity, check, name.Field, "%s", name)
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
	if p.ServiceType != "" && p.ServiceType != l.model.Name() {
		l.find(p, SeverityInfo, CheckService, "serviceType", "it has no effect: the policies are read by service definition %q, not by that of %q", l.model.Name(), p.ServiceType)
	}
}

// scripts tries those of conditions.
func (l *lintList) scripts(p *ranger.Policy, path string, list []ranger.Condition) {
	for i, c := range list {
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
