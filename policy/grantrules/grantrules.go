package grantrules

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/judge"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/region"
	"ucwarden/policy/rules"
)

// protectionPriority is above every policy's: no allow opens a table whose filter or mask is not enforced.
const protectionPriority = 1 << 30

// Rules is everything of a rule set that decides grants. It is never changed.
type Rules struct {
	Policies []*judge.Policy
	Regions  []region.Region // where policies and security zones hold; a region.Ref is an index of it
	entries  []entry         // of each region
	// Zoned says that security zones limit where policies hold.
	Zoned    bool
	Findings []policy.Finding
	// SilentEnds is the highest priority of a policy that ends the evaluation and neither allows nor denies anything; where it is
	// about is not looked at. It is math.MinInt where there is none.
	SilentEnds int
}

// entry is what one region is of: one policy, or one security zone.
type entry struct {
	policy *judge.Policy // nil for a zone
	zone   string        // of a zone entry
	// columns allows SELECT on some columns of tables; nil where nothing does. It is not in policy, which allows nothing there.
	columns *judge.Policy
}

// PolicyAt returns the policy that holds in a region, nil where the region is a zone's.
func (r *Rules) PolicyAt(ref region.Ref) *judge.Policy { return r.entries[ref.Number()].policy }

// ColumnsAt returns the policy that allows SELECT on some columns of the tables of a region, without exceptions; nil where none does.
func (r *Rules) ColumnsAt(ref region.Ref) *judge.Policy { return r.entries[ref.Number()].columns }

// ZoneAt returns the security zone whose region it is, "" where it is a policy's.
func (r *Rules) ZoneAt(ref region.Ref) string { return r.entries[ref.Number()].zone }

// Options says how rules are read.
type Options struct {
	Time time.Time // at which validity is judged; the zero time takes every schedule as open
	// More returns the privileges that may be granted on a type of securable besides those that are by default; nil means none.
	More func(policy.SecurableType) policy.PrivilegeSet
	// Protects says that row filters and masks may be enforced, so that one that is not has its finding where it is not.
	Protects bool
	// Columns says that who is allowed some columns of a table may be granted it where masks hide the others, so that what is not
	// granted has its finding where it is not.
	Columns bool
	// Listed reports whether the workspace has a principal; nil: it is not asked.
	Listed func(policy.Principal) bool
}

// ruleReader builds rules from a rule set.
type ruleReader struct {
	Rules
	set    *rules.RuleSet
	opts   Options
	levels []match.NamedLevel // scratch
	// managed are the privileges that may be granted on some type of securable.
	managed policy.PrivilegeSet
}

func (r *ruleReader) add(reg region.Region, e entry) {
	r.Regions, r.entries = append(r.Regions, reg), append(r.entries, e)
}

func (r *ruleReader) levelsOf(m *match.Matcher) []match.NamedLevel {
	r.levels = m.AppendLevels(r.levels[:0])
	return r.levels
}

// Read returns what of a rule set decides grants.
func Read(set *rules.RuleSet, o Options) *Rules {
	r := &ruleReader{set: set, opts: o, managed: policy.DefaultPrivilegeSet}
	for _, t := range policy.SecurableTypes {
		if o.More != nil {
			r.managed |= o.More(t)
		}
	}
	r.SilentEnds = math.MinInt
	r.Findings = append(r.Findings, accepted.Findings(set, o.Listed)...)
	n := 0
	for repo := range set.Repositories {
		n += len(repo.All())
	}
	r.Regions, r.entries, r.Policies = make([]region.Region, 0, n), make([]entry, 0, n), make([]*judge.Policy, 0, n)
	for p := range set.Policies {
		r.addPolicy(p)
	}
	for m, zone := range set.Zones.Regions {
		reg, err := region.New(r.levelsOf(m), true)
		if reg.Open {
			r.Findings = append(r.Findings, policy.Finding{Effect: policy.EffectNarrower, Message: fmt.Sprintf(
				"security zone %q names a macro, or a '*' or '?' that stands for itself (wildCard), which a grant cannot express; what policies outside it allow is not granted where it may lie", zone)})
		}
		if reg.Columns {
			r.Findings = append(r.Findings, policy.Finding{Effect: policy.EffectNarrower, Message: fmt.Sprintf(
				"security zone %q names single columns; Unity Catalog grants whole tables, so what policies outside it allow is not granted on the tables of these columns", zone)})
		}
		if err == nil { // else a zone of places Unity Catalog does not have
			r.add(reg, entry{zone: zone})
		}
	}
	r.Zoned = r.Zoned || len(set.Zones.Names) > 0
	return &r.Rules
}

func (r *ruleReader) find(p *rules.Policy, effect policy.Effect, format string, args ...any) {
	r.Findings = append(r.Findings, policy.Finding{PolicyID: p.Source.ID, Policy: p.Source.Name, Effect: effect, Message: fmt.Sprintf(format, args...)})
}

