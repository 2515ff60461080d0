package connector

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/connector/load"
	"ucwarden/connector/memory"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// maxLeftOutFindings bounds how many findings name what was left out; the rest is counted.
const maxLeftOutFindings = 100

// report adds to the plan's report what a sync could not look at.
func (r *run) report(result *Result) {
	findings := &result.Plan.Report.Findings
	for i, left := range result.Unread {
		if i == maxLeftOutFindings {
			*findings = append(*findings, policy.Finding{Effect: policy.EffectWider, Message: fmt.Sprintf("%d more objects cannot be read, and are left as they are", len(result.Unread)-i)})
			break
		}
		message := "its grants cannot be read, so they are left as they are: " + left.Reason
		if left.Listing {
			message = "what it holds cannot be listed, so nothing is changed on what was not found in it, and nobody loses USE_* there: " + left.Reason
		}
		finding := policy.Finding{Effect: policy.EffectWider, Securable: left.Securable, Message: message}
		if left.Securable.FullName == "" {
			finding.Securable, finding.Message = policy.Securable{}, fmt.Sprintf("objects of type %s cannot be listed, so nothing is changed on those not known from before: %s", left.Securable.Type, left.Reason)
		}
		*findings = append(*findings, finding)
	}
	if slices.ContainsFunc(r.request.Roots, func(root policy.Securable) bool { return memory.IsShard(root) || load.BuiltIn(root) }) {
		*findings = append(*findings, r.policyFindings()...)
	}
	slices.SortStableFunc(*findings, policy.CompareFindings)
}

// policyFindings names the policies on what is not for a sync: what Unity Catalog itself keeps, and what is outside the scope.
func (r *run) policyFindings() []policy.Finding {
	var list []policy.Finding
	lists := [][]ranger.Policy{r.snapshot.Policies}
	for _, name := range slices.Sorted(maps.Keys(r.snapshot.Zones)) {
		lists = append(lists, r.snapshot.Zones[name].Policies)
	}
	for _, policies := range lists {
		for i := range policies {
			p := &policies[i]
			if !p.Enabled() {
				continue
			}
			effect := policy.EffectNarrower
			if len(p.PolicyItems) == 0 && len(p.DenyPolicyItems) > 0 {
				effect = policy.EffectWider
			}
			for names, why := range map[string]string{
				someNames(builtInNames(p)): "Unity Catalog keeps it itself, and its grants are not for policies to manage",
				someNames(r.outsideOf(p)):  "it is outside the scope that scope.* sets",
			} {
				if names != "" {
					list = append(list, policy.Finding{PolicyID: p.ID, Policy: p.Name, Effect: effect, Message: fmt.Sprintf("nothing is granted or revoked on %s: %s", names, why)})
				}
			}
		}
	}
	return list
}

// maxNamedPlaces bounds how many places that a policy names a finding names.
const maxNamedPlaces = 10

func someNames(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	if more := len(names) - maxNamedPlaces; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamedPlaces], ", "), more)
	}
	return strings.Join(names, ", ")
}

// builtInNames returns what a policy names of what Unity Catalog keeps, by name or by a pattern that is not for every name.
func builtInNames(p *ranger.Policy) []string {
	var names []string
	for _, resources := range append([]map[string]ranger.PolicyResource{p.Resources}, p.AdditionalResources...) {
		for level, known := range map[string][]string{"catalog": load.BuiltInCatalogs, "schema": {load.BuiltInSchema}} {
			for _, value := range resources[level].Values {
				pattern := policy.NewPattern(value, true, true)
				if resources[level].IsExcludes || pattern.MatchesAll() {
					continue
				}
				for _, name := range known {
					if pattern.Match(name) {
						names = append(names, level+" "+name)
					}
				}
			}
		}
	}
	return names
}

// outsideOf returns what a policy names exactly and no sync reaches, the outermost of each.
func (r *run) outsideOf(p *ranger.Policy) []string {
	var names []string
	note := func(t policy.SecurableType, name string) bool {
		s := policy.Securable{Type: t, FullName: name}
		if name == "" || strings.ContainsAny(name, "*?{") || load.BuiltIn(s) || r.Scope.Reaches(s) {
			return false
		}
		names = append(names, typeWord(t)+" "+name)
		return true
	}
	for _, resources := range append([]map[string]ranger.PolicyResource{p.Resources}, p.AdditionalResources...) {
		catalogs := exactly(resources["catalog"])
		for resource, values := range resources {
			t, err := policy.ParseSecurableType(resource)
			switch {
			case err != nil || t == policy.Catalog || t == policy.Metastore:
			case t.Depth() == 1 && !r.Scope.ReachesType(t):
				names = append(names, "objects of type "+typeWord(t))
			case t.Depth() == 1:
				for _, name := range exactly(values) {
					note(t, name)
				}
			}
		}
		for _, c := range catalogs {
			if note(policy.Catalog, c) {
				continue
			}
			for _, s := range exactly(resources["schema"]) {
				note(policy.Schema, c+"."+s)
			}
		}
	}
	return names
}

// exactly returns the values of a resource, in the spelling of Unity Catalog; none where it names all but them.
func exactly(resource ranger.PolicyResource) []string {
	if resource.IsExcludes {
		return nil
	}
	names := make([]string, len(resource.Values))
	for i, value := range resource.Values {
		names[i] = policy.CanonicalName(value)
	}
	return names
}

func typeWord(t policy.SecurableType) string {
	return strings.ToLower(strings.ReplaceAll(string(t), "_", " "))
}

// onePerPrincipal returns a finding for the first grant of each principal, with the number of its further ones.
func onePerPrincipal(grants []policy.Grant, find func(policy.Grant) policy.Finding) []policy.Finding {
	var list []policy.Finding
	at := make(map[policy.Principal]int)
	for _, g := range grants {
		if i, found := at[g.Principal]; found {
			list[i].Count++
			continue
		}
		at[g.Principal] = len(list)
		list = append(list, find(g))
	}
	return list
}
