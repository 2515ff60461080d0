package compile

import (
	"fmt"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/grantrules"
	"ucwarden/policy/judge"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Enforced is what row filters and masks enforce on tables.
type Enforced struct {
	Protected map[policy.Securable]bool // the row filters and masks of policies
	Denied    map[policy.Securable]bool // what [Compiler.Denied] returned: the filter shows no row to whom that denies
	Columns   map[policy.Securable]bool // masks show NULL of the other columns to those who are allowed some
}

// Denied returns, for the tables of inv where a member of somebody who may be granted SELECT is denied it, and strategy filter
// is the first that could be taken, whom a row filter has to show no row. Where it does, the group can be granted it.
func (c *Compiler) Denied(inv *policy.Inventory) map[policy.Securable]*judge.Denials {
	if !slices.Contains(c.opts.Deny, DenyFilter) {
		return nil
	}
	r := c.compilation(inv)
	r.wanted = make(map[policy.Securable]*judge.Denials)
	r.compile()
	return r.wanted
}

func (c *Compiler) compilation(inv *policy.Inventory) *compilation {
	return &compilation{Compiler: c, inv: inv, grants: &policy.GrantSet{}, catalogs: make(map[string]*catalogNode), outside: make(map[outsideKey]*placedFindings), unresolved: make(map[policy.Principal]bool)}
}

func (r *compilation) compile() {
	for _, root := range r.inv.Roots {
		if root.Type == policy.Catalog {
			r.catalog(root)
		} else {
			r.root(root)
		}
	}
}

// enforcedOn reports whether the row filter and masks of a table are enforced, whether its filter hides rows from the denied, and
// whether its masks hide the other columns from those who are allowed some; the first two as if they could be, while it is worked out
// what is to be.
func (r *compilation) enforcedOn(o policy.Object) (protected, filtered, limited bool) {
	if r.wanted != nil {
		can := o.Type == policy.Table && o.Kind.CanBeProtected()
		return can, can, false
	}
	protected = r.enforced.Protected[o.Securable]
	return protected, protected && r.enforced.Denied[o.Securable], protected && r.enforced.Columns[o.Securable]
}

// columnAllow is somebody whom an item of a policy allows SELECT on some columns of a table.
type columnAllow struct {
	who    rules.SubjectID
	policy *judge.Policy
	item   *judge.Item
}

// columnAllows lists them, where the table is one.
func (e *evaluation) columnAllows() []columnAllow {
	if !e.opts.Columns || !e.leaf || e.class != policy.ClassTable || e.rules.Zoned {
		return nil
	}
	var list []columnAllow
	for i, ref := range e.active {
		p := e.rules.ColumnsAt(ref)
		if p == nil || e.covers[i].Touch&e.class == 0 || ref.Loose() {
			continue
		}
		for j := range p.Allow {
			if item := &p.Allow[j]; item.Privileges.Has(policy.Select) {
				for _, who := range item.Who {
					list = append(list, columnAllow{who, p, item})
				}
			}
		}
	}
	return list
}

// grantColumns grants SELECT on a table to those who are allowed some columns of it, where masks hide the others from them and
// nothing is denied there; else it reports that they are not granted it.
func (e *evaluation) grantColumns() {
	list := e.columnAllows()
	if len(list) == 0 || e.wanted != nil {
		return
	}
	why := "the others cannot be hidden on this table"
	if e.limited {
		why = ""
		if v := e.view(policy.Select, e.class); len(v.Deny) > 0 {
			why = fmt.Sprintf("policy %d %q denies it to somebody there", v.Deny[0].Rule.Source.ID, v.Deny[0].Rule.Source.Name)
		}
	}
	reported := make(map[rules.SubjectID]bool)
	for _, c := range list {
		if reported[c.who] || e.here[c.who].Has(policy.Select) || e.impliedAbove(c.who, policy.Select) {
			continue
		}
		reported[c.who] = true
		finding := policy.Finding{PolicyID: c.policy.Rule.Source.ID, Policy: c.policy.Rule.Source.Name, Effect: policy.EffectNarrower, Principal: e.principals[c.who], Privilege: policy.Select}
		switch {
		case e.withheld[c.who] != "":
			finding.Message = fmt.Sprintf("%s is granted nothing: %s", e.describe(c.who), e.withheld[c.who])
			e.unresolved[e.principals[c.who]] = true
		case !e.managed[c.who]:
			continue
		case why != "":
			finding.Message = fmt.Sprintf("%s is allowed SELECT on some columns, and Unity Catalog grants whole tables; it is not granted, since %s (strategy mask-null)", e.describe(c.who), why)
		default:
			e.here[c.who] |= policy.Select.Set()
			finding.Effect = policy.EffectNone
			finding.Message = fmt.Sprintf("%s is allowed SELECT on some columns; it is granted, and masks show it NULL of the others (strategy mask-null)", e.describe(c.who))
		}
		e.out.findings = append(e.out.findings, finding)
	}
}

// filter grants x to p on a table whose filter hides the rows from whom policies deny it.
func (e *evaluation) filter(p rules.SubjectID, x policy.Privilege, v *judge.View, deniedBy []rules.SubjectID) {
	denied, _ := v.Denials()
	denied.Roles = e.judge.RolesWith(v, deniedBy)
	e.out.denied = denied
	e.here[p] |= x.Set()
	message := fmt.Sprintf("%s is allowed %s but some of its members are denied it; it is granted, and the table's row filter shows those no row (strategy filter)", e.describe(p), x)
	if n := len(denied.Roles); n > 0 {
		message += "; nor does it to sessions in the role of a group that somebody denied is or may be in: " + e.describe(denied.Roles[0])
		if n > 1 {
			message += fmt.Sprintf(" and %d more", n-1)
		}
	}
	e.report(p, x, policy.EffectNone, message, v.Allow)
}

// reportUnenforced reports the row filters and masks that nothing enforces on a table here, where some are: whom they bind is
// not granted SELECT.
func (e *evaluation) reportUnenforced() {
	if !e.leaf || e.class != policy.ClassTable || e.protected || !e.opts.Protects || e.allowed&(policy.Select.Set()|policy.AllPrivileges.Set()) == 0 {
		return
	}
	reported := make(map[*rules.Policy]bool)
	for i, ref := range e.active {
		p := e.rules.PolicyAt(ref)
		if p == nil || e.covers[i].Touch&e.class == 0 || !grantrules.Protects(p) || !p.Denied.Has(policy.Select) || reported[p.Rule] {
			continue
		}
		reported[p.Rule] = true
		what, why := "a row filter", "is not enforced here"
		if p.Rule.Type == ranger.PolicyTypeDataMask {
			what = "a column mask"
		}
		if e.objectKind == policy.KindView {
			why = "a view cannot carry"
		}
		e.out.findings = append(e.out.findings, policy.Finding{PolicyID: p.Rule.Source.ID, Policy: p.Rule.Source.Name, Effect: policy.EffectNarrower, Privilege: policy.Select,
			Message: "it sets " + what + ", which " + why + "; whom it binds is not granted SELECT"})
	}
}
