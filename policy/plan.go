package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Change is adds and removes of one securable that are sent together, in one request that applies whole or not at all.
// Changes of a lower Wave are applied before changes of a higher one; package order says why.
type Change struct {
	Securable Securable    `json:"securable"`
	Wave      int          `json:"wave"`
	Add       []Assignment `json:"add,omitempty"`
	Remove    []Assignment `json:"remove,omitempty"`

	// AddTemporary is USE_* that its principals hold already, by ALL_PRIVILEGES that this change removes. A later change
	// removes it: RemoveTemporary. Neither counts as a grant or a revoke.
	AddTemporary    []Assignment `json:"addTemporary,omitempty"`
	RemoveTemporary []Assignment `json:"removeTemporary,omitempty"`
	// Keep are grants that stand and stay. They are sent with the removal of ALL_PRIVILEGES, which would clear them.
	Keep []Assignment `json:"keep,omitempty"`

	// Waits are those of Add, Remove and RemoveTemporary that must not be made while something else was not; what is not
	// in it depends on nothing.
	Waits []Wait `json:"waits,omitempty"`

	// Causes says why, grant by grant; nil where that was not asked for. In JSON each grant has its cause.
	Causes Causes `json:"-"`
}

// Wait is an add or a remove of a [Change], and whose changes it depends on. An add would let somebody reach what is yet
// to be taken away: it must not be made while a removal from one of On, by a change of an earlier wave on the same
// securable, above or below it, was not made. A remove takes what is replaced: it must not be made while what is added
// for one of On was not.
type Wait struct {
	Assignment
	On []Principal `json:"on"`
}

// Request returns all that is sent: what is added, put back and removed.
func (c Change) Request() (add, remove []Assignment) {
	add, remove = c.Acts()
	return append(add, c.Keep...), remove
}

// AppliedTo returns the grants on the securable after the change, where it has the given ones before.
func (c Change) AppliedTo(have []Assignment) []Assignment {
	add, remove := c.Request()
	left := slices.DeleteFunc(slices.Clone(have), func(a Assignment) bool {
		return slices.Contains(remove, a) || a.Privilege.ClearedByAll() && slices.Contains(remove, Assignment{a.Principal, AllPrivileges})
	})
	left = append(left, add...)
	slices.SortFunc(left, CompareAssignments)
	return slices.Compact(left)
}

// Acts returns all that the change adds and removes.
func (c Change) Acts() (add, remove []Assignment) {
	return slices.Concat(c.Add, c.AddTemporary), slices.Concat(c.Remove, c.RemoveTemporary)
}

// RemovesAll reports whether the change removes ALL_PRIVILEGES from somebody.
func (c Change) RemovesAll() bool {
	return slices.ContainsFunc(c.Remove, func(a Assignment) bool { return a.Privilege == AllPrivileges })
}

// Principals returns, sorted, whom the change grants something or takes something from.
func (c Change) Principals() []Principal {
	set := make(map[Principal]bool)
	add, remove := c.Request()
	for _, a := range slices.Concat(add, remove) {
		set[a.Principal] = true
	}
	return slices.SortedFunc(maps.Keys(set), ComparePrincipals)
}

// Empty reports whether the change changes nothing.
func (c Change) Empty() bool {
	return len(c.Add)+len(c.Remove)+len(c.AddTemporary)+len(c.RemoveTemporary) == 0
}

// Filter returns the change with only those adds and removes that keep reports true for. What is put back stays with
// the removal of ALL_PRIVILEGES that it belongs to.
func (c Change) Filter(keep func(Assignment) bool) Change {
	pick := func(list []Assignment) []Assignment {
		var picked []Assignment
		for _, a := range list {
			if keep(a) {
				picked = append(picked, a)
			}
		}
		return picked
	}
	f := Change{Securable: c.Securable, Wave: c.Wave, Causes: c.Causes, Add: pick(c.Add), Remove: pick(c.Remove),
		AddTemporary: pick(c.AddTemporary), RemoveTemporary: pick(c.RemoveTemporary)}
	for _, a := range c.Keep {
		if slices.Contains(f.Remove, Assignment{a.Principal, AllPrivileges}) {
			f.Keep = append(f.Keep, a)
		}
	}
	for _, w := range c.Waits {
		if keep(w.Assignment) {
			f.Waits = append(f.Waits, w)
		}
	}
	return f
}

