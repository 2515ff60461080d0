package policy

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// AnyAccess, or the empty text, as a request's access type asks for access of any type.
const AnyAccess = "_any"

// Request is a question to an [Evaluator]: may this user do that to this resource?
type Request struct {
	Resource   Resource
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
	Roles  []string // nil: those that the roles give to user and groups

	Time       time.Time    // of the access; the zero time ignores validity schedules
	Tags       []RequestTag // nil: those that the snapshot's tags give to the resource
	Descendant bool         // a policy on something below the resource decides too (Ranger's scope SELF_OR_DESCENDANTS)
	// HeedDescendantDeny lets a deny below the resource count where descendants do; Ranger ignores it by default.
	HeedDescendantDeny bool

	// For conditions.
	Context    map[string]any // attributes by name
	Users      *UserStore     // attributes of users and groups; nil: the snapshot's
	Together   []Resource     // resources accessed by the same statement
	ClientIP   string
	ClientType string
	Action     string
	Data       string // what is to be executed
}

// RequestTag is a tag that a request brings itself.
type RequestTag struct {
	Type       string
	Attributes map[string]string
	Match      MatchType // how the tagged resource lies to the one asked for; MatchNone stands for MatchSelf
	Validity   []ValiditySchedule
}

// Outcome is what the policies say.
type Outcome uint8

// The outcomes. Undetermined means that no policy says anything, which gives no access.
const (
	Undetermined Outcome = iota
	Allowed
	Denied
)

func (o Outcome) String() string { return [...]string{"undetermined", "allowed", "denied"}[o] }

// ItemKind tells which of a policy's lists an item is in.
type ItemKind uint8

// The kinds of items. ItemDenyAllElse is none of the lists: the policy denies whom it does not allow.
const (
	ItemNone ItemKind = iota
	ItemAllow
	ItemDeny
	ItemAllowException
	ItemDenyException
	ItemDataMask
	ItemRowFilter
	ItemDenyAllElse
)

var itemKindNames = [...]string{"none", "policyItems", "denyPolicyItems", "allowExceptions", "denyExceptions",
	"dataMaskPolicyItems", "rowFilterPolicyItems", "isDenyAllElse"}

func (k ItemKind) String() string { return itemKindNames[k] }

// SubjectKind tells by what a policy item named the user.
type SubjectKind uint8

// The kinds of subjects.
const (
	SubjectNone SubjectKind = iota
	SubjectUser
	SubjectGroup
	SubjectRole
	SubjectOwner
	SubjectPublic // everyone: group public, user {USER}, or denyAllElse
)

// Subject is the path by which a policy item applies to the user.
type Subject struct {
	Kind SubjectKind
	Name string // of the user, group or role in the item
	Via  string // for a role that the user holds through a group: the group
}

func (s Subject) String() string {
	switch s.Kind {
	case SubjectUser:
		return "user " + s.Name
	case SubjectGroup:
		return "group " + s.Name
	case SubjectRole:
		if s.Via != "" {
			return "role " + s.Name + " via group " + s.Via
		}
		return "role " + s.Name
	case SubjectOwner:
		return "owner " + s.Name
	case SubjectPublic:
		return "everyone"
	}
	return "nobody"
}

// Decision is the answer to a request, with what is needed to explain it.
type Decision struct {
	Outcome    Outcome
	Policy     *Policy // the one that decided; nil when none did
	Item       ItemKind
	Index      int // of the item in its list
	AccessType string
	Subject    Subject
	Match      MatchType
	Tag        string // the tag by which a tag policy decided
	Zone       string // the security zone whose policies were asked; empty outside zones

	Mask   *DataMaskInfo  // of EvaluateDataMask, with macros replaced
	Filter *RowFilterInfo // of EvaluateRowFilter, with macros replaced
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
	if d.Item != ItemDenyAllElse {
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

// Evaluator answers requests from one snapshot, as Apache Ranger's policy engine does. It never changes once made and
// is safe for concurrent use.
type Evaluator struct {
	snapshot  *Snapshot
	model     *serviceModel
	resources *repository // outside security zones
	zones     *zoneTable
	tags      *repository // nil without a tag service
	tagged    *tagTable   // nil when nothing is tagged
	roles     *roleTable
	super     superUsers
	accesses  []string // names of all access types, for any-access requests
	groups    [][]string
	contexts  sync.Pool // of *evalContext
}

// NewEvaluator prepares a snapshot for evaluation. It accepts what [NewSnapshot] accepts, unless roles nest so deep that
// their members cannot be held; what a policy of a snapshot that was not verified gets wrong makes that policy match
// nothing.
func NewEvaluator(s *Snapshot) (*Evaluator, error) {
	if s == nil || s.ServiceDef == nil {
		return nil, Errorf(CodeInvalid, "evaluator: the snapshot has no service definition")
	}
	roles, err := newRoleTable(s.Roles)
	if err != nil {
		return nil, err
	}
	e := &Evaluator{snapshot: s, model: newServiceModel(s.ServiceDef), roles: roles}
	e.resources = newRepository(e.model, s.Policies)
	e.zones = newZoneTable(e.model, s.Zones)
	e.tags = newTagRepository(s.ServiceDef.Name, s.TagPolicies)
	e.tagged = newTagTable(e.model, s.Tags)
	e.super = newSuperUsers(s.ServiceConfig)
	for _, a := range s.ServiceDef.AccessTypes {
		e.accesses = append(e.accesses, a.Name)
		e.groups = append(e.groups, []string{a.Name})
	}
	e.contexts.New = func() any { return new(evalContext) }
	return e, nil
}

// Snapshot gives what the evaluator was made of.
func (e *Evaluator) Snapshot() *Snapshot { return e.snapshot }

// Evaluate answers an access request.
func (e *Evaluator) Evaluate(r Request) Decision { return e.evaluate(r, PolicyTypeAccess) }

// EvaluateDataMask tells how a value is masked for the user: by Decision.Mask when the outcome is Allowed, not at all
// when it is Undetermined.
func (e *Evaluator) EvaluateDataMask(r Request) Decision { return e.evaluate(r, PolicyTypeDataMask) }

// EvaluateRowFilter tells which rows the user sees: those of Decision.Filter when the outcome is Allowed, all when it
// is Undetermined.
func (e *Evaluator) EvaluateRowFilter(r Request) Decision { return e.evaluate(r, PolicyTypeRowFilter) }

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
	return superUsers{users: set("ranger.plugin.super.users"), groups: set("ranger.plugin.super.groups")}
}

func (s superUsers) has(user string, groups []string) bool {
	if s.users[user] {
		return true
	}
	for _, g := range groups {
		if s.groups[g] {
			return true
		}
	}
	return false
}
