package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/compile"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
	"ucwarden/policy/schedule"
	"ucwarden/policy/verify"
)

// Severity tells how much a lint finding matters.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // it cannot be understood, or is surely a mistake
	SeverityWarning Severity = "warning" // they do not do what they seem to
	SeverityInfo    Severity = "info"    // worth knowing
)

// Finding is one thing about a policy that somebody may want to change.
type Finding struct {
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
	CheckRefused    = "refused"                      // it cannot be understood, and is left out; what it may deny is closed
	CheckPrincipal  = string(accepted.KindName)      // a user, group or role that nothing knows
	CheckNobody     = string(accepted.KindNobody)    // an item without users, groups and roles, or an empty name
	CheckNothing    = string(accepted.KindNothing)   // an item or list that allows, denies or excepts nothing
	CheckNoMatch    = string(accepted.KindNoMatch)   // resources that no object can match
	CheckNoObject   = "matches-nothing"              // resources that no object matches today
	CheckShadowed   = "shadowed"                     // an item that other items make superfluous
	CheckNoEffect   = "no-effect"                    // an item that other items always beat
	CheckFidelity   = "fidelity"                     // Unity Catalog cannot say it as the policy does
	CheckExpired    = "expired"                      // no validity schedule opens any more
	CheckNeverOpen  = string(accepted.KindNeverOpen) // no validity schedule opens at all
	CheckNotYetOpen = "not-yet-open"                 // every validity schedule opens later
	CheckDuplicate  = "duplicate-id"                 // two policies with one id
	CheckPublicAll  = "public-all"                   // everyone is allowed everything
	CheckDisabled   = "disabled"                     // policies that are switched off
)

// Options says what policies are checked against.
type Options struct {
	// Names and Scripts say how policies are read.
	Names   rules.NameMapping
	Scripts match.ScriptCompiler
	// Compile says how policies become grants; its Time, at which validity is judged, must be set.
	Compile compile.Options
	// Inventory holds the objects of the workspace; nil when they are not known.
	Inventory *policy.Inventory
}

