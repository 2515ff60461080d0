package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"ucwarden/atomicfile"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

func newStoreCommand(a *app) *cobra.Command {
	s := &storeCommand{app: a}
	cmd := &cobra.Command{
		Use:     "store",
		Short:   "Check, back up and restore the task store",
		GroupID: groupSetup,
		Long: `Check, back up, restore and move the task store: the file ucwarden.db in store.path, or the one that --file names.

check and backup work while a daemon runs: where the file is in use, or --server is given, the daemon does it, for a token
of scope admin. The others need the daemon to be stopped.`,
		Args: wantArgs(),
		RunE: needSubcommand,
	}
	s.daemon.register(cmd)
	cmd.PersistentFlags().StringVar(&s.file, "file", "", "the file of the store (default: ucwarden.db in store.path)")
	add := func(use, short, long string, args []string, run func(cmd *cobra.Command, path string, args []string) error) {
		cmd.AddCommand(&cobra.Command{Use: use, Short: short, Long: long, Args: wantArgs(args...), RunE: func(cmd *cobra.Command, args []string) error {
			path, err := s.path()
			if err != nil {
				return err
			}
			return run(cmd, path, args)
		}})
	}
	add("check", "Read the whole store and say what is in it", "", nil, s.check)
	add("backup FILE", "Copy the store to a new file", "", []string{"FILE"}, s.backup)
	add("restore BACKUP", "Put a copy of a backup in the place of the store",
		"Put a copy of a backup, which is read whole first, in the place of the store. What was there is moved aside, and named.", []string{"BACKUP"}, s.restore)
	add("export FILE", "Write tasks and saved values as JSON lines; - is standard output",
		"Write tasks and saved values as JSON lines to a new file; - is standard output. Of a damaged store what is whole is written, and what is\nnot is named on standard error; the exit code is 1 then.", []string{"FILE"}, s.export)
	add("import FILE", "Read what export wrote into a store without tasks; - is standard input", "", []string{"FILE"}, s.importTasks)
	add("compact", "Rewrite the store without its free space", "", nil, s.compact)
	return cmd
}

type storeCommand struct {
	*app
	daemon clientFlags
	file   string
}

func (s *storeCommand) path() (string, error) {
	if s.file != "" {
		return s.file, nil
	}
	c, err := s.loadPart()
	if err != nil {
		return "", err
	}
	return storeFile(c), nil
}

// byDaemon reports whether the daemon is to do what could not be done here: where a person named it, or the file is in use.
func (s *storeCommand) byDaemon(err error) bool {
	return s.daemon.server != "" || s.file == "" && policy.CodeOf(err) == policy.CodeUnavailable
}

// errNotTried is the error of an attempt on the file that is left out because a daemon was named.
var errNotTried = errors.New("a server is named")

func (s *storeCommand) check(cmd *cobra.Command, path string, _ []string) error {
	report, err := store.Report{}, errNotTried
	if s.daemon.server == "" {
		report, err = store.Check(path)
	}
	if err != nil && s.byDaemon(err) {
		c, clientErr := s.daemon.client(s.app)
		if clientErr != nil {
			return withoutDaemon(err, clientErr)
		}
		report, err = c.CheckStore(cmd.Context())
	}
	if err != nil {
		return err
	}
	return show(s.app, &report, func(w io.Writer) error { return printReport(w, report) })
}

// withoutDaemon returns why neither the file nor a daemon can be used.
func withoutDaemon(err, clientErr error) error {
	if errors.Is(err, errNotTried) {
		return clientErr
	}
	return withHint(err, "a daemon that runs does it for a token of scope admin: give --token-file or set UCWARDEN_TOKEN")
}

