package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"ucwarden/policy"
	"ucwarden/policy/explain"
)

// printExplanation writes an explanation for people: who is asked about, what decides each privilege, the grants it
// comes to. Privileges nothing is to be said about share a line. bodies are those of the functions that enforce it, as they are printed.
func (a *app) printExplanation(w io.Writer, e *explain.Explanation, bodies []string) error {
	p := e.Principal
	fmt.Fprintf(w, "%s: %s, %s\n", a.paint(p.Name, text.Bold), p.Kind, p.How)
	for _, line := range p.Also {
		fmt.Fprintf(w, "  %s\n", line)
	}
	for _, list := range []struct {
		title string
		names []string
	}{{"groups", p.Groups}, {"roles", p.Roles}} {
		if len(list.names) > 0 {
			fmt.Fprintf(w, "  %s: %s\n", list.title, strings.Join(list.names, ", "))
		}
	}
	fmt.Fprintf(w, "  grants to any of these reach it: %s\n", strings.Join(p.Principals, ", "))
	title := securableTitle(e.Object.Securable)
	if e.Object.Kind != "" {
		title = strings.ToLower(strings.ReplaceAll(string(e.Object.Kind), "_", " ")) + " " + e.Object.FullName
	}
	if e.Object.Owner != "" {
		title += ", owned by " + e.Object.Owner
	}
	fmt.Fprintf(w, "\n%s\n", a.paint(title, text.Bold))

	var silent, order []string
	same := map[string][]string{} // privileges about which the same is to be said
	for i := range e.Privileges {
		x := &e.Privileges[i]
		if x.Outcome == explain.OutcomeNotMentioned && x.Reason == "" && len(x.Others)+len(x.Grants)+len(x.Fidelity) == 0 {
			silent = append(silent, string(x.Privilege))
			continue
		}
		body := a.privilegeBody(x)
		if same[body] == nil {
			order = append(order, body)
		}
		same[body] = append(same[body], string(x.Privilege))
	}
	for _, body := range order {
		fmt.Fprintf(w, "\n%s  %s", a.paint(strings.Join(same[body], ", "), text.Bold), body)
	}
	if len(silent) > 0 {
		fmt.Fprintf(w, "\nnot mentioned by any policy for it: %s\n", strings.Join(silent, ", "))
	}
	reads := slices.ContainsFunc(e.Privileges, func(x explain.PrivilegeExplanation) bool {
		return x.Privilege == policy.Select && x.Outcome == explain.OutcomeAllowed
	})
	if len(e.Protections) > 0 || reads && len(e.Enforced) > 0 {
		fmt.Fprintf(w, "\nrow filters and masks\n")
		for _, x := range e.Protections {
			printProtection(w, x)
		}
		for _, kind := range []string{"row filter", "mask"} {
			if reads && !slices.ContainsFunc(e.Protections, func(x explain.Protection) bool { return x.Kind == kind && x.Applies }) {
				fmt.Fprintf(w, "  no %s of policies binds it\n", kind)
			}
		}
	}
	if len(e.Enforced) > 0 {
		fmt.Fprintf(w, "\nenforced in Unity Catalog\n")
	}
	for i, x := range e.Enforced {
		what, state := "row filter", "set"
		if x.Column != "" {
			what = fmt.Sprintf("mask of column %q", x.Column)
		}
		if x.State != explain.GrantInSync {
			state = "the next sync sets it"
		}
		fmt.Fprintf(w, "  %s %s (%s):\n%s", what, x.Function, state, bodies[i])
	}
	if len(e.RequiredUse) > 0 {
		fmt.Fprintf(w, "\nrequired USE_*\n")
		for _, g := range e.RequiredUse {
			a.printGrant(w, g, true)
		}
	}
	if len(e.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, note := range e.Notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
	return nil
}

// privilegeBody writes what is to be said about a privilege, but for its name.
func (a *app) privilegeBody(x *explain.PrivilegeExplanation) string {
	var w strings.Builder
	color := text.Reset
	switch x.Outcome {
	case explain.OutcomeAllowed:
		color = text.FgGreen
	case explain.OutcomeDenied:
		color = text.FgRed
	}
	fmt.Fprintf(&w, "%s\n", a.paint(x.Outcome, color))
	if x.Reason != "" {
		fmt.Fprintf(&w, "  %s\n", x.Reason)
	}
	if x.By != nil {
		fmt.Fprintf(&w, "  by %s\n", mentionLine(x.By))
	}
	for i := range x.Others {
		fmt.Fprintf(&w, "  and %s: %s\n", mentionLine(&x.Others[i]), x.Others[i].Effect)
	}
	for _, g := range x.Grants {
		a.printGrant(&w, g, false)
	}
	for _, line := range x.Fidelity {
		fmt.Fprintf(&w, "  %s %s\n", a.paint("in Unity Catalog:", text.FgYellow), line)
	}
	return w.String()
}

// mentionLine names a policy item and how it names the principal.
func mentionLine(m *explain.Mention) string {
	var b strings.Builder
	fmt.Fprintf(&b, "policy %d %q", m.PolicyID, m.Policy)
	if m.Origin != "" {
		fmt.Fprintf(&b, " (%s)", m.Origin)
	}
	fmt.Fprintf(&b, ", %s, to %s", m.Item, m.Path)
	if m.Tag != "" {
		fmt.Fprintf(&b, ", by tag %s", m.Tag)
	}
	if m.Zone != "" {
		fmt.Fprintf(&b, ", in zone %s", m.Zone)
	}
	if m.Priority > 0 {
		b.WriteString(", of override priority")
	}
	return b.String()
}

// printGrant writes one grant and how it stands to those of today.
func (a *app) printGrant(w io.Writer, g explain.ExplainedGrant, way bool) {
	word, color := "granted", text.Reset
	switch g.State {
	case explain.GrantExtra:
		word, color = "extra", text.FgRed
	case explain.GrantMissing:
		word, color = "missing", text.FgYellow
	case explain.GrantInSync:
		word, color = "held", text.FgGreen
	}
	line := fmt.Sprintf("%s to %s on %s", g.Privilege, g.Name, securableTitle(g.Securable))
	if path := g.Path; path != "user "+g.Name && path != "group "+g.Name && path != "role "+g.Name {
		line += " (" + path + ")"
	}
	switch {
	case g.Note != "":
		line += "; " + g.Note
	case g.State == explain.GrantMissing:
		line += "; a sync grants it"
	case g.State == explain.GrantPlanned && way:
		line += "; added for what is granted below"
	}
	fmt.Fprintf(w, "  %s %s\n", a.paint(fmt.Sprintf("%-8s", word+":"), color), line)
}

func printProtection(w io.Writer, x explain.Protection) {
	what := x.Kind
	if x.On != "" {
		what += " on " + x.On
	}
	switch {
	case x.Filter != nil:
		what += fmt.Sprintf(" %q", x.Filter.FilterExpr)
	case x.Mask != nil && x.Mask.ValueExpr != "":
		what += fmt.Sprintf(" %s %q", x.Mask.DataMaskType, x.Mask.ValueExpr)
	case x.Mask != nil:
		what += " " + x.Mask.DataMaskType
	}
	fmt.Fprintf(w, "  %s, by %s: %s\n", what, mentionLine(&x.Mention), x.Effect)
}
