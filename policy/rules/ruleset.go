package rules

import (
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
)

// RuleSet is one snapshot, read once: which policies hold where, for whom, when, in what order, with which access types
// and conditions. The evaluator, the compiler, explanations and lint all take their facts from it, so that none of them
// can read a policy differently. It never changes once made and is safe for concurrent use.
type RuleSet struct {
	Snapshot  *ranger.Snapshot
	Model     *Model
	Outside   *Repository // policies outside security zones
	Zones     *ZoneTable
	TagRules  *Repository // policies on tags; nil without a tag service
	Tagged    *TagTable   // nil when nothing is tagged
	Subjects  *SubjectTable
	Members   *Membership
	super     superUsers
	scheduled []*Policy // those with validity schedules
}

// Options says how a snapshot is read.
type Options struct {
	Names   NameMapping          // which principals the names in policies stand for
	Scripts match.ScriptCompiler // nil: conditions written as scripts cannot be judged
}

// New reads a snapshot. It accepts what [ranger.NewSnapshot] accepts, unless roles nest so deep that their members cannot
// be held. What a policy of a snapshot that was not verified gets wrong makes that policy match nothing.
func New(s *ranger.Snapshot, o Options) (*RuleSet, error) {
	def := s.ServiceDef
	if def == nil {
		def = ranger.DefaultServiceDef()
	}
	rs := &RuleSet{Snapshot: s, Model: NewModel(def), Subjects: newSubjectTable(o.Names, s.Users)}
	var err error
	if rs.Members, err = newMembership(rs.Subjects, s.Users, s.Roles); err != nil {
		return nil, err
	}
	r := &reader{table: rs.Subjects, scripts: o.Scripts, rename: sameName}
	rs.Outside = r.repository(rs.Model, s.Policies, "")
	rs.Zones = r.zoneTable(rs.Model, s.Zones)
	r.spread(rs)
	rs.TagRules = r.tagRepository(def, s.TagPolicies)
	rs.Tagged = newTagTable(rs.Model, s.Tags, s.Service)
	rs.super = newSuperUsers(s.ServiceConfig)
	for p := range rs.Policies {
		if len(p.Validity) > 0 {
			rs.scheduled = append(rs.scheduled, p)
		}
	}
	return rs, nil
}

// Policies calls yield for every enabled policy: those outside zones, those of each zone, those on tags.
func (rs *RuleSet) Policies(yield func(*Policy) bool) {
	for repo := range rs.Repositories {
		for _, p := range repo.All() {
			if !yield(p) {
				return
			}
		}
	}
}

// Repositories calls yield for every list of policies: outside zones, of each zone, on tags.
func (rs *RuleSet) Repositories(yield func(*Repository) bool) {
	if !yield(rs.Outside) {
		return
	}
	for _, name := range rs.Zones.Names {
		if !yield(rs.Zones.Repositories[name]) {
			return
		}
	}
	if rs.TagRules != nil {
		yield(rs.TagRules)
	}
}

// InZone returns the policies of a zone, or those outside zones for "".
func (rs *RuleSet) InZone(zone string) *Repository {
	if zone == "" {
		return rs.Outside
	}
	return rs.Zones.Repositories[zone]
}

// Scheduled reports whether a policy's validity depends on the time, so that what is compiled holds for the moment.
func (rs *RuleSet) Scheduled() bool { return len(rs.scheduled) > 0 }

// OpenAt returns which of the policies with validity schedules are in force at t, as one comparable text. As long as it
// stays the same, so does what is compiled. It is empty when no policy has a schedule.
func (rs *RuleSet) OpenAt(t time.Time) string {
	open := make([]byte, (len(rs.scheduled)+7)/8)
	for n, p := range rs.scheduled {
		if p.Validity.OpenAt(t) {
			open[n/8] |= 1 << (n % 8)
		}
	}
	return hex.EncodeToString(open)
}

// NamesOwner reports whether a policy says {OWNER}.
func (rs *RuleSet) NamesOwner() bool {
	for p := range rs.Policies {
		for item := range p.Source.AllItems() {
			if slices.Contains(item.Users, UserOwner) {
				return true
			}
		}
	}
	return false
}

// SuperUser reports whether a user, by their own name or a group, is allowed everything by the service's configuration.
func (rs *RuleSet) SuperUser(user string, groups []string) bool { return rs.super.has(user, groups) }

// The keys of a service's configuration that list, with commas, the users and groups who are allowed everything.
const (
	SuperUsersKey  = "ranger.plugin.super.users"
	SuperGroupsKey = "ranger.plugin.super.groups"
)

// superUsers are allowed everything, by the service's configuration.
type superUsers struct{ users, groups map[string]bool }

func newSuperUsers(config map[string]string) superUsers {
	set := func(key string) map[string]bool {
		names := make(map[string]bool)
		for name := range strings.SplitSeq(config[key], ",") {
			if name = strings.TrimSpace(name); name != "" {
				names[name] = true
			}
		}
		return names
	}
	return superUsers{users: set(SuperUsersKey), groups: set(SuperGroupsKey)}
}

func (s superUsers) has(user string, groups []string) bool {
	if s.users[user] {
		return true
	}
	if len(s.groups) == 0 {
		return false
	}
	for _, g := range groups {
		if s.groups[g] {
			return true
		}
	}
	return false
}
