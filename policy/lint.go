package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Severity tells how much a lint finding matters.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // the policies are refused as they are
	SeverityWarning Severity = "warning" // they do not do what they seem to
	SeverityInfo    Severity = "info"    // worth knowing
)

// LintFinding is one thing about a policy that somebody may want to change.
type LintFinding struct {
	Severity Severity `json:"severity"`
	Check    string   `json:"check"` // which check found it; see the constants
	PolicyID int64    `json:"policyId,omitempty"`
	Policy   string   `json:"policy,omitempty"` // its name
	File     string   `json:"file,omitempty"`   // or URL
	Field    string   `json:"field,omitempty"`  // JSON path within the policy
	Message  string   `json:"message"`          // what is wrong, and what to do
}

// The checks.
const (
	CheckRefused    = "refused"           // a source refuses the policies for it
	CheckPrincipal  = "unknown-principal" // a user, group or role that nothing knows
	CheckNobody     = "names-nobody"      // an item without users, groups and roles
	CheckNothing    = "does-nothing"      // an item or list that gives, denies or excepts nothing
	CheckNoMatch    = "never-matches"     // resources that no object can match
	CheckNoObject   = "matches-nothing"   // resources that no object matches today
	CheckShadowed   = "shadowed"          // an item that other items make superfluous
	CheckNoEffect   = "no-effect"         // an item that other items always beat
	CheckFidelity   = "fidelity"          // Unity Catalog cannot say it as the policy does
	CheckExpired    = "expired"           // no validity schedule opens any more
	CheckNeverOpen  = "never-open"        // no validity schedule opens at all
	CheckNotYetOpen = "not-yet-open"      // every validity schedule opens later
	CheckDuplicate  = "duplicate-id"      // two policies with one id
	CheckPublicAll  = "public-all"        // everyone is allowed everything
	CheckDisabled   = "disabled"          // policies that are switched off
)

// LintOptions says what policies are checked against.
type LintOptions struct {
	// Compile says how policies become grants; its Time, at which validity is judged, must be set.
	Compile CompileOptions
	// Inventory holds the objects of the workspace; nil when they are not known.
	Inventory *Inventory
}

// LintResult is everything found. Findings are sorted by file, policy and field.
type LintResult struct {
	Policies int           `json:"policies"` // checked: those that are enabled
	Disabled int           `json:"disabled"`
	Errors   int           `json:"errors"`
	Warnings int           `json:"warnings"`
	Infos    int           `json:"infos"`
	Findings []LintFinding `json:"findings"`
	Notes    []string      `json:"notes,omitempty"` // what could not be checked
}

// UnverifiedSnapshot joins the parts without verifying them, so that everything wrong with them can be reported. It is
// for [Lint] alone: what is granted must come from [NewSnapshot].
func UnverifiedSnapshot(in SnapshotInput) *Snapshot { return assembleSnapshot(in) }

// Lint checks the policies of s, which need not be verified. Disabled policies are only counted.
func Lint(s *Snapshot, o LintOptions) *LintResult {
	l := &linter{snapshot: s, options: o, out: &LintResult{Findings: []LintFinding{}}, refused: make(map[*Policy]bool)}
	l.known = newKnownNames(s)
	l.snapshotChecks()
	models := map[*ServiceDef]*serviceModel{}
	for policies, def := range s.policyLists() {
		if def != nil && models[def] == nil {
			models[def] = newServiceModel(def)
		}
		isTags := s.TagPolicies != nil && def == s.TagPolicies.ServiceDef
		list := &lintList{
			linter: l, model: models[def], tags: isTags, policies: policies,
			verifier: verifier{model: models[def], tags: isTags, component: s.ServiceDef.Name},
		}
		list.check()
	}
	l.fidelity()
	l.finish()
	return l.out
}

type linter struct {
	snapshot *Snapshot
	options  LintOptions
	known    knownNames
	roles    *roleTable
	objects  *objectTree // nil when they are not known
	refused  map[*Policy]bool
	out      *LintResult
}

func (l *linter) find(p *Policy, severity Severity, check, field, format string, args ...any) {
	f := LintFinding{Severity: severity, Check: check, Field: field, Message: fmt.Sprintf(format, args...)}
	if p != nil {
		f.PolicyID, f.Policy, f.File = p.ID, p.Name, p.Origin
		if severity == SeverityError {
			l.refused[p] = true
		}
	}
	l.out.Findings = append(l.out.Findings, f)
}

