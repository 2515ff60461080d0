package accepted

import (
	"fmt"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/rules"
)

// Kind tells what a remark is about.
type Kind string

// The kinds of remarks.
const (
	KindFault     Kind = "refused"           // it cannot be understood
	KindName      Kind = "unknown-principal" // a name that can be nobody's
	KindNobody    Kind = "names-nobody"      // an item for nobody, or an empty name
	KindNothing   Kind = "does-nothing"      // what allows, denies or excepts nothing
	KindNoMatch   Kind = "never-matches"     // a value that no object can match
	KindNeverOpen Kind = "never-open"        // a schedule that never opens
	KindZone      Kind = "unknown-zone"      // a zone that does not exist, or that the policy is not in
	KindCondition Kind = "unknown-condition" // a condition that nothing can judge
)

// Remark is something that a policy says and that means nothing, or not what its author may expect. Plan and lint both
// report it in these words.
type Remark struct {
	Policy  *rules.Policy
	Kind    Kind
	Field   string // where it stands in the policy
	Message string // what is wrong, what follows, and what to write instead
	Effect  policy.Effect
	// Never is set for what can never do what it says, and Slip for what nobody means to write, although access is the same
	// without it.
	Never, Slip bool
}

func (r *Remark) finding() policy.Finding {
	message := r.Message
	if r.Field != "" {
		message = r.Field + ": " + message
	}
	return policy.Finding{PolicyID: r.Policy.Source.ID, Policy: r.Policy.Source.Name, Effect: r.Effect, Message: message}
}

// Remarks returns what is accepted in the policies of a rule set although it means nothing.
func Remarks(set *rules.RuleSet) []Remark {
	return remarks(set, func(*NameProblem) bool { return false })
}

func remarks(set *rules.RuleSet, somebody func(*NameProblem) bool) []Remark {
	f := &finder{RuleSet: set, somebody: somebody, names: knownNames{of: set.Snapshot}}
	for p := range set.Policies {
		if p.Elsewhere {
			continue // it is said where it stands
		}
		f.findFaults(p)
		f.findValues(p)
		f.findRecursive(p)
		f.findConditions(p, "conditions", p.Source.Conditions)
		f.findEmpty(p)
		f.findItems(p)
		f.findUnused(p)
		f.findInItems(p)
		f.findSchedules(p)
		f.findZone(p)
	}
	if more := f.uncarried - maxUncarried; more > 0 {
		f.list[f.lastUncarried].Message += fmt.Sprintf(" (and %d more tags of policies)", more)
	}
	return f.list
}

// finder collects remarks about the policies of a rule set.
type finder struct {
	*rules.RuleSet
	somebody func(*NameProblem) bool // the workspace has who has such a name
	list     []Remark
	names    knownNames
	// uncarried counts the tags that nothing carries, lastUncarried is where the last of them is noted that is noted by itself.
	uncarried, lastUncarried int

	store    *StoreNames          // made for the first item that takes something away
	tags     *TagNames            // made when the first policy on tags is looked at
	carriers map[string]*carriers // by tag; the same
}

func (f *finder) tagNames() *TagNames {
	if f.tags == nil {
		f.tags = NewTagNames(f.Snapshot)
	}
	return f.tags
}

// find adds a remark, of the kind that does nothing, whose text begins with the field and a colon. It returns it, to be
// completed before the next is added.
func (f *finder) find(p *rules.Policy, effect policy.Effect, format string, args ...any) *Remark {
	field, message, found := strings.Cut(fmt.Sprintf(format, args...), ": ")
	if !found {
		field, message = "", field
	}
	f.list = append(f.list, Remark{Policy: p, Kind: KindNothing, Field: field, Message: message, Effect: effect})
	return &f.list[len(f.list)-1]
}