// String is the change on one line: "TABLE:a.b.c  +analysts SELECT  -bob MODIFY".
func (c Change) String() string {
	var b strings.Builder
	b.WriteString(c.Securable.String())
	for _, part := range []struct {
		sign, mark string
		list       []Assignment
	}{{"+", "", c.Add}, {"+", " (temporary)", c.AddTemporary}, {"-", "", c.Remove}, {"-", " (temporary)", c.RemoveTemporary}} {
		for _, a := range part.list {
			fmt.Fprintf(&b, "  %s%s%s", part.sign, a, part.mark)
		}
	}
	return b.String()
}

// Plan is what a sync would do: data that can be printed, stored and compared.
type Plan struct {
	PolicyVersion int64    `json:"policyVersion"`
	Changes       []Change `json:"changes"`
	// Protection is what changes of row filters and masks, sorted by table; DropFunctions are functions of ours that nothing
	// refers to any more.
	Protection    []ProtectionChange `json:"protection,omitempty"`
	DropFunctions []string           `json:"dropFunctions,omitempty"`
	Totals        Totals             `json:"totals"`
	Report        *Report            `json:"report"`
	// Waiting is what the policies give and is not granted yet: with what could not be read, or with grants that stay, it may give
	// more than they do. Findings say why.
	Waiting []Grant `json:"-"`
	// Parts are the digests of the plans that this one was joined from, those that change nothing left out. A full sync
	// is planned shard by shard, and what is approved is all of its parts.
	Parts []string `json:"-"`
}

// Totals counts what a plan looked at and what it would do.
type Totals struct {
	Securables int `json:"securables"` // read
	Grants     int `json:"grants"`     // current grants read on them
	Managed    int `json:"managed"`    // of those, the ones in scope and so open to change
	Desired    int `json:"desired"`    // grants wanted on them
	Changed    int `json:"changed"`    // securables to change
	Adds       int `json:"adds"`
	Tried      int `json:"tried,omitempty"` // further adds, to principals that the workspace does not list: the account may know them
	Removes    int `json:"removes"`
	StillHeld  int `json:"stillHeld,omitempty"`  // of the removes, those of what the principal holds all the same by another grant
	NotRevoked int `json:"notRevoked,omitempty"` // grants that no policy asks for and ModeGrantOnly leaves
	Protected  int `json:"protected,omitempty"`  // tables that have, or are to have, a row filter or masks of ours
	Statements int `json:"statements,omitempty"` // SQL statements that the changes of these take
}

// Add adds the counts of another plan, of other securables.
func (t *Totals) Add(o Totals) {
	t.Securables += o.Securables
	t.Grants += o.Grants
	t.Managed += o.Managed
	t.Desired += o.Desired
	t.Changed += o.Changed
	t.Adds += o.Adds
	t.Tried += o.Tried
	t.Removes += o.Removes
	t.StillHeld += o.StillHeld
	t.NotRevoked += o.NotRevoked
	t.Protected += o.Protected
	t.Statements += o.Statements
}

// Losses returns how many removes take something away, which is what guards count.
func (t Totals) Losses() int { return t.Removes - t.StillHeld }

// Empty reports whether the plan changes nothing.
func (p *Plan) Empty() bool { return len(p.Changes)+len(p.Protection)+len(p.DropFunctions) == 0 }

// Digest identifies the plan's changes: the first 16 hexadecimal digits of their SHA-256, or of that of its parts. An
// approval names it, and so holds for exactly these changes. What they depend on follows from them, and is left out.
func (p *Plan) Digest() string {
	if len(p.Parts) > 0 {
		return DigestOf(p.Parts)
	}
	sum := sha256.New()
	separator := "["
	for _, c := range p.Changes {
		c.Causes, c.Waits = nil, nil // a policy that is given another name changes nothing
		body, err := json.Marshal(c)
		if err != nil {
			panic("plan does not marshal: " + err.Error()) // strings and ints only: cannot happen
		}
		sum.Write([]byte(separator))
		sum.Write(body)
		separator = ","
	}
	if separator == "[" {
		sum.Write([]byte("null"))
	} else {
		sum.Write([]byte("]"))
	}
	if len(p.Protection)+len(p.DropFunctions) > 0 {
		body, err := json.Marshal(struct {
			Protection []ProtectionChange
			Drop       []string
		}{p.Protection, p.DropFunctions})
		if err != nil {
			panic("plan does not marshal: " + err.Error()) // likewise
		}
		sum.Write(body)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// DigestOf identifies several plans by their digests, in order; one plan by its own, and none as one that changes nothing.
func DigestOf(parts []string) string {
	switch len(parts) {
	case 0:
		return (&Plan{}).Digest()
	case 1:
		return parts[0]
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, " ")))
	return hex.EncodeToString(sum[:8])
}
