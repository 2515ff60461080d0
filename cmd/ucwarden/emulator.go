package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ucwarden/config"
	"ucwarden/connector/emulator"
	"ucwarden/policy"
)

func newEmulatorCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "emulator",
		Short:   "Run servers to try ucwarden out against",
		GroupID: groupSetup,
		Args:    wantArgs(),
		RunE:    needSubcommand,
	}
	cmd.AddCommand(newUnityCatalogCommand(a), newEventHubCommand(a))
	return cmd
}

// emulatorFlags describe a Unity Catalog emulator.
type emulatorFlags struct {
	addr, seed, generate, data string
	tokens, faults             []string
	faultFile                  string
	pageSize                   int
	emptyPages, autoPrincipals bool
	expandAll                  bool
	warehouseStart             time.Duration
	updateStop                 bool
}

func newUnityCatalogCommand(a *app) *cobra.Command {
	var f emulatorFlags
	cmd := &cobra.Command{
		Use:   "unitycatalog",
		Short: "Serve an in-memory Unity Catalog until interrupted",
		Long: `Serve an in-memory Unity Catalog 2.1 over HTTP until interrupted. It is strict, records every request
(GET /_emulator/trace, /_emulator/stats) and fails on demand (POST /_emulator/faults).`,
		Example: `  ucwarden emulator unitycatalog --generate catalogs=3,schemas=4,tables=20 --token secret
  ucwarden emulator unitycatalog --seed metastore.yaml --token secret=admin@example.com --token other=bob@example.com
  ucwarden emulator unitycatalog --fault '{method: PATCH, probability: 0.1, status: 503}' \
    --fault '{above_rate: 5, above_rate_max: 200, status: 429, retry_after: "1"}'`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.serveEmulator(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.addr, "addr", "127.0.0.1:8283", "host:port to listen on; port 0 takes a free one")
	flags.StringVar(&f.seed, "seed", "", "file with what the metastore holds at first, YAML or JSON")
	flags.StringVar(&f.generate, "generate", "", "make a metastore of this size: catalogs=N,schemas=N,tables=N (schemas per catalog, tables per schema)")
	flags.StringVar(&f.data, "data", "", "file that keeps the state over restarts; --seed and --generate say what a new one begins with")
	flags.StringArrayVar(&f.tokens, "token", nil, "accept TOKEN, or TOKEN=PRINCIPAL; may be repeated; default: one is made up and printed")
	flags.IntVar(&f.pageSize, "page-size", 0, "size of a list's page when a request names none")
	flags.BoolVar(&f.emptyPages, "empty-pages", false, "put empty pages between the pages of lists")
	flags.BoolVar(&f.autoPrincipals, "auto-principals", false, "know every principal that is named")
	flags.StringArrayVar(&f.faults, "fault", nil, "fault that is active from the start, as POST /_emulator/faults takes it, YAML or JSON; may be repeated")
	flags.StringVar(&f.faultFile, "faults", "", "file with faults that are active from the start, YAML or JSON")
	flags.BoolVar(&f.expandAll, "expand-all-privileges", false, "answer with what ALL_PRIVILEGES confers instead of it, as some workspaces do")
	flags.DurationVar(&f.warehouseStart, "warehouse-start", 0, "time that a stopped SQL warehouse takes to start")
	flags.BoolVar(&f.updateStop, "update-stop", false, "serve POST /api/2.0/pipelines/ID/updates/UPDATE/stop too, which not every server has")
	return cmd
}

// options reads the seed and the tokens.
func (f *emulatorFlags) options() (emulator.Options, error) {
	o := emulator.Options{PageSize: f.pageSize, EmptyPages: f.emptyPages, AutoPrincipals: f.autoPrincipals, Data: f.data, ExpandAllPrivileges: f.expandAll, WarehouseStart: f.warehouseStart, UpdateStop: f.updateStop, Tokens: make(map[string]string)}
	switch {
	case f.seed != "" && f.generate != "":
		return o, usageErrorf("--seed and --generate exclude one another")
	case f.seed != "":
		seed, err := emulator.LoadSeed(f.seed)
		if err != nil {
			return o, policy.Errorf(policy.CodeInvalid, "%w", err)
		}
		o.Seed = seed
	case f.generate != "":
		size, err := emulator.ParseSize(f.generate)
		if err != nil {
			return o, usageErrorf("--generate: %w", err)
		}
		o.Seed = emulator.Generate(size)
	}
	var err error
	if o.Faults, err = f.readFaults(); err != nil {
		return o, err
	}
	for _, t := range f.tokens {
		token, principal, _ := strings.Cut(t, "=")
		if token == "" {
			return o, usageErrorf("--token: want TOKEN or TOKEN=PRINCIPAL")
		}
		o.Tokens[token] = principal
	}
	return o, nil
}

// readFaults returns the faults of the flags, those of the file first.
func (f *emulatorFlags) readFaults() ([]emulator.Fault, error) {
	var all []emulator.Fault
	if f.faultFile != "" {
		text, err := os.ReadFile(f.faultFile)
		if err != nil {
			return nil, policy.Errorf(policy.CodeInvalid, "--faults: %w", err)
		}
		faults, err := emulator.ParseFaults(text)
		if err != nil {
			return nil, policy.Errorf(policy.CodeInvalid, "--faults %s: %w", f.faultFile, err)
		}
		all = faults
	}
	for _, text := range f.faults {
		faults, err := emulator.ParseFaults([]byte(text))
		if err != nil {
			return nil, usageErrorf("--fault %s: %w", text, err)
		}
		all = append(all, faults...)
	}
	return all, nil
}

// serveEmulator runs the emulator until ctx ends.
func (a *app) serveEmulator(ctx context.Context, f emulatorFlags) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	made := ""
	if len(o.Tokens) == 0 {
		made = strings.ToLower(rand.Text())
		o.Tokens[made] = "" // the metastore's owner
	}
	o.Logger = a.logger(config.Log{Level: a.logLevel, Format: a.logFormat})
	server, err := emulator.New(o)
	if err != nil {
		return policy.Errorf(policy.CodeInvalid, "%w", err)
	}
	running, err := server.Start(f.addr)
	if err != nil {
		return policy.Errorf(policy.CodeUnavailable, "%w", errors.Join(err, server.Close()))
	}
	result := struct {
		URL   string `json:"url"`
		Token string `json:"token,omitempty"`
	}{running.URL, made}
	err = show(a, &result, func(w io.Writer) error {
		fmt.Fprintf(w, "Unity Catalog emulator at %s\n", running.URL)
		if made != "" {
			fmt.Fprintf(w, "token %s\n", made)
		}
		_, err := fmt.Fprintf(w, "watch it with: curl %s/_emulator/trace\n", running.URL)
		return err
	})
	if err == nil {
		<-ctx.Done()
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, running.Shutdown(grace), server.Close())
}
