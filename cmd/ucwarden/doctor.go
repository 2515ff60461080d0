package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"ucwarden/apiserver/keys"
	"ucwarden/config"
	"ucwarden/connector/audit"
	"ucwarden/connector/doctor"
	"ucwarden/connector/unitycatalog"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

func newDoctorCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:        "doctor",
		SuggestFor: []string{"verify", "status", "diagnose"},
		Short:      "Look for what is wrong with this set-up, and say what to do",
		GroupID:    groupSetup,
		Long: `Look at the configuration, the files with keys and secrets, the store, the audit trail, the policies, the
workspace (does it answer, who are we, which rights do we lack, clock, SQL warehouse), the REST API and the event hub. Nothing is
changed; a daemon may be running. Each line that is not "ok" says what to do. The exit code is 0 without problems,
1 with one, 78 where the configuration is wrong.`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings, code := a.diagnose(cmd.Context())
			if err := cmd.Context().Err(); err != nil {
				return err // what was asked last failed because of that
			}
			return a.reportFindings(findings, code)
		},
	}
}

func newConfigCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the configuration, and the files with keys and secrets that it names",
		Long: `Check the configuration without using it: keys, values and what they must agree on, the permissions of the files with
keys and secrets, and what the REST API needs. Nothing is sent anywhere and nothing is changed; ucwarden doctor looks at
the rest. Each line that is not "ok" says what to do. The exit code is 78 where there is a problem, else 0.`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.loadQuietly()
			checks := []doctor.Check{configCheck(c, err)}
			if c != nil {
				checks = append(checks, requiredCheck(c), filesCheck(c), apiCheck(c, false))
			}
			findings := doctor.Run(cmd.Context(), checks...)
			code := exitOK
			if doctor.Count(findings, doctor.Problem) > 0 {
				code = exitConfig
			}
			return a.reportFindings(findings, code)
		},
	}
}

// reportFindings prints what was found, and returns an error that ends the process with the code.
func (a *app) reportFindings(findings []doctor.Finding, code int) error {
	result := doctorResult{
		Findings: findings, Problems: doctor.Count(findings, doctor.Problem), Warnings: doctor.Count(findings, doctor.Warning),
	}
	if err := show(a, &result, func(w io.Writer) error { return a.printDoctor(w, result) }); err != nil {
		return err
	}
	if code != exitOK {
		return exitError{code}
	}
	return nil
}

// doctorResult is the JSON form of what was found.
type doctorResult struct {
	Findings []doctor.Finding `json:"findings"`
	Problems int              `json:"problems"`
	Warnings int              `json:"warnings"`
}

// diagnose runs every check that the configuration allows, and returns what they found and the exit code.
func (a *app) diagnose(ctx context.Context) ([]doctor.Finding, int) {
	c, err := a.loadQuietly()
	code := exitOK
	if err != nil {
		code = exitConfig
	}
	checks := []doctor.Check{configCheck(c, err)}
	if c != nil {
		checks = append(checks,
			filesCheck(c),
			doctor.Check{Name: "store", Run: func(context.Context) []doctor.Finding { return checkStore(c) }},
			doctor.Check{Name: "audit", Run: func(context.Context) []doctor.Finding { return checkAudit(c) }},
			doctor.Check{Name: "policies", Run: func(ctx context.Context) []doctor.Finding { return checkPolicies(ctx, c) }},
		)
		checks = append(checks, workspaceChecks(ctx, c)...)
		checks = append(checks, apiCheck(c, true))
		if c.ReadsEvents() {
			checks = append(checks, hubCheck(c))
		}
	}
	findings := doctor.Run(ctx, checks...)
	if code == exitOK && doctor.Count(findings, doctor.Problem) > 0 {
		code = exitFailed
	}
	return findings, code
}

func configCheck(c *config.Config, err error) doctor.Check {
	return doctor.Check{Name: "configuration", Run: func(context.Context) []doctor.Finding { return checkConfig(c, err) }}
}

func filesCheck(c *config.Config) doctor.Check {
	return doctor.Check{Name: "files", Run: func(context.Context) []doctor.Finding { return checkFiles(c) }}
}

// requiredCheck is the check for what every plan needs.
func requiredCheck(c *config.Config) doctor.Check {
	return doctor.Check{Name: "required", Run: func(context.Context) []doctor.Finding {
		var found []doctor.Finding
		if c.Databricks.Host == "" {
			found = append(found, noWorkspace)
		}
		if c.Policies.Path == "" && c.Policies.Ranger.URL == "" {
			found = append(found, doctor.Problem.Is("set policies.path, or policies.ranger.url and .service", "no policies are configured"))
		}
		if len(found) == 0 {
			found = append(found, doctor.Found("a workspace and policies are configured"))
		}
		return found
	}}
}

