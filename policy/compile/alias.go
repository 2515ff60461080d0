package compile

import (
	"fmt"

	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/rules"
)

// A grant in Unity Catalog names its principal and no more, so where the names of several subjects come to one
// principal it reaches everybody who is any of them.

// findAliases finds the subjects that share a principal. Groups and roles that do are one group there: what is granted to one
// must be allowed to the members of the others, as far as those are known. A user is never granted under the name of a
// group or role, nor a user or role under that of everybody's group. A group that the directory shows not to be there takes no
// name from a user; where the directory could not be read, every group that policies name may be there.
func (c *Compiler) findAliases() {
	groups := make(map[policy.Principal][]rules.SubjectID)
	names := map[string]bool{policy.AccountUsers.Name: true} // of groups, folded
	for id := range c.principals {
		switch p := c.principals[id]; c.kind(rules.SubjectID(id)) {
		case rules.SubjectGroup, rules.SubjectRole:
			if c.directoryRead() && c.withheld[rules.SubjectID(id)] != "" {
				continue // there is no group of this name that a grant could reach
			}
			groups[p] = append(groups[p], rules.SubjectID(id))
			names[policy.FoldPrincipal(p.Name)] = true
		}
	}
	for _, list := range groups {
		c.judge.Alias(list)
	}
	for i, principal := range c.principals {
		id := rules.SubjectID(i)
		taken := id != rules.Everyone && principal.IsEveryone()
		if c.kind(id) == rules.SubjectUser {
			taken = names[policy.FoldPrincipal(principal.Name)]
		}
		if !taken || !c.managed[id] {
			continue
		}
		c.managed[id] = false
		if !judge.Allows(c.rules.Policies, id) {
			continue
		}
		c.findings = append(c.findings, policy.Finding{Effect: policy.EffectNarrower, Principal: principal, Message: fmt.Sprintf(
			"%s has the name of a group that policies name, and a grant might reach all of that; it is granted nothing", c.describe(id))})
	}
}
