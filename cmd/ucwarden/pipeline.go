package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ucwarden/atomicfile"
	"ucwarden/config"
	"ucwarden/connector/pipelines"
	"ucwarden/connector/unitycatalog/pipelineapi"
	"ucwarden/policy"
)

func newPipelineCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "pipeline",
		Short:   "List, import and update the pipelines of the workspace",
		GroupID: groupSync,
		Args:    wantArgs(),
		RunE:    needSubcommand,
	}
	cmd.AddCommand(newPipelineListCommand(a), newPipelineImportCommand(a), newPipelineSyncCommand(a), newPipelineRunCommand(a), newPipelineCancelCommand(a))
	return cmd
}

// openPipelines connects to the workspace, for a command that works once.
func (a *app) openPipelines(ctx context.Context) (*pipelineapi.Client, *config.Config, error) {
	c, log, err := a.loadOnce()
	if err != nil {
		return nil, nil, err
	}
	workspace, err := openWorkspace(ctx, c, log, nil)
	if err != nil {
		return nil, nil, err
	}
	return pipelineapi.New(workspace), c, nil
}

func newPipelineListCommand(a *app) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the pipelines that may be seen, with their last update",
		Args:  wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, _, err := a.openPipelines(cmd.Context())
			if err != nil {
				return err
			}
			all, err := listPipelines(cmd.Context(), api, name)
			if err != nil {
				return err
			}
			list := shownPipelines(all)
			return show(a, &list, func(w io.Writer) error { return printPipelines(w, list) })
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "only those whose name holds this text")
	return cmd
}