// addPolicy adds a policy of any type at every region it is about.
func (r *ruleReader) addPolicy(p *rules.Policy) {
	if !p.Validity.OpenAt(r.opts.Time) {
		r.find(p, policy.EffectNone, "its validity schedules are not open now, so it is not in force")
		return
	}
	c, before := &judge.Policy{Rule: p, Priority: p.Priority}, len(r.Findings)
	if p.Type == ranger.PolicyTypeAccess {
		r.readItems(c)
	} else {
		r.readProtection(c)
	}
	if c.Allowed|c.Denied == 0 {
		if c.Ends() {
			r.SilentEnds = max(r.SilentEnds, p.Priority)
		}
		return
	}
	r.Policies = append(r.Policies, c)
	r.Zoned = r.Zoned || p.Zone != "" // also where the zone's resources are no place in Unity Catalog
	regions := r.regionsOf
	if p.Tag {
		regions = r.carriersOf
	}
	places := regions(c)
	if p.Tag && len(places) == 0 { // nothing carries the tag now, so that nothing is lost
		r.Findings = append(r.Findings[:before], slices.DeleteFunc(slices.Clone(r.Findings[before:]), func(f policy.Finding) bool { return f.Message != tagOver })...)
	}
	for _, reg := range places {
		e := entry{policy: c}
		if reg.Columns { // a table of higher priority does not open a column that is denied
			onColumns := *c
			onColumns.Allow, onColumns.Allowed, onColumns.Priority = nil, 0, protectionPriority
			e.policy = &onColumns
			if r.opts.Columns && !reg.Open && !p.Tag && len(p.AllowExceptions) == 0 && c.Allowed.Has(policy.Select) {
				e.columns = c
			}
		}
		r.add(reg, e)
	}
}

// regionsOf lists the regions of a policy on resources. A place Unity Catalog does not have grants and denies nothing
// there.
func (r *ruleReader) regionsOf(c *judge.Policy) []region.Region {
	if c.Rule.Everywhere {
		return region.Everywhere()
	}
	var list []region.Region
	for i := range c.Rule.Resources {
		reg, err := region.New(r.levelsOf(&c.Rule.Resources[i]), c.Rule.Inherits())
		if reg.Open {
			r.find(c.Rule, policy.EffectNarrower, "its resource holds a macro, or a '*' or '?' that stands for itself (wildCard), which a grant cannot express; what it allows is not granted, what it denies is denied for every value")
		}
		if err != nil {
			r.find(c.Rule, policy.EffectNarrower, "%v; nothing is granted for it", err)
			continue
		}
		if reg.Columns {
			r.findColumns(c, "it names single columns")
		}
		list = append(list, reg)
	}
	return list
}

// findColumns reports what becomes of a policy on columns. A row filter or mask has its own finding.
func (r *ruleReader) findColumns(c *judge.Policy, what string) {
	if c.Allowed != 0 && !(r.opts.Columns && c.Allowed.Has(policy.Select)) {
		r.find(c.Rule, policy.EffectNarrower, "%s; Unity Catalog grants whole tables, so what it allows there is not granted", what)
	}
	if c.Denied != 0 && !Protects(c) {
		r.find(c.Rule, policy.EffectNarrower, "%s; Unity Catalog grants whole tables, so what it denies there is denied on the whole table", what)
	}
}

const tagOver = "the periods of validity of a tag it names are over, or never open, so by that tag nothing is allowed or denied any more"

// carriersOf lists the regions of a policy on tags: every resource that carries a tag it names. Tags hold for everything
// inside the resource that carries them.
func (r *ruleReader) carriersOf(c *judge.Policy) []region.Region {
	if r.set.Tagged == nil {
		return nil
	}
	var list []region.Region
	macros, timed, unclear, over := false, false, false, false
	for m, tag := range r.set.Tagged.Carriers {
		matched, conditional := c.Rule.MatchWithoutRequest(&tag.Path, nil)
		if !matched {
			continue
		}
		if tag.Over(r.opts.Time) {
			over = true
			continue
		}
		reg, err := region.New(r.levelsOf(m), true)
		if err != nil {
			continue
		}
		if reg.Columns {
			r.findColumns(c, "tag "+tag.Type+" is on columns")
		}
		macros, timed, unclear = macros || conditional || reg.Open, timed || tag.Timed && !tag.Unclear, unclear || tag.Unclear
		reg.Partial = reg.Partial || conditional || tag.Timed || tag.Unclear // a tag that comes and goes denies always and allows never
		list = append(list, reg)
	}
	if macros {
		r.find(c.Rule, policy.EffectNarrower, "its tag, or a resource that carries it, holds a macro, which a grant cannot express; what it allows is not granted, what it denies is denied for every value")
	}
	if unclear {
		r.find(c.Rule, policy.EffectNarrower, "what is said of a tag it names, or of a resource that carries it, cannot be understood; what it allows by that is not granted, what it denies is denied")
	}
	if over {
		r.find(c.Rule, policy.EffectNone, tagOver)
	}
	if timed {
		r.find(c.Rule, policy.EffectNarrower, "a tag it names is there at certain times only, which a grant cannot express; what it allows by that tag is not granted, what it denies is denied always")
	}
	return list
}

