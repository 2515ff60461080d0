package accepted

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// findUnused reports the lists of a policy that its type has no use for.
func (f *finder) findUnused(p *rules.Policy) {
	raw := p.Source
	for _, list := range []struct {
		kind   rules.ItemKind
		length int
		of     ranger.PolicyType
		effect policy.Effect
	}{
		{rules.ItemAllow, len(raw.PolicyItems), ranger.PolicyTypeAccess, policy.EffectNarrower},
		{rules.ItemDenyException, len(raw.DenyExceptions), ranger.PolicyTypeAccess, policy.EffectNone},
		{rules.ItemDataMask, len(raw.DataMaskPolicyItems), ranger.PolicyTypeDataMask, policy.EffectWider},
		{rules.ItemRowFilter, len(raw.RowFilterPolicyItems), ranger.PolicyTypeRowFilter, policy.EffectWider},
	} {
		if list.length > 0 && raw.PolicyType != list.of {
			f.find(p, list.effect, "%s: a policy of policyType %d has no use for them, so they have no effect; put them into a policy of policyType %d", list.kind, raw.PolicyType, list.of).Slip = true
		}
	}
}

// findRecursive reports resources that are to be recursive where names have no parts.
func (f *finder) findRecursive(p *rules.Policy) {
	if p.Tag {
		return
	}
	for i := range len(p.Source.AdditionalResources) + 1 {
		path, resources := "resources", p.Source.Resources
		if i > 0 {
			resources = p.Source.AdditionalResources[i-1]
		}
		var names []string
		for name, r := range resources {
			if !r.IsRecursive {
				continue
			}
			if def := p.Resource(name); def != nil && !def.HasPaths() {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			if i > 0 {
				path = fmt.Sprintf("additionalResources[%d]", i-1)
			}
			f.find(p, policy.EffectNone, "%s.%s.isRecursive: it has no effect, because names of this resource are no paths; remove it", path, name)
		}
	}
}

// findSchedules reports validity schedules that never open, as those that end before they begin, and those that limit nothing.
func (f *finder) findSchedules(p *rules.Policy) {
	for i := range p.Validity {
		s := &p.Source.ValiditySchedules[i]
		if s.StartTime == "" && s.EndTime == "" && len(s.Recurrences) == 0 {
			f.find(p, effectOfNoLimit(p), "validitySchedules[%d]: it says neither when it begins, nor when it ends or recurs, so the policy is in force at any time; say when, or remove it", i).Slip = true
			continue
		}
		opens := p.Validity[i:i+1].OpensWithin(time.Time{}, time.Time{})
		said := f.findRecurrences(p, i)
		if opens || said {
			continue
		}
		effect, consequence := f.effectOfClosed(p)
		f.find(p, effect, "validitySchedules[%d]: it never opens (start %q, end %q), so %s; correct its start, end and recurrences", i, s.StartTime, s.EndTime, consequence).never()
	}
}

// findRecurrences reports the recurrences of a schedule that limit nothing, or never begin, and whether one of these is why the
// schedule never opens.
func (f *finder) findRecurrences(p *rules.Policy, schedule int) (said bool) {
	list := p.Source.ValiditySchedules[schedule].Recurrences
	for n, r := range list {
		path := fmt.Sprintf("validitySchedules[%d].recurrences[%d]", schedule, n)
		switch {
		case r.Interval.Days <= 0 && r.Interval.Hours <= 0 && r.Interval.Minutes <= 0:
			f.find(p, effectOfNoLimit(p), "%s.interval: it has no length, so the recurrence limits nothing, as in Ranger; say how many days, hours or minutes it lasts", path).Slip = true
		case strings.TrimSpace(r.Schedule.DayOfMonth) == "" && strings.TrimSpace(r.Schedule.DayOfWeek) == "":
			effect, consequence := policy.EffectNone, "the others alone hold"
			if len(list) == 1 {
				effect, consequence = f.effectOfClosed(p)
				said = true
			}
			f.find(p, effect, "%s.schedule: it names neither days of the month nor of the week, so it never begins, and %s; say dayOfMonth or dayOfWeek, \"*\" for each day", path, consequence).never()
		}
	}
	return said
}

func (r *Remark) never() { r.Kind, r.Slip = KindNeverOpen, true }

// effectOfClosed returns what it means for access that one of a policy's schedules never opens, and what follows.
func (f *finder) effectOfClosed(p *rules.Policy) (policy.Effect, string) {
	if p.Validity.OpensWithin(time.Time{}, time.Time{}) {
		return policy.EffectNone, "the others alone hold"
	}
	return effectOfNoMatch(p, false), "the policy is never in force"
}

// effectOfNoLimit returns what it means for access that a policy is in force when it may be meant not to be.
func effectOfNoLimit(p *rules.Policy) policy.Effect {
	if len(p.Allow) > 0 {
		return policy.EffectWider
	}
	return policy.EffectNarrower
}

// findInItems reports what the items of an access policy say that Unity Catalog has no counterpart for.
func (f *finder) findInItems(p *rules.Policy) {
	var reached policy.ObjectClass
	columns := false
	switch {
	case p.Tag:
		reached, columns = f.carriersOf(p)
	case !p.Everywhere:
		reached = classesOf(p) // 0 where its resources have a finding of their own
	}
	if columns && p.Type == ranger.PolicyTypeRowFilter && len(p.Protect) > 0 {
		f.find(p, policy.EffectWider, "resources: its tags are on columns only, and row filters are of tables, so no row is filtered, as in Ranger; put the tag on the table").Slip = true
	}
	var delegates []string
	for _, list := range [][]rules.Item{p.Allow, p.Deny, p.AllowExceptions, p.DenyExceptions, p.Protect} {
		for i := range list {
			item := &list[i]
			f.findOwner(p, item)
			if p.Type == ranger.PolicyTypeAccess {
				f.findInert(p, item, reached)
			} else {
				f.findUnread(p, item)
			}
			f.findMask(p, item)
			if item.Admin && item.Kind.Listed() {
				delegates = append(delegates, fmt.Sprintf("%s[%d].delegateAdmin", item.Kind, item.Index))
			}
		}
	}
	if len(delegates) > 0 {
		f.find(p, policy.EffectNone, "%s: it says who may edit policies in Ranger; Unity Catalog has no counterpart, so nothing is granted or denied for it (MANAGE is an access type of its own)", strings.Join(delegates, ", "))
	}
}

// findMask reports a mask that lacks the expression it is of, or has one that is of no use to it.
func (f *finder) findMask(p *rules.Policy, item *rules.Item) {
	if item.Mask == nil {
		return
	}
	custom, blank := item.Mask.DataMaskType == "CUSTOM", strings.TrimSpace(item.Mask.ValueExpr) == ""
	path := fmt.Sprintf("%s[%d].dataMaskInfo.valueExpr", item.Kind, item.Index)
	switch {
	case custom == !blank || faulty(p, path):
	case custom:
		f.find(p, policy.EffectNone, "%s: it is empty, so whom the item names sees NULL; write the expression of what to show", path).Slip = true
	default:
		f.find(p, policy.EffectNone, "%s: it has no effect in a mask of type %s, but in one of type CUSTOM; change the type, or remove it", path, item.Mask.DataMaskType).Slip = true
	}
}

// findOwner reports what an item says of owners, who hold everything on what they own without a grant.
func (f *finder) findOwner(p *rules.Policy, item *rules.Item) {
	switch {
	case !item.Owner:
	case item.Restricts():
		f.find(p, policy.EffectWider, "%s[%d]: it names {OWNER}; the owner of an object holds everything on it in Unity Catalog, which no grant and no deny changes", item.Kind, item.Index)
	default:
		f.find(p, policy.EffectNone, "%s[%d]: it names {OWNER}; the owner of an object holds everything on it in Unity Catalog, so nothing is granted for that", item.Kind, item.Index)
	}
}

// findUnread reports an item of masks or filters for other access than reading, in which nothing is masked or filtered.
func (f *finder) findUnread(p *rules.Policy, item *rules.Item) {
	if _, all := item.Accesses(); all || len(item.Named) == 0 || item.MatchesAccess("select") || !item.Kind.Listed() {
		return
	}
	f.find(p, policy.EffectWider, "%s[%d].accesses: it is about %s, and what is masked or filtered is what SELECT reads, so it does nothing; name select", item.Kind, item.Index, strings.Join(item.Named, ", ")).Slip = true
}

// findInert reports the access types of an item that act on no class of object that its policy can be about.
func (f *finder) findInert(p *rules.Policy, item *rules.Item, reached policy.ObjectClass) {
	if _, all := item.Accesses(); all || reached == 0 {
		return
	}
	var inert []string
	mapped := 0
	for _, access := range item.Named {
		var acts policy.ObjectClass
		var known policy.PrivilegeSet
		for _, implied := range f.Model.ImpliedBy(access) {
			x := policy.Privilege(strings.ToUpper(implied))
			known |= x.Set()
			acts |= policy.ActsOn[x]
		}
		switch {
		case known == 0: // the compiler reports what is no privilege
		case acts&reached == 0:
			inert = append(inert, access)
			mapped++
		default:
			mapped++
		}
	}
	if len(inert) == 0 {
		return
	}
	effect, what := policy.EffectNarrower, "granted"
	if item.Restricts() {
		effect, what = policy.EffectWider, "denied"
	}
	if len(inert) < mapped {
		effect = policy.EffectNone
	}
	slices.Sort(inert)
	about := "its resources name"
	if p.Tag {
		about = "carries its tags"
	}
	r := f.find(p, effect, "%s[%d]: Unity Catalog has no %s on what %s, nor on anything in it, so nothing is %s for that", item.Kind, item.Index,
		strings.ToUpper(strings.Join(slices.Compact(inert), ", ")), about, what)
	r.Slip = true
}

// classesOf returns the classes of object that a policy can be about: what its resources name, what that holds where policies
// are inherited, and the containers all of whose objects they name.
func classesOf(p *rules.Policy) (reached policy.ObjectClass) {
	for i := range p.Resources {
		classes, known := classesAt(p.Resources[i].AppendLevels(nil), p.Inherits())
		if !known {
			return 0
		}
		reached |= classes
	}
	return reached
}

// classesAt returns the classes of object that resources with these levels are about; known is false where Unity Catalog has none.
func classesAt(levels []match.NamedLevel, inherits bool) (reached policy.ObjectClass, known bool) {
	for n, level := range slices.Backward(levels) {
		_, class, ok := rules.LevelOf(level.Name)
		if !ok {
			return 0, false
		}
		if n == len(levels)-1 && inherits {
			class = class.Inside()
		}
		reached |= class
		if !level.Any {
			break
		}
	}
	return reached, true
}

// carriers are the classes of object that carry a tag, or lie in what does; 0 where these are not known.
type carriers struct {
	classes policy.ObjectClass
	columns bool // only columns do
	path    *match.Path
}

// carriersOf returns the classes of object that a policy on tags can be about, and whether these are columns only; 0 where nothing
// carries its tags, which is said by itself.
func (f *finder) carriersOf(p *rules.Policy) (reached policy.ObjectClass, columns bool) {
	if f.carriers == nil {
		f.carriers = make(map[string]*carriers)
		if f.Tagged != nil {
			for m, tag := range f.Tagged.Carriers {
				levels := m.AppendLevels(nil)
				classes, known := classesAt(levels, true)
				if !known {
					classes = ^policy.ObjectClass(0)
				}
				level, _, _ := rules.LevelOf(levels[len(levels)-1].Name)
				c := f.carriers[tag.Type]
				if c == nil {
					c = &carriers{columns: true, path: &tag.Path}
					f.carriers[tag.Type] = c
				}
				c.classes, c.columns = c.classes|classes, c.columns && known && level == 0
			}
		}
	}
	columns = true
	for _, c := range f.carriers {
		if matched, _ := p.MatchWithoutRequest(c.path, nil); matched {
			reached, columns = reached|c.classes, columns && c.columns
		}
	}
	return reached, columns && reached != 0
}
