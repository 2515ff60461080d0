package explain

import (
	"fmt"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/protect"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Question asks which policies allow a principal which privileges on an object, and why.
type Question struct {
	// Principal is a user, group or role as policies or Unity Catalog name it; "user:", "group:" or "role:" before the
	// name says which, where that is not clear.
	Principal string
	// Object is what is asked about. Its Kind tells views and models; its Owner, where known, meets {OWNER}.
	Object policy.Object
	// Privileges asked about; empty for all that Unity Catalog takes on the object.
	Privileges []policy.Privilege
	// Current holds the grants of today on the object and on the containers above it; nil when they are not known.
	Current *policy.GrantSet
	// Includes tells whether grants on a securable are ours to change; nil means that all are.
	Includes func(policy.Securable) bool
	// LeavesAlone returns why grants of a privilege on a type of securable are not ours to make or take away, "" where they
	// are; nil means that all are.
	LeavesAlone func(policy.SecurableType, policy.Privilege) string
	// Table is what the object carries, where it is a table whose row filter and masks Unity Catalog enforces, as Protect says;
	// nil where nothing does.
	Table   *policy.TableState
	Protect protect.Options
	Others  []policy.AttributePolicy // attribute-based policies of others on the table
	// Functions are those that the table carries, by full name, as far as they could be read.
	Functions map[string]policy.SQLFunction
}

// Explanation answers a [Question].
type Explanation struct {
	Principal   ExplainedPrincipal     `json:"principal"`
	Object      policy.Object          `json:"object"`
	Privileges  []PrivilegeExplanation `json:"privileges"`
	Protections []Protection           `json:"protections,omitempty"` // row filters and masks that bind the principal
	Enforced    []EnforcedProtection   `json:"enforced,omitempty"`    // how Unity Catalog enforces them
	RequiredUse []ExplainedGrant       `json:"requiredUse,omitempty"` // USE_* on the containers above
	Compared    bool                   `json:"compared"`              // with the grants of today
	Notes       []string               `json:"notes,omitempty"`       // what the answer leaves open
}

// PrivilegeExplanation is what becomes of one privilege.
type PrivilegeExplanation struct {
	Privilege policy.Privilege `json:"privilege"`
	Outcome   string           `json:"outcome"`            // allowed, denied, or not mentioned
	Reason    string           `json:"reason,omitempty"`   // where no policy decides
	By        *Mention         `json:"by,omitempty"`       // the policy item that decides
	Others    []Mention        `json:"others,omitempty"`   // items that name the principal too, and why they do not decide
	Grants    []ExplainedGrant `json:"grants,omitempty"`   // by which the principal holds it, or should
	Fidelity  []string         `json:"fidelity,omitempty"` // why it is not granted as allowed, and what was done instead
}

// The outcomes of an explanation.
const (
	OutcomeAllowed      = "allowed"
	OutcomeDenied       = "denied"
	OutcomeNotMentioned = "not mentioned"
)

// isGranted reports whether the policies compile to some grant of the privilege.
func (p *PrivilegeExplanation) isGranted() bool {
	return slices.ContainsFunc(p.Grants, func(g ExplainedGrant) bool { return g.State != GrantExtra })
}

// Mention is a policy item that names the principal.
type Mention struct {
	PolicyID int64  `json:"policyId"`
	Policy   string `json:"policy"`           // its name
	Origin   string `json:"origin,omitempty"` // file or URL
	Item     string `json:"item"`             // as policyItems[0]
	Path     string `json:"path"`             // how it names the principal: user x, group y, role z via group y, everyone
	Tag      string `json:"tag,omitempty"`    // by which a tag policy applies
	Zone     string `json:"zone,omitempty"`   // security zone
	Priority int    `json:"priority,omitempty"`
	Effect   string `json:"effect"` // what it does here: decides, or why not
}

// GrantState compares a grant with those of today.
type GrantState string

// The states of a grant.
const (
	GrantPlanned GrantState = "planned" // follows from the policies; today's grants are not known
	GrantInSync  GrantState = "in sync" // follows from the policies, and is there
	GrantMissing GrantState = "missing" // follows from the policies, and is not there
	GrantExtra   GrantState = "extra"   // is there, and does not follow from the policies
)

// ExplainedGrant is a grant by which the principal holds a privilege.
type ExplainedGrant struct {
	Securable policy.Securable `json:"securable"` // the object itself, or a container it inherits from
	policy.Principal
	Privilege policy.Privilege `json:"privilege"` // the one asked about, or one that implies it
	Path      string           `json:"path"`      // how the principal comes by it: user x, group y, role z via group y, everyone
	State     GrantState       `json:"state"`
	Note      string           `json:"note,omitempty"` // what a sync does about it, where that is not plain
}

// Protection is a row filter or a mask on the object that binds the principal.
type Protection struct {
	Mention
	Kind    string                `json:"kind"`              // row filter, or mask
	On      string                `json:"on,omitempty"`      // the columns, for a mask
	Mask    *ranger.DataMaskInfo  `json:"mask,omitempty"`    // as the policy states it
	Filter  *ranger.RowFilterInfo `json:"filter,omitempty"`  // as the policy states it
	Applies bool                  `json:"applies,omitempty"` // it is in force for the principal
}

// Explain answers q by a rule set, compiled as o says. Validity and conditions are judged at o.Time. Errors,
// of class CodeInvalid, say that Unity Catalog does not take a privilege on the object.
func Explain(rs *rules.RuleSet, o compile.Options, q Question) (*Explanation, error) {
	supported := policy.Privileges(q.Object.Type, q.Object.Kind)
	for _, p := range q.Privileges {
		if !slices.Contains(supported, p) {
			return nil, policy.Errorf(policy.CodeInvalid, "Unity Catalog takes no %s on %s; it takes %s", p, kindWord(q.Object), joinPrivileges(supported))
		}
	}
	o.Protects = o.Protects || q.Table != nil
	o.Columns = o.Columns || q.Table != nil && q.Protect.Columns
	if len(q.Privileges) == 0 {
		q.Privileges = supported
	}
	compiler := compile.New(rs, o)
	x := &explainer{
		rules: rs, options: o, evaluator: evaluate.New(rs), compiler: compiler, question: q,
		out: &Explanation{Object: q.Object, Compared: q.Current != nil},
	}
	inventory := policy.NewInventory(q.Object)
	x.compiled = compiler.CompileProtected(inventory, x.enforced(inventory))
	var listed []policy.Principal
	if o.Directory != nil {
		listed = o.Directory.Principals()
	}
	x.subject = lookUpSubject(rs, listed, q.Principal)
	x.holders = x.subject.holders(rs, x.workspaceGroups()) // finds its groups and roles, too
	x.out.Principal = x.subject.explained
	for _, h := range x.holders {
		x.principals = append(x.principals, h.principal)
		x.out.Principal.Principals = append(x.out.Principal.Principals, h.principal.Name)
	}
	resource, ok := rs.Model.ResourceOf(q.Object)
	if !ok {
		x.note("the policies' service definition %q has no word for %s; no policy can name it", rs.Model.Name(), kindWord(q.Object))
	}
	request := x.subject.request(resource, q.Object.Owner, o.Time)
	if ok {
		x.out.Protections = x.protections(request)
	}
	for _, p := range q.Privileges {
		x.out.Privileges = append(x.out.Privileges, x.privilege(p, request, ok))
	}
	x.requiredUse()
	if q.Object.Type.IsContainer() {
		x.note("USE_CATALOG and USE_SCHEMA that objects inside need are not worked out here; ask about one of them, or see the plan")
	}
	if q.Object.Owner == "" && rs.NamesOwner() {
		x.note("who owns it is not known here, so what policies give to {OWNER} is left out")
	}
	return x.out, nil
}

type explainer struct {
	rules      *rules.RuleSet
	options    compile.Options
	evaluator  *evaluate.Evaluator
	compiler   *compile.Compiler
	compiled   *compile.Result
	question   Question
	subject    explainedSubject
	holders    []holder
	principals []policy.Principal // of the holders
	refused    []protect.Refusal  // what of the object's row filter and masks cannot be enforced as policies say it
	closed     bool               // it is not protected
	out        *Explanation
}

func (x *explainer) note(format string, args ...any) {
	x.out.Notes = append(x.out.Notes, fmt.Sprintf(format, args...))
}

// privilege explains one privilege; named tells that policies can name the object at all.
func (x *explainer) privilege(p policy.Privilege, request evaluate.Request, named bool) PrivilegeExplanation {
	out := PrivilegeExplanation{Privilege: p, Outcome: OutcomeNotMentioned}
	var about []int64 // policies that bear on it
	if named {
		request.AccessType = strings.ToLower(string(p))
		if x.rules.Model.Spelling(request.AccessType) == "" {
			out.Reason = fmt.Sprintf("service definition %q has no access type %q", x.rules.Model.Name(), request.AccessType)
		}
		d := x.evaluator.Evaluate(request)
		switch d.Outcome {
		case evaluate.Allowed:
			out.Outcome = OutcomeAllowed
		case evaluate.Denied:
			out.Outcome = OutcomeDenied
		}
		if d.Policy == nil && d.Outcome != evaluate.Undetermined {
			out.Reason = "a super user by the service's configuration, whom the policies do not bind"
		}
		mentions := x.mentions(request, d)
		for i := range mentions {
			m := &mentions[i]
			about = append(about, m.PolicyID)
			if out.By == nil && d.Policy != nil && m.is(d) {
				m.Effect = "decides"
				out.By = m
				continue
			}
			out.Others = append(out.Others, *m)
		}
	}
	out.Grants = x.grants(x.question.Object.Securable, p)
	x.fidelity(&out, about)
	return out
}

// grants lists how the principal holds, or should hold, a privilege on s: by the policies and, where known, today.
func (x *explainer) grants(s policy.Securable, p policy.Privilege) []ExplainedGrant {
	var list []ExplainedGrant
	for at, ok := s, true; ok; at, ok = at.Parent() {
		for _, h := range x.holders {
			desired, current := x.compiled.Grants.Of(at), x.question.Current.Of(at)
			add := func(q policy.Privilege, state GrantState, note string) {
				list = append(list, ExplainedGrant{Securable: at, Principal: h.principal, Privilege: q, Path: h.path, State: state, Note: note})
			}
			for _, a := range desired {
				switch {
				case a.Principal != h.principal || !a.Privilege.Implies(p):
				case x.question.Current == nil:
					add(a.Privilege, GrantPlanned, x.missingNote(at, a.Privilege))
				case slices.Contains(current, a):
					add(a.Privilege, GrantInSync, "")
				default:
					add(a.Privilege, GrantMissing, x.missingNote(at, a.Privilege))
				}
			}
			for _, a := range current {
				if a.Principal == h.principal && a.Privilege.Implies(p) && !slices.Contains(desired, a) {
					add(a.Privilege, GrantExtra, x.extraNote(at, a))
				}
			}
		}
	}
	return list
}

func (x *explainer) includes(s policy.Securable) bool {
	return x.question.Includes == nil || x.question.Includes(s)
}

func (x *explainer) leavesAlone(s policy.Securable, p policy.Privilege) string {
	if x.question.LeavesAlone == nil {
		return ""
	}
	return x.question.LeavesAlone(s.Type, p)
}

func (x *explainer) missingNote(s policy.Securable, p policy.Privilege) string {
	if !x.includes(s) {
		return "not made: outside the managed scope"
	}
	if why := x.leavesAlone(s, p); why != "" {
		return "not made: " + why
	}
	return ""
}

// extraNote says what a sync does about a grant that the policies do not ask for.
func (x *explainer) extraNote(s policy.Securable, a policy.Assignment) string {
	why := x.leavesAlone(s, a.Privilege)
	switch {
	case !x.includes(s):
		return "left alone: outside the managed scope"
	case x.options.Manages != nil && !x.options.Manages(a.Principal):
		return "left alone: the principal is not managed"
	case why != "":
		return "left alone: " + why
	case !x.compiler.Expresses(s.Type, a.Privilege):
		return "left alone: the policies have no word for it"
	case a.Privilege.IsUse():
		return "a sync revokes it, unless other objects inside need it"
	}
	return "a sync revokes it"
}

// fidelity says why an allowed privilege is not granted, or how the grants differ from the policies.
func (x *explainer) fidelity(out *PrivilegeExplanation, about []int64) {
	granted, aboutSubject := out.isGranted(), false
	for _, f := range x.compiled.Report.Findings {
		mine := f.Principal != (policy.Principal{}) && slices.Contains(x.principals, f.Principal)
		ofPolicy := f.Principal == (policy.Principal{}) && f.Privilege == "" && slices.Contains(about, f.PolicyID)
		switch {
		case f.Privilege != "" && !f.Privilege.Implies(out.Privilege):
			continue
		case mine && (f.Effect != policy.EffectNarrower || !granted && out.Outcome == OutcomeAllowed):
		case ofPolicy && !granted && f.Effect != policy.EffectNone && out.Outcome == OutcomeAllowed:
		case x.filters(f, out) && !granted:
		default:
			continue
		}
		aboutSubject = aboutSubject || mine
		text := f.String()
		if f.Securable.FullName != "" && f.Securable != x.question.Object.Securable {
			text = strings.ToLower(string(f.Securable.Type)) + " " + f.Securable.FullName + ": " + text
		}
		out.Fidelity = append(out.Fidelity, text)
	}
	if granted || out.Outcome != OutcomeAllowed || aboutSubject {
		return
	}
	switch {
	case x.question.Object.Type.IsContainer():
		out.Fidelity = append(out.Fidelity, "not granted on the container, where it would reach what policies deny or mask inside; granted inside, object by object")
	case len(out.Fidelity) > 0:
	case out.By == nil:
		out.Fidelity = append(out.Fidelity, "super users get no grant: make them owners or metastore admins")
	case strings.HasPrefix(out.By.Path, "owner "):
		out.Fidelity = append(out.Fidelity, "an owner holds every privilege without a grant")
	case x.options.Manages != nil && !slices.ContainsFunc(x.principals, x.options.Manages):
		out.Fidelity = append(out.Fidelity, "the principal is outside the managed scope, so nothing is granted to it")
	default:
		out.Fidelity = append(out.Fidelity, "not granted to it, nor to a group or role it is known to be in")
	}
}

// filters reports whether the finding is about a row filter or mask that keeps an allowed SELECT from being granted.
func (x *explainer) filters(f policy.Finding, out *PrivilegeExplanation) bool {
	return out.Outcome == OutcomeAllowed && out.Privilege.Implies(policy.Select) && f.Effect == policy.EffectNarrower && f.Principal == (policy.Principal{}) &&
		slices.ContainsFunc(x.out.Protections, func(p Protection) bool { return p.PolicyID == f.PolicyID && p.Policy == f.Policy })
}

// requiredUse lists the USE_* above the object that the principal holds or should hold.
func (x *explainer) requiredUse() {
	for parent, ok := x.question.Object.Parent(); ok; parent, ok = parent.Parent() {
		use := policy.UseSchema
		if parent.Type == policy.Catalog {
			use = policy.UseCatalog
		}
		x.out.RequiredUse = append(x.out.RequiredUse, x.grants(parent, use)...)
	}
	slices.SortStableFunc(x.out.RequiredUse, func(a, b ExplainedGrant) int { return a.Securable.Compare(b.Securable) })
	x.out.RequiredUse = slices.Compact(x.out.RequiredUse)
}

func kindWord(o policy.Object) string {
	if o.Kind != "" {
		return string(o.Kind)
	}
	return string(o.Type)
}

func joinPrivileges(list []policy.Privilege) string {
	if len(list) == 0 {
		return "none"
	}
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = string(p)
	}
	return strings.Join(names, ", ")
}