// readItems reads the four lists of an access policy. Conditions cannot be written as grants: an allow that needs one
// is not granted, a deny holds without it.
func (r *ruleReader) readItems(c *judge.Policy) {
	p := c.Rule
	conditional := len(p.Conditions) > 0
	if conditional && (len(p.Allow) > 0 || p.HasDeny) {
		r.find(p, policy.EffectNarrower, "it holds only under a condition (%s), which a grant cannot express; what it allows is not granted, what it denies is denied always", p.DescribeConditions())
	}
	read := func(items []rules.Item, conditionals string) []judge.Item {
		if len(items) == 0 {
			return nil
		}
		out := make([]judge.Item, 0, len(items))
		for i := range items {
			item := &items[i]
			if len(item.Conditions) > 0 {
				r.find(p, policy.EffectNarrower, "%s[%d] holds only under a condition (%s), which a grant cannot express; it %s",
					item.Kind, item.Index, item.DescribeConditions(), conditionals)
			}
			if len(item.Conditions) > 0 || conditional {
				if !item.Restricts() {
					continue
				}
			}
			if privs := r.privileges(p, item); privs != 0 && len(item.Who) > 0 {
				out = append(out, judge.Item{Privileges: privs, Who: item.Who, Kind: item.Kind, Index: int32(item.Index)})
			}
		}
		return out
	}
	c.Allow = read(p.Allow, "is not granted")
	c.AllowExcept = read(p.AllowExceptions, "holds always")
	c.Deny = read(p.Deny, "holds always")
	c.DenyExcept = read(p.DenyExceptions, "is not made")
	c.DenyAllElse = p.DenyAllElse
	c.Sum()
}

// Protects reports whether the policy sets a row filter or mask, and denies SELECT only where that is not enforced.
func Protects(p *judge.Policy) bool {
	return p.Rule.Type != ranger.PolicyTypeAccess
}

// readProtection turns a row filter or mask that is not enforced in Unity Catalog into a deny of SELECT for whom it
// binds: reading without it would show more than the policy allows. Items that show everything come first for whom
// they name, as in Ranger, where the first matching item decides.
func (r *ruleReader) readProtection(c *judge.Policy) {
	p := c.Rule
	c.Priority = protectionPriority
	what := "a row filter"
	for i := range p.Protect {
		item := &p.Protect[i]
		free := len(item.Conditions) == 0
		if item.Mask != nil {
			what = "a column mask"
			free = free && item.Mask.DataMaskType == "MASK_NONE"
		} else {
			free = free && strings.TrimSpace(item.Filter.FilterExpr) == ""
		}
		if !item.MatchesAccess("select") || len(item.Who) == 0 {
			continue // it is about what another access shows, of which Unity Catalog masks and filters nothing, or for nobody
		}
		if free && len(c.Deny) > 0 {
			continue // an earlier item binds; whom this one frees is not certain
		}
		if entry := (judge.Item{Privileges: policy.Select.Set(), Who: item.Who, Kind: item.Kind, Index: int32(item.Index)}); free {
			c.DenyExcept = append(c.DenyExcept, entry)
		} else {
			c.Deny = append(c.Deny, entry)
		}
	}
	c.Sum()
	if c.Denied != 0 && !r.opts.Protects {
		r.find(p, policy.EffectNarrower, "it sets %s, which takes a warehouse (databricks.warehouse): without one, whom it binds is not granted SELECT on its tables", what)
	}
}

// privileges turns the access types of an item, with what they imply, into privileges.
func (r *ruleReader) privileges(p *rules.Policy, item *rules.Item) policy.PrivilegeSet {
	if _, all := item.Accesses(); all {
		return policy.AllPrivilegeSet
	}
	var set policy.PrivilegeSet
	for _, access := range item.Expanded {
		bit := policy.Privilege(strings.ToUpper(access)).Set()
		if bit&r.managed == 0 && !strings.HasPrefix(access, "_") && slices.Contains(item.Named, access) {
			effect := policy.EffectNarrower
			if item.Kind == rules.ItemDeny || item.Kind == rules.ItemDenyException {
				effect = policy.EffectNone
			}
			why := "has no counterpart in Unity Catalog"
			if bit != 0 {
				why = "is a privilege that is not managed unless scope.privileges.<type>.add names it"
			}
			what := "it is left out"
			if len(item.Expanded) > len(item.Named) {
				what += ", but for what it implies"
			}
			r.find(p, effect, "%s[%d] names access type %q, which %s; %s", item.Kind, item.Index, access, why, what)
		}
		set |= bit
	}
	return set
}