func (l *linter) note(format string, args ...any) {
	l.out.Notes = append(l.out.Notes, fmt.Sprintf(format, args...))
}

// snapshotChecks checks what is no policy: the service definition, roles, zones, and what there is to check against.
func (l *linter) snapshotChecks() {
	s := l.snapshot
	if err := s.ServiceDef.verify(); err != nil {
		l.find(nil, SeverityError, CheckRefused, "", "%v", err)
	}
	if err := verifyRoles(s.Roles); err != nil {
		l.find(nil, SeverityError, CheckRefused, "", "%v", err)
	}
	var err error
	if l.roles, err = newRoleTable(s.Roles); err != nil {
		l.find(nil, SeverityError, CheckRefused, "", "%v", err)
		l.roles = &roleTable{}
	}
	for _, name := range sortedKeys(s.Zones) {
		if err := verifyZone(s.Zones[name], newServiceModel(s.ServiceDef)); err != nil {
			l.find(nil, SeverityError, CheckRefused, "", "securityZones.%s.%v", name, err)
		}
	}
	if s.Users == nil {
		l.note("there is no user store, so users and groups are not checked; add a document with userGroupMapping")
	}
	if len(s.Roles) == 0 {
		l.note("there are no roles, so the names of roles are not checked")
	}
	if l.options.Inventory == nil {
		l.note("the objects of the workspace are not known, so it is not checked which policies match none of them")
	} else {
		l.objects = newObjectTree(l.options.Inventory)
	}
	for i, role := range s.Roles {
		for kind, members := range map[SubjectKind][]RoleMember{SubjectUser: role.Users, SubjectGroup: role.Groups, SubjectRole: role.Roles} {
			for _, m := range members {
				if l.isUnknown(kind, m.Name) {
					l.find(nil, SeverityWarning, CheckPrincipal, fmt.Sprintf("rangerRoles[%d]", i), "role %q has the member %s %q, which %s",
						role.Name, subjectWord(kind), m.Name, l.unknownWords(kind, m.Name))
				}
			}
		}
	}
}

// finish counts and sorts.
func (l *linter) finish() {
	if n := l.out.Disabled; n > 0 {
		l.find(nil, SeverityInfo, CheckDisabled, "", "%d of %d policies are disabled; they are not checked", n, n+l.out.Policies)
	}
	for _, f := range l.out.Findings {
		switch f.Severity {
		case SeverityError:
			l.out.Errors++
		case SeverityWarning:
			l.out.Warnings++
		default:
			l.out.Infos++
		}
	}
	slices.SortStableFunc(l.out.Findings, func(a, b LintFinding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.PolicyID, b.PolicyID), cmp.Compare(a.Policy, b.Policy),
			strings.Compare(a.Field, b.Field), cmp.Compare(a.Check, b.Check), strings.Compare(a.Message, b.Message))
	})
	l.out.Findings = slices.Compact(l.out.Findings)
}

// isUnknown reports whether nothing but policies knows the name, where there is anything that should.
func (l *linter) isUnknown(kind SubjectKind, name string) bool {
	if name == "" || isSubjectMacro(name) {
		return false
	}
	if kind == SubjectRole {
		return len(l.snapshot.Roles) > 0 && !slices.ContainsFunc(l.snapshot.Roles, func(r Role) bool { return r.Name == name })
	}
	return l.snapshot.Users != nil && l.known.where(kind, name) != inUserStore
}

func (l *linter) unknownWords(kind SubjectKind, name string) string {
	where := "is not in the user store"
	if kind == SubjectRole {
		where = "is not among the roles"
	}
	if near := l.known.near([]SubjectKind{kind}, name); near != "" && !l.isUnknown(kind, strings.TrimPrefix(near, subjectWord(kind)+" ")) {
		return where + "; names count with their case, did you mean " + near + "?"
	}
	for _, other := range []SubjectKind{SubjectUser, SubjectGroup, SubjectRole} {
		if other != kind && l.known.where(other, name) != "" && !l.isUnknown(other, name) {
			return fmt.Sprintf("%s; there is a %s of this name", where, subjectWord(other))
		}
	}
	return where + "; correct the name, or remove it"
}

// lintList is one list of policies, which follow one service definition.
type lintList struct {
	*linter
	model    *serviceModel // nil for a tag service without definition
	tags     bool
	policies []Policy
	verifier verifier
}

