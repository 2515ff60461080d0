package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"ucwarden/connector"
	"ucwarden/connector/load"
	"ucwarden/policy"
)

func newPlanCommand(a *app) *cobra.Command {
	var (
		exitCode   bool
		out        string
		securables []string
	)
	cmd := &cobra.Command{
		Use:        "plan",
		SuggestFor: []string{"diff", "preview"},
		Short:      "Show what a sync would change, and change nothing",
		GroupID:    groupSync,
		Long: `Show what a full sync would change in Unity Catalog, one line per change with the reason for it, and what of the
policies Unity Catalog cannot express. Nothing is changed, and no running daemon is disturbed. Changes are made in waves: those of one
at once, those of the next when they are made, so that nobody has more access on the way. A plan that was saved with
--out is applied by sync --plan: exactly that one, or, where it is stale, nothing.`,
		Example: `  ucwarden plan -c ucwarden.yaml
  ucwarden plan --securable schema:sales.emea --securable table:hr.core.salaries
  ucwarden plan --out monday.json && ucwarden sync --plan monday.json
  ucwarden plan --exit-code    # 2 when there are changes`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			roots, err := parseSecurables(securables)
			if err != nil {
				return err
			}
			c, log, err := a.loadOnce()
			if err != nil {
				return err
			}
			warnWithoutEffect(c, log)
			src, err := openSourceInForce(cmd.Context(), c, log)
			if err != nil {
				return err
			}
			workspace, err := openWorkspace(cmd.Context(), c, log, nil)
			if err != nil {
				return err
			}
			syncer, err := newSyncer(cmd.Context(), c, workspace, src, nil, nil, nil, nil, log)
			if err != nil {
				return err
			}
			bar := a.progress()
			request := connector.Request{Roots: roots, Progress: bar.show}
			result, err := syncer.Plan(cmd.Context(), request)
			if err == nil && result.Refused != nil && len(result.LeftOut) > 0 {
				request.ByPerson = true // what a sync is refused for, and its digest, include whom it tries again
				result, err = syncer.Plan(cmd.Context(), request)
			}
			bar.done()
			if err != nil {
				return err
			}
			doc := planDocument(result)
			if err := keptOut(src); err != nil {
				doc.KeptOut = err.Error()
			}
			if err := show(a, &doc, func(w io.Writer) error {
				if doc.KeptOut != "" {
					fmt.Fprintln(w, a.paint("This goes by the last policies that could be used, not by those that are there now: "+doc.KeptOut, text.FgRed))
				}
				return a.printPlan(w, visible(result), result.Plan.Digest())
			}); err != nil {
				return err
			}
			if out != "" {
				if err := savePlan(out, c, roots, result); err != nil {
					return err
				}
				fmt.Fprintf(a.stderr, "ucwarden: saved; apply it with: ucwarden sync --plan %s\n", out)
			}
			if exitCode && !result.Plan.Empty() {
				return exitError{exitChanges}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 2 when there are changes to make")
	cmd.Flags().StringVar(&out, "out", "", "save the plan in this file, for sync --plan")
	cmd.Flags().StringArrayVar(&securables, "securable", nil, "plan for TYPE:NAME and everything inside only; may be repeated")
	return cmd
}

func parseSecurables(args []string) ([]policy.Securable, error) {
	var list []policy.Securable
	for _, arg := range args {
		r, err := parseResource(arg) // as sync does
		if err != nil {
			return nil, &usageError{fmt.Errorf("--securable: %w", err)}
		}
		s, err := r.Securable()
		if err != nil {
			return nil, &usageError{fmt.Errorf("--securable: %w", err)}
		}
		list = append(list, s)
	}
	return list, nil
}

type planResult struct {
	*policy.Plan
	Digest  string             `json:"digest"`
	Missing []policy.Securable `json:"missing,omitempty"`
	Skipped []load.Skipped     `json:"skipped,omitempty"` // requested and not for a sync
	LeftOut []policy.Principal `json:"leftOut,omitempty"` // who is granted something and unknown
	Refused string             `json:"refused,omitempty"` // why a guard would refuse it
	KeptOut string             `json:"keptOut,omitempty"` // why newer policies than those it goes by are not in force
}

// planDocument is the JSON form of a plan. Lists without anything in them are written as such.
func planDocument(r *connector.Result) planResult {
	p, report := *r.Plan, *r.Plan.Report
	p.Changes = append([]policy.Change{}, p.Changes...)
	report.Findings = append([]policy.Finding{}, report.Findings...)
	p.Report = &report
	doc := planResult{Plan: &p, Digest: r.Plan.Digest(), Missing: r.Missing, Skipped: r.Skipped, LeftOut: r.LeftOut}
	if r.Refused != nil {
		doc.Refused = r.Refused.Error()
	}
	return doc
}

// printPlan writes a plan for people: changes by securable, totals, then the fidelity report.
func (a *app) printPlan(w io.Writer, r *connector.Result, digest string) error {
	p := r.Plan
	for _, s := range r.Missing {
		fmt.Fprintf(w, "%s does not exist in Unity Catalog\n", securableTitle(s))
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "%s is not synced: %s\n", securableTitle(s.Securable), s.Reason)
	}
	for _, s := range r.AlsoSynced {
		fmt.Fprintf(w, "%s is planned too, with all that it holds: what is granted inside requires USE_* there, or USE_* inside would wake what is granted there\n", securableTitle(s))
	}
	a.printChanges(w, p.Changes)
	a.printProtection(w, p)
	if p.Empty() && p.Totals.Securables == 0 && len(r.Missing)+len(r.Skipped) > 0 {
		_, err := fmt.Fprintln(w, "Nothing was read, and nothing is planned.")
		if len(p.Report.Findings) == 0 {
			return err
		}
	} else if p.Empty() {
		says := "In sync: nothing to change."
		switch {
		case len(r.LeftOut)+len(r.Unread) > 0:
			says = "Nothing to change, and something is left out; see below."
		case len(p.Waiting) > 0:
			says = "Nothing to change, and something waits; see below."
		case p.Totals.NotRevoked > 0:
			says = "Nothing to grant, and what no policy asks for is left; see below."
		}
		fmt.Fprintf(w, "%s %s read, %s, %d of them managed here.\n", says,
			count(p.Totals.Securables, "securable"), count(p.Totals.Grants, "grant"), p.Totals.Managed)
	} else {
		waves := 0
		for i, c := range p.Changes {
			if i == 0 || c.Wave != p.Changes[i-1].Wave {
				waves++
			}
		}
		tried := ""
		if p.Totals.Tried > 0 {
			tried = fmt.Sprintf(", %d to try for whom the workspace does not list", p.Totals.Tried)
		}
		order := "all at once"
		if waves > 1 {
			order = fmt.Sprintf("in %d waves, one after another", waves)
		}
		fmt.Fprintf(w, "Plan %s: %s to add%s, %d to revoke on %s, %s.\n", digest,
			count(p.Totals.Adds, "grant"), tried, p.Totals.Removes, count(p.Totals.Changed, "securable"), order)
		fmt.Fprintf(w, "Read: %s with %s, %d of them managed here; policies at version %d.\n",
			count(p.Totals.Securables, "securable"), count(p.Totals.Grants, "grant"), p.Totals.Managed, p.PolicyVersion)
	}
	if r.Refused != nil {
		fmt.Fprintln(w, a.paint("A sync would be refused: "+r.Refused.Error(), text.FgRed))
	}
	return a.printReport(w, p.Report)
}

// printChanges writes one line for each grant to add or revoke, below the securable it is on.
func (a *app) printChanges(w io.Writer, changes []policy.Change) {
	bySecurable := make(map[policy.Securable][]policy.Change)
	var order []policy.Securable
	for _, c := range changes {
		if _, seen := bySecurable[c.Securable]; !seen {
			order = append(order, c.Securable)
		}
		bySecurable[c.Securable] = append(bySecurable[c.Securable], c)
	}
	slices.SortFunc(order, policy.Securable.Compare)
	width, wide := 0, 0 // of principals and of privileges
	for _, c := range changes {
		for _, g := range slices.Concat(c.Add, c.Remove, c.AddTemporary, c.RemoveTemporary) {
			width, wide = max(width, len(g.Name)), max(wide, len(g.Privilege))
		}
	}
	for _, s := range order {
		fmt.Fprintln(w, a.paint(securableTitle(s), text.Bold))
		var lines []signed
		for _, c := range bySecurable[s] {
			for _, g := range c.Add {
				lines = append(lines, signed{g, "+", text.FgGreen, c.Causes.Of(policy.ActAdd, g).String()})
			}
			for _, g := range c.Remove {
				lines = append(lines, signed{g, "-", text.FgRed, c.Causes.Of(policy.ActRemove, g).String()})
			}
			temporary := policy.Cause{Kind: policy.CauseKept}.String()
			for _, g := range c.AddTemporary {
				lines = append(lines, signed{g, "+", text.FgGreen, temporary})
			}
			for _, g := range c.RemoveTemporary {
				lines = append(lines, signed{g, "-", text.FgRed, temporary})
			}
		}
		slices.SortFunc(lines, func(x, y signed) int {
			return cmp.Or(policy.ComparePrincipals(x.Principal, y.Principal), cmp.Compare(x.sign, y.sign), cmp.Compare(x.Privilege, y.Privilege))
		})
		for _, l := range lines {
			change := fmt.Sprintf("  %s %-*s  %s", l.sign, width, l.Name, l.Privilege)
			if l.cause == "" {
				fmt.Fprintln(w, a.paint(change, l.color))
				continue
			}
			fmt.Fprintf(w, "%s%*s  %s\n", a.paint(change, l.color), wide-len(l.Privilege), "", l.cause)
		}
	}
	if len(order) > 0 {
		fmt.Fprintln(w)
	}
}

// printProtection writes one line for each row filter and mask to set or lift, below its table, and what that costs.
func (a *app) printProtection(w io.Writer, p *policy.Plan) {
	for i := range p.Protection {
		c := &p.Protection[i]
		fmt.Fprintln(w, a.paint(securableTitle(c.Table), text.Bold))
		for _, act := range c.Acts() {
			if act.Act == policy.ActRemove {
				fmt.Fprintln(w, a.paint("  - "+act.Text, text.FgRed))
			} else {
				fmt.Fprintln(w, a.paint("  + "+act.Text, text.FgGreen))
			}
		}
	}
	for _, name := range p.DropFunctions {
		fmt.Fprintln(w, a.paint("function "+name, text.Bold)+"\n"+a.paint("  - nothing refers to it any more", text.FgRed))
	}
	if p.Totals.Statements > 0 {
		fmt.Fprintf(w, "\nProtection: %s on the warehouse, for %s of %d that policies filter or mask.\n\n",
			count(p.Totals.Statements, "SQL statement"), count(len(p.Protection), "table"), p.Totals.Protected)
	}
}

// signed is a grant to add or to revoke, and why.
type signed struct {
	policy.Assignment
	sign  string
	color text.Color
	cause string
}

func securableTitle(s policy.Securable) string {
	return strings.ToLower(strings.ReplaceAll(string(s.Type), "_", " ")) + " " + s.FullName
}

// printReport writes the fidelity report: what differs from the policies first.
func (a *app) printReport(w io.Writer, r *policy.Report) error {
	if len(r.Findings) == 0 {
		_, err := fmt.Fprintln(w, "Fidelity: exact. The grants say what the policies say.")
		return err
	}
	title := "Fidelity: exact, with remarks:"
	if !r.Exact() {
		title = "Fidelity: the grants differ from the policies, never wider unless marked WIDER:"
	}
	fmt.Fprintln(w, title)
	for _, effect := range []policy.Effect{policy.EffectWider, policy.EffectNarrower, policy.EffectNone} {
		for _, f := range r.Findings {
			if f.Effect != effect {
				continue
			}
			mark, color := "note", text.Reset
			switch effect {
			case policy.EffectWider:
				mark, color = "WIDER", text.FgRed
			case policy.EffectNarrower:
				mark, color = "narrower", text.FgYellow
			}
			where := ""
			if f.Securable.FullName != "" {
				where = securableTitle(f.Securable) + ": "
			}
			if _, err := fmt.Fprintf(w, "  %s  %s%s\n", a.paint(fmt.Sprintf("%-8s", mark), color), where, f); err != nil {
				return err
			}
		}
	}
	return nil
}