var noWorkspace = doctor.Problem.Is("set databricks.host and a way to authenticate", "no workspace is configured")

// apiCheck is the check of what the REST API needs; keys that are fetched are left out unless fetch is set.
func apiCheck(c *config.Config, fetch bool) doctor.Check {
	return doctor.Check{Name: "api", Run: func(ctx context.Context) []doctor.Finding { return checkAPI(ctx, c, fetch) }}
}

func checkConfig(c *config.Config, err error) []doctor.Finding {
	var found []doctor.Finding
	if bad, ok := errors.AsType[*config.Error](err); ok {
		for _, p := range bad.Problems {
			found = append(found, doctor.Problem.Is("correct it; ucwarden config keys lists every key", "%s", p))
		}
	} else if err != nil {
		found = append(found, doctor.Problem.Is("correct the command line", "%v", err))
	}
	if c == nil {
		return found
	}
	for _, w := range c.Warnings() {
		found = append(found, doctor.Warning.Is("correct it, or leave it if it is meant so", "%s", w))
	}
	switch policy.Mode(c.Sync.Mode) {
	case policy.ModeObserve:
		found = append(found, doctor.Note.Is("set it to grant-only or enforce once ucwarden plan shows what is wanted", "sync.mode is observe: nothing is changed"))
	case policy.ModeGrantOnly:
		found = append(found, doctor.Note.Is("set it to enforce once ucwarden plan shows what is wanted", "sync.mode is grant-only: nothing is revoked"))
	}
	for _, name := range c.WithoutEffect() {
		do := "leave it out, or keep it for a later version"
		if strings.HasPrefix(name, "apiserver.") {
			do = "keep it where the Helm chart deploys the daemon, since the chart reads it; else leave it out"
		}
		found = append(found, doctor.Note.Is(do, "%s is set and has no effect on the daemon yet", name))
	}
	if err == nil {
		found = append(found, doctor.Found("it can be used; ucwarden config show says where each value comes from"))
	}
	return found
}

// checkFiles looks at the permissions of the files with keys and secrets.
func checkFiles(c *config.Config) []doctor.Finding {
	var found []doctor.Finding
	for _, p := range c.FileProblems() {
		found = append(found, doctor.Problem.Is("run: "+p.Do, "%s (%s): %s", p.Path, p.Setting, p.Message))
	}
	if len(found) == 0 {
		found = append(found, doctor.Found("no file with keys or secrets is open to every user"))
	}
	return found
}

func checkStore(c *config.Config) []doctor.Finding {
	found := []doctor.Finding{doctor.Folder("store.path", c.Store.Path)}
	path := storeFile(c)
	if _, err := os.Stat(path); err != nil {
		return found // the first start makes it
	}
	store, err := store.Open(path, store.Options{LockTimeout: 100 * time.Millisecond})
	switch {
	case policy.CodeOf(err) == policy.CodeUnavailable:
		return append(found, doctor.Found("%s is in use: a daemon or a sync is running", path))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return append(found, doctor.Problem.Is("let the user that runs ucwarden read and write it", "%v", err))
	case doctor.Full(err):
		return append(found, doctor.Problem.Is("free some space", "the disk of %s is full: %v", path, err))
	case err != nil:
		return append(found, doctor.Problem.Is("tasks in a file that is moved away are lost; the next full sync makes up for them", "%v", err))
	}
	if err := store.Close(); err != nil {
		return append(found, doctor.Problem.Is("look at the disk", "%v", err))
	}
	return append(found, doctor.Found("%s is in order", path))
}

func checkAudit(c *config.Config) []doctor.Finding {
	open, damaged, err := audit.Check(c.Audit.Path)
	switch {
	case policy.CodeOf(err) == policy.CodeNotFound:
		if folder := doctor.Folder("audit.path", filepath.Dir(c.Audit.Path)); folder.Status != doctor.OK {
			return []doctor.Finding{folder}
		}
		return []doctor.Finding{doctor.Found("%s does not exist yet; the first start begins it", c.Audit.Path)}
	case err != nil:
		return []doctor.Finding{doctor.Problem.Is("let the user that runs ucwarden read and write it", "%v", err)}
	}
	var found []doctor.Finding
	if len(damaged) > 0 {
		found = append(found, doctor.Warning.Is("compare Unity Catalog's own audit log, system.access.audit, for that time",
			"%s cannot be read, the first at %s", countOf(len(damaged), "line of the trail", "lines of the trail"), damaged[0]))
	}
	if open > 0 {
		found = append(found, doctor.Note.Is("nothing: the next start or sync reads the objects again",
			"%s, under way or cut off by a crash", countOf(open, "request has an unknown end", "requests have an unknown end")))
	}
	if len(found) == 0 {
		found = append(found, doctor.Found("%s can be read, and every change in it has a known end", c.Audit.Path))
	}
	return found
}

