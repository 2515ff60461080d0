package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"ucwarden/config"
	"ucwarden/connector/load"
	"ucwarden/policy"
	"ucwarden/policy/lint"
	"ucwarden/policy/ranger"
	"ucwarden/policy/script"
	"ucwarden/policy/source"
)

func newPolicyLintCommand(a *app) *cobra.Command {
	var flags policyFlags
	var strict, offline bool
	cmd := &cobra.Command{
		Use:   "lint [PATH...]",
		Short: "Check policies for likely mistakes",
		Long: `Check policy files, or the configured policies: names that nothing knows, access types and resources
that do not exist, misspelt fields, values and policies that match nothing, items that others make superfluous or void, schedules
that are over, and what Unity Catalog cannot express. Where a workspace is configured, policies that
match no object of it are found too.

An error is a policy that is not taken, or one that can never do what it says; a warning, one that does not do what it seems to.
Scripts of conditions are tried once.`,
		Example: `  ucwarden policy lint policies/
  ucwarden policy lint --strict --offline policies/ people.yaml
  ucwarden policy lint -c ucwarden.yaml -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			now, err := flags.at()
			if err != nil {
				return err
			}
			c, log, err := flags.load(a)
			if err != nil {
				return err
			}
			result, err := a.lint(cmd.Context(), c, log, &flags, args, offline, lint.Options{Names: nameMapping(c), Scripts: new(script.Recorder).Compile, Compile: timed(compileOptions(c), now)})
			if err != nil {
				return err
			}
			if err := show(a, &result, func(w io.Writer) error { return a.printLint(w, result) }); err != nil {
				return err
			}
			if result.Errors > 0 || strict && result.Warnings > 0 {
				return exitError{exitFailed}
			}
			return nil
		},
	}
	flags.registerTime(cmd, "time at which to judge validity")
	cmd.Flags().BoolVar(&strict, "strict", false, "fail on warnings, too")
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask the workspace which objects there are")
	return cmd
}

// lint reads the policies and checks them.
func (a *app) lint(ctx context.Context, c *config.Config, log *slog.Logger, flags *policyFlags, paths []string, offline bool, o lint.Options) (*lint.Result, error) {
	if len(paths) == 0 && c.Policies.Path != "" && c.Policies.Ranger.URL == "" {
		paths = append(paths, c.Policies.Path)
		if c.Policies.UsersPath != "" {
			paths = append(paths, c.Policies.UsersPath)
		}
	}
	var snapshot *ranger.Snapshot
	if len(paths) > 0 {
		input, err := source.ReadInput(paths, c.Policies.Service, 0)
		switch {
		case policy.CodeOf(err) == policy.CodeInvalid:
			return &lint.Result{Errors: 1, Findings: []lint.Finding{
				{Severity: lint.SeverityError, Check: lint.CheckRefused, Message: err.Error()},
			}, Notes: []string{"nothing else was checked, because the files cannot be read whole"}}, nil
		case err != nil:
			return nil, err
		}
		snapshot = ranger.UnverifiedSnapshot(input)
	} else {
		var err error
		if snapshot, err = flags.snapshot(ctx, c, log); err != nil {
			return nil, err
		}
	}
	scope, err := policy.NewScope(scopeOptions(c))
	if err != nil {
		return nil, err
	}
	o.Compile.Manages = scope.Manages
	if c.Databricks.Host != "" && !offline {
		workspace, err := openWorkspace(ctx, c, log, nil)
		if err != nil {
			return nil, withHint(err, "to do without the workspace: --offline")
		}
		defer workspace.Close()
		if o.Inventory, err = load.Inventory(ctx, workspace, c.Databricks.MaxConcurrency); err != nil {
			return nil, withHint(err, "to do without the workspace: --offline")
		}
	}
	return lint.Run(snapshot, o), nil
}

// printLint writes a line for each finding, then what could not be checked, and the totals.
func (a *app) printLint(w io.Writer, r *lint.Result) error {
	colors := map[lint.Severity]text.Color{lint.SeverityError: text.FgRed, lint.SeverityWarning: text.FgYellow, lint.SeverityInfo: text.Reset}
	for _, f := range r.Findings {
		where := ""
		if f.File != "" {
			where = f.File + ": "
		}
		if f.Policy != "" || f.PolicyID != 0 {
			where += fmt.Sprintf("policy %d %q: ", f.PolicyID, f.Policy)
		}
		if f.Field != "" {
			where += f.Field + ": "
		}
		word := string(f.Severity)
		if f.Severity == lint.SeverityInfo {
			word = "note"
		}
		fmt.Fprintf(w, "%s  %s%s [%s]\n", a.paint(fmt.Sprintf("%-7s", word), colors[f.Severity]), where, f.Message, f.Check)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "skipped  %s\n", note)
	}
	policies := "policies"
	if r.Policies == 1 {
		policies = "policy"
	}
	_, err := fmt.Fprintf(w, "%d %s checked: %s, %s, %s\n", r.Policies, policies, count(r.Errors, "error"), count(r.Warnings, "warning"), count(r.Infos, "note"))
	return err
}
