package ranger

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"ucwarden/policy"
)

// defaultServiceDef is the same document as deploy/ranger/servicedef-databricks-unity-catalog.json; a test holds the
// two identical, and in agreement with the table of privileges.
//
//go:embed servicedef-databricks-unity-catalog.json
var defaultServiceDef []byte

// DefaultServiceDef returns the built-in service definition for Unity Catalog, used where policies bring none. The
// caller must not change it.
var DefaultServiceDef = sync.OnceValue(func() *ServiceDef {
	def := &ServiceDef{}
	if err := json.Unmarshal(defaultServiceDef, def); err != nil {
		panic(err) // a test parses it
	}
	return def
})

// TagServiceType is the service type of policies on tags, and the name of its service definition.
const TagServiceType = "tag"

// TagResource is the only resource of a tag service.
const TagResource = "tag"

// OptionInheritAccess is the service definition option that makes a policy on a container hold for everything inside
// it, for allow and deny alike, as Unity Catalog inherits privileges. Without it Ranger's rule holds: a policy decides
// only for the level it names.
const OptionInheritAccess = "inheritAccess"

// OptionDenies is the service definition option that lets deny items and exceptions take part; they do by default.
const OptionDenies = "enableDenyAndExceptionsInPolicies"

// The marker access types that Ranger adds to every service definition: each implies the access types of a category.
const (
	MarkerAll    = "_ALL"
	markerPrefix = "_"
)

var markerCategories = []string{"CREATE", "READ", "UPDATE", "DELETE", "MANAGE"}

func ResourcesByName(list []ResourceDef) map[string]*ResourceDef {
	byName := make(map[string]*ResourceDef, len(list))
	for i := range list {
		byName[list[i].Name] = &list[i]
	}
	return byName
}

// HierarchiesOf lists the paths from a root to each leaf: a resource without children, or one marked as valid leaf.
// A resource whose chain of parents does not end is left out; verify reports it.
func HierarchiesOf(list []ResourceDef) [][]*ResourceDef {
	byName := ResourcesByName(list)
	parents := make(map[string]bool, len(list))
	for _, r := range list {
		parents[r.Parent] = true
	}
	var paths [][]*ResourceDef
	for i := range list {
		leaf := &list[i]
		if parents[leaf.Name] && (leaf.IsValidLeaf == nil || !*leaf.IsValidLeaf) {
			continue
		}
		if path := pathToRoot(leaf, byName); path != nil {
			paths = append(paths, path)
		}
	}
	return paths
}

func pathToRoot(leaf *ResourceDef, byName map[string]*ResourceDef) []*ResourceDef {
	var path []*ResourceDef
	for r := leaf; ; {
		path = append(path, r)
		if len(path) > len(byName) {
			return nil // a cycle
		}
		parent, ok := byName[r.Parent]
		if !ok {
			break
		}
		r = parent
	}
	slices.Reverse(path)
	return path
}

// MergeResourceDefs completes the resource definitions of masks or filters from those of access, as Ranger does
// (RangerServiceDef.mergeResourceDef): name, level and parent stay, the rest is overridden where it is set. What a matcher's options
// leave out stays, and whether a resource is recursive or has excludes is never left out.
func MergeResourceDefs(base, special []ResourceDef) []ResourceDef {
	byName := ResourcesByName(base)
	merged := make([]ResourceDef, 0, len(special))
	for _, s := range special {
		b, ok := byName[s.Name]
		if !ok {
			merged = append(merged, s)
			continue
		}
		r := *b
		r.Mandatory = r.Mandatory || s.Mandatory
		r.RecursiveSupported, r.ExcludesSupported = s.RecursiveSupported, s.ExcludesSupported
		if s.Matcher != "" {
			r.Matcher = s.Matcher
		}
		if len(s.MatcherOptions) > 0 {
			options := make(OptionMap, len(b.MatcherOptions)+len(s.MatcherOptions))
			for k, v := range b.MatcherOptions {
				options[k] = v
			}
			for k, v := range s.MatcherOptions {
				options[k] = v
			}
			r.MatcherOptions = options
		}
		if len(s.AccessTypeRestrictions) > 0 {
			r.AccessTypeRestrictions = s.AccessTypeRestrictions
		}
		r.IsValidLeaf = s.IsValidLeaf
		merged = append(merged, r)
	}
	return merged
}

