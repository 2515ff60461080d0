package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ucwarden/connector/audit"
	"ucwarden/policy"
)

func newAuditCommand(a *app) *cobra.Command {
	var securable, principal, since string
	cmd := &cobra.Command{
		Use:        "audit",
		SuggestFor: []string{"log", "logs", "history"},
		Short:      "Show what was changed in Unity Catalog, by whom and why",
		GroupID:    groupSync,
		Long: `Show the changes made to Unity Catalog, the oldest first: what was granted and revoked, when, why, for which
task, who posted that, and what became of it. The trail is read from its files (audit.path); a daemon may be running.

The results: applied; refused, by Unity Catalog; gone, the object does not exist any more. After a crash, or where no
answer came, the object was read again: applied or absent says what its grants showed, unknown that they could not be
read. open: it is not known yet.`,
		Example: `  ucwarden audit --securable schema:sales.emea --since 24h
  ucwarden audit --principal bob@example.com --since 2026-01-31T10:00:00Z -o json`,
		Args: wantArgs(),
		RunE: func(*cobra.Command, []string) error {
			query := audit.Query{Principal: principal}
			var err error
			if securable != "" {
				if query.Securable, err = policy.ParseSecurable(securable); err != nil {
					return &usageError{fmt.Errorf("--securable: %w", err)}
				}
			}
			if query.Since, err = parseSince(since, time.Now()); err != nil {
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
				fmt.Fprintf(a.stderr, "ucwarden: %s cannot be read and is left out\n", d)
			}
			result := auditResult{Changes: append([]audit.Change{}, changes...), Damaged: damaged}
			return a.print(result, func(w io.Writer) error { return printAudit(w, changes) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&securable, "securable", "", "only changes of TYPE:NAME and everything inside")
	flags.StringVar(&principal, "principal", "", "only changes for this user, group or service principal")
	flags.StringVar(&since, "since", "", "only changes since this time, RFC 3339, or for so long: 24h, 7d")
	return cmd
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
