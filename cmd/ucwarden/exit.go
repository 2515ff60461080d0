package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ucwarden/config"
	"ucwarden/endpoint"
	"ucwarden/input"
)

// The exit codes. Those from 64 on follow sysexits.h; 130 is the shells' code for an interrupt.
const (
	exitOK      = 0
	exitFailed  = 1
	exitChanges = 2
	exitSkipped = 3
	exitUsage   = 64
	exitConfig  = 78
	exitSignal  = 130
)

var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitOK, "done; a sync, a watched task or an update of a pipeline ended SUCCESS; plan --exit-code: nothing to change; serve was asked to end"},
	{exitFailed, "failed: the last line on standard error says why; a sync, a watched task or an update of a pipeline ended FAILED; policy test, policy lint and doctor found problems"},
	{exitChanges, "plan --exit-code: there are changes to make; pipeline sync-parameters --check: something changed"},
	{exitSkipped, "a sync or a watched task ended SKIPPED; an update of a pipeline was cancelled"},
	{exitUsage, "the command line is wrong"},
	{exitConfig, "the configuration is wrong, or lacks what the command needs"},
	{exitSignal, "interrupted before it was done"},
}

func newExitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("Exit codes of every command:\n")
	for _, c := range exitCodes {
		fmt.Fprintf(&b, "\n  %3d  %s", c.code, c.meaning)
	}
	return &cobra.Command{Use: "exit-codes", Short: "The exit codes and what they mean", Long: b.String()}
}

// exitError ends the process with a code when everything there is to say was printed.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// unsetError is a configuration without something that the command needs.
type unsetError struct{ missing string }

func (e *unsetError) Error() string { return e.missing }

// usageError is a command line that is not understood.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usageErrorf(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// wantArgs accepts exactly the named arguments.
func wantArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if cmd.HasAvailableSubCommands() {
			return unknownCommand(cmd, args[0])
		}
		if len(names) == 0 {
			advice := ""
			if ext := filepath.Ext(args[0]); ext == ".yaml" || ext == ".yml" {
				advice = "; a configuration is named with --config " + args[0]
			}
			return usageErrorf("%s: unexpected argument %q%s", cmd.CommandPath(), args[0], advice)
		}
		return usageErrorf("%s: want %s, got %d argument(s)", cmd.CommandPath(), strings.Join(names, " "), len(args))
	}
}

// unknownCommand refuses a word that is no subcommand of cmd, with the nearest ones.
func unknownCommand(cmd *cobra.Command, word string) error {
	cmd.SuggestionsMinimumDistance = nearEdits
	of := cmd.CommandPath() + ": "
	if !cmd.HasParent() {
		of = "" // which every error begins with
	}
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return usageErrorf("%sunknown command %q; did you mean %s?", of, word, strings.Join(near, " or "))
	}
	return usageErrorf("%sunknown command %q; there are: %s", of, word, strings.Join(subcommands(cmd), ", "))
}

// nearEdits is how many edits a name may be away that is proposed for an unknown one.
const nearEdits = 2

// flagError adds the nearest flag to the error for one that cmd does not have.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return &usageError{err}
	}
	name, best, distance := unknown.GetSpecifiedName(), "", nearEdits+1
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := input.Distance(name, f.Name); len(name) > 1 && d < distance {
			best, distance = f.Name, d
		}
	})
	if best == "" {
		return &usageError{err}
	}
	return usageErrorf("%w; did you mean --%s?", err, best)
}

// hinted is an error with advice for the person at the terminal, printed on a line of its own.
type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// withHint adds what to do about err; nil stays nil.
func withHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// report prints err, of the command cmd, on standard error, one line and a hint where there is one, and returns the
// exit code.
func (a *app) report(ctx context.Context, cmd *cobra.Command, err error) int {
	var (
		exit  exitError
		usage *usageError
		bad   *config.Error
		unset *unsetError
		hint  *hinted
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &bad):
		a.reportConfig(bad)
		return exitConfig
	case errors.As(err, &usage), !a.running: // cobra refuses unknown commands and arguments with plain errors
		a.printError(err)
		fmt.Fprintf(a.stderr, "hint: %s --help\n", cmd.CommandPath())
		return exitUsage
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(a.stderr, "ucwarden: interrupted")
		return exitSignal
	}
	a.printError(err)
	advice := clientHint(err)
	if errors.As(err, &hint) {
		advice = hint.hint
	}
	if advice != "" {
		fmt.Fprintf(a.stderr, "hint: %s\n", visibleText(advice))
	}
	if errors.As(err, &unset) {
		return exitConfig
	}
	return exitFailed
}

// printError prints err on one line.
func (a *app) printError(err error) {
	text := endpoint.MaskURLs(strings.Join(strings.Fields(err.Error()), " "))
	fmt.Fprintf(a.stderr, "ucwarden: %s\n", text)
}

func (a *app) reportConfig(err *config.Error) {
	if len(err.Problems) == 1 {
		fmt.Fprintf(a.stderr, "ucwarden: configuration: %s\n", visible(err.Problems[0]))
	} else {
		fmt.Fprintf(a.stderr, "ucwarden: %d problems in the configuration:\n", len(err.Problems))
		for _, p := range err.Problems {
			fmt.Fprintf(a.stderr, "  %s\n", visible(p))
		}
	}
	if slices.ContainsFunc(err.Problems, func(p config.Problem) bool { return p.Key != "" }) {
		fmt.Fprintln(a.stderr, "hint: ucwarden config keys lists every key")
	} else {
		fmt.Fprintln(a.stderr, "hint: the file is what --config or UCWARDEN_CONFIG names, in YAML, which takes spaces and no tabs; the README has one to begin with")
	}
}
