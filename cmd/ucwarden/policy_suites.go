package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"ucwarden/config"
	"ucwarden/connector/emulator/statement"
	"ucwarden/policy"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
	"ucwarden/policy/script"
	"ucwarden/policy/suite"
)

func newPolicyTestCommand(a *app) *cobra.Command {
	var flags policyFlags
	var verbose bool
	cmd := &cobra.Command{
		Use:   "test FILE...",
		Short: "Run suites of policy tests",
		Long: `Run suites of policy tests, in either of Apache Ranger's two formats: an object with policies and
tests, or one with testCases of the ACL view. Besides, a test may have a tableResult: columns, rows, and
which of them the user has seen, by the row filter and masks that a SQL warehouse would enforce. A suite with tests and no policies is run on the
policies of --policies, or on the configured ones. Of a folder, every *.json in it is run; files
without tests are named and passed over.

Each case that fails is printed with what was wanted, what came instead, and the policy that
decided. A test that states no request or expects nothing fails. The last line is "N passed, N failed", in which a file that cannot be run counts as one
failure.`,
		Example: `  ucwarden policy test suites/
  ucwarden policy test --policies policies/ suites/access.json
  ucwarden policy test -v -o json suites/access.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageErrorf("%s: want FILE..., suites or folders of them", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			now, err := flags.at()
			if err != nil {
				return err
			}
			files, err := suiteFiles(args)
			if err != nil {
				return err
			}
			run := suiteRunner{a: a, flags: &flags, now: now, ctx: cmd.Context()}
			var result suitesResult
			for _, file := range files {
				if err := cmd.Context().Err(); err != nil {
					return err
				}
				result.add(run.file(file))
			}
			result.Warnings = run.scripts.Warnings()
			if err := show(a, &result, func(w io.Writer) error { return a.printSuites(w, &result, verbose) }); err != nil {
				return err
			}
			if run.misconfigured {
				return exitError{exitConfig}
			}
			if result.Failed > 0 {
				return exitError{exitFailed}
			}
			if result.Passed == 0 { // a pipeline whose tests were moved away must not stay green
				return policy.Errorf(policy.CodeNotFound, "no test in %s", strings.Join(args, ", "))
			}
			return nil
		},
	}
	flags.register(cmd, "time of access of tests that name none")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print every case, not only those that fail")
	return cmd
}

// suitesResult is what became of all suites.
type suitesResult struct {
	Passed int          `json:"passed"`
	Failed int          `json:"failed"`
	Files  []fileResult `json:"files"`

	Warnings []string `json:"warnings,omitempty"` // of the policies that the files do not bring
}

// fileResult is what became of one file. NoTests tells that there is nothing to run in it, Error why it cannot be run.
type fileResult struct {
	File    string       `json:"file"`
	Passed  int          `json:"passed"`
	Failed  int          `json:"failed"`
	NoTests bool         `json:"noTests,omitempty"`
	Error   string       `json:"error,omitempty"`
	Cases   []suite.Case `json:"cases,omitempty"`

	Warnings []string `json:"warnings,omitempty"`
}

func (r *suitesResult) add(f fileResult) {
	r.Files = append(r.Files, f)
	r.Passed += f.Passed
	r.Failed += f.Failed
}

// suiteFiles lists the files to run: the arguments, and every *.json of those that are folders; each file once.
func suiteFiles(args []string) ([]string, error) {
	var files []string
	seen := map[string]bool{}
	add := func(file string) {
		if key := filepath.Clean(file); !seen[key] {
			seen[key] = true
			files = append(files, file)
		}
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil || !info.IsDir() {
			add(arg) // a file that cannot be read is reported along with the others
			continue
		}
		before := len(files)
		err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.EqualFold(filepath.Ext(path), ".json") {
				add(path)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("look for suites: %w", err)
		}
		if len(files) == before {
			return nil, policy.Errorf(policy.CodeNotFound, "%s: no suite (*.json) in this folder", arg)
		}
	}
	return files, nil
}

// suiteRunner runs suites; the policies for those that bring none are loaded once.
type suiteRunner struct {
	a     *app
	flags *policyFlags
	now   time.Time
	ctx   context.Context
	rules *rules.RuleSet

	misconfigured bool // what failed is the configuration with those policies

	scripts script.Recorder // of the policies in rules
}

func (r *suiteRunner) file(file string) fileResult {
	result := fileResult{File: file}
	scripts := &script.Recorder{}
	suite, err := r.run(file, scripts)
	switch {
	case errors.Is(err, errNoTests):
		result.NoTests = true
	case err != nil:
		result.Error, result.Failed = err.Error(), 1
	default:
		result.Passed, result.Failed, result.Cases = suite.Passed, suite.Failed, suite.Cases
		result.Warnings = suite.Warnings
		for _, warning := range scripts.Warnings() {
			result.Warnings = append(result.Warnings, file+": "+warning)
		}
		result.NoTests = len(suite.Cases) == 0
	}
	return result
}

// errNoTests says that a file is well-formed and holds nothing to run.
var errNoTests = errors.New("holds no tests")

func (r *suiteRunner) run(file string, scripts *script.Recorder) (suite.Result, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return suite.Result{}, fmt.Errorf("read suite: %w", err)
	}
	var keys map[string]json.RawMessage
	if json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &keys) != nil { // no object: an array of policies, or not JSON
		return suite.Result{}, withoutTests(data, file)
	}
	has := func(names ...string) bool {
		for _, name := range names {
			if value, ok := keys[name]; ok && string(value) != "null" {
				return true
			}
		}
		return false
	}
	switch {
	case has("tests") && !has("policies", "updatedPolicies", "serviceDef", "tagPolicyInfo", "securityZones"):
		s, err := r.policies(file)
		if err != nil {
			return suite.Result{}, err
		}
		return suite.RunOn(s, data, file, suite.Options{Now: r.now, Call: callSQL})
	case !has("tests", "testCases"):
		if has("policies") {
			return suite.Result{}, withoutTests(data, file)
		}
		return suite.Result{}, errNoTests
	}
	return suite.Run(data, file, suite.Options{Now: r.now, Scripts: scripts.Compile, Call: callSQL, File: func(name string) ([]byte, error) {
		return os.ReadFile(filepath.Join(filepath.Dir(file), name))
	}})
}

// callSQL evaluates a function that row filters and masks are compiled to, as the emulator does.
func callSQL(f policy.SQLFunction, s suite.Session, arguments []*string) (*string, error) {
	body, err := statement.ParseExpression(f.Body)
	if err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", f.Name, err)
	}
	values := make(map[string]statement.Value)
	for i, p := range f.Parameters {
		var v statement.Value
		if arguments[i] != nil {
			if v, err = statement.Convert(*arguments[i], p.Type); err != nil {
				return nil, fmt.Errorf("the value %q of a column of type %s: %w", *arguments[i], p.Type, err)
			}
		}
		values[p.Name] = v
	}
	v, err := body.Eval(&statement.Session{User: s.User, Now: s.Time, InGroup: s.InGroup}, values)
	if err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", f.Name, err)
	}
	return statement.Text(v), nil
}

// withoutTests returns errNoTests for a file of policies, or what is wrong with them: here somebody tests them.
func withoutTests(data []byte, file string) error {
	list, _, err := parse.Policies(data, file)
	if err != nil {
		return err
	}
	for i := range list {
		for _, f := range list[i].Faults {
			return policy.Errorf(policy.CodeInvalid, "%s: policy %d %q: %s", file, list[i].ID, list[i].Name, f)
		}
	}
	return errNoTests
}

// policies loads the policies that a suite without its own is about.
func (r *suiteRunner) policies(file string) (*rules.RuleSet, error) {
	if r.rules != nil {
		return r.rules, nil
	}
	c, log, err := r.flags.load(r.a)
	_, r.misconfigured = errors.AsType[*config.Error](err)
	if err == nil && c.Policies.Path == "" && c.Policies.Ranger.URL == "" {
		err = policy.Errorf(policy.CodeInvalid, "it has tests but no policies; give them with --policies PATH, or configure policies.path")
	}
	if err == nil {
		var snapshot *ranger.Snapshot
		if snapshot, err = r.flags.snapshot(r.ctx, c, log); err == nil {
			r.rules, err = rules.New(snapshot, rules.Options{Names: nameMapping(c), Scripts: r.scripts.Compile})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r.rules, nil
}

// printSuites writes the cases that failed, or all of them, then one line with the totals.
func (a *app) printSuites(w io.Writer, r *suitesResult, verbose bool) error {
	for _, f := range r.Files {
		for _, warning := range f.Warnings {
			fmt.Fprintf(a.stderr, "warning: %s\n", visibleText(warning))
		}
		switch {
		case f.Error != "":
			a.printError(errors.New(f.Error))
		case f.NoTests:
			fmt.Fprintf(w, "%s: %v\n", f.File, errNoTests)
		}
		for _, c := range f.Cases {
			if c.Passed && !verbose {
				continue
			}
			mark := a.paint("ok  ", text.FgGreen)
			if !c.Passed {
				mark = a.paint("FAIL", text.FgRed)
			}
			fmt.Fprintf(w, "%s  %s: %s\n", mark, f.File, c.Name)
			for _, line := range []string{c.Problem, c.Decision} {
				if line != "" {
					fmt.Fprintf(w, "      %s\n", line)
				}
			}
		}
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(a.stderr, "warning: %s\n", visibleText(warning))
	}
	_, err := fmt.Fprintf(w, "%d passed, %d failed\n", r.Passed, r.Failed)
	return err
}
