package rules

import (
	"maps"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/condition"
	"ucwarden/policy/match"
	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
)

// Model is a service definition prepared for use: what its resource trees and implied grants come to. Build it
// once with [NewModel] and share it; it is never changed.
type Model struct {
	def         *ranger.ServiceDef
	Resources   map[string]*ranger.ResourceDef // by name, for access policies
	hierarchies [3][][]*ranger.ResourceDef     // by policy type; each root to leaf
	forests     [3]*match.Forest               // the same, for matching
	Implied     map[string][]string            // access type to itself and what it implies, one step, as in Ranger
	atMost      map[string][]string            // and what it may imply
	Conditions  condition.Definitions
	inherit     bool // OptionInheritAccess
	denies      bool // deny items and exceptions take part
}

func NewModel(def *ranger.ServiceDef) *Model {
	m := &Model{
		def:     def,
		inherit: def.Options.Bool(ranger.OptionInheritAccess, false),
		denies:  def.Options.Bool(ranger.OptionDenies, true),
	}
	m.Resources = ranger.ResourcesByName(def.Resources)
	m.hierarchies[ranger.PolicyTypeAccess] = ranger.HierarchiesOf(def.Resources)
	if def.DataMaskDef != nil {
		m.hierarchies[ranger.PolicyTypeDataMask] = ranger.HierarchiesOf(ranger.MergeResourceDefs(def.Resources, def.DataMaskDef.Resources))
	}
	if def.RowFilterDef != nil {
		m.hierarchies[ranger.PolicyTypeRowFilter] = ranger.HierarchiesOf(ranger.MergeResourceDefs(def.Resources, def.RowFilterDef.Resources))
	}
	for t := range m.forests {
		m.forests[t] = match.NewForest(m.hierarchies[t])
	}
	m.Conditions = condition.NewDefinitions(def, m.forests[ranger.PolicyTypeAccess])
	m.Implied, m.atMost = ranger.ImpliedGrants(def), ranger.ImpliedAtMost(def)
	return m
}

// ImpliedBy lists accessType and what it implies. An access type the definition does not know stands for itself.
// The caller must not change the list.
func (m *Model) ImpliedBy(accessType string) []string { return impliedBy(m.Implied, accessType) }

func impliedBy(implied map[string][]string, accessType string) []string {
	if list, ok := implied[accessType]; ok {
		return list
	}
	return []string{accessType}
}

