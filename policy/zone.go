package policy

import "slices"

// zoneTable finds the security zones a resource lies in.
type zoneTable struct {
	names        []string // sorted
	repositories map[string]*repository
	tagService   map[string]bool // zones with tag policies of their own
	matchers     []*resourceMatcher
	zoneOf       []string // by matcher
	root         indexNode
}

func newZoneTable(m *serviceModel, zones map[string]*SecurityZone) *zoneTable {
	t := &zoneTable{repositories: make(map[string]*repository), tagService: make(map[string]bool)}
	for _, name := range sortedKeys(zones) {
		zone := zones[name]
		if zone == nil {
			continue
		}
		t.names = append(t.names, name)
		t.repositories[name] = newRepository(m, zone.Policies)
		t.tagService[name] = zone.ContainsAssociatedTagService
		for _, values := range zone.Resources {
			resources := make(map[string]PolicyResource, len(values))
			for resource, list := range values {
				def := m.resources[resource]
				resources[resource] = PolicyResource{Values: list, IsRecursive: def != nil && def.RecursiveSupported}
			}
			if matcher := newResourceMatcher(m.forests[PolicyTypeAccess], resources); matcher != nil {
				t.root.add(matcher, int32(len(t.matchers)))
				t.matchers, t.zoneOf = append(t.matchers, matcher), append(t.zoneOf, name)
			}
		}
	}
	return t
}

func (t *zoneTable) hasTagService(zone string) bool { return zone != "" && t.tagService[zone] }

// zonesOf lists the zones that hold the request's resource or something below it; in the latter case "", for what is
// outside zones, is among them. Source: RangerSecurityZoneMatcher.
func (t *zoneTable) zonesOf(ctx *evalContext) []string {
	if len(t.names) == 0 || len(ctx.request.Resource) == 0 {
		return nil
	}
	path := ctx.setPath(PolicyTypeAccess)
	if !path.ok {
		return nil
	}
	var zones []string
	ids := t.root.collect(path.elements, true, ctx.candidates[:0])
	for _, id := range ids {
		m := t.matchers[id].match(path.elements, nil)
		if m == MatchDescendant {
			zones = append(zones, "")
		}
		if m != MatchNone {
			zones = append(zones, t.zoneOf[id])
		}
	}
	ctx.candidates = ids
	slices.Sort(zones)
	return slices.Compact(zones)
}
