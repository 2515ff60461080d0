package rules

import (
	"maps"
	"slices"
	"strings"

	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
)

// ZoneTable finds the security zones a resource lies in, and their policies. A zone's policies are those of its own list:
// what zone a policy of another list names does not matter, as in Ranger.
type ZoneTable struct {
	Names        []string // sorted
	Repositories map[string]*Repository
	tagService   map[string]bool  // zones with tag policies of their own
	void         map[string][]int // by zone, which of its sets of resources match nothing
	matchers     []*match.Matcher
	zoneOf       []string // by matcher
	root         match.Index
}

func (r *reader) zoneTable(m *Model, zones map[string]*ranger.SecurityZone) *ZoneTable {
	t := &ZoneTable{Repositories: make(map[string]*Repository), tagService: make(map[string]bool), void: make(map[string][]int)}
	for _, name := range slices.Sorted(maps.Keys(zones)) {
		zone := zones[name]
		if zone == nil {
			continue
		}
		t.Names = append(t.Names, name)
		t.Repositories[name] = r.repository(m, zone.Policies, name)
		t.tagService[name] = zone.ContainsAssociatedTagService
		for i, values := range zone.Resources {
			resources := make(map[string]ranger.PolicyResource, len(values))
			for resource, list := range values {
				def := m.Resources[resource]
				resources[resource] = ranger.PolicyResource{Values: list, IsRecursive: def != nil && def.RecursiveSupported}
			}
			if matcher, ok := match.New(m.forests[ranger.PolicyTypeAccess], resources, nil); ok {
				t.root.Add(&matcher, int32(len(t.matchers)))
				t.matchers, t.zoneOf = append(t.matchers, &matcher), append(t.zoneOf, name)
			} else {
				t.void[name] = append(t.void[name], i)
			}
		}
	}
	return t
}

// spread adds the policies of which it cannot be understood what zone they are for to all other lists, where they deny what they may have been
// meant to deny there.
func (r *reader) spread(rs *RuleSet) {
	if len(rs.Zones.Names) == 0 {
		return
	}
	var unclear []*Policy
	for repo := range rs.Repositories {
		for _, p := range repo.all {
			if p.Restricts() && slices.ContainsFunc(p.Source.Faults, func(f ranger.Fault) bool {
				return f.Field == "zoneName" || f.Known == "zoneName" && !strings.Contains(f.Field, ".")
			}) {
				unclear = append(unclear, p)
			}
		}
	}
	for _, p := range unclear {
		for _, zone := range append([]string{""}, rs.Zones.Names...) {
			if zone == p.Zone {
				continue
			}
			also := &Policy{}
			r.policy(also, rs.Model, p.Source, zone)
			also.Elsewhere = true
			repo := rs.InZone(zone)
			repo.all, repo.empty = append(repo.all, also), false
		}
	}
}

// Void lists which of a zone's sets of resources match nothing: they are empty, or on no path of the service definition.
func (t *ZoneTable) Void(zone string) []int { return t.void[zone] }

// MayHold reports whether a policy can be about anything in the zone; false is certain.
func (t *ZoneTable) MayHold(zone string, p *Policy) bool {
	if p.Everywhere {
		return slices.Contains(t.zoneOf, zone)
	}
	for i, m := range t.matchers {
		if t.zoneOf[i] == zone && slices.ContainsFunc(p.Resources, func(r match.Matcher) bool { return !m.Apart(&r) }) {
			return true
		}
	}
	return false
}

// HasTagService reports whether the zone has tag policies of its own. Where it has none, those outside zones hold in it.
func (t *ZoneTable) HasTagService(zone string) bool { return zone != "" && t.tagService[zone] }

// Find lists the zones that hold a resource or something below it; in the latter case "", for what is outside zones, is
// among them. Source: RangerSecurityZoneMatcher.
func (t *ZoneTable) Find(path *match.Path, scratch []int32) (zones []string, ids []int32) {
	if len(t.Names) == 0 || !path.OK || len(path.Elements) == 0 {
		return nil, scratch
	}
	ids = t.root.Collect(path, true, scratch[:0])
	for _, id := range ids {
		m := t.matchers[id].Match(path.Elements, nil, false)
		if m == match.Descendant {
			zones = append(zones, "")
		}
		if m != match.None {
			zones = append(zones, t.zoneOf[id])
		}
	}
	slices.Sort(zones)
	return slices.Compact(zones), ids
}

// Regions calls yield for every set of resources that a zone holds.
func (t *ZoneTable) Regions(yield func(m *match.Matcher, zone string) bool) {
	for i, m := range t.matchers {
		if !yield(m, t.zoneOf[i]) {
			return
		}
	}
}
