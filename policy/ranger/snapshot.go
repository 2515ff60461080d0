package ranger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ucwarden/policy"
)

// SnapshotInput is what a snapshot is made of.
type SnapshotInput struct {
	Policies   *ServicePolicies // required
	Roles      *ServiceRoles
	Users      *UserStore   // nil: membership is unknown
	Tags       *ServiceTags // nil: nothing is tagged
	ServiceDef *ServiceDef  // used when Policies brings none; nil: DefaultServiceDef
	FetchedAt  time.Time
	Problems   []Problem // of the documents
}

// NewSnapshot joins its input into a snapshot, after checking that its service definition is one, that it holds policies
// and not changes of policies, and that no role contains itself. Errors are of class CodeInvalid. Nothing of the input is
// changed; the snapshot shares its memory. Whether the policies fit the service definition is checked where they are read.
func NewSnapshot(in SnapshotInput) (*Snapshot, error) {
	if in.Policies == nil {
		return nil, policy.Errorf(policy.CodeInvalid, "snapshot: no policies document")
	}
	s := UnverifiedSnapshot(in)
	if err := s.ServiceDef.Verify(); err != nil {
		return nil, err
	}
	if field := in.Policies.Deltas(); field != "" {
		return nil, policy.Errorf(policy.CodeInvalid, "snapshot: %s: the document holds changes of policies; apply them to the last full version first", field)
	}
	if in.Tags != nil && in.Tags.IsDelta {
		return nil, policy.Errorf(policy.CodeInvalid, "snapshot: isDelta: the document holds changes of tags; want all tags")
	}
	if err := VerifyRoles(s.Roles); err != nil {
		return nil, err
	}
	return s, nil
}

// UnverifiedSnapshot joins the parts without checking them, so that everything wrong with them can be reported. It is for
// lint and for test suites: what is granted must come from [NewSnapshot].
func UnverifiedSnapshot(in SnapshotInput) *Snapshot {
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
		Problems:    in.Problems,

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
	for policies := range s.PolicyLists() {
		for i := range policies {
			if p := &policies[i]; p.Origin != "" {
				s.Origins[p.ID] = p.Origin
			}
		}
	}
	return s
}

// Same reports whether both snapshots say the same, whenever each was confirmed: by their digests where they have
// them.
func (s *Snapshot) Same(o *Snapshot) bool {
	return s == o || s != nil && o != nil && s.Digest != "" && s.Digest == o.Digest
}

// PolicyLists ranges over the lists of policies in the snapshot, with the service definition that each follows: the
// service's own, its zones' (in order of their names), its tag service's.
func (s *Snapshot) PolicyLists() func(yield func([]Policy, *ServiceDef) bool) {
	return func(yield func([]Policy, *ServiceDef) bool) {
		if !yield(s.Policies, s.ServiceDef) {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(s.Zones)) {
			if zone := s.Zones[name]; zone != nil && !yield(zone.Policies, s.ServiceDef) {
				return
			}
		}
		if s.TagPolicies != nil {
			yield(s.TagPolicies.Policies, s.TagPolicies.ServiceDef)
		}
	}
}

// Faults ranges over what cannot be understood in the policies of the snapshot.
func (s *Snapshot) Faults(yield func(*Policy, Fault) bool) {
	for policies := range s.PolicyLists() {
		for i := range policies {
			for _, f := range policies[i].Faults {
				if !yield(&policies[i], f) {
					return
				}
			}
		}
	}
}

// NotInForce lists the policies of which some cannot be understood, and the files that are left out for another reason than
// that they are of other services.
func (s *Snapshot) NotInForce() []string {
	var list []string
	for p := range s.Faults {
		if name := fmt.Sprintf("policy %d %q", p.ID, p.Name); len(list) == 0 || list[len(list)-1] != name {
			list = append(list, name)
		}
	}
	for _, p := range s.Problems {
		if p.LeftOut && p.Effect != policy.EffectNone {
			list = append(list, p.Origin)
		}
	}
	return list
}

// VerifyRoles refuses roles that contain themselves, directly or through others.
func VerifyRoles(roles []Role) error {
	byName := make(map[string]*Role, len(roles))
	for i := range roles {
		if roles[i].Name == "" {
			return policy.Errorf(policy.CodeInvalid, "rangerRoles[%d].name is missing", i)
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
				return policy.Errorf(policy.CodeInvalid, "role %q contains itself: %s", member.Name, strings.Join(append(chain, member.Name), " → "))
			default:
				state[member.Name] = visiting
				stack = append(stack, frame{role: member})
			}
		}
	}
	return nil
}