// Result is everything found. Findings are sorted by file, policy and field.
type Result struct {
	Policies int       `json:"policies"` // checked: those that are enabled
	Disabled int       `json:"disabled"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Infos    int       `json:"infos"`
	Findings []Finding `json:"findings"`
	Notes    []string  `json:"notes,omitempty"` // what could not be checked
}

// Run checks the policies of s, which need not be verified. Of disabled policies only what cannot be read is reported.
func Run(s *ranger.Snapshot, o Options) *Result {
	s = verify.Snapshot(s)
	l := &linter{snapshot: s, options: o, out: &Result{Findings: []Finding{}}, refused: make(map[*ranger.Policy]bool), verdicts: make(map[verdictKey]verdict)}
	l.known, l.store = rules.NewKnownNames(s), accepted.NewStoreNames(s)
	l.snapshotChecks()
	l.problems()
	l.definition()
	l.zones()
	l.tagProblems()
	own := rules.NewModel(s.ServiceDef)
	for policies, def := range s.PolicyLists() {
		model, tags := own, s.TagPolicies != nil && def == s.TagPolicies.ServiceDef
		if tags {
			model = rules.TagModel(s.ServiceDef, s.TagPolicies)
		}
		list := &lintList{linter: l, model: model, tags: tags, policies: policies}
		list.check()
	}
	l.remarks()
	if l.rules != nil {
		for repo := range l.rules.Repositories {
			l.shadows(repo)
		}
		l.fidelity()
	}
	l.finish()
	return l.out
}

type linter struct {
	snapshot *ranger.Snapshot
	options  Options
	known    rules.KnownNames
	store    *accepted.StoreNames
	rules    *rules.RuleSet // nil when the snapshot cannot be read
	objects  *objectTree    // nil when they are not known
	refused  map[*ranger.Policy]bool
	verdicts map[verdictKey]verdict // of scripts
	out      *Result
}

func (l *linter) find(p *ranger.Policy, severity Severity, check, field, format string, args ...any) {
	f := Finding{Severity: severity, Check: check, Field: field, Message: fmt.Sprintf(format, args...)}
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
	if err := s.ServiceDef.Verify(); err != nil {
		l.find(nil, SeverityError, CheckRefused, "", "%v", err)
	}
	if err := ranger.VerifyRoles(s.Roles); err != nil {
		l.find(nil, SeverityError, CheckRefused, "", "%v", err)
	}
	var err error
	if l.rules, err = rules.New(s, rules.Options{Names: l.options.Names, Scripts: l.options.Scripts}); err != nil {
		l.find(nil, SeverityError, CheckRefused, "", "%v", err)
	}
	for err := range verify.Zones(s) {
		l.find(nil, SeverityError, CheckRefused, "", "%v", err)
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
	for _, name := range accepted.SnapshotNames(s) {
		l.misspelt(name)
	}
	for _, p := range slices.Concat(accepted.RoleProblems(s), accepted.ConfigProblems(s)) {
		l.find(nil, SeverityWarning, CheckNothing, p.Field, "%s", p.Message)
	}
	for i, role := range s.Roles {
		for kind, members := range map[rules.SubjectKind][]ranger.RoleMember{rules.SubjectUser: role.Users, rules.SubjectGroup: role.Groups, rules.SubjectRole: role.Roles} {
			for _, m := range members {
				if doubt, _ := accepted.Name(kind, m.Name); doubt == accepted.DoubtNone && l.isUnknown(kind, m.Name) {
					l.find(nil, SeverityWarning, CheckPrincipal, fmt.Sprintf("rangerRoles[%d]", i), "role %q has the member %s %q, which %s",
						role.Name, kind.String(), m.Name, l.unknownWords(kind, m.Name))
				}
			}
		}
	}
}

// finish counts and sorts.
func (l *linter) finish() {
	if n := l.out.Disabled; n > 0 {
		l.find(nil, SeverityInfo, CheckDisabled, "", "%d of %d policies are disabled; of them it is only checked that they can be read", n, n+l.out.Policies)
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
	slices.SortStableFunc(l.out.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.PolicyID, b.PolicyID), cmp.Compare(a.Policy, b.Policy),
			strings.Compare(a.Field, b.Field), cmp.Compare(a.Check, b.Check), strings.Compare(a.Message, b.Message))
	})
	l.out.Findings = slices.Compact(l.out.Findings)
}

// isUnknown reports whether nothing but policies knows the name, where there is anything that should.
func (l *linter) isUnknown(kind rules.SubjectKind, name string) bool {
	if name == "" || rules.IsSubjectMacro(name) || l.rules != nil && l.rules.Subjects.PrincipalOf(kind, name).IsEveryone() {
		return false
	}
	if kind == rules.SubjectRole {
		return len(l.snapshot.Roles) > 0 && !slices.ContainsFunc(l.snapshot.Roles, func(r ranger.Role) bool { return r.Name == name })
	}
	return l.snapshot.Users != nil && l.known.Where(kind, name) != rules.InUserStore
}

func (l *linter) unknownWords(kind rules.SubjectKind, name string) string {
	where := "is not in the user store"
	if kind == rules.SubjectRole {
		where = "is not among the roles"
	}
	if near := l.known.Near([]rules.SubjectKind{kind}, name); near != "" && !l.isUnknown(kind, strings.TrimPrefix(near, kind.String()+" ")) {
		return where + "; names count with their case, did you mean " + near + "?"
	}
	for _, other := range []rules.SubjectKind{rules.SubjectUser, rules.SubjectGroup, rules.SubjectRole} {
		if other != kind && l.known.Where(other, name) != "" && !l.isUnknown(other, name) {
			return fmt.Sprintf("%s; there is a %s of this name", where, other.String())
		}
	}
	return where + "; correct the name, or remove it"
}

// lintList is one list of policies, which follow one service definition.
type lintList struct {
	*linter
	model    *rules.Model
	tags     bool
	policies []ranger.Policy
}

func (l *lintList) check() {
	first := make(map[int64]*ranger.Policy)
	for i := range l.policies {
		p := &l.policies[i]
		if !p.Enabled() {
			l.out.Disabled++
			l.faults(p) // that it is disabled may not be taken either
			continue
		}
		l.out.Policies++
		if f := first[p.ID]; f != nil {
			l.find(p, SeverityWarning, CheckDuplicate, "id", "policy %q%s has this id too, so messages and changes by id may mean either; give one another id", f.Name, inFile(f.Origin, p.Origin))
		} else {
			first[p.ID] = p
		}
		l.faults(p)
		l.resources(p)
		l.items(p)
		l.accepted(p)
		l.validity(p, l.options.Compile.Time)
	}
}

// faults reports what of a policy cannot be understood.
func (l *lintList) faults(p *ranger.Policy) {
	for _, f := range p.Faults {
		l.find(p, SeverityError, CheckRefused, f.Field, "%s", f.Reason)
	}
}

func inFile(other, own string) string {
	if other == own || other == "" {
		return ""
	}
	return " in " + other
}

// faulty reports whether the field at path, or something in it, cannot be understood.
func faulty(p *ranger.Policy, path string) bool {
	return slices.ContainsFunc(p.Faults, func(f ranger.Fault) bool { return f.Within(path) })
}

// validity checks when the policy is open.
func (l *lintList) validity(p *ranger.Policy, now time.Time) {
	v, err := schedule.New(p.ValiditySchedules)
	if err != nil || len(v) == 0 {
		return // a fault
	}
	from, until := v.Span()
	ever, still, opened := v.OpensWithin(time.Time{}, time.Time{}), v.OpensWithin(now, time.Time{}), v.OpenAt(now)
	switch {
	case !ever: // a remark
	case !still && until.IsZero():
		l.find(p, SeverityWarning, CheckExpired, "validitySchedules", "no schedule opens any more; remove the policy or extend it")
	case !still:
		l.find(p, SeverityWarning, CheckExpired, "validitySchedules", "it ended on %s and opens no more; remove the policy or extend it", until.Format("2006-01-02 15:04 MST"))
	case !opened && from.After(now):
		l.find(p, SeverityInfo, CheckNotYetOpen, "validitySchedules", "it opens on %s", from.Format("2006-01-02 15:04 MST"))
	}
}