// ImpliedGrants maps every access type, markers included, to itself and the access types it surely implies, which is one step: whether
// Ranger takes another, from "admin implies write" and "write implies read" to "admin implies read", depends on the order of a hash
// table. Source: RangerAbstractPolicyItemEvaluator.computeWithImpliedGrants.
func ImpliedGrants(def *ServiceDef) map[string][]string {
	implied := make(map[string][]string, len(def.AccessTypes)+len(markerCategories)+1)
	add := func(types []AccessTypeDef) {
		for _, a := range types {
			list := append([]string{a.Name}, a.ImpliedGrants...)
			slices.Sort(list)
			implied[a.Name] = slices.Compact(list)
		}
	}
	add(def.AccessTypes)
	for marker, types := range markerGrants(def) {
		if _, own := implied[marker]; !own {
			implied[marker] = append([]string{marker}, types...)
		}
	}
	add(def.MarkerAccessTypes)
	return implied
}

// ImpliedAtMost maps every access type, markers included, to itself and all that it may imply: over any number of steps, and of a marker
// that the definition brings what Ranger Admin would write into it, too.
func ImpliedAtMost(def *ServiceDef) map[string][]string {
	steps := ImpliedGrants(def)
	for marker, types := range markerGrants(def) {
		steps[marker] = append(slices.Clone(steps[marker]), types...)
	}
	all := make(map[string][]string, len(steps))
	for name := range steps {
		list, seen := []string{name}, map[string]bool{name: true}
		for i := 0; i < len(list); i++ {
			for _, next := range steps[list[i]] {
				if !seen[next] {
					seen[next], list = true, append(list, next)
				}
			}
		}
		slices.Sort(list)
		all[name] = list
	}
	return all
}

// MarkerProblems calls yield for each marker access type that the definition brings, with what Ranger Admin would write into it and it
// lacks; known is false for one that Ranger does not have.
func (d *ServiceDef) MarkerProblems(yield func(name string, known bool, lacks []string)) {
	grants := markerGrants(d)
	for _, m := range d.MarkerAccessTypes {
		of, known := grants[m.Name]
		lacks := slices.DeleteFunc(slices.Clone(of), func(name string) bool { return slices.Contains(m.ImpliedGrants, name) })
		if !known || len(lacks) > 0 {
			yield(m.Name, known, lacks)
		}
	}
}

// markerGrants lists what each marker access type stands for: the access types of its category and what they imply;
// _ALL stands for every access type. Source: ServiceDefUtil.getMarkerAccessTypes.
func markerGrants(def *ServiceDef) map[string][]string {
	grants := make(map[string][]string, len(markerCategories)+1)
	for _, category := range markerCategories {
		grants[markerPrefix+category] = nil
	}
	grants[MarkerAll] = nil
	for _, a := range def.AccessTypes {
		marker := markerPrefix + strings.ToUpper(a.Category)
		for _, m := range []string{marker, MarkerAll} {
			if list, ok := grants[m]; ok {
				grants[m] = append(append(list, a.Name), a.ImpliedGrants...)
			}
		}
	}
	for m, list := range grants {
		slices.Sort(list)
		grants[m] = slices.Compact(list)
	}
	return grants
}

// Verify checks that names are there and unique, and that resources form trees.
func (d *ServiceDef) Verify() error {
	if d.Name == "" {
		return policy.Errorf(policy.CodeInvalid, "service definition: name is missing")
	}
	byName := make(map[string]*ResourceDef, len(d.Resources))
	for i, r := range d.Resources {
		if r.Name == "" {
			return policy.Errorf(policy.CodeInvalid, "service definition %q: resources[%d].name is missing", d.Name, i)
		}
		if byName[r.Name] != nil {
			return policy.Errorf(policy.CodeInvalid, "service definition %q: resources[%d].name: %q is there twice", d.Name, i, r.Name)
		}
		byName[r.Name] = &d.Resources[i]
	}
	for i, r := range d.Resources {
		if r.Parent != "" && byName[r.Parent] == nil {
			return policy.Errorf(policy.CodeInvalid, "service definition %q: resources[%d].parent: unknown resource %q", d.Name, i, r.Parent)
		}
		if pathToRoot(&d.Resources[i], byName) == nil {
			return policy.Errorf(policy.CodeInvalid, "service definition %q: resources[%d].parent: %q is its own ancestor", d.Name, i, r.Name)
		}
	}
	accesses := make(map[string]bool, len(d.AccessTypes))
	for i, a := range d.AccessTypes {
		if a.Name == "" || accesses[a.Name] {
			return policy.Errorf(policy.CodeInvalid, "service definition %q: accessTypes[%d].name: %q is empty or there twice", d.Name, i, a.Name)
		}
		accesses[a.Name] = true
	}
	return nil
}

// HasPaths reports whether the names of a resource are paths or URLs, which alone have descendants in their own value: only these can
// be matched recursively. Source: RangerPathResourceMatcher, RangerURLResourceMatcher.
func (d *ResourceDef) HasPaths() bool {
	return strings.HasSuffix(d.Matcher, "RangerPathResourceMatcher") || strings.HasSuffix(d.Matcher, "RangerURLResourceMatcher")
}