// listPipelines lists the pipelines whose name holds the text, which a filter of the service cannot hold whole.
func listPipelines(ctx context.Context, api *pipelineapi.Client, name string) ([]pipelines.Pipeline, error) {
	filter := ""
	if name != "" && !strings.ContainsAny(name, `'%_\`) {
		filter = "name LIKE '%" + name + "%'"
	}
	all, err := api.Pipelines(ctx, filter)
	if err != nil {
		return nil, pipelineHint(err)
	}
	return slices.DeleteFunc(all, func(p pipelines.Pipeline) bool { return !strings.Contains(p.Name, name) }), nil
}

// pipelineHint adds what to do about an error of the Pipelines API.
func pipelineHint(err error) error {
	if policy.CodeOf(err) == policy.CodeForbidden {
		return withHint(err, "CAN_VIEW on the pipeline is needed to look at it, CAN_RUN to start and stop its updates")
	}
	return err
}

type shownPipeline struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	State      string `json:"state,omitempty"`
	Health     string `json:"health,omitempty"`
	RunAs      string `json:"runAs,omitempty"`
	LastUpdate string `json:"lastUpdate,omitempty"`
	LastState  string `json:"lastState,omitempty"`
}

func shownPipelines(all []pipelines.Pipeline) []shownPipeline {
	list := make([]shownPipeline, len(all))
	for i, p := range all {
		list[i] = shownPipeline{ID: p.ID, Name: p.Name, State: p.State, Health: p.Health, RunAs: p.RunAs}
		if len(p.Latest) > 0 {
			list[i].LastUpdate, list[i].LastState = p.Latest[0].ID, p.Latest[0].State
		}
	}
	return list
}

func printPipelines(w io.Writer, all []shownPipeline) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no pipelines")
		return err
	}
	var rows [][]string
	for _, p := range all {
		rows = append(rows, []string{p.ID, p.Name, p.State, p.Health, p.LastState, p.RunAs})
	}
	return printTable(w, []string{"id", "name", "state", "health", "last update", "run as"}, rows)
}

// jobsFlag names the file of job definitions.
type jobsFlag struct{ path string }

func (f *jobsFlag) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "jobs", "", "file of job definitions (default: pipelines.jobs)")
}

// file returns the path; "" where there is none.
func (f *jobsFlag) file(c *config.Config) string {
	if f.path != "" {
		return f.path
	}
	return c.Pipelines.Jobs
}

// read reads the file, which may be missing.
func (f *jobsFlag) read(c *config.Config) (pipelines.Jobs, error) {
	path := f.file(c)
	if path == "" {
		return pipelines.Jobs{}, usageErrorf("no file of job definitions: give --jobs FILE, or configure pipelines.jobs")
	}
	return readJobs(path)
}

func readJobs(path string) (pipelines.Jobs, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return pipelines.Jobs{}, withHint(policy.Errorf(policy.CodeNotFound, "read job definitions: %w", err), "make it with: ucwarden pipeline import")
	}
	if err != nil {
		return pipelines.Jobs{}, fmt.Errorf("read job definitions: %w", err)
	}
	jobs, err := pipelines.ParseJobs(data)
	if err != nil {
		return pipelines.Jobs{}, fmt.Errorf("read job definitions %s: %w", path, err)
	}
	return jobs, nil
}

func (f *jobsFlag) write(c *config.Config, jobs pipelines.Jobs) error {
	data, err := jobs.Format()
	if err == nil {
		err = atomicfile.Write(f.file(c), 0o644, data)
	}
	if err != nil {
		return fmt.Errorf("write job definitions: %w", err)
	}
	return nil
}

func newPipelineImportCommand(a *app) *cobra.Command {
	var jobs jobsFlag
	var name string
	cmd := &cobra.Command{
		Use:   "import [ID...]",
		Short: "Write pipelines as job definitions, with their parameters, to a file",
		Long: `Write pipelines as job definitions to a file, which pipeline run and the refresh after a policy change read: those
of the ids, or all that may be seen. A parameter is shown for reference: continuous, development, photon, and what of the
configuration begins with spark. or custom., with the type that its text has. Only full_refresh is ever sent.
What is in the file already is put in its place; refreshOn, which a person writes, stays.`,
		Example: "  ucwarden pipeline import --jobs pipelines.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			api, c, err := a.openPipelines(cmd.Context())
			if err != nil {
				return err
			}
			kept, err := jobs.read(c)
			if err != nil && policy.CodeOf(err) != policy.CodeNotFound {
				return err
			}
			ids := args
			if len(ids) == 0 {
				all, err := listPipelines(cmd.Context(), api, name)
				if err != nil {
					return err
				}
				for _, p := range all {
					ids = append(ids, p.ID)
				}
			}
			var imported []pipelines.Job
			for _, id := range ids {
				p, err := api.Pipeline(cmd.Context(), id)
				if len(args) == 0 && policy.CodeOf(err) == policy.CodeNotFound {
					continue // deleted since it was listed
				}
				if err != nil {
					return pipelineHint(err)
				}
				imported = append(imported, pipelines.NewJob(p))
			}
			kept.Merge(imported)
			if err := jobs.write(c, kept); err != nil {
				return err
			}
			return show(a, &pipelines.Jobs{Jobs: imported}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s imported to %s\n", count(len(imported), "pipeline"), jobs.file(c))
				return err
			})
		},
	}
	jobs.register(cmd)
	cmd.Flags().StringVar(&name, "name", "", "only those whose name holds this text")
	return cmd
}

// pipelineDifference is what changed of a pipeline since it was imported.
type pipelineDifference struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Changes []string `json:"changes"`
}

func newPipelineSyncCommand(a *app) *cobra.Command {
	var jobs jobsFlag
	var check bool
	cmd := &cobra.Command{
		Use:   "sync-parameters",
		Short: "Say what changed of the imported pipelines, and bring the file up to date",
		Long: `Say what changed of the imported pipelines since they were written to the file, and write them again. A pipeline that
is not there any more, or may not be seen, is named and stays in the file. With --check nothing is written, and the exit code
is 2 where something changed.`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, c, err := a.openPipelines(cmd.Context())
			if err != nil {
				return err
			}
			kept, err := jobs.read(c)
			if err != nil {
				return err
			}
			found := []pipelineDifference{}
			var now []pipelines.Job
			for _, job := range kept.Jobs {
				p, err := api.Pipeline(cmd.Context(), job.ExternalID)
				var changes []string
				switch code := policy.CodeOf(err); {
				case code == policy.CodeNotFound:
					changes = []string{"there is no such pipeline any more, or it may not be seen: it stays in the file until a person removes it"}
				case code == policy.CodeForbidden:
					changes = []string{"it may not be seen any more: it stays in the file"}
				case err != nil:
					return err
				default:
					is := pipelines.NewJob(p)
					changes = pipelines.Differences(job, is)
					now = append(now, is)
				}
				if len(changes) > 0 {
					found = append(found, pipelineDifference{job.ExternalID, job.Name, changes})
				}
			}
			if !check {
				kept.Merge(now)
				if err := jobs.write(c, kept); err != nil {
					return err
				}
			}
			if err := show(a, &found, func(w io.Writer) error { return printDifferences(w, found, len(kept.Jobs)) }); err != nil {
				return err
			}
			if check && len(found) > 0 {
				return exitError{exitChanges}
			}
			return nil
		},
	}
	jobs.register(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; exit with 2 where something changed")
	return cmd
}

func printDifferences(w io.Writer, found []pipelineDifference, all int) error {
	if len(found) == 0 {
		_, err := fmt.Fprintf(w, "nothing changed of %s\n", count(all, "pipeline"))
		return err
	}
	for _, d := range found {
		if _, err := fmt.Fprintf(w, "%s (%s)\n  %s\n", d.Name, d.ID, strings.Join(d.Changes, "\n  ")); err != nil {
			return err
		}
	}
	return nil
}
