package compile

import (
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/judge"
	"ucwarden/policy/rules"
)

// maxNearest bounds for how many principals that the directory does not list a near name is looked for: each look goes
// through all of it.
const maxNearest = 50

// maxNoted bounds how many who are not listed, and tried all the same, are named one by one.
const maxNoted = 200

// resolve finds the principal of each subject. Who is not listed, is misspelt or has the name of somebody of another kind
// is reported if an item names them: for each who is allowed something, where that is; here for the others.
func (c *Compiler) resolve() {
	d := c.opts.Directory
	if d == nil {
		for id := range rules.SubjectID(c.set.Subjects.Len()) {
			p := c.set.Subjects.Principal(id)
			c.principals = append(c.principals, p)
			why := c.nobody(id, p)
			c.listed = append(c.listed, why == "")
			if why != "" {
				c.withheld[id] = why
			}
		}
		return
	}
	allowed, denied := c.named()
	restricted := c.restricted()
	nearest, noted, unnoted := 0, 0, 0
	near := func(p policy.Principal) string {
		if nearest++; nearest > maxNearest {
			return ""
		}
		if name := d.Nearest(p); name != "" {
			return "; did you mean " + name + "?"
		}
		return ""
	}
	for id := range rules.SubjectID(c.set.Subjects.Len()) {
		p := c.set.Subjects.Principal(id)
		r := d.Resolve(p)
		nobody := ""
		if nobody = c.nobody(id, p); nobody != "" {
			switch {
			case !r.Listed:
				r.Withheld, r.Note = nobody, ""
			case r.Note == "":
				r.Note = "the workspace has it, although a policy can hardly mean it: " + nobody
			}
		}
		if r.Withheld == "" {
			r.Withheld = c.looselyNamed(id, d.Spelling(r.Principal))
		}
		c.principals = append(c.principals, r.Principal)
		c.listed = append(c.listed, r.Withheld == "" && (r.Listed || !d.Read()))
		named := allowed[id] || denied[id]
		missing, effect := "", policy.EffectNone
		if named && !r.Listed && nobody == "" {
			c.missing++
			if missing = near(p); missing != "" && restricted[id] {
				effect = policy.EffectWider // what denies it may be meant for somebody who is there
			}
		}
		if r.Withheld != "" {
			c.withheld[id] = r.Withheld + missing
		}
		switch {
		case !named:
		case r.Note != "" && !r.Listed && noted == maxNoted:
			unnoted++
		case r.Note != "":
			if !r.Listed {
				noted++
			}
			c.note(id, effect, r.Note+missing)
		case r.Withheld != "" && !allowed[id]:
			c.note(id, effect, c.withheld[id]+"; what denies it stands")
		}
	}
	if unnoted > 0 {
		c.findings = append(c.findings, policy.Finding{Effect: policy.EffectNone, Message: fmt.Sprintf(
			"%d more whom policies name are not listed by the workspace; their grants are sent all the same", unnoted)})
	}
}

// Principal returns the principal of a subject, and whether the workspace lists it, or does not say whom it has.
func (c *Compiler) Principal(id rules.SubjectID) (p policy.Principal, listed bool) {
	return c.principals[id], c.listed[id]
}

// noteUnmanaged reports who is allowed something and is not ours to grant anything.
func (c *Compiler) noteUnmanaged() {
	if c.opts.Manages == nil {
		return
	}
	allowed, _ := c.named()
	noted, unnoted := 0, 0
	for id := range rules.SubjectID(c.set.Subjects.Len()) {
		p := c.principals[id]
		switch {
		case c.managed[id] || !allowed[id] || c.withheld[id] != "":
		case noted == maxNoted:
			unnoted++
		default:
			noted++
			c.findings = append(c.findings, policy.Finding{Effect: policy.EffectNarrower, Principal: p, Message: fmt.Sprintf(
				"%s is allowed something by policies, and is protected or outside scope.*: nothing is granted to it or revoked from it", c.describe(id))})
		}
	}
	if unnoted > 0 {
		c.findings = append(c.findings, policy.Finding{Effect: policy.EffectNarrower, Message: fmt.Sprintf(
			"%d more who are allowed something by policies are protected or outside scope.*", unnoted)})
	}
}

