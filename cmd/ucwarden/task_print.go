package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"ucwarden/ondemand"
)

// printTasks lists a page of tasks as they stand at the time now.
func (a *app) printTasks(w io.Writer, page ondemand.Page, now time.Time) error {
	if len(page.Items) == 0 {
		_, err := fmt.Fprintln(w, "no tasks")
		return err
	}
	rows := make([][]string, len(page.Items))
	for i, t := range page.Items {
		what := summary(t)
		if len(t.RequestInfo.Resources) == 0 { // a message, which may be long
			what = shorten(what, maxSummary)
		}
		rows[i] = []string{t.ID, string(t.Type), a.status(t.Status), t.Source, age(now.Sub(t.ReceivedTime)), took(t), progressOf(t), what}
	}
	if err := printTable(w, []string{"id", "type", "status", "source", "age", "took", "progress", "what"}, rows); err != nil {
		return err
	}
	if page.NextCursor != "" {
		_, err := fmt.Fprintf(w, "\nmore with: --cursor %s\n", page.NextCursor)
		return err
	}
	return nil
}

// maxSummary is how many characters of a message a list shows; task get shows all of it.
const maxSummary = 80

// shorten returns text cut to n characters.
func shorten(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return string(runes[:n-1]) + "…"
}

// shardsEnded returns how many of the shards of a full sync have ended: 12/45 shards, 1 failed. It is empty for other tasks.
func shardsEnded(t ondemand.Task) string {
	c := t.Children
	if c == nil {
		return ""
	}
	text := fmt.Sprintf("%d/%d shards", c.Total-c.Open(), c.Total)
	if c.Failed > 0 {
		text += fmt.Sprintf(", %d failed", c.Failed)
	}
	if c.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", c.Skipped)
	}
	return text
}

// progressOf says how far a task is, in few words: how many of its shards have ended, or at which attempt it is.
func progressOf(t ondemand.Task) string {
	switch {
	case t.Children != nil:
		return shardsEnded(t)
	case t.Attempts > 1:
		return fmt.Sprintf("attempt %d", t.Attempts)
	case t.Type == ondemand.FullSync && t.Status == ondemand.InProgress:
		return "planning"
	}
	return ""
}

// policyVersion says by which policies a task was done.
func policyVersion(t ondemand.Task) string {
	if t.PolicyVersion == 0 {
		return ""
	}
	return fmt.Sprintf("version %d", t.PolicyVersion)
}

// printTask shows one task whole.
func (a *app) printTask(w io.Writer, t ondemand.Task) error {
	lines := [][2]string{
		{"id", t.ID}, {"type", string(t.Type)}, {"status", a.status(t.Status)}, {"message", t.StatusMessage},
		{"source", t.Source}, {"posted by", t.PostedBy}, {"retried by", t.RetriedBy}, {"parent", t.ParentID}, {"attempts", attempts(t)},
		{"shards", shardsEnded(t)},
		{"update", runState(t)}, {"link", runLink(t)},
		{"received", moment(t.ReceivedTime)}, {"next attempt", moment(t.NotBefore)}, {"took", took(t)}, {"policies", policyVersion(t)},
	}
	if t.Status.Terminal() || t.Status == ondemand.InProgress {
		lines = slices.DeleteFunc(lines, func(l [2]string) bool { return l[0] == "next attempt" })
	}
	for _, l := range lines {
		if l[1] != "" {
			fmt.Fprintf(w, "%-13s %s\n", l[0], l[1])
		}
	}
	if len(t.Transitions) > 0 {
		fmt.Fprintln(w)
		for i, step := range t.Transitions {
			if i == ondemand.KeepFirst && t.LeftOut > 0 {
				fmt.Fprintf(w, "… %d more …\n", t.LeftOut)
			}
			a.printTransition(w, step)
		}
	}
	return a.printResults(w, t)
}

