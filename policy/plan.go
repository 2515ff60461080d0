package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Change is all adds and removes of one securable that are sent together, in one request that applies whole or not
// at all. Changes of a lower Wave are applied before changes of a higher one; see [Diff] for what each wave holds.
type Change struct {
	Securable Securable    `json:"securable"`
	Wave      int          `json:"wave"`
	Add       []Assignment `json:"add,omitempty"`
	Remove    []Assignment `json:"remove,omitempty"`
	// Causes says why, grant by grant; nil where that was not asked for. In JSON each grant has its cause.
	Causes Causes `json:"-"`
}

// String is the change on one line: "TABLE:a.b.c  +analysts SELECT  -bob MODIFY".
func (c Change) String() string {
	var b strings.Builder
	b.WriteString(c.Securable.String())
	for _, a := range c.Add {
		fmt.Fprintf(&b, "  +%s", a)
	}
	for _, a := range c.Remove {
		fmt.Fprintf(&b, "  -%s", a)
	}
	return b.String()
}

// Plan is what a sync would do: data that can be printed, stored and compared.
type Plan struct {
	PolicyVersion int64    `json:"policyVersion"`
	Changes       []Change `json:"changes"`
	Totals        Totals   `json:"totals"`
	Report        *Report  `json:"report"`
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
	Removes    int `json:"removes"`
}

// Add adds the counts of another plan, of other securables.
func (t *Totals) Add(o Totals) {
	t.Securables += o.Securables
	t.Grants += o.Grants
	t.Managed += o.Managed
	t.Desired += o.Desired
	t.Changed += o.Changed
	t.Adds += o.Adds
	t.Removes += o.Removes
}

// Empty reports whether the plan changes nothing.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 }

// Digest identifies the plan's changes: the first 16 hexadecimal digits of their SHA-256, or of that of its parts. An
// approval names it, and so holds for exactly these changes.
func (p *Plan) Digest() string {
	if len(p.Parts) > 0 {
		return DigestOf(p.Parts)
	}
	sum := sha256.New()
	separator := "["
	for _, c := range p.Changes {
		c.Causes = nil // a policy that is given another name changes nothing
		body, err := json.Marshal(c)
		if err != nil {
			panic("plan does not marshal: " + err.Error()) // strings and ints only: cannot happen
		}
		io.WriteString(sum, separator)
		sum.Write(body)
		separator = ","
	}
	if separator == "[" {
		io.WriteString(sum, "null")
	} else {
		io.WriteString(sum, "]")
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// DigestOf identifies several plans by their digests, in order; one plan by its own.
func DigestOf(parts []string) string {
	if len(parts) == 1 {
		return parts[0]
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, " ")))
	return hex.EncodeToString(sum[:8])
}
