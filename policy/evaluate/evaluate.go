package evaluate

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// AnyAccess as a request's access type, or the empty text, asks for access of any type.
const AnyAccess = "_any"

// Request is a question to an [Evaluator]: may this user do that to this resource?
type Request struct {
	Resource   match.Resource
	Owner      string // of the resource; compared with users where a policy says {OWNER}
	AccessType string // one of the service definition; "" or AnyAccess for any

	// AccessTypes asks for several at once: one that is allowed is enough, or with AccessGroups one of each group. A
	// group of Optional access types is no obstacle as long as none is denied.
	AccessTypes  []string
	AccessGroups [][]string
	AnyOf        bool // the access types are alternatives: one that is allowed settles the question, as for AnyAccess
	Optional     []string

	User   string
	Groups []string // nil: those of the user store
	Roles  []string // nil: those that user and groups are members of

	Time       time.Time    // of the access; the zero time ignores validity schedules
	Tags       []RequestTag // nil: those that the snapshot attaches to the resource
	Descendant bool         // a policy on something below the resource decides too (Ranger's scope SELF_OR_DESCENDANTS)
	// CountDescendantDeny lets a deny below the resource count where descendants do; Ranger ignores it by default.
	CountDescendantDeny bool

	// For conditions.
	Context    map[string]any    // attributes by name
	Users      *ranger.UserStore // attributes of users and groups; nil: the snapshot's
	Together   []match.Resource  // resources accessed by the same statement
	ClientIP   string
	ClientType string
	Action     string
	Data       string // what is to be executed
}

// RequestTag is a tag that a request brings itself.
type RequestTag struct {
	Type       string
	Attributes map[string]string
	Match      match.Type // how the tagged resource lies to the one asked for; MatchNone stands for MatchSelf
	Validity   []ranger.ValiditySchedule
}

// Outcome is what the policies say.
type Outcome uint8

// The outcomes. Undetermined means that no policy decides, which allows nothing.
const (
	Undetermined Outcome = iota
	Allowed
	Denied
)

func (o Outcome) String() string { return [...]string{"undetermined", "allowed", "denied"}[o] }

// SubjectPath is how a policy item applies to the user.
type SubjectPath struct {
	Kind rules.SubjectKind
	Name string // of the user, group or role in the item
	Via  string // for a role that the user holds through a group: the group
}

func (s SubjectPath) String() string {
	if s.Kind == rules.SubjectRole && s.Via != "" {
		return "role " + s.Name + " via group " + s.Via
	}
	return rules.Subject{Kind: s.Kind, Name: s.Name}.String()
}

// Decision is the answer to a request, with what is needed to explain it.
type Decision struct {
	Outcome    Outcome
	Policy     *ranger.Policy // the one that decided; nil when none did
	Item       rules.ItemKind
	Index      int // of the item in its list
	AccessType string
	Subject    SubjectPath
	Match      match.Type
	Tag        string // the tag by which a tag policy decided
	Zone       string // the security zone whose policies were asked; empty outside zones

	Mask   *ranger.DataMaskInfo  // of EvaluateDataMask, with macros replaced
	Filter *ranger.RowFilterInfo // of EvaluateRowFilter, with macros replaced
}

// Allowed reports whether access is given.
func (d Decision) Allowed() bool { return d.Outcome == Allowed }

// PolicyID is the id of the deciding policy, -1 when none decided.
func (d Decision) PolicyID() int64 {
	if d.Policy == nil {
		return -1
	}
	return d.Policy.ID
}

// String explains the decision in one line.
func (d Decision) String() string {
	if d.Policy == nil {
		return d.Outcome.String() + ": no policy decides"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s by policy %d %q, %s", d.Outcome, d.Policy.ID, d.Policy.Name, d.Item)
	if d.Item.Listed() {
		fmt.Fprintf(&b, "[%d]", d.Index)
	}
	if d.AccessType != "" {
		fmt.Fprintf(&b, " for %s", d.AccessType)
	}
	fmt.Fprintf(&b, " to %s", d.Subject)
	if d.Tag != "" {
		fmt.Fprintf(&b, ", by tag %s", d.Tag)
	}
	if d.Zone != "" {
		fmt.Fprintf(&b, ", in zone %s", d.Zone)
	}
	return b.String()
}

// Evaluator answers requests by one rule set, as Apache Ranger's policy engine does. It never changes once made and is
// safe for concurrent use.
type Evaluator struct {
	rules    *rules.RuleSet
	accesses []access // all access types, in the order of hashOrder, for any-access requests
	groups   [][]string
	contexts sync.Pool // of *evalContext
}

// New makes an evaluator of a rule set.
func New(rs *rules.RuleSet) *Evaluator {
	e := &Evaluator{rules: rs}
	for repo := range rs.Repositories {
		repo.Policies(ranger.PolicyTypeAccess) // makes the index now, not with the first request
	}
	var names []string
	for _, a := range rs.Model.AccessTypes() {
		names = append(names, a.Name)
	}
	for _, name := range hashOrder(names) {
		e.accesses = append(e.accesses, newAccess(name))
		e.groups = append(e.groups, []string{name})
	}
	e.contexts.New = func() any {
		ctx := new(evalContext)
		ctx.heldRoles = ctx.roleNames
		ctx.asked, ctx.byAccess = ctx.room.asked[:0], ctx.room.byAccess[:0]
		return ctx
	}
	return e
}

// Rules returns what the evaluator decides by.
func (e *Evaluator) Rules() *rules.RuleSet { return e.rules }

// Evaluate answers an access request.
func (e *Evaluator) Evaluate(r Request) Decision { return e.evaluate(&r, ranger.PolicyTypeAccess) }

// EvaluateDataMask tells how a value is masked for the user: by Decision.Mask when the outcome is Allowed, not at all
// when it is Undetermined.
func (e *Evaluator) EvaluateDataMask(r Request) Decision {
	return e.evaluate(&r, ranger.PolicyTypeDataMask)
}

// EvaluateRowFilter tells which rows the user sees: those of Decision.Filter when the outcome is Allowed, all when it
// is Undetermined.
func (e *Evaluator) EvaluateRowFilter(r Request) Decision {
	return e.evaluate(&r, ranger.PolicyTypeRowFilter)
}