func checkPolicies(ctx context.Context, c *config.Config) []doctor.Finding {
	src, err := openSource(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		do := "correct policies.path or policies.ranger; ucwarden policy lint says more about files"
		if hint, ok := errors.AsType[*hinted](err); ok {
			do = hint.hint
		}
		return []doctor.Finding{doctor.Problem.Is(do, "%v", err)}
	}
	s := src.Current()
	var found []doctor.Finding
	if err := src.Problem(); err != nil {
		found = append(found, doctor.Warning.Is("correct the policies; ucwarden policy lint says more", "%v", err))
	}
	if len(s.Policies) == 0 {
		found = append(found, doctor.Warning.Is("check policies.path or policies.ranger.service", "there are no policies, and a sync would revoke what is managed"))
	}
	of := ""
	if s.Service != "" {
		of = " of service " + s.Service
	}
	return append(found, doctor.Found("%s%s at version %d", countOf(len(s.Policies), "policy", "policies"), of, s.Version))
}

// workspaceChecks connects to the workspace and returns its checks; where it does not answer, that alone.
func workspaceChecks(ctx context.Context, c *config.Config) []doctor.Check {
	client, err := openWorkspace(ctx, c, slog.New(slog.DiscardHandler), nil)
	answers := doctor.Check{Name: "workspace", Run: func(context.Context) []doctor.Finding {
		if c.Databricks.Host == "" {
			return []doctor.Finding{noWorkspace}
		}
		return []doctor.Finding{unitycatalog.CheckHost(c.Databricks.Host, err)}
	}}
	if err != nil {
		return []doctor.Check{answers}
	}
	scope, err := policy.NewScope(scopeOptions(c))
	if err != nil {
		return []doctor.Check{answers, {Name: "scope", Run: func(context.Context) []doctor.Finding {
			return []doctor.Finding{doctor.Problem.Is("correct the scope", "%v", err)}
		}}}
	}
	var named []string
	for _, name := range c.Scope.Catalogs.Include {
		if !strings.ContainsAny(name, "*?") {
			named = append(named, name)
		}
	}
	return append([]doctor.Check{answers}, client.Checks(unitycatalog.CheckOptions{Scope: scope, Catalogs: named, Warehouse: c.Databricks.Warehouse})...)
}

func checkAPI(ctx context.Context, c *config.Config, fetch bool) []doctor.Finding {
	if !c.ServesAPI() {
		return []doctor.Finding{doctor.Found("the REST API is off")}
	}
	if err := c.CheckServe(); err != nil {
		return []doctor.Finding{doctor.Problem.Is("correct it; ucwarden keys generate makes keys", "%v", err)}
	}
	jwt := c.APIServer.JWT
	if strings.Contains(jwt.JWKS, "://") && !fetch {
		return []doctor.Finding{doctor.Found("its settings agree; it listens on %s", c.APIServer.Addr)}
	}
	verifier, err := keys.NewVerifier(ctx, keys.VerifierOptions{
		Issuer: jwt.Issuer, Audience: jwt.Audience, JWKS: jwt.JWKS, PEMFiles: jwt.PEMKeys, HS256Secret: []byte(jwt.HS256Secret.Reveal()),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		do := "correct apiserver.jwt; ucwarden keys generate makes keys"
		if errors.Is(err, fs.ErrNotExist) {
			do = "run: ucwarden keys generate, or correct apiserver.jwt.jwks"
		}
		return []doctor.Finding{doctor.Problem.Is(do, "%v", err)}
	}
	var found []doctor.Finding
	for _, w := range verifier.Warnings() {
		found = append(found, doctor.Problem.Is("correct apiserver.jwt; ucwarden keys generate makes keys", "%s", w))
	}
	if len(found) > 0 {
		return found
	}
	return []doctor.Finding{doctor.Found("its keys can be read; it listens on %s", c.APIServer.Addr)}
}

// printDoctor writes one line for each finding.
func (a *app) printDoctor(w io.Writer, r doctorResult) error {
	width := 0
	for _, f := range r.Findings {
		width = max(width, len(f.Check))
	}
	colors := map[doctor.Status]text.Color{doctor.OK: text.FgGreen, doctor.Note: text.Reset, doctor.Warning: text.FgYellow, doctor.Problem: text.FgRed}
	for _, f := range r.Findings {
		line := strings.Join(strings.Fields(f.Message), " ")
		if f.Do != "" {
			line += "; " + f.Do
		}
		fmt.Fprintf(w, "%s  %-*s  %s\n", a.paint(fmt.Sprintf("%-7s", f.Status), colors[f.Status]), width, f.Check, line)
	}
	_, err := fmt.Fprintf(w, "\n%s, %s\n", count(r.Problems, "problem"), count(r.Warnings, "warning"))
	return err
}
