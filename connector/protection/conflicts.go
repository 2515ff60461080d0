package protection

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/connector/load"
	"ucwarden/policy"
	"ucwarden/policy/attach"
	"ucwarden/policy/protect"
)

// Conflict is that a table cannot be protected, because of what others set on it or of what it is, or that others took away or changed what
// protects it. It is no failure of a sync: what stands is closed, or put right, and the next finds the same until a person decides.
type Conflict struct {
	Table  policy.Securable `json:"table"`
	Why    string           `json:"why"`              // in the words of the plan's findings
	Closed bool             `json:"closed,omitempty"` // the table is not protected, and so closed for whom policies bind
}

func (c Conflict) String() string { return c.Table.String() + ": " + c.Why }

// conflict notes what Diff found on a table that others keep from being as policies say; closed says why it cannot be protected.
func (p *planning) conflict(table policy.Securable, closed string, diff *attach.Outcome) {
	if closed != "" {
		p.out.Conflicts = append(p.out.Conflicts, Conflict{Table: table, Why: protect.NotProtected(closed), Closed: true})
		return
	}
	for _, f := range diff.Drift {
		p.out.Conflicts = append(p.out.Conflicts, Conflict{Table: table, Why: f.Message})
	}
}

// NotProtected returns that a table could not be protected, as results and logs name it.
func NotProtected(table policy.Securable, err error) load.LeftOut {
	return load.LeftOut{Securable: table, Code: policy.CodeOf(err), Reason: protect.NotProtected(err.Error()), Unprotected: true}
}

// maxNamed bounds how many of those who are exempt a finding names.
const maxNamed = 20

// findExempt says who sees all rows and values of the tables that are protected, by the settings.
func (p *planning) findExempt() {
	exempt := p.Protector.Exempt()
	if len(exempt) == 0 || len(p.out.Protected) == 0 {
		return
	}
	var names []string
	for _, e := range exempt[:min(len(exempt), maxNamed)] {
		names = append(names, e.String())
	}
	if more := len(exempt) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	p.out.Findings = append(p.out.Findings, policy.Finding{Effect: policy.EffectNone, Count: len(p.out.Protected) - 1,
		Securable: slices.MinFunc(slices.Collect(maps.Keys(p.out.Protected)), policy.Securable.Compare),
		Message:   "no row filter and no mask binds " + strings.Join(names, ", ") + ", by protection.exempt: where they may read it, they see all of it"})
}