// nobody says why a subject is granted nothing whose name, in policies or as it is mapped, can be nobody's, so that a request with
// it could only fail; empty where somebody can have it.
func (c *Compiler) nobody(id rules.SubjectID, p policy.Principal) string {
	s := c.set.Subjects.Of(id)
	for _, name := range []string{p.Name, s.Name} {
		if !strings.HasSuffix(p.Name, name) || id == rules.Everyone {
			continue // mapped to a name of its own
		}
		if doubt, why := accepted.Name(s.Kind, name); doubt == accepted.DoubtNobody {
			return fmt.Sprintf("%q can be the name of nobody (%s)", name, why)
		}
	}
	return ""
}

// looselyNamed says why a user is granted nothing whose names, in policies or here and in the workspace, are one only where
// somebody is denied something; empty where they are one beyond doubt.
func (c *Compiler) looselyNamed(id rules.SubjectID, spelled string) string {
	subject := c.set.Subjects.Of(id)
	if subject.Kind != rules.SubjectUser {
		return ""
	}
	other := c.set.Subjects.OtherName(id)
	if other == "" && !policy.SamePlainly(subject.Name, spelled) {
		other = spelled
	}
	if other == "" {
		return ""
	}
	return fmt.Sprintf("%q may be another's name, since more than plain case tells them apart; what denies one of them denies both", other)
}

func (c *Compiler) note(id rules.SubjectID, effect policy.Effect, what string) {
	c.findings = append(c.findings, policy.Finding{
		Effect: effect, Principal: c.principals[id], Message: fmt.Sprintf("%s is named by policies: %s", c.describe(id), what),
	})
}

// named tells which subjects are allowed something by their name, and which are named otherwise.
func (c *Compiler) named() (allowed, otherwise map[rules.SubjectID]bool) {
	allowed, otherwise = make(map[rules.SubjectID]bool), make(map[rules.SubjectID]bool)
	for _, p := range c.rules.Policies {
		for list, by := range map[*[]judge.Item]map[rules.SubjectID]bool{&p.Allow: allowed, &p.AllowExcept: otherwise, &p.Deny: otherwise, &p.DenyExcept: otherwise} {
			for i := range *list {
				for _, id := range (*list)[i].Who {
					by[id] = true
				}
			}
		}
	}
	return allowed, otherwise
}

// restricted tells which subjects are denied something by their name, or excepted from what is allowed.
func (c *Compiler) restricted() map[rules.SubjectID]bool {
	by := make(map[rules.SubjectID]bool)
	for _, p := range c.rules.Policies {
		for _, item := range slices.Concat(p.Deny, p.AllowExcept) {
			for _, id := range item.Who {
				by[id] = true
			}
		}
	}
	return by
}

// allNamed lists the subjects that policies name, sorted.
func (c *Compiler) allNamed() []rules.SubjectID {
	allowed, otherwise := c.named()
	maps.Copy(allowed, otherwise)
	return slices.Sorted(maps.Keys(allowed))
}

// directoryRead reports whether there is a directory, and it could be read.
func (c *Compiler) directoryRead() bool { return c.opts.Directory != nil && c.opts.Directory.Read() }

// hashResolutions writes what the directory makes of whom policies name.
func (c *Compiler) hashResolutions(h hash.Hash) {
	if c.opts.Directory == nil {
		return
	}
	lines := make([]string, len(c.principals))
	for i, p := range c.principals {
		id := rules.SubjectID(i)
		lines[i] = fmt.Sprintf("%s %q %q %t\n", c.set.Subjects.Of(id), p.Kind, c.opts.Directory.Spelling(p), c.withheld[id] != "")
	}
	writeSorted(h, lines)
}

// writeSorted writes lines in their order: subjects are numbered in any.
func writeSorted(h hash.Hash, lines []string) {
	slices.Sort(lines)
	for _, line := range lines {
		h.Write([]byte(line))
	}
}

// Names reports whether p stands for somebody whom policies, the user store or roles name.
func (c *Compiler) Names(p policy.Principal) bool { return slices.Contains(c.principals, p) }

// Missing is how many of those whom policies name the directory does not list.
func (c *Compiler) Missing() int { return c.missing }

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
