package compile

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/rules"
	"ucwarden/policy/subjects"
)

// withMembers adds those whom the directory has in groups to them, if they are to be written out.
func withMembers(set *rules.RuleSet, o *Options) *rules.RuleSet {
	if d := o.Directory; d != nil && d.Read() && slices.Contains(o.Deny, DenyExpand) {
		return set.WithMembers(d.MembersOf, o.ExpandLimit)
	}
	return set
}

// findReach has the judge ask who is in groups by the directory, if it could be read.
func (c *Compiler) findReach() {
	if c.who.DirectoryRead() {
		c.judge.Ask(c.opts.Directory.UsersIn, c.listed)
		c.noteDifferences()
	}
}

// noteDifferences reports the groups and roles that policies name of which the workspace says that others are in them than the user store
// does, or the definition of the role. A user store may lag behind; whoever is in a role is so by its definition alone, so that
// a grant to its group reaches more than the role is allowed.
func (c *Compiler) noteDifferences() {
	allowed, _ := c.who.Named()
	noted := 0
	for _, id := range c.who.AllNamed() {
		if !c.listed[id] || noted == subjects.MaxNoted {
			continue
		}
		switch more := c.moreInWorkspace(id); {
		case allowed[id] && c.isUndefined(id):
			c.findings = append(c.findings, c.who.Note(id, policy.EffectWider, fmt.Sprintf(
				"it is none of the roles that are defined, so that nobody is in it, and group %q of the workspace is granted what it is allowed; define the role, or name the group among groups", c.principals[id].Name)))
		case len(more) == 0:
			continue
		case c.kind(id) == rules.SubjectGroup:
			c.findings = append(c.findings, c.who.Note(id, policy.EffectNone, "the workspace has "+countOthers(more)+" in it, and the user store does not; what is granted to it reaches them, so that they count as in it where something is denied"))
		default:
			effect := policy.EffectNone
			if allowed[id] {
				effect = policy.EffectWider
			}
			c.findings = append(c.findings, c.who.Note(id, effect, fmt.Sprintf("the workspace has %s in group %q, by which it is granted, and the role does not, so that they are granted what the role is allowed; take them out of the group, or add them to the role",
				countOthers(more), c.principals[id].Name)))
		}
		noted++
	}
}

// isUndefined reports whether a role is none of those that are defined, where any is.
func (c *Compiler) isUndefined(id rules.SubjectID) bool {
	_, defined := c.stored.MembersOf(id)
	return c.kind(id) == rules.SubjectRole && !defined && len(c.set.Snapshot.Roles) > 0
}

func countOthers(names []string) string {
	if n := len(names); n > 1 {
		return fmt.Sprintf("%s and %d more", names[0], n-1)
	}
	return names[0]
}

// moreInWorkspace lists who is in the group of a group or role by the workspace alone, as far as is known who is in it otherwise.
func (c *Compiler) moreInWorkspace(id rules.SubjectID) (more []string) {
	stored, known := c.stored.UsersOf(id)
	reach, others := c.judge.Reach(id), []string(nil)
	switch c.kind(id) {
	case rules.SubjectGroup:
		if c.set.Snapshot.Users == nil || !known {
			return nil
		}
	case rules.SubjectRole:
		members, defined := c.stored.MembersOf(id)
		if !defined {
			return nil
		}
		for _, m := range members { // who is in a group is there by the workspace, too
			in := c.judge.Reach(m)
			if _, known := c.stored.UsersOf(m); !in.Known && !known {
				return nil
			}
			stored, others = slices.Concat(stored, in.Users), append(others, in.Others...)
		}
		for _, name := range reach.Others {
			if !slices.Contains(others, name) {
				more = append(more, name)
			}
		}
		slices.Sort(stored)
	default:
		return nil
	}
	for _, u := range reach.Users {
		if _, found := slices.BinarySearch(stored, u); !found {
			more = append(more, c.describe(u))
		}
	}
	return more
}

// hashReach writes who is by the workspace in the groups that policies name, as far as that decides grants: of those that are allowed
// something, who is denied, or may be, and all whom strategy expand writes out. Who comes into a large group that is granted is no news.
func (c *Compiler) hashReach(h hash.Hash) {
	allowed, otherwise := c.who.Named()
	all := otherwise[rules.Everyone] || slices.Contains(c.opts.Deny, DenyExpand) ||
		slices.ContainsFunc(c.rules.Policies, func(p *judge.Policy) bool { return p.DenyAllElse })
	if !c.who.DirectoryRead() || len(otherwise) == 0 && !all {
		return
	}
	names := func(id rules.SubjectID) []string {
		reach := c.judge.Reach(id)
		list := slices.Clone(reach.Others)
		for _, u := range reach.Users {
			list = append(list, policy.FoldPrincipal(c.principals[u].Name))
		}
		slices.Sort(list)
		return list
	}
	denied := make(map[string]bool)
	for id := range otherwise {
		for _, name := range names(id) {
			denied[name] = true
		}
	}
	var lines []string
	maps.Copy(allowed, otherwise)
	for id := range allowed {
		if kind := c.kind(id); kind != rules.SubjectGroup && kind != rules.SubjectRole {
			continue
		}
		who := slices.DeleteFunc(names(id), func(name string) bool { return !all && !denied[name] })
		lines = append(lines, fmt.Sprintf("%s %t %x\n", c.describe(id), c.judge.Reach(id).Known, sha256.Sum256([]byte(strings.Join(who, "\n")))))
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