// runState says how far the update of a pipeline is, and which one it is; empty for other tasks.
func runState(t ondemand.Task) string {
	if t.Run == nil {
		return ""
	}
	state := strings.TrimSpace(string(t.Run.Status) + " " + t.Run.RawState)
	return strings.TrimSpace(state + " " + cmp.Or(t.Run.ID, t.Run.PipelineID))
}

func runLink(t ondemand.Task) string {
	if t.Run == nil {
		return ""
	}
	return cmp.Or(t.Run.UpdateLink, t.Run.Link)
}

// attempts says how many attempts a task had, and how many of them ended with the process.
func attempts(t ondemand.Task) string {
	if t.Crashes == 0 {
		return strconv.Itoa(t.Attempts)
	}
	return fmt.Sprintf("%d, during %d of which the process stopped", t.Attempts, t.Crashes)
}

func (a *app) printTransition(w io.Writer, t ondemand.Transition) {
	from := string(t.From)
	if from == "" {
		from = "-"
	}
	line := fmt.Sprintf("%s  %s → %s", moment(t.Time), from, a.status(t.To))
	if t.Reason != "" {
		line += "  " + t.Reason
	}
	fmt.Fprintln(w, line)
}

// printResults shows what became of each resource, with the changes made, or those that mode observe would have made.
func (a *app) printResults(w io.Writer, t ondemand.Task) error {
	if len(t.Resources) > 0 {
		fmt.Fprintln(w)
	}
	for _, r := range t.Resources {
		line := fmt.Sprintf("%s  %s", a.status(r.Status), resourceName(r.Type, r.Values))
		if r.Message != "" {
			line += "  " + r.Message
		}
		fmt.Fprintln(w, line)
		for _, c := range slices.Concat(r.Changes, r.WouldChange) { // one of them is empty
			if err := a.printChange(w, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// printChange shows what was changed for one principal: one line, and below it why, privilege by privilege.
func (a *app) printChange(w io.Writer, c ondemand.Change) error {
	var b strings.Builder
	fmt.Fprintf(&b, "    %s", c.Securable)
	for _, p := range c.Add {
		b.WriteString("  " + a.paint("+"+c.Principal+" "+p, text.FgGreen))
	}
	for _, p := range c.Remove {
		b.WriteString("  " + a.paint("-"+c.Principal+" "+p, text.FgRed))
	}
	b.WriteByte('\n')
	for _, p := range slices.Concat(c.Add, c.Remove) {
		if why := c.Causes[p]; why != "" {
			fmt.Fprintf(&b, "      %s: %s\n", p, why)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (a *app) status(s ondemand.Status) string {
	switch s {
	case ondemand.Success:
		return a.paint(string(s), text.FgGreen)
	case ondemand.Failed:
		return a.paint(string(s), text.FgRed)
	case ondemand.Skipped:
		return a.paint(string(s), text.FgYellow)
	}
	return string(s)
}

// summary says in a few words what a task is about.
func summary(t ondemand.Task) string {
	resources := t.RequestInfo.Resources
	switch len(resources) {
	case 0:
		return cmp.Or(t.StatusMessage, allInScope[t.Type])
	case 1:
		return resourceName(resources[0].Type, resources[0].Values)
	}
	return fmt.Sprintf("%s and %d more", resourceName(resources[0].Type, resources[0].Values), len(resources)-1)
}

// allInScope is what a task without resources is about.
var allInScope = map[ondemand.Type]string{ondemand.FullSync: "all in scope", ondemand.ValiditySync: "what validity schedules opened or closed"}

// resourceName writes a resource as TYPE:full.name, also one that does not parse.
func resourceName(kind string, values map[string]string) string {
	r := ondemand.Resource{Type: kind, Values: values}
	if s, err := r.Securable(); err == nil {
		return strings.TrimSuffix(kind+":"+s.FullName, ":")
	}
	return fmt.Sprintf("%s %v", kind, values)
}

// took is the time from acceptance to the end; empty while it runs.
func took(t ondemand.Task) string {
	if t.EndTime.IsZero() || t.ReceivedTime.IsZero() {
		return ""
	}
	d := t.EndTime.Sub(t.ReceivedTime)
	if d < time.Minute {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