// expand lists, sorted, access types and what they imply; atMost, with all that they may imply. The caller must not change the list.
func (m *Model) expand(accesses []string, atMost bool) []string {
	implied := m.Implied
	if atMost {
		implied = m.atMost
	}
	if len(accesses) == 1 {
		return impliedBy(implied, accesses[0])
	}
	var list []string
	for _, a := range accesses {
		list = append(list, impliedBy(implied, a)...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Spelling returns how the service definition spells an access type, which Ranger compares without regard to case; "" where
// it has none of that name.
func (m *Model) Spelling(accessType string) string {
	if _, ok := m.Implied[accessType]; ok {
		return accessType
	}
	canonical := naming.Canonical(accessType)
	for _, name := range slices.Sorted(maps.Keys(m.Implied)) {
		if naming.Canonical(name) == canonical {
			return name
		}
	}
	return ""
}

// KnowsMask reports whether a policy may name the mask: any where the definition lists none.
func (m *Model) KnowsMask(name string) bool {
	return m.def.DataMaskDef == nil || slices.ContainsFunc(m.def.DataMaskDef.MaskTypes, func(d ranger.DataMaskTypeDef) bool { return d.Name == name })
}

// HierarchiesWith lists the hierarchies for policies of type t that contain every resource of has, root to leaf.
func (m *Model) HierarchiesWith(t ranger.PolicyType, has map[string]ranger.PolicyResource) [][]*ranger.ResourceDef {
	if int(t) >= len(m.hierarchies) || t < 0 {
		return nil
	}
	var list [][]*ranger.ResourceDef
	for _, h := range m.hierarchies[t] {
		found := 0
		for _, r := range h {
			if _, ok := has[r.Name]; ok {
				found++
			}
		}
		if found == len(has) {
			list = append(list, h)
		}
	}
	return list
}

// CoversPrefix reports whether the resources are the first levels of hierarchy h, without a gap.
func CoversPrefix(h []*ranger.ResourceDef, resources map[string]ranger.PolicyResource) bool {
	for _, r := range h[:len(resources)] {
		if _, ok := resources[r.Name]; !ok {
			return false
		}
	}
	return true
}

// LevelOf returns where in Unity Catalog a resource of a service definition stands: the number of names down to it, 0 for a
// column, and the class of objects that it names. ok is false for a resource that Unity Catalog does not have.
func LevelOf(resource string) (level int, class policy.ObjectClass, ok bool) {
	l, ok := resourceLevels[strings.ToLower(resource)]
	return l.level, l.class, ok
}

// resourceLevels names the resource definitions that stand for each level, in the spelling of the services that
// connect to Unity Catalog or resemble it.
var resourceLevels = map[string]struct {
	level int // 0 column, 1 catalog or root, 2 schema, 3 object
	class policy.ObjectClass
}{
	"catalog": {1, policy.ClassCatalog}, "schema": {2, policy.ClassSchema}, "database": {2, policy.ClassSchema}, "namespace": {2, policy.ClassSchema},
	"table": {3, policy.ClassTable}, "view": {3, policy.ClassTable}, "function": {3, policy.ClassFunction}, "udf": {3, policy.ClassFunction},
	"model": {3, policy.ClassModel}, "volume": {3, policy.ClassVolume}, "column": {0, policy.ClassTable},
	"metastore": {1, policy.ClassMetastore}, "external_location": {1, policy.ClassExternalLocation}, "storage_credential": {1, policy.ClassStorageCredential},
	"credential": {1, policy.ClassCredential}, "connection": {1, policy.ClassConnection}, "share": {1, policy.ClassShare},
	"recipient": {1, policy.ClassRecipient}, "provider": {1, policy.ClassProvider},
}

// ResourceOf writes an object in the words of the service definition; ok is false when it has none for it.
func (m *Model) ResourceOf(o policy.Object) (match.Resource, bool) {
	names := o.Names()
	var found match.Resource
	for _, h := range m.hierarchies[ranger.PolicyTypeAccess] {
		if len(h) < len(names) {
			continue
		}
		resource := make(match.Resource, 0, len(names))
		for i, name := range names {
			level, ok := resourceLevels[strings.ToLower(h[i].Name)]
			last := i == len(names)-1
			if !ok || level.level != i+1 || last && level.class != policy.ClassOf(o) || !last && level.class&(policy.ClassCatalog|policy.ClassSchema) == 0 {
				break
			}
			resource = append(resource, match.Element{Name: h[i].Name, Value: name})
		}
		if len(resource) < len(names) {
			continue
		}
		// Of a table and a view, each takes its own word where there are two.
		isView := strings.EqualFold(resource[len(resource)-1].Name, "view")
		if found == nil || isView == (o.Kind == policy.KindView) {
			found = resource
		}
	}
	return found, found != nil
}

// Expressible returns which privileges the service definition has words for, by class of object: those with an access
// type of their name, where the definition has the object as a resource.
func (m *Model) Expressible() map[policy.ObjectClass]policy.PrivilegeSet {
	var set policy.PrivilegeSet
	for _, a := range m.def.AccessTypes {
		set |= policy.Privilege(strings.ToUpper(a.Name)).Set()
	}
	by := make(map[policy.ObjectClass]policy.PrivilegeSet)
	for _, r := range m.def.Resources {
		if level, ok := resourceLevels[strings.ToLower(r.Name)]; ok {
			by[level.class] = set
		}
	}
	return by
}

// Levels returns what one set of resources of a policy names, from the root; ok is false when they are on no path of the
// resource trees, or there is no such type of policies.
func (m *Model) Levels(t ranger.PolicyType, resources map[string]ranger.PolicyResource) (levels []match.NamedLevel, ok bool) {
	if t < 0 || int(t) >= len(m.forests) {
		return nil, false
	}
	r, ok := match.New(m.forests[t], resources, nil)
	if !ok {
		return nil, false
	}
	return r.AppendLevels(nil), true
}

// Forest returns the resource trees that policies of type t follow.
func (m *Model) Forest(t ranger.PolicyType) *match.Forest { return m.forests[t] }

// Applies reports whether policies of type t can be about a resource: masks and filters are for whole paths only.
func (m *Model) Applies(t ranger.PolicyType, r match.Resource) bool {
	return slices.ContainsFunc(m.hierarchies[t], func(h []*ranger.ResourceDef) bool {
		if t != ranger.PolicyTypeAccess && len(h) != len(r) {
			return false
		}
		return !slices.ContainsFunc(r, func(el match.Element) bool {
			return !slices.ContainsFunc(h, func(d *ranger.ResourceDef) bool { return d.Name == el.Name })
		})
	})
}

// Name is the name of the service definition.
func (m *Model) Name() string { return m.def.Name }

// AccessTypes lists the access types of the service definition.
func (m *Model) AccessTypes() []ranger.AccessTypeDef { return m.def.AccessTypes }

// Resource returns the definition of a resource that policies of type t may name, by which their names are compared: masks and filters
// have options of their own. It is nil when there is none.
func (m *Model) Resource(t ranger.PolicyType, name string) *ranger.ResourceDef {
	if m == nil {
		return nil
	}
	if t > ranger.PolicyTypeAccess && int(t) < len(m.forests) {
		if def := m.forests[t].Resource(name); def != nil {
			return def
		}
	}
	return m.Resources[name]
}

// Denies reports whether deny items and exceptions take part; the service definition may switch them off.
func (m *Model) Denies() bool { return m.denies }
