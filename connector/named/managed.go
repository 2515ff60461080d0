package named

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/connector/load"
	"ucwarden/policy"
	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
)

// NotManaged names the policies on what is not for a sync: what Unity Catalog itself keeps, and what is outside the scope.
func NotManaged(snapshot *ranger.Snapshot, scope policy.Scope) []policy.Finding {
	var list []policy.Finding
	lists := [][]ranger.Policy{snapshot.Policies}
	for _, name := range slices.Sorted(maps.Keys(snapshot.Zones)) {
		lists = append(lists, snapshot.Zones[name].Policies)
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
				someNames(builtInNames(p)):     "Unity Catalog keeps it itself, and its grants are not for policies to manage",
				someNames(sharesOf(p)):         "Unity Catalog grants them to recipients, and a sync looks at those alone that it is asked for by name",
				someNames(outsideOf(p, scope)): "it is outside the scope that scope.* sets",
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
				pattern := naming.NewPattern(value, true, true)
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

// sharesOf returns the shares that a policy names, which no sync of everything looks at.
func sharesOf(p *ranger.Policy) []string {
	var names []string
	for _, resources := range append([]map[string]ranger.PolicyResource{p.Resources}, p.AdditionalResources...) {
		for resource, values := range resources {
			if t, err := policy.ParseSecurableType(resource); err != nil || t != policy.Share {
				continue
			}
			for _, value := range values.Values {
				names = append(names, "share "+value)
			}
		}
	}
	return names
}

// outsideOf returns what a policy names exactly and no sync reaches, the outermost of each.
func outsideOf(p *ranger.Policy, scope policy.Scope) []string {
	var names []string
	note := func(t policy.SecurableType, name string) bool {
		s := policy.Securable{Type: t, FullName: name}
		if name == "" || strings.ContainsAny(name, "*?{") || load.BuiltIn(s) || scope.Reaches(s) {
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
			case t.Depth() == 1 && !scope.ReachesType(t):
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
		names[i] = naming.Canonical(value)
	}
	return names
}

func typeWord(t policy.SecurableType) string {
	return strings.ToLower(strings.ReplaceAll(string(t), "_", " "))
}
