package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"ucwarden/ondemand"
)

const timeLayout = "2006-01-02 15:04:05"

// printTasks lists a page of tasks.
func (a *app) printTasks(w io.Writer, page ondemand.Page) error {
	if len(page.Items) == 0 {
		_, err := fmt.Fprintln(w, "no tasks")
		return err
	}
	rows := make([][]string, len(page.Items))
	for i, t := range page.Items {
		rows[i] = []string{t.ID, string(t.Type), a.status(t.Status), strconv.Itoa(t.Attempts), moment(t.ReceivedTime), took(t), summary(t)}
	}
	if err := printTable(w, []string{"id", "type", "status", "attempts", "received", "took", "what"}, rows); err != nil {
		return err
	}
	if page.NextCursor != "" {
		_, err := fmt.Fprintf(w, "\nmore with: --cursor %s\n", page.NextCursor)
		return err
	}
	return nil
}

// printTask shows one task whole.
func (a *app) printTask(w io.Writer, t ondemand.Task) error {
	lines := [][2]string{
		{"id", t.ID}, {"type", string(t.Type)}, {"status", a.status(t.Status)}, {"message", t.StatusMessage},
		{"source", t.Source}, {"parent", t.ParentID}, {"attempts", strconv.Itoa(t.Attempts)},
		{"received", moment(t.ReceivedTime)}, {"next attempt", moment(t.NotBefore)}, {"took", took(t)},
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
		for _, step := range t.Transitions {
			a.printTransition(w, step)
		}
	}
	return a.printResults(w, t)
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

// printResults shows what became of each resource, with the changes made.
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
		for _, c := range r.Changes {
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
		return t.StatusMessage
	case 1:
		return resourceName(resources[0].Type, resources[0].Values)
	}
	return fmt.Sprintf("%s and %d more", resourceName(resources[0].Type, resources[0].Values), len(resources)-1)
}

// resourceName writes a resource as TYPE:full.name, also one that does not parse.
func resourceName(kind string, values map[string]string) string {
	r := ondemand.Resource{Type: kind, Values: values}
	if s, err := r.Securable(); err == nil {
		return strings.TrimSuffix(kind+":"+s.FullName, ":")
	}
	return fmt.Sprintf("%s %v", kind, values)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(timeLayout)
}

// took is the time from acceptance to the end; empty while it runs.
func took(t ondemand.Task) string {
	if t.EndTime.IsZero() || t.ReceivedTime.IsZero() {
		return ""
	}
	return t.EndTime.Sub(t.ReceivedTime).Round(time.Millisecond).String()
}
