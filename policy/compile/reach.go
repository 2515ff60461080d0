package compile

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/rules"
)

// findReach has the judge ask who is in groups by the directory, if it could be read.
func (c *Compiler) findReach() {
	if c.directoryRead() {
		c.judge.Ask(c.opts.Directory.UsersIn, c.listed)
		c.noteDifferences()
	}
}

// noteDifferences reports the groups that policies name of which the workspace says that others are in them than the user store does.
func (c *Compiler) noteDifferences() {
	if c.set.Snapshot.Users == nil {
		return
	}
	noted := 0
	for _, id := range c.allNamed() {
		if c.kind(id) != rules.SubjectGroup || !c.listed[id] || noted == maxNoted {
			continue
		}
		stored, known := c.set.Members.UsersOf(id)
		reach := c.judge.Reach(id)
		var more []rules.SubjectID
		for _, u := range reach.Users {
			if _, found := slices.BinarySearch(stored, u); !found {
				more = append(more, u)
			}
		}
		if len(more) == 0 || !known {
			continue
		}
		noted++
		message := "the workspace has " + c.describe(more[0])
		if n := len(more); n > 1 {
			message += fmt.Sprintf(" and %d more", n-1)
		}
		c.note(id, message+" in it, and the user store does not; what is granted to it reaches them, so that they count as in it where something is denied")
	}
}

// hashReach writes who is in the groups that policies name by the workspace.
func (c *Compiler) hashReach(h hash.Hash) {
	if !c.directoryRead() || !slices.ContainsFunc(c.rules.Policies, func(p *judge.Policy) bool {
		return len(p.Deny)+len(p.AllowExcept)+len(p.DenyExcept) > 0 || p.DenyAllElse
	}) {
		return
	}
	var lines []string
	for _, id := range c.allNamed() {
		if kind := c.kind(id); kind != rules.SubjectGroup && kind != rules.SubjectRole {
			continue
		}
		reach := c.judge.Reach(id)
		names := slices.Clone(reach.Others)
		for _, u := range reach.Users {
			names = append(names, policy.FoldPrincipal(c.principals[u].Name))
		}
		slices.Sort(names)
		lines = append(lines, fmt.Sprintf("%s %t %x\n", c.describe(id), reach.Known, sha256.Sum256([]byte(strings.Join(names, "\n")))))
	}
	writeSorted(h, lines)
}