func printReport(w io.Writer, r store.Report) error {
	_, err := fmt.Fprintf(w, "%s is in order: %d bytes, %d of them free, layout version %d, %d commits\n", r.Path, r.Bytes, r.FreeBytes, r.Layout, r.Commits)
	for _, bucket := range slices.Sorted(maps.Keys(r.Entries)) {
		if err == nil {
			_, err = fmt.Fprintf(w, "  %-10s %d\n", bucket, r.Entries[bucket])
		}
	}
	return err
}

func (s *storeCommand) backup(cmd *cobra.Command, path string, args []string) error {
	report, err := store.Report{}, errNotTried
	if s.daemon.server == "" {
		report, err = store.Backup(path, args[0])
	}
	if err != nil && s.byDaemon(err) {
		c, clientErr := s.daemon.client(s.app)
		if clientErr != nil {
			return withoutDaemon(err, clientErr)
		}
		if err = atomicfile.Create(args[0], func(w io.Writer) error { return c.BackupStore(cmd.Context(), w) }); err == nil {
			if report, err = store.Check(args[0]); err != nil {
				err = errors.Join(err, os.Remove(args[0]))
			}
		}
	}
	if errors.Is(err, os.ErrNotExist) && s.daemon.server == "" {
		err = withHint(err, "a daemon whose store was removed under it has it still, and copies it: give --server URL and --token-file, of scope admin")
	}
	if err != nil {
		return err
	}
	return show(s.app, &report, func(w io.Writer) error { return printReport(w, report) })
}

// restored is the JSON form of what restore did.
type restored struct {
	store.Report
	Aside string `json:"aside,omitempty"`
}

func (s *storeCommand) restore(_ *cobra.Command, path string, args []string) error {
	report, aside, err := store.Restore(args[0], path)
	if err != nil {
		return err
	}
	return show(s.app, &restored{report, aside}, func(w io.Writer) error {
		if err := printReport(w, report); err != nil || aside == "" {
			return err
		}
		_, err := fmt.Fprintf(w, "what was there is now %s\n", aside)
		return err
	})
}

// exported is the JSON form of what export or import did.
type exported struct {
	Tasks  int      `json:"tasks"`
	Damage []string `json:"damage,omitempty"`
}

func (s *storeCommand) export(_ *cobra.Command, path string, args []string) error {
	var result exported
	write := func(w io.Writer) error {
		n, damage, err := records.Export(path, w)
		result.Tasks = n
		for _, d := range damage {
			result.Damage = append(result.Damage, d.Error())
			s.printError(fmt.Errorf("left out, since it cannot be read: %w", d))
		}
		return err
	}
	var err error
	if args[0] == "-" {
		err = write(s.stdout)
	} else if err = atomicfile.Create(args[0], write); err == nil {
		err = show(s.app, &result, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "exported %s\n", count(result.Tasks, "task"))
			return err
		})
	}
	if err == nil && len(result.Damage) > 0 {
		err = policy.Errorf(policy.CodeInternal, "the store is damaged: %s could not be read", count(len(result.Damage), "part"))
	}
	return err
}

func (s *storeCommand) importTasks(_ *cobra.Command, path string, args []string) (err error) {
	from := s.stdin
	if args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return fmt.Errorf("read the export: %w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		from = f
	}
	to, err := store.Open(path, store.Options{})
	if err != nil {
		return err
	}
	n, err := records.Import(to, from)
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	return show(s.app, &exported{Tasks: n}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "imported %s\n", count(n, "task"))
		return err
	})
}

// compacted is the JSON form of what compact did.
type compacted struct {
	store.Report
	Before int64 `json:"bytesBefore"`
}

func (s *storeCommand) compact(_ *cobra.Command, path string, _ []string) error {
	before, after, err := store.Compact(path)
	if err != nil {
		return err
	}
	return show(s.app, &compacted{after, before.Bytes}, func(w io.Writer) error {
		if _, err := fmt.Fprintf(w, "%d bytes became %d\n", before.Bytes, after.Bytes); err != nil {
			return err
		}
		return printReport(w, after)
	})
}
