package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ucwarden/apiserver"
	"ucwarden/connector/audit"
	"ucwarden/policy"
)

func newAuditCommand(a *app) *cobra.Command {
	var securable, principal, task, since, until string
	cmd := &cobra.Command{
		Use:        "audit",
		SuggestFor: []string{"log", "logs", "history"},
		Short:      "Show what was changed in Unity Catalog, by whom and why",
		GroupID:    groupSync,
		Long: `Show the changes made to Unity Catalog, the oldest first: what was granted and revoked, when, why, for which
task, who posted that, and what became of it. The trail is read from its files (audit.path); a daemon may be running.

The results: applied; refused, by Unity Catalog; gone, the object does not exist any more. After a crash, or where no
answer came, the object was read again: applied or absent says what its grants, or its row filter and masks, showed,
unknown that they could not be read. open: it is not known yet.`,
		Example: `  ucwarden audit --securable schema:sales.emea --since 24h
  ucwarden audit --principal bob@example.com --since 2026-01-31T10:00:00Z -o json`,
		Args: wantArgs(),
		RunE: func(*cobra.Command, []string) error {
			query := audit.Query{Principal: principal, Task: task}
			var err error
			if securable != "" {
				if query.Securable, err = policy.ParseSecurable(securable); err != nil {
					return &usageError{fmt.Errorf("--securable: %w", err)}
				}
			}
			if query.Since, err = parseSince(since, time.Now()); err != nil {
				return err
			}
			if query.Until, err = parsePast("--until", until, time.Now()); err != nil {
				return err
			}
			c, err := a.loadPart()
			if err != nil {
				return err
			}
			changes, damaged, err := audit.Read(c.Audit.Path, query)
			if err != nil {
				return withHint(err, "audit.path names the file, else it is audit.jsonl in store.path; it is begun by the first serve or sync")
			}
			for _, d := range damaged {
				fmt.Fprintf(a.stderr, "ucwarden: %s cannot be read and is left out\n", visible(d))
			}
			result := auditResult{Changes: append([]audit.Change{}, changes...), Damaged: damaged}
			return show(a, &result, func(w io.Writer) error { return printAudit(w, result.Changes) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&securable, "securable", "", "only changes of TYPE:NAME and everything inside")
	flags.StringVar(&principal, "principal", "", "only changes for this user, group or service principal")
	flags.StringVar(&since, "since", "", "only changes since this time, RFC 3339, or for so long: 24h, 7d")
	flags.StringVar(&task, "task", "", "only changes made for the task with this id")
	flags.StringVar(&until, "until", "", "only changes before this time, as --since")
	return cmd
}

// auditPage returns one page of the trail for the API.
func (d *daemon) auditPage(ctx context.Context, q apiserver.AuditQuery) (apiserver.AuditPage, error) {
	read, err := audit.ReadPage(ctx, d.config.Audit.Path, audit.Query{
		Securable: q.Securable, Principal: q.Principal, Task: q.Task, Since: q.Since, Until: q.Until,
	}, func(c audit.Change) bool { return q.Visible(c.Securable) }, q.Cursor, q.Limit)
	if err != nil {
		return apiserver.AuditPage{}, err
	}
	page := apiserver.AuditPage{Items: []apiserver.AuditEntry{}, Position: read.Next, Damaged: read.Damaged}
	if !read.Last {
		page.NextCursor = read.Next
	}
	for _, c := range read.Changes {
		page.Items = append(page.Items, apiserver.AuditEntry{
			Time: c.Time, Task: c.Task, By: c.By, Securable: c.Securable, Act: string(c.Act), Principal: c.Principal, PrincipalKind: shownKind(c.Kind),
			Privilege: string(c.Privilege), Protection: c.Protection, Why: c.Cause.String(), Result: string(c.Result), Settled: c.Settled,
			Intent: c.Intent, RequestID: c.RequestID, Error: c.Error,
		})
	}
	return page, nil
}

// shownKind returns the word for a kind of principal, "" where there is none: the entry is about a row filter or mask.
func shownKind(k policy.PrincipalKind) string {
	if k == policy.UnknownKind {
		return ""
	}
	return k.String()
}

// auditResult is the JSON form of the answer.
type auditResult struct {
	Changes []audit.Change `json:"changes"`
	Damaged []audit.Damage `json:"damaged,omitempty"`
}

func printAudit(w io.Writer, changes []audit.Change) error {
	if len(changes) == 0 {
		_, err := fmt.Fprintln(w, "no changes")
		return err
	}
	rows := make([][]string, len(changes))
	for i, c := range changes {
		sign := "+"
		if c.Act == policy.ActRemove {
			sign = "-"
		}
		result := string(c.Result)
		if c.Settled {
			result += " (read again)"
		}
		if c.Error != "" {
			result += ": " + strings.Join(strings.Fields(c.Error), " ")
		}
		task := c.Task
		if c.By != "" {
			task += " by " + c.By
		}
		rows[i] = []string{moment(c.Time), sign, c.Securable, c.Principal, cmp.Or(string(c.Privilege), c.Protection), result, task, c.RequestID, c.Cause.String()}
	}
	return printTable(w, []string{"time", "", "securable", "principal", "privilege", "result", "task", "request", "why"}, rows)
}
