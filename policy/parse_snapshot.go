package policy

import (
	"slices"
	"strings"
	"time"
)

// SnapshotInput is what a snapshot is made of.
type SnapshotInput struct {
	Policies   *ServicePolicies // required
	Roles      *ServiceRoles
	Users      *UserStore   // nil: membership is unknown
	Tags       *ServiceTags // nil: nothing is tagged
	ServiceDef *ServiceDef  // used when Policies brings none; nil: DefaultServiceDef
	FetchedAt  time.Time
}

// NewSnapshot verifies its input against the service definition and joins it into a snapshot. An enabled policy that
// names an access type, resource, mask or policy type the service does not have, resources that are on no path of its
// trees, an empty list of values, or a date that is none, is an error of class CodeInvalid that names the file, the
// policy and the field; so is a role that contains itself. Nothing of the input is changed; the snapshot shares its
// memory.
//
// Two policies may carry the same id: Ranger's exports of several services do. Conditions that are unknown are no
// error, because they have a meaning: not met for who is allowed, met for who is denied.
func NewSnapshot(in SnapshotInput) (*Snapshot, error) {
	if in.Policies == nil {
		return nil, Errorf(CodeInvalid, "snapshot: no policies document")
	}
	s := assembleSnapshot(in)
	if err := s.ServiceDef.verify(); err != nil {
		return nil, err
	}
	if len(in.Policies.PolicyDeltas) > 0 {
		return nil, Errorf(CodeInvalid, "snapshot: the document holds changes of policies; apply them to the last full version first")
	}
	if err := s.verifyPolicies(); err != nil {
		return nil, err
	}
	if err := verifyRoles(s.Roles); err != nil {
		return nil, err
	}
	return s, nil
}

// assembleSnapshot joins the parts without verifying them.
func assembleSnapshot(in SnapshotInput) *Snapshot {
	p := in.Policies
	s := &Snapshot{
		Service:     p.ServiceName,
		Version:     p.PolicyVersion,
		FetchedAt:   in.FetchedAt,
		ServiceDef:  p.ServiceDef,
		Policies:    p.Policies,
		TagPolicies: p.TagPolicies,
		Zones:       p.SecurityZones,
		Users:       in.Users,
		Tags:        in.Tags,
		Origins:     make(map[int64]string, len(p.Policies)),

		ServiceConfig: p.ServiceConfig,
	}
	if s.ServiceDef == nil {
		s.ServiceDef = in.ServiceDef
	}
	if s.ServiceDef == nil {
		s.ServiceDef = DefaultServiceDef()
	}
	if in.Roles != nil {
		s.Roles = in.Roles.RangerRoles
	}
	for policies := range s.policyLists() {
		for i := range policies {
			if p := &policies[i]; p.Origin != "" {
				s.Origins[p.ID] = p.Origin
			}
		}
	}
	return s
}

// policyLists ranges over the lists of policies in the snapshot, with the service definition that each follows: the
// service's own, its zones' (in order of their names), its tag service's.
func (s *Snapshot) policyLists() func(yield func([]Policy, *ServiceDef) bool) {
	return func(yield func([]Policy, *ServiceDef) bool) {
		if !yield(s.Policies, s.ServiceDef) {
			return
		}
		for _, name := range sortedKeys(s.Zones) {
			if zone := s.Zones[name]; zone != nil && !yield(zone.Policies, s.ServiceDef) {
				return
			}
		}
		if s.TagPolicies != nil {
			yield(s.TagPolicies.Policies, s.TagPolicies.ServiceDef)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// verifyRoles refuses roles that contain themselves, directly or through others.
func verifyRoles(roles []Role) error {
	byName := make(map[string]*Role, len(roles))
	for i := range roles {
		if roles[i].Name == "" {
			return Errorf(CodeInvalid, "rangerRoles[%d].name is missing", i)
		}
		byName[roles[i].Name] = &roles[i]
	}
	const visiting, done = 1, 2
	state := make(map[string]int, len(roles))
	type frame struct {
		role *Role
		next int
	}
	for i := range roles {
		stack := []frame{{role: &roles[i]}}
		if state[roles[i].Name] == done {
			continue
		}
		state[roles[i].Name] = visiting
		for len(stack) > 0 { // a stack of our own: chains of roles may be longer than is good for a call stack
			top := &stack[len(stack)-1]
			if top.next == len(top.role.Roles) {
				state[top.role.Name] = done
				stack = stack[:len(stack)-1]
				continue
			}
			member := byName[top.role.Roles[top.next].Name]
			top.next++
			switch {
			case member == nil || state[member.Name] == done:
			case state[member.Name] == visiting:
				var chain []string
				for _, f := range stack {
					if len(chain) > 0 || f.role.Name == member.Name {
						chain = append(chain, f.role.Name)
					}
				}
				return Errorf(CodeInvalid, "role %q contains itself: %s", member.Name, strings.Join(append(chain, member.Name), " → "))
			default:
				state[member.Name] = visiting
				stack = append(stack, frame{role: member})
			}
		}
	}
	return nil
}
