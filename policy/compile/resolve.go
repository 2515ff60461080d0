package compile

import (
	"fmt"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/rules"
)

// Principal returns the principal of a subject, and whether the workspace lists it, or does not say whom it has.
func (c *Compiler) Principal(id rules.SubjectID) (p policy.Principal, listed bool) {
	return c.principals[id], c.listed[id]
}

// Names reports whether p stands for somebody whom policies, the user store or roles name.
func (c *Compiler) Names(p policy.Principal) bool { return slices.Contains(c.principals, p) }

// Missing is how many of those whom policies name the directory does not list.
func (c *Compiler) Missing() int { return c.who.Missing }

// reportUnresolved reports, once, that p does not resolve, if the policies allow it x at all of the node.
func (e *evaluation) reportUnresolved(p rules.SubjectID, x policy.Privilege, views []*judge.View) {
	if e.out.settled[p].Has(x) || slices.ContainsFunc(views, func(v *judge.View) bool { return !v.Decide(e.judge.Member(p), v.Deny) }) {
		return
	}
	e.settle(p, x)
	e.unresolved[e.principals[p]] = true
	message := fmt.Sprintf("%s is granted nothing: %s", e.describe(p), e.withheld[p])
	if !slices.ContainsFunc(e.out.findings, func(f policy.Finding) bool { return f.Message == message }) {
		e.report(p, x, policy.EffectNarrower, message, views[0].Allow)
		e.out.findings[len(e.out.findings)-1].Privilege = ""
	}
}