func (l *lintList) check() {
	first := make(map[int64]*Policy)
	for i := range l.policies {
		p := &l.policies[i]
		if !p.Enabled() {
			l.out.Disabled++
			continue
		}
		l.out.Policies++
		if f := first[p.ID]; f != nil {
			l.find(p, SeverityWarning, CheckDuplicate, "id", "policy %q%s has this id too, so messages and changes by id may mean either; give one another id", f.Name, inFile(f.Origin, p.Origin))
		} else {
			first[p.ID] = p
		}
		l.resources(p)
		l.items(p)
		l.validity(p, l.options.Compile.Time)
		if err := l.verifier.policy(p); err != nil && !l.refused[p] {
			field, message := splitField(err)
			l.find(p, SeverityError, CheckRefused, field, "%s", message)
		}
	}
	if l.model != nil {
		l.shadows()
	}
}

func inFile(other, own string) string {
	if other == own || other == "" {
		return ""
	}
	return " in " + other
}

// splitField parts an error of the verifier into the field and what is wrong with it.
func splitField(err error) (field, message string) {
	if field, message, ok := strings.Cut(err.Error(), ": "); ok && !strings.ContainsAny(field, " \"") {
		return field, message
	}
	return "", err.Error()
}

// validity checks when the policy is open.
func (l *lintList) validity(p *Policy, now time.Time) {
	v, err := newValidity(p.ValiditySchedules)
	if err != nil || len(v) == 0 {
		return // the verifier reports the error
	}
	ever, still, opened := false, false, v.openAt(now)
	from, until := v[0].start, v[0].end // the earliest start and the latest end
	for i := range v {
		s := &v[i]
		ever = ever || s.opensWithin(time.Time{}, time.Time{})
		still = still || s.opensWithin(now, time.Time{})
		if s.start.Before(from) {
			from = s.start
		}
		if s.end.After(until) {
			until = s.end
		}
	}
	switch {
	case !ever:
		l.find(p, SeverityWarning, CheckNeverOpen, "validitySchedules", "no schedule ever opens, so the policy is never in force; check start, end and recurrences")
	case !still && until.IsZero():
		l.find(p, SeverityWarning, CheckExpired, "validitySchedules", "no schedule opens any more; remove the policy or extend it")
	case !still:
		l.find(p, SeverityWarning, CheckExpired, "validitySchedules", "it ended on %s and opens no more; remove the policy or extend it", until.Format("2006-01-02 15:04 MST"))
	case !opened && from.After(now):
		l.find(p, SeverityInfo, CheckNotYetOpen, "validitySchedules", "it opens on %s", from.Format("2006-01-02 15:04 MST"))
	}
}

// opensWithin reports whether the schedule is open at some time from from to to; zero times bound nothing.
func (s *schedule) opensWithin(from, to time.Time) bool {
	if s.start.After(from) {
		from = s.start
	}
	if to.IsZero() || !s.end.IsZero() && s.end.Before(to) {
		to = s.end
	}
	if !to.IsZero() && to.Before(from) {
		return false
	}
	if len(s.recurrences) == 0 {
		return true
	}
	for i := range s.recurrences {
		if s.recurrences[i].beginsWithin(from, to, s.zone) {
			return true
		}
	}
	return false
}

// beginsWithin reports whether an interval of the recurrence lies, at least in part, between the two times.
func (r *recurrence) beginsWithin(from, to time.Time, zone *time.Location) bool {
	if r.interval <= 0 {
		return true
	}
	first := time.Date(firstYear, 1, 1, 0, 0, 0, 0, zone)
	last := time.Date(lastYear, 12, 31, 23, 59, 0, 0, zone)
	if from = from.Add(-r.interval); from.After(first) {
		first = from.In(zone)
	}
	if !to.IsZero() && to.Before(last) {
		last = to.In(zone)
	}
	for day := time.Date(first.Year(), first.Month(), first.Day(), 0, 0, 0, 0, zone); !day.After(last); day = day.AddDate(0, 0, 1) {
		if !r.beginsOn(day) {
			continue
		}
		// The last begin of the day is the one to stay open longest; that of the first and last day may be cut off.
		limit := 24*60 - 1
		if day.Year() == last.Year() && day.YearDay() == last.YearDay() {
			limit = last.Hour()*60 + last.Minute()
		}
		if hour, minute, ok := r.lastBefore(limit); ok && !time.Date(day.Year(), day.Month(), day.Day(), hour, minute, 0, 0, zone).Before(from) {
			return true
		}
	}
	return false
}
